//! Writes frames: whole IP packets.

use super::select::Selection;
use super::{Frame, Pushed, is_same};
use crate::state::{Queue, Timeouts};
use crate::sync::counters::{PeerCounters, SyncCounters};
use crate::sync::export::Exporter;
use crate::sync::message::PeerIndex;
use crate::sync::repair::IdKind;
use crate::sync::store::Store;
use crate::sync::translate::Clock;
use crate::time::{Nanos, Tick};
use pfsync::envelope::Address;
use pfsync::{Action, Full, trailer_flags};

/// A frame that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flushed {
    /// Length of the IP packet at the start of the buffer.
    pub length: usize,
    /// The receiver.
    pub peer: PeerIndex,
}

/// Actions that a batch holds, and their counters.
const COUNTED: [Action; 6] = [
    Action::InsertAck,
    Action::UpdateCompressed,
    Action::DeleteCompressed,
    Action::Insert,
    Action::Update,
    Action::UpdateRequest,
];

impl Exporter {
    /// Whether a frame is due. Cost: two comparisons.
    #[inline]
    #[must_use]
    pub const fn due(&self, now: Nanos) -> bool {
        self.pacing.is_due(now)
    }

    /// Writes the next due frame into `buffer`: a whole IP packet, never longer than the peer's MTU. Call it until it
    /// returns `None`; after that [`Self::due`] is false until a later time or event.
    ///
    /// A buffer too short for any message is counted (`buffers_too_small`); nothing is lost.
    pub fn flush(
        &mut self,
        table: &mut impl Store,
        timeouts: &Timeouts,
        now: Nanos,
        buffer: &mut [u8],
    ) -> Option<Flushed> {
        if !self.due(now) {
            return None;
        }
        self.flushed_at = now;
        let clock = Clock { timeouts, now: Tick::from_nanos(now), states: self.total_states(table) };
        let flushed = match self.flush_due(table, &clock, now, buffer) {
            Ok(flushed) => flushed,
            Err(Full) => {
                self.counters.buffers_too_small += 1;
                None
            }
        };
        match &flushed {
            Some(flushed) => self.seal_frame(&mut buffer[..flushed.length], flushed.peer),
            None => self.pacing.sleep_until(self.next_deadline()),
        }
        flushed
    }

    fn flush_due(
        &mut self,
        table: &mut impl Store,
        clock: &Clock<'_>,
        now: Nanos,
        buffer: &mut [u8],
    ) -> Result<Option<Flushed>, Full> {
        loop {
            if let Some(peer) = self.due_handshake(now) {
                return self.write_handshake(peer, buffer);
            }
            if self.batch.is_pending() {
                match self.write_batch(table, clock, buffer)? {
                    None => continue,
                    flushed => return Ok(flushed),
                }
            }
            if !self.control.is_empty() {
                return self.write_control(now, buffer);
            }
            if !self.reports.is_empty() {
                return self.write_reports(buffer);
            }
            if let Some(peer) = self.due_repair(now) {
                return self.write_repair(table, clock, peer, buffer);
            }
            if self.hellos.is_urgent {
                return self.write_hello(buffer);
            }
            self.queues.advance(now);
            if now >= self.pacing.min_age_at {
                self.promote_aged(table, now);
            }
            match self.select(table, now, buffer.len()) {
                Selection::Selected => {}
                Selection::BufferTooShort => return Err(Full),
                Selection::Nothing if !self.hellos.is_empty() => return self.write_hello(buffer),
                Selection::Nothing if now >= self.comparison_deadline() => {
                    if !self.ids.deletes.is_empty() {
                        // A sum tells what ended here.
                        self.pacing.make_creations_due();
                        continue;
                    }
                    match self.write_comparison(now, buffer)? {
                        None => {}
                        flushed => return Ok(flushed),
                    }
                }
                Selection::Nothing if now >= self.heartbeats.deadline() => {
                    return self.write_heartbeat(now, buffer);
                }
                Selection::Nothing => {
                    // A call examines the slots of one frame: where they hold no state, the next burst continues.
                    let Some((walk, pace)) = self.next_walk(now) else { return Ok(None) };
                    return self.write_walk(table, clock, walk, pace, buffer);
                }
            }
        }
    }

