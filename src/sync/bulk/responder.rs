//! Bulk transfers to peers: answers requests for all states (protocol 5.8) and pushes them without a request.
//!
//! A request joins the running walk. The walk continues from its current slot, goes once around the table from
//! there, and each node that joins gets START at once. So a walk never starts again at the first slot, and several nodes
//! share one.
//!
//! END is for all nodes of a group. Each node can therefore extend a walk once; a node that repeats its request waits for
//! the next walk, so that nodes that request again and again delay the END of others by a bounded time. Only a node that is
//! served alone extends its own walk as often as it likes. OpenBSD remembers a request received during a walk but never
//! acts on it.

use crate::sync::message::PeerIndex;
use crate::sync::settings::MAX_PEERS;
use crate::time::Nanos;
use arrayvec::ArrayVec;
use pfsync::envelope::Address;

/// Maximum number of nodes that one walk serves, and that wait for the next one.
const MAX_NODES: usize = 4;
/// A node whose request is younger may take an END for the answer to it.
const MAX_REQUEST_AGE: Nanos = 100_000_000;

/// Nodes of one peer.
type Nodes = ArrayVec<Address, MAX_NODES>;

/// Starts bulk transfers: one per engine, on the sync lane. The lanes do the walks ([`crate::sync::Exporter`]).
#[derive(Debug)]
pub struct Responder {
    lanes: u32,
    min_interval: Nanos,
    serving: [Serving; MAX_PEERS],
    /// Requests wait for [`Self::poll`].
    held: bool,
    /// Time of the last call.
    now: Nanos,
    /// Walks started.
    pub begun: u64,
    /// Requests that joined a running walk.
    pub joined: u64,
    /// Walks finished by every lane.
    pub finished: u64,
    /// Requests within the minimum interval, and requests that wait.
    pub refused: u64,
}

/// The walk for one peer.
#[derive(Clone, Debug, Default)]
struct Serving {
    /// Lanes that have not finished their walk.
    open: u32,
    generation: u32,
    /// When the last START was queued; `None` before the first one.
    started: Option<Nanos>,
    /// Nodes that the walk serves. None for a walk without a request.
    served: Nodes,
    /// Nodes that wait for the next walk, as far as there is space.
    waiting: Nodes,
    /// When the last of them requested it; `None` when none waits.
    waiting_since: Option<Nanos>,
}

/// A walk that every lane is to start, or to extend by a whole round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkOrder {
    /// The receiver.
    pub peer: PeerIndex,
    /// Distinguishes this order from an earlier one.
    pub generation: u32,
}

impl Serving {
    fn wait(&mut self, from: Address, now: Nanos) {
        if !self.waiting.contains(&from) {
            // A node without space here is served by the next walk too.
            let _ = self.waiting.try_push(from);
        }
        self.waiting_since = Some(now);
    }

    const fn is_running(&self) -> bool {
        self.open > 0
    }

    /// Whether a START was queued less than `interval` ago.
    fn is_recent(&self, interval: Nanos, now: Nanos) -> bool {
        self.started.is_some_and(|started| now.saturating_sub(started) < interval)
    }

    /// Whether a node that is not served yet can join the running walk.
    fn can_join(&self, from: Address) -> bool {
        self.is_running() && !self.served.is_full() && !self.served.contains(&from)
    }
}

