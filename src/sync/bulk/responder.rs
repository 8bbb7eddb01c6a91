//! Bulk transfers to peers: answers requests for all states (protocol 5.8) and pushes them without a request.
//!
//! OpenBSD remembers a request received during a walk but never acts on it; here the walk restarts.

use crate::sync::message::PeerIndex;
use crate::sync::settings::MAX_PEERS;
use crate::time::Nanos;
use pfsync::envelope::Address;

/// Starts bulk transfers: one per engine, on the sync lane. The lanes do the walks ([`crate::sync::Exporter`]).
#[derive(Debug)]
pub struct Responder {
    lanes: u32,
    min_interval: Nanos,
    serving: [Serving; MAX_PEERS],
    /// Requests wait for [`Self::poll`].
    held: bool,
    /// Walks started.
    pub begun: u64,
    /// Walks finished by every lane.
    pub finished: u64,
    /// Requests within the minimum interval, and requests that wait.
    pub refused: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Serving {
    /// Lanes that have not finished their walk.
    open: u32,
    generation: u32,
    requested: Nanos,
    /// The node that requested it; `None` for a walk without a request.
    requested_by: Option<Address>,
    has_started: bool,
    /// Another node of the same group has requested a walk since; it may lack what was sent before.
    must_repeat: bool,
}

/// A walk that every lane is to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkOrder {
    /// The receiver.
    pub peer: PeerIndex,
    /// Distinguishes this walk from an earlier, interrupted one.
    pub generation: u32,
}

impl Responder {
    /// Builds the responder of an engine with `lanes` lanes. Requests of one peer within `min_interval` count as one: twelve
    /// bytes must not cost the whole table each time. Keep it under 2 s, after which OpenBSD repeats a request.
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

    /// While `held` every request waits for [`Self::poll`], which the caller omits as long as this node may lack states.
    ///
    /// A node that is itself still loading would end its answer before it has states to send, and the requester would
    /// believe it had them all, although a third node has more. The request itself may be the first sign of a third node,
    /// so the caller of [`Self::requested`] cannot decide this.
    pub const fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// Handles a request of the node at `from`, one of the peer's. A running walk for the peer restarts.
    ///
    /// Within the minimum interval, requests of the same node count as one. Another node's request waits until the interval
    /// is over ([`Self::poll`]), and the running walk ends without END, because that node has missed its beginning.
    ///
    /// With `Some` the caller first queues START ([`crate::sync::Exporter::bulk_start`] of the sync lane), then starts the
    /// walk on every lane.
    pub fn requested(&mut self, peer: PeerIndex, from: Address, now: Nanos) -> Option<WalkOrder> {
        if self.held {
            let serving = self.serving.get_mut(usize::from(peer))?;
            serving.must_repeat = true;
            serving.has_started &= serving.requested_by.is_some();
            self.refused += 1;
            return None;
        }
        // A pushed walk does not answer a later request, here and above.
        let was_requested = |serving: &&mut Serving| serving.requested_by.is_some();
        if self.is_too_soon(peer, now)
            && let Some(serving) = self.serving.get_mut(usize::from(peer)).filter(was_requested)
        {
            serving.must_repeat |= serving.requested_by != Some(from);
            self.refused += 1;
            return None;
        }
        self.begin(peer, Some(from), now)
    }

    /// Starts a walk without a request; as [`Self::requested`].
    pub fn push(&mut self, peer: PeerIndex, now: Nanos) -> Option<WalkOrder> {
        if self.is_too_soon(peer, now) { None } else { self.begin(peer, None, now) }
    }

    /// Starts a walk for a waiting request whose time has come; as [`Self::requested`].
    pub fn poll(&mut self, now: Nanos) -> Option<WalkOrder> {
        let is_due =
            |peer: &PeerIndex| self.serving[usize::from(*peer)].must_repeat && !self.is_too_soon(*peer, now);
        let peer = (0..MAX_PEERS as PeerIndex).find(is_due)?;
        self.begin(peer, None, now)
    }

