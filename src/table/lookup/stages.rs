//! The stages of a burst lookup, over up to 32 keys. No stage waits for memory that a stage before it could prefetch.
//!
//! 1. hash: hashes the key, prefetches its bucket;
//! 2. probe: compares the bucket's tags, takes the first match without a branch, prefetches its hot record;
//! 3. match: compares the keys.
//!
//! The few keys with entries in an alternate bucket are probed again at the end of stage 2. Keys that stage 3 leaves
//! unresolved (two entries of one tag, entries in further alternates: rare) are searched one by one. The loops are the same
//! for IPv4 and IPv6, and for hits and misses.

use super::super::index::{Bucket, Buckets, Hash};
use super::super::{Slot, Table};
use crate::cpu::{Hint, Isa, MASK_WORDS, Secret, prefetch};
use crate::packet::{Direction, Key};
use crate::state::{Cold, Hot, LocalFlags};
use core::hint::select_unpredictable;
use core::marker::PhantomData;

/// Keys in flight together. A core sustains about twenty outstanding cache misses; fewer keys leave it idle.
pub(super) const CHUNK: usize = MASK_WORDS;

/// What the stages pass on about up to [`CHUNK`] keys.
pub(super) struct Chunk {
    hashes: [Hash; CHUNK],
    /// The keys' own buckets.
    buckets: [u32; CHUNK],
    /// The value of each key's candidate entry; the unused record's value when there is none.
    values: [u32; CHUNK],
    /// All ones where the key differs from the candidate's.
    differs: [u32; CHUNK],
    /// A bit for each key without a candidate.
    missing: u32,
    /// A bit for each key that may have an entry beyond the first alternate.
    deep: u32,
}

impl Chunk {
    #[inline(always)]
    pub(super) const fn new() -> Self {
        Self {
            hashes: [Hash(0); CHUNK],
            buckets: [0; CHUNK],
            values: [0; CHUNK],
            differs: [0; CHUNK],
            missing: 0,
            deep: 0,
        }
    }
}

/// The stages. They copy what they read out of the table so that it stays in registers.
#[derive(Clone, Copy)]
pub(super) struct Stages<'a, I, H> {
    isa: I,
    table: &'a Table,
    secret: &'a Secret,
    buckets: Buckets<'a>,
    hot: &'a [Hot],
    cold: &'a [Cold],
    unused: u32,
    direction: Direction,
    hint: PhantomData<H>,
}

/// Up to this many missing keys are checked one by one; more, with one pass over the chunk.
const MAX_SPARSE: u32 = 6;

impl<'a, I: Isa, H: Hint> Stages<'a, I, H> {
    #[inline(always)]
    pub(super) fn new(isa: I, table: &'a Table, direction: Direction) -> Self {
        let (hot, cold) = (&*table.slab.hot, &*table.slab.cold);
        let (secret, buckets, unused) = (&table.secret, table.index.buckets(), table.unused());
        Self { isa, table, secret, buckets, hot, cold, unused, direction, hint: PhantomData }
    }

    /// First stage.
    #[inline(always)]
    pub(super) fn hash<K: AsRef<Key>>(&self, keys: &[K], chunk: &mut Chunk) {
        let (fours, rest) = keys.as_chunks::<4>();
        let (hashes_of_fours, _) = chunk.hashes.as_chunks_mut::<4>();
        let (buckets_of_fours, _) = chunk.buckets.as_chunks_mut::<4>();
        for ((keys, hashes), buckets) in fours.iter().zip(hashes_of_fours).zip(buckets_of_fours) {
            let words = keys.each_ref().map(|key| zerocopy::transmute_ref!(key.as_ref()));
            *hashes = self.isa.hash_four(self.secret, words).map(Hash::new);
            *buckets = hashes.map(|hash| self.buckets.number(hash));
            buckets.iter().for_each(|bucket| self.buckets.prefetch::<H>(*bucket));
        }
        let done = keys.len() - rest.len();
        for ((key, hash), bucket) in
            rest.iter().zip(&mut chunk.hashes[done..]).zip(&mut chunk.buckets[done..])
        {
            *hash = Hash::new(self.isa.hash(self.secret, zerocopy::transmute_ref!(key.as_ref())));
            *bucket = self.buckets.number(*hash);
            self.buckets.prefetch::<H>(*bucket);
        }
    }

