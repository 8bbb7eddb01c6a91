//! Peers' messages in the lane that owns their states.

use super::super::exchange::{Rings, SyncLaneMessage};
use super::super::tracker::Tracker;
use crate::error::Error;
use crate::memory::{Heap, List};
use crate::state::StateId;
use crate::sync::{Applied, Body, Message, MessageRef, Refused, apply, key_of};
use crate::table::{PrefetchHint, PrefetchQueue};
use crate::time::Nanos;
use arrayvec::ArrayVec;
use pfsync::FullState;

/// Messages applied per batch; their cache lines are prefetched together (about 400 bytes each).
const APPLY_BATCH: usize = 16;

/// Messages from the sync lane that are applied next, together.
pub(in super::super) struct Inbox {
    /// At most [`APPLY_BATCH`].
    pending: List<Message>,
    /// Messages of the sync lane applied so far, modulo 2^32.
    pub applied_count: u32,
}

impl Inbox {
    pub(crate) fn new(heap: Heap) -> Result<Self, Error> {
        Ok(Self { pending: heap.list("messages of peers", APPLY_BATCH)?, applied_count: 0 })
    }

    /// Returns the bytes that [`Self::new`] allocates.
    pub(crate) const fn memory_needed() -> usize {
        APPLY_BATCH * size_of::<Message>()
    }

    /// Enqueues a message, and applies all pending ones when the batch is full.
    pub(crate) fn enqueue(
        &mut self,
        message: &Message,
        tracker: &mut Tracker,
        rings: &mut Rings,
        now: Nanos,
    ) {
        self.pending.push(*message);
        if self.pending.len() == APPLY_BATCH {
            self.apply_pending(tracker, rings, now);
        }
    }

    /// Applies the pending messages in order.
    pub(crate) fn apply_pending(&mut self, tracker: &mut Tracker, rings: &mut Rings, now: Nanos) {
        let mut prefetches = PrefetchQueue::default();
        let mut ahead = self.pending.chunks(PrefetchQueue::MAX_STATES);
        (0..PrefetchQueue::DEPTH).for_each(|_| prefetch(&mut prefetches, tracker, ahead.next()));
        for messages in self.pending.chunks(PrefetchQueue::MAX_STATES) {
            prefetch(&mut prefetches, tracker, ahead.next());
            for message in messages {
                self.applied_count = self.applied_count.wrapping_add(1);
                if let Some(refused) = tracker.apply(&message.borrowed(), now) {
                    if refused.lasts {
                        // Without it, the state is requested and refused again.
                        let _ = rings.send_to_sync_lane(SyncLaneMessage::Refused(refused.id));
                    }
                    report_ended(tracker, rings, refused.id, self.applied_count);
                }
            }
        }
        self.pending.clear();
    }
}

fn prefetch(prefetches: &mut PrefetchQueue, tracker: &Tracker, messages: Option<&[Message]>) {
    let list: ArrayVec<PrefetchHint, { PrefetchQueue::MAX_STATES }> =
        messages.unwrap_or_default().iter().filter_map(Message::prefetch_hint).collect();
    tracker.exporter.ends.prefetch(&list);
    prefetches.advance(&tracker.table, &list);
}

/// Reports to the sync lane that this lane does not have a state of another node, so that its directory forgets the state.
pub(in super::super) fn report_ended(tracker: &mut Tracker, rings: &mut Rings, id: StateId, applied: u32) {
    let sent = rings.send_to_sync_lane(SyncLaneMessage::Ended { id, applied });
    tracker.counters.messages_lost += u64::from(!sent);
}

/// A state that was refused and is not in this lane.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct RefusedState {
    id: StateId,
    /// The reason lasts, see [`crate::sync::Refused::lasts`].
    lasts: bool,
}

impl Tracker {
    /// Applies a peer's message. Returns the state that was refused and is not in this lane.
    pub(crate) fn apply(&mut self, message: &MessageRef<'_>, now: Nanos) -> Option<RefusedState> {
        let state = match &message.body {
            Body::Insert(state) | Body::Update { state, .. } => Some(*state),
            _ => None,
        };
        if let Some(state) = state
            && self.is_misdirected(state)
        {
            self.exporter.counters.imports_refused_wrong_lane += 1;
            self.exporter.note_refused(message.origin, state.id.into(), Refused::Invalid);
            return Some(RefusedState { id: state.id.into(), lasts: false });
        }
        if let Some(state) = state
            && self.table.find_id(state.id.into()).is_none()
            && self.is_key_of_another_lane([&key_of(&state.key[0]), &key_of(&state.key[1])], now)
        {
            self.exporter.counters.imports_refused_key_collision += 1;
            self.exporter.counters.imports_refused_translation_collision += 1;
            self.exporter.note_refused(message.origin, state.id.into(), Refused::KeyCollision);
            return Some(RefusedState { id: state.id.into(), lasts: Refused::KeyCollision.lasts() });
        }
        let applied = apply(&mut self.table, &mut self.exporter, &self.timeouts, message, now);
        self.publish_aliases();
        let lasts = match applied {
            Applied::Refused(why) => why.lasts(),
            Applied::Ended => false,
            _ => return None,
        };
        let id = state?.id.into();
        self.table.find_id(id).is_none().then_some(RefusedState { id, lasts })
    }

    /// Returns whether a new state was brought here by its id, which this lane issued or had before, although none of its
    /// keys steers here: no packet would ever find it. A sound peer sends no such state.
    fn is_misdirected(&self, state: &FullState) -> bool {
        let steers_here = |key| u16::from(self.steering.lane_of(&key_of(key))) == self.lane.index;
        self.lane.lanes > 1
            && !state.key.iter().any(steers_here)
            && self.table.find_id(state.id.into()).is_none()
    }
}
