//! Run-time dispatch: code generic over the instruction set, compiled once for each and selected once per burst.

use super::compare::{self, MASK_WORDS};
use super::hash::{Secret, portable_hash};
use super::tags::{self, TagLine};

mod sealed {
    pub trait Sealed {}
}

/// The operations that depend on the instruction set. A value of an implementing type proves that the processor has it.
pub trait Isa: Copy + sealed::Sealed {
    /// Hashes a key of forty bytes. All levels except the portable one give the same value.
    fn hash(self, secret: &Secret, words: &[u64; 5]) -> u64;

    /// Hashes four keys.
    fn hash_four(self, secret: &Secret, words: [&[u64; 5]; 4]) -> [u64; 4];

    /// Returns a mask of the tags that equal `tag`, to be read by [`Self::first_way`]; zero if there is none.
    fn match_tags(self, line: &TagLine, tag: u16) -> u32;

    /// Returns all ones if two keys differ, else zero, without a branch.
    fn differs(self, one: &[u64; 5], other: &[u64; 5]) -> u32;

    /// Returns a bit for every word that equals `value`, from bit 0.
    fn equal_mask(self, words: &[u32; MASK_WORDS], value: u32) -> u32;

    /// Returns the first way in a mask of [`Self::match_tags`]; past the last way for an empty mask.
    fn first_way(mask: u32) -> u32;
}

/// Any processor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Portable(());

impl sealed::Sealed for Portable {}

impl Isa for Portable {
    #[inline(always)]
    fn hash(self, secret: &Secret, words: &[u64; 5]) -> u64 {
        portable_hash(secret, words)
    }

    #[inline(always)]
    fn hash_four(self, secret: &Secret, words: [&[u64; 5]; 4]) -> [u64; 4] {
        words.map(|words| portable_hash(secret, words))
    }

    #[inline(always)]
    fn match_tags(self, line: &TagLine, tag: u16) -> u32 {
        tags::portable(line, tag)
    }

    #[inline(always)]
    fn differs(self, one: &[u64; 5], other: &[u64; 5]) -> u32 {
        compare::portable(one, other)
    }

    #[inline(always)]
    fn equal_mask(self, words: &[u32; MASK_WORDS], value: u32) -> u32 {
        compare::portable_mask(words, value)
    }

    #[inline(always)]
    fn first_way(mask: u32) -> u32 {
        mask.trailing_zeros()
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Isa, MASK_WORDS, Secret, TagLine, compare, sealed, tags};
    use crate::cpu::hash;

