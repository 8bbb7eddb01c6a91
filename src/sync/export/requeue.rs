//! Frames that the host could not send: their contents are queued again.
//!
//! The frame itself lists what was lost, so nothing is remembered for the case that a port refuses it. An encrypted one does not; what
//! its number carried is sent again as after a loss.

use super::Exporter;
use super::control::{ControlBody, ControlMessage};
use super::queue::Event;
use crate::sync::message::PeerIndex;
use crate::sync::repair::Asked;
use crate::sync::store::Store;
use crate::time::{NANOS_PER_SECOND, Nanos};
use pfsync::envelope::{Address, Envelope};
use pfsync::{
    Action, BulkStatus, FrameRange, FrameReader, Identity, Protection, Record, Version, bulk_status,
};

impl Exporter {
    /// Requeues the contents of an IP packet of [`Self::flush`] that could not be sent, as far as their states still exist.
    /// Nothing more is due for a millisecond. A packet that is not a frame is only counted.
    pub fn requeue_frame(&mut self, table: &mut impl Store, packet: &[u8], now: Nanos) {
        self.counters.oerrors += 1;
        self.pacing.pause(now);
        let Ok(envelope) = Envelope::parse(packet) else { return };
        let Ok(mut reader) = FrameReader::new(&packet[envelope.payload]) else { return };
        let Some(peer) = self.receiver_of(envelope.destination, reader.version()) else { return };
        self.peer_counters[usize::from(peer)].oerrors += 1;
        if let Ok(Some(trailer)) = reader.trailer()
            && trailer.fields().protection == Protection::Gcm
        {
            let frames = FrameRange { first: trailer.fields().sequence, count: 1 };
            self.counters.repairs_refused += u64::from(self.repairs.ask(peer, frames) == Asked::Refused);
            return;
        }
        while let Some(Ok(region)) = reader.next_region() {
            for record in region.records() {
                self.requeue_record(table, peer, region.action(), &record, now);
            }
        }
    }

    fn receiver_of(&self, destination: Address, version: Version) -> Option<PeerIndex> {
        let found = self.settings.peers.iter().position(|peer| {
            peer.transport.destination == destination && peer.profile.version() == version
        })?;
        PeerIndex::try_from(found).ok()
    }

    fn requeue_record(
        &mut self,
        table: &mut impl Store,
        peer: PeerIndex,
        action: Action,
        record: &Record,
        now: Nanos,
    ) {
        match (action, record) {
            (Action::Insert, Record::State(state)) => {
                self.requeue_state(table, state.id, Event::Inserted, now);
            }
            (_, Record::State(state)) => self.requeue_state(table, state.id, Event::Requested, now),
            (_, Record::Compressed(update)) => self.requeue_state(table, update.id, Event::Updated, now),
            (Action::InsertAck, Record::Id(id)) => self.requeue_state(table, *id, Event::Acknowledged, now),
            (Action::UpdateRequest, Record::Id(Identity::BULK)) => {
                self.requeue_control(peer, ControlBody::Request);
            }
            (Action::UpdateRequest, Record::Id(id)) => self.enqueue_request(peer, (*id).into()),
            (_, Record::Id(id)) => self.enqueue_delete((*id).into(), now),
            (_, Record::BulkStatus(status)) => self.requeue_mark(peer, status, now),
            _ => {}
        }
    }

    fn requeue_state(&mut self, table: &mut impl Store, id: Identity, event: Event, now: Nanos) {
        if let Some(slot) = table.find_id(id.into())
            && self.is_replicated(table, slot)
        {
            self.note_event(table, slot, event, now);
        }
    }

    fn requeue_mark(&mut self, peer: PeerIndex, status: &BulkStatus, now: Nanos) {
        let requested = now.saturating_sub(Nanos::from(status.endtime) * NANOS_PER_SECOND);
        let is_start = status.status == bulk_status::START;
        let body = if is_start { ControlBody::Start } else { ControlBody::End(requested) };
        self.requeue_control(peer, body);
    }

