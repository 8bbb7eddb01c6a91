//! Bulk transfers to us: requests all states (protocol 5.8).
//!
//! Avoids three defects of the kernels: a wait computed from the state limit, END used as a barrier, and an END without
//! START being ignored.

use crate::sync::settings::{MAX_SOURCES, RetryPolicy};
use crate::time::{NANOS_PER_SECOND, Nanos};
use arrayvec::ArrayVec;
use pfsync::envelope::Address;

/// A node with states to send starts within this time.
const MAX_START_DELAY: Nanos = NANOS_PER_SECOND / 20;

/// The state of the bulk request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Nothing was requested.
    #[default]
    Idle = 0,
    /// Requested, without an answer so far.
    Waiting = 1,
    /// States are received.
    Receiving = 2,
    /// The peer has sent all states.
    Done = 3,
    /// No peer answered, or no answer was completed.
    GivenUp = 4,
}

/// How a transfer ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Ending {
    /// None has ended yet.
    #[default]
    None = 0,
    /// The peer has sent all states.
    Complete = 1,
    /// No peer answered.
    NoAnswer = 2,
    /// States were received, then nothing more, despite repeated requests.
    BrokenOff = 3,
    /// The maximum time passed while states were still received.
    TooLong = 4,
}

/// The last completed or abandoned transfer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastBulk {
    /// How it ended.
    pub ending: Ending,
    /// States received.
    pub states: u64,
    /// Time from the first request to the end.
    pub took: Nanos,
}

/// Requests all states: one per engine, on the sync lane.
#[derive(Clone, Debug, Default)]
pub struct Requester {
    policy: RetryPolicy,
    phase: Phase,
    attempts: u32,
    /// States received since the request.
    states: u64,
    began: Nanos,
    requested: Nanos,
    /// When the last state of the transfer was received.
    progressed: Nanos,
    /// When the peer, which had sent nothing since the request, sent END alone.
    empty_end: Option<Nanos>,
    last: LastBulk,
    /// Nodes whose START was received since the request: their END counts.
    started_by: ArrayVec<Address, MAX_SOURCES>,
}

impl Requester {
    /// Builds a requester that has requested nothing yet.
    #[must_use]
    pub fn new(policy: RetryPolicy) -> Self {
        Self { policy, ..Self::default() }
    }

    /// Returns the current phase.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Returns the number of requests sent for this transfer.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Returns the number of states received since the request.
    #[must_use]
    pub const fn states(&self) -> u64 {
        self.states
    }

    /// Returns the last transfer that ended, also while the next one is running.
    #[must_use]
    pub const fn last(&self) -> LastBulk {
        self.last
    }

