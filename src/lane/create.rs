//! A new state for a packet that the host's rules let pass, and the end of a state.

use super::lookup::leave;
use super::{Action, Burst, Lane, PacketView, Reason, Verdict};
use crate::packet::{Facts, Kind, Refused, Translation};
use crate::state::{LocalFlags, NO_SOURCES, Options, StateId, admits, create};
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
        mut rewrite: impl FnMut(&Facts, &Translation<'_>) -> Result<i16, Refused>,
    ) -> Verdict {
        if let Some(aliases) = &mut self.aliases {
            aliases.listen();
        }
        let mut facts = Facts::EMPTY;
        match self.read_one(burst, packet, &mut facts) {
            Ok(()) => self.create_of(burst, &facts, options, &mut rewrite),
            Err(verdict) => verdict,
        }
    }

    /// As [`Self::create`], for a packet that the host has read itself: see [`Self::lookup_facts`].
    pub fn create_from_facts(
        &mut self,
        burst: &Burst,
        facts: &Facts,
        hash: Option<u32>,
        options: &Options,
    ) -> Verdict {
        if let Some(aliases) = &mut self.aliases {
            aliases.listen();
        }
        let mut taken = Facts::EMPTY;
        match self.take_one(burst, facts, hash, &mut taken) {
            Ok(()) => self.create_of(burst, &taken, options, &mut |facts, change| leave(0, facts, change)),
            Err(verdict) => verdict,
        }
    }

    /// A state that there is by now judges the packet; otherwise one is made.
    fn create_of(
        &mut self,
        burst: &Burst,
        facts: &Facts,
        options: &Options,
        rewrite: &mut impl FnMut(&Facts, &Translation<'_>) -> Result<i16, Refused>,
    ) -> Verdict {
        let now = Tick::from_nanos(burst.now);
        if let Some(slot) = self.table.find(&facts.key, facts.direction) {
            let verdict = self.judge_one(burst, facts, slot, now);
            if verdict.action != Action::New {
                let verdict =
                    if verdict.translated { self.rewritten(verdict, facts, rewrite) } else { verdict };
                self.count(&verdict);
                return verdict;
            }
        }
        if let verdict @ Verdict { action: Action::HandOff, .. } = self.without_state(facts) {
            return verdict;
        }
        let made = match self.admitted(facts, options, now) {
            Ok(places) => {
                let made = self.make(burst, facts, options, places, rewrite);
                if made.is_err() {
                    self.table.release_source(&places, options.rule);
                }
                made
            }
            Err(reason) => Err(Verdict::drop(reason)),
        };
        match made {
            Ok(verdict) => verdict,
            Err(refused) => {
                self.count(&refused);
                refused
            }
        }
    }

    /// Whether a packet may make a state, by what it is and by the limits. Gives its places among its source's states.
    fn admitted(&self, facts: &Facts, options: &Options, now: Tick) -> Result<[u32; 2], Reason> {
        if admits(facts, options).is_err() || facts.kind == Kind::IcmpReply {
            return Err(Reason::NoState);
        }
        let half_open = self.table.half_open() + self.half_open_elsewhere;
        if self.max_half_open != 0 && facts.kind == Kind::Tcp && half_open >= self.max_half_open {
            return Err(Reason::HalfOpen);
        }
        let (key, rule, limits) = (&facts.key, options.rule, &options.source);
        Ok(self.table.admit_source(key, facts.direction, rule, limits, now)?)
    }

    /// Makes the state. What is refused leaves nothing behind.
    fn make(
        &mut self,
        burst: &Burst,
        facts: &Facts,
        options: &Options,
        places: [u32; 2],
        rewrite: &mut impl FnMut(&Facts, &Translation<'_>) -> Result<i16, Refused>,
    ) -> Result<Verdict, Verdict> {
        let mut record = create(facts, options, self.next_id(), Tick::from_nanos(burst.now));
        if !options.nat.is_none() {
            let key = self.translated_key(facts, options).map_err(Verdict::drop)?;
            record.translate_to(&key);
        }
        if self.holds(facts, options) {
            record.hot.local.set(LocalFlags::DEFERRED);
        }
        record.cold.sources = places;
        let slot = self.table.insert(&record).map_err(|why| match why {
            InsertError::Full => Verdict::drop(Reason::TableFull),
            InsertError::Key(_) | InsertError::Id(_) => Verdict::drop(Reason::KeyCollision),
        })?;
        let mut verdict = Verdict { slot, ..Verdict::plain(Action::Pass) };
        if record.hot.local.any(LocalFlags::REWRITTEN) {
            verdict = self.rewritten(verdict, facts, rewrite);
            if !verdict.translated {
                // They are given back by whoever asked for them, as in all other refusals.
                self.table.cold_mut(slot).sources = NO_SOURCES;
                self.table.remove(slot);
                self.publish_aliases();
                return Err(verdict);
            }
            self.publish_aliases();
        }
        self.counters.created += 1;
        self.exporter.inserted(&mut self.table, slot, burst.now);
        Ok(Verdict { action: if self.is_held(slot) { Action::Held } else { Action::Pass }, ..verdict })
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
            && !self.keeping.in_grace(&self.table, slot)
    }

    /// Ends a state whose time is over.
    #[cold]
    pub(super) fn expire(&mut self, slot: Slot, now: Nanos) {
        let (tick, own) = (Tick::from_nanos(now), self.own_timeout_s(slot));
        self.counters.expired += 1;
        self.counters.expired_early += u64::from(!self.timeouts.expired(self.table.hot(slot), own, tick, 0));
        self.end(slot, now, Removal::Expired);
    }

    /// The state's own timeout, where it has one.
    #[inline]
    pub(super) fn own_timeout_s(&self, slot: Slot) -> Option<u32> {
        let has_own = self.table.hot(slot).local.has(LocalFlags::OVERRIDE);
        has_own.then(|| self.table.cold(slot).timeout_override_s)
    }

    /// Ends a state and tells the peers what is ours to tell.
    pub(super) fn end(&mut self, slot: Slot, now: Nanos, why: Removal) {
        self.exporter.removed(&mut self.table, slot, now, why);
        self.table.remove(slot);
        self.publish_aliases();
    }
}
