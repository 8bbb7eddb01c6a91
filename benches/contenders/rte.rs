//! DPDK's `rte_hash`, in bulk, as its users do it: the states in an array of their own, the place of a key the number of
//! its state; once with whole states of 256 bytes, once with the same dense hot lines that our table has.

use super::{BURST, Change, Churner, Contender, Records};
use crate::kit::block::Block;
use crate::kit::rounds;
use pfplane::internals::cpu::{Near, prefetch};
use pfplane::internals::packet::Family;
use pfplane::internals::state::Hot;
use pfplane_bench::RteHash;
use std::rc::Rc;

/// Flows that are put in together while a hash is filled.
const FILL: u32 = 1024;

/// A hash with the flows in it, and the flow at every place.
pub fn shared_hash(flows: u32, family: Family, lock_free: bool) -> Rc<(RteHash, Vec<u32>)> {
    let name = if lock_free { c"lock-free" } else { c"plain" };
    let mut hash = RteHash::new(name, flows, family == Family::V4, lock_free);
    let mut flow_at = vec![0; hash.places()];
    for first in (0..flows).step_by(FILL as usize) {
        let numbers: Vec<u32> = (first..flows.min(first + FILL)).collect();
        let block = Block::of(&numbers, family);
        for (n, &flow) in numbers.iter().enumerate() {
            let place = hash.put(&block.all(), n).expect("rte_hash has room for what it was made for");
            flow_at[place] = flow;
        }
    }
    Rc::new((hash, flow_at))
}

/// A whole state, its hot line at the head.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct State {
    hot: Hot,
    rest: [u8; 192],
}

/// Bulk lookup, then the head of a state of 256 bytes.
pub struct RteStates {
    hash: Rc<(RteHash, Vec<u32>)>,
    states: Vec<State>,
}

impl RteStates {
    /// States for the places of a hash.
    pub fn new(hash: Rc<(RteHash, Vec<u32>)>) -> Self {
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

/// Bulk lookup, then a dense hot line.
pub struct RteDense {
    hash: Rc<(RteHash, Vec<u32>)>,
    hot: Vec<Hot>,
    records: Option<Records>,
    lock_free: bool,
}

impl RteDense {
    /// Hot lines for the places of a hash; with whole records where they are to be written.
    pub fn new(hash: Rc<(RteHash, Vec<u32>)>, lock_free: bool, records: bool) -> Self {
        let hot = hash.1.iter().map(|&flow| Hot { packets: [flow as u16, 0], ..Hot::EMPTY }).collect();
        let records = records.then(|| Records::new(hash.0.places()));
        Self { hash, hot, records, lock_free }
    }
}

impl Contender for RteDense {
    fn name(&self) -> String {
        format!("rte_hash bulk{} + dense hot lines", if self.lock_free { " (lock-free)" } else { "" })
    }

    #[inline(never)]
    fn lookup(&self, block: &Block) -> (usize, u64) {
        lookup(&self.hash.0, block, &self.hot, |hot| hot)
    }
}

#[inline(always)]
fn lookup<S>(hash: &RteHash, block: &Block, states: &[S], hot: impl Fn(&S) -> &Hot) -> (usize, u64) {
    let (mut found, mut sum) = (0, 0);
    let mut places = [-1; BURST];
    let keys = block.all();
    for first in (0..block.keys.len()).step_by(BURST) {
        let count = BURST.min(block.keys.len() - first);
        hash.find(&keys, first, count, &mut places);
        for &place in &places[..count] {
            prefetch::<Near, _>(states, place.max(0) as usize);
        }
        for &place in &places[..count] {
            if let Some(state) = usize::try_from(place).ok().and_then(|place| states.get(place)) {
                found += 1;
                sum += u64::from(hot(state).packets[0]);
            }
        }
    }
    (found, sum)
}

impl Churner for RteDense {
    fn name(&self) -> String {
        "rte_hash + records".to_owned()
    }

    fn churn(&mut self, change: &Change) -> f64 {
        let (Some(records), Some((hash, _))) = (&mut self.records, Rc::get_mut(&mut self.hash)) else {
            return f64::NAN;
        };
        let (old, new) = (change.old.all(), change.new.all());
        let (ns, ()) = rounds::time(|| {
            for first in (0..change.records.len()).step_by(BURST) {
                let burst = first..(first + BURST).min(change.records.len());
                for n in burst.clone() {
                    hash.take(&old, n).expect("it was there");
                }
                for n in burst {
                    let place = hash.put(&new, n).expect("there is room");
                    records.write(place, &change.records[n]);
                }
            }
        });
        ns
    }
}
