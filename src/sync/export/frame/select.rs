//! Which messages go into the next frame.
//!
//! Regions are in OpenBSD's order for every peer: acknowledgements, compressed updates, deletes, inserts, full updates.
//! FreeBSD sends inserts before deletes, so a reused key collides with the state that the delete is about (protocol
//! 2.3); its receivers accept any order. For the same reason deletes are sent in an earlier or the same frame as inserts.

use super::batch::FrameSpace;
use crate::state::{LocalFlags, Queue};
use crate::sync::export::Exporter;
use crate::sync::message::PeerIndex;
use crate::sync::store::Store;
use crate::table::Slot;
use crate::time::{NANOS_PER_TICK, Nanos, Tick};
use pfsync::Action;

/// Maximum number of requests in a frame.
const MAX_REQUESTS: u32 = 64;

/// Result of the selection.
pub(super) enum Selection {
    /// The batch holds messages.
    Selected,
    /// Nothing is due.
    Nothing,
    /// The buffer is too short for any message.
    BufferTooShort,
}

impl Exporter {
    /// Takes the messages of the next frame, of at most `max_bytes` bytes, from their queues.
    pub(super) fn select(&mut self, table: &mut impl Store, now: Nanos, max_bytes: usize) -> Selection {
        if !self.ids.requests.is_empty() {
            return self.select_requests(max_bytes);
        }
        let answers = self.due_answers(now);
        let (queues, pacing) = (&self.queues, &mut self.pacing);
        let urgent = answers + queues.len(Queue::InsertAck) + queues.due_updates() + queues.due_repeats();
        let waiting = queues.len(Queue::Insert) as usize + self.ids.deletes.len();
        let aged = waiting > 0 && now >= pacing.creations_since.saturating_add(self.settings.insert_age);
        if urgent == 0 && !aged && !(pacing.creations_due && waiting > 0) {
            pacing.creations_due = false;
            return Selection::Nothing;
        }
        let peers = PeerIndex::try_from(self.settings.peers.len()).unwrap_or(0);
        self.batch.open(0, peers);
        self.fill_batch(table, max_bytes, answers, now);
        if self.batch.items.is_empty() {
            self.batch.close();
            return Selection::BufferTooShort;
        }
        if self.waiting_creations() == 0 {
            self.pacing.creations_due = false;
        }
        Selection::Selected
    }

    /// Reserves space for acknowledgements and deletes first: they are short. Inserts and compressed updates alternate in
    /// coming next, so that neither delays the other for ever.
    fn fill_batch(&mut self, table: &mut impl Store, max_bytes: usize, answers: u32, now: Nanos) {
        let mut space = FrameSpace::new(&self.settings, max_bytes);
        let acks = space.reserve(Action::InsertAck, self.queues.len(Queue::InsertAck));
        let waiting_deletes = u32::try_from(self.ids.deletes.len()).unwrap_or(u32::MAX);
        let deletes = space.reserve(Action::DeleteCompressed, waiting_deletes);
        // A new state may have the key of one whose delete still waits.
        let inserts = if deletes == waiting_deletes { self.queues.len(Queue::Insert) } else { 0 };
        self.batch.updates_first = !self.batch.updates_first;
        let due_updates = self.queues.due_updates();
        let with_repeats = due_updates + self.queues.due_repeats();
        let mut updates = 0;
        if self.batch.updates_first {
            updates = space.reserve(Action::UpdateCompressed, with_repeats);
        }
        let inserts = space.reserve(Action::Insert, inserts);
        let full = space.reserve(Action::Update, answers);
        self.answer_pace.take(full);
        if !self.batch.updates_first {
            updates = space.reserve(Action::UpdateCompressed, with_repeats);
        }
        let repeats = updates.saturating_sub(due_updates);
        self.take(table, Queue::InsertAck, Action::InsertAck, acks, now);
        self.take(table, Queue::Repeat, Action::UpdateCompressed, repeats, now);
        self.take(table, Queue::UpdateCompressed, Action::UpdateCompressed, updates - repeats, now);
        self.counters.repeats_sent += u64::from(repeats);
        for id in (0..deletes).map_while(|_| self.ids.deletes.pop()) {
            self.batch.push(Action::DeleteCompressed, Slot::NONE, id);
        }
        self.take(table, Queue::Insert, Action::Insert, inserts, now);
        self.take(table, Queue::Update, Action::Update, full, now);
    }

    /// Returns how many whole states may be sent in answer to requests now: half as many as a bulk transfer sends.
    fn due_answers(&mut self, now: Nanos) -> u32 {
        let per_burst = self.settings.bulk_frames.div_ceil(2) * self.pacing.states_per_frame();
        let allowed = self.answer_pace.allowance(per_burst, self.settings.bulk_interval, now);
        self.queues.len(Queue::Update).min(allowed)
    }

    fn take(&mut self, table: &mut impl Store, queue: Queue, action: Action, count: u32, now: Nanos) {
        for _ in 0..count {
            let Some(slot) = self.queues.pop(table, queue) else { break };
            table.mark_sent(slot);
            self.batch.push(action, slot, table.id(slot));
            if matches!(queue, Queue::Insert | Queue::UpdateCompressed) {
                self.queue_repeat(table, slot, now);
            }
            if queue == Queue::Repeat {
                self.batch.is_repeat();
            }
            if queue == Queue::Insert && self.await_acknowledgement(table, slot, now) {
                self.batch.awaits_ack();
            }
        }
    }

