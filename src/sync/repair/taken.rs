//! How far a peer has taken one stream, and what it lacks. Reports move it; the work is done in steps of bounded size.

use super::receivers::Receivers;
use super::sent::{FrameSlots, Sent};
use crate::table::Slot;
use crate::time::Nanos;
use core::ops::Range;
use pfsync::TakenFrames;

/// States and slots that are looked at in one step.
const MAX_SLOTS: u32 = 4096;

/// What is known of one peer.
#[derive(Debug)]
pub(super) struct Taken {
    pub receivers: Receivers,
    /// The last frame whose states are noted.
    noted: u64,
    /// The frames that a new run of the peer has taken, and the next slot of a state that it may lack.
    lost: Option<(Range<u64>, u32)>,
    /// Frames that were taken and are forgotten, and the next slot whose mark may name one.
    forgotten: Option<(Range<u64>, u32)>,
}

impl Taken {
    pub(super) fn new(max_nodes: usize) -> Self {
        let receivers = Receivers::new(max_nodes);
        Self { receivers, noted: 0, lost: None, forgotten: None }
    }

    /// Notes that a run of the peer has only what was sent in these frames.
    pub(super) fn lost_all_but(&mut self, taken: TakenFrames) {
        self.noted = taken.last;
        (self.lost, self.forgotten) = (Some((taken.first..taken.last + 1, 0)), None);
    }

    /// Whether [`Self::step`] has something to do.
    pub(super) fn is_behind(&self, now: Nanos) -> bool {
        self.lost.is_some() || self.forgotten.is_some() || self.noted < self.receivers.taken(now)
    }

    /// Notes what the peer has taken since, in part. Passes each state whose last frame it took to `taken`.
    pub(super) fn step(&mut self, sent: &mut Sent, now: Nanos, mut taken: impl FnMut(Slot)) {
        let newest = sent.newest();
        if let Some((frames, from)) = self.lost.take() {
            let end = from.saturating_add(MAX_SLOTS);
            sent.marks.lost_all((from, end), &frames, newest);
            self.lost = (end < sent.slot_count()).then_some((frames, end));
            return;
        }
        if let Some((frames, from)) = self.forgotten.take() {
            let end = from.saturating_add(MAX_SLOTS);
            sent.marks.taken_all((from, end), &frames, newest);
            self.forgotten = (end < sent.slot_count()).then_some((frames, end));
            return;
        }
        let last = self.receivers.taken(now).min(newest);
        let mut budget = MAX_SLOTS;
        while self.noted < last && budget > 0 {
            let frame = self.noted + 1;
            let FrameSlots::Remembered(positions) = sent.slots_of(frame) else {
                // The memory moved on before the peer reported: all marks are looked at.
                self.noted = last.min(sent.oldest().max(frame));
                self.forgotten = Some((frame..self.noted + 1, 0));
                return;
            };
            let Range { start: mut at, end } = positions;
            while at != end {
                if let Some(slot) = sent.slot_number(at)
                    && sent.marks.taken(slot, frame)
                {
                    taken(Slot(slot));
                }
                at = at.wrapping_add(1);
                budget = budget.saturating_sub(1);
            }
            budget = budget.saturating_sub(1);
            self.noted = frame;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::marks::Lacks;
    use super::*;
    use crate::memory::Heap;

    fn send(sent: &mut Sent, frames: Range<u64>, slots: u32) {
        for frame in frames {
            sent.begin(frame);
            let slot = |n: u32| Slot((frame as u32 * 4 + n) % slots);
            (0..4).for_each(|n| sent.note_state(slot(n), true, Lacks::State));
        }
    }

    fn report(taken: &mut Taken, run: u64, first: u64, last: u64) {
        let frames = TakenFrames { first, last };
        if taken.receivers.report(run, frames, 1) {
            taken.lost_all_but(frames);
        }
    }

    fn steps(taken: &mut Taken, sent: &mut Sent, now: Nanos) -> Vec<u32> {
        let mut slots = Vec::new();
        for _ in 0..100 {
            taken.step(sent, now, |slot| slots.push(slot.0));
        }
        assert!(!taken.is_behind(now));
        slots
    }

    #[test]
    fn what_a_report_covers_is_taken_also_if_the_frames_are_forgotten() {
        let (mut sent, mut taken) = (Sent::new(4000, Heap::SYSTEM).unwrap(), Taken::new(1));
        send(&mut sent, 1..101, 4000);
        assert_eq!(sent.lacking().states, 400);
        report(&mut taken, 7, 1, 50);
        assert_eq!(steps(&mut taken, &mut sent, 1), (4..204).collect::<Vec<_>>());
        assert_eq!(sent.lacking().states, 200);
        // All slots are sent again, and again in part.
        send(&mut sent, 101..1801, 4000);
        assert_eq!(sent.lacking().states, 4000);
        report(&mut taken, 7, 1, 1700);
        steps(&mut taken, &mut sent, 2);
        assert_eq!(sent.lacking().states, 400, "the last 100 frames");
        report(&mut taken, 7, 1, 1800);
        steps(&mut taken, &mut sent, 3);
        assert_eq!(sent.lacking().states, 0);
    }

    #[test]
    fn another_run_of_the_peer_lacks_all_states_until_they_are_sent_again() {
        let (mut sent, mut taken) = (Sent::new(4000, Heap::SYSTEM).unwrap(), Taken::new(1));
        send(&mut sent, 1..101, 4000);
        report(&mut taken, 7, 1, 100);
        steps(&mut taken, &mut sent, 1);
        send(&mut sent, 101..104, 4000);
        report(&mut taken, 8, 102, 102);
        steps(&mut taken, &mut sent, 2);
        assert_eq!(sent.lacking().states, 404 + 4, "it has taken one frame");
        for frame in 104..207 {
            sent.begin(frame);
            (0..4).for_each(|n| sent.note_state(Slot((frame as u32 - 103) * 4 + n), true, Lacks::Nothing));
        }
        report(&mut taken, 8, 102, 206);
        steps(&mut taken, &mut sent, 3);
        assert_eq!(sent.lacking().states, 0);
    }
}
