//! Events: notes for the peers what happened to a lane's states, a few instructions each.

use super::Exporter;
use super::answer_limit::allows_answer;
use super::queue::{Event, Step, step};
use crate::packet::protocol::TCP;
use crate::state::{Hot, LocalFlags, Queue, StateId, pf_flags};
use crate::sync::message::PeerIndex;
use crate::sync::store::Store;
use crate::table::Slot;
use crate::time::{Nanos, TICKS_PER_SECOND, Tick};

/// Both nodes forward a flow if a peer updated it less than this many seconds ago (protocol 6.3).
const NETWORK_RECENT_S: u32 = 2;

/// Maximum time that the update of a moving connection waits for others. It also bounds the updates of one connection to
/// one for each such time.
const MAX_DRIFT_DELAY: Nanos = 1_000_000;
/// A state that is sent again within this many seconds was not accepted the first time.
const AGAIN_S: u32 = 5;

/// Why a state is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It expired. Without local traffic no delete is sent: the peers that see the traffic know better.
    Expired,
    /// A new connection replaces it, or an operator removed it.
    Ended,
    /// A peer removed it. No delete is sent back.
    Network,
    /// A peer's state with one of its keys replaces it. No delete is sent back.
    Replaced,
}

impl Exporter {
    /// Notes a state created for a packet. Call it after the insert.
    pub fn inserted(&mut self, table: &mut impl Store, slot: Slot, now: Nanos) {
        if !self.is_replicated(table, slot) {
            self.counters.states_left_out += u64::from(self.is_active);
            return;
        }
        let is_deferred = table.local(slot).has(LocalFlags::DEFERRED);
        let must_wait = self.settings.filter.min_age > 0 && !is_deferred;
        self.note_event(table, slot, if must_wait { Event::CreatedTooYoung } else { Event::Inserted }, now);
        if is_deferred {
            self.deferred.begin(table, slot, now, &mut self.counters);
            self.pacing.make_creations_due();
        }
    }

    /// Notes a packet of a state. Cost: a few instructions on the hot record when the state is queued already.
    #[inline]
    pub fn updated(&mut self, table: &mut impl Store, slot: Slot, now: Nanos) {
        if !self.is_active {
            return;
        }
        match step(Event::Updated, table.local(slot).queue()) {
            Step::Stay => {}
            Step::Count => {
                if table.proto(slot) == TCP {
                    let maxupd = self.settings.maxupd.max(1);
                    let updates = *table.updates_mut(slot);
                    if updates < maxupd {
                        if updates + 1 == maxupd {
                            self.make_urgent(table, slot);
                        }
                        *table.updates_mut(slot) = updates + 1;
                    }
                }
            }
            _ => self.first_update(table, slot, now),
        }
        if table.local(slot).any(LocalFlags::NETWORK_RECENT | LocalFlags::UPDATE_DUE) {
            self.hasten_update(table, slot, now);
        }
    }

    /// Sends the update before its age, where it is needed.
    #[cold]
    #[inline(never)]
    fn hasten_update(&mut self, table: &mut impl Store, slot: Slot, now: Nanos) {
        if table.local(slot).has(LocalFlags::UPDATE_DUE) {
            table.local_mut(slot).clear(LocalFlags::UPDATE_DUE);
            // Drift counts from here on, so that no further packet comes here before the update is sent.
            table.mark_sent(slot);
            let delay = if table.is_established(slot) { MAX_DRIFT_DELAY } else { self.settings.insert_age };
            self.make_due(table, slot, now.saturating_add(delay.min(self.settings.update_age)));
        }
        if table.local(slot).has(LocalFlags::NETWORK_RECENT) {
            self.updated_by_both(table, slot, now);
        }
    }

    /// Whether the state's next packet will queue it, and so write its cold record.
    #[inline(always)]
    #[must_use]
    pub fn will_queue(&self, hot: &Hot) -> bool {
        self.is_active && matches!(hot.local.queue(), Queue::None | Queue::Repeat)
    }

    #[inline(never)]
    fn first_update(&mut self, table: &mut impl Store, slot: Slot, now: Nanos) {
        if self.is_replicated(table, slot) {
            self.note_event(table, slot, Event::Updated, now);
        }
    }

