//! The ids of one lane's states: issued one after another, and never twice.

use crate::state::StateId;

/// The bits of an id that count. The top byte is the lane's index.
pub const ID_COUNTER: u64 = (1 << 56) - 1;
/// An id of an earlier run that is at most this far ahead will be reached, so the next id is lifted above it.
const MAX_LIFT: u64 = 1 << 32;

/// Issues the ids of one lane.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ids {
    creator: u32,
    lane: u16,
    /// Where this run began to count.
    first: u64,
    /// Ids issued are those from `issued_from` to before `next`, counted from `first`.
    issued_from: u64,
    next: u64,
}

impl Ids {
    /// Starts at `first`, a random number that all lanes of an engine share.
    #[must_use]
    pub const fn new(creator: u32, lane: u16, first: u64) -> Self {
        Self { creator, lane, first, issued_from: 0, next: 0 }
    }

    /// Issues the next id.
    pub const fn issue(&mut self) -> StateId {
        let counter = self.first.wrapping_add(self.next) & ID_COUNTER;
        self.next += 1;
        StateId { id: (self.lane as u64) << 56 | counter, creator: self.creator }
    }

    /// Returns this node's host id.
    #[must_use]
    pub const fn creator(&self) -> u32 {
        self.creator
    }

    /// Returns how far ids were counted. The ids of all lanes begin at one number, so it bounds those of this run.
    #[must_use]
    pub const fn counted(&self) -> u64 {
        self.next
    }

    /// Whether this lane has issued the id in this run.
    #[must_use]
    pub fn has_issued(&self, id: StateId) -> bool {
        let is_ours = id.creator == self.creator && id.id >> 56 == u64::from(self.lane);
        is_ours && (self.issued_from..self.next).contains(&distance(id, self.first))
    }

    /// Whether this lane has issued the id in this run when it had counted to `counted` already.
    #[must_use]
    pub fn has_issued_since(&self, id: StateId, counted: u64) -> bool {
        self.has_issued(id) && distance(id, self.first) >= counted
    }

    /// As [`Self::lift`], above an id of an earlier run of this node that came back.
    pub fn lift_above(&mut self, id: StateId) {
        if id.creator == self.creator
            && let Some(next) = lifted_above(id, self.first, self.next)
        {
            self.lift(next);
        }
    }

    /// Continues at `next` if that is ahead: an earlier run has issued ids up to there, which may come back.
    pub fn lift(&mut self, next: u64) {
        if next > self.next {
            (self.issued_from, self.next) = (next, next);
        }
    }
}

/// Returns how far an id is behind the number `first`.
#[must_use]
pub const fn distance(id: StateId, first: u64) -> u64 {
    id.id.wrapping_sub(first) & ID_COUNTER
}

/// Returns where to continue after an earlier run's `id` came back to a node that began at `first` and has counted to
/// `counted`; `None` if that will not be reached.
#[must_use]
pub fn lifted_above(id: StateId, first: u64, counted: u64) -> Option<u64> {
    let distance = distance(id, first);
    (counted..counted + MAX_LIFT).contains(&distance).then_some(distance + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_carry_the_lane_and_wrap_below_it() {
        let mut ids = Ids::new(7, 3, ID_COUNTER);
        let issued = [ids.issue(), ids.issue()];
        assert_eq!(issued.map(|id| id.id), [3 << 56 | ID_COUNTER, 3 << 56]);
        assert!(issued.iter().all(|&id| ids.has_issued(id)));
        for other in [
            StateId { id: 3 << 56 | 1, creator: 7 },
            StateId { id: 2 << 56, creator: 7 },
            StateId { id: 3 << 56, creator: 8 },
            StateId { id: 3 << 56 | (ID_COUNTER - 1), creator: 7 },
        ] {
            assert!(!ids.has_issued(other), "{other:?}");
        }
    }

    #[test]
    fn the_next_id_is_lifted_above_one_that_came_back() {
        let mut ids = Ids::new(7, 0, 100);
        let before = ids.issue();
        let returned = StateId { id: 3100, creator: 7 };
        ids.lift_above(returned);
        assert!(!ids.has_issued(returned) && !ids.has_issued(StateId { id: 2000, creator: 7 }));
        assert!(!ids.has_issued(before), "which ids below were issued is no longer known");
        assert_eq!(ids.issue().id, 3101);
        for (id, creator) in [(3100, 7), (1 << 50, 7), (9999, 8)] {
            ids.lift_above(StateId { id, creator });
        }
        ids.lift(5);
        assert_eq!(ids.issue().id, 3102, "behind, never reached, of another node");
    }
}
