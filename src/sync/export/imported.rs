//! Numbers of states that came from peers.

use crate::sync::message::PeerIndex;
use crate::sync::settings::MAX_PEERS;

/// States that this lane holds now and that a peer sent first.
#[derive(Debug, Default)]
pub(in crate::sync) struct ImportedStates {
    total: u32,
    by_peer: [u32; MAX_PEERS],
}

impl ImportedStates {
    pub(crate) const fn total(&self) -> u32 {
        self.total
    }

    pub(crate) const fn of_peer(&self, peer: PeerIndex) -> u32 {
        self.by_peer[peer as usize]
    }

    /// Counts a state that was inserted or removed (`change` is 1 or -1). `origin_peer` is as in the record: the peer's
    /// index plus one, or 0.
    pub(crate) fn count(&mut self, origin_peer: u8, change: i32) {
        self.total = self.total.saturating_add_signed(change);
        if let Some(of_peer) = self.by_peer.get_mut(usize::from(origin_peer).wrapping_sub(1)) {
            *of_peer = of_peer.saturating_add_signed(change);
        }
    }
}
