//! The index hash: a keyed, nonlinear hash of forty bytes to 64 bits.
//!
//! An attacker who knows the hash can send packets that all fall into one bucket. Without the secret he cannot: two AES
//! rounds separate any two absorbed blocks, so cancelling a difference in one block with the next takes a guess. It is not a
//! cryptographic hash and need not be, because its output is never revealed.

/// Four random words from the host, one set per engine.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret(pub [u64; 4]);

impl core::fmt::Debug for Secret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Multiplies to 128 bits and combines both halves by exclusive or.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "takes the low half")]
const fn fold(a: u64, b: u64) -> u64 {
    let wide = (a as u128).wrapping_mul(b as u128);
    (wide as u64) ^ ((wide >> 64) as u64)
}

/// The hash for processors without AES: folded multiplications.
///
/// Both halves of the key are mixed with different secret words, then combined. Cost: five multiplications, two of them in
/// the dependency chain.
#[inline(always)]
#[must_use]
pub(super) const fn portable_hash(secret: &Secret, words: &[u64; 5]) -> u64 {
    let s = &secret.0;
    let first = fold(words[0] ^ s[0], words[1] ^ s[1]);
    let second = fold(words[2] ^ s[2], words[3] ^ s[3]);
    let ports = fold(words[4] ^ s[1], s[2] | 1);
    let mixed = fold(first ^ s[3] ^ ports.rotate_left(23), second.rotate_left(32) ^ s[0] ^ ports);
    fold(mixed ^ s[2], s[3] | 1)
}

#[cfg(target_arch = "x86_64")]
pub(super) mod aes {
    use super::Secret;
    use core::arch::x86_64::{__m128i, _mm_aesenc_si128, _mm_cvtsi128_si64, _mm_set_epi64x, _mm_xor_si128};

    #[inline(always)]
    pub(super) fn block(low: u64, high: u64) -> __m128i {
        // SAFETY: SSE2 is part of x86-64.
        unsafe { _mm_set_epi64x(high.cast_signed(), low.cast_signed()) }
    }

    /// Absorbs three blocks with two rounds after each and one more at the end. The last two blocks overlap, so that each is
    /// one load.
    #[inline]
    #[target_feature(enable = "aes")]
    pub(crate) fn hash(secret: &Secret, words: &[u64; 5]) -> u64 {
        let s = &secret.0;
        let first = block(s[0], s[1]);
        let second = block(s[2], s[3]);
        let mut x = _mm_xor_si128(block(words[0], words[1]), first);
        x = _mm_aesenc_si128(x, second);
        x = _mm_aesenc_si128(x, _mm_xor_si128(first, block(words[2], words[3])));
        x = _mm_aesenc_si128(x, second);
        x = _mm_aesenc_si128(x, _mm_xor_si128(first, block(words[3], words[4])));
        x = _mm_aesenc_si128(x, second);
        x = _mm_aesenc_si128(x, first);
        x = _mm_aesenc_si128(x, second);
        _mm_cvtsi128_si64(x).cast_unsigned()
    }

    #[inline]
    #[target_feature(enable = "aes")]
    pub(crate) fn hash_four(secret: &Secret, words: [&[u64; 5]; 4]) -> [u64; 4] {
        let [a, b, c, d] = words;
        [hash(secret, a), hash(secret, b), hash(secret, c), hash(secret, d)]
    }
}

/// Four keys in the four 128-bit parts of a 512-bit register, each hashed as in [`aes`].
#[cfg(target_arch = "x86_64")]
pub(super) mod vaes {
    use super::Secret;
    use super::aes::block;
    use core::arch::x86_64::{
        __m512i, _mm256_extract_epi64, _mm512_aesenc_epi128, _mm512_broadcast_i32x4, _mm512_castsi128_si512,
        _mm512_castsi512_si256, _mm512_inserti32x4, _mm512_maskz_compress_epi64, _mm512_xor_si512,
    };

