//! Replication: changes into frames, frames into states, acknowledgements, bytes on the link, and transfers of all states.
//!
//! `cargo bench -p pfplane-bench --bench sync`; see `benches/README.md` for the method and the last table.

#[path = "replication/exposure.rs"]
mod exposure;
#[expect(dead_code, reason = "other benches use more of it")]
mod harness;
mod replication;

use exposure::Keeper;
use harness::options::Options;
use harness::report::{Measure, Report};
use harness::rounds::{self, Turn};
use pfplane::internals::time;
use replication::receiver::{Message, Receiver};
use replication::sender::{Change, Sender};
use replication::{bulk, life};
use std::cell::RefCell;

#[global_allocator]
static PAGES: harness::pages::HugePages = harness::pages::HugePages;

/// Whole states of 264 bytes, and compressed updates of 84, that 10 gigabits carry in a second in frames of 9000 bytes.
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
    if options.smoke { Ok(()) } else { report.write(&options.json) }
}

fn rounds_of(options: &Options) -> usize {
    options.rounds.unwrap_or(if options.smoke { 1 } else { 7 })
}

fn send(size: u32, options: &Options, report: &mut Report) {
    for (name, change) in [("inserts", Change::Insert), ("compressed updates", Change::Update)] {
        let name = format!("{name} from the note to frames of 9000 bytes, ns a state");
        if !options.wants(&name) {
            continue;
        }
        let sender = RefCell::new(Sender::new(size, 9000));
        let turns: Vec<(String, Turn<'_>)> = vec![
            ("note and flush".into(), Box::new(|| sender.borrow_mut().flush(change, options.smoke))),
            ("copy the state's lines only".into(), Box::new(|| sender.borrow_mut().copy(options.smoke))),
        ];
        let timings = rounds::run(turns, rounds_of(options));
        let rate = 1e9 / timings[0].median();
        report.measure(Measure { name: name.clone(), size, timings });
        report.fact(format!("{name}: changes a second and lane"), rate.round());
    }
}

fn expose(options: &Options, report: &mut Report) {
    for (run, order) in [(1, "of any kind in turn"), (32, "in runs of a kind")] {
        let name = format!("exposure kept current, changes {order}, ns a change");
        if !options.wants(&name) {
            continue;
        }
        let keeper = RefCell::new(Keeper::new(run));
        let turns: Vec<(String, Turn<'_>)> = vec![
            ("told apart, counts and ages kept".into(), Box::new(|| keeper.borrow_mut().keep())),
            ("told apart only".into(), Box::new(|| keeper.borrow_mut().tell_apart())),
            ("passed by".into(), Box::new(|| keeper.borrow_mut().pass_by())),
        ];
        let timings = rounds::run(turns, rounds_of(options));
        let [kept, apart, empty] = [0, 1, 2].map(|n: usize| timings[n].best());
        report.measure(Measure { name: name.clone(), size: exposure::CHANGES as u32, timings });
        report.fact(format!("{name}: over telling apart"), kept - apart);
        report.fact(format!("{name}: over the empty loop"), kept - empty);
    }
}

fn receive(size: u32, options: &Options, report: &mut Report) {
    let messages =
        [("inserts", Message::Insert), ("compressed updates", Message::Update), ("deletes", Message::Delete)];
    let receiver = RefCell::new(Receiver::new(size, 9000));
    for (name, message) in messages {
        let name = format!("{name} from frames of 9000 bytes into the table, ns a state");
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
        let need = match message {
            Message::Insert => AT_10G[0],
            Message::Update => AT_10G[1],
            Message::Delete => continue,
        };
        report.fact(format!("{name}: over what 10 gigabits carry"), rate / need);
    }
    let ns = receiver.borrow_mut().acknowledge(options.smoke);
    report.fact("insert to acknowledgement within one call each, ns", ns);
}

fn bytes(options: &Options, report: &mut Report) {
    let flows = if options.smoke { 50 } else { 2000 };
    for every_ms in [1000, 200, 50] {
        let name = format!("bytes a connection's minute, a packet every {every_ms} ms, {flows} at once");
        if !options.wants(&name) {
            continue;
        }
        let (ours, theirs) = link_bytes::bytes_of_a_life(flows, every_ms, 1500);
        report.fact(format!("{name}: ours"), ours.round());
        report.fact(format!("{name}: OpenBSD's rules"), theirs.round());
    }
}

fn transfers(size: u32, options: &Options, report: &mut Report) {
    for (mtu, frames) in [(1500, 8), (1500, 64), (9000, 8)] {
        let name = format!("all of {size} states, MTU {mtu}, {frames} frames a millisecond");
        if !options.wants(&name) {
            continue;
        }
        let done = bulk::transfer(size, mtu, frames);
        report.fact(format!("{name}: seconds"), done.seconds);
        report.fact(format!("{name}: sender's share of a core"), done.sender_busy_s / done.seconds);
        report.fact(format!("{name}: receiver's share of a core"), done.receiver_busy_s / done.seconds);
        report.fact(format!("{name}: megabytes"), done.bytes / 1_000_000);
    }
}
