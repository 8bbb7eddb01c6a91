//! Inserts that a peer is to acknowledge, and has not: the states whose first packets are held.
//!
//! Such a state is exposed until a peer shows that it has the state, also when its packets were released for lack of an
//! answer. What no peer acknowledges, a whole state or a compressed update, counts as safe when it is sent.

use super::Exporter;
use crate::state::{LocalFlags, Queue};
use crate::sync::store::Store;
use crate::table::Slot;
use crate::time::Nanos;

/// The number of such states of a lane.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unacknowledged {
    pub states: u32,
    /// When the number was 0 last.
    pub since: Nanos,
}

impl Exporter {
    /// Notes that the insert of a state is sent. Returns whether a peer is to acknowledge it.
    pub(super) fn await_acknowledgement(&mut self, table: &mut impl Store, slot: Slot, now: Nanos) -> bool {
        if !table.local(slot).has(LocalFlags::DEFERRED) {
            return false;
        }
        let flag = table.unacknowledged_mut(slot);
        if !core::mem::replace(flag, true) {
            if self.unacknowledged.states == 0 {
                self.unacknowledged.since = now;
            }
            self.unacknowledged.states += 1;
        }
        true
    }

    /// Notes that a peer has the state, or that the state ended.
    pub(in crate::sync) fn acknowledged(&mut self, table: &mut impl Store, slot: Slot) {
        if self.unacknowledged.states > 0 && core::mem::take(table.unacknowledged_mut(slot)) {
            self.unacknowledged.states -= 1;
        }
    }

    /// Notes that a bulk transfer has sent the states of these slots.
    pub(super) fn sent_whole(&mut self, table: &mut impl Store, from: u32, end: u32) {
        let mut at = from;
        while self.unacknowledged.states > 0 {
            let Some(slot) = table.next_live_before(at, end) else { break };
            at = slot.0 + 1;
            if !matches!(table.local(slot).queue(), Queue::Insert | Queue::MinAge) {
                self.acknowledged(table, slot);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::fixture::{MS, Node, S, settings, state, timeouts};
    use crate::sync::{Body, Defer, Message, PF_DELAY, Removal, SyncSettings, WalkOrder, apply};
    use pfsync::Profile;

    fn holding() -> Node {
        let defer = Defer { delay: PF_DELAY, max_states: 8 };
        Node::new(SyncSettings { defer, ..settings(&[Profile::OpenBsd6]) })
    }

    fn insert(node: &mut Node, n: u32) -> Slot {
        let mut record = state(n);
        record.hot.local.set(LocalFlags::DEFERRED);
        let slot = node.put(&record);
        node.exporter.inserted(&mut node.table, slot, node.now);
        slot
    }

    fn exposed(node: &mut Node) -> u32 {
        node.exporter.release_expired(&mut node.table, node.now);
        node.exporter.exposure(node.now).creations
    }

    #[test]
    fn a_state_with_a_held_packet_is_exposed_until_a_peer_acknowledges_it() {
        let mut node = holding();
        let slot = insert(&mut node, 0);
        assert_eq!(exposed(&mut node), 1);
        assert_eq!(node.sent().len(), 1);
        assert_eq!(exposed(&mut node), 1, "sent, not acknowledged");
        let id = node.table.cold(slot).id;
        let message = Message { peer: 0, origin: crate::sync::Origin::NONE, body: Body::InsertAck(id) };
        apply(&mut node.table, &mut node.exporter, &timeouts(), &message, node.now);
        assert_eq!(exposed(&mut node), 0);
    }

    #[test]
    fn a_state_that_no_peer_acknowledged_stays_exposed_after_its_packet_was_released() {
        let mut node = holding();
        let slots = [0, 1, 2, 3].map(|n| insert(&mut node, n));
        node.sent();
        node.wait(10 * S);
        assert_eq!(exposed(&mut node), 4);
        assert_eq!(node.exporter.exposure(node.now).oldest, 10 * S);
        assert_eq!(node.exporter.counters.states_released_timeout, 4);
        node.remove(slots[0], Removal::Ended);
        assert_eq!(exposed(&mut node), 3);
        node.exporter.bulk_walk(&node.table, WalkOrder { peer: 0, generation: 1 });
        (0..3).for_each(|_| _ = node.wait(MS).sent());
        assert_eq!(exposed(&mut node), 0, "a peer was sent all of them");
    }
}
