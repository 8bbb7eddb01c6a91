//! What an engine is made from.

use super::peer::interface;
use super::{
    Failure, PFPLANE_ERROR_SIZE, PFPLANE_OK, check_size, elements, guard, pfplane_allocator, pfplane_peer,
    pfplane_source_limits, put, reference,
};
use crate::engine::Config;
use crate::error::check_range;
use crate::limits::SourcePlan;
use crate::memory::Memory;
use crate::state::{CLASSES, Timeouts, timeout_class};
use crate::sync::{MAX_PEERS, RetryPolicy, SyncSettings};

/// Number of timeout classes, see `pfplane_config.timeouts_s`.
pub const PFPLANE_TIMEOUTS: usize = 25;

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1000 * MILLISECOND;

/// An engine's settings. pfplane_config_init fills in the defaults.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_config {
    /// sizeof(struct pfplane_config).
    pub size: u32,
    /// Lanes, one for each core that carries packets: 1 to 128. Default 1.
    pub lanes: u32,
    /// States that fit into each lane: 1 to 2^30. Default 65536.
    pub states_per_lane: u32,
    /// How many of them may be translated; more than all counts as all. Each takes a second entry of 11 bytes in the
    /// index. Default UINT32_MAX: all.
    pub translated_per_lane: u32,
    /// Our host id (creatorid). Default 0: a random one.
    pub host_id: u32,
    /// Seconds since 1970, from which state ids start. Default 0: the wall clock is read once.
    pub start_unix_s: u64,
    /// Longest IP packet on the sync link in bytes. Default 1500.
    pub mtu: u32,
    /// MTU of the sync port in bytes. Default 0: not known.
    pub device_mtu: u32,
    /// Bytes that one buffer holds (a mempool's data room less its headroom). Default 0: not known.
    pub buffer_room: u32,
    /// Milliseconds that a new or an ended state may wait for company before its frame goes: 0 to 10000. Default 10.
    pub insert_age_ms: u32,
    /// Milliseconds that an update may wait, and so the time between two of one state: 0 to 60000. Default 1000, as pf.
    pub update_age_ms: u32,
    /// Updates of a TCP state that are folded before it is sent at once (pf's maxupd): 0 to 255. Default 128.
    pub max_updates: u32,
    /// Frames of a bulk transfer that are written at once, every millisecond: 1 to 4096. Default 8.
    pub bulk_frames_per_ms: u32,
    /// The most states that a lane looks at for expiry in one pfplane_lane_poll: 1 to 1048576. Default 256. All states
    /// are looked at once in the timeout class "interval".
    pub sweep_per_poll: u32,
    /// States of peers that one lane holds at most, so that no peer can take the room of this node's own connections; more
    /// than all counts as all. Default UINT32_MAX: all.
    pub imported_per_lane: u32,
    /// Milliseconds that a state must have lived before peers are told of it, so that short flows are not told at all: 0 to
    /// 3600000. Default 0.
    pub min_age_ms: u32,
    /// Milliseconds that the first packet of a new state is held at most until a peer has the state (pf's defer, there 20):
    /// 0 to 1000. Default 0: packets are not held.
    pub defer_ms: u32,
    /// States whose packets a lane holds at once, then the oldest one's go: 1 to 4096. Default 128.
    pub max_defer: u32,
    /// Seconds for which states of a peer that went silent are kept beyond their time, from its last word on: 0 to 86400.
    /// Only those that this node has passed no packet of. Default 60.
    pub grace_s: u32,
    /// Milliseconds without an answer after which the request for all states is repeated: 1 to 60000. Default 2000.
    pub bulk_retry_ms: u32,
    /// Requests after which it is given up: 1 to 1000. Default 12.
    pub bulk_attempts: u32,
    /// Milliseconds without a state after which a transfer that began is asked for again: 1 to 60000. Default 5000.
    pub bulk_progress_ms: u32,
    /// Seconds after which a transfer is given up, whatever comes: 1 to 86400. Default 600.
    pub bulk_whole_s: u32,
    /// Requests of one peer for all states that come closer together are one: milliseconds, 0 to 60000. Default 1000.
    pub min_bulk_interval_ms: u32,
    /// IP protocols whose states are not told to peers. Default NULL.
    pub left_out: *const u8,
    /// Elements of `left_out`: 0 to 256. Default 0.
    pub left_out_count: u32,
    /// Elements of `interfaces`: 0 to 4096. Default 0.
    pub interface_count: u32,
    /// The interfaces that there are here, NUL-terminated: peers' states of others are refused, as FreeBSD does. Default
    /// NULL: they are taken in, as OpenBSD does.
    pub interfaces: *const [u8; 16],
    /// Elements of `peers`: 0 to 8. Default 0: no replication.
    pub peer_count: u32,
    /// The peers; the step from one to the next is `peers[0].size`.
    pub peers: *const pfplane_peer,
    /// The host's allocator. Default NULL: anonymous mappings, with huge pages where there are any.
    pub allocator: *const pfplane_allocator,
    /// NUMA node of each lane, `lanes` elements, -1 for any. Default NULL: any.
    pub lane_sockets: *const i32,
    /// RSS key, 40 bytes that repeat every two. Default NULL: 6d 5a.
    pub rss_key: *const [u8; 40],
    /// The lane of each of the 128 hash values. Default NULL: in turn.
    pub redirection: *const [u8; 128],
    /// TCP connections of all lanes that may be half-open at once; then no other is begun. Exact with one lane; with
    /// several, the others count as of their last pfplane_lane_poll. Default 0: any number.
    pub max_half_open: u32,
    /// Sources that can be counted, over all lanes: 0 to 16777215. One that rules count apart takes a place for each, and
    /// so does each rule that counts. Default 10000, as pf; about 115 bytes each.
    pub sources: u32,
    /// Bits of an IPv4 address that make a source: 1 to 32. Default 32.
    pub source_bits_v4: u8,
    /// Bits of an IPv6 address that make a source: 1 to 128. Default 128 as in pf; where an end site is one source, 64.
    pub source_bits_v6: u8,
    /// 1: a source that finds no room to be counted is free of limits. Default 0: it gets no state, as in pf.
    pub sources_full_pass: u8,
    /// Zero.
    pub reserved: u8,
    /// Limits over all rules; those of one rule are in pfplane_state_options. With any, every state is counted. Default:
    /// none.
    pub source: pfplane_source_limits,
    /// pf's timeouts in seconds, by class: tcp.first, .opening, .established, .closing, .finwait, .closed, udp.first,
    /// .single, .multiple, icmp.first, .error, other.first, .single, .multiple, frag, interval, adaptive.start and
    /// adaptive.end (in states; both 0: 60 % and 120 % of the capacity), src.track, tcp.tsdiff, sctp.first, .opening,
    /// .established, .closing, .closed. Defaults are pf's, and 0 for the adaptive two.
    pub timeouts_s: [u32; PFPLANE_TIMEOUTS],
}

