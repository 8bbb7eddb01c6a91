//! Burst lookup including the hot record, compared with other hash tables and with the limit that the memory sets.
//!
//! `cargo bench -p pfplane-bench --bench lookup -- --full`; see `benches/README.md` for the method.

mod contenders;
mod harness;

use contenders::{
    Contender, HashbrownMap, InFlight, Limit, LimitInFlight, OneByOne, Ours, Prefetched, Replace, Replacement,
};
use harness::block::Block;
use harness::goals::Goal;
use harness::options::Options;
use harness::report::{Measure, Report};
use harness::rounds::{self, Turn};
use harness::streams::{Popularity, Stream};
use pfplane::internals::cpu::Level;
use pfplane::internals::packet::Family;
use pfplane_testkit::Random;
use std::rc::Rc;

#[global_allocator]
static PAGES: harness::pages::HugePages = harness::pages::HugePages;

/// Keys in a timed block. They fit the second-level cache.
const BLOCK: usize = 2048;

/// A distribution of packets over flows.
#[derive(Clone, Copy)]
struct Traffic {
    name: &'static str,
    popularity: Popularity,
    hit_percent: u32,
}

const TRAFFIC: [Traffic; 4] = [
    Traffic { name: "uniform, all hit", popularity: Popularity::Uniform, hit_percent: 100 },
    Traffic { name: "uniform, half hit", popularity: Popularity::Uniform, hit_percent: 50 },
    Traffic { name: "uniform, none hit", popularity: Popularity::Uniform, hit_percent: 0 },
    Traffic { name: "zipf, all hit", popularity: Popularity::Zipf, hit_percent: 100 },
];

const RTE: &[&str] = &["rte_hash bulk, 256"];
const RTE_DENSE: &[&str] = &["rte_hash bulk + dense"];
const OTHERS: &[&str] = &["Abseil", "Boost", "hashbrown"];
const LIMIT: &[&str] = &["limit: two lines, no table"];
const LIMIT_IN_FLIGHT: &[&str] = &["limit, next bursts in flight"];

const fn goal(
    measure: &'static str,
    size: u32,
    over: &'static [&'static str],
    target: f64,
    stretch: f64,
) -> Goal {
    Goal { measure, size, over, target, stretch }
}

const HIT: &str = "IPv4 uniform, all hit";
const HIT_V6: &str = "IPv6 uniform, all hit";
const MISS: &str = "IPv4 uniform, none hit";
const ZIPF: &str = "IPv4 zipf, all hit";
const M: u32 = 1_000_000;

const GOALS: [Goal; 20] = [
    goal(HIT, M, RTE, 3.0, 4.0),
    goal(HIT, 8 * M, RTE, 3.0, 4.0),
    goal(HIT_V6, M, RTE, 3.5, 4.5),
    goal(HIT_V6, 8 * M, RTE, 3.5, 4.5),
    goal(HIT, M, RTE_DENSE, 2.5, 3.2),
    goal(HIT, 8 * M, RTE_DENSE, 2.5, 3.2),
    goal(HIT, 10_000, OTHERS, 1.0, 1.5),
    goal(HIT, 100_000, OTHERS, 1.0, 1.5),
    goal(HIT, M, OTHERS, 2.2, 3.0),
    goal(HIT, 8 * M, OTHERS, 2.8, 4.0),
    goal(HIT, M, LIMIT, 0.75, 0.9),
    goal(HIT, 8 * M, LIMIT, 0.75, 0.9),
    goal(HIT, M, LIMIT_IN_FLIGHT, 0.75, 0.9),
    goal(HIT, 8 * M, LIMIT_IN_FLIGHT, 0.75, 0.9),
    goal(ZIPF, M, RTE, 1.8, 2.4),
    goal(ZIPF, 8 * M, RTE, 2.4, 3.0),
    goal(MISS, M, RTE, 2.3, 3.0),
    goal(MISS, 8 * M, RTE, 2.3, 3.0),
    goal(REPLACE, M, &["rte_hash"], 4.0, 6.0),
    goal(REPLACE, 8 * M, &["rte_hash"], 4.0, 6.0),
];

