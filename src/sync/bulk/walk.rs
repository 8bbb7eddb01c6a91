//! A lane's part of a bulk transfer: all its states in slot order, once around the table, into frames.

use super::responder::WalkOrder;
use super::window::Window;
use crate::error::Error;
use crate::memory::{Heap, Owned};
use crate::sync::export::Exporter;
use crate::sync::message::PeerIndex;
use crate::sync::settings::MAX_PEERS;
use crate::sync::store::Store;
use crate::time::Nanos;
use arrayvec::ArrayVec;

/// The walks of a lane, one per peer.
#[derive(Debug)]
pub(in crate::sync) struct Walks {
    walks: [Option<Walk>; MAX_PEERS],
    /// The peer that had the last frame.
    last_peer: PeerIndex,
    /// Frames left in this burst, by [`Pace`].
    budget: [u32; 2],
    /// How far the walks to pfplane nodes run ahead.
    pub windows: [Window; MAX_PEERS],
    /// When the next burst starts.
    pub next_burst: Nanos,
    /// Walks that have ended, in order.
    finished: ArrayVec<WalkOrder, { 2 * MAX_PEERS }>,
}

/// What limits the frames of a walk in one burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sync) enum Pace {
    /// The peer reports nothing.
    Fixed = 0,
    /// The peer reports what it receives.
    Windowed = 1,
}

/// One walk: `left` slots from `at` on are still to be sent, and the first one follows the last.
#[derive(Clone, Copy, Debug)]
pub(in crate::sync) struct Walk {
    pub order: WalkOrder,
    pub at: u32,
    pub left: u32,
    /// Slots of the table when the walk began.
    end: u32,
}

impl Walk {
    /// Returns a slot behind those that can be examined next in one piece, at most `max`.
    pub(crate) fn stop(&self, max: u32) -> u32 {
        self.at + max.min(self.left).min(self.end - self.at)
    }

    /// Moves to a slot up to [`Self::stop`].
    pub(crate) const fn move_to(&mut self, at: u32) {
        self.left -= at - self.at;
        self.at = if at >= self.end { 0 } else { at };
    }
}

impl Default for Walks {
    fn default() -> Self {
        let finished = ArrayVec::new();
        Self {
            walks: [None; MAX_PEERS],
            last_peer: 0,
            budget: [0; 2],
            windows: [Window::default(); MAX_PEERS],
            next_burst: 0,
            finished,
        }
    }
}

impl Default for WalkOrder {
    fn default() -> Self {
        Self { peer: PeerIndex::MAX, generation: 0 }
    }
}

impl Walks {
    #[inline(never)]
    pub(crate) fn boxed(heap: Heap) -> Result<Owned<Self>, Error> {
        heap.owned("bulk transfers", Self::default())
    }

    pub(crate) fn is_walking(&self) -> bool {
        self.walks.iter().any(Option::is_some)
    }

    /// Returns the walk whose frame may be written now, and what limits it; `None` until [`Self::next_burst`] or a report.
    /// Starts a burst of `frames` when one is due. The peers take turns, whatever they request meanwhile.
    pub(crate) fn next(
        &mut self,
        now: Nanos,
        frames: [u32; 2],
        interval: Nanos,
        pace_of: impl Fn(&Window, PeerIndex) -> Option<Pace>,
    ) -> Option<(Walk, Pace)> {
        if !self.is_walking() {
            return None;
        }
        if now >= self.next_burst {
            self.budget = frames;
            self.next_burst = now.saturating_add(interval);
        }
        let (before, after) = self.walks.split_at(usize::from(self.last_peer) + 1);
        after.iter().chain(before).flatten().find_map(|walk| {
            let pace = pace_of(&self.windows[usize::from(walk.order.peer)], walk.order.peer)?;
            (self.budget[pace as usize] > 0).then_some((*walk, pace))
        })
    }

    /// Notes that a frame was written up to the walk's current position.
    pub(crate) fn written(&mut self, walk: Walk, pace: Pace) {
        self.budget[pace as usize] -= 1;
        self.last_peer = walk.order.peer;
        let current = &mut self.walks[usize::from(walk.order.peer)];
        *current = Some(walk);
        if walk.left == 0 {
            *current = None;
            // There is space: a walk starts only after the previous one was fetched or interrupted.
            let _ = self.finished.try_push(walk.order);
        }
    }
}

impl Exporter {
    /// Starts a bulk transfer to a peer: START, then all states of this lane. Other lanes only walk.
    pub fn begin_walk(&mut self, table: &impl Store, order: WalkOrder) {
        self.bulk_start(order.peer);
        self.bulk_walk(table, order);
    }

    /// Starts to send a peer all states of this lane. A running walk for it continues, and goes once around from its slot.
    pub fn bulk_walk(&mut self, table: &impl Store, order: WalkOrder) {
        if !self.is_active() {
            return;
        }
        if let Some(walk) = self.walks.walks.get_mut(usize::from(order.peer)) {
            let end = table.end();
            let at = walk.map_or(0, |running| running.at).min(end.saturating_sub(1));
            let is_new = walk.is_none();
            *walk = Some(Walk { order, at, left: end, end });
            if is_new {
                self.begin_window(order.peer);
            }
            self.pacing.wake();
        }
    }

    /// Returns a walk whose last frame was written, for [`crate::sync::Responder::lane_finished`].
    pub fn take_finished_walk(&mut self) -> Option<WalkOrder> {
        self.walks.finished.pop_at(0)
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

    #[test]
    fn a_walk_that_is_extended_continues_and_sends_every_state_once_more() {
        let mut node = Node::new(settings(&[Profile::OpenBsd6]));
        (0..100).for_each(|n| _ = node.put(&state(n)));
        let order = |generation| WalkOrder { peer: 0, generation };
        node.exporter.bulk_walk(&node.table, order(1));
        assert_eq!(node.sent().len(), 8);
        (100..200).for_each(|n| _ = node.put(&state(n)));
        node.exporter.bulk_walk(&node.table, order(2));
        let mut sent = Vec::new();
        while node.exporter.is_walking() {
            assert_eq!(node.exporter.take_finished_walk(), None);
            sent.extend(node.wait(MS).ids());
        }
        assert_eq!(sent[..2], [41, 42], "it continues");
        assert_eq!(sent.len(), 200);
        sent.sort_unstable();
        sent.dedup();
        assert_eq!(sent.len(), 200);
        assert_eq!(node.exporter.take_finished_walk(), Some(order(2)));
        assert_eq!(node.exporter.take_finished_walk(), None);
    }

    #[test]
    fn a_peer_that_requests_again_and_again_does_not_starve_the_others() {
        let mut node = Node::new(settings(&[Profile::OpenBsd6, Profile::FreeBsd1400]));
        (0..1000).for_each(|n| _ = node.put(&state(n)));
        node.exporter.bulk_walk(&node.table, WalkOrder { peer: 0, generation: 1 });
        for generation in 1..=100 {
            node.exporter.bulk_walk(&node.table, WalkOrder { peer: 1, generation });
            node.wait(MS).sent();
        }
        assert_eq!(node.exporter.take_finished_walk(), Some(WalkOrder { peer: 0, generation: 1 }));
    }
}
