//! Who takes part in the lookup bench. Each holds the same flows and does the same: find the state of every key of a
//! burst and read its hot line.

mod hashbrown;
mod limit;
mod ours;

pub use hashbrown::HashbrownMap;
pub use limit::Limit;
pub use ours::Ours;

use pfplane::packet::Key;

/// What all contenders read with 32 keys under way together.
pub const BURST: usize = 32;

/// A table with states in it.
pub trait Contender {
    /// Its name in the report.
    fn name(&self) -> String;

    /// Looks up all keys in bursts of [`BURST`] and reads the hot lines of those found. Gives back how many were found,
    /// and a sum over the hot lines so that the reading cannot be left out.
    fn lookup(&self, keys: &[Key]) -> (usize, u64);
}
