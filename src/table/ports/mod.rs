//! Which source ports are free for a translated state: exact, in constant time, from an empty to a full range.
//!
//! A pool is everything of a key but the port: the translated address, the protocol, and the other end. So one address serves
//! 64 Ki connections to each server. A pool's 65,536 ports are a tree with three levels:
//!
//! ```text
//!  pool      4 branches           map of 128 leaves that are full      exists once a leaf is full
//!  branch    128 leaves           map of 128 ports that are in use     exists while one of its ports is in use
//! ```
//!
//! All nodes of all pools are in one array behind one [`Index`]. A port whose replies steer to another lane counts as in use,
//! so a lane draws only ports of its own. For protocols that are steered by addresses alone (ICMP), lanes share the numbers.

use crate::cpu::{Isa, Kernel, Level, Secret, Steering, has_ports};
use crate::error::Error;
use crate::memory::{Counted, FixedArray, Memory, bytes_of};
use crate::packet::{Be16, Direction, Key, has_translatable_ports};
use crate::state::{Cold, Hot};
use crate::table::index::{Hash, Index};

/// Bits of a port within its leaf, and of a leaf within its branch.
const BITS: u32 = 7;
/// Ports of a leaf, and leaves of a branch.
const FAN: u32 = 1 << BITS;
const FULL: u128 = u128::MAX;
/// Ports that may be held by states that are not translated, tried for one draw.
const MAX_REJECTED: u32 = 256;
/// The end of the free list.
const END: u32 = u32::MAX;

/// A leaf or a branch.
#[derive(Clone, Copy)]
#[repr(C)]
struct Node {
    /// Hash of the pool and the node's position; for a free node, the next one.
    identity: u64,
    map: [u64; 2],
}

impl Node {
    const fn map(&self) -> u128 {
        (self.map[0] as u128) | (self.map[1] as u128) << 64
    }

    const fn new(identity: u64, map: u128) -> Self {
        Self { identity, map: [map as u64, (map >> 64) as u64] }
    }
}

/// The size of a lane's pools, and which ports are the lane's.
pub struct PortPlan<'a> {
    /// Maximum number of ports in use.
    pub ports: u32,
    /// The lane.
    pub lane: u16,
    /// Lanes of the engine.
    pub lanes: u16,
    /// Which lane owns which key.
    pub steering: Counted<Steering>,
    /// See [`Table::new`](crate::table::Table::new).
    pub secret: [u64; 4],
    /// Where the pools live, and on which NUMA node.
    pub memory: &'a Memory,
    /// NUMA node, -1 for any.
    pub socket: i32,
}

/// The ports in use of all pools of a lane.
pub struct PortPools {
    nodes: FixedArray<Node>,
    index: Index,
    free: u32,
    secret: Secret,
    level: Level,
    steering: Counted<Steering>,
    lane: u16,
    lanes: u16,
    /// By the hash of a leaf's first port: its ports that steer to this lane.
    ours: FixedArray<u128>,
}

/// Where a port is: its pool's key and the slot that the port is in.
#[derive(Clone, Copy)]
pub struct PortPlace<'a> {
    /// The key; its port in `slot` is ignored.
    pub key: &'a Key,
    /// The slot of the translated port.
    pub slot: usize,
}

impl PortPools {
    /// Arrays that pools allocate.
    const ARRAYS: usize = 2 + Index::ARRAYS;

    /// Maximum number of nodes: a leaf for each port in use, and the branches of full leaves.
    const fn max_nodes(ports: u32, lanes: u16) -> u32 {
        ports + (ports as u64 * lanes as u64 / FAN as u64) as u32 + 8
    }

