//! Branch-free comparisons: two keys of forty bytes, or many words with one value.

use super::opaque;

/// Words compared with one value per call, one for each key of a chunk.
pub const MASK_WORDS: usize = 32;

/// Compares five words: all ones if they differ, else zero.
#[inline(always)]
pub(super) fn portable(one: &[u64; 5], other: &[u64; 5]) -> u32 {
    let head = (one[0] ^ other[0]) | (one[1] ^ other[1]);
    let tail = (one[2] ^ other[2]) | (one[3] ^ other[3]) | (one[4] ^ other[4]);
    let same = opaque(u64::from(head | tail == 0)) as u32;
    same.wrapping_sub(1)
}

/// Returns a bit for every word that equals `value`.
#[inline(always)]
pub(super) fn portable_mask(words: &[u32; MASK_WORDS], value: u32) -> u32 {
    words.iter().rev().fold(0, |mask, &word| mask << 1 | u32::from(word == value))
}

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    use super::MASK_WORDS;
    use core::arch::x86_64::{
        __m128i, __m256i, _mm_castsi128_ps, _mm_cmpeq_epi32, _mm_loadu_si128, _mm_movemask_ps,
        _mm_set1_epi32, _mm256_castsi256_ps, _mm256_cmpeq_epi32, _mm256_cmpneq_epi64_mask,
        _mm256_lddqu_si256, _mm256_movemask_ps, _mm256_or_si256, _mm256_set1_epi32, _mm256_testz_si256,
        _mm256_xor_si256, _mm512_cmpeq_epi32_mask, _mm512_loadu_si512, _mm512_set1_epi32,
    };

    /// SSE2 has no test for zero that beats plain words.
    #[inline]
    #[target_feature(enable = "sse2")]
    pub(crate) fn sse2(one: &[u64; 5], other: &[u64; 5]) -> u32 {
        super::portable(one, other)
    }

    /// Loads 32 bytes. The compiler splits other unaligned loads in two when it tunes for a generic processor.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn load<T>(value: &T) -> __m256i {
        const { assert!(size_of::<T>() >= 32) };
        // SAFETY: `value` is at least 32 readable bytes, and the load needs no alignment.
        unsafe { _mm256_lddqu_si256(core::ptr::from_ref(value).cast()) }
    }

    /// Compares the first four words and the last four, which overlap.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn avx2(one: &[u64; 5], other: &[u64; 5]) -> u32 {
        let head = |words: &[u64; 5]| load(words.first_chunk::<4>().unwrap_or(&[0; 4]));
        let tail = |words: &[u64; 5]| load(words.last_chunk::<4>().unwrap_or(&[0; 4]));
        let heads = _mm256_xor_si256(head(one), head(other));
        let tails = _mm256_xor_si256(tail(one), tail(other));
        let all = _mm256_or_si256(heads, tails);
        let same = super::opaque(_mm256_testz_si256(all, all) as u64) as u32;
        same.wrapping_sub(1)
    }

    /// Compares four words at once, and the last one alone.
    #[inline]
    #[target_feature(enable = "avx512vl,avx512f")]
    pub(crate) fn avx512(one: &[u64; 5], other: &[u64; 5]) -> u32 {
        let heads = _mm256_cmpneq_epi64_mask(load(one), load(other));
        let differ = super::opaque(u64::from(heads) | (one[4] ^ other[4]));
        u32::from(differ == 0).wrapping_sub(1)
    }

    /// Compares sixteen words at a time.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(crate) fn avx512_mask(words: &[u32; MASK_WORDS], value: u32) -> u32 {
        let wanted = _mm512_set1_epi32(value.cast_signed());
        let mut mask = 0;
        for (n, sixteen) in words.as_chunks::<16>().0.iter().enumerate() {
            // SAFETY: `sixteen` is 64 readable bytes, and the load needs no alignment.
            let sixteen = unsafe { _mm512_loadu_si512(sixteen.as_ptr().cast()) };
            mask |= u32::from(_mm512_cmpeq_epi32_mask(sixteen, wanted)) << (16 * n);
        }
        mask
    }

    /// Compares four words at a time.
    #[inline]
    #[target_feature(enable = "sse2")]
    pub(crate) fn sse2_mask(words: &[u32; MASK_WORDS], value: u32) -> u32 {
        let wanted = _mm_set1_epi32(value.cast_signed());
        let mut mask = 0;
        for (n, four) in words.as_chunks::<4>().0.iter().enumerate() {
            // SAFETY: `four` is 16 readable bytes, and the load needs no alignment.
            let four = unsafe { _mm_loadu_si128(four.as_ptr().cast::<__m128i>()) };
            let equal = _mm_castsi128_ps(_mm_cmpeq_epi32(four, wanted));
            mask |= _mm_movemask_ps(equal).cast_unsigned() << (4 * n);
        }
        mask
    }

    /// Compares eight words at a time.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn avx2_mask(words: &[u32; MASK_WORDS], value: u32) -> u32 {
        let wanted = _mm256_set1_epi32(value.cast_signed());
        let mut mask = 0;
        for (n, eight) in words.as_chunks::<8>().0.iter().enumerate() {
            let equal = _mm256_castsi256_ps(_mm256_cmpeq_epi32(load(eight), wanted));
            mask |= _mm256_movemask_ps(equal).cast_unsigned() << (8 * n);
        }
        mask
    }
}

