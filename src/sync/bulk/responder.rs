//! Bulk transfers: answering who asks for all states (protocol 5.8), and offering them unasked.
//!
//! OpenBSD remembers a request that comes during a walk and never acts on it; here the walk begins anew.

use crate::sync::message::PeerIndex;
use crate::sync::settings::MAX_PEERS;
use crate::time::Nanos;
use pfsync::envelope::Address;

/// The answering side: one per engine, on the sync lane. The walks themselves are the lanes' ([`crate::sync::Exporter`]).
#[derive(Debug)]
pub struct Responder {
    lanes: u32,
    min_interval: Nanos,
    serving: [Serving; MAX_PEERS],
    /// Requests wait for [`Self::poll`].
    held: bool,
    /// Walks that were begun.
    pub begun: u64,
    /// Walks that were finished by every lane.
    pub finished: u64,
    /// Requests that were one with the one before, or wait.
    pub refused: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Serving {
    /// Lanes that have not finished their walk.
    open: u32,
    generation: u32,
    requested: Nanos,
    /// Who asked; nobody for a walk that was not asked for.
    by: Option<Address>,
    ever: bool,
    /// Another node behind the same group has asked since, and may lack what was told before.
    again: bool,
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
    /// For an engine of so many lanes. Requests of one peer that come closer together than `min_interval` are one:
    /// twelve bytes must not buy the whole table again and again. Keep it under 2 s, at which OpenBSD repeats.
    #[must_use]
    pub fn new(lanes: u32, min_interval: Nanos) -> Self {
        Self {
            lanes,
            min_interval,
            serving: [Serving::default(); MAX_PEERS],
            held: false,
            begun: 0,
            finished: 0,
            refused: 0,
        }
    }

    /// While `held` every request waits for [`Self::poll`], which the caller leaves out as long as this node may lack states.
    ///
    /// A node that is still being told all states itself would end its answer before it has anything to say, and who asked
    /// would take that for all that there is, though a third node has more. It may be the request that shows that there is
    /// a third one: so this is not for the caller of [`Self::requested`] to judge.
    pub const fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// The node at `from`, one of the peer's, asks for all states. A walk for the peer that is under way begins anew.
    ///
    /// Within the least interval the same node's requests are one; another node's waits until the interval is over
    /// ([`Self::poll`]), and the walk that it came too late for ends without END.
    ///
    /// With `Some` the caller first queues START ([`crate::sync::Exporter::bulk_start`] of the sync lane), then begins the
    /// walk on every lane.
    pub fn requested(&mut self, peer: PeerIndex, from: Address, now: Nanos) -> Option<WalkOrder> {
        if self.held {
            let serving = self.serving.get_mut(usize::from(peer))?;
            serving.again = true;
            serving.ever &= serving.by.is_some();
            self.refused += 1;
            return None;
        }
        // A walk that was begun unasked is no answer to a later request, above and below.
        let is_asked_for = |serving: &&mut Serving| serving.by.is_some();
        if self.is_too_soon(peer, now)
            && let Some(serving) = self.serving.get_mut(usize::from(peer)).filter(is_asked_for)
        {
            serving.again |= serving.by != Some(from);
            self.refused += 1;
            return None;
        }
        self.begin(peer, Some(from), now)
    }

    /// A peer is to be told all states unasked; as [`Self::requested`].
    pub fn push(&mut self, peer: PeerIndex, now: Nanos) -> Option<WalkOrder> {
        if self.is_too_soon(peer, now) { None } else { self.begin(peer, None, now) }
    }

    /// A walk for those that asked too soon or were held, once their time has come; as [`Self::requested`].
    pub fn poll(&mut self, now: Nanos) -> Option<WalkOrder> {
        let waits =
            |peer: &PeerIndex| self.serving[usize::from(*peer)].again && !self.is_too_soon(*peer, now);
        let peer = (0..MAX_PEERS as PeerIndex).find(waits)?;
        self.begin(peer, None, now)
    }

    fn is_too_soon(&self, peer: PeerIndex, now: Nanos) -> bool {
        self.serving
            .get(usize::from(peer))
            .is_some_and(|serving| serving.ever && now.saturating_sub(serving.requested) < self.min_interval)
    }

    fn begin(&mut self, peer: PeerIndex, by: Option<Address>, now: Nanos) -> Option<WalkOrder> {
        let serving = self.serving.get_mut(usize::from(peer))?;
        self.begun += 1;
        let generation = serving.generation.wrapping_add(1);
        *serving = Serving { open: self.lanes, generation, requested: now, by, ever: true, again: false };
        Some(WalkOrder { peer, generation })
    }

    /// A lane has written all its states. With `Some` (when the request came) the caller queues END.
    pub fn lane_finished(&mut self, order: WalkOrder) -> Option<Nanos> {
        let serving = self.serving.get_mut(usize::from(order.peer))?;
        if serving.generation != order.generation || serving.open == 0 {
            return None;
        }
        serving.open -= 1;
        self.finished += u64::from(serving.open == 0);
        (serving.open == 0 && !serving.again).then_some(serving.requested)
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

    fn at(n: u8) -> Address {
        Address::V4([192, 0, 2, n])
    }

    #[test]
    fn end_follows_when_every_lane_has_finished_this_walk() {
        let mut responder = Responder::new(2, S);
        let first = responder.requested(0, at(1), 10 * S).unwrap();
        assert_eq!(responder.requested(0, at(1), 10 * S + 5), None, "within the least interval");
        assert_eq!(responder.lane_finished(first), None);
        let second = responder.requested(0, at(1), 12 * S).unwrap();
        assert_eq!(responder.lane_finished(first), None, "of the walk that was broken off");
        assert_eq!(responder.lane_finished(second), None);
        assert!(responder.is_busy());
        assert_eq!(responder.lane_finished(second), Some(12 * S));
        assert!(!responder.is_busy());
        assert_eq!(responder.requested(200, at(1), 20 * S), None);
        assert_eq!((responder.begun, responder.finished, responder.refused), (2, 1, 1));
    }

    #[test]
    fn a_node_that_asks_while_another_one_is_told_is_told_everything_too() {
        let mut responder = Responder::new(1, S);
        let first = responder.requested(0, at(1), 10 * S).unwrap();
        assert_eq!(responder.requested(0, at(2), 10 * S + S / 2), None);
        assert_eq!(responder.lane_finished(first), None, "END would tell the second one that it has all");
        assert_eq!(responder.poll(11 * S - 1), None);
        let second = responder.poll(11 * S).unwrap();
        assert_eq!(responder.poll(11 * S), None);
        assert_eq!(responder.lane_finished(second), Some(11 * S));
        assert_eq!((responder.begun, responder.finished, responder.refused), (2, 2, 1));
    }

    #[test]
    fn what_is_asked_while_requests_are_held_waits_for_the_next_poll() {
        let mut responder = Responder::new(1, S);
        responder.hold(true);
        assert_eq!(responder.requested(0, at(1), 10 * S), None);
        assert_eq!((responder.begun, responder.refused), (0, 1));
        let walk = responder.poll(20 * S).unwrap();
        assert_eq!(responder.poll(30 * S), None);
        assert_eq!(responder.lane_finished(walk), Some(20 * S));
    }

    #[test]
    fn a_walk_that_nobody_asked_for_begins_anew_when_somebody_asks() {
        let mut responder = Responder::new(1, S);
        let pushed = responder.push(3, 10 * S).unwrap();
        assert_eq!(responder.push(3, 10 * S + 1), None);
        let asked = responder.requested(3, at(1), 10 * S + 1).unwrap();
        assert_eq!(responder.push(3, 10 * S + 2), None);
        assert_eq!(responder.lane_finished(pushed), None);
        assert_eq!(responder.lane_finished(asked), Some(10 * S + 1));
    }
}
