//! The sync lane requests all states of the peers, and judges whether this node holds what they hold.

use super::super::exchange::{BulkProgress, ImportReport, Rings, Shared};
use super::super::tracker::Tracker;
use super::SyncLane;
use crate::error::Error;
use crate::memory::{Heap, List};
use crate::sync::{Events, Inputs, ReadinessMonitor, Refusals, RefusedImports};
use crate::time::Nanos;

/// Interval at which the readiness is computed, apart from the start of a transfer.
const CHECK_INTERVAL: Nanos = 1_000_000;

/// What the judgement needs.
pub(in super::super) struct Judge {
    pub monitor: ReadinessMonitor,
    /// What each lane had refused when the last transfer began.
    refused: List<RefusedImports>,
    /// The rings were marked when the transfer ended.
    is_marked: bool,
    /// Refused states reached the rings since the last mark that was passed.
    was_repairing: bool,
    next_check: Nanos,
}

impl Judge {
    pub(super) fn new(lanes: u32, heap: Heap) -> Result<Self, Error> {
        Ok(Self {
            monitor: ReadinessMonitor::default(),
            refused: heap.list_of("refused imports", lanes as usize, |_| RefusedImports::default())?,
            is_marked: false,
            was_repairing: false,
            next_check: 0,
        })
    }

    /// Returns the bytes that [`Self::new`] allocates.
    pub(in super::super) const fn memory_needed(lanes: u32) -> usize {
        lanes as usize * size_of::<RefusedImports>()
    }

    /// Notes that a transfer begins: what was refused before is sent again.
    fn begin(&mut self, shared: &Shared) {
        self.refused.iter_mut().zip(shared.imports()).for_each(|(refused, report)| *refused = report.refused);
        self.is_marked = false;
    }

    /// Whether messages that full rings had refused wait, or may still be in the rings.
    fn is_repairing(&mut self, is_waiting: bool, is_applied: bool) -> bool {
        self.is_marked &= !is_waiting;
        self.was_repairing = is_waiting || self.was_repairing && !is_applied;
        self.was_repairing
    }

    fn refusals(&self, shared: &Shared) -> Refusals {
        let of_lane = |(before, now): (&RefusedImports, ImportReport)| (*before, now.refused, now.space);
        Refusals::of(self.refused.iter().zip(shared.imports()).map(of_lane))
    }

    /// Whether the lanes have applied all that was in the rings when the transfer ended.
    fn is_applied(&mut self, shared: &Shared, rings: &mut Rings) -> bool {
        if !self.is_marked {
            rings.mark();
            self.is_marked = true;
        }
        let has_applied = |(lane, report): (u16, ImportReport)| {
            lane == 0 || report.applied.wrapping_sub(rings.marked(lane)).cast_signed() >= 0
        };
        (0..).zip(shared.imports()).all(has_applied)
    }
}

impl SyncLane {
    /// Requests all states when the control thread wants it or something must be repaired, repeats the request, and
    /// publishes the readiness.
    pub(crate) fn step_requester(&mut self, tracker: &mut Tracker, rings: &mut Rings, now: Nanos) {
        if tracker.shared.take_bulk_request() {
            self.judge.begin(&tracker.shared);
            self.judge.monitor.begin(&self.events(&tracker.shared), now);
            // What was sent while the link was down is lost, so a transfer in progress starts again.
            self.importer.bulk.start(now, true);
            self.judge.next_check = now;
        }
        if self.importer.bulk.poll(now) {
            tracker.exporter.bulk_request();
        }
        if now >= self.judge.next_check {
            self.judge.next_check = now + CHECK_INTERVAL;
            self.check_readiness(tracker, rings, now);
        }
        let bulk = &self.importer.bulk;
        tracker.shared.set_bulk(BulkProgress {
            phase: bulk.phase(),
            attempts: bulk.attempts(),
            states: bulk.states(),
            last: bulk.last(),
        });
    }

    fn check_readiness(&mut self, tracker: &Tracker, rings: &mut Rings, now: Nanos) {
        let shared = &*tracker.shared;
        let is_applied = self.importer.bulk.is_ready() && self.judge.is_applied(shared, rings);
        let is_repairing = self.judge.is_repairing(!self.backlog.is_empty(), is_applied);
        let inputs = Inputs {
            events: self.events(shared),
            refusals: self.judge.refusals(shared),
            is_repairing,
            is_applied,
            last_seen: self.importer.last_seen.iter().flatten().max().copied(),
            duplicate_seen: self.importer.duplicate_seen,
            has_old_gap: self.importer.has_old_gap(now),
            is_unequal: self.importer.is_unequal(now),
            now,
        };
        self.readiness = self.judge.monitor.step(&self.importer.bulk, &inputs);
        if self.judge.monitor.needs_transfer(&self.importer.bulk, &inputs) {
            self.judge.begin(shared);
            self.judge.monitor.begin_repair(&inputs.events, now);
            self.importer.bulk.start(now, false);
            self.readiness = self.judge.monitor.step(&self.importer.bulk, &inputs);
        }
        shared.set_readiness(&self.readiness);
        for (peer, board) in
            shared.comparisons.iter().enumerate().take(tracker.exporter.settings().peers.len())
        {
            let equality = self.importer.equality(peer as u8, now);
            board.publish(&equality);
            self.importer.peer_counters[peer].states_differing = equality.differing.into();
        }
        shared.set_pauses_repaired(self.judge.monitor.pauses_repaired());
    }

    fn events(&self, shared: &Shared) -> Events {
        Events {
            pauses: shared.pauses(),
            frames_missed: shared.frames_missed(),
            messages_lost: self.messages_lost,
            duplicates: self.importer.counters.duplicate_host_id,
            gaps_abandoned: self.importer.gaps_abandoned(),
            sketches_overflowed: self.importer.sketches_overflowed(),
        }
    }
}
