//! A bounded channel from one thread to another. Nobody waits: a full channel refuses, an empty one returns nothing.

use super::counted::Counted;
use super::heap::Heap;
use super::slots::Slots;
use crate::error::Error;
use core::sync::atomic::{AtomicUsize, Ordering};

/// A number of values, on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
struct Count(AtomicUsize);

/// What both ends share. Counts wrap around.
#[derive(Debug)]
struct Channel<T> {
    slots: Slots<T>,
    /// Values ever written. The producer writes it.
    written: Count,
    /// Values ever read. The consumer writes it.
    read: Count,
}

/// The sending end.
#[derive(Debug)]
pub struct Producer<T> {
    ring: Counted<Channel<T>>,
    capacity: usize,
    written: usize,
    /// The slot of the next value.
    index: usize,
    /// The consumer's count when it was last looked at.
    read_seen: usize,
}

/// The receiving end.
#[derive(Debug)]
pub struct Consumer<T> {
    ring: Counted<Channel<T>>,
    capacity: usize,
    read: usize,
    /// The slot of the next value.
    index: usize,
    /// The producer's count when it was last looked at.
    written_seen: usize,
}

/// Allocates a channel for `capacity` values. `what` names it in errors.
///
/// # Errors
/// [`Error::OutOfMemory`].
pub fn channel<T: Copy>(
    heap: Heap,
    what: &'static str,
    capacity: usize,
) -> Result<(Producer<T>, Consumer<T>), Error> {
    let slots = Slots::new(heap, what, capacity)?;
    let [written, read] = [(), ()].map(|()| Count(AtomicUsize::new(0)));
    let ring = Counted::new(heap, what, Channel { slots, written, read })?;
    let producer = Producer { ring: ring.clone(), capacity, written: 0, index: 0, read_seen: 0 };
    Ok((producer, Consumer { ring, capacity, read: 0, index: 0, written_seen: 0 }))
}

/// Returns the bytes that [`channel`] allocates.
#[must_use]
pub const fn channel_bytes<T>(capacity: usize) -> usize {
    capacity * size_of::<T>() + Counted::<Channel<T>>::bytes()
}

/// Returns the slot after `index`.
const fn next(index: usize, capacity: usize) -> usize {
    if index + 1 == capacity { 0 } else { index + 1 }
}

impl<T: Copy> Producer<T> {
    /// Sends a value. Returns false if the channel is full.
    #[must_use]
    pub fn push(&mut self, value: T) -> bool {
        if self.written.wrapping_sub(self.read_seen) == self.capacity {
            self.read_seen = self.ring.read.0.load(Ordering::Acquire);
            if self.written.wrapping_sub(self.read_seen) == self.capacity {
                return false;
            }
        }
        // SAFETY: the consumer has read the slot's last value, as `read` says, and reads no other before `written` says so.
        unsafe { self.ring.slots.write(self.index, value) };
        self.index = next(self.index, self.capacity);
        self.written = self.written.wrapping_add(1);
        self.ring.written.0.store(self.written, Ordering::Release);
        true
    }

    /// Returns how many values can be sent now.
    #[must_use]
    pub fn free(&self) -> usize {
        self.capacity - self.written.wrapping_sub(self.ring.read.0.load(Ordering::Acquire))
    }
}

impl<T: Copy> Consumer<T> {
    /// Receives the next value.
    pub fn pop(&mut self) -> Option<T> {
        if self.read == self.written_seen {
            self.written_seen = self.ring.written.0.load(Ordering::Acquire);
            if self.read == self.written_seen {
                return None;
            }
        }
        // SAFETY: the producer has written the slot, as `written` says, and writes it again only when `read` says so.
        let value = unsafe { self.ring.slots.read(self.index) };
        self.index = next(self.index, self.capacity);
        self.read = self.read.wrapping_add(1);
        self.ring.read.0.store(self.read, Ordering::Release);
        Some(value)
    }

    /// Returns how many values wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.ring.written.0.load(Ordering::Acquire).wrapping_sub(self.read)
    }
}

#[cfg(test)]
mod tests {
    use super::super::recording::RecordingAllocator;
    use super::*;
    use std::thread;

    #[test]
    fn values_arrive_once_and_in_order_on_another_thread() {
        const VALUES: u32 = if cfg!(miri) { 200 } else { 100_000 };
        for capacity in [1, 3, 64] {
            let (mut producer, mut consumer) = channel(Heap::SYSTEM, "test", capacity).unwrap();
            thread::scope(|scope| {
                scope.spawn(move || {
                    for value in 0..VALUES {
                        while !producer.push(value) {
                            thread::yield_now();
                        }
                    }
                });
                for expected in 0..VALUES {
                    let value = core::iter::repeat_with(|| consumer.pop()).find_map(|value| {
                        if value.is_none() {
                            thread::yield_now();
                        }
                        value
                    });
                    assert_eq!(value, Some(expected));
                }
                assert_eq!((consumer.pop(), consumer.waiting()), (None, 0));
            });
        }
    }

    #[test]
    fn a_full_channel_refuses_and_counts_its_space() {
        let (mut producer, mut consumer) = channel(Heap::SYSTEM, "test", 2).unwrap();
        assert!(producer.push(1) && producer.push(2) && !producer.push(3));
        assert_eq!((producer.free(), consumer.waiting()), (0, 2));
        assert_eq!((consumer.pop(), producer.free()), (Some(1), 1));
        assert!(producer.push(4));
        assert_eq!([consumer.pop(), consumer.pop(), consumer.pop()], [Some(2), Some(4), None]);
    }

    #[test]
    fn its_memory_comes_from_the_hooks_and_is_freed_by_the_last_end() {
        let allocator = RecordingAllocator::default();
        let (producer, consumer) =
            channel::<[u64; 5]>(Heap::new(allocator.memory(), -1), "test", 100).unwrap();
        assert_eq!(allocator.allocated_bytes(), channel_bytes::<[u64; 5]>(100));
        drop(producer);
        assert!(!allocator.all_freed());
        drop(consumer);
        assert!(allocator.all_freed());
    }
}
