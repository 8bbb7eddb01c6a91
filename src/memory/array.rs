//! Arrays of fixed length in memory of their own.

use super::LINE;
use super::counted::Counted;
use super::pages::PageMode;
use super::region::{HUGE_PAGE, Region};
use core::mem::MaybeUninit;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

/// Returns how many bytes an array of `length` values allocates.
pub const fn bytes_of<T>(length: usize) -> usize {
    match length.checked_mul(size_of::<T>()) {
        Some(0) => LINE,
        Some(bytes) if bytes <= isize::MAX as usize - 2 * HUGE_PAGE => bytes,
        _ => isize::MAX as usize - 2 * HUGE_PAGE,
    }
}

/// The owner of an array's memory.
#[derive(Debug)]
pub(super) enum Owner {
    /// The array alone.
    Whole(Region),
    /// All arrays of an arena.
    Arena(Counted<Region>),
}

impl Owner {
    fn region(&self) -> &Region {
        match self {
            Self::Whole(region) => region,
            Self::Arena(region) => region,
        }
    }
}

/// A part of a region that belongs to one array; `offset + bytes` is within the region.
pub(super) struct Share {
    pub owner: Owner,
    pub offset: usize,
    pub bytes: usize,
}

impl Share {
    /// All of a region.
    pub(super) fn whole(region: Region) -> Self {
        let bytes = region.bytes;
        Self { owner: Owner::Whole(region), offset: 0, bytes }
    }
}

/// An array of fixed length in memory of a [`Memory`](super::Memory), freed on drop.
#[derive(Debug)]
pub struct FixedArray<T> {
    pointer: NonNull<T>,
    length: usize,
    /// Keeps the memory alive.
    _owner: Owner,
    bytes: usize,
    page_mode: PageMode,
}

// SAFETY: the array owns its values and its memory as a vector does.
unsafe impl<T: Send> Send for FixedArray<T> {}
// SAFETY: a shared array hands out shared references only.
unsafe impl<T: Sync> Sync for FixedArray<T> {}

impl<T> FixedArray<T> {
    pub(super) fn fill(share: Share, length: usize, make: impl Fn() -> T) -> Self {
        const { assert!(align_of::<T>() <= LINE && size_of::<T>() > 0 && !core::mem::needs_drop::<T>()) };
        let Share { owner, offset, bytes } = share;
        let region = owner.region();
        assert!(bytes_of::<T>(length) <= bytes && bytes <= region.bytes - offset);
        // SAFETY: the offset is within the region (just checked), which is one allocation.
        let pointer = unsafe { region.base.add(offset) }.cast::<T>();
        // SAFETY: the share holds `length` values (just checked), starts on a cache line, which aligns them, and is used
        // by this array alone; `MaybeUninit` needs no initial value.
        let values =
            unsafe { core::slice::from_raw_parts_mut(pointer.cast::<MaybeUninit<T>>().as_ptr(), length) };
        for value in values {
            value.write(make());
        }
        let page_mode = region.page_mode();
        Self { pointer, length, _owner: owner, bytes, page_mode }
    }

    /// Returns the pages that back the array, as found after it was first touched.
    #[must_use]
    pub const fn page_mode(&self) -> PageMode {
        self.page_mode
    }

    /// Returns the bytes of the array's memory, rounding included.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl<T> Deref for FixedArray<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: `length` values were written when the array was made, and live as long as it does.
        unsafe { core::slice::from_raw_parts(self.pointer.as_ptr(), self.length) }
    }
}

impl<T> DerefMut for FixedArray<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as for `deref`, and the array is borrowed mutably.
        unsafe { core::slice::from_raw_parts_mut(self.pointer.as_ptr(), self.length) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Memory;
    use super::*;

    #[test]
    fn mapped_arrays_hold_their_values_and_start_on_a_cache_line() {
        for length in [0, 1, 1000, 300_000] {
            let mut array = Memory::SYSTEM.array("test", length, 7u64, -1).unwrap();
            assert_eq!(array.len(), length);
            assert!(array.iter().all(|&value| value == 7));
            if let Some(last) = array.last_mut() {
                *last = 8;
            }
            assert_eq!(array.as_ptr().addr() % LINE, 0);
            assert!(array.bytes() >= 8 * length && array.bytes() <= 8 * length + HUGE_PAGE);
        }
    }

    #[test]
    fn large_arrays_start_on_a_huge_page_and_report_the_page_mode_of_a_mapping() {
        let array = Memory::SYSTEM.array("test", 4 << 20, 1u8, -1).unwrap();
        assert_ne!(array.page_mode(), PageMode::Hooks);
        assert_eq!(array.as_ptr().addr() % HUGE_PAGE, 0);
    }
}
