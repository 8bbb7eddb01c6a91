//! A burst in chunks, and the stages over them.
//!
//! A burst of one chunk goes through one stage after the other. In a longer one every stage has a chunk of its own, so that
//! no chunk waits for its own memory, unless the table is so small that there is nothing to wait for:
//!
//! ```text
//! step        n           n + 1       n + 2       n + 3
//! chunk n     read,begin  probe       match       judge
//! chunk n+1               read,begin  probe       match
//! chunk n+2                           read,begin  probe
//!    sent for:  buckets    hot lines   track and cold lines
//! ```

use super::{Burst, Lane, Verdict};
use crate::packet::{Facts, Kind, Refused, Translation};
use crate::state::LocalFlags;
use crate::table::{LookupBatch, Slot};
use crate::time::Tick;
use core::ops::Range;

/// Packets that one pass handles: as many cache lines as a core keeps in flight, and some.
pub const CHUNK: usize = LookupBatch::CAPACITY;

/// Chunks of a long burst that are under way together: one a stage.
const UNDER_WAY: usize = 4;

/// A table of up to so many states stays in the second-level cache: nothing is waited for then, and four chunks under way
/// are more memory than one.
const NEAR: u32 = 16 << 10;

/// The packets of a chunk that have a key, in order.
struct Chunk {
    /// How many there are.
    count: usize,
    /// Each one's place in the burst.
    places: [u16; CHUNK],
    facts: [Facts; CHUNK],
    slots: [Slot; CHUNK],
    flight: LookupBatch,
}

impl Chunk {
    const NONE: Self = Self {
        count: 0,
        places: [0; CHUNK],
        facts: [Facts::EMPTY; CHUNK],
        slots: [Slot::NONE; CHUNK],
        flight: LookupBatch::new(),
    };

    /// The packets, each with its place and its slot.
    fn packets(&self) -> impl Iterator<Item = (usize, &Facts, Slot)> {
        let packets = self.places.iter().zip(&self.facts).zip(&self.slots).take(self.count);
        packets.map(|((place, facts), slot)| (usize::from(*place), facts, *slot))
    }
}

/// Room for the chunks that are under way. A lane keeps it, so that no burst pays for clearing it.
pub(super) struct Work([Chunk; UNDER_WAY]);

impl Work {
    pub(super) const NONE: Self = Self([const { Chunk::NONE }; UNDER_WAY]);
}

impl Lane {
    /// The stages, over a burst whose packets are read by `read`.
    #[inline(always)]
    pub(super) fn run_pipeline(
        &mut self,
        burst: &Burst,
        count: usize,
        read: impl Fn(&Self, usize, &mut Facts) -> Result<(), Verdict>,
        rewrite: &mut impl FnMut(usize, &Facts, &Translation<'_>) -> Result<i16, Refused>,
        verdict: &mut impl FnMut(usize, Verdict),
    ) {
        self.counters.packets += count as u64;
        if let Some(aliases) = &mut self.aliases {
            aliases.listen();
        }
        let Some(mut work) = self.work.take() else { return };
        if count > CHUNK && self.table.capacity() > NEAR {
            self.run_pipeline_overlapped(burst, count, &mut work, &read, rewrite, verdict);
        } else {
            let [chunk, ..] = &mut work.0;
            for first in (0..count).step_by(CHUNK) {
                self.read(first..count.min(first + CHUNK), &read, verdict, chunk);
                self.find(burst, chunk);
                self.judge(burst, chunk, rewrite, verdict);
            }
        }
        self.work = Some(work);
    }

    /// A burst of several chunks, every stage with one of its own.
    fn run_pipeline_overlapped(
        &mut self,
        burst: &Burst,
        count: usize,
        work: &mut Work,
        read: &impl Fn(&Self, usize, &mut Facts) -> Result<(), Verdict>,
        rewrite: &mut impl FnMut(usize, &Facts, &Translation<'_>) -> Result<i16, Refused>,
        verdict: &mut impl FnMut(usize, Verdict),
    ) {
        let chunks = count.div_ceil(CHUNK);
        let [first, second, third, fourth] = &mut work.0;
        let (mut reading, mut probing, mut matching, mut judging) = (first, second, third, fourth);
        for step in 0..chunks + UNDER_WAY - 1 {
            if step < chunks {
                self.read(step * CHUNK..count.min((step + 1) * CHUNK), read, verdict, reading);
                self.table.lookup_begin(&reading.facts[..reading.count], &mut reading.flight);
            }
            if (1..=chunks).contains(&step) {
                self.table.lookup_probe(burst.direction, &mut probing.flight);
            }
            if (2..=chunks + 1).contains(&step) {
                let Chunk { count, facts, slots, flight, .. } = &mut *matching;
                self.table.lookup_finish(&facts[..*count], burst.direction, flight, slots);
                self.prefetch_records(matching);
            }
            if step >= UNDER_WAY - 1 {
                self.judge(burst, judging, rewrite, verdict);
            }
            (reading, probing, matching, judging) = (judging, reading, probing, matching);
        }
    }

    /// Stage 1: headers to keys. Packets without a key, or with a key of another lane, have their verdict here.
    fn read(
        &mut self,
        places: Range<usize>,
        read: &impl Fn(&Self, usize, &mut Facts) -> Result<(), Verdict>,
        verdict: &mut impl FnMut(usize, Verdict),
        chunk: &mut Chunk,
    ) {
        chunk.count = 0;
        for place in places {
            // There are as many places for facts as a chunk has packets.
            let Some(facts) = chunk.facts.get_mut(chunk.count) else { return };
            match read(self, place, facts) {
                Ok(()) => {
                    chunk.places[chunk.count] = place as u16;
                    chunk.count += 1;
                }
                Err(refused) => {
                    self.count(&refused);
                    verdict(place, refused);
                }
            }
        }
    }

    /// Stage 2: keys to slots; the index bucket and the hot line are asked for in the table's own passes.
    fn find(&self, burst: &Burst, chunk: &mut Chunk) {
        let Chunk { count, facts, slots, .. } = chunk;
        self.table.lookup_burst(&facts[..*count], burst.direction, slots);
        self.prefetch_records(chunk);
    }

    /// What tracking and noting touch besides the hot lines.
    fn prefetch_records(&self, chunk: &Chunk) {
        for (_, facts, slot) in chunk.packets() {
            if slot == Slot::NONE {
                continue;
            }
            if facts.kind == Kind::Tcp {
                self.table.prefetch_track(slot);
            }
            let hot = self.table.hot(slot);
            if self.exporter.will_queue(hot) || hot.local.any(LocalFlags::TRANSLATED) {
                self.table.prefetch_cold(slot);
            }
        }
    }

    /// Stage 3: track, note the change for the peers, verdict. A packet before it may have ended a state meanwhile.
    fn judge(
        &mut self,
        burst: &Burst,
        chunk: &Chunk,
        rewrite: &mut impl FnMut(usize, &Facts, &Translation<'_>) -> Result<i16, Refused>,
        verdict: &mut impl FnMut(usize, Verdict),
    ) {
        let now = Tick::from_nanos(burst.now);
        for (place, facts, slot) in chunk.packets() {
            let judged = self.judge_one(burst, facts, slot, now);
            let judged = if judged.translated {
                self.rewritten(judged, facts, |facts, translation| rewrite(place, facts, translation))
            } else {
                judged
            };
            self.count(&judged);
            verdict(place, judged);
        }
    }
}
