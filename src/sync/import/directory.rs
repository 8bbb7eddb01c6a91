//! Which lane owns a foreign identity.
//!
//! Messages that carry only an identity do not say which lane they are for. The sync lane, which alone reads and writes
//! this, puts an entry down when it passes an insert on; the owner tells it when the state ends. The two may cross: a peer
//! tells of the state again just as it ends here. So an entry carries how much mail its owner had been sent by then, and an
//! end that the owner told of before it had all that does not count.

use crate::state::StateId;
use hashbrown::HashMap;
use std::hash::RandomState;

/// Foreign identities and their lanes, up to a fixed number.
#[derive(Debug)]
pub struct Directory {
    owners: HashMap<StateId, Owner, RandomState>,
    capacity: usize,
    /// Entries that found no room. Their states are asked of every lane.
    pub refused: u64,
}

#[derive(Clone, Copy, Debug)]
struct Owner {
    /// Mail that it had been sent when the state was passed on last, modulo 2^32.
    sent: u32,
    lane: u8,
}

impl Directory {
    /// A directory for `capacity` identities: the states of all lanes. Allocates now, never later. The hash is keyed:
    /// peers choose the identities.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        // Twice the entries: below that, hashbrown clears its graves in place instead of growing.
        let owners = HashMap::with_capacity_and_hasher(2 * capacity, RandomState::new());
        Self { owners, capacity, refused: 0 }
    }

    /// The owner, if it is known.
    #[must_use]
    pub fn owner(&self, id: StateId) -> Option<u8> {
        self.owners.get(&id).map(|owner| owner.lane)
    }

    /// Puts down the owner, which has been sent so much mail, the state with it. `false` when there is no room.
    pub fn insert(&mut self, id: StateId, lane: u8, sent: u32) -> bool {
        let owner = Owner { sent, lane };
        if let Some(known) = self.owners.get_mut(&id) {
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

    /// Forgets an identity that `lane` did not have when it had taken in so much mail. An entry that names another lane by
    /// now stays, and one that was put down for later mail.
    pub fn remove(&mut self, id: StateId, lane: u8, heard: u32) {
        let is_meant = |owner: &Owner| owner.lane == lane && owner.sent.wrapping_sub(heard) as i32 <= 0;
        if self.owners.get(&id).is_some_and(is_meant) {
            self.owners.remove(&id);
        }
    }

    /// Entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.owners.len()
    }

    /// Whether there is none.
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
    fn holds_what_it_was_made_for_and_says_when_it_does_not() {
        let mut directory = Directory::new(2);
        assert!(
            directory.insert(id(1), 3, 0) && directory.insert(id(2), 4, 0) && directory.insert(id(1), 5, 0)
        );
        assert!(!directory.insert(id(3), 1, 0));
        assert_eq!((directory.owner(id(1)), directory.owner(id(3))), (Some(5), None));
        assert_eq!((directory.len(), directory.refused), (2, 1));
        directory.remove(id(1), 3, 0);
        assert_eq!(directory.owner(id(1)), Some(5), "it belongs to another lane by now");
        directory.remove(id(1), 5, 0);
        assert!(directory.insert(id(3), 1, 0));
    }

    #[test]
    fn an_end_from_before_the_state_was_passed_on_again_does_not_count() {
        for start in [5, u32::MAX] {
            let mut directory = Directory::new(2);
            assert!(directory.insert(id(1), 3, start));
            assert!(directory.insert(id(1), 3, start.wrapping_add(1)));
            directory.remove(id(1), 3, start);
            assert_eq!(directory.owner(id(1)), Some(3));
            directory.remove(id(1), 3, start.wrapping_add(1));
            assert!(directory.is_empty());
        }
    }

    #[test]
    fn churn_never_makes_it_grow() {
        let mut directory = Directory::new(100);
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
