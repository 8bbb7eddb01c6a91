//! What happens to a lane's states, noted for the peers: a few instructions each, rendered when a frame is written.

use super::Exporter;
use super::queue::{Event, Step, step};
use crate::packet::protocol::TCP;
use crate::state::{Hot, LocalFlags, Queue, StateId};
use crate::sync::message::PeerIndex;
use crate::sync::store::Store;
use crate::table::Slot;
use crate::time::{Nanos, TICKS_PER_SECOND, Tick};

/// Both nodes see the flow if a peer's update came less than so many seconds ago (protocol 6.3).
const NETWORK_RECENT_S: u32 = 2;

/// Why a state is about to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// Its time is over. Peers that see its traffic know better: without local traffic nothing is said.
    Expired,
    /// It makes room for a new connection, or an operator ended it.
    Ended,
    /// A peer said so. Never echoed.
    Network,
    /// All are removed: one clear is sent instead ([`Exporter::clear`]).
    Flush,
}

impl Exporter {
    /// A state was made for a packet: call it after it was inserted.
    pub fn inserted(&mut self, table: &mut impl Store, slot: Slot, now: Nanos) {
        if !self.is_replicated(table, slot) {
            self.counters.left_out += u64::from(self.active);
            return;
        }
        let deferred = table.local(slot).has(LocalFlags::DEFERRED);
        let waits = self.settings.filter.min_age > 0 && !deferred;
        self.happened(table, slot, if waits { Event::Born } else { Event::Inserted }, now);
        if deferred {
            self.begin_hold(table, slot, now);
            self.creations_due = true;
            self.deadline = 0;
        }
    }

    /// A packet of the state passed. Cost: a few instructions on the hot record when the state is queued already.
    #[inline]
    pub fn updated(&mut self, table: &mut impl Store, slot: Slot, now: Nanos) {
        if !self.active {
            return;
        }
        match step(Event::Updated, table.local(slot).queue()) {
            Step::Stay => {}
            Step::Count => {
                if table.proto(slot) == TCP {
                    let updates = table.updates_mut(slot);
                    *updates = updates.saturating_add(1);
                    if *updates == self.settings.maxupd.max(1) {
                        self.make_urgent(table, slot);
                    }
                }
            }
            _ => self.update_new(table, slot, now),
        }
        if table.local(slot).has(LocalFlags::NETWORK_RECENT) {
            self.seen_by_both(table, slot, now);
        }
    }

    /// Whether a packet that passes will put the state into a queue, and so write its cold record.
    #[inline(always)]
    #[must_use]
    pub fn will_queue(&self, hot: &Hot) -> bool {
        self.active && hot.local.queue() == Queue::None
    }

    #[inline(never)]
    fn update_new(&mut self, table: &mut impl Store, slot: Slot, now: Nanos) {
        if self.is_replicated(table, slot) {
            self.happened(table, slot, Event::Updated, now);
        }
    }

    /// Both nodes see the flow when a peer updated it less than two seconds ago: each tells the other at once.
    #[cold]
    fn seen_by_both(&mut self, table: &mut impl Store, slot: Slot, now: Nanos) {
        let since = Tick::from_nanos(now).since(table.network_update(slot));
        let limit = (NETWORK_RECENT_S * TICKS_PER_SECOND).cast_signed();
        if (0..limit).contains(&since) {
            self.make_urgent(table, slot);
        } else {
            table.local_mut(slot).clear(LocalFlags::NETWORK_RECENT);
        }
    }

    /// The state is about to be removed: call it before that, whatever the reason.
    pub fn removed(&mut self, table: &mut impl Store, slot: Slot, now: Nanos, why: Removal) {
        let id = table.id(slot);
        self.release(table, slot);
        // Our own of an earlier run come back from peers too.
        let imported = table.local(slot).has(LocalFlags::IMPORTED);
        if self.settings.report_ends && imported && !self.ended.push(id) {
            self.counters.ends_lost += 1;
        }
        if !self.active {
            return;
        }
        if imported {
            self.count_imported(table.origin_peer(slot), -1);
        }
        let queue = table.local(slot).queue();
        self.leave(table, slot);
        self.note_unripe(queue, why);
        if step(Event::Deleted, queue) == Step::Forget
            || !self.is_replicated(table, slot)
            || matches!(why, Removal::Network | Removal::Flush)
        {
            return;
        }
        if why == Removal::Expired && !table.local(slot).has(LocalFlags::LOCAL_TRAFFIC) {
            self.counters.silent_ends += 1;
            return;
        }
        self.say_deleted(id, now);
    }

    /// How many more deletes may be noted. A sweep that ends many states stops here until the next flush: states that
    /// have expired can wait, no lookup returns them.
    #[must_use]
    pub fn delete_capacity(&self) -> usize {
        if self.active { self.deletes.room() } else { usize::MAX }
    }

