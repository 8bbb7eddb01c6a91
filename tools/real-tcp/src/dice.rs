//! Chance that can be played again: every choice of a run follows from its seed.

use pfplane_demo::traffic::keystream::mix;

/// A stream of choices.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The stream number `stream` of the seed.
    pub fn new(seed: u64, stream: u64) -> Dice {
        Dice(mix(seed ^ mix(stream)))
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// From `least` to `most`, both included.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.any() % (most - least + 1)
    }

    /// True so many times in ten thousand.
    pub fn once_in_ten_thousand(&mut self, times: u32) -> bool {
        self.any() % 10_000 < u64::from(times)
    }
}
