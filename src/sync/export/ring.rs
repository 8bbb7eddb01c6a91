//! A bounded first-in-first-out ring whose memory is had at creation, and touched only as far as it was ever filled.

use std::collections::VecDeque;

/// Holds up to a fixed number of items.
#[derive(Debug)]
pub(in crate::sync) struct Ring<T> {
    items: VecDeque<T>,
    capacity: usize,
}

impl<T: Copy> Ring<T> {
    /// A ring for `capacity` items.
    pub fn new(capacity: usize) -> Self {
        Self { items: VecDeque::with_capacity(capacity), capacity }
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub fn room(&self) -> usize {
        self.capacity - self.items.len()
    }

    /// Adds an item behind the others; `false` when there is no room.
    #[must_use]
    pub fn push(&mut self, item: T) -> bool {
        let has_room = self.room() > 0;
        if has_room {
            self.items.push_back(item);
        }
        has_room
    }

    pub fn front(&self) -> Option<&T> {
        self.items.front()
    }

    pub fn pop(&mut self) -> Option<T> {
        let item = self.items.pop_front()?;
        if self.items.is_empty() {
            // From the beginning again, where the memory is warm.
            self.items.clear();
        }
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_in_order_and_no_more_than_fits() {
        let mut ring = Ring::new(3);
        for round in 0..5 {
            assert!(ring.push(round) && ring.push(round + 10) && ring.push(round + 20));
            assert!(!ring.push(99));
            assert_eq!((ring.len(), ring.room()), (3, 0));
            assert_eq!(ring.pop(), Some(round));
            assert!(ring.push(round + 30));
            assert_eq!([ring.pop(), ring.pop(), ring.pop()], [10, 20, 30].map(|more| Some(round + more)));
            assert_eq!(ring.pop(), None);
        }
    }

    #[test]
    fn a_ring_for_nothing_takes_nothing() {
        let mut ring = Ring::new(0);
        assert!(!ring.push(1));
        assert_eq!(ring.pop(), None);
    }
}
