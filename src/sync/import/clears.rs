//! Clears from peers: one walk over the table serves all that are in progress, a few slots at a time.
//!
//! A clear is noted in constant time, whatever the table's size. Equal clears are merged, and a clear of a creator
//! without states here is dropped. The cost of a call is the slots that it may examine, not the clears in a frame.

use crate::error::Error;
use crate::memory::{Heap, List};
use crate::state::{IfName, LocalFlags};
use crate::sync::export::{Exporter, Removal};
use crate::sync::store::Store;
use crate::table::Slot;
use crate::time::{Nanos, Tick};

/// Maximum number of different clears in progress. Further ones are lost and counted: their states expire.
const MAX_CLEARS: usize = 128;
/// Slots examined at once, for all clears that are received at one time: enough for a small table.
const IMMEDIATE_SLOTS: u32 = 256;

/// One clear. A state must match the creator and, if there is one, the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PendingClear {
    creator: u32,
    ifname: Option<IfName>,
    /// When it was received: states that a peer has sent since then stay.
    since: Tick,
    /// It is finished when the walk has passed this many slots.
    until: u64,
}

/// The clears of one lane.
#[derive(Debug)]
pub(in crate::sync) struct Clears {
    /// At most [`MAX_CLEARS`], in the order of creator and interface.
    pending: List<PendingClear>,
    /// The walk's next slot.
    at: u32,
    /// Slots that the walk has passed so far.
    passed: u64,
    /// When slots were last examined at once, and how many were left then.
    immediate: (Nanos, u32),
}

impl Clears {
    /// Allocates space for the clears of a lane.
    pub(in crate::sync) fn new(heap: Heap) -> Result<Self, Error> {
        let pending = heap.list("clears of peers", MAX_CLEARS)?;
        Ok(Self { pending, at: 0, passed: 0, immediate: (0, 0) })
    }

    /// Returns the bytes that [`Self::new`] allocates.
    pub(in crate::sync) const fn memory_needed() -> usize {
        MAX_CLEARS * size_of::<PendingClear>()
    }

    /// Notes a clear. The walk goes once around from its current slot. `false` when too many are in progress.
    fn begin(&mut self, clear: PendingClear) -> bool {
        if clear.ifname.is_none() {
            // It covers every interface.
            self.pending.retain(|other| other.creator != clear.creator || other.ifname.is_none());
        }
        match self.find(clear.creator, clear.ifname) {
            Ok(index) => self.pending[index] = clear,
            Err(_) if self.pending.len() == MAX_CLEARS => return false,
            Err(index) => self.pending.insert(index, clear),
        }
        true
    }

    fn find(&self, creator: u32, ifname: Option<IfName>) -> Result<usize, usize> {
        self.pending.binary_search_by(|other| (other.creator, other.ifname).cmp(&(creator, ifname)))
    }

    /// Whether a state is to be removed. A name that no state is bound to matches none. FreeBSD 13 clears all interfaces,
    /// whatever the name (protocol 5.2).
    fn selects(&self, table: &impl Store, slot: Slot) -> bool {
        let is_imported = table.local(slot).has(LocalFlags::IMPORTED);
        let creator = table.id(slot).creator;
        let is_older =
            |clear: &PendingClear| !is_imported || table.network_update(slot).since(clear.since) <= 0;
        let selected_by =
            |ifname| self.find(creator, ifname).is_ok_and(|index| is_older(&self.pending[index]));
        selected_by(None) || selected_by(Some(table.ifname(slot)))
    }

    /// Returns the time of a state that a peer sends now, by which no clear received before removes it: a tick is long.
    pub(super) fn time_of_import(&self, now: Tick) -> Tick {
        let is_ambiguous = self.pending.iter().any(|clear| clear.since.since(now) >= 0);
        Tick(now.0.wrapping_add(u32::from(is_ambiguous)))
    }

    /// Returns how many of the slots that may be examined at once are left.
    fn immediate_slots(&self, now: Nanos) -> u32 {
        if self.immediate.0 == now { self.immediate.1 } else { IMMEDIATE_SLOTS }
    }
}

impl Exporter {
    /// Whether clears are in progress.
    #[must_use]
    pub fn is_clearing(&self) -> bool {
        !self.clears.pending.is_empty()
    }

    /// Starts a clear, and clears the first slots at once. Returns the number of states removed so far.
    pub(super) fn begin_clear(
        &mut self,
        table: &mut impl Store,
        creator: u32,
        ifname: Option<IfName>,
        now: Nanos,
    ) -> u32 {
        if !self.imported.may_have(creator) {
            return 0;
        }
        let (since, until) = (Tick::from_nanos(now), self.clears.passed + u64::from(table.end()));
        if !self.clears.begin(PendingClear { creator, ifname, since, until }) {
            self.counters.clears_lost += 1;
        }
        let slots = self.clears.immediate_slots(now);
        let passed = self.clears.passed;
        let removed = self.step_clears(table, slots, now);
        let used = u32::try_from(self.clears.passed - passed).unwrap_or(u32::MAX);
        self.clears.immediate = (now, slots.saturating_sub(used));
        removed
    }

    /// Continues the clears, examining at most `slots` slots. Returns the number of states removed. Call it in
    /// housekeeping while [`Self::is_clearing`].
    pub fn step_clears(&mut self, table: &mut impl Store, slots: u32, now: Nanos) -> u32 {
        let (mut left, mut removed) = (slots, 0);
        while left > 0 && self.is_clearing() {
            let end = table.end();
            if self.clears.at >= end {
                self.clears.at = 0;
            }
            let span = left.min(end - self.clears.at);
            removed += self.clear_span(table, span, now);
            left -= span.max(1);
            self.clears.at += span;
            self.clears.passed += u64::from(span);
            let passed = self.clears.passed;
            self.clears.pending.retain(|clear| clear.until > passed);
        }
        self.counters.states_cleared_by_peer += u64::from(removed);
        removed
    }

