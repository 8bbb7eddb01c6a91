//! pfplane's table.

use super::{BURST, Contender, Replace, Replacement};
use crate::harness::block::Block;
use crate::harness::{rounds, streams};
use pfplane::internals::cpu::Level;
use pfplane::internals::memory::Memory;
use pfplane::internals::packet::{Direction, Family};
use pfplane::internals::state::{Cold, Hot, Record, StateId, Track};
use pfplane::internals::table::{LookupBatch, Plan, PrefetchHint, PrefetchQueue, Purpose, Slot, Table};
use std::rc::Rc;

/// pfplane's table, at one instruction set level.
pub(crate) struct Ours {
    /// The table.
    pub table: Table,
    level: Level,
}

/// The state of a flow.
pub(crate) fn record(flow: u32, family: Family) -> Record {
    let mut record = Record { hot: Hot::EMPTY, track: Track::default(), cold: Cold::EMPTY };
    record.hot.key = streams::key(flow, family);
    record.hot.packets[0] = flow as u16;
    record.cold.id = StateId { id: flow.into(), creator: 1 };
    record
}

impl Ours {
    /// Builds a table with `flows` states, its capacity.
    pub(crate) fn new(flows: u32, family: Family, level: Level) -> Self {
        let plan = Plan { states: flows, translated: 0, extras: 0 };
        let secret =
            [0x6a09_e667_f3bc_c908, 0xbb67_ae85_84ca_a73b, 0x3c6e_f372_fe94_f82b, 0xa54f_f53a_5f1d_36f1];
        let mut table = Table::with_level(plan, secret, &Memory::SYSTEM, -1, level).expect("memory");
        (0..flows).for_each(|flow| _ = table.insert(&record(flow, family)).expect("the capacity fits"));
        Self { table, level }
    }
}

/// Counts the states that were found, and reads their hot records.
#[inline(always)]
fn read_found(table: &Table, slots: &[Slot], (found, sum): &mut (usize, u64)) {
    for slot in slots.iter().filter_map(|slot| slot.some()) {
        *found += 1;
        *sum += u64::from(table.hot(slot).packets[0]);
    }
}

impl Contender for Rc<Ours> {
    fn name(&self) -> String {
        format!("pfplane ({})", self.level.name())
    }

    #[inline(never)]
    fn lookup(&self, block: &Block) -> (usize, u64) {
        let mut result = (0, 0);
        let mut slots = [Slot::NONE; BURST];
        for burst in block.keys.chunks(BURST) {
            self.table.lookup_burst(burst, Direction::In, &mut slots);
            read_found(&self.table, &slots[..burst.len()], &mut result);
        }
        result
    }
}

/// The same table, with the next two bursts in flight.
pub(crate) struct InFlight(pub Rc<Ours>);

impl Contender for InFlight {
    fn name(&self) -> String {
        "pfplane, next bursts in flight".to_owned()
    }

    #[inline(never)]
    fn lookup(&self, block: &Block) -> (usize, u64) {
        let table = &self.0.table;
        let mut result = (0, 0);
        let mut slots = [Slot::NONE; BURST];
        let mut batches = [LookupBatch::new(), LookupBatch::new(), LookupBatch::new()];
        let bursts = block.keys.len().div_ceil(BURST);
        let of = |n: usize| &block.keys[n * BURST..block.keys.len().min((n + 1) * BURST)];
        for n in 0..bursts + 2 {
            if n < bursts {
                table.lookup_begin(of(n), &mut batches[n % 3]);
            }
            if (1..=bursts).contains(&n) {
                table.lookup_probe(Direction::In, &mut batches[(n - 1) % 3]);
            }
            if n >= 2 {
                let burst = of(n - 2);
                table.lookup_finish(burst, Direction::In, &mut batches[(n - 2) % 3], &mut slots);
                read_found(table, &slots[..burst.len()], &mut result);
            }
        }
        result
    }
}

/// Replaces states one at a time, as the packets of new connections do.
pub(crate) struct OneByOne(pub Ours);

/// Replaces states with their memory prefetched, as messages of a peer do.
pub(crate) struct Prefetched(pub Ours);

/// Removes the state with the old record's identity and inserts the new one.
#[inline(always)]
fn replace_state(table: &mut Table, old: &Record, new: &Record) {
    let slot = table.find_id(old.cold.id).expect("the state exists");
    table.remove(slot);
    table.insert(new).expect("a slot is free");
}

impl Replace for OneByOne {
    fn name(&self) -> String {
        "pfplane, one by one".to_owned()
    }

    fn replace(&mut self, replacement: &Replacement) -> f64 {
        let table = &mut self.0.table;
        let pairs = replacement.old_records.iter().zip(&replacement.new_records);
        rounds::time(|| pairs.for_each(|(old, new)| replace_state(table, old, new))).0
    }
}

impl Replace for Prefetched {
    fn name(&self) -> String {
        "pfplane, prefetched".to_owned()
    }

    fn replace(&mut self, replacement: &Replacement) -> f64 {
        const PAIRS: usize = PrefetchQueue::MAX_STATES / 2;
        const DEPTH: usize = PrefetchQueue::DEPTH;
        let table = &mut self.0.table;
        let pairs: Vec<(&Record, &Record)> =
            replacement.old_records.iter().zip(&replacement.new_records).collect();
        let lists: Vec<&[(&Record, &Record)]> = pairs.chunks(PAIRS).collect();
        let (ns, ()) = rounds::time(|| {
            let mut queue = PrefetchQueue::default();
            for n in 0..lists.len() + DEPTH {
                let upcoming = lists.get(n).copied().unwrap_or_default();
                let hints: arrayvec::ArrayVec<PrefetchHint, { PrefetchQueue::MAX_STATES }> =
                    upcoming.iter().flat_map(|(old, new)| hints_of(old, new)).collect();
                queue.advance(table, &hints);
                if let Some(list) = n.checked_sub(DEPTH).map(|n| lists[n]) {
                    list.iter().for_each(|(old, new)| replace_state(table, old, new));
                }
            }
        });
        ns
    }
}

fn hints_of(old: &Record, new: &Record) -> [PrefetchHint; 2] {
    [
        PrefetchHint { id: old.cold.id, purpose: Purpose::Remove },
        PrefetchHint { id: new.cold.id, purpose: Purpose::Insert(new.hot.key) },
    ]
}
