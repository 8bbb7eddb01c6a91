//! Boxes, lists and maps in memory of an engine: from the same source as its tables, touched, and failing with an error.

use super::LINE;
use super::allocator::Memory;
use super::region::{self, Region};
use crate::error::Error;
use allocator_api2::alloc::{AllocError, Allocator};
use core::alloc::Layout;
use core::mem::{ManuallyDrop, MaybeUninit};
use core::ptr::NonNull;
use hashbrown::HashMap;
use std::hash::RandomState;
use zerocopy::FromZeros;

/// One value.
pub type Owned<T> = allocator_api2::boxed::Box<T, Heap>;
/// Values whose number is limited by the capacity of [`Heap::list`]; pushing more would allocate.
pub type List<T> = allocator_api2::vec::Vec<T, Heap>;
/// A map that does not grow while it has at most the entries of [`Heap::map`].
pub type Map<K, V> = HashMap<K, V, RandomState, Heap>;

/// Blocks from this size on are mapped; smaller ones come from the process's allocator.
const MIN_MAPPED: usize = 64 << 10;

/// The memory of an engine on one NUMA node, for values of any type.
#[derive(Clone, Copy, Debug)]
pub struct Heap {
    memory: Memory,
    socket: i32,
}

impl Heap {
    /// The system's memory.
    pub const SYSTEM: Self = Self { memory: Memory::SYSTEM, socket: -1 };

    /// Memory of NUMA node `socket` (-1: any).
    #[must_use]
    pub const fn new(memory: Memory, socket: i32) -> Self {
        Self { memory, socket }
    }

    /// Allocates one value. `what` names it in errors.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn owned<T>(self, what: &'static str, value: T) -> Result<Owned<T>, Error> {
        Owned::try_new_in(value, self).map_err(|_| no_memory::<T>(what, 1))
    }

    /// Allocates one value whose bytes are all zero. It does not pass through its caller's stack.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn zeroed<T: FromZeros>(self, what: &'static str) -> Result<Owned<T>, Error> {
        let value = self.zeroed_memory::<T>(what)?;
        // SAFETY: all its bytes are zero, which `FromZeros` says is a value of the type.
        Ok(unsafe { value.assume_init() })
    }

    /// Allocates memory for one value, all bytes zero.
    pub(super) fn zeroed_memory<T>(self, what: &'static str) -> Result<Owned<MaybeUninit<T>>, Error> {
        Owned::<T>::try_new_zeroed_in(self).map_err(|_| no_memory::<T>(what, 1))
    }

    /// Allocates an empty list for `capacity` values.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn list<T>(self, what: &'static str, capacity: usize) -> Result<List<T>, Error> {
        let mut list = List::new_in(self);
        list.try_reserve_exact(capacity).map_err(|_| no_memory::<T>(what, capacity))?;
        Ok(list)
    }

    /// Allocates a list of `length` values made by `make`.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn list_of<T>(
        self,
        what: &'static str,
        length: usize,
        make: impl FnMut(usize) -> T,
    ) -> Result<List<T>, Error> {
        let mut list = self.list(what, length)?;
        list.extend((0..length).map(make));
        Ok(list)
    }

    /// Allocates a copy of `values`, to which nothing is added.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn copy_of<T: Copy>(self, what: &'static str, values: &[T]) -> Result<List<T>, Error> {
        let mut list = self.list(what, values.len())?;
        list.extend_from_slice(values);
        Ok(list)
    }

    /// Allocates a map for `capacity` entries. Its hash is keyed.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn map<K: core::hash::Hash + Eq, V>(
        self,
        what: &'static str,
        capacity: usize,
    ) -> Result<Map<K, V>, Error> {
        let mut map = Map::with_hasher_in(RandomState::new(), self);
        // With twice the entries hashbrown removes tombstones in place instead of growing.
        let entries = capacity.saturating_mul(2);
        map.try_reserve(entries).map_err(|_| no_memory::<(K, V)>(what, entries))?;
        Ok(map)
    }
}