    /// When the next call of [`Self::flush`] has something to do.
    fn next_deadline(&self) -> Nanos {
        let is_due = self.batch.is_pending()
            || !self.control.is_empty()
            || !self.reports.is_empty()
            || !self.hellos.is_empty()
            || !self.ids.requests.is_empty()
            || self.pacing.creations_due
            || self.queues.len(Queue::InsertAck) > 0;
        if is_due {
            return 0;
        }
        let creations = match self.waiting_creations() {
            0 => Nanos::MAX,
            _ => self.pacing.creations_since.saturating_add(self.settings.insert_age),
        };
        let walks = if self.walks.is_walking() { self.walks.next_burst } else { Nanos::MAX };
        let has_answers = self.queues.len(Queue::Update) > 0;
        let answers = if has_answers { self.answer_pace.next } else { Nanos::MAX };
        let streams = self.repairs.deadline().min(self.heartbeats.deadline()).min(self.comparison_deadline());
        streams
            .min(creations)
            .min(walks)
            .min(answers)
            .min(self.queues.update_deadline())
            .min(self.pacing.min_age_at)
    }

    /// Writes as much of the batch as fits for the current peer. `Ok(None)`: every message was outdated.
    fn write_batch(
        &mut self,
        table: &impl Store,
        clock: &Clock<'_>,
        buffer: &mut [u8],
    ) -> Result<Option<Flushed>, Full> {
        let peer = self.batch.peer;
        let mut fields = self.begin_frame(peer);
        let mut frame = Frame::begin(&self.settings, &self.settings.peers[usize::from(peer)], buffer)?;
        let mut next = self.batch.next;
        let mut sent = [0; 16];
        let (mut outdated, mut inexpressible) = (0, 0);
        while let Some(item) = self.batch.items.get(next) {
            match frame.push(table, clock, item) {
                Ok(Pushed::Sent) => {
                    sent[item.action as usize] += 1;
                    match item.action {
                        Action::InsertAck => self.repairs.note_id(IdKind::Acknowledgement, item.id),
                        Action::UpdateRequest => self.repairs.note_id(IdKind::Request, item.id),
                        _ if item.slot.is_none() => self.repairs.note_id(IdKind::Delete, item.id),
                        action => {
                            let is_whole = action != Action::UpdateCompressed;
                            self.repairs.note_state(item.slot, is_whole, item.lacks());
                            if self.repairs.is_writing() {
                                self.comparison.marks.tell(peer.into(), item.slot, || item.id);
                            }
                        }
                    }
                }
                Ok(Pushed::Outdated) => {
                    outdated += 1;
                    if is_same(table, item.slot, item.id) {
                        // It has expired: no peer need have it.
                        self.comparison.marks.untell(peer.into(), item.slot, item.id);
                    }
                }
                Ok(Pushed::Inexpressible) => inexpressible += 1,
                Err(Full) => break,
            }
            next += 1;
        }
        if frame.is_empty() && next < self.batch.items.len() {
            return Err(Full);
        }
        let hello = self.hellos.next_for(peer).filter(|_| !frame.is_empty());
        let hello = hello.map(|hello| frame.push_hello(hello));
        if !frame.is_empty() {
            let is_flagged = self.repairs.requests_report(false, self.flushed_at);
            fields.flags |= if is_flagged { trailer_flags::REPORT } else { 0 };
        }
        let length = frame.finish(self.packet_id, &fields);
        match hello {
            Some(Ok(())) => self.hello_sent(peer),
            Some(Err(Full)) => self.hellos.is_urgent = true,
            None => {}
        }
        self.batch.written(next);
        self.counters.messages_outdated += outdated;
        self.counters.messages_inexpressible += inexpressible;
        for action in COUNTED {
            self.count_sent(action, sent[action as usize], peer);
        }
        if length.is_some() {
            self.content_sent(peer);
        }
        Ok(self.count_frame(length, peer))
    }

    fn write_control(&mut self, now: Nanos, buffer: &mut [u8]) -> Result<Option<Flushed>, Full> {
        let Some((body, peer)) = self.control.front() else { return Ok(None) };
        let fields = self.begin_frame(peer);
        let mut frame = Frame::begin(&self.settings, &self.settings.peers[usize::from(peer)], buffer)?;
        frame.push_control(body, self.settings.host_id, now)?;
        let length = frame.finish(self.packet_id, &fields);
        self.repairs.note_id(IdKind::Control, body.as_id());
        self.content_sent(peer);
        self.counters.bulk_marks_sent += 1;
        self.control.advance(self.settings.peers.len());
        Ok(self.count_frame(length, peer))
    }

