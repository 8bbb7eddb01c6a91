//! Housekeeping: other lanes' mail, expiry, the bulk transfer, statistics. Every call does a bounded amount of work.

use super::mail::{LaneMessage, SyncLaneMessage};
use super::{BulkProgress, Lane};
use crate::state::{StateId, timeout_class};
use crate::sync::{PeerIndex, Phase, Tuning, WalkOrder};
use crate::time::{NANOS_PER_SECOND, Nanos, Tick};

/// Messages taken from one ring in one call; half of those that wait when that is more, so that a ring that is filled
/// faster than this settles before it is full.
const MAIL_USUAL: usize = 256;
/// Transfers asked for again because lanes had no room for what came, before the node is ready all the same.
const MAX_REPAIRS: u32 = 3;
/// Statistics are shown this often.
const SHOW_EVERY: Nanos = 1_000_000;

impl Lane {
    /// Does the lane's housekeeping. Call it between bursts, at least every millisecond.
    pub fn poll(&mut self, now: Nanos) {
        if let Some(aliases) = &mut self.aliases {
            aliases.listen();
        }
        self.take_mail(now);
        self.send_mail();
        self.step_bulk(now);
        if self.exporter.is_clearing() {
            self.exporter.step_clears(&mut self.table, self.sweep_per_poll, now);
        }
        self.step_clear(now);
        self.sweep(now);
        self.exporter.release_expired(&mut self.table, now);
        self.publish_aliases();
        if now >= self.show_at {
            self.show_at = now + SHOW_EVERY;
            self.count_states();
            self.take_settings(now);
            self.show_statistics(now);
        }
    }

    /// What the control thread changed, and whose states are kept beyond their time.
    fn take_settings(&mut self, now: Nanos) {
        let tuning = self.shared.tuning();
        if tuning != self.tuned {
            self.tuned = tuning;
            self.exporter.tune(&Tuning::unpacked(tuning));
        }
        let loading = matches!(self.shared.bulk().phase, Phase::Waiting | Phase::Receiving);
        let grace = self.exporter.settings().grace;
        let (heard, states) = (|peer| self.shared.heard(peer), self.states_everywhere);
        self.keeping.update(&grace, heard, loading, &self.timeouts, states, now);
    }

    fn take_mail(&mut self, now: Nanos) {
        for _ in 0..share(self.rings.waiting_from_sync_lane()) {
            match self.rings.from_sync_lane() {
                Some(LaneMessage::Message(message)) => self.enqueue_message(&message, now),
                Some(LaneMessage::Walk(order)) => {
                    self.apply_pending(now);
                    self.heard = self.heard.wrapping_add(1);
                    self.exporter.bulk_walk(&self.table, order);
                }
                None => break,
            }
        }
        self.apply_pending(now);
        if self.index == 0 {
            (1..self.lanes).for_each(|lane| self.take_mail_of(lane));
        }
    }

    /// The sync lane's mail from another lane.
    fn take_mail_of(&mut self, lane: u16) {
        for _ in 0..share(self.rings.waiting_from_owner(lane)) {
            let Some(mail) = self.rings.from_owner(lane) else { return };
            let Some(sync) = &mut self.sync else { return };
            match mail {
                SyncLaneMessage::Ended { id, heard } => sync.directory.remove(id, lane as u8, heard),
                SyncLaneMessage::WalkFinished(order) => self.walk_finished(order),
            }
        }
    }

    fn send_mail(&mut self) {
        while let Some(order) = self.unsent_walk.take().or_else(|| self.exporter.take_finished_walk()) {
            if self.index == 0 {
                self.walk_finished(order);
            } else if !self.rings.send_to_sync_lane(SyncLaneMessage::WalkFinished(order)) {
                self.unsent_walk = Some(order);
                return;
            }
        }
        // Those for which there is no room now are kept for the next call.
        while self.index == 0 || self.rings.has_room_to_sync_lane() {
            let Some(id) = self.exporter.take_ended() else { break };
            // A peer may have told of it again since.
            if self.table.find_id(id).is_none() {
                self.forget(id);
            }
        }
    }

    /// A state that another node made is not here any more: the directory must not name this lane for it.
    pub(super) fn forget(&mut self, id: StateId) {
        let heard = self.heard;
        match &mut self.sync {
            Some(sync) => sync.directory.remove(id, 0, heard),
            None => {
                let told = self.rings.send_to_sync_lane(SyncLaneMessage::Ended { id, heard });
                self.counters.ring_full += u64::from(!told);
            }
        }
    }

