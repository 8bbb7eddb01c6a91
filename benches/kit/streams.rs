//! Keys, and the order in which packets ask for them. All from fixed seeds.

use pfplane::internals::packet::{Be16, Family, Key};

/// A small generator (splitmix64): the benches need speed and repeatability, no more.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u32) -> u32 {
        (((self.next() >> 32) * u64::from(end)) >> 32) as u32
    }
}

/// A bijection of 64-bit numbers.
fn mix(n: u64) -> u64 {
    let n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ n >> 31
}

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
        let mut random = Random(seed);
        let ranks = match popularity {
            Popularity::Uniform => Vec::new(),
            Popularity::Zipf => harmonic(flows),
        };
        let mut draw = || {
            let flow = match popularity {
                Popularity::Uniform => random.below(flows),
                Popularity::Zipf => shuffle(rank(&ranks, &mut random), flows),
            };
            let hit = random.below(100) < hit_percent;
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
    let at = random.next() as f64 / u64::MAX as f64 * all;
    sums.partition_point(|&sum| sum < at).min(sums.len() - 1) as u32
}

/// Spreads the popular flows over the table, so that they are no neighbours.
fn shuffle(rank: u32, flows: u32) -> u32 {
    const STEP: u64 = 0x9e37_79b1;
    let step = if u64::from(flows).is_multiple_of(STEP) { 1 } else { STEP };
    (u64::from(rank) * step % u64::from(flows)) as u32
}
