//! Limits answers to one per state and second, in constant memory.

use crate::state::StateId;
use crate::time::{TICKS_PER_SECOND, Tick};

/// The limits of one lane.
#[derive(Debug)]
pub(super) struct AnswerLimits {
    pub requests: AnswerLimit,
    pub full_answers: AnswerLimit,
    pub stale_answers: AnswerLimit,
}

impl AnswerLimits {
    pub(super) fn new() -> Self {
        Self {
            requests: AnswerLimit::new(),
            full_answers: AnswerLimit::new(),
            stale_answers: AnswerLimit::new(),
        }
    }
}

/// Remembers when it last allowed an answer for an id.
///
/// A direct-mapped table: two ids in one entry evict each other, so too much may be allowed, never too little. The total
/// stays bounded by the messages received.
#[derive(Debug)]
pub(super) struct AnswerLimit {
    entries: Box<[Entry]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    id: StateId,
    at: Tick,
}

const ENTRIES: usize = 1 << 12;
/// Ticks for which [`AnswerLimit::postpone`] holds.
const POSTPONED: i32 = 10 * TICKS_PER_SECOND.cast_signed();

impl AnswerLimit {
    fn new() -> Self {
        Self { entries: vec![Entry::default(); ENTRIES].into_boxed_slice() }
    }

    /// Whether a second has passed since it last allowed this id, and the time of [`Self::postpone`]. `true` is remembered.
    pub(super) fn allows(&mut self, id: StateId, now: Tick) -> bool {
        let entry = self.entry(id);
        let since = now.since(entry.at);
        if entry.id == id && (-POSTPONED..TICKS_PER_SECOND.cast_signed()).contains(&since) {
            return false;
        }
        *entry = Entry { id, at: now };
        true
    }

    /// Allows nothing for this id for ten seconds: the answer would be of no use.
    pub(super) fn postpone(&mut self, id: StateId, now: Tick) {
        let at = Tick(now.0.wrapping_add(POSTPONED.cast_unsigned() - TICKS_PER_SECOND));
        *self.entry(id) = Entry { id, at };
    }

    /// Forgets the last `true` for this id: no answer was queued.
    pub(super) fn forget(&mut self, id: StateId) {
        let entry = self.entry(id);
        if entry.id == id {
            *entry = Entry::default();
        }
    }

    fn entry(&mut self, id: StateId) -> &mut Entry {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let mixed = (id.id ^ u64::from(id.creator).rotate_left(32)).wrapping_mul(ODD);
        &mut self.entries[(mixed >> (64 - ENTRIES.trailing_zeros())) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_answer_per_second_and_id_is_allowed() {
        let mut limit = AnswerLimit::new();
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
    fn a_postponed_answer_is_allowed_after_ten_seconds() {
        let mut limit = AnswerLimit::new();
        let one = StateId { id: 1, creator: 1 };
        limit.postpone(one, Tick(u32::MAX - 50));
        assert!(!limit.allows(one, Tick(u32::MAX - 50)) && !limit.allows(one, Tick(948)));
        assert!(limit.allows(one, Tick(949)));
    }
}
