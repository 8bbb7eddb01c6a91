//! The burst lookup: three passes over up to 32 keys, each waiting for no memory.
//!
//! 1. hash the key, send for its bucket;
//! 2. compare the bucket's tags, pick the first that fits without a branch, send for its hot line;
//! 3. compare the keys.
//!
//! Between 2 and 3 the few keys that went to an alternate bucket catch up. What is still open after 3 (two entries of
//! one tag, deep detours: rare) is searched one by one. The loop is the same for IPv4 and IPv6, and for hits and misses
//! it takes the same way.

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
        for (keys, slots) in self.keys.chunks(CHUNK).zip(self.slots.chunks_mut(CHUNK)) {
            stages.chunk::<STACK>(keys, slots);
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
struct Candidates {
    /// An entry's value for every key, or the value that stands for the unused record.
    values: [u32; CHUNK],
    /// Keys that have an entry's value.
    found: u32,
}

impl<'a, I: Isa, H: Hint> Stages<'a, I, H> {
    #[inline(always)]
    fn new(isa: I, table: &'a Table, direction: Direction) -> Self {
        let (hot, cold) = (&*table.slab.hot, &*table.slab.cold);
        let (buckets, unused) = (table.index.buckets(), table.unused());
        Self { isa, table, buckets, hot, cold, unused, direction, hint: PhantomData }
    }

    #[inline(always)]
    fn chunk<const STACK: bool>(&self, keys: &[Key], slots: &mut [Slot]) {
        let mut hashes = [Hash(0); CHUNK];
        self.hash(keys, &mut hashes);
        let hashes = &hashes[..keys.len().min(CHUNK)];
        let mut candidates = Candidates { values: [0; CHUNK], found: 0 };
        self.probe::<STACK>(hashes, &mut candidates);
        let lost = !candidates.found & (u32::MAX >> (CHUNK - hashes.len()));
        let mut open = 0;
        if lost != 0 {
            open = self.catch_up::<STACK>(lost, hashes, &mut candidates);
        }
        open |= candidates.found & !self.compare::<STACK>(keys, &candidates, slots);
        if open != 0 {
            self.search(open, keys, hashes, slots);
        }
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

    /// Second pass.
    #[inline(always)]
    fn probe<const STACK: bool>(&self, hashes: &[Hash], candidates: &mut Candidates) {
        let mut all_found = 0;
        for (n, (&hash, place)) in hashes.iter().zip(&mut candidates.values).enumerate() {
            let (value, found) = self.first_entry(self.buckets.own(hash), hash);
            self.prefetch_record::<STACK>(value);
            *place = value;
            all_found |= u32::from(found) << n;
        }
        candidates.found = all_found;
    }

    /// The first entry of the hash's tag, or the unused record.
    #[inline(always)]
    fn first_entry(&self, bucket: &Bucket, hash: Hash) -> (u32, bool) {
        let ways = bucket.ways(self.isa, hash.tag());
        let value = bucket.value(I::first_way(ways));
        (select_unpredictable(ways != 0, value, self.unused), ways != 0)
    }

    #[inline(always)]
    fn prefetch_record<const STACK: bool>(&self, value: u32) {
        let slot = (value >> 1) as usize;
        prefetch::<H, _>(self.hot, slot);
        if STACK && value & 1 != 0 {
            prefetch::<H, _>(self.cold, slot);
        }
    }

    /// Between the passes, for keys without an entry in their own bucket: most are in no bucket at all, a few in the
    /// first alternate. Gives back those that may be still further away.
    #[inline(always)]
    fn catch_up<const STACK: bool>(&self, lost: u32, hashes: &[Hash], candidates: &mut Candidates) -> u32 {
        let mut astray = 0;
        for n in bits(lost) {
            astray |= self.buckets.own(hashes[n]).points_elsewhere(hashes[n]) << n;
        }
        for n in bits(astray) {
            self.buckets.prefetch_alternate::<H>(hashes[n]);
        }
        let mut further = 0;
        for n in bits(astray) {
            let (value, found) = self.first_entry(self.buckets.first_alternate(hashes[n]), hashes[n]);
            self.prefetch_record::<STACK>(value);
            candidates.values[n] = value;
            candidates.found |= u32::from(found) << n;
            further |= u32::from(!found && self.buckets.own(hashes[n]).depth_for(hashes[n]) > 1) << n;
        }
        further
    }

    /// Third pass. Gives back the keys that are found.
    #[inline(always)]
    fn compare<const STACK: bool>(&self, keys: &[Key], candidates: &Candidates, slots: &mut [Slot]) -> u32 {
        let mut matched = 0;
        for (n, ((key, &value), place)) in keys.iter().zip(&candidates.values).zip(slots).enumerate() {
            let same = self.is_state_of::<STACK>(value, key);
            *place = Slot(select_unpredictable(same, value >> 1, Slot::NONE.0));
            matched |= u32::from(same) << n;
        }
        matched
    }

    /// Whether an entry stands for a key. The unused record's never does: its value is that of a stack key, and where
    /// those are wanted the unused record has one that no packet has.
    #[inline(always)]
    fn is_state_of<const STACK: bool>(&self, value: u32, key: &Key) -> bool {
        let slot = (value >> 1) as usize;
        let hot = &self.hot[slot];
        let is_stack = value & 1 != 0;
        let words = zerocopy::transmute_ref!(key);
        if !STACK {
            return self.isa.same(words, zerocopy::transmute_ref!(&hot.key)) & !is_stack;
        }
        let other = if is_stack { &self.cold[slot].stack_key } else { &hot.key };
        let right_kind = (is_stack & (value != self.unused)) | !hot.local.has(LocalFlags::TRANSLATED);
        self.isa.same(words, zerocopy::transmute_ref!(other)) & right_kind
    }

    /// Last resort, one by one.
    #[cold]
    #[inline(never)]
    fn search(&self, open: u32, keys: &[Key], hashes: &[Hash], slots: &mut [Slot]) {
        for n in bits(open) {
            if let (Some(key), Some(place)) = (keys.get(n), slots.get_mut(n)) {
                let found = self.table.find_hashed(self.isa, hashes[n], key, self.direction);
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
