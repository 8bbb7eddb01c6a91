//! Numbers that no other node and no earlier run of this node may have: taken once, when the engine is made.

use std::hash::{BuildHasher, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

/// A host id that is not 0.
pub(super) fn random_host_id() -> u32 {
    loop {
        let id = (random() >> 32) as u32;
        if id != 0 {
            return id;
        }
    }
}

/// The secret of the index hash.
pub(super) fn random_secret() -> [u64; 4] {
    core::array::from_fn(|_| random())
}

/// The standard library seeds each process's hasher from the operating system; its output is not to be guessed.
fn random() -> u64 {
    RandomState::new().hash_one(SystemTime::now())
}

/// Seconds since 1970.
pub(super) fn wall_clock_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs())
}

/// Where a lane's ids start: the lane in the top byte, the clock's low 32 bits below it, then room for 16 million ids a
/// second before a run could meet the ids of the next (`protocol` section 7.8).
pub(super) const fn first_id(lane: u32, start_unix_s: u64) -> u64 {
    (lane as u64) << 56 | (start_unix_s & 0xffff_ffff) << 24
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restarted_node_starts_behind_its_earlier_ids() {
        assert!(first_id(3, 1_700_000_001) > first_id(3, 1_700_000_000) + 16_000_000);
        assert_eq!(first_id(3, 5) >> 56, 3);
    }

    #[test]
    fn random_numbers_differ() {
        assert_ne!(random_secret(), random_secret());
        assert_ne!(random_host_id(), 0);
    }
}
