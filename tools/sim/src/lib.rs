//! The cluster simulator: engines of several lanes on one thread, virtual time, a link that does its worst, nodes that die,
//! come back empty and stand still, and an oracle that knows every connection.
//!
//! ```text
//!   program.rs  what happens: storms, calm, deaths, returns, a day of rest
//!       |     \
//!       |    cut.rs  a cut of a moment, and what mends it
//!       |   /        \
//!   quiet.rs          world.rs   time, whose turn it is, traffic, the link
//!   what must hold      |     \         \
//!                    node.rs  link.rs   connection.rs
//!                    engine   weather   both ends of a connection
//! ```
//!
//! The same seed and options give the same run, byte for byte. A seed that fails is run again with the log on.

mod connection;
mod cut;
mod hostile;
mod link;
mod log;
mod node;
mod options;
mod outcome;
mod packets;
mod plan;
mod program;
mod quiet;
mod tally;
mod world;

pub use options::{FAULTS, Fault, Faults, Options};
pub use outcome::{Figures, Outcome, Violation};

use std::panic::{AssertUnwindSafe, catch_unwind};
use world::World;

const MS: u64 = 1_000_000;
const S: u64 = 1000 * MS;

/// Runs one seed. Whatever fails, also an assertion of the library, is in the outcome.
///
/// Every failure is a panic inside, so the caller's panic hook sees it: [`silence_violations`].
#[must_use]
pub fn simulate(options: &Options, seed: u64, keeps_log: bool) -> Outcome {
    let mut world = World::new(options, seed, keeps_log);
    let result = catch_unwind(AssertUnwindSafe(|| program::run(&mut world)));
    let failure = result.err().map(|panic| {
        if let Some(Violation(why)) = panic.downcast_ref() {
            why.clone()
        } else if let Some(why) = panic.downcast_ref::<String>() {
            format!("panicked: {why}")
        } else {
            let why = panic.downcast_ref::<&str>().unwrap_or(&"without a word");
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

/// Keeps the default panic hook from printing what [`Outcome::failure`] says anyhow.
pub fn silence_violations() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref::<Violation>().is_none() {
            usual(info);
        }
    }));
}
