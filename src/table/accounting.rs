//! Counts over all states: half-open connections, and each source's states.
//!
//! Every insert and remove calls [`Table::on_insert`] and [`Table::on_remove`], so the counts are right however a state
//! ends.

use super::opening::Creator;
use super::{InsertError, Slot, Table};
use crate::limits::{Source, SourceRefusal, Sources};
use crate::memory::Counted;
use crate::packet::{Direction, Key};
use crate::state::{Hot, LocalFlags, NO_SOURCES, Record, SourceLimits, sync_flags};
use crate::time::Tick;

/// Connections examined for one that may be evicted. One that may not be is not examined again.
const MAX_EXAMINED: usize = 4;

impl Table {
    /// Counts states per source from now on.
    #[must_use]
    pub fn with_sources(mut self, sources: Counted<Sources>) -> Self {
        self.set_sources(sources);
        self
    }

    /// As [`Self::with_sources`], in place.
    pub(crate) fn set_sources(&mut self, sources: Counted<Sources>) {
        self.sources = Some(sources);
    }

    /// Returns the counts of sources, if they are kept.
    #[must_use]
    pub fn sources(&self) -> Option<&Sources> {
        self.sources.as_deref()
    }

    /// Returns the number of TCP connections that are not yet open on both sides.
    #[inline]
    #[must_use]
    pub const fn half_open(&self) -> u32 {
        self.half_open
    }

    /// Lets a full table evict half-open connections while at least `states` are half-open.
    #[must_use]
    pub const fn with_eviction(mut self, states: u32) -> Self {
        self.set_eviction(states);
        self
    }

    /// As [`Self::with_eviction`], in place.
    pub(crate) const fn set_eviction(&mut self, states: u32) {
        self.min_half_open = states;
    }

    /// Returns the half-open TCP connection that a new state replaces where there is no space: the oldest, if enough are
    /// half-open. `of_peers` leaves out the ones that this node created. One that a peer sent and that has local traffic
    /// was taken over, and stays.
    pub fn evictable(&mut self, of_peers: bool) -> Option<Slot> {
        if self.half_open < self.min_half_open {
            return None;
        }
        for _ in 0..MAX_EXAMINED {
            let ours = self.opening.oldest(Creator::Us).filter(|_| !of_peers);
            let slot = match (ours, self.opening.oldest(Creator::Peer)) {
                (Some(ours), Some(theirs)) => self.older_of(ours, theirs),
                (ours, theirs) => ours.or(theirs)?,
            };
            if !self.hot(slot).local.has(LocalFlags::IMPORTED | LocalFlags::LOCAL_TRAFFIC) {
                return Some(slot);
            }
            self.opening.remove(slot);
        }
        None
    }

    fn older_of(&self, a: Slot, b: Slot) -> Slot {
        if self.cold(b).creation.since(self.cold(a).creation) < 0 { b } else { a }
    }

    /// Counts a state that is about to be inserted. The counters go into [`crate::state::Cold::sources`], or back to
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

    /// Releases the counters of a state that was not inserted after all.
    pub fn release_source(&self, counters: &[u32; 2], rule: u32) {
        if let Some(sources) = &self.sources {
            sources.release(counters, rule, false);
        }
    }

    /// Inserts a peer's state. It counts to its source, but no limit refuses it: the peer has admitted it.
    ///
    /// # Errors
    /// As [`Self::insert`].
    pub fn insert_imported(&mut self, record: &Record, now: Tick) -> Result<Slot, InsertError> {
        let by_rule = record.cold.sync_flags & sync_flags::SOURCE != 0 && record.cold.rule != u32::MAX;
        let Some(sources) = self.sources.as_ref().filter(|sources| by_rule || sources.are_limited()) else {
            return self.insert(record);
        };
        let mut record = *record;
        record.cold.sources = sources.admit_imported(&source_of_record(&record), by_rule, now);
        let inserted = self.insert(&record);
        let (counters, rule) = (&record.cold.sources, record.cold.rule);
        match (&self.sources, inserted) {
            (Some(sources), Ok(_)) if record.cold.connected => sources.count_imported_connection(counters),
            (Some(sources), Err(_)) => sources.release(counters, rule, false),
            _ => {}
        }
        inserted
    }

    /// Counts the connection of a state to its source once both sides have opened it.
    ///
    /// # Errors
    /// The limit of its source that it exceeds: the caller deletes the state.
    pub fn note_opened(&mut self, slot: Slot, now: Tick) -> Result<(), SourceRefusal> {
        let (hot, _, cold) = self.records_mut(slot);
        if !hot.local.has(LocalFlags::OPENING) || hot.is_opening() {
            return Ok(());
        }
        hot.local.clear(LocalFlags::OPENING);
        cold.connected = hot.is_connected();
        let (counters, connected) = (cold.sources, cold.connected);
        self.half_open -= 1;
        self.opening.remove(slot);
        match &self.sources {
            Some(sources) if connected && counters != NO_SOURCES => sources.count_connection(&counters, now),
            _ => Ok(()),
        }
    }

    /// Counts a state that was just inserted.
    #[inline(always)]
    pub(super) fn on_insert(&mut self, slot: Slot) {
        let hot = &mut self.slab.hot[slot.0 as usize];
        hot.local.clear(LocalFlags::OPENING);
        if hot.is_opening() {
            hot.local.set(LocalFlags::OPENING);
            let is_imported = hot.local.has(LocalFlags::IMPORTED);
            self.half_open += 1;
            self.opening.push(slot, if is_imported { Creator::Peer } else { Creator::Us });
        }
    }

    /// Uncounts a state that is about to be removed.
    #[inline(always)]
    pub(super) fn on_remove(&mut self, slot: Slot) {
        if self.hot(slot).local.has(LocalFlags::OPENING) {
            self.half_open -= 1;
            self.opening.remove(slot);
        }
        self.release_extra(slot);
        let Some(sources) = &self.sources else { return };
        // The counters share a cache line with the identity, which was just read.
        let cold = self.cold(slot);
        if cold.sources != NO_SOURCES {
            sources.release(&cold.sources, cold.rule, cold.connected);
        }
    }
}

/// Returns the sender of a state's first packet, as in that packet's headers.
fn source_of_record(record: &Record) -> Source {
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
