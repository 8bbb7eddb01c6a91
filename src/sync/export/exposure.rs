//! What would be lost if this node died now: kept by the queues themselves, at no cost of its own.

use super::Exporter;
use crate::state::Queue;
use crate::sync::counters::SyncCounters;
use crate::sync::message::PeerIndex;
use crate::sync::peer_counters::PeerCounters;
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

impl Exporter {
    /// States whose last change no peer was sent yet. Cost: a few loads.
    #[must_use]
    pub fn exposure(&self, now: Nanos) -> Exposure {
        self.exposure_of(0, now)
    }

    /// States whose last change this peer was not sent yet. A frame's worth of messages goes to each peer in turn, so a
    /// later one may wait for its own. Cost: a look at the messages of one frame.
    #[must_use]
    pub fn exposure_of(&self, peer: PeerIndex, now: Nanos) -> Exposure {
        let (creations, changes) = self.batch.unsent(peer);
        let len = |queue| self.queues.len(queue);
        let (inserts, young) = (len(Queue::Insert), len(Queue::MinAge));
        let since = (inserts > 0).then_some(self.creations_since);
        let ripe_since = self.ripe_at.saturating_sub(self.settings.filter.min_age);
        let young_since = (young > 0).then_some(ripe_since.min(now));
        let oldest = since.into_iter().chain(young_since).chain(self.aging.oldest()).min();
        Exposure {
            creations: inserts + young + creations,
            changes: len(Queue::UpdateCompressed) + len(Queue::Update) + changes,
            oldest: oldest.map_or(0, |oldest| now.saturating_sub(oldest)),
        }
    }

    /// The counters, with the gauges as they are now; `states` are all that the lane holds.
    #[must_use]
    pub fn counters_now(&self, states: u32, now: Nanos) -> SyncCounters {
        let exposure = self.exposure(now);
        let len = |queue| u64::from(self.queues.len(queue));
        SyncCounters {
            exposed_creations: exposure.creations.into(),
            exposed_changes: exposure.changes.into(),
            oldest_unsent_ns: exposure.oldest,
            made_here_now: states.saturating_sub(self.imported_now).into(),
            imported_now: self.imported_now.into(),
            inserts_queued: len(Queue::Insert),
            young_queued: len(Queue::MinAge),
            updates_queued: len(Queue::Update),
            compressed_queued: len(Queue::UpdateCompressed),
            acks_queued: len(Queue::InsertAck),
            requests_queued: self.requests.len() as u64,
            held_now: self.held.packets() as u64,
            deletes_queued: self.deletes.len() as u64,
            ..self.counters
        }
    }

    /// The counters of one peer, with the gauges as they are now; `None` for one that is not configured.
    #[must_use]
    pub fn peer_counters_now(&self, peer: PeerIndex, now: Nanos) -> Option<PeerCounters> {
        if usize::from(peer) >= self.settings.peers.len() {
            return None;
        }
        let exposure = self.exposure_of(peer, now);
        Some(PeerCounters {
            states_now: self.imported_from[usize::from(peer)].into(),
            exposed_creations: exposure.creations.into(),
            exposed_changes: exposure.changes.into(),
            oldest_unsent_ns: exposure.oldest,
            ..self.peer_counters[usize::from(peer)]
        })
    }

    /// A state that a peer told of first came or went. `origin_peer` is as in the record.
    pub(in crate::sync) fn count_imported(&mut self, origin_peer: u8, change: i32) {
        self.imported_now = self.imported_now.saturating_add_signed(change);
        if let Some(of_peer) = self.imported_from.get_mut(usize::from(origin_peer).wrapping_sub(1)) {
            *of_peer = of_peer.saturating_add_signed(change);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Removal;
    use crate::sync::fixture::{MS, Node, S, settings, state};
    use pfsync::Profile;

    #[test]
    fn exposure_counts_what_no_peer_was_sent_yet() {
        let mut node = Node::open();
        let slot = node.insert(0);
        let old = node.put(&state(1));
        node.update(old);
        node.now += 5 * MS;
        let exposure = node.exporter.exposure(node.now);
        assert_eq!(exposure, Exposure { creations: 1, changes: 1, oldest: 5 * MS });
        node.wait(5 * MS).said();
        assert_eq!(node.exporter.exposure(node.now).creations, 0);
        node.remove(old, Removal::Ended);
        node.remove(slot, Removal::Ended);
        node.wait(S).said();
        assert_eq!(node.exporter.exposure(node.now), Exposure::default());
    }

    #[test]
    fn a_peer_is_exposed_until_its_own_frame_was_written() {
        let mut node = Node::new(settings(&[Profile::OpenBsd6, Profile::FreeBsd1400]));
        (0..3).for_each(|n| _ = node.insert(n));
        let old = node.put(&state(7));
        node.update(old);
        node.wait(S - MS);
        let exposed = |node: &Node| {
            [0, 1].map(|peer| {
                let now = node.exporter.peer_counters_now(peer, node.now).unwrap();
                (now.exposed_creations, now.exposed_changes)
            })
        };
        assert_eq!(exposed(&node), [(3, 1), (3, 1)]);
        assert_eq!(node.exporter.peer_counters_now(0, node.now).unwrap().oldest_unsent_ns, S - MS);
        assert_eq!(node.flush_into(&mut [0; 1500]).unwrap().peer, 0);
        assert_eq!(exposed(&node), [(0, 1), (3, 1)], "the update waits for its second");
        assert_eq!(node.exporter.exposure(node.now).creations, 0, "one peer has been sent them");
        assert_eq!(node.flush_into(&mut [0; 1500]).unwrap().peer, 1);
        assert_eq!(exposed(&node), [(0, 1), (0, 1)]);
        assert_eq!(node.exporter.peer_counters_now(2, node.now), None);
        assert_eq!(node.exporter.peer_counters[1].inserts_sent, 3);
    }

    #[test]
    fn every_queue_s_depth_and_the_states_by_origin_are_shown() {
        let mut node = Node::open();
        let slots: Vec<_> = (0..4).map(|n| node.put(&state(n))).collect();
        node.insert(9);
        node.update(slots[0]);
        node.exporter.answer_request(&mut node.table, slots[1], 0);
        node.exporter.acknowledge(&mut node.table, slots[2], 0);
        node.remove(slots[3], Removal::Ended);
        node.exporter.request_state(0, crate::state::StateId { id: 7, creator: 7 }, 0);
        node.exporter.count_imported(1, 1);
        let now = node.exporter.counters_now(node.table.len(), 0);
        assert_eq!([now.inserts_queued, now.compressed_queued, now.updates_queued], [1; 3]);
        assert_eq!([now.acks_queued, now.deletes_queued, now.requests_queued], [1; 3]);
        assert_eq!((now.made_here_now, now.imported_now), (3, 1));
        assert_eq!(node.exporter.peer_counters_now(0, 0).unwrap().states_now, 1);
    }
}
