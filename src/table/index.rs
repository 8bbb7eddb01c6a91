//! Hash to value: an array of [`Bucket`]s and a tiny list for what fits nowhere.
//!
//! An entry goes to its own bucket, or, when that is full, to the first of six alternates with room. Its own bucket
//! notes the detour in a filter, so that a search for any other key of that bucket still reads one line. Nothing is
//! ever moved. At 57 % load one entry in a hundred takes a detour. The list is there because the
//! promised capacity must fit for small tables and bad luck too: in millions of entries one may need it.

use super::bucket::{ALTERNATES, Bucket, Hash, WAYS};
use crate::cpu::{Hint, Isa, Near, prefetch};
use crate::error::Error;
use crate::memory::{Arena, FixedArray, PageMode, bytes_of};

/// Ways for every hundred entries.
const WAYS_PER_HUNDRED: u64 = 175;

/// Places in the list: some for small tables, where all alternates may be the same bucket, and more than chance asks
/// for in large ones.
const fn spill_for(limit: u32) -> usize {
    64 + (limit >> 16) as usize
}

/// An entry that found no room in any of its buckets.
#[derive(Clone, Copy)]
struct Spilled {
    hash: Hash,
    value: u32,
}

/// The index. It knows values and hashes; what they mean is the caller's.
pub struct Index {
    buckets: FixedArray<Bucket>,
    bucket_count: u32,
    spill: FixedArray<Spilled>,
    spilled: usize,
    entries: u32,
    limit: u32,
    overflowed: u32,
    deepest: u8,
}

/// Buckets for so many entries: an even number.
const fn buckets_for(limit: u32) -> u32 {
    let ways = limit as u64 * WAYS_PER_HUNDRED / 100;
    ((ways / WAYS as u64) as u32 + 2) & !1
}

impl Index {
    /// Arrays that an index makes.
    pub const ARRAYS: usize = 2;

    /// An index for up to `limit` entries.
    pub fn new(limit: u32, arena: &mut Arena) -> Result<Self, Error> {
        let bucket_count = buckets_for(limit);
        let nothing = Spilled { hash: Hash(0), value: 0 };
        Ok(Self {
            buckets: arena.array("index buckets", bucket_count as usize, Bucket::EMPTY)?,
            bucket_count,
            spill: arena.array("index spill list", spill_for(limit), nothing)?,
            spilled: 0,
            entries: 0,
            limit,
            overflowed: 0,
            deepest: 0,
        })
    }

    /// An index with memory of its own.
    #[cfg(test)]
    pub fn alone(limit: u32, memory: &crate::memory::Memory) -> Self {
        let bytes = Self::bytes_needed(limit);
        Self::new(limit, &mut memory.arena("an index", bytes, Self::ARRAYS, 0).unwrap()).unwrap()
    }

    /// Bytes that an index for `limit` entries asks for.
    pub const fn bytes_needed(limit: u32) -> usize {
        bytes_of::<Bucket>(buckets_for(limit) as usize) + bytes_of::<Spilled>(spill_for(limit))
    }

    /// Bytes that it has.
    pub fn bytes(&self) -> usize {
        self.buckets.bytes() + self.spill.bytes()
    }

    /// The pages under the buckets.
    pub fn page_mode(&self) -> PageMode {
        self.buckets.page_mode()
    }

    /// Starts loading the bucket that `hash` belongs to.
    #[inline(always)]
    pub fn prefetch(&self, hash: Hash) {
        prefetch::<Near, _>(&self.buckets, hash.bucket(self.bucket_count));
    }

    /// Entries in it.
    pub const fn entries(&self) -> u32 {
        self.entries
    }

    /// Entries that are not in their own bucket now, entries on the list now, and the deepest detour ever taken.
    pub const fn overflow(&self) -> (u32, u32, u8) {
        (self.overflowed, self.spilled as u32, self.deepest)
    }

