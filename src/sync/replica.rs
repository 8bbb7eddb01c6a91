//! Replication of the host's own table, on one thread.

use super::bulk::Responder;
use super::ends::Ends;
use super::export::{Exporter, Removal};
use super::host_store::{HostStore, HostTable};
use super::import::{Arrival, Importer, SilentPeers};
use super::message::{Body, MessageRef, PeerIndex};
use super::settings::SyncSettings;
use super::store::Store;
use super::{Flushed, ImportCounters, Requester, SyncCounters, apply};
use crate::error::Error;
use crate::state::{LocalFlags, StateId, Timeouts};
use crate::table::Slot;
use crate::time::{HostClock, Nanos, Tick};

/// Slots that a clear examines in one housekeeping call.
const CLEAR_SLOTS_PER_POLL: u32 = 4096;

/// The index holds no state, or already holds one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongIndex;

/// Replication of the host's own table.
///
/// The host reports changes of its states; peers' changes are applied to its table. The host expires its states, and asks
/// [`Self::in_grace`] first for those without local traffic.
pub struct Replica<T> {
    store: HostStore<T>,
    importer: Importer,
    exporter: Exporter,
    responder: Responder,
    /// It started empty and there may be a third node: requests wait until its own bulk transfer has ended.
    holds_answers: bool,
    timeouts: Timeouts,
    silent_peers: SilentPeers,
    has_requested: bool,
    clock: HostClock,
}

impl<T: HostTable> Replica<T> {
    /// Builds the replication of `host`, whose indexes are below `capacity`. Its existing states count as its own and are
    /// sent to the peers. `ends` issues new ids.
    ///
    /// # Errors
    /// As [`SyncSettings::check`].
    pub fn new(
        settings: SyncSettings,
        timeouts: Timeouts,
        host: T,
        capacity: u32,
        ends: Ends,
    ) -> Result<Self, Error> {
        let has_third_node = settings.has_third_node();
        let mut replica = Self {
            holds_answers: false,
            store: HostStore::new(host, capacity, timeouts.clone()),
            importer: Importer::new(&settings),
            responder: Responder::new(1, settings.min_bulk_interval),
            exporter: Exporter::new(settings.for_capacity(capacity))?.with_ends(ends),
            timeouts,
            silent_peers: SilentPeers::default(),
            has_requested: false,
            clock: HostClock::default(),
        };
        replica.adopt_all();
        replica.holds_answers = has_third_node && replica.store.is_empty();
        replica.responder.hold(replica.holds_answers);
        Ok(replica)
    }

    fn adopt_all(&mut self) {
        let mut from = 0;
        while let Some((index, _)) = self.store.host().next_from(from) {
            let id = self.exporter.ends.ids.issue();
            // Indexes beyond the capacity are not replicated.
            if index < from || !self.store.adopt(index, id) {
                break;
            }
            from = index + 1;
        }
    }

    /// Returns the time now, given the host's.
    fn set_time(&mut self, now: Nanos) -> Nanos {
        let now = self.clock.advance(now);
        self.store.now = Tick::from_nanos(now);
        now
    }

    /// Issues the next id that no state has: one of an earlier run may have come back.
    fn unused_id(&mut self) -> StateId {
        let mut id = self.exporter.ends.ids.issue();
        while self.store.find_id(id).is_some() {
            id = self.exporter.ends.ids.issue();
        }
        id
    }

    fn live(&self, index: u32) -> Result<Slot, WrongIndex> {
        if self.store.is_live(Slot(index)) { Ok(Slot(index)) } else { Err(WrongIndex) }
    }

    /// Notes a state that the host has created.
    ///
    /// # Errors
    /// [`WrongIndex`] when the index is in use or beyond the capacity, or the host's table has no state there.
    pub fn inserted(&mut self, index: u32, now: Nanos) -> Result<StateId, WrongIndex> {
        let now = self.set_time(now);
        let id = self.unused_id();
        if !self.store.adopt(index, id) {
            return Err(WrongIndex);
        }
        self.exporter.inserted(&mut self.store, Slot(index), now);
        Ok(id)
    }

    /// Notes that the host has forwarded a packet of a state.
    ///
    /// # Errors
    /// [`WrongIndex`].
    pub fn updated(&mut self, index: u32, now: Nanos) -> Result<(), WrongIndex> {
        let slot = self.live(index)?;
        let now = self.set_time(now);
        self.store.local_mut(slot).set(LocalFlags::LOCAL_TRAFFIC);
        self.exporter.updated(&mut self.store, slot, now);
        Ok(())
    }