    fn requeue_control(&mut self, peer: PeerIndex, body: ControlBody) {
        self.enqueue_control(ControlMessage { body, peer: Some(peer) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::StateId;
    use crate::sync::fixture::{MS, Node, S, regions, settings, state};
    use crate::sync::{Removal, WalkOrder};
    use crate::table::Slot;
    use pfsync::Profile;

    /// Writes the due frames and requeues every one.
    fn refuse_all(node: &mut Node) -> Vec<Vec<(Action, u16)>> {
        let mut refused = Vec::new();
        let mut frames = Vec::new();
        let mut buffer = [0; 1500];
        while let Some(flushed) = node.flush_into(&mut buffer) {
            frames.push(buffer[..flushed.length].to_vec());
        }
        for frame in frames {
            refused.push(regions(&frame));
            node.exporter.requeue_frame(&mut node.table, &frame, node.now);
        }
        refused
    }

    fn sorted(frames: Vec<Vec<(Action, u16)>>) -> Vec<(Action, u16)> {
        let mut all = frames.concat();
        all.sort_by_key(|(action, _)| *action as u8);
        all
    }

    #[test]
    fn every_kind_of_message_is_requeued() {
        for profile in Profile::ALL {
            let mut node = Node::new(settings(&[profile]));
            let slots: Vec<Slot> = (0..6).map(|n| node.put(&state(n))).collect();
            node.insert(10);
            node.remove(slots[0], Removal::Ended);
            node.update(slots[1]);
            node.exporter.acknowledge(&mut node.table, slots[2], 0);
            node.exporter.answer_request(&mut node.table, slots[3], 0);
            node.exporter.request_state(0, StateId { id: 7, creator: 7 }, 0);
            node.exporter.bulk_request();
            node.exporter.bulk_start(0);
            node.exporter.bulk_end(0, 0);
            node.wait(S);
            let refused = sorted(refuse_all(&mut node));
            assert_eq!(refused.iter().map(|(_, count)| count).sum::<u16>(), 9, "{refused:?}");
            assert!(!node.exporter.due(node.now), "a port that refuses frames gets none for a moment");
            let again = sorted(node.wait(S).sent());
            assert_eq!(again, refused, "{profile:?}");
            assert!(node.wait(S).sent().is_empty());
            assert_eq!(node.exporter.counters.oerrors, node.exporter.peer_counters[0].oerrors);
        }
    }

    #[test]
    fn a_walk_through_a_port_that_refuses_half_the_frames_sends_all_states() {
        let mut node = Node::open();
        (0..100).for_each(|n| _ = node.put(&state(n)));
        node.exporter.bulk_walk(&node.table, WalkOrder { peer: 0, generation: 1 });
        let mut received = std::collections::BTreeSet::new();
        let mut frames = 0;
        for _ in 0..1000 {
            let mut buffer = [0; 1500];
            node.now += MS;
            while let Some(flushed) = node.flush_into(&mut buffer) {
                let frame = buffer[..flushed.length].to_vec();
                frames += 1;
                if frames % 2 == 0 {
                    node.exporter.requeue_frame(&mut node.table, &frame, node.now);
                    continue;
                }
                let envelope = Envelope::parse(&frame).unwrap();
                let mut reader = FrameReader::new(&frame[envelope.payload]).unwrap();
                let region = reader.next_region().unwrap().unwrap();
                received.extend(region.records().filter_map(|record| match record {
                    Record::State(state) => Some(state.id.id),
                    _ => None,
                }));
            }
        }
        assert_eq!(received.len(), 100);
        assert!(node.exporter.take_finished_walk().is_some());
    }

    #[test]
    fn a_state_that_has_ended_is_not_requeued() {
        let mut node = Node::open();
        let slot = node.insert(0);
        node.wait(S);
        let mut buffer = [0; 1500];
        let length = node.flush_into(&mut buffer).unwrap().length;
        node.remove(slot, Removal::Ended);
        node.exporter.requeue_frame(&mut node.table, &buffer[..length], node.now);
        assert_eq!(node.wait(S).sent(), [[(Action::DeleteCompressed, 1)]]);
    }

    #[test]
    fn a_packet_that_is_not_a_frame_is_only_counted() {
        let mut node = Node::open();
        for packet in [&[][..], &[0x45; 20], &[0; 1500]] {
            node.exporter.requeue_frame(&mut node.table, packet, node.now);
        }
        assert_eq!(node.exporter.counters.oerrors, 3);
        assert!(node.wait(S).sent().is_empty());
    }
}
