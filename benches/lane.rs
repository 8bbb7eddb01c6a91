//! A burst through a lane, compared with a plain loop that does the same per packet; and the time of each stage.
//!
//! `cargo bench -p pfplane-bench --bench lane`; see `benches/README.md` for the method.

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

/// The burst of a host with a long receive ring, and of VPP.
const LONG_BURST: usize = 256;

/// Virtual time per packet: five million packets per second. It decides how often a state's update is sent to the peer.
const PACKET_NS: u64 = 200;

fn main() -> std::io::Result<()> {
    let options = Options::from_arguments("lane");
    let mut report = Report::new("lane");
    for size in sizes(&options) {
        for family in [Family::V4, Family::V6] {
            run_burst(size, family, &options, &mut report);
        }
    }
    run_lease(&options, &mut report);
    report.goals(&["IPv4 burst, ns per packet", "IPv6 burst, ns per packet"].map(|measure| Goal {
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

fn run_burst(size: u32, family: Family, options: &Options, report: &mut Report) {
    let family_name = if family == Family::V4 { "IPv4" } else { "IPv6" };
    let name = format!("{family_name} burst, ns per packet");
    if !options.wants(&name) {
        return;
    }
    let stages = RefCell::new(Stages::new(size));
    let mut ours = Ours::new(size, BURST);
    let mut long = Ours::new(size, LONG_BURST);
    let mut plain = Plain::new(size);
    let mut tracked = Stage::new(&stages, "stages: parse, probe, match, track", Stage::TRACK);
    let mut matched = Stage::new(&stages, "stages: parse, probe, match", Stage::MATCH);
    let mut parsed = Stage::new(&stages, "stages: parse", Stage::PARSE);
    let paths: [&mut dyn Path; 6] =
        [&mut ours, &mut long, &mut plain, &mut tracked, &mut matched, &mut parsed];
    let turns = paths.into_iter().map(|path| turn(path, size, family, options)).collect();
    report.measure(Measure { name, size, timings: rounds::run(turns, rounds_of(options)) });
    report.fact(format!("{family_name} flush at {size}, ns per packet"), ours.flush_ns_per_packet());
    report.fact(format!("{family_name} updates sent at {size}, per packet"), ours.updates_per_packet());
}

/// The election's question, once a burst.
fn run_lease(options: &Options, report: &mut Report) {
    let name = "election lease, ns per burst".to_owned();
    if options.wants(&name) {
        let timings = rounds::run(paths::lease::turns(), rounds_of(options));
        if let Some((own, others)) = timings.split_last() {
            assert_eq!(own.name, paths::lease::LOOP);
            for timing in others {
                let question: Vec<f64> =
                    timing.ns.iter().zip(&own.ns).map(|(with, without)| with - without).collect();
                let rounded = (100.0 * rounds::median(&question)).round() / 100.0;
                report.fact(format!("{} less the loop, ns per burst", timing.name), rounded);
            }
        }
        report.measure(Measure { name, size: 1, timings });
    }
}

/// A path's turn: prepares blocks of frames, times their verdicts, and checks that all pass.
fn turn<'a>(path: &'a mut dyn Path, size: u32, family: Family, options: &Options) -> (String, Turn<'a>) {
    let mut traffic = Traffic::new(size, family);
    let mut now = 1_000_000_000_000;
    path.open(&mut traffic, &mut now);
    // A second of virtual time, after which updates are sent at a constant rate.
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
