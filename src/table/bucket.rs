//! One line of the index, and what a hash says about it.

use crate::cpu::{Isa, TAGS};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Entries in a bucket.
pub const WAYS: usize = TAGS;

/// Buckets that an entry may go to when its own is full.
pub const ALTERNATES: u8 = 6;

/// One cache line of the index.
///
/// ```text
///  0        20       22    23    24              64
///  | 10 tags | filter | out | deep | 10 values    |
/// ```
///
/// A tag of zero is a free way. `filter`, `overflowed` and `depth` speak of the entries that belong here and had to go
/// elsewhere.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(64))]
pub struct Bucket {
    tags: [u16; WAYS],
    filter: u16,
    overflowed: u8,
    depth: u8,
    values: [u32; WAYS],
}

const _: () = assert!(size_of::<Bucket>() == 64);

impl Bucket {
    /// A bucket without entries.
    pub const EMPTY: Self = Self { tags: [0; WAYS], filter: 0, overflowed: 0, depth: 0, values: [0; WAYS] };

    /// Ways whose tag is `tag`, as [`Isa::first_way`] reads them.
    #[inline(always)]
    pub fn ways<I: Isa>(&self, isa: I, tag: u16) -> u32 {
        isa.match_tags(zerocopy::transmute_ref!(self), tag)
    }

    /// The value of a way; of some other word of the line when there is no such way.
    #[inline(always)]
    pub fn value(&self, way: u32) -> u32 {
        const FIRST: u32 = (64 - 4 * WAYS as u32) / 4;
        let words: &[u32; 16] = zerocopy::transmute_ref!(self);
        words[(FIRST + way) as usize % 16]
    }

    /// The first entry of `tag` whose value `accept` takes.
    #[inline(always)]
    pub fn find<I: Isa>(&self, isa: I, tag: u16, accept: &mut impl FnMut(u32) -> bool) -> Option<u32> {
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

    /// Puts an entry into a free way; false when there is none.
    #[inline(always)]
    pub fn put<I: Isa>(&mut self, isa: I, tag: u16, value: u32) -> bool {
        let free = self.ways(isa, 0);
        if free == 0 {
            return false;
        }
        let way = I::first_way(free) as usize;
        self.tags[way] = tag;
        self.values[way] = value;
        true
    }

    /// Takes an entry out; false when it is not here.
    #[inline(always)]
    pub fn take<I: Isa>(&mut self, isa: I, tag: u16, value: u32) -> bool {
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

    /// How deep a search for `hash` must go beyond this bucket, its own: 0 for not at all, more than [`ALTERNATES`] for
    /// all of them and the list.
    #[inline(always)]
    pub const fn depth_for(&self, hash: Hash) -> u8 {
        if self.filter & hash.filter_bit() == 0 { 0 } else { self.depth }
    }

    /// One if entries like `hash`'s may be in another bucket, else zero.
    #[inline(always)]
    pub const fn points_elsewhere(&self, hash: Hash) -> u32 {
        (self.filter >> (hash.0 >> 16 & 15) & 1) as u32
    }

    /// Notes that an entry of this bucket went to alternate `depth`.
    pub const fn note_overflow(&mut self, hash: Hash, depth: u8) {
        self.filter |= hash.filter_bit();
        self.overflowed = self.overflowed.saturating_add(1);
        if self.depth < depth {
            self.depth = depth;
        }
    }

    /// Notes that an entry of this bucket left an alternate. A counter that has reached its end says nothing any more
    /// and stays there.
    pub const fn forget_overflow(&mut self) {
        if self.overflowed < u8::MAX {
            self.overflowed -= 1;
        }
        if self.overflowed == 0 {
            self.filter = 0;
            self.depth = 0;
        }
    }
}

/// A key's hash, and the parts of it that the index uses: the upper half for the bucket, the lower for the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Hash(pub u64);

impl Hash {
    /// From a key's hash. The tag is made odd, and so never zero: one bit of sixteen is a low price for two instructions a
    /// key.
    #[inline(always)]
    pub const fn new(hash: u64) -> Self {
        Self(hash | 1)
    }

    /// The bucket that the key belongs to, out of `buckets`, by multiplication: any number of buckets will do.
    #[inline(always)]
    pub const fn bucket(self, buckets: u32) -> usize {
        (((self.0 >> 32) * buckets as u64) >> 32) as usize
    }

    /// The bucket to go to when the own one and `depth - 1` alternates are full. `buckets` is even: the first alternate is
    /// the neighbour in the own bucket's pair of lines, which many processors fetch along with it.
    #[inline(always)]
    pub const fn alternate(self, buckets: u32, depth: u8) -> usize {
        if depth == 1 {
            return self.bucket(buckets) ^ 1;
        }
        let step = (self.0 as u32).wrapping_mul(0x9e37_79b1) | 1;
        let place = ((self.0 >> 32) as u32).wrapping_add(step.wrapping_mul(depth as u32));
        ((place as u64 * buckets as u64) >> 32) as usize
    }

    /// The tag, never zero.
    #[inline(always)]
    pub const fn tag(self) -> u16 {
        self.0 as u16
    }

    /// The bit of the own bucket's filter.
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
                assert!(self.0.put(isa, 1 + value as u16 % 3, value));
            }
            assert!(!self.0.put(isa, 9, 9));
            assert_eq!(self.0.find(isa, 2, &mut |value| value > 4), Some(7));
            assert_eq!(self.0.find(isa, 4, &mut |_| true), None);
            assert!(!self.0.take(isa, 2, 5));
            assert!(self.0.take(isa, 2, 4));
            assert!(!self.0.take(isa, 2, 4));
            assert!(self.0.put(isa, 2, 40));
            assert_eq!(self.0.find(isa, 2, &mut |value| value > 7), Some(40));
        }
    }

    #[test]
    fn a_bucket_keeps_ten_entries_and_gives_them_back() {
        for level in Level::all() {
            level.run(Fill(&mut Bucket::EMPTY.clone()));
        }
    }

    #[test]
    fn the_filter_is_cleared_when_the_last_overflowed_entry_is_gone() {
        let mut bucket = Bucket::EMPTY;
        let (first, second) = (Hash(0x3_0000), Hash(0x4_0000));
        bucket.note_overflow(first, 1);
        bucket.note_overflow(first, 3);
        assert_eq!((bucket.depth_for(first), bucket.depth_for(second)), (3, 0));
        bucket.forget_overflow();
        assert_eq!(bucket.depth_for(first), 3);
        bucket.forget_overflow();
        assert_eq!(bucket.depth_for(first), 0);
    }

    #[test]
    fn a_counter_at_its_end_keeps_the_filter() {
        let mut bucket = Bucket::EMPTY;
        for _ in 0..300 {
            bucket.note_overflow(Hash(0), 1);
        }
        for _ in 0..300 {
            bucket.forget_overflow();
        }
        assert_eq!(bucket.depth_for(Hash(0)), 1);
    }

    #[test]
    fn buckets_are_in_range_for_any_number_of_them() {
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
