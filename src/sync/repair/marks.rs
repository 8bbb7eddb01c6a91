//! For each state of a lane, the last frame to one peer that carried it, and what the peer has not received of it yet.

use crate::error::Error;
use crate::memory::{Heap, List};
use crate::table::Slot;
use core::ops::Range;

/// What a peer has not received of a state, as far as this node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sync) enum Lacks {
    /// It has all that was sent.
    Nothing = 0,
    /// A change.
    Change = 1,
    /// The state.
    State = 2,
}

/// Bits of a frame's number.
const NUMBER_BITS: u32 = 29;
const NUMBERS: u32 = u32::MAX >> (u32::BITS - NUMBER_BITS);

/// The low bits of a frame's number, what the peer lacks, and whether the frame carried the whole state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark(u32);

impl Mark {
    /// No frame: the number 0 stands for none.
    const NONE: Self = Self(0);

    const fn new(frame: u64, lacks: Lacks, is_whole: bool) -> Self {
        Self((frame as u32) << 3 | (lacks as u32) << 1 | is_whole as u32)
    }

    const fn number(self) -> u32 {
        self.0 >> 3
    }

    const fn lacks(self) -> Lacks {
        match self.0 >> 1 & 3 {
            0 => Lacks::Nothing,
            1 => Lacks::Change,
            _ => Lacks::State,
        }
    }

    pub(super) const fn is_whole(self) -> bool {
        self.0 & 1 != 0
    }

    /// Whether the frame's number is one of `count` from `first` on, as far as the bits tell.
    pub(super) const fn is_of(self, first: u64, count: u32) -> bool {
        self.number().wrapping_sub(first as u32) & NUMBERS < count
    }

    const fn with(self, lacks: Lacks) -> Self {
        Self(self.0 & !(3 << 1) | (lacks as u32) << 1)
    }
}

/// How many states the peer lacks, and how many others it has without their last change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::sync) struct Lacking {
    pub states: u32,
    pub changes: u32,
}

impl Lacking {
    fn count(&mut self, lacks: Lacks) -> Option<&mut u32> {
        match lacks {
            Lacks::Nothing => None,
            Lacks::Change => Some(&mut self.changes),
            Lacks::State => Some(&mut self.states),
        }
    }

    fn change(&mut self, before: Lacks, after: Lacks) {
        if before != after {
            self.count(before).into_iter().for_each(|count| *count -= 1);
            self.count(after).into_iter().for_each(|count| *count += 1);
        }
    }
}

/// The marks of one stream.
#[derive(Debug)]
pub(super) struct Marks {
    marks: List<Mark>,
    pub lacking: Lacking,
}

impl Marks {
    pub(super) fn new(slots: usize, heap: Heap) -> Result<Self, Error> {
        let marks = heap.list_of("marks of sent states", slots, |_| Mark::NONE)?;
        Ok(Self { marks, lacking: Lacking::default() })
    }

    /// Returns the bytes that [`Self::new`] allocates.
    pub(super) const fn memory_needed(slots: usize) -> usize {
        slots * size_of::<Mark>()
    }

    pub(super) fn slot_count(&self) -> u32 {
        self.marks.len() as u32
    }

    pub(super) fn get(&self, slot: u32) -> Option<Mark> {
        self.marks.get(slot as usize).copied()
    }

    /// Notes that a frame carries a state. What the peer lacked of it before, it lacks until the frame arrives. Returns false for
    /// a slot beyond the capacity.
    #[inline]
    pub(super) fn note(&mut self, slot: Slot, frame: u64, is_whole: bool, lacks: Lacks) -> bool {
        let Some(mark) = self.marks.get_mut(slot.0 as usize) else { return false };
        let before = mark.lacks();
        let after = before.max(lacks);
        self.lacking.change(before, after);
        *mark = Mark::new(frame, after, is_whole);
        true
    }

    /// Notes that the peer has received a frame. Returns whether no later one carried the state, so that the peer lacks nothing.
    #[inline]
    pub(super) fn taken(&mut self, slot: u32, frame: u64) -> bool {
        let Some(mark) = self.marks.get_mut(slot as usize) else { return false };
        let is_last = mark.is_of(frame, 1);
        if is_last {
            self.lacking.change(mark.lacks(), Lacks::Nothing);
            *mark = mark.with(Lacks::Nothing);
        }
        is_last
    }

