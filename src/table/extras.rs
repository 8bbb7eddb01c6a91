//! Storage for what only few states have. Entries are fewer than states, so a state has the index of its entry.

use super::{Slot, Table};
use crate::error::Error;
use crate::memory::{Arena, FixedArray, bytes_of};
use crate::state::{Cold, Extra};

/// The entries of a lane and the list of free ones.
pub(super) struct Extras {
    entries: FixedArray<Extra>,
    free: FixedArray<u32>,
    free_count: u32,
    /// States whose fields found no entry.
    incomplete: u32,
}

impl Extras {
    /// Arrays that are allocated.
    pub(super) const ARRAYS: usize = 2;

    pub(super) fn new(capacity: u32, arena: &mut Arena) -> Result<Self, Error> {
        let length = capacity as usize;
        let mut free = arena.array("free extra entries", length, 0)?;
        free.iter_mut().zip((0..capacity).rev()).for_each(|(free, entry)| *free = entry);
        let entries = arena.array("extra entries", length, Extra::EMPTY)?;
        Ok(Self { entries, free, free_count: capacity, incomplete: 0 })
    }

    pub(super) const fn bytes_needed(capacity: u32) -> usize {
        bytes_of::<Extra>(capacity as usize) + bytes_of::<u32>(capacity as usize)
    }

    fn used(&self) -> u32 {
        self.entries.len() as u32 - self.free_count
    }

    /// Whether some state has an entry or lacks one.
    fn is_used(&self) -> bool {
        self.used() + self.incomplete > 0
    }

    fn take(&mut self) -> Option<u32> {
        self.free_count = self.free_count.checked_sub(1)?;
        Some(self.free[self.free_count as usize])
    }

    fn release(&mut self, entry: u32) {
        self.free[self.free_count as usize] = entry;
        self.free_count += 1;
    }
}

/// There is no free entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoEntry;

impl Table {
    /// Returns what only few states have of a state, if it has any of it.
    #[must_use]
    pub fn extra(&self, slot: Slot) -> Option<&Extra> {
        if self.extras.is_used() { self.extras.entries.get(self.cold(slot).extra as usize) } else { None }
    }

    /// Whether a peer sent fields of the state that found no free entry.
    #[must_use]
    pub fn is_incomplete(&self, slot: Slot) -> bool {
        self.extras.incomplete > 0 && self.cold(slot).extra == Cold::LOST_EXTRA
    }

    /// Stores what only few states have. Cost: two cache lines and the three of the entry.
    ///
    /// # Errors
    /// [`NoEntry`]; the state then [is incomplete](Self::is_incomplete).
    pub fn set_extra(&mut self, slot: Slot, extra: &Extra) -> Result<(), NoEntry> {
        let known = self.cold(slot).extra;
        if let Some(entry) = self.extras.entries.get_mut(known as usize) {
            *entry = *extra;
            return Ok(());
        }
        let Some(entry) = self.extras.take() else {
            self.extras.incomplete += u32::from(known != Cold::LOST_EXTRA);
            self.cold_mut(slot).extra = Cold::LOST_EXTRA;
            return Err(NoEntry);
        };
        self.extras.incomplete -= u32::from(known == Cold::LOST_EXTRA);
        self.extras.entries[entry as usize] = *extra;
        self.cold_mut(slot).extra = entry;
        Ok(())
    }

    /// Whether another state can have an [`Extra`].
    #[must_use]
    pub const fn has_extra_space(&self) -> bool {
        self.extras.free_count > 0
    }

    /// Returns the number of entries in use.
    #[must_use]
    pub fn extras_used(&self) -> u32 {
        self.extras.used()
    }

    /// Frees the entry of a state that is about to be removed.
    #[inline(always)]
    pub(super) fn release_extra(&mut self, slot: Slot) {
        if !self.extras.is_used() {
            return;
        }
        match self.cold(slot).extra {
            Cold::NO_EXTRA => {}
            Cold::LOST_EXTRA => self.extras.incomplete -= 1,
            entry => self.extras.release(entry),
        }
    }
}