    /// Writes a hello into an otherwise empty frame.
    fn write_hello(&mut self, buffer: &mut [u8]) -> Result<Option<Flushed>, Full> {
        let Some(peer) = self.hellos.next_peer() else { return Ok(None) };
        let fields = self.begin_frame(peer);
        let mut frame = Frame::begin(&self.settings, &self.settings.peers[usize::from(peer)], buffer)?;
        self.hellos.next_for(peer).map_or(Ok(()), |hello| frame.push_hello(hello))?;
        let length = frame.finish(self.packet_id, &fields);
        self.hello_sent(peer);
        Ok(self.count_frame(length, peer))
    }

    fn hello_sent(&mut self, peer: PeerIndex) {
        self.hellos.sent(peer);
        self.counters.hellos_sent += 1;
    }

    /// Counts a frame, unless it is empty.
    pub(in crate::sync::export) fn count_frame(
        &mut self,
        length: Option<usize>,
        peer: PeerIndex,
    ) -> Option<Flushed> {
        let length = length?;
        self.packet_id = self.packet_id.wrapping_add(1);
        self.numbers.count(peer);
        match self.settings.peers[usize::from(peer)].transport.source {
            Address::V4(_) => self.counters.opackets += 1,
            Address::V6(_) => self.counters.opackets6 += 1,
        }
        self.counters.obytes += length as u64;
        let of_peer = &mut self.peer_counters[usize::from(peer)];
        of_peer.frames_sent += 1;
        of_peer.bytes_sent += length as u64;
        Some(Flushed { length, peer })
    }

    /// Counts messages, in total and for the peer.
    pub(super) fn count_sent(&mut self, action: Action, count: u64, peer: PeerIndex) {
        let (total, of_peer) =
            sent_counters(action, &mut self.counters, &mut self.peer_counters[usize::from(peer)]);
        *total += count;
        *of_peer += count;
    }
}

