//! Clears that are being carried out: a few slots at a time, because a table may be large and a frame may hold many.

use super::Exporter;
use super::events::Removal;
use crate::state::{IfName, LocalFlags};
use crate::sync::store::Store;
use crate::table::Slot;
use crate::time::{Nanos, Tick};
use arrayvec::ArrayVec;

/// Clears at once. More are lost and counted: their states end by their timeouts.
const CLEARS: usize = 8;
/// Slots that a clear looks at as soon as it comes in: a small table is done then.
pub(in crate::sync) const SLOTS_AT_ONCE: u32 = 4096;

/// Whose states go, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clearing {
    pub creator: u32,
    pub ifname: Option<IfName>,
    /// Slots still to be looked at, from here on and around.
    next: u32,
    left: u32,
    /// When the clear came: states that a peer has told of since stay.
    since: Tick,
}

/// The clears of one lane.
#[derive(Debug, Default)]
pub(in crate::sync) struct Clearings {
    pending: ArrayVec<Clearing, CLEARS>,
}

impl Clearings {
    /// Begins one. The same clear once more begins again, and is still one. `false`: there are too many.
    #[must_use]
    pub fn begin(&mut self, table: &impl Store, creator: u32, ifname: Option<IfName>, since: Tick) -> bool {
        let clearing = Clearing { creator, ifname, next: 0, left: table.end(), since };
        let same = |other: &&mut Clearing| other.creator == creator && other.ifname == ifname;
        if let Some(running) = self.pending.iter_mut().find(same) {
            // From where it is, once around: a stream of clears costs one pass, not one each.
            *running = Clearing { next: running.next, ..clearing };
            return true;
        }
        self.pending.try_push(clearing).is_ok()
    }
}

impl Exporter {
    /// Whether states are still to be removed because of a clear.
    #[must_use]
    pub fn is_clearing(&self) -> bool {
        !self.clearings.pending.is_empty()
    }

    /// Goes on with the clears that peers have sent, looking at `slots` slots at most. Returns how many states were
    /// removed. Call it in housekeeping while [`Self::is_clearing`].
    pub fn step_clears(&mut self, table: &mut impl Store, slots: u32, now: Nanos) -> u32 {
        let mut budget = slots;
        let mut removed = 0;
        while budget > 0 {
            let Some(mut clearing) = self.clearings.pending.pop() else { break };
            let end = table.end();
            if clearing.next >= end {
                clearing.next = 0;
            }
            let span = budget.min(clearing.left).min(end - clearing.next);
            removed += self.clear_span(table, &clearing, span, now);
            budget -= span.max(1);
            clearing.next += span;
            clearing.left -= span;
            if clearing.left > 0 && end > 0 {
                // There is a place: it was taken out just now.
                let _ = self.clearings.pending.try_push(clearing);
            }
        }
        self.counters.cleared += u64::from(removed);
        removed
    }

    fn clear_span(&mut self, table: &mut impl Store, clearing: &Clearing, span: u32, now: Nanos) -> u32 {
        let stop = clearing.next + span;
        let mut from = clearing.next;
        let mut removed = 0;
        while let Some(slot) = table.next_live_before(from, stop) {
            if is_meant(table, slot, clearing) {
                self.removed(table, slot, now, Removal::Network);
                table.remove(slot);
                removed += 1;
            }
            from = slot.0 + 1;
        }
        removed
    }
}

/// A name that no state is bound to means none. FreeBSD 13 removes all states of the creator, whatever the name (protocol
/// 5.2).
fn is_meant(table: &impl Store, slot: Slot, clearing: &Clearing) -> bool {
    let is_imported = table.local(slot).has(LocalFlags::IMPORTED);
    let told_since = is_imported && table.network_update(slot).since(clearing.since) > 0;
    table.id(slot).creator == clearing.creator
        && clearing.ifname.is_none_or(|name| name == table.ifname(slot))
        && !told_since
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
        assert!(exporter.clearings.begin(&table, 103, None, Tick(5)));
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
        assert_eq!(exporter.delete_capacity(), 65_536, "nothing is echoed");
    }

    #[test]
    fn a_stream_of_clears_costs_one_pass_and_too_many_kinds_are_refused() {
        let (mut table, mut exporter) = lane(1000);
        for _ in 0..1000 {
            assert!(exporter.clearings.begin(&table, 103, None, Tick(5)));
            exporter.step_clears(&mut table, 1, 0);
        }
        for creator in 0..7 {
            assert!(exporter.clearings.begin(&table, creator, None, Tick(5)));
        }
        assert!(!exporter.clearings.begin(&table, 7, None, Tick(5)));
        let mut steps = 0;
        while exporter.is_clearing() {
            exporter.step_clears(&mut table, 500, 0);
            steps += 1;
        }
        assert!(steps <= 17, "{steps}");
        assert_eq!(table.len(), 900);
    }

    #[test]
    fn a_state_that_was_told_of_after_the_clear_stays() {
        let (mut table, mut exporter) = lane(0);
        let mut slots = Vec::new();
        for (n, told) in [(1, 4), (2, 5), (3, 6)] {
            let mut record = state(n);
            record.hot.local = LocalFlags(LocalFlags::IMPORTED);
            record.cold.network_update = Tick(told);
            slots.push(table.insert(&record).unwrap());
        }
        assert!(exporter.clearings.begin(&table, fixture::HOST, None, Tick(5)));
        assert_eq!(exporter.step_clears(&mut table, 100, 0), 2);
        assert!(table.is_live(slots[2]));
    }
}
