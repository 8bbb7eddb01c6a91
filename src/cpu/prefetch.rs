//! Prefetch to the first or second cache level.
//!
//! The better level depends on the size of the array. The table chooses once, at creation; the choice is a type, and every
//! loop is compiled for both.

/// The cache level to prefetch to.
pub trait Hint: Copy {
    /// Prefetches the line at `address`, which need not be mapped.
    fn touch<T>(address: *const T);
}

/// The first level, for arrays that fit the caches.
#[derive(Clone, Copy, Debug)]
pub struct Near;

/// The second level, for arrays far larger than the caches.
#[derive(Clone, Copy, Debug)]
pub struct Far;

#[cfg(all(target_arch = "x86_64", not(miri)))]
mod lines {
    use core::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};

    #[inline(always)]
    pub(super) fn near<T>(address: *const T) {
        // SAFETY: a prefetch reads nothing that the program can see and never faults, whatever the address is.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }

    #[inline(always)]
    pub(super) fn far<T>(address: *const T) {
        // SAFETY: a prefetch reads nothing that the program can see and never faults, whatever the address is.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(address.cast()) }
    }
}

#[cfg(all(target_arch = "aarch64", not(miri)))]
mod lines {
    use core::arch::asm;

    #[inline(always)]
    pub(super) fn near<T>(address: *const T) {
        // SAFETY: a prefetch reads nothing that the program can see and never faults, whatever the address is.
        unsafe { asm!("prfm pldl1keep, [{}]", in(reg) address, options(nostack, preserves_flags, readonly)) }
    }

    #[inline(always)]
    pub(super) fn far<T>(address: *const T) {
        // SAFETY: a prefetch reads nothing that the program can see and never faults, whatever the address is.
        unsafe { asm!("prfm pldl2keep, [{}]", in(reg) address, options(nostack, preserves_flags, readonly)) }
    }
}

#[cfg(any(not(any(target_arch = "x86_64", target_arch = "aarch64")), miri))]
mod lines {
    #[inline(always)]
    pub(super) fn near<T>(_address: *const T) {}

    #[inline(always)]
    pub(super) fn far<T>(_address: *const T) {}
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

/// Prefetches the line in which `items[index]` begins. An index out of range is harmless.
///
/// Cost: one instruction, no stall. Does nothing except on x86-64 and aarch64.
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