    /// Queues a repeat of what is sent of a young state, so that one lost frame does not leave the peers without it. If the
    /// state changes meanwhile, its update takes the place of the repeat.
    fn queue_repeat(&mut self, table: &mut impl Store, slot: Slot, now: Nanos) {
        let age = Tick::from_nanos(now).since(table.creation(slot)).max(0).cast_unsigned();
        if Nanos::from(age) * NANOS_PER_TICK < self.settings.repeat_age
            && table.local(slot).has(LocalFlags::LOCAL_TRAFFIC)
        {
            self.queues.push_back(table, slot, Queue::Repeat, now);
        }
    }

    /// Selects requests: they go only to the peer that sent the state's update, in a frame of their own.
    fn select_requests(&mut self, max_bytes: usize) -> Selection {
        let requests = &mut self.ids.requests;
        let Some(&(peer, _)) = requests.front() else { return Selection::Nothing };
        let count = FrameSpace::new(&self.settings, max_bytes).reserve(Action::UpdateRequest, MAX_REQUESTS);
        if count == 0 {
            return Selection::BufferTooShort;
        }
        self.batch.open(peer, peer + 1);
        for _ in 0..count {
            match requests.front() {
                Some(&(same, id)) if same == peer => {
                    self.batch.push(Action::UpdateRequest, Slot::NONE, id);
                    requests.pop();
                }
                _ => break,
            }
        }
        Selection::Selected
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::fixture::{MS, Node, S, settings, state};
    use crate::sync::{Removal, SyncSettings};
    use pfsync::Profile;

    #[test]
    fn the_insert_of_a_reused_key_is_sent_after_the_delete_of_its_former_state() {
        let mut node = Node::open();
        let slots: Vec<Slot> = (0..300).map(|n| node.put(&state(n))).collect();
        for &slot in &slots {
            node.remove(slot, Removal::Ended);
        }
        let mut reused = state(299);
        reused.cold.id.id = 9999;
        let slot = node.put(&reused);
        node.exporter.inserted(&mut node.table, slot, node.now);
        let sent: Vec<_> = node.wait(S).sent().concat();
        let deletes = sent.iter().filter(|(action, _)| *action == Action::DeleteCompressed);
        assert_eq!(deletes.map(|(_, count)| count).sum::<u16>(), 300);
        assert_eq!(sent.last(), Some(&(Action::Insert, 1)));
    }

    #[test]
    fn answers_to_requests_are_paced_and_other_messages_do_not_wait_for_them() {
        let mut node = Node::open();
        let slots: Vec<Slot> = (0..1000).map(|n| node.put(&state(n))).collect();
        for &slot in &slots {
            node.exporter.answer_request(&mut node.table, slot, node.now);
        }
        assert_eq!(node.sent(), vec![vec![(Action::Update, 5)]; 4], "half of the frames of a bulk transfer");
        assert!(node.wait(MS / 2).sent().is_empty());
        node.exporter.acknowledge(&mut node.table, slots[0], node.now);
        let mut milliseconds = 1;
        while node.exporter.exposure(node.now).changes > 0 {
            let sent = node.wait(MS).sent().concat();
            let answers = sent.iter().filter(|(action, _)| *action == Action::Update);
            let answers: u16 = answers.map(|(_, count)| count).sum();
            assert!(answers <= 20, "{answers}");
            milliseconds += 1;
        }
        assert_eq!(milliseconds, 50);
        assert_eq!(node.exporter.counters.requests_limited, 0);
        for &slot in &slots {
            node.exporter.answer_request(&mut node.table, slot, node.now);
        }
        assert_eq!(
            node.exporter.counters.requests_limited, 1000,
            "each state once a second, whatever their number"
        );
    }

    #[test]
    fn what_is_sent_of_a_young_state_is_repeated_once() {
        let mut node = Node::new(SyncSettings { repeat_age: 10 * S, ..settings(&[Profile::OpenBsd6]) });
        let quiet = node.insert(0);
        assert_eq!(node.wait(10 * MS).sent(), [[(Action::Insert, 1)]]);
        assert_eq!(node.exporter.exposure(node.now).changes, 0, "a repeat is no change");
        assert_eq!(node.wait(S).sent(), [[(Action::UpdateCompressed, 1)]]);
        assert!(node.wait(9 * S).sent().is_empty(), "once");
        node.update(quiet);
        assert_eq!(node.wait(S).sent(), [[(Action::UpdateCompressed, 1)]]);
        assert!(node.wait(9 * S).sent().is_empty(), "it is no longer young");
        assert_eq!(node.exporter.counters.repeats_sent, 1);
    }

    #[test]
    fn a_change_takes_the_place_of_a_repeat_and_is_repeated_itself() {
        let mut node = Node::new(SyncSettings { repeat_age: 10 * S, ..settings(&[Profile::OpenBsd6]) });
        let mut record = state(0);
        record.cold.creation = Tick::from_nanos(5 * S);
        node.now = 5 * S;
        let slot = node.put(&record);
        node.exporter.inserted(&mut node.table, slot, node.now);
        node.wait(10 * MS).sent();
        node.wait(S / 2).update(slot);
        assert!(node.wait(S - MS).sent().is_empty());
        assert_eq!(node.wait(MS).sent(), [[(Action::UpdateCompressed, 1)]]);
        assert_eq!(node.exporter.counters.repeats_sent, 0);
        assert_eq!(node.wait(S).sent(), [[(Action::UpdateCompressed, 1)]]);
        assert_eq!(node.exporter.counters.repeats_sent, 1);
        node.remove(slot, Removal::Ended);
        assert_eq!(node.wait(S).sent(), [[(Action::DeleteCompressed, 1)]]);
    }
}
