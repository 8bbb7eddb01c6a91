//! What a tag covers, and the seals of all peers.

use super::settings::{PeerSettings, SyncSettings};
use crate::error::Error;
use crate::memory::{Counted, Heap};
use crate::seal::{Opener, SealShared, Sealer};

/// Where the source address is in a header of IPv4 without options.
const SOURCE_V4: usize = 12;
/// Where the source address is in a header of IPv6.
const SOURCE_V6: usize = 8;

/// Longest packet: one of IPv6 without a jumbo payload.
pub(super) const MAX_PACKET_BYTES: usize = 40 + u16::MAX as usize;

/// Returns where the bytes begin that the tag of a packet covers: its addresses, and everything behind them up to the tag.
pub(super) fn first_covered(packet: &[u8]) -> usize {
    if packet.first().is_some_and(|first| first >> 4 == 6) { SOURCE_V6 } else { SOURCE_V4 }
}

/// Returns the length of the header of a packet without options.
pub(super) fn header_bytes(packet: &[u8]) -> usize {
    if packet.first().is_some_and(|first| first >> 4 == 6) { 40 } else { 20 }
}

/// The seals of an engine's peers; `None` without a sealed one.
pub type Seals = Option<Counted<SealShared>>;

impl SyncSettings {
    /// Whether a peer is sealed.
    pub fn has_seal(&self) -> bool {
        self.is_active() && self.sealed() > 0
    }

    fn sealed(&self) -> usize {
        self.peers.iter().filter(|peer| peer.seal.is_on()).count()
    }

    /// Checks that each sealed peer has a key.
    ///
    /// # Errors
    /// One has none.
    pub(crate) fn check_keys(&self) -> Result<(), Error> {
        if self.is_active() { self.peers.iter().try_for_each(PeerSettings::check_keys) } else { Ok(()) }
    }

    /// Builds the seals. `random` are the bits of the operating system, those of the host, and a number of this run.
    ///
    /// # Errors
    /// There are no random bits, a sealed peer has no key, or memory cannot be allocated.
    pub fn seals(
        &self,
        random: (Option<[u8; 32]>, Option<[u8; 32]>, u64),
        host_id: u32,
        heap: Heap,
    ) -> Result<Seals, Error> {
        if !self.has_seal() {
            return Ok(None);
        }
        let peers = self.peers.iter().map(|peer| (peer.seal.mode, peer.seal.keys.clone()));
        let shared = SealShared::new(random, host_id, peers, heap)?;
        Counted::new(heap, "seals", shared).map(Some)
    }

    /// Returns the bytes that [`Self::seals`] allocates.
    pub(crate) fn seals_memory(&self) -> usize {
        if !self.has_seal() {
            return 0;
        }
        Counted::<SealShared>::bytes() + SealShared::memory_needed(self.peers.len())
    }

    /// Returns the bytes of the sealing side of each lane.
    pub(super) fn sealer_memory(&self) -> usize {
        if self.has_seal() { Sealer::memory_needed(self.peers.len()) } else { 0 }
    }

    /// Returns the bytes of the opening side of the sync lane.
    pub(crate) fn opener_memory(&self) -> usize {
        if !self.has_seal() {
            return 0;
        }
        Opener::memory_needed(self.peers.len(), self.sealed()) + MAX_PACKET_BYTES
    }
}
