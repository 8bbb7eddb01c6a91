//! The sender's side.

use crate::sync::message::PeerIndex;
use crate::sync::settings::MAX_PEERS;
use pfsync::{StreamName, TrailerFields};

/// The numbers of the frames that a lane sends.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    epoch: u64,
    lane: u8,
    sent: [u64; MAX_PEERS],
}

impl Numbers {
    /// Starts at 1 for every peer. `epoch` differs in every run; 0 for frames without numbers.
    #[must_use]
    pub const fn new(epoch: u64, lane: u8) -> Self {
        Self { epoch, lane, sent: [0; MAX_PEERS] }
    }

    /// Returns the trailer's fields for the next frame to a peer.
    pub(in crate::sync) fn next(&self, peer: PeerIndex) -> TrailerFields {
        let sequence = if self.epoch == 0 { 0 } else { self.sent[usize::from(peer)] + 1 };
        TrailerFields { flow: peer, lane: self.lane, epoch: self.epoch, sequence, ..TrailerFields::default() }
    }

    /// Begins another run. Its numbers continue: what was sent before can be repaired by them.
    pub(in crate::sync) const fn renew(&mut self, epoch: u64) {
        self.epoch = epoch;
    }

    /// Whether a stream is one of this run of this node, to a peer.
    pub(in crate::sync) fn is_of_this_run(&self, peer: PeerIndex, stream: &StreamName) -> bool {
        self.epoch != 0 && (stream.epoch, stream.flow) == (self.epoch, peer)
    }

    /// Returns the number of frames sent to a peer.
    pub(in crate::sync) fn sent(&self, peer: PeerIndex) -> u64 {
        self.sent[usize::from(peer)]
    }

    /// Notes that the frame was written.
    pub(in crate::sync) const fn count(&mut self, peer: PeerIndex) {
        self.sent[peer as usize] += 1;
    }
}