    macro_rules! isa {
        ($(#[$doc:meta])* $name:ident, $four:path, $tags:path, $differs:path, $mask:path, $shift:literal) => {
            $(#[$doc])*
            #[derive(Clone, Copy, Debug)]
            pub(crate) struct $name(pub(super) ());

            impl sealed::Sealed for $name {}

            impl Isa for $name {
                #[inline(always)]
                fn hash(self, secret: &Secret, words: &[u64; 5]) -> u64 {
                    // SAFETY: a value of this type exists only if AES was detected.
                    unsafe { hash::aes::hash(secret, words) }
                }

                #[inline(always)]
                fn hash_four(self, secret: &Secret, words: [&[u64; 5]; 4]) -> [u64; 4] {
                    // SAFETY: a value of this type exists only if its features were detected.
                    unsafe { $four(secret, words) }
                }

                #[inline(always)]
                fn match_tags(self, line: &TagLine, tag: u16) -> u32 {
                    // SAFETY: a value of this type exists only if its features were detected.
                    unsafe { $tags(line, tag) }
                }

                #[inline(always)]
                fn differs(self, one: &[u64; 5], other: &[u64; 5]) -> u32 {
                    // SAFETY: a value of this type exists only if its features were detected.
                    unsafe { $differs(one, other) }
                }

                #[inline(always)]
                fn equal_mask(self, words: &[u32; MASK_WORDS], value: u32) -> u32 {
                    // SAFETY: a value of this type exists only if its features were detected.
                    unsafe { $mask(words, value) }
                }

                #[inline(always)]
                fn first_way(mask: u32) -> u32 {
                    mask.trailing_zeros() >> $shift
                }
            }
        };
    }

    isa!(
        /// AES and SSE2.
        Aes, hash::aes::hash_four, tags::x86::sse2, compare::x86::sse2, compare::x86::sse2_mask, 0
    );
    isa!(
        /// AES and AVX2.
        Avx2, hash::aes::hash_four, tags::x86::avx2, compare::x86::avx2, compare::x86::avx2_mask, 1
    );
    isa!(
        /// AES in vectors, and AVX-512.
        Avx512, hash::vaes::hash_four, tags::x86::avx512, compare::x86::avx512, compare::x86::avx512_mask, 0
    );
}

#[cfg(target_arch = "aarch64")]
mod arm {
    use super::{Isa, MASK_WORDS, Secret, TagLine, compare, sealed, tags};
    use crate::cpu::hash;

    /// AES and NEON.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Neon(pub(super) ());

    impl sealed::Sealed for Neon {}

    impl Isa for Neon {
        #[inline(always)]
        fn hash(self, secret: &Secret, words: &[u64; 5]) -> u64 {
            // SAFETY: a value of this type exists only if AES was detected.
            unsafe { hash::arm::hash(secret, words) }
        }

        #[inline(always)]
        fn hash_four(self, secret: &Secret, words: [&[u64; 5]; 4]) -> [u64; 4] {
            words.map(|words| self.hash(secret, words))
        }

        #[inline(always)]
        fn match_tags(self, line: &TagLine, tag: u16) -> u32 {
            // SAFETY: a value of this type exists only if NEON was detected.
            unsafe { tags::arm::neon(line, tag) }
        }

        #[inline(always)]
        fn differs(self, one: &[u64; 5], other: &[u64; 5]) -> u32 {
            compare::portable(one, other)
        }

        #[inline(always)]
        fn equal_mask(self, words: &[u32; MASK_WORDS], value: u32) -> u32 {
            // SAFETY: a value of this type exists only if NEON was detected.
            unsafe { compare::arm::neon_mask(words, value) }
        }

        #[inline(always)]
        fn first_way(mask: u32) -> u32 {
            mask.trailing_zeros()
        }
    }
}

/// Code that is compiled once for each instruction set. `run` must be `#[inline(always)]` to be compiled for any.
pub trait Kernel {
    /// The result.
    type Output;

    /// The body.
    fn run<I: Isa>(self, isa: I) -> Self::Output;
}

/// An instruction set that this processor supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(Inner);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inner {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Aes,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Level {
    /// The level that every processor supports.
    pub const PORTABLE: Self = Self(Inner::Portable);

    /// Detects the best level. Call it at creation, not on the packet path.
    #[must_use]
    pub fn best() -> Self {
        Self::all().last().unwrap_or(Self::PORTABLE)
    }

    /// Detects all supported levels, the best one last.
    pub fn all() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let found = {
            let aes = is_x86_feature_detected!("aes");
            let bmi = is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("bmi2");
            let avx2 = aes && bmi && is_x86_feature_detected!("avx2");
            let wide = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl");
            let avx512 = avx2 && wide && is_x86_feature_detected!("vaes");
            [(true, Inner::Portable), (aes, Inner::Aes), (avx2, Inner::Avx2), (avx512, Inner::Avx512)]
        };
        #[cfg(target_arch = "aarch64")]
        let found = {
            use std::arch::is_aarch64_feature_detected;
            let neon = is_aarch64_feature_detected!("neon") && is_aarch64_feature_detected!("aes");
            [(true, Inner::Portable), (neon, Inner::Neon)]
        };
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let found = [(true, Inner::Portable)];
        found.into_iter().filter(|(has, _)| *has).map(|(_, inner)| Self(inner))
    }

    /// Returns the level's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            Inner::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Inner::Aes => "aes",
            #[cfg(target_arch = "x86_64")]
            Inner::Avx2 => "aes+avx2",
            #[cfg(target_arch = "x86_64")]
            Inner::Avx512 => "vaes+avx512",
            #[cfg(target_arch = "aarch64")]
            Inner::Neon => "aes+neon",
        }
    }

    /// Runs the copy of `kernel` compiled for this level. Cost: one predictable jump.
    #[inline(always)]
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            Inner::Portable => kernel.run(Portable(())),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `Self::all` yields this level only if the processor has the features of `run_aes`.
            Inner::Aes => unsafe { run_aes(kernel) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `Self::all` yields this level only if the processor has the features of `run_avx2`.
            Inner::Avx2 => unsafe { run_avx2(kernel) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `Self::all` yields this level only if the processor has the features of `run_avx512`.
            Inner::Avx512 => unsafe { run_avx512(kernel) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: `Self::all` yields this level only if the processor has the features of `run_neon`.
            Inner::Neon => unsafe { run_neon(kernel) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "aes")]
fn run_aes<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(x86::Aes(()))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "aes,avx2,bmi1,bmi2")]
fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(x86::Avx2(()))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "aes,avx2,bmi1,bmi2,vaes,avx512f,avx512bw,avx512vl")]
fn run_avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(x86::Avx512(()))
}

#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon,aes")]
fn run_neon<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(arm::Neon(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_portable_level_is_first_and_the_best_one_last() {
        let levels: Vec<Level> = Level::all().collect();
        assert_eq!(levels[0], Level::PORTABLE);
        assert_eq!(levels.last(), Some(&Level::best()));
    }

    #[test]
    fn levels_have_different_names() {
        let mut names: Vec<&str> = Level::all().map(Level::name).collect();
        let levels = names.len();
        names.dedup();
        assert_eq!(names.len(), levels);
    }
}
