//! Where the states are that are replicated: our own table, or one of the host's (`host_store.rs`).
//!
//! Replication asks for a few numbers of a state far more often than for its contents, so these are apart: a table of the
//! host's has them kept here, and is asked for the contents only when a message is written or taken in.

use super::import::merge::{self, Stale};
use super::translate::{self, Clock};
use crate::packet::{Direction, Key};
use crate::state::{IfName, LocalFlags, Record, StateId, fold_counts};
use crate::table::{InsertError, Slot, Table};
use crate::time::Tick;
use pfsync::{CompressedUpdate, FullState, Profile, StatePeer};

/// States by slot number. Slots that are given to a method hold a state, where nothing else is said.
pub trait Store {
    /// What this node alone knows of the state.
    fn local(&self, slot: Slot) -> LocalFlags;
    /// See [`Self::local`]. LIVE, OUT and TRANSLATED stay as they are.
    fn local_mut(&mut self, slot: Slot) -> &mut LocalFlags;
    /// Updates folded since the state was queued.
    fn updates_mut(&mut self, slot: Slot) -> &mut u8;
    /// IP protocol.
    fn proto(&self, slot: Slot) -> u8;
    /// pf's flags.
    fn pf_flags(&self, slot: Slot) -> u16;
    /// Identity across nodes.
    fn id(&self, slot: Slot) -> StateId;
    /// Which peer told of it first, its number plus one; 0 when it was made here.
    fn origin_peer(&self, slot: Slot) -> u8;
    /// When it was made.
    fn creation(&self, slot: Slot) -> Tick;
    /// When a peer last updated it.
    fn network_update(&self, slot: Slot) -> Tick;
    /// The interface that it is bound to.
    fn ifname(&self, slot: Slot) -> IfName;
    /// Neighbours in the sync queue: the one before and the one behind.
    fn links_mut(&mut self, slot: Slot) -> [&mut u32; 2];
    /// A change of it is on its way to the peers: its version grows, its counts are added up.
    fn changed(&mut self, slot: Slot);
    /// What [`Self::links_mut`] and the contents lie in is wanted soon.
    fn prefetch(&self, _slot: Slot) {}

    /// Whether a slot holds a state. Any slot is fine.
    fn is_live(&self, slot: Slot) -> bool;
    /// The state with an identity.
    fn find_id(&self, id: StateId) -> Option<Slot>;
    /// A state that inbound packets with this key belong to, where that can be said.
    fn find_key(&self, key: &Key) -> Option<Slot>;
    /// The first state from `from` on and before `end`.
    fn next_live_before(&self, from: u32, end: u32) -> Option<Slot>;
    /// No state is at or behind this place.
    fn end(&self) -> u32;
    /// States.
    fn len(&self) -> u32;
    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether another state may fit.
    fn has_room(&self) -> bool {
        true
    }

    /// The state as a whole message, `None` once it has expired.
    fn full_state(&self, slot: Slot, clock: &Clock<'_>, profile: Profile) -> Option<FullState>;
    /// What changes in it, as a message; `None` when it is gone.
    fn compressed(&self, slot: Slot, profile: Profile) -> Option<CompressedUpdate>;
    /// All of it, for the rare case that two states claim one key.
    fn record(&self, slot: Slot) -> Record;

    /// Takes a peer's state in.
    ///
    /// # Errors
    /// As [`Table::insert`].
    fn insert(&mut self, record: &Record) -> Result<Slot, InsertError>;
    /// Takes over the sides that are not older than ours. With one of them, the timeout class and the activity follow.
    fn merge(&mut self, slot: Slot, src: &StatePeer, dst: &StatePeer, timeout: u8, now: Tick) -> Stale;
    /// Ends it.
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

    fn has_room(&self) -> bool {
        Self::len(self) < self.capacity()
    }

    fn full_state(&self, slot: Slot, clock: &Clock<'_>, profile: Profile) -> Option<FullState> {
        translate::full_state(self.hot(slot), self.track(slot), self.cold(slot), clock, profile)
    }

    fn compressed(&self, slot: Slot, profile: Profile) -> Option<CompressedUpdate> {
        translate::compressed(self.hot(slot), self.track(slot), self.cold(slot), profile)
    }

    fn record(&self, slot: Slot) -> Record {
        Record { hot: *self.hot(slot), track: *self.track(slot), cold: *self.cold(slot) }
    }

    fn insert(&mut self, record: &Record) -> Result<Slot, InsertError> {
        self.insert_imported(record, record.cold.network_update)
    }

    fn merge(&mut self, slot: Slot, src: &StatePeer, dst: &StatePeer, timeout: u8, now: Tick) -> Stale {
        let (hot, track, cold) = self.records_mut(slot);
        let stale = merge::merge(hot, track, src, dst);
        if stale.sides() < 2 {
            hot.timeout = merge::class_after(stale, hot, timeout);
            hot.last_activity = now;
        }
        cold.network_update = now;
        // The peer has let the connection in: it is not refused for its source.
        let _ = self.note_opened(slot, now);
        stale
    }

    fn remove(&mut self, slot: Slot) {
        Self::remove(self, slot);
    }
}
