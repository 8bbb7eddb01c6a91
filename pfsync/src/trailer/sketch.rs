//! Cells of a sketch: an invertible Bloom lookup table of elements.

use super::stream::{long, word};

const HEAD_BYTES: usize = 4;
const CELL_BYTES: usize = 16;
pub(super) const MAX_RUN_BYTES: usize = HEAD_BYTES + CellRun::MAX * CELL_BYTES;

/// A cell: what the elements in it add up to. The difference of two cells is that of their elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SketchCell {
    /// How many; wraps.
    pub count: i32,
    /// The elements, each bit modulo 2.
    pub elements: u64,
    /// Hashes of the elements, each bit modulo 2.
    pub checks: u32,
}

/// Consecutive cells of a sketch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellRun {
    /// Cells of the whole sketch.
    pub total: u16,
    /// Number of the first one.
    pub first: u16,
    cells: [SketchCell; Self::MAX],
    count: u8,
}

impl CellRun {
    /// How many there can be.
    pub const MAX: usize = 8;

    /// Begins a run of no cells.
    #[must_use]
    pub const fn new(total: u16, first: u16) -> Self {
        Self { total, first, cells: [SketchCell { count: 0, elements: 0, checks: 0 }; Self::MAX], count: 0 }
    }

    /// Adds a cell. Returns false if there is no space.
    #[must_use]
    pub fn push(&mut self, cell: SketchCell) -> bool {
        let Some(free) = self.cells.get_mut(usize::from(self.count)) else { return false };
        *free = cell;
        self.count += 1;
        true
    }

    /// Returns the cells.
    #[must_use]
    pub fn cells(&self) -> &[SketchCell] {
        &self.cells[..usize::from(self.count)]
    }

    pub(super) fn parse(value: &mut &[u8]) -> Option<Self> {
        let head = word(value)?;
        let mut run = Self::new((head >> 16) as u16, head as u16);
        while usize::from(run.count) < Self::MAX
            && let Some(cell) = parse_cell(value)
        {
            let _ = run.push(cell);
        }
        (run.count > 0).then_some(run)
    }

    pub(super) fn emit(&self, mut put: impl FnMut(&[u8])) {
        put(&self.total.to_be_bytes());
        put(&self.first.to_be_bytes());
        for SketchCell { count, elements, checks } in self.cells() {
            put(&count.to_be_bytes());
            put(&elements.to_be_bytes());
            put(&checks.to_be_bytes());
        }
    }
}

fn parse_cell(value: &mut &[u8]) -> Option<SketchCell> {
    let count = word(value)?.cast_signed();
    Some(SketchCell { count, elements: long(value)?, checks: word(value)? })
}
