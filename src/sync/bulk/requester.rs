//! Bulk transfers: asking for all states (protocol 5.8).
//!
//! The kernels' hazards that are avoided here: a wait that is computed from the state limit, END taken as a barrier, and
//! an END without START that is ignored.

use crate::sync::settings::MAX_SOURCES;
use crate::time::{NANOS_PER_SECOND, Nanos};
use arrayvec::ArrayVec;
use pfsync::envelope::Address;

/// A node that has anything to tell begins within this time.
const FIRST_WORD: Nanos = NANOS_PER_SECOND / 20;

/// How far the request for all states is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Not asked.
    #[default]
    Idle = 0,
    /// Asked, and no answer yet.
    Waiting = 1,
    /// States come in.
    Receiving = 2,
    /// The peer said that it told all.
    Done = 3,
    /// Nobody answered, or not to the end.
    GivenUp = 4,
}

/// How a transfer ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Ending {
    /// None has ended yet.
    #[default]
    None = 0,
    /// The peer said that it told all.
    Complete = 1,
    /// Nobody answered.
    NoAnswer = 2,
    /// States came, then nothing more, however often it was asked for.
    BrokenOff = 3,
    /// The whole time was over, with states still coming.
    TooLong = 4,
}

/// The transfer that ended last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastBulk {
    /// How it ended.
    pub ending: Ending,
    /// States that came in.
    pub states: u64,
    /// From the first request to the end.
    pub took: Nanos,
}

/// When the requester loses policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Time without an answer after which the request is repeated.
    pub interval: Nanos,
    /// Requests in all.
    pub attempts: u32,
    /// Time without a state after which a transfer that began is taken for broken, and asked for again.
    pub progress_timeout: Nanos,
    /// Time after which it is over, whatever comes.
    pub total_timeout: Nanos,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            interval: 2 * NANOS_PER_SECOND,
            attempts: 12,
            progress_timeout: 5 * NANOS_PER_SECOND,
            total_timeout: 600 * NANOS_PER_SECOND,
        }
    }
}

/// The asking side: one per engine, on the sync lane.
#[derive(Clone, Debug, Default)]
pub struct Requester {
    policy: RetryPolicy,
    phase: Phase,
    attempts: u32,
    /// States that came in since the request.
    states: u64,
    began: Nanos,
    asked: Nanos,
    /// When something of the transfer last came in.
    progressed: Nanos,
    last: LastBulk,
    /// Nodes whose START came since the request: their END is ours.
    tellers: ArrayVec<Address, MAX_SOURCES>,
}

impl Requester {
    /// A requester that has not asked yet.
    #[must_use]
    pub fn new(policy: RetryPolicy) -> Self {
        Self { policy, ..Self::default() }
    }

    /// Where it is.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Requests sent for this transfer.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// States that came in since it was asked.
    #[must_use]
    pub const fn states(&self) -> u64 {
        self.states
    }

    /// The transfer that ended last, while the next one is under way too.
    #[must_use]
    pub const fn last(&self) -> LastBulk {
        self.last
    }

