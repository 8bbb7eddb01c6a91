//! Import: receives peers' frames, checks and decodes them, and passes on their messages one by one.
//!
//! A frame that fails a check (`gates.rs`) is counted and dropped. An invalid region or message does not undo the ones
//! before it.

mod applied;
mod apply;
mod clears;
mod counters;
mod creators;
mod decode;
mod directory;
mod gates;
mod grace;
pub(super) mod merge;
mod trailer;

pub use applied::{Applied, Refused};
pub use apply::apply;
pub(super) use clears::Clears;
pub use counters::ImportCounters;
pub use directory::Directory;
pub use grace::SilentPeers;
pub use merge::StaleSides;

use crate::error::Error;
use crate::memory::{Heap, List, Owned};
use crate::seal::Opener;
use crate::state::IfName;
use crate::sync::bulk::{Requester, Responder, WalkOrder};
use crate::sync::counters::PeerCounters;
use crate::sync::equality::{Comparer, Origin};
use crate::sync::message::{MessageSink, PeerIndex};
use crate::sync::settings::{MAX_PEERS, PeerSettings, SyncSettings};
use crate::sync::stream::Streams;
use crate::time::Nanos;
use arrayvec::ArrayVec;
use creators::Creators;
use pfsync::envelope::Address;
use pfsync::link::ReceivedLink;
use pfsync::{BulkStatus, FrameReader, RegionError};
use trailer::Accepted;

/// Where a frame was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// On the sync port, without its Ethernet header.
    SyncPort,
    /// On the sync port, with this Ethernet header.
    SyncLink(ReceivedLink),
    /// On any other port.
    OtherPort,
}

impl Arrival {
    const fn link(&self) -> Option<&ReceivedLink> {
        match self {
            Self::SyncLink(link) => Some(link),
            Self::SyncPort | Self::OtherPort => None,
        }
    }
}

/// The import of an engine, on the sync lane.
#[derive(Debug)]
pub struct Importer {
    peers: Vec<PeerSettings>,
    known_interfaces: Option<Vec<IfName>>,
    host_id: u32,
    is_active: bool,
    creators: Creators,
    /// Counters of received frames.
    pub counters: Owned<ImportCounters>,
    /// Counters of each peer's frames.
    pub peer_counters: Owned<[PeerCounters; MAX_PEERS]>,
    /// Time of each peer's last valid frame.
    pub last_seen: [Option<Nanos>; MAX_PEERS],
    /// When another node with our host id was last seen.
    pub duplicate_seen: Option<Nanos>,
    /// This node's bulk request.
    pub bulk: Requester,
    /// Numbers of received frames.
    streams: Streams,
    /// Whether this node holds what the peers sent.
    comparer: Comparer,
    /// The end of a transfer, received while frames before it were missing.
    held_end: Option<HeldEnd>,
    /// The first two nodes that sent valid frames.
    senders: ArrayVec<Address, 2>,
    /// Verifies seals, if a peer is sealed.
    opener: Option<Opener>,
    /// The payload of the last encrypted frame, if a peer is sealed.
    decrypted: Option<List<u8>>,
}

/// The sender of a frame, and the limits of its messages.
struct Sender {
    peer: PeerIndex,
    address: Address,
    timeout_limit: u8,
    now: Nanos,
    /// Not all of its messages may have their effect: see [`UnsealedRights`](crate::sync::UnsealedRights).
    is_limited: bool,
    origin: Origin,
}

/// The end of a transfer that waits for missing frames.
#[derive(Clone, Copy, Debug)]
struct HeldEnd {
    peer: PeerIndex,
    address: Address,
    /// The run of the node; 0 for one without numbers.
    epoch: u64,
    received: Nanos,
    status: BulkStatus,
}

impl Importer {
    /// Returns the bytes that [`Self::new`] allocates.
    pub(crate) fn memory_needed(settings: &SyncSettings) -> usize {
        size_of::<Self>()
            + size_of::<ImportCounters>()
            + size_of::<[PeerCounters; MAX_PEERS]>()
            + Creators::memory_needed()
            + Streams::memory_needed(settings.has_numbers())
            + Comparer::memory_needed(settings)
    }

