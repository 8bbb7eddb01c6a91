//! Frames from peers: checked, decoded, and handed on message by message.
//!
//! A frame that fails at a gate (`gates.rs`) is dropped without a word; a region or message that fails does not undo what
//! came before it.

mod apply;
mod creators;
mod directory;
mod gates;
mod grace;
pub(super) mod merge;

pub use apply::{Applied, Refused, apply};
pub use directory::Directory;
pub use grace::{Grace, Keeping};
pub use merge::{Stale, judge, merge};

use crate::state::{IfName, pf_flags};
use crate::sync::bulk::Requester;
use crate::sync::counters::InboundCounters;
use crate::sync::interfaces;
use crate::sync::message::{Body, Message, PeerIndex};
use crate::sync::peer_counters::PeerCounters;
use crate::sync::settings::{PEERS_MOST, PeerSettings, SyncSettings};
use crate::sync::translate::received;
use crate::time::Nanos;
use crate::wire::envelope::Address;
use crate::wire::{
    Action, BulkStatus, Clear, FullState, Identity, Profile, Record, Region, RegionError, bulk_status,
};
use arrayvec::ArrayVec;
use creators::Creators;

/// Where a frame came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// On the sync port.
    SyncPort,
    /// On any other.
    OtherPort,
}

/// The receiving side of an engine, on the sync lane.
#[derive(Debug)]
pub struct Inbound {
    peers: ArrayVec<PeerSettings, PEERS_MOST>,
    known_interfaces: Option<Vec<IfName>>,
    host_id: u32,
    enabled: bool,
    creators: Creators,
    /// What was received.
    pub counters: InboundCounters,
    /// What was received from each peer.
    pub peer_counters: [PeerCounters; PEERS_MOST],
    /// When each peer last sent a frame that passed the gates.
    pub heard: [Option<Nanos>; PEERS_MOST],
    /// The request for all states that this node has made.
    pub bulk: Requester,
}

/// What a message is held to, and whom it is from.
struct Sender {
    peer: PeerIndex,
    address: Address,
    timeout_limit: u8,
    now: Nanos,
}

impl Inbound {
    /// The receiving side for these settings.
    #[must_use]
    pub fn new(settings: &SyncSettings) -> Self {
        let mut bulk = Requester::new(settings.patience);
        let enabled = settings.enabled && !settings.peers.is_empty();
        if !enabled {
            bulk.skip();
        }
        Self {
            peers: settings.peers.clone(),
            known_interfaces: settings.known_interfaces.clone(),
            host_id: settings.host_id,
            enabled,
            creators: Creators::default(),
            counters: InboundCounters::default(),
            peer_counters: [PeerCounters::default(); PEERS_MOST],
            heard: [None; PEERS_MOST],
            bulk,
        }
    }

    /// Takes in one IP packet of protocol 240 and hands its messages to `deliver`, in the order of the wire. Marks of a
    /// bulk transfer are kept here.
    ///
    /// Cost: a bounds check for each region, for each message its fields. Allocates nothing.
    pub fn receive(
        &mut self,
        packet: &[u8],
        arrival: Arrival,
        now: Nanos,
        mut deliver: impl FnMut(&Message),
    ) {
        let Some((envelope, mut reader)) = self.gates(packet, arrival) else { return };
        let Some(peer) = self.sender_of(envelope.source, reader.version()) else { return };
        self.heard[usize::from(peer)] = Some(now);
        let of_peer = &mut self.peer_counters[usize::from(peer)];
        of_peer.frames_received += 1;
        of_peer.bytes_received += packet.len() as u64;
        let timeout_limit = self.peers[usize::from(peer)].timeout_limit;
        let sender = Sender { peer, address: envelope.source, timeout_limit, now };
        while let Some(region) = reader.next_region() {
            match region {
                Ok(region) => self.region(&region, &sender, &mut deliver),
                Err(RegionError::Skipped) => self.counters.skipped += 1,
                Err(RegionError::Action) => {
                    self.counters.badact += 1;
                    self.peer_counters[usize::from(peer)].badact += 1;
                }
                Err(RegionError::Length | RegionError::AfterEnd) => {
                    self.counters.badlen += 1;
                    self.peer_counters[usize::from(peer)].badlen += 1;
                }
            }
        }
    }

