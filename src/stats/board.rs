//! Publishes a lane's values to other threads.

use crate::error::Error;
use crate::memory::{Heap, List};
use std::sync::atomic::{AtomicU64, Ordering};

/// A fixed number of values with one writer and any number of readers, on cache lines of their own.
///
/// Each value is consistent; two values may come from different housekeeping calls.
#[derive(Debug)]
#[repr(align(128))]
pub struct Board {
    values: List<AtomicU64>,
}

impl Board {
    /// Allocates a board of `count` zeros.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn new(heap: Heap, count: usize) -> Result<Self, Error> {
        Ok(Self { values: heap.list_of("statistics", count, |_| AtomicU64::new(0))? })
    }

    /// Returns the bytes that [`Self::new`] allocates.
    #[must_use]
    pub const fn memory_needed(count: usize) -> usize {
        count * size_of::<AtomicU64>()
    }

    /// Publishes `values` from index `first` on. Values past the end are ignored.
    pub fn publish(&self, first: usize, values: &[u64]) {
        for (published, value) in self.values.iter().skip(first).zip(values) {
            published.store(*value, Ordering::Relaxed);
        }
    }

    /// Returns the value at `index`, 0 past the end.
    #[must_use]
    pub fn read(&self, index: usize) -> u64 {
        self.values.get(index).map_or(0, |value| value.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_published_and_those_past_the_end_ignored() {
        let board = Board::new(Heap::SYSTEM, 3).unwrap();
        board.publish(1, &[7, 8, 9]);
        assert_eq!([board.read(0), board.read(1), board.read(2), board.read(3)], [0, 7, 8, 0]);
    }
}
