//! A configuration of C as the engine takes it.

use super::super::{Failure, PFPLANE_ERROR_SIZE, check_size, elements, given, pfplane_peer};
use super::config::{PFPLANE_TIMEOUT_ADAPTIVE_END, PFPLANE_TIMEOUT_ADAPTIVE_START, pfplane_config};
use super::peer::interface;
use super::pfplane_source_limits;
use crate::engine::Config;
use crate::error::check_range;
use crate::lane::{NatNodes, PacketPolicy, VerifyChecksums};
use crate::limits::SourcePlan;
use crate::memory::Memory;
use crate::state::{CLASSES, LineRate, Timeouts};
use crate::sync::{MAX_PEERS, RetryPolicy, SyncSettings};

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1000 * MILLISECOND;

const ADAPTIVE: [usize; 2] = [PFPLANE_TIMEOUT_ADAPTIVE_START as usize, PFPLANE_TIMEOUT_ADAPTIVE_END as usize];

/// Checks a setting's range.
pub(in super::super) fn setting(name: &'static str, value: u64, min: u64, max: u64) -> Result<u64, Failure> {
    check_range(name, value, min, max)?;
    Ok(value)
}

impl pfplane_config {
    pub(in super::super) fn defaults() -> Self {
        let config = Config::default();
        let mut timeouts_s = CLASSES.map(|(_, default)| default);
        ADAPTIVE.iter().for_each(|&class| timeouts_s[class] = 0);
        Self {
            size: size_of::<Self>() as u32,
            lanes: config.lanes,
            states_per_lane: config.states_per_lane,
            max_translated_per_lane: config.translated_per_lane,
            max_extra_per_lane: u32::MAX,
            host_id: 0,
            start_unix_s: 0,
            random_seed: core::ptr::null(),
            mtu: config.sync.mtu,
            device_mtu: 0,
            buffer_size: 0,
            max_insert_age_ms: (config.sync.insert_age / MILLISECOND) as u32,
            max_update_age_ms: (config.sync.update_age / MILLISECOND) as u32,
            max_updates: config.sync.maxupd.into(),
            max_drift_percent: config.sync.max_drift_percent,
            max_rate_mbit: config.sync.max_rate_mbit,
            max_bulk_frames_per_ms: config.sync.bulk_frames,
            max_sweep_per_poll: config.sweep_per_poll,
            max_imported_per_lane: config.sync.max_imported.unwrap_or(0),
            max_ended_per_lane: config.sync.max_ended,
            ended_s: config.sync.ended_s,
            min_age_ms: 0,
            repeat_age_s: (config.sync.repeat_age / SECOND) as u32,
            max_defer_ms: 0,
            max_deferred: config.sync.defer.max_states,
            grace_s: (config.sync.grace.duration / SECOND) as u32,
            bulk_retry_ms: (config.sync.bulk_retry.interval / MILLISECOND) as u32,
            max_bulk_attempts: config.sync.bulk_retry.attempts,
            bulk_stall_ms: (config.sync.bulk_retry.progress_timeout / MILLISECOND) as u32,
            max_bulk_s: (config.sync.bulk_retry.total_timeout / SECOND) as u32,
            min_bulk_interval_ms: (config.sync.min_bulk_interval / MILLISECOND) as u32,
            max_poll_gap_ms: (config.sync.max_poll_gap / MILLISECOND) as u32,
            excluded_protocols: core::ptr::null(),
            excluded_protocol_count: 0,
            interface_count: 0,
            interfaces: core::ptr::null(),
            routing_tables: core::ptr::null(),
            routing_table_count: 0,
            peer_count: 0,
            peers: core::ptr::null(),
            allocator: core::ptr::null(),
            lane_sockets: core::ptr::null(),
            rss_key: core::ptr::null(),
            redirection: core::ptr::null(),
            max_half_open: config.max_half_open,
            evict_half_open_percent: config.evict_half_open_percent,
            verify_checksums: 1,
            pass_source_routes: 0,
            nat_nodes: config.nat_nodes.count,
            nat_node: config.nat_nodes.node,
            max_sources: config.sources.capacity,
            source_prefix_v4: config.sources.bits[0],
            source_prefix_v6: config.sources.bits[1],
            pass_when_sources_full: 0,
            reserved: 0,
            source_limits: pfplane_source_limits::default(),
            timeouts_s,
        }
    }