    /// Builds empty pools.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn new(plan: &PortPlan<'_>) -> Result<Self, Error> {
        let count = Self::max_nodes(plan.ports, plan.lanes);
        let bytes = Self::memory_needed(plan.ports, plan.lanes);
        let mut arena = plan.memory.arena("port pools", bytes, Self::ARRAYS, plan.socket)?;
        let mut nodes = arena.array("port pools", count as usize, Node::new(END.into(), 0))?;
        for (node, next) in nodes.iter_mut().zip(1..count) {
            node.identity = next.into();
        }
        let hash_of = |port: u32| {
            let key = Key { port: [Be16::new(port as u16), Be16([0; 2])], proto: 6, ..Key::EMPTY };
            plan.steering.hash_of(&key)
        };
        // The steering hash is linear: the hash of two numbers combined is that of the hashes.
        let lane_of =
            |hash: u32, port: u32| u16::from(plan.steering.lane_of_hash(hash ^ hash_of(port) ^ hash_of(0)));
        let mask = |hash: u32| {
            (0..FAN).fold(0, |mask, port| mask | u128::from(lane_of(hash, port) == plan.lane) << port)
        };
        let mut ours = arena.array("port pools", FAN as usize, 0)?;
        for (mask_of_hash, hash) in ours.iter_mut().zip(0..FAN) {
            *mask_of_hash = mask(hash);
        }
        Ok(Self {
            nodes,
            index: Index::new(count, &mut arena)?,
            free: 0,
            secret: Secret(plan.secret),
            level: Level::best(),
            steering: plan.steering.clone(),
            lane: plan.lane,
            lanes: plan.lanes.max(1),
            ours,
        })
    }

    /// Returns the bytes that pools for `ports` ports in use allocate, before mappings are rounded up to pages.
    #[must_use]
    pub const fn memory_needed(ports: u32, lanes: u16) -> usize {
        let nodes = Self::max_nodes(ports, lanes);
        bytes_of::<Node>(nodes as usize) + bytes_of::<u128>(FAN as usize) + Index::bytes_needed(nodes)
    }

    /// Marks the port of a translated state as in use, or as free.
    pub(in crate::table) fn record(&mut self, hot: &Hot, cold: &Cold, is_used: bool) {
        // The translated key is the one that replies have.
        match hot.direction() {
            Direction::In => self.mark(&cold.stack_key, Direction::Out, is_used),
            Direction::Out => self.mark(&hot.key, Direction::In, is_used),
        }
    }

    /// Marks the port of a key that packets of `direction` have as in use, or as free. Does nothing for a port that this lane
    /// does not draw.
    pub fn mark(&mut self, key: &Key, direction: Direction, is_used: bool) {
        let slot = if direction == Direction::Out { 0 } else { 1 };
        if !has_translatable_ports(key.family, key.proto, key.port[1 - slot]) {
            return;
        }
        let place = PortPlace { key, slot };
        let (leaf, bit) = split(key.port[slot].get().into());
        let ours = self.ours(place, leaf);
        if ours >> bit & 1 == 0 {
            return;
        }
        let before = self.set(place.words(leaf, 0), !ours, bit, is_used);
        let after = if is_used { before | 1 << bit } else { before & !(1 << bit) };
        if before != after && (before == FULL || after == FULL) {
            let (branch, bit) = split(leaf);
            self.set(place.words(branch, 1), 0, bit, is_used);
        }
    }

    /// Sets or clears a bit of a node, which exists while its map is not `empty`. Returns the map before; without a free node,
    /// the map that it would have, so that nothing seems to change.
    fn set(&mut self, words: [u64; 5], empty: u128, bit: u32, is_used: bool) -> u128 {
        let (identity, found) = self.find(words);
        let before = found.map_or(empty, |node| self.nodes[node as usize].map());
        let after = if is_used { before | 1 << bit } else { before & !(1 << bit) };
        match found {
            None if after == empty => {}
            None if self.free == END => return after,
            None => {
                let node = self.free;
                if !self.level.run(Insert { index: &mut self.index, hash: Hash::new(identity), node }) {
                    return after;
                }
                self.free = self.nodes[node as usize].identity as u32;
                self.nodes[node as usize] = Node::new(identity, after);
            }
            Some(node) if after == empty => {
                self.level.run(Remove { index: &mut self.index, hash: Hash::new(identity), node });
                self.nodes[node as usize] = Node::new(self.free.into(), 0);
                self.free = node;
            }
            Some(node) => self.nodes[node as usize] = Node::new(identity, after),
        }
        before
    }

    /// Returns a node's identity, and the node.
    fn find(&self, words: [u64; 5]) -> (u64, Option<u32>) {
        self.level.run(Find { pools: self, words })
    }

    fn map(&self, words: [u64; 5]) -> Option<u128> {
        self.find(words).1.map(|node| self.nodes[node as usize].map())
    }

    /// Returns the ports of a leaf that this lane draws.
    fn ours(&self, place: PortPlace<'_>, leaf: u32) -> u128 {
        let first = leaf << BITS;
        if self.lanes == 1 {
            return FULL;
        }
        if has_ports(place.key.proto) {
            let mut key = *place.key;
            key.port[place.slot] = Be16::new(first as u16);
            return self.ours[(self.steering.hash_of(&key) % FAN) as usize];
        }
        let lanes = u32::from(self.lanes);
        let skipped = (u32::from(self.lane) + lanes - first % lanes) % lanes;
        (skipped..FAN).step_by(lanes as usize).fold(0, |mask, bit| mask | 1 << bit)
    }

    /// Returns a free port of the range from `first` to `last`, at random, or `None` if there is none. `accepts` has the last
    /// word, for states that are not translated and have the key.
    ///
    /// Cost: usually one node; at most those of all leaves that are neither full nor have a free port in the range (two, at
    /// its ends) and the four branches.
    pub fn draw(
        &self,
        place: PortPlace<'_>,
        [first, last]: [u16; 2],
        random: u64,
        mut accepts: impl FnMut(Be16) -> bool,
    ) -> Option<Be16> {
        let (first, last) = (u32::from(first), u32::from(last));
        let start = first + random as u32 % (last - first + 1);
        let (first_leaf, mut offset) = split(start);
        let (mut leaf, mut is_wrapped, mut rejected) = (first_leaf, false, 0);
        loop {
            let used = self.map(place.words(leaf, 0)).unwrap_or_else(|| !self.ours(place, leaf));
            let mut free = !used & between(first, last, leaf << BITS);
            while free != 0 {
                let bit = (free.rotate_right(offset).trailing_zeros() + offset) % FAN;
                let port = Be16::new((leaf << BITS | bit) as u16);
                if accepts(port) {
                    return Some(port);
                }
                free &= !(1 << bit);
                rejected += 1;
                if rejected == MAX_REJECTED {
                    return None;
                }
            }
            offset = (random >> 32) as u32 % FAN;
            let ahead = if is_wrapped { None } else { self.next_leaf(place, leaf + 1, last >> BITS) };
            leaf = match ahead {
                Some(leaf) => leaf,
                None => {
                    let from = if is_wrapped { leaf + 1 } else { first >> BITS };
                    is_wrapped = true;
                    self.next_leaf(place, from, first_leaf.checked_sub(1)?)?
                }
            };
        }
    }

    /// Returns the first leaf from `from` to `to` that is not full.
    fn next_leaf(&self, place: PortPlace<'_>, from: u32, to: u32) -> Option<u32> {
        if from > to {
            return None;
        }
        (from >> BITS..=to >> BITS).find_map(|branch| {
            let full = self.map(place.words(branch, 1)).unwrap_or(0);
            let candidates = !full & between(from, to, branch << BITS);
            (candidates != 0).then(|| branch << BITS | candidates.trailing_zeros())
        })
    }

    /// Returns the bytes of its memory.
    pub(in crate::table) fn bytes(&self) -> usize {
        self.nodes.bytes() + self.index.bytes()
    }
}

