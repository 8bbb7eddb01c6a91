//! Hides a value from the optimizer.

/// Returns `value`, hidden from the optimizer.
///
/// Compilers turn branch-free selections back into branches if they know how a value was computed. Such branches mispredict
/// when keys hit or miss at random.
#[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
#[inline(always)]
#[must_use]
pub(super) fn opaque(mut value: u64) -> u64 {
    // SAFETY: the assembly is a comment only.
    unsafe {
        core::arch::asm!("/* {0} */", inout(reg) value, options(pure, nomem, nostack, preserves_flags));
    }
    value
}

/// Returns `value`, hidden from the optimizer as far as possible on this target.
#[cfg(not(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri))))]
#[inline(always)]
#[must_use]
pub(super) fn opaque(value: u64) -> u64 {
    core::hint::black_box(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_is_unchanged() {
        for value in [0, 1, u64::MAX, 0x8000_0000_0000_0000] {
            assert_eq!(opaque(value), value);
        }
    }
}