    fn clear_span(&mut self, table: &mut impl Store, span: u32, now: Nanos) -> u32 {
        let (mut from, stop) = (self.clears.at, self.clears.at + span);
        let mut removed = 0;
        while let Some(slot) = table.next_live_before(from, stop) {
            if self.clears.selects(table, slot) {
                self.removed(table, slot, now, Removal::Network);
                table.remove(slot);
                removed += 1;
            }
            from = slot.0 + 1;
        }
        removed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::StateId;
    use crate::sync::fixture::{self, MS, settings, state};
    use crate::table::Table;
    use pfsync::Profile;

    fn lane(states: u32) -> (Table, crate::memory::Owned<Exporter>) {
        let mut table = fixture::table(20_000);
        let mut exporter = Exporter::new(settings(&[Profile::OpenBsd6])).unwrap();
        for n in 0..states {
            put(&mut table, &mut exporter, n, 100 + n % 10, Tick(0));
        }
        (table, exporter)
    }

    fn put(table: &mut Table, exporter: &mut Exporter, n: u32, creator: u32, updated: Tick) -> Slot {
        let mut record = state(n);
        record.hot.local = LocalFlags(LocalFlags::IMPORTED);
        record.cold.id = StateId { id: n.into(), creator };
        record.cold.network_update = updated;
        exporter.imported.count(1, creator, 1);
        table.insert(&record).unwrap()
    }

    #[test]
    fn a_clear_of_a_large_table_takes_many_small_steps() {
        let (mut table, mut exporter) = lane(20_000);
        let first = exporter.begin_clear(&mut table, 103, None, 50 * MS);
        assert!(first <= IMMEDIATE_SLOTS / 10 + 1, "{first}");
        let (mut removed, mut steps) = (first, 0);
        while exporter.is_clearing() {
            let now = exporter.step_clears(&mut table, 1000, 50 * MS);
            assert!(now <= 100);
            removed += now;
            steps += 1;
        }
        assert_eq!((removed, steps), (2000, 20));
        assert_eq!(table.len(), 18_000);
        assert_eq!(exporter.delete_capacity(), 65_536, "no delete is sent");
    }

    #[test]
    fn clears_of_one_time_share_the_slots_that_are_examined_at_once() {
        let (mut table, mut exporter) = lane(20_000);
        let mut removed = 0;
        for _ in 0..700 {
            for creator in 100..110 {
                removed += exporter.begin_clear(&mut table, creator, None, 50 * MS);
            }
        }
        assert!(removed <= IMMEDIATE_SLOTS, "{removed}");
        assert_eq!(exporter.clears.passed, u64::from(IMMEDIATE_SLOTS));
        let mut steps = 0;
        while exporter.is_clearing() {
            exporter.step_clears(&mut table, 1000, 50 * MS);
            steps += 1;
        }
        assert!(steps <= 21, "ten clears are one walk: {steps}");
        assert_eq!((table.len(), exporter.counters.clears_lost), (0, 0));
    }

    #[test]
    fn a_clear_of_a_creator_without_states_costs_nothing() {
        let (mut table, mut exporter) = lane(1000);
        (1000..2000).for_each(|creator| _ = exporter.begin_clear(&mut table, creator, None, 5 * MS));
        assert_eq!((exporter.is_clearing(), exporter.clears.passed), (false, 0));
        assert_eq!(exporter.counters.clears_lost, 0);
    }

    #[test]
    fn a_clear_of_all_interfaces_covers_those_of_one_and_too_many_different_ones_are_refused() {
        let (mut table, mut exporter) = lane(10_000);
        let name = |n: u8| Some([n; 16]);
        for n in 0..=u8::MAX {
            exporter.begin_clear(&mut table, 103, name(n), 5 * MS);
        }
        assert_eq!(exporter.counters.clears_lost, 256 - MAX_CLEARS as u64);
        exporter.begin_clear(&mut table, 103, None, 5 * MS);
        assert_eq!(exporter.clears.pending.len(), 1);
        exporter.begin_clear(&mut table, 103, name(1), 5 * MS);
        assert_eq!(exporter.clears.pending.len(), 2, "it removes what was sent after the first");
    }

    #[test]
    fn a_state_that_a_peer_sent_after_the_clear_stays() {
        let (mut table, mut exporter) = lane(1000);
        exporter.begin_clear(&mut table, 105, None, 50 * MS);
        let rows = [(2000, 4, false), (2001, 5, false), (2002, 6, true)];
        let slots = rows.map(|(n, updated, _)| put(&mut table, &mut exporter, n, 105, Tick(updated)));
        // They took slots that the walk has yet to pass.
        exporter.clears.pending[0].until += 1000;
        while exporter.is_clearing() {
            exporter.step_clears(&mut table, 100, 50 * MS);
        }
        let stays = slots.map(|slot| table.is_live(slot));
        assert_eq!(stays, rows.map(|(_, _, stays)| stays));
    }

    #[test]
    fn a_state_received_within_the_tick_of_a_clear_is_newer_than_the_clear() {
        let (mut table, mut exporter) = lane(1000);
        assert_eq!(exporter.clears.time_of_import(Tick(5)), Tick(5));
        exporter.begin_clear(&mut table, 105, None, 50 * MS);
        assert_eq!(exporter.clears.time_of_import(Tick(5)), Tick(6));
        assert_eq!(exporter.clears.time_of_import(Tick(6)), Tick(6));
    }
}
