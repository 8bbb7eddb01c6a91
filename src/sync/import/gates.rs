//! Checks of a frame before it is decoded, in OpenBSD's order (`pfsync_input`; protocol 5.1). Each has a counter.

use super::{Arrival, Importer};
use crate::sync::message::PeerIndex;
use crate::sync::settings::PeerSettings;
use pfsync::envelope::{Address, Envelope, TTL};
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

    /// Returns the peer that a frame is from: the one with exactly this address, or the first one that accepts any.
    pub(super) fn sender_of(&mut self, source: Address, version: Version) -> Option<PeerIndex> {
        if self.peers.iter().any(|peer| peer.transport.source == source) {
            self.counters.frames_looped += 1;
            return None;
        }
        let exact =
            |peer: &PeerSettings| peer.sources.contains(&source) || peer.transport.destination == source;
        let of_address = |peer: &PeerSettings| peer.sources.is_empty() || exact(peer);
        let of_version = |peer: &PeerSettings| peer.profile.version() == version;
        let best = self
            .peers
            .iter()
            .position(|peer| exact(peer) && of_version(peer))
            .or_else(|| self.peers.iter().position(|peer| of_address(peer) && of_version(peer)));
        if best.is_none() {
            let known_address = self.peers.iter().any(of_address);
            *if known_address { &mut self.counters.badver } else { &mut self.counters.badsource } += 1;
        }
        PeerIndex::try_from(best?).ok()
    }
}
