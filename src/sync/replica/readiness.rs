//! Whether the replica holds what its peers hold.

use super::Replica;
use crate::sync::readiness::{Events, Inputs, MAX_PAUSE_HOLD, Readiness, Refusals};
use crate::sync::{HostTable, Phase};
use crate::time::Nanos;

impl<T: HostTable> Replica<T> {
    pub(super) fn note_poll(&mut self, now: Nanos) {
        let gap = self.last_poll.map_or(0, |last| now.saturating_sub(last));
        self.last_poll = Some(now);
        if self.exporter.settings().is_pause(gap) {
            if !self.needs_repair() {
                self.hold_until = now + MAX_PAUSE_HOLD;
            }
            self.pauses = self.pauses.wrapping_add(1);
        }
    }

    const fn needs_repair(&self) -> bool {
        self.pauses != self.monitor.pauses_repaired()
    }

    /// Whether nothing may expire: after a pause, a peer may have had traffic of any state, and its states have not arrived.
    fn holds_expiry(&self) -> bool {
        let is_recent = self.last_poll.is_some_and(|now| now < self.hold_until);
        let is_receiving = self.importer.bulk.phase() == Phase::Receiving;
        self.needs_repair() && (is_recent || is_receiving) && self.last_seen().is_some()
    }

    /// Whether an expired state must be kept: only a peer has traffic of it, and the peer is silent; or this node was
    /// paused, and a peer may have had traffic of it since.
    #[must_use]
    pub fn in_grace(&self, index: u32) -> bool {
        self.live(index)
            .is_ok_and(|slot| self.holds_expiry() || self.silent_peers.in_grace(&self.store, slot))
    }

    /// Requests all states if some are missing or may be, and computes the readiness.
    pub(super) fn check_readiness(&mut self, now: Nanos) {
        if !self.exporter.is_active() {
            return;
        }
        let space = self.exporter.import_space(&self.store);
        let refused = (self.refused, self.exporter.refused, space);
        let inputs = Inputs {
            events: self.events(),
            refusals: Refusals::of([refused].into_iter()),
            is_repairing: false,
            is_applied: true,
            last_seen: self.last_seen(),
            duplicate_seen: self.importer.duplicate_seen,
            has_old_gap: self.importer.has_old_gap(now),
            is_unequal: self.importer.is_unequal(now),
            now,
        };
        self.readiness = self.monitor.step(&self.importer.bulk, &inputs);
        if self.monitor.needs_transfer(&self.importer.bulk, &inputs) {
            self.monitor.begin_repair(&inputs.events, now);
            self.refused = self.exporter.refused;
            self.importer.bulk.start(now, false);
            self.readiness = self.monitor.step(&self.importer.bulk, &inputs);
        }
    }

    pub(super) fn events(&self) -> Events {
        let duplicates = self.importer.counters.duplicate_host_id;
        let gaps_abandoned = self.importer.gaps_abandoned();
        let (pauses, frames_missed) = (self.pauses, self.frames_missed);
        let sketches_overflowed = self.importer.sketches_overflowed();
        Events { pauses, frames_missed, messages_lost: 0, duplicates, gaps_abandoned, sketches_overflowed }
    }

    pub(super) fn last_seen(&self) -> Option<Nanos> {
        self.importer.last_seen.iter().flatten().max().copied()
    }

    /// Returns whether this node may take over, and what speaks against it.
    #[must_use]
    pub fn readiness(&self, now: Nanos) -> Readiness {
        let (peers, now) = (self.exporter.settings().peers.len(), self.clock.at(now));
        let last_seen = self.importer.last_seen[..peers].iter().copied();
        if self.exporter.is_active() { self.readiness.at(last_seen, true, now) } else { self.readiness }
    }

    /// Whether this node may take over.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        self.readiness.is_ready()
    }

    /// Notes that the host's port missed frames, or that the host dropped them. All states are requested again then.
    pub const fn frames_missed(&mut self, frames: u64) {
        self.frames_missed += frames;
    }

    /// Requests all states from the peers.
    pub fn request(&mut self, now: Nanos) {
        let now = self.set_time(now);
        self.request_all(now);
    }

    pub(super) fn request_all(&mut self, now: Nanos) {
        self.has_requested = true;
        self.monitor.begin(&self.events(), now);
        self.refused = self.exporter.refused;
        self.importer.bulk.start(now, true);
        self.check_readiness(now);
    }
}
