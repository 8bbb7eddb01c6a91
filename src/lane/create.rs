//! New states, for packets that the host's rules let pass.

use super::tracker::Tracker;
use super::{Action, Burst, BurstInfo, Reason, Verdict};
use crate::packet::{Facts, Family, Key, Kind};
use crate::state::{Extra, LocalFlags, NO_SOURCES, Options, Record, Refusal, StateId, admits, create};
use crate::sync::Removal;
use crate::table::{InsertError, Slot};
use crate::time::{Nanos, Tick};

/// Ids that a new state skips because other states have them, before it is refused.
const MAX_SKIPPED_IDS: u32 = 64;

impl Tracker {
    /// Creates the state for packet `index` of a burst, whose facts are given. A state that exists by now tracks the packet
    /// instead.
    pub(super) fn create<B: Burst>(
        &mut self,
        info: &BurstInfo,
        facts: &Facts,
        options: &Options,
        index: usize,
        burst: &mut B,
    ) -> Verdict {
        let now = Tick::from_nanos(info.now);
        if let Some(slot) = self.table.find(&facts.key, facts.direction) {
            let mut verdict = self.track_and_note(info, facts, slot, now);
            if verdict.action != Action::New {
                if verdict.translated {
                    verdict = self.rewrite(verdict, facts, index, burst);
                }
                self.counters.count_verdict(&verdict);
                return verdict;
            }
        }
        if let verdict @ Verdict { action: Action::HandOff, .. } = self.verdict_without_state(facts) {
            return verdict;
        }
        let created = self.admit(facts, options, now).map_err(Verdict::drop).and_then(|sources| {
            let created = self.insert(info, facts, options, sources, index, burst);
            if created.is_err() {
                self.table.release_source(&sources, options.rule);
            }
            created
        });
        created.unwrap_or_else(|refused| {
            self.counters.count_verdict(&refused);
            refused
        })
    }

    /// Checks that a packet may create a state, by its kind and by the limits. Returns the entries of its sources, which
    /// now count the state.
    fn admit(&self, facts: &Facts, options: &Options, now: Tick) -> Result<[u32; 2], Reason> {
        match admits(facts, options) {
            Err(Refusal::IpOptions) => return Err(Reason::IpOptions),
            Err(_) => return Err(Reason::NoState),
            Ok(()) if facts.kind == Kind::IcmpReply => return Err(Reason::NoState),
            Ok(()) => {}
        }
        let half_open = self.table.half_open() + self.totals.half_open_elsewhere;
        if self.max_half_open != 0 && facts.kind == Kind::Tcp && half_open >= self.max_half_open {
            return Err(Reason::HalfOpen);
        }
        let (key, rule, limits) = (&facts.key, options.rule, &options.source);
        Ok(self.table.admit_source(key, facts.direction, rule, limits, now)?)
    }

    /// Inserts the state. A refused packet leaves nothing behind but the counts of its sources.
    fn insert<B: Burst>(
        &mut self,
        info: &BurstInfo,
        facts: &Facts,
        options: &Options,
        sources: [u32; 2],
        index: usize,
        burst: &mut B,
    ) -> Result<Verdict, Verdict> {
        let mut record = create(facts, options, self.next_id(), Tick::from_nanos(info.now));
        if !options.nat.is_none() {
            let key = self.translated_key(facts, options).map_err(Verdict::drop)?;
            record.translate_to(&key);
        }
        if self.defers(facts, options) {
            record.hot.local.set(LocalFlags::DEFERRED);
        }
        record.cold.sources = sources;
        let extra = Extra { opaque: options.opaque, ..Extra::EMPTY };
        if !extra.opaque.is_empty() && !self.table.has_extra_space() {
            return Err(Verdict::drop(Reason::TableFull));
        }
        let slot = self.insert_record(&mut record, info.now).map_err(Verdict::drop)?;
        if !extra.opaque.is_empty() {
            // There is space, as was checked above.
            let _ = self.table.set_extra(slot, &extra);
        }
        let mut verdict = Verdict { slot, ..Verdict::plain(Action::Pass) };
        if record.hot.local.any(LocalFlags::REWRITTEN) {
            verdict = self.rewrite(verdict, facts, index, burst);
            if !verdict.translated {
                // The caller uncounts the sources, as for every refusal.
                self.table.cold_mut(slot).sources = NO_SOURCES;
                self.table.remove(slot);
                self.publish_aliases();
                return Err(verdict);
            }
            self.publish_aliases();
        }
        self.counters.states_created += 1;
        self.exporter.inserted(&mut self.table, slot, info.now);
        Ok(Verdict { action: if self.is_held(slot) { Action::Held } else { Action::Pass }, ..verdict })
    }

