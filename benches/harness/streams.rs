//! Keys of flows, and the order of their packets. All from fixed seeds.

use pfplane::internals::packet::{Be16, Family, Key};
use pfplane_testkit::Random;
use pfplane_testkit::random::mix;

/// Returns the key of a flow: many clients and few servers, as a firewall sees them. No two flows have the same key.
pub(crate) fn key(flow: u32, family: Family) -> Key {
    let bits = mix(u64::from(flow) | 0x5eed << 32).to_be_bytes();
    let mut key = Key { family, proto: 6, port: [Be16([bits[0], bits[1]]), Be16::new(443)], ..Key::EMPTY };
    if family == Family::V4 {
        key.addr[0][..4].copy_from_slice(&bits[2..6]);
        key.addr[1][..4].copy_from_slice(&[192, 0, bits[6], bits[7]]);
    } else {
        key.addr[0] =
            [0x20, 1, 0xd, 0xb8, bits[2], bits[3], bits[4], bits[5], 0, 0, bits[0], 0, 0, 0, 0, bits[1]];
        key.addr[1] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, bits[6], bits[7]];
    }
    key
}

/// How packets are distributed over flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Popularity {
    /// All flows are equally likely.
    Uniform,
    /// The n-th flow has a share proportional to 1/n.
    Zipf,
}

/// Flow numbers in the order of their packets. They are drawn in advance so that drawing does not disturb the caches.
pub(crate) struct Stream {
    flows: Vec<u32>,
    next: usize,
}

/// Length of a stream before it repeats.
const STREAM_LENGTH: usize = 1 << 20;

impl Stream {
    /// Draws packets of flows `0..flows`, which are in the table, for `hit_percent` percent of the packets. The others have
    /// numbers from `flows` on.
    pub(crate) fn new(flows: u32, popularity: Popularity, hit_percent: u32, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let ranks = match popularity {
            Popularity::Uniform => Vec::new(),
            Popularity::Zipf => harmonic(flows),
        };
        let mut draw = || {
            let flow = match popularity {
                Popularity::Uniform => random.below_u32(flows),
                Popularity::Zipf => shuffle(rank(&ranks, &mut random), flows),
            };
            let hit = random.below_u32(100) < hit_percent;
            if hit { flow } else { flow + flows }
        };
        Self { flows: (0..STREAM_LENGTH).map(|_| draw()).collect(), next: 0 }
    }

    /// Fills `keys` with the keys of the next packets.
    pub(crate) fn fill(&mut self, family: Family, keys: &mut [Key]) {
        for entry in keys {
            *entry = key(self.flows[self.next], family);
            self.next = (self.next + 1) % self.flows.len();
        }
    }
}

/// Returns the partial sums of 1/n.
fn harmonic(flows: u32) -> Vec<f64> {
    let mut sum = 0.0;
    (1..=flows)
        .map(|n| {
            sum += 1.0 / f64::from(n);
            sum
        })
        .collect()
}

fn rank(sums: &[f64], random: &mut Random) -> u32 {
    let all = sums.last().copied().unwrap_or(1.0);
    let at = random.next_u64() as f64 / u64::MAX as f64 * all;
    sums.partition_point(|&sum| sum < at).min(sums.len() - 1) as u32
}

/// Spreads the popular flows over the table, so that they are not adjacent.
fn shuffle(rank: u32, flows: u32) -> u32 {
    const STEP: u64 = 0x9e37_79b1;
    let step = if u64::from(flows).is_multiple_of(STEP) { 1 } else { STEP };
    (u64::from(rank) * step % u64::from(flows)) as u32
}
