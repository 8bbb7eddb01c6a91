//! What is known of a stream, and of all streams of a peer.

use super::MIN_AGE;
use super::cells::Difference;
use super::compare::Pending;
use crate::time::{NANOS_PER_SECOND, Nanos};

/// A difference is asked for again after this time: the question or the answer was lost. With an interval between two sums and
/// the time until a difference counts it is less than two seconds, in which two tables are to be equal.
const ASK_INTERVAL: Nanos = NANOS_PER_SECOND;
/// A stream without a sum for longer has ended: the lane is gone, or its node.
const MAX_ROOT_AGE: Nanos = 5 * NANOS_PER_SECOND;
/// A node that was not found equal for longer, while it was compared, is not equal.
const MAX_LAG: Nanos = 5 * NANOS_PER_SECOND;

/// A stream that is compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream {
    pub source: u8,
    pub lane: u8,
    pub root_at: Option<Nanos>,
    pub pending: Option<Pending>,
    /// Index of the next sketch's size.
    pub size: u8,
    pub wants_sketch: bool,
    /// The last cut at which nothing was found to differ that was not in flight.
    equal_at: Option<Nanos>,
    /// The last cut that was judged.
    last_cut: Option<Nanos>,
    /// States that differ for certain.
    differing: u32,
}

impl Stream {
    pub(super) const fn new(source: u8, lane: u8) -> Self {
        Self {
            source,
            lane,
            root_at: None,
            pending: None,
            size: 0,
            wants_sketch: false,
            equal_at: None,
            last_cut: None,
            differing: 0,
        }
    }

    /// The node has restarted.
    pub(super) const fn reset(&mut self) {
        *self = Self::new(self.source, self.lane);
    }

    pub(super) const fn equal(&mut self, cut: Nanos) {
        (self.equal_at, self.last_cut) = (Some(cut), Some(cut));
        (self.size, self.differing, self.wants_sketch) = (0, 0, false);
    }

    /// Notes the result of a sketch: `is_equal` if nothing differs, `is_new` if nothing did at the cut before.
    pub(super) const fn judge(&mut self, is_equal: bool, is_new: bool, differing: u32, cut: Nanos) {
        if is_equal {
            return self.equal(cut);
        }
        if is_new && self.last_cut.is_some() {
            self.equal_at = self.last_cut;
        }
        (self.last_cut, self.differing) = (Some(cut), differing);
    }

    /// Whether the last comparisons found nothing. A node that cannot be compared, because it is dead, does not become unequal.
    fn is_equal(&self) -> bool {
        let lag = self.last_cut.zip(self.equal_at).map(|(last, equal)| last.saturating_sub(equal));
        lag.is_some_and(|lag| lag <= MAX_LAG)
    }

    pub(super) fn is_current(&self, now: Nanos) -> bool {
        self.root_at.is_some_and(|at| now.saturating_sub(at) < MAX_ROOT_AGE)
    }
}

/// A difference that was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub difference: Difference,
    pub stream: u8,
    since: Nanos,
    /// When it is asked for next.
    ask_at: Nanos,
}

impl Known {
    pub(super) const fn new(difference: Difference, stream: u8, now: Nanos) -> Self {
        Self { difference, stream, since: now, ask_at: 0 }
    }

    pub(super) const fn is_certain(&self, cut: Nanos) -> bool {
        cut.saturating_sub(self.since) >= MIN_AGE
    }

    /// Whether it is to be asked for now.
    pub(super) const fn ask(&mut self, cut: Nanos) -> bool {
        let is_due = cut >= self.ask_at;
        if is_due {
            self.ask_at = cut.saturating_add(ASK_INTERVAL);
        }
        is_due
    }
}

/// How this node's states compare with those that a peer sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Equality {
    /// The peer's streams that are compared. 0: it sends no sums, because it is not a pfplane node, or of an older version, or
    /// silent.
    pub streams: u32,
    /// When the last of them was found equal; `None` if one never was.
    pub equal_at: Option<Nanos>,
    /// States that differ, and did before.
    pub differing: u32,
    /// Whether this node holds what the peer sent, as the last comparisons found. False until the first one, true if nothing is
    /// compared.
    pub is_equal: bool,
}

impl Equality {
    pub(super) fn of<'a>(streams: impl Iterator<Item = &'a Stream>) -> Self {
        let none = Self { equal_at: Some(Nanos::MAX), is_equal: true, ..Self::default() };
        let all = streams.fold(none, |all, stream| Self {
            streams: all.streams + 1,
            equal_at: all.equal_at.zip(stream.equal_at).map(|(one, other)| one.min(other)),
            differing: all.differing.saturating_add(stream.differing),
            is_equal: all.is_equal && stream.is_equal(),
        });
        Self { equal_at: all.equal_at.filter(|_| all.streams > 0), ..all }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_certain_after_most_of_a_second_and_asked_for_once_a_second() {
        let difference = Difference { element: 1, is_first: true };
        let mut known = Known::new(difference, 0, NANOS_PER_SECOND);
        let at = |ms: u64| NANOS_PER_SECOND + ms * 1_000_000;
        assert_eq!([0, 500, 699, 700].map(|ms| known.is_certain(at(ms))), [false, false, false, true]);
        assert_eq!([700, 1200, 1699, 1700].map(|ms| known.ask(at(ms))), [true, false, false, true]);
    }
}
