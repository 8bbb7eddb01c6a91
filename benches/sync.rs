//! Replication: changes into frames, frames into states, acknowledgements, bytes on the link, and bulk transfers.
//!
//! `cargo bench -p pfplane-bench --bench sync`; see `benches/README.md` for the method.

#[path = "replication/exposure.rs"]
mod exposure;
#[expect(dead_code, reason = "other benches use more of it")]
mod harness;
#[expect(dead_code, reason = "other benches use more of it")]
mod replication;

use exposure::Keeper;
use harness::options::Options;
use harness::report::{Measure, Report};
use harness::rounds::{self, Turn};
use pfplane::internals::time;
use pfplane_testkit::pace::{self, Downloads, Pace, Rule};
use replication::receiver::{Message, Receiver};
use replication::sender::{Change, Sender};
use replication::{bulk, link_bytes};
use std::cell::RefCell;

#[global_allocator]
static PAGES: harness::pages::HugePages = harness::pages::HugePages;

/// Whole states of 264 bytes, and compressed updates of 84, that a 10 Gbit/s link carries per second in frames of 9000 bytes.
const AT_10G: [f64; 2] = [4.69e6, 14.7e6];

fn main() -> std::io::Result<()> {
    let options = Options::from_arguments("sync");
    let mut report = Report::new("sync");
    let size = match &options.sizes {
        Some(sizes) => sizes[0],
        None if options.smoke => 4000,
        None => 1_000_000,
    };
    send(size, &options, &mut report);
    expose(&options, &mut report);
    receive(size, &options, &mut report);
    bytes(&options, &mut report);
    transfers(size, &options, &mut report);
    paces(&options, &mut report);
    if options.smoke { Ok(()) } else { report.write(&options.json) }
}

fn rounds_of(options: &Options) -> usize {
    options.rounds.unwrap_or(if options.smoke { 1 } else { 7 })
}

fn send(size: u32, options: &Options, report: &mut Report) {
    for (name, change) in [("inserts", Change::Insert), ("compressed updates", Change::Update)] {
        let name = format!("{name} from note to frames of 9000 bytes, ns per state");
        if !options.wants(&name) {
            continue;
        }
        let sender = RefCell::new(Sender::new(size, 9000));
        let turns: Vec<(String, Turn<'_>)> = vec![
            ("note and flush".into(), Box::new(|| sender.borrow_mut().flush(change, options.smoke))),
            (
                "copy the lines of the states only".into(),
                Box::new(|| sender.borrow_mut().copy(options.smoke)),
            ),
        ];
        let timings = rounds::run(turns, rounds_of(options));
        let rate = 1e9 / timings[0].median();
        report.measure(Measure { name: name.clone(), size, timings });
        report.fact(format!("{name}: changes per second and lane"), rate.round());
    }
}

fn expose(options: &Options, report: &mut Report) {
    for (run, order) in [(1, "of alternating kinds"), (32, "in runs of a kind")] {
        let name = format!("exposure counters, changes {order}, ns per change");
        if !options.wants(&name) {
            continue;
        }
        let keeper = RefCell::new(Keeper::new(run));
        let turns: Vec<(String, Turn<'_>)> = vec![
            ("dispatch, maintain counts and ages".into(), Box::new(|| keeper.borrow_mut().maintain())),
            ("dispatch only".into(), Box::new(|| keeper.borrow_mut().dispatch())),
            ("empty loop".into(), Box::new(|| keeper.borrow_mut().skip())),
        ];
        let timings = rounds::run(turns, rounds_of(options));
        let [maintained, dispatched, empty] = [0, 1, 2].map(|n: usize| timings[n].best());
        report.measure(Measure { name: name.clone(), size: exposure::CHANGES as u32, timings });
        report.fact(format!("{name}: over dispatch"), maintained - dispatched);
        report.fact(format!("{name}: over the empty loop"), maintained - empty);
    }
}

fn receive(size: u32, options: &Options, report: &mut Report) {
    let messages =
        [("inserts", Message::Insert), ("compressed updates", Message::Update), ("deletes", Message::Delete)];
    let receiver = RefCell::new(Receiver::new(size, 9000));
    for (name, message) in messages {
        let name = format!("{name} from frames of 9000 bytes to the table, ns per state");
        if !options.wants(&name) {
            continue;
        }
        let turns: Vec<(String, Turn<'_>)> = vec![
            ("decode and apply".into(), Box::new(|| receiver.borrow_mut().receive(message, options.smoke))),
            ("decode only".into(), Box::new(|| receiver.borrow_mut().decode(message, options.smoke))),
        ];
        let timings = rounds::run(turns, rounds_of(options));
        let rate = 1e9 / timings[0].median();
        report.measure(Measure { name: name.clone(), size, timings });
        let link_rate = match message {
            Message::Insert => AT_10G[0],
            Message::Update => AT_10G[1],
            Message::Delete => continue,
        };
        report.fact(format!("{name}: relative to a 10 Gbit/s link"), rate / link_rate);
    }
    let ns = receiver.borrow_mut().acknowledge(options.smoke);
    report.fact("insert to acknowledgement, one call each of receive and flush, ns", ns);
}

fn bytes(options: &Options, report: &mut Report) {
    let flows = if options.smoke { 50 } else { 2000 };
    for every_ms in [1000, 200, 50] {
        let name =
            format!("bytes per connection and minute, a packet every {every_ms} ms, {flows} connections");
        if !options.wants(&name) {
            continue;
        }
        let (ours, theirs) = link_bytes::bytes_per_connection(flows, every_ms, 1500);
        report.fact(format!("{name}: pfplane"), ours.round());
        report.fact(format!("{name}: OpenBSD's rules"), theirs.round());
    }
}

fn transfers(size: u32, options: &Options, report: &mut Report) {
    for (mtu, frames) in [(1500, 8), (1500, 64), (9000, 8)] {
        let name = format!("all of {size} states, MTU {mtu}, {frames} frames per millisecond");
        if !options.wants(&name) {
            continue;
        }
        let transfer = bulk::transfer(size, mtu, frames);
        report.fact(format!("{name}: seconds"), transfer.seconds);
        report.fact(format!("{name}: sender's share of a core"), transfer.sender_busy_s / transfer.seconds);
        report
            .fact(format!("{name}: receiver's share of a core"), transfer.receiver_busy_s / transfer.seconds);
        report.fact(format!("{name}: megabytes"), transfer.bytes / 1_000_000);
    }
}

/// What a takeover by pf would lose, and the records sent, by the rule for updates.
fn paces(options: &Options, report: &mut Report) {
    let name = "updates and takeovers by pf";
    if !options.wants(name) {
        return;
    }
    let all = pace::RATES;
    let cases: &[Downloads] = if options.smoke { &all[..1] } else { &all };
    println!("\n{name}: connections lost in percent, records per second and connection");
    for case in cases {
        for (rule, of) in [("drift", Rule::Engine(25)), ("age", Rule::Engine(0)), ("pf", Rule::Pf)] {
            let Pace { lost, records, .. } = pace::run(*case, of);
            report.fact(format!("{case}, {rule}: lost"), (lost * 1000.0).round() / 10.0);
            report.fact(
                format!("{case}, {rule}: records"),
                (records / case.count as f64 * 10.0).round() / 10.0,
            );
        }
    }
}
