//! The cluster simulator: engines of several lanes on one thread, in virtual time, under every fault.
//!
//! ```text
//!   plans/      what happens in a seed: each plan has a kind of trouble of its own
//!     |
//!   scenario/   the plan `faults`: phases with and without faults, kills, restarts, a day without new connections;
//!     |         and quiescence.rs: the invariants that must hold
//!   election/   nodes that elect a master, beside all that; seal.rs: sealed nodes and an attacker
//!   world/      time, nodes, the link and its faults, connections and their paths
//!     |
//!   testkit     an engine with its lanes, both ends of a connection, the wire, random numbers
//! ```
//!
//! The same seed and options give the same run, byte for byte. A seed that fails is run again with the log on. Tests
//! build small clusters of their own with [`World::with_nodes`].

pub mod election;
mod log;
mod options;
mod outcome;
mod plans;
mod scenario;
mod seal;
mod soak;
mod traffic_counts;
pub mod world;

pub use options::{FAULTS, Fault, Faults, Options};
pub use outcome::{Figures, Outcome, Violation};
pub use plans::Plan;
pub use soak::{Progress as SoakProgress, soak};
pub use traffic_counts::TrafficCounts;
pub use world::World;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Nanoseconds in a millisecond.
pub const MS: u64 = 1_000_000;
/// Nanoseconds in a second.
pub const S: u64 = 1000 * MS;

/// Runs one seed. The outcome holds every failure, also a panic of the library.
///
/// A failure is a panic inside, so the caller's panic hook sees it: see [`silence_violations`].
#[must_use]
pub fn simulate(options: &Options, seed: u64, keeps_log: bool) -> Outcome {
    let mut world = World::new(options, seed, keeps_log);
    let result = catch_unwind(AssertUnwindSafe(|| world.plan.run(&mut world)));
    let failure = result.err().map(|panic| {
        if let Some(Violation(why)) = panic.downcast_ref() {
            why.clone()
        } else if let Some(why) = panic.downcast_ref::<String>() {
            format!("panicked: {why}")
        } else {
            let why = panic.downcast_ref::<&str>().unwrap_or(&"no message");
            format!("panicked: {why}")
        }
    });
    Outcome {
        seed,
        failure,
        figures: world.figures,
        fingerprint: world.log.fingerprint(),
        log: world.log.lines().to_vec(),
    }
}

/// Keeps the panic hook from printing what [`Outcome::failure`] contains.
pub fn silence_violations() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref::<Violation>().is_none() {
            usual(info);
        }
    }));
}
