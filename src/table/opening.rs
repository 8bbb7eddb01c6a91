//! TCP connections that are still opening, oldest first: what a full table may evict.
//!
//! Two lists, one of connections created here and one of those that a peer sent. Each is circular, with an entry behind the
//! slots as its head, so a state leaves its list in constant time, whichever it is.

use super::Slot;
use crate::error::Error;
use crate::memory::{Arena, FixedArray, bytes_of};

/// The link of a slot that is in no list.
const UNLINKED: u32 = u32::MAX;
const LISTS: usize = 2;

#[derive(Clone, Copy)]
struct Link {
    previous: u32,
    next: u32,
}

/// Who created a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Creator {
    Us = 0,
    Peer = 1,
}

pub(super) struct Opening {
    links: FixedArray<Link>,
    capacity: u32,
}

impl Opening {
    /// Arrays that it allocates.
    pub(super) const ARRAYS: usize = 1;

    pub(super) fn new(capacity: u32, arena: &mut Arena) -> Result<Self, Error> {
        let unlinked = Link { previous: UNLINKED, next: UNLINKED };
        let mut links = arena.array("links of opening states", capacity as usize + LISTS, unlinked)?;
        for head in capacity..capacity + LISTS as u32 {
            links[head as usize] = Link { previous: head, next: head };
        }
        Ok(Self { links, capacity })
    }

    /// Returns the bytes that it allocates for `capacity` states.
    pub(super) const fn bytes_needed(capacity: u32) -> usize {
        bytes_of::<Link>(capacity as usize + LISTS)
    }

    const fn head(&self, creator: Creator) -> u32 {
        self.capacity + creator as u32
    }

    /// Adds a slot that is in no list as the newest.
    pub(super) fn push(&mut self, Slot(slot): Slot, creator: Creator) {
        let head = self.head(creator);
        let last = self.links[head as usize].previous;
        self.links[slot as usize] = Link { previous: last, next: head };
        self.links[last as usize].next = slot;
        self.links[head as usize].previous = slot;
    }

    /// Removes a slot from its list, if it is in one.
    pub(super) fn remove(&mut self, Slot(slot): Slot) {
        let Link { previous, next } = self.links[slot as usize];
        if next == UNLINKED {
            return;
        }
        self.links[previous as usize].next = next;
        self.links[next as usize].previous = previous;
        self.links[slot as usize] = Link { previous: UNLINKED, next: UNLINKED };
    }

    pub(super) fn oldest(&self, creator: Creator) -> Option<Slot> {
        let first = self.links[self.head(creator) as usize].next;
        (first < self.capacity).then_some(Slot(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;

    #[test]
    fn slots_leave_in_order_of_their_arrival_or_from_anywhere() {
        let mut arena = Memory::default().arena("test", Opening::bytes_needed(8), 1, -1).unwrap();
        let mut opening = Opening::new(8, &mut arena).unwrap();
        for slot in [3, 1, 7, 0] {
            opening.push(Slot(slot), Creator::Us);
        }
        opening.push(Slot(5), Creator::Peer);
        opening.remove(Slot(1));
        opening.remove(Slot(1));
        opening.remove(Slot(2));
        for (creator, expected) in [(Creator::Us, &[3, 7, 0][..]), (Creator::Peer, &[5])] {
            for &slot in expected {
                assert_eq!(opening.oldest(creator), Some(Slot(slot)));
                opening.remove(Slot(slot));
            }
            assert_eq!(opening.oldest(creator), None);
        }
    }
}