    /// Builds the import for these settings. It is large, so it does not pass through its caller's stack.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    #[inline(never)]
    pub fn new(settings: &SyncSettings, heap: Heap) -> Result<Owned<Self>, Error> {
        let mut bulk = Requester::new(settings.bulk_retry);
        let is_active = settings.is_active();
        if !is_active {
            bulk.skip();
        }
        let SyncSettings { peers, known_interfaces, .. } = settings.try_clone()?;
        let importer = Self {
            peers,
            known_interfaces,
            host_id: settings.host_id,
            is_active,
            creators: Creators::new(heap)?,
            counters: heap.zeroed("counters of frames")?,
            peer_counters: heap.zeroed("counters of peers")?,
            last_seen: [None; MAX_PEERS],
            duplicate_seen: None,
            bulk,
            streams: Streams::new(settings.has_numbers(), heap)?,
            comparer: Comparer::new(settings, heap)?,
            held_end: None,
            senders: ArrayVec::new(),
            opener: None,
            decrypted: None,
        };
        heap.owned("the import", importer)
    }

    /// Whether frames were received from more than one node.
    #[must_use]
    pub const fn has_two_senders(&self) -> bool {
        self.senders.is_full()
    }

    /// Returns a waiting walk of `responder`, unless this node is loading and may lack states that another node has.
    pub fn waiting_walk(&self, responder: &mut Responder, is_loading: bool, now: Nanos) -> Option<WalkOrder> {
        responder.hold(is_loading);
        let may_lack_states = is_loading && self.bulk.peer_may_have_more(self.has_two_senders(), now);
        if may_lack_states { None } else { responder.poll(now) }
    }

    /// Returns the counters with the current values of bulk transfers.
    #[must_use]
    pub fn counters_now(&self, responder: &Responder) -> ImportCounters {
        let last = self.bulk.last();
        ImportCounters {
            bulk_requests_refused: responder.refused,
            bulk_walks_begun: responder.begun,
            bulk_requests_joined: responder.joined,
            bulk_walks_finished: responder.finished,
            bulk_phase: self.bulk.phase() as u64,
            bulk_last_ending: last.ending as u64,
            bulk_last_states: last.states,
            bulk_last_ms: last.took / 1_000_000,
            frames_unrepaired: self.streams.unrepaired(),
            comparisons_equal: self.comparer.counts.equal,
            comparisons_different: self.comparer.counts.different,
            comparisons_skipped: self.comparer.counts.skipped,
            sketches_requested: self.comparer.counts.sketches,
            sketches_failed: self.comparer.counts.sketches_failed,
            sketches_overflowed: self.comparer.counts.overflows,
            differences_missing: self.comparer.counts.missing,
            differences_ghosts: self.comparer.counts.ghosts,
            gaps_abandoned: self.streams.abandoned,
            gaps_of_silent_peers: self.streams.ended_with_gaps,
            ..*self.counters
        }
    }

    /// Receives an IP packet of protocol 240 and passes its messages to `sink` in wire order. Bulk transfer marks are handled
    /// here.
    ///
    /// Cost: a bounds check per region, plus the fields of each message. Allocates nothing.
    pub fn receive(&mut self, packet: &[u8], arrival: Arrival, now: Nanos, sink: impl MessageSink) {
        let Some((envelope, reader)) = self.check_frame(packet, arrival) else { return };
        let Some(peer) = self.sender_of(envelope.source, reader.version(), arrival.link()) else { return };
        let Some(accepted) = self.accept_seal(packet, &envelope, &reader, peer, now) else { return };
        self.last_seen[usize::from(peer)] = Some(now);
        if !self.senders.is_full() && !self.senders.contains(&envelope.source) {
            self.senders.push(envelope.source);
        }
        let of_peer = &mut self.peer_counters[usize::from(peer)];
        of_peer.frames_received += 1;
        of_peer.bytes_received += packet.len() as u64;
        let timeout_limit = self.peers[usize::from(peer)].timeout_limit;
        let is_limited = self.limits(accepted, peer);
        let (address, origin) = (envelope.source, Origin::NONE);
        let sender = Sender { peer, address, timeout_limit, now, is_limited, origin };
        let Accepted::Decrypted(length) = accepted else { return self.decode_frame(reader, sender, sink) };
        let decrypted = self.decrypted.take();
        // It has been a sound frame before it was decrypted, and has the same header.
        if let Some(bytes) = &decrypted
            && let Ok(reader) = FrameReader::new(&bytes[..length])
        {
            self.decode_frame(reader, sender, sink);
        }
        self.decrypted = decrypted;
    }

