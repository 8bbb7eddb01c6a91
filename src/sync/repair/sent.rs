//! What the frames of one stream carried, so that their contents can be sent again as they are by then.
//!
//! ```text
//! starts   frame number -> where its states begin in `slots`      the last frames
//! slots    slots of the states, in the order of sending, and      the last states
//!          whether each was whole
//! ids      deletes, acknowledgements, requests, with their frame  the last of each
//! marks    slot -> the last frame that carried its state, whether all of this run
//!          it was whole, and what the peer lacks of it
//! ```
//!
//! A lost frame matters for a state only if no later frame carried the state as completely: a compressed update is of no use to
//! a peer that lost the whole state.
//! An id that was sent again belongs to the frame that carried it then. Otherwise several nodes that lost different copies
//! would each have all copies sent again, ever more of them.

use super::marks::{Lacking, Lacks, Marks};
use crate::error::Error;
use crate::memory::{Heap, List};
use crate::state::StateId;
use crate::table::Slot;
use core::ops::Range;

/// Maximum number of states and of ids that are remembered, in one lane for one peer.
const MAX_REMEMBERED: u32 = 65_536;
const MIN_REMEMBERED: u32 = 1024;
/// States for each frame that is remembered.
const STATES_PER_FRAME: u32 = 4;

/// What an id in a frame meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::sync) enum IdKind {
    Delete = 0,
    Acknowledgement = 1,
    Request = 2,
    /// A mark of a bulk transfer or a request for one; the id is not one of a state.
    Control = 3,
}

impl IdKind {
    const ALL: [Self; 4] = [Self::Delete, Self::Acknowledgement, Self::Request, Self::Control];
}

/// An id that a frame carried.
#[derive(Clone, Copy, Debug)]
struct SentId {
    id: u64,
    creator: u32,
    /// Low 29 bits of the frame's number, whether the id was sent again, then the kind.
    frame_and_kind: u32,
}

/// Bits below the frame's number.
const KIND_BITS: u32 = 3;
/// A later frame carried the id too.
const SENT_AGAIN: u32 = 1 << 2;

/// An id of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sync) enum IdAt {
    /// The id.
    Id(IdKind, StateId),
    /// A later frame carried it too: it matters whether that one is received.
    SentAgain,
    /// It was overwritten since.
    Forgotten,
}

/// A slot, and whether its state was whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Carried(u32);

impl Carried {
    const fn new(slot: u32, is_whole: bool) -> Self {
        Self(slot << 1 | is_whole as u32)
    }

    const fn slot(self) -> u32 {
        self.0 >> 1
    }

    const fn is_whole(self) -> bool {
        self.0 & 1 != 0
    }
}

/// Where the states of a frame are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sync) enum FrameSlots {
    /// At these positions, for [`Sent::slot_at`].
    Remembered(Range<u32>),
    /// It is too long ago.
    Forgotten,
}

/// The memory of one stream.
#[derive(Debug)]
pub(in crate::sync) struct Sent {
    starts: List<u32>,
    slots: List<Carried>,
    /// Position behind the last slot; wraps.
    head: u32,
    ids: List<SentId>,
    /// Ids noted so far.
    id_count: u64,
    pub marks: Marks,
    /// The last frame begun; 0 before the first.
    newest: u64,
}

impl Sent {
    /// Allocates the memory of a lane with `states` states.
    pub(super) fn new(states: u32, heap: Heap) -> Result<Self, Error> {
        const WHAT: &str = "sent frames";
        let [starts, slots, marks] = Self::lengths(states);
        let no_id = SentId { id: 0, creator: 0, frame_and_kind: 0 };
        Ok(Self {
            starts: heap.list_of(WHAT, starts, |_| 0)?,
            slots: heap.list_of(WHAT, slots, |_| Carried(0))?,
            head: 0,
            ids: heap.list_of(WHAT, slots, |_| no_id)?,
            id_count: 0,
            marks: Marks::new(marks, heap)?,
            newest: 0,
        })
    }

