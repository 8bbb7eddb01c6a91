//! The index, hash to value: an array of [`Bucket`]s, and a short spill list.
//!
//! An entry is stored in its own bucket or, when that is full, in the first of six alternates with a free way. Its own
//! bucket records this in a filter, so a search for another key of that bucket still reads one line. Entries never move.
//! At 57 % load, one entry in a hundred is in an alternate. The spill list guarantees the planned capacity for small
//! tables and for unlucky hashes: among millions of entries, one may end there.

mod bucket;

use crate::cpu::{Hint, Isa, Near, prefetch};
use crate::error::Error;
use crate::memory::{Arena, FixedArray, bytes_of};
use bucket::WAYS;
pub(super) use bucket::{ALTERNATES, Bucket, Hash};

/// Ways for every hundred entries.
const WAYS_PER_HUNDRED: u64 = 175;

/// Length of the spill list: 64 for small tables, whose alternates may all be the same bucket, and more for large ones
/// than chance requires.
const fn spill_capacity(max_entries: u32) -> usize {
    64 + (max_entries >> 16) as usize
}

/// Buckets for this many entries: an even number.
const fn buckets_for(max_entries: u32) -> u32 {
    let ways = max_entries as u64 * WAYS_PER_HUNDRED / 100;
    ((ways / WAYS as u64) as u32 + 2) & !1
}

/// An entry that fitted into none of its buckets.
#[derive(Clone, Copy)]
struct Spilled {
    hash: Hash,
    value: u32,
}

/// The index. It stores values by hash; what a value means is up to the caller.
pub(super) struct Index {
    buckets: FixedArray<Bucket>,
    bucket_count: u32,
    spill: FixedArray<Spilled>,
    spilled: usize,
    entries: u32,
    max_entries: u32,
    overflowed: u32,
    deepest: u8,
}

/// How many entries are not in their own bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overflow {
    /// Entries outside their own bucket.
    pub overflowed: u32,
    /// Entries in the spill list.
    pub spilled: u32,
    /// The most alternates that an entry ever needed; [`ALTERNATES`] + 1 for the spill list.
    pub deepest: u8,
}

impl Index {
    /// Arrays that an index allocates.
    pub(super) const ARRAYS: usize = 2;

    pub(super) fn new(max_entries: u32, arena: &mut Arena) -> Result<Self, Error> {
        let bucket_count = buckets_for(max_entries);
        let empty = Spilled { hash: Hash(0), value: 0 };
        Ok(Self {
            buckets: arena.array("index buckets", bucket_count as usize, Bucket::EMPTY)?,
            bucket_count,
            spill: arena.array("index spill list", spill_capacity(max_entries), empty)?,
            spilled: 0,
            entries: 0,
            max_entries,
            overflowed: 0,
            deepest: 0,
        })
    }

    /// Builds an index without a table.
    #[cfg(test)]
    pub(super) fn standalone(max_entries: u32, memory: &crate::memory::Memory) -> Self {
        let bytes = Self::bytes_needed(max_entries);
        Self::new(max_entries, &mut memory.arena("an index", bytes, Self::ARRAYS, 0).unwrap()).unwrap()
    }

    /// Returns the bytes that an index for `max_entries` entries allocates.
    pub(super) const fn bytes_needed(max_entries: u32) -> usize {
        bytes_of::<Bucket>(buckets_for(max_entries) as usize)
            + bytes_of::<Spilled>(spill_capacity(max_entries))
    }

    /// Returns the bytes of its memory.
    pub(super) fn bytes(&self) -> usize {
        self.buckets.bytes() + self.spill.bytes()
    }

    /// Prefetches the own bucket of `hash`.
    #[inline(always)]
    pub(super) fn prefetch(&self, hash: Hash) {
        prefetch::<Near, _>(&self.buckets, hash.bucket(self.bucket_count));
    }

    /// Returns the number of entries.
    pub(super) const fn entries(&self) -> u32 {
        self.entries
    }

    pub(super) const fn overflow(&self) -> Overflow {
        Overflow { overflowed: self.overflowed, spilled: self.spilled as u32, deepest: self.deepest }
    }