    /// A peer asked for the state. Leaves at once, whole.
    pub fn answer_request(&mut self, table: &mut impl Store, slot: Slot, now: Nanos) {
        if !self.is_replicated(table, slot) {
            return;
        }
        if self.answer_limit.allows(table.id(slot), Tick::from_nanos(now)) {
            self.happened(table, slot, Event::Requested, now);
        } else {
            self.counters.limited += 1;
        }
    }

    /// A peer's update was older than what we know: tell it, at once, but once a second only, so that two nodes that
    /// disagree settle.
    pub fn answer_stale_update(&mut self, table: &mut impl Store, slot: Slot, now: Nanos) {
        if !self.is_replicated(table, slot) {
            return;
        }
        if self.stale_limit.allows(table.id(slot), Tick::from_nanos(now)) {
            self.happened(table, slot, Event::Updated, now);
            self.make_urgent(table, slot);
        } else {
            self.counters.limited += 1;
        }
    }

    /// A peer that holds a packet waits for this. Leaves at once.
    pub fn acknowledge(&mut self, table: &mut impl Store, slot: Slot, now: Nanos) {
        if self.is_replicated(table, slot) {
            self.happened(table, slot, Event::Acknowledged, now);
        }
    }

    /// A peer told of a state that is not here: ask that peer for it. Leaves at once; once a second for each identity.
    pub fn request_state(&mut self, peer: PeerIndex, id: StateId, now: Nanos) {
        if !self.active || usize::from(peer) >= self.settings.peers.len() {
            return;
        }
        if self.request_limit.allows(id, Tick::from_nanos(now)) {
            self.ask(peer, id);
        } else {
            self.counters.limited += 1;
        }
    }

    pub(super) fn ask(&mut self, peer: PeerIndex, id: StateId) {
        if self.requests.push((peer, id)) {
            self.deadline = 0;
        } else {
            // The next update of it asks again: nothing was asked now.
            self.request_limit.forget(id);
            self.counters.requests_lost += 1;
        }
    }

    /// The next foreign identity whose state ended, for the directory of the sync lane.
    pub fn take_ended(&mut self) -> Option<StateId> {
        self.ended.pop()
    }

