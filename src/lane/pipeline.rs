//! The packet pipeline: parse, steer, probe, match, track, note, verdict.
//!
//! A burst is processed in batches. A burst of one batch runs through one stage after the other. A longer burst is
//! overlapped: each stage works on a batch of its own, so that no batch waits for its own cache misses:
//!
//! ```text
//! step        n              n + 1       n + 2       n + 3
//! batch n     parse, steer   probe       match       track, note, verdict
//! batch n+1                  parse ...   probe       match
//! batch n+2                              parse ...   probe
//! prefetches: index buckets  hot lines   track and cold lines
//! ```

use super::tracker::Tracker;
use super::{Action, Burst, BurstInfo};
use crate::error::Error;
use crate::memory::{Heap, List};
use crate::packet::{Facts, Kind};
use crate::state::LocalFlags;
use crate::table::{LookupBatch, Slot, Table};
use crate::time::Tick;
use core::ops::Range;

/// Packets in a batch: about as many as a core sustains outstanding cache misses.
const BATCH_SIZE: usize = LookupBatch::CAPACITY;

/// Batches of a long burst that are in flight together: one for each stage.
const BATCHES_IN_FLIGHT: usize = 4;

/// A table of up to this many states fits into the second-level cache. Nothing waits for memory then, and four batches in
/// flight use more of the cache than one.
const MAX_CACHED_STATES: u32 = 16 << 10;

/// The packets of a batch that have a key, in order.
struct Batch {
    count: usize,
    /// Each packet's index in the burst.
    indexes: [u16; BATCH_SIZE],
    facts: [Facts; BATCH_SIZE],
    slots: [Slot; BATCH_SIZE],
    lookup: LookupBatch,
}

/// Memory for the batches in flight. A lane keeps it, so that no burst pays for clearing it.
pub(super) struct Pipeline(List<Batch>);

impl Pipeline {
    pub(super) fn new(heap: Heap) -> Result<Self, Error> {
        Ok(Self(heap.list_of("batches of packets", BATCHES_IN_FLIGHT, |_| Batch::EMPTY)?))
    }

    /// Returns the bytes that [`Self::new`] allocates.
    pub(super) const fn memory_needed() -> usize {
        BATCHES_IN_FLIGHT * size_of::<Batch>()
    }

    /// Runs all stages over a burst.
    #[inline(always)]
    pub(super) fn run<B: Burst>(&mut self, tracker: &mut Tracker, info: &BurstInfo, burst: &mut B) {
        let count = burst.count();
        tracker.counters.packets += count as u64;
        tracker.receive_aliases(info.now);
        if count > BATCH_SIZE && tracker.table.capacity() > MAX_CACHED_STATES {
            return self.run_overlapped(tracker, info, burst);
        }
        let Some(batch) = self.0.first_mut() else { return };
        for first in (0..count).step_by(BATCH_SIZE) {
            batch.parse_and_steer(tracker, info, first..count.min(first + BATCH_SIZE), burst);
            batch.probe_and_match(&tracker.table, info);
            batch.prefetch_records(tracker);
            batch.track_note_verdict(tracker, info, burst);
        }
    }

    /// Runs all stages over a burst of several batches, each stage on a batch of its own.
    fn run_overlapped<B: Burst>(&mut self, tracker: &mut Tracker, info: &BurstInfo, burst: &mut B) {
        let count = burst.count();
        let batches = count.div_ceil(BATCH_SIZE);
        let [first, second, third, fourth] = &mut self.0[..] else { return };
        let (mut parsing, mut probing, mut matching, mut tracking) = (first, second, third, fourth);
        for step in 0..batches + BATCHES_IN_FLIGHT - 1 {
            if step < batches {
                let packets = step * BATCH_SIZE..count.min((step + 1) * BATCH_SIZE);
                parsing.parse_and_steer(tracker, info, packets, burst);
                tracker.table.lookup_begin(&parsing.facts[..parsing.count], &mut parsing.lookup);
            }
            if (1..=batches).contains(&step) {
                tracker.table.lookup_probe(info.direction, &mut probing.lookup);
            }
            if (2..=batches + 1).contains(&step) {
                matching.match_probed(&tracker.table, info);
                matching.prefetch_records(tracker);
            }
            if step >= BATCHES_IN_FLIGHT - 1 {
                tracking.track_note_verdict(tracker, info, burst);
            }
            (parsing, probing, matching, tracking) = (tracking, parsing, probing, matching);
        }
    }
}

impl Batch {
    const EMPTY: Self = Self {
        count: 0,
        indexes: [0; BATCH_SIZE],
        facts: [Facts::EMPTY; BATCH_SIZE],
        slots: [Slot::NONE; BATCH_SIZE],
        lookup: LookupBatch::new(),
    };

    /// Returns each packet's index, facts and slot.
    fn packets(&self) -> impl Iterator<Item = (usize, &Facts, Slot)> {
        let packets = self.indexes.iter().zip(&self.facts).zip(&self.slots).take(self.count);
        packets.map(|((index, facts), slot)| (usize::from(*index), facts, *slot))
    }

    /// Parse and steer: headers to keys. Packets without a key, and those of another lane, get their verdict here.
    fn parse_and_steer<B: Burst>(
        &mut self,
        tracker: &mut Tracker,
        info: &BurstInfo,
        packets: Range<usize>,
        burst: &mut B,
    ) {
        self.count = 0;
        for index in packets {
            // A range is never longer than a batch.
            let Some(facts) = self.facts.get_mut(self.count) else { return };
            match tracker.parse_and_steer(info, &burst.packet(index), facts) {
                Ok(()) => {
                    self.indexes[self.count] = index as u16;
                    self.count += 1;
                }
                Err(verdict) => {
                    tracker.counters.count_verdict(&verdict);
                    burst.verdict(index, verdict);
                }
            }
        }
    }

    /// Probe and match in one go: keys to slots.
    fn probe_and_match(&mut self, table: &Table, info: &BurstInfo) {
        table.lookup_burst(&self.facts[..self.count], info.direction, &mut self.slots);
    }

    /// Match: compares the keys of the probed candidates.
    fn match_probed(&mut self, table: &Table, info: &BurstInfo) {
        let Self { count, facts, slots, lookup, .. } = self;
        table.lookup_finish(&facts[..*count], info.direction, lookup, slots);
    }

    /// Prefetches what tracking and noting touch besides the hot lines.
    fn prefetch_records(&self, tracker: &Tracker) {
        for (_, facts, slot) in self.packets() {
            if slot == Slot::NONE {
                continue;
            }
            if facts.kind == Kind::Tcp {
                tracker.table.prefetch_track(slot);
            }
            let hot = tracker.table.hot(slot);
            if tracker.exporter.will_queue(hot) || hot.local.any(LocalFlags::TRANSLATED) {
                tracker.table.prefetch_cold(slot);
            }
        }
    }

    /// Track, note the change for the peers, and give the verdict. An earlier packet may have removed a state meanwhile.
    fn track_note_verdict<B: Burst>(&self, tracker: &mut Tracker, info: &BurstInfo, burst: &mut B) {
        let now = Tick::from_nanos(info.now);
        for (index, facts, slot) in self.packets() {
            let mut verdict = tracker.track_and_note(info, facts, slot, now);
            if verdict.translated {
                verdict = tracker.rewrite(verdict, facts, index, burst);
            }
            if verdict.action == Action::HandOff && info.trust_hash {
                tracker.count_hash_mismatch(info, &burst.packet(index), facts);
            }
            tracker.counters.count_verdict(&verdict);
            burst.verdict(index, verdict);
        }
    }
}