    /// The configuration as the engine takes it, with everything copied.
    ///
    /// # Safety
    /// Each pointer in the struct is NULL or has as many elements as its count says, and so in the peers.
    pub(in super::super) unsafe fn convert(&self) -> Result<Config, Failure> {
        check_size::<Self>(self.size, "config")?;
        setting("lanes", self.lanes.into(), 1, crate::engine::MAX_LANES.into())?;
        let mut config = Config {
            lanes: self.lanes,
            states_per_lane: self.states_per_lane,
            translated_per_lane: self.max_translated_per_lane,
            extra_per_lane: (self.max_extra_per_lane != u32::MAX).then_some(self.max_extra_per_lane),
            start_unix_s: self.start_unix_s,
            device_mtu: self.device_mtu,
            buffer_room: self.buffer_size,
            sweep_per_poll: self.max_sweep_per_poll,
            max_half_open: self.max_half_open,
            evict_half_open_percent: self.evict_half_open_percent,
            packet_policy: self.packet_policy()?,
            nat_nodes: NatNodes { node: self.nat_node, count: self.nat_nodes },
            sources: SourcePlan {
                capacity: self.max_sources,
                bits: [self.source_prefix_v4, self.source_prefix_v6],
                limits: self.source_limits.convert(),
                pass_when_full: self.pass_when_sources_full == 1,
            },
            timeouts: self.timeouts()?,
            adaptive_by_capacity: ADAPTIVE.map(|class| self.timeouts_s[class]) == [0, 0],
            ..Config::default()
        };
        self.replication(&mut config.sync)?;
        // SAFETY: `lists` reads the protocols and interfaces, two of this struct's arrays.
        unsafe { self.lists(&mut config.sync) }?;
        // SAFETY: `placement` reads the allocator and the per-lane arrays, which are this struct's too.
        unsafe { self.placement(&mut config) }?;
        let peers = setting("peer_count", self.peer_count.into(), 0, MAX_PEERS as u64)? as usize;
        config.sync.peers = crate::memory::try_vec(peers)?;
        for index in 0..peers {
            // SAFETY: `index` is below the struct's own number of peers.
            let peer = unsafe { self.peer(index) }?;
            // SAFETY: the peer's arrays are covered by what this function requires of the peers.
            config.sync.peers.push(unsafe { peer.settings() }?);
        }
        Ok(config)
    }

    /// The settings of replication that are plain numbers.
    fn replication(&self, sync: &mut SyncSettings) -> Result<(), Failure> {
        sync.host_id = self.host_id;
        sync.mtu = self.mtu;
        sync.insert_age = u64::from(self.max_insert_age_ms) * MILLISECOND;
        sync.update_age = u64::from(self.max_update_age_ms) * MILLISECOND;
        sync.maxupd = setting("max_updates", self.max_updates.into(), 0, 255)? as u8;
        sync.max_drift_percent = setting("max_drift_percent", self.max_drift_percent.into(), 0, 100)? as u32;
        sync.max_rate_mbit =
            setting("max_rate_mbit", self.max_rate_mbit.into(), 1, LineRate::MAX_MBIT.into())? as u32;
        sync.bulk_frames = self.max_bulk_frames_per_ms;
        sync.max_imported = (self.max_imported_per_lane != 0).then_some(self.max_imported_per_lane);
        sync.max_ended = self.max_ended_per_lane;
        sync.ended_s = self.ended_s;
        sync.defer.delay = u64::from(self.max_defer_ms) * MILLISECOND;
        sync.defer.max_states = self.max_deferred;
        sync.grace.duration = u64::from(self.grace_s) * SECOND;
        sync.bulk_retry = RetryPolicy {
            interval: u64::from(self.bulk_retry_ms) * MILLISECOND,
            attempts: self.max_bulk_attempts,
            progress_timeout: u64::from(self.bulk_stall_ms) * MILLISECOND,
            total_timeout: u64::from(self.max_bulk_s) * SECOND,
        };
        sync.min_bulk_interval = u64::from(self.min_bulk_interval_ms) * MILLISECOND;
        sync.max_poll_gap = u64::from(self.max_poll_gap_ms) * MILLISECOND;
        sync.filter.min_age = u64::from(self.min_age_ms) * MILLISECOND;
        sync.repeat_age = u64::from(self.repeat_age_s) * SECOND;
        Ok(())
    }

