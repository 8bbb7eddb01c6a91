//! Comparing two keys of forty bytes without a branch, however the result is used.

use super::opaque;

/// Five words against five.
#[inline(always)]
pub(super) fn portable(one: &[u64; 5], other: &[u64; 5]) -> bool {
    let head = (one[0] ^ other[0]) | (one[1] ^ other[1]);
    let tail = (one[2] ^ other[2]) | (one[3] ^ other[3]) | (one[4] ^ other[4]);
    opaque(head | tail) == 0
}

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    use core::arch::x86_64::{
        __m256i, _mm256_loadu_si256, _mm256_or_si256, _mm256_testz_si256, _mm256_xor_si256,
    };

    /// SSE2 has no test for zero that would beat the plain words.
    #[inline]
    #[target_feature(enable = "sse2")]
    pub fn sse2(one: &[u64; 5], other: &[u64; 5]) -> bool {
        super::portable(one, other)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn load(words: &[u64; 4]) -> __m256i {
        // SAFETY: `words` is 32 readable bytes, and the load asks for no alignment.
        unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
    }

    /// The first four words and the last four, which overlap.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn avx2(one: &[u64; 5], other: &[u64; 5]) -> bool {
        let head = |words: &[u64; 5]| load(words.first_chunk().unwrap_or(&[0; 4]));
        let tail = |words: &[u64; 5]| load(words.last_chunk().unwrap_or(&[0; 4]));
        let heads = _mm256_xor_si256(head(one), head(other));
        let tails = _mm256_xor_si256(tail(one), tail(other));
        let all = _mm256_or_si256(heads, tails);
        super::opaque(_mm256_testz_si256(all, all) as u64) != 0
    }
}

#[cfg(test)]
mod tests {
    use crate::cpu::{Isa, Kernel, Level};

    struct Same<'a>(&'a [u64; 5], &'a [u64; 5]);

    impl Kernel for Same<'_> {
        type Output = bool;

        fn run<I: Isa>(self, isa: I) -> bool {
            isa.same(self.0, self.1)
        }
    }

    #[test]
    fn any_bit_makes_a_difference() {
        let one = [1, 2, 3, 4, u64::MAX];
        for level in Level::all() {
            assert!(level.run(Same(&one, &one.clone())));
            for bit in 0..320 {
                let mut other = one;
                other[bit / 64] ^= 1 << (bit % 64);
                assert!(!level.run(Same(&one, &other)), "{level:?} bit {bit}");
            }
        }
    }
}
