//! The table of replicated states: our own, or the host's (`host_store.rs`).
//!
//! Replication reads a few fields of a state far more often than its contents, so they have methods of their own. For a
//! host's table they are kept here, and the host is asked for the contents only when a message is built or applied.

use super::import::merge::{self, Merged, PeerView};
use super::translate::{self, Clock};
use crate::packet::{Direction, Key};
use crate::state::{Extra, ExtraPart, IfName, LocalFlags, Record, StateId, Track, fold_counts, peer_state};
use crate::table::{InsertError, Slot, Table};
use crate::time::Tick;
use pfsync::{CompressedUpdate, FullState, Profile};

/// States by slot. A slot passed to a method holds a state, unless the method says otherwise.
pub trait Store {
    /// Flags that only this node knows.
    fn local(&self, slot: Slot) -> LocalFlags;
    /// As [`Self::local`]. LIVE, OUT and TRANSLATED must not change.
    fn local_mut(&mut self, slot: Slot) -> &mut LocalFlags;
    /// Updates merged since the state was queued.
    fn updates_mut(&mut self, slot: Slot) -> &mut u8;
    /// IP protocol.
    fn proto(&self, slot: Slot) -> u8;
    /// pf's flags.
    fn pf_flags(&self, slot: Slot) -> u16;
    /// Id across nodes.
    fn id(&self, slot: Slot) -> StateId;
    /// Index plus one of the peer that sent it first; 0 if it was created here.
    fn origin_peer(&self, slot: Slot) -> u8;
    /// Creation time.
    fn creation(&self, slot: Slot) -> Tick;
    /// Time of a peer's last update.
    fn network_update(&self, slot: Slot) -> Tick;
    /// Interface that it is bound to.
    fn ifname(&self, slot: Slot) -> IfName;
    /// Times of the last whole state and of the last update sent in answer to a peer, see the limits of the export.
    fn answered_mut(&mut self, slot: Slot) -> &mut [u16; 2];
    /// Whether the state's insert waits for an acknowledgement, see [`crate::state::Cold::unacknowledged`].
    fn unacknowledged_mut(&mut self, slot: Slot) -> &mut bool;
    /// Previous and next state in the send queue.
    fn links_mut(&mut self, slot: Slot) -> [&mut u32; 2];
    /// Notes that a change was queued: increments its version and adds up its packet counts.
    fn changed(&mut self, slot: Slot);
    /// Notes that the peers get the state as it is now.
    fn mark_sent(&mut self, _slot: Slot) {}
    /// Whether both sides of the connection are established, so that only its numbers move.
    fn is_established(&self, _slot: Slot) -> bool {
        false
    }
    /// Prefetches the state.
    fn prefetch(&self, _slot: Slot) {}

    /// Whether a slot holds a state. Accepts any slot.
    fn is_live(&self, slot: Slot) -> bool;
    /// Finds the state with an id.
    fn find_id(&self, id: StateId) -> Option<Slot>;
    /// Finds the state of inbound packets with this key, if the table can tell.
    fn find_key(&self, key: &Key) -> Option<Slot>;
    /// Returns the first state at or after `from` and before `end`.
    fn next_live_before(&self, from: u32, end: u32) -> Option<Slot>;
    /// Returns a slot behind all states.
    fn end(&self) -> u32;
    /// Returns the number of states.
    fn len(&self) -> u32;
    /// Whether there are no states.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns a half-open connection of a peer that a peer's state replaces where there is no space, if the table evicts such.
    fn evictable_import(&mut self) -> Option<Slot> {
        None
    }

    /// Returns for how many more states there is space, or may be.
    fn space(&self) -> u32;

