//! The table under test.

use super::{BURST, Change, Churner, Contender};
use crate::kit::block::Block;
use crate::kit::{rounds, streams};
use pfplane::internals::cpu::Level;
use pfplane::internals::memory::Memory;
use pfplane::internals::packet::{Direction, Family};
use pfplane::internals::state::{Cold, Hot, Record, StateId, Track};
use pfplane::internals::table::{InsertError, LookupBatch, Plan, Slot, Table};
use std::rc::Rc;

/// Our table, at one instruction set level.
pub struct Ours {
    /// The table.
    pub table: Table,
    slots: Vec<Slot>,
    level: Level,
    ids: bool,
}

/// The state of a flow.
pub fn record(flow: u32, family: Family) -> Record {
    let mut record = Record { hot: Hot::EMPTY, track: Track::default(), cold: Cold::EMPTY };
    record.hot.key = streams::key(flow, family);
    record.hot.packets[0] = flow as u16;
    record.cold.id = StateId { id: flow.into(), creator: 1 };
    record
}

impl Ours {
    /// A table filled to its capacity.
    pub fn new(flows: u32, family: Family, level: Level, ids: bool) -> Self {
        let plan = Plan { states: flows, translated: 0, ids };
        let secret =
            [0x6a09_e667_f3bc_c908, 0xbb67_ae85_84ca_a73b, 0x3c6e_f372_fe94_f82b, 0xa54f_f53a_5f1d_36f1];
        let mut table = Table::with_level(plan, secret, &Memory::SYSTEM, -1, level).expect("memory");
        let insert = |flow| table.insert(&record(flow, family)).expect("the capacity fits");
        let slots = (0..flows).map(insert).collect();
        Self { table, slots, level, ids }
    }

    fn replace(&mut self, slots: &[Slot], records: &[Record], results: &mut [Result<Slot, InsertError>]) {
        let bursts = slots.chunks(BURST).zip(records.chunks(BURST)).zip(results.chunks_mut(BURST));
        for ((slots, records), results) in bursts {
            self.table.remove_burst(slots);
            self.table.insert_burst(records, results);
        }
    }
}

impl Contender for Ours {
    fn name(&self) -> String {
        format!("pfplane ({})", self.level.name())
    }

    #[inline(never)]
    fn lookup(&self, block: &Block) -> (usize, u64) {
        let (mut found, mut sum) = (0, 0);
        let mut slots = [Slot::NONE; BURST];
        for burst in block.keys.chunks(BURST) {
            self.table.lookup_burst(burst, Direction::In, &mut slots);
            for slot in slots[..burst.len()].iter().filter_map(|slot| slot.some()) {
                found += 1;
                sum += u64::from(self.table.hot(slot).packets[0]);
            }
        }
        (found, sum)
    }
}

/// The same table, with the next two bursts on their way.
pub struct Overlapped(pub Rc<Ours>);

impl Contender for Overlapped {
    fn name(&self) -> String {
        "pfplane, next bursts on their way".to_owned()
    }

    #[inline(never)]
    fn lookup(&self, block: &Block) -> (usize, u64) {
        let table = &self.0.table;
        let (mut found, mut sum) = (0, 0);
        let mut slots = [Slot::NONE; BURST];
        let mut flights = [LookupBatch::new(), LookupBatch::new(), LookupBatch::new()];
        let bursts = block.keys.len().div_ceil(BURST);
        let of = |n: usize| &block.keys[n * BURST..block.keys.len().min((n + 1) * BURST)];
        for n in 0..bursts + 2 {
            if n < bursts {
                table.lookup_begin(of(n), &mut flights[n % 3]);
            }
            if (1..=bursts).contains(&n) {
                table.lookup_probe(Direction::In, &mut flights[(n - 1) % 3]);
            }
            if n >= 2 {
                let burst = of(n - 2);
                table.lookup_finish(burst, Direction::In, &mut flights[(n - 2) % 3], &mut slots);
                for slot in slots[..burst.len()].iter().filter_map(|slot| slot.some()) {
                    found += 1;
                    sum += u64::from(table.hot(slot).packets[0]);
                }
            }
        }
        (found, sum)
    }
}

impl Contender for Rc<Ours> {
    fn name(&self) -> String {
        Contender::name(&**self)
    }

    fn lookup(&self, block: &Block) -> (usize, u64) {
        Contender::lookup(&**self, block)
    }
}

impl Churner for Ours {
    fn name(&self) -> String {
        format!("pfplane{}", if self.ids { ", with identities" } else { "" })
    }

    fn churn(&mut self, change: &Change) -> f64 {
        let slots: Vec<Slot> = change.positions.iter().map(|&at| self.slots[at as usize]).collect();
        let mut results = vec![Ok(Slot::NONE); slots.len()];
        let (ns, ()) = rounds::time(|| self.replace(&slots, &change.records, &mut results));
        for (&at, result) in change.positions.iter().zip(results) {
            self.slots[at as usize] = result.expect("there is room and no twin");
        }
        ns
    }
}