impl Responder {
    /// Builds the responder of an engine with `lanes` lanes. Requests of one node within `min_interval` count as one: twelve
    /// bytes must not cost the whole table each time. Keep it under 2 s, after which OpenBSD repeats a request.
    #[must_use]
    pub fn new(lanes: u32, min_interval: Nanos) -> Self {
        Self {
            lanes,
            min_interval,
            serving: Default::default(),
            held: false,
            now: 0,
            begun: 0,
            joined: 0,
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

    /// Handles a request of the node at `from`, one of the peer's.
    ///
    /// With `Some` the caller first queues START ([`crate::sync::Exporter::bulk_start`] of the sync lane), then passes the
    /// order to every lane. With `None` the request is the same as an earlier one, or waits for [`Self::poll`].
    pub fn requested(&mut self, peer: PeerIndex, from: Address, now: Nanos) -> Option<WalkOrder> {
        self.now = now;
        let (held, interval) = (self.held, self.min_interval);
        let serving = self.serving.get_mut(usize::from(peer))?;
        let is_recent = serving.is_recent(interval, now) && !serving.served.is_empty();
        let is_alone = serving.served[..] == [from];
        if !held && (serving.can_join(from) || !is_recent && (is_alone || !serving.is_running())) {
            return self.begin(peer, &[from], now);
        }
        self.refused += 1;
        if held || !is_recent || !is_alone {
            serving.wait(from, now);
        }
        None
    }

    /// Starts a walk without a request; as [`Self::requested`].
    pub fn push(&mut self, peer: PeerIndex, now: Nanos) -> Option<WalkOrder> {
        let is_recent = self.serving.get(usize::from(peer))?.is_recent(self.min_interval, now);
        if is_recent { None } else { self.begin(peer, &[], now) }
    }

    /// Starts a walk for requests that wait, or lets them join one; as [`Self::requested`].
    pub fn poll(&mut self, now: Nanos) -> Option<WalkOrder> {
        self.now = now;
        let is_due = |serving: &Serving| {
            let is_recent = serving.is_recent(self.min_interval, now) && !serving.served.is_empty();
            let can_join = || serving.waiting.iter().all(|&from| serving.can_join(from));
            serving.waiting_since.is_some() && if serving.is_running() { can_join() } else { !is_recent }
        };
        let at = self.serving.iter().position(is_due)?;
        let waiting = self.serving[at].waiting.clone();
        self.begin(PeerIndex::try_from(at).ok()?, &waiting, now)
    }

    /// Starts a walk for these nodes and all that wait, or extends the running one for these nodes.
    fn begin(&mut self, peer: PeerIndex, nodes: &[Address], now: Nanos) -> Option<WalkOrder> {
        let serving = self.serving.get_mut(usize::from(peer))?;
        if serving.is_running() && !nodes.is_empty() {
            self.joined += 1;
        } else {
            self.begun += 1;
        }
        if !serving.is_running() {
            serving.served = core::mem::take(&mut serving.waiting);
        }
        for &node in nodes {
            if !serving.served.contains(&node) {
                // A node without space is not served alone, so it waits when it repeats its request.
                let _ = serving.served.try_push(node);
            }
        }
        serving.waiting.retain(|node| !nodes.contains(node));
        serving.waiting_since = serving.waiting_since.filter(|_| !serving.waiting.is_empty());
        serving.open = self.lanes;
        serving.generation = serving.generation.wrapping_add(1);
        serving.started = Some(now);
        Some(WalkOrder { peer, generation: serving.generation })
    }

    /// Notes that a lane did not get an order: the walk starts again at a later [`Self::poll`].
    pub fn order_lost(&mut self, order: WalkOrder) {
        let Some(serving) = self.serving.get_mut(usize::from(order.peer)) else { return };
        serving.open = 0;
        serving.waiting = serving.served.clone();
        serving.waiting_since = Some(self.now);
    }

    /// Notes that a lane has sent all its states. With `Some` (the time of the last request served) the caller queues END.
    ///
    /// No END is sent while it might answer a request that just arrived and waits: the next walk then serves all.
    pub fn lane_finished(&mut self, order: WalkOrder) -> Option<Nanos> {
        let now = self.now;
        let serving = self.serving.get_mut(usize::from(order.peer))?;
        if serving.generation != order.generation || serving.open == 0 {
            return None;
        }
        serving.open -= 1;
        if serving.is_running() {
            return None;
        }
        self.finished += 1;
        if serving.waiting_since.is_some_and(|since| now.saturating_sub(since) < MAX_REQUEST_AGE) {
            core::mem::take(&mut serving.served).into_iter().for_each(|node| serving.wait(node, now));
            return None;
        }
        serving.started
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
        assert_eq!(responder.lane_finished(first), None, "the walk was extended");
        assert_eq!(responder.lane_finished(second), None);
        assert_eq!(responder.lane_finished(second), Some(12 * S));
        assert_eq!(responder.requested(200, at(1), 20 * S), None);
        assert_eq!((responder.begun, responder.joined, responder.finished, responder.refused), (1, 1, 1, 1));
    }

    #[test]
    fn a_second_node_joins_the_walk_at_once_and_both_get_its_end() {
        let mut responder = Responder::new(1, S);
        let first = responder.requested(0, at(1), 10 * S).unwrap();
        let second = responder.requested(0, at(2), 10 * S + 1).unwrap();
        assert_eq!(responder.lane_finished(first), None, "the second node has missed its beginning");
        assert_eq!(responder.poll(11 * S), None);
        assert_eq!(responder.lane_finished(second), Some(10 * S + 1));
        assert_eq!((responder.begun, responder.joined, responder.finished, responder.refused), (1, 1, 1, 0));
    }

    #[test]
    fn a_node_that_requests_every_second_delays_the_end_of_another_once() {
        let mut responder = Responder::new(1, S);
        let mut last = responder.requested(0, at(1), 10 * S).unwrap();
        for second in 11..30 {
            let joined = responder.requested(0, at(3), second * S);
            assert_eq!(joined.is_some(), second == 11, "{second}");
            last = joined.unwrap_or(last);
            assert_eq!(responder.poll(second * S + 1), None);
        }
        responder.poll(29 * S + S / 2);
        assert_eq!(responder.lane_finished(last), Some(11 * S));
        let next = responder.poll(30 * S).unwrap();
        assert_eq!(responder.lane_finished(next), Some(30 * S), "START and END of its own");
        assert_eq!(responder.poll(40 * S), None);
    }

    #[test]
    fn an_end_is_withheld_while_a_waiting_node_could_take_it_for_its_answer() {
        let mut responder = Responder::new(1, S);
        responder.requested(0, at(1), 10 * S).unwrap();
        let walk = responder.requested(0, at(2), 11 * S).unwrap();
        assert_eq!(responder.requested(0, at(2), 13 * S), None);
        assert_eq!(responder.lane_finished(walk), None);
        let next = responder.poll(13 * S + 1).unwrap();
        assert_eq!(responder.requested(0, at(1), 20 * S), None, "the next walk serves both");
        responder.poll(21 * S);
        assert_eq!(responder.lane_finished(next), Some(13 * S + 1));
    }

    #[test]
    fn any_number_of_nodes_delay_an_end_by_a_bounded_time() {
        let mut responder = Responder::new(1, S);
        let mut last = responder.requested(0, at(1), 10 * S).unwrap();
        for n in 2..200 {
            last = responder.requested(0, at(n), 10 * S + u64::from(n)).unwrap_or(last);
        }
        assert_eq!((responder.begun, responder.joined), (1, MAX_NODES as u64 - 1));
        responder.poll(12 * S);
        assert_eq!(responder.lane_finished(last), Some(10 * S + MAX_NODES as u64));
        assert!(responder.poll(12 * S).is_some());
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
    fn a_request_joins_a_pushed_walk_and_a_lost_order_is_repeated() {
        let mut responder = Responder::new(1, S);
        let pushed = responder.push(3, 10 * S).unwrap();
        assert_eq!(responder.push(3, 10 * S + 1), None);
        let requested = responder.requested(3, at(1), 10 * S + 1).unwrap();
        assert_eq!(responder.push(3, 10 * S + 2), None);
        assert_eq!(responder.lane_finished(pushed), None);
        responder.order_lost(requested);
        assert_eq!(responder.poll(10 * S + 2), None, "not within the minimum interval");
        let again = responder.poll(11 * S + 2).unwrap();
        assert_eq!(responder.lane_finished(requested), None);
        assert_eq!(responder.lane_finished(again), Some(11 * S + 2));
    }
}