    /// Returns the bytes that [`Self::new`] allocates.
    pub(super) const fn memory_needed(states: u32) -> usize {
        let [starts, slots, marks] = Self::lengths(states);
        (starts + slots) * size_of::<u32>() + slots * size_of::<SentId>() + Marks::memory_needed(marks)
    }

    const fn lengths(states: u32) -> [usize; 3] {
        let remembered = if states > MAX_REMEMBERED {
            MAX_REMEMBERED
        } else if states < MIN_REMEMBERED {
            MIN_REMEMBERED
        } else {
            states.next_power_of_two()
        };
        [(remembered / STATES_PER_FRAME) as usize, remembered as usize, states as usize]
    }

    /// Returns the number of the last frame.
    pub(super) const fn newest(&self) -> u64 {
        self.newest
    }

    /// Begins the next frame, or begins it again if nothing of it was noted. Frames have consecutive numbers.
    #[inline]
    pub(super) fn begin(&mut self, frame: u64) {
        self.newest = frame;
        let index = self.start_index(frame);
        self.starts[index] = self.head;
    }

    fn start_index(&self, frame: u64) -> usize {
        // Its length is a power of two.
        frame as usize & (self.starts.len() - 1)
    }

    /// Notes a state in the frame: whole, or a compressed update. `lacks`: what the peer lacks until it has received the frame.
    #[inline]
    pub(in crate::sync) fn note_state(&mut self, slot: Slot, is_whole: bool, lacks: Lacks) {
        // Slots beyond the capacity do not exist.
        if !self.marks.note(slot, self.newest, is_whole, lacks) {
            return;
        }
        let index = self.head as usize & (self.slots.len() - 1);
        self.slots[index] = Carried::new(slot.0, is_whole);
        self.head = self.head.wrapping_add(1);
    }

    /// Notes an id in the frame.
    #[inline]
    pub(in crate::sync) fn note_id(&mut self, kind: IdKind, id: StateId) {
        let index = self.id_index(self.id_count);
        let frame_and_kind = (self.newest as u32) << KIND_BITS | kind as u32;
        self.ids[index] = SentId { id: id.id, creator: id.creator, frame_and_kind };
        self.id_count += 1;
    }

    fn id_index(&self, number: u64) -> usize {
        number as usize & (self.ids.len() - 1)
    }

    /// Returns where the states of a frame are.
    pub(super) fn slots_of(&self, frame: u64) -> FrameSlots {
        if frame == 0 || frame > self.newest || self.newest - frame >= self.starts.len() as u64 {
            return FrameSlots::Forgotten;
        }
        let start = self.starts[self.start_index(frame)];
        let end = if frame == self.newest { self.head } else { self.starts[self.start_index(frame + 1)] };
        if self.head.wrapping_sub(start) as usize > self.slots.len() {
            return FrameSlots::Forgotten;
        }
        FrameSlots::Remembered(start..end)
    }

    /// Returns the slot at a position of [`Self::slots_of`], and whether its state is to be sent again if the frame was lost;
    /// `None` if it was overwritten since.
    pub(super) fn slot_at(&self, position: u32, frame: u64) -> Option<(Slot, bool)> {
        if self.head.wrapping_sub(position) as usize > self.slots.len() {
            return None;
        }
        let carried = self.slots[position as usize & (self.slots.len() - 1)];
        let mark = self.marks.get(carried.slot())?;
        let is_needed = mark.is_of(frame, 1) || carried.is_whole() && !mark.is_whole();
        Some((Slot(carried.slot()), is_needed))
    }

    /// Returns the first slot from `from` on and before `end` whose state was carried last by a frame of a range. What they
    /// carried whole before a later compressed update is not found: the peer requests it at its next update.
    pub(super) fn next_marked(&self, frames: &Range<u64>, from: u32, end: u32) -> Option<Slot> {
        let count = u32::try_from(frames.end - frames.start).unwrap_or(u32::MAX);
        self.marks.next(frames.start, count, from, end)
    }

