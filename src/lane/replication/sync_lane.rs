//! What only lane 0 does: it receives pfsync frames, and forwards each message to the lane that owns the state.

use super::super::exchange::{LaneMessage, Rings, Shared, SyncLaneMessage};
use super::super::tracker::Tracker;
use super::readiness::Judge;
use super::{Backlog, begin_walk};
use crate::error::Error;
use crate::memory::{Heap, Owned};
use crate::state::StateId;
use crate::sync::{
    Arrival, Body, Directory, HelloBytes, Importer, MessageRef, MessageSink, PeerIndex, Question, Readiness,
    Responder, Seals, SyncSettings, Target, WalkOrder, creation_of, lifted_above,
};
use crate::table::{PrefetchHint, PrefetchQueue};
use crate::time::{Nanos, Tick};
use arrayvec::ArrayVec;
use pfsync::StreamOption;

/// The receiving side of replication, and which lane owns which state.
pub(in super::super) struct SyncLane {
    pub importer: Owned<Importer>,
    pub responder: Owned<Responder>,
    pub directory: Directory,
    /// Messages that full rings refused.
    pub backlog: Backlog,
    /// Messages lost because there was no space for them.
    pub messages_lost: u64,
    /// Those that the host knows of.
    pub lost_reported: u64,
    /// There may be more nodes than this one and one other.
    pub has_third_node: bool,
    /// The readiness, computed last.
    pub readiness: Readiness,
    pub judge: Judge,
}

/// The part of a lane that only lane 0 has.
pub(crate) struct SyncPart(pub(in super::super) Owned<SyncLane>);

impl SyncPart {
    /// Builds it for an engine of `lanes` lanes with `states` states in all.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    #[inline(never)]
    pub(crate) fn new(
        settings: &SyncSettings,
        (lanes, states): (u32, usize),
        backlog: Backlog,
        seals: &Seals,
        heap: Heap,
    ) -> Result<Self, Error> {
        let has_third_node = settings.has_third_node();
        let responder = Responder::new(lanes, settings.min_bulk_interval);
        let mut responder = heap.owned("answers to bulk requests", responder)?;
        responder.hold(has_third_node);
        let mut importer = Importer::new(settings, heap)?;
        importer.set_seals(seals, heap)?;
        let sync_lane = SyncLane {
            importer,
            responder,
            directory: Directory::new(if lanes > 1 { states } else { 0 }, heap)?,
            backlog,
            messages_lost: 0,
            lost_reported: 0,
            has_third_node,
            readiness: Readiness::default(),
            judge: Judge::new(lanes, heap)?,
        };
        heap.owned("the sync lane", sync_lane).map(Self)
    }
}

impl SyncLane {
    /// Returns the bytes of the import and of what judges the readiness.
    pub(crate) fn parts_memory(settings: &SyncSettings, lanes: u32) -> usize {
        Importer::memory_needed(settings) + size_of::<Responder>() + Judge::memory_needed(lanes)
    }

    /// Receives one IP packet of protocol 240 from the sync port.
    pub(crate) fn receive(
        &mut self,
        tracker: &mut Tracker,
        rings: &mut Rings,
        packet: &[u8],
        arrival: Arrival,
        now: Nanos,
    ) {
        let Self { importer, responder, directory, backlog, messages_lost, .. } = self;
        let prefetches = PrefetchQueue::default();
        let delivery =
            Delivery { tracker, rings, responder, directory, backlog, messages_lost, now, prefetches };
        importer.receive(packet, arrival, now, delivery);
    }

    /// Handles a message from lane `lane`.
    pub(crate) fn handle(&mut self, message: SyncLaneMessage, lane: u16, tracker: &mut Tracker, now: Nanos) {
        match message {
            SyncLaneMessage::Ended { id, applied } => self.directory.remove(id, lane as u8, applied),
            SyncLaneMessage::Refused(id) => tracker.exporter.postpone_request(id, now),
            SyncLaneMessage::WalkFinished(order) => self.walk_finished(order, tracker),
            SyncLaneMessage::Answer(answer) => self.importer.answered(&answer, &mut tracker.exporter),
        }
    }