    /// Whether the peer's states are in or given up on.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Done | Phase::GivenUp)
    }

    /// Whether a transfer was asked for and is not over.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Waiting | Phase::Receiving)
    }

    /// Whether another node may still turn out to have more than this one: the states are not in, it was asked only just
    /// now, has more to tell (it goes on with what it tells somebody else, and our turn comes then) or is there for certain
    /// (`has_third`), and it was not asked twice in vain.
    ///
    /// Such a node is not to answer requests itself, or two that come back together would each take the other's nothing
    /// for all that there is.
    #[must_use]
    pub const fn peer_may_have_more(&self, has_third: bool, now: Nanos) -> bool {
        let since = now.saturating_sub(self.asked);
        match self.phase {
            // Also where only the teller asks: behind a group others hear the answer as well.
            Phase::Idle | Phase::Receiving => true,
            Phase::Waiting if self.attempts < 2 => has_third || self.states > 0 || since < FIRST_WORD,
            Phase::Waiting => has_third && since < self.policy.interval / 2,
            Phase::Done | Phase::GivenUp => false,
        }
    }

    /// Asks for all states. While a transfer is under way nothing happens, unless `force` is set.
    pub fn start(&mut self, now: Nanos, force: bool) {
        if !force && matches!(self.phase, Phase::Waiting | Phase::Receiving) {
            return;
        }
        let Self { policy, last, .. } = *self;
        *self = Self { policy, last, phase: Phase::Waiting, began: now, asked: now, ..Self::default() };
    }

    /// Nothing to ask: there is no peer.
    pub fn skip(&mut self) {
        self.phase = Phase::Done;
    }

    /// Whether a request is to be sent now. Call it in every poll of the sync lane.
    pub fn poll(&mut self, now: Nanos) -> bool {
        let (waited, limit) = match self.phase {
            Phase::Waiting if self.attempts == 0 => (self.policy.interval, self.policy.interval),
            Phase::Waiting => (now.saturating_sub(self.asked), self.policy.interval),
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
        self.asked = now;
        true
    }

    /// The node at `from` begins a transfer: ours, or one that somebody else asked for, which serves as well.
    pub fn started(&mut self, from: Address, now: Nanos) {
        if self.is_running() && !self.tellers.contains(&from) {
            // One more than there is room for is believed by its times alone.
            let _ = self.tellers.try_push(from);
        }
        if self.phase == Phase::Waiting {
            self.phase = Phase::Receiving;
            self.progressed = now;
        }
    }

    /// A whole state came in.
    pub fn state_received(&mut self, now: Nanos) {
        if matches!(self.phase, Phase::Waiting | Phase::Receiving) {
            self.states += 1;
            self.progressed = now;
        }
    }

    /// The node at `from` ended a transfer that it was asked for `endtime_s` seconds ago. Returns whether it was ours.
    ///
    /// An END whose walk began before we first asked lacks states, and the peer counts whole seconds. So either its START
    /// has come since, or (that may have been lost) the walk began after our request for certain: an END for somebody else
    /// may cross our request.
    pub fn ended(&mut self, from: Address, endtime_s: u32, now: Nanos) -> bool {
        if !self.is_running() || self.attempts == 0 {
            return false;
        }
        let latest = now.checked_sub(u64::from(endtime_s) * NANOS_PER_SECOND);
        let slack = if self.tellers.contains(&from) { NANOS_PER_SECOND } else { 0 };
        if latest.is_none_or(|latest| latest + slack < self.began + NANOS_PER_SECOND) {
            return false;
        }
        self.end(Phase::Done, Ending::Complete, now);
        true
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

    fn asked() -> Requester {
        let mut requester = Requester::default();
        requester.start(100 * S, false);
        assert!(requester.poll(100 * S));
        requester
    }

    #[test]
    fn an_unanswered_request_is_repeated_eleven_times_and_given_up() {
        let mut requester = Requester::default();
        requester.start(0, false);
        let asked: Vec<Nanos> = (0..40).map(|n| n * S).filter(|&now| requester.poll(now)).collect();
        assert_eq!(asked, (0..12).map(|n| n * 2 * S).collect::<Vec<_>>());
        assert_eq!(requester.phase(), Phase::GivenUp);
        assert_eq!(requester.last(), LastBulk { ending: Ending::NoAnswer, states: 0, took: 24 * S });
        assert!(requester.is_ready());
    }

    #[test]
    fn start_stops_the_retry_and_end_completes() {
        let mut requester = asked();
        requester.started(PEER, 101 * S);
        for n in 0..20 {
            requester.state_received((101 + 4 * n) * S);
            assert!(!requester.poll((104 + 4 * n) * S), "as long as states come nothing is asked again");
        }
        assert!(requester.ended(PEER, 0, 190 * S));
        assert_eq!((requester.phase(), requester.states()), (Phase::Done, 20));
        let last = LastBulk { ending: Ending::Complete, states: 20, took: 90 * S };
        assert_eq!(requester.last(), last);
        requester.start(200 * S, true);
        assert_eq!((requester.states(), requester.last()), (0, last));
    }

    #[test]
    fn an_end_without_a_start_completes() {
        let mut requester = asked();
        assert!(requester.ended(PEER, 0, 101 * S));
        assert!(requester.is_ready());
    }

    #[test]
    fn an_end_of_a_walk_from_before_our_request_does_not_complete() {
        let mut requester = asked();
        requester.started(PEER, 100 * S);
        assert!(!requester.ended(PEER, 30, 110 * S));
        assert!(requester.ended(PEER, 10, 110 * S));
        assert!(!requester.ended(PEER, 0, 111 * S), "it is over");
    }

    #[test]
    fn an_end_that_crosses_our_request_is_not_ours() {
        let other = Address::V4([192, 0, 2, 8]);
        let mut requester = asked();
        requester.started(other, 100 * S);
        assert!(!requester.ended(PEER, 0, 101 * S - 1), "its walk may have begun before our request");
        assert!(requester.ended(other, 0, 100 * S + 1), "this one began when we listened");
        let mut requester = asked();
        assert!(requester.ended(PEER, 0, 101 * S));
    }

    #[test]
    fn an_end_before_we_asked_is_not_ours() {
        let mut requester = Requester::default();
        requester.start(5 * S, false);
        assert!(!requester.ended(PEER, 0, 5 * S));
    }

    #[test]
    fn a_transfer_that_breaks_off_is_asked_for_again_and_ends_in_bounded_time() {
        let mut requester = asked();
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
    fn a_peer_that_never_ends_is_left_after_the_whole_time() {
        let mut requester = asked();
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
    fn who_has_not_been_told_yet_may_lack_something_unless_nobody_answers() {
        let mut requester = Requester::default();
        assert!(requester.peer_may_have_more(false, 100 * S));
        requester.start(100 * S, false);
        assert!(requester.poll(100 * S));
        assert!(requester.peer_may_have_more(false, 100 * S + FIRST_WORD - 1));
        assert!(!requester.peer_may_have_more(false, 100 * S + FIRST_WORD));
        assert!(requester.peer_may_have_more(true, 101 * S));
        requester.state_received(101 * S);
        assert!(
            requester.peer_may_have_more(false, 101 * S),
            "who tells of states has them, and our turn will come"
        );
        assert!(requester.poll(102 * S));
        assert!(
            requester.peer_may_have_more(true, 103 * S - 1) && !requester.peer_may_have_more(true, 103 * S)
        );
        requester.started(PEER, 104 * S);
        assert!(requester.peer_may_have_more(true, 104 * S) && requester.peer_may_have_more(false, 104 * S));
        assert!(requester.ended(PEER, 0, 105 * S) && !requester.peer_may_have_more(true, 105 * S));
    }

    #[test]
    fn a_running_transfer_is_not_asked_for_again_unless_forced() {
        let mut requester = asked();
        requester.started(PEER, 101 * S);
        requester.start(102 * S, false);
        assert_eq!(requester.phase(), Phase::Receiving);
        requester.start(102 * S, true);
        assert!(requester.poll(102 * S));
    }
}
