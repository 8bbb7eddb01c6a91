//! Housekeeping: messages between lanes, expiry, bulk transfers, statistics. Every call does a bounded amount of work.

use super::exchange::{ImportReport, LaneMessage, SyncLaneMessage};
use super::replication::{SyncLane, begin_walk, report_ended};
use super::tracker::Tracker;
use super::{Lane, Rings};
use crate::state::timeout_class;
use crate::sync::{PeerIndex, Phase, Tuning};
use crate::time::{NANOS_PER_SECOND, Nanos, Tick};

/// Messages received from one ring in one call. If many more wait, three in four are received, so that a ring that fills
/// faster than this settles before it is full.
const MIN_MESSAGES_PER_POLL: usize = 256;
/// Interval at which statistics are published and settings taken over.
const PUBLISH_INTERVAL: Nanos = 1_000_000;

/// The expiry sweep over the table.
pub(super) struct Sweep {
    /// The next slot to look at.
    at: u32,
    pub max_slots_per_poll: u32,
    /// When slots were last looked at.
    last: Nanos,
}

/// What a lane last published or took over, at [`PUBLISH_INTERVAL`].
#[derive(Default)]
pub(super) struct Published {
    next: Nanos,
    states: u32,
    half_open: u32,
    /// Messages of the sync lane applied.
    applied: u32,
    /// The tuning taken over last, packed.
    tuning: u64,
}

impl Lane {
    /// Does the lane's housekeeping. Call it between bursts, at least every millisecond.
    pub fn poll(&mut self, now: Nanos) {
        let now = self.clock.advance(now);
        self.tracker.note_poll(now);
        self.tracker.receive_aliases(now);
        self.receive_messages(now);
        self.publish_imports(now);
        self.report_to_sync_lane();
        self.step_seal(now);
        self.step_bulk(now);
        self.send_hello();
        self.step_peer_clears(now);
        self.clear.step(&mut self.tracker, self.sweep.max_slots_per_poll, now);
        self.sweep.step(&mut self.tracker, now);
        let Tracker { exporter, table, .. } = &mut *self.tracker;
        exporter.release_expired(table, now);
        self.tracker.publish_aliases();
        if now >= self.published.next {
            self.published.next = now + PUBLISH_INTERVAL;
            self.published.count_states(&mut self.tracker);
            self.published.take_settings(&mut self.tracker, now);
            self.publish_statistics(now);
        }
    }

    fn receive_messages(&mut self, now: Nanos) {
        let Self { tracker, rings, inbox, sync, .. } = self;
        let tracker = &mut **tracker;
        for _ in 0..messages_per_poll(rings.waiting_from_sync_lane()) {
            match rings.from_sync_lane() {
                Some(LaneMessage::Message(message)) => inbox.enqueue(&message, tracker, rings, now),
                Some(LaneMessage::Walk(order)) => {
                    inbox.apply_pending(tracker, rings, now);
                    inbox.applied_count = inbox.applied_count.wrapping_add(1);
                    tracker.exporter.bulk_walk(&tracker.table, order);
                }
                Some(LaneMessage::Report(from, report)) => {
                    inbox.apply_pending(tracker, rings, now);
                    inbox.applied_count = inbox.applied_count.wrapping_add(1);
                    tracker.exporter.handle_report(&mut tracker.table, from, &report, now);
                }
                Some(LaneMessage::Question(question)) => {
                    inbox.apply_pending(tracker, rings, now);
                    inbox.applied_count = inbox.applied_count.wrapping_add(1);
                    tracker.exporter.ask(&question);
                }
                None => break,
            }
        }
        inbox.apply_pending(tracker, rings, now);
        let Some(sync) = sync else { return };
        for lane in 1..tracker.lane.lanes {
            for _ in 0..messages_per_poll(rings.waiting_from_owner(lane)) {
                let Some(message) = rings.from_owner(lane) else { break };
                sync.handle(message, lane, tracker, now);
            }
        }
    }

