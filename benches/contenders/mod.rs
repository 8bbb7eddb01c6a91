//! Who takes part. Each holds the same flows and does the same: find the state of every key of a burst and read its hot
//! line; or end some states and begin others.

mod hashbrown;
mod limit;
mod ours;
#[cfg(peer_dpdk)]
mod rte;
#[cfg(any(peer_absl, peer_boost))]
mod swiss;

pub use hashbrown::HashbrownMap;
pub use limit::Limit;
pub use ours::{InFlight, OneByOne, Ours, Prefetched, record};
#[cfg(peer_dpdk)]
pub use rte::{RteDense, RteStates, shared_hash};
#[cfg(any(peer_absl, peer_boost))]
pub use swiss::swiss_maps;

use crate::kit::block::Block;
use pfplane::internals::state::{Cold, Hot, Record, Track};

/// Keys that are under way together, with all contenders.
pub const BURST: usize = 32;

/// A table with states in it.
pub trait Contender {
    /// Its name in the report.
    fn name(&self) -> String;

    /// Looks up all keys in bursts of [`BURST`] and reads the hot lines of those found. Gives back how many were found,
    /// and a sum over the hot lines so that the reading cannot be left out.
    fn lookup(&self, block: &Block) -> (usize, u64);
}

/// A table in which states end and begin.
pub trait Churner {
    /// Its name in the report.
    fn name(&self) -> String;

    /// Ends the old states, and begins the new ones, in bursts of [`BURST`]. Gives back nanoseconds.
    fn churn(&mut self, change: &Change) -> f64;
}

/// States that end, and states that begin in their stead.
pub struct Change {
    /// Their keys.
    pub old: Block,
    /// The keys of the new ones.
    pub new: Block,
    /// The states that end.
    pub old_records: Vec<Record>,
    /// The new ones.
    pub records: Vec<Record>,
}

/// The records of a contender that is only an index: as ours, dense and parallel.
pub struct Records {
    hot: Vec<Hot>,
    track: Vec<Track>,
    cold: Vec<Cold>,
}

impl Records {
    /// Room for `length` records.
    pub fn new(length: usize) -> Self {
        Self {
            hot: vec![Hot::EMPTY; length],
            track: vec![Track::default(); length],
            cold: vec![Cold::EMPTY; length],
        }
    }

    /// Writes a record.
    #[inline]
    pub fn write(&mut self, place: usize, record: &Record) {
        self.hot[place] = record.hot;
        self.track[place] = record.track;
        self.cold[place] = record.cold;
    }
}
