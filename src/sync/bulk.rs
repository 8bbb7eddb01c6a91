//! Bulk transfers: asking for all states, and answering (protocol 5.8).
//!
//! The kernels' hazards that are avoided here: a wait that is computed from the state limit, END taken as a barrier, a
//! request that is remembered and never answered, and an END without START that is ignored.

use super::message::PeerIndex;
use super::settings::PEERS_MOST;
use crate::time::{NANOS_PER_SECOND, Nanos};

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

/// When the requester loses patience.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Time without an answer after which the request is repeated.
    pub retry: Nanos,
    /// Requests in all.
    pub attempts: u32,
    /// Time without a state after which a transfer that began is taken for broken, and asked for again.
    pub progress: Nanos,
    /// Time after which it is over, whatever comes.
    pub whole: Nanos,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            retry: 2 * NANOS_PER_SECOND,
            attempts: 12,
            progress: 5 * NANOS_PER_SECOND,
            whole: 600 * NANOS_PER_SECOND,
        }
    }
}

/// The asking side: one per engine, on the sync lane.
#[derive(Clone, Debug, Default)]
pub struct Requester {
    patience: Patience,
    phase: Phase,
    attempts: u32,
    /// States that came in since the request.
    states: u64,
    began: Nanos,
    asked: Nanos,
    /// When something of the transfer last came in.
    progressed: Nanos,
}

impl Requester {
    /// A requester that has not asked yet.
    #[must_use]
    pub fn new(patience: Patience) -> Self {
        Self { patience, ..Self::default() }
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

    /// Whether the peer's states are in or given up on.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Done | Phase::GivenUp)
    }

    /// Whether a transfer was asked for and is not over.
    #[must_use]
    pub const fn is_under_way(&self) -> bool {
        matches!(self.phase, Phase::Waiting | Phase::Receiving)
    }

    /// Asks for all states. While a transfer is under way nothing happens, unless `force` is set.
    pub fn start(&mut self, now: Nanos, force: bool) {
        if !force && matches!(self.phase, Phase::Waiting | Phase::Receiving) {
            return;
        }
        let patience = self.patience;
        *self = Self { patience, phase: Phase::Waiting, began: now, asked: now, ..Self::default() };
    }

    /// Nothing to ask: there is no peer.
    pub fn skip(&mut self) {
        self.phase = Phase::Done;
    }

    /// Whether a request is to be sent now. Call it in every poll of the sync lane.
    pub fn poll(&mut self, now: Nanos) -> bool {
        let (waited, limit) = match self.phase {
            Phase::Waiting if self.attempts == 0 => (self.patience.retry, self.patience.retry),
            Phase::Waiting => (now.saturating_sub(self.asked), self.patience.retry),
            Phase::Receiving => (now.saturating_sub(self.progressed), self.patience.progress),
            Phase::Idle | Phase::Done | Phase::GivenUp => return false,
        };
        if now.saturating_sub(self.began) >= self.patience.whole {
            self.phase = Phase::GivenUp;
            return false;
        }
        if waited < limit {
            return false;
        }
        if self.attempts >= self.patience.attempts {
            self.phase = Phase::GivenUp;
            return false;
        }
        self.attempts += 1;
        self.phase = Phase::Waiting;
        self.asked = now;
        true
    }

    /// A transfer begins: ours, or one that somebody else asked for, which serves as well.
    pub fn started(&mut self, now: Nanos) {
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

    /// A transfer ended that began `endtime_s` seconds after its request. Returns whether it was ours.
    ///
    /// An END whose walk began before we first asked lacks states. The START may have been lost.
    pub fn ended(&mut self, endtime_s: u32, now: Nanos) -> bool {
        if !matches!(self.phase, Phase::Waiting | Phase::Receiving) {
            return false;
        }
        let walk_began = now.checked_sub(u64::from(endtime_s) * NANOS_PER_SECOND);
        // The peer counts whole seconds: up to one of them may be missing.
        if walk_began.is_none_or(|began| began + NANOS_PER_SECOND < self.began) || self.attempts == 0 {
            return false;
        }
        self.phase = Phase::Done;
        true
    }
}

/// The answering side: one per engine, on the sync lane. The walks themselves are the lanes' ([`super::Outbound`]).
#[derive(Debug)]
pub struct Responder {
    lanes: u32,
    least_interval: Nanos,
    serving: [Serving; PEERS_MOST],
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
        Self { lanes, least_interval, serving: [Serving::default(); PEERS_MOST] }
    }

    /// A peer asks for all states. A walk for it that is under way begins anew.
    ///
    /// With `Some` the caller first queues START ([`super::Outbound::bulk_start`] of the sync lane), then begins the
    /// walk on every lane.
    pub fn requested(&mut self, peer: PeerIndex, now: Nanos) -> Option<WalkOrder> {
        let serving = self.serving.get_mut(usize::from(peer))?;
        if serving.ever && now.saturating_sub(serving.requested) < self.least_interval {
            return None;
        }
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

    const S: Nanos = NANOS_PER_SECOND;

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
        assert!(requester.is_ready());
    }

    #[test]
    fn start_stops_the_retry_and_end_completes() {
        let mut requester = asked();
        requester.started(101 * S);
        for n in 0..20 {
            requester.state_received((101 + 4 * n) * S);
            assert!(!requester.poll((104 + 4 * n) * S), "as long as states come nothing is asked again");
        }
        assert!(requester.ended(0, 190 * S));
        assert_eq!((requester.phase(), requester.states()), (Phase::Done, 20));
    }

    #[test]
    fn an_end_without_a_start_completes() {
        let mut requester = asked();
        assert!(requester.ended(0, 101 * S));
        assert!(requester.is_ready());
    }

    #[test]
    fn an_end_of_a_walk_from_before_our_request_does_not_complete() {
        let mut requester = asked();
        assert!(!requester.ended(30, 110 * S));
        assert!(requester.ended(10, 110 * S));
        assert!(!requester.ended(0, 111 * S), "it is over");
    }

    #[test]
    fn an_end_before_we_asked_is_not_ours() {
        let mut requester = Requester::default();
        requester.start(5 * S, false);
        assert!(!requester.ended(0, 5 * S));
    }

    #[test]
    fn a_transfer_that_breaks_off_is_asked_for_again_and_ends_in_bounded_time() {
        let mut requester = asked();
        let mut requests = 1;
        let mut now = 100 * S;
        while !requester.is_ready() {
            now += S;
            requester.started(now);
            requests += u32::from(requester.poll(now));
            assert!(now < 300 * S);
        }
        assert_eq!((requests, requester.phase()), (12, Phase::GivenUp));
    }

    #[test]
    fn a_peer_that_never_ends_is_left_after_the_whole_time() {
        let mut requester = asked();
        requester.started(100 * S);
        let mut now = 100 * S;
        while !requester.is_ready() {
            now += S;
            requester.state_received(now);
            assert!(!requester.poll(now));
        }
        assert_eq!(now, 700 * S);
    }

    #[test]
    fn a_running_transfer_is_not_asked_for_again_unless_forced() {
        let mut requester = asked();
        requester.started(101 * S);
        requester.start(102 * S, false);
        assert_eq!(requester.phase(), Phase::Receiving);
        requester.start(102 * S, true);
        assert!(requester.poll(102 * S));
    }

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
    }
}