    /// Second stage.
    #[inline(always)]
    pub(super) fn probe<const STACK: bool>(&self, length: usize, chunk: &mut Chunk) {
        let (hashes, _) = chunk.hashes.as_chunks::<4>();
        let (buckets, _) = chunk.buckets.as_chunks::<4>();
        let (values, _) = chunk.values.as_chunks_mut::<4>();
        // The group of four may include stale hashes beyond the last key; later stages ignore their results.
        let fours = hashes.iter().zip(buckets).zip(values).take(length.div_ceil(4));
        for ((hashes, buckets), values) in fours {
            for n in 0..4 {
                values[n] = self.first_candidate(self.buckets.get(buckets[n]), hashes[n]);
                self.prefetch_record::<STACK>(values[n]);
            }
        }
        chunk.missing = self.missing(chunk) & first_bits(length);
        chunk.deep = 0;
        if chunk.missing != 0 {
            self.probe_alternates::<STACK>(chunk);
        }
    }

    /// Returns the value of the first entry with the hash's tag, or the unused record's.
    #[inline(always)]
    fn first_candidate(&self, bucket: &Bucket, hash: Hash) -> u32 {
        let ways = bucket.ways(self.isa, hash.tag());
        let value = bucket.value(I::first_way(ways));
        select_unpredictable(ways != 0, value, self.unused)
    }

    #[inline(always)]
    fn prefetch_record<const STACK: bool>(&self, value: u32) {
        let slot = (value >> 1) as usize;
        prefetch::<H, _>(self.hot, slot);
        if STACK && value & 1 != 0 {
            prefetch::<H, _>(self.cold, slot);
        }
    }

    #[inline(always)]
    fn missing(&self, chunk: &Chunk) -> u32 {
        self.isa.equal_mask(&chunk.values, self.unused)
    }

    /// Probes the first alternate for keys without a candidate in their own bucket. Most of them have no entry at all, a
    /// few have one there, and hardly any have one further away.
    #[inline(always)]
    fn probe_alternates<const STACK: bool>(&self, chunk: &mut Chunk) {
        for n in bits(self.overflowed(chunk.missing, chunk)) {
            let (hash, own) = (chunk.hashes[n], chunk.buckets[n]);
            let value = self.first_candidate(self.buckets.get(own ^ 1), hash);
            if value != self.unused {
                self.prefetch_record::<STACK>(value);
                chunk.values[n] = value;
                chunk.missing &= !(1 << n);
            } else if self.buckets.get(own).search_depth(hash) > 1 {
                chunk.deep |= 1 << n;
            }
        }
    }

    /// Returns which of the missing keys may have an entry outside their own bucket, and prefetches the first alternates
    /// of those.
    #[inline(always)]
    fn overflowed(&self, missing: u32, chunk: &Chunk) -> u32 {
        let has_overflow = |n: usize| {
            let bucket = self.buckets.get(chunk.buckets[n]);
            bucket.has_overflow(chunk.hashes[n]) << n
        };
        let overflowed = if missing.count_ones() > MAX_SPARSE {
            (0..CHUNK).fold(0, |mask, n| mask | has_overflow(n)) & missing
        } else {
            bits(missing).fold(0, |mask, n| mask | has_overflow(n))
        };
        for n in bits(overflowed) {
            self.buckets.prefetch::<H>(chunk.buckets[n] ^ 1);
        }
        overflowed
    }

