//! Which states are told to peers: short-lived flows, such as questions to a name server, may be left out.

use super::Exporter;
use super::events::Removal;
use super::queue::Event;
use crate::packet::protocol::PFSYNC;
use crate::state::{Queue, pf_flags};
use crate::sync::store::Store;
use crate::table::Slot;
use crate::time::{NANOS_PER_SECOND, Nanos, TICKS_PER_SECOND, Tick};

const NANOS_PER_TICK: Nanos = NANOS_PER_SECOND / TICKS_PER_SECOND as Nanos;
/// States that become old enough in one call.
const AT_ONCE: u32 = 1024;

/// Which states are told to peers. States of rules with `no-sync` and those of pfsync itself never are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    excluded: [u64; 4],
    /// A state is told once it is so old; one that ends before is never mentioned. Rounded up to ticks.
    pub min_age: Nanos,
}

impl Default for Filter {
    fn default() -> Self {
        let mut filter = Self { excluded: [0; 4], min_age: 0 };
        filter.exclude(PFSYNC);
        filter
    }
}

impl Filter {
    /// Leaves out all states of an IP protocol.
    pub const fn exclude(&mut self, proto: u8) {
        self.excluded[(proto >> 6) as usize] |= 1 << (proto & 63);
    }

    /// Whether states of an IP protocol are told.
    #[inline]
    #[must_use]
    pub const fn includes(&self, proto: u8) -> bool {
        self.excluded[(proto >> 6) as usize] & (1 << (proto & 63)) == 0
    }

    /// The least age in ticks. One more than asked for, since the tick of the creation had begun before.
    fn min_ticks(&self) -> i32 {
        i32::try_from(self.min_age.div_ceil(NANOS_PER_TICK)).map_or(i32::MAX, |ticks| ticks.saturating_add(1))
    }
}

impl Exporter {
    /// States that must never be told: by rule, by protocol, and all when there is nobody to tell.
    pub(super) fn is_replicated(&self, table: &impl Store, slot: Slot) -> bool {
        self.is_active()
            && table.pf_flags(slot) & pf_flags::NOSYNC == 0
            && self.settings.filter.includes(table.proto(slot))
    }

    /// Counts a state that ends without having been told because it was too young.
    pub(super) fn note_unripe(&mut self, queue: Queue, why: Removal) {
        if queue == Queue::MinAge && why != Removal::Flush {
            self.counters.left_out += 1;
        }
    }

    /// States that have become old enough join those to be inserted.
    pub(super) fn ripen(&mut self, table: &mut impl Store, now: Nanos) {
        for _ in 0..AT_ONCE {
            let Some(slot) = self.queues.front(Queue::MinAge) else { break };
            if self.ticks_to_ripen(table, slot, now) > 0 {
                break;
            }
            self.happened(table, slot, Event::Inserted, now);
        }
        self.ripe_at = match self.queues.front(Queue::MinAge) {
            Some(slot) => {
                let ticks = self.ticks_to_ripen(table, slot, now).max(0).cast_unsigned();
                now.saturating_add(Nanos::from(ticks) * NANOS_PER_TICK)
            }
            None => Nanos::MAX,
        };
    }

    fn ticks_to_ripen(&self, table: &impl Store, slot: Slot, now: Nanos) -> i32 {
        let age = Tick::from_nanos(now).since(table.creation(slot));
        self.settings.filter.min_ticks().saturating_sub(age.max(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::SyncSettings;
    use crate::sync::fixture::{MS, Node, S, settings, state};
    use pfsync::{Action, Profile};

    fn filtered(change: impl FnOnce(&mut Filter)) -> Node {
        let mut settings: SyncSettings = settings(&[Profile::OpenBsd6]);
        change(&mut settings.filter);
        Node::new(settings)
    }

    #[test]
    fn every_protocol_is_told_but_pfsync_and_those_left_out() {
        let mut filter = Filter::default();
        assert_eq!((0..=255).filter(|&proto| !filter.includes(proto)).collect::<Vec<_>>(), [PFSYNC]);
        for proto in [0, 17, 64, 255] {
            filter.exclude(proto);
            assert!(!filter.includes(proto) && filter.includes(proto ^ 1));
        }
    }

    #[test]
    fn a_protocol_that_is_left_out_is_counted_and_never_mentioned() {
        let mut node = filtered(|filter| filter.exclude(17));
        let mut record = state(0);
        record.hot.key.proto = 17;
        let slot = node.put(&record);
        node.exporter.inserted(&mut node.table, slot, node.now);
        node.update(slot);
        node.remove(slot, Removal::Expired);
        assert!(node.wait(10 * S).said().is_empty());
        assert_eq!(node.exporter.counters.left_out, 1);
    }

    #[test]
    fn a_state_is_told_once_it_is_old_enough() {
        let mut node = filtered(|filter| filter.min_age = 500 * MS);
        let slot = node.insert(0);
        node.update(slot);
        assert!(node.wait(499 * MS).said().is_empty());
        assert_eq!(node.exporter.exposure(node.now).creations, 1, "it would be lost all the same");
        let mut waited = 499;
        while node.wait(MS).said().is_empty() {
            waited += 1;
            assert!(waited < 540, "a tick for the creation's and the age of inserts on top");
        }
        assert_eq!(node.exporter.exposure(node.now).creations, 0);
        node.update(slot);
        assert_eq!(node.wait(S).said(), [[(Action::UpdateCompressed, 1)]]);
    }

    #[test]
    fn a_state_that_ends_young_is_never_mentioned_and_counted() {
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
        assert_eq!(node.exporter.counters.left_out, 2000);
        let told = node.wait(S).said().concat();
        assert!(told.iter().all(|&(action, _)| action == Action::Insert));
        assert_eq!(told.iter().map(|&(_, count)| u32::from(count)).sum::<u32>(), 1000);
    }
}
