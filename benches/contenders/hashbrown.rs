//! hashbrown with its own hasher, from key to slot, beside the same dense array of hot lines. All slots of a burst are
//! found first and their lines sent for, then read: the courtesy that can be done from outside.

use super::{BURST, Change, Churner, Contender, Records};
use crate::kit::block::Block;
use crate::kit::{rounds, streams};
use hashbrown::HashMap;
use pfplane::internals::cpu::{Near, prefetch};
use pfplane::internals::packet::{Family, Key};
use pfplane::internals::state::Hot;

/// hashbrown, key to slot.
pub struct HashbrownMap {
    slots: HashMap<[u64; 5], u32>,
    hot: Vec<Hot>,
    records: Option<Records>,
}

fn words(key: &Key) -> [u64; 5] {
    zerocopy::transmute!(*key)
}

impl HashbrownMap {
    /// A map with room for the flows, and the flows in it; with whole records where they are to be written.
    pub fn new(flows: u32, family: Family, records: bool) -> Self {
        let mut slots = HashMap::with_capacity(flows as usize);
        let mut hot = Vec::with_capacity(flows as usize);
        for flow in 0..flows {
            let key = streams::key(flow, family);
            slots.insert(words(&key), flow);
            hot.push(Hot { key, packets: [flow as u16, 0], ..Hot::EMPTY });
        }
        Self { slots, hot, records: records.then(|| Records::new(flows as usize)) }
    }
}

impl Contender for HashbrownMap {
    fn name(&self) -> String {
        "hashbrown + dense hot lines".to_owned()
    }

    #[inline(never)]
    fn lookup(&self, block: &Block) -> (usize, u64) {
        let (mut found, mut sum) = (0, 0);
        let mut slots = [u32::MAX; BURST];
        for burst in block.keys.chunks(BURST) {
            for (key, place) in burst.iter().zip(&mut slots) {
                *place = self.slots.get(&words(key)).copied().unwrap_or(u32::MAX);
                prefetch::<Near, _>(&self.hot, *place as usize);
            }
            for hot in slots[..burst.len()].iter().filter_map(|&slot| self.hot.get(slot as usize)) {
                found += 1;
                sum += u64::from(hot.packets[0]);
            }
        }
        (found, sum)
    }
}

impl Churner for HashbrownMap {
    fn name(&self) -> String {
        "hashbrown + records".to_owned()
    }

    fn churn(&mut self, change: &Change) -> f64 {
        let Some(records) = &mut self.records else { return f64::NAN };
        let pairs = change.old.keys.iter().zip(&change.new.keys).zip(&change.records);
        let (ns, ()) = rounds::time(|| {
            for ((old, new), record) in pairs {
                let slot = self.slots.remove(&words(old)).expect("it was there");
                records.write(slot as usize, record);
                self.slots.insert(words(new), slot);
            }
        });
        ns
    }
}
