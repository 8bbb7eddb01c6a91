//! Burst lookup, the hot line included, beside the maps that one would take otherwise and beside what the memory allows.
//!
//! `cargo bench --bench lookup -- --full`; see `benches/README.md` for the method and the last table.

mod contenders;
mod kit;

use contenders::{Contender, HashbrownMap, Limit, Ours};
use kit::options::Options;
use kit::report::{Measure, Report};
use kit::rounds::{self, Turn};
use kit::streams::{Popularity, Stream};
use pfplane::cpu::Level;
use pfplane::packet::{Family, Key};

#[global_allocator]
static PAGES: kit::pages::HugePages = kit::pages::HugePages;

/// Keys between two readings of the clock: they fit the second-level cache.
const BLOCK: usize = 2048;

/// One stream of packets.
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

fn main() -> std::io::Result<()> {
    let options = Options::from_arguments("lookup");
    let mut report = Report::new("lookup");
    for size in sizes(&options) {
        for family in [Family::V4, Family::V6] {
            run(size, family, &options, &mut report);
        }
    }
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
    let wanted: Vec<Traffic> = TRAFFIC
        .into_iter()
        .filter(|traffic| options.wants(&format!("{family_name} {}", traffic.name)))
        .collect();
    if wanted.is_empty() {
        return;
    }
    let contenders = contenders(size, family, report);
    for traffic in wanted {
        let name = format!("{family_name} {}", traffic.name);
        let timings = rounds::run(
            contenders.iter().map(|contender| turn(&**contender, size, family, traffic, options)).collect(),
            options.rounds.unwrap_or(if options.smoke { 1 } else { 9 }),
        );
        report.measure(Measure { name, size, timings });
    }
}

fn contenders(size: u32, family: Family, report: &mut Report) -> Vec<Box<dyn Contender>> {
    let ours = Ours::new(size, family, Level::best());
    let statistics = ours.table.statistics();
    println!("\n{size} flows");
    report.fact(format!("pages at {size}"), statistics.page_mode.name());
    report.fact(format!("index bytes per flow at {size}"), statistics.index_bytes_per_state());
    report.fact(format!("overflowed entries at {size}"), statistics.overflowed);
    let index_lines = statistics.index_bytes / 64;
    let mut all: Vec<Box<dyn Contender>> = vec![Box::new(ours), Box::new(Limit::new(size, index_lines))];
    all.push(Box::new(HashbrownMap::new(size, family)));
    if size <= 1_000_000 {
        all.push(Box::new(Ours::new(size, family, Level::PORTABLE)));
    }
    all
}

/// A contender's turn: blocks of keys made outside the clock, looked up under it, every count checked.
fn turn<'a>(
    contender: &'a dyn Contender,
    size: u32,
    family: Family,
    traffic: Traffic,
    options: &Options,
) -> (String, Turn<'a>) {
    let mut stream = Stream::new(size, traffic.popularity, traffic.hit_percent, 0x5eed);
    let mut keys = vec![Key::EMPTY; BLOCK];
    let blocks = if options.smoke { 2 } else { 96 };
    let warm_up = if options.smoke { 0 } else { 8 };
    let body = move || {
        let mut timed = Vec::with_capacity(blocks);
        for block in 0..warm_up + blocks {
            stream.fill(family, &mut keys);
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
    let right = match traffic.hit_percent {
        _ if is_limit => true,
        0 => found == 0,
        100 => found == BLOCK,
        percent => found.abs_diff(BLOCK * percent as usize / 100) < BLOCK / 8,
    };
    assert!(right, "{} found {found} of {BLOCK} in '{}'", contender.name(), traffic.name);
}
