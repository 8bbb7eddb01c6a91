//! pfsync frames in and out of a lane.

use super::Lane;
use super::mail::LaneMessage;
use crate::state::StateId;
use crate::sync::{
    Applied, Arrival, Body, Directory, Exposure, Importer, Message, MessageRef, MessageSink, Responder,
    SyncSettings, Target, WalkOrder, apply, key_of,
};
use crate::table::{PrefetchHint, PrefetchQueue};
use crate::time::Nanos;
use arrayvec::ArrayVec;
use pfsync::FullState;
use pfsync::envelope::Envelope;
use pfsync::link::Ethernet;

/// What lane 0 has besides: the receiving side, and who owns what.
pub(super) struct SyncLane {
    pub importer: Importer,
    pub responder: Responder,
    pub directory: Directory,
    /// Messages found no room in the ring of their lane; a transfer of all states is to repair that.
    pub lost: bool,
    /// Transfers asked for because of that.
    pub repairs: u32,
    /// There may be more nodes than this one and another.
    pub has_third_node: bool,
    /// The rings were marked when the transfer was over.
    pub is_marked: bool,
}

impl SyncLane {
    /// For an engine of `lanes` lanes with `states` states in all.
    pub fn new(settings: &SyncSettings, lanes: u32, states: usize) -> Self {
        let has_third_node = settings.has_third_node();
        let mut responder = Responder::new(lanes, settings.min_bulk_interval);
        responder.hold(has_third_node);
        Self {
            importer: Importer::new(settings),
            responder,
            has_third_node,
            directory: Directory::new(if lanes > 1 { states } else { 0 }),
            lost: false,
            repairs: 0,
            is_marked: false,
        }
    }
}

impl SyncLane {
    /// Brings those counters up to date that are kept elsewhere.
    pub fn show(&mut self) {
        let (bulk, last) = (&self.importer.bulk, self.importer.bulk.last());
        let counters = &mut self.importer.counters;
        counters.bulk_requests_refused = self.responder.refused;
        counters.bulk_walks_begun = self.responder.begun;
        counters.bulk_walks_finished = self.responder.finished;
        counters.bulk_phase = bulk.phase() as u64;
        counters.bulk_last_ending = last.ending as u64;
        counters.bulk_last_states = last.states;
        counters.bulk_last_ms = last.took / 1_000_000;
        counters.directory_refused = self.directory.refused;
    }
}

/// What a frame says, on its way to the lanes.
struct Heard<'a> {
    lane: &'a mut Lane,
    responder: &'a mut Responder,
    directory: &'a mut Directory,
    lost: &'a mut bool,
    now: Nanos,
    foresight: PrefetchQueue,
}

impl MessageSink for Heard<'_> {
    /// With more lanes than one the directory's lines are sent for on the way.
    #[inline]
    fn prefetch(&mut self, list: &[PrefetchHint]) {
        if self.lane.lanes == 1 {
            return self.foresight.advance(&self.lane.table, list);
        }
        let own = |sought: &&PrefetchHint| {
            self.lane.owner_of_id(sought.id, self.directory).is_none_or(|lane| lane == 0)
        };
        let list: ArrayVec<PrefetchHint, { PrefetchQueue::MAX_STATES }> =
            list.iter().filter(own).copied().take(PrefetchQueue::MAX_STATES).collect();
        self.foresight.advance(&self.lane.table, &list);
    }

    #[inline]
    fn message(&mut self, message: &MessageRef<'_>) {
        *self.lost |= !self.lane.deliver(message, self.responder, self.directory, self.now);
    }
}

impl Lane {
    /// Takes one IP packet of protocol 240 from the sync port. False when this is not the sync lane.
    pub fn receive(&mut self, packet: &[u8], now: Nanos) -> bool {
        let Some(mut sync) = self.sync.take() else { return false };
        let SyncLane { importer, responder, directory, lost, .. } = &mut *sync;
        let listener =
            Heard { lane: self, responder, directory, lost, now, foresight: PrefetchQueue::default() };
        importer.receive(packet, Arrival::SyncPort, now, listener);
        self.shared.set_heard(&sync.importer.last_seen);
        self.sync = Some(sync);
        true
    }

