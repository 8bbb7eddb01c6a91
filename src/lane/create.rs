//! A new state for a packet that the host's rules let pass, and the end of a state.

use super::lookup::leave;
use super::{Action, Burst, Lane, PacketView, Reason, Verdict};
use crate::packet::{Facts, Kind, Refused, Translation};
use crate::state::{LocalFlags, Options, StateId, admits, create};
use crate::sync::Removal;
use crate::table::{InsertError, Slot};
use crate::time::{Nanos, Tick};

impl Lane {
    /// Makes the state for `packet` and tells the peers; or says what else is to be done with the packet.
    ///
    /// A state that an earlier packet of the same burst made is found and tracked, so both pass.
    /// The packet is left as it is, see [`Self::lookup`].
    pub fn create(&mut self, burst: &Burst, packet: &PacketView<'_>, options: &Options) -> Verdict {
        self.create_and_rewrite(burst, packet, options, |facts, translation| leave(0, facts, translation))
    }

    /// As [`Self::create`]; `rewrite` is asked to apply the state's translation to the packet.
    ///
    /// A packet that cannot be rewritten makes no state.
    pub fn create_and_rewrite(
        &mut self,
        burst: &Burst,
        packet: &PacketView<'_>,
        options: &Options,
        mut rewrite: impl FnMut(&Facts, &Translation) -> Result<i16, Refused>,
    ) -> Verdict {
        if let Some(aliases) = &mut self.aliases {
            aliases.listen();
        }
        let now = Tick::from_nanos(burst.now);
        let mut facts = Facts::EMPTY;
        if let Err(verdict) = self.read_one(burst, packet, &mut facts) {
            return verdict;
        }
        if let Some(slot) = self.table.find(&facts.key, facts.direction) {
            let verdict = self.judge_one(burst, &facts, slot, now);
            if verdict.action != Action::New {
                let verdict =
                    if verdict.translated { self.rewritten(verdict, &facts, rewrite) } else { verdict };
                self.count(&verdict);
                return verdict;
            }
        }
        if let verdict @ Verdict { action: Action::HandOff, .. } = self.without_state(&facts) {
            return verdict;
        }
        if admits(&facts, options).is_err() || facts.kind == Kind::IcmpReply {
            return self.refuse(Reason::NoState);
        }
        let mut record = create(&facts, options, self.next_id(), now);
        if !options.nat.is_none() {
            match self.translated_key(&facts, options) {
                Ok(key) => record.translate_to(&key),
                Err(reason) => return self.refuse(reason),
            }
        }
        let held = self.holds(&facts, options);
        if held {
            record.hot.local.set(LocalFlags::DEFERRED);
        }
        let slot = match self.table.insert(&record) {
            Ok(slot) => slot,
            Err(InsertError::Full) => return self.refuse(Reason::TableFull),
            Err(InsertError::Key(_) | InsertError::Id(_)) => return self.refuse(Reason::KeyCollision),
        };
        let mut verdict = Verdict { slot, ..Verdict::plain(Action::Pass) };
        if record.hot.local.any(LocalFlags::REWRITTEN) {
            verdict = self.rewritten(verdict, &facts, &mut rewrite);
            if !verdict.translated {
                self.table.remove(slot);
                self.tell_aliases();
                self.count(&verdict);
                return verdict;
            }
            self.tell_aliases();
        }
        self.counters.created += 1;
        self.outbound.inserted(&mut self.table, slot, burst.now);
        Verdict { action: if self.is_held(slot) { Action::Held } else { Action::Pass }, ..verdict }
    }

    fn refuse(&mut self, reason: Reason) -> Verdict {
        let verdict = Verdict::drop(reason);
        self.count(&verdict);
        verdict
    }

    /// The next identity: the lane in the top byte, then a counter that starts at the wall clock, so that a restarted
    /// node never issues an id twice (`protocol` section 7.8).
    fn next_id(&mut self) -> StateId {
        let id = self.next_id;
        self.next_id += 1;
        StateId { id, creator: self.host_id }
    }

    /// Whether a state's time is over.
    #[inline]
    pub(super) fn is_expired(&self, slot: Slot, now: Tick) -> bool {
        let own = self.own_timeout_s(slot);
        self.timeouts.expired(self.table.hot(slot), own, now, self.states_everywhere)
            && !self.keeping.keeps(&self.table, slot)
    }

    /// The state's own timeout, where it has one.
    #[inline]
    pub(super) fn own_timeout_s(&self, slot: Slot) -> Option<u32> {
        let has_own = self.table.hot(slot).local.has(LocalFlags::OVERRIDE);
        has_own.then(|| self.table.cold(slot).timeout_override_s)
    }

    /// Ends a state and tells the peers what is ours to tell.
    pub(super) fn end(&mut self, slot: Slot, now: Nanos, why: Removal) {
        self.outbound.removed(&mut self.table, slot, now, why);
        self.table.remove(slot);
        self.tell_aliases();
    }
}