    /// Returns whether a dialect can express the state.
    fn is_expressible(&self, slot: Slot, profile: Profile) -> bool;
    /// Builds a full state message; `None` when the state has expired.
    fn full_state(&self, slot: Slot, clock: &Clock<'_>, profile: Profile) -> Option<FullState>;
    /// Builds a compressed update; `None` when the state is gone.
    fn compressed_update(&self, slot: Slot, profile: Profile) -> Option<CompressedUpdate>;
    /// Copies the whole state, for the rare collision of two states with one key.
    fn record(&self, slot: Slot) -> Record;

    /// Inserts a peer's state, and what only few states have.
    ///
    /// # Errors
    /// As [`Table::insert`].
    fn insert(&mut self, record: &Record, extra: Option<&Extra>) -> Result<Slot, InsertError>;
    /// Returns what only few states have.
    fn extra(&self, slot: Slot) -> Option<&Extra>;
    /// Stores a part of it. Returns false if there is no space.
    fn set_extra_part(&mut self, slot: Slot, part: &ExtraPart) -> bool;
    /// Whether there was no space for what only few states have.
    fn is_incomplete(&self, slot: Slot) -> bool;
    /// Copies the sides that are not stale and, with at least one of them, the timeout class and the activity. An echo
    /// changes nothing but the time of the update.
    fn merge(&mut self, slot: Slot, view: &PeerView<'_>, now: Tick) -> Merged;
    /// Removes it.
    fn remove(&mut self, slot: Slot);
}

impl Store for Table {
    #[inline]
    fn local(&self, slot: Slot) -> LocalFlags {
        self.hot(slot).local
    }

    #[inline]
    fn local_mut(&mut self, slot: Slot) -> &mut LocalFlags {
        &mut self.hot_mut(slot).local
    }

    #[inline]
    fn updates_mut(&mut self, slot: Slot) -> &mut u8 {
        &mut self.hot_mut(slot).updates
    }

    #[inline]
    fn proto(&self, slot: Slot) -> u8 {
        self.hot(slot).key.proto
    }

    #[inline]
    fn pf_flags(&self, slot: Slot) -> u16 {
        self.hot(slot).pf_flags
    }

    #[inline]
    fn id(&self, slot: Slot) -> StateId {
        self.cold(slot).id
    }

    fn origin_peer(&self, slot: Slot) -> u8 {
        self.cold(slot).origin_peer
    }

    fn creation(&self, slot: Slot) -> Tick {
        self.cold(slot).creation
    }

    fn network_update(&self, slot: Slot) -> Tick {
        self.cold(slot).network_update
    }

    fn ifname(&self, slot: Slot) -> IfName {
        self.cold(slot).ifname
    }

    fn answered_mut(&mut self, slot: Slot) -> &mut [u16; 2] {
        &mut self.cold_mut(slot).answered
    }

    fn unacknowledged_mut(&mut self, slot: Slot) -> &mut bool {
        &mut self.cold_mut(slot).unacknowledged
    }

    #[inline]
    fn links_mut(&mut self, slot: Slot) -> [&mut u32; 2] {
        let cold = self.cold_mut(slot);
        [&mut cold.queue_previous, &mut cold.queue_next]
    }

    #[inline]
    fn changed(&mut self, slot: Slot) {
        let (hot, _, cold) = self.records_mut(slot);
        cold.version = cold.version.wrapping_add(1);
        fold_counts(hot, cold);
    }

    #[inline]
    fn mark_sent(&mut self, slot: Slot) {
        let (_, Track { src, dst }) = self.hot_and_track_mut(slot);
        for side in [src, dst].into_iter().filter(|side| side.seqlo != 0) {
            side.sent_seqhi = side.seqhi;
        }
    }

    #[inline]
    fn is_established(&self, slot: Slot) -> bool {
        self.hot(slot).peer_state == [peer_state::ESTABLISHED; 2]
    }

    #[inline]
    fn prefetch(&self, slot: Slot) {
        self.prefetch_records(slot);
    }

    #[inline]
    fn is_live(&self, slot: Slot) -> bool {
        Self::is_live(self, slot)
    }

    fn find_id(&self, id: StateId) -> Option<Slot> {
        Self::find_id(self, id)
    }

    fn find_key(&self, key: &Key) -> Option<Slot> {
        self.find(key, Direction::In)
    }

    fn next_live_before(&self, from: u32, end: u32) -> Option<Slot> {
        Self::next_live_before(self, from, end)
    }

    fn end(&self) -> u32 {
        Self::end(self)
    }

    fn len(&self) -> u32 {
        Self::len(self)
    }

    fn evictable_import(&mut self) -> Option<Slot> {
        self.evictable(true)
    }

    fn space(&self) -> u32 {
        self.capacity() - self.len()
    }

    fn is_expressible(&self, slot: Slot, profile: Profile) -> bool {
        let needs = || {
            let is_incomplete = Self::is_incomplete(self, slot);
            translate::needs_of(self.hot(slot), self.cold(slot), Self::extra(self, slot), is_incomplete)
        };
        profile == Profile::OpenBsd6 || needs().are_met_by(profile)
    }

    fn full_state(&self, slot: Slot, clock: &Clock<'_>, profile: Profile) -> Option<FullState> {
        let (hot, track, cold) = (self.hot(slot), self.track(slot), self.cold(slot));
        translate::full_state(hot, track, cold, Self::extra(self, slot), clock, profile)
    }

    fn compressed_update(&self, slot: Slot, profile: Profile) -> Option<CompressedUpdate> {
        Some(translate::compressed_update(self.hot(slot), self.track(slot), self.cold(slot), profile))
    }

    fn record(&self, slot: Slot) -> Record {
        Record { hot: *self.hot(slot), track: *self.track(slot), cold: *self.cold(slot) }
    }

    fn insert(&mut self, record: &Record, extra: Option<&Extra>) -> Result<Slot, InsertError> {
        let slot = self.insert_imported(record, record.cold.network_update)?;
        if let Some(extra) = extra {
            // Without space the state is incomplete, which the caller counts.
            let _ = self.set_extra(slot, extra);
        }
        Ok(slot)
    }

    fn extra(&self, slot: Slot) -> Option<&Extra> {
        Self::extra(self, slot)
    }

    fn set_extra_part(&mut self, slot: Slot, part: &ExtraPart) -> bool {
        let known = Self::extra(self, slot).copied();
        if known.is_none() && !self.has_extra_space() {
            return false;
        }
        let mut extra = known.unwrap_or(Extra::EMPTY);
        extra.set(part);
        self.set_extra(slot, &extra).is_ok()
    }

    fn is_incomplete(&self, slot: Slot) -> bool {
        Self::is_incomplete(self, slot)
    }

    fn merge(&mut self, slot: Slot, view: &PeerView<'_>, now: Tick) -> Merged {
        let (hot, track, cold) = self.records_mut(slot);
        cold.network_update = now;
        if merge::is_echo(hot, track, view) {
            return Merged { is_echo: true, ..Merged::default() };
        }
        let stale = merge::merge(hot, track, view.src, view.dst);
        if stale.count() < 2 {
            hot.timeout = merge::merged_class(stale, hot, [view.src, view.dst], view.timeout);
            hot.last_activity = view.activity.merged(hot.last_activity, now);
        }
        // The peer accepted the connection, so the limits of its source do not refuse it.
        let _ = self.note_opened(slot, now);
        Merged { stale, is_echo: false }
    }

    fn remove(&mut self, slot: Slot) {
        Self::remove(self, slot);
    }
}