    fn region(&mut self, region: &Region<'_>, sender: &Sender, deliver: &mut impl FnMut(&Message)) {
        if region.action() == Action::Tdb {
            self.counters.tdb += u64::from(region.count());
            return;
        }
        for record in region.records() {
            self.count(region.action(), &record, sender.peer);
            let body = match record {
                Record::State(state) => {
                    let from = region.profile().unwrap_or(Profile::OpenBsd6);
                    self.state(region.action(), &state, from, sender)
                }
                Record::Compressed(update) => match update.validate(sender.timeout_limit) {
                    Ok(()) => Some(Body::UpdateCompressed(update)),
                    Err(_) => self.bad_value(sender),
                },
                Record::Id(id) => Some(Self::identity(region.action(), id, sender)),
                Record::Clear(clear) => self.clear(&clear, sender),
                Record::BulkStatus(status) => {
                    self.bulk_status(&status, sender);
                    None
                }
                Record::Tdb(_) => None,
            };
            if let Some(body) = body {
                self.peer_counters[usize::from(sender.peer)].messages_received += 1;
                deliver(&Message { peer: sender.peer, body });
            }
        }
    }

    fn state(&mut self, action: Action, state: &FullState, from: Profile, sender: &Sender) -> Option<Body> {
        if action == Action::Delete {
            return Some(Body::Delete(state.id.into()));
        }
        let is_insert = action == Action::Insert;
        let insertable = state.validate(sender.timeout_limit).is_ok();
        if !insertable && (is_insert || state.validate_update(sender.timeout_limit).is_err()) {
            return self.bad_value(sender);
        }
        if state.state_flags & pf_flags::NOSYNC != 0 {
            self.counters.nosync += 1;
            return None;
        }
        let mut state = received(state, from);
        state.ifname = interfaces::to_ours(&self.peers[usize::from(sender.peer)].interfaces, &state.ifname);
        if !interfaces::accepts(self.known_interfaces.as_deref(), &state.ifname) {
            self.counters.unknown_interface += 1;
            return None;
        }
        if is_insert {
            // An insert does no harm in another's name; it shows who speaks. Nodes insert what they have made themselves:
            // our own states come back in updates.
            self.counters.duplicate_host_id += u64::from(state.id.creator == self.host_id);
            self.speaks_for(state.id.creator, sender);
            return Some(Body::Insert(state));
        }
        self.bulk.state_received(sender.now);
        Some(Body::Update { state, insertable })
    }

    fn identity(action: Action, id: Identity, sender: &Sender) -> Body {
        match action {
            Action::DeleteCompressed => Body::Delete(id.into()),
            Action::InsertAck => Body::InsertAck(id.into()),
            _ if id == Identity::BULK => Body::BulkRequest(sender.address),
            _ => Body::UpdateRequest(id.into()),
        }
    }

    /// Counts a message by what it is, in all and of its peer.
    fn count(&mut self, action: Action, record: &Record, peer: PeerIndex) {
        let (all, of_peer) = (&mut self.counters, &mut self.peer_counters[usize::from(peer)]);
        let (total, one) = match (action, record) {
            (Action::Insert, _) => (&mut all.inserts_received, &mut of_peer.inserts_received),
            (Action::Update, _) => (&mut all.updates_received, &mut of_peer.updates_received),
            (Action::UpdateCompressed, _) => (&mut all.compressed_received, &mut of_peer.compressed_received),
            (Action::Delete | Action::DeleteCompressed, _) => {
                (&mut all.deletes_received, &mut of_peer.deletes_received)
            }
            (Action::InsertAck, _) => (&mut all.acks_received, &mut of_peer.acks_received),
            (Action::UpdateRequest, Record::Id(Identity::BULK)) => {
                (&mut all.bulk_requests_received, &mut of_peer.bulk_requests_received)
            }
            (Action::UpdateRequest, _) => (&mut all.requests_received, &mut of_peer.requests_received),
            (Action::Clear, _) => (&mut all.clears_received, &mut of_peer.clears_received),
            (Action::BulkStatus | Action::Tdb | Action::Eof, _) => return,
        };
        *total += 1;
        *one += 1;
    }

    fn clear(&mut self, clear: &Clear, sender: &Sender) -> Option<Body> {
        if clear.creator == self.host_id {
            // Only its sender's own states may be named: there is another node with our host id.
            self.counters.duplicate_host_id += 1;
            return None;
        }
        if crate::wire::name_of(&clear.ifname).is_none() {
            return self.bad_value(sender);
        }
        if !self.speaks_for(clear.creator, sender) {
            return None;
        }
        let ifname = interfaces::to_ours(&self.peers[usize::from(sender.peer)].interfaces, &clear.ifname);
        Some(Body::Clear { creator: clear.creator, ifname: (ifname[0] != 0).then_some(ifname) })
    }

