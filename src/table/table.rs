//! The table itself: what it is made of, its records, its size.

use super::Plan;
use super::foreign::Foreign;
use super::index::Index;
use super::slab::Slab;
use super::statistics::TableStatistics;
use crate::cpu::{Level, Near, Secret, prefetch};
use crate::error::Error;
use crate::limits::Sources;
use crate::memory::Memory;
use crate::state::{Cold, Hot, Track};
use std::sync::Arc;

/// A state's place in its table, valid until the state is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Slot(pub u32);

impl Slot {
    /// No state.
    pub const NONE: Self = Self(u32::MAX);

    /// Whether this is [`Self::NONE`].
    #[inline]
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == Self::NONE.0
    }

    /// The slot, if it is one.
    #[inline]
    #[must_use]
    pub const fn some(self) -> Option<Self> {
        if self.is_none() { None } else { Some(self) }
    }
}

/// Hot arrays above this size are prefetched to the second level.
const FAR_FROM: usize = 16 << 20;

/// A lane's states. Owned by one core; made anywhere.
pub struct Table {
    pub(super) slab: Slab,
    pub(super) index: Index,
    pub(super) ids: Option<Index>,
    bytes: usize,
    pub(super) secret: Secret,
    pub(super) level: Level,
    pub(super) plan: Plan,
    pub(super) translated: u32,
    pub(super) far: bool,
    pub(super) foreign: Option<Box<Foreign>>,
    pub(super) sources: Option<Arc<Sources>>,
    pub(super) half_open: u32,
}

impl Table {
    /// A table for `plan` (a number of states, or a [`Plan`]) in memory of NUMA node `socket` (-1: any).
    ///
    /// `secret` is 256 random bits that nobody outside may learn. Cost: all memory is touched.
    ///
    /// # Errors
    /// [`Error::Setting`] when the plan is out of range, [`Error::OutOfMemory`].
    pub fn new(plan: impl Into<Plan>, secret: [u64; 4], memory: &Memory, socket: i32) -> Result<Self, Error> {
        Self::with_level(plan.into(), secret, memory, socket, Level::best())
    }