    /// Publishes what the lane has applied and refused, and the space that it has left.
    fn publish_imports(&mut self, now: Nanos) {
        let Self { tracker, inbox, published, .. } = self;
        let applied = inbox.applied_count;
        if applied != published.applied || now >= published.next {
            published.applied = applied;
            let Tracker { exporter, table, .. } = &**tracker;
            let space = exporter.import_space(table);
            let report = ImportReport { applied, refused: exporter.refused, space };
            tracker.shared.publish_imports(tracker.lane.index, &report);
        }
    }

    /// Reports finished walks and ended states to the sync lane. What does not fit into the ring waits for the next call.
    fn report_to_sync_lane(&mut self) {
        let Self { tracker, rings, inbox, sync, .. } = self;
        while sync.is_some() || rings.has_space_to_sync_lane() {
            let Some(order) = tracker.exporter.take_finished_walk() else { break };
            match sync {
                Some(sync) => sync.walk_finished(order, tracker),
                None => _ = rings.send_to_sync_lane(SyncLaneMessage::WalkFinished(order)),
            }
        }
        while sync.is_some() || rings.has_space_to_sync_lane() {
            let Some(id) = tracker.exporter.take_ended() else { break };
            // A peer may have sent the state again since.
            if tracker.table.find_id(id).is_none() {
                match sync {
                    Some(sync) => sync.directory.remove(id, 0, inbox.applied_count),
                    None => report_ended(tracker, rings, id, inbox.applied_count),
                }
            }
        }
    }

    /// The sync lane's part of bulk transfers.
    fn step_bulk(&mut self, now: Nanos) {
        let Self { tracker, rings, sync, .. } = self;
        let tracker = &mut **tracker;
        tracker.exporter.step_comparison(&mut tracker.table);
        tracker.exporter.step_taken(now);
        let Some(sync) = sync.as_deref_mut() else {
            while rings.has_space_to_sync_lane() {
                let Some(answer) = tracker.exporter.take_answer() else { break };
                let _ = rings.send_to_sync_lane(SyncLaneMessage::Answer(answer));
            }
            return;
        };
        sync.backlog.step(tracker, rings, &mut sync.directory, now);
        tracker.counters.messages_waiting = sync.backlog.len();
        sync.importer.step_streams(&mut tracker.exporter, !sync.backlog.is_empty(), now);
        sync.importer.step_comparison(&mut tracker.exporter, |question| rings.ask(question), now);
        sync.step_responder(tracker, rings, now);
        sync.step_requester(tracker, rings, now);
    }

    /// Makes the handshakes of seals due. After the first one with a peer, what was sent to it before is sent again.
    fn step_seal(&mut self, now: Nanos) {
        let Self { tracker, sync, .. } = self;
        if let Some(sync) = sync
            && sync.importer.step_seal(now)
        {
            if sync.importer.bulk.is_running() {
                tracker.shared.request_bulk();
            }
            tracker.shared.request_push();
        }
        tracker.exporter.step_seal(now);
    }

    /// The sync lane's part of elections.
    fn send_hello(&mut self) {
        let Self { tracker, sync, .. } = self;
        if sync.is_some()
            && let Some((hello, _)) = tracker.shared.hellos_to_send.take(|_| true)
        {
            tracker.exporter.send_hello(&hello);
        }
    }

    fn step_peer_clears(&mut self, now: Nanos) {
        let Tracker { exporter, table, .. } = &mut *self.tracker;
        if exporter.is_clearing() {
            exporter.step_clears(table, self.sweep.max_slots_per_poll, now);
        }
    }
}