    /// The settings for packets of any state.
    fn packet_policy(&self) -> Result<PacketPolicy, Failure> {
        let verify_checksums = match setting("verify_checksums", self.verify_checksums.into(), 0, 2)? {
            0 => VerifyChecksums::Never,
            1 => VerifyChecksums::Resets,
            _ => VerifyChecksums::All,
        };
        let source_routes = setting("pass_source_routes", self.pass_source_routes.into(), 0, 1)?;
        Ok(PacketPolicy { verify_checksums, pass_source_routes: source_routes == 1 })
    }

    /// Which states are sent and accepted.
    ///
    /// # Safety
    /// `excluded_protocols`, `interfaces` and `routing_tables` are NULL or have as many elements as their counts say.
    unsafe fn lists(&self, sync: &mut SyncSettings) -> Result<(), Failure> {
        let count = setting("excluded_protocol_count", self.excluded_protocol_count.into(), 0, 256)? as u32;
        // SAFETY: the array goes with this count.
        let excluded = unsafe { elements(self.excluded_protocols, count, "excluded_protocols") }?;
        excluded.iter().for_each(|proto| sync.filter.exclude(*proto));
        let count = setting("interface_count", self.interface_count.into(), 0, 4096)? as u32;
        if !self.interfaces.is_null() {
            // SAFETY: the names go with this count; each is an array of 16 bytes.
            let names = unsafe { elements(self.interfaces, count, "interfaces") }?;
            let mut known = crate::memory::try_copy(names)?;
            for (known, name) in known.iter_mut().zip(names) {
                *known = interface(name, "interfaces")?;
            }
            sync.known_interfaces = Some(known);
        }
        let count = setting("routing_table_count", self.routing_table_count.into(), 0, 4096)? as u32;
        // SAFETY: the numbers go with this count.
        let tables = unsafe { elements(self.routing_tables, count, "routing_tables") }?;
        sync.routing_tables = Some(crate::memory::try_copy(tables)?);
        Ok(())
    }

    /// Where memory and random bits come from, and which lane gets which packets.
    ///
    /// # Safety
    /// `allocator` is NULL or valid and does what its comment says; `lane_sockets`, `random_seed`, `rss_key` and `redirection`
    /// are NULL or have `lanes`, 32, 40 and 128 elements.
    unsafe fn placement(&self, config: &mut Config) -> Result<(), Failure> {
        // SAFETY: NULL or a valid struct.
        if let Some(allocator) = unsafe { self.allocator.as_ref() } {
            // SAFETY: `convert` requires functions that do what the struct's comment says.
            config.memory = unsafe { allocator.convert() }?;
        } else {
            config.memory = Memory::SYSTEM;
        }
        if !self.lane_sockets.is_null() {
            // SAFETY: one number per lane.
            let sockets = unsafe { elements(self.lane_sockets, self.lanes, "lane_sockets") }?;
            config.lane_sockets = crate::memory::try_copy(sockets)?;
        }
        // SAFETY: NULL or 32 bytes, which have no alignment.
        config.random_seed = unsafe { self.random_seed.as_ref() }.copied();
        // SAFETY: NULL or 40 bytes, which have no alignment.
        if let Some(key) = unsafe { self.rss_key.as_ref() } {
            config.rss_key = *key;
        }
        // SAFETY: NULL or 128 bytes, which have no alignment.
        config.redirection = unsafe { self.redirection.as_ref() }.copied();
        Ok(())
    }

