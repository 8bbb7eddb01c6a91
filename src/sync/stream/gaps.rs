//! Frames of a stream that did not arrive, and when the sender is asked for their contents.

use crate::time::{NANOS_PER_SECOND, Nanos};
use arrayvec::ArrayVec;
use pfsync::FrameRange;

/// Gaps that are kept apart. One more joins the last: what arrived between them is sent again.
const MAX_GAPS: usize = 8;
/// The sender is asked again after this time, and then after twice as long, up to the maximum.
const MIN_INTERVAL: Nanos = 20_000_000;
const MAX_INTERVAL: Nanos = NANOS_PER_SECOND;

#[derive(Clone, Copy, Debug)]
struct Gap {
    first: u64,
    /// The number after the last one.
    end: u64,
    since: Nanos,
    ask_at: Nanos,
    interval: Nanos,
}

/// The gaps of a stream, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Gaps(ArrayVec<Gap, MAX_GAPS>);

impl Gaps {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the first missing frame.
    pub(super) fn first(&self) -> Option<u64> {
        self.0.first().map(|gap| gap.first)
    }

    /// Returns the number of missing frames.
    pub(super) fn frames(&self) -> u64 {
        self.0.iter().fold(0, |sum, gap| sum.saturating_add(gap.end - gap.first))
    }

    /// Returns when the oldest gap was found.
    pub(super) fn since(&self) -> Option<Nanos> {
        self.0.iter().map(|gap| gap.since).min()
    }

    /// Notes that the frames before `end` are missing, from `first` on, which is behind all gaps.
    pub(super) fn open(&mut self, first: u64, end: u64, now: Nanos) {
        let gap = Gap { first, end, since: now, ask_at: now, interval: MIN_INTERVAL };
        if let Err(error) = self.0.try_push(gap)
            && let Some(last) = self.0.last_mut()
        {
            last.end = error.element().end;
            last.ask_at = now;
        }
    }

    /// Notes that the sender has repeated what these frames carried.
    pub(super) fn close(&mut self, frames: FrameRange) {
        let (first, end) = (frames.first, frames.first.saturating_add(frames.count.into()));
        for gap in &mut self.0 {
            // A piece in the middle of a gap is sent once more with the rest.
            if first <= gap.first {
                gap.first = end.clamp(gap.first, gap.end);
            } else if end >= gap.end {
                gap.end = first.clamp(gap.first, gap.end);
            }
        }
        self.0.retain(|gap| gap.first < gap.end);
    }

    /// Notes that a missing frame came late. Returns false if it was not missing.
    pub(super) fn fill(&mut self, number: u64) -> bool {
        let is_missing = self.0.iter().any(|gap| (gap.first..gap.end).contains(&number));
        self.close(FrameRange { first: number, count: 1 });
        is_missing
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Returns when the sender is to be asked next.
    pub(super) fn ask_at(&self) -> Nanos {
        self.0.iter().map(|gap| gap.ask_at).min().unwrap_or(Nanos::MAX)
    }

    /// Takes a gap that the sender is to be asked for now.
    pub(super) fn take_due(&mut self, now: Nanos) -> Option<FrameRange> {
        let gap = self.0.iter_mut().find(|gap| now >= gap.ask_at)?;
        gap.ask_at = now.saturating_add(gap.interval);
        gap.interval = (2 * gap.interval).min(MAX_INTERVAL);
        let count = u32::try_from(gap.end - gap.first).unwrap_or(u32::MAX);
        Some(FrameRange { first: gap.first, count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Nanos = 1_000_000;

    fn range(first: u64, count: u32) -> FrameRange {
        FrameRange { first, count }
    }

    #[test]
    fn a_gap_is_asked_for_at_once_and_then_ever_more_rarely() {
        let mut gaps = Gaps::default();
        gaps.open(5, 8, 100 * MS);
        let mut asked = Vec::new();
        for ms in 100..3000 {
            if let Some(frames) = gaps.take_due(ms * MS) {
                assert_eq!(frames, range(5, 3));
                asked.push(ms - 100);
            }
        }
        assert_eq!(asked, [0, 20, 60, 140, 300, 620, 1260, 2260]);
        assert_eq!(gaps.ask_at(), 3360 * MS);
    }

    #[test]
    fn a_gap_closes_from_both_ends() {
        let mut gaps = Gaps::default();
        gaps.open(10, 20, 0);
        gaps.open(30, 31, 0);
        gaps.close(range(5, 7));
        assert_eq!(gaps.frames(), 8 + 1);
        gaps.close(range(18, 2));
        assert_eq!(gaps.frames(), 6 + 1);
        gaps.close(range(14, 1));
        assert_eq!(gaps.frames(), 6 + 1, "a piece in the middle leaves the gap as it is");
        gaps.close(range(0, u32::MAX));
        assert!(gaps.is_empty() && gaps.since().is_none());
    }

    #[test]
    fn more_gaps_than_fit_join_the_last() {
        let mut gaps = Gaps::default();
        (0..20).for_each(|n| gaps.open(10 * n, 10 * n + 1, n));
        assert_eq!(gaps.frames(), 7 + (191 - 70));
        assert_eq!(gaps.since(), Some(0));
        let last = std::iter::from_fn(|| gaps.take_due(MS)).last();
        assert_eq!(last, Some(range(70, 121)));
    }
}
