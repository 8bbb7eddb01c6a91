//! The oracle of verdicts: one plain map of all states, without lanes, bursts or an index.

use pfplane::internals::lane::{Action, Reason};
use pfplane::internals::packet::{Facts, Key, Kind};
use pfplane::internals::state::{
    DropReason, Options, Outcome, Record, StateId, Timeouts, admits, create, track,
};
use pfplane::internals::time::Tick;
use std::collections::HashMap;

/// The action, its reason, and whether the packet is in the reverse direction.
pub type Expected = (Action, Reason, bool);

const NEW: Expected = (Action::New, Reason::None, false);

/// All states by their key.
#[derive(Default)]
pub struct NaiveTable {
    /// The states.
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
        let Record { hot, track: windows, .. } = record;
        match track(hot, windows, facts, now) {
            Outcome::Pass | Outcome::PassLoose => (Action::Pass, Reason::None, reverse),
            Outcome::Drop(reason) => (Action::Drop, reason_of(reason), reverse),
            Outcome::Retire => {
                self.states.remove(&facts.key);
                NEW
            }
        }
    }

    /// Returns the verdict on a packet that may create a state. An earlier packet may have created it already.
    pub fn create(&mut self, facts: &Facts, now: Tick) -> Expected {
        let found = self.lookup(facts, now);
        if found != NEW {
            return found;
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

const fn reason_of(reason: DropReason) -> Reason {
    match reason {
        DropReason::Window | DropReason::QuotedWindow => Reason::Window,
        DropReason::ChallengeAck => Reason::ChallengeAck,
        DropReason::Reset => Reason::Reset,
        DropReason::IpOptions => Reason::IpOptions,
        DropReason::SynProxy | DropReason::SctpTag | DropReason::IcmpDirection => Reason::State,
    }
}
