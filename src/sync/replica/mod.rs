//! Replication of the host's own table, on one thread.

mod readiness;
mod seal;

use crate::error::Error;
use crate::memory::{Heap, Owned};
use crate::state::{LocalFlags, StateId, Timeouts};
use crate::sync::bulk::Responder;
use crate::sync::equality::Question;
use crate::sync::export::{Exporter, Removal};
use crate::sync::host_store::{HostStore, HostTable};
use crate::sync::import::{Arrival, Importer, SilentPeers};
use crate::sync::message::{Body, MessageRef, MessageSink, PeerIndex};
use crate::sync::readiness::{Readiness, ReadinessMonitor};
use crate::sync::settings::SyncSettings;
use crate::sync::store::Store;
use crate::sync::{Flushed, ImportCounters, RefusedImports, Requester, Seals, SyncCounters, apply};
use crate::table::Slot;
use crate::time::{HostClock, Nanos, Tick};
use pfsync::StreamOption;

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
    importer: Owned<Importer>,
    exporter: Owned<Exporter>,
    responder: Owned<Responder>,
    /// It started empty and there may be a third node: requests wait until its own bulk transfer has ended.
    holds_answers: bool,
    timeouts: Timeouts,
    silent_peers: SilentPeers,
    has_requested: bool,
    clock: HostClock,
    monitor: ReadinessMonitor,
    readiness: Readiness,
    /// What was refused when the last bulk transfer began.
    refused: RefusedImports,
    pauses: u32,
    /// Until when the first pause that needs repair holds the expiry of states.
    hold_until: Nanos,
    frames_missed: u64,
    last_poll: Option<Nanos>,
    seals: Seals,
    peers: usize,
}

impl<T: HostTable> Replica<T> {
    /// Builds the replication of `host`, whose indexes are below `capacity`. Its existing states count as its own and are
    /// sent to the peers. `exporter` issues new ids.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn new(
        settings: &SyncSettings,
        timeouts: Timeouts,
        host: T,
        capacity: u32,
        exporter: Owned<Exporter>,
        seals: &Seals,
        heap: Heap,
    ) -> Result<Self, Error> {
        let (has_third_node, peers) = (settings.has_third_node(), settings.peers.len());
        let mut replica = Self {
            holds_answers: false,
            store: HostStore::new(host, capacity, timeouts.clone(), heap)?,
            importer: Importer::new(settings, heap)?,
            responder: heap
                .owned("answers to bulk requests", Responder::new(1, settings.min_bulk_interval))?,
            exporter,
            timeouts,
            silent_peers: SilentPeers::default(),
            has_requested: false,
            clock: HostClock::default(),
            monitor: ReadinessMonitor::default(),
            readiness: Readiness::default(),
            refused: RefusedImports::default(),
            pauses: 0,
            hold_until: 0,
            frames_missed: 0,
            last_poll: None,
            seals: seals.clone(),
            peers,
        };
        replica.importer.set_seals(seals, heap)?;
        if !replica.exporter.is_active() {
            replica.readiness = Readiness::ALONE;
        }
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

    /// Receives an IP packet of protocol 240 from the sync port.
    pub fn receive(&mut self, packet: &[u8], now: Nanos) {
        let now = self.set_time(now);
        let Self { store, importer, exporter, responder, timeouts, .. } = self;
        let delivery = Delivery { store, exporter, responder, timeouts, now };
        importer.receive(packet, Arrival::SyncPort, now, delivery);
        self.check_readiness(now);
    }

    /// Housekeeping: bulk requests, clears, bulk transfer marks. Call it at least every millisecond.
    pub fn poll(&mut self, now: Nanos) {
        let now = self.set_time(now);
        self.note_poll(now);
        if !self.has_requested {
            self.has_requested = true;
            if self.exporter.is_active() {
                self.request_all(now);
            }
            if !self.store.is_empty() {
                self.push_all(now);
            }
        }
        self.importer.step_streams(&mut self.exporter, false, now);
        self.exporter.step_comparison(&mut self.store);
        self.exporter.step_taken(now);
        self.importer.step_comparison(&mut self.exporter, |_| Some(0), now);
        self.step_seal(now);
        if self.importer.bulk.poll(now) {
            self.exporter.bulk_request();
        }
        self.check_readiness(now);
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

    /// Makes the handshakes of seals due. After the first one with a peer, what was sent to it before is sent again.
    fn step_seal(&mut self, now: Nanos) {
        if self.importer.step_seal(now) {
            if self.importer.bulk.is_running() {
                self.request_all(now);
            }
            self.push_all(now);
        }
        self.exporter.step_seal(now);
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
    pub fn bulk(&self) -> &Requester {
        &self.importer.bulk
    }

    /// Returns the settings in use.
    #[must_use]
    pub fn settings(&self) -> &SyncSettings {
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
        let mut received = self.importer.counters_now(&self.responder);
        received.note_readiness(&self.readiness, self.monitor.repairs);
        (received.pauses, received.frames_missed) = (self.pauses.into(), self.frames_missed);
        (SyncCounters { clock_steps: self.clock.steps, ..sent }, received)
    }

    /// Returns the host's table.
    pub const fn host(&mut self) -> &mut T {
        self.store.host()
    }
}

/// Applies the messages of a frame.
struct Delivery<'a, T> {
    store: &'a mut HostStore<T>,
    exporter: &'a mut Exporter,
    responder: &'a mut Responder,
    timeouts: &'a Timeouts,
    now: Nanos,
}

impl<T: HostTable> MessageSink for Delivery<'_, T> {
    fn message(&mut self, message: &MessageRef<'_>) {
        let Self { store, exporter, responder, timeouts, now } = self;
        if let Some(state) = message.insertable() {
            exporter.ends.ids.lift_above(state.id.into());
        }
        if let Body::BulkRequest(from) = message.body {
            if let Some(order) = responder.requested(message.peer, from, *now) {
                exporter.begin_walk(*store, order);
            }
        } else {
            apply(*store, exporter, timeouts, message, *now);
        }
    }

    fn report(&mut self, from: (PeerIndex, u64), report: &StreamOption) -> bool {
        let is_ours = self.exporter.lane_of(from.0, report) == Some(0);
        if is_ours {
            self.exporter.handle_report(self.store, from, report, self.now);
        }
        is_ours
    }

    fn ask(&mut self, question: &Question) -> u16 {
        self.exporter.ask(question);
        1
    }
}

#[cfg(test)]
mod tests;