    /// Returns the buckets, for the stages of a burst lookup.
    #[inline(always)]
    pub(super) fn buckets(&self) -> Buckets<'_> {
        Buckets { all: &self.buckets, count: self.bucket_count }
    }

    /// Returns the first value of `hash` that `accept` takes. `accept` may also see a few values of other hashes.
    #[inline(always)]
    pub(super) fn find<I: Isa>(
        &self,
        isa: I,
        hash: Hash,
        mut accept: impl FnMut(u32) -> bool,
    ) -> Option<u32> {
        let own = &self.buckets[hash.bucket(self.bucket_count)];
        let found = own.find(isa, hash.tag(), &mut accept);
        if found.is_some() || own.search_depth(hash) == 0 {
            return found;
        }
        self.find_elsewhere(isa, hash, own.search_depth(hash), &mut accept)
    }

    /// Returns the first candidate in the own bucket of `hash`, for prefetching what it refers to.
    #[inline(always)]
    pub(super) fn first_candidate<I: Isa>(&self, isa: I, hash: Hash) -> Option<u32> {
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

    /// Inserts an entry. Returns false, and changes nothing, when the index is full.
    #[inline(always)]
    #[must_use]
    pub(super) fn insert<I: Isa>(&mut self, isa: I, hash: Hash, value: u32) -> bool {
        if self.entries == self.max_entries {
            return false;
        }
        let own = hash.bucket(self.bucket_count);
        if !self.buckets[own].insert(isa, hash.tag(), value) && !self.insert_elsewhere(isa, hash, value) {
            return false;
        }
        self.entries += 1;
        true
    }

    #[cold]
    fn insert_elsewhere<I: Isa>(&mut self, isa: I, hash: Hash, value: u32) -> bool {
        let depth = (1..=ALTERNATES).find(|&depth| {
            self.buckets[hash.alternate(self.bucket_count, depth)].insert(isa, hash.tag(), value)
        });
        let depth = depth.unwrap_or(ALTERNATES + 1);
        if depth > ALTERNATES {
            if self.spilled == self.spill.len() {
                return false;
            }
            self.spill[self.spilled] = Spilled { hash, value };
            self.spilled += 1;
        }
        self.buckets[hash.bucket(self.bucket_count)].add_overflow(hash, depth);
        self.overflowed += 1;
        self.deepest = self.deepest.max(depth);
        true
    }

    /// Removes an entry. Returns false when there is no such entry.
    #[inline(always)]
    pub(super) fn remove<I: Isa>(&mut self, isa: I, hash: Hash, value: u32) -> bool {
        let own = hash.bucket(self.bucket_count);
        if !self.buckets[own].remove(isa, hash.tag(), value) && !self.remove_elsewhere(isa, hash, value) {
            return false;
        }
        self.entries -= 1;
        true
    }

    #[cold]
    fn remove_elsewhere<I: Isa>(&mut self, isa: I, hash: Hash, value: u32) -> bool {
        let own = hash.bucket(self.bucket_count);
        let depth = self.buckets[own].search_depth(hash);
        let removed = (1..=depth.min(ALTERNATES)).any(|alternate| {
            self.buckets[hash.alternate(self.bucket_count, alternate)].remove(isa, hash.tag(), value)
        });
        if !removed && !self.remove_spilled(hash, value) {
            return false;
        }
        self.buckets[own].remove_overflow();
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
pub(super) struct Buckets<'a> {
    all: &'a [Bucket],
    count: u32,
}

impl<'a> Buckets<'a> {
    /// Returns the number of the own bucket of `hash`. Flipping its lowest bit gives the first alternate.
    #[inline(always)]
    pub(super) fn number(self, hash: Hash) -> u32 {
        hash.bucket(self.count) as u32
    }

    /// Prefetches a bucket.
    #[inline(always)]
    pub(super) fn prefetch<H: Hint>(self, number: u32) {
        prefetch::<H, _>(self.all, number as usize);
    }

    #[inline(always)]
    pub(super) fn get(self, number: u32) -> &'a Bucket {
        &self.all[number as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::{Kernel, Level};
    use crate::memory::Memory;
    use crate::memory::recording::RecordingAllocator;

    struct InsertFindRemove<'a> {
        index: &'a mut Index,
        hashes: &'a [Hash],
    }

    impl Kernel for InsertFindRemove<'_> {
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
            let Overflow { overflowed, spilled, .. } = index.overflow();
            assert_eq!((index.entries(), overflowed, spilled), (0, 0, 0));
            assert!(index.buckets.iter().all(|bucket| bucket.search_depth(hashes[0]) == 0));
        }
    }

    #[test]
    fn entries_of_one_hash_fill_the_alternates_and_then_the_spill_list() {
        for level in Level::all() {
            let mut index = Index::standalone(1000, &Memory::SYSTEM);
            let hashes = vec![Hash(0x1234_5678_9abc_def1); 7 * WAYS + spill_capacity(1000)];
            level.run(InsertFindRemove { index: &mut index, hashes: &hashes });
            assert_eq!(index.overflow().deepest, ALTERNATES + 1);
        }
    }

    #[test]
    fn a_small_index_holds_its_capacity_whatever_the_hashes_are() {
        for max_entries in 1..=64 {
            let mut index = Index::standalone(max_entries, &Memory::SYSTEM);
            let hashes = vec![Hash::new(7); max_entries as usize];
            Level::PORTABLE.run(InsertFindRemove { index: &mut index, hashes: &hashes });
        }
    }

    #[test]
    fn bytes_needed_is_what_is_allocated() {
        let allocator = RecordingAllocator::default();
        let index = Index::standalone(12345, &allocator.memory());
        assert_eq!(index.bytes(), Index::bytes_needed(12345));
    }
}
