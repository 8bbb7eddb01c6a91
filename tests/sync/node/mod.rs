//! A node: a table and all of replication on one lane, driven by hand.

pub(crate) mod frames;
pub(crate) mod traffic;

use pfplane::internals::memory::{Heap, Memory, Owned};
use pfplane::internals::state::{Record, StateId, Timeouts, track};
use pfplane::internals::sync::{
    Applied, Arrival, Body, Ends, Exporter, Ids, Importer, Message, MessageRef, PeerIndex, PeerSettings,
    Removal, Responder, SyncSettings, apply,
};
use pfplane::internals::table::{Plan, Slot, Table};
use pfplane::internals::time::{Nanos, Tick};
use pfsync::Profile;
use pfsync::envelope::Address;

pub(crate) const MS: Nanos = 1_000_000;
pub(crate) const S: Nanos = 1000 * MS;

pub(crate) struct Node {
    pub table: Table,
    pub exporter: Owned<Exporter>,
    pub importer: Owned<Importer>,
    pub responder: Responder,
    pub timeouts: Timeouts,
    pub now: Nanos,
}

/// Address of node `n` on the sync link.
pub(crate) const fn address(n: u8) -> Address {
    Address::V4([192, 0, 2, n])
}

/// Settings of node `n`: one peer behind the group.
pub(crate) fn settings(n: u8, profile: Profile) -> SyncSettings {
    let mut settings = SyncSettings { host_id: 0xfeed_0000 | u32::from(n), ..SyncSettings::default() };
    settings.peers.push(PeerSettings::group(profile, address(n)));
    settings
}

impl Node {
    pub(crate) fn new(settings: SyncSettings, capacity: u32, now: Nanos) -> Self {
        let plan = Plan { extras: capacity, ..capacity.into() };
        let ids = Ids::new(settings.host_id, 0, 1);
        let ends = Ends::new(&settings, ids, capacity, 0, (&Memory::default(), -1)).unwrap();
        let importer = Importer::new(&settings, Heap::SYSTEM).unwrap();
        let mut exporter = Exporter::new(settings).unwrap();
        exporter.ends = ends;
        Self {
            table: Table::new(plan, [1, 2, 3, 4], &Memory::default(), -1).unwrap(),
            importer,
            exporter,
            responder: Responder::new(1, S),
            timeouts: Timeouts::default(),
            now,
        }
    }

    pub(crate) fn tick(&self) -> Tick {
        Tick::from_nanos(self.now)
    }

    pub(crate) fn next_state_id(&mut self) -> StateId {
        self.exporter.ends.ids.issue()
    }

    /// Inserts a state as for its first packet.
    pub(crate) fn insert(&mut self, record: &Record) -> Slot {
        let slot = self.table.insert(record).unwrap();
        self.exporter.inserted(&mut self.table, slot, self.now);
        slot
    }

    /// Tracks a packet of a state. Returns whether it passes.
    pub(crate) fn packet(&mut self, slot: Slot, facts: &pfplane::internals::packet::Facts) -> bool {
        let tick = self.tick();
        let (hot, state) = self.table.hot_and_track_mut(slot);
        let passes = track(hot, state, facts, tick).passes();
        if passes {
            self.exporter.updated(&mut self.table, slot, self.now);
        }
        passes
    }

    pub(crate) fn remove(&mut self, slot: Slot, why: Removal) {
        self.exporter.removed(&mut self.table, slot, self.now, why);
        self.table.remove(slot);
    }

    /// Receives a frame and returns the result of each message.
    pub(crate) fn receive(&mut self, packet: &[u8], arrival: Arrival) -> Vec<Applied> {
        let mut applied = Vec::new();
        let mut bulk_requests = Vec::new();
        let (table, exporter, timeouts, now) =
            (&mut self.table, &mut self.exporter, &self.timeouts, self.now);
        self.importer.receive(packet, arrival, now, |message: &MessageRef<'_>| {
            match apply(table, exporter, timeouts, message, now) {
                Applied::NotApplied => bulk_requests.push(message.owned()),
                other => applied.push(other),
            }
        });
        bulk_requests.iter().for_each(|message| self.answer_bulk(message));
        applied
    }

    fn answer_bulk(&mut self, message: &Message) {
        let Body::BulkRequest(from) = message.body else { return };
        if let Some(order) = self.responder.requested(message.peer, from, self.now) {
            self.exporter.begin_walk(&self.table, order);
        }
    }

    /// Returns every frame that is due now.
    pub(crate) fn flush(&mut self) -> Vec<(PeerIndex, Vec<u8>)> {
        if self.importer.bulk.poll(self.now) {
            self.exporter.bulk_request();
        }
        let mut buffer = [0; 9216];
        let mut frames = Vec::new();
        loop {
            while let Some(flushed) =
                self.exporter.flush(&mut self.table, &self.timeouts, self.now, &mut buffer)
            {
                frames.push((flushed.peer, buffer[..flushed.length].to_vec()));
                assert!(frames.len() < 100_000, "frames without end");
            }
            let Some(order) = self.exporter.take_finished_walk() else { break };
            if let Some(requested) = self.responder.lane_finished(order) {
                self.exporter.bulk_end(order.peer, requested);
            }
        }
        frames
    }

    /// Removes expired states.
    pub(crate) fn sweep(&mut self) -> u32 {
        let tick = self.tick();
        let mut ended = 0;
        let mut from = 0;
        while let Some(slot) = self.table.next_live(from) {
            if self.timeouts.expired(self.table.hot(slot), None, tick, self.table.len()) {
                self.remove(slot, Removal::Expired);
                ended += 1;
            }
            from = slot.0 + 1;
        }
        ended
    }

    /// Returns all states in slot order.
    pub(crate) fn slots(&self) -> Vec<Slot> {
        let mut slots = Vec::new();
        let mut from = 0;
        while let Some(slot) = self.table.next_live(from) {
            slots.push(slot);
            from = slot.0 + 1;
        }
        slots
    }
}
