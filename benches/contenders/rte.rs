//! DPDK's `rte_hash` with bulk lookup, as its users do it: the position of a key in the hash is the index of its state in a
//! separate array. Once with states of 256 bytes, once with dense hot records like pfplane's.

use super::{BURST, Contender, Records, Replace, Replacement};
use crate::harness::block::Block;
use crate::harness::rounds;
use pfplane::internals::cpu::{Near, prefetch};
use pfplane::internals::packet::Family;
use pfplane::internals::state::Hot;
use pfplane_bench::{MAX_BULK, RteHash};
use std::rc::Rc;

/// Flows that are inserted together while a hash is filled.
const FILL: u32 = 1024;

/// Builds a hash that holds the flows. Also returns the flow at each position.
pub(crate) fn shared_hash(flows: u32, family: Family, lock_free: bool) -> Rc<(RteHash, Vec<u32>)> {
    let name = if lock_free { c"lock-free" } else { c"plain" };
    let mut hash = RteHash::new(name, flows, family == Family::V4, lock_free);
    let mut flow_at = vec![0; hash.positions()];
    for first in (0..flows).step_by(FILL as usize) {
        let numbers: Vec<u32> = (first..flows.min(first + FILL)).collect();
        let block = Block::of(&numbers, family);
        for (n, &flow) in numbers.iter().enumerate() {
            let position = hash.insert(&block.all(), n).expect("rte_hash holds its capacity");
            flow_at[position] = flow;
        }
    }
    Rc::new((hash, flow_at))
}

/// A whole state that starts with its hot record.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct State {
    hot: Hot,
    rest: [u8; 192],
}

/// Bulk lookup, then the start of a state of 256 bytes.
pub(crate) struct RteStates {
    hash: Rc<(RteHash, Vec<u32>)>,
    states: Vec<State>,
}

impl RteStates {
    /// Builds states for all positions of a hash.
    pub(crate) fn new(hash: Rc<(RteHash, Vec<u32>)>) -> Self {
        let state =
            |&flow: &u32| State { hot: Hot { packets: [flow as u16, 0], ..Hot::EMPTY }, rest: [1; 192] };
        let states = hash.1.iter().map(state).collect();
        Self { hash, states }
    }
}

impl Contender for RteStates {
    fn name(&self) -> String {
        "rte_hash bulk, 256-byte states".to_owned()
    }

    #[inline(never)]
    fn lookup(&self, block: &Block) -> (usize, u64) {
        lookup(&self.hash.0, block, &self.states, |state| &state.hot)
    }
}

/// Bulk lookup, then a dense hot record.
pub(crate) struct RteDense {
    hash: Rc<(RteHash, Vec<u32>)>,
    hot: Vec<Hot>,
    records: Option<Records>,
    lock_free: bool,
}

impl RteDense {
    /// Builds hot records for all positions of a hash. `records`: with whole records, for replacing states.
    pub(crate) fn new(hash: Rc<(RteHash, Vec<u32>)>, lock_free: bool, records: bool) -> Self {
        let hot = hash.1.iter().map(|&flow| Hot { packets: [flow as u16, 0], ..Hot::EMPTY }).collect();
        let records = records.then(|| Records::new(hash.0.positions()));
        Self { hash, hot, records, lock_free }
    }
}

impl Contender for RteDense {
    fn name(&self) -> String {
        format!("rte_hash bulk{} + dense hot records", if self.lock_free { " (lock-free)" } else { "" })
    }

    #[inline(never)]
    fn lookup(&self, block: &Block) -> (usize, u64) {
        lookup(&self.hash.0, block, &self.hot, |hot| hot)
    }
}

/// Bulk calls of the largest size with hashes that the caller knows, then a dense hot record.
pub(crate) struct RteHashed(pub RteDense);

impl Contender for RteHashed {
    fn name(&self) -> String {
        "rte_hash bulk of 64, hashes given + dense".to_owned()
    }

    fn prepare(&self, block: &mut Block) {
        let hashes = (0..block.keys.len()).map(|n| self.0.hash.0.hash(&block.all(), n)).collect();
        block.hashes = hashes;
    }

    #[inline(never)]
    fn lookup(&self, block: &Block) -> (usize, u64) {
        let mut result = (0, 0);
        let mut positions = [-1; MAX_BULK];
        let keys = block.all();
        for (n, hashes) in block.hashes.chunks(MAX_BULK).enumerate() {
            // The call takes them as writable, although it only reads them.
            let mut own = [0; MAX_BULK];
            own[..hashes.len()].copy_from_slice(hashes);
            self.0.hash.0.find_hashed(&keys, n * MAX_BULK, &mut own[..hashes.len()], &mut positions);
            read_found(&self.0.hot, &positions[..hashes.len()], |hot| hot, &mut result);
        }
        result
    }
}

#[inline(always)]
fn lookup<S>(hash: &RteHash, block: &Block, states: &[S], hot: impl Fn(&S) -> &Hot) -> (usize, u64) {
    let mut result = (0, 0);
    let mut positions = [-1; BURST];
    let keys = block.all();
    for first in (0..block.keys.len()).step_by(BURST) {
        let count = BURST.min(block.keys.len() - first);
        hash.find(&keys, first, count, &mut positions);
        read_found(states, &positions[..count], &hot, &mut result);
    }
    result
}

/// Counts the keys that were found, and reads their hot records.
#[inline(always)]
fn read_found<S>(states: &[S], positions: &[i32], hot: impl Fn(&S) -> &Hot, (found, sum): &mut (usize, u64)) {
    for &position in positions {
        prefetch::<Near, _>(states, position.max(0) as usize);
    }
    for &position in positions {
        if let Some(state) = usize::try_from(position).ok().and_then(|position| states.get(position)) {
            *found += 1;
            *sum += u64::from(hot(state).packets[0]);
        }
    }
}

impl Replace for RteDense {
    fn name(&self) -> String {
        "rte_hash + records".to_owned()
    }

    fn replace(&mut self, replacement: &Replacement) -> f64 {
        let (Some(records), Some((hash, _))) = (&mut self.records, Rc::get_mut(&mut self.hash)) else {
            return f64::NAN;
        };
        let (old, new) = (replacement.old.all(), replacement.new.all());
        let (ns, ()) = rounds::time(|| {
            for first in (0..replacement.new_records.len()).step_by(BURST) {
                let burst = first..(first + BURST).min(replacement.new_records.len());
                for n in burst.clone() {
                    hash.remove(&old, n).expect("the state exists");
                }
                for n in burst {
                    let position = hash.insert(&new, n).expect("a position is free");
                    records.write(position, &replacement.new_records[n]);
                }
            }
        });
        ns
    }
}
