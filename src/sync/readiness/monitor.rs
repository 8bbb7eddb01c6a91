//! Decides when all states must be requested again, and computes the readiness.

use super::{Readiness, ReadyClass, Reasons};
use crate::sync::bulk::{Phase, Requester};
use crate::sync::export::RefusedImports;
use crate::time::{NANOS_PER_SECOND, Nanos};

/// Interval between two transfers that repair something. It doubles up to the maximum while repairs follow one another.
const MIN_INTERVAL: Nanos = NANOS_PER_SECOND;
const MAX_INTERVAL: Nanos = 256 * NANOS_PER_SECOND;
/// Interval before refused states are requested again where there may not be space for all of them, and before a peer is
/// asked again that did not answer earlier and sends frames now.
const MIN_RETRY_INTERVAL: Nanos = 10 * NANOS_PER_SECOND;
/// After this time without a sign of another node with our host id, all states are requested. If it is still there, its
/// answer is the next sign.
const DUPLICATE_SILENCE: Nanos = 10 * NANOS_PER_SECOND;

/// A node that differs from its peers is not ready for at most this time.
const MAX_UNEQUAL: Nanos = 10 * NANOS_PER_SECOND;

/// Events that a complete bulk transfer repairs, counted since the node started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// Times that a lane was not polled for too long.
    pub pauses: u32,
    /// Frames that the host's port missed.
    pub frames_missed: u64,
    /// Messages to other lanes that were lost and cannot be requested one by one.
    pub messages_lost: u64,
    /// Messages that only another node with our host id can have sent.
    pub duplicates: u64,
    /// Gaps between a pfplane node's frames that it did not repair.
    pub gaps_abandoned: u64,
    /// Comparisons with a pfplane node that found too many differences.
    pub sketches_overflowed: u64,
}

/// Peers' states refused for lack of space since the last transfer began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// How many.
    pub missing: u64,
    /// Whether a lane that refused states has space for one now.
    pub has_space: bool,
    /// Whether every lane has space for all that it refused.
    pub has_space_for_all: bool,
}

impl Refusals {
    /// Adds up those of several lanes: what each had refused when the transfer began, what it has refused now, and its space.
    pub fn of(lanes: impl Iterator<Item = (RefusedImports, RefusedImports, u32)>) -> Self {
        let none = Self { has_space_for_all: true, ..Self::default() };
        lanes.fold(none, |all, (before, now, space)| {
            let missing = now.since(&before);
            Self {
                missing: all.missing + missing,
                has_space: all.has_space || missing > 0 && space > 0,
                has_space_for_all: all.has_space_for_all && missing <= space.into(),
            }
        })
    }
}

/// What the monitor judges by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inputs {
    /// Events so far.
    pub events: Events,
    /// Refused states.
    pub refusals: Refusals,
    /// Whether lost messages are being requested one by one.
    pub is_repairing: bool,
    /// Whether the lanes have applied everything that was received before the transfer ended.
    pub is_applied: bool,
    /// When the last frame of any peer was received.
    pub last_seen: Option<Nanos>,
    /// When the last sign of another node with our host id was received.
    pub duplicate_seen: Option<Nanos>,
    /// Whether frames of a pfplane node are missing, and it did not repair them soon.
    pub has_old_gap: bool,
    /// Whether this node was compared with a pfplane node and does not hold the same.
    pub is_unequal: bool,
    /// The current time.
    pub now: Nanos,
}

impl Inputs {
    fn is_duplicate(&self) -> bool {
        self.duplicate_seen.is_some_and(|seen| self.now.saturating_sub(seen) < DUPLICATE_SILENCE)
    }
}

/// Computes the readiness: one per engine, on the sync lane.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadinessMonitor {
    /// Events before the last transfer began.
    covered: Events,
    /// Events before the last transfer that has ended began.
    repaired: Events,
    /// A transfer has begun, and has not ended or not been applied.
    is_open: bool,
    began: Nanos,
    ended: Nanos,
    interval: Nanos,
    /// Since when this node has not been equal to its peers; `None` while it is.
    unequal_since: Option<Nanos>,
    /// Transfers requested to repair something.
    pub repairs: u64,
    /// Whether the node was ready before.
    pub has_been_ready: bool,
}

