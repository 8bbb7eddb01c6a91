//! The records, in three dense arrays indexed by slot, and the list of free slots.

use super::Slot;
use crate::cpu::{Hint, Near, prefetch};
use crate::error::Error;
use crate::memory::{Arena, FixedArray, PageMode, bytes_of};
use crate::state::{Cold, Hot, LocalFlags, Record, Track};

/// The arrays. Each has one record more than the capacity: a lookup without a candidate reads that unused record and so
/// needs no branch.
pub(super) struct Slab {
    pub hot: FixedArray<Hot>,
    pub track: FixedArray<Track>,
    pub cold: FixedArray<Cold>,
    free: FixedArray<u32>,
    free_count: u32,
    /// The first slot that was never used.
    fresh: u32,
    capacity: u32,
}

impl Slab {
    /// Arrays that a slab allocates.
    pub(super) const ARRAYS: usize = 4;

    pub(super) fn new(capacity: u32, arena: &mut Arena) -> Result<Self, Error> {
        let length = capacity as usize + 1;
        Ok(Self {
            hot: arena.array("hot records", length, Hot::EMPTY)?,
            track: arena.array("track records", length, Track::default())?,
            cold: arena.array("cold records", length, Cold::EMPTY)?,
            free: arena.array("free slots", capacity as usize, 0)?,
            free_count: 0,
            fresh: 0,
            capacity,
        })
    }

    /// Returns the bytes that a slab for `capacity` states allocates.
    pub(super) const fn bytes_needed(capacity: u32) -> usize {
        let length = capacity as usize + 1;
        bytes_of::<Hot>(length)
            + bytes_of::<Track>(length)
            + bytes_of::<Cold>(length)
            + bytes_of::<u32>(capacity as usize)
    }

    /// Returns the pages under the hot records.
    pub(super) fn page_mode(&self) -> PageMode {
        self.hot.page_mode()
    }

    /// Returns the maximum number of states.
    pub(super) const fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Returns the number of states.
    pub(super) const fn len(&self) -> u32 {
        self.fresh - self.free_count
    }

    /// Returns one past the highest slot that was ever used.
    pub(super) const fn end(&self) -> u32 {
        self.fresh
    }

    /// Returns the slot that the next insert takes: the one freed last, whose lines are most likely cached.
    fn next_free(&self) -> Option<u32> {
        if self.free_count > 0 {
            Some(self.free[self.free_count as usize - 1])
        } else if self.fresh < self.capacity {
            Some(self.fresh)
        } else {
            None
        }
    }

    /// Prefetches the records of the slot that an insert takes after `n` others.
    #[inline(always)]
    pub(super) fn prefetch_free(&self, n: u32) {
        let slot = match self.free_count.checked_sub(n + 1) {
            Some(at) => self.free[at as usize],
            None => self.fresh + (n - self.free_count),
        } as usize;
        prefetch::<Near, _>(&self.hot, slot);
        prefetch::<Near, _>(&self.track, slot);
        self.prefetch_cold::<{ size_of::<Cold>() / 64 }>(slot);
    }

    /// Prefetches the first `LINES` lines of a cold record. Any slot is allowed.
    #[inline(always)]
    pub(super) fn prefetch_cold<const LINES: usize>(&self, slot: usize) {
        let lines = self.cold.as_ptr().wrapping_add(slot).cast::<[u8; 64]>();
        for line in 0..LINES {
            Near::touch(lines.wrapping_add(line));
        }
    }

    /// Stores `record` in a free slot and marks it live. `None` when there is no free slot.
    pub(super) fn insert(&mut self, record: &Record) -> Option<u32> {
        let slot = self.next_free()?;
        if self.free_count > 0 {
            self.free_count -= 1;
        } else {
            self.fresh += 1;
        }
        let at = slot as usize;
        self.hot[at] = record.hot;
        self.hot[at].local.set(LocalFlags::LIVE);
        self.track[at] = record.track;
        self.cold[at] = record.cold;
        Some(slot)
    }

    /// Frees a slot, which must be live.
    pub(super) fn remove(&mut self, slot: u32) {
        self.hot[slot as usize].local = LocalFlags(0);
        self.free[self.free_count as usize] = slot;
        self.free_count += 1;
    }

    /// Whether the slot holds a state.
    #[inline]
    pub(super) fn is_live(&self, slot: u32) -> bool {
        self.hot.get(slot as usize).is_some_and(|hot| hot.local.has(LocalFlags::LIVE))
    }

    /// Returns the first live slot of `from..end`.
    pub(super) fn next_live(&self, from: u32, end: u32) -> Option<Slot> {
        (from..end.min(self.fresh)).find(|&slot| self.is_live(slot)).map(Slot)
    }
}
