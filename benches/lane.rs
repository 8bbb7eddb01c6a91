//! The whole way of a burst through a lane, beside a plain loop that does the same per packet, and what each stage of it
//! costs.
//!
//! `cargo bench -p pfplane-bench --bench lane`; see `benches/README.md` for the method and the last table.

#[expect(dead_code, reason = "other benches use more of it")]
mod harness;
mod paths;

use harness::goals::Goal;
use harness::options::Options;
use harness::report::{Measure, Report};
use harness::rounds::{self, Turn};
use paths::traffic::{BLOCK, BURST, Traffic};
use paths::{Flow, Ours, Path, Plain, Stage, Stages};
use pfplane::internals::packet::Family;
use std::cell::RefCell;

#[global_allocator]
static PAGES: harness::pages::HugePages = harness::pages::HugePages;

/// What a host with a longer receive ring passes, and VPP.
const LONG_BURST: usize = 256;

/// Virtual time that a packet takes: five million a second, which decides how often a state is told to the peer.
const PACKET_NS: u64 = 200;

fn main() -> std::io::Result<()> {
    let options = Options::from_arguments("lane");
    let mut report = Report::new("lane");
    for size in sizes(&options) {
        for family in [Family::V4, Family::V6] {
            burst_path(size, family, &options, &mut report);
        }
    }
    report.goals(&["IPv4 burst path, ns a packet", "IPv6 burst path, ns a packet"].map(|measure| Goal {
        measure,
        size: 1_000_000,
        over: &["plain loop"],
        target: 2.5,
        stretch: 4.0,
    }));
    if options.smoke { Ok(()) } else { report.write(&options.json) }
}

fn sizes(options: &Options) -> Vec<u32> {
    match &options.sizes {
        Some(sizes) => sizes.clone(),
        None if options.smoke => vec![3000],
        None => vec![10_000, 100_000, 1_000_000],
    }
}

fn rounds_of(options: &Options) -> usize {
    options.rounds.unwrap_or(if options.smoke { 1 } else { 9 })
}

fn burst_path(size: u32, family: Family, options: &Options, report: &mut Report) {
    let family_name = if family == Family::V4 { "IPv4" } else { "IPv6" };
    let name = format!("{family_name} burst path, ns a packet");
    if !options.wants(&name) {
        return;
    }
    let stages = RefCell::new(Stages::new(size));
    let mut ours = Ours::new(size, BURST);
    let mut long = Ours::new(size, LONG_BURST);
    let mut plain = Plain::new(size);
    let mut tracked = Stage::new(&stages, "stages: parse, lookup, track", Stage::TRACK);
    let mut looked_up = Stage::new(&stages, "stages: parse, lookup", Stage::LOOKUP);
    let mut parsed = Stage::new(&stages, "stages: parse", Stage::PARSE);
    let paths: [&mut dyn Path; 6] =
        [&mut ours, &mut long, &mut plain, &mut tracked, &mut looked_up, &mut parsed];
    let turns = paths.into_iter().map(|path| turn(path, size, family, options)).collect();
    report.measure(Measure { name, size, timings: rounds::run(turns, rounds_of(options)) });
    report.fact(format!("{family_name} flush at {size}, ns a packet"), ours.flush_ns_per_packet());
    report.fact(format!("{family_name} states told at {size}, per packet"), ours.told_per_packet());
}

/// A path's turn: blocks of frames made outside the clock, every verdict counted.
fn turn<'a>(path: &'a mut dyn Path, size: u32, family: Family, options: &Options) -> (String, Turn<'a>) {
    let mut traffic = Traffic::new(size, family);
    let mut now = 1_000_000_000_000;
    path.open(&mut traffic, &mut now);
    // A second of virtual time, so that states are told to the peer as often as they will be.
    let settle = if options.smoke { 4 } else { 1_000_000_000 / PACKET_NS / BLOCK as u64 };
    let mut block = {
        move |path: &mut dyn Path| {
            let flow = if traffic.turn() { Flow::Forward } else { Flow::Reverse };
            traffic.fill(flow);
            let (elapsed, passed) = rounds::time(|| path.pass(&traffic.frames, flow, now));
            assert_eq!(passed, BLOCK, "{} passed", path.name());
            now += PACKET_NS * BLOCK as u64;
            path.rest(now);
            elapsed / BLOCK as f64
        }
    };
    for _ in 0..settle {
        block(path);
    }
    let (warm_up, blocks) = if options.smoke { (0, 2) } else { (8, 96) };
    let name = path.name();
    let body = move || {
        for _ in 0..warm_up {
            block(path);
        }
        let timed: Vec<f64> = (0..blocks).map(|_| block(path)).collect();
        rounds::median(&timed)
    };
    (name, Box::new(body))
}
