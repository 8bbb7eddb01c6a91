//! States below the minimum age: they are inserted at the peers only once they have reached it.

use super::Exporter;
use super::queue::Event;
use crate::state::Queue;
use crate::sync::store::Store;
use crate::table::Slot;
use crate::time::{NANOS_PER_TICK, Nanos, Tick};

/// Maximum number of states promoted in one call.
const MAX_PROMOTED: u32 = 1024;

impl Exporter {
    /// Queues inserts of the states that have reached the minimum age.
    pub(super) fn promote_aged(&mut self, table: &mut impl Store, now: Nanos) {
        for _ in 0..MAX_PROMOTED {
            let Some(slot) = self.queues.front(Queue::MinAge) else { break };
            if self.ticks_to_min_age(table, slot, now) > 0 {
                break;
            }
            self.note_event(table, slot, Event::Inserted, now);
        }
        self.pacing.min_age_at = match self.queues.front(Queue::MinAge) {
            Some(slot) => {
                let ticks = self.ticks_to_min_age(table, slot, now).max(0).cast_unsigned();
                now.saturating_add(Nanos::from(ticks) * NANOS_PER_TICK)
            }
            None => Nanos::MAX,
        };
    }

    fn ticks_to_min_age(&self, table: &impl Store, slot: Slot, now: Nanos) -> i32 {
        let age = Tick::from_nanos(now).since(table.creation(slot));
        self.settings.filter.min_ticks().saturating_sub(age.max(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Removal;
    use crate::sync::fixture::{MS, Node, S, settings, state};
    use crate::sync::{Filter, SyncSettings};
    use pfsync::{Action, Profile};

    fn filtered(change: impl FnOnce(&mut Filter)) -> Node {
        let mut settings: SyncSettings = settings(&[Profile::OpenBsd6]);
        change(&mut settings.filter);
        Node::new(settings)
    }

    #[test]
    fn a_state_of_an_excluded_protocol_is_counted_and_never_sent() {
        let mut node = filtered(|filter| filter.exclude(17));
        let mut record = state(0);
        record.hot.key.proto = 17;
        let slot = node.put(&record);
        node.exporter.inserted(&mut node.table, slot, node.now);
        node.update(slot);
        node.remove(slot, Removal::Expired);
        assert!(node.wait(10 * S).sent().is_empty());
        assert_eq!(node.exporter.counters.states_left_out, 1);
    }

    #[test]
    fn a_state_is_sent_once_it_has_reached_the_minimum_age() {
        let mut node = filtered(|filter| filter.min_age = 500 * MS);
        let slot = node.insert(0);
        node.update(slot);
        assert!(node.wait(499 * MS).sent().is_empty());
        assert_eq!(node.exporter.exposure(node.now).creations, 1, "a takeover would lose it");
        let mut waited = 499;
        while node.wait(MS).sent().is_empty() {
            waited += 1;
            assert!(waited < 540, "at most a tick and the insert age later");
        }
        assert_eq!(node.exporter.exposure(node.now).creations, 0);
        node.update(slot);
        assert_eq!(node.wait(S).sent(), [[(Action::UpdateCompressed, 1)]]);
    }

    #[test]
    fn a_state_that_ends_below_the_minimum_age_is_counted_and_never_sent() {
        let mut node = filtered(|filter| filter.min_age = 500 * MS);
        for n in 0..3000 {
            let mut record = state(n);
            record.cold.creation = Tick::from_nanos(node.now);
            let slot = node.put(&record);
            node.exporter.inserted(&mut node.table, slot, node.now);
            if n % 3 > 0 {
                node.remove(slot, Removal::Expired);
            }
        }
        assert_eq!(node.exporter.counters.states_left_out, 2000);
        let sent = node.wait(S).sent().concat();
        assert!(sent.iter().all(|&(action, _)| action == Action::Insert));
        assert_eq!(sent.iter().map(|&(_, count)| u32::from(count)).sum::<u32>(), 1000);
    }
}