    /// One lane has told all its states; after the last one END goes out.
    fn walk_finished(&mut self, order: WalkOrder) {
        let Some(sync) = &mut self.sync else { return };
        if let Some(requested) = sync.responder.lane_finished(order) {
            self.exporter.bulk_end(order.peer, requested);
        }
    }

    /// The sync lane's part: ask for all states when that is wanted, repeat, and say how far it is.
    fn step_bulk(&mut self, now: Nanos) {
        if self.sync.is_some() && self.shared.take_push_wanted() {
            self.push_all(now);
        }
        let waited_for = self.sync.as_mut().and_then(|sync| {
            let importer = &sync.importer;
            let is_unsure = sync.has_third_node && !self.shared.ready();
            sync.responder.hold(is_unsure);
            let peer_may_have_more =
                is_unsure && importer.bulk.peer_may_have_more(importer.has_two_senders(), now);
            if peer_may_have_more { None } else { sync.responder.poll(now) }
        });
        self.begin_walk(waited_for);
        let Some(sync) = &mut self.sync else { return };
        let bulk = &mut sync.importer.bulk;
        if self.shared.take_bulk_wanted() {
            // What came while the link was down is lost: a transfer that was under way begins anew.
            bulk.start(now, true);
        } else if sync.lost && !bulk.is_running() {
            bulk.start(now, false);
            (sync.lost, sync.repairs) = (false, sync.repairs + 1);
        }
        if bulk.poll(now) {
            self.exporter.bulk_request();
        }
        self.shared.set_bulk(BulkProgress {
            phase: bulk.phase(),
            attempts: bulk.attempts(),
            states: bulk.states(),
            last: bulk.last(),
        });
        // Once ready a node stays ready: it has states, and a peer that died answers no later request.
        if bulk.is_ready() && !self.shared.ready() {
            let is_whole = !sync.lost || sync.repairs >= MAX_REPAIRS;
            if sync.is_marked && is_whole && self.rings.mark_passed() {
                self.shared.set_ready();
            } else if !sync.is_marked {
                // The last states may still be on their way to their lanes.
                self.rings.mark();
                sync.is_marked = true;
            }
        } else {
            sync.is_marked = false;
        }
    }

    /// Tells every peer all states, unasked.
    fn push_all(&mut self, now: Nanos) {
        let Some(mut sync) = self.sync.take() else { return };
        for peer in 0..self.exporter.settings().peers.len() {
            self.begin_walk(sync.responder.push(peer as PeerIndex, now));
        }
        self.sync = Some(sync);
    }

    /// Ends states whose time is over, a few slots a call, in memory order: the whole table once in pf's "interval",
    /// however often the lane is polled.
    fn sweep(&mut self, now: Nanos) {
        let budget = self.sweep_budget(now);
        if budget == 0 {
            return;
        }
        self.swept_at = now;
        let tick = Tick::from_nanos(now);
        let end = self.sweep_at.saturating_add(budget).min(self.table.end());
        while let Some(slot) = self.table.next_live_before(self.sweep_at, end) {
            // What has expired can wait for room among the deletes: no lookup returns it. Without the link there will
            // be none for long, and the room in the table is needed.
            if self.exporter.delete_capacity() == 0 && self.shared.link_up() {
                self.sweep_at = slot.0;
                return;
            }
            self.sweep_at = slot.0 + 1;
            if self.is_expired(slot, tick) {
                self.expire(slot, now);
            }
        }
        self.sweep_at = if end >= self.table.end() { 0 } else { end };
    }

    /// Slots whose turn has come since the last sweep, at most as many as one call may look at.
    fn sweep_budget(&self, now: Nanos) -> u32 {
        let interval = u64::from(self.timeouts.get(timeout_class::INTERVAL).max(1)) * NANOS_PER_SECOND;
        let elapsed = now.saturating_sub(self.swept_at).min(interval);
        let due = u128::from(self.table.end()) * u128::from(elapsed) / u128::from(interval);
        u32::try_from(due).unwrap_or(u32::MAX).min(self.sweep_per_poll)
    }

    /// States of all lanes, for adaptive timeouts.
    fn count_states(&mut self) {
        let states = self.table.len();
        self.shared.count_states(self.states_shown, states);
        self.states_shown = states;
        self.states_everywhere = self.shared.states();
        self.exporter.set_total_states(self.states_everywhere);
        let half_open = self.table.half_open();
        let everywhere = self.shared.count_half_open(self.half_open_shown, half_open);
        (self.half_open_shown, self.half_open_elsewhere) = (half_open, everywhere.saturating_sub(half_open));
    }
}

/// How many of the messages that wait are taken in one call.
const fn share(waiting: usize) -> usize {
    if waiting / 2 > MAIL_USUAL { waiting / 2 } else { MAIL_USUAL }
}