impl ReadinessMonitor {
    /// Notes that a transfer begins.
    pub const fn begin(&mut self, events: &Events, now: Nanos) {
        (self.covered, self.is_open, self.began) = (*events, true, now);
    }

    /// As [`Self::begin`], for a transfer that [`Self::needs_transfer`] demanded.
    pub fn begin_repair(&mut self, events: &Events, now: Nanos) {
        let quiet = now.saturating_sub(self.began);
        self.interval = if quiet >= 2 * self.interval { 0 } else { self.interval };
        self.interval = (2 * self.interval).clamp(MIN_INTERVAL, MAX_INTERVAL);
        self.repairs += 1;
        self.begin(events, now);
    }

    /// Whether all states must be requested again now. `bulk` is the node's bulk request.
    #[must_use]
    pub fn needs_transfer(&self, bulk: &Requester, inputs: &Inputs) -> bool {
        if self.is_open || !bulk.is_ready() {
            return false;
        }
        let Inputs { events, refusals, last_seen, .. } = *inputs;
        let is_unrepaired = events != self.repaired && !inputs.is_duplicate();
        let refused = |has_space| refusals.missing > 0 && has_space;
        let is_answerable = bulk.phase() == Phase::GivenUp && last_seen.is_some_and(|seen| seen > self.ended);
        let since = inputs.now.saturating_sub(self.began);
        let is_urgent = is_unrepaired || refused(refusals.has_space_for_all);
        let is_due = is_urgent && since >= self.interval.max(MIN_INTERVAL);
        let may_retry = refused(refusals.has_space) || is_answerable;
        is_due || may_retry && since >= self.interval.max(MIN_RETRY_INTERVAL)
    }

    /// Returns the readiness, without what depends on the time of the question ([`Readiness::at`]).
    pub fn step(&mut self, bulk: &Requester, inputs: &Inputs) -> Readiness {
        if self.is_open && !bulk.is_running() && inputs.is_applied {
            // A transfer that was given up repaired nothing, and nobody will: the class says so.
            (self.repaired, self.is_open, self.ended) = (self.covered, false, inputs.now);
        }
        let is_unequal =
            inputs.is_unequal || inputs.events.sketches_overflowed != self.repaired.sketches_overflowed;
        self.unequal_since =
            self.unequal_since.or(Some(inputs.now)).filter(|_| is_unequal && bulk.is_ready());
        let may_differ =
            self.unequal_since.is_some_and(|since| inputs.now.saturating_sub(since) >= MAX_UNEQUAL);
        let reasons = self.reasons(bulk, inputs).with(Reasons::NOT_EQUAL, self.unequal_since.is_some());
        let gave_up = bulk.phase() == Phase::GivenUp;
        let tolerated = Reasons(Reasons::BULK_FAILED).with(Reasons::NOT_EQUAL, may_differ);
        let class = match reasons.0 & !tolerated.0 {
            0 if gave_up => ReadyClass::GaveUp,
            0 => ReadyClass::Synced,
            _ => ReadyClass::Loading,
        };
        self.has_been_ready |= class != ReadyClass::Loading;
        Readiness { class, reasons, missing: inputs.refusals.missing, peer_age: None }
    }

    fn reasons(&self, bulk: &Requester, inputs: &Inputs) -> Reasons {
        let (now, repaired) = (&inputs.events, &self.repaired);
        let is_duplicate = now.duplicates != repaired.duplicates || inputs.is_duplicate();
        let has_lost = now.messages_lost != repaired.messages_lost || inputs.is_repairing;
        let has_gap = now.gaps_abandoned != repaired.gaps_abandoned || inputs.has_old_gap;
        Reasons::default()
            .with(Reasons::BULK_RUNNING, self.is_open || !bulk.is_ready())
            .with(Reasons::BULK_FAILED, bulk.phase() == Phase::GivenUp)
            .with(Reasons::STATES_MISSING, inputs.refusals.missing > 0)
            .with(Reasons::MESSAGES_LOST, has_lost)
            .with(Reasons::FRAMES_MISSED, now.frames_missed != repaired.frames_missed)
            .with(Reasons::PAUSED, now.pauses != repaired.pauses)
            .with(Reasons::DUPLICATE_HOST_ID, is_duplicate)
            .with(Reasons::FRAMES_LOST, has_gap)
    }