const fn sent_counters<'a>(
    action: Action,
    all: &'a mut SyncCounters,
    of_peer: &'a mut PeerCounters,
) -> (&'a mut u64, &'a mut u64) {
    match action {
        Action::InsertAck => (&mut all.acks_sent, &mut of_peer.acks_sent),
        Action::UpdateCompressed => (&mut all.compressed_sent, &mut of_peer.compressed_sent),
        Action::DeleteCompressed => (&mut all.deletes_sent, &mut of_peer.deletes_sent),
        Action::Insert => (&mut all.inserts_sent, &mut of_peer.inserts_sent),
        Action::Update => (&mut all.updates_sent, &mut of_peer.updates_sent),
        _ => (&mut all.requests_sent, &mut of_peer.requests_sent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::FLOATING;
    use crate::sync::fixture::{MS, Node, S, regions, settings};
    use crate::sync::{InterfacePair, PeerSettings, Removal};
    use crate::table::Slot;
    use pfsync::Profile;

    #[test]
    fn an_insert_is_sent_after_the_insert_age_and_an_update_after_pfs_second() {
        let mut node = Node::open();
        let slot = node.insert(0);
        node.update(slot);
        assert!(node.wait(10 * MS - 1).sent().is_empty());
        assert_eq!(node.wait(1).sent(), [[(Action::Insert, 1)]]);
        node.update(slot);
        node.update(slot);
        assert!(node.wait(S - 1).sent().is_empty());
        assert_eq!(node.wait(1).sent(), [[(Action::UpdateCompressed, 1)]]);
        assert!(node.wait(10 * S).sent().is_empty());
    }

    #[test]
    fn a_busy_state_is_sent_once_a_second_however_many_packets_and_states_there_are() {
        let mut node = Node::open();
        let slots: Vec<Slot> = (0..500).map(|n| node.insert(n)).collect();
        node.wait(10 * MS).sent();
        let mut messages = 0;
        for _ in 0..300 {
            for &slot in &slots {
                // Not TCP, so that `maxupd` does not apply.
                node.table.hot_mut(slot).updates = 0;
                node.update(slot);
            }
            messages += node.sent().iter().flatten().map(|(_, count)| u32::from(*count)).sum::<u32>();
            node.wait(10 * MS);
        }
        assert!((1000..=1500).contains(&messages), "{messages} in 3 s");
    }

    #[test]
    fn every_peer_is_sent_every_message_in_its_own_dialect() {
        let mut node = Node::new(settings(&[Profile::OpenBsd6, Profile::FreeBsd1500, Profile::FreeBsd1301]));
        let slots: Vec<Slot> = (0..20).map(|n| node.insert(n)).collect();
        let mut messages = [0; 3];
        for (peer, regions) in node.wait(S).frames() {
            messages[usize::from(peer)] += regions.iter().map(|(_, count)| count).sum::<u16>();
        }
        assert_eq!(messages, [20; 3]);
        assert!(
            node.exporter.peer_counters[..3]
                .iter()
                .all(|peer| peer.frames_sent > 0 && peer.bytes_sent > 5000)
        );
        node.remove(slots[0], Removal::Ended);
        node.update(slots[1]);
        let expected = vec![(Action::UpdateCompressed, 1), (Action::DeleteCompressed, 1)];
        node.wait(S);
        assert_eq!(node.frames(), [(0, expected.clone()), (1, expected.clone()), (2, expected)]);
    }

    #[test]
    fn a_full_frame_is_sent_at_once() {
        let mut node = Node::open();
        for n in 0..5 {
            assert!(node.sent().is_empty());
            node.insert(n);
        }
        node.insert(5);
        let sent = node.sent();
        assert_eq!(sent[0], [(Action::Insert, 5)]);
        node.wait(S);
        assert_eq!(sent.len() + node.sent().len(), 2);
    }

    #[test]
    fn a_buffer_that_is_too_short_loses_nothing() {
        let mut node = Node::open();
        node.insert(0);
        node.wait(S);
        for length in [0, 19, 40, 300] {
            assert_eq!(node.flush_into(&mut vec![0; length]), None);
            assert!(node.exporter.due(node.now));
        }
        assert_eq!(node.exporter.counters.buffers_too_small, 4);
        assert_eq!(node.sent(), [[(Action::Insert, 1)]]);
    }

    #[test]
    fn a_buffer_that_becomes_shorter_within_a_batch_loses_nothing() {
        let mut node = Node::new(settings(&[Profile::OpenBsd6, Profile::OpenBsd6]));
        (0..5).for_each(|n| _ = node.insert(n));
        node.wait(S);
        assert_eq!(node.flush_into(&mut [0; 1500]).unwrap().peer, 0);
        let mut frames = 0;
        while let Some(flushed) = node.flush_into(&mut [0; 400]) {
            assert_eq!(flushed.peer, 1);
            frames += 1;
        }
        assert_eq!((frames, node.exporter.counters.inserts_sent), (5, 10));
    }

    #[test]
    fn frames_for_ipv6_peers_are_sent_over_ipv6() {
        let mut six = settings(&[]);
        six.peers.push(PeerSettings::group(Profile::FreeBsd1500, Address::V6([1; 16])));
        let mut node = Node::new(six);
        node.insert(0);
        node.wait(S);
        let mut buffer = [0; 1500];
        let flushed = node.flush_into(&mut buffer).unwrap();
        assert_eq!(buffer[0] >> 4, 6);
        assert_eq!(regions(&buffer[..flushed.length]), [(Action::Insert, 1)]);
        assert_eq!(node.exporter.counters.opackets6, 1);
    }

    #[test]
    fn a_peer_is_sent_its_own_interface_names() {
        let mut named = settings(&[Profile::OpenBsd6]);
        let theirs = *b"em0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        named.peers[0].interfaces.push(InterfacePair { ours: FLOATING, theirs });
        let mut node = Node::new(named);
        node.insert(0);
        node.wait(S);
        let mut buffer = [0; 1500];
        let length = node.flush_into(&mut buffer).unwrap().length;
        assert!(buffer[..length].windows(16).any(|name| name == theirs));
        assert!(!buffer[..length].windows(16).any(|name| name == FLOATING));
    }
}
