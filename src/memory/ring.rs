//! A bounded queue in one thread.

use super::heap::{Heap, List};
use crate::error::Error;

/// Up to a fixed number of values, in order. Its memory is allocated and touched when it is made.
#[derive(Debug)]
pub struct Ring<T> {
    /// Never more than `capacity`; grows to it in place.
    values: List<T>,
    capacity: usize,
    head: usize,
    len: usize,
}

impl<T: Copy> Ring<T> {
    /// Allocates a ring for `capacity` values.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn new(heap: Heap, what: &'static str, capacity: usize) -> Result<Self, Error> {
        Ok(Self { values: heap.list(what, capacity)?, capacity, head: 0, len: 0 })
    }

    /// Returns the bytes that [`Self::new`] allocates.
    #[must_use]
    pub const fn bytes(capacity: usize) -> usize {
        capacity * size_of::<T>()
    }

    /// Returns the number of values.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there is no value.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns how many values can still be added.
    #[must_use]
    pub const fn free(&self) -> usize {
        self.capacity - self.len
    }

    /// Adds a value at the end. Returns false if the ring is full.
    #[must_use]
    pub fn push(&mut self, value: T) -> bool {
        if self.free() == 0 {
            return false;
        }
        self.write(self.position(self.len), value);
        self.len += 1;
        true
    }

    /// Adds a value at the front. Returns false if the ring is full.
    #[must_use]
    pub fn push_front(&mut self, value: T) -> bool {
        if self.free() == 0 {
            return false;
        }
        self.head = self.position(self.capacity - 1);
        self.write(self.head, value);
        self.len += 1;
        true
    }

    /// Writes a value at a position of the memory, which may be beyond what was ever written.
    fn write(&mut self, position: usize, value: T) {
        match self.values.get_mut(position) {
            Some(old) => *old = value,
            None => self.values.resize(position + 1, value),
        }
    }

    /// Returns where the value at `index` is in memory.
    const fn position(&self, index: usize) -> usize {
        let position = self.head + index;
        if position < self.capacity { position } else { position - self.capacity }
    }

    /// Returns the value at `index`, counted from the front.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&T> {
        if index < self.len { self.values.get(self.position(index)) } else { None }
    }

    /// As [`Self::get`], mutably.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        if index >= self.len {
            return None;
        }
        let position = self.position(index);
        self.values.get_mut(position)
    }

    /// Returns the first value.
    #[must_use]
    pub fn front(&self) -> Option<&T> {
        self.get(0)
    }

    /// Takes the first value.
    pub fn pop(&mut self) -> Option<T> {
        let value = *self.front()?;
        self.len -= 1;
        // An empty ring starts again at the beginning, where the memory is in the cache.
        self.head = if self.len == 0 { 0 } else { self.position(1) };
        Some(value)
    }

    /// Removes the value at `index`, and moves those behind it. Cost: the number of these.
    pub fn remove(&mut self, index: usize) -> Option<T> {
        let value = *self.get(index)?;
        for index in index..self.len - 1 {
            if let (Some(next), Some(place)) = (self.get(index + 1).copied(), self.get_mut(index)) {
                *place = next;
            }
        }
        self.len -= 1;
        Some(value)
    }

    /// Removes all values.
    pub const fn clear(&mut self) {
        (self.head, self.len) = (0, 0);
    }

    /// Returns the values in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        (0..self.len).filter_map(|index| self.get(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    #[test]
    fn it_behaves_as_a_bounded_deque_and_never_allocates_again() {
        for capacity in [1, 2, 7] {
            let mut ring = Ring::new(Heap::SYSTEM, "test", capacity).unwrap();
            let mut model = VecDeque::new();
            let memory = ring.values.as_ptr();
            let mut seed = 1u32;
            for step in 0..2000 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let has_space = model.len() < capacity;
                match seed >> 24 & 7 {
                    0..=2 => {
                        assert_eq!(ring.push(step), has_space);
                        (0..usize::from(has_space)).for_each(|_| model.push_back(step));
                    }
                    3 => {
                        assert_eq!(ring.push_front(step), has_space);
                        (0..usize::from(has_space)).for_each(|_| model.push_front(step));
                    }
                    4..=6 => assert_eq!(ring.pop(), model.pop_front()),
                    _ if step % 2 == 0 => {
                        let index = step as usize % capacity;
                        assert_eq!(ring.remove(index), model.remove(index));
                    }
                    _ if step % 16 == 1 => {
                        ring.clear();
                        model.clear();
                    }
                    _ => {}
                }
                assert!(ring.iter().eq(&model), "{capacity} {step}");
                assert_eq!((ring.len(), ring.free()), (model.len(), capacity - model.len()));
                assert_eq!(ring.front(), model.front());
            }
            assert_eq!((ring.values.as_ptr(), ring.values.capacity()), (memory, capacity));
        }
    }

    #[test]
    fn a_ring_without_capacity_is_always_full() {
        let mut ring = Ring::new(Heap::SYSTEM, "test", 0).unwrap();
        assert!(!ring.push(1) && !ring.push_front(1) && ring.pop().is_none());
    }
}
