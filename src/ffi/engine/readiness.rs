//! Readiness
//!
//! Whether this node may take over from its peers, and why not.

use super::super::{
    Failure, PFPLANE_ERROR_ARGUMENT, PFPLANE_OK, check_size, given, given_mut, guard, pfplane_engine,
};
use super::control::with_engine;
use crate::engine::Engine;
use crate::sync::Readiness;

// enum pfplane_ready_class: How a node's states compare with those of its peers.
/// States are missing or may be, and the node is about to receive them.
pub const PFPLANE_READY_CLASS_LOADING: u32 = 0;
/// States may be missing, and no peer sends them.
pub const PFPLANE_READY_CLASS_GAVE_UP: u32 = 1;
/// The node holds what its peers have sent it, or has no peer.
pub const PFPLANE_READY_CLASS_SYNCED: u32 = 2;

// enum pfplane_ready_reason: What speaks against a takeover. Bits of `pfplane_readiness.reasons`.
/// All states were requested and are not all here yet.
pub const PFPLANE_READY_REASON_BULK_RUNNING: u32 = 1;
/// The last bulk transfer was given up. It is requested again when a frame of a peer arrives.
pub const PFPLANE_READY_REASON_BULK_FAILED: u32 = 2;
/// Peers' states were refused because the table is full or holds its maximum of peers' states. They are requested again when
/// there is space.
pub const PFPLANE_READY_REASON_STATES_MISSING: u32 = 4;
/// Messages to a lane were lost because it was polled too late. They are requested again.
pub const PFPLANE_READY_REASON_MESSAGES_LOST: u32 = 8;
/// The host reported frames that its port missed. All states are requested again.
pub const PFPLANE_READY_REASON_FRAMES_MISSED: u32 = 16;
/// A lane was not polled for longer than `pfplane_config.max_poll_gap_ms`. All states are requested again. Until they are
/// here nothing expires: a peer may have taken over meanwhile.
pub const PFPLANE_READY_REASON_PAUSED: u32 = 32;
/// Another node uses this node's host id, or did before the states that were received last.
pub const PFPLANE_READY_REASON_DUPLICATE_HOST_ID: u32 = 64;
/// The link of the sync port is down. Alone it does not change the class.
pub const PFPLANE_READY_REASON_LINK_DOWN: u32 = 128;
/// A peer has sent nothing for more than 3 seconds, or ever. Alone it does not change the class: a peer without traffic is
/// silent, and a dead one is what this node is for.
pub const PFPLANE_READY_REASON_PEER_SILENT: u32 = 256;
/// Frames of a pfplane peer were lost, and it has not sent again what they carried for more than a second.
pub const PFPLANE_READY_REASON_FRAMES_LOST: u32 = 512;

/// This node was compared with a pfplane peer that lives and does not hold what it sent, or the first comparison is not complete.
/// pfplane_engine_compare says more. After ten seconds it does not change the class any more.
pub const PFPLANE_READY_REASON_NOT_EQUAL: u32 = 1024;

/// `pfplane_readiness.peer_age_ms` before the first frame of any peer.
pub const PFPLANE_NEVER: u64 = u64::MAX;

/// Whether a node may take over, and why not.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_readiness {
    /// sizeof(struct pfplane_readiness).
    pub size: u32,
    /// PFPLANE_READY_CLASS_*.
    pub ready_class: u32,
    /// PFPLANE_READY_REASON_*, a sum of bits.
    pub reasons: u32,
    /// 1 if the node may take over: its class is not PFPLANE_READY_CLASS_LOADING.
    pub ready: u8,
    /// Zero.
    pub reserved: [u8; 3],
    /// States of peers refused for lack of space since the last bulk transfer began. Some may have ended since.
    pub missing: u64,
    /// Milliseconds since the last frame of the peer that has been silent for longest, or PFPLANE_NEVER.
    pub peer_age_ms: u64,
}

impl pfplane_readiness {
    /// Writes a readiness into an output.
    pub(in super::super) fn fill(out: Option<&mut Self>, readiness: &Readiness) -> Result<i32, Failure> {
        let out = given_mut(out, "readiness_out")?;
        check_size::<Self>(out.size, "readiness_out")?;
        *out = Self {
            size: out.size,
            ready_class: readiness.class as u32,
            reasons: readiness.reasons.0,
            ready: readiness.is_ready().into(),
            reserved: [0; 3],
            missing: readiness.missing,
            peer_age_ms: match readiness.peer_age {
                Some(age) => age / 1_000_000,
                None => PFPLANE_NEVER,
            },
        };
        Ok(PFPLANE_OK)
    }
}

