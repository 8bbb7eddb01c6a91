//! Which address owns a host id (creatorid).
//!
//! A node uses its own host id only in inserts, clears and bulk marks; updates and deletes may be about any node's states.
//! The first address that uses a host id owns it until it has been silent for a while, so no other node on the link can
//! clear its states. pf does not check this.

use crate::error::Error;
use crate::memory::{Heap, List};
use crate::time::{NANOS_PER_SECOND, Nanos};
use pfsync::envelope::Address;

/// Host ids remembered. A link has a handful of nodes.
const MAX_CREATORS: usize = 32;
/// After this silence an owner may have another address.
const SILENCE: Nanos = 60 * NANOS_PER_SECOND;

#[derive(Clone, Copy, Debug)]
struct Owner {
    creator: u32,
    address: Address,
    last_seen: Nanos,
}

/// The known owners.
#[derive(Debug)]
pub(super) struct Creators {
    owners: List<Owner>,
}

impl Creators {
    pub(super) fn new(heap: Heap) -> Result<Self, Error> {
        Ok(Self { owners: heap.list("host ids", MAX_CREATORS)? })
    }

    pub(super) const fn memory_needed() -> usize {
        size_of::<Owner>() * MAX_CREATORS
    }

    /// Whether `address` may use the host id `creator`. An id without an owner becomes its own.
    pub(super) fn accepts(&mut self, creator: u32, address: Address, now: Nanos) -> bool {
        let fresh = Owner { creator, address, last_seen: now };
        if let Some(owner) = self.owners.iter_mut().find(|owner| owner.creator == creator) {
            if owner.address != address && now.saturating_sub(owner.last_seen) < SILENCE {
                return false;
            }
            *owner = fresh;
            return true;
        }
        if self.owners.len() == MAX_CREATORS {
            // A flood of host ids evicts silent owners, never active ones.
            self.owners.retain(|owner| now.saturating_sub(owner.last_seen) < SILENCE);
        }
        // An id that is not remembered is accepted, but not protected.
        if self.owners.len() < MAX_CREATORS {
            self.owners.push(fresh);
        }
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
    fn a_host_id_belongs_to_the_first_address_that_uses_it_until_that_is_silent() {
        let mut creators = Creators::new(Heap::SYSTEM).unwrap();
        assert!(creators.accepts(7, at(1), 0));
        assert!(!creators.accepts(7, at(2), 59 * S));
        assert!(creators.accepts(7, at(1), 59 * S));
        assert!(!creators.accepts(7, at(2), 118 * S));
        assert!(creators.accepts(8, at(2), 118 * S));
        assert!(creators.accepts(7, at(2), 119 * S));
        assert!(!creators.accepts(7, at(1), 120 * S));
    }

    #[test]
    fn a_flood_of_host_ids_evicts_no_active_owner() {
        let mut creators = Creators::new(Heap::SYSTEM).unwrap();
        assert!(creators.accepts(1, at(1), 0));
        for n in 100..10_000 {
            assert!(creators.accepts(n, at(9), u64::from(n) * S / 100));
            creators.accepts(1, at(1), u64::from(n) * S / 100);
        }
        assert!(!creators.accepts(1, at(9), 100 * S));
    }
}
