//! Replication alone, for a host that has a table of its own: one lane's worth of it, on one thread.

use super::bulk::{Responder, WalkOrder};
use super::export::Exporter;
use super::export::Removal;
use super::host_store::{HostStore, HostTable};
use super::import::SilentPeers;
use super::import::{Arrival, Importer};
use super::message::{Body, MessageRef, PeerIndex};
use super::settings::SyncSettings;
use super::store::Store;
use super::{Flushed, ImportCounters, Requester, SyncCounters, apply};
use crate::error::Error;
use crate::state::{LocalFlags, StateId, Timeouts};
use crate::table::Slot;
use crate::time::{Nanos, Tick};

/// Slots that a clear looks at in one housekeeping call.
const CLEARED_PER_POLL: u32 = 4096;

/// The host said something of a place where there is no state, or of one where there is one already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongIndex;

/// Replication of a host's own table.
///
/// The host tells what happens to its states and the table of it does what peers say. States end when the host ends them;
/// [`Self::in_grace`] is asked before one that only a peer has traffic of is ended by its time.
pub struct Replica<T> {
    store: HostStore<T>,
    importer: Importer,
    exporter: Exporter,
    responder: Responder,
    /// It began empty, and there may be more nodes than this one and another: who asks waits until it has been told.
    holds_answers: bool,
    timeouts: Timeouts,
    silent_peers: SilentPeers,
    next_id: u64,
    is_asking: bool,
}

impl<T: HostTable> Replica<T> {
    /// Replication of `host`, whose places are below `capacity`. The states that it holds already are taken for its own and
    /// offered to the peers. Ids are issued from `first_id` on.
    ///
    /// # Errors
    /// As [`SyncSettings::check`].
    pub fn new(
        settings: SyncSettings,
        timeouts: Timeouts,
        host: T,
        capacity: u32,
        first_id: u64,
    ) -> Result<Self, Error> {
        let has_third_node = settings.has_third_node();
        let mut replica = Self {
            holds_answers: false,
            store: HostStore::new(host, capacity, timeouts.clone()),
            importer: Importer::new(&settings),
            responder: Responder::new(1, settings.min_bulk_interval),
            exporter: Exporter::new(settings.with_delete_capacity(capacity))?,
            timeouts,
            silent_peers: SilentPeers::default(),
            next_id: first_id,
            is_asking: false,
        };
        replica.adopt_all();
        replica.holds_answers = has_third_node && replica.store.is_empty();
        replica.responder.hold(replica.holds_answers);
        Ok(replica)
    }

    fn adopt_all(&mut self) {
        let mut from = 0;
        while let Some((place, _)) = self.store.host().next_from(from) {
            let id = self.fresh_id();
            // A place beyond the capacity stays out, and with it all behind it.
            if place < from || !self.store.adopt(place, id) {
                break;
            }
            from = place + 1;
        }
    }

    fn fresh_id(&mut self) -> StateId {
        let id = StateId { id: self.next_id, creator: self.exporter.settings().host_id };
        self.next_id += 1;
        id
    }

    fn live(&self, place: u32) -> Result<Slot, WrongIndex> {
        if self.store.is_live(Slot(place)) { Ok(Slot(place)) } else { Err(WrongIndex) }
    }

    /// The host has made a state at a place.
    ///
    /// # Errors
    /// [`WrongIndex`] when there is one already, the place is beyond the capacity, or the host's table does not have it.
    pub fn inserted(&mut self, place: u32, now: Nanos) -> Result<StateId, WrongIndex> {
        self.store.now = Tick::from_nanos(now);
        let id = self.fresh_id();
        if !self.store.adopt(place, id) {
            return Err(WrongIndex);
        }
        self.exporter.inserted(&mut self.store, Slot(place), now);
        Ok(id)
    }

    /// The host has passed a packet of the state at a place.
    ///
    /// # Errors
    /// [`WrongIndex`].
    pub fn updated(&mut self, place: u32, now: Nanos) -> Result<(), WrongIndex> {
        let slot = self.live(place)?;
        self.store.local_mut(slot).set(LocalFlags::LOCAL_TRAFFIC);
        self.exporter.updated(&mut self.store, slot, now);
        Ok(())
    }

    /// The host is about to remove, or has removed, the state at a place.
    ///
    /// # Errors
    /// [`WrongIndex`].
    pub fn removed(&mut self, place: u32, why: Removal, now: Nanos) -> Result<(), WrongIndex> {
        let slot = self.live(place)?;
        self.exporter.removed(&mut self.store, slot, now, why);
        self.store.forget(slot);
        Ok(())
    }

    /// Whether a state whose time is over is to be kept: only a peer has traffic of it, and the peer is silent.
    #[must_use]
    pub fn in_grace(&self, place: u32) -> bool {
        self.live(place).is_ok_and(|slot| self.silent_peers.in_grace(&self.store, slot))
    }