    /// Notes that a state has ended.
    #[inline]
    pub(super) fn remove(&mut self, slot: Slot) {
        if let Some(mark) = self.marks.get_mut(slot.0 as usize) {
            self.lacking.change(mark.lacks(), Lacks::Nothing);
            *mark = Mark::NONE;
        }
    }

    /// Notes that the peer has received all frames from `frames.start` to before `frames.end`, for the slots from `from` to before
    /// `end`. `newest` is the last frame sent.
    pub(super) fn taken_all(&mut self, (from, end): (u32, u32), frames: &Range<u64>, newest: u64) {
        let Self { marks, lacking } = self;
        for mark in marks.iter_mut().take(end as usize).skip(from as usize) {
            if mark.lacks() != Lacks::Nothing && is_within(*mark, frames, newest) {
                lacking.change(mark.lacks(), Lacks::Nothing);
                *mark = mark.with(Lacks::Nothing);
            }
        }
    }

    /// Notes that the peer has the states that were sent last in one of the frames, and lacks all others, for some slots.
    pub(super) fn lost_all(&mut self, (from, end): (u32, u32), frames: &Range<u64>, newest: u64) {
        let Self { marks, lacking } = self;
        for mark in marks.iter_mut().take(end as usize).skip(from as usize) {
            if *mark != Mark::NONE {
                let lacks = if is_within(*mark, frames, newest) { Lacks::Nothing } else { Lacks::State };
                lacking.change(mark.lacks(), lacks);
                *mark = mark.with(lacks);
            }
        }
    }

    /// Returns the first slot from `from` on and before `end` whose state was carried last by one of `count` frames.
    pub(super) fn next(&self, first: u64, count: u32, from: u32, end: u32) -> Option<Slot> {
        let end = (end as usize).min(self.marks.len());
        let marks = self.marks.get(from as usize..end)?;
        // The mark 0 means never; the frame whose number ends so looks the same, which only sends more.
        let found = marks.iter().position(|mark| mark.is_of(first, count))?;
        Some(Slot(from + found as u32))
    }
}

/// Whether a mark names one of the frames, as far as its bits tell.
fn is_within(mark: Mark, frames: &Range<u64>, newest: u64) -> bool {
    let age = u64::from((newest as u32).wrapping_sub(mark.number()) & NUMBERS);
    mark.number() != 0 && age + frames.end > newest && age + frames.start <= newest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_lacks_a_state_until_the_last_frame_that_carried_it_is_received() {
        let mut marks = Marks::new(4, Heap::SYSTEM).unwrap();
        let lacking = |marks: &Marks| (marks.lacking.states, marks.lacking.changes);
        assert!(marks.note(Slot(1), 5, true, Lacks::State));
        assert!(marks.note(Slot(2), 5, false, Lacks::Change));
        assert!(!marks.note(Slot(4), 5, true, Lacks::State), "beyond the capacity");
        assert_eq!(lacking(&marks), (1, 1));
        assert!(marks.note(Slot(1), 6, false, Lacks::Change));
        assert_eq!(lacking(&marks), (1, 1), "it lacks the state, whatever else");
        assert!(!marks.taken(1, 5));
        assert!(marks.taken(2, 5));
        assert_eq!(lacking(&marks), (1, 0));
        marks.note(Slot(2), 7, true, Lacks::Nothing);
        assert_eq!(lacking(&marks), (1, 0), "a repeat of what it has");
        marks.lost_all((0, 4), &(7..9), 9);
        assert_eq!(lacking(&marks), (1, 0), "frame 7 is of after the loss, and frame 6 was lacking");
        marks.lost_all((0, 4), &(8..9), 9);
        assert_eq!(lacking(&marks), (2, 0));
        marks.taken_all((0, 2), &(1..8), 9);
        assert_eq!(lacking(&marks), (1, 0));
        marks.remove(Slot(2));
        assert_eq!(lacking(&marks), (0, 0));
    }

    #[test]
    fn numbers_are_compared_by_their_low_bits() {
        let newest = 1 << 40 | 5;
        for (age, range, is_in) in
            [(0, 0..1, true), (9, 0..10, true), (9, 0..9, false), (3, 3..4, true), (3, 4..9, false)]
        {
            let mark = Mark::new(newest - age, Lacks::Change, true);
            let frames = newest + 1 - range.end..newest + 1 - range.start;
            assert_eq!(is_within(mark, &frames, newest), is_in && mark.number() != 0, "{age} {range:?}");
        }
    }
}
