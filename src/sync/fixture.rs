//! States, tables and a node for this module's tests.

use super::message::PeerIndex;
use super::{
    Clock, Exporter, Flushed, MessageRef, MessageSink, PeerSettings, Question, Removal, SyncSettings, apply,
    full_state,
};
use crate::memory::{Memory, Owned};
use crate::packet::{Be16, Family, Key};
use crate::state::{Cold, FLOATING, Hot, IfName, LocalFlags, Peer, Record, StateId, Timeouts, Track};
use crate::table::{Slot, Table};
use crate::time::{Nanos, Tick};
use pfsync::envelope::{Address, Envelope};
use pfsync::{Action, FrameReader, FullState, Profile, StreamOption};

/// The host id that the states of [`state`] come from.
pub(super) const HOST: u32 = 0xaaaa_0001;

pub(super) fn table(capacity: u32) -> Table {
    Table::new(capacity, [1, 2, 3, 4], &Memory::default(), -1).unwrap()
}

pub(super) fn timeouts() -> Timeouts {
    Timeouts::default()
}

/// The `n`th state: TCP over IPv4 or IPv6, created at time 0.
pub(super) fn state(n: u32) -> Record {
    let family = if n.is_multiple_of(2) { Family::V4 } else { Family::V6 };
    let mut addr = [[0; 16]; 2];
    addr[0][..4].copy_from_slice(&n.to_be_bytes());
    addr[1][..4].copy_from_slice(&[192, 0, 2, 1]);
    let key = Key { addr, port: [Be16::new(4000), Be16::new(443)], rdomain: 0, family, proto: 6 };
    let side = |offset: u32| Peer {
        seqlo: n.wrapping_mul(77) + offset,
        seqhi: n.wrapping_mul(77) + offset + 1000,
        sent_seqhi: n.wrapping_mul(77) + offset + 1000,
        max_win: 512,
        wscale: 0x87,
        ..Peer::default()
    };
    Record {
        hot: Hot {
            key,
            last_activity: Tick(0),
            timeout: 2,
            peer_state: [4, 4],
            local: LocalFlags(LocalFlags::LOCAL_TRAFFIC),
            ..Hot::EMPTY
        },
        track: Track { src: side(0), dst: side(5000) },
        cold: Cold {
            id: StateId { id: u64::from(n) + 1, creator: HOST },
            stack_key: key,
            ifname: FLOATING,
            ..Cold::EMPTY
        },
    }
}

/// A state as another node sends it.
pub(super) fn message(creator: u32, ifname: IfName) -> FullState {
    let mut record = state(1);
    record.cold.id.creator = creator;
    record.cold.ifname = ifname;
    let clock = Clock { timeouts: &timeouts(), now: Tick(0), states: 1 };
    full_state(&record.hot, &record.track, &record.cold, None, &clock, Profile::OpenBsd6).unwrap()
}

/// Settings with one peer per profile.
pub(super) fn settings(profiles: &[Profile]) -> SyncSettings {
    let mut settings = SyncSettings { host_id: HOST, ..SyncSettings::default() };
    for &profile in profiles {
        settings.peers.push(PeerSettings::group(profile, Address::V4([192, 0, 2, 1])));
    }
    settings
}

pub(super) const MS: Nanos = 1_000_000;
pub(super) const S: Nanos = 1000 * MS;

/// The export of one node, driven by hand.
pub(super) struct Node {
    pub table: Table,
    pub exporter: Owned<Exporter>,
    pub now: Nanos,
}

impl Node {
    pub(super) fn new(settings: SyncSettings) -> Self {
        Self { table: table(4096), exporter: Exporter::new(settings).unwrap(), now: 0 }
    }

    pub(super) fn open() -> Self {
        Self::new(settings(&[Profile::OpenBsd6]))
    }

    pub(super) fn put(&mut self, record: &Record) -> Slot {
        self.table.insert(record).unwrap()
    }

    pub(super) fn insert(&mut self, n: u32) -> Slot {
        let slot = self.put(&state(n));
        self.exporter.inserted(&mut self.table, slot, self.now);
        slot
    }

    pub(super) fn update(&mut self, slot: Slot) {
        self.exporter.updated(&mut self.table, slot, self.now);
    }

    pub(super) fn remove(&mut self, slot: Slot, why: Removal) {
        self.exporter.removed(&mut self.table, slot, self.now, why);
        self.table.remove(slot);
    }

    pub(super) fn flush_into(&mut self, buffer: &mut [u8]) -> Option<Flushed> {
        self.exporter.flush(&mut self.table, &timeouts(), self.now, buffer)
    }

    /// Regions of every frame that is due now, with its peer.
    pub(super) fn frames(&mut self) -> Vec<(PeerIndex, Vec<(Action, u16)>)> {
        let mut buffer = [0; 2000];
        let mut frames = Vec::new();
        while let Some(Flushed { length, peer }) = self.flush_into(&mut buffer) {
            assert!(length <= 1500);
            frames.push((peer, regions(&buffer[..length])));
            assert!(frames.len() < 10_000);
        }
        assert!(!self.exporter.due(self.now));
        frames
    }

    /// Regions of every frame that is due now.
    pub(super) fn sent(&mut self) -> Vec<Vec<(Action, u16)>> {
        self.frames().into_iter().map(|(_, regions)| regions).collect()
    }

    /// Ids of the states in every frame that is due now.
    pub(super) fn ids(&mut self) -> Vec<u64> {
        let mut buffer = [0; 2000];
        let mut ids = Vec::new();
        while let Some(Flushed { length, .. }) = self.flush_into(&mut buffer) {
            let envelope = Envelope::parse(&buffer[..length]).unwrap();
            let mut reader = FrameReader::new(&buffer[envelope.payload]).unwrap();
            while let Some(Ok(region)) = reader.next_region() {
                ids.extend(region.records().filter_map(|record| match record {
                    pfsync::Record::State(state) => Some(state.id.id),
                    _ => None,
                }));
            }
        }
        ids
    }

    pub(super) fn wait(&mut self, time: Nanos) -> &mut Self {
        self.now += time;
        self
    }
}

/// Gives what a frame carried to the node's only lane.
pub(super) struct Delivery<'a> {
    pub node: &'a mut Node,
}

impl MessageSink for Delivery<'_> {
    fn message(&mut self, message: &MessageRef<'_>) {
        let Node { table, exporter, now } = &mut *self.node;
        apply(table, exporter, &timeouts(), message, *now);
    }

    fn report(&mut self, from: (PeerIndex, u64), report: &StreamOption) -> bool {
        let Node { table, exporter, now } = &mut *self.node;
        let is_ours = exporter.lane_of(from.0, report) == Some(0);
        if is_ours {
            exporter.handle_report(table, from, report, *now);
        }
        is_ours
    }

    fn ask(&mut self, question: &Question) -> u16 {
        self.node.exporter.ask(question);
        1
    }
}

/// Regions of a frame, without the end mark.
pub(super) fn regions(packet: &[u8]) -> Vec<(Action, u16)> {
    let envelope = Envelope::parse(packet).unwrap();
    let mut reader = FrameReader::new(&packet[envelope.payload]).unwrap();
    let mut regions = Vec::new();
    while let Some(region) = reader.next_region() {
        let region = region.unwrap();
        if region.action() != Action::Eof {
            regions.push((region.action(), region.count()));
        }
    }
    regions
}
