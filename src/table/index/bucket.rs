//! A bucket of the index, and the parts of a hash that the index uses.

use crate::cpu::{Isa, TAGS};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Entries in a bucket.
pub(super) const WAYS: usize = TAGS;

/// Further buckets that may hold an entry when its own is full.
pub(crate) const ALTERNATES: u8 = 6;

/// One cache line of the index.
///
/// ```text
///  0        20       22    23    24              64
///  | 10 tags | filter | out | deep | 10 values    |
/// ```
///
/// A tag of zero is a free way. `filter`, `overflowed` and `depth` describe entries of this bucket that are stored in
/// another one.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(64))]
pub(crate) struct Bucket {
    tags: [u16; WAYS],
    filter: u16,
    overflowed: u8,
    depth: u8,
    values: [u32; WAYS],
}

const _: () = assert!(size_of::<Bucket>() == 64);

impl Bucket {
    pub(crate) const EMPTY: Self =
        Self { tags: [0; WAYS], filter: 0, overflowed: 0, depth: 0, values: [0; WAYS] };

    /// Returns the ways whose tag is `tag`, as a mask for [`Isa::first_way`].
    #[inline(always)]
    pub(crate) fn ways<I: Isa>(&self, isa: I, tag: u16) -> u32 {
        isa.match_tags(zerocopy::transmute_ref!(self), tag)
    }

    /// Returns the value of a way. For a way out of range, returns another word of the line.
    #[inline(always)]
    pub(crate) fn value(&self, way: u32) -> u32 {
        const FIRST: u32 = (64 - 4 * WAYS as u32) / 4;
        let words: &[u32; 16] = zerocopy::transmute_ref!(self);
        words[(FIRST + way) as usize % 16]
    }

    /// Returns the first value of `tag` that `accept` takes.
    #[inline(always)]
    pub(crate) fn find<I: Isa>(&self, isa: I, tag: u16, accept: &mut impl FnMut(u32) -> bool) -> Option<u32> {
        let mut ways = self.ways(isa, tag);
        while ways != 0 {
            let value = self.value(I::first_way(ways));
            if accept(value) {
                return Some(value);
            }
            ways &= ways - 1;
        }
        None
    }

    /// Stores an entry in a free way. Returns false when there is none.
    #[inline(always)]
    pub(crate) fn insert<I: Isa>(&mut self, isa: I, tag: u16, value: u32) -> bool {
        let free = self.ways(isa, 0);
        if free == 0 {
            return false;
        }
        let way = I::first_way(free) as usize;
        self.tags[way] = tag;
        self.values[way] = value;
        true
    }

    /// Removes an entry. Returns false when it is not in this bucket.
    #[inline(always)]
    pub(crate) fn remove<I: Isa>(&mut self, isa: I, tag: u16, value: u32) -> bool {
        let mut ways = self.ways(isa, tag);
        while ways != 0 {
            let way = I::first_way(ways);
            if self.value(way) == value {
                self.tags[way as usize] = 0;
                return true;
            }
            ways &= ways - 1;
        }
        false
    }

    /// Returns how many alternates a search for `hash` must read after this bucket, its own. More than [`ALTERNATES`]
    /// means all of them and the spill list.
    #[inline(always)]
    pub(crate) const fn search_depth(&self, hash: Hash) -> u8 {
        if self.filter & hash.filter_bit() == 0 { 0 } else { self.depth }
    }

    /// Returns 1 if an entry of `hash` may be in another bucket, else 0.
    #[inline(always)]
    pub(crate) const fn has_overflow(&self, hash: Hash) -> u32 {
        (self.filter >> (hash.0 >> 16 & 15) & 1) as u32
    }

    /// Records that an entry of this bucket is stored in alternate `depth`.
    pub(crate) const fn add_overflow(&mut self, hash: Hash, depth: u8) {
        self.filter |= hash.filter_bit();
        self.overflowed = self.overflowed.saturating_add(1);
        if self.depth < depth {
            self.depth = depth;
        }
    }

    /// Records that an entry of this bucket was removed from an alternate. A saturated counter no longer counts, so it
    /// keeps its value.
    pub(crate) const fn remove_overflow(&mut self) {
        if self.overflowed < u8::MAX {
            self.overflowed -= 1;
        }
        if self.overflowed == 0 {
            self.filter = 0;
            self.depth = 0;
        }
    }
}

