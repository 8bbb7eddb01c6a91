//! Exposure: what would be lost if this node died now. The queues and the marks of sent states already hold the numbers.

use super::Exporter;
use super::unacknowledged::Unacknowledged;
use crate::state::Queue;
use crate::sync::counters::{PeerCounters, SyncCounters};
use crate::sync::message::PeerIndex;
use crate::sync::repair::Lacking;
use crate::time::Nanos;

/// What would be lost if this node died now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exposure {
    /// Connections created here that no peer has yet: a takeover breaks them. A pfplane node has what it has reported, another peer
    /// what it was sent or (where first packets are held) has acknowledged.
    pub creations: u32,
    /// Other changes of states that no peer has yet. A state that was sent and changed since may count twice.
    pub changes: u32,
    /// How long the oldest of them has waited, approximately.
    pub oldest: Nanos,
}

impl Exporter {
    /// Returns the exposure to the peer that has most. Cost: a few loads for each peer.
    #[must_use]
    pub fn exposure(&self, now: Nanos) -> Exposure {
        let least = |one: Exposure, other: Exposure| Exposure {
            creations: one.creations.min(other.creations),
            changes: one.changes.min(other.changes),
            oldest: one.oldest.min(other.oldest),
        };
        let peers = self.settings.peers.len().max(1);
        (0..peers).map(|peer| self.exposure_of(peer as PeerIndex, now)).reduce(least).unwrap_or_default()
    }

    /// Returns what this peer does not have yet. A batch is sent to each peer in turn, so a later peer may still wait for its
    /// frame. Cost: a scan of one frame's messages.
    #[must_use]
    pub fn exposure_of(&self, peer: PeerIndex, now: Nanos) -> Exposure {
        let lacking = self.repairs.lacking(peer);
        let (creations, changes) = self.batch.pending_for(peer, lacking.is_some());
        let len = |queue| self.queues.len(queue);
        let (inserts, too_young) = (len(Queue::Insert), len(Queue::MinAge));
        let inserts_since = (inserts > 0).then_some(self.pacing.creations_since);
        let first_created = self.pacing.min_age_at.saturating_sub(self.settings.filter.min_age);
        let too_young_since = (too_young > 0).then_some(first_created.min(now));
        let (sent, sent_since) = lacking.unwrap_or_else(|| {
            let Unacknowledged { states, since } = self.unacknowledged;
            (Lacking { states, changes: 0 }, since)
        });
        let oldest = inserts_since
            .into_iter()
            .chain(too_young_since)
            .chain(self.queues.oldest_update())
            .chain((sent != Lacking::default()).then_some(sent_since))
            .min();
        Exposure {
            creations: inserts + too_young + creations + sent.states,
            changes: len(Queue::UpdateCompressed) + len(Queue::Update) + changes + sent.changes,
            oldest: oldest.map_or(0, |oldest| now.saturating_sub(oldest)),
        }
    }

    /// Returns the counters with current gauges; `states` is the number of states of the lane.
    #[must_use]
    pub fn counters_now(&self, states: u32, now: Nanos) -> SyncCounters {
        let exposure = self.exposure(now);
        let len = |queue| u64::from(self.queues.len(queue));
        SyncCounters {
            exposed_creations: exposure.creations.into(),
            exposed_changes: exposure.changes.into(),
            oldest_unsent_ns: exposure.oldest,
            states_made_here: states.saturating_sub(self.imported.total()).into(),
            states_from_peers: self.imported.total().into(),
            inserts_queued: len(Queue::Insert),
            young_queued: len(Queue::MinAge),
            updates_queued: len(Queue::Update),
            compressed_queued: len(Queue::UpdateCompressed),
            acks_queued: len(Queue::InsertAck),
            repeats_queued: len(Queue::Repeat),
            unacknowledged_now: self.unacknowledged.states.into(),
            requests_queued: self.ids.requests.len() as u64,
            packets_held: self.deferred.packets() as u64,
            deletes_queued: self.ids.deletes.len() as u64,
            ends_forgotten: self.ends.forgotten,
            ..*self.counters
        }
    }

    /// Returns one peer's counters with current gauges; `None` when the peer is not configured.
    #[must_use]
    pub fn peer_counters_now(&self, peer: PeerIndex, now: Nanos) -> Option<PeerCounters> {
        if usize::from(peer) >= self.settings.peers.len() {
            return None;
        }
        let exposure = self.exposure_of(peer, now);
        Some(PeerCounters {
            states_now: self.imported.of_peer(peer).into(),
            exposed_creations: exposure.creations.into(),
            exposed_changes: exposure.changes.into(),
            oldest_unsent_ns: exposure.oldest,
            ..self.peer_counters[usize::from(peer)]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Removal;
    use crate::sync::fixture::{MS, Node, S, settings, state};
    use pfsync::Profile;

    #[test]
    fn exposure_counts_changes_not_yet_sent_to_any_peer() {
        let mut node = Node::open();
        let slot = node.insert(0);
        let old = node.put(&state(1));
        node.update(old);
        node.now += 5 * MS;
        let exposure = node.exporter.exposure(node.now);
        assert_eq!(exposure, Exposure { creations: 1, changes: 1, oldest: 5 * MS });
        node.wait(5 * MS).sent();
        assert_eq!(node.exporter.exposure(node.now).creations, 0);
        node.remove(old, Removal::Ended);
        node.remove(slot, Removal::Ended);
        node.wait(S).sent();
        assert_eq!(node.exporter.exposure(node.now), Exposure::default());
    }

    #[test]
    fn exposure_of_a_peer_lasts_until_its_own_frame_is_written() {
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
        assert_eq!(node.exporter.exposure(node.now).creations, 0, "one peer was sent them");
        assert_eq!(node.flush_into(&mut [0; 1500]).unwrap().peer, 1);
        assert_eq!(exposed(&node), [(0, 1), (0, 1)]);
        assert_eq!(node.exporter.peer_counters_now(2, node.now), None);
        assert_eq!(node.exporter.peer_counters[1].inserts_sent, 3);
    }

    #[test]
    fn counters_show_queue_lengths_and_states_by_origin() {
        let mut node = Node::open();
        let slots: Vec<_> = (0..4).map(|n| node.put(&state(n))).collect();
        node.insert(9);
        node.update(slots[0]);
        node.exporter.answer_request(&mut node.table, slots[1], 0);
        node.exporter.acknowledge(&mut node.table, slots[2], 0);
        node.remove(slots[3], Removal::Ended);
        node.exporter.request_state(0, crate::state::StateId { id: 7, creator: 7 }, 0);
        node.exporter.imported.count(1, 7, 1);
        let now = node.exporter.counters_now(node.table.len(), 0);
        assert_eq!([now.inserts_queued, now.compressed_queued, now.updates_queued], [1; 3]);
        assert_eq!([now.acks_queued, now.deletes_queued, now.requests_queued], [1; 3]);
        assert_eq!((now.states_made_here, now.states_from_peers), (3, 1));
        assert_eq!(node.exporter.peer_counters_now(0, 0).unwrap().states_now, 1);
    }
}
