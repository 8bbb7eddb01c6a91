//! A lane's statistics: its counters, and all values in the order in which it publishes them.

use super::tracker::Tracker;
use super::{Action, Lane, Reason, Verdict};
use crate::memory::PageMode;
use crate::stats::{Descriptor, Kind, counters};
use crate::sync::{ImportCounters, MAX_PEERS, PeerCounters, PeerIndex, SyncCounters};
use crate::time::Nanos;

counters! {
    /// One count for each way a packet can leave a burst, and for what housekeeping did.
    pub struct LaneCounters {
        /// Packets looked up.
        packets: Counter,
        /// Packets passed because of a state.
        passed: Counter,
        /// Packets passed by the tolerant window rule after a takeover or near the end of a connection.
        passed_loose: Counter,
        /// Packets without a state, left to the host's rules.
        new: Counter,
        /// Packets whose key another lane owns.
        handed_off: Counter,
        /// Protocol 240 packets, never tracked.
        sync_packets: Counter,
        /// Packets that are neither IPv4 nor IPv6.
        not_ip: Counter,
        /// Packets that end before what their headers promise.
        truncated: Counter,
        /// Packets whose headers contradict themselves.
        malformed: Counter,
        /// Fragments, left to the host.
        fragments: Counter,
        /// Packets whose headers are not in the first piece of memory.
        not_contiguous: Counter,
        /// Packets that were to be translated and whose memory belongs to others too.
        not_writable: Counter,
        /// Packets rewritten because their state is translated or modulated.
        translated: Counter,
        /// TCP segments outside the window of their state.
        dropped_window: Counter,
        /// SYN on an established connection.
        dropped_challenge_ack: Counter,
        /// TCP segments while both sides are still opening, to be answered by a reset.
        dropped_reset: Counter,
        /// Packets without a state that cannot make one, for instance ICMP errors.
        dropped_no_state: Counter,
        /// Packets of a translated state that there is no translation of.
        dropped_translation: Counter,
        /// Other packets that a state refused.
        dropped_other: Counter,
        /// States made for a packet.
        created: Counter,
        /// States not made because the table is full.
        not_created_table_full: Counter,
        /// States not made because their key belongs to another state.
        not_created_key_collision: Counter,
        /// States not made because no port of the range is free.
        not_created_no_port: Counter,
        /// States not made because so many sources have some.
        not_created_sources: Counter,
        /// States not made because their source has so many.
        not_created_source_states: Counter,
        /// States not made because their source makes them too fast.
        not_created_source_new_rate: Counter,
        /// States not made because there is no room to count their source.
        not_created_sources_full: Counter,
        /// States not made because so many TCP connections are not open yet.
        not_created_half_open: Counter,
        /// Connections ended as they opened because their source has so many.
        ended_source_connections: Counter,
        /// Connections ended as they opened because their source opens them too fast.
        ended_source_connection_rate: Counter,
        /// TCP connections that the two sides have not opened yet.
        half_open: Gauge,
        /// Sources that have states, once for the engine's limits and once for each rule with limits.
        sources: Gauge,
        /// States that are not counted to their source because there was no room.
        sources_uncounted: Counter,
        /// States that ended by their timeout.
        expired: Counter,
        /// Those of them whose timeout was over only because it is shorter while there are so many states.
        expired_early: Counter,
        /// States that an operator ended.
        killed: Counter,
        /// States replaced by a new connection with the same key.
        retired: Counter,
        /// Keys of other lanes' states that steer here.
        aliases: Gauge,
        /// Such keys that found no room; their packets find no state.
        aliases_lost: Counter,
        /// Messages for another lane that found its ring full; repaired by a bulk transfer.
        ring_full: Counter,
        /// States now.
        states: Gauge,
        /// States that fit.
        capacity: Gauge,
        /// Bytes of the lane's tables.
        table_bytes: Gauge,
        /// Lanes whose hot records lie on huge pages.
        huge_pages: Gauge,
        /// Keys that are not in their own bucket of the index; more than a few in a hundred mean an attacked hash.
        index_overflowed: Gauge,
    }
}

const LANE: usize = LaneCounters::LIST.len();
const SYNC: usize = SyncCounters::LIST.len();
const IMPORT: usize = ImportCounters::LIST.len();

/// Name, help and kind of every statistic of a lane.
pub static STATISTICS: [Descriptor; LANE + SYNC + IMPORT] = {
    let mut all = [Descriptor::new("\0", "\0", Kind::Counter); LANE + SYNC + IMPORT];
    let mut index = 0;
    while index < all.len() {
        all[index] = if index < LANE {
            LaneCounters::LIST[index]
        } else if index < LANE + SYNC {
            SyncCounters::LIST[index - LANE]
        } else {
            ImportCounters::LIST[index - LANE - SYNC]
        };
        index += 1;
    }
    all
};

/// Name, help and kind of every statistic of a peer.
pub static PEER_STATISTICS: &[Descriptor] = PeerCounters::LIST;

/// Number of values on a lane's board: its own, then those of each peer.
pub const BOARD_VALUES: usize = STATISTICS.len() + MAX_PEERS * PEER_STATISTICS.len();

