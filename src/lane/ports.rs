//! Source ports, and identifiers of ICMP queries, for translated states.
//!
//! A port is free while no state has the whole key that results from it, so one address serves 64 Ki connections to each
//! server. For protocols that are steered by ports, the chosen port steers the replies back to this lane. For the others
//! (ICMP), each lane has its own share of the numbers, so that two lanes never choose the same key.

use crate::cpu::{Isa, Kernel, Level, Secret, Steering, has_ports};
use crate::packet::{Be16, Key};
use crate::state::PortRange;

/// Numbers tried for one state: enough with 128 lanes and half of the range in use. Takes about 20 microseconds at most.
const MAX_TRIES: u32 = 16_384;
/// Lookups among these.
const MAX_LOOKUPS: u32 = 256;

/// Draws ports for one lane.
pub(super) struct Ports {
    secret: Secret,
    level: Level,
    drawn: u64,
    lane: u16,
    lanes: u16,
}

impl Ports {
    /// Builds the ports of lane `lane`. `secret` is 256 random bits, so that nobody can predict the ports (RFC 6056).
    pub(super) fn new(secret: [u64; 4], lane: u16, lanes: u16) -> Self {
        Self { secret: Secret(secret), level: Level::best(), drawn: 0, lane, lanes }
    }

    /// Draws a number from `range` for port slot `slot` of `key`, at random. Returns `None` if none is free. `taken` says
    /// whether a state has a key. A range of a single port yields that port, wherever it steers.
    pub(super) fn draw(
        &mut self,
        key: &Key,
        slot: usize,
        range: PortRange,
        steering: &Steering,
        taken: impl Fn(&Key) -> bool,
    ) -> Option<Be16> {
        let span = u32::from(range.last.saturating_sub(range.first)) + 1;
        let start = self.random() as u32 % span;
        let mut candidate = *key;
        let mut lookups = 0;
        for step in 0..span.min(MAX_TRIES) {
            let number = range.first + ((start + step) % span) as u16;
            candidate.port[slot] = Be16::new(number);
            if span > 1 && !self.is_ours(&candidate, number, steering) {
                continue;
            }
            if !taken(&candidate) {
                return Some(candidate.port[slot]);
            }
            lookups += 1;
            if lookups == MAX_LOOKUPS {
                break;
            }
        }
        None
    }

    fn is_ours(&self, key: &Key, number: u16, steering: &Steering) -> bool {
        if has_ports(key.proto) {
            u16::from(steering.lane_of(key)) == self.lane
        } else {
            number % self.lanes.max(1) == self.lane
        }
    }

    fn random(&mut self) -> u64 {
        self.drawn += 1;
        self.level.run(Random { secret: &self.secret, words: [self.drawn, self.lane.into(), 0, 0, 0] })
    }
}

struct Random<'a> {
    secret: &'a Secret,
    words: [u64; 5],
}

impl Kernel for Random<'_> {
    type Output = u64;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> u64 {
        isa.hash(self.secret, &self.words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Family;
    use std::cell::RefCell;
    use std::collections::HashSet;

    const RANGE: PortRange = PortRange { first: 50_000, last: 50_999 };

    fn key(proto: u8) -> Key {
        let port = [Be16::new(1234), Be16::new(443)];
        Key { addr: [[7; 16], [9; 16]], port, family: Family::V6, proto, ..Key::EMPTY }
    }

    /// Returns all numbers that the lanes draw, one lane after the other, until none is left.
    fn exhaust(lanes: u16, proto: u8) -> Vec<u16> {
        let steering = Steering::over_lanes(lanes.into()).unwrap();
        let taken = RefCell::new(HashSet::new());
        let mut all = Vec::new();
        for lane in 0..lanes {
            let mut ports = Ports::new([1, 2, 3, 4], lane, lanes);
            while let Some(port) =
                ports.draw(&key(proto), 0, RANGE, &steering, |key| taken.borrow().contains(key))
            {
                let key = Key { port: [port, Be16::new(443)], ..key(proto) };
                assert!(taken.borrow_mut().insert(key), "a key is drawn once");
                assert!(!has_ports(proto) || u16::from(steering.lane_of(&key)) == lane);
                all.push(port.get());
            }
        }
        all
    }

    #[test]
    fn lanes_share_a_range_without_overlap_and_use_most_of_it() {
        for (lanes, proto) in [(1, 6), (1, 1), (4, 6), (4, 17), (4, 1), (7, 58)] {
            let drawn = exhaust(lanes, proto);
            assert!(drawn.iter().all(|port| (RANGE.first..=RANGE.last).contains(port)));
            let set: HashSet<_> = drawn.iter().collect();
            assert_eq!(set.len(), drawn.len());
            assert!(drawn.len() > 500, "{lanes} lanes, protocol {proto}: {}", drawn.len());
        }
    }

    #[test]
    fn a_single_port_is_used_wherever_it_steers_but_only_once() {
        let steering = Steering::over_lanes(8).unwrap();
        let one = PortRange { first: 80, last: 80 };
        for lane in 0..8 {
            let mut ports = Ports::new([1, 2, 3, 4], lane, 8);
            assert_eq!(ports.draw(&key(6), 0, one, &steering, |_| false), Some(Be16::new(80)));
            assert_eq!(ports.draw(&key(6), 0, one, &steering, |_| true), None);
        }
    }

    #[test]
    fn the_drawn_numbers_depend_on_the_secret() {
        let steering = Steering::over_lanes(1).unwrap();
        let all = PortRange { first: 1024, last: u16::MAX };
        let draw = |secret| {
            let mut ports = Ports::new(secret, 0, 1);
            (0..64)
                .map(|_| ports.draw(&key(6), 0, all, &steering, |_| false).unwrap())
                .collect::<HashSet<_>>()
        };
        let (one, other) = (draw([1, 2, 3, 4]), draw([1, 2, 3, 5]));
        assert!(one.len() > 60 && one.intersection(&other).count() < 4);
    }

    #[test]
    fn a_range_may_span_all_ports() {
        let steering = Steering::over_lanes(1).unwrap();
        let all = PortRange { first: 0, last: u16::MAX };
        let mut ports = Ports::new([9, 2, 3, 4], 0, 1);
        assert!(ports.draw(&key(6), 0, all, &steering, |_| false).is_some());
    }
}