    /// As [`Self::new`], with an instruction set of the caller's choice: for tests and benches.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_level(
        plan: Plan,
        secret: [u64; 4],
        memory: &Memory,
        socket: i32,
        level: Level,
    ) -> Result<Self, Error> {
        plan.check()?;
        let arrays = Slab::ARRAYS + 2 * Index::ARRAYS;
        let mut arena = memory.arena("a table", Self::memory_needed(plan), arrays, socket)?;
        Ok(Self {
            index: Index::new(plan.entries(), &mut arena)?,
            slab: Slab::new(plan.states, &mut arena)?,
            ids: if plan.ids { Some(Index::new(plan.states, &mut arena)?) } else { None },
            bytes: arena.bytes(),
            secret: Secret(secret),
            level,
            plan,
            translated: 0,
            far: plan.states as usize * size_of::<Hot>() > FAR_FROM,
            foreign: None,
            sources: None,
            half_open: 0,
        })
    }

    /// Bytes that a table for `plan` asks its memory for; mappings are rounded up to pages on top of that.
    #[must_use]
    pub fn memory_needed(plan: impl Into<Plan>) -> usize {
        let plan = plan.into();
        let ids = if plan.ids { Index::bytes_needed(plan.states) } else { 0 };
        Slab::bytes_needed(plan.states) + Index::bytes_needed(plan.entries()) + ids
    }

    /// The hot record of a slot.
    ///
    /// # Panics
    /// This and the other accessors do when `slot` is [`Slot::NONE`] or was never given out by this table.
    #[inline]
    #[must_use]
    pub fn hot(&self, slot: Slot) -> &Hot {
        &self.slab.hot[slot.0 as usize]
    }

    /// The hot record of a slot. Its key and the flags LIVE and TRANSLATED must stay as they are.
    #[inline]
    pub fn hot_mut(&mut self, slot: Slot) -> &mut Hot {
        &mut self.slab.hot[slot.0 as usize]
    }

    /// The track record of a slot.
    #[inline]
    #[must_use]
    pub fn track(&self, slot: Slot) -> &Track {
        &self.slab.track[slot.0 as usize]
    }

    /// The track record of a slot.
    #[inline]
    pub fn track_mut(&mut self, slot: Slot) -> &mut Track {
        &mut self.slab.track[slot.0 as usize]
    }

    /// The cold record of a slot.
    #[inline]
    #[must_use]
    pub fn cold(&self, slot: Slot) -> &Cold {
        &self.slab.cold[slot.0 as usize]
    }

    /// The cold record of a slot. Its stack key and identity must stay as they are.
    #[inline]
    pub fn cold_mut(&mut self, slot: Slot) -> &mut Cold {
        &mut self.slab.cold[slot.0 as usize]
    }

    /// What a packet changes: the hot and the track record, under the rules of [`Self::hot_mut`].
    #[inline]
    pub fn hot_and_track_mut(&mut self, slot: Slot) -> (&mut Hot, &mut Track) {
        let at = slot.0 as usize;
        (&mut self.slab.hot[at], &mut self.slab.track[at])
    }

    /// All three records, under the rules of [`Self::hot_mut`] and [`Self::cold_mut`].
    #[inline]
    pub fn records_mut(&mut self, slot: Slot) -> (&mut Hot, &mut Track, &mut Cold) {
        let at = slot.0 as usize;
        (&mut self.slab.hot[at], &mut self.slab.track[at], &mut self.slab.cold[at])
    }

    /// Starts loading a slot's track record. Any slot is fine.
    #[inline]
    pub fn prefetch_track(&self, slot: Slot) {
        prefetch::<Near, _>(&self.slab.track, slot.0 as usize);
    }

    /// Starts loading what a change touches of a slot's cold record: its first two lines. Any slot is fine.
    #[inline]
    pub fn prefetch_cold(&self, slot: Slot) {
        self.slab.prefetch_cold::<2>(slot.0 as usize);
    }

    /// Whether a slot holds a state.
    #[inline]
    #[must_use]
    pub fn is_live(&self, slot: Slot) -> bool {
        self.slab.is_live(slot.0)
    }

    /// The first state at or after slot number `from`, in slab order. Does not wrap.
    ///
    /// Cost: one line per slot passed over, in memory order.
    #[must_use]
    pub fn next_live(&self, from: u32) -> Option<Slot> {
        self.slab.next_live(from, self.slab.end())
    }

    /// As [`Self::next_live`], but looks at slots below `end` only: a sweep with a bounded cost.
    #[must_use]
    pub fn next_live_before(&self, from: u32, end: u32) -> Option<Slot> {
        self.slab.next_live(from, end)
    }

    /// One past the highest slot number in use so far: where a sweep starts again from 0.
    #[must_use]
    pub const fn end(&self) -> u32 {
        self.slab.end()
    }

    /// States in the table.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.slab.len()
    }

    /// Whether there is no state in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// States that fit.
    #[inline]
    #[must_use]
    pub const fn capacity(&self) -> u32 {
        self.slab.capacity()
    }

    /// Size and health. Cost: a few loads.
    #[must_use]
    pub fn statistics(&self) -> TableStatistics {
        let (overflowed, spilled, deepest) = self.index.overflow();
        TableStatistics {
            states: self.len(),
            capacity: self.capacity(),
            translated: self.translated,
            translated_capacity: self.plan.translated,
            bytes: self.bytes,
            index_bytes: self.index.bytes(),
            entries: self.index.entries(),
            overflowed,
            spilled,
            deepest,
            page_mode: self.slab.page_mode(),
            index_page_mode: self.index.page_mode(),
            level: self.level.name(),
        }
    }

    /// The value that stands for the unused record, and so for no entry.
    #[inline(always)]
    pub(super) const fn unused(&self) -> u32 {
        self.slab.capacity() << 1
    }
}