    /// Returns one block of each key, beginning at word `N`.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn blocks<const N: usize>(words: [&[u64; 5]; 4]) -> __m512i {
        let [a, b, c, d] = words.map(|words| block(words[N], words[N + 1]));
        let x = _mm512_castsi128_si512(a);
        let x = _mm512_inserti32x4::<1>(x, b);
        let x = _mm512_inserti32x4::<2>(x, c);
        _mm512_inserti32x4::<3>(x, d)
    }

    #[inline]
    #[target_feature(enable = "vaes,avx512f,avx2")]
    pub(crate) fn hash_four(secret: &Secret, words: [&[u64; 5]; 4]) -> [u64; 4] {
        let s = &secret.0;
        let first = _mm512_broadcast_i32x4(block(s[0], s[1]));
        let second = _mm512_broadcast_i32x4(block(s[2], s[3]));
        let mut x = _mm512_xor_si512(blocks::<0>(words), first);
        x = _mm512_aesenc_epi128(x, second);
        x = _mm512_aesenc_epi128(x, _mm512_xor_si512(first, blocks::<2>(words)));
        x = _mm512_aesenc_epi128(x, second);
        x = _mm512_aesenc_epi128(x, _mm512_xor_si512(first, blocks::<3>(words)));
        x = _mm512_aesenc_epi128(x, second);
        x = _mm512_aesenc_epi128(x, first);
        x = _mm512_aesenc_epi128(x, second);
        let low = _mm512_castsi512_si256(_mm512_maskz_compress_epi64(0b0101_0101, x));
        let word = |word: i64| word.cast_unsigned();
        [
            word(_mm256_extract_epi64::<0>(low)),
            word(_mm256_extract_epi64::<1>(low)),
            word(_mm256_extract_epi64::<2>(low)),
            word(_mm256_extract_epi64::<3>(low)),
        ]
    }
}

/// The same hash as in [`aes`], with the instructions of aarch64. They add a round's key before the round, those of x86-64
/// after it.
#[cfg(target_arch = "aarch64")]
pub(super) mod arm {
    use super::Secret;
    use core::arch::aarch64::{
        uint8x16_t, vaeseq_u8, vaesmcq_u8, vcombine_u64, vcreate_u64, veorq_u8, vgetq_lane_u64,
        vreinterpretq_u8_u64, vreinterpretq_u64_u8,
    };

    #[inline]
    #[target_feature(enable = "neon")]
    fn block(low: u64, high: u64) -> uint8x16_t {
        vreinterpretq_u8_u64(vcombine_u64(vcreate_u64(low), vcreate_u64(high)))
    }

    #[inline]
    #[target_feature(enable = "neon,aes")]
    fn round(x: uint8x16_t, key: uint8x16_t) -> uint8x16_t {
        vaesmcq_u8(vaeseq_u8(x, key))
    }

    #[inline]
    #[target_feature(enable = "neon,aes")]
    pub(crate) fn hash(secret: &Secret, words: &[u64; 5]) -> u64 {
        let s = &secret.0;
        let first = block(s[0], s[1]);
        let second = block(s[2], s[3]);
        let mut x = round(block(words[0], words[1]), first);
        x = round(x, second);
        x = round(x, veorq_u8(first, block(words[2], words[3])));
        x = round(x, second);
        x = round(x, veorq_u8(first, block(words[3], words[4])));
        x = round(x, second);
        x = round(x, first);
        vgetq_lane_u64::<0>(vreinterpretq_u64_u8(veorq_u8(x, second)))
    }
}

#[cfg(test)]
mod tests {
    use crate::cpu::{Isa, Kernel, Level, Secret};

    const SECRET: Secret = Secret([0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344, 0xa409_3822_299f_31d0, 7]);

    struct Hash<'a>(&'a Secret, &'a [u64; 5]);

    impl Kernel for Hash<'_> {
        type Output = u64;

