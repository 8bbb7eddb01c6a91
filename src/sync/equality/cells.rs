//! A sketch: an invertible Bloom lookup table. Elements that two sketches share vanish in their difference, and the others are
//! read from it if they are few.

use super::{MAX_CELLS, MAX_DIFFERENCES};
use crate::error::Error;
use crate::memory::{Heap, List};
use pfsync::{CellRun, SketchCell};

/// Cells that an element is in, one in each quarter of the sketch.
const COPIES: u32 = 4;
/// Times that all cells are examined.
const MAX_PASSES: u32 = 64;

/// The cells of a sketch of any size.
#[derive(Debug)]
pub(super) struct Cells {
    cells: List<SketchCell>,
    total: u16,
}

/// An element that is in one of two sketches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Difference {
    pub element: u64,
    /// It is in the first one.
    pub is_first: bool,
}

impl Cells {
    pub(super) fn new(heap: Heap) -> Result<Self, Error> {
        Ok(Self { cells: heap.list_of("a sketch", MAX_CELLS, |_| SketchCell::default())?, total: 0 })
    }

    pub(super) const fn memory_needed() -> usize {
        MAX_CELLS * size_of::<SketchCell>()
    }

    pub(super) const fn total(&self) -> u16 {
        self.total
    }

    /// Empties it, and sets its size.
    pub(super) fn begin(&mut self, total: u16) {
        self.total = total;
        self.cells[..usize::from(total)].fill(SketchCell::default());
    }

    /// Adds an element, or with a `count` of -1 removes it.
    #[inline]
    pub(super) fn add(&mut self, element: u64, count: i32) {
        let (places, check) = hashes(element);
        let quarter = u32::from(self.total) / COPIES;
        for copy in 0..COPIES {
            let place = (places >> (16 * copy)) as u32 & quarter.wrapping_sub(1);
            let cell = &mut self.cells[(copy * quarter + place) as usize];
            cell.count = cell.count.wrapping_add(count);
            cell.elements ^= element;
            cell.checks ^= check;
        }
    }

    /// Returns the cells from `first` on, as many as a run holds.
    pub(super) fn run(&self, first: u16) -> CellRun {
        let mut run = CellRun::new(self.total, first);
        let cells = self.cells[usize::from(first)..usize::from(self.total)].iter();
        cells.take(CellRun::MAX).for_each(|cell| _ = run.push(*cell));
        run
    }

    /// Adds or subtracts a part of another sketch of this size.
    pub(super) fn combine(&mut self, run: &CellRun, sign: i32) {
        let first = usize::from(run.first);
        for (cell, other) in self.cells[..usize::from(self.total)].iter_mut().skip(first).zip(run.cells()) {
            cell.count = cell.count.wrapping_add(sign.wrapping_mul(other.count));
            cell.elements ^= other.elements;
            cell.checks ^= other.checks;
        }
    }

    /// Reads the elements of a difference, and removes them. Returns false if there are too many.
    ///
    /// Cost: a few passes over the cells.
    pub(super) fn peel(&mut self, found: &mut List<Difference>) -> bool {
        let total = usize::from(self.total);
        found.clear();
        for _ in 0..MAX_PASSES {
            let before = found.len();
            for index in 0..total {
                let SketchCell { count, elements, checks } = self.cells[index];
                if !matches!(count, 1 | -1) || hashes(elements).1 != checks {
                    continue;
                }
                if found.len() == MAX_DIFFERENCES {
                    return false;
                }
                self.add(elements, -count);
                found.push(Difference { element: elements, is_first: count == 1 });
            }
            if found.len() == before {
                break;
            }
        }
        self.cells[..total].iter().all(|cell| *cell == SketchCell::default())
    }
}

/// Returns the places of an element's copies, 16 bits each, and its check.
const fn hashes(element: u64) -> (u64, u32) {
    let mut n = element ^ 0x243f_6a88_85a3_08d3;
    n = (n ^ n >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    n = (n ^ n >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    let places = n ^ n >> 32;
    (places, (places.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use super::super::SIZES;
    use super::*;

    fn random(seed: &mut u64) -> u64 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed ^ *seed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    }

    #[test]
    fn elements_for_half_of_the_cells_are_found_nearly_always() {
        let mut seed = 7;
        let mut found = Heap::SYSTEM.list("found", MAX_DIFFERENCES).unwrap();
        for (total, trials, max_failures) in [(SIZES[0], 1000, 25), (SIZES[1], 200, 2), (SIZES[2], 20, 0)] {
            let mut failures = 0;
            for _ in 0..trials {
                let mut cells = Cells::new(Heap::SYSTEM).unwrap();
                cells.begin(total);
                let mut expected = Vec::new();
                for n in 0..total / 2 {
                    let difference = Difference { element: random(&mut seed), is_first: n % 3 > 0 };
                    cells.add(difference.element, if difference.is_first { 1 } else { -1 });
                    expected.push(difference);
                }
                if !cells.peel(&mut found) {
                    failures += 1;
                    continue;
                }
                expected.sort_unstable();
                found.sort_unstable();
                assert_eq!(found[..], expected);
            }
            assert!(failures <= max_failures, "{failures} of {trials} with {total} cells");
        }
    }

    #[test]
    fn too_many_elements_are_noticed_and_equal_sketches_have_none() {
        let mut seed = 3;
        let mut found = Heap::SYSTEM.list("found", MAX_DIFFERENCES).unwrap();
        for count in [100, 500, 5000] {
            let (mut one, mut other) = (Cells::new(Heap::SYSTEM).unwrap(), Cells::new(Heap::SYSTEM).unwrap());
            one.begin(64);
            other.begin(64);
            for _ in 0..count {
                let element = random(&mut seed);
                one.add(element, 1);
                other.add(element, 1);
            }
            let runs = |cells: &Cells| (0..8).map(|n| cells.run(8 * n)).collect::<Vec<_>>();
            assert!(!one.peel(&mut found), "{count} in 64 cells");
            one.begin(64);
            runs(&other).iter().for_each(|run| one.combine(run, 1));
            runs(&other).iter().for_each(|run| one.combine(run, -1));
            assert!(one.peel(&mut found) && found.is_empty());
        }
    }

    #[test]
    fn cells_of_an_attacker_end_in_bounded_time() {
        let mut found = Heap::SYSTEM.list("found", MAX_DIFFERENCES).unwrap();
        let mut cells = Cells::new(Heap::SYSTEM).unwrap();
        cells.begin(SIZES[2]);
        // Each cell claims an element, which is in no other cell.
        for index in 0..MAX_CELLS {
            let element = index as u64;
            cells.cells[index] = SketchCell { count: 1, elements: element, checks: hashes(element).1 };
        }
        assert!(!cells.peel(&mut found) && found.len() <= MAX_DIFFERENCES);
    }
}