    /// Inserts a record. An id that another state has is skipped: an earlier run issued it.
    fn insert_record(&mut self, record: &mut Record, now: Nanos) -> Result<Slot, Reason> {
        let mut has_evicted = false;
        for _ in 0..MAX_SKIPPED_IDS {
            match self.table.insert(record) {
                Ok(slot) => return Ok(slot),
                Err(InsertError::Full) if !has_evicted && self.evict_half_open(now) => has_evicted = true,
                Err(InsertError::Full) => return Err(Reason::TableFull),
                Err(InsertError::Key(_)) => return Err(Reason::KeyCollision),
                Err(InsertError::Id(_)) => {
                    self.counters.ids_skipped += 1;
                    record.cold.id = self.next_id();
                }
            }
        }
        Err(Reason::IdCollision)
    }

    /// Makes space in a full table. The peers get a delete of a connection that this node created; one that a peer sent is
    /// only forgotten. While no delete can be noted, nothing is evicted.
    #[cold]
    fn evict_half_open(&mut self, now: Nanos) -> bool {
        // An insert also fails for lack of space in an index.
        if self.table.len() < self.table.capacity() || self.must_wait_for_deletes() {
            return false;
        }
        let Some(slot) = self.table.evictable(false) else { return false };
        let is_imported = self.table.hot(slot).local.has(LocalFlags::IMPORTED);
        self.remove(slot, now, if is_imported { Removal::Replaced } else { Removal::Ended });
        self.counters.states_evicted_half_open += 1;
        self.exporter.refused.states += u64::from(is_imported);
        true
    }

    /// Returns the next id (`protocol` section 7.8).
    fn next_id(&mut self) -> StateId {
        let ids = &mut self.exporter.ends.ids;
        ids.lift(self.shared.ids_lifted());
        ids.issue()
    }

    /// Returns the second key of a new state.
    fn translated_key(&mut self, facts: &Facts, options: &Options) -> Result<Key, Reason> {
        let nat = &options.nat;
        let mut key = nat.key(facts).map_err(|_| Reason::Translation)?;
        let slot = facts.direction.source_slot();
        let reply = facts.direction.reverse();
        let Self { ports, table, aliases, .. } = self;
        if let Some(range) = nat.range_for(facts) {
            let is_alias =
                |key: &Key| aliases.as_ref().is_some_and(|aliases| aliases.find(key, reply).is_some());
            let taken = |key: &Key| table.find(key, reply).is_some() || is_alias(key);
            key.port[slot] = ports.draw(&key, slot, range, table.ports(), taken).ok_or(Reason::NoPort)?;
        }
        if key != facts.key && !self.can_publish(&key) {
            self.counters.messages_lost += 1;
            return Err(Reason::TableFull);
        }
        Ok(key)
    }

    /// Returns whether the first packet of a new state is held: not to multicast or broadcast, as in pf (protocol 6.6), and
    /// not while the link is down.
    fn defers(&self, facts: &Facts, options: &Options) -> bool {
        self.exporter.defers(options.pf_flags, facts.key.proto)
            && !is_multicast_or_broadcast(facts)
            && self.shared.link_up()
    }

    fn is_held(&self, slot: Slot) -> bool {
        self.table.hot(slot).local.has(LocalFlags::DEFERRED)
    }
}

fn is_multicast_or_broadcast(facts: &Facts) -> bool {
    let destination = &facts.key.addr[1 - facts.key_direction().source_slot()];
    match facts.key.family {
        Family::V6 => destination[0] == 0xff,
        _ => destination[0] & 0xf0 == 0xe0 || destination[..4] == [0xff; 4],
    }
}
