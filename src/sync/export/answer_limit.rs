//! Limits the work that a peer's messages can cause: one answer per state and second, a maximum of whole states per
//! millisecond, and one request per unknown id and second.

use crate::error::Error;
use crate::memory::{Heap, List};
use crate::state::StateId;
use crate::time::{Nanos, TICKS_PER_SECOND, Tick};

/// Whether a second has passed since the last answer about a state, whose time is `last`. `true` is remembered.
pub(super) const fn allows_answer(last: &mut u16, now: Tick) -> bool {
    // 0 is no answer yet, so times are odd. An answer is refused by mistake for one second in 655.
    let now = now.0 as u16 | 1;
    let is_allowed = *last == 0 || now.wrapping_sub(*last) >= TICKS_PER_SECOND as u16;
    if is_allowed {
        *last = now;
    }
    is_allowed
}

/// Whole states that are sent in answer to requests for single states. A request of 12 bytes draws up to 360.
#[derive(Debug, Default)]
pub(super) struct AnswerPace {
    left: u32,
    /// When the next ones may be sent.
    pub next: Nanos,
}

impl AnswerPace {
    /// Returns how many may be sent now, `per_burst` in each interval.
    pub(super) const fn allowance(&mut self, per_burst: u32, interval: Nanos, now: Nanos) -> u32 {
        if now >= self.next {
            self.left = per_burst;
            self.next = now.saturating_add(interval);
        }
        self.left
    }

    /// Counts states that are sent.
    pub(super) const fn take(&mut self, count: u32) {
        self.left -= count;
    }
}

/// Remembers when it last allowed a request for an id.
///
/// A direct-mapped table with an entry for each state of the table: two ids in one entry evict each other, so too much may
/// be allowed, never too little. The total stays bounded by the messages received.
#[derive(Debug)]
pub(super) struct RequestLimit {
    entries: List<Entry>,
}

/// A part of the hash of an id, 0 for none, and when a request for it was allowed.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    tag: u32,
    at: Tick,
}

const MAX_ENTRIES: u32 = 1 << 20;
/// Ticks for which [`RequestLimit::postpone`] holds.
const POSTPONED: i32 = 10 * TICKS_PER_SECOND.cast_signed();

impl RequestLimit {
    /// Allocates the entries for a table of `states` states.
    pub(super) fn new(states: u32, heap: Heap) -> Result<Self, Error> {
        Ok(Self {
            entries: heap.list_of("limits of requests", Self::entries_for(states), |_| Entry::default())?,
        })
    }

    /// Returns the bytes that [`Self::new`] allocates.
    pub(super) fn memory_needed(states: u32) -> usize {
        Self::entries_for(states) * size_of::<Entry>()
    }

    fn entries_for(states: u32) -> usize {
        states.clamp(1, MAX_ENTRIES).next_power_of_two() as usize
    }

    /// Whether a second has passed since it last allowed this id, and the time of [`Self::postpone`]. `true` is remembered.
    pub(super) fn allows(&mut self, id: StateId, now: Tick) -> bool {
        let (entry, tag) = self.entry(id);
        let since = now.since(entry.at);
        if entry.tag == tag && (-POSTPONED..TICKS_PER_SECOND.cast_signed()).contains(&since) {
            return false;
        }
        *entry = Entry { tag, at: now };
        true
    }

    /// Allows nothing for this id for ten seconds: the answer would be of no use.
    pub(super) fn postpone(&mut self, id: StateId, now: Tick) {
        let at = Tick(now.0.wrapping_add(POSTPONED.cast_unsigned() - TICKS_PER_SECOND));
        let (entry, tag) = self.entry(id);
        *entry = Entry { tag, at };
    }

    /// Forgets the last `true` for this id: no request was queued.
    pub(super) fn forget(&mut self, id: StateId) {
        let (entry, tag) = self.entry(id);
        if entry.tag == tag {
            *entry = Entry::default();
        }
    }

    fn entry(&mut self, id: StateId) -> (&mut Entry, u32) {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let mixed = (id.id ^ u64::from(id.creator).rotate_left(32)).wrapping_mul(ODD);
        let mixed = (mixed ^ mixed >> 32).wrapping_mul(ODD);
        let index = (mixed >> 32) as usize & (self.entries.len() - 1);
        (&mut self.entries[index], mixed as u32 | 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_answer_per_second_and_state_is_allowed() {
        for start in [0, 1, 50, u32::MAX - 50] {
            let (mut last, at) = (0, |ticks: u32| Tick(start.wrapping_add(ticks)));
            assert!(allows_answer(&mut last, at(0)), "the first one at any time");
            assert!(!allows_answer(&mut last, at(0)));
            assert!(!allows_answer(&mut last, at(98)));
            assert!(allows_answer(&mut last, at(101)));
        }
    }

    #[test]
    fn one_request_per_second_and_id_is_allowed() {
        let mut limit = RequestLimit::new(100, Heap::SYSTEM).unwrap();
        let (one, other) = (StateId { id: 1, creator: 1 }, StateId { id: 2, creator: 1 });
        assert!(limit.allows(one, Tick(u32::MAX - 50)));
        assert!(!limit.allows(one, Tick(u32::MAX - 50)));
        assert!(limit.allows(other, Tick(u32::MAX - 50)));
        assert!(!limit.allows(one, Tick(48)), "0.99 s later, across the wrap");
        assert!(limit.allows(one, Tick(49)));
        limit.forget(one);
        assert!(limit.allows(one, Tick(50)));
    }

    #[test]
    fn a_postponed_request_is_allowed_after_ten_seconds() {
        let mut limit = RequestLimit::new(100, Heap::SYSTEM).unwrap();
        let one = StateId { id: 1, creator: 1 };
        limit.postpone(one, Tick(u32::MAX - 50));
        assert!(!limit.allows(one, Tick(u32::MAX - 50)) && !limit.allows(one, Tick(948)));
        assert!(limit.allows(one, Tick(949)));
    }

    #[test]
    fn a_large_table_has_an_entry_for_most_of_its_states() {
        let states = 100_000;
        let mut limit = RequestLimit::new(states, Heap::SYSTEM).unwrap();
        let ids = || (0..u64::from(states)).map(|id| StateId { id, creator: 1 });
        assert!(ids().all(|id| limit.allows(id, Tick(5))));
        let again = ids().filter(|&id| limit.allows(id, Tick(6))).count();
        assert!(again < states as usize * 8 / 10, "{again}");
    }
}
