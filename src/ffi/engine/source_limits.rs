//! Limits per source
//!
//! A source is the sender of a connection's first packet. Its states and connections are counted over all lanes, and a
//! peer's states count too, though they are never refused. The limits are pf.conf's max-src-* options.

use super::super::{
    Failure, PFPLANE_END, PFPLANE_ERROR_ARGUMENT, PFPLANE_OK, given, guard, pfplane_address, pfplane_engine,
};
use crate::packet::Family;
use crate::state::{Rate, SourceLimits};
use core::mem::MaybeUninit;

/// What one source may have. 0 means no limit. Used in `pfplane_config` (over all rules) and in `pfplane_state_options` (per
/// rule).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct pfplane_source_limits {
    /// Sources that have a state at the same time (max-src-nodes): 0 to 16777215. Beyond it: PFPLANE_REASON_SOURCES.
    pub max_src_nodes: u32,
    /// States of one source (max-src-states): 0 to 16777215. Beyond it: PFPLANE_REASON_SOURCE_STATES.
    pub max_src_states: u32,
    /// Established TCP connections of one source (max-src-conn): 0 to 16777215. The packet that establishes one more is
    /// dropped with PFPLANE_REASON_SOURCE_CONNECTIONS, and its state is deleted.
    pub max_src_conn: u32,
    /// TCP connections that one source may establish in `max_src_conn_seconds` (max-src-conn-rate): 0 to 1000000. The packet
    /// that establishes one more is dropped with PFPLANE_REASON_SOURCE_CONNECTION_RATE, and its state is deleted. As
    /// with pf's "overload", the host may block the source and delete its other states with pfplane_lane_state_kill.
    pub max_src_conn_rate: u32,
    /// The seconds of `max_src_conn_rate`: 1 to 86400.
    pub max_src_conn_seconds: u32,
    /// States that one source may create in `max_src_new_seconds`, answered or not: 0 to 1000000. Beyond it:
    /// PFPLANE_REASON_SOURCE_NEW_RATE.
    pub max_src_new_rate: u32,
    /// The seconds of `max_src_new_rate`: 1 to 86400.
    pub max_src_new_seconds: u32,
}

impl pfplane_source_limits {
    pub(in super::super) const fn convert(&self) -> SourceLimits {
        SourceLimits {
            sources: self.max_src_nodes,
            states: self.max_src_states,
            connections: self.max_src_conn,
            connection_rate: Rate { max: self.max_src_conn_rate, seconds: self.max_src_conn_seconds },
            new_rate: Rate { max: self.max_src_new_rate, seconds: self.max_src_new_seconds },
        }
    }
}

/// Returns how many states a source has, and how many of them are established TCP connections.
///
/// Parameters: `rule`, a rule with limits, or UINT32_MAX for the limits over all rules; `states_out` and
/// `connections_out` may be `NULL`.
/// Returns: PFPLANE_OK, with 0 and 0 for a source that is not counted; PFPLANE_END when `pfplane_config.max_sources` is 0;
/// PFPLANE_ERROR_ARGUMENT for an address without a family; PFPLANE_ERROR_NULL.
/// Thread: any. Cost: one hash and two cache lines.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_engine_source(
    engine: Option<&pfplane_engine>,
    address: Option<&pfplane_address>,
    rule: u32,
    states_out: Option<&mut MaybeUninit<u32>>,
    connections_out: Option<&mut MaybeUninit<u32>>,
) -> i32 {
    guard(|| {
        let engine = given(engine, "engine")?;
        let address = given(address, "address")?;
        let family = match address.family {
            4 => Family::V4,
            6 => Family::V6,
            _ => return Err(Failure::new(PFPLANE_ERROR_ARGUMENT, "address.family is neither 4 nor 6")),
        };
        let rule = (rule != u32::MAX).then_some(rule);
        let Some((states, connections)) = engine.engine.source(address.bytes, family, rule) else {
            return Ok(PFPLANE_END);
        };
        if let Some(out) = states_out {
            out.write(states);
        }
        if let Some(out) = connections_out {
            out.write(connections);
        }
        Ok(PFPLANE_OK)
    })
}
