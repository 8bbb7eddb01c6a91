//! Which states to prefetch while a queue is emptied.
//!
//! A queue's links lie in the states, so each step along it would wait for memory. These are the same slots in an array.
//! They are only hints: a state that left the middle of its queue is still listed, and without space a state is not
//! listed. A wrong hint only costs time.

use crate::error::Error;
use crate::memory::{Heap, Ring};
use crate::table::Slot;

/// More states than wait for one flush at 100,000 changes a millisecond.
const CAPACITY: usize = 8192;
/// States between the one taken and the one prefetched.
const DISTANCE: usize = 12;
/// Maximum number of stale hints skipped per state.
const MAX_SKIPPED: usize = 16;

/// Hints of one queue.
#[derive(Debug)]
pub(super) struct PrefetchHints {
    slots: Ring<Slot>,
}

impl PrefetchHints {
    pub(super) fn new(heap: Heap) -> Result<Self, Error> {
        Ok(Self { slots: Ring::new(heap, "prefetch hints", CAPACITY)? })
    }

    pub(super) const fn memory_needed() -> usize {
        Ring::<Slot>::bytes(CAPACITY)
    }

    pub(super) fn push_back(&mut self, slot: Slot) {
        let _ = self.slots.push(slot);
    }

    pub(super) fn push_front(&mut self, slot: Slot) {
        let _ = self.slots.push_front(slot);
    }

    /// Drops the hint of the state just taken and returns the one to prefetch. `len` states are left in the queue.
    pub(super) fn pop(&mut self, slot: Slot, len: u32) -> Option<Slot> {
        if len == 0 {
            self.slots.clear();
            return None;
        }
        // A state not found is not listed, or is behind many stale hints: drop two, to catch up with the queue.
        let index = self.slots.iter().take(MAX_SKIPPED).position(|&hint| hint == slot).unwrap_or(1);
        (0..=index).for_each(|_| _ = self.slots.pop());
        self.slots.get(DISTANCE).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hints(slots: impl IntoIterator<Item = u32>) -> PrefetchHints {
        let mut hints = PrefetchHints::new(Heap::SYSTEM).unwrap();
        slots.into_iter().for_each(|slot| hints.push_back(Slot(slot)));
        hints
    }

    #[test]
    fn the_state_a_fixed_distance_ahead_is_hinted_even_after_others_left() {
        let mut hints = hints(0..100);
        hints.push_front(Slot(200));
        assert_eq!(hints.pop(Slot(200), 100), Some(Slot(12)));
        assert_eq!(hints.pop(Slot(0), 99), Some(Slot(13)));
        // 1 to 9 have left the queue.
        assert_eq!(hints.pop(Slot(10), 89), Some(Slot(23)));
        assert_eq!(hints.pop(Slot(11), 88), Some(Slot(24)));
    }

    #[test]
    fn many_stale_hints_are_dropped_over_time() {
        let mut hints = hints(0..100);
        // 0 to 49 have left.
        let hinted: Vec<_> = (50..100).map(|slot| hints.pop(Slot(slot), 100 - slot)).collect();
        let right: Vec<bool> =
            hinted.iter().zip(63..).map(|(hint, next)| *hint == Some(Slot(next))).collect();
        assert!(!right[0] && right[35..37] == [true; 2], "{hinted:?}");
    }

    #[test]
    fn hints_beyond_the_capacity_are_dropped_and_an_empty_queue_clears_them() {
        let mut hints = hints(0..2 * CAPACITY as u32);
        assert_eq!((hints.slots.len(), hints.slots.free()), (CAPACITY, 0));
        assert_eq!(hints.pop(Slot(0), 0), None);
        assert!(hints.slots.is_empty());
    }
}
