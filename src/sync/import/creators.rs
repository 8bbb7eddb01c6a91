//! Which address a host id belongs to.
//!
//! A node tells of its own host id with inserts, clears and bulk marks only; updates and deletes may be about anybody's
//! states. The first address that does so owns the host id until it has been silent for a while, so that nobody else on
//! the link can clear its states. pf does not test this.

use crate::time::{NANOS_PER_SECOND, Nanos};
use arrayvec::ArrayVec;
use pfsync::envelope::Address;

/// Host ids that are remembered. A link has a handful of nodes.
const CREATORS: usize = 32;
/// An owner that was silent for so long may have moved.
const SILENCE: Nanos = 60 * NANOS_PER_SECOND;

#[derive(Clone, Copy, Debug)]
struct Owner {
    creator: u32,
    address: Address,
    heard: Nanos,
}

/// The owners that are known.
#[derive(Debug, Default)]
pub(super) struct Creators {
    owners: ArrayVec<Owner, CREATORS>,
}

impl Creators {
    /// Whether `address` may speak for `creator`, which becomes its own if it is nobody's.
    pub fn may_answer(&mut self, creator: u32, address: Address, now: Nanos) -> bool {
        let fresh = Owner { creator, address, heard: now };
        if let Some(owner) = self.owners.iter_mut().find(|owner| owner.creator == creator) {
            if owner.address != address && now.saturating_sub(owner.heard) < SILENCE {
                return false;
            }
            *owner = fresh;
            return true;
        }
        if self.owners.is_full() {
            // Whoever floods the link with host ids pushes out those that are silent, never those that speak.
            self.owners.retain(|owner| now.saturating_sub(owner.heard) < SILENCE);
        }
        // Not remembered means not protected, and not refused.
        let _ = self.owners.try_push(fresh);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Nanos = NANOS_PER_SECOND;

    fn at(n: u8) -> Address {
        Address::V4([10, 0, 0, n])
    }

    #[test]
    fn a_host_id_belongs_to_the_first_that_speaks_for_it_until_it_is_silent() {
        let mut creators = Creators::default();
        assert!(creators.may_answer(7, at(1), 0));
        assert!(!creators.may_answer(7, at(2), 59 * S));
        assert!(creators.may_answer(7, at(1), 59 * S));
        assert!(!creators.may_answer(7, at(2), 118 * S));
        assert!(creators.may_answer(8, at(2), 118 * S));
        assert!(creators.may_answer(7, at(2), 119 * S));
        assert!(!creators.may_answer(7, at(1), 120 * S));
    }

    #[test]
    fn a_flood_of_host_ids_costs_nobody_who_speaks_his_own() {
        let mut creators = Creators::default();
        assert!(creators.may_answer(1, at(1), 0));
        for n in 100..10_000 {
            assert!(creators.may_answer(n, at(9), u64::from(n) * S / 100));
            creators.may_answer(1, at(1), u64::from(n) * S / 100);
        }
        assert!(!creators.may_answer(1, at(9), 100 * S));
    }
}
