//! Abseil's and Boost's flat maps from key to slot, with a dense array of hot records.

use super::{BURST, Contender};
use crate::harness::block::Block;
use pfplane::internals::cpu::{Near, prefetch};
use pfplane::internals::packet::Family;
use pfplane::internals::state::Hot;
use pfplane_bench::SwissMap;

/// A C++ map that holds the flows.
pub(crate) struct Swiss {
    map: SwissMap,
    hot: Vec<Hot>,
}

/// Builds all maps that are installed.
pub(crate) fn swiss_maps(flows: u32, family: Family) -> Vec<Swiss> {
    let maps = pfplane_bench::maps(flows as usize, family == Family::V4);
    let fill = |mut map: SwissMap| {
        for flow in 0..flows {
            map.insert(&Block::of(&[flow], family).all(), flow);
        }
        let hot = (0..flows).map(|flow| Hot { packets: [flow as u16, 0], ..Hot::EMPTY }).collect();
        Swiss { map, hot }
    };
    maps.into_iter().map(fill).collect()
}

impl Contender for Swiss {
    fn name(&self) -> String {
        format!("{} + dense hot records", self.map.name())
    }

    #[inline(never)]
    fn lookup(&self, block: &Block) -> (usize, u64) {
        let (mut found, mut sum) = (0, 0);
        let mut slots = [u32::MAX; BURST];
        for first in (0..block.keys.len()).step_by(BURST) {
            let count = BURST.min(block.keys.len() - first);
            self.map.find(&block.part(first, count), &mut slots);
            for &slot in &slots[..count] {
                prefetch::<Near, _>(&self.hot, slot as usize);
            }
            for hot in slots[..count].iter().filter_map(|&slot| self.hot.get(slot as usize)) {
                found += 1;
                sum += u64::from(hot.packets[0]);
            }
        }
        (found, sum)
    }
}
