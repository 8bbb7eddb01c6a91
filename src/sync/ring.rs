//! A bounded queue. Its memory is allocated at creation and only touched as far as it was ever filled.

use std::collections::VecDeque;

/// Holds up to a fixed number of items.
#[derive(Debug)]
pub(super) struct Ring<T> {
    items: VecDeque<T>,
    capacity: usize,
}

impl<T: Copy> Ring<T> {
    /// Allocates a ring for `capacity` items.
    pub(super) fn new(capacity: usize) -> Self {
        Self { items: VecDeque::with_capacity(capacity), capacity }
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Number of items that can still be added.
    pub(super) fn free(&self) -> usize {
        self.capacity - self.items.len()
    }

    /// Adds an item at the end; `false` when the ring is full.
    #[must_use]
    pub(super) fn push(&mut self, item: T) -> bool {
        let has_space = self.free() > 0;
        if has_space {
            self.items.push_back(item);
        }
        has_space
    }

    pub(super) fn front(&self) -> Option<&T> {
        self.items.front()
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        let item = self.items.pop_front()?;
        if self.items.is_empty() {
            // Start again at the beginning, where the memory is in the cache.
            self.items.clear();
        }
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_out_in_order_and_a_full_ring_refuses_more() {
        let mut ring = Ring::new(3);
        for round in 0..5 {
            assert!(ring.push(round) && ring.push(round + 10) && ring.push(round + 20));
            assert!(!ring.push(99));
            assert_eq!((ring.len(), ring.free()), (3, 0));
            assert_eq!(ring.pop(), Some(round));
            assert!(ring.push(round + 30));
            assert_eq!([ring.pop(), ring.pop(), ring.pop()], [10, 20, 30].map(|more| Some(round + more)));
            assert_eq!(ring.pop(), None);
        }
    }

    #[test]
    fn a_ring_of_capacity_zero_refuses_everything() {
        let mut ring = Ring::new(0);
        assert!(!ring.push(1));
        assert_eq!(ring.pop(), None);
    }
}
