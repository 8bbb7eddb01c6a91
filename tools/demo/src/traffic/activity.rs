//! When data arrived: counts per bucket of time, and the longest silence before, between and after the marks.

use serde::{Deserialize, Serialize};

use super::plan::Plan;
use crate::clock::{MILLISECOND, Nanos};

/// A silence: no byte came between these moments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// When it began.
    pub start: Nanos,
    /// How long it was.
    pub length: Nanos,
}

/// The arrivals of one connection end or one probe.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Activity {
    /// Bytes that arrived in each bucket since the plan's base.
    pub buckets: Vec<u32>,
    /// The first arrival.
    pub first: Option<Nanos>,
    /// The latest arrival.
    pub last: Option<Nanos>,
    /// The longest silence that ended before the first mark (a kill), and in the stretch behind each mark. One that
    /// spans a mark belongs to the stretch where it ended, or to the last when it did not end.
    pub gaps: Vec<Gap>,
    base: Nanos,
    bucket: Nanos,
    finished: bool,
}

impl Activity {
    /// Nothing has arrived yet.
    pub fn new(plan: &Plan) -> Activity {
        Activity {
            buckets: Vec::new(),
            first: None,
            last: None,
            gaps: vec![Gap::default()],
            base: plan.base,
            bucket: plan.bucket_ms * MILLISECOND,
            finished: false,
        }
    }

    /// `bytes` bytes arrived at `now`.
    pub fn arrived(&mut self, now: Nanos, bytes: usize) {
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

    /// From here on silences count as after one more mark.
    pub fn mark(&mut self) {
        self.gaps.push(Gap::default());
    }

    /// Who begins after so many marks starts behind them.
    pub fn begin_after(&mut self, marks: usize) {
        self.gaps.resize(marks + 1, Gap::default());
    }

    /// Nobody is asked to send any more: an open silence ends now, and later arrivals are no news.
    pub fn finish(&mut self, now: Nanos) {
        if !self.finished {
            self.close_gap(now);
            self.finished = true;
        }
    }

    /// Whether something arrived after `moment`.
    pub fn heard_since(&self, moment: Nanos) -> bool {
        self.last.is_some_and(|last| last >= moment)
    }

    /// When something first arrived at or after `moment`, as exactly as the buckets tell.
    pub fn first_since(&self, moment: Nanos) -> Option<Nanos> {
        let from = moment.saturating_sub(self.base).div_ceil(self.bucket) as usize;
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
    fn the_first_arrival_since_a_moment_is_that_of_its_bucket() {
        let mut activity = activity();
        for moment in [1003, 1047, 1049, 1081] {
            activity.arrived(moment, 5);
        }
        assert_eq!(activity.first_since(1000), Some(1000));
        assert_eq!(activity.first_since(1001), Some(1040));
        assert_eq!(activity.first_since(1041), Some(1080));
        assert_eq!(activity.first_since(1085), None);
    }

    fn activity() -> Activity {
        Activity {
            buckets: Vec::new(),
            first: None,
            last: None,
            gaps: vec![Gap::default()],
            base: 1000,
            bucket: 10,
            finished: false,
        }
    }

    #[test]
    fn bytes_fall_into_the_bucket_of_their_moment() {
        let mut activity = activity();
        activity.arrived(1009, 5);
        activity.arrived(1010, 7);
        activity.arrived(1035, 1);
        assert_eq!(activity.buckets, [5, 7, 0, 1]);
    }

    #[test]
    fn a_silence_across_the_mark_counts_after_it() {
        let mut activity = activity();
        activity.arrived(1000, 1);
        activity.arrived(1030, 1);
        activity.mark();
        activity.arrived(1100, 1);
        activity.arrived(1110, 1);
        activity.mark();
        activity.arrived(1150, 1);
        let [before, across_first, across_second] = activity.gaps[..] else { panic!("{:?}", activity.gaps) };
        assert_eq!(before, Gap { start: 1000, length: 30 });
        assert_eq!(across_first, Gap { start: 1030, length: 70 });
        assert_eq!(across_second, Gap { start: 1110, length: 40 });
    }

    #[test]
    fn a_silence_that_never_ends_counts_until_the_finish_and_no_further() {
        let mut activity = activity();
        activity.arrived(1000, 1);
        activity.mark();
        activity.finish(1500);
        activity.arrived(9000, 1);
        activity.finish(9999);
        assert_eq!(activity.gaps[1], Gap { start: 1000, length: 500 });
        assert_eq!(activity.last, Some(1000));
    }
}
