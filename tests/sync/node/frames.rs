//! Builds a peer's frames, and decodes a node's frames.

use super::{Node, address};
use pfplane::internals::sync::{Applied, Arrival, PeerSettings};
use pfsync::envelope::Envelope;
use pfsync::{
    Action, BulkStatus, Clear, CompressedUpdate, Family, FrameReader, FrameWriter, FullState, Identity,
    Profile, Record, StateKey, StatePeer, WriterOptions,
};

/// The host id of the peer.
pub(crate) const PEER: u32 = 0xbeef_0009;

/// A state of the peer that every receiver accepts.
pub(crate) fn state(n: u32) -> FullState {
    let mut addr = [[0; 16]; 2];
    addr[0][..4].copy_from_slice(&(0x0a01_0000 + n).to_be_bytes());
    addr[1][..4].copy_from_slice(&[198, 51, 100, 7]);
    let family = if n.is_multiple_of(2) { Family::V4 } else { Family::V6 };
    let key = StateKey {
        addr,
        port: [30_000u16.to_be_bytes(), 443u16.to_be_bytes()],
        family,
        proto: 6,
        rdomain: 0,
    };
    FullState {
        id: Identity { id: u64::from(n) + 1, creator: PEER },
        ifname: *b"em0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        key: [key; 2],
        src: side(4, 1000),
        dst: side(4, 5000),
        family,
        direction: 1,
        timeout: 2,
        expire: 1000,
        ..FullState::EMPTY
    }
}

/// One side of a connection.
pub(crate) fn side(state: u8, seqlo: u32) -> StatePeer {
    StatePeer { state, seqlo, seqhi: seqlo.wrapping_add(500), max_win: 500, ..StatePeer::default() }
}

/// A compressed update of both sides.
pub(crate) fn update(id: Identity, src: StatePeer, dst: StatePeer) -> CompressedUpdate {
    CompressedUpdate { id, src, dst, expire: 0, timeout: 2 }
}

/// A message to put into a frame.
#[derive(Clone, Copy)]
#[expect(clippy::large_enum_variant, reason = "a test has a handful of them")]
pub(crate) enum Item {
    State(Action, FullState),
    Compressed(CompressedUpdate),
    Id(Action, Identity),
    Clear(Clear),
    Bulk(u8, u32),
}

/// Builds one frame of all these messages.
pub(crate) fn frame(profile: Profile, items: &[Item]) -> Vec<u8> {
    let peer = PeerSettings::group(profile, address(9));
    let header = peer.transport.encoded_len();
    let mut packet = vec![0; 9000];
    let mut writer = FrameWriter::new(&mut packet[header..], profile, &WriterOptions::default()).unwrap();
    for &item in items {
        match item {
            Item::State(action, state) => writer.push_state(action, &state),
            Item::Compressed(update) => writer.push_compressed_update(&update),
            Item::Id(action, id) => writer.push_id(action, id),
            Item::Clear(clear) => writer.push_clear(&clear),
            Item::Bulk(status, endtime) => {
                writer.push_bulk_status(&BulkStatus { creator: PEER, endtime, status })
            }
        }
        .unwrap();
    }
    let payload = writer.finish();
    peer.transport.emit(&mut packet, payload, 0).unwrap();
    packet.truncate(header + payload);
    packet
}

/// Decodes a frame into its messages.
pub(crate) fn messages(packet: &[u8]) -> Vec<(Action, Record)> {
    let envelope = Envelope::parse(packet).unwrap();
    let mut reader = FrameReader::new(&packet[envelope.payload]).unwrap();
    let mut messages = Vec::new();
    while let Some(region) = reader.next_region() {
        let region = region.unwrap();
        messages.extend(region.records().map(|record| (region.action(), record)));
    }
    messages
}

impl Node {
    /// Receives these messages from the peer.
    pub(crate) fn apply(&mut self, items: &[Item]) -> Vec<Applied> {
        let profile = self.exporter.settings().peers[0].profile;
        self.receive(&frame(profile, items), Arrival::SyncPort)
    }

    /// Returns the messages that this node sends now.
    pub(crate) fn sent(&mut self) -> Vec<(Action, Record)> {
        self.flush().iter().flat_map(|(_, packet)| messages(packet)).collect()
    }

    /// Returns the actions of the messages that this node sends now.
    pub(crate) fn sent_actions(&mut self) -> Vec<Action> {
        self.sent().into_iter().map(|(action, _)| action).collect()
    }

    pub(crate) fn wait(&mut self, time: u64) -> &mut Self {
        self.now += time;
        self
    }
}
