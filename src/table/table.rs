//! The table: its parts, its records and its size.

use super::extras::Extras;
use super::foreign_keys::ForeignKeys;
use super::index::Index;
use super::opening::Opening;
use super::ports::PortPools;
use super::slab::Slab;
use super::{Plan, TableStatistics};
use crate::cpu::{Level, Near, Secret, prefetch};
use crate::error::Error;
use crate::limits::Sources;
use crate::memory::{Counted, Memory, Owned};
use crate::state::{Cold, Hot, LocalFlags, Track};

/// The index of a state in its table, valid until the state is removed.
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

    /// Returns the slot, or `None` for [`Self::NONE`].
    #[inline]
    #[must_use]
    pub const fn some(self) -> Option<Self> {
        if self.is_none() { None } else { Some(self) }
    }
}

/// Larger hot arrays are prefetched to the second-level cache.
const MAX_NEAR_BYTES: usize = 16 << 20;

/// A lane's states. One core owns it; any thread may build it.
pub struct Table {
    pub(super) slab: Slab,
    pub(super) index: Index,
    pub(super) ids: Index,
    pub(super) extras: Extras,
    bytes: usize,
    pub(super) secret: Secret,
    pub(super) level: Level,
    pub(super) plan: Plan,
    pub(super) translated: u32,
    /// Whether lookups prefetch to the second-level cache.
    pub(super) far: bool,
    pub(super) foreign: Option<Owned<ForeignKeys>>,
    pub(super) ports: Option<Owned<PortPools>>,
    pub(super) sources: Option<Counted<Sources>>,
    pub(super) half_open: u32,
    pub(super) opening: Opening,
    /// Half-open connections below which none is evicted.
    pub(super) min_half_open: u32,
}

impl Table {
    /// Builds a table for `plan` (a number of states, or a [`Plan`]) in memory of NUMA node `socket` (-1: any).
    ///
    /// `secret` is 256 random bits that must stay private. Cost: touches all memory.
    ///
    /// # Errors
    /// [`Error::Setting`] when the plan is out of range, [`Error::OutOfMemory`].
    pub fn new(plan: impl Into<Plan>, secret: [u64; 4], memory: &Memory, socket: i32) -> Result<Self, Error> {
        Self::with_level(plan.into(), secret, memory, socket, Level::best())
    }

