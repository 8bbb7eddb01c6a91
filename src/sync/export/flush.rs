//! Writes frames: whole IP packets, from the states as they are now.

use super::Exporter;
use super::choose::Chosen;
use super::control_message::{ControlMessage, Mark};
use super::frame::Frame;
use crate::state::{Queue, Timeouts};
use crate::sync::message::PeerIndex;
use crate::sync::store::Store;
use crate::sync::translate::Clock;
use crate::time::{Nanos, Tick};
use pfsync::envelope::Address;
use pfsync::{Action, Full};

/// A frame that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flushed {
    /// Bytes of the IP packet at the start of the buffer.
    pub length: usize,
    /// To which peer.
    pub peer: PeerIndex,
}

impl Exporter {
    /// Whether a frame is to be written. Cost: two comparisons.
    #[inline]
    #[must_use]
    pub const fn due(&self, now: Nanos) -> bool {
        now >= self.deadline && now >= self.not_before
    }

    /// Writes the next frame that is due into `buffer`, a whole IP packet, never longer than the peer's MTU. Call it
    /// until it returns `None`; after that [`Self::due`] is false until `now` has moved on or something new happened.
    ///
    /// A buffer with no room for a single message is counted (`no_room`) and loses nothing.
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
        let clock = Clock { timeouts, now: Tick::from_nanos(now), states: self.states(table) };
        let flushed = self.flush_due(table, &clock, now, buffer);
        if flushed.is_none() {
            self.deadline = self.next_deadline();
        }
        flushed
    }

    fn flush_due(
        &mut self,
        table: &mut impl Store,
        clock: &Clock<'_>,
        now: Nanos,
        buffer: &mut [u8],
    ) -> Option<Flushed> {
        loop {
            if self.batch.is_pending() {
                match self.write_batch(table, clock, buffer) {
                    Ok(None) => continue,
                    Ok(flushed) => return flushed,
                    Err(Full) => return self.out_of_room(),
                }
            }
            if let Some(shot) = self.control_messages.front().copied() {
                return self.write_one_shot(shot, now, buffer).or_else(|| self.out_of_room());
            }
            self.aging.advance(now);
            if now >= self.ripe_at {
                self.ripen(table, now);
            }
            match self.choose(table, now, buffer.len()) {
                Chosen::Some => {}
                Chosen::NoRoom => return self.out_of_room(),
                Chosen::Nothing => match self.write_walk(table, clock, now, buffer) {
                    Walked::Frame(flushed) => return Some(flushed),
                    Walked::Again => {}
                    Walked::Nothing => return None,
                    Walked::NoRoom => return self.out_of_room(),
                },
            }
        }
    }

    const fn out_of_room(&mut self) -> Option<Flushed> {
        self.counters.no_room += 1;
        None
    }

    /// When the next call of [`Self::flush`] has something to do.
    fn next_deadline(&self) -> Nanos {
        let at_once = self.batch.is_pending()
            || !self.control_messages.is_empty()
            || !self.requests.is_empty()
            || self.creations_due
            || self.queues.len(Queue::Update) + self.queues.len(Queue::InsertAck) > 0;
        if at_once {
            return 0;
        }
        let creations = match self.creations_waiting() {
            0 => Nanos::MAX,
            _ => self.creations_since.saturating_add(self.settings.insert_age),
        };
        let walks = if self.walks.is_walking() { self.walks.next_burst } else { Nanos::MAX };
        creations.min(walks).min(self.aging.deadline()).min(self.ripe_at)
    }

    /// Writes what fits of the batch for the peer whose turn it is. `Ok(None)`: nothing of it was left to say.
    fn write_batch(
        &mut self,
        table: &impl Store,
        clock: &Clock<'_>,
        buffer: &mut [u8],
    ) -> Result<Option<Flushed>, Full> {
        let peer = self.batch.peer;
        let settings = &self.settings.peers[usize::from(peer)];
        let mut frame =
            Frame::begin(settings, self.settings.mtu_of(settings), self.settings.trailer, buffer)?;
        let mut next = self.batch.next;
        let mut sent = Sent::default();
        while let Some(item) = self.batch.items.get(next) {
            match frame.push(table, clock, item) {
                Ok(true) => sent.count(item.action),
                Ok(false) => sent.outdated += 1,
                Err(Full) => break,
            }
            next += 1;
        }
        let complete = next == self.batch.items.len();
        if frame.is_empty() && !complete {
            return Err(Full);
        }
        let length = frame.finish(self.identification);
        self.batch.next = next;
        if complete {
            self.batch.next_peer();
        }
        self.count(&sent, peer);
        Ok(self.sent(length, peer))
    }

    fn write_one_shot(&mut self, shot: ControlMessage, now: Nanos, buffer: &mut [u8]) -> Option<Flushed> {
        let peer = shot.peer.unwrap_or(self.one_shot_peer);
        let settings = &self.settings.peers[usize::from(peer)];
        let mtu = self.settings.mtu_of(settings);
        let mut frame = Frame::begin(settings, mtu, self.settings.trailer, buffer).ok()?;
        frame.push_mark(shot.mark, self.settings.host_id, now).ok()?;
        let length = frame.finish(self.identification);
        match shot.mark {
            Mark::Clear(_) => self.counters.clears_sent += 1,
            _ => self.counters.bulk_marks_sent += 1,
        }
        self.one_shot_peer += 1;
        if shot.peer.is_some() || usize::from(self.one_shot_peer) >= self.settings.peers.len() {
            self.one_shot_peer = 0;
            self.control_messages.pop();
        }
        self.sent(length, peer)
    }

    /// Writes the next frame of a bulk transfer, when its pace allows.
    fn write_walk(&mut self, table: &impl Store, clock: &Clock<'_>, now: Nanos, buffer: &mut [u8]) -> Walked {
        let Some(mut walk) = self.walks.current() else { return Walked::Nothing };
        if !self.walks.may_write(now, self.settings.bulk_frames, self.settings.bulk_interval) {
            return Walked::Nothing;
        }
        let peer = walk.order.peer;
        let settings = &self.settings.peers[usize::from(peer)];
        let mtu = self.settings.mtu_of(settings);
        let Ok(mut frame) = Frame::begin(settings, mtu, self.settings.trailer, buffer) else {
            return Walked::NoRoom;
        };
        let states = frame.push_states(table, clock, &self.settings.filter, &mut walk);
        if frame.is_empty() && states.full {
            return Walked::NoRoom;
        }
        let length = frame.finish(self.identification);
        self.walks.budget -= 1;
        self.counters.bulk_states_sent += states.count;
        self.counters.updates_sent += states.count;
        self.peer_counters[usize::from(peer)].updates_sent += states.count;
        let place = &mut self.walks.walks[usize::from(peer)];
        *place = Some(walk);
        if walk.at >= walk.end {
            *place = None;
            // There is a place: a walk is begun only after the one before was taken or broken off.
            let _ = self.walks.finished.push(walk.order);
        }
        self.sent(length, peer).map_or(Walked::Again, Walked::Frame)
    }

    /// Counts a frame; an empty one is none.
    fn sent(&mut self, length: Option<usize>, peer: PeerIndex) -> Option<Flushed> {
        let length = length?;
        self.identification = self.identification.wrapping_add(1);
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

    fn count(&mut self, sent: &Sent, peer: PeerIndex) {
        let of_peer = &mut self.peer_counters[usize::from(peer)];
        of_peer.acks_sent += sent.acks;
        of_peer.compressed_sent += sent.compressed;
        of_peer.deletes_sent += sent.deletes;
        of_peer.inserts_sent += sent.inserts;
        of_peer.updates_sent += sent.updates;
        of_peer.requests_sent += sent.requests;
        self.counters.acks_sent += sent.acks;
        self.counters.compressed_sent += sent.compressed;
        self.counters.deletes_sent += sent.deletes;
        self.counters.inserts_sent += sent.inserts;
        self.counters.updates_sent += sent.updates;
        self.counters.requests_sent += sent.requests;
        self.counters.outdated += sent.outdated;
    }
}

