//! Checks of a frame before it is decoded, in OpenBSD's order (`pfsync_input`; protocol 5.1). Each has a counter.

use super::{Arrival, Importer};
use crate::sync::message::PeerIndex;
use crate::sync::settings::PeerSettings;
use pfsync::envelope::{Address, Envelope, TTL};
use pfsync::link::ReceivedLink;
use pfsync::{FrameError, FrameReader, Version};

impl Importer {
    pub(super) fn check_frame<'a>(
        &mut self,
        packet: &'a [u8],
        arrival: Arrival,
    ) -> Option<(Envelope, FrameReader<'a>)> {
        let is_v6 = packet.first().is_some_and(|first| first >> 4 == 6);
        let counters = &mut self.counters;
        *if is_v6 { &mut counters.ipackets6 } else { &mut counters.ipackets } += 1;
        counters.ibytes += packet.len() as u64;
        if !self.is_active {
            return None;
        }
        if arrival == Arrival::OtherPort {
            counters.badif += 1;
            return None;
        }
        if !self.check_link(arrival.link()) {
            return None;
        }
        let counters = &mut self.counters;
        let Ok(envelope) = Envelope::parse(packet) else {
            counters.badip += 1;
            return None;
        };
        if envelope.ttl != TTL {
            counters.badttl += 1;
            return None;
        }
        match FrameReader::new(&packet[envelope.payload.clone()]) {
            Ok(reader) => return Some((envelope, reader)),
            Err(FrameError::Header) => counters.hdrops += 1,
            Err(FrameError::Version) => counters.badver += 1,
            Err(FrameError::Length) => counters.badlen += 1,
        }
        None
    }

    /// Whether the frame's Ethernet header is one that a peer's frames have. Counts why not.
    pub(super) fn check_link(&mut self, link: Option<&ReceivedLink>) -> bool {
        let Some(link) = link else { return true };
        if self.peers.is_empty() || self.peers.iter().any(|peer| is_linked(peer, link)) {
            return true;
        }
        let is_in_vlan = self.peers.iter().any(|peer| peer.accepts_vlan(link));
        *if is_in_vlan { &mut self.counters.badmac } else { &mut self.counters.badvlan } += 1;
        false
    }

    /// Returns the peer that a frame is from: the one with exactly this address, or the first one that accepts any.
    pub(super) fn sender_of(
        &mut self,
        source: Address,
        version: Version,
        link: Option<&ReceivedLink>,
    ) -> Option<PeerIndex> {
        if self.peers.iter().any(|peer| peer.transport.source == source) {
            self.counters.frames_looped += 1;
            return None;
        }
        let on_link = |peer: &PeerSettings| link.is_none_or(|link| is_linked(peer, link));
        let of_address = |peer: &PeerSettings| peer.accepts(source) && on_link(peer);
        let of_version = |peer: &PeerSettings| peer.profile.version() == version;
        let is_sender = |peer: &PeerSettings| of_address(peer) && of_version(peer);
        let exact = self.peers.iter().position(|peer| peer.is_known_by(source) && is_sender(peer));
        let best = exact.or_else(|| self.peers.iter().position(is_sender));
        if best.is_none() {
            let known_address = self.peers.iter().any(of_address);
            *if known_address { &mut self.counters.badver } else { &mut self.counters.badsource } += 1;
        }
        PeerIndex::try_from(best?).ok()
    }
}

fn is_linked(peer: &PeerSettings, link: &ReceivedLink) -> bool {
    peer.accepts_vlan(link) && peer.accepts_destination(link)
}
