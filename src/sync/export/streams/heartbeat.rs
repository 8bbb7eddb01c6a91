//! Empty frames after the last one with contents: they show a peer that it has not received that one.

use crate::sync::message::PeerIndex;
use crate::sync::settings::MAX_PEERS;
use crate::time::{NANOS_PER_SECOND, Nanos};

/// The first follows after this time, each further one after twice as long, up to the maximum.
const MIN_INTERVAL: Nanos = 10_000_000;
const MAX_INTERVAL: Nanos = NANOS_PER_SECOND;

/// When each peer gets an empty frame.
#[derive(Clone, Debug)]
pub(in crate::sync::export) struct Heartbeats {
    next: [Nanos; MAX_PEERS],
    interval: [Nanos; MAX_PEERS],
}

impl Default for Heartbeats {
    fn default() -> Self {
        Self { next: [Nanos::MAX; MAX_PEERS], interval: [MIN_INTERVAL; MAX_PEERS] }
    }
}

impl Heartbeats {
    /// Notes that a frame with contents was sent to a peer.
    #[inline]
    pub(in crate::sync::export) fn content_sent(&mut self, peer: PeerIndex, now: Nanos) {
        self.interval[usize::from(peer)] = MIN_INTERVAL;
        self.next[usize::from(peer)] = now.saturating_add(MIN_INTERVAL);
    }

    /// Notes that an empty frame was sent to a peer.
    pub(super) fn sent(&mut self, peer: PeerIndex, now: Nanos) {
        let interval = &mut self.interval[usize::from(peer)];
        *interval = (2 * *interval).min(MAX_INTERVAL);
        self.next[usize::from(peer)] = now.saturating_add(*interval);
    }

    /// Returns when the next one is due.
    pub(in crate::sync::export) fn deadline(&self) -> Nanos {
        self.next.iter().copied().min().unwrap_or(Nanos::MAX)
    }

    /// Returns a peer whose empty frame is due.
    pub(super) fn due(&self, now: Nanos) -> Option<PeerIndex> {
        let peer = self.next.iter().position(|&next| now >= next)?;
        PeerIndex::try_from(peer).ok()
    }
}
