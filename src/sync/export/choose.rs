//! Which messages go into the next frame.
//!
//! Regions are in OpenBSD's order towards every peer: acknowledgements, compressed updates, deletes, inserts, full
//! updates. FreeBSD's own senders put inserts first, so that a reused key collides with the state that the delete behind
//! it ends (protocol 2.3); its receivers take any order. For the same reason deletes leave before inserts do.

use super::Exporter;
use super::batch::{Fit, Item};
use crate::state::Queue;
use crate::sync::message::PeerIndex;
use crate::sync::store::Store;
use crate::table::Slot;
use crate::time::Nanos;
use pfsync::Action;

/// What became of the choice.
pub(super) enum Chosen {
    Some,
    Nothing,
    NoRoom,
}

impl Exporter {
    /// Takes the next frame's worth of messages out of their queues.
    pub(super) fn choose(&mut self, table: &mut impl Store, now: Nanos, room: usize) -> Chosen {
        let urgent = self.queues.len(Queue::Update) + self.queues.len(Queue::InsertAck) + self.aging.due();
        let waiting = self.creations_waiting();
        let aged = waiting > 0 && now >= self.creations_since.saturating_add(self.settings.insert_age);
        if !self.requests.is_empty() {
            return self.choose_requests(room);
        }
        if urgent == 0 && !aged && !(self.creations_due && waiting > 0) {
            self.creations_due = false;
            return Chosen::Nothing;
        }
        let peers = PeerIndex::try_from(self.settings.peers.len()).unwrap_or(0);
        self.batch.open(0, peers);
        self.fill(table, room);
        if self.batch.items.is_empty() {
            self.batch.close();
            return Chosen::NoRoom;
        }
        if self.creations_waiting() == 0 {
            self.creations_due = false;
        }
        Chosen::Some
    }

    /// Acknowledgements and deletes are short and go first, then inserts and compressed updates take turns at going
    /// before the other, so that neither keeps the other waiting for ever.
    fn fill(&mut self, table: &mut impl Store, room: usize) {
        let mut fit = Fit::new(&self.settings, room);
        let acks = fit.claim(Action::InsertAck, self.queues.len(Queue::InsertAck));
        let waiting_deletes = u32::try_from(self.deletes.len()).unwrap_or(u32::MAX);
        let deletes = fit.claim(Action::DeleteCompressed, waiting_deletes);
        // A new state may have the key of one whose delete still waits.
        let inserts = if deletes == waiting_deletes { self.queues.len(Queue::Insert) } else { 0 };
        self.odd_turn = !self.odd_turn;
        let mut updates = 0;
        if self.odd_turn {
            updates = fit.claim(Action::UpdateCompressed, self.aging.due());
        }
        let inserts = fit.claim(Action::Insert, inserts);
        let full = fit.claim(Action::Update, self.queues.len(Queue::Update));
        if !self.odd_turn {
            updates = fit.claim(Action::UpdateCompressed, self.aging.due());
        }
        self.aging.taken(updates);
        self.take(table, Queue::InsertAck, Action::InsertAck, acks);
        self.take(table, Queue::UpdateCompressed, Action::UpdateCompressed, updates);
        for id in (0..deletes).map_while(|_| self.deletes.pop()) {
            self.batch.push(Item { action: Action::DeleteCompressed, slot: Slot::NONE, id });
        }
        self.take(table, Queue::Insert, Action::Insert, inserts);
        self.take(table, Queue::Update, Action::Update, full);
    }

    fn take(&mut self, table: &mut impl Store, queue: Queue, action: Action, count: u32) {
        for _ in 0..count {
            let Some(slot) = self.queues.pop(table, queue) else { break };
            let id = table.id(slot);
            self.batch.push(Item { action, slot, id });
        }
    }

    /// Requests go to the peer that told of the state, in a frame of their own.
    fn choose_requests(&mut self, room: usize) -> Chosen {
        let Some(&(peer, _)) = self.requests.front() else { return Chosen::Nothing };
        let count = Fit::new(&self.settings, room).claim(Action::UpdateRequest, 64);
        if count == 0 {
            return Chosen::NoRoom;
        }
        self.batch.open(peer, peer + 1);
        for _ in 0..count {
            match self.requests.front() {
                Some(&(same, id)) if same == peer => {
                    self.batch.push(Item { action: Action::UpdateRequest, slot: Slot::NONE, id });
                    self.requests.pop();
                }
                _ => break,
            }
        }
        Chosen::Some
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Removal;
    use crate::sync::fixture::{Node, S, state};

    #[test]
    fn a_reused_key_is_told_after_the_delete_of_its_former_owner() {
        let mut node = Node::open();
        let slots: Vec<Slot> = (0..300).map(|n| node.put(&state(n))).collect();
        for &slot in &slots {
            node.remove(slot, Removal::Ended);
        }
        let mut again = state(299);
        again.cold.id.id = 9999;
        let slot = node.put(&again);
        node.exporter.inserted(&mut node.table, slot, node.now);
        let said: Vec<_> = node.wait(S).said().concat();
        let deletes = said.iter().filter(|(action, _)| *action == Action::DeleteCompressed);
        assert_eq!(deletes.map(|(_, count)| count).sum::<u16>(), 300);
        assert_eq!(said.last(), Some(&(Action::Insert, 1)));
    }
}
