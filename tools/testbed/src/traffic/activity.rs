//! When data arrived: bytes per time bucket, and the longest gap before, between and after the marks.

use super::plan::Plan;
use crate::clock::{MILLISECOND, Nanos};

/// A time without data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gap {
    /// When it began.
    pub start: Nanos,
    /// Its duration.
    pub length: Nanos,
}

/// The arrivals at one end of a connection, or of the answers to a probe.
#[derive(Clone, Debug)]
pub struct Activity {
    /// Bytes per bucket since the plan's base.
    pub buckets: Vec<u32>,
    /// The first arrival.
    pub first: Option<Nanos>,
    /// The latest arrival.
    pub last: Option<Nanos>,
    /// The longest gap before the first mark (a kill) and after each mark. A gap across a mark counts where it ended, or
    /// last when it did not end.
    pub gaps: Vec<Gap>,
    base: Nanos,
    bucket: Nanos,
    finished: bool,
}

impl Activity {
    /// Starts without arrivals.
    pub fn new(plan: &Plan) -> Activity {
        Activity::with_buckets(plan.base, plan.bucket_ms * MILLISECOND)
    }

    fn with_buckets(base: Nanos, bucket: Nanos) -> Activity {
        let gaps = vec![Gap::default()];
        Activity { buckets: Vec::new(), first: None, last: None, gaps, base, bucket, finished: false }
    }

    /// Records that `bytes` bytes arrived.
    pub fn record(&mut self, now: Nanos, bytes: usize) {
        if self.finished {
            return;
        }
        self.close_gap(now);
        self.first.get_or_insert(now);
        self.last = Some(now);
        let index = (now.saturating_sub(self.base) / self.bucket) as usize;
        if self.buckets.len() <= index {
            self.buckets.resize(index + 1, 0);
        }
        self.buckets[index] += bytes as u32;
    }

    /// Counts later gaps separately.
    pub fn mark(&mut self) {
        self.gaps.push(Gap::default());
    }

    /// Skips the marks that were set before this began.
    pub fn skip_marks(&mut self, marks: usize) {
        self.gaps.resize(marks + 1, Gap::default());
    }

    /// Ends the open gap and ignores later arrivals.
    pub fn finish(&mut self, now: Nanos) {
        if !self.finished {
            self.close_gap(now);
            self.finished = true;
        }
    }

    /// Whether data arrived at or after `time`.
    pub fn is_active_since(&self, time: Nanos) -> bool {
        self.last.is_some_and(|last| last >= time)
    }

    /// Returns the first arrival at or after `time`, to the precision of a bucket.
    pub fn first_since(&self, time: Nanos) -> Option<Nanos> {
        let from = time.saturating_sub(self.base).div_ceil(self.bucket) as usize;
        let later = self.buckets.iter().enumerate().skip(from);
        let index = later.filter(|(_, bytes)| **bytes > 0).map(|(index, _)| index).next()?;
        Some(self.base + index as Nanos * self.bucket)
    }

    fn close_gap(&mut self, now: Nanos) {
        let Some(last) = self.last else { return };
        let gap = Gap { start: last, length: now.saturating_sub(last) };
        let Some(longest) = self.gaps.last_mut() else { return };
        if gap.length > longest.length {
            *longest = gap;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_arrival_since_a_time_is_its_buckets_start() {
        let mut activity = activity();
        for time in [1003, 1047, 1049, 1081] {
            activity.record(time, 5);
        }
        assert_eq!(activity.first_since(1000), Some(1000));
        assert_eq!(activity.first_since(1001), Some(1040));
        assert_eq!(activity.first_since(1041), Some(1080));
        assert_eq!(activity.first_since(1085), None);
    }

    fn activity() -> Activity {
        Activity::with_buckets(1000, 10)
    }

    #[test]
    fn bytes_count_in_the_bucket_of_their_arrival() {
        let mut activity = activity();
        activity.record(1009, 5);
        activity.record(1010, 7);
        activity.record(1035, 1);
        assert_eq!(activity.buckets, [5, 7, 0, 1]);
    }

    #[test]
    fn a_gap_across_a_mark_counts_after_it() {
        let mut activity = activity();
        activity.record(1000, 1);
        activity.record(1030, 1);
        activity.mark();
        activity.record(1100, 1);
        activity.record(1110, 1);
        activity.mark();
        activity.record(1150, 1);
        let [before, across_first, across_second] = activity.gaps[..] else { panic!("{:?}", activity.gaps) };
        assert_eq!(before, Gap { start: 1000, length: 30 });
        assert_eq!(across_first, Gap { start: 1030, length: 70 });
        assert_eq!(across_second, Gap { start: 1110, length: 40 });
    }

    #[test]
    fn an_open_gap_ends_at_the_finish() {
        let mut activity = activity();
        activity.record(1000, 1);
        activity.mark();
        activity.finish(1500);
        activity.record(9000, 1);
        activity.finish(9999);
        assert_eq!(activity.gaps[1], Gap { start: 1000, length: 500 });
        assert_eq!(activity.last, Some(1000));
    }
}