    /// Returns how many slots have marks.
    pub(super) fn slot_count(&self) -> u32 {
        self.marks.slot_count()
    }

    /// Returns what the peer lacks.
    pub(super) const fn lacking(&self) -> Lacking {
        self.marks.lacking
    }

    /// Returns the oldest frame whose states may be remembered.
    pub(super) fn oldest(&self) -> u64 {
        (self.newest + 1).saturating_sub(self.starts.len() as u64)
    }

    /// Returns the slot at a position of [`Self::slots_of`], which was overwritten if the position is too old.
    pub(super) fn slot_number(&self, position: u32) -> Option<u32> {
        let is_kept = self.head.wrapping_sub(position) as usize <= self.slots.len();
        is_kept.then(|| self.slots[position as usize & (self.slots.len() - 1)].slot())
    }

    /// Returns the numbers of the ids that frames of a range carried, and whether none of them was forgotten.
    pub(super) fn ids_of(&self, frames: &Range<u64>) -> (Range<u64>, bool) {
        let oldest = self.id_count.saturating_sub(self.ids.len() as u64);
        let is_before = |number, frame| self.age_of(number) >= (self.newest + 1).saturating_sub(frame);
        let find = |frame: u64| {
            let (mut low, mut high) = (oldest, self.id_count);
            while low < high {
                let middle = low + (high - low) / 2;
                if is_before(middle, frame) { low = middle + 1 } else { high = middle }
            }
            low
        };
        let (first, end) = (find(frames.start), find(frames.end));
        // If the oldest one is of an earlier frame, nothing of the range was overwritten.
        let is_complete = oldest == 0 || first > oldest;
        (first..end, is_complete)
    }

    /// Returns how many frames ago an id was sent.
    fn age_of(&self, number: u64) -> u64 {
        let frame = self.ids[self.id_index(number)].frame_and_kind >> KIND_BITS;
        let newest = self.newest as u32 & (u32::MAX >> KIND_BITS);
        (newest.wrapping_sub(frame) & (u32::MAX >> KIND_BITS)).into()
    }

    /// Returns an id of [`Self::ids_of`].
    pub(super) fn id_at(&self, number: u64) -> IdAt {
        if self.id_count - number > self.ids.len() as u64 {
            return IdAt::Forgotten;
        }
        let SentId { id, creator, frame_and_kind } = self.ids[self.id_index(number)];
        if frame_and_kind & SENT_AGAIN != 0 {
            return IdAt::SentAgain;
        }
        let kind = IdKind::ALL[(frame_and_kind & (IdKind::ALL.len() as u32 - 1)) as usize];
        IdAt::Id(kind, StateId { id, creator })
    }

