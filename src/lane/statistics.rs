//! All values that a lane shows, in the order in which it shows them.

use super::{Lane, LaneCounters};
use crate::memory::PageMode;
use crate::stats::{Descriptor, Kind};
use crate::sync::{ImportCounters, MAX_PEERS, PeerCounters, PeerIndex, SyncCounters};
use crate::time::Nanos;

const LANE: usize = LaneCounters::LIST.len();
const SYNC: usize = SyncCounters::LIST.len();
const INBOUND: usize = ImportCounters::LIST.len();

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
            ImportCounters::LIST[place - LANE - SYNC]
        };
        place += 1;
    }
    all
};

/// Name, help and kind of every statistic of a peer.
pub static PEER_STATISTICS: &[Descriptor] = PeerCounters::LIST;

/// Values on a lane's board: its own, then those of each peer.
pub const BOARD_PLACES: usize = STATISTICS.len() + MAX_PEERS * PEER_STATISTICS.len();

/// Where statistic number `index` of a peer is on a lane's board.
#[must_use]
pub const fn peer_place(peer: usize, index: usize) -> usize {
    STATISTICS.len() + peer * PEER_STATISTICS.len() + index
}

impl Lane {
    /// Copies the lane's values to its board, where other threads read them.
    pub(super) fn show_statistics(&mut self, now: Nanos) {
        let table = self.table.statistics();
        self.counters.states = table.states.into();
        self.counters.capacity = table.capacity.into();
        self.counters.half_open = self.table.half_open().into();
        // All lanes share the counts of sources.
        if let (0, Some(sources)) = (self.index, self.table.sources()) {
            self.counters.sources = sources.source_count().into();
            self.counters.sources_uncounted = sources.uncounted();
        }
        self.counters.table_bytes = table.bytes as u64;
        self.counters.huge_pages =
            u64::from(matches!(table.page_mode, PageMode::Hugetlb | PageMode::Transparent));
        self.counters.index_overflowed = table.overflowed.into();
        if let Some(aliases) = &self.aliases {
            self.counters.aliases = aliases.count().into();
            self.counters.aliases_lost = aliases.refused + self.table.alias_changes_lost();
        }
        self.board.show(0, &self.counters.values());
        self.board.show(LANE, &self.exporter.counters_now(self.table.len(), now).values());
        if let Some(sync) = &mut self.sync {
            sync.show();
            self.board.show(LANE + SYNC, &sync.importer.counters.values());
        }
        for peer in 0..MAX_PEERS {
            self.show_peer(peer as PeerIndex, now);
        }
    }

    fn show_peer(&self, peer: PeerIndex, now: Nanos) {
        let Some(sent) = self.exporter.peer_counters_now(peer, now) else { return };
        let place = peer_place(peer.into(), 0);
        let Some(sync) = &self.sync else {
            self.board.show(place, &sent.values());
            return;
        };
        let mut received = sync.importer.peer_counters[usize::from(peer)];
        let heard = sync.importer.last_seen[usize::from(peer)];
        received.silent_ms = heard.map_or(0, |heard| now.saturating_sub(heard) / 1_000_000);
        let mut values = sent.values();
        for (sum, (value, descriptor)) in values.iter_mut().zip(received.values().iter().zip(PEER_STATISTICS))
        {
            *sum = descriptor.kind.join(*sum, *value);
        }
        self.board.show(place, &values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_statistics_have_one_name() {
        for list in [&STATISTICS[..], PEER_STATISTICS] {
            let mut names: Vec<_> = list.iter().map(|descriptor| descriptor.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), list.len());
        }
    }

    #[test]
    fn what_the_kernels_count_has_their_names() {
        let kernels = [
            c"ipackets",
            c"ipackets6",
            c"badif",
            c"badttl",
            c"hdrops",
            c"badver",
            c"badact",
            c"badlen",
            c"badauth",
            c"stale",
            c"badval",
            c"badstate",
            c"opackets",
            c"opackets6",
            c"onomem",
            c"oerrors",
        ];
        for name in kernels {
            assert!(STATISTICS.iter().any(|descriptor| descriptor.name == name), "{name:?}");
        }
    }
}
