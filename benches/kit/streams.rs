//! Keys, and the order in which packets ask for them. All from fixed seeds.

use pfplane::internals::packet::{Be16, Family, Key};
use pfplane_testkit::Random;
use pfplane_testkit::random::mix;

/// The key of a flow: clients all over, a few servers, as a firewall sees them. Different numbers, different keys.
pub fn key(flow: u32, family: Family) -> Key {
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

/// How popular flows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Popularity {
    /// All alike.
    Uniform,
    /// The n-th one as popular as 1/n.
    Zipf,
}

/// Flow numbers in the order of their packets, drawn beforehand so that drawing does not disturb the caches.
pub struct Stream {
    flows: Vec<u32>,
    at: usize,
}

/// Numbers in a stream before it begins again.
const DRAWN: usize = 1 << 20;

impl Stream {
    /// Packets of flows `0..flows`, of which `hit_percent` in a hundred are in the table; the others have numbers from
    /// `flows` on.
    pub fn new(flows: u32, popularity: Popularity, hit_percent: u32, seed: u64) -> Self {
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
        Self { flows: (0..DRAWN).map(|_| draw()).collect(), at: 0 }
    }

    /// Writes the keys of the next packets.
    pub fn fill(&mut self, family: Family, keys: &mut [Key]) {
        for place in keys {
            *place = key(self.flows[self.at], family);
            self.at = (self.at + 1) % self.flows.len();
        }
    }
}

/// Sums of 1/n.
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

/// Spreads the popular flows over the table, so that they are no neighbours.
fn shuffle(rank: u32, flows: u32) -> u32 {
    const STEP: u64 = 0x9e37_79b1;
    let step = if u64::from(flows).is_multiple_of(STEP) { 1 } else { STEP };
    (u64::from(rank) * step % u64::from(flows)) as u32
}
