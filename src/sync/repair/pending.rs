//! Lost frames of one stream whose contents are still to be sent again.

use super::sent::{FrameSlots, IdAt, IdKind, Sent};
use crate::state::StateId;
use crate::table::Slot;
use arrayvec::ArrayVec;
use core::ops::Range;
use pfsync::FrameRange;

/// Ranges that wait. The peer asks again for one that does not fit.
const MAX_WAITING: usize = 8;
/// Marks that are examined for one frame: they are read in sequence.
const MAX_MARKS: u32 = 65_536;
/// A state costs as much as this number of marks.
const STATE_COST: u32 = 16;

/// What was done with a request for lost frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sync) enum Asked {
    /// Their contents will be sent.
    Accepted,
    /// They are being sent already.
    Known,
    /// Such frames were never sent, or too many ranges wait.
    Refused,
}

/// Where a repair continues.
#[derive(Clone, Debug)]
enum Stage {
    /// At an id. They come first: a delete makes space for a state with the same key.
    Ids(Range<u64>),
    /// At a state of a frame.
    Frame(u64, Range<u32>),
    /// At a slot: the frames are forgotten, and the marks tell which states they carried.
    Marks(u32),
    /// At its end.
    Done,
}

#[derive(Clone, Debug)]
struct Repair {
    frames: Range<u64>,
    stage: Stage,
    /// No delete was forgotten.
    is_complete: bool,
}

/// What is to be sent next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sync) enum Next {
    /// An id.
    Id(IdKind, StateId),
    /// A state, if it is still there.
    State(Slot),
    /// The note that a repair is complete.
    Mended(FrameRange, bool),
    /// Nothing that was found within the bounds of one call; the next one continues.
    Later,
}

/// The repairs of one stream, in the order in which they were requested.
#[derive(Debug, Default)]
pub(in crate::sync) struct Pending {
    waiting: ArrayVec<Repair, MAX_WAITING>,
    /// Marks left to be examined for this frame.
    budget: u32,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Notes that the peer did not receive these frames.
    pub(super) fn ask(&mut self, frames: FrameRange, sent: &Sent) -> Asked {
        let (first, end) = (frames.first, frames.first.saturating_add(frames.count.into()));
        if first == 0 || frames.count == 0 || end > sent.newest() + 1 {
            return Asked::Refused;
        }
        let covers = |repair: &Repair| repair.frames.start <= first && end <= repair.frames.end;
        if self.waiting.iter().any(covers) {
            return Asked::Known;
        }
        let frames = first..end;
        let (ids, is_complete) = sent.ids_of(&frames);
        let repair = Repair { frames, stage: Stage::Ids(ids), is_complete };
        if self.waiting.try_push(repair).is_ok() { Asked::Accepted } else { Asked::Refused }
    }

    /// Starts to fill a frame.
    pub(super) const fn begin_frame(&mut self) {
        self.budget = MAX_MARKS;
    }

    /// Returns what is to be sent next. [`Self::advance`] moves on once it is in the frame, or cannot be sent. The counter is
    /// incremented when a repair has to look at the marks of all slots.
    pub(super) fn next(&mut self, sent: &Sent, scans: &mut u64) -> Option<Next> {
        let repair = self.waiting.first_mut()?;
        loop {
            if self.budget == 0 {
                return Some(Next::Later);
            }
            let next_stage = match &mut repair.stage {
                Stage::Ids(ids) if ids.is_empty() => first_of(repair.frames.start, sent, scans),
                Stage::Ids(ids) => {
                    match sent.id_at(ids.start) {
                        IdAt::Id(kind, id) => return Some(Next::Id(kind, id)),
                        IdAt::SentAgain => {}
                        IdAt::Forgotten => repair.is_complete = false,
                    }
                    self.budget -= 1;
                    ids.start += 1;
                    continue;
                }
                Stage::Frame(frame, positions) => {
                    self.budget = self.budget.saturating_sub(STATE_COST);
                    if positions.start == positions.end {
                        let next = *frame + 1;
                        if next == repair.frames.end { Stage::Done } else { first_of(next, sent, scans) }
                    } else {
                        match sent.slot_at(positions.start, *frame) {
                            Some((slot, true)) => return Some(Next::State(slot)),
                            Some((_, false)) => {
                                positions.start = positions.start.wrapping_add(1);
                                continue;
                            }
                            None => mark_stage(scans),
                        }
                    }
                }
                Stage::Marks(slot) => {
                    let end = slot.saturating_add(self.budget).min(sent.slot_count());
                    if let Some(found) = sent.next_marked(&repair.frames, *slot, end) {
                        self.budget = self.budget.saturating_sub(found.0 - *slot);
                        *slot = found.0;
                        return Some(Next::State(found));
                    }
                    self.budget -= end - *slot;
                    *slot = end;
                    if end < sent.slot_count() {
                        continue;
                    }
                    Stage::Done
                }
                Stage::Done => {
                    let Range { start, end } = repair.frames;
                    let count = u32::try_from(end - start).unwrap_or(u32::MAX);
                    return Some(Next::Mended(FrameRange { first: start, count }, repair.is_complete));
                }
            };
            repair.stage = next_stage;
        }
    }