    /// Sends the update at once if a peer updated the state in the last two seconds: both nodes forward the flow.
    #[cold]
    fn updated_by_both(&mut self, table: &mut impl Store, slot: Slot, now: Nanos) {
        let since = Tick::from_nanos(now).since(table.network_update(slot));
        let limit = (NETWORK_RECENT_S * TICKS_PER_SECOND).cast_signed();
        if (0..limit).contains(&since) {
            self.make_urgent(table, slot);
        } else {
            table.local_mut(slot).clear(LocalFlags::NETWORK_RECENT);
        }
    }

    /// Notes that a state is about to be removed. Call it before every removal.
    pub fn removed(&mut self, table: &mut impl Store, slot: Slot, now: Nanos, why: Removal) {
        let id = table.id(slot);
        self.comparison.marks.remove(slot, id);
        self.repairs.remove(slot);
        self.release(table, slot);
        self.acknowledged(table, slot);
        // Our own states of an earlier run come back from peers as imported ones.
        let is_imported = table.local(slot).has(LocalFlags::IMPORTED);
        if self.settings.report_ends && is_imported && !self.ids.ended.push(id) {
            self.counters.ends_lost += 1;
        }
        if !self.is_active {
            return;
        }
        if why == Removal::Network {
            self.ends.remember(id, Tick::from_nanos(now));
        }
        if is_imported {
            self.imported.count(table.origin_peer(slot), id.creator, -1);
        }
        let queue = table.local(slot).queue();
        self.queues.remove(table, slot);
        self.counters.states_left_out += u64::from(queue == Queue::MinAge);
        if step(Event::Deleted, queue) == Step::Forget
            || !self.is_replicated(table, slot)
            || matches!(why, Removal::Network | Removal::Replaced)
        {
            return;
        }
        if why == Removal::Expired && !table.local(slot).has(LocalFlags::LOCAL_TRAFFIC) {
            self.counters.ends_silent += 1;
            return;
        }
        if why == Removal::Ended {
            self.ends.remember(id, Tick::from_nanos(now));
        }
        self.enqueue_delete(id, now);
    }

    /// Queues a delete.
    pub(super) fn enqueue_delete(&mut self, id: StateId, now: Nanos) {
        self.pacing.note_creation(self.waiting_creations(), self.settings.insert_age, now);
        if !self.ids.deletes.push(id) {
            self.counters.deletes_lost += 1;
        }
        self.check_fill();
    }

    /// Tells the peers once more that a state has ended: one of them has sent it.
    pub fn answer_ended(&mut self, id: StateId, now: Nanos) {
        self.counters.imports_refused_ended += 1;
        self.enqueue_delete(id, now);
    }

    /// Returns how many more deletes can be queued. A sweep stops when there is no space: expired states can wait until the
    /// next flush, no lookup returns them.
    #[must_use]
    pub fn delete_capacity(&self) -> usize {
        if self.is_active { self.ids.deletes.free() } else { usize::MAX }
    }

    /// Answers a peer's request: sends the whole state, as soon as the pace of answers allows. Returns whether it does so for
    /// the second time within a few seconds.
    pub fn answer_request(&mut self, table: &mut impl Store, slot: Slot, now: Nanos) -> bool {
        if !self.is_replicated(table, slot) {
            return false;
        }
        let (last, now_tick) = (table.answered_mut(slot)[0], Tick::from_nanos(now));
        if !allows_answer(&mut table.answered_mut(slot)[0], now_tick) {
            self.counters.requests_limited += 1;
            return false;
        }
        self.note_event(table, slot, Event::Requested, now);
        last != 0 && u32::from((now_tick.0 as u16).wrapping_sub(last)) < AGAIN_S * TICKS_PER_SECOND
    }

    /// Ends a peer's state of a connection that also has a state here: the peer keeps its own, and requests and refuses ours.
    pub fn end_twin(&mut self, id: StateId, now: Nanos) {
        self.counters.twins_ended += 1;
        self.enqueue_delete(id, now);
    }