fn main() -> std::io::Result<()> {
    let options = Options::from_arguments("lookup");
    let mut report = Report::new("lookup");
    report.fact("not installed", pfplane_bench::missing());
    let sizes = sizes(&options);
    start_peers(&sizes);
    for size in sizes {
        for family in [Family::V4, Family::V6] {
            run(size, family, &options, &mut report);
        }
        if options.wants(REPLACE) {
            run_replace(size, &options, &mut report);
        }
    }
    report.goals(&GOALS);
    if options.smoke { Ok(()) } else { report.write(&options.json) }
}

fn sizes(options: &Options) -> Vec<u32> {
    match &options.sizes {
        Some(sizes) => sizes.clone(),
        None if options.smoke => vec![1000],
        None if options.full => vec![10_000, 100_000, 1_000_000, 8_000_000],
        None => vec![10_000, 100_000, 1_000_000],
    }
}

fn run(size: u32, family: Family, options: &Options, report: &mut Report) {
    let family_name = if family == Family::V4 { "IPv4" } else { "IPv6" };
    let selected: Vec<Traffic> = TRAFFIC
        .into_iter()
        .filter(|traffic| options.wants(&format!("{family_name} {}", traffic.name)))
        .collect();
    if selected.is_empty() {
        return;
    }
    let contenders = contenders(size, family, report);
    for traffic in selected {
        let name = format!("{family_name} {}", traffic.name);
        let timings = rounds::run(
            contenders.iter().map(|contender| turn(&**contender, size, family, traffic, options)).collect(),
            options.rounds.unwrap_or(if options.smoke { 1 } else { 9 }),
        );
        report.measure(Measure { name, size, timings });
    }
}

#[cfg(peer_dpdk)]
fn start_peers(sizes: &[u32]) {
    let max_size = sizes.iter().max().map_or(0, |&size| size as usize);
    pfplane_bench::start(64 + max_size * 320 / (1 << 20));
}

#[cfg(not(peer_dpdk))]
fn start_peers(_sizes: &[u32]) {}

fn contenders(size: u32, family: Family, report: &mut Report) -> Vec<Box<dyn Contender>> {
    let ours = Rc::new(Ours::new(size, family, Level::best()));
    let statistics = ours.table.statistics();
    println!("\n{size} flows");
    report.fact(format!("pages at {size}"), statistics.page_mode.name());
    report.fact(format!("index bytes per flow at {size}"), statistics.index_bytes as f64 / f64::from(size));
    report.fact(format!("overflowed entries at {size}"), statistics.overflowed);
    let index_lines = statistics.index_bytes / 64;
    let limit = Rc::new(Limit::new(size, index_lines));
    let mut all: Vec<Box<dyn Contender>> = vec![
        Box::new(ours.clone()),
        Box::new(InFlight(ours)),
        Box::new(limit.clone()),
        Box::new(LimitInFlight(limit)),
    ];
    add_peers(&mut all, size, family);
    all.push(Box::new(HashbrownMap::new(size, family, false)));
    if size <= 1_000_000 {
        all.push(Box::new(Rc::new(Ours::new(size, family, Level::PORTABLE))));
    }
    report.fact(format!("percent of all memory on huge pages at {size}"), harness::pages::huge_percent());
    all
}

fn add_peers(all: &mut Vec<Box<dyn Contender>>, size: u32, family: Family) {
    #[cfg(peer_dpdk)]
    {
        use contenders::{RteDense, RteHashed, RteStates, shared_hash};
        let plain = shared_hash(size, family, false);
        all.push(Box::new(RteStates::new(plain.clone())));
        all.push(Box::new(RteHashed(RteDense::new(plain.clone(), false, false))));
        all.push(Box::new(RteDense::new(plain, false, false)));
        all.push(Box::new(RteDense::new(shared_hash(size, family, true), true, false)));
    }
    #[cfg(any(peer_absl, peer_boost))]
    for map in contenders::swiss_maps(size, family) {
        all.push(Box::new(map));
    }
    let _ = (all, size, family);
}

