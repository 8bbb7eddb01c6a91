//! A lane's statistics: its counters, and all values in the order in which it publishes them.

use super::tracker::Tracker;
use super::{Action, Lane, Reason, Verdict};
use crate::memory::PageMode;
use crate::stats::{Descriptor, Kind, counters};
use crate::sync::{ImportCounters, MAX_PEERS, PeerCounters, PeerIndex, SyncCounters};
use crate::time::Nanos;

counters! {
    /// One counter for each verdict, and those of housekeeping. A name starts with what is counted.
    pub struct LaneCounters {
        /// Packets looked up.
        packets: Counter,
        /// Packets that passed by a state.
        packets_passed: Counter,
        /// Packets that passed by the loose window check, after a takeover or near the end of a connection.
        packets_passed_loose: Counter,
        /// Packets without a state, left to the host's rules.
        packets_new: Counter,
        /// Packets handed off to the lane that owns their key.
        packets_handed_off: Counter,
        /// Packets whose trusted RSS hash leads to another lane than their key: the NIC does not hash the fields that it should.
        hash_mismatch: Counter,
        /// Packets of IP protocol 240, never tracked.
        packets_sync: Counter,
        /// Packets that are neither IPv4 nor IPv6.
        packets_not_ip: Counter,
        /// Packets that are shorter than their headers say.
        packets_truncated: Counter,
        /// Packets whose headers contradict each other.
        packets_malformed: Counter,
        /// Fragments, left to the host.
        packets_fragmented: Counter,
        /// Packets whose headers are not all in the first segment.
        packets_not_contiguous: Counter,
        /// Packets to be translated whose memory is shared.
        packets_not_writable: Counter,
        /// Packets rewritten because their state is translated or modulated.
        packets_translated: Counter,
        /// TCP segments dropped because they are outside the window of their state.
        packets_dropped_window: Counter,
        /// SYNs dropped on an established connection.
        packets_dropped_challenge_ack: Counter,
        /// TCP segments dropped while both sides are opening, to be answered by a reset.
        packets_dropped_reset: Counter,
        /// Packets dropped that have no state and cannot create one, for instance ICMP errors.
        packets_dropped_no_state: Counter,
        /// Packets dropped because they cannot be translated.
        packets_dropped_translation: Counter,
        /// Packets dropped because a checksum is wrong, by the NIC's or our own calculation.
        packets_dropped_checksum: Counter,
        /// Packets dropped because of IP options that their state or rule does not allow, or of a source route.
        packets_dropped_ip_options: Counter,
        /// Packets dropped by a state for another reason.
        packets_dropped_other: Counter,
        /// States created for a packet.
        states_created: Counter,
        /// States not created because the table is full.
        states_refused_table_full: Counter,
        /// States not created because another state has their key.
        states_refused_key_collision: Counter,
        /// States not created because other states have the ids that they could get.
        states_refused_id_collision: Counter,
        /// Ids skipped for new states because states of an earlier run have them.
        ids_skipped: Counter,
        /// States not created because no port of the range is free.
        states_refused_no_port: Counter,
        /// States not created because the maximum number of sources have states.
        states_refused_sources: Counter,
        /// States not created because their source has its maximum of states.
        states_refused_source_states: Counter,
        /// States not created because their source creates them too fast.
        states_refused_source_new_rate: Counter,
        /// States not created because the table of sources is full.
        states_refused_sources_full: Counter,
        /// States not created because the maximum number of TCP connections is half-open.
        states_refused_half_open: Counter,
        /// States removed when their connection opened, because their source has its maximum of connections.
        states_removed_source_connections: Counter,
        /// States removed when their connection opened, because their source opens connections too fast.
        states_removed_source_connection_rate: Counter,
        /// TCP connections that are not open yet.
        states_half_open: Gauge,
        /// Sources that have states, once for the engine's limits and once for each rule with limits.
        sources: Gauge,
        /// States that are not counted for their source because the table of sources was full.
        states_without_source: Counter,
        /// States that expired.
        states_expired: Counter,
        /// States that expired only because timeouts are shorter while there are many states.
        states_expired_early: Counter,
        /// Half-open TCP connections that a new state replaced because the table was full.
        states_evicted_half_open: Counter,
        /// States deleted by an administrator.
        states_deleted: Counter,
        /// States replaced by a new connection with the same key.
        states_retired: Counter,
        /// Keys of other lanes' states that steer to this lane.
        aliases: Gauge,
        /// Such keys lost to a full table, or a peer's that another lane's state has; their packets find no state.
        aliases_lost: Counter,
        /// Messages of peers that a full ring to their lane refused; they are sent again, or their state is requested again.
        messages_delayed: Counter,
        /// Such messages that wait now.
        messages_waiting: Gauge,
        /// Messages to another lane lost because there was no space for them; a bulk transfer repairs lost states.
        messages_lost: Counter,
        /// States now.
        states: Gauge,
        /// Maximum of states.
        capacity: Gauge,
        /// Bytes of the lane's tables.
        table_bytes: Gauge,
        /// Lanes whose hot records are on huge pages.
        lanes_with_huge_pages: Gauge,
        /// Keys that are not in their own bucket of the index; more than a few in a hundred indicate an attack on the hash.
        index_keys_overflowed: Gauge,
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
            (Action::Pass | Action::Held, _) => &mut self.packets_passed,
            (Action::New, _) => &mut self.packets_new,
            (Action::HandOff, _) => &mut self.packets_handed_off,
            (Action::Sync, _) => &mut self.packets_sync,
            (Action::NotIp, _) => &mut self.packets_not_ip,
            (Action::Fragment, _) => &mut self.packets_fragmented,
            (Action::NotContiguous, _) => &mut self.packets_not_contiguous,
            (Action::NotWritable, _) => &mut self.packets_not_writable,
            (Action::Drop, Reason::Truncated) => &mut self.packets_truncated,
            (Action::Drop, Reason::Malformed) => &mut self.packets_malformed,
            (Action::Drop, Reason::Window) => &mut self.packets_dropped_window,
            (Action::Drop, Reason::ChallengeAck) => &mut self.packets_dropped_challenge_ack,
            (Action::Drop, Reason::Reset) => &mut self.packets_dropped_reset,
            (Action::Drop, Reason::TableFull) => &mut self.states_refused_table_full,
            (Action::Drop, Reason::KeyCollision) => &mut self.states_refused_key_collision,
            (Action::Drop, Reason::IdCollision) => &mut self.states_refused_id_collision,
            (Action::Drop, Reason::NoState) => &mut self.packets_dropped_no_state,
            (Action::Drop, Reason::Translation) => &mut self.packets_dropped_translation,
            (Action::Drop, Reason::NoPort) => &mut self.states_refused_no_port,
            (Action::Drop, Reason::Sources) => &mut self.states_refused_sources,
            (Action::Drop, Reason::SourceStates) => &mut self.states_refused_source_states,
            (Action::Drop, Reason::SourceConnections) => &mut self.states_removed_source_connections,
            (Action::Drop, Reason::SourceConnectionRate) => &mut self.states_removed_source_connection_rate,
            (Action::Drop, Reason::SourceNewRate) => &mut self.states_refused_source_new_rate,
            (Action::Drop, Reason::SourcesFull) => &mut self.states_refused_sources_full,
            (Action::Drop, Reason::HalfOpen) => &mut self.states_refused_half_open,
            (Action::Drop, Reason::Checksum) => &mut self.packets_dropped_checksum,
            (Action::Drop, Reason::IpOptions) => &mut self.packets_dropped_ip_options,
            (Action::Drop, Reason::None | Reason::State) => &mut self.packets_dropped_other,
        };
        *counter += 1;
    }
}

impl Lane {
    /// Copies the lane's values to its board, where other threads read them.
    pub(super) fn publish_statistics(&mut self, now: Nanos) {
        let Self { tracker, sync, board, clock, .. } = self;
        tracker.refresh_counters();
        tracker.exporter.counters.clock_steps = clock.steps;
        board.publish(0, &tracker.counters.values());
        board.publish(LANE, &tracker.exporter.counters_now(tracker.table.len(), now).values());
        if let Some(sync) = sync {
            sync.refresh_counters(&tracker.shared);
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
        counters.states_half_open = table.half_open().into();
        // All lanes share the counts of sources.
        if let (0, Some(sources)) = (lane.index, table.sources()) {
            counters.sources = sources.source_count().into();
            counters.states_without_source = sources.uncounted();
        }
        counters.table_bytes = statistics.bytes as u64;
        counters.lanes_with_huge_pages =
            u64::from(matches!(statistics.page_mode, PageMode::Hugetlb | PageMode::Transparent));
        counters.index_keys_overflowed = statistics.overflowed.into();
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