    /// Answers a stale update: sends our view at once, but only once a second, so that two nodes that disagree settle.
    pub fn answer_stale_update(&mut self, table: &mut impl Store, slot: Slot, now: Nanos) {
        if !self.is_replicated(table, slot) {
            return;
        }
        if allows_answer(&mut table.answered_mut(slot)[1], Tick::from_nanos(now)) {
            self.note_event(table, slot, Event::Updated, now);
            self.make_urgent(table, slot);
        } else {
            self.counters.requests_limited += 1;
        }
    }

    /// Acknowledges an insert at once: the peer holds a packet until then.
    pub fn acknowledge(&mut self, table: &mut impl Store, slot: Slot, now: Nanos) {
        if self.is_replicated(table, slot) {
            self.note_event(table, slot, Event::Acknowledged, now);
        }
    }

    /// Whether another request can be queued.
    #[must_use]
    pub fn can_request(&self) -> bool {
        self.ids.requests.free() > 0
    }

    /// Requests an unknown state from the peer that updated it, at once and once a second for each id.
    pub fn request_state(&mut self, peer: PeerIndex, id: StateId, now: Nanos) {
        if !self.is_active || usize::from(peer) >= self.settings.peers.len() {
            return;
        }
        if self.request_limit.allows(id, Tick::from_nanos(now)) {
            self.enqueue_request(peer, id);
        } else {
            self.counters.requests_limited += 1;
        }
    }

    /// Sends no request for a state for some seconds: it was refused for a reason that lasts.
    pub fn postpone_request(&mut self, id: StateId, now: Nanos) {
        self.request_limit.postpone(id, Tick::from_nanos(now));
    }

    pub(super) fn enqueue_request(&mut self, peer: PeerIndex, id: StateId) {
        if self.ids.requests.push((peer, id)) {
            self.pacing.wake();
        } else {
            // The state's next update requests it again: nothing was sent now.
            self.request_limit.forget(id);
            self.counters.requests_lost += 1;
        }
    }

    /// Returns the next foreign id whose state ended, for the sync lane's directory.
    pub fn take_ended(&mut self) -> Option<StateId> {
        self.ids.ended.pop()
    }

    /// Whether a state is sent to peers: false by rule, by protocol, and for all states when there is no peer.
    pub(super) fn is_replicated(&self, table: &impl Store, slot: Slot) -> bool {
        self.is_active
            && table.pf_flags(slot) & pf_flags::NOSYNC == 0
            && self.settings.filter.includes(table.proto(slot))
    }

