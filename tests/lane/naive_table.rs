//! One plain map of all connections, without lanes, bursts or an index: the oracle for verdicts.

use pfplane::internals::lane::{Action, Reason};
use pfplane::internals::packet::{Facts, Key, Kind};
use pfplane::internals::state::{
    DropReason, Options, Outcome, Record, StateId, Timeouts, admits, create, track,
};
use pfplane::internals::time::Tick;
use std::collections::HashMap;

/// Action, reason, and whether the packet's direction is opposite to the first one's.
pub type Expected = (Action, Reason, bool);

const NEW: Expected = (Action::New, Reason::None, false);

#[derive(Default)]
pub struct NaiveTable {
    pub states: HashMap<Key, Record>,
    timeouts: Timeouts,
}

impl NaiveTable {
    /// Returns the verdict on a packet that is looked up.
    pub fn lookup(&mut self, facts: &Facts, now: Tick) -> Expected {
        let none = if facts.kind == Kind::IcmpError { (Action::Drop, Reason::NoState, false) } else { NEW };
        let Some(record) = self.states.get_mut(&facts.key) else { return none };
        if self.timeouts.expired(&record.hot, None, now, 0) {
            self.states.remove(&facts.key);
            return none;
        }
        let reverse = facts.direction != record.hot.direction();
        let Record { hot, track: line, .. } = record;
        match track(hot, line, facts, now) {
            Outcome::Pass | Outcome::PassLoose => (Action::Pass, Reason::None, reverse),
            Outcome::Drop(reason) => (Action::Drop, reason_of(reason), reverse),
            Outcome::Retire => {
                self.states.remove(&facts.key);
                NEW
            }
        }
    }

    /// Returns the verdict on a packet that is to create a state. An earlier packet may have created it.
    pub fn create(&mut self, facts: &Facts, now: Tick) -> Expected {
        let verdict = self.lookup(facts, now);
        if verdict != NEW {
            return verdict;
        }
        let options = Options::default();
        if admits(facts, &options).is_err() || facts.kind == Kind::IcmpReply {
            return (Action::Drop, Reason::NoState, false);
        }
        let id = StateId { id: 1, creator: 1 };
        self.states.insert(facts.key, create(facts, &options, id, now));
        (Action::Pass, Reason::None, false)
    }
}

fn reason_of(reason: DropReason) -> Reason {
    match reason {
        DropReason::Window | DropReason::QuotedWindow => Reason::Window,
        DropReason::ChallengeAck => Reason::ChallengeAck,
        DropReason::Reset => Reason::Reset,
        DropReason::SynProxy | DropReason::IcmpDirection => Reason::State,
    }
}