/// A contender's turn: prepares blocks of keys, times their lookups, and checks how many were found.
fn turn<'a>(
    contender: &'a dyn Contender,
    size: u32,
    family: Family,
    traffic: Traffic,
    options: &Options,
) -> (String, Turn<'a>) {
    let mut stream = Stream::new(size, traffic.popularity, traffic.hit_percent, 0x5eed);
    let mut keys = Block::new(BLOCK);
    let blocks = if options.smoke { 2 } else { 96 };
    let warm_up = if options.smoke { 0 } else { 8 };
    let body = move || {
        let mut timed = Vec::with_capacity(blocks);
        for block in 0..warm_up + blocks {
            stream.fill(family, &mut keys.keys);
            keys.pack();
            contender.prepare(&mut keys);
            let (elapsed, (found, sum)) = rounds::time(|| contender.lookup(&keys));
            std::hint::black_box(sum);
            check(contender, traffic, found);
            if block >= warm_up {
                timed.push(elapsed / BLOCK as f64);
            }
        }
        rounds::median(&timed)
    };
    (contender.name(), Box::new(body))
}

fn check(contender: &dyn Contender, traffic: Traffic, found: usize) {
    let is_limit = contender.name().starts_with("limit");
    let is_expected = match traffic.hit_percent {
        _ if is_limit => true,
        0 => found == 0,
        100 => found == BLOCK,
        percent => found.abs_diff(BLOCK * percent as usize / 100) < BLOCK / 8,
    };
    assert!(is_expected, "{} found {found} of {BLOCK} in '{}'", contender.name(), traffic.name);
}

const REPLACE: &str = "IPv4 replace states";

/// States that are replaced in one block.
const REPLACED: usize = 1024;

fn run_replace(size: u32, options: &Options, report: &mut Report) {
    let mut contenders: Vec<Box<dyn Replace>> = vec![
        Box::new(Prefetched(Ours::new(size, Family::V4, Level::best()))),
        Box::new(OneByOne(Ours::new(size, Family::V4, Level::best()))),
        Box::new(HashbrownMap::new(size, Family::V4, true)),
    ];
    #[cfg(peer_dpdk)]
    contenders.push(Box::new(contenders::RteDense::new(
        contenders::shared_hash(size, Family::V4, false),
        false,
        true,
    )));
    let rounds = options.rounds.unwrap_or(if options.smoke { 1 } else { 9 });
    let turns =
        contenders.iter_mut().map(|contender| replace_turn(&mut **contender, size, options)).collect();
    report.measure(Measure { name: REPLACE.to_owned(), size, timings: rounds::run(turns, rounds) });
}

/// A contender's turn. All contenders see the same replacements.
fn replace_turn<'a>(contender: &'a mut dyn Replace, size: u32, options: &Options) -> (String, Turn<'a>) {
    let blocks = if options.smoke { 2 } else { 64 };
    let mut random = Random::new(0xc4a9);
    let mut population: Vec<u32> = (0..size).collect();
    let mut next = size;
    let name = contender.name();
    let body = move || {
        let mut timed = Vec::with_capacity(blocks);
        for _ in 0..blocks {
            let replacement = replacement(&mut population, &mut next, &mut random);
            timed.push(contender.replace(&replacement) / replacement.new_records.len() as f64);
        }
        rounds::median(&timed)
    };
    (name, Box::new(body))
}

/// Picks states at random and builds the states that replace them.
fn replacement(population: &mut [u32], next: &mut u32, random: &mut Random) -> Replacement {
    let mut positions: Vec<u32> =
        (0..REPLACED.min(population.len() / 4)).map(|_| random.below_u32(population.len() as u32)).collect();
    positions.sort_unstable();
    positions.dedup();
    for n in (1..positions.len()).rev() {
        positions.swap(n, random.below_u32(n as u32 + 1) as usize);
    }
    let old: Vec<u32> = positions.iter().map(|&at| population[at as usize]).collect();
    let new: Vec<u32> = (*next..*next + old.len() as u32).collect();
    *next += old.len() as u32;
    for (&at, &flow) in positions.iter().zip(&new) {
        population[at as usize] = flow;
    }
    let records = |flows: &[u32]| flows.iter().map(|&flow| contenders::record(flow, Family::V4)).collect();
    Replacement {
        old: Block::of(&old, Family::V4),
        new: Block::of(&new, Family::V4),
        old_records: records(&old),
        new_records: records(&new),
    }
}
