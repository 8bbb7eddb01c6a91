//! Ids and secrets that differ from those of other nodes and of earlier runs. Read once, when the engine is built.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Returns a random host id other than 0.
pub(super) fn random_host_id() -> u32 {
    loop {
        let id = (random() >> 32) as u32;
        if id != 0 {
            return id;
        }
    }
}

/// Returns a secret for hashing.
pub(super) fn random_secret() -> [u64; 4] {
    core::array::from_fn(|_| random())
}

/// Returns an unpredictable number: the standard library seeds each process's hasher from the operating system.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(SystemTime::now())
}

/// Returns the time since 1970.
fn wall_clock() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::from_secs(1))
}

/// Returns when this run started: `unix_s` seconds since 1970, or the wall clock for 0.
pub(super) fn start(unix_s: u64) -> Duration {
    if unix_s == 0 { wall_clock() } else { Duration::from_secs(unix_s) }
}

/// Returns the first id of a lane: the lane in the top byte, below it 32 bits of seconds and 24 bits of their fraction.
///
/// A run would have to issue 16 million ids a second to reach the ids of the next run (`protocol` section 7.8).
pub(super) fn first_id(lane: u32, start: Duration) -> u64 {
    let fraction = (u64::from(start.subsec_nanos()) << 24) / 1_000_000_000;
    u64::from(lane) << 56 | (start.as_secs() & 0xffff_ffff) << 24 | fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restarted_node_issues_no_earlier_id_again() {
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
