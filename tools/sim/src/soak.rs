//! A soak: one cluster under load and faults for minutes of real time, whose memory and counters are watched.

use crate::options::Options;
use crate::outcome::{Figures, Violation};
use crate::plans::Plan;
use crate::scenario;
use crate::world::World;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// After this share of the time, memory may no longer grow.
const WARM_UP_PER_CENT: u32 = 25;
/// How much more than in the warm-up the process may use: starts draw the number of lanes, so it varies.
const MAX_GROWTH_PER_CENT: u64 = 10;
const MAX_GROWTH_BYTES: u64 = 4 << 20;
/// Rounds from one day without new connections to the next.
const ROUNDS_PER_DAY: u64 = 8;

/// What a soak has done so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Rounds of faults, recovery and checks.
    pub rounds: u64,
    /// Seconds of virtual time.
    pub virtual_s: u64,
    /// Connections that are open.
    pub open: usize,
    /// States on all nodes.
    pub states: usize,
    /// Bytes of the process in memory.
    pub resident: u64,
    /// The totals.
    pub figures: Figures,
}

/// Runs one cluster for a time. Calls `report` after each round.
///
/// # Errors
/// The broken invariant, with the round.
pub fn soak(seed: u64, time: Duration, mut report: impl FnMut(&Progress)) -> Result<Progress, String> {
    let options = Options { plan: Some(Plan::Faults), ..Options::default() };
    let mut world = World::new(&options, seed, false);
    let mut progress = Progress::default();
    let started = Instant::now();
    let (mut most, mut counters) = (0, Counters::default());
    let result = catch_unwind(AssertUnwindSafe(|| {
        scenario::begin(&mut world);
        while started.elapsed() < time {
            scenario::round(&mut world);
            world.kill_under_load();
            world.max_close();
            progress.rounds += 1;
            if progress.rounds.is_multiple_of(ROUNDS_PER_DAY) {
                world.pass_a_day();
            }
            counters.expect_growth(&mut world);
            world.forget_closed();
            progress = measure(&world, progress.rounds);
            if started.elapsed() < time * WARM_UP_PER_CENT / 100 {
                most = most.max(progress.resident);
            } else {
                let max = most + (most * MAX_GROWTH_PER_CENT / 100).max(MAX_GROWTH_BYTES);
                world.expect(most == 0 || progress.resident <= max, |_| {
                    format!("memory grows: {} bytes, at most {most} in the warm-up", progress.resident)
                });
            }
            report(&progress);
        }
    }));
    let why = result.err().map(|panic| match panic.downcast_ref() {
        Some(Violation(why)) => why.clone(),
        None => "a panic, see above".to_owned(),
    });
    why.map_or(Ok(progress), |why| Err(format!("round {}: {why}", progress.rounds)))
}

fn measure(world: &World, rounds: u64) -> Progress {
    let states = world.nodes.iter().filter(|node| node.is_up).map(|node| node.states(world.now)).sum();
    let open = world.connections.iter().filter(|connection| !connection.is_over()).count();
    let virtual_s = (world.now - crate::world::EPOCH) / crate::S;
    Progress { rounds, virtual_s, open, states, resident: resident_bytes(), figures: world.figures }
}

/// Returns the process's resident memory; 0 where the system does not say.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

/// The counters of each run of each node: they never decrease.
#[derive(Default)]
struct Counters(HashMap<(usize, u32), Vec<u64>>);

impl Counters {
    fn expect_growth(&mut self, world: &mut World) {
        for n in world.up() {
            let values = world.nodes[n].counters();
            let run = (n, world.nodes[n].runs);
            self.0.retain(|&(node, number), _| node != n || number == run.1);
            if let Some(before) = self.0.insert(run, values.iter().map(|(_, value)| *value).collect()) {
                let fallen = values.iter().zip(before).find(|((_, now), before)| now < before);
                world.expect(fallen.is_none(), |_| format!("a counter of node {n} decreases: {fallen:?}"));
            }
        }
    }
}