    /// Takes one IP packet of protocol 240 from the sync port.
    pub fn receive(&mut self, packet: &[u8], now: Nanos) {
        self.store.now = Tick::from_nanos(now);
        let Self { store, importer, exporter, responder, timeouts, .. } = self;
        importer.receive(packet, Arrival::SyncPort, now, |message: &MessageRef<'_>| {
            if let Body::BulkRequest(from) = message.body {
                begin_walk(store, exporter, responder.requested(message.peer, from, now));
            } else {
                apply(store, exporter, timeouts, message, now);
            }
        });
    }

    /// Housekeeping: the request for all states, clears, marks of transfers. Call it at least every millisecond.
    pub fn poll(&mut self, now: Nanos) {
        self.store.now = Tick::from_nanos(now);
        if !self.is_asking {
            self.is_asking = true;
            if self.exporter.is_active() {
                self.importer.bulk.start(now, false);
            }
            if !self.store.is_empty() {
                self.push(now);
            }
        }
        if self.importer.bulk.poll(now) {
            self.exporter.bulk_request();
        }
        self.holds_answers &= !self.importer.bulk.is_ready();
        self.responder.hold(self.holds_answers);
        let peer_may_have_more = self.importer.bulk.peer_may_have_more(self.importer.has_two_senders(), now);
        if !(self.holds_answers && peer_may_have_more) {
            begin_walk(&self.store, &mut self.exporter, self.responder.poll(now));
        }
        if self.exporter.is_clearing() {
            self.exporter.step_clears(&mut self.store, CLEARED_PER_POLL, now);
        }
        while let Some(order) = self.exporter.take_finished_walk() {
            if let Some(requested) = self.responder.lane_finished(order) {
                self.exporter.bulk_end(order.peer, requested);
            }
        }
        let (heard, loading) = (self.importer.last_seen, self.importer.bulk.is_running());
        let heard = |peer: PeerIndex| heard[usize::from(peer)];
        let grace = self.exporter.settings().grace;
        self.silent_peers.update(&grace, heard, loading, &self.timeouts, self.store.len(), now);
    }

    /// Asks the peers for all their states.
    pub fn request(&mut self, now: Nanos) {
        self.is_asking = true;
        self.importer.bulk.start(now, true);
    }

    /// Tells the peers all states.
    pub fn push(&mut self, now: Nanos) {
        for peer in 0..self.exporter.settings().peers.len() {
            let peer = PeerIndex::try_from(peer).unwrap_or(PeerIndex::MAX);
            begin_walk(&self.store, &mut self.exporter, self.responder.push(peer, now));
        }
    }

    /// Writes the next frame that is due, a whole IP packet. Call it until there is none.
    pub fn flush(&mut self, now: Nanos, buffer: &mut [u8]) -> Option<Flushed> {
        self.store.now = Tick::from_nanos(now);
        self.exporter.flush(&mut self.store, &self.timeouts, now, buffer)
    }

    /// Takes back a frame that could not be sent.
    pub fn requeue_frame(&mut self, packet: &[u8], now: Nanos) {
        self.exporter.requeue_frame(&mut self.store, packet, now);
    }

    /// How far the request for all states is.
    #[must_use]
    pub const fn bulk(&self) -> &Requester {
        &self.importer.bulk
    }

    /// The settings in use.
    #[must_use]
    pub const fn settings(&self) -> &SyncSettings {
        self.exporter.settings()
    }

    /// States that are replicated.
    #[must_use]
    pub fn states(&self) -> u32 {
        self.store.len()
    }

    /// What was sent and done, and what was received.
    #[must_use]
    pub fn counters(&self, now: Nanos) -> (SyncCounters, ImportCounters) {
        (self.exporter.counters_now(self.store.len(), now), self.importer.counters)
    }

    /// The host's table.
    pub const fn host(&mut self) -> &mut T {
        self.store.host()
    }
}

