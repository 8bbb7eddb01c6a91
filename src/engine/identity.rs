//! Ids and secrets that differ from those of other nodes and of earlier runs. Drawn once, when the engine is built.

use crate::cpu::system_random;
use crate::error::Error;
use crate::sync::ID_COUNTER;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{SystemTime, UNIX_EPOCH};

/// Returns a random number of the operating system.
///
/// # Errors
/// The system has no random bits.
pub(crate) fn random() -> Result<u64, Error> {
    Random::new(None).map(|mut random| random.draw())
}

/// The random numbers of one run: a keyed hash of a counter.
pub(super) struct Random {
    seed: [u8; 32],
    drawn: u64,
}

impl Random {
    /// Starts from the host's seed, or from the operating system's random bits.
    ///
    /// # Errors
    /// The host gave no seed and the system has no random bits.
    pub(super) fn new(seed: Option<[u8; 32]>) -> Result<Self, Error> {
        let reason = "the system has no random bits, and none are given";
        let seed = seed.or_else(system_random).ok_or(Error::Invalid { name: "random_seed", reason })?;
        Ok(Self { seed, drawn: 0 })
    }

    fn draw(&mut self) -> u64 {
        self.drawn += 1;
        let mut hasher = DefaultHasher::new();
        (self.seed, self.drawn).hash(&mut hasher);
        hasher.finish()
    }

    /// Returns a host id other than 0.
    pub(super) fn host_id(&mut self) -> u32 {
        loop {
            let id = (self.draw() >> 32) as u32;
            if id != 0 {
                return id;
            }
        }
    }

    /// Returns a secret for hashing.
    pub(super) fn secret(&mut self) -> [u64; 4] {
        core::array::from_fn(|_| self.draw())
    }

    /// Returns a number other than 0 that differs in every run, as `first_id` does.
    pub(super) fn epoch(&mut self, first_id: u64) -> u64 {
        (self.draw() ^ first_id.rotate_left(32)).max(1)
    }

    /// Returns the number from which each lane counts its ids: random, so that it repeats no id of an earlier run, also
    /// where the clock starts at the same second each time. The seconds since 1970 (`unix_s`, or the wall clock for 0) are
    /// added, so that a host that gives the same seed each time repeats none either, if its clock runs.
    pub(super) fn first_id(&mut self, unix_s: u64) -> u64 {
        let wall_clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs());
        let seconds = if unix_s == 0 { wall_clock() } else { unix_s };
        self.draw().wrapping_add(seconds << 24) & ID_COUNTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restarted_node_starts_at_another_id_even_in_the_same_second() {
        let first = || Random::new(None).unwrap().first_id(1_700_000_000);
        assert_ne!(first(), first());
        assert!(first() <= ID_COUNTER);
    }

    #[test]
    fn a_seed_makes_everything_repeatable_but_a_later_start_has_later_ids() {
        let run = |unix_s| {
            let mut random = Random::new(Some([7; 32])).unwrap();
            (random.host_id(), random.secret(), random.first_id(unix_s))
        };
        assert_eq!(run(1_700_000_000), run(1_700_000_000));
        let ahead = run(1_700_000_001).2.wrapping_sub(run(1_700_000_000).2) & ID_COUNTER;
        assert_eq!(ahead, 1 << 24);
    }

    #[test]
    fn random_numbers_differ() {
        let mut random = Random::new(None).unwrap();
        assert_ne!(random.secret(), random.secret());
        assert_ne!(random.host_id(), 0);
    }
}