/// The hash of a key. The index uses the upper half for the bucket, the lower for the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Hash(pub u64);

impl Hash {
    /// Makes the tag odd, and so never zero. This costs one of its sixteen bits and saves two instructions per key.
    #[inline(always)]
    pub(crate) const fn new(hash: u64) -> Self {
        Self(hash | 1)
    }

    /// Returns the own bucket out of `buckets`. A multiplication works for any number of buckets.
    #[inline(always)]
    pub(crate) const fn bucket(self, buckets: u32) -> usize {
        (((self.0 >> 32) * buckets as u64) >> 32) as usize
    }

    /// Returns the bucket to use when the own one and `depth - 1` alternates are full. The first alternate is the other
    /// line of an aligned pair, which many processors fetch together. `buckets` is even for that.
    #[inline(always)]
    pub(crate) const fn alternate(self, buckets: u32, depth: u8) -> usize {
        if depth == 1 {
            return self.bucket(buckets) ^ 1;
        }
        let step = (self.0 as u32).wrapping_mul(0x9e37_79b1) | 1;
        let position = ((self.0 >> 32) as u32).wrapping_add(step.wrapping_mul(depth as u32));
        ((position as u64 * buckets as u64) >> 32) as usize
    }

    /// Returns the tag, never zero.
    #[inline(always)]
    pub(crate) const fn tag(self) -> u16 {
        self.0 as u16
    }

    #[inline(always)]
    const fn filter_bit(self) -> u16 {
        1 << (self.0 >> 16 & 15)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::{Kernel, Level};

    struct Fill<'a>(&'a mut Bucket);

    impl Kernel for Fill<'_> {
        type Output = ();

        fn run<I: Isa>(self, isa: I) {
            for value in 0..WAYS as u32 {
                assert!(self.0.insert(isa, 1 + value as u16 % 3, value));
            }
            assert!(!self.0.insert(isa, 9, 9));
            assert_eq!(self.0.find(isa, 2, &mut |value| value > 4), Some(7));
            assert_eq!(self.0.find(isa, 4, &mut |_| true), None);
            assert!(!self.0.remove(isa, 2, 5));
            assert!(self.0.remove(isa, 2, 4));
            assert!(!self.0.remove(isa, 2, 4));
            assert!(self.0.insert(isa, 2, 40));
            assert_eq!(self.0.find(isa, 2, &mut |value| value > 7), Some(40));
        }
    }

    #[test]
    fn a_bucket_holds_ten_entries_and_reuses_removed_ones() {
        for level in Level::all() {
            level.run(Fill(&mut Bucket::EMPTY.clone()));
        }
    }

    #[test]
    fn the_filter_is_cleared_with_the_last_overflowed_entry() {
        let mut bucket = Bucket::EMPTY;
        let (first, second) = (Hash(0x3_0000), Hash(0x4_0000));
        bucket.add_overflow(first, 1);
        bucket.add_overflow(first, 3);
        assert_eq!((bucket.search_depth(first), bucket.search_depth(second)), (3, 0));
        bucket.remove_overflow();
        assert_eq!(bucket.search_depth(first), 3);
        bucket.remove_overflow();
        assert_eq!(bucket.search_depth(first), 0);
    }

    #[test]
    fn a_saturated_counter_keeps_the_filter() {
        let mut bucket = Bucket::EMPTY;
        for _ in 0..300 {
            bucket.add_overflow(Hash(0), 1);
        }
        for _ in 0..300 {
            bucket.remove_overflow();
        }
        assert_eq!(bucket.search_depth(Hash(0)), 1);
    }

    #[test]
    fn bucket_numbers_are_in_range() {
        for buckets in [2, 4, 1000, u32::MAX - 1] {
            for hash in [0, 1, u64::MAX, 0x8000_0000_7fff_ffff].map(Hash::new) {
                assert!(hash.bucket(buckets) < buckets as usize);
                for depth in 1..=ALTERNATES {
                    assert!(hash.alternate(buckets, depth) < buckets as usize);
                }
            }
        }
    }

    #[test]
    fn no_tag_is_zero() {
        assert_eq!(Hash::new(0).tag(), 1);
        assert_eq!(Hash::new(0xffff_0000).tag(), 1);
        assert_eq!(Hash::new(0xfffe).tag(), 0xffff);
    }
}