fn begin_walk(store: &impl Store, exporter: &mut Exporter, order: Option<WalkOrder>) {
    if let Some(order) = order {
        exporter.bulk_start(order.peer);
        exporter.bulk_walk(store, order);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::fixture::{HOST, MS, S, message, settings, timeouts};
    use crate::sync::{HostInsertError, PeerSettings};
    use pfsync::envelope::Address;
    use pfsync::{FullState, Profile};
    use std::collections::BTreeMap;

    /// The plainest table: a list of places.
    #[derive(Default)]
    struct List {
        states: BTreeMap<u32, FullState>,
        room: u32,
        removed: u32,
    }

    impl HostTable for List {
        fn get(&self, place: u32) -> Option<FullState> {
            self.states.get(&place).copied()
        }

        fn insert(&mut self, state: &FullState) -> Result<u32, HostInsertError> {
            if let Some((&place, _)) = self.states.iter().find(|(_, other)| other.key == state.key) {
                return Err(HostInsertError::Key(place));
            }
            let place =
                (0..self.room).find(|place| !self.states.contains_key(place)).ok_or(HostInsertError::Full)?;
            self.states.insert(place, *state);
            Ok(place)
        }

        fn update(&mut self, place: u32, state: &FullState) {
            self.states.insert(place, *state);
        }

        fn remove(&mut self, place: u32) {
            self.states.remove(&place);
            self.removed += 1;
        }

        fn next_from(&self, from: u32) -> Option<(u32, FullState)> {
            self.states.range(from..).next().map(|(&place, &state)| (place, state))
        }
    }

    fn replica(n: u8, room: u32, states: BTreeMap<u32, FullState>) -> Replica<List> {
        let mut settings = settings(&[]);
        settings.host_id = HOST + u32::from(n);
        settings.peers.push(PeerSettings::group(Profile::FreeBsd1500, Address::V4([192, 0, 2, n])));
        Replica::new(settings, timeouts(), List { states, room, removed: 0 }, 64, 1).unwrap()
    }

    fn state(n: u8) -> FullState {
        let mut state = message(0, *b"em0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        state.key[0].addr[0][3] = n;
        state.key[1] = state.key[0];
        state
    }

    fn make(replica: &mut Replica<List>, place: u32, n: u8, now: Nanos) {
        replica.host().states.insert(place, state(n));
        replica.inserted(place, now).unwrap();
    }

    /// Time goes by and frames go over.
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
    fn two_tables_of_hosts_become_and_stay_one() {
        let before = BTreeMap::from([(3, state(1)), (7, state(2))]);
        let mut pair = [replica(1, 64, before), replica(2, 64, BTreeMap::new())];
        let mut now = S;
        run(&mut pair, &mut now, 100 * MS);
        assert_eq!(keys(&mut pair[1]), [1, 2], "those from before");
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
        assert_eq!((sent.imported, sent.removed), (3, 1));
        assert!(received.updates_received >= 2);
    }

    #[test]
    fn a_host_without_room_or_with_another_state_of_the_key_refuses_and_stays_sound() {
        let mut pair = [replica(1, 64, BTreeMap::new()), replica(2, 2, BTreeMap::new())];
        let mut now = S;
        run(&mut pair, &mut now, 100 * MS);
        make(&mut pair[1], 0, 5, now);
        (0..8).for_each(|n| make(&mut pair[0], u32::from(n), n, now));
        run(&mut pair, &mut now, 50 * MS);
        assert_eq!(keys(&mut pair[1]), [0, 5]);
        let (counters, _) = pair[1].counters(now);
        assert_eq!((counters.key_collision, counters.table_full), (1, 6));
        assert_eq!(pair[1].states(), 2);
    }

    #[test]
    fn a_state_that_the_host_lost_without_a_word_is_left_out() {
        let mut pair = [replica(1, 64, BTreeMap::new()), replica(2, 64, BTreeMap::new())];
        let mut now = S;
        run(&mut pair, &mut now, 10 * MS);
        (0..4).for_each(|n| make(&mut pair[0], u32::from(n), n, now));
        pair[0].host().states.remove(&2);
        run(&mut pair, &mut now, 50 * MS);
        assert_eq!(keys(&mut pair[1]), [0, 1, 3]);
        assert_eq!(pair[0].counters(now).0.outdated, 1);
    }

    #[test]
    fn places_are_checked() {
        let mut alone = replica(1, 64, BTreeMap::new());
        assert_eq!(alone.inserted(3, 0), Err(WrongIndex), "the host has none there");
        make(&mut alone, 3, 1, 0);
        assert_eq!(alone.inserted(3, 0), Err(WrongIndex), "there is one already");
        alone.host().states.insert(64, state(9));
        assert_eq!(alone.inserted(64, 0), Err(WrongIndex), "beyond the capacity");
        for place in [4, 64, u32::MAX] {
            assert_eq!(alone.updated(place, 0), Err(WrongIndex));
            assert_eq!(alone.removed(place, Removal::Ended, 0), Err(WrongIndex));
            assert!(!alone.in_grace(place));
        }
        assert_eq!(alone.updated(3, 0), Ok(()));
        assert_eq!(alone.removed(3, Removal::Expired, 0), Ok(()));
        assert_eq!(alone.states(), 0);
    }

    #[test]
    fn states_of_a_silent_peer_are_to_be_kept_and_others_are_not() {
        let mut pair = [replica(1, 64, BTreeMap::new()), replica(2, 64, BTreeMap::new())];
        let mut now = S;
        make(&mut pair[0], 0, 1, now);
        make(&mut pair[1], 40, 2, now);
        run(&mut pair, &mut now, 100 * MS);
        let [_, there] = &mut pair;
        let theirs = (0..64).find(|&place| place != 40 && there.host().states.contains_key(&place)).unwrap();
        assert!(!there.in_grace(theirs), "the peer speaks");
        there.poll(now + 10 * S);
        assert!(there.in_grace(theirs) && !there.in_grace(40));
        there.updated(theirs, now + 10 * S).unwrap();
        assert!(!there.in_grace(theirs), "it has passed a packet of it");
        there.poll(now + 100 * S);
        assert!(!there.in_grace(theirs));
    }
}