    /// Third stage, and the search for unresolved keys.
    #[inline(always)]
    pub(super) fn match_keys<K: AsRef<Key>, const STACK: bool>(
        &self,
        keys: &[K],
        chunk: &mut Chunk,
        slots: &mut [Slot],
    ) {
        if chunk.missing == first_bits(keys.len()) {
            slots.fill(Slot::NONE);
            return self.search(chunk.deep, keys, &chunk.hashes, slots);
        }
        self.compare::<K, STACK>(keys, chunk);
        let Chunk { values, differs, .. } = chunk;
        for ((slot, &value), differs) in slots.iter_mut().zip(&*values).zip(differs) {
            if !STACK {
                *differs |= (value & 1).wrapping_neg();
            }
            let no_entry = if value == self.unused { u32::MAX } else { 0 };
            *slot = Slot(value >> 1 | *differs | no_entry);
        }
        let differs = self.isa.equal_mask(&chunk.differs, u32::MAX) & first_bits(keys.len());
        self.search((differs & !chunk.missing) | chunk.deep, keys, &chunk.hashes, slots);
    }

    /// Compares each key with its candidate's.
    #[inline(always)]
    fn compare<K: AsRef<Key>, const STACK: bool>(&self, keys: &[K], chunk: &mut Chunk) {
        let (fours, rest) = keys.as_chunks::<4>();
        let (values, _) = chunk.values.as_chunks::<4>();
        let (differs, _) = chunk.differs.as_chunks_mut::<4>();
        for ((keys, values), differs) in fours.iter().zip(values).zip(differs) {
            for n in 0..4 {
                differs[n] = self.differs::<STACK>(keys[n].as_ref(), values[n]);
            }
        }
        let done = keys.len() - rest.len();
        for ((key, value), differs) in rest.iter().zip(&chunk.values[done..]).zip(&mut chunk.differs[done..])
        {
            *differs = self.differs::<STACK>(key.as_ref(), *value);
        }
    }

    /// Returns all ones if the entry is not one of `key`, else zero.
    #[inline(always)]
    fn differs<const STACK: bool>(&self, key: &Key, value: u32) -> u32 {
        let slot = (value >> 1) as usize;
        let hot = &self.hot[slot];
        let words = zerocopy::transmute_ref!(key);
        if !STACK {
            return self.isa.differs(words, zerocopy::transmute_ref!(&hot.key));
        }
        let is_stack = value & 1 != 0;
        let other = if is_stack { &self.cold[slot].stack_key } else { &hot.key };
        let wrong_kind = !is_stack & hot.local.has(LocalFlags::TRANSLATED);
        self.isa.differs(words, zerocopy::transmute_ref!(other)) | u32::from(wrong_kind).wrapping_neg()
    }

    /// Searches unresolved keys one by one.
    #[inline(always)]
    fn search<K: AsRef<Key>>(&self, unresolved: u32, keys: &[K], hashes: &[Hash; CHUNK], slots: &mut [Slot]) {
        if unresolved != 0 {
            self.search_unresolved(unresolved, keys, hashes, slots);
        }
    }

    #[cold]
    #[inline(never)]
    fn search_unresolved<K: AsRef<Key>>(
        &self,
        unresolved: u32,
        keys: &[K],
        hashes: &[Hash; CHUNK],
        slots: &mut [Slot],
    ) {
        for n in bits(unresolved) {
            if let (Some(key), Some(slot)) = (keys.get(n), slots.get_mut(n)) {
                let found = self.table.find_hashed(self.isa, hashes[n], key.as_ref(), self.direction);
                *slot = found.unwrap_or(Slot::NONE);
            }
        }
    }
}

/// Returns a mask of the first `length` keys of a chunk.
#[inline(always)]
fn first_bits(length: usize) -> u32 {
    u32::MAX >> (CHUNK - length.clamp(1, CHUNK))
}

/// Returns the positions of the set bits.
fn bits(mut mask: u32) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let bit = mask.trailing_zeros();
        mask &= mask.wrapping_sub(1);
        (bit < 32).then_some(bit as usize)
    })
}