/// Returns whether this node may take over: it holds its peers' states, has given up on them, or has no peer. A node that
/// takes over earlier breaks the connections that it does not know yet. pfplane_engine_readiness says why it is false. It can
/// become false again: when states were refused, frames or polls missed, or a transfer is requested.
///
/// Returns: true or false; false for `NULL`.
/// Thread: any. Cost: one load.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_engine_ready(engine: Option<&pfplane_engine>) -> bool {
    guard(|| Ok(i32::from(given(engine, "engine")?.engine.ready()))) == 1
}

/// Reports whether this node may take over, and why not. As of lane 0's last pfplane_lane_poll; silence and link as of `now_ns`.
///
/// Parameters: the caller sets `readiness_out->size`.
/// Returns: PFPLANE_OK, PFPLANE_ERROR_NULL or PFPLANE_ERROR_SIZE.
/// Thread: any.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_engine_readiness(
    engine: Option<&pfplane_engine>,
    now_ns: u64,
    readiness_out: Option<&mut pfplane_readiness>,
) -> i32 {
    guard(|| {
        let readiness = given(engine, "engine")?.engine.readiness(now_ns);
        pfplane_readiness::fill(readiness_out, &readiness)
    })
}

/// How this node's states compare with those that a peer sent.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_comparison {
    /// sizeof(struct pfplane_comparison).
    pub size: u32,
    /// Streams of the peer that are compared, one for each of its lanes. 0: it is not a pfplane node (`pfplane_peer.extensions`), of
    /// an older version, or silent.
    pub streams: u32,
    /// States that differ, and still did after most of a second. They are requested, or ended.
    pub differing: u32,
    /// 1: the last comparisons found that this node holds what the peer sent. 1 if there are no streams.
    pub equal: u8,
    /// Zero.
    pub reserved: [u8; 3],
    /// This node held all that the peer had sent by then: milliseconds ago, or PFPLANE_NEVER. Messages in flight do not count.
    pub equal_age_ms: u64,
}

/// Compares this node's states with those that a peer sent. Two pfplane nodes do so twice a second: the peer sends the sum of
/// the states that each of its lanes has sent and still has, and this node adds up those that it received, as of the same
/// frame. If the sums differ, a sketch names the states. A state that only one of them has, and that is not just in flight, is
/// sent again or ended. States are compared by their ids. Frames that were lost are repaired apart from that
/// (`frames_unrepaired`).
///
/// Parameters: `peer`, its index in `pfplane_config.peers`; the caller sets `comparison_out->size`.
/// Returns: PFPLANE_OK; PFPLANE_ERROR_ARGUMENT when there is no such peer; PFPLANE_ERROR_NULL or PFPLANE_ERROR_SIZE.
/// Thread: any. As of lane 0's last pfplane_lane_poll; the age as of `now_ns`.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_engine_compare(
    engine: Option<&pfplane_engine>,
    peer: u32,
    now_ns: u64,
    comparison_out: Option<&mut pfplane_comparison>,
) -> i32 {
    guard(|| {
        let engine = &given(engine, "engine")?.engine;
        let out = given_mut(comparison_out, "comparison_out")?;
        check_size::<pfplane_comparison>(out.size, "comparison_out")?;
        let Some(found) = engine.comparison(peer as usize) else {
            let text = format_args!("peer {peer}: the engine has {}", engine.peers());
            return Err(Failure::new(PFPLANE_ERROR_ARGUMENT, text));
        };
        *out = pfplane_comparison {
            size: out.size,
            streams: found.streams,
            differing: found.differing,
            equal: (found.is_equal || found.streams == 0).into(),
            reserved: [0; 3],
            equal_age_ms: match found.equal_at {
                Some(at) => now_ns.saturating_sub(at) / 1_000_000,
                None => PFPLANE_NEVER,
            },
        };
        Ok(PFPLANE_OK)
    })
}

/// Reports frames for lane 0 that the sync port missed (DPDK: `imissed`, `rx_nombuf`) or that the host dropped. The node is
/// not ready until it has requested and received all states again. Repeated reports lead to few transfers: at first a second
/// apart, later up to four minutes.
///
/// Parameters: `frames`, those since the last report; 0 does nothing.
/// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
/// Thread: any.
///
/// # Safety
/// `engine` is `NULL` or a valid engine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_engine_frames_missed(engine: *mut pfplane_engine, frames: u64) -> i32 {
    let body = |engine: &Engine| {
        engine.frames_missed(frames);
        Ok(())
    };
    // SAFETY: NULL or valid, as this function requires too.
    unsafe { with_engine(engine, body) }
}