    /// Returns the number of pauses that need no repair any more.
    #[must_use]
    pub const fn pauses_repaired(&self) -> u32 {
        self.repaired.pauses
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::settings::RetryPolicy;
    use pfsync::envelope::Address;

    const S: Nanos = NANOS_PER_SECOND;
    const PEER: Address = Address::V4([192, 0, 2, 9]);

    /// A monitor with its bulk request and what it judges by.
    #[derive(Default)]
    struct Node {
        monitor: ReadinessMonitor,
        bulk: Requester,
        inputs: Inputs,
    }

    impl Node {
        /// One whose first transfer is complete.
        fn synced() -> Self {
            let mut node = Self { bulk: Requester::new(RetryPolicy::default()), ..Self::default() };
            node.inputs = Inputs { is_applied: true, now: 100 * S, ..Inputs::default() };
            node.bulk.start(100 * S, false);
            node.monitor.begin(&Events::default(), 100 * S);
            assert_eq!(node.step().class, ReadyClass::Loading);
            node.complete();
            assert_eq!(node.step(), Readiness::ALONE);
            node
        }

        fn step(&mut self) -> Readiness {
            self.monitor.step(&self.bulk, &self.inputs)
        }

        /// Requests all states if they are needed. Returns whether they are.
        fn request(&mut self) -> bool {
            let needed = self.monitor.needs_transfer(&self.bulk, &self.inputs);
            if needed {
                self.monitor.begin_repair(&self.inputs.events, self.inputs.now);
                self.bulk.start(self.inputs.now, false);
            }
            needed
        }

        fn complete(&mut self) {
            assert!(self.bulk.poll(self.inputs.now));
            self.bulk.started(PEER, self.inputs.now);
            assert!(self.bulk.ended(PEER, 0, true, self.inputs.now));
        }
    }

    #[test]
    fn every_event_ends_readiness_until_a_transfer_that_began_later_is_complete() {
        type Happens = fn(&mut Events);
        let events: [(u32, Happens); 5] = [
            (Reasons::FRAMES_LOST, |events| events.gaps_abandoned += 1),
            (Reasons::PAUSED, |events| events.pauses += 1),
            (Reasons::FRAMES_MISSED, |events| events.frames_missed += 3),
            (Reasons::MESSAGES_LOST, |events| events.messages_lost += 1),
            (Reasons::DUPLICATE_HOST_ID, |events| events.duplicates += 1),
        ];
        for (reason, happens) in events {
            let mut node = Node::synced();
            node.inputs.now += 10 * S;
            happens(&mut node.inputs.events);
            assert_eq!(node.step().reasons, Reasons(reason));
            assert!(node.request() && !node.request());
            assert_eq!(node.step().reasons, Reasons(reason | Reasons::BULK_RUNNING));
            happens(&mut node.inputs.events);
            node.complete();
            assert_eq!((node.step().class, node.step().reasons), (ReadyClass::Loading, Reasons(reason)));
            assert!(!node.request(), "two transfers do not follow at once");
            node.inputs.now += S;
            assert!(node.request());
            node.complete();
            assert_eq!(node.step(), Readiness::ALONE);
            assert_eq!(node.monitor.repairs, 2);
        }
    }

    #[test]
    fn a_node_that_differs_is_not_ready_for_ten_seconds_and_says_why_for_longer() {
        let mut node = Node::synced();
        node.inputs.is_unequal = true;
        for (seconds, class) in [(0, ReadyClass::Loading), (9, ReadyClass::Loading), (1, ReadyClass::Synced)]
        {
            node.inputs.now += seconds * S;
            let readiness = node.step();
            assert_eq!((readiness.class, readiness.reasons), (class, Reasons(Reasons::NOT_EQUAL)));
        }
        node.inputs.is_unequal = false;
        assert_eq!(node.step(), Readiness::ALONE);
        node.inputs.is_unequal = true;
        assert_eq!(node.step().class, ReadyClass::Loading, "the time begins again");
        assert!(!node.request(), "what differs is asked for by name");
    }

    #[test]
    fn more_differences_than_can_be_named_are_repaired_by_a_transfer() {
        let mut node = Node::synced();
        node.inputs.now += S;
        node.inputs.events.sketches_overflowed += 1;
        assert_eq!(node.step().reasons, Reasons(Reasons::NOT_EQUAL));
        assert!(node.request());
        node.complete();
        assert_eq!(node.step(), Readiness::ALONE);
    }

    #[test]
    fn a_transfer_counts_when_the_lanes_have_applied_it() {
        let mut node = Node::synced();
        node.inputs.now += S;
        node.inputs.events.pauses += 1;
        assert!(node.request());
        node.inputs.is_applied = false;
        node.complete();
        assert_eq!(node.step().reasons, Reasons(Reasons::BULK_RUNNING | Reasons::PAUSED));
        node.inputs.is_applied = true;
        assert_eq!(node.step(), Readiness::ALONE);
    }

    #[test]
    fn repairs_that_follow_one_another_become_rare_and_a_quiet_time_resets_them() {
        let mut node = Node::synced();
        let mut times = Vec::new();
        for _ in 0..3600 {
            node.inputs.now += S;
            node.inputs.events.frames_missed += 1;
            if node.request() {
                times.push(node.inputs.now);
                node.complete();
            }
            node.step();
        }
        assert_eq!(times.len(), 22, "{times:?}");
        node.inputs.events = node.monitor.repaired;
        node.inputs.now += 1000 * S;
        for _ in 0..2 {
            node.inputs.events.pauses += 1;
            assert!(node.request(), "at once");
            node.complete();
            node.step();
            node.inputs.now += 2 * S;
        }
    }

    #[test]
    fn refused_states_are_requested_again_when_there_is_space() {
        let mut node = Node::synced();
        let refuse =
            |missing, has_space, has_space_for_all| Refusals { missing, has_space, has_space_for_all };
        node.inputs.refusals = refuse(900, false, false);
        node.inputs.now += 1000 * S;
        let readiness = node.step();
        assert_eq!((readiness.class, readiness.missing), (ReadyClass::Loading, 900));
        assert_eq!(readiness.reasons, Reasons(Reasons::STATES_MISSING));
        assert!(!node.request(), "there is no space");
        node.inputs.refusals = refuse(900, true, true);
        assert!(node.request());
        node.complete();
        node.inputs.refusals = refuse(400, true, false);
        assert!(!node.step().is_ready());
        node.inputs.now += 10 * S - 1;
        assert!(!node.request(), "where there may not be space for all, not before ten seconds");
        node.inputs.now += 1;
        assert!(node.request());
        node.complete();
        node.inputs.refusals = Refusals::default();
        assert_eq!(node.step(), Readiness::ALONE);
    }

    #[test]
    fn after_giving_up_the_node_is_ready_with_a_reason_and_asks_again_when_a_peer_returns() {
        let mut node = Node::synced();
        node.inputs.events.pauses += 1;
        node.inputs.now += S;
        assert!(node.request());
        while node.bulk.is_running() {
            node.bulk.poll(node.inputs.now);
            node.inputs.now += S;
        }
        let readiness = node.step();
        assert!(readiness.is_ready() && readiness.class == ReadyClass::GaveUp);
        assert_eq!(readiness.reasons, Reasons(Reasons::BULK_FAILED));
        node.inputs.now += 1000 * S;
        assert!(!node.request(), "nobody is there");
        node.inputs.last_seen = Some(node.inputs.now);
        assert!(node.request());
        node.complete();
        assert_eq!(node.step(), Readiness::ALONE);
    }

    #[test]
    fn a_second_node_with_our_host_id_ends_readiness_until_it_is_gone() {
        let mut node = Node::synced();
        node.inputs.events.duplicates += 1;
        node.inputs.duplicate_seen = Some(node.inputs.now);
        node.inputs.now += DUPLICATE_SILENCE - 1;
        assert!(!node.request(), "all states are of no use while it is there");
        assert_eq!(node.step().reasons, Reasons(Reasons::DUPLICATE_HOST_ID));
        node.inputs.now += 1;
        assert!(node.request());
        node.complete();
        assert_eq!(node.step(), Readiness::ALONE);
    }
}