    /// The buckets, for the burst stages.
    #[inline(always)]
    pub fn buckets(&self) -> Buckets<'_> {
        Buckets { all: &self.buckets, count: self.bucket_count }
    }

    /// The first value under `hash` that `accept` takes. Values of other keys may be offered, if rarely.
    #[inline(always)]
    pub fn find<I: Isa>(&self, isa: I, hash: Hash, mut accept: impl FnMut(u32) -> bool) -> Option<u32> {
        let own = &self.buckets[hash.bucket(self.bucket_count)];
        let found = own.find(isa, hash.tag(), &mut accept);
        if found.is_some() || own.depth_for(hash) == 0 {
            return found;
        }
        self.find_elsewhere(isa, hash, own.depth_for(hash), &mut accept)
    }

    /// The first value in `hash`'s own bucket that may be of it: to send for what it stands for.
    #[inline(always)]
    pub fn likely<I: Isa>(&self, isa: I, hash: Hash) -> Option<u32> {
        self.buckets[hash.bucket(self.bucket_count)].find(isa, hash.tag(), &mut |_| true)
    }

    #[cold]
    fn find_elsewhere<I: Isa>(
        &self,
        isa: I,
        hash: Hash,
        depth: u8,
        accept: &mut impl FnMut(u32) -> bool,
    ) -> Option<u32> {
        for alternate in 1..=depth.min(ALTERNATES) {
            let bucket = &self.buckets[hash.alternate(self.bucket_count, alternate)];
            if let Some(value) = bucket.find(isa, hash.tag(), accept) {
                return Some(value);
            }
        }
        if depth <= ALTERNATES {
            return None;
        }
        let list = &self.spill[..self.spilled];
        list.iter().find(|entry| entry.hash == hash && accept(entry.value)).map(|entry| entry.value)
    }

    /// Adds an entry; false, and nothing changed, when there is no room.
    #[inline(always)]
    #[must_use]
    pub fn insert<I: Isa>(&mut self, isa: I, hash: Hash, value: u32) -> bool {
        if self.entries == self.limit {
            return false;
        }
        let own = hash.bucket(self.bucket_count);
        if !self.buckets[own].put(isa, hash.tag(), value) && !self.insert_elsewhere(isa, hash, value) {
            return false;
        }
        self.entries += 1;
        true
    }

    #[cold]
    fn insert_elsewhere<I: Isa>(&mut self, isa: I, hash: Hash, value: u32) -> bool {
        let depth = (1..=ALTERNATES).find(|&depth| {
            self.buckets[hash.alternate(self.bucket_count, depth)].put(isa, hash.tag(), value)
        });
        let depth = depth.unwrap_or(ALTERNATES + 1);
        if depth > ALTERNATES {
            if self.spilled == self.spill.len() {
                return false;
            }
            self.spill[self.spilled] = Spilled { hash, value };
            self.spilled += 1;
        }
        self.buckets[hash.bucket(self.bucket_count)].note_overflow(hash, depth);
        self.overflowed += 1;
        self.deepest = self.deepest.max(depth);
        true
    }

    /// Takes an entry out; false when there is none such.
    #[inline(always)]
    pub fn remove<I: Isa>(&mut self, isa: I, hash: Hash, value: u32) -> bool {
        let own = hash.bucket(self.bucket_count);
        if !self.buckets[own].take(isa, hash.tag(), value) && !self.remove_elsewhere(isa, hash, value) {
            return false;
        }
        self.entries -= 1;
        true
    }

    #[cold]
    fn remove_elsewhere<I: Isa>(&mut self, isa: I, hash: Hash, value: u32) -> bool {
        let own = hash.bucket(self.bucket_count);
        let depth = self.buckets[own].depth_for(hash);
        let taken = (1..=depth.min(ALTERNATES)).any(|alternate| {
            self.buckets[hash.alternate(self.bucket_count, alternate)].take(isa, hash.tag(), value)
        });
        if !taken && !self.remove_spilled(hash, value) {
            return false;
        }
        self.buckets[own].forget_overflow();
        self.overflowed -= 1;
        true
    }

    fn remove_spilled(&mut self, hash: Hash, value: u32) -> bool {
        let list = &mut self.spill[..self.spilled];
        let Some(at) = list.iter().position(|entry| entry.hash == hash && entry.value == value) else {
            return false;
        };
        list.swap(at, self.spilled - 1);
        self.spilled -= 1;
        true
    }
}

/// The buckets of an index, read only.
#[derive(Clone, Copy)]
pub struct Buckets<'a> {
    all: &'a [Bucket],
    count: u32,
}

impl<'a> Buckets<'a> {
    /// The number of the bucket that `hash` belongs to. Its neighbour, and first alternate, is that number's other in the
    /// pair.
    #[inline(always)]
    pub fn number(self, hash: Hash) -> u32 {
        hash.bucket(self.count) as u32
    }

    /// Starts loading a bucket.
    #[inline(always)]
    pub fn prefetch<H: Hint>(self, number: u32) {
        prefetch::<H, _>(self.all, number as usize);
    }

    /// A bucket.
    #[inline(always)]
    pub fn get(self, number: u32) -> &'a Bucket {
        &self.all[number as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::{Kernel, Level};
    use crate::memory::Memory;

    struct Crowd<'a> {
        index: &'a mut Index,
        hashes: &'a [Hash],
    }

    impl Kernel for Crowd<'_> {
        type Output = ();

        fn run<I: Isa>(self, isa: I) {
            let Self { index, hashes } = self;
            for (value, &hash) in hashes.iter().enumerate() {
                assert!(index.insert(isa, hash, value as u32), "entry {value} of {}", hashes.len());
            }
            for (value, &hash) in hashes.iter().enumerate() {
                assert_eq!(index.find(isa, hash, |found| found == value as u32), Some(value as u32));
                assert_eq!(index.find(isa, hash, |_| false), None);
            }
            for (value, &hash) in hashes.iter().enumerate() {
                assert!(index.remove(isa, hash, value as u32));
                assert!(!index.remove(isa, hash, value as u32));
                assert_eq!(index.find(isa, hash, |found| found == value as u32), None);
            }
            assert_eq!((index.entries(), index.overflow().0, index.overflow().1), (0, 0, 0));
            assert!(index.buckets.iter().all(|bucket| bucket.depth_for(hashes[0]) == 0));
        }
    }

    #[test]
    fn entries_of_one_hash_fill_the_alternates_and_then_the_list() {
        for level in Level::all() {
            let mut index = Index::alone(1000, &Memory::SYSTEM);
            let hashes = vec![Hash(0x1234_5678_9abc_def1); 7 * WAYS + spill_for(1000)];
            level.run(Crowd { index: &mut index, hashes: &hashes });
            assert_eq!(index.overflow(), (0, 0, ALTERNATES + 1));
        }
    }

    #[test]
    fn any_small_number_of_entries_fits_whatever_the_hashes_are() {
        for limit in 1..=64 {
            let mut index = Index::alone(limit, &Memory::SYSTEM);
            let hashes = vec![Hash::new(7); limit as usize];
            Level::PORTABLE.run(Crowd { index: &mut index, hashes: &hashes });
        }
    }

    #[test]
    fn bytes_needed_are_those_asked_for() {
        let allocator = crate::memory::recording::RecordingAllocator::default();
        let index = Index::alone(12345, &allocator.memory());
        assert_eq!(index.bytes(), Index::bytes_needed(12345));
    }
}
