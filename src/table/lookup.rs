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
use crate::cpu::{Hint, Isa, Kernel, LANES, Secret, prefetch};
use crate::packet::{Direction, Key};
use crate::state::{Cold, Hot, LocalFlags};
use core::hint::select_unpredictable;
use core::marker::PhantomData;
use core::mem::swap;

/// Keys that are under way together. A core has room for some twenty lines on their way; fewer leave it idle.
pub const CHUNK: usize = LANES;

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
        let mut bursts = self.keys.chunks(CHUNK).zip(self.slots.chunks_mut(CHUNK));
        let Some((mut keys, mut slots)) = bursts.next() else { return };
        let (mut now, mut next) = (&mut Chunk::new(), &mut Chunk::new());
        stages.hash(keys, now);
        loop {
            stages.probe::<STACK>(keys.len(), now);
            let burst_after = bursts.next();
            if let Some((keys, _)) = &burst_after {
                stages.hash(keys, next);
            }
            stages.finish::<K, STACK>(keys, now, slots);
            let Some(burst) = burst_after else { return };
            (keys, slots) = burst;
            swap(&mut now, &mut next);
        }
    }
}

/// What the stages tell each other of up to [`CHUNK`] keys.
struct Chunk {
    hashes: [Hash; CHUNK],
    /// The keys' own buckets.
    buckets: [u32; CHUNK],
    /// An entry's value for every key, or the value that stands for the unused record.
    values: [u32; CHUNK],
    /// All ones where the key is not the entry's.
    differs: [u32; CHUNK],
    /// Keys that may be beyond the first alternate.
    further: u32,
}

impl Chunk {
    #[inline(always)]
    fn new() -> Self {
        Self {
            hashes: [Hash(0); CHUNK],
            buckets: [0; CHUNK],
            values: [0; CHUNK],
            differs: [0; CHUNK],
            further: 0,
        }
    }
}

/// The stages, and what they read, copied out of the table so that it stays in registers.
#[derive(Clone, Copy)]
struct Stages<'a, I, H> {
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
    fn new(isa: I, table: &'a Table, direction: Direction) -> Self {
        let (hot, cold) = (&*table.slab.hot, &*table.slab.cold);
        let (secret, buckets, unused) = (&table.secret, table.index.buckets(), table.unused());
        Self { isa, table, secret, buckets, hot, cold, unused, direction, hint: PhantomData }
    }

    /// First pass.
    #[inline(always)]
    fn hash<K: AsRef<Key>>(&self, keys: &[K], chunk: &mut Chunk) {
        for ((key, place), bucket) in keys.iter().zip(&mut chunk.hashes).zip(&mut chunk.buckets) {
            let hash = Hash::new(self.isa.hash(self.secret, zerocopy::transmute_ref!(key.as_ref())));
            let own = self.buckets.number(hash);
            self.buckets.prefetch::<H>(own);
            *place = hash;
            *bucket = own;
        }
    }

    /// Second pass.
    #[inline(always)]
    fn probe<const STACK: bool>(&self, length: usize, chunk: &mut Chunk) {
        let Chunk { hashes, buckets, values, .. } = chunk;
        *values = [self.unused; CHUNK];
        for ((&hash, &bucket), value) in hashes.iter().zip(&*buckets).zip(values).take(length) {
            *value = self.first_entry(self.buckets.get(bucket), hash);
            self.prefetch_record::<STACK>(*value);
        }
        let lost = self.lost(chunk) & (u32::MAX >> (CHUNK - length.clamp(1, CHUNK)));
        chunk.further = if lost == 0 { 0 } else { self.catch_up::<STACK>(lost, chunk) };
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

    /// For keys without an entry in their own bucket: most are in no bucket at all, a few in the first alternate. Gives
    /// back those that may be still further away.
    #[inline(always)]
    fn catch_up<const STACK: bool>(&self, lost: u32, chunk: &mut Chunk) -> u32 {
        let mut further = 0;
        for n in bits(self.astray(lost, chunk)) {
            let (hash, own) = (chunk.hashes[n], chunk.buckets[n]);
            let value = self.first_entry(self.buckets.get(own ^ 1), hash);
            self.prefetch_record::<STACK>(value);
            chunk.values[n] = value;
            further |= u32::from(value == self.unused && self.buckets.get(own).depth_for(hash) > 1) << n;
        }
        further
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
    fn finish<K: AsRef<Key>, const STACK: bool>(&self, keys: &[K], chunk: &mut Chunk, slots: &mut [Slot]) {
        self.compare::<K, STACK>(keys, chunk);
        let Chunk { values, differs, .. } = chunk;
        for ((slot, &value), differs) in slots.iter_mut().zip(&*values).zip(differs) {
            if !STACK {
                *differs |= (value & 1).wrapping_neg();
            }
            let no_entry = if value == self.unused { u32::MAX } else { 0 };
            *slot = Slot(value >> 1 | *differs | no_entry);
        }
        let differs = self.isa.equal_mask(&chunk.differs, u32::MAX)
            & (u32::MAX >> (CHUNK - keys.len().clamp(1, CHUNK)));
        let open = (differs & !self.lost(chunk)) | chunk.further;
        if open != 0 {
            self.search(open, keys, &chunk.hashes, slots);
        }
    }

    /// Third pass: which keys differ from their entry's.
    #[inline(always)]
    fn compare<K: AsRef<Key>, const STACK: bool>(&self, keys: &[K], chunk: &mut Chunk) {
        for ((key, &value), differs) in keys.iter().zip(&chunk.values).zip(&mut chunk.differs) {
            let slot = (value >> 1) as usize;
            let hot = &self.hot[slot];
            let words = zerocopy::transmute_ref!(key.as_ref());
            if !STACK {
                *differs = self.isa.differs(words, zerocopy::transmute_ref!(&hot.key));
                continue;
            }
            let is_stack = value & 1 != 0;
            let other = if is_stack { &self.cold[slot].stack_key } else { &hot.key };
            let wrong_kind = !is_stack & hot.local.has(LocalFlags::TRANSLATED);
            *differs = self.isa.differs(words, zerocopy::transmute_ref!(other))
                | u32::from(wrong_kind).wrapping_neg();
        }
    }

    /// Last resort, one by one.
    #[cold]
    #[inline(never)]
    fn search<K: AsRef<Key>>(&self, open: u32, keys: &[K], hashes: &[Hash; CHUNK], slots: &mut [Slot]) {
        for n in bits(open) {
            if let (Some(key), Some(place)) = (keys.get(n), slots.get_mut(n)) {
                let found = self.table.find_hashed(self.isa, hashes[n], key.as_ref(), self.direction);
                *place = found.unwrap_or(Slot::NONE);
            }
        }
    }
}

/// The numbers of the bits that are set.
fn bits(mut mask: u32) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let bit = mask.trailing_zeros();
        mask &= mask.wrapping_sub(1);
        (bit < 32).then_some(bit as usize)
    })
}