    /// To the lane that owns the state. False when a ring had no room.
    fn deliver(
        &mut self,
        message: &MessageRef<'_>,
        responder: &mut Responder,
        directory: &mut Directory,
        now: Nanos,
    ) -> bool {
        if let Body::BulkRequest(from) = message.body {
            self.begin_walk(responder.requested(message.peer, from, now));
            return true;
        }
        if self.lanes == 1 {
            self.apply(message, now);
            return true;
        }
        match message.target() {
            Target::SyncLane => true,
            Target::Everyone => self.broadcast(message, now),
            Target::Key(key, id) => {
                let steered = u16::from(self.steering.lane_of(&key));
                let lane = self.owner_of_id(id, directory).unwrap_or(steered);
                if self.lane_that_issued(id).is_some() {
                    return self.tell(lane, message, now);
                }
                let told = self.tell(lane, message, now);
                if told && (lane != self.index || self.table.find_id(id).is_some()) {
                    // Without room every lane is asked, see below.
                    let _ = directory.insert(id, lane as u8, self.rings.sent_to(lane));
                }
                told
            }
            Target::Id(id) => match self.owner_of_id(id, directory) {
                Some(lane) => self.tell(lane, message, now),
                None if directory.refused > 0 => self.broadcast(message, now),
                None => self.tell(0, message, now),
            },
        }
    }

    /// The lane that has an identity: ours carry their lane in the top byte, others are in the directory.
    fn owner_of_id(&self, id: StateId, directory: &Directory) -> Option<u16> {
        if self.lanes == 1 {
            return Some(0);
        }
        directory.owner(id).map(u16::from).or_else(|| self.lane_that_issued(id))
    }

    /// The lane that issued an identity in this run. One of an earlier run is like a foreign one when it comes back: there
    /// may have been more or fewer lanes then.
    fn lane_that_issued(&self, id: StateId) -> Option<u16> {
        const COUNTER: u64 = (1 << 56) - 1;
        let lane = (id.id >> 56) as u16;
        let is_ours = id.creator == self.host_id && id.id & COUNTER >= self.first_id & COUNTER;
        (is_ours && lane < self.lanes).then_some(lane)
    }

    fn broadcast(&mut self, message: &MessageRef<'_>, now: Nanos) -> bool {
        (0..self.lanes).filter(|&lane| !self.tell(lane, message, now)).count() == 0
    }

    fn tell(&mut self, lane: u16, message: &MessageRef<'_>, now: Nanos) -> bool {
        if lane == self.index {
            self.apply(message, now);
            return true;
        }
        let told = self.rings.send_to_lane(lane, LaneMessage::Message(message.owned()));
        self.counters.ring_full += u64::from(!told);
        told
    }

    /// A peer's message about a state of this lane. It is done with others that follow: call [`Self::apply_pending`] after
    /// the last one.
    pub(super) fn enqueue_message(&mut self, message: &Message, now: Nanos) {
        let Some(told) = &mut self.told else { return self.apply_one(message, now) };
        told.push(*message);
        if told.is_full() {
            self.apply_pending(now);
        }
    }

    /// Does what the messages say, in their order, their memory sent for together.
    pub(super) fn apply_pending(&mut self, now: Nanos) {
        let Some(mut told) = self.told.take() else { return };
        let mut foresight = PrefetchQueue::default();
        let mut ahead = told.chunks(PrefetchQueue::MAX_STATES);
        (0..PrefetchQueue::DEPTH).for_each(|_| self.prefetch(&mut foresight, ahead.next()));
        for messages in told.chunks(PrefetchQueue::MAX_STATES) {
            self.prefetch(&mut foresight, ahead.next());
            messages.iter().for_each(|message| self.apply_one(message, now));
        }
        told.clear();
        self.told = Some(told);
    }

    fn apply_one(&mut self, message: &Message, now: Nanos) {
        self.heard = self.heard.wrapping_add(1);
        self.apply(&message.borrowed(), now);
    }

    fn prefetch(&self, foresight: &mut PrefetchQueue, messages: Option<&[Message]>) {
        let list: ArrayVec<PrefetchHint, { PrefetchQueue::MAX_STATES }> =
            messages.unwrap_or_default().iter().filter_map(Message::sought).collect();
        foresight.advance(&self.table, &list);
    }

