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
use crate::cpu::{Hint, Isa, Kernel, prefetch};
use crate::packet::{Direction, Key};
use crate::state::{Cold, Hot, LocalFlags};
use core::hint::select_unpredictable;
use core::marker::PhantomData;

/// Keys that are under way together. A core has room for some twenty lines on their way; fewer leave it idle.
pub const CHUNK: usize = 32;

/// One burst against one table. `STACK` is whether entries of stack keys are wanted.
pub struct Lookup<'a, H, const STACK: bool> {
    pub table: &'a Table,
    pub keys: &'a [Key],
    pub slots: &'a mut [Slot],
    pub direction: Direction,
    pub hint: PhantomData<H>,
}

impl<H: Hint, const STACK: bool> Kernel for Lookup<'_, H, STACK> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let stages = Stages::<I, H>::new(isa, self.table, self.direction);
        let mut chunks = self.keys.chunks(CHUNK).zip(self.slots.chunks_mut(CHUNK));
        let mut hashes = [[Hash(0); CHUNK]; 2];
        let Some(mut chunk) = chunks.next() else { return };
        stages.hash(chunk.0, &mut hashes[0]);
        loop {
            let [now, next] = &mut hashes;
            let values = stages.probe::<STACK>(chunk.0.len(), now);
            let next_chunk = chunks.next();
            if let Some((keys, _)) = next_chunk {
                stages.hash(keys, next);
            }
            stages.finish::<STACK>(chunk.0, now, values, chunk.1);
            let Some(chunk_after) = next_chunk else { return };
            chunk = chunk_after;
            hashes.swap(0, 1);
        }
    }
}

/// The stages, and what they read, copied out of the table so that it stays in registers.
#[derive(Clone, Copy)]
struct Stages<'a, I, H> {
    isa: I,
    table: &'a Table,
    buckets: Buckets<'a>,
    hot: &'a [Hot],
    cold: &'a [Cold],
    unused: u32,
    direction: Direction,
    hint: PhantomData<H>,
}

/// What the second pass finds.
#[derive(Clone, Copy)]
struct Values {
    /// An entry's value for every key, or the value that stands for the unused record.
    all: [u32; CHUNK],
    /// Keys that may be beyond the first alternate.
    further: u32,
}

/// Up to so many lost keys are looked at one by one, more in one go over the chunk.
const FEW: u32 = 6;

impl<'a, I: Isa, H: Hint> Stages<'a, I, H> {
    #[inline(always)]
    fn new(isa: I, table: &'a Table, direction: Direction) -> Self {
        let (hot, cold) = (&*table.slab.hot, &*table.slab.cold);
        let (buckets, unused) = (table.index.buckets(), table.unused());
        Self { isa, table, buckets, hot, cold, unused, direction, hint: PhantomData }
    }

    /// First pass.
    #[inline(always)]
    fn hash(&self, keys: &[Key], hashes: &mut [Hash; CHUNK]) {
        for (key, place) in keys.iter().zip(hashes) {
            let hash = self.table.hash_key(self.isa, key);
            self.buckets.prefetch::<H>(hash);
            *place = hash;
        }
    }

