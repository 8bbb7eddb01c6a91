//! Where a lane shows its values to other threads.

use std::sync::atomic::{AtomicU64, Ordering};

/// A fixed row of numbers with one writer and any number of readers.
///
/// Each number is read whole; two numbers of one row may come from different housekeeping calls. The row lies on
/// cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
pub struct Board {
    values: Box<[AtomicU64]>,
}

impl Board {
    /// A row of `count` zeros.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self { values: (0..count).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Shows `values` from place `first` on. Places beyond the row are not there to be written.
    pub fn publish(&self, first: usize, values: &[u64]) {
        for (place, value) in self.values.iter().skip(first).zip(values) {
            place.store(*value, Ordering::Relaxed);
        }
    }

    /// The number at `place`, 0 beyond the row.
    #[must_use]
    pub fn read(&self, place: usize) -> u64 {
        self.values.get(place).map_or(0, |value| value.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_what_was_written_and_nothing_beyond_the_row() {
        let board = Board::new(3);
        board.publish(1, &[7, 8, 9]);
        assert_eq!([board.read(0), board.read(1), board.read(2), board.read(3)], [0, 7, 8, 0]);
    }
}