    pub(super) fn happened(&mut self, table: &mut impl Store, slot: Slot, event: Event, now: Nanos) {
        let Step::To(queue) = step(event, table.local(slot).queue()) else { return };
        self.leave(table, slot);
        self.join(table, slot, queue, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::protocol::PFSYNC;
    use crate::state::{Record, pf_flags};
    use crate::sync::fixture::{MS, Node, S, settings, state};
    use crate::sync::{SyncSettings, WalkOrder};
    use crate::table::Table;
    use pfsync::{Action, Profile};

    #[test]
    fn what_no_peer_was_told_of_ends_without_a_word() {
        let mut node = Node::open();
        let unsent = node.insert(0);
        node.remove(unsent, Removal::Ended);
        assert!(node.wait(S).said().is_empty());
        let sent = node.insert(1);
        node.wait(S).said();
        node.update(sent);
        node.remove(sent, Removal::Expired);
        assert_eq!(node.wait(S).said(), [[(Action::DeleteCompressed, 1)]]);
        assert!(node.wait(S).said().is_empty());
    }

    #[test]
    fn a_state_without_local_traffic_expires_in_silence_and_is_ended_aloud() {
        for (why, said) in
            [(Removal::Expired, 0), (Removal::Ended, 1), (Removal::Network, 0), (Removal::Flush, 0)]
        {
            let mut node = Node::open();
            let mut record = state(0);
            record.hot.local = LocalFlags(LocalFlags::IMPORTED);
            let slot = node.put(&record);
            node.remove(slot, why);
            assert_eq!(node.wait(S).said().len(), said, "{why:?}");
        }
    }

    #[test]
    fn maxupd_counts_tcp_updates_behind_the_first_one() {
        for (maxupd, packets) in [(0, 2), (1, 2), (5, 6), (255, 256)] {
            let mut node = Node::new(SyncSettings { maxupd, ..settings(&[Profile::OpenBsd6]) });
            let slot = node.put(&state(0));
            for packet in 1..=packets {
                node.update(slot);
                assert_eq!(node.said().len(), usize::from(packet == packets), "maxupd {maxupd}, {packet}");
            }
            let mut other = state(2);
            other.hot.key.proto = 17;
            let slot = node.put(&other);
            (0..1000).for_each(|_| node.update(slot));
            assert!(node.said().is_empty());
        }
    }

    #[test]
    fn a_state_that_both_nodes_see_is_told_at_once_for_two_seconds() {
        let mut node = Node::open();
        let slot = node.put(&state(0));
        node.table.hot_mut(slot).local.set(LocalFlags::NETWORK_RECENT);
        for wait in [0, S, S - 1] {
            node.wait(wait).update(slot);
            assert_eq!(node.said(), [[(Action::UpdateCompressed, 1)]]);
        }
        node.wait(1).update(slot);
        assert!(node.said().is_empty());
        assert!(!node.table.hot(slot).local.has(LocalFlags::NETWORK_RECENT));
    }

    #[test]
    fn answers_leave_at_once_and_once_a_second() {
        let mut node = Node::open();
        let slot = node.put(&state(0));
        for (expected, event) in [
            (Action::Update, Exporter::answer_request as fn(&mut Exporter, &mut Table, Slot, Nanos)),
            (Action::UpdateCompressed, Exporter::answer_stale_update),
        ] {
            event(&mut node.exporter, &mut node.table, slot, node.now);
            assert_eq!(node.said(), [[(expected, 1)]]);
            node.wait(S - 10 * MS);
            event(&mut node.exporter, &mut node.table, slot, node.now);
            assert!(node.said().is_empty());
            node.wait(10 * MS);
            event(&mut node.exporter, &mut node.table, slot, node.now);
            assert_eq!(node.said(), [[(expected, 1)]]);
        }
        node.exporter.acknowledge(&mut node.table, slot, node.now);
        assert_eq!(node.said(), [[(Action::InsertAck, 1)]]);
        assert_eq!(node.exporter.counters.limited, 2);
    }

    #[test]
    fn requests_go_once_to_the_peer_that_told_of_the_state() {
        let mut node = Node::new(settings(&[Profile::OpenBsd6, Profile::FreeBsd1400]));
        for n in [1, 2, 1, 2] {
            node.exporter.request_state(1, StateId { id: n, creator: 9 }, node.now);
        }
        node.exporter.request_state(0, StateId { id: 3, creator: 9 }, node.now);
        node.exporter.request_state(8, StateId { id: 4, creator: 9 }, node.now);
        let request = |count| vec![(Action::UpdateRequest, count)];
        assert_eq!(node.frames(), [(1, request(2)), (0, request(1))]);
        node.wait(S);
        node.exporter.request_state(1, StateId { id: 1, creator: 9 }, node.now);
        assert_eq!(node.frames(), [(1, request(1))]);
    }

    #[test]
    fn a_full_ring_of_deletes_is_counted_and_the_sweep_can_see_it_coming() {
        let mut node = Node::new(SyncSettings { max_deletes: 3, ..settings(&[Profile::OpenBsd6]) });
        for n in 0..5 {
            let slot = node.put(&state(n));
            assert_eq!(node.exporter.delete_capacity(), 3usize.saturating_sub(n as usize));
            node.remove(slot, Removal::Ended);
        }
        assert_eq!(node.exporter.counters.deletes_lost, 2);
        assert_eq!(node.wait(S).said(), [[(Action::DeleteCompressed, 3)]]);
        assert_eq!(node.exporter.delete_capacity(), 3);
    }

    #[test]
    fn states_that_must_not_be_synchronised_are_never_mentioned() {
        for change in
            [(|record: &mut Record| record.hot.pf_flags |= pf_flags::NOSYNC) as fn(&mut Record), |record| {
                record.hot.key.proto = PFSYNC
            }]
        {
            let mut node = Node::open();
            let mut record = state(0);
            change(&mut record);
            let slot = node.put(&record);
            let Node { table, exporter, now, .. } = &mut node;
            exporter.inserted(table, slot, *now);
            exporter.updated(table, slot, *now);
            exporter.answer_request(table, slot, *now);
            exporter.acknowledge(table, slot, *now);
            exporter.answer_stale_update(table, slot, *now);
            exporter.bulk_walk(table, WalkOrder { peer: 0, generation: 1 });
            node.remove(slot, Removal::Ended);
            assert!(node.wait(10 * S).said().is_empty());
        }
    }

    #[test]
    fn the_version_of_a_state_counts_what_this_node_had_to_tell_of_it() {
        let mut node = Node::open();
        let slot = node.insert(0);
        for version in 1..5 {
            assert_eq!(node.table.cold(slot).version, version);
            node.wait(S).said();
            // Many packets are one change.
            (0..9).for_each(|_| node.update(slot));
        }
        node.wait(S).said();
        let (src, dst) = (pfsync::StatePeer::default(), pfsync::StatePeer::default());
        let version = node.table.cold(slot).version;
        crate::sync::Store::merge(&mut node.table, slot, &src, &dst, 2, Tick(9));
        assert_eq!(node.table.cold(slot).version, version, "what a peer says is none");
    }
}