impl SyncLane {
    /// Starts sending all states to the peers that requested them, and to all peers when the control thread wants it.
    fn step_responder(&mut self, tracker: &mut Tracker, rings: &mut Rings, now: Nanos) {
        if tracker.shared.take_push_request() {
            for peer in 0..tracker.exporter.settings().peers.len() {
                let order = self.responder.push(peer as PeerIndex, now);
                begin_walk(tracker, rings, &mut self.responder, order);
            }
        }
        let is_unsure = self.has_third_node && !self.judge.monitor.has_been_ready;
        let order = self.importer.waiting_walk(&mut self.responder, is_unsure, now);
        begin_walk(tracker, rings, &mut self.responder, order);
    }
}

impl Sweep {
    pub(super) const fn new(max_slots_per_poll: u32) -> Self {
        Self { at: 0, max_slots_per_poll, last: 0 }
    }

    /// Removes expired states, a few slots a call, in memory order: the whole table once in pf's "interval", however often
    /// the lane is polled.
    fn step(&mut self, tracker: &mut Tracker, now: Nanos) {
        let budget = self.budget(tracker, now);
        if budget == 0 {
            return;
        }
        let tick = Tick::from_nanos(now);
        if tracker.holds_expiry(tick) {
            return;
        }
        self.last = now;
        let end = self.at.saturating_add(budget).min(tracker.table.end());
        while let Some(slot) = tracker.table.next_live_before(self.at, end) {
            // An expired state can wait here: no lookup returns it.
            if tracker.must_wait_for_deletes() {
                self.at = slot.0;
                return;
            }
            self.at = slot.0 + 1;
            if tracker.is_expired(slot, tick) && !tracker.is_left_to_peer(slot, tick) {
                tracker.expire(slot, now);
            }
        }
        self.at = if end >= tracker.table.end() { 0 } else { end };
    }

    /// Returns how many slots are due since the last sweep, within the maximum of one call.
    fn budget(&self, tracker: &Tracker, now: Nanos) -> u32 {
        let interval = u64::from(tracker.timeouts.get(timeout_class::INTERVAL).max(1)) * NANOS_PER_SECOND;
        let elapsed = now.saturating_sub(self.last).min(interval);
        let due = u128::from(tracker.table.end()) * u128::from(elapsed) / u128::from(interval);
        u32::try_from(due).unwrap_or(u32::MAX).min(self.max_slots_per_poll)
    }
}

impl Published {
    /// Publishes this lane's states and takes over the totals: adaptive timeouts and the half-open limit need them.
    fn count_states(&mut self, tracker: &mut Tracker) {
        let (states, half_open) = (tracker.table.len(), tracker.table.half_open());
        tracker.shared.count_states(self.states, states);
        tracker.shared.note_ids(tracker.exporter.ends.ids.counted());
        let half_open_total = tracker.shared.count_half_open(self.half_open, half_open);
        (self.states, self.half_open) = (states, half_open);
        tracker.totals.states = tracker.shared.states();
        tracker.totals.half_open_elsewhere = half_open_total.saturating_sub(half_open);
        tracker.exporter.set_total_states(tracker.totals.states);
    }

    /// Takes over the control thread's tuning, and decides whose states are kept beyond their timeout.
    fn take_settings(&mut self, tracker: &mut Tracker, now: Nanos) {
        let Tracker { shared, exporter, silent_peers, timeouts, totals, .. } = tracker;
        let tuning = shared.tuning();
        if tuning != self.tuning {
            self.tuning = tuning;
            exporter.tune(&Tuning::unpacked(tuning));
        }
        let loading = matches!(shared.bulk().phase, Phase::Waiting | Phase::Receiving);
        let grace = exporter.settings().grace;
        silent_peers.update(&grace, |peer| shared.last_seen(peer), loading, timeouts, totals.states, now);
    }
}

/// Returns how many of the messages that wait are received in one call.
const fn messages_per_poll(waiting: usize) -> usize {
    let most = waiting - waiting / 4;
    if most > MIN_MESSAGES_PER_POLL { most } else { MIN_MESSAGES_PER_POLL }
}
