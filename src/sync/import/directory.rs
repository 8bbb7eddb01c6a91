//! Which lane owns a foreign id.
//!
//! A message that carries only an id does not say which lane it is for. The sync lane, the only reader and writer, adds an
//! entry when it forwards an insert; the owner reports when the state ends. Both may cross: a peer may send the state again
//! just as it ends here. So an entry holds the number of messages sent to its owner by then, and an end reported before the
//! owner had applied all of them does not count.

use crate::error::Error;
use crate::memory::{Heap, Map, map_bytes};
use crate::state::StateId;

/// Foreign ids and their lanes, up to a fixed number.
#[derive(Debug)]
pub struct Directory {
    owners: Map<StateId, Owner>,
    capacity: usize,
    /// Entries whose state is to be requested again.
    lost: usize,
    /// Entries refused for lack of space. Messages about their states go to every lane.
    pub refused: u64,
}

#[derive(Clone, Copy, Debug)]
struct Owner {
    /// Messages sent to the lane when the state was last forwarded, modulo 2^32.
    sent: u32,
    lane: u8,
    /// A message about the state did not reach the lane.
    is_lost: bool,
    /// The entry ends when the state is no longer lost: the lane did not have the state before, or has it no more.
    is_temporary: bool,
}

impl Directory {
    /// Allocates a directory for `capacity` ids: the states of all lanes. It never grows. The hash is keyed, because peers
    /// choose the ids.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn new(capacity: usize, heap: Heap) -> Result<Self, Error> {
        let owners = heap.map("the directory of states", capacity)?;
        Ok(Self { owners, capacity, lost: 0, refused: 0 })
    }

    /// Returns the bytes that [`Self::new`] allocates.
    #[must_use]
    pub const fn memory_needed(capacity: usize) -> usize {
        map_bytes::<StateId, Owner>(capacity)
    }

    /// Returns the owner, if it is known.
    #[must_use]
    pub fn owner(&self, id: StateId) -> Option<u8> {
        self.owners.get(&id).map(|owner| owner.lane)
    }

    /// Sets the owner, which has been sent `sent` messages, the state's included. `false` when there is no space.
    pub fn insert(&mut self, id: StateId, lane: u8, sent: u32) -> bool {
        let owner = Owner { sent, lane, is_lost: false, is_temporary: false };
        self.put(id, owner)
    }

    fn put(&mut self, id: StateId, owner: Owner) -> bool {
        if let Some(known) = self.owners.get_mut(&id) {
            self.lost -= usize::from(known.is_lost);
            *known = owner;
            return true;
        }
        if self.owners.len() == self.capacity {
            self.refused += 1;
            return false;
        }
        self.owners.insert(id, owner);
        true
    }

    /// Removes an id that `lane` did not have after it had applied `applied` messages. An entry of another lane stays, and
    /// one for a later message.
    pub fn remove(&mut self, id: StateId, lane: u8, applied: u32) {
        let is_current =
            |owner: &&mut Owner| owner.lane == lane && owner.sent.wrapping_sub(applied) as i32 <= 0;
        match self.owners.get_mut(&id).filter(is_current) {
            Some(owner) if owner.is_lost => owner.is_temporary = true,
            Some(_) => _ = self.owners.remove(&id),
            None => {}
        }
    }

    /// Marks a state as lost: a message about it did not reach `lane`, which has been sent `sent` messages. Returns false if
    /// there is no space.
    #[must_use]
    pub fn mark_lost(&mut self, id: StateId, lane: u8, sent: u32) -> bool {
        let known = self.owners.get(&id).copied();
        let is_temporary = known.is_none_or(|owner| owner.is_temporary);
        let is_marked = self.put(id, Owner { sent, lane, is_lost: true, is_temporary });
        self.lost += usize::from(is_marked);
        is_marked
    }

    /// Notes that a state is no longer lost. Returns whether it was.
    pub fn settle(&mut self, id: StateId) -> bool {
        let Some(owner) = self.owners.get_mut(&id).filter(|owner| owner.is_lost) else { return false };
        owner.is_lost = false;
        self.lost -= 1;
        if owner.is_temporary {
            self.owners.remove(&id);
        }
        true
    }

    /// Returns the lane of a lost state.
    #[must_use]
    pub fn lost_lane(&self, id: StateId) -> Option<u8> {
        self.owners.get(&id).filter(|owner| owner.is_lost).map(|owner| owner.lane)
    }

    /// Returns the number of lost states.
    #[must_use]
    pub const fn lost(&self) -> usize {
        self.lost
    }

    /// Returns the number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.owners.len()
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> StateId {
        StateId { id: n, creator: 7 }
    }

    #[test]
    fn a_full_directory_refuses_new_ids_and_counts_them() {
        let mut directory = Directory::new(2, Heap::SYSTEM).unwrap();
        assert!(
            directory.insert(id(1), 3, 0) && directory.insert(id(2), 4, 0) && directory.insert(id(1), 5, 0)
        );
        assert!(!directory.insert(id(3), 1, 0));
        assert_eq!((directory.owner(id(1)), directory.owner(id(3))), (Some(5), None));
        assert_eq!((directory.len(), directory.refused), (2, 1));
        directory.remove(id(1), 3, 0);
        assert_eq!(directory.owner(id(1)), Some(5), "it now belongs to another lane");
        directory.remove(id(1), 5, 0);
        assert!(directory.insert(id(3), 1, 0));
    }

    #[test]
    fn an_end_reported_before_the_state_was_forwarded_again_does_not_count() {
        for start in [5, u32::MAX] {
            let mut directory = Directory::new(2, Heap::SYSTEM).unwrap();
            assert!(directory.insert(id(1), 3, start));
            assert!(directory.insert(id(1), 3, start.wrapping_add(1)));
            directory.remove(id(1), 3, start);
            assert_eq!(directory.owner(id(1)), Some(3));
            directory.remove(id(1), 3, start.wrapping_add(1));
            assert!(directory.is_empty());
        }
    }

    #[test]
    fn a_lost_state_keeps_its_lane_until_it_is_settled() {
        let mut directory = Directory::new(3, Heap::SYSTEM).unwrap();
        assert!(directory.insert(id(1), 3, 7));
        assert!(directory.mark_lost(id(1), 3, 8) && directory.mark_lost(id(2), 4, 0));
        assert!(directory.insert(id(3), 5, 0) && !directory.mark_lost(id(9), 5, 0), "there is no space");
        assert_eq!(
            (directory.lost(), directory.lost_lane(id(1)), directory.lost_lane(id(3))),
            (2, Some(3), None)
        );
        directory.remove(id(1), 3, 8);
        assert_eq!(directory.owner(id(1)), Some(3), "the lane no longer has it, but the peer may");
        assert!(directory.settle(id(1)) && directory.settle(id(2)) && !directory.settle(id(2)));
        assert_eq!((directory.len(), directory.lost()), (1, 0), "neither was in its lane");
        assert!(directory.mark_lost(id(3), 5, 1) && directory.settle(id(3)));
        assert_eq!(directory.owner(id(3)), Some(5));
        assert!(directory.mark_lost(id(4), 5, 1) && directory.insert(id(4), 5, 2));
        assert_eq!((directory.owner(id(4)), directory.lost()), (Some(5), 0));
    }

    #[test]
    fn inserts_and_removals_never_make_it_grow() {
        let mut directory = Directory::new(100, Heap::SYSTEM).unwrap();
        let before = directory.owners.allocation_size();
        for n in 0..10_000 {
            assert!(directory.insert(id(n), 1, n as u32));
            if n >= 99 {
                directory.remove(id(n - 99), 1, n as u32);
            }
        }
        assert_eq!(directory.owners.allocation_size(), before);
    }
}
