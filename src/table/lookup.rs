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
use super::table::{Slot, Table};
use crate::cpu::{Hint, Isa, Kernel, prefetch};
use crate::packet::{Direction, Key};
use crate::state::LocalFlags;
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
        let stages = Stages { isa, table: self.table, direction: self.direction, hint: self.hint };
        for (keys, slots) in self.keys.chunks(CHUNK).zip(self.slots.chunks_mut(CHUNK)) {
            stages.chunk::<STACK>(keys, slots);
        }
    }
}

#[derive(Clone, Copy)]
struct Stages<'a, I, H> {
    isa: I,
    table: &'a Table,
    direction: Direction,
    hint: PhantomData<H>,
}

/// What the second pass knows: an entry's value for every key, and two bits about it.
struct Candidates {
    values: [u32; CHUNK],
    /// The value is an entry's; else it is the unused record's.
    found: u32,
    /// The key's entry may be in another bucket.
    elsewhere: u32,
}

impl<I: Isa, H: Hint> Stages<'_, I, H> {
    #[inline(always)]
    fn chunk<const STACK: bool>(&self, keys: &[Key], slots: &mut [Slot]) {
        let mut hashes = [Hash(0); CHUNK];
        self.hash(keys, &mut hashes);
        let hashes = &hashes[..keys.len().min(CHUNK)];
        let mut candidates = Candidates { values: [0; CHUNK], found: 0, elsewhere: 0 };
        self.probe::<STACK>(hashes, &mut candidates);
        let astray = candidates.elsewhere & !candidates.found;
        if astray != 0 {
            self.catch_up::<STACK>(astray, hashes, &mut candidates);
        }
        let open = self.compare::<STACK>(keys, &candidates, slots);
        if open != 0 {
            self.search(open, keys, hashes, slots);
        }
    }

    /// First pass.
    #[inline(always)]
    fn hash(&self, keys: &[Key], hashes: &mut [Hash; CHUNK]) {
        for (key, place) in keys.iter().zip(hashes) {
            let hash = self.table.hash_key(self.isa, key);
            self.table.index.prefetch::<H>(hash);
            *place = hash;
        }
    }

    /// Second pass.
    #[inline(always)]
    fn probe<const STACK: bool>(&self, hashes: &[Hash], candidates: &mut Candidates) {
        for (n, (&hash, place)) in hashes.iter().zip(&mut candidates.values).enumerate() {
            let bucket = self.table.index.bucket(hash);
            let elsewhere = bucket.depth_for(hash) != 0;
            let (value, found) = self.first_entry(bucket, hash);
            self.prefetch_record::<STACK>(value);
            *place = value;
            candidates.found |= u32::from(found) << n;
            candidates.elsewhere |= u32::from(elsewhere) << n;
        }
    }

    /// The first entry of the hash's tag, or the unused record.
    #[inline(always)]
    fn first_entry(&self, bucket: &Bucket, hash: Hash) -> (u32, bool) {
        let ways = bucket.ways(self.isa, hash.tag());
        let value = bucket.value(I::first_way(ways));
        (select_unpredictable(ways != 0, value, self.table.unused()), ways != 0)
    }

    #[inline(always)]
    fn prefetch_record<const STACK: bool>(&self, value: u32) {
        let slot = (value >> 1) as usize;
        prefetch::<H, _>(&self.table.slab.hot, slot);
        if STACK && value & 1 != 0 {
            prefetch::<H, _>(&self.table.slab.cold, slot);
        }
    }

    /// Between the passes: keys whose own bucket has no entry for them, but points elsewhere.
    #[inline(never)]
    fn catch_up<const STACK: bool>(&self, astray: u32, hashes: &[Hash], candidates: &mut Candidates) {
        for n in bits(astray) {
            self.table.index.prefetch_alternate::<H>(hashes[n]);
        }
        for n in bits(astray) {
            let (value, found) = self.first_entry(self.table.index.first_alternate(hashes[n]), hashes[n]);
            self.prefetch_record::<STACK>(value);
            candidates.values[n] = value;
            candidates.found |= u32::from(found) << n;
        }
    }

    /// Third pass. Gives back the keys that are still open.
    #[inline(always)]
    fn compare<const STACK: bool>(&self, keys: &[Key], candidates: &Candidates, slots: &mut [Slot]) -> u32 {
        let mut matched = 0;
        for (n, ((key, &value), place)) in keys.iter().zip(&candidates.values).zip(slots).enumerate() {
            let slot = value >> 1;
            let hot = &self.table.slab.hot[slot as usize];
            let is_stack = value & 1 != 0;
            let (other, right_kind) = if STACK {
                let stack_key = &self.table.slab.cold[slot as usize].stack_key;
                let other = if is_stack { stack_key } else { &hot.key };
                (other, is_stack || !hot.local.has(LocalFlags::TRANSLATED))
            } else {
                (&hot.key, !is_stack)
            };
            let same = differences(key, other) == 0 && right_kind && candidates.found >> n & 1 != 0;
            *place = Slot(select_unpredictable(same, slot, Slot::NONE.0));
            matched |= u32::from(same) << n;
        }
        !matched & (candidates.found | candidates.elsewhere)
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

/// Zero if and only if the keys are equal, without a branch.
#[inline(always)]
pub fn differences(one: &Key, other: &Key) -> u64 {
    let one: &[u64; 5] = zerocopy::transmute_ref!(one);
    let other: &[u64; 5] = zerocopy::transmute_ref!(other);
    (one[0] ^ other[0])
        | (one[1] ^ other[1])
        | (one[2] ^ other[2])
        | (one[3] ^ other[3])
        | (one[4] ^ other[4])
}

/// The numbers of the bits that are set.
fn bits(mut mask: u32) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let bit = mask.trailing_zeros();
        mask &= mask.wrapping_sub(1);
        (bit < 32).then_some(bit as usize)
    })
}
