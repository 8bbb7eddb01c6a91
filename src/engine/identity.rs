//! Numbers that no other node and no earlier run of this node may have: taken once, when the engine is made.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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

/// Time since 1970.
fn wall_clock() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::from_secs(1))
}

/// When this run started: as configured in seconds since 1970, or by the wall clock for 0.
pub(super) fn start(unix_s: u64) -> Duration {
    if unix_s == 0 { wall_clock() } else { Duration::from_secs(unix_s) }
}

/// Where a lane's ids start: the lane in the top byte, below it the clock with 32 bits of seconds and 24 of their
/// fraction: room for 16 million ids a second before a run could meet the ids of the next, even one that follows within
/// the same second (`protocol` section 7.8).
pub(super) fn first_id(lane: u32, start: Duration) -> u64 {
    let fraction = (u64::from(start.subsec_nanos()) << 24) / 1_000_000_000;
    u64::from(lane) << 56 | (start.as_secs() & 0xffff_ffff) << 24 | fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restarted_node_starts_behind_its_earlier_ids() {
        let at = |milliseconds| first_id(3, Duration::from_millis(milliseconds));
        assert!(at(1_700_000_001_000) > at(1_700_000_000_000) + 16_000_000);
        assert!(at(1_700_000_000_250) >= at(1_700_000_000_000) + 4_000_000, "within the same second too");
        assert_eq!(at(5000) >> 56, 3);
    }

    #[test]
    fn random_numbers_differ() {
        assert_ne!(random_secret(), random_secret());
        assert_ne!(random_host_id(), 0);
    }
}
