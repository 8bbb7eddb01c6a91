//! Configuration
//!
//! Fill `pfplane_config` with pfplane_config_init, then change what differs. pfplane_engine_new copies it, with
//! everything that it points to. A range that is stated here is checked, and the last error names the setting that breaks it.

use super::super::{
    PFPLANE_OK, check_size, given, guard, pfplane_allocator, pfplane_engine, pfplane_peer, put,
};
use super::pfplane_source_limits;
use core::mem::MaybeUninit;

// enum pfplane_timeout: pf's timeout classes, the index into `pfplane_config.timeouts_s`. In seconds, with pf's defaults.
/// TCP, the first packet was seen. Default 120.
pub const PFPLANE_TIMEOUT_TCP_FIRST: u32 = 0;
/// TCP, one side is not established. Default 30.
pub const PFPLANE_TIMEOUT_TCP_OPENING: u32 = 1;
/// TCP, both sides are established. Default 86400.
pub const PFPLANE_TIMEOUT_TCP_ESTABLISHED: u32 = 2;
/// TCP, one side sent a FIN. Default 900.
pub const PFPLANE_TIMEOUT_TCP_CLOSING: u32 = 3;
/// TCP, both sides sent a FIN. Default 45.
pub const PFPLANE_TIMEOUT_TCP_FINWAIT: u32 = 4;
/// TCP, both FINs are acknowledged, or an RST was seen. Default 90.
pub const PFPLANE_TIMEOUT_TCP_CLOSED: u32 = 5;
/// UDP, the first packet was seen. Default 60.
pub const PFPLANE_TIMEOUT_UDP_FIRST: u32 = 6;
/// UDP, only one side sends. Default 30.
pub const PFPLANE_TIMEOUT_UDP_SINGLE: u32 = 7;
/// UDP, both sides send. Default 60.
pub const PFPLANE_TIMEOUT_UDP_MULTIPLE: u32 = 8;
/// ICMP, a query was seen. Default 20.
pub const PFPLANE_TIMEOUT_ICMP_FIRST: u32 = 9;
/// ICMP, after a reply (pf's icmp.error). Default 10.
pub const PFPLANE_TIMEOUT_ICMP_ERROR: u32 = 10;
/// Other protocols, the first packet was seen. Default 60.
pub const PFPLANE_TIMEOUT_OTHER_FIRST: u32 = 11;
/// Other protocols, only one side sends. Default 30.
pub const PFPLANE_TIMEOUT_OTHER_SINGLE: u32 = 12;
/// Other protocols, both sides send. Default 60.
pub const PFPLANE_TIMEOUT_OTHER_MULTIPLE: u32 = 13;
/// Not used: the host reassembles fragments.
pub const PFPLANE_TIMEOUT_FRAG: u32 = 14;
/// Each state is checked for expiry once in this time. Default 10.
pub const PFPLANE_TIMEOUT_INTERVAL: u32 = 15;
/// Number of states at which timeouts begin to shrink. Default 0: 60 % of the capacity if ADAPTIVE_END is 0 as well.
pub const PFPLANE_TIMEOUT_ADAPTIVE_START: u32 = 16;
/// Number of states at which timeouts reach 0. Default 0: 120 % of the capacity if ADAPTIVE_START is 0 as well. States whose
/// traffic a peer has keep their full timeouts until `pfplane_config.grace_s` is over: their peer expires them.
pub const PFPLANE_TIMEOUT_ADAPTIVE_END: u32 = 17;
/// Not used.
pub const PFPLANE_TIMEOUT_SRC_TRACK: u32 = 18;
/// Not used.
pub const PFPLANE_TIMEOUT_TCP_TSDIFF: u32 = 19;
/// SCTP, the first packet was seen. Default 120. SCTP classes are FreeBSD 14's.
pub const PFPLANE_TIMEOUT_SCTP_FIRST: u32 = 20;
/// SCTP, one side is not established. Default 30.
pub const PFPLANE_TIMEOUT_SCTP_OPENING: u32 = 21;
/// SCTP, both sides are established. Default 86400.
pub const PFPLANE_TIMEOUT_SCTP_ESTABLISHED: u32 = 22;
/// SCTP, one side shuts down. Default 900.
pub const PFPLANE_TIMEOUT_SCTP_CLOSING: u32 = 23;
/// SCTP, shut down. Default 90.
pub const PFPLANE_TIMEOUT_SCTP_CLOSED: u32 = 24;