    /// Peer number `index`, by the caller's own distance between two of them.
    ///
    /// # Safety
    /// `peers` is NULL or points to more than `index` peers of the size that the first one states.
    unsafe fn peer(&self, index: usize) -> Result<&pfplane_peer, Failure> {
        // SAFETY: NULL or at least one peer.
        let step = given(unsafe { self.peers.as_ref() }, "peers")?.size as usize;
        if step < size_of::<pfplane_peer>() || !step.is_multiple_of(align_of::<pfplane_peer>()) {
            let expected = size_of::<pfplane_peer>();
            let text = format_args!("peers[0].size is {step}, this library expects {expected}");
            return Err(Failure::new(PFPLANE_ERROR_SIZE, text));
        }
        let peer = self.peers.wrapping_byte_add(index * step);
        // SAFETY: `index` steps behind the first peer there is another one; the step keeps the alignment.
        let peer = given(unsafe { peer.as_ref() }, "peers")?;
        check_size::<pfplane_peer>(peer.size, "peer")?;
        Ok(peer)
    }

    fn timeouts(&self) -> Result<Timeouts, Failure> {
        let mut timeouts = Timeouts::default();
        for (class, seconds) in self.timeouts_s.iter().enumerate() {
            timeouts.set(class as u8, *seconds)?;
        }
        Ok(timeouts)
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::*;
    use super::*;

    #[test]
    fn the_names_of_the_timeouts_are_in_the_order_of_the_classes() {
        let rows = [
            (PFPLANE_TIMEOUT_TCP_FIRST, "tcp.first"),
            (PFPLANE_TIMEOUT_TCP_OPENING, "tcp.opening"),
            (PFPLANE_TIMEOUT_TCP_ESTABLISHED, "tcp.established"),
            (PFPLANE_TIMEOUT_TCP_CLOSING, "tcp.closing"),
            (PFPLANE_TIMEOUT_TCP_FINWAIT, "tcp.finwait"),
            (PFPLANE_TIMEOUT_TCP_CLOSED, "tcp.closed"),
            (PFPLANE_TIMEOUT_UDP_FIRST, "udp.first"),
            (PFPLANE_TIMEOUT_UDP_SINGLE, "udp.single"),
            (PFPLANE_TIMEOUT_UDP_MULTIPLE, "udp.multiple"),
            (PFPLANE_TIMEOUT_ICMP_FIRST, "icmp.first"),
            (PFPLANE_TIMEOUT_ICMP_ERROR, "icmp.error"),
            (PFPLANE_TIMEOUT_OTHER_FIRST, "other.first"),
            (PFPLANE_TIMEOUT_OTHER_SINGLE, "other.single"),
            (PFPLANE_TIMEOUT_OTHER_MULTIPLE, "other.multiple"),
            (PFPLANE_TIMEOUT_FRAG, "frag"),
            (PFPLANE_TIMEOUT_INTERVAL, "interval"),
            (PFPLANE_TIMEOUT_ADAPTIVE_START, "adaptive.start"),
            (PFPLANE_TIMEOUT_ADAPTIVE_END, "adaptive.end"),
            (PFPLANE_TIMEOUT_SRC_TRACK, "src.track"),
            (PFPLANE_TIMEOUT_TCP_TSDIFF, "tcp.tsdiff"),
            (PFPLANE_TIMEOUT_SCTP_FIRST, "sctp.first"),
            (PFPLANE_TIMEOUT_SCTP_OPENING, "sctp.opening"),
            (PFPLANE_TIMEOUT_SCTP_ESTABLISHED, "sctp.established"),
            (PFPLANE_TIMEOUT_SCTP_CLOSING, "sctp.closing"),
            (PFPLANE_TIMEOUT_SCTP_CLOSED, "sctp.closed"),
        ];
        assert_eq!(rows.len(), PFPLANE_TIMEOUTS);
        for (index, (class, name)) in rows.into_iter().enumerate() {
            assert_eq!((class as usize, CLASSES[index].0), (index, name));
        }
    }
}