    pub(super) fn note_event(&mut self, table: &mut impl Store, slot: Slot, event: Event, now: Nanos) {
        if let Step::To(queue) = step(event, table.local(slot).queue()) {
            self.enqueue(table, slot, queue, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::protocol::PFSYNC;
    use crate::state::Record;
    use crate::sync::fixture::{MS, Node, S, settings, state};
    use crate::sync::import::merge::PeerView;
    use crate::sync::{SyncSettings, WalkOrder};
    use crate::table::Table;
    use pfsync::{Action, Profile};

    #[test]
    fn a_state_that_no_peer_knows_ends_without_a_delete() {
        let mut node = Node::open();
        let never_sent = node.insert(0);
        node.remove(never_sent, Removal::Ended);
        assert!(node.wait(S).sent().is_empty());
        let sent = node.insert(1);
        node.wait(S).sent();
        node.update(sent);
        node.remove(sent, Removal::Expired);
        assert_eq!(node.wait(S).sent(), [[(Action::DeleteCompressed, 1)]]);
        assert!(node.wait(S).sent().is_empty());
    }

    #[test]
    fn a_state_without_local_traffic_expires_without_a_delete_and_ends_with_one() {
        for (why, deletes) in
            [(Removal::Expired, 0), (Removal::Ended, 1), (Removal::Network, 0), (Removal::Replaced, 0)]
        {
            let mut node = Node::open();
            let mut record = state(0);
            record.hot.local = LocalFlags(LocalFlags::IMPORTED);
            let slot = node.put(&record);
            node.remove(slot, why);
            assert_eq!(node.wait(S).sent().len(), deletes, "{why:?}");
        }
    }

    #[test]
    fn maxupd_counts_tcp_updates_after_the_first_one() {
        for (maxupd, packets) in [(0, 2), (1, 2), (5, 6), (255, 256)] {
            let mut node = Node::new(SyncSettings { maxupd, ..settings(&[Profile::OpenBsd6]) });
            let slot = node.put(&state(0));
            for packet in 1..=packets {
                node.update(slot);
                assert_eq!(node.sent().len(), usize::from(packet == packets), "maxupd {maxupd}, {packet}");
            }
            let mut other = state(2);
            other.hot.key.proto = 17;
            let slot = node.put(&other);
            (0..1000).for_each(|_| node.update(slot));
            assert!(node.sent().is_empty());
        }
    }

    #[test]
    fn a_state_that_a_peer_just_updated_is_sent_at_once_for_two_seconds() {
        let mut node = Node::open();
        let slot = node.put(&state(0));
        node.table.hot_mut(slot).local.set(LocalFlags::NETWORK_RECENT);
        for wait in [0, S, S - 1] {
            node.wait(wait).update(slot);
            assert_eq!(node.sent(), [[(Action::UpdateCompressed, 1)]]);
        }
        node.wait(1).update(slot);
        assert!(node.sent().is_empty());
        assert!(!node.table.hot(slot).local.has(LocalFlags::NETWORK_RECENT));
    }

    type Answer = fn(&mut Exporter, &mut Table, Slot, Nanos);

    #[test]
    fn answers_are_sent_at_once_and_once_a_second() {
        let mut node = Node::open();
        let slot = node.put(&state(0));
        for (expected, event) in [
            (
                Action::Update,
                (|exporter, table, slot, now| _ = exporter.answer_request(table, slot, now)) as Answer,
            ),
            (Action::UpdateCompressed, Exporter::answer_stale_update),
        ] {
            event(&mut node.exporter, &mut node.table, slot, node.now);
            assert_eq!(node.sent(), [[(expected, 1)]]);
            node.wait(S - 10 * MS);
            event(&mut node.exporter, &mut node.table, slot, node.now);
            assert!(node.sent().is_empty());
            node.wait(10 * MS);
            event(&mut node.exporter, &mut node.table, slot, node.now);
            assert_eq!(node.sent(), [[(expected, 1)]]);
        }
        node.exporter.acknowledge(&mut node.table, slot, node.now);
        assert_eq!(node.sent(), [[(Action::InsertAck, 1)]]);
        assert_eq!(node.exporter.counters.requests_limited, 2);
    }

    #[test]
    fn a_state_is_requested_once_from_the_peer_that_updated_it() {
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
    fn lost_deletes_are_counted_and_the_remaining_space_is_known() {
        let mut node = Node::new(SyncSettings { max_deletes: 3, ..settings(&[Profile::OpenBsd6]) });
        for n in 0..5 {
            let slot = node.put(&state(n));
            assert_eq!(node.exporter.delete_capacity(), 3usize.saturating_sub(n as usize));
            node.remove(slot, Removal::Ended);
        }
        assert_eq!(node.exporter.counters.deletes_lost, 2);
        assert_eq!(node.wait(S).sent(), [[(Action::DeleteCompressed, 3)]]);
        assert_eq!(node.exporter.delete_capacity(), 3);
    }

    #[test]
    fn states_that_are_not_replicated_are_never_sent() {
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
            assert!(node.wait(10 * S).sent().is_empty());
        }
    }

    #[test]
    fn the_version_of_a_state_counts_its_local_changes() {
        let mut node = Node::open();
        let slot = node.insert(0);
        for version in 1..5 {
            assert_eq!(node.table.cold(slot).version, version);
            node.wait(S).sent();
            // Many packets are one change.
            (0..9).for_each(|_| node.update(slot));
        }
        node.wait(S).sent();
        let update = pfsync::CompressedUpdate { timeout: 2, ..pfsync::CompressedUpdate::default() };
        let version = node.table.cold(slot).version;
        crate::sync::Store::merge(&mut node.table, slot, &PeerView::of_update(&update), Tick(9));
        assert_eq!(node.table.cold(slot).version, version, "a peer's update does not count");
    }
}