        fn run<I: Isa>(self, isa: I) -> u64 {
            isa.hash(self.0, self.1)
        }
    }

    /// Two nodes never compare hashes, but one value for all processors with AES keeps their code comparable.
    #[test]
    fn processors_with_aes_give_one_value() {
        let words = [1, 2, 3, 4, 5];
        for level in Level::all().filter(|level| *level != Level::PORTABLE) {
            assert_eq!(level.run(Hash(&SECRET, &words)), 0x85f6_b3fe_8f6d_3033, "{level:?}");
        }
    }

    fn bit(words: &[u64; 5], index: usize) -> [u64; 5] {
        let mut changed = *words;
        changed[index / 64] ^= 1 << (index % 64);
        changed
    }

    #[test]
    fn every_input_bit_flips_every_output_bit_about_half_the_time() {
        for level in Level::all() {
            for input in 0..320 {
                let mut flips = [0u32; 64];
                for n in 0..256u64 {
                    let words = [n, n << 32, 3 * n, 0, n * n];
                    let difference =
                        level.run(Hash(&SECRET, &words)) ^ level.run(Hash(&SECRET, &bit(&words, input)));
                    for (output, count) in flips.iter_mut().enumerate() {
                        *count += u32::from(difference >> output & 1 == 1);
                    }
                }
                let (min, max) = (flips.iter().min().unwrap(), flips.iter().max().unwrap());
                assert!(*min > 64 && *max < 192, "{level:?} input bit {input}: {flips:?}");
            }
        }
    }

    struct Four<'a>(&'a Secret, [&'a [u64; 5]; 4]);

    impl Kernel for Four<'_> {
        type Output = [u64; 4];

        fn run<I: Isa>(self, isa: I) -> [u64; 4] {
            isa.hash_four(self.0, self.1)
        }
    }

    #[test]
    fn four_keys_at_once_have_the_same_hashes_as_one_at_a_time() {
        for level in Level::all() {
            for n in 0..1000u64 {
                let word = |k: u64| (n * 4 + k).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let keys: [[u64; 5]; 4] =
                    core::array::from_fn(|k| core::array::from_fn(|w| word(k as u64) ^ w as u64));
                let alone = keys.each_ref().map(|key| level.run(Hash(&SECRET, key)));
                assert_eq!(level.run(Four(&SECRET, keys.each_ref())), alone, "{level:?}");
            }
        }
    }

    #[test]
    fn another_secret_gives_another_hash() {
        for level in Level::all() {
            let words = [1, 0, 2, 0, 3];
            for word in 0..4 {
                let mut other = SECRET;
                other.0[word] ^= 1;
                assert_ne!(level.run(Hash(&SECRET, &words)), level.run(Hash(&other, &words)), "{level:?}");
            }
        }
    }

    /// For a linear hash such as CRC or Toeplitz, h(a) ^ h(b) ^ h(c) equals h(a ^ b ^ c).
    #[test]
    fn the_hash_is_not_linear() {
        for level in Level::all() {
            let h = |n: u64| level.run(Hash(&SECRET, &[n, 0, 0x0a00_0001, 0, 80]));
            let linear =
                (0..1000u64).filter(|&n| h(n) ^ h(n + 1) ^ h(n + 2) == h(n ^ (n + 1) ^ (n + 2))).count();
            assert_eq!(linear, 0, "{level:?}");
        }
    }

    #[test]
    fn sequential_keys_spread_evenly_over_high_and_low_bits() {
        for level in Level::all() {
            for shift in [0, 16, 32, 52] {
                let mut counts = vec![0u32; 1 << 12];
                for n in 0..1u64 << 16 {
                    let hash = level.run(Hash(&SECRET, &[0x0a, 0, n << 16, 0, 0x1_0000_0050 | n << 40]));
                    counts[(hash >> shift & 0xfff) as usize] += 1;
                }
                let max = *counts.iter().max().unwrap();
                assert!(max < 16 + 40, "{level:?}: {max} in one of 4096 buckets, 16 on average");
            }
        }
    }
}