/// Fills `config_out` with the defaults.
///
/// Parameters: `size`, sizeof(struct pfplane_config).
/// Returns: PFPLANE_OK; PFPLANE_ERROR_SIZE when the caller was compiled with another header; PFPLANE_ERROR_NULL.
/// Thread: any.
///
/// # Safety
/// `config_out` is NULL or has room for the struct.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_config_init(config_out: *mut pfplane_config, size: u32) -> i32 {
    guard(|| {
        check_size::<pfplane_config>(size, "config")?;
        // SAFETY: the caller promises NULL or room for the struct.
        unsafe { put(config_out, "config_out", pfplane_config::defaults()) }?;
        Ok(PFPLANE_OK)
    })
}

/// How many bytes an engine of this configuration asks its allocator for: to be known before a host reserves memory.
///
/// Parameters: `config` as for pfplane_engine_new.
/// Returns: PFPLANE_OK; otherwise as pfplane_engine_new.
/// Thread: any. Cost: none to speak of.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_config_memory(config: *const pfplane_config, bytes_out: *mut u64) -> i32 {
    guard(|| {
        // SAFETY: the caller promises NULL or a valid configuration.
        let config = unsafe { reference(config, "config") }?;
        // SAFETY: the caller promises that what the configuration points to is valid.
        let config = unsafe { config.convert() }?;
        // SAFETY: the caller promises NULL or room for a number.
        unsafe { put(bytes_out, "bytes_out", config.memory_needed()?) }?;
        Ok(PFPLANE_OK)
    })
}

pub(super) fn setting(name: &'static str, value: u64, min: u64, max: u64) -> Result<u64, Failure> {
    check_range(name, value, min, max)?;
    Ok(value)
}