/// Returns the bytes of [`Heap::map`].
#[must_use]
pub const fn map_bytes<K, V>(capacity: usize) -> usize {
    // hashbrown fills seven eighths of a power of two of buckets, each with a control byte, and a group of control bytes more.
    let entries = capacity.saturating_mul(2);
    let min_entries = match (GROUP, size_of::<(K, V)>()) {
        (16, 0..=1) => 14,
        (16, 2..=3) | (8, 0..=1) => 7,
        _ => 3,
    };
    let entries = if entries < min_entries && entries > 0 { min_entries } else { entries };
    let buckets = match entries {
        0 => return 0,
        1..=3 => 4,
        4..=7 => 8,
        8..=14 => 16,
        _ => (entries.saturating_mul(8) / 7).next_power_of_two(),
    };
    let align = if align_of::<(K, V)>() > GROUP { align_of::<(K, V)>() } else { GROUP };
    buckets.saturating_mul(size_of::<(K, V)>()).next_multiple_of(align) + buckets + GROUP
}

/// Control bytes that hashbrown reads at once: a vector where it has code for one, otherwise a word.
const GROUP: usize = if cfg!(miri) {
    size_of::<usize>()
} else if cfg!(all(any(target_arch = "x86", target_arch = "x86_64"), target_feature = "sse2")) {
    16
} else if cfg!(all(target_arch = "aarch64", target_feature = "neon", target_endian = "little")) {
    8
} else {
    size_of::<usize>()
};

/// Allocates an empty list in memory of the process.
///
/// # Errors
/// [`Error::OutOfMemory`].
pub(crate) fn try_vec<T>(capacity: usize) -> Result<Vec<T>, Error> {
    let mut list = Vec::new();
    list.try_reserve_exact(capacity).map_err(|_| no_memory::<T>("a list of settings", capacity))?;
    Ok(list)
}

/// Builds a list of `length` copies of `value` in memory of the process.
///
/// # Errors
/// [`Error::OutOfMemory`].
pub(crate) fn try_list<T: Copy>(length: usize, value: T) -> Result<Vec<T>, Error> {
    let mut list = try_vec(length)?;
    list.resize(length, value);
    Ok(list)
}

/// Copies a list into memory of the process.
///
/// # Errors
/// [`Error::OutOfMemory`].
pub(crate) fn try_copy<T: Copy>(list: &[T]) -> Result<Vec<T>, Error> {
    let mut copy = try_vec(list.len())?;
    copy.extend_from_slice(list);
    Ok(copy)
}

fn no_memory<T>(what: &'static str, count: usize) -> Error {
    Error::OutOfMemory { what, bytes: count.saturating_mul(size_of::<T>()) }
}

// SAFETY: each block is memory of its own with the layout's size and alignment, and stays valid until it is deallocated,
// whatever happens to copies of the heap, which are equal.
unsafe impl Allocator for Heap {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let base = if layout.size() == 0 {
            // A well aligned address of no memory.
            NonNull::without_provenance(core::num::NonZero::new(layout.align()).ok_or(AllocError)?)
        } else {
            let base = self.block(layout).ok_or(AllocError)?;
            region::touch(base, layout.size());
            base
        };
        Ok(NonNull::slice_from_raw_parts(base, layout.size()))
    }

    unsafe fn deallocate(&self, base: NonNull<u8>, layout: Layout) {
        if layout.size() == 0 {
            return;
        }
        if self.memory.hooks.is_none() && !is_mapped(layout) {
            // SAFETY: the caller's block came from `alloc` with this layout: the same condition chose it.
            return unsafe { std::alloc::dealloc(base.as_ptr(), layout) };
        }
        // SAFETY: the caller's block came from `Region::allocate` with these hooks and this size, and is not used any more.
        drop(unsafe { Region::from_parts(self.memory.hooks, base, layout.size()) });
    }
}

