//! The seal: frames of whole states, sealed and plain, on both sides of the link, beside the authentication alone.
//!
//! `cargo bench -p pfplane-bench --bench seal`; see `benches/README.md` for the method.

#[expect(dead_code, reason = "other benches use more of it")]
mod harness;
#[expect(dead_code, reason = "other benches use more of it")]
mod replication;

use harness::goals::Goal;
use harness::options::Options;
use harness::report::{Measure, Report};
use harness::rounds::{self, Timing, Turn};
use replication::sealed::{Kind, Mac, Pair, Sender};

#[global_allocator]
static PAGES: harness::pages::HugePages = harness::pages::HugePages;

/// Bytes around an IP packet on an Ethernet link: preamble, header, checksum, gap.
const ETHERNET_BYTES: f64 = 38.0;
/// What a sealed frame may cost: this part of the plain frames a second remains.
const SEALED_OVER_PLAIN: f64 = 0.6;
/// Full states of one core at MTU 1500, in Gbit/s on the link.
const GBIT: f64 = 10.0;

const SIDES: [Side; 2] = [Side::Send, Side::Receive];

/// An end of the sync link.
#[derive(Clone, Copy)]
enum Side {
    Send,
    Receive,
}

fn name(side: Side, mtu: usize) -> &'static str {
    match (side, mtu) {
        (Side::Send, 1500) => "states into frames of 1500 bytes, ns per frame",
        (Side::Send, _) => "states into frames of 9000 bytes, ns per frame",
        (Side::Receive, 1500) => "frames of 1500 bytes into the table, ns per frame",
        (Side::Receive, _) => "frames of 9000 bytes into the table, ns per frame",
    }
}

fn main() -> std::io::Result<()> {
    let options = Options::from_arguments("seal");
    let mut report = Report::new("seal");
    let size = match &options.sizes {
        Some(sizes) => sizes[0],
        None if options.smoke => 4000,
        None => 1_000_000,
    };
    let measures = [1500, 9000].into_iter().flat_map(|mtu| SIDES.map(|side| (side, mtu)));
    for (side, mtu) in measures.filter(|&(side, mtu)| options.wants(name(side, mtu))) {
        measure(side, mtu, size, &options, &mut report);
    }
    report.goals(&SIDES.map(|side| Goal {
        measure: name(side, 9000),
        size,
        over: &["plain"],
        target: SEALED_OVER_PLAIN,
        stretch: 0.8,
    }));
    if options.smoke { Ok(()) } else { report.write(&options.json) }
}

fn measure(side: Side, mtu: usize, size: u32, options: &Options, report: &mut Report) {
    let mut turns: Vec<(String, Turn<'_>)> = Vec::new();
    let frames = Sender::new(Kind::Sealed, size.min(10_000), mtu).frames();
    let mut mac = Mac::new(frames);
    let packet = mac.packet_bytes();
    for kind in Kind::ALL {
        let turn: Turn<'_> = match side {
            Side::Send => {
                let mut sender = Sender::new(kind, size, mtu);
                Box::new(move || sender.send(options.smoke))
            }
            Side::Receive => {
                let mut pair = Pair::new(kind, size, mtu);
                Box::new(move || {
                    let ns = pair.receive(options.smoke);
                    pair.check();
                    ns
                })
            }
        };
        turns.push((kind.name().into(), turn));
    }
    turns.push(("limit: the tag alone".into(), Box::new(move || mac.tag(options.smoke))));
    let rounds = options.rounds.unwrap_or(if options.smoke { 1 } else { 7 });
    let timings = rounds::run(turns, rounds);
    facts(&timings, (side, mtu, packet), report);
    report.measure(Measure { name: name(side, mtu).into(), size, timings });
}

/// Adds how much of the plain rate remains, with its spread over the rounds, and the rate on the link.
fn facts(timings: &[Timing], (side, mtu, packet): (Side, usize, f64), report: &mut Report) {
    let name = name(side, mtu);
    let [sealed, plain] = [0, 1].map(|index: usize| &timings[index]);
    let mut ratios: Vec<f64> =
        sealed.ns.iter().zip(&plain.ns).map(|(sealed, plain)| plain / sealed).collect();
    ratios.sort_by(f64::total_cmp);
    let rounded = |value: f64| (value * 100.0).round() / 100.0;
    println!();
    report.fact(format!("{name}: sealed, as a part of the plain rate"), rounded(rounds::median(&ratios)));
    report.fact(
        format!("{name}: lowest and highest round"),
        ratios.iter().map(|ratio| rounded(*ratio)).step_by(ratios.len().max(2) - 1).collect::<Vec<_>>(),
    );
    let gbit = |ns: f64| rounded((packet + ETHERNET_BYTES) * 8.0 / ns);
    report.fact(format!("{name}: sealed, Gbit/s of one core"), gbit(sealed.median()));
    report.fact(format!("{name}: plain, Gbit/s of one core"), gbit(plain.median()));
    if mtu == 1500 {
        let verdict = if gbit(sealed.median()) >= GBIT { "reached" } else { "missed" };
        report.fact(format!("{name}: goal of {GBIT} Gbit/s, sealed"), verdict);
    }
}
