//! The tables that are compared. Each holds the same flows and does the same work: it finds the state of every key of a
//! burst and reads its hot record, or it replaces some states by others.

mod hashbrown;
mod limit;
mod ours;
#[cfg(peer_dpdk)]
mod rte;
#[cfg(any(peer_absl, peer_boost))]
mod swiss;

pub(crate) use hashbrown::HashbrownMap;
pub(crate) use limit::{Limit, LimitInFlight};
pub(crate) use ours::{InFlight, OneByOne, Ours, Prefetched, record};
#[cfg(peer_dpdk)]
pub(crate) use rte::{RteDense, RteHashed, RteStates, shared_hash};
#[cfg(any(peer_absl, peer_boost))]
pub(crate) use swiss::swiss_maps;

use crate::harness::block::Block;
use pfplane::internals::state::{Cold, Hot, Record, Track};

/// Keys in a burst, for all contenders.
pub(crate) const BURST: usize = 32;

/// A table with states in it.
pub(crate) trait Contender {
    /// Returns its name in the report.
    fn name(&self) -> String;

    /// Adds to a block what the caller is supposed to have already, such as hashes. Not timed.
    fn prepare(&self, _block: &mut Block) {}

    /// Looks up all keys in bursts of [`BURST`] and reads the hot records of those found. Returns how many were found, and
    /// a sum over the hot records, which keeps the compiler from dropping the reads.
    fn lookup(&self, block: &Block) -> (usize, u64);
}

/// A table whose states are replaced.
pub(crate) trait Replace {
    /// Returns its name in the report.
    fn name(&self) -> String;

    /// Removes the old states and inserts the new ones. Returns nanoseconds.
    fn replace(&mut self, replacement: &Replacement) -> f64;
}

/// States to remove, and as many to insert.
pub(crate) struct Replacement {
    /// The keys of the old states.
    pub old: Block,
    /// The keys of the new states.
    pub new: Block,
    /// The old states.
    pub old_records: Vec<Record>,
    /// The new states.
    pub new_records: Vec<Record>,
}

/// Dense parallel records like pfplane's, for a contender that is only an index.
pub(crate) struct Records {
    hot: Vec<Hot>,
    track: Vec<Track>,
    cold: Vec<Cold>,
}

impl Records {
    /// Builds `length` records.
    pub(crate) fn new(length: usize) -> Self {
        Self {
            hot: vec![Hot::EMPTY; length],
            track: vec![Track::default(); length],
            cold: vec![Cold::EMPTY; length],
        }
    }

    /// Writes a record.
    #[inline]
    pub(crate) fn write(&mut self, slot: usize, record: &Record) {
        self.hot[slot] = record.hot;
        self.track[slot] = record.track;
        self.cold[slot] = record.cold;
    }
}