    /// Passes on the messages of a frame.
    #[inline]
    fn decode_frame(&mut self, mut reader: FrameReader<'_>, mut sender: Sender, mut sink: impl MessageSink) {
        let Ok(trailer) = self.accept_trailer(&reader, &mut sender) else { return };
        while let Some(region) = reader.next_region() {
            match region {
                Ok(region) => self.decode_region(&region, &sender, &mut sink),
                Err(RegionError::Skipped) => self.counters.regions_skipped += 1,
                Err(RegionError::Action) => {
                    self.counters.badact += 1;
                    self.peer_counters[usize::from(sender.peer)].badact += 1;
                }
                Err(RegionError::Length | RegionError::AfterEnd) => {
                    self.counters.badlen += 1;
                    self.peer_counters[usize::from(sender.peer)].badlen += 1;
                }
            }
        }
        if let Some(trailer) = trailer {
            self.decode_options(&trailer, &sender, &mut sink);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::InterfacePair;
    use crate::sync::fixture::settings;
    use crate::sync::{Body, MessageRef};
    use pfsync::envelope::Transport;
    use pfsync::{Action, Clear, FrameWriter, Identity, Profile, WriterOptions};

    const PEER: Address = Address::V4([192, 0, 2, 9]);

    fn frame(source: Address, profile: Profile, write: impl FnOnce(&mut FrameWriter<'_>)) -> Vec<u8> {
        let mut packet = vec![0; 1500];
        let transport = Transport { source, ..PeerSettings::group(profile, source).transport };
        let header = transport.encoded_len();
        let mut writer = FrameWriter::new(&mut packet[header..], profile, &WriterOptions::default()).unwrap();
        write(&mut writer);
        let payload = writer.finish();
        transport.emit(&mut packet, payload, 0).unwrap();
        packet.truncate(header + payload);
        packet
    }

    fn request(source: Address, profile: Profile) -> Vec<u8> {
        frame(source, profile, |writer| writer.push_id(Action::UpdateRequest, Identity::BULK).unwrap())
    }

    fn count(importer: &mut Importer, packet: &[u8], arrival: Arrival) -> usize {
        let mut messages = 0;
        importer.receive(packet, arrival, 5, |_: &MessageRef<'_>| messages += 1);
        messages
    }

    fn importer(settings: &SyncSettings) -> Owned<Importer> {
        Importer::new(settings, Heap::SYSTEM).unwrap()
    }

    #[test]
    fn every_check_of_a_frame_has_its_counter() {
        let sound = request(PEER, Profile::OpenBsd6);
        let mut importer = importer(&settings(&[Profile::OpenBsd6]));
        assert_eq!(count(&mut importer, &sound, Arrival::SyncPort), 1);
        assert_eq!(count(&mut importer, &sound, Arrival::OtherPort), 0);
        assert_eq!(count(&mut importer, &sound[..19], Arrival::SyncPort), 0);
        let own = request(Address::V4([192, 0, 2, 1]), Profile::OpenBsd6);
        assert_eq!(count(&mut importer, &own, Arrival::SyncPort), 0);
        let other = request(PEER, Profile::FreeBsd1400);
        assert_eq!(count(&mut importer, &other, Arrival::SyncPort), 0);
        let expected = ImportCounters {
            ipackets: 5,
            ibytes: 4 * sound.len() as u64 - sound.len() as u64 + 19 + other.len() as u64,
            badif: 1,
            badip: 1,
            frames_looped: 1,
            badver: 1,
            bulk_requests_received: 1,
            ..ImportCounters::default()
        };
        assert_eq!(*importer.counters, expected);
    }

    #[test]
    fn a_frame_from_an_unlisted_source_is_refused() {
        let mut named = settings(&[Profile::OpenBsd6, Profile::FreeBsd1400]);
        for peer in &mut named.peers {
            peer.sources.push(PEER);
        }
        let mut importer = importer(&named);
        let stranger = Address::V4([192, 0, 2, 66]);
        assert_eq!(count(&mut importer, &request(stranger, Profile::OpenBsd6), Arrival::SyncPort), 0);
        assert_eq!(importer.counters.badsource, 1);
        let mut from = Vec::new();
        for profile in [Profile::OpenBsd6, Profile::FreeBsd1400] {
            let packet = request(PEER, profile);
            importer
                .receive(&packet, Arrival::SyncPort, 5, |message: &MessageRef<'_>| from.push(message.peer));
        }
        assert_eq!(from, [0, 1], "the version distinguishes two peers with one address");
        for of_peer in &importer.peer_counters[..2] {
            assert_eq!((of_peer.frames_received, of_peer.messages_received), (1, 1));
        }
    }

    #[test]
    fn frames_are_received_over_ipv6() {
        let mut six = settings(&[]);
        let here = Address::V6([1; 16]);
        six.peers.push(PeerSettings::group(Profile::FreeBsd1500, here));
        let mut importer = importer(&six);
        let packet = request(Address::V6([2; 16]), Profile::FreeBsd1500);
        assert_eq!(count(&mut importer, &packet, Arrival::SyncPort), 1);
        assert_eq!((importer.counters.ipackets6, importer.counters.ipackets), (1, 0));
    }

    #[test]
    fn a_clear_of_our_own_states_is_ignored_and_counted() {
        let mut importer = importer(&settings(&[Profile::OpenBsd6]));
        let clear = |creator| {
            frame(PEER, Profile::OpenBsd6, |writer| {
                writer.push_clear(&Clear { ifname: [0; 16], creator }).unwrap();
            })
        };
        let own = clear(crate::sync::fixture::HOST);
        assert_eq!(count(&mut importer, &own, Arrival::SyncPort), 0);
        assert_eq!(importer.counters.duplicate_host_id, 1);
        assert_eq!(count(&mut importer, &clear(7), Arrival::SyncPort), 1);
    }

    #[test]
    fn only_the_owner_of_a_host_id_can_clear_its_states() {
        let mut importer = importer(&settings(&[Profile::OpenBsd6]));
        let clear = |source| {
            frame(source, Profile::OpenBsd6, |writer| {
                writer.push_clear(&Clear { ifname: [0; 16], creator: 7 }).unwrap();
            })
        };
        let (owner, stranger) = (clear(PEER), clear(Address::V4([192, 0, 2, 66])));
        assert_eq!(count(&mut importer, &owner, Arrival::SyncPort), 1);
        assert_eq!(count(&mut importer, &stranger, Arrival::SyncPort), 0);
        assert_eq!(count(&mut importer, &owner, Arrival::SyncPort), 1);
        assert_eq!(importer.counters.messages_bad_creator, 1);
    }

    #[test]
    fn an_invalid_message_does_not_affect_the_others() {
        let mut importer = importer(&settings(&[Profile::OpenBsd6]));
        let packet = frame(PEER, Profile::OpenBsd6, |writer| {
            for timeout in [2, 22, 2] {
                let update = pfsync::CompressedUpdate { timeout, ..Default::default() };
                writer.push_compressed_update(&update).unwrap();
            }
        });
        assert_eq!(count(&mut importer, &packet, Arrival::SyncPort), 2);
        assert_eq!((importer.counters.badval, importer.counters.compressed_received), (1, 3));
    }

    #[test]
    fn interface_names_are_translated_and_unknown_ones_can_be_refused() {
        let name = |text: &str| {
            let mut name = [0; 16];
            name[..text.len()].copy_from_slice(text.as_bytes());
            name
        };
        let mut named = settings(&[Profile::OpenBsd6]);
        named.peers[0].interfaces.push(InterfacePair { ours: name("eth0"), theirs: name("em0") });
        named.known_interfaces = Some(vec![name("eth0")]);
        let mut importer = importer(&named);
        let packet = frame(PEER, Profile::OpenBsd6, |writer| {
            for ifname in ["em0", "em1", "all"].map(name) {
                let state = crate::sync::fixture::message(7, ifname);
                writer.push_state(Action::Update, &state).unwrap();
            }
            writer.push_clear(&Clear { ifname: name("em0"), creator: 7 }).unwrap();
        });
        let mut names = Vec::new();
        importer.receive(&packet, Arrival::SyncPort, 5, |message: &MessageRef<'_>| match message.body {
            Body::Update { state, .. } => names.push(state.ifname),
            Body::Clear { ifname, .. } => names.push(ifname.unwrap()),
            _ => unreachable!(),
        });
        assert_eq!(names, [name("eth0"), name("all"), name("eth0")]);
        assert_eq!(importer.counters.states_unknown_interface, 1);
    }

    #[test]
    fn an_insert_with_our_host_id_reveals_another_node_with_that_id() {
        let mut importer = importer(&settings(&[Profile::OpenBsd6]));
        for (action, duplicates) in [(Action::Update, 0), (Action::Insert, 1)] {
            let packet = frame(PEER, Profile::OpenBsd6, |writer| {
                let ours = crate::sync::fixture::message(crate::sync::fixture::HOST, [0; 16]);
                writer.push_state(action, &ours).unwrap();
            });
            assert_eq!(count(&mut importer, &packet, Arrival::SyncPort), 1);
            assert_eq!(importer.counters.duplicate_host_id, duplicates);
        }
    }
}
