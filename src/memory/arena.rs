//! One mapping for several arrays, so that only its end is rounded up to a huge page.

use super::LINE;
use super::allocator::Memory;
use super::array::{FixedArray, Owner, Share, bytes_of};
use super::counted::Counted;
use super::heap::Heap;
use super::region::Region;
use crate::error::Error;

/// Alignment of arrays in an arena: a pair of lines, which many processors fetch together.
const PAIR: usize = 2 * LINE;

/// Memory for several arrays that are allocated and freed together.
#[derive(Debug)]
pub struct Arena {
    memory: Memory,
    socket: i32,
    region: Option<Counted<Region>>,
    used: usize,
    /// Bytes of arrays outside the region.
    separate: usize,
}

impl Arena {
    pub(super) fn new(memory: Memory, socket: i32, region: Option<Region>) -> Result<Self, Error> {
        let heap = Heap::new(memory, socket);
        let region = region.map(|region| Counted::new(heap, "an arena", region)).transpose()?;
        Ok(Self { memory, socket, region, used: 0, separate: 0 })
    }

    /// Bytes of an arena for `arrays` arrays of `bytes` in total.
    pub(super) const fn bytes_needed(bytes: usize, arrays: usize) -> usize {
        bytes.saturating_add(arrays * PAIR)
    }

    /// As [`Memory::array`], from this arena; separately allocated when the arena is full.
    ///
    /// # Errors
    /// As [`Memory::array`].
    pub fn array<T: Copy>(
        &mut self,
        what: &'static str,
        length: usize,
        value: T,
    ) -> Result<FixedArray<T>, Error> {
        if let Some(share) = self.share(bytes_of::<T>(length)) {
            return Ok(FixedArray::fill(share, length, || value));
        }
        let array = self.memory.array(what, length, value, self.socket)?;
        self.separate += array.bytes();
        Ok(array)
    }

    /// Takes the next `bytes` of the region.
    fn share(&mut self, bytes: usize) -> Option<Share> {
        let (region, offset) = (self.region.as_ref()?, self.used);
        let bytes = bytes.next_multiple_of(PAIR);
        if bytes > region.bytes - offset {
            return None;
        }
        self.used += bytes;
        Some(Share { owner: Owner::Arena(region.clone()), offset, bytes })
    }

    /// Returns the bytes of the region and of all separate arrays, rounding included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.separate + self.region.as_ref().map_or(0, |region| region.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::recording::RecordingAllocator;
    use super::super::region::HUGE_PAGE;
    use super::*;

    #[test]
    fn arrays_of_one_arena_do_not_overlap_and_outlive_it() {
        for lengths in [[3, 5], [100_000, 300_000]] {
            let bytes = bytes_of::<u64>(lengths[0]) + bytes_of::<u32>(lengths[1]);
            let mut arena = Memory::SYSTEM.arena("test", bytes, 2, -1).unwrap();
            let mut first = arena.array("first", lengths[0], 7u64).unwrap();
            let second = arena.array("second", lengths[1], 9u32).unwrap();
            assert!(arena.bytes() >= bytes && arena.bytes() < bytes + 2 * PAIR + HUGE_PAGE);
            assert!(first.bytes() + second.bytes() <= arena.bytes());
            drop(arena);
            assert_eq!((first.as_ptr().addr() % PAIR, second.as_ptr().addr() % PAIR), (0, 0));
            first.fill(u64::MAX);
            assert!(second.len() == lengths[1] && second.iter().all(|&value| value == 9));
            drop(second);
            assert!(first.iter().all(|&value| value == u64::MAX));
        }
    }

    #[test]
    fn a_full_arena_allocates_further_arrays_separately() {
        let mut arena = Memory::SYSTEM.arena("test", 64, 1, -1).unwrap();
        let arrays: Vec<_> = (0..50).map(|n| arena.array("test", 100, n).unwrap()).collect();
        assert!(arrays.iter().zip(0..).all(|(array, n)| array.iter().all(|&value| value == n)));
        assert!(arena.bytes() >= arrays.iter().map(FixedArray::bytes).sum());
    }

    #[test]
    fn an_arena_calls_the_hooks_once_per_array() {
        let allocator = RecordingAllocator::default();
        let mut arena = allocator.memory().arena("test", 1000, 2, 1).unwrap();
        let arrays = (arena.array("one", 10, 1u32).unwrap(), arena.array("other", 20, 2u64).unwrap());
        assert_eq!(arena.bytes(), 40 + 160);
        let sizes: Vec<usize> = allocator.allocations().iter().map(|&(_, size, ..)| size).collect();
        assert_eq!(sizes, [40, 160]);
        drop(arrays);
        assert!(allocator.all_freed());
    }
}
