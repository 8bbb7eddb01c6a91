//! A lane's part: its marks, and what it builds and looks for when it is asked.

use super::builder::Builder;
use super::finder::Finder;
use super::marks::Marks;
use super::{Answer, Ask, Origin, Question, SIZES, Total};
use crate::error::Error;
use crate::memory::{Heap, Owned, Ring};
use crate::state::StateId;
use crate::sync::message::PeerIndex;
use crate::sync::settings::{MAX_PEERS, SyncSettings};
use crate::sync::store::Store;
use crate::table::Slot;
use arrayvec::ArrayVec;
use pfsync::{CellRun, Elements};

/// Answers that wait for the sync lane. One that does not fit is asked for again, or found missing.
const MAX_ANSWERS: usize = 64;

/// What a lane knows of the states that it sent and received.
#[derive(Debug)]
pub(in crate::sync) struct LaneComparison {
    pub marks: Marks,
    answers: Ring<Answer>,
    /// Sketches that peers wait for, and their sizes.
    sketches_wanted: ArrayVec<(PeerIndex, u16), MAX_PEERS>,
    /// States that a peer does not have.
    wanted: Finder,
    /// States that their sender does not seem to have.
    doubted: Finder,
}

impl LaneComparison {
    pub(in crate::sync) fn new(settings: &SyncSettings, heap: Heap) -> Result<Self, Error> {
        let is_active = settings.compared_nodes() > 0;
        Ok(Self {
            marks: Marks::new(settings, heap)?,
            answers: Ring::new(heap, "answers of a lane", if is_active { MAX_ANSWERS } else { 0 })?,
            sketches_wanted: ArrayVec::new(),
            wanted: Finder::new(is_active, heap)?,
            doubted: Finder::new(is_active, heap)?,
        })
    }

    /// As [`Self::new`], in memory of its own.
    #[inline(never)]
    pub(in crate::sync) fn boxed(settings: &SyncSettings, heap: Heap) -> Result<Owned<Self>, Error> {
        heap.owned("the comparison of a lane", Self::new(settings, heap)?)
    }

    /// Returns the bytes that [`Self::boxed`] allocates.
    pub(in crate::sync) fn memory_needed(settings: &SyncSettings) -> usize {
        let is_active = settings.compared_nodes() > 0;
        size_of::<Self>()
            + Marks::memory_needed(settings)
            + Ring::<Answer>::bytes(if is_active { MAX_ANSWERS } else { 0 })
            + 2 * Finder::memory_needed(is_active)
    }

    /// Notes that a state cannot be held. Its sender is informed if there is space.
    pub(in crate::sync) fn refuse(&mut self, origin: Origin, id: StateId, reason: u8) {
        if origin != Origin::NONE {
            let _ = self.answers.push(Answer::Refused { origin, id, reason });
        }
    }

    /// Answers a question of the sync lane.
    pub(in crate::sync) fn ask(&mut self, question: &Question) {
        let Question { number, origin, ask } = question;
        let (number, origin) = (*number, *origin);
        match ask {
            Ask::Total => {
                let total = self.marks.taken_total(origin);
                let _ = self.answers.push(Answer::Total { number, total });
            }
            Ask::Build(total) => {
                self.marks.taken_sketch.begin(origin, *total);
                self.marks.taken_sketch.number = number;
            }
            Ask::Freeze => {
                let sketch = &mut self.marks.taken_sketch;
                if sketch.number == number && sketch.is_complete() {
                    sketch.freeze();
                } else {
                    sketch.stop();
                    let _ = self.answers.push(Answer::NotBuilt { number });
                }
            }
            Ask::Doubt(elements) => self.doubted.add(origin, elements),
        }
    }

    /// Returns the next answer for the sync lane.
    pub(in crate::sync) fn take_answer(&mut self) -> Option<Answer> {
        if let Some(answer) = self.answers.pop() {
            return Some(answer);
        }
        let sketch = &mut self.marks.taken_sketch;
        let run = sketch.next_run()?;
        sketch.advance();
        Some(Answer::Cells { number: sketch.number, run })
    }

    /// Begins a sketch for a peer, or does so after that of another one. Returns false if there is none of this size.
    #[must_use]
    pub(in crate::sync) fn begin_sketch(&mut self, peer: PeerIndex, cells: u32) -> bool {
        let Some(size) = SIZES.into_iter().find(|&size| u32::from(size) == cells) else { return false };
        self.sketches_wanted.retain(|(other, _)| *other != peer);
        // There is space for one of each peer.
        let _ = self.sketches_wanted.try_push((peer, size));
        true
    }

    /// Looks for states that a peer does not have.
    pub(in crate::sync) fn want(&mut self, peer: PeerIndex, elements: &Elements) {
        self.wanted.add(Builder::of_peer(peer.into()), elements);
    }

    /// Returns the peer whose sketch is complete.
    #[inline]
    pub(in crate::sync) fn sketch_for(&self) -> Option<PeerIndex> {
        let sketch = &self.marks.sent_sketch;
        (sketch.is_complete() || sketch.is_frozen()).then_some(sketch.of().source)
    }

    /// Returns the next cells of it, which stays as it is now; [`Self::cells_sent`] moves behind them.
    pub(in crate::sync) fn next_cells(&mut self) -> Option<CellRun> {
        self.marks.sent_sketch.freeze();
        self.marks.sent_sketch.next_run()
    }

    pub(in crate::sync) fn cells_sent(&mut self) {
        self.marks.sent_sketch.advance();
    }

    /// Returns the sum of what a peer was sent.
    pub(in crate::sync) fn sent_total(&self, peer: PeerIndex) -> Total {
        let sent = self.marks.sent.get(usize::from(peer)).and_then(Option::as_ref);
        sent.map(|sent| sent.total).unwrap_or_default()
    }

    /// Builds sketches, a few slots each.
    pub(in crate::sync) fn step(&mut self, table: &impl Store) {
        let Marks { sent, taken, sent_sketch, taken_sketch } = &mut self.marks;
        if sent_sketch.is_idle()
            && let Some((peer, size)) = self.sketches_wanted.pop_at(0)
        {
            sent_sketch.begin(Builder::of_peer(peer.into()), size);
        }
        if let Some(Some(sent)) = sent.get(usize::from(sent_sketch.of().source)) {
            let _ = sent_sketch.step(sent, table);
        }
        if let Some(taken) = taken.get(usize::from(taken_sketch.of().source))
            && taken_sketch.step(taken, table)
        {
            let _ = self.answers.push(Answer::Built { number: taken_sketch.number });
        }
        self.step_doubted(table);
    }

    fn step_doubted(&mut self, table: &impl Store) {
        let mut budget = Finder::budget();
        while let Some(origin) = self.doubted.of().filter(|_| self.answers.free() > 0) {
            let Some(taken) = self.marks.taken.get(usize::from(origin.source)) else { return };
            let Some(slot) = self.doubted.step(taken, table, &mut budget) else { return };
            let _ = self.answers.push(Answer::Doubt { origin, id: table.id(slot) });
        }
    }

    /// Returns a state that a peer wants, of those in the next slots. `budget` begins with [`Finder::budget`].
    pub(in crate::sync) fn next_wanted(&mut self, table: &impl Store, budget: &mut u32) -> Option<Slot> {
        let of = self.wanted.of()?;
        let sent = self.marks.sent.get(usize::from(of.source))?.as_ref()?;
        self.wanted.step(sent, table, budget)
    }
}
