//! How much one source may have.

use super::{
    Failure, PFPLANE_END, PFPLANE_ERROR_ARGUMENT, PFPLANE_OK, guard, pfplane_address, pfplane_engine, put,
    reference,
};
use crate::lane::Reason;
use crate::packet::Family;
use crate::state::{Rate, SourceLimits};

/// What sources, the senders of first packets, may have: pf.conf's max-src-* options. 0 is no limit everywhere.
///
/// A source is counted over all lanes. With replication a peer's states count to their source too, and are never refused
/// for it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct pfplane_source_limits {
    /// Sources that have a state at once (max-src-nodes): 0 to 16777215. Refused with PFPLANE_REASON_SOURCES.
    pub max_src_nodes: u32,
    /// States of one source at once (max-src-states): 0 to 16777215. Refused with PFPLANE_REASON_SOURCE_STATES.
    pub max_src_states: u32,
    /// TCP connections of one source that both sides have opened, at once (max-src-conn): 0 to 16777215. The packet that
    /// opens one too many is dropped with PFPLANE_REASON_SOURCE_CONNECTIONS, and its state ended.
    pub max_src_conn: u32,
    /// How many such connections one source may open in `max_src_conn_seconds` (max-src-conn-rate): 0 to 1000000. The
    /// packet that opens one too many is dropped with PFPLANE_REASON_SOURCE_CONNECTION_RATE, and its state ended. pf's
    /// "overload": the host may now block the source, and end its other states by pfplane_lane_state_kill.
    pub max_src_conn_rate: u32,
    /// Its seconds: 1 to 86400.
    pub max_src_conn_seconds: u32,
    /// How many states one source may make in `max_src_new_seconds`, whether anybody answers or not: 0 to 1000000.
    /// Refused with PFPLANE_REASON_SOURCE_NEW_RATE.
    pub max_src_new_rate: u32,
    /// Its seconds: 1 to 86400.
    pub max_src_new_seconds: u32,
}

impl pfplane_source_limits {
    pub(super) const fn convert(&self) -> SourceLimits {
        SourceLimits {
            sources: self.max_src_nodes,
            states: self.max_src_states,
            connections: self.max_src_conn,
            connection_rate: Rate { max: self.max_src_conn_rate, seconds: self.max_src_conn_seconds },
            new_rate: Rate { max: self.max_src_new_rate, seconds: self.max_src_new_seconds },
        }
    }
}

/// As many sources have states as the limit says.
pub const PFPLANE_REASON_SOURCES: u8 = 12;
/// The packet's source has as many states as the limit says.
pub const PFPLANE_REASON_SOURCE_STATES: u8 = 13;
/// The packet's source has opened more connections than the limit says; this one is ended.
pub const PFPLANE_REASON_SOURCE_CONNECTIONS: u8 = 14;
/// The packet's source opens connections faster than the limit says; this one is ended.
pub const PFPLANE_REASON_SOURCE_CONNECTION_RATE: u8 = 15;
/// The packet's source makes states faster than the limit says.
pub const PFPLANE_REASON_SOURCE_NEW_RATE: u8 = 16;
/// There is no room to count the packet's source, see `pfplane_config.sources`.
pub const PFPLANE_REASON_SOURCES_FULL: u8 = 17;
/// As many TCP connections are half-open as `pfplane_config.max_half_open` says.
pub const PFPLANE_REASON_HALF_OPEN: u8 = 18;

const _: () = assert!(
    PFPLANE_REASON_SOURCES == Reason::Sources as u8
        && PFPLANE_REASON_SOURCE_STATES == Reason::SourceStates as u8
        && PFPLANE_REASON_SOURCE_CONNECTIONS == Reason::SourceConnections as u8
        && PFPLANE_REASON_SOURCE_CONNECTION_RATE == Reason::SourceConnectionRate as u8
        && PFPLANE_REASON_SOURCE_NEW_RATE == Reason::SourceNewRate as u8
        && PFPLANE_REASON_SOURCES_FULL == Reason::SourcesFull as u8
        && PFPLANE_REASON_HALF_OPEN == Reason::HalfOpen as u8
);

/// How many states a source has, and how many of them are TCP connections that both sides have opened.
///
/// Parameters: `address`; `rule`, a rule with limits for sources, or UINT32_MAX for all states where there are limits over
/// all rules; `states_out` and `connections_out` may be `NULL`.
/// Returns: PFPLANE_OK, with 0 for a source that is not counted; PFPLANE_END when `pfplane_config.sources` is 0;
/// PFPLANE_ERROR_ARGUMENT for an address without a family; PFPLANE_ERROR_NULL.
/// Thread: any, while the lanes run. Cost: one hash and two cache lines.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_engine_source(
    engine: *const pfplane_engine,
    address: *const pfplane_address,
    rule: u32,
    states_out: *mut u32,
    connections_out: *mut u32,
) -> i32 {
    guard(|| {
        // SAFETY: the caller promises NULL or a valid engine.
        let engine = unsafe { reference(engine, "engine") }?;
        // SAFETY: the caller promises NULL or a valid address.
        let address = unsafe { reference(address, "address") }?;
        let family = match address.family {
            4 => Family::V4,
            6 => Family::V6,
            _ => return Err(Failure::new(PFPLANE_ERROR_ARGUMENT, "address.family is neither 4 nor 6")),
        };
        let rule = (rule != u32::MAX).then_some(rule);
        let Some((states, connections)) = engine.engine.source(address.bytes, family, rule) else {
            return Ok(PFPLANE_END);
        };
        if !states_out.is_null() {
            // SAFETY: not NULL; the caller promises room for a number.
            unsafe { put(states_out, "states_out", states) }?;
        }
        if !connections_out.is_null() {
            // SAFETY: not NULL; the caller promises room for a number.
            unsafe { put(connections_out, "connections_out", connections) }?;
        }
        Ok(PFPLANE_OK)
    })
}
