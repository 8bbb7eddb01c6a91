//! Prefetch, to the first or to the second cache level.
//!
//! Which is better depends on how large the array is, so the choice is a type: the table makes it once, when it is
//! created, and every loop is compiled for both.

/// Where a prefetched line goes.
pub trait Hint: Copy {
    /// Starts loading the line that `address` lies in. Any address is fine, also one that is not mapped.
    fn touch<T>(address: *const T);
}

/// To the first level: for arrays that fit the caches.
#[derive(Clone, Copy, Debug)]
pub struct Near;

/// To the second level: for arrays far larger than the caches.
#[derive(Clone, Copy, Debug)]
pub struct Far;

#[cfg(all(target_arch = "x86_64", not(miri)))]
mod lines {
    use core::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};

    #[inline(always)]
    pub fn near<T>(address: *const T) {
        // SAFETY: a prefetch reads nothing that the program can see and never faults, whatever the address is.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }

    #[inline(always)]
    pub fn far<T>(address: *const T) {
        // SAFETY: a prefetch reads nothing that the program can see and never faults, whatever the address is.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(address.cast()) }
    }
}

#[cfg(any(not(target_arch = "x86_64"), miri))]
mod lines {
    #[inline(always)]
    pub fn near<T>(_address: *const T) {}

    #[inline(always)]
    pub fn far<T>(_address: *const T) {}
}

impl Hint for Near {
    #[inline(always)]
    fn touch<T>(address: *const T) {
        lines::near(address);
    }
}

impl Hint for Far {
    #[inline(always)]
    fn touch<T>(address: *const T) {
        lines::far(address);
    }
}

/// Starts loading the line in which `items[index]` begins. An index out of range is harmless.
///
/// Cost: one instruction, no wait. Nothing on architectures other than x86-64.
#[inline(always)]
pub fn prefetch<H: Hint, T>(items: &[T], index: usize) {
    H::touch(items.as_ptr().wrapping_add(index));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_out_of_range_is_harmless() {
        let items = [1u64; 4];
        for index in [0, 3, 4, 1 << 40, usize::MAX] {
            prefetch::<Near, _>(&items, index);
            prefetch::<Far, _>(&items, index);
        }
        assert_eq!(items, [1; 4]);
    }
}
