//! Draws source ports, and identifiers of ICMP queries, for translated states.
//!
//! A port is free while no state has the whole key that results from it, so one address serves 64 Ki connections to each
//! server. [`PortPools`] knows the ports in use, so drawing is exact and takes constant time.

use crate::cpu::{Isa, Kernel, Level, Secret};
use crate::packet::{Be16, Key};
use crate::state::PortRange;
use crate::table::{PortPlace, PortPools};

/// Draws ports for one lane.
pub(super) struct Ports {
    secret: Secret,
    level: Level,
    drawn: u64,
    lane: u16,
    nodes: NatNodes,
}

/// Which of the nodes that translate to the same addresses this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NatNodes {
    /// This node's number, below `count`.
    pub node: u32,
    /// Number of nodes; each draws from its own share of every range.
    pub count: u32,
}

impl Ports {
    /// Builds the ports of lane `lane`. `secret` is 256 random bits, so that nobody can predict the ports (RFC 6056).
    pub(super) fn new(secret: [u64; 4], lane: u16, nodes: NatNodes) -> Self {
        Self { secret: Secret(secret), level: Level::best(), drawn: 0, lane, nodes }
    }

    /// Draws a number from this node's share of `range` for port slot `slot` of `key`, at random. Returns `None` if none is free.
    /// `taken` says whether a state has a key. A range of a single port yields that port, wherever it steers.
    pub(super) fn draw(
        &mut self,
        key: &Key,
        slot: usize,
        range: PortRange,
        pools: Option<&PortPools>,
        taken: impl Fn(&Key) -> bool,
    ) -> Option<Be16> {
        let PortRange { first, last } = range.share_of(self.nodes.node, self.nodes.count)?;
        let is_free = |port: Be16| {
            let mut candidate = *key;
            candidate.port[slot] = port;
            !taken(&candidate)
        };
        match pools {
            Some(pools) if first < last => {
                pools.draw(PortPlace { key, slot }, [first, last], self.random(), is_free)
            }
            _ => Some(Be16::new(first)).filter(|port| is_free(*port)),
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
    use crate::cpu::Steering;
    use crate::memory::{Counted, Heap, Memory};
    use crate::packet::Family;
    use crate::table::PortPlan;
    use std::collections::HashSet;

    const ALONE: NatNodes = NatNodes { node: 0, count: 1 };
    const RANGE: PortRange = PortRange { first: 50_000, last: 50_999 };

    fn key() -> Key {
        let port = [Be16::new(1234), Be16::new(443)];
        Key { addr: [[7; 16], [9; 16]], port, family: Family::V6, proto: 6, ..Key::EMPTY }
    }

    /// Draws `count` times without marking anything.
    fn draw(ports: &mut Ports, range: PortRange, count: usize) -> HashSet<u16> {
        let steering = Counted::new(Heap::SYSTEM, "test", Steering::over_lanes(1).unwrap()).unwrap();
        let (memory, secret) = (&Memory::SYSTEM, [1, 2, 3, 4]);
        let plan = PortPlan { ports: 10, lane: 0, lanes: 1, steering, secret, memory, socket: -1 };
        let pools = PortPools::new(&plan).unwrap();
        let draw = |_| ports.draw(&key(), 0, range, Some(&pools), |_| false).unwrap().get();
        (0..count).map(draw).collect()
    }

    #[test]
    fn a_single_port_is_used_wherever_it_steers_but_only_once() {
        let one = PortRange { first: 80, last: 80 };
        for lane in 0..8 {
            let mut ports = Ports::new([1, 2, 3, 4], lane, ALONE);
            assert_eq!(ports.draw(&key(), 0, one, None, |_| false), Some(Be16::new(80)));
            assert_eq!(ports.draw(&key(), 0, one, None, |_| true), None);
        }
    }

    #[test]
    fn two_nodes_never_draw_the_same_port() {
        let drawn = |node| draw(&mut Ports::new([1, 2, 3, 4], 0, NatNodes { node, count: 2 }), RANGE, 2000);
        let (one, other) = (drawn(0), drawn(1));
        assert!(one.len() > 450 && other.len() > 450 && one.is_disjoint(&other));
    }

    #[test]
    fn the_drawn_numbers_depend_on_the_secret() {
        let all = PortRange { first: 0, last: u16::MAX };
        let drawn = |secret| draw(&mut Ports::new(secret, 0, ALONE), all, 64);
        let (one, other) = (drawn([1, 2, 3, 4]), drawn([1, 2, 3, 5]));
        assert!(one.len() > 60 && one.intersection(&other).count() < 4);
    }
}