impl pfplane_config {
    pub(super) fn defaults() -> Self {
        let config = Config::default();
        let mut timeouts_s = CLASSES.map(|(_, default)| default);
        timeouts_s[usize::from(timeout_class::ADAPTIVE_START)] = 0;
        timeouts_s[usize::from(timeout_class::ADAPTIVE_END)] = 0;
        Self {
            size: size_of::<Self>() as u32,
            lanes: config.lanes,
            states_per_lane: config.states_per_lane,
            translated_per_lane: config.translated_per_lane,
            host_id: 0,
            start_unix_s: 0,
            mtu: config.sync.mtu,
            device_mtu: 0,
            buffer_room: 0,
            insert_age_ms: (config.sync.insert_age / MILLISECOND) as u32,
            update_age_ms: (config.sync.update_age / MILLISECOND) as u32,
            max_updates: config.sync.maxupd.into(),
            bulk_frames_per_ms: config.sync.bulk_frames,
            sweep_per_poll: config.sweep_per_poll,
            imported_per_lane: config.sync.max_imported,
            min_age_ms: 0,
            defer_ms: 0,
            max_defer: config.sync.defer.max_states,
            grace_s: (config.sync.grace.duration / SECOND) as u32,
            bulk_retry_ms: (config.sync.bulk_retry.interval / MILLISECOND) as u32,
            bulk_attempts: config.sync.bulk_retry.attempts,
            bulk_progress_ms: (config.sync.bulk_retry.progress_timeout / MILLISECOND) as u32,
            bulk_whole_s: (config.sync.bulk_retry.total_timeout / SECOND) as u32,
            min_bulk_interval_ms: (config.sync.min_bulk_interval / MILLISECOND) as u32,
            left_out: core::ptr::null(),
            left_out_count: 0,
            interface_count: 0,
            interfaces: core::ptr::null(),
            peer_count: 0,
            peers: core::ptr::null(),
            allocator: core::ptr::null(),
            lane_sockets: core::ptr::null(),
            rss_key: core::ptr::null(),
            redirection: core::ptr::null(),
            max_half_open: config.max_half_open,
            sources: config.sources.capacity,
            source_bits_v4: config.sources.bits[0],
            source_bits_v6: config.sources.bits[1],
            sources_full_pass: 0,
            reserved: 0,
            source: pfplane_source_limits::default(),
            timeouts_s,
        }
    }

    /// The configuration as the core takes it, with everything copied.
    ///
    /// # Safety
    /// What the struct points to is valid, or NULL.
    pub(super) unsafe fn convert(&self) -> Result<Config, Failure> {
        check_size::<Self>(self.size, "config")?;
        setting("lanes", self.lanes.into(), 1, crate::engine::MAX_LANES.into())?;
        let mut config = Config {
            lanes: self.lanes,
            states_per_lane: self.states_per_lane,
            translated_per_lane: self.translated_per_lane,
            start_unix_s: self.start_unix_s,
            device_mtu: self.device_mtu,
            buffer_room: self.buffer_room,
            sweep_per_poll: self.sweep_per_poll,
            max_half_open: self.max_half_open,
            sources: SourcePlan {
                capacity: self.sources,
                bits: [self.source_bits_v4, self.source_bits_v6],
                limits: self.source.convert(),
                pass_when_full: self.sources_full_pass == 1,
            },
            timeouts: self.timeouts()?,
            adaptive_by_capacity: self.adaptive() == (0, 0),
            ..Config::default()
        };
        config.sync.host_id = self.host_id;
        config.sync.mtu = self.mtu;
        config.sync.insert_age = u64::from(self.insert_age_ms) * MILLISECOND;
        config.sync.update_age = u64::from(self.update_age_ms) * MILLISECOND;
        config.sync.maxupd = setting("max_updates", self.max_updates.into(), 0, 255)? as u8;
        config.sync.bulk_frames = self.bulk_frames_per_ms;
        // SAFETY: the caller promises that what the struct points to is valid.
        unsafe { self.replicated(&mut config.sync) }?;
        // SAFETY: the caller promises NULL or an allocator that keeps its promises.
        config.memory = unsafe { self.memory() }?;
        if !self.lane_sockets.is_null() {
            // SAFETY: not NULL; the caller promises `lanes` numbers.
            let sockets = unsafe { super::elements(self.lane_sockets, self.lanes, "lane_sockets") }?;
            config.lane_sockets = sockets.to_vec();
        }
        if !self.rss_key.is_null() {
            // SAFETY: not NULL; the caller promises 40 bytes.
            config.rss_key = *unsafe { reference(self.rss_key, "rss_key") }?;
        }
        if !self.redirection.is_null() {
            // SAFETY: not NULL; the caller promises 128 numbers.
            config.redirection = Some(*unsafe { reference(self.redirection, "redirection") }?);
        }
        for place in 0..setting("peer_count", self.peer_count.into(), 0, MAX_PEERS as u64)? as usize {
            // SAFETY: the caller promises `peer_count` peers, of which this is one.
            let peer = unsafe { self.peer(place) }?;
            // SAFETY: the caller promises that what the peer points to is valid.
            config.sync.peers.push(unsafe { peer.settings() }?);
            config.ethernet.push(peer.ethernet()?);
        }
        Ok(config)
    }

