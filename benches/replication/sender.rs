//! Changes of established connections into finished frames.

use super::{Random, blocks, draw, family_of, timeouts};
use crate::harness::rounds;
use crate::harness::streams;
use pfplane::internals::memory::{Memory, Owned};
use pfplane::internals::state::{Cold, Hot, LocalFlags, Peer, Record, StateId, Timeouts, Track, peer_state};
use pfplane::internals::sync::{Exporter, PeerSettings, SyncSettings};
use pfplane::internals::table::{Slot, Table};
use pfplane::internals::time::{NANOS_PER_SECOND, Nanos, Tick};
use pfsync::Profile;
use pfsync::envelope::Address;

const ESTABLISHED: u8 = 2;

/// A change to send.
#[derive(Clone, Copy)]
pub(crate) enum Change {
    Insert,
    Update,
}

/// An exporter, and a table full of established connections.
pub(crate) struct Sender {
    table: Table,
    exporter: Owned<Exporter>,
    slots: Vec<Slot>,
    timeouts: Timeouts,
    random: Random,
    now: Nanos,
    buffer: Vec<u8>,
}

impl Sender {
    pub(crate) fn new(size: u32, mtu: usize) -> Self {
        let mut settings = SyncSettings { host_id: 1, mtu: mtu as u32, ..SyncSettings::default() };
        settings.peers.push(PeerSettings::group(Profile::OpenBsd6, Address::V4([192, 0, 2, 1])));
        let mut table = Table::new(size, [1, 2, 3, 4], &Memory::SYSTEM, -1).expect("memory");
        let slots = (0..size)
            .map(|flow| table.insert(&record(flow, flow.into())).expect("the capacity fits"))
            .collect();
        Self {
            table,
            exporter: Exporter::new(settings).expect("plain settings"),
            slots,
            timeouts: timeouts(),
            random: Random::new(7),
            now: NANOS_PER_SECOND,
            buffer: vec![0; mtu],
        }
    }

    fn slots_of_a_block(&mut self) -> Vec<Slot> {
        let drawn = draw(&mut self.random, self.slots.len() as u32);
        drawn.into_iter().map(|flow| self.slots[flow as usize]).collect()
    }

    /// Returns nanoseconds per state from the note of a change to the finished frame.
    pub(crate) fn flush(&mut self, change: Change, smoke: bool) -> f64 {
        let mut timed = Vec::new();
        for _ in 0..blocks(smoke) {
            let slots = self.slots_of_a_block();
            let before = (self.exporter.counters.inserts_sent, self.exporter.counters.compressed_sent);
            let (ns, ()) = rounds::time(|| {
                self.note(change, &slots);
                self.write_all();
            });
            let after = (self.exporter.counters.inserts_sent, self.exporter.counters.compressed_sent);
            assert_eq!(after.0 - before.0 + after.1 - before.1, slots.len() as u64, "all changes are sent");
            timed.push(ns / slots.len() as f64);
        }
        rounds::median(&timed)
    }

    #[inline(never)]
    fn note(&mut self, change: Change, slots: &[Slot]) {
        for &slot in slots {
            match change {
                Change::Insert => self.exporter.inserted(&mut self.table, slot, self.now),
                Change::Update => self.exporter.updated(&mut self.table, slot, self.now),
            }
        }
        self.now += NANOS_PER_SECOND;
    }

    #[inline(never)]
    fn write_all(&mut self) {
        while let Some(frame) =
            self.exporter.flush(&mut self.table, &self.timeouts, self.now, &mut self.buffer)
        {
            std::hint::black_box(&self.buffer[..frame.length]);
        }
    }

    /// Returns nanoseconds per state to copy the lines of as many states in random order.
    pub(crate) fn copy(&mut self, smoke: bool) -> f64 {
        let mut timed = Vec::new();
        for _ in 0..blocks(smoke) {
            let slots = self.slots_of_a_block();
            let (ns, ()) = rounds::time(|| {
                for &slot in &slots {
                    let lines = (*self.table.hot(slot), *self.table.track(slot), *self.table.cold(slot));
                    std::hint::black_box(&lines);
                }
            });
            timed.push(ns / slots.len() as f64);
        }
        rounds::median(&timed)
    }
}

/// Returns an established connection.
pub(crate) fn record(flow: u32, id: u64) -> Record {
    let mut record = Record { hot: Hot::EMPTY, track: Track::default(), cold: Cold::EMPTY };
    record.hot.key = streams::key(flow, family_of(flow));
    record.hot.local = LocalFlags(LocalFlags::LOCAL_TRAFFIC);
    record.hot.timeout = ESTABLISHED;
    record.hot.peer_state = [peer_state::ESTABLISHED; 2];
    record.hot.last_activity = Tick::from_nanos(NANOS_PER_SECOND);
    let peer = Peer { seqlo: flow, seqhi: flow.wrapping_add(65_000), max_win: 65_000, ..Peer::default() };
    record.track = Track { src: peer, dst: peer };
    record.cold.id = StateId { id, creator: 1 };
    record
}
