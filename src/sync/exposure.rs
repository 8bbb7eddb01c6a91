//! What would be lost if this node died now: kept by the queues themselves, at no cost of its own.

use super::counters::SyncCounters;
use super::outbound::Outbound;
use crate::state::Queue;
use crate::time::Nanos;

/// What would be lost if this node died now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exposure {
    /// Connections made here that no peer was told of yet: they break if this node dies now.
    pub creations: u32,
    /// States with another change that no peer was told of yet.
    pub changes: u32,
    /// How long the oldest of them has waited, about.
    pub oldest: Nanos,
}

impl Outbound {
    /// States whose last change no peer was sent yet. Cost: a few loads.
    #[must_use]
    pub fn exposure(&self, now: Nanos) -> Exposure {
        let changes = self.queues.len(Queue::UpdateCompressed) + self.queues.len(Queue::Update);
        let inserts = self.queues.len(Queue::Insert);
        let creations = inserts + self.queues.len(Queue::Young);
        let since = (inserts > 0).then_some(self.creations_since);
        let oldest = since.into_iter().chain(self.aging.oldest()).min();
        Exposure {
            creations: creations + self.batch.creations,
            changes: changes + self.batch.changes,
            oldest: oldest.map_or(0, |oldest| now.saturating_sub(oldest)),
        }
    }

    /// The counters, with the gauges as they are now.
    #[must_use]
    pub fn counters_now(&self) -> SyncCounters {
        let exposure = self.exposure(0);
        SyncCounters {
            exposed_creations: exposure.creations.into(),
            exposed_changes: exposure.changes.into(),
            imported_now: self.imported_now.into(),
            held_now: self.held.packets() as u64,
            deletes_queued: self.deletes.len() as u64,
            ..self.counters
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Removal;
    use super::super::fixture::{MS, Node, S, state};
    use super::*;

    #[test]
    fn exposure_counts_what_no_peer_was_sent_yet() {
        let mut node = Node::open();
        let slot = node.insert(0);
        let old = node.put(&state(1));
        node.update(old);
        node.now += 5 * MS;
        let exposure = node.outbound.exposure(node.now);
        assert_eq!(exposure, Exposure { creations: 1, changes: 1, oldest: 5 * MS });
        node.wait(5 * MS).said();
        assert_eq!(node.outbound.exposure(node.now).creations, 0);
        node.remove(old, Removal::Ended);
        node.remove(slot, Removal::Ended);
        node.wait(S).said();
        assert_eq!(node.outbound.exposure(node.now), Exposure::default());
    }
}
