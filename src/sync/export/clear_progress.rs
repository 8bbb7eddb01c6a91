//! Clears from peers, carried out a few slots at a time: a table may be large, and a frame may hold many clears.

use super::Exporter;
use super::events::Removal;
use crate::state::{IfName, LocalFlags};
use crate::sync::store::Store;
use crate::table::Slot;
use crate::time::{Nanos, Tick};
use arrayvec::ArrayVec;

/// Maximum number of clears in progress. Further ones are lost and counted: their states expire.
const MAX_CLEARS: usize = 8;
/// Slots examined when a clear arrives: enough for a small table.
pub(in crate::sync) const FIRST_CLEAR_SLOTS: u32 = 4096;

/// One clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PendingClear {
    creator: u32,
    ifname: Option<IfName>,
    /// Slots still to examine: `left` of them from `next` on, wrapping around.
    next: u32,
    left: u32,
    /// When the clear arrived: states that a peer has sent since then stay.
    since: Tick,
}

impl PendingClear {
    /// A name that no state is bound to matches none. FreeBSD 13 clears all interfaces, whatever the name (protocol 5.2).
    fn matches(&self, table: &impl Store, slot: Slot) -> bool {
        let is_imported = table.local(slot).has(LocalFlags::IMPORTED);
        let is_newer = is_imported && table.network_update(slot).since(self.since) > 0;
        table.id(slot).creator == self.creator
            && self.ifname.is_none_or(|name| name == table.ifname(slot))
            && !is_newer
    }
}

/// The clears of one lane.
#[derive(Debug, Default)]
pub(in crate::sync) struct ClearProgress {
    pending: ArrayVec<PendingClear, MAX_CLEARS>,
}

impl ClearProgress {
    /// Starts a clear; an equal one in progress starts again. `false` when too many are in progress.
    #[must_use]
    pub(crate) fn begin(
        &mut self,
        table: &impl Store,
        creator: u32,
        ifname: Option<IfName>,
        since: Tick,
    ) -> bool {
        let clear = PendingClear { creator, ifname, next: 0, left: table.end(), since };
        let same = |other: &&mut PendingClear| other.creator == creator && other.ifname == ifname;
        if let Some(running) = self.pending.iter_mut().find(same) {
            // Once around from its current slot: a stream of clears costs one pass, not one each.
            *running = PendingClear { next: running.next, ..clear };
            return true;
        }
        self.pending.try_push(clear).is_ok()
    }
}

impl Exporter {
    /// Whether clears are in progress.
    #[must_use]
    pub fn is_clearing(&self) -> bool {
        !self.clears.pending.is_empty()
    }

    /// Continues the clears, examining at most `slots` slots. Returns the number of states removed. Call it in
    /// housekeeping while [`Self::is_clearing`].
    pub fn step_clears(&mut self, table: &mut impl Store, slots: u32, now: Nanos) -> u32 {
        let mut budget = slots;
        let mut removed = 0;
        while budget > 0 {
            let Some(mut clear) = self.clears.pending.pop() else { break };
            let end = table.end();
            if clear.next >= end {
                clear.next = 0;
            }
            let span = budget.min(clear.left).min(end - clear.next);
            removed += self.clear_span(table, &clear, span, now);
            budget -= span.max(1);
            clear.next += span;
            clear.left -= span;
            if clear.left > 0 && end > 0 {
                // There is space: it was popped above.
                let _ = self.clears.pending.try_push(clear);
            }
        }
        self.counters.states_cleared_by_peer += u64::from(removed);
        removed
    }

    fn clear_span(&mut self, table: &mut impl Store, clear: &PendingClear, span: u32, now: Nanos) -> u32 {
        let stop = clear.next + span;
        let mut from = clear.next;
        let mut removed = 0;
        while let Some(slot) = table.next_live_before(from, stop) {
            if clear.matches(table, slot) {
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
    use crate::sync::fixture::{self, settings, state};
    use crate::table::Table;
    use pfsync::Profile;

    fn lane(states: u32) -> (Table, Exporter) {
        let mut table = fixture::table(20_000);
        for n in 0..states {
            let mut record = state(n);
            record.cold.id = StateId { id: n.into(), creator: 100 + n % 10 };
            table.insert(&record).unwrap();
        }
        (table, Exporter::new(settings(&[Profile::OpenBsd6])).unwrap())
    }

    #[test]
    fn a_clear_of_a_large_table_takes_many_small_steps() {
        let (mut table, mut exporter) = lane(20_000);
        assert!(exporter.clears.begin(&table, 103, None, Tick(5)));
        let mut steps = 0;
        let mut removed = 0;
        while exporter.is_clearing() {
            let now = exporter.step_clears(&mut table, 1000, 0);
            assert!(now <= 100);
            removed += now;
            steps += 1;
        }
        assert_eq!((removed, steps), (2000, 20));
        assert_eq!(table.len(), 18_000);
        assert_eq!(exporter.delete_capacity(), 65_536, "no delete is sent");
    }

    #[test]
    fn a_stream_of_equal_clears_costs_one_pass_and_too_many_different_ones_are_refused() {
        let (mut table, mut exporter) = lane(1000);
        for _ in 0..1000 {
            assert!(exporter.clears.begin(&table, 103, None, Tick(5)));
            exporter.step_clears(&mut table, 1, 0);
        }
        for creator in 0..7 {
            assert!(exporter.clears.begin(&table, creator, None, Tick(5)));
        }
        assert!(!exporter.clears.begin(&table, 7, None, Tick(5)));
        let mut steps = 0;
        while exporter.is_clearing() {
            exporter.step_clears(&mut table, 500, 0);
            steps += 1;
        }
        assert!(steps <= 17, "{steps}");
        assert_eq!(table.len(), 900);
    }

    #[test]
    fn a_state_that_a_peer_sent_after_the_clear_stays() {
        let (mut table, mut exporter) = lane(0);
        let mut slots = Vec::new();
        for (n, updated) in [(1, 4), (2, 5), (3, 6)] {
            let mut record = state(n);
            record.hot.local = LocalFlags(LocalFlags::IMPORTED);
            record.cold.network_update = Tick(updated);
            slots.push(table.insert(&record).unwrap());
        }
        assert!(exporter.clears.begin(&table, fixture::HOST, None, Tick(5)));
        assert_eq!(exporter.step_clears(&mut table, 100, 0), 2);
        assert!(table.is_live(slots[2]));
    }
}