/// Number of timeout classes.
pub const PFPLANE_TIMEOUTS: usize = 25;

/// The settings of an engine.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_config {
    /// sizeof(struct pfplane_config).
    pub size: u32,
    /// Lanes, one for each core that carries packets: 1 to 128. Default 1.
    pub lanes: u32,
    /// Capacity of each lane in states: 1 to 2^30. Default 65536.
    pub states_per_lane: u32,
    /// Maximum translated states per lane; more than states_per_lane means all. Each costs 11 bytes more. Default UINT32_MAX.
    pub max_translated_per_lane: u32,
    /// Entries per lane for what only few states have: fields that only FreeBSD uses (interface of the next hop, tag, queues),
    /// which this node keeps for its peers, and the host's own bytes (`pfplane_state_options.opaque`). 0 to states_per_lane,
    /// 196 bytes each; more counts as states_per_lane. Without a free entry, peers' states lose these fields and are not sent
    /// to peers with freebsd1400 and freebsd1500 (statistic `imports_incomplete`). Default UINT32_MAX: one for each state
    /// that may be imported if a peer has one of these profiles or `pfplane_peer.extensions`, otherwise 0.
    pub max_extra_per_lane: u32,
    /// Our host id (pf: creatorid), unique among the peers. Default 0: a random one.
    pub host_id: u32,
    /// Seconds since 1970, added to the random number from which state ids are counted. Default 0: the wall clock is read once.
    pub start_unix_s: u64,
    /// 32 random bytes from which state ids, a random host id, hash secrets and port numbers are derived; copied. They must be
    /// secret and differ in each run: state ids must not repeat. Default `NULL`: the operating system's (getrandom).
    pub random_seed: *const [u8; 32],
    /// Longest IP packet on the sync link, in bytes. Default 1500.
    pub mtu: u32,
    /// MTU of the sync port, in bytes. Default 0: unknown.
    pub device_mtu: u32,
    /// Capacity of one frame buffer, in bytes: for a mempool, its data room less the headroom. Default 0: unknown.
    pub buffer_size: u32,
    /// Maximum delay in milliseconds before a new or deleted state is sent, to share a frame: 0 to 10000. Default 10.
    pub max_insert_age_ms: u32,
    /// Maximum delay in milliseconds before an update is sent: 0 to 60000. Default 1000. An update of a TCP state is sent earlier
    /// when its connection moves (max_drift_percent), changes its TCP state, or has max_updates changes.
    pub max_update_age_ms: u32,
    /// Changes of a TCP state that are folded into one update before it is sent at once (pf's maxupd): 0 to 255. Default 128.
    pub max_updates: u32,
    /// Maximum distance in percent of the receiver's window by which a TCP connection moves before its update is sent at once
    /// (within a millisecond): 0 to 100. Default 25. A pf survivor loses a connection that has moved by a whole window since
    /// its last update. 0: updates are sent by age and number only.
    pub max_drift_percent: u32,
    /// Maximum rate of one connection through this node in megabits per second, both directions together: 1 to 1000000.
    /// Default 10000. After a takeover a connection may be as far ahead of its last update as this rate allows; a lower value
    /// makes it harder to inject forged segments until both directions were seen.
    pub max_rate_mbit: u32,
    /// Maximum frames of bulk transfers that a lane sends per millisecond: 1 to 4096. Answers to requests for single states may
    /// take half as many in addition. A pfplane peer (`pfplane_peer.extensions`) reports what it has received and gets lost states
    /// again: to it a lane sends as fast as its reports allow, at most eight times this number, and repairs at most as many
    /// again. Default 8.
    pub max_bulk_frames_per_ms: u32,
    /// Maximum states that a lane checks for expiry in one pfplane_lane_poll: 1 to 1048576. Default 256.
    pub max_sweep_per_poll: u32,
    /// Maximum states of peers per lane, so that no peer takes the capacity of this node's own connections; more than
    /// states_per_lane means all. Default 0: all but one in 64, and all of fewer than 64. The statistic `imports_refused_quota`
    /// counts what is refused.
    pub max_imported_per_lane: u32,
    /// Maximum ended states per lane that are remembered: a peer that sends one again gets a delete, and it is not inserted. 0
    /// remembers none; more than states_per_lane means as many. At the maximum the oldest are forgotten. Each costs 32 to 64
    /// bytes. Default UINT32_MAX.
    pub max_ended_per_lane: u32,
    /// Seconds for which an ended state is remembered: 1 to 1000000. Default 86400, the longest default timeout.
    pub ended_s: u32,
    /// Minimum age in milliseconds at which a state is sent to peers; shorter flows are never sent: 0 to 3600000. Default 0.
    pub min_age_ms: u32,
    /// Age in seconds up to which the last message about a state is repeated once, max_update_age_ms later, so that one lost
    /// frame costs no connection. It costs one compressed update for each connection: 0 to 3600. 0: nothing is repeated, as in
    /// pf. Default 10.
    pub repeat_age_s: u32,
    /// Maximum milliseconds for which the first packet of a new state is held until a peer has the state (pf's defer, there
    /// 20): 0 to 1000. Default 0: packets are not held.
    pub max_defer_ms: u32,
    /// Maximum states per lane whose packets are held; the oldest are released first: 1 to 4096. Default 128.
    pub max_deferred: u32,
    /// Seconds for which states of a silent peer are kept beyond their timeout, counted from its last frame: 0 to 86400. Until
    /// then they are also not subject to adaptive timeouts. Only states without traffic on this node. Default 60.
    pub grace_s: u32,
    /// Milliseconds without an answer after which a bulk request is repeated: 1 to 60000. Default 2000.
    pub bulk_retry_ms: u32,
    /// Maximum bulk requests before the node gives up: 1 to 1000. Default 12.
    pub max_bulk_attempts: u32,
    /// Milliseconds without a state after which a bulk transfer that has started is requested again: 1 to 60000. Default 5000.
    pub bulk_stall_ms: u32,
    /// Maximum seconds of a bulk transfer: 1 to 86400. Default 600.
    pub max_bulk_s: u32,
    /// Minimum milliseconds between two bulk transfers to one peer; requests in between are merged: 0 to 60000. Default 1000.
    pub min_bulk_interval_ms: u32,
    /// Maximum milliseconds between two polls of a lane. After a longer gap frames may have been lost: the node is not ready
    /// until it has received all states again: 0 to 60000, 0 for no maximum. Default 500.
    pub max_poll_gap_ms: u32,
    /// IP protocol numbers whose states are not sent to peers. Default `NULL`.
    pub excluded_protocols: *const u8,
    /// Elements of `excluded_protocols`: 0 to 256. Default 0.
    pub excluded_protocol_count: u32,
    /// Elements of `interfaces`: 0 to 4096. Default 0.
    pub interface_count: u32,
    /// The interfaces of this node, NUL-terminated: peers' states on other interfaces are refused, as FreeBSD does. Default
    /// `NULL`: accepted, as OpenBSD does.
    pub interfaces: *const [u8; 16],
    /// The routing tables of this node besides the default one, and its routing domains (`pfplane_burst.rdomain`), which have the
    /// number of their first table: peers' states with another table or in another domain are refused, because their packets
    /// would take the wrong route (statistic `imports_refused_routing_table`). Default `NULL`: none.
    pub routing_tables: *const u32,
    /// Elements of `routing_tables`: 0 to 4096. Default 0.
    pub routing_table_count: u32,
    /// Elements of `peers`: 0 to 8. Default 0: no replication.
    pub peer_count: u32,
    /// The peers. The distance from one to the next is `peers[0].size`.
    pub peers: *const pfplane_peer,
    /// The host's allocator. Default `NULL`: anonymous mappings, with huge pages where available.
    pub allocator: *const pfplane_allocator,
    /// NUMA node of each lane, `lanes` elements, -1 for any. Default `NULL`: any.
    pub lane_sockets: *const i32,
    /// RSS key, 40 bytes that repeat every two. Default `NULL`: 6d 5a repeated.
    pub rss_key: *const [u8; 40],
    /// The lane of each of the 128 hash values (RSS redirection table). Default `NULL`: round robin.
    pub redirection: *const [u8; 128],
    /// Maximum half-open TCP connections of all lanes together. Exact with one lane; with several, other lanes count as of
    /// their last pfplane_lane_poll. Default 0: no limit.
    pub max_half_open: u32,
    /// If a lane's table is full and at least this percentage of it is half-open TCP connections, a new state replaces the
    /// oldest of these, and the peers get a delete (statistic states_evicted_half_open). A peer's state replaces only half-open
    /// connections of peers. Open connections, and those taken over from a peer, stay: 0 to 100. 0: a full table refuses new
    /// states. Default 10: fewer are left alone, so that a table full of open connections still opens some.
    pub evict_half_open_percent: u32,
    /// Which checksums the library verifies in software where the NIC did not (PFPLANE_PACKET_CHECKSUM_GOOD, or an mbuf's RX flags).
    /// 0: none. 1: of packets that end a connection (TCP RST, SCTP ABORT and SHUTDOWN COMPLETE), so that no damaged one does. 2: of
    /// all packets, which reads their data. Data in other segments is not verified, nor are packets given as facts. Default 1.
    pub verify_checksums: u32,
    /// 1: packets with a source route (IPv4 LSRR or SSRR, IPv6 routing header type 0) may pass, if their state allows IP options.
    /// 0: they are dropped with PFPLANE_REASON_IP_OPTIONS. Default 0.
    pub pass_source_routes: u32,
    /// Nodes that translate to the same addresses at the same time (active/active): 1 to 64. Each draws source ports from its
    /// own share of every range, so that no two draw the same one; a single port is not divided, and a range of fewer ports
    /// leaves some nodes none (PFPLANE_REASON_NO_PORT). For a pf peer, give its rules another range than `nat_source_ports`.
    /// Default 1.
    pub nat_nodes: u32,
    /// This node's number among them: 0 to nat_nodes - 1. Default 0.
    pub nat_node: u32,
    /// Maximum sources that are counted, over all lanes: 0 to 16777215. A source counts once for each rule with limits, and
    /// each such rule counts once. Default 10000, as pf. Each costs about 115 bytes.
    pub max_sources: u32,
    /// Prefix length that identifies an IPv4 source: 1 to 32. Default 32.
    pub source_prefix_v4: u8,
    /// Prefix length that identifies an IPv6 source: 1 to 128. Default 128, as pf; use 64 where an end site is one source.
    pub source_prefix_v6: u8,
    /// 1: a source that cannot be counted because max_sources is reached has no limits. 0: it gets no state, as in pf.
    /// Default 0.
    pub pass_when_sources_full: u8,
    /// Zero.
    pub reserved: u8,
    /// Limits over all rules. If any is set, every state is counted. Limits of one rule are in pfplane_state_options. Default:
    /// none.
    pub source_limits: pfplane_source_limits,
    /// Timeouts by class, see enum pfplane_timeout.
    pub timeouts_s: [u32; PFPLANE_TIMEOUTS],
}

