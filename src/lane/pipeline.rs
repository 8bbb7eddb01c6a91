//! The packet pipeline: parse, steer, probe, match, track, note, verdict.
//!
//! A burst is processed in groups of packets, and each stage works on a group of its own, `d` steps behind the stage before
//! it. So no group waits for its own cache misses, and the prefetches are spread over the work of all stages:
//!
//! ```text
//! step        n              n + d       n + 2d      n + 3d
//! group n     parse, steer   probe       match       track, note, verdict
//! group n+d                  parse ...   probe       match
//! group n+2d                             parse ...   probe
//! prefetches: index buckets  hot lines   track and cold lines
//! ```
//!
//! The distance `d` grows with the table, because a line of a larger one takes longer to arrive. For a table that fits the
//! caches it is 0: larger groups run through one stage after the other.

use super::tracker::Tracker;
use super::{Action, Burst, BurstInfo};
use crate::error::Error;
use crate::memory::{Heap, List};
use crate::packet::{Facts, Kind};
use crate::state::LocalFlags;
use crate::table::{LookupBatch, Slot, Table};
use crate::time::Tick;
use core::ops::Range;

/// Packets in a group when nothing waits for memory: the fewer groups, the less work.
const LARGE_GROUP: usize = LookupBatch::CAPACITY;

/// Packets in a group that overlaps with others. A smaller one spreads the prefetches better, a larger one costs fewer
/// instructions a packet.
const SMALL_GROUP: usize = 8;

/// A table of up to this many states fits into the second-level cache. Nothing waits for memory then.
const MAX_CACHED_STATES: u32 = 16 << 10;

/// A table of up to this many states mostly fits into a shared third-level cache.
const MAX_NEAR_STATES: u32 = 256 << 10;

/// How many stages the last one is behind the first.
const LAST_STAGE: usize = 3;

/// How many steps a stage is behind the one before it, at most.
const MAX_DISTANCE: usize = 2;

/// Groups in flight: one for each step from the first stage to the last. A power of two, so that positions wrap cheaply.
const GROUPS: usize = (LAST_STAGE * MAX_DISTANCE + 1).next_power_of_two();

/// The packets of a group that have a key, in order.
struct Group {
    count: usize,
    /// Each packet's index in the burst.
    indexes: [u16; LARGE_GROUP],
    facts: [Facts; LARGE_GROUP],
    slots: [Slot; LARGE_GROUP],
    lookup: LookupBatch,
}

/// The groups in flight, and how they overlap.
pub(super) struct Pipeline {
    /// Memory that a lane keeps, so that no burst pays for clearing it.
    groups: List<Group>,
    /// Packets in a group.
    group_size: usize,
    /// How many steps a stage is behind the one before it; 0 to run a group through all stages in one step.
    distance: usize,
}

impl Pipeline {
    /// Allocates a pipeline for a table of `capacity` states.
    pub(super) fn new(heap: Heap, capacity: u32) -> Result<Self, Error> {
        let (group_size, distance) = if capacity <= MAX_CACHED_STATES {
            (LARGE_GROUP, 0)
        } else if capacity <= MAX_NEAR_STATES {
            (SMALL_GROUP, 1)
        } else {
            (SMALL_GROUP, MAX_DISTANCE)
        };
        Ok(Self {
            groups: heap.list_of("groups of packets", GROUPS, |_| Group::EMPTY)?,
            group_size,
            distance,
        })
    }

    /// Returns the bytes that [`Self::new`] allocates.
    pub(super) const fn memory_needed() -> usize {
        GROUPS * size_of::<Group>()
    }

    /// Runs all stages over a burst.
    #[inline(always)]
    pub(super) fn run<B: Burst>(&mut self, tracker: &mut Tracker, info: &BurstInfo, burst: &mut B) {
        let (count, size) = (burst.count(), self.group_size);
        tracker.counters.packets += count as u64;
        tracker.receive_aliases(info.now);
        let Some(ring) = self.groups.first_chunk_mut::<GROUPS>() else { return };
        let groups = count.div_ceil(size);
        let distance = self.distance.min(groups.saturating_sub(1));
        for step in 0..groups + LAST_STAGE * distance {
            // The number of the group that a stage works on, if there is one.
            let group_of = |stage: usize| step.checked_sub(stage * distance).filter(|group| *group < groups);
            if let Some(number) = group_of(0) {
                let group = &mut ring[number % GROUPS];
                let packets = number * size..count.min((number + 1) * size);
                group.parse_and_steer(tracker, info, packets, burst);
                group.prefetch_buckets(&tracker.table);
            }
            if let Some(number) = group_of(1) {
                ring[number % GROUPS].probe(&tracker.table, info);
            }
            if let Some(number) = group_of(2) {
                let group = &mut ring[number % GROUPS];
                group.match_keys(&tracker.table, info);
                group.prefetch_records(tracker);
            }
            if let Some(number) = group_of(LAST_STAGE) {
                ring[number % GROUPS].track_note_verdict(tracker, info, burst);
            }
        }
    }
}

impl Group {
    const EMPTY: Self = Self {
        count: 0,
        indexes: [0; LARGE_GROUP],
        facts: [Facts::EMPTY; LARGE_GROUP],
        slots: [Slot::NONE; LARGE_GROUP],
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
            // A range is never longer than a group.
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

    /// First half of the probe: hashes the keys and prefetches their buckets.
    fn prefetch_buckets(&mut self, table: &Table) {
        table.lookup_begin(&self.facts[..self.count], &mut self.lookup);
    }

    /// Probe: finds a candidate for each key and prefetches its hot line.
    fn probe(&mut self, table: &Table, info: &BurstInfo) {
        table.lookup_probe(info.direction, &mut self.lookup);
    }

    /// Match: compares the keys with the candidates'.
    fn match_keys(&mut self, table: &Table, info: &BurstInfo) {
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
