//! At most one answer a state and second, in constant memory.

use crate::state::StateId;
use crate::time::{TICKS_PER_SECOND, Tick};

/// Remembers when it last allowed something for an identity.
///
/// A direct-mapped table: two identities that share a place push each other out, so that more is allowed than should be,
/// never less. The total is then still bounded by what comes in.
#[derive(Debug)]
pub(super) struct Limiter {
    places: Box<[Place]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    id: StateId,
    at: Tick,
}

const PLACES: usize = 1 << 12;

impl Limiter {
    pub fn new() -> Self {
        Self { places: vec![Place::default(); PLACES].into_boxed_slice() }
    }

    /// Whether a second has gone by since the last time for this identity. `true` counts as a time.
    pub fn allows(&mut self, id: StateId, now: Tick) -> bool {
        let place = self.place(id);
        let since = now.since(place.at);
        if place.id == id && (0..TICKS_PER_SECOND.cast_signed()).contains(&since) {
            return false;
        }
        *place = Place { id, at: now };
        true
    }

    /// Takes back the last `true` for this identity: what it was for did not happen.
    pub fn forget(&mut self, id: StateId) {
        let place = self.place(id);
        if place.id == id {
            *place = Place::default();
        }
    }

    fn place(&mut self, id: StateId) -> &mut Place {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let mixed = (id.id ^ u64::from(id.creator).rotate_left(32)).wrapping_mul(ODD);
        &mut self.places[(mixed >> (64 - PLACES.trailing_zeros())) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_a_second_and_identity() {
        let mut limiter = Limiter::new();
        let (one, other) = (StateId { id: 1, creator: 1 }, StateId { id: 2, creator: 1 });
        assert!(limiter.allows(one, Tick(u32::MAX - 50)));
        assert!(!limiter.allows(one, Tick(u32::MAX - 50)));
        assert!(limiter.allows(other, Tick(u32::MAX - 50)));
        assert!(!limiter.allows(one, Tick(48)), "99 hundredths later, across the wrap");
        assert!(limiter.allows(one, Tick(49)));
        limiter.forget(one);
        assert!(limiter.allows(one, Tick(50)));
    }
}