    /// Notes that the host removes, or has removed, a state.
    ///
    /// # Errors
    /// [`WrongIndex`].
    pub fn removed(&mut self, index: u32, why: Removal, now: Nanos) -> Result<(), WrongIndex> {
        let slot = self.live(index)?;
        let now = self.set_time(now);
        self.exporter.removed(&mut self.store, slot, now, why);
        self.store.forget(slot);
        Ok(())
    }

    /// Whether an expired state must be kept: only a peer has traffic of it, and the peer is silent.
    #[must_use]
    pub fn in_grace(&self, index: u32) -> bool {
        self.live(index).is_ok_and(|slot| self.silent_peers.in_grace(&self.store, slot))
    }

    /// Receives an IP packet of protocol 240 from the sync port.
    pub fn receive(&mut self, packet: &[u8], now: Nanos) {
        let now = self.set_time(now);
        let Self { store, importer, exporter, responder, timeouts, .. } = self;
        importer.receive(packet, Arrival::SyncPort, now, |message: &MessageRef<'_>| {
            if let Some(state) = message.insertable() {
                exporter.ends.ids.lift_above(state.id.into());
            }
            if let Body::BulkRequest(from) = message.body {
                if let Some(order) = responder.requested(message.peer, from, now) {
                    exporter.begin_walk(store, order);
                }
            } else {
                apply(store, exporter, timeouts, message, now);
            }
        });
    }

    /// Housekeeping: bulk requests, clears, bulk transfer marks. Call it at least every millisecond.
    pub fn poll(&mut self, now: Nanos) {
        let now = self.set_time(now);
        if !self.has_requested {
            self.has_requested = true;
            if self.exporter.is_active() {
                self.importer.bulk.start(now, false);
            }
            if !self.store.is_empty() {
                self.push_all(now);
            }
        }
        if self.importer.bulk.poll(now) {
            self.exporter.bulk_request();
        }
        self.holds_answers &= !self.importer.bulk.is_ready();
        if let Some(order) = self.importer.waiting_walk(&mut self.responder, self.holds_answers, now) {
            self.exporter.begin_walk(&self.store, order);
        }
        if self.exporter.is_clearing() {
            self.exporter.step_clears(&mut self.store, CLEAR_SLOTS_PER_POLL, now);
        }
        while let Some(order) = self.exporter.take_finished_walk() {
            if let Some(requested) = self.responder.lane_finished(order) {
                self.exporter.bulk_end(order.peer, requested);
            }
        }
        let (last_seen, loading) = (self.importer.last_seen, self.importer.bulk.is_running());
        let last_seen = |peer: PeerIndex| last_seen[usize::from(peer)];
        let grace = self.exporter.settings().grace;
        self.silent_peers.update(&grace, last_seen, loading, &self.timeouts, self.store.len(), now);
    }

    /// Requests all states from the peers.
    pub fn request(&mut self, now: Nanos) {
        let now = self.set_time(now);
        self.has_requested = true;
        self.importer.bulk.start(now, true);
    }

    /// Sends all states to the peers.
    pub fn push(&mut self, now: Nanos) {
        let now = self.set_time(now);
        self.push_all(now);
    }

    fn push_all(&mut self, now: Nanos) {
        for peer in 0..self.exporter.settings().peers.len() {
            let peer = PeerIndex::try_from(peer).unwrap_or(PeerIndex::MAX);
            if let Some(order) = self.responder.push(peer, now) {
                self.exporter.begin_walk(&self.store, order);
            }
        }
    }

    /// Writes the next due frame, a whole IP packet. Call it until it returns `None`.
    pub fn flush(&mut self, now: Nanos, buffer: &mut [u8]) -> Option<Flushed> {
        let now = self.set_time(now);
        self.exporter.flush(&mut self.store, &self.timeouts, now, buffer)
    }

    /// Requeues the contents of a frame that could not be sent.
    pub fn requeue_frame(&mut self, packet: &[u8], now: Nanos) {
        let now = self.set_time(now);
        self.exporter.requeue_frame(&mut self.store, packet, now);
    }

    /// Returns the state of the bulk request.
    #[must_use]
    pub const fn bulk(&self) -> &Requester {
        &self.importer.bulk
    }

    /// Returns the settings in use.
    #[must_use]
    pub const fn settings(&self) -> &SyncSettings {
        self.exporter.settings()
    }

    /// Returns the number of replicated states.
    #[must_use]
    pub fn states(&self) -> u32 {
        self.store.len()
    }

    /// Returns the counters of export and import.
    #[must_use]
    pub fn counters(&self, now: Nanos) -> (SyncCounters, ImportCounters) {
        let now = self.clock.at(now);
        let sent = self.exporter.counters_now(self.store.len(), now);
        let sent = SyncCounters { clock_steps: self.clock.steps, ..sent };
        (sent, self.importer.counters_now(&self.responder))
    }

    /// Returns the host's table.
    pub const fn host(&mut self) -> &mut T {
        self.store.host()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;
    use crate::sync::ends::Ids;
    use crate::sync::fixture::{HOST, MS, S, message, settings, timeouts};
    use crate::sync::{HostInsertError, PeerSettings};
    use pfsync::envelope::Address;
    use pfsync::{FullState, Profile};
    use std::collections::BTreeMap;

    /// A minimal host table.
    #[derive(Default)]
    struct List {
        states: BTreeMap<u32, FullState>,
        capacity: u32,
        removed: u32,
    }

    impl HostTable for List {
        fn get(&self, index: u32) -> Option<FullState> {
            self.states.get(&index).copied()
        }

        fn insert(&mut self, state: &FullState) -> Result<u32, HostInsertError> {
            if let Some((&index, _)) = self.states.iter().find(|(_, other)| other.key == state.key) {
                return Err(HostInsertError::Key(index));
            }
            let index = (0..self.capacity)
                .find(|index| !self.states.contains_key(index))
                .ok_or(HostInsertError::Full)?;
            self.states.insert(index, *state);
            Ok(index)
        }

        fn update(&mut self, index: u32, state: &FullState) {
            self.states.insert(index, *state);
        }

        fn remove(&mut self, index: u32) {
            self.states.remove(&index);
            self.removed += 1;
        }

        fn next_from(&self, from: u32) -> Option<(u32, FullState)> {
            self.states.range(from..).next().map(|(&index, &state)| (index, state))
        }
    }

    fn replica(n: u8, capacity: u32, states: BTreeMap<u32, FullState>) -> Replica<List> {
        let mut settings = settings(&[]);
        settings.host_id = HOST + u32::from(n);
        settings.peers.push(PeerSettings::group(Profile::FreeBsd1500, Address::V4([192, 0, 2, n])));
        let ends = Ends::new(&settings, Ids::new(settings.host_id, 0, 1), 64, 0, (&Memory::SYSTEM, -1));
        let table = List { states, capacity, removed: 0 };
        Replica::new(settings, timeouts(), table, 64, ends.unwrap()).unwrap()
    }

    fn state(n: u8) -> FullState {
        let mut state = message(0, *b"em0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        state.key[0].addr[0][3] = n;
        state.key[1] = state.key[0];
        state
    }

    fn make(replica: &mut Replica<List>, index: u32, n: u8, now: Nanos) {
        replica.host().states.insert(index, state(n));
        replica.inserted(index, now).unwrap();
    }

    /// Runs both nodes for `time` and exchanges their frames.
    fn run(pair: &mut [Replica<List>; 2], now: &mut Nanos, time: Nanos) {
        let end = *now + time;
        let mut buffer = [0; 1500];
        while *now < end {
            *now += MS;
            for n in 0..2 {
                pair[n].poll(*now);
                while let Some(flushed) = pair[n].flush(*now, &mut buffer) {
                    pair[1 - n].receive(&buffer[..flushed.length], *now);
                }
            }
        }
    }

    fn keys(replica: &mut Replica<List>) -> Vec<u8> {
        let mut keys: Vec<u8> = replica.host().states.values().map(|state| state.key[0].addr[0][3]).collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn two_host_tables_become_equal_and_stay_equal() {
        let before = BTreeMap::from([(3, state(1)), (7, state(2))]);
        let mut pair = [replica(1, 64, before), replica(2, 64, BTreeMap::new())];
        let mut now = S;
        run(&mut pair, &mut now, 100 * MS);
        assert_eq!(keys(&mut pair[1]), [1, 2], "states from before");
        assert!(pair[1].bulk().is_ready() && pair[0].bulk().is_ready());
        make(&mut pair[0], 20, 9, now);
        run(&mut pair, &mut now, 20 * MS);
        assert_eq!(keys(&mut pair[1]), [1, 2, 9]);
        assert_eq!(pair[1].states(), 3);

        let changed = pair[0].host().states.get_mut(&20).unwrap();
        changed.src.seqlo += 500;
        let seqlo = changed.src.seqlo;
        pair[0].updated(20, now).unwrap();
        run(&mut pair, &mut now, 2 * S);
        assert!(pair[1].host().states.values().any(|state| state.src.seqlo == seqlo));

        pair[0].host().states.remove(&20);
        pair[0].removed(20, Removal::Ended, now).unwrap();
        run(&mut pair, &mut now, S);
        assert_eq!(keys(&mut pair[1]), [1, 2]);
        assert_eq!((pair[1].states(), pair[1].host().removed), (2, 1));
        let (sent, received) = pair[1].counters(now);
        assert_eq!((sent.states_imported, sent.states_removed_by_peer), (3, 1));
        assert!(received.updates_received >= 2);
    }

    #[test]
    fn a_full_table_and_a_key_collision_refuse_states_and_are_counted() {
        let mut pair = [replica(1, 64, BTreeMap::new()), replica(2, 2, BTreeMap::new())];
        let mut now = S;
        run(&mut pair, &mut now, 100 * MS);
        make(&mut pair[1], 0, 5, now);
        (0..8).for_each(|n| make(&mut pair[0], u32::from(n), n, now));
        run(&mut pair, &mut now, 50 * MS);
        assert_eq!(keys(&mut pair[1]), [0, 5]);
        let (counters, _) = pair[1].counters(now);
        assert_eq!((counters.imports_refused_key_collision, counters.imports_refused_table_full), (1, 6));
        assert_eq!(pair[1].states(), 2);
    }

    #[test]
    fn a_state_that_the_host_removed_without_a_report_is_not_sent() {
        let mut pair = [replica(1, 64, BTreeMap::new()), replica(2, 64, BTreeMap::new())];
        let mut now = S;
        run(&mut pair, &mut now, 10 * MS);
        (0..4).for_each(|n| make(&mut pair[0], u32::from(n), n, now));
        pair[0].host().states.remove(&2);
        run(&mut pair, &mut now, 50 * MS);
        assert_eq!(keys(&mut pair[1]), [0, 1, 3]);
        assert_eq!(pair[0].counters(now).0.messages_outdated, 1);
    }

    #[test]
    fn indexes_are_checked() {
        let mut alone = replica(1, 64, BTreeMap::new());
        assert_eq!(alone.inserted(3, 0), Err(WrongIndex), "the host has no state there");
        make(&mut alone, 3, 1, 0);
        assert_eq!(alone.inserted(3, 0), Err(WrongIndex), "the index is in use");
        alone.host().states.insert(64, state(9));
        assert_eq!(alone.inserted(64, 0), Err(WrongIndex), "beyond the capacity");
        for index in [4, 64, u32::MAX] {
            assert_eq!(alone.updated(index, 0), Err(WrongIndex));
            assert_eq!(alone.removed(index, Removal::Ended, 0), Err(WrongIndex));
            assert!(!alone.in_grace(index));
        }
        assert_eq!(alone.updated(3, 0), Ok(()));
        assert_eq!(alone.removed(3, Removal::Expired, 0), Ok(()));
        assert_eq!(alone.states(), 0);
    }

    #[test]
    fn states_of_a_silent_peer_are_kept_and_others_are_not() {
        let mut pair = [replica(1, 64, BTreeMap::new()), replica(2, 64, BTreeMap::new())];
        let mut now = S;
        make(&mut pair[0], 0, 1, now);
        make(&mut pair[1], 40, 2, now);
        run(&mut pair, &mut now, 100 * MS);
        let [_, there] = &mut pair;
        let theirs = (0..64).find(|&index| index != 40 && there.host().states.contains_key(&index)).unwrap();
        assert!(!there.in_grace(theirs), "the peer is not silent");
        there.poll(now + 10 * S);
        assert!(there.in_grace(theirs) && !there.in_grace(40));
        there.updated(theirs, now + 10 * S).unwrap();
        assert!(!there.in_grace(theirs), "the state has local traffic");
        there.poll(now + 100 * S);
        assert!(!there.in_grace(theirs));
    }
}