    /// Notes that one lane has sent all its states. After the last lane it sends END.
    pub(crate) fn walk_finished(&mut self, order: WalkOrder, tracker: &mut Tracker) {
        if let Some(requested) = self.responder.lane_finished(order) {
            tracker.exporter.bulk_end(order.peer, requested);
        }
    }

    /// Updates the counters whose values are kept elsewhere.
    pub(crate) fn refresh_counters(&mut self, shared: &Shared) {
        let Self { importer, readiness, judge, .. } = self;
        *importer.counters = importer.counters_now(&self.responder);
        let counters = &mut importer.counters;
        counters.states_without_directory = self.directory.refused;
        counters.lost_states_requested = self.backlog.requested;
        counters.lost_states_unanswered = self.backlog.unanswered;
        counters.note_readiness(readiness, judge.monitor.repairs);
        (counters.pauses, counters.frames_missed) = (shared.pauses().into(), shared.frames_missed());
    }
}

/// Delivers the messages of a frame to the lanes that they concern.
struct Delivery<'a> {
    tracker: &'a mut Tracker,
    rings: &'a mut Rings,
    responder: &'a mut Responder,
    directory: &'a mut Directory,
    backlog: &'a mut Backlog,
    messages_lost: &'a mut u64,
    now: Nanos,
    prefetches: PrefetchQueue,
}

impl MessageSink for Delivery<'_> {
    /// With several lanes, finding the states of this one also prefetches the directory's lines.
    #[inline]
    fn prefetch(&mut self, list: &[PrefetchHint]) {
        if self.tracker.lane.lanes == 1 {
            self.tracker.exporter.ends.prefetch(list);
            return self.prefetches.advance(&self.tracker.table, list);
        }
        let is_own = |hint: &&PrefetchHint| self.owner_of(hint.id).is_none_or(|lane| lane == 0);
        let list: ArrayVec<PrefetchHint, { PrefetchQueue::MAX_STATES }> =
            list.iter().filter(is_own).copied().take(PrefetchQueue::MAX_STATES).collect();
        self.tracker.exporter.ends.prefetch(&list);
        self.prefetches.advance(&self.tracker.table, &list);
    }

    #[inline]
    fn message(&mut self, message: &MessageRef<'_>) {
        *self.messages_lost += u64::from(!self.deliver(message));
    }

    fn report(&mut self, from: (PeerIndex, u64), report: &StreamOption) -> bool {
        let Some(lane) = self.tracker.exporter.lane_of(from.0, report) else { return false };
        if lane == 0 {
            self.tracker.exporter.handle_report(&mut self.tracker.table, from, report, self.now);
        } else if lane < self.tracker.lane.lanes {
            // One that does not fit into the ring is made again.
            let _ = self.rings.send_to_lane(lane, LaneMessage::Report(from, *report));
        }
        lane < self.tracker.lane.lanes
    }

    fn ask(&mut self, question: &Question) -> u16 {
        if !self.backlog.is_empty() {
            // Messages wait, so there is no cut.
            return 0;
        }
        let Some(others) = self.rings.ask(question) else { return 0 };
        self.tracker.exporter.ask(question);
        others + 1
    }

    fn hello(&mut self, hello: &HelloBytes) {
        if !self.tracker.shared.hellos_received.put(hello, self.now, |_| false) {
            self.tracker.exporter.counters.hellos_dropped += 1;
        }
    }
}

