//! hashbrown from key to slot with its own hasher, and a dense array of hot records. It finds all slots of a burst and
//! prefetches their hot records before it reads them, which is all that a caller of a map can prefetch.

use super::{BURST, Contender, Records, Replace, Replacement};
use crate::harness::block::Block;
use crate::harness::{rounds, streams};
use hashbrown::HashMap;
use pfplane::internals::cpu::{Near, prefetch};
use pfplane::internals::packet::{Family, Key};
use pfplane::internals::state::Hot;

/// A hashbrown map that holds the flows.
pub(crate) struct HashbrownMap {
    slots: HashMap<[u64; 5], u32>,
    hot: Vec<Hot>,
    records: Option<Records>,
}

fn words(key: &Key) -> [u64; 5] {
    zerocopy::transmute!(*key)
}

impl HashbrownMap {
    /// Builds a map of `flows` flows. `records`: with whole records, for replacing states.
    pub(crate) fn new(flows: u32, family: Family, records: bool) -> Self {
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
        "hashbrown + dense hot records".to_owned()
    }

    #[inline(never)]
    fn lookup(&self, block: &Block) -> (usize, u64) {
        let (mut found, mut sum) = (0, 0);
        let mut slots = [u32::MAX; BURST];
        for burst in block.keys.chunks(BURST) {
            for (key, slot) in burst.iter().zip(&mut slots) {
                *slot = self.slots.get(&words(key)).copied().unwrap_or(u32::MAX);
                prefetch::<Near, _>(&self.hot, *slot as usize);
            }
            for hot in slots[..burst.len()].iter().filter_map(|&slot| self.hot.get(slot as usize)) {
                found += 1;
                sum += u64::from(hot.packets[0]);
            }
        }
        (found, sum)
    }
}

impl Replace for HashbrownMap {
    fn name(&self) -> String {
        "hashbrown + records".to_owned()
    }

    fn replace(&mut self, replacement: &Replacement) -> f64 {
        let Some(records) = &mut self.records else { return f64::NAN };
        let pairs = replacement.old.keys.iter().zip(&replacement.new.keys).zip(&replacement.new_records);
        let (ns, ()) = rounds::time(|| {
            for ((old, new), record) in pairs {
                let slot = self.slots.remove(&words(old)).expect("the state exists");
                records.write(slot as usize, record);
                self.slots.insert(words(new), slot);
            }
        });
        ns
    }
}