#[cfg(target_arch = "aarch64")]
pub(super) mod arm {
    use super::MASK_WORDS;
    use core::arch::aarch64::{
        vaddvq_u32, vandq_u32, vceqq_u32, vdupq_n_u32, vld1q_u32, vorrq_u32, vshlq_n_u32,
    };

    /// Compares four words at a time.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(crate) fn neon_mask(words: &[u32; MASK_WORDS], value: u32) -> u32 {
        let wanted = vdupq_n_u32(value);
        let mut found = vdupq_n_u32(0);
        // SAFETY: the array is 16 readable bytes.
        let mut bits = unsafe { vld1q_u32([1u32, 2, 4, 8].as_ptr()) };
        for four in words.as_chunks::<4>().0 {
            // SAFETY: `four` is 16 readable bytes, and the load needs no alignment.
            let four = unsafe { vld1q_u32(four.as_ptr()) };
            found = vorrq_u32(found, vandq_u32(vceqq_u32(four, wanted), bits));
            bits = vshlq_n_u32::<4>(bits);
        }
        vaddvq_u32(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::{Isa, Kernel, Level};
    use proptest::prelude::*;

    struct Differs<'a>(&'a [u64; 5], &'a [u64; 5]);

    impl Kernel for Differs<'_> {
        type Output = u32;

        fn run<I: Isa>(self, isa: I) -> u32 {
            isa.differs(self.0, self.1)
        }
    }

    struct Mask<'a>(&'a [u32; MASK_WORDS], u32);

    impl Kernel for Mask<'_> {
        type Output = u32;

        fn run<I: Isa>(self, isa: I) -> u32 {
            isa.equal_mask(self.0, self.1)
        }
    }

    #[test]
    fn a_difference_in_any_bit_is_found() {
        let one = [1, 2, 3, 4, u64::MAX];
        for level in Level::all() {
            assert_eq!(level.run(Differs(&one, &one.clone())), 0);
            for bit in 0..320 {
                let mut other = one;
                other[bit / 64] ^= 1 << (bit % 64);
                assert_eq!(level.run(Differs(&one, &other)), u32::MAX, "{level:?} bit {bit}");
            }
        }
    }

    proptest! {
        #[test]
        fn every_instruction_set_gives_the_same_mask(
            words in proptest::array::uniform32(0u32..3),
            value in 0u32..3,
        ) {
            let naive = (0..MASK_WORDS).filter(|&n| words[n] == value).fold(0, |mask, n| mask | 1 << n);
            for level in Level::all() {
                prop_assert_eq!(level.run(Mask(&words, value)), naive, "{:?}", level);
            }
        }
    }
}
