//! Seeded random numbers: the same seed gives the same numbers on every machine.

/// A small, fast generator (xorshift64*). Not for secrets.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Builds the generator of a seed. Neighbouring seeds give unrelated numbers.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        let mut random = Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut skipped = 0;
        while skipped < 8 {
            random.next_u64();
            skipped += 1;
        }
        random
    }

    /// Builds one of several independent generators of the same seed.
    #[must_use]
    pub const fn stream(seed: u64, stream: u64) -> Self {
        Self::new(mix(seed ^ mix(stream)))
    }

    /// Returns the next 64 bits.
    pub const fn next_u64(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Returns the next 32 bits.
    pub const fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    /// Returns a number below `limit`, which must not be 0.
    pub const fn below(&mut self, limit: u64) -> u64 {
        (self.next_u64() >> 16) % limit
    }

    /// Returns a number below `limit`, which must not be 0.
    pub const fn below_u32(&mut self, limit: u32) -> u32 {
        self.below(limit as u64) as u32
    }

    /// Returns a number from `min` to `max`, both included.
    pub const fn between(&mut self, min: u64, max: u64) -> u64 {
        min + self.below(max - min + 1)
    }

    /// Returns true in `per_mille` of a thousand calls, on average.
    pub const fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    /// Returns an index below `length`, which must not be 0.
    pub const fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// Returns one of `choices`, each equally likely.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.index(choices.len())]
    }

    /// Fills `bytes` with random values.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
    }
}

/// Maps a number to another one that looks random, and no two numbers to the same (the finalizer of splitmix64).
#[must_use]
pub const fn mix(n: u64) -> u64 {
    let n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ n >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_numbers() {
        let numbers = |seed| {
            let mut random = Random::new(seed);
            [random.next_u64(), random.next_u64()]
        };
        assert_eq!(numbers(5), numbers(5));
        assert_ne!(numbers(5), numbers(6));
        assert_eq!(numbers(0), [9_788_261_334_167_716_012, 15_201_191_104_202_127_773]);
    }

    #[test]
    fn numbers_stay_in_range_and_reach_both_ends() {
        let mut random = Random::new(1);
        let mut drawn = [0; 4];
        (0..1000).for_each(|_| drawn[random.between(2, 5) as usize - 2] += 1);
        assert!(drawn.iter().all(|&count| count > 150), "{drawn:?}");
        let hits = (0..10_000).filter(|_| random.chance(300)).count();
        assert!((2700..3300).contains(&hits), "{hits}");
        assert!((0..1000).all(|_| random.index(7) < 7));
        assert!([3, 4].contains(&random.pick(&[3, 4])));
    }

    #[test]
    fn fill_covers_the_last_partial_word() {
        let mut bytes = [0; 21];
        Random::new(9).fill(&mut bytes);
        assert!(bytes[16..].iter().any(|&byte| byte != 0));
    }
}