impl Delivery<'_> {
    /// Delivers one message. Returns false if it is lost.
    fn deliver(&mut self, message: &MessageRef<'_>) -> bool {
        if let Body::BulkRequest(from) = message.body {
            let order = self.responder.requested(message.peer, from, self.now);
            begin_walk(self.tracker, self.rings, self.responder, order);
            return true;
        }
        self.lift_ids(message);
        if self.tracker.lane.lanes == 1 {
            return self.send(0, message);
        }
        match message.target() {
            Target::SyncLane => true,
            Target::All => self.broadcast(message),
            Target::Key(key, id) => {
                let owner = self.owner_of(id);
                if owner.is_none() && self.has_ended(message) {
                    self.tracker.exporter.answer_ended(id, self.now);
                    return true;
                }
                let lane = owner.unwrap_or_else(|| self.tracker.steering.lane_of(&key).into());
                let sent = self.send(lane, message);
                let is_noted = self.issuer_of(id).is_some() || self.directory.lost_lane(id).is_some();
                if sent && !is_noted {
                    self.note_owner(id, lane);
                }
                sent
            }
            Target::Id(id) => match self.owner_of(id) {
                Some(lane) => self.send(lane, message),
                None if self.directory.refused > 0 => self.broadcast(message),
                None => self.send(0, message),
            },
        }
    }

    /// Notes in the directory which lane has a foreign state. If the directory is full, later messages about the state go to
    /// every lane.
    fn note_owner(&mut self, id: StateId, lane: u16) {
        if lane != 0 || self.tracker.table.find_id(id).is_some() {
            let _ = self.directory.insert(id, lane as u8, self.rings.sent_to(lane));
        }
    }

    /// Returns the lane that has a state: ours carry their lane in the id, foreign ones are in the directory.
    fn owner_of(&self, id: StateId) -> Option<u16> {
        if self.tracker.lane.lanes == 1 {
            return Some(0);
        }
        self.directory.owner(id).map(u16::from).or_else(|| self.issuer_of(id))
    }

    fn issuer_of(&self, id: StateId) -> Option<u16> {
        self.tracker.lane.issuer_of(id, self.tracker.shared.ids_counted())
    }

    /// Whether the state of a message has ended, by a delete that this lane received because no lane had the state.
    fn has_ended(&self, message: &MessageRef<'_>) -> bool {
        let (Body::Insert(state) | Body::Update { state, .. }) = &message.body else { return false };
        let now = Tick::from_nanos(self.now);
        self.tracker.exporter.ends.has_ended(state.id.into(), creation_of(state, now), now)
    }

    /// Lifts the next ids above that of a state of an earlier run which comes back.
    fn lift_ids(&self, message: &MessageRef<'_>) {
        let Tracker { lane, shared, .. } = &*self.tracker;
        if let Some(state) = message.insertable()
            && state.id.creator == lane.host_id
            && let Some(next) = lifted_above(state.id.into(), lane.first_id, shared.ids_counted())
        {
            shared.lift_ids(next);
        }
    }

    fn broadcast(&mut self, message: &MessageRef<'_>) -> bool {
        (0..self.tracker.lane.lanes).filter(|&lane| !self.send(lane, message)).count() == 0
    }

    /// Applies a message of this lane, or sends it to another. If that lane's ring is full it waits in the backlog. Returns
    /// false if there is no space either.
    fn send(&mut self, lane: u16, message: &MessageRef<'_>) -> bool {
        if lane == 0 {
            // The directory has an entry only for what is in the table afterwards.
            let _ = self.tracker.apply(message, self.now);
            return true;
        }
        if self.rings.send_to_lane(lane, LaneMessage::Message(message.owned())) {
            match &message.body {
                Body::Insert(state) | Body::Update { state, .. } => {
                    self.backlog.settle(state.id.into(), self.directory);
                }
                Body::Delete(id) => self.backlog.settle(*id, self.directory),
                _ => {}
            }
            return true;
        }
        let kept = self.backlog.keep(lane, message, self.rings.sent_to(lane), self.directory);
        let counters = &mut self.tracker.counters;
        *if kept { &mut counters.messages_delayed } else { &mut counters.messages_lost } += 1;
        kept
    }
}