enum Walked {
    Frame(Flushed),
    Again,
    Nothing,
    NoRoom,
}

/// Messages of one frame.
#[derive(Default)]
struct Sent {
    acks: u64,
    compressed: u64,
    deletes: u64,
    inserts: u64,
    updates: u64,
    requests: u64,
    outdated: u64,
}

impl Sent {
    const fn count(&mut self, action: Action) {
        match action {
            Action::InsertAck => self.acks += 1,
            Action::UpdateCompressed => self.compressed += 1,
            Action::DeleteCompressed => self.deletes += 1,
            Action::Insert => self.inserts += 1,
            Action::Update => self.updates += 1,
            _ => self.requests += 1,
        }
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
    fn a_new_state_leaves_after_its_age_and_a_change_after_pf_s_second() {
        let mut node = Node::open();
        let slot = node.insert(0);
        node.update(slot);
        assert!(node.wait(10 * MS - 1).said().is_empty());
        assert_eq!(node.wait(1).said(), [[(Action::Insert, 1)]]);
        node.update(slot);
        node.update(slot);
        assert!(node.wait(S - 1).said().is_empty());
        assert_eq!(node.wait(1).said(), [[(Action::UpdateCompressed, 1)]]);
        assert!(node.wait(10 * S).said().is_empty());
    }

    #[test]
    fn a_busy_state_is_told_once_a_second_however_many_packets_and_states_there_are() {
        let mut node = Node::open();
        let slots: Vec<Slot> = (0..500).map(|n| node.insert(n)).collect();
        node.wait(10 * MS).said();
        let mut told = 0;
        for _ in 0..300 {
            for &slot in &slots {
                // Not TCP, so that `maxupd` does not apply.
                node.table.hot_mut(slot).updates = 0;
                node.update(slot);
            }
            told += node.said().iter().flatten().map(|(_, count)| u32::from(*count)).sum::<u32>();
            node.wait(10 * MS);
        }
        assert!((1000..=1500).contains(&told), "{told} in 3 s");
    }

    #[test]
    fn every_peer_is_told_everything_in_its_own_dialect() {
        let mut node = Node::new(settings(&[Profile::OpenBsd6, Profile::FreeBsd1500, Profile::FreeBsd1301]));
        let slots: Vec<Slot> = (0..20).map(|n| node.insert(n)).collect();
        let mut told = [0; 3];
        for (peer, regions) in node.wait(S).frames() {
            told[usize::from(peer)] += regions.iter().map(|(_, count)| count).sum::<u16>();
        }
        assert_eq!(told, [20; 3]);
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
    fn a_full_frame_leaves_at_once() {
        let mut node = Node::open();
        for n in 0..5 {
            assert!(node.said().is_empty());
            node.insert(n);
        }
        node.insert(5);
        let said = node.said();
        assert_eq!(said[0], [(Action::Insert, 5)]);
        node.wait(S);
        assert_eq!(said.len() + node.said().len(), 2);
    }

    #[test]
    fn a_buffer_without_room_loses_nothing() {
        let mut node = Node::open();
        node.insert(0);
        node.wait(S);
        for length in [0, 19, 40, 300] {
            assert_eq!(node.flush_into(&mut vec![0; length]), None);
            assert!(node.exporter.due(node.now));
        }
        assert_eq!(node.exporter.counters.no_room, 4);
        assert_eq!(node.said(), [[(Action::Insert, 1)]]);
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
    fn ipv6_peers_get_their_frames_over_ipv6() {
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
    fn a_peer_is_told_its_own_names_of_interfaces() {
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
