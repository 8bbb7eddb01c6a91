//! Bulk transfers: answering who asks for all states (protocol 5.8), and offering them unasked.
//!
//! OpenBSD remembers a request that comes during a walk and never acts on it; here the walk begins anew.

use super::message::PeerIndex;
use super::settings::PEERS_MOST;
use crate::time::Nanos;

/// The answering side: one per engine, on the sync lane. The walks themselves are the lanes' ([`super::Outbound`]).
#[derive(Debug)]
pub struct Responder {
    lanes: u32,
    least_interval: Nanos,
    serving: [Serving; PEERS_MOST],
    /// Walks that were begun.
    pub begun: u64,
    /// Walks that were finished by every lane.
    pub finished: u64,
    /// Requests that came too soon after the one before.
    pub refused: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Serving {
    /// Lanes that have not finished their walk.
    open: u32,
    generation: u32,
    requested: Nanos,
    ever: bool,
}

/// A walk that every lane is to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkOrder {
    /// For whom.
    pub peer: PeerIndex,
    /// Tells this walk from an earlier one that was broken off.
    pub generation: u32,
}

impl Responder {
    /// For an engine of so many lanes. Requests of one peer that come closer together than `least_interval` are one:
    /// twelve bytes must not buy the whole table again and again. Keep it under 2 s, at which OpenBSD repeats.
    #[must_use]
    pub fn new(lanes: u32, least_interval: Nanos) -> Self {
        Self {
            lanes,
            least_interval,
            serving: [Serving::default(); PEERS_MOST],
            begun: 0,
            finished: 0,
            refused: 0,
        }
    }

    /// A peer asks for all states. A walk for it that is under way begins anew.
    ///
    /// With `Some` the caller first queues START ([`super::Outbound::bulk_start`] of the sync lane), then begins the
    /// walk on every lane.
    pub fn requested(&mut self, peer: PeerIndex, now: Nanos) -> Option<WalkOrder> {
        let serving = self.serving.get_mut(usize::from(peer))?;
        if serving.ever && now.saturating_sub(serving.requested) < self.least_interval {
            self.refused += 1;
            return None;
        }
        self.begun += 1;
        serving.ever = true;
        serving.requested = now;
        serving.open = self.lanes;
        serving.generation = serving.generation.wrapping_add(1);
        Some(WalkOrder { peer, generation: serving.generation })
    }

    /// A lane has written all its states. With `Some` (when the request came) the caller queues END.
    pub fn lane_finished(&mut self, order: WalkOrder) -> Option<Nanos> {
        let serving = self.serving.get_mut(usize::from(order.peer))?;
        if serving.generation != order.generation || serving.open == 0 {
            return None;
        }
        serving.open -= 1;
        self.finished += u64::from(serving.open == 0);
        (serving.open == 0).then_some(serving.requested)
    }

    /// Whether any peer is being told all states.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.serving.iter().any(|serving| serving.open > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::NANOS_PER_SECOND;

    const S: Nanos = NANOS_PER_SECOND;

    #[test]
    fn end_follows_when_every_lane_has_finished_this_walk() {
        let mut responder = Responder::new(2, S);
        let first = responder.requested(0, 10 * S).unwrap();
        assert_eq!(responder.requested(0, 10 * S + 5), None, "within the least interval");
        assert_eq!(responder.lane_finished(first), None);
        let second = responder.requested(0, 12 * S).unwrap();
        assert_eq!(responder.lane_finished(first), None, "of the walk that was broken off");
        assert_eq!(responder.lane_finished(second), None);
        assert!(responder.is_busy());
        assert_eq!(responder.lane_finished(second), Some(12 * S));
        assert!(!responder.is_busy());
        assert_eq!(responder.requested(200, 20 * S), None);
        assert_eq!((responder.begun, responder.finished, responder.refused), (2, 1, 1));
    }
}