/// Splits a number into its node and its bit there.
const fn split(number: u32) -> (u32, u32) {
    (number >> BITS, number % FAN)
}

/// Returns the bits of a node that starts at `start` for the numbers from `first` to `last`.
const fn between(first: u32, last: u32, start: u32) -> u128 {
    if last < start || first >= start + FAN {
        return 0;
    }
    let low = first.saturating_sub(start);
    let high = if last - start < FAN { last - start } else { FAN - 1 };
    (FULL << low) & (FULL >> (FAN - 1 - high))
}

impl PortPlace<'_> {
    /// Returns what identifies a node: the pool, the node's number and its level. Both fit into the port.
    fn words(&self, node: u32, level: u32) -> [u64; 5] {
        let mut key = *self.key;
        key.port[self.slot] = Be16::new((node << BITS) as u16 | level as u16 | (self.slot as u16) << 1);
        zerocopy::transmute!(key)
    }
}

struct Find<'a> {
    pools: &'a PortPools,
    words: [u64; 5],
}

impl Kernel for Find<'_> {
    type Output = (u64, Option<u32>);

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Self::Output {
        let Self { pools, words } = self;
        let identity = isa.hash(&pools.secret, &words);
        let is_it = |node: u32| pools.nodes[node as usize].identity == identity;
        (identity, pools.index.find(isa, Hash::new(identity), is_it))
    }
}

struct Insert<'a> {
    index: &'a mut Index,
    hash: Hash,
    node: u32,
}

impl Kernel for Insert<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> bool {
        self.index.insert(isa, self.hash, self.node)
    }
}

struct Remove<'a> {
    index: &'a mut Index,
    hash: Hash,
    node: u32,
}

impl Kernel for Remove<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        self.index.remove(isa, self.hash, self.node);
    }
}

#[cfg(test)]
mod tests;
