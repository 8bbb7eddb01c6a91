//! The burst lookup: three passes over up to 32 keys, each waiting for no memory.
//!
//! 1. hash the key, send for its bucket;
//! 2. compare the bucket's tags, pick the first that fits without a branch, send for its hot line;
//! 3. compare the keys.
//!
//! Between 2 and 3 the few keys that went to an alternate bucket catch up. What is still open after 3 (two entries of
//! one tag, deep detours: rare) is searched one by one. The loop is the same for IPv4 and IPv6, and for hits and misses
//! it takes the same way. In bursts of more than 32, pass 1 of the next 32 keys comes before pass 3 of these.

use super::bucket::{Bucket, Hash};
use super::index::Buckets;
use super::table::{Slot, Table};
use crate::cpu::{Hint, Isa, Kernel, MASK_WORDS, Secret, prefetch};
use crate::packet::{Direction, Key};
use crate::state::{Cold, Hot, LocalFlags};
use core::hint::select_unpredictable;
use core::marker::PhantomData;

/// Keys that are under way together. A core has room for some twenty lines on their way; fewer leave it idle.
pub const CHUNK: usize = MASK_WORDS;

/// One burst against one table. `STACK` is whether entries of stack keys are wanted.
pub struct Lookup<'a, K, H, const STACK: bool> {
    pub table: &'a Table,
    pub keys: &'a [K],
    pub slots: &'a mut [Slot],
    pub direction: Direction,
    pub hint: PhantomData<H>,
}

impl<K: AsRef<Key>, H: Hint, const STACK: bool> Kernel for Lookup<'_, K, H, STACK> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let stages = Stages::<I, H>::new(isa, self.table, self.direction);
        if self.keys.len() > CHUNK {
            return run_overlapped::<K, I, H, STACK>(&stages, self.keys, self.slots);
        }
        let chunk = &mut Chunk::new();
        stages.hash(self.keys, chunk);
        stages.probe::<STACK>(self.keys.len(), chunk);
        stages.finish::<K, STACK>(self.keys, chunk, self.slots);
    }
}

/// A long burst: while one chunk's keys are compared, the hot lines of the next one and the buckets of the one after
/// that are on their way.
#[inline(always)]
fn run_overlapped<K: AsRef<Key>, I: Isa, H: Hint, const STACK: bool>(
    stages: &Stages<'_, I, H>,
    keys: &[K],
    slots: &mut [Slot],
) {
    let chunks = keys.len().div_ceil(CHUNK);
    let of = |n: usize| keys.get(n * CHUNK..keys.len().min((n + 1) * CHUNK)).unwrap_or_default();
    let (mut first, mut second, mut third) = (&mut Chunk::new(), &mut Chunk::new(), &mut Chunk::new());
    stages.hash(of(0), first);
    stages.hash(of(1), second);
    stages.probe::<STACK>(of(0).len(), first);
    for (n, slots) in slots.chunks_mut(CHUNK).enumerate() {
        if n + 2 < chunks {
            stages.hash(of(n + 2), third);
        }
        if n + 1 < chunks {
            stages.probe::<STACK>(of(n + 1).len(), second);
        }
        stages.finish::<K, STACK>(of(n), first, slots);
        (first, second, third) = (second, third, first);
    }
}

/// What the stages tell each other of up to [`CHUNK`] keys.
pub(super) struct Chunk {
    hashes: [Hash; CHUNK],
    /// The keys' own buckets.
    buckets: [u32; CHUNK],
    /// An entry's value for every key, or the value that stands for the unused record.
    values: [u32; CHUNK],
    /// All ones where the key is not the entry's.
    differs: [u32; CHUNK],
    /// Keys without an entry.
    lost: u32,
    /// Keys that may be beyond the first alternate.
    further: u32,
}

impl Chunk {
    #[inline(always)]
    pub(super) const fn new() -> Self {
        Self {
            hashes: [Hash(0); CHUNK],
            buckets: [0; CHUNK],
            values: [0; CHUNK],
            differs: [0; CHUNK],
            lost: 0,
            further: 0,
        }
    }
}

/// The stages, and what they read, copied out of the table so that it stays in registers.
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

/// Up to so many lost keys are looked at one by one, more in one go over the chunk.
const FEW: u32 = 6;

impl<'a, I: Isa, H: Hint> Stages<'a, I, H> {
    #[inline(always)]
    pub(super) fn new(isa: I, table: &'a Table, direction: Direction) -> Self {
        let (hot, cold) = (&*table.slab.hot, &*table.slab.cold);
        let (secret, buckets, unused) = (&table.secret, table.index.buckets(), table.unused());
        Self { isa, table, secret, buckets, hot, cold, unused, direction, hint: PhantomData }
    }

    /// First pass.
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

