//! Which lane owns a foreign identity.
//!
//! Messages that carry only an identity do not say which lane they are for. The sync lane, which alone reads and writes
//! this, puts an entry down when it passes an insert on; the owner tells it when the state ends.

use crate::state::StateId;
use hashbrown::HashMap;
use std::hash::RandomState;

/// Foreign identities and their lanes, up to a fixed number.
#[derive(Debug)]
pub struct Directory {
    lanes: HashMap<StateId, u8, RandomState>,
    capacity: usize,
    /// Entries that found no room. Their states are asked of every lane.
    pub refused: u64,
}

impl Directory {
    /// A directory for `capacity` identities: the states of all lanes. Allocates now, never later. The hash is keyed:
    /// peers choose the identities.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        // Twice the entries: below that, hashbrown clears its graves in place instead of growing.
        let lanes = HashMap::with_capacity_and_hasher(2 * capacity, RandomState::new());
        Self { lanes, capacity, refused: 0 }
    }

    /// The owner, if it is known.
    #[must_use]
    pub fn owner(&self, id: StateId) -> Option<u8> {
        self.lanes.get(&id).copied()
    }

    /// Puts down the owner. `false` when there is no room.
    pub fn insert(&mut self, id: StateId, lane: u8) -> bool {
        if let Some(known) = self.lanes.get_mut(&id) {
            *known = lane;
            return true;
        }
        if self.lanes.len() == self.capacity {
            self.refused += 1;
            return false;
        }
        self.lanes.insert(id, lane);
        true
    }

    /// Forgets an identity that `lane` has no more. An entry that names another lane by now stays.
    pub fn remove(&mut self, id: StateId, lane: u8) {
        if self.owner(id) == Some(lane) {
            self.lanes.remove(&id);
        }
    }

    /// Entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lanes.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> StateId {
        StateId { id: n, creator: 7 }
    }

    #[test]
    fn holds_what_it_was_made_for_and_says_when_it_does_not() {
        let mut directory = Directory::new(2);
        assert!(directory.insert(id(1), 3) && directory.insert(id(2), 4) && directory.insert(id(1), 5));
        assert!(!directory.insert(id(3), 1));
        assert_eq!((directory.owner(id(1)), directory.owner(id(3))), (Some(5), None));
        assert_eq!((directory.len(), directory.refused), (2, 1));
        directory.remove(id(1), 3);
        assert_eq!(directory.owner(id(1)), Some(5), "it belongs to another lane by now");
        directory.remove(id(1), 5);
        assert!(directory.insert(id(3), 1));
    }

    #[test]
    fn churn_never_makes_it_grow() {
        let mut directory = Directory::new(100);
        let before = directory.lanes.allocation_size();
        for n in 0..10_000 {
            assert!(directory.insert(id(n), 1));
            if n >= 99 {
                directory.remove(id(n - 99), 1);
            }
        }
        assert_eq!(directory.lanes.allocation_size(), before);
    }
}
