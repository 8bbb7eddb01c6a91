//! Builds a sketch of a lane's marks, a few slots a call. Changes behind the position go into it too, so once complete it is
//! always that of now, until it is frozen.

use super::cells::Cells;
use super::finder::Marked;
use super::{Origin, SLOTS_PER_CALL, element};
use crate::error::Error;
use crate::memory::{Heap, List};
use crate::sync::store::Store;
use crate::table::Slot;
use pfsync::CellRun;

/// What a sketch is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Idle,
    /// All slots before this one are in it.
    At(u32),
    /// All slots are.
    Complete,
    /// It does not change any more, and its cells from this one on are to be sent.
    Frozen(u16),
}

/// A sketch that is built.
#[derive(Debug)]
pub(super) struct Builder {
    of: Origin,
    stage: Stage,
    /// None, or one.
    cells: List<Cells>,
    /// The question that it answers.
    pub number: u32,
}

impl Builder {
    pub(super) fn new(is_active: bool, heap: Heap) -> Result<Self, Error> {
        let mut cells = heap.list("a sketch", usize::from(is_active))?;
        if is_active {
            cells.push(Cells::new(heap)?);
        }
        Ok(Self { of: Origin::NONE, stage: Stage::Idle, cells, number: 0 })
    }

    pub(super) const fn memory_needed(is_active: bool) -> usize {
        if is_active { size_of::<Cells>() + Cells::memory_needed() } else { 0 }
    }

    /// Names what a peer was sent.
    pub(super) const fn of_peer(peer: usize) -> Origin {
        Origin { source: peer as u8, lane: 0, generation: 0 }
    }

    /// Returns the peer or node that it is about.
    pub(super) const fn of(&self) -> Origin {
        self.of
    }

    pub(super) fn is_idle(&self) -> bool {
        self.stage == Stage::Idle
    }

    /// Whether all slots are in it.
    pub(super) fn is_complete(&self) -> bool {
        self.stage == Stage::Complete
    }

    pub(super) const fn is_frozen(&self) -> bool {
        matches!(self.stage, Stage::Frozen(_))
    }

    /// Begins a new one.
    pub(super) fn begin(&mut self, of: Origin, total: u16) {
        if let Some(cells) = self.cells.first_mut() {
            cells.begin(total);
            (self.of, self.stage) = (of, Stage::At(0));
        }
    }

    pub(super) fn freeze(&mut self) {
        if self.stage == Stage::Complete {
            self.stage = Stage::Frozen(0);
        }
    }

    pub(super) const fn stop(&mut self) {
        self.stage = Stage::Idle;
    }

    /// Notes a change of a mark.
    #[inline]
    pub(super) fn note(&mut self, of: Origin, slot: Slot, element: u64, count: i32) {
        let is_in_it = match self.stage {
            Stage::Idle | Stage::Frozen(_) => false,
            Stage::At(at) => slot.0 < at,
            Stage::Complete => true,
        };
        if is_in_it
            && self.of == of
            && let Some(cells) = self.cells.first_mut()
        {
            cells.add(element, count);
        }
    }

    /// Adds the next slots. Returns true when it has become complete.
    pub(super) fn step(&mut self, marked: &impl Marked, table: &impl Store) -> bool {
        let (Stage::At(from), Some(cells)) = (self.stage, self.cells.first_mut()) else { return false };
        let end = from.saturating_add(SLOTS_PER_CALL);
        let mut at = from;
        while let Some(slot) = marked.next_marked(self.of, at, end) {
            cells.add(element(table.id(slot)), 1);
            at = slot.0 + 1;
        }
        self.stage = if end >= marked.slots() { Stage::Complete } else { Stage::At(end) };
        self.is_complete()
    }

    /// Returns the next cells to be sent; [`Self::advance`] moves behind them.
    pub(super) fn next_run(&self) -> Option<CellRun> {
        let Stage::Frozen(first) = self.stage else { return None };
        Some(self.cells.first()?.run(first))
    }

    pub(super) fn advance(&mut self) {
        if let (Stage::Frozen(first), Some(cells)) = (self.stage, self.cells.first()) {
            let next = first + CellRun::MAX as u16;
            self.stage = if next >= cells.total() { Stage::Idle } else { Stage::Frozen(next) };
        }
    }
}
