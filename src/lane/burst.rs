//! What the packet path takes: packets in, verdicts and rewrites out.

use super::{Reason, Verdict};
use crate::packet::{Direction, Facts, Link, TranslateError, Translation};
use crate::time::Nanos;

/// What the packets of one burst have in common.
#[derive(Clone, Copy, Debug)]
pub struct BurstInfo {
    /// Direction in which the packets cross the interface whose states they are matched against.
    pub direction: Direction,
    /// The header that the packets start with. Not used for packets given as facts.
    pub link: Link,
    /// Routing domain (VRF) that the packets are routed in; only states in it match them. 0 is the default one.
    pub rdomain: u16,
    /// Whether [`PacketView::hash`] was computed by a NIC with this engine's RSS key.
    pub trust_hash: bool,
    /// The host's clock.
    pub now: Nanos,
}

/// The bytes of one packet.
#[derive(Clone, Copy, Debug)]
pub struct PacketView<'a> {
    /// The packet's first segment. All of it may be read.
    pub data: &'a [u8],
    /// Bytes of the whole packet, all segments.
    pub packet_length: u32,
    /// The NIC's RSS hash, if it computed one.
    pub hash: Option<u32>,
    /// What the NIC said of its checksums.
    pub checksums: Checksums,
}

/// What the NIC said of a packet's checksums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksums {
    /// Nothing.
    #[default]
    Unknown,
    /// The transport checksum is right, or left to the NIC on transmission.
    Intact,
    /// The IPv4 header's or the transport checksum is wrong.
    Bad,
}

impl<'a> PacketView<'a> {
    /// Builds the view of a packet in one segment of which the NIC said nothing.
    #[must_use]
    pub const fn new(data: &'a [u8]) -> Self {
        Self { data, packet_length: data.len() as u32, hash: None, checksums: Checksums::Unknown }
    }
}

/// One packet of a [`Burst`].
#[derive(Clone, Copy, Debug)]
pub enum Packet<'a> {
    /// A packet that the lane parses.
    Bytes(PacketView<'a>),
    /// A packet that the host has parsed, or reassembled from fragments. Its direction and routing domain are the burst's,
    /// whatever the facts say.
    Facts {
        /// What the host parsed.
        facts: Facts,
        /// The NIC's RSS hash, if it computed one.
        hash: Option<u32>,
    },
}

impl Packet<'_> {
    /// Returns the NIC's RSS hash, if it computed one.
    #[inline(always)]
    #[must_use]
    pub const fn hash(&self) -> Option<u32> {
        match self {
            Self::Bytes(view) => view.hash,
            Self::Facts { hash, .. } => *hash,
        }
    }
}

/// The packets of one lookup, in whatever form the host keeps them.
///
/// The lane calls these methods once or a few times a packet, so implementations should be short and `#[inline]`.
pub trait Burst {
    /// Returns the number of packets.
    fn count(&self) -> usize;

    /// Returns packet `index`.
    fn packet(&self, index: usize) -> Packet<'_>;

    /// Rewrites packet `index`, which passes, just before its verdict. Returns by how many bytes its start moved.
    ///
    /// Without an implementation packets stay as they are: [`Verdict::translated`] says which ones to rewrite, and
    /// [`Lane::translation`](super::Lane::translation) how.
    ///
    /// # Errors
    /// Why this packet cannot be rewritten; the verdict then says the same.
    #[inline]
    fn rewrite(
        &mut self,
        index: usize,
        facts: &Facts,
        translation: &Translation<'_>,
    ) -> Result<i16, TranslateError> {
        let _ = (index, facts, translation);
        Ok(0)
    }

    /// Receives the verdict on packet `index`: once for each packet, in any order.
    fn verdict(&mut self, index: usize, verdict: Verdict);
}

/// A burst of one packet that stays as it is.
pub(super) struct SinglePacket<'a> {
    packet: Packet<'a>,
    pub verdict: Verdict,
}

impl<'a> SinglePacket<'a> {
    pub(super) const fn new(packet: Packet<'a>) -> Self {
        Self { packet, verdict: Verdict::drop(Reason::None) }
    }
}

impl Burst for SinglePacket<'_> {
    fn count(&self) -> usize {
        1
    }

    fn packet(&self, _: usize) -> Packet<'_> {
        self.packet
    }

    fn verdict(&mut self, _: usize, verdict: Verdict) {
        self.verdict = verdict;
    }
}
