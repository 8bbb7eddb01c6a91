//! Who is near the front of a queue: what to send for before its turn comes.
//!
//! A queue's links lie in the states themselves, so that following them waits for memory at every step. These are the same
//! slots once more, in a row. They are hints: one that has left the queue in its middle is still there, and where there is
//! no more room one is left out. Nothing is wrong then but the time that it takes.

use crate::table::Slot;
use std::collections::VecDeque;

/// More than a flush finds waiting at a hundred thousand changes a millisecond.
const ROOM: usize = 8192;
/// States between the one whose turn it is and the one that is sent for.
const DISTANCE: usize = 12;
/// How far to look for the one whose turn it is, past those that have left.
const SKIPPED: usize = 16;

/// The hints of one queue.
#[derive(Debug)]
pub(super) struct Ahead {
    slots: VecDeque<Slot>,
}

impl Ahead {
    pub fn new() -> Self {
        Self { slots: VecDeque::with_capacity(ROOM) }
    }

    /// A state is the last of the queue now.
    pub fn joined_at_end(&mut self, slot: Slot) {
        if self.slots.len() < ROOM {
            self.slots.push_back(slot);
        }
    }

    /// A state is the first of the queue now.
    pub fn joined_at_front(&mut self, slot: Slot) {
        if self.slots.len() < ROOM {
            self.slots.push_front(slot);
        }
    }

    /// The first of the queue has had its turn; gives back whom to send for. `len`: how many are left in the queue.
    pub fn had_turn(&mut self, slot: Slot, len: u32) -> Option<Slot> {
        if len == 0 {
            self.slots.clear();
            return None;
        }
        // One that cannot be seen was left out, or stands behind many that have left: these go faster than the queue does.
        let place = self.slots.iter().take(SKIPPED).position(|&hint| hint == slot).unwrap_or(1);
        self.slots.drain(..self.slots.len().min(place + 1));
        self.slots.get(DISTANCE).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ahead(slots: impl IntoIterator<Item = u32>) -> Ahead {
        let mut ahead = Ahead::new();
        slots.into_iter().for_each(|slot| ahead.joined_at_end(Slot(slot)));
        ahead
    }

    #[test]
    fn who_comes_soon_is_named_also_after_others_have_left() {
        let mut ahead = ahead(0..100);
        ahead.joined_at_front(Slot(200));
        assert_eq!(ahead.had_turn(Slot(200), 100), Some(Slot(12)));
        assert_eq!(ahead.had_turn(Slot(0), 99), Some(Slot(13)));
        // 1 to 9 have left the queue.
        assert_eq!(ahead.had_turn(Slot(10), 89), Some(Slot(23)));
        assert_eq!(ahead.had_turn(Slot(11), 88), Some(Slot(24)));
    }

    #[test]
    fn a_long_row_of_those_who_have_left_is_got_rid_of() {
        let mut ahead = ahead(0..100);
        // 0 to 49 have left.
        let named: Vec<_> = (50..100).map(|slot| ahead.had_turn(Slot(slot), 100 - slot)).collect();
        let right: Vec<bool> = named.iter().zip(63..).map(|(soon, next)| *soon == Some(Slot(next))).collect();
        assert!(!right[0] && right[35..37] == [true; 2], "{named:?}");
    }

    #[test]
    fn more_than_fit_cost_nothing_but_the_hint_and_an_empty_queue_starts_anew() {
        let mut ahead = ahead(0..2 * ROOM as u32);
        assert_eq!((ahead.slots.len(), ahead.slots.capacity()), (ROOM, ROOM));
        assert_eq!(ahead.had_turn(Slot(0), 0), None);
        assert!(ahead.slots.is_empty());
    }
}