    /// Second pass: an entry's value for every key, or the value that stands for the unused record.
    #[inline(always)]
    fn probe<const STACK: bool>(&self, length: usize, hashes: &[Hash; CHUNK]) -> Values {
        let mut values = Values { all: [self.unused; CHUNK], further: 0 };
        for (&hash, place) in hashes[..length.min(CHUNK)].iter().zip(&mut values.all) {
            let value = self.first_entry(self.buckets.own(hash), hash);
            self.prefetch_record::<STACK>(value);
            *place = value;
        }
        let lost =
            mask(&values.all, |value| value == self.unused) & (u32::MAX >> (CHUNK - length.clamp(1, CHUNK)));
        if lost != 0 {
            self.catch_up::<STACK>(lost, hashes, &mut values);
        }
        values
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

    /// For keys without an entry in their own bucket: most are in no bucket at all, a few in the first alternate.
    #[inline(always)]
    fn catch_up<const STACK: bool>(&self, lost: u32, hashes: &[Hash; CHUNK], values: &mut Values) {
        let astray = self.astray(lost, hashes);
        for n in bits(astray) {
            let value = self.first_entry(self.buckets.first_alternate(hashes[n]), hashes[n]);
            self.prefetch_record::<STACK>(value);
            values.all[n] = value;
            let depth = self.buckets.own(hashes[n]).depth_for(hashes[n]);
            values.further |= u32::from(value == self.unused && depth > 1) << n;
        }
    }

    /// Which of the lost keys have a bucket that points elsewhere. Sends for the first alternates of those.
    #[inline(always)]
    fn astray(&self, lost: u32, hashes: &[Hash; CHUNK]) -> u32 {
        let mut astray = 0;
        if lost.count_ones() > FEW {
            for (n, &hash) in hashes.iter().enumerate() {
                astray |= self.buckets.own(hash).points_elsewhere(hash) << n;
            }
            astray &= lost;
        } else {
            for n in bits(lost) {
                astray |= self.buckets.own(hashes[n]).points_elsewhere(hashes[n]) << n;
            }
        }
        for n in bits(astray) {
            self.buckets.prefetch_alternate::<H>(hashes[n]);
        }
        astray
    }

    /// Third pass, and what is left over.
    #[inline(always)]
    fn finish<const STACK: bool>(
        &self,
        keys: &[Key],
        hashes: &[Hash; CHUNK],
        Values { all: values, further }: Values,
        slots: &mut [Slot],
    ) {
        let found = mask(&values, |value| value != self.unused);
        let mut matched = found & self.compare::<STACK>(keys, &values);
        if !STACK {
            matched &= mask(&values, |value| value & 1 == 0);
        }
        for (n, (slot, value)) in slots.iter_mut().zip(values).enumerate() {
            *slot = Slot((value >> 1) | (!matched >> n & 1).wrapping_neg());
        }
        let open = (found & !matched) | further;
        if open != 0 {
            self.search(open, keys, hashes, slots);
        }
    }

    /// Third pass. Gives back the keys that are their entry's; a key without an entry may be among them.
    #[inline(always)]
    fn compare<const STACK: bool>(&self, keys: &[Key], values: &[u32; CHUNK]) -> u32 {
        let mut matched = 0;
        for (n, (key, &value)) in keys.iter().zip(values).enumerate() {
            matched |= u32::from(self.is_entry_of::<STACK>(value, key)) << n;
        }
        matched
    }

    /// Whether an entry stands for a key. Only where `STACK`, it is seen whether it stands for it in this direction.
    #[inline(always)]
    fn is_entry_of<const STACK: bool>(&self, value: u32, key: &Key) -> bool {
        let slot = (value >> 1) as usize;
        let hot = &self.hot[slot];
        let words = zerocopy::transmute_ref!(key);
        if !STACK {
            return self.isa.same(words, zerocopy::transmute_ref!(&hot.key));
        }
        let is_stack = value & 1 != 0;
        let other = if is_stack { &self.cold[slot].stack_key } else { &hot.key };
        let right_kind = is_stack | !hot.local.has(LocalFlags::TRANSLATED);
        self.isa.same(words, zerocopy::transmute_ref!(other)) & right_kind
    }

    /// Last resort, one by one.
    #[cold]
    #[inline(never)]
    fn search(&self, open: u32, keys: &[Key], hashes: &[Hash; CHUNK], slots: &mut [Slot]) {
        for n in bits(open) {
            if let (Some(key), Some(place)) = (keys.get(n), slots.get_mut(n)) {
                let found = self.table.find_hashed(self.isa, hashes[n], key, self.direction);
                *place = found.unwrap_or(Slot::NONE);
            }
        }
    }
}

/// A bit for every value that passes the test.
#[inline(always)]
fn mask(values: &[u32; CHUNK], test: impl Fn(u32) -> bool) -> u32 {
    values.iter().enumerate().fold(0, |mask, (n, &value)| mask | u32::from(test(value)) << n)
}

/// The numbers of the bits that are set.
fn bits(mut mask: u32) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let bit = mask.trailing_zeros();
        mask &= mask.wrapping_sub(1);
        (bit < 32).then_some(bit as usize)
    })
}
