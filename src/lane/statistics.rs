//! All values that a lane shows, in the order in which it shows them.

use super::{Lane, LaneCounters};
use crate::stats::{Descriptor, Kind};
use crate::sync::{InboundCounters, SyncCounters};
use crate::table::PageMode;

const LANE: usize = LaneCounters::LIST.len();
const SYNC: usize = SyncCounters::LIST.len();
const INBOUND: usize = InboundCounters::LIST.len();

/// Name, help and kind of every statistic of a lane.
pub static STATISTICS: [Descriptor; LANE + SYNC + INBOUND] = {
    let mut all = [Descriptor::new("\0", "\0", Kind::Counter); LANE + SYNC + INBOUND];
    let mut place = 0;
    while place < all.len() {
        all[place] = if place < LANE {
            LaneCounters::LIST[place]
        } else if place < LANE + SYNC {
            SyncCounters::LIST[place - LANE]
        } else {
            InboundCounters::LIST[place - LANE - SYNC]
        };
        place += 1;
    }
    all
};

impl Lane {
    /// Copies the lane's values to its board, where other threads read them.
    pub(super) fn show_statistics(&mut self) {
        let table = self.table.statistics();
        self.counters.states = table.states.into();
        self.counters.capacity = table.capacity.into();
        self.counters.table_bytes = table.bytes as u64;
        self.counters.huge_pages =
            u64::from(matches!(table.page_mode, PageMode::Hugetlb | PageMode::Transparent));
        self.counters.index_overflowed = table.overflowed.into();
        self.board.show(0, &self.counters.values());
        self.board.show(LANE, &self.outbound.counters_now().values());
        if let Some(sync) = &self.sync {
            self.board.show(LANE + SYNC, &sync.inbound.counters.values());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_statistics_have_one_name() {
        let mut names: Vec<_> = STATISTICS.iter().map(|descriptor| descriptor.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), STATISTICS.len());
    }
}