/// Fills `config_out` with the defaults.
///
/// Parameters: `size`, sizeof(struct pfplane_config).
/// Returns: PFPLANE_OK; PFPLANE_ERROR_SIZE when the caller was compiled with another header; PFPLANE_ERROR_NULL.
/// Thread: any.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_config_init(
    config_out: Option<&mut MaybeUninit<pfplane_config>>,
    size: u32,
) -> i32 {
    guard(|| {
        check_size::<pfplane_config>(size, "config")?;
        put(config_out, "config_out", pfplane_config::defaults())?;
        Ok(PFPLANE_OK)
    })
}

/// Returns how many bytes pfplane_engine_new would request from `pfplane_config.allocator`. Without an allocator, each block
/// is rounded up to pages. Peers, and lists of names and numbers, come from the process's allocator and are not counted.
///
/// Returns: PFPLANE_OK; otherwise as pfplane_engine_new.
/// Thread: any. Cost: a calculation, no allocation.
///
/// # Safety
/// What `config` points to is valid, with as many elements as its counts say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_config_memory(
    config: Option<&pfplane_config>,
    bytes_out: Option<&mut MaybeUninit<u64>>,
) -> i32 {
    guard(|| {
        // SAFETY: `convert` reads what the configuration points to, which the C caller vouches for.
        let config = unsafe { given(config, "config")?.convert() }?;
        let bytes = config.memory_needed()? + size_of::<pfplane_engine>() as u64;
        put(bytes_out, "bytes_out", bytes)?;
        Ok(PFPLANE_OK)
    })
}