    /// Whether the peers' states were received or given up.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Done | Phase::GivenUp)
    }

    /// Whether a transfer was requested and has not ended.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Waiting | Phase::Receiving)
    }

    /// Whether another node may still have states that this one lacks: the transfer has not ended, and the request was sent
    /// only just now, or states are being sent to another node (ours follow then), or a third node exists for certain
    /// (`has_third`) and has not missed two requests.
    ///
    /// A node that may lack states must not answer requests. Otherwise two nodes that return together would each believe
    /// the other's empty answer.
    #[must_use]
    pub const fn peer_may_have_more(&self, has_third: bool, now: Nanos) -> bool {
        let since = now.saturating_sub(self.requested);
        match self.phase {
            // Even if only the sender requests: other nodes of the group receive the answer too.
            Phase::Idle | Phase::Receiving => true,
            Phase::Waiting if self.attempts < 2 => has_third || self.states > 0 || since < MAX_START_DELAY,
            Phase::Waiting => has_third && since < self.policy.interval / 2,
            Phase::Done | Phase::GivenUp => false,
        }
    }

    /// Requests all states. Does nothing while a transfer is running, unless `force` is set.
    pub fn start(&mut self, now: Nanos, force: bool) {
        if !force && matches!(self.phase, Phase::Waiting | Phase::Receiving) {
            return;
        }
        let Self { policy, last, .. } = *self;
        *self = Self { policy, last, phase: Phase::Waiting, began: now, requested: now, ..Self::default() };
    }

    /// Marks the request as done: there is no peer.
    pub fn skip(&mut self) {
        self.phase = Phase::Done;
    }

    /// Whether a request must be sent now. Call it in every poll of the sync lane.
    pub fn poll(&mut self, now: Nanos) -> bool {
        if self.empty_end.is_some_and(|end| now.saturating_sub(end) >= MAX_START_DELAY) {
            self.end(Phase::Done, Ending::Complete, now);
            return false;
        }
        let (waited, limit) = match self.phase {
            Phase::Waiting if self.attempts == 0 => (self.policy.interval, self.policy.interval),
            Phase::Waiting => (now.saturating_sub(self.requested), self.policy.interval),
            Phase::Receiving => (now.saturating_sub(self.progressed), self.policy.progress_timeout),
            Phase::Idle | Phase::Done | Phase::GivenUp => return false,
        };
        if now.saturating_sub(self.began) >= self.policy.total_timeout {
            self.end(Phase::GivenUp, Ending::TooLong, now);
            return false;
        }
        if waited < limit {
            return false;
        }
        if self.attempts >= self.policy.attempts {
            let ending = if self.states > 0 { Ending::BrokenOff } else { Ending::NoAnswer };
            self.end(Phase::GivenUp, ending, now);
            return false;
        }
        self.attempts += 1;
        self.phase = Phase::Waiting;
        self.requested = now;
        true
    }

    /// Notes that the node at `from` starts a transfer: ours, or one for another node, which serves as well.
    pub fn started(&mut self, from: Address, now: Nanos) {
        if self.is_running() && !self.started_by.contains(&from) {
            // Without space the END of this node is judged by its time alone.
            let _ = self.started_by.try_push(from);
        }
        self.empty_end = None;
        if self.phase == Phase::Waiting {
            self.phase = Phase::Receiving;
            self.progressed = now;
        }
    }

    /// Notes a whole state received.
    pub fn state_received(&mut self, now: Nanos) {
        if matches!(self.phase, Phase::Waiting | Phase::Receiving) {
            self.states += 1;
            self.progressed = now;
            self.empty_end = None;
        }
    }

    /// Whether states arrive, but no START of the node at `from` has since the request: they are the answer to another node.
    #[must_use]
    pub fn lacks_start(&self, from: Address) -> bool {
        self.states > 0 && !self.started_by.contains(&from)
    }

    /// Notes that the node at `from` ended a transfer that was requested `endtime_s` seconds ago. `is_only_peer` says that no
    /// frame of a third node was ever received. Returns whether the END was for us.
    ///
    /// A walk that started before our first request lacks states, and the peer counts whole seconds. So the END counts if
    /// its START was received since our request, or (START may be lost) if the walk certainly started after it: an END for
    /// another node may cross our request.
    ///
    /// OpenBSD answers for an empty table with END alone, without a meaningful time. It counts if no other node can have
    /// requested it, and if the peer begins no transfer soon after it.
    pub fn ended(&mut self, from: Address, endtime_s: u32, is_only_peer: bool, now: Nanos) -> bool {
        if !self.is_running() || self.attempts == 0 {
            return false;
        }
        let latest = now.checked_sub(u64::from(endtime_s) * NANOS_PER_SECOND);
        let slack = if self.started_by.contains(&from) { NANOS_PER_SECOND } else { 0 };
        if latest.is_some_and(|latest| latest + slack >= self.began + NANOS_PER_SECOND) {
            self.end(Phase::Done, Ending::Complete, now);
            return true;
        }
        let is_alone = is_only_peer && self.started_by.is_empty() && self.states == 0;
        if is_alone && self.phase == Phase::Waiting {
            self.empty_end.get_or_insert(now);
        }
        is_alone
    }

    const fn end(&mut self, phase: Phase, ending: Ending, now: Nanos) {
        self.phase = phase;
        self.last = LastBulk { ending, states: self.states, took: now.saturating_sub(self.began) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Nanos = NANOS_PER_SECOND;
    const PEER: Address = Address::V4([192, 0, 2, 9]);

    fn requested() -> Requester {
        let mut requester = Requester::default();
        requester.start(100 * S, false);
        assert!(requester.poll(100 * S));
        requester
    }

    #[test]
    fn an_unanswered_request_is_repeated_eleven_times_and_given_up() {
        let mut requester = Requester::default();
        requester.start(0, false);
        let sent: Vec<Nanos> = (0..40).map(|n| n * S).filter(|&now| requester.poll(now)).collect();
        assert_eq!(sent, (0..12).map(|n| n * 2 * S).collect::<Vec<_>>());
        assert_eq!(requester.phase(), Phase::GivenUp);
        assert_eq!(requester.last(), LastBulk { ending: Ending::NoAnswer, states: 0, took: 24 * S });
        assert!(requester.is_ready());
    }

    #[test]
    fn start_stops_the_retries_and_end_completes_the_transfer() {
        let mut requester = requested();
        requester.started(PEER, 101 * S);
        for n in 0..20 {
            requester.state_received((101 + 4 * n) * S);
            assert!(!requester.poll((104 + 4 * n) * S), "no request is repeated while states are received");
        }
        assert!(requester.ended(PEER, 0, false, 190 * S));
        assert_eq!((requester.phase(), requester.states()), (Phase::Done, 20));
        let last = LastBulk { ending: Ending::Complete, states: 20, took: 90 * S };
        assert_eq!(requester.last(), last);
        requester.start(200 * S, true);
        assert_eq!((requester.states(), requester.last()), (0, last));
    }

    #[test]
    fn an_end_without_a_start_completes_the_transfer() {
        let mut requester = requested();
        assert!(requester.ended(PEER, 0, false, 101 * S));
        assert!(requester.is_ready());
    }

    #[test]
    fn an_end_of_a_walk_older_than_our_request_does_not_complete_the_transfer() {
        let mut requester = requested();
        requester.started(PEER, 100 * S);
        assert!(!requester.ended(PEER, 30, false, 110 * S));
        assert!(requester.ended(PEER, 10, false, 110 * S));
        assert!(!requester.ended(PEER, 0, false, 111 * S), "the transfer is over");
    }

    #[test]
    fn an_end_that_crosses_our_request_does_not_count() {
        let other = Address::V4([192, 0, 2, 8]);
        let mut requester = requested();
        requester.started(other, 100 * S);
        assert!(
            !requester.ended(PEER, 0, false, 101 * S - 1),
            "its walk may have started before our request"
        );
        assert!(requester.ended(other, 0, false, 100 * S + 1), "this walk started after our request");
        let mut requester = requested();
        assert!(requester.ended(PEER, 0, false, 101 * S));
    }

    #[test]
    fn an_end_alone_of_the_only_peer_completes_the_first_request() {
        for endtime in [0, 4000, u32::MAX] {
            let mut requester = requested();
            assert!(requester.ended(PEER, endtime, true, 100 * S + 1));
            assert!(!requester.poll(100 * S + MAX_START_DELAY) && !requester.is_ready());
            assert!(!requester.poll(100 * S + 1 + MAX_START_DELAY) && requester.is_ready());
            assert_eq!((requester.last().ending, requester.attempts()), (Ending::Complete, 1));
        }
        // A peer that has states answers as well: the END was for an earlier request of ours.
        for is_start in [true, false] {
            let mut requester = requested();
            assert!(requester.ended(PEER, 0, true, 100 * S + 1));
            if is_start {
                requester.started(PEER, 100 * S + 2);
            } else {
                requester.state_received(100 * S + 2);
            }
            assert!(!requester.poll(101 * S) && !requester.is_ready());
        }
        let mut requester = requested();
        requester.state_received(100 * S);
        assert!(
            !requester.ended(PEER, 4000, true, 100 * S + 1),
            "the end of a walk whose beginning we missed"
        );
    }

    #[test]
    fn an_end_before_our_request_does_not_count() {
        let mut requester = Requester::default();
        requester.start(5 * S, false);
        assert!(!requester.ended(PEER, 0, false, 5 * S));
    }

    #[test]
    fn an_interrupted_transfer_is_requested_again_and_ends_in_bounded_time() {
        let mut requester = requested();
        let mut requests = 1;
        let mut now = 100 * S;
        while !requester.is_ready() {
            now += S;
            requester.started(PEER, now);
            if now == 101 * S {
                requester.state_received(now);
            }
            requests += u32::from(requester.poll(now));
            assert!(now < 300 * S);
        }
        assert_eq!((requests, requester.phase()), (12, Phase::GivenUp));
        assert_eq!(requester.last().ending, Ending::BrokenOff);
    }

    #[test]
    fn a_transfer_without_end_is_given_up_after_the_total_timeout() {
        let mut requester = requested();
        requester.started(PEER, 100 * S);
        let mut now = 100 * S;
        while !requester.is_ready() {
            now += S;
            requester.state_received(now);
            assert!(!requester.poll(now));
        }
        assert_eq!(now, 700 * S);
        assert_eq!(requester.last(), LastBulk { ending: Ending::TooLong, states: 600, took: 600 * S });
    }

    #[test]
    fn a_loading_node_may_lack_states_unless_no_peer_answers() {
        let mut requester = Requester::default();
        assert!(requester.peer_may_have_more(false, 100 * S));
        requester.start(100 * S, false);
        assert!(requester.poll(100 * S));
        assert!(requester.peer_may_have_more(false, 100 * S + MAX_START_DELAY - 1));
        assert!(!requester.peer_may_have_more(false, 100 * S + MAX_START_DELAY));
        assert!(requester.peer_may_have_more(true, 101 * S));
        requester.state_received(101 * S);
        assert!(requester.peer_may_have_more(false, 101 * S), "the sender has states, and ours follow");
        assert!(requester.poll(102 * S));
        assert!(
            requester.peer_may_have_more(true, 103 * S - 1) && !requester.peer_may_have_more(true, 103 * S)
        );
        requester.started(PEER, 104 * S);
        assert!(requester.peer_may_have_more(true, 104 * S) && requester.peer_may_have_more(false, 104 * S));
        assert!(requester.ended(PEER, 0, false, 105 * S) && !requester.peer_may_have_more(true, 105 * S));
    }

    #[test]
    fn a_running_transfer_is_not_requested_again_unless_forced() {
        let mut requester = requested();
        requester.started(PEER, 101 * S);
        requester.start(102 * S, false);
        assert_eq!(requester.phase(), Phase::Receiving);
        requester.start(102 * S, true);
        assert!(requester.poll(102 * S));
    }
}
