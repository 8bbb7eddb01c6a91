//! A lane's part of a bulk transfer: all its states in slot order, from the table into frames.

use super::responder::WalkOrder;
use crate::sync::export::Exporter;
use crate::sync::message::PeerIndex;
use crate::sync::ring::Ring;
use crate::sync::settings::MAX_PEERS;
use crate::sync::store::Store;
use crate::time::Nanos;

/// The walks of a lane, one per peer.
#[derive(Debug)]
pub(in crate::sync) struct Walks {
    walks: [Option<Walk>; MAX_PEERS],
    /// Frames left in this burst.
    budget: u32,
    /// When the next burst starts.
    pub next_burst: Nanos,
    finished: Ring<WalkOrder>,
}

/// One walk: the slots from `at` to before `end` are still to be sent.
#[derive(Clone, Copy, Debug)]
pub(in crate::sync) struct Walk {
    pub order: WalkOrder,
    pub at: u32,
    pub end: u32,
}

impl Default for Walks {
    fn default() -> Self {
        Self { walks: [None; MAX_PEERS], budget: 0, next_burst: 0, finished: Ring::new(2 * MAX_PEERS) }
    }
}

impl Default for WalkOrder {
    fn default() -> Self {
        Self { peer: PeerIndex::MAX, generation: 0 }
    }
}

impl Walks {
    pub(crate) fn is_walking(&self) -> bool {
        self.walks.iter().any(Option::is_some)
    }

    /// Returns the walk whose frame is next: the peers alternate.
    pub(crate) fn current(&self) -> Option<Walk> {
        self.walks.iter().flatten().min_by_key(|walk| walk.at).copied()
    }

    /// Whether a frame may be written now; `false` until [`Self::next_burst`]. Starts a burst when one is due.
    pub(crate) fn may_write(&mut self, now: Nanos, frames: u32, interval: Nanos) -> bool {
        if now >= self.next_burst {
            self.budget = frames;
            self.next_burst = now.saturating_add(interval);
        }
        self.budget > 0
    }

    /// Notes that a frame was written up to the walk's current position.
    pub(crate) fn written(&mut self, walk: Walk) {
        self.budget -= 1;
        let current = &mut self.walks[usize::from(walk.order.peer)];
        *current = Some(walk);
        if walk.at >= walk.end {
            *current = None;
            // There is space: a walk starts only after the previous one was fetched or interrupted.
            let _ = self.finished.push(walk.order);
        }
    }
}

impl Exporter {
    /// Starts a bulk transfer to a peer: START, then all states of this lane. Other lanes only walk.
    pub fn begin_walk(&mut self, table: &impl Store, order: WalkOrder) {
        self.bulk_start(order.peer);
        self.bulk_walk(table, order);
    }

    /// Starts to send a peer all states of this lane. A running walk for it restarts.
    pub fn bulk_walk(&mut self, table: &impl Store, order: WalkOrder) {
        if !self.is_active() {
            return;
        }
        if let Some(walk) = self.walks.walks.get_mut(usize::from(order.peer)) {
            *walk = Some(Walk { order, at: 0, end: table.end() });
            self.pacing.wake();
        }
    }

    /// Returns a walk whose last frame was written, for [`crate::sync::Responder::lane_finished`].
    pub fn take_finished_walk(&mut self) -> Option<WalkOrder> {
        self.walks.finished.pop()
    }

    /// Whether this lane is sending all its states to a peer.
    #[must_use]
    pub fn is_walking(&self) -> bool {
        self.walks.is_walking()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::fixture::{MS, Node, settings, state};
    use pfsync::{Action, Profile};

    #[test]
    fn a_bulk_transfer_starts_and_ends_with_its_marks_and_keeps_its_pace() {
        let mut node = Node::new(settings(&[Profile::OpenBsd6, Profile::FreeBsd1400]));
        (0..100).for_each(|n| _ = node.put(&state(n)));
        node.exporter.bulk_start(1);
        node.exporter.bulk_walk(&node.table, WalkOrder { peer: 1, generation: 1 });
        let mut frames = node.frames();
        assert_eq!(frames.remove(0), (1, vec![(Action::BulkStatus, 1)]));
        assert_eq!(frames, vec![(1, vec![(Action::Update, 5)]); 8]);
        assert!(node.wait(MS - 1).frames().is_empty());
        assert_eq!(node.wait(1).frames().len(), 8);
        assert_eq!(node.exporter.take_finished_walk(), None);
        assert_eq!(node.wait(MS).frames().len(), 4);
        assert_eq!(node.exporter.take_finished_walk(), Some(WalkOrder { peer: 1, generation: 1 }));
        node.exporter.bulk_end(1, 0);
        assert_eq!(node.frames(), [(1, vec![(Action::BulkStatus, 1)])]);
        assert_eq!(node.exporter.counters.bulk_states_sent, 100);
    }

    #[test]
    fn a_walk_of_an_empty_table_finishes() {
        let mut node = Node::open();
        node.exporter.bulk_walk(&node.table, WalkOrder { peer: 0, generation: 7 });
        assert!(node.sent().is_empty());
        assert_eq!(node.exporter.take_finished_walk(), Some(WalkOrder { peer: 0, generation: 7 }));
    }
}
