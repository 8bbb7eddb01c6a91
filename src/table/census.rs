//! What the table knows of its states as a whole: connections that are not open yet, and whose they are.
//!
//! All states come and go through `change.rs`, which tells it here; so the counts hold whatever way a state ends.

use super::{InsertError, Slot, Table};
use crate::limits::{Source, SourceRefusal, Sources};
use crate::packet::{Direction, Key};
use crate::state::{Hot, LocalFlags, NO_SOURCES, Record, SourceLimits, sync_flags};
use crate::time::Tick;
use std::sync::Arc;

impl Table {
    /// From now on counts states to their sources.
    #[must_use]
    pub fn with_sources(mut self, sources: Arc<Sources>) -> Self {
        self.sources = Some(sources);
        self
    }

    /// The counts of sources, where states are counted.
    #[must_use]
    pub fn sources(&self) -> Option<&Sources> {
        self.sources.as_deref()
    }

    /// TCP connections that the two sides have not opened yet.
    #[inline]
    #[must_use]
    pub const fn half_open(&self) -> u32 {
        self.half_open
    }

    /// Asks for a place among the states of a source, before the state is made: for [`crate::state::Cold::sources`], or
    /// [`Self::release_source`].
    ///
    /// # Errors
    /// The limit that is reached.
    #[inline]
    pub fn admit_source(
        &self,
        key: &Key,
        direction: Direction,
        rule: u32,
        limits: &SourceLimits,
        now: Tick,
    ) -> Result<[u32; 2], SourceRefusal> {
        match &self.sources {
            Some(sources) => sources.admit(&source_of(key, direction, rule), limits, now),
            None if limits.is_none() => Ok(NO_SOURCES),
            None => Err(SourceRefusal::Full),
        }
    }

    /// Gives back the places of a state that was not made after all.
    pub fn release_source(&self, places: &[u32; 2], rule: u32) {
        if let Some(sources) = &self.sources {
            sources.release(places, rule, false);
        }
    }

    /// Adds a peer's state. It counts to its source and is never refused for it: the peer has let it in.
    ///
    /// # Errors
    /// As [`Self::insert`].
    pub fn insert_imported(&mut self, record: &Record, now: Tick) -> Result<Slot, InsertError> {
        let by_rule = record.cold.sync_flags & sync_flags::SOURCE != 0 && record.cold.rule != u32::MAX;
        let Some(sources) = self.sources.as_ref().filter(|sources| by_rule || sources.are_limited()) else {
            return self.insert(record);
        };
        let mut record = *record;
        record.cold.sources = sources.admit_imported(&source(&record), by_rule, now);
        let inserted = self.insert(&record);
        let (places, rule) = (&record.cold.sources, record.cold.rule);
        match (&self.sources, inserted) {
            (Some(sources), Ok(_)) if record.cold.connected => sources.count_imported_connection(places),
            (Some(sources), Err(_)) => sources.release(places, rule, false),
            _ => {}
        }
        inserted
    }

    /// Looks whether both sides have opened a connection by now; then it counts as one to its source.
    ///
    /// # Errors
    /// The limit of its source that it is beyond: the state is to be ended.
    pub fn note_opened(&mut self, slot: Slot, now: Tick) -> Result<(), SourceRefusal> {
        let (hot, _, cold) = self.records_mut(slot);
        if !hot.local.has(LocalFlags::OPENING) || hot.is_opening() {
            return Ok(());
        }
        hot.local.clear(LocalFlags::OPENING);
        cold.connected = hot.is_connected();
        let (places, connected) = (cold.sources, cold.connected);
        self.half_open -= 1;
        match &self.sources {
            Some(sources) if connected && places != NO_SOURCES => sources.count_connection(&places, now),
            _ => Ok(()),
        }
    }

    /// A state has come.
    #[inline(always)]
    pub(super) fn came(&mut self, slot: Slot) {
        let hot = &mut self.slab.hot[slot.0 as usize];
        hot.local.clear(LocalFlags::OPENING);
        if hot.is_opening() {
            hot.local.set(LocalFlags::OPENING);
            self.half_open += 1;
        }
    }

    /// A state is about to go.
    #[inline(always)]
    pub(super) fn goes(&mut self, slot: Slot) {
        self.half_open -= u32::from(self.hot(slot).local.has(LocalFlags::OPENING));
        let Some(sources) = &self.sources else { return };
        // These lie in the line that holds the identity, which was read just now.
        let cold = self.cold(slot);
        if cold.sources != NO_SOURCES {
            sources.release(&cold.sources, cold.rule, cold.connected);
        }
    }
}

/// The sender of a state's first packet, as that packet named it.
fn source(record: &Record) -> Source {
    let Record { hot, cold, .. } = record;
    let is_translated = hot.local.has(LocalFlags::TRANSLATED);
    let key = match hot.direction() {
        Direction::Out if is_translated => &cold.stack_key,
        _ => &hot.key,
    };
    source_of(key, Hot::direction(hot), cold.rule)
}

fn source_of(key: &Key, direction: Direction, rule: u32) -> Source {
    Source { address: key.addr[direction.source_slot()], family: key.family, rule }
}