    /// Does what a peer's message says to a state of this lane.
    fn apply(&mut self, message: &MessageRef<'_>, now: Nanos) {
        if let Body::Insert(state) | Body::Update { state, .. } = &message.body
            && self.is_out_of_place(state)
        {
            self.exporter.counters.wrong_lane += 1;
            if self.index > 0 {
                self.forget(state.id.into());
            }
            return;
        }
        let applied = apply(&mut self.table, &mut self.exporter, &self.timeouts, message, now);
        self.publish_aliases();
        if self.index > 0
            && let (Applied::Refused(_), Body::Insert(state) | Body::Update { state, .. }) =
                (applied, &message.body)
            && self.table.find_id(state.id.into()).is_none()
        {
            self.forget(state.id.into());
        }
    }

    /// A new state that was brought here by its identity, one that this lane has issued or had a state of before, but none of
    /// whose keys steers here: no packet would ever meet it. No sound peer tells of such a one.
    fn is_out_of_place(&self, state: &FullState) -> bool {
        let steers_here = |key| u16::from(self.steering.lane_of(&key_of(key))) == self.index;
        self.lanes > 1 && !state.key.iter().any(steers_here) && self.table.find_id(state.id.into()).is_none()
    }

    /// A peer asks for all states, or is to be told them: START from this lane, then every lane tells its own.
    pub(super) fn begin_walk(&mut self, order: Option<WalkOrder>) {
        let Some(order) = order else { return };
        self.exporter.bulk_start(order.peer);
        self.exporter.bulk_walk(&self.table, order);
        for lane in 1..self.lanes {
            if !self.rings.send_to_lane(lane, LaneMessage::Walk(order)) {
                // No END then; the peer asks again when nothing comes any more.
                self.counters.ring_full += 1;
            }
        }
    }

    /// Takes back a frame of [`Self::flush`] that could not be sent, as it was written: what it said is said again.
    pub fn unsent(&mut self, frame: &[u8], now: Nanos) {
        let has_ethernet = self.ethernet.iter().any(Option::is_some);
        let packet = match Ethernet::parse(frame) {
            Ok((_, packet)) if has_ethernet && Envelope::parse(&frame[packet.clone()]).is_ok() => {
                &frame[packet]
            }
            _ => frame,
        };
        self.exporter.requeue_frame(&mut self.table, packet, now);
    }

    /// What would be lost if the node died now. Cost: a few loads.
    #[must_use]
    pub fn exposure(&self, now: Nanos) -> Exposure {
        self.exporter.exposure(now)
    }

    /// The host had no buffer for a frame that is due.
    pub const fn had_no_buffer(&mut self) {
        self.exporter.counters.onomem += 1;
    }

    /// Bytes that a buffer for [`Self::flush`] must have.
    #[must_use]
    pub fn frame_room(&self) -> usize {
        self.header_room() + self.exporter.settings().mtu as usize
    }

    /// Bytes before the IP packet: the longest Ethernet header of any peer.
    pub(crate) fn header_room(&self) -> usize {
        self.ethernet.iter().flatten().map(|header| header.encoded_len()).max().unwrap_or(0)
    }

    /// Whether a frame is due. Cost: two comparisons.
    #[must_use]
    pub fn flush_due(&self, now: Nanos) -> bool {
        self.exporter.due(now) && self.shared.link_up()
    }

    /// Writes the next frame that is due into `buffer`, and returns where it lies there. Call it until there is none.
    ///
    /// While the sync port's link is down nothing is written; what waits stays bounded.
    pub fn flush(&mut self, buffer: &mut [u8], now: Nanos) -> Option<core::ops::Range<usize>> {
        if !self.shared.link_up() {
            return None;
        }
        let room = self.header_room();
        let packet = buffer.get_mut(room..)?;
        let flushed = self.exporter.flush(&mut self.table, &self.timeouts, now, packet)?;
        let end = room + flushed.length;
        let Some(Some(header)) = self.ethernet.get(usize::from(flushed.peer)) else {
            return Some(room..end);
        };
        let family = self.exporter.settings().peers[usize::from(flushed.peer)].transport.source;
        let start = room - header.encoded_len();
        // The room is that of the longest header, so there is room.
        header.emit(&mut buffer[start..room], family).ok()?;
        Some(start..end)
    }
}