    /// As [`Self::new`], with an instruction set of the caller's choice, for tests and benches.
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
        let arrays = Slab::ARRAYS + 2 * Index::ARRAYS + Extras::ARRAYS + Opening::ARRAYS;
        let mut arena = memory.arena("a table", Self::memory_needed(plan), arrays, socket)?;
        Ok(Self {
            index: Index::new(plan.entries(), &mut arena)?,
            slab: Slab::new(plan.states, &mut arena)?,
            ids: Index::new(plan.states, &mut arena)?,
            extras: Extras::new(plan.extras, &mut arena)?,
            opening: Opening::new(plan.states, &mut arena)?,
            bytes: arena.bytes(),
            secret: Secret(secret),
            level,
            plan,
            translated: 0,
            far: plan.states as usize * size_of::<Hot>() > MAX_NEAR_BYTES,
            foreign: None,
            ports: None,
            sources: None,
            half_open: 0,
            min_half_open: u32::MAX,
        })
    }

    /// Returns the bytes that a table for `plan` allocates, before mappings are rounded up to pages.
    #[must_use]
    pub fn memory_needed(plan: impl Into<Plan>) -> usize {
        let plan = plan.into();
        Slab::bytes_needed(plan.states)
            + Index::bytes_needed(plan.entries())
            + Index::bytes_needed(plan.states)
            + Extras::bytes_needed(plan.extras)
            + Opening::bytes_needed(plan.states)
    }

    /// Keeps track of the source ports of translated states from now on.
    pub(crate) fn set_ports(&mut self, ports: Owned<PortPools>) {
        self.ports = Some(ports);
    }

    /// Returns the source ports of translated states.
    #[must_use]
    pub fn ports(&self) -> Option<&PortPools> {
        self.ports.as_deref()
    }

    /// As [`Self::ports`], mutably.
    pub fn ports_mut(&mut self) -> Option<&mut PortPools> {
        self.ports.as_deref_mut()
    }

    /// Returns the hot record of a slot.
    ///
    /// # Panics
    /// This and the other accessors panic when `slot` is [`Slot::NONE`] or not of this table.
    #[inline]
    #[must_use]
    pub fn hot(&self, slot: Slot) -> &Hot {
        &self.slab.hot[slot.0 as usize]
    }

    /// As [`Self::hot`], mutably. The caller must not change the key and the flags LIVE and TRANSLATED.
    #[inline]
    pub fn hot_mut(&mut self, slot: Slot) -> &mut Hot {
        &mut self.slab.hot[slot.0 as usize]
    }

    /// Returns the track record of a slot.
    #[inline]
    #[must_use]
    pub fn track(&self, slot: Slot) -> &Track {
        &self.slab.track[slot.0 as usize]
    }

    /// As [`Self::track`], mutably.
    #[inline]
    pub fn track_mut(&mut self, slot: Slot) -> &mut Track {
        &mut self.slab.track[slot.0 as usize]
    }

    /// Returns the cold record of a slot.
    #[inline]
    #[must_use]
    pub fn cold(&self, slot: Slot) -> &Cold {
        &self.slab.cold[slot.0 as usize]
    }

    /// As [`Self::cold`], mutably. The caller must not change the stack key and the identity.
    #[inline]
    pub fn cold_mut(&mut self, slot: Slot) -> &mut Cold {
        &mut self.slab.cold[slot.0 as usize]
    }

    /// Returns the records that a packet changes, under the rules of [`Self::hot_mut`].
    #[inline]
    pub fn hot_and_track_mut(&mut self, slot: Slot) -> (&mut Hot, &mut Track) {
        let at = slot.0 as usize;
        (&mut self.slab.hot[at], &mut self.slab.track[at])
    }

    /// Returns all three records, under the rules of [`Self::hot_mut`] and [`Self::cold_mut`].
    #[inline]
    pub fn records_mut(&mut self, slot: Slot) -> (&mut Hot, &mut Track, &mut Cold) {
        let at = slot.0 as usize;
        (&mut self.slab.hot[at], &mut self.slab.track[at], &mut self.slab.cold[at])
    }

    /// As [`Self::records_mut`], if the slot holds a state. Any slot is allowed.
    #[inline(always)]
    pub fn live_records_mut(&mut self, slot: Slot) -> Option<(&mut Hot, &mut Track, &mut Cold)> {
        let at = slot.0 as usize;
        let hot = self.slab.hot.get_mut(at).filter(|hot| hot.local.has(LocalFlags::LIVE))?;
        Some((hot, self.slab.track.get_mut(at)?, self.slab.cold.get_mut(at)?))
    }

    /// Prefetches a slot's track record. Any slot is allowed.
    #[inline]
    pub fn prefetch_track(&self, slot: Slot) {
        prefetch::<Near, _>(&self.slab.track, slot.0 as usize);
    }

    /// Prefetches the two lines of a slot's cold record that a change touches. Any slot is allowed.
    #[inline]
    pub fn prefetch_cold(&self, slot: Slot) {
        self.slab.prefetch_cold::<2>(slot.0 as usize);
    }

    /// Prefetches what a change touches of a slot's three records. Any slot is allowed.
    #[inline(always)]
    pub fn prefetch_records(&self, slot: Slot) {
        prefetch::<Near, _>(&self.slab.hot, slot.0 as usize);
        self.prefetch_track(slot);
        self.prefetch_cold(slot);
    }

    /// Whether a slot holds a state.
    #[inline]
    #[must_use]
    pub fn is_live(&self, slot: Slot) -> bool {
        self.slab.is_live(slot.0)
    }

    /// Returns the first state at or after slot number `from`. Does not wrap.
    ///
    /// Cost: one cache line per slot passed, in memory order.
    #[must_use]
    pub fn next_live(&self, from: u32) -> Option<Slot> {
        self.slab.next_live(from, self.slab.end())
    }

    /// As [`Self::next_live`], among slots below `end`: a sweep with a bounded cost.
    #[must_use]
    pub fn next_live_before(&self, from: u32, end: u32) -> Option<Slot> {
        self.slab.next_live(from, end)
    }

    /// Returns one past the highest slot number used so far. A sweep restarts from 0 there.
    #[must_use]
    pub const fn end(&self) -> u32 {
        self.slab.end()
    }

    /// Returns the number of states.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.slab.len()
    }

    /// Whether there is no state.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the maximum number of states.
    #[inline]
    #[must_use]
    pub const fn capacity(&self) -> u32 {
        self.slab.capacity()
    }

    /// Returns size and health. Cost: a few loads.
    #[must_use]
    pub fn statistics(&self) -> TableStatistics {
        let overflow = self.index.overflow();
        TableStatistics {
            states: self.len(),
            capacity: self.capacity(),
            bytes: self.bytes + self.ports().map_or(0, PortPools::bytes),
            index_bytes: self.index.bytes(),
            overflowed: overflow.overflowed,
            spilled: overflow.spilled,
            deepest: overflow.deepest,
            page_mode: self.slab.page_mode(),
        }
    }

    /// The index value of the unused record, which stands for "no entry".
    #[inline(always)]
    pub(super) const fn unused(&self) -> u32 {
        self.slab.capacity() << 1
    }
}