    /// Second pass.
    #[inline(always)]
    pub(super) fn probe<const STACK: bool>(&self, length: usize, chunk: &mut Chunk) {
        let (hashes, _) = chunk.hashes.as_chunks::<4>();
        let (buckets, _) = chunk.buckets.as_chunks::<4>();
        let (values, _) = chunk.values.as_chunks_mut::<4>();
        // What stands beyond the last key is of an earlier burst, and not looked at again.
        let fours = hashes.iter().zip(buckets).zip(values).take(length.div_ceil(4));
        for ((hashes, buckets), values) in fours {
            for n in 0..4 {
                values[n] = self.first_entry(self.buckets.get(buckets[n]), hashes[n]);
                self.prefetch_record::<STACK>(values[n]);
            }
        }
        chunk.lost = self.lost(chunk) & all_of(length);
        chunk.further = 0;
        if chunk.lost != 0 {
            self.catch_up::<STACK>(chunk);
        }
    }

    /// The first entry of the hash's tag, or the unused record.
    #[inline(always)]
    fn first_entry(&self, bucket: &Bucket, hash: Hash) -> u32 {
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

    /// Keys without an entry.
    #[inline(always)]
    fn lost(&self, chunk: &Chunk) -> u32 {
        self.isa.equal_mask(&chunk.values, self.unused)
    }

    /// For keys without an entry in their own bucket: most are in no bucket at all, a few in the first alternate, and
    /// hardly any still further away.
    #[inline(always)]
    fn catch_up<const STACK: bool>(&self, chunk: &mut Chunk) {
        for n in bits(self.astray(chunk.lost, chunk)) {
            let (hash, own) = (chunk.hashes[n], chunk.buckets[n]);
            let value = self.first_entry(self.buckets.get(own ^ 1), hash);
            if value != self.unused {
                self.prefetch_record::<STACK>(value);
                chunk.values[n] = value;
                chunk.lost &= !(1 << n);
            } else if self.buckets.get(own).depth_for(hash) > 1 {
                chunk.further |= 1 << n;
            }
        }
    }

    /// Which of the lost keys have a bucket that points elsewhere. Sends for the first alternates of those.
    #[inline(always)]
    fn astray(&self, lost: u32, chunk: &Chunk) -> u32 {
        let elsewhere = |n: usize| {
            let bucket = self.buckets.get(chunk.buckets[n]);
            bucket.points_elsewhere(chunk.hashes[n]) << n
        };
        let astray = if lost.count_ones() > FEW {
            (0..CHUNK).fold(0, |astray, n| astray | elsewhere(n)) & lost
        } else {
            bits(lost).fold(0, |astray, n| astray | elsewhere(n))
        };
        for n in bits(astray) {
            self.buckets.prefetch::<H>(chunk.buckets[n] ^ 1);
        }
        astray
    }

    /// Third pass, and what is left over.
    #[inline(always)]
    pub(super) fn finish<K: AsRef<Key>, const STACK: bool>(
        &self,
        keys: &[K],
        chunk: &mut Chunk,
        slots: &mut [Slot],
    ) {
        if chunk.lost == all_of(keys.len()) {
            slots.fill(Slot::NONE);
            return self.search(chunk.further, keys, &chunk.hashes, slots);
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
        let differs = self.isa.equal_mask(&chunk.differs, u32::MAX) & all_of(keys.len());
        self.search((differs & !chunk.lost) | chunk.further, keys, &chunk.hashes, slots);
    }

    /// Third pass: which keys differ from their entry's.
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

    /// All ones if the entry is another key's, else zero.
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

    /// Last resort, one by one.
    #[inline(always)]
    fn search<K: AsRef<Key>>(&self, open: u32, keys: &[K], hashes: &[Hash; CHUNK], slots: &mut [Slot]) {
        if open != 0 {
            self.search_some(open, keys, hashes, slots);
        }
    }

    #[cold]
    #[inline(never)]
    fn search_some<K: AsRef<Key>>(&self, open: u32, keys: &[K], hashes: &[Hash; CHUNK], slots: &mut [Slot]) {
        for n in bits(open) {
            if let (Some(key), Some(place)) = (keys.get(n), slots.get_mut(n)) {
                let found = self.table.find_hashed(self.isa, hashes[n], key.as_ref(), self.direction);
                *place = found.unwrap_or(Slot::NONE);
            }
        }
    }
}

/// A bit for each of the first `length` keys of a chunk.
#[inline(always)]
fn all_of(length: usize) -> u32 {
    u32::MAX >> (CHUNK - length.clamp(1, CHUNK))
}

/// The numbers of the bits that are set.
fn bits(mut mask: u32) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let bit = mask.trailing_zeros();
        mask &= mask.wrapping_sub(1);
        (bit < 32).then_some(bit as usize)
    })
}