    /// Notes that an id of [`Self::ids_of`] was sent again.
    pub(super) fn id_sent_again(&mut self, number: u64) {
        if self.id_count - number <= self.ids.len() as u64 {
            let index = self.id_index(number);
            self.ids[index].frame_and_kind |= SENT_AGAIN;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> StateId {
        StateId { id: n, creator: 7 }
    }

    fn slots(sent: &Sent, frame: u64) -> Option<Vec<u32>> {
        match sent.slots_of(frame) {
            FrameSlots::Forgotten => None,
            FrameSlots::Remembered(range) => {
                Some(range.map(|at| sent.slot_at(at, frame).unwrap().0.0).collect())
            }
        }
    }

    fn needed(sent: &Sent, frame: u64) -> Vec<(u32, bool)> {
        let FrameSlots::Remembered(range) = sent.slots_of(frame) else { return Vec::new() };
        range
            .map(|at| sent.slot_at(at, frame).unwrap())
            .map(|(slot, is_needed)| (slot.0, is_needed))
            .collect()
    }

    fn ids(sent: &Sent, frames: Range<u64>) -> (Vec<u64>, bool) {
        let (numbers, is_complete) = sent.ids_of(&frames);
        let id = |number| match sent.id_at(number) {
            IdAt::Id(_, id) => id.id,
            other => panic!("{other:?}"),
        };
        (numbers.map(id).collect(), is_complete)
    }

    #[test]
    fn each_frame_has_its_states_and_ids() {
        let mut sent = Sent::new(100, Heap::SYSTEM).unwrap();
        for frame in 1..=50 {
            sent.begin(frame);
            sent.begin(frame);
            (0..frame % 3)
                .for_each(|n| sent.note_state(Slot((2 * frame + n) as u32 % 100), true, Lacks::State));
            (0..frame % 4).for_each(|n| sent.note_id(IdKind::Delete, id(1000 * frame + n)));
        }
        assert_eq!(slots(&sent, 5), Some(vec![10, 11]));
        assert_eq!(slots(&sent, 6), Some(vec![]));
        assert_eq!(slots(&sent, 50), Some(vec![0, 1]));
        assert_eq!((slots(&sent, 0), slots(&sent, 51)), (None, None));
        assert_eq!(ids(&sent, 5..8), (vec![5000, 6000, 6001, 7000, 7001, 7002], true));
        assert_eq!(ids(&sent, 1..51).0.len(), 75);
        assert_eq!(needed(&sent, 5), [(10, true), (11, true)]);
        let marked: Vec<_> = (0..100).filter_map(|from| sent.next_marked(&(5..8), from, from + 1)).collect();
        assert_eq!(marked, [Slot(10), Slot(11), Slot(14)]);
    }

    #[test]
    fn a_state_is_needed_again_until_a_later_frame_carried_it_as_completely() {
        let mut sent = Sent::new(100, Heap::SYSTEM).unwrap();
        for (frame, states) in
            [[(1, true), (2, true), (3, false)], [(1, true), (2, false), (3, false)]].iter().enumerate()
        {
            sent.begin(frame as u64 + 1);
            states.iter().for_each(|&(slot, is_whole)| sent.note_state(Slot(slot), is_whole, Lacks::Change));
        }
        assert_eq!(needed(&sent, 1), [(1, false), (2, true), (3, false)]);
        assert_eq!(needed(&sent, 2), [(1, true), (2, true), (3, true)]);
    }

    #[test]
    fn old_frames_are_forgotten_and_marks_remain() {
        let mut sent = Sent::new(2000, Heap::SYSTEM).unwrap();
        for frame in 1..=1000 {
            sent.begin(frame);
            (0..4).for_each(|n| sent.note_state(Slot((4 * frame + n) as u32 % 2000), true, Lacks::State));
            (0..4).for_each(|n| sent.note_id(IdKind::Delete, id(4 * frame + n)));
        }
        assert_eq!((slots(&sent, 488), slots(&sent, 489).map(|slots| slots.len())), (None, Some(4)));
        assert_eq!(sent.next_marked(&(501..600), 0, 2000), Some(Slot(4)));
        let (known, is_complete) = ids(&sent, 480..490);
        assert_eq!((known.first(), is_complete), (Some(&(4 * 489)), false));
        assert!(ids(&sent, 490..500).1);
        assert_eq!(ids(&sent, 1..10), (vec![], false));
    }

    #[test]
    fn numbers_beyond_32_bits_differ_from_recent_ones() {
        let base = u64::from(u32::MAX) - 3;
        let mut sent = Sent::new(8, Heap::SYSTEM).unwrap();
        for frame in base..base + 8 {
            sent.begin(frame);
            sent.note_state(Slot((frame - base) as u32), true, Lacks::State);
            sent.note_id(IdKind::Request, id(frame));
        }
        for n in 0..8 {
            assert_eq!(slots(&sent, base + n), Some(vec![n as u32]));
            assert_eq!(ids(&sent, base + n..base + n + 1), (vec![base + n], true));
        }
        assert_eq!(sent.next_marked(&(base + 2..base + 6), 0, 8), Some(Slot(2)));
        assert_eq!(sent.next_marked(&(base + 2..base + 6), 6, 8), None);
    }
}