    /// Which states cross the link, either way.
    ///
    /// # Safety
    /// What the struct points to is valid, or NULL.
    unsafe fn replicated(&self, sync: &mut SyncSettings) -> Result<(), Failure> {
        sync.max_imported = self.imported_per_lane;
        sync.defer.delay = u64::from(self.defer_ms) * MILLISECOND;
        sync.defer.max_states = self.max_defer;
        sync.grace.duration = u64::from(self.grace_s) * SECOND;
        sync.bulk_retry = RetryPolicy {
            interval: u64::from(self.bulk_retry_ms) * MILLISECOND,
            attempts: self.bulk_attempts,
            progress_timeout: u64::from(self.bulk_progress_ms) * MILLISECOND,
            total_timeout: u64::from(self.bulk_whole_s) * SECOND,
        };
        sync.min_bulk_interval = u64::from(self.min_bulk_interval_ms) * MILLISECOND;
        sync.filter.min_age = u64::from(self.min_age_ms) * MILLISECOND;
        let count = setting("left_out_count", self.left_out_count.into(), 0, 256)? as u32;
        // SAFETY: the caller promises NULL or so many bytes.
        let left_out = unsafe { elements(self.left_out, count, "left_out") }?;
        left_out.iter().for_each(|proto| sync.filter.exclude(*proto));
        let count = setting("interface_count", self.interface_count.into(), 0, 4096)? as u32;
        if !self.interfaces.is_null() {
            // SAFETY: not NULL; the caller promises so many names.
            let names = unsafe { elements(self.interfaces, count, "interfaces") }?;
            let known: Result<_, _> = names.iter().map(|name| interface(name, "interfaces")).collect();
            sync.known_interfaces = Some(known?);
        }
        Ok(())
    }

    /// The memory source that is configured.
    ///
    /// # Safety
    /// `allocator` is NULL, or valid and keeps its promises.
    unsafe fn memory(&self) -> Result<Memory, Failure> {
        if self.allocator.is_null() {
            return Ok(Memory::SYSTEM);
        }
        // SAFETY: not NULL; the caller promises a valid allocator.
        let allocator = unsafe { reference(self.allocator, "allocator") }?;
        // SAFETY: the caller promises that it keeps its promises.
        unsafe { allocator.convert() }
    }

    /// Peer number `place`, by the caller's own step.
    ///
    /// # Safety
    /// `peers` is NULL or points to more than `place` peers of the size that the first one says.
    unsafe fn peer(&self, place: usize) -> Result<&pfplane_peer, Failure> {
        // SAFETY: the caller promises NULL or at least one peer.
        let step = unsafe { reference(self.peers, "peers") }?.size as usize;
        if step < size_of::<pfplane_peer>() {
            let text = format!("peers[0].size is {step}, this library knows {}", size_of::<pfplane_peer>());
            return Err(Failure::new(PFPLANE_ERROR_SIZE, text));
        }
        let peer = self.peers.wrapping_byte_add(place * step);
        // SAFETY: the caller promises that a peer lies at this place.
        let peer = unsafe { reference(peer, "peers") }?;
        check_size::<pfplane_peer>(peer.size, "peer")?;
        Ok(peer)
    }

    const fn adaptive(&self) -> (u32, u32) {
        let start = self.timeouts_s[timeout_class::ADAPTIVE_START as usize];
        (start, self.timeouts_s[timeout_class::ADAPTIVE_END as usize])
    }

    fn timeouts(&self) -> Result<Timeouts, Failure> {
        let mut timeouts = Timeouts::default();
        for (class, seconds) in self.timeouts_s.iter().enumerate() {
            timeouts.set(class as u8, *seconds)?;
        }
        Ok(timeouts)
    }
}