    /// Moves behind what [`Self::next`] returned.
    pub(super) fn advance(&mut self, sent: &mut Sent) {
        let Some(repair) = self.waiting.first_mut() else { return };
        match &mut repair.stage {
            Stage::Ids(ids) => {
                sent.id_sent_again(ids.start);
                ids.start += 1;
            }
            Stage::Frame(_, positions) => positions.start = positions.start.wrapping_add(1),
            Stage::Marks(slot) => *slot += 1,
            Stage::Done => _ = self.waiting.remove(0),
        }
        self.budget = self.budget.saturating_sub(STATE_COST);
    }
}

fn first_of(frame: u64, sent: &Sent, scans: &mut u64) -> Stage {
    match sent.slots_of(frame) {
        FrameSlots::Remembered(positions) => Stage::Frame(frame, positions),
        FrameSlots::Forgotten => mark_stage(scans),
    }
}

const fn mark_stage(scans: &mut u64) -> Stage {
    *scans += 1;
    Stage::Marks(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Heap;

    /// Sends what waits in frame `frame`. Returns the ids, and whether the repair was complete.
    fn repair(pending: &mut Pending, sent: &mut Sent, frame: u64) -> (Vec<u64>, bool) {
        sent.begin(frame);
        pending.begin_frame();
        let mut ids = Vec::new();
        loop {
            match pending.next(sent, &mut 0) {
                Some(Next::Id(kind, id)) => {
                    sent.note_id(kind, id);
                    ids.push(id.id);
                    pending.advance(sent);
                }
                Some(Next::Mended(_, is_complete)) => {
                    pending.advance(sent);
                    return (ids, is_complete);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn an_id_is_sent_again_once_however_many_nodes_lost_its_frame() {
        let mut sent = Sent::new(100, Heap::SYSTEM).unwrap();
        let mut pending = Pending::default();
        sent.begin(1);
        let kinds = [IdKind::Delete, IdKind::Request, IdKind::Acknowledgement];
        for (id, kind) in (1..).zip(kinds) {
            sent.note_id(kind, StateId { id, creator: 7 });
        }
        let first = FrameRange { first: 1, count: 1 };
        assert_eq!(pending.ask(first, &sent), Asked::Accepted);
        assert_eq!(repair(&mut pending, &mut sent, 2), (vec![1, 2, 3], true));
        // Another node lost the first frame, and has received or misses the second.
        assert_eq!(pending.ask(first, &sent), Asked::Accepted);
        assert_eq!(repair(&mut pending, &mut sent, 3), (vec![], true));
        assert_eq!(pending.ask(FrameRange { first: 1, count: 3 }, &sent), Asked::Accepted);
        assert_eq!(repair(&mut pending, &mut sent, 4), (vec![1, 2, 3], true));
        assert_eq!(pending.ask(FrameRange { first: 1, count: 3 }, &sent), Asked::Accepted);
        assert_eq!(repair(&mut pending, &mut sent, 5), (vec![], true));
    }
}
