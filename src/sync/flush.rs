//! Writes frames: whole IP packets, from the states as they are now.
//!
//! Regions are in OpenBSD's order towards every peer: acknowledgements, compressed updates, deletes, inserts, full
//! updates. FreeBSD's own senders put inserts first, so that a reused key collides with the state that the delete behind
//! it ends (protocol 2.3); its receivers take any order. For the same reason deletes leave before inserts do.

use super::batch::{Fit, Item};
use super::frame::Frame;
use super::message::PeerIndex;
use super::one_shot::{Mark, OneShot};
use super::outbound::Outbound;
use super::translate::Clock;
use crate::state::{Queue, Timeouts};
use crate::table::{Slot, Table};
use crate::time::{Nanos, Tick};
use crate::wire::envelope::Address;
use crate::wire::{Action, Full};

/// A frame that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flushed {
    /// Bytes of the IP packet at the start of the buffer.
    pub length: usize,
    /// To which peer.
    pub peer: PeerIndex,
}

impl Outbound {
    /// Whether a frame is to be written. Cost: one comparison.
    #[inline]
    #[must_use]
    pub const fn due(&self, now: Nanos) -> bool {
        now >= self.deadline
    }

    /// Writes the next frame that is due into `buffer`, a whole IP packet, never longer than the peer's MTU. Call it
    /// until it returns `None`; after that [`Self::due`] is false until `now` has moved on or something new happened.
    ///
    /// A buffer with no room for a single message is counted (`no_room`) and loses nothing.
    pub fn flush(
        &mut self,
        table: &mut Table,
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
        table: &mut Table,
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
            if let Some(shot) = self.one_shots.front().copied() {
                return self.write_one_shot(shot, now, buffer).or_else(|| self.out_of_room());
            }
            self.aging.advance(now);
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
            || !self.one_shots.is_empty()
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
        creations.min(walks).min(self.aging.deadline())
    }

    /// Takes the next frame's worth of messages out of their queues.
    fn choose(&mut self, table: &mut Table, now: Nanos, room: usize) -> Chosen {
        let urgent = self.queues.len(Queue::Update) + self.queues.len(Queue::InsertAck) + self.aging.due();
        let waiting = self.creations_waiting();
        let aged = waiting > 0 && now >= self.creations_since.saturating_add(self.settings.insert_age);
        if !self.requests.is_empty() {
            return self.choose_requests(room);
        }
        if urgent == 0 && !aged && !(self.creations_due && waiting > 0) {
            self.creations_due = false;
            return Chosen::Nothing;
        }
        let peers = PeerIndex::try_from(self.settings.peers.len()).unwrap_or(0);
        self.batch.open(0, peers);
        self.fill(table, room);
        if self.batch.items.is_empty() {
            self.batch.close();
            return Chosen::NoRoom;
        }
        if self.creations_waiting() == 0 {
            self.creations_due = false;
        }
        Chosen::Some
    }

    /// Acknowledgements and deletes are short and go first, then inserts and compressed updates take turns at going
    /// before the other, so that neither keeps the other waiting for ever.
    fn fill(&mut self, table: &mut Table, room: usize) {
        let mut fit = Fit::new(&self.settings, room);
        let acks = fit.claim(Action::InsertAck, self.queues.len(Queue::InsertAck));
        let waiting_deletes = u32::try_from(self.deletes.len()).unwrap_or(u32::MAX);
        let deletes = fit.claim(Action::DeleteCompressed, waiting_deletes);
        // A new state may have the key of one whose delete still waits.
        let inserts = if deletes == waiting_deletes { self.queues.len(Queue::Insert) } else { 0 };
        self.odd_turn = !self.odd_turn;
        let mut updates = 0;
        if self.odd_turn {
            updates = fit.claim(Action::UpdateCompressed, self.aging.due());
        }
        let inserts = fit.claim(Action::Insert, inserts);
        let full = fit.claim(Action::Update, self.queues.len(Queue::Update));
        if !self.odd_turn {
            updates = fit.claim(Action::UpdateCompressed, self.aging.due());
        }
        self.aging.taken(updates);
        self.take(table, Queue::InsertAck, Action::InsertAck, acks);
        self.take(table, Queue::UpdateCompressed, Action::UpdateCompressed, updates);
        for id in (0..deletes).map_while(|_| self.deletes.pop()) {
            self.batch.push(Item { action: Action::DeleteCompressed, slot: Slot::NONE, id });
        }
        self.take(table, Queue::Insert, Action::Insert, inserts);
        self.take(table, Queue::Update, Action::Update, full);
    }

    fn take(&mut self, table: &mut Table, queue: Queue, action: Action, count: u32) {
        for _ in 0..count {
            let Some(slot) = self.queues.pop(table, queue) else { break };
            let id = table.cold(slot).id;
            self.batch.push(Item { action, slot, id });
        }
    }

    /// Requests go to the peer that told of the state, in a frame of their own.
    fn choose_requests(&mut self, room: usize) -> Chosen {
        let Some(&(peer, _)) = self.requests.front() else { return Chosen::Nothing };
        let count = Fit::new(&self.settings, room).claim(Action::UpdateRequest, 64);
        if count == 0 {
            return Chosen::NoRoom;
        }
        self.batch.open(peer, peer + 1);
        for _ in 0..count {
            match self.requests.front() {
                Some(&(same, id)) if same == peer => {
                    self.batch.push(Item { action: Action::UpdateRequest, slot: Slot::NONE, id });
                    self.requests.pop();
                }
                _ => break,
            }
        }
        Chosen::Some
    }

    /// Writes what fits of the batch for the peer whose turn it is. `Ok(None)`: nothing of it was left to say.
    fn write_batch(
        &mut self,
        table: &Table,
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
        self.count(&sent);
        Ok(self.sent(length, peer))
    }

    fn write_one_shot(&mut self, shot: OneShot, now: Nanos, buffer: &mut [u8]) -> Option<Flushed> {
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
            self.one_shots.pop();
        }
        self.sent(length, peer)
    }

    /// Writes the next frame of a bulk transfer, when its pace allows.
    fn write_walk(&mut self, table: &Table, clock: &Clock<'_>, now: Nanos, buffer: &mut [u8]) -> Walked {
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
        let states = frame.push_states(table, clock, &mut walk);
        if frame.is_empty() && states.full {
            return Walked::NoRoom;
        }
        let length = frame.finish(self.identification);
        self.walks.budget -= 1;
        self.counters.bulk_states_sent += states.count;
        self.counters.updates_sent += states.count;
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

    fn count(&mut self, sent: &Sent) {
        self.counters.acks_sent += sent.acks;
        self.counters.compressed_sent += sent.compressed;
        self.counters.deletes_sent += sent.deletes;
        self.counters.inserts_sent += sent.inserts;
        self.counters.updates_sent += sent.updates;
        self.counters.requests_sent += sent.requests;
        self.counters.outdated += sent.outdated;
    }
}

enum Chosen {
    Some,
    Nothing,
    NoRoom,
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