const fn is_mapped(layout: Layout) -> bool {
    layout.size() >= MIN_MAPPED && !cfg!(miri)
}

impl Heap {
    fn block(&self, layout: Layout) -> Option<NonNull<u8>> {
        let align = if layout.align() > LINE { layout.align() } else { LINE };
        if self.memory.hooks.is_none() && !is_mapped(layout) {
            // SAFETY: the size is not 0.
            return NonNull::new(unsafe { std::alloc::alloc(layout) });
        }
        let region = Region::allocate(self.memory.hooks, layout.size(), align, self.socket)?;
        let is_aligned = region.base.addr().get().is_multiple_of(align);
        is_aligned.then(|| ManuallyDrop::new(region).base)
    }
}

#[cfg(test)]
mod tests {
    use super::super::recording::RecordingAllocator;
    use super::*;

    #[test]
    fn everything_comes_from_the_hooks_and_is_freed_with_its_size() {
        let allocator = RecordingAllocator::default();
        let heap = Heap::new(allocator.memory(), 3);
        let value = heap.owned("a value", [7u64; 20]).unwrap();
        let list = heap.list_of("a list", 100, |n| n as u32).unwrap();
        let map = heap.map::<u64, u64>("a map", 1000).unwrap();
        let zeros = heap.zeroed::<[u64; 3]>("zeros").unwrap();
        let sizes: Vec<usize> = allocator.allocations().iter().map(|&(_, size, ..)| size).collect();
        assert_eq!(sizes, [160, 400, map_bytes::<u64, u64>(1000), 24]);
        assert!(allocator.allocations().iter().all(|&(.., align, socket)| (align, socket) == (LINE, 3)));
        assert!(value.iter().all(|&n| n == 7) && list.iter().copied().eq(0..100));
        assert_eq!(*zeros, [0; 3]);
        drop((value, list, map, zeros));
        assert!(allocator.all_freed());
    }

    #[test]
    fn the_bytes_of_a_map_are_those_that_it_allocates() {
        for capacity in [0, 1, 2, 3, 4, 7, 8, 14, 100, 1000, 4096, 100_000] {
            let map = Heap::SYSTEM.map::<(u64, u32), (u32, u8)>("a map", capacity).unwrap();
            assert_eq!(map.allocation_size(), map_bytes::<(u64, u32), (u32, u8)>(capacity), "{capacity}");
            let small = Heap::SYSTEM.map::<u8, ()>("a map", capacity.min(100)).unwrap();
            assert_eq!(small.allocation_size(), map_bytes::<u8, ()>(capacity.min(100)), "{capacity}");
        }
    }

    #[test]
    fn a_failing_hook_is_an_error_that_says_for_what() {
        let allocator = RecordingAllocator::failing_after(0);
        let heap = Heap::new(allocator.memory(), -1);
        let expected = |bytes| Err(Error::OutOfMemory { what: "test", bytes });
        assert_eq!(heap.owned("test", 5u32).map(|_| ()), expected(4));
        assert_eq!(heap.zeroed::<u32>("test").map(|_| ()), expected(4));
        assert_eq!(heap.list::<u32>("test", 10).map(|_| ()), expected(40));
        assert!(heap.map::<u32, u32>("test", 10).is_err());
        assert!(Heap::SYSTEM.list::<u64>("test", usize::MAX / 8).is_err());
    }

    #[test]
    fn small_and_large_blocks_of_the_system_hold_their_values() {
        for length in [0, 1, 100, MIN_MAPPED / 8, MIN_MAPPED, 300_000] {
            let list = Heap::SYSTEM.list_of("a list", length, |n| n as u64).unwrap();
            assert!(list.iter().copied().eq(0..length as u64));
        }
        #[derive(Debug)]
        #[repr(align(128))]
        struct Wide(u8);
        let wide = Heap::SYSTEM.owned("a value", Wide(5)).unwrap();
        assert_eq!(((&raw const *wide).addr() % 128, wide.0), (0, 5));
    }
}
