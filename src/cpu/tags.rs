//! Compares the ten tags of a bucket with one value.

/// Tags per bucket.
pub const TAGS: usize = 10;

/// A bucket's cache line as 16-bit words; the first [`TAGS`] are tags.
pub(super) type TagLine = [u16; 32];

/// Returns one bit per equal tag, from bit 0.
#[inline(always)]
pub(super) fn portable(line: &TagLine, tag: u16) -> u32 {
    let mut mask = 0;
    for (way, &other) in line[..TAGS].iter().enumerate() {
        mask |= u32::from(other == tag) << way;
    }
    mask
}

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    use super::TagLine;
    use core::arch::x86_64::{
        __m128i, _mm_cmpeq_epi16, _mm_loadu_si128, _mm_movemask_epi8, _mm_packs_epi16, _mm_set1_epi16,
        _mm256_cmpeq_epi16, _mm256_lddqu_si256, _mm256_mask_cmpeq_epi16_mask, _mm256_movemask_epi8,
        _mm256_set1_epi16,
    };

    /// Returns one bit per equal tag, from bit 0. SSE2 is part of x86-64.
    #[inline]
    #[target_feature(enable = "sse2")]
    pub(crate) fn sse2(line: &TagLine, tag: u16) -> u32 {
        let wanted = _mm_set1_epi16(tag.cast_signed());
        let (head, tail) = line.split_at(8);
        // SAFETY: `head` is 16 readable bytes, and the load needs no alignment.
        let low = unsafe { _mm_loadu_si128(head.as_ptr().cast::<__m128i>()) };
        // SAFETY: `tail` is 48 readable bytes, and the load needs no alignment.
        let high = unsafe { _mm_loadu_si128(tail.as_ptr().cast::<__m128i>()) };
        let equal = _mm_packs_epi16(_mm_cmpeq_epi16(low, wanted), _mm_cmpeq_epi16(high, wanted));
        _mm_movemask_epi8(equal).cast_unsigned() & 0x3ff
    }

    /// Returns bit `2 * way` per equal tag.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn avx2(line: &TagLine, tag: u16) -> u32 {
        // SAFETY: `line` is 64 readable bytes, the load takes 32 and needs no alignment.
        let head = unsafe { _mm256_lddqu_si256(line.as_ptr().cast()) };
        let equal = _mm256_cmpeq_epi16(head, _mm256_set1_epi16(tag.cast_signed()));
        _mm256_movemask_epi8(equal).cast_unsigned() & 0x0005_5555
    }

    /// Returns one bit per equal tag, from bit 0.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl")]
    pub(crate) fn avx512(line: &TagLine, tag: u16) -> u32 {
        // SAFETY: `line` is 64 readable bytes, the load takes 32 and needs no alignment.
        let head = unsafe { _mm256_lddqu_si256(line.as_ptr().cast()) };
        u32::from(_mm256_mask_cmpeq_epi16_mask(0x3ff, head, _mm256_set1_epi16(tag.cast_signed())))
    }
}

#[cfg(target_arch = "aarch64")]
pub(super) mod arm {
    use super::TagLine;
    use core::arch::aarch64::{vaddvq_u16, vandq_u16, vceqq_u16, vdupq_n_u16, vld1q_u16, vorrq_u16};

    /// The bits of the tags' ways, for the first eight and for the others.
    const BITS: [[u16; 8]; 2] = [[1, 2, 4, 8, 16, 32, 64, 128], [256, 512, 0, 0, 0, 0, 0, 0]];

    /// Returns one bit per equal tag, from bit 0.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(crate) fn neon(line: &TagLine, tag: u16) -> u32 {
        let wanted = vdupq_n_u16(tag);
        let (head, tail) = line.split_at(8);
        // SAFETY: `head` is 16 readable bytes, and the load needs no alignment.
        let low = unsafe { vld1q_u16(head.as_ptr()) };
        // SAFETY: `tail` is 48 readable bytes, and the load needs no alignment.
        let high = unsafe { vld1q_u16(tail.as_ptr()) };
        // SAFETY: the array is 16 readable bytes.
        let low_bits = unsafe { vld1q_u16(BITS[0].as_ptr()) };
        // SAFETY: the array is 16 readable bytes.
        let high_bits = unsafe { vld1q_u16(BITS[1].as_ptr()) };
        let low = vandq_u16(vceqq_u16(low, wanted), low_bits);
        let high = vandq_u16(vceqq_u16(high, wanted), high_bits);
        vaddvq_u16(vorrq_u16(low, high)).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::{Isa, Kernel, Level};
    use proptest::prelude::*;

    struct Match<'a>(&'a TagLine, u16);

    impl Kernel for Match<'_> {
        type Output = Vec<u32>;

        fn run<I: Isa>(self, isa: I) -> Vec<u32> {
            let mut mask = isa.match_tags(self.0, self.1);
            let mut ways = Vec::new();
            while mask != 0 {
                ways.push(I::first_way(mask));
                mask &= mask - 1;
            }
            ways
        }
    }

    proptest! {
        #[test]
        fn every_instruction_set_finds_the_same_tags(
            line in proptest::array::uniform32(0u16..4),
            tag in 0u16..4,
        ) {
            let naive: Vec<u32> = (0..TAGS as u32).filter(|&way| line[way as usize] == tag).collect();
            for level in Level::all() {
                prop_assert_eq!(&level.run(Match(&line, tag)), &naive, "{:?}", level);
            }
        }
    }
}
