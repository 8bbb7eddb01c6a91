//! What a lane counts of the packets it was given.

use crate::stats::counters;

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