/// Returns the index on a lane's board of statistic number `index` of a peer.
#[must_use]
pub const fn peer_stat_index(peer: usize, index: usize) -> usize {
    STATISTICS.len() + peer * PEER_STATISTICS.len() + index
}

impl LaneCounters {
    /// Counts a verdict. Each verdict has one counter.
    #[inline]
    pub(super) fn count_verdict(&mut self, verdict: &Verdict) {
        let counter = match (verdict.action, verdict.reason) {
            (Action::Pass | Action::Held, _) => &mut self.passed,
            (Action::New, _) => &mut self.new,
            (Action::HandOff, _) => &mut self.handed_off,
            (Action::Sync, _) => &mut self.sync_packets,
            (Action::NotIp, _) => &mut self.not_ip,
            (Action::Fragment, _) => &mut self.fragments,
            (Action::NotContiguous, _) => &mut self.not_contiguous,
            (Action::NotWritable, _) => &mut self.not_writable,
            (Action::Drop, Reason::Truncated) => &mut self.truncated,
            (Action::Drop, Reason::Malformed) => &mut self.malformed,
            (Action::Drop, Reason::Window) => &mut self.dropped_window,
            (Action::Drop, Reason::ChallengeAck) => &mut self.dropped_challenge_ack,
            (Action::Drop, Reason::Reset) => &mut self.dropped_reset,
            (Action::Drop, Reason::TableFull) => &mut self.not_created_table_full,
            (Action::Drop, Reason::KeyCollision) => &mut self.not_created_key_collision,
            (Action::Drop, Reason::NoState) => &mut self.dropped_no_state,
            (Action::Drop, Reason::Translation) => &mut self.dropped_translation,
            (Action::Drop, Reason::NoPort) => &mut self.not_created_no_port,
            (Action::Drop, Reason::Sources) => &mut self.not_created_sources,
            (Action::Drop, Reason::SourceStates) => &mut self.not_created_source_states,
            (Action::Drop, Reason::SourceConnections) => &mut self.ended_source_connections,
            (Action::Drop, Reason::SourceConnectionRate) => &mut self.ended_source_connection_rate,
            (Action::Drop, Reason::SourceNewRate) => &mut self.not_created_source_new_rate,
            (Action::Drop, Reason::SourcesFull) => &mut self.not_created_sources_full,
            (Action::Drop, Reason::HalfOpen) => &mut self.not_created_half_open,
            (Action::Drop, Reason::None | Reason::State) => &mut self.dropped_other,
        };
        *counter += 1;
    }
}

impl Lane {
    /// Copies the lane's values to its board, where other threads read them.
    pub(super) fn publish_statistics(&mut self, now: Nanos) {
        let Self { tracker, sync, board, .. } = self;
        tracker.refresh_counters();
        board.publish(0, &tracker.counters.values());
        board.publish(LANE, &tracker.exporter.counters_now(tracker.table.len(), now).values());
        if let Some(sync) = sync {
            sync.refresh_counters();
            board.publish(LANE + SYNC, &sync.importer.counters.values());
        }
        for peer in 0..MAX_PEERS {
            self.publish_peer_statistics(peer as PeerIndex, now);
        }
    }

    fn publish_peer_statistics(&self, peer: PeerIndex, now: Nanos) {
        let Some(sent) = self.tracker.exporter.peer_counters_now(peer, now) else { return };
        let mut values = sent.values();
        if let Some(sync) = &self.sync {
            let mut received = sync.importer.peer_counters[usize::from(peer)];
            let last_seen = sync.importer.last_seen[usize::from(peer)];
            received.silent_ms = last_seen.map_or(0, |seen| now.saturating_sub(seen) / 1_000_000);
            let received = received.values();
            for (sum, (value, descriptor)) in values.iter_mut().zip(received.iter().zip(PEER_STATISTICS)) {
                *sum = descriptor.kind.combine(*sum, *value);
            }
        }
        self.board.publish(peer_stat_index(peer.into(), 0), &values);
    }
}

impl Tracker {
    /// Updates the counters whose values are kept elsewhere.
    fn refresh_counters(&mut self) {
        let Self { counters, table, aliases, lane, .. } = self;
        let statistics = table.statistics();
        counters.states = statistics.states.into();
        counters.capacity = statistics.capacity.into();
        counters.half_open = table.half_open().into();
        // All lanes share the counts of sources.
        if let (0, Some(sources)) = (lane.index, table.sources()) {
            counters.sources = sources.source_count().into();
            counters.sources_uncounted = sources.uncounted();
        }
        counters.table_bytes = statistics.bytes as u64;
        counters.huge_pages =
            u64::from(matches!(statistics.page_mode, PageMode::Hugetlb | PageMode::Transparent));
        counters.index_overflowed = statistics.overflowed.into();
        if let Some(aliases) = aliases {
            counters.aliases = aliases.count().into();
            counters.aliases_lost = aliases.refused + table.alias_changes_lost();
        }
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
    fn counters_of_the_kernels_keep_their_names() {
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
