//! How this node compares with each peer, for the control thread.

use crate::sync::Equality;
use crate::time::Nanos;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// The sync lane writes it, anybody reads it. The values are of one moment or of two that follow each other.
#[derive(Debug, Default)]
pub struct ComparisonBoard {
    streams: AtomicU32,
    /// Plus one; 0 for never.
    equal_at: AtomicU64,
    differing: AtomicU32,
    is_equal: AtomicBool,
}

impl ComparisonBoard {
    /// Publishes a comparison.
    pub fn publish(&self, equality: &Equality) {
        let Equality { streams, equal_at, differing, is_equal } = *equality;
        self.streams.store(streams, Ordering::Relaxed);
        self.equal_at.store(equal_at.map_or(0, |at: Nanos| at.saturating_add(1)), Ordering::Relaxed);
        self.differing.store(differing, Ordering::Relaxed);
        self.is_equal.store(is_equal, Ordering::Relaxed);
    }

    /// Returns the last one.
    pub fn get(&self) -> Equality {
        Equality {
            streams: self.streams.load(Ordering::Relaxed),
            equal_at: self.equal_at.load(Ordering::Relaxed).checked_sub(1),
            differing: self.differing.load(Ordering::Relaxed),
            is_equal: self.is_equal.load(Ordering::Relaxed),
        }
    }
}