    fn is_too_soon(&self, peer: PeerIndex, now: Nanos) -> bool {
        self.serving.get(usize::from(peer)).is_some_and(|serving| {
            serving.has_started && now.saturating_sub(serving.requested) < self.min_interval
        })
    }

    fn begin(&mut self, peer: PeerIndex, requested_by: Option<Address>, now: Nanos) -> Option<WalkOrder> {
        let serving = self.serving.get_mut(usize::from(peer))?;
        self.begun += 1;
        let generation = serving.generation.wrapping_add(1);
        *serving = Serving {
            open: self.lanes,
            generation,
            requested: now,
            requested_by,
            has_started: true,
            must_repeat: false,
        };
        Some(WalkOrder { peer, generation })
    }

    /// Notes that a lane has sent all its states. With `Some` (the time of the request) the caller queues END.
    pub fn lane_finished(&mut self, order: WalkOrder) -> Option<Nanos> {
        let serving = self.serving.get_mut(usize::from(order.peer))?;
        if serving.generation != order.generation || serving.open == 0 {
            return None;
        }
        serving.open -= 1;
        self.finished += u64::from(serving.open == 0);
        (serving.open == 0 && !serving.must_repeat).then_some(serving.requested)
    }

    /// Whether a walk is running.
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
    fn end_is_due_when_every_lane_has_finished_the_current_walk() {
        let mut responder = Responder::new(2, S);
        let first = responder.requested(0, at(1), 10 * S).unwrap();
        assert_eq!(responder.requested(0, at(1), 10 * S + 5), None, "within the minimum interval");
        assert_eq!(responder.lane_finished(first), None);
        let second = responder.requested(0, at(1), 12 * S).unwrap();
        assert_eq!(responder.lane_finished(first), None, "the interrupted walk");
        assert_eq!(responder.lane_finished(second), None);
        assert!(responder.is_busy());
        assert_eq!(responder.lane_finished(second), Some(12 * S));
        assert!(!responder.is_busy());
        assert_eq!(responder.requested(200, at(1), 20 * S), None);
        assert_eq!((responder.begun, responder.finished, responder.refused), (2, 1, 1));
    }

    #[test]
    fn a_request_of_a_second_node_during_a_walk_is_answered_with_a_walk_of_its_own() {
        let mut responder = Responder::new(1, S);
        let first = responder.requested(0, at(1), 10 * S).unwrap();
        assert_eq!(responder.requested(0, at(2), 10 * S + S / 2), None);
        assert_eq!(
            responder.lane_finished(first),
            None,
            "END would tell the second node that it has every state"
        );
        assert_eq!(responder.poll(11 * S - 1), None);
        let second = responder.poll(11 * S).unwrap();
        assert_eq!(responder.poll(11 * S), None);
        assert_eq!(responder.lane_finished(second), Some(11 * S));
        assert_eq!((responder.begun, responder.finished, responder.refused), (2, 2, 1));
    }

    #[test]
    fn a_request_received_while_requests_are_held_waits_for_the_next_poll() {
        let mut responder = Responder::new(1, S);
        responder.hold(true);
        assert_eq!(responder.requested(0, at(1), 10 * S), None);
        assert_eq!((responder.begun, responder.refused), (0, 1));
        let walk = responder.poll(20 * S).unwrap();
        assert_eq!(responder.poll(30 * S), None);
        assert_eq!(responder.lane_finished(walk), Some(20 * S));
    }

    #[test]
    fn a_pushed_walk_restarts_on_a_request() {
        let mut responder = Responder::new(1, S);
        let pushed = responder.push(3, 10 * S).unwrap();
        assert_eq!(responder.push(3, 10 * S + 1), None);
        let requested = responder.requested(3, at(1), 10 * S + 1).unwrap();
        assert_eq!(responder.push(3, 10 * S + 2), None);
        assert_eq!(responder.lane_finished(pushed), None);
        assert_eq!(responder.lane_finished(requested), Some(10 * S + 1));
    }
}