    fn bulk_status(&mut self, status: &BulkStatus, sender: &Sender) {
        let now = sender.now;
        self.speaks_for(status.creator, sender);
        let counters = &mut self.counters;
        if status.creator == self.host_id {
            counters.duplicate_host_id += 1;
        }
        match status.status {
            bulk_status::START => {
                counters.bulk_starts_received += 1;
                self.bulk.started(now);
            }
            bulk_status::END => {
                counters.bulk_ends_received += 1;
                counters.bulk_ignored += u64::from(!self.bulk.ended(status.endtime, now));
            }
            _ => counters.bulk_ignored += 1,
        }
    }

    fn speaks_for(&mut self, creator: u32, sender: &Sender) -> bool {
        let speaks = self.creators.may_speak(creator, sender.address, sender.now);
        self.counters.bad_creator += u64::from(!speaks);
        speaks
    }

    fn bad_value(&mut self, sender: &Sender) -> Option<Body> {
        self.counters.badval += 1;
        self.peer_counters[usize::from(sender.peer)].badval += 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::InterfacePair;
    use crate::sync::fixture::settings;
    use crate::wire::envelope::Transport;
    use crate::wire::{FrameWriter, WriterOptions};

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

    fn count(inbound: &mut Inbound, packet: &[u8], arrival: Arrival) -> usize {
        let mut messages = 0;
        inbound.receive(packet, arrival, 5, |_| messages += 1);
        messages
    }

    fn inbound(settings: &SyncSettings) -> Inbound {
        Inbound::new(settings)
    }

    #[test]
    fn every_gate_has_its_counter() {
        let sound = request(PEER, Profile::OpenBsd6);
        let mut inbound = inbound(&settings(&[Profile::OpenBsd6]));
        assert_eq!(count(&mut inbound, &sound, Arrival::SyncPort), 1);
        assert_eq!(count(&mut inbound, &sound, Arrival::OtherPort), 0);
        assert_eq!(count(&mut inbound, &sound[..19], Arrival::SyncPort), 0);
        let own = request(Address::V4([192, 0, 2, 1]), Profile::OpenBsd6);
        assert_eq!(count(&mut inbound, &own, Arrival::SyncPort), 0);
        let other = request(PEER, Profile::FreeBsd1400);
        assert_eq!(count(&mut inbound, &other, Arrival::SyncPort), 0);
        let expected = InboundCounters {
            ipackets: 5,
            ibytes: 4 * sound.len() as u64 - sound.len() as u64 + 19 + other.len() as u64,
            badif: 1,
            badip: 1,
            looped: 1,
            badver: 1,
            bulk_requests_received: 1,
            ..InboundCounters::default()
        };
        assert_eq!(inbound.counters, expected);
    }

    #[test]
    fn a_source_that_is_no_peer_s_is_refused_where_sources_are_named() {
        let mut named = settings(&[Profile::OpenBsd6, Profile::FreeBsd1400]);
        for peer in &mut named.peers {
            peer.sources.push(PEER);
        }
        let mut inbound = inbound(&named);
        let stranger = Address::V4([192, 0, 2, 66]);
        assert_eq!(count(&mut inbound, &request(stranger, Profile::OpenBsd6), Arrival::SyncPort), 0);
        assert_eq!(inbound.counters.badsource, 1);
        let mut from = Vec::new();
        for profile in [Profile::OpenBsd6, Profile::FreeBsd1400] {
            let packet = request(PEER, profile);
            inbound.receive(&packet, Arrival::SyncPort, 5, |message| from.push(message.peer));
        }
        assert_eq!(from, [0, 1], "the version tells two peers of one address apart");
        for of_peer in &inbound.peer_counters[..2] {
            assert_eq!((of_peer.frames_received, of_peer.messages_received), (1, 1));
        }
    }

    #[test]
    fn ipv6_carries_frames_as_well() {
        let mut six = settings(&[]);
        let here = Address::V6([1; 16]);
        six.peers.push(PeerSettings::group(Profile::FreeBsd1500, here));
        let mut inbound = inbound(&six);
        let packet = request(Address::V6([2; 16]), Profile::FreeBsd1500);
        assert_eq!(count(&mut inbound, &packet, Arrival::SyncPort), 1);
        assert_eq!((inbound.counters.ipackets6, inbound.counters.ipackets), (1, 0));
    }

    #[test]
    fn a_clear_of_our_own_states_is_ignored_and_said() {
        let mut inbound = inbound(&settings(&[Profile::OpenBsd6]));
        let clear = |creator| {
            frame(PEER, Profile::OpenBsd6, |writer| {
                writer.push_clear(&Clear { ifname: [0; 16], creator }).unwrap();
            })
        };
        let own = clear(crate::sync::fixture::HOST);
        assert_eq!(count(&mut inbound, &own, Arrival::SyncPort), 0);
        assert_eq!(inbound.counters.duplicate_host_id, 1);
        assert_eq!(count(&mut inbound, &clear(7), Arrival::SyncPort), 1);
    }

    #[test]
    fn only_the_owner_of_a_host_id_can_clear_its_states() {
        let mut inbound = inbound(&settings(&[Profile::OpenBsd6]));
        let clear = |source| {
            frame(source, Profile::OpenBsd6, |writer| {
                writer.push_clear(&Clear { ifname: [0; 16], creator: 7 }).unwrap();
            })
        };
        let (owner, stranger) = (clear(PEER), clear(Address::V4([192, 0, 2, 66])));
        assert_eq!(count(&mut inbound, &owner, Arrival::SyncPort), 1);
        assert_eq!(count(&mut inbound, &stranger, Arrival::SyncPort), 0);
        assert_eq!(count(&mut inbound, &owner, Arrival::SyncPort), 1);
        assert_eq!(inbound.counters.bad_creator, 1);
    }

    #[test]
    fn one_bad_message_does_not_cost_the_others() {
        let mut inbound = inbound(&settings(&[Profile::OpenBsd6]));
        let packet = frame(PEER, Profile::OpenBsd6, |writer| {
            for timeout in [2, 22, 2] {
                let update = crate::wire::CompressedUpdate { timeout, ..Default::default() };
                writer.push_compressed(&update).unwrap();
            }
        });
        assert_eq!(count(&mut inbound, &packet, Arrival::SyncPort), 2);
        assert_eq!((inbound.counters.badval, inbound.counters.compressed_received), (1, 3));
    }

    #[test]
    fn interfaces_get_our_names_and_unknown_ones_are_refused_where_that_is_wanted() {
        let name = |text: &str| {
            let mut name = [0; 16];
            name[..text.len()].copy_from_slice(text.as_bytes());
            name
        };
        let mut named = settings(&[Profile::OpenBsd6]);
        named.peers[0].interfaces.push(InterfacePair { ours: name("eth0"), theirs: name("em0") });
        named.known_interfaces = Some(vec![name("eth0")]);
        let mut inbound = inbound(&named);
        let packet = frame(PEER, Profile::OpenBsd6, |writer| {
            for ifname in ["em0", "em1", "all"].map(name) {
                let state = crate::sync::fixture::message(7, ifname);
                writer.push_state(Action::Update, &state).unwrap();
            }
            writer.push_clear(&Clear { ifname: name("em0"), creator: 7 }).unwrap();
        });
        let mut names = Vec::new();
        inbound.receive(&packet, Arrival::SyncPort, 5, |message| match message.body {
            Body::Update { state, .. } => names.push(state.ifname),
            Body::Clear { ifname, .. } => names.push(ifname.unwrap()),
            _ => unreachable!(),
        });
        assert_eq!(names, [name("eth0"), name("all"), name("eth0")]);
        assert_eq!(inbound.counters.unknown_interface, 1);
    }

    #[test]
    fn an_insert_in_our_own_name_shows_another_node_with_our_host_id() {
        let mut inbound = inbound(&settings(&[Profile::OpenBsd6]));
        for (action, said) in [(Action::Update, 0), (Action::Insert, 1)] {
            let packet = frame(PEER, Profile::OpenBsd6, |writer| {
                let ours = crate::sync::fixture::message(crate::sync::fixture::HOST, [0; 16]);
                writer.push_state(action, &ours).unwrap();
            });
            assert_eq!(count(&mut inbound, &packet, Arrival::SyncPort), 1);
            assert_eq!(inbound.counters.duplicate_host_id, said);
        }
    }
}
