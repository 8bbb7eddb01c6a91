//! A value that the compiler knows nothing about.

/// Gives `value` back, and hides from the compiler that it did.
///
/// Compilers turn branch-free selections back into branches when they see where a value came from. On keys that hit or
/// miss at random that costs more than everything it saves.
#[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
#[inline(always)]
#[must_use]
pub fn opaque(mut value: u64) -> u64 {
    // SAFETY: there is no instruction in it.
    unsafe {
        core::arch::asm!("/* {0} */", inout(reg) value, options(pure, nomem, nostack, preserves_flags));
    }
    value
}

/// Gives `value` back. There is no way here to hide that from the compiler for sure.
#[cfg(not(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri))))]
#[inline(always)]
#[must_use]
pub fn opaque(value: u64) -> u64 {
    core::hint::black_box(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_stays_what_it_was() {
        for value in [0, 1, u64::MAX, 0x8000_0000_0000_0000] {
            assert_eq!(opaque(value), value);
        }
    }
}
