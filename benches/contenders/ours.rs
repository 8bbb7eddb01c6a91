//! The table under test.

use super::{BURST, Contender};
use crate::kit::streams;
use pfplane::cpu::Level;
use pfplane::packet::{Direction, Family, Key};
use pfplane::state::{Cold, Hot, Record, StateId, Track};
use pfplane::table::{Memory, Plan, Slot, Table};

/// Our table, at one instruction set level.
pub struct Ours {
    /// The table.
    pub table: Table,
    one_by_one: bool,
    level: Level,
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
    pub fn new(flows: u32, family: Family, level: Level) -> Self {
        let plan = Plan { states: flows, translated: 0, ids: false };
        let secret =
            [0x6a09_e667_f3bc_c908, 0xbb67_ae85_84ca_a73b, 0x3c6e_f372_fe94_f82b, 0xa54f_f53a_5f1d_36f1];
        let mut table = Table::with_level(plan, secret, &Memory::SYSTEM, -1, level).expect("memory");
        for flow in 0..flows {
            table.insert(&record(flow, family)).expect("the capacity fits");
        }
        Self { table, one_by_one: false, level }
    }
}

impl Contender for Ours {
    fn name(&self) -> String {
        format!("pfplane ({}{})", self.level.name(), if self.one_by_one { ", one by one" } else { "" })
    }

    #[inline(never)]
    fn lookup(&self, keys: &[Key]) -> (usize, u64) {
        let (mut found, mut sum) = (0, 0);
        let mut slots = [Slot::NONE; BURST];
        for burst in keys.chunks(BURST) {
            self.table.lookup_burst(burst, Direction::In, &mut slots);
            for slot in slots[..burst.len()].iter().filter_map(|slot| slot.some()) {
                found += 1;
                sum += u64::from(self.table.hot(slot).packets[0]);
            }
        }
        (found, sum)
    }
}
