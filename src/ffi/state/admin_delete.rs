//! States: deletion by an operator
//!
//! pfctl -k and -F. Peers get a delete message for each state. pfplane_engine_clear deletes all states of all lanes.

use super::super::{
    Failure, PFPLANE_END, PFPLANE_ERROR_ARGUMENT, PFPLANE_OK, check_size, given, given_mut, pfplane_burst,
    pfplane_facts, pfplane_lane, unknown, with_lane,
};
use crate::lane::{Lane, Prefix, StateFilter};
use crate::packet::Family;
use crate::state::StateId;
use core::mem::MaybeUninit;

// enum pfplane_filter_field: Which fields of `pfplane_state_filter` apply.
/// `family` applies.
pub const PFPLANE_FILTER_FAMILY: u32 = 0x0001;
/// `proto` applies.
pub const PFPLANE_FILTER_PROTO: u32 = 0x0002;
/// `source` and `source_prefix` apply.
pub const PFPLANE_FILTER_SOURCE: u32 = 0x0004;
/// `destination` and `destination_prefix` apply.
pub const PFPLANE_FILTER_DESTINATION: u32 = 0x0008;
/// `source_port` applies.
pub const PFPLANE_FILTER_SOURCE_PORT: u32 = 0x0010;
/// `destination_port` applies.
pub const PFPLANE_FILTER_DESTINATION_PORT: u32 = 0x0020;
/// `rule` applies.
pub const PFPLANE_FILTER_RULE: u32 = 0x0040;
/// `ifname` applies.
pub const PFPLANE_FILTER_IFNAME: u32 = 0x0080;
/// `creator` applies.
pub const PFPLANE_FILTER_CREATOR: u32 = 0x0100;

/// `rdomain` applies.
pub const PFPLANE_FILTER_RDOMAIN: u32 = 0x0200;

const KNOWN: u32 = 0x03ff;

/// Selects the states that match every field that applies. Addresses and ports are compared with both keys of a translated
/// state; one match is enough.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_state_filter {
    /// sizeof(struct pfplane_state_filter).
    pub size: u32,
    /// PFPLANE_FILTER_*: the fields that apply. 0 selects all states.
    pub fields: u32,
    /// Address of the side that sent the first packet, network order; IPv4 in the first 4 bytes.
    pub source: [u8; 16],
    /// Address of the other side, network order; IPv4 in the first 4 bytes.
    pub destination: [u8; 16],
    /// The interface that the state is bound to, padded with NUL.
    pub ifname: [u8; 16],
    /// The rule's number.
    pub rule: u32,
    /// The host id of the node that created the state.
    pub creator: u32,
    /// Port of the side that sent the first packet, host order.
    pub source_port: u16,
    /// Port of the other side, host order.
    pub destination_port: u16,
    /// 4 or 6. Give it with an address.
    pub family: u8,
    /// IP protocol number.
    pub proto: u8,
    /// Prefix length of `source`: 0 to 128.
    pub source_prefix: u8,
    /// Prefix length of `destination`: 0 to 128.
    pub destination_prefix: u8,
    /// Routing domain (VRF), compared with both keys of a translated state.
    pub rdomain: u16,
    /// Zero.
    pub reserved: [u8; 2],
}

impl pfplane_state_filter {
    fn convert(&self) -> Result<StateFilter, Failure> {
        check_size::<Self>(self.size, "filter")?;
        if self.fields & !KNOWN != 0 {
            let text = format_args!("filter.fields is {:#x}, the known flags are {KNOWN:#x}", self.fields);
            return Err(Failure::new(PFPLANE_ERROR_ARGUMENT, text));
        }
        let applies = |field| self.fields & field != 0;
        let family = match self.family {
            _ if !applies(PFPLANE_FILTER_FAMILY) => None,
            4 => Some(Family::V4),
            6 => Some(Family::V6),
            other => return Err(unknown("filter.family", other)),
        };
        let prefix = |field, address, bits| applies(field).then_some(Prefix { address, bits });
        Ok(StateFilter {
            family,
            proto: applies(PFPLANE_FILTER_PROTO).then_some(self.proto),
            source: prefix(PFPLANE_FILTER_SOURCE, self.source, self.source_prefix),
            destination: prefix(PFPLANE_FILTER_DESTINATION, self.destination, self.destination_prefix),
            source_port: applies(PFPLANE_FILTER_SOURCE_PORT).then_some(self.source_port),
            destination_port: applies(PFPLANE_FILTER_DESTINATION_PORT).then_some(self.destination_port),
            rule: applies(PFPLANE_FILTER_RULE).then_some(self.rule),
            ifname: applies(PFPLANE_FILTER_IFNAME).then_some(self.ifname),
            creator: applies(PFPLANE_FILTER_CREATOR).then_some(self.creator),
            rdomain: applies(PFPLANE_FILTER_RDOMAIN).then_some(self.rdomain),
        })
    }
}

/// Deletes one state by its identity (pfctl -k id).
///
/// Parameters: `id` and `creator` as in `pfplane_state_view`.
/// Returns: PFPLANE_OK; PFPLANE_END when this lane has no such state; PFPLANE_ERROR_NULL.
/// Thread: the lane's. Cost: one lookup.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_lane_state_kill_id(
    lane: Option<&mut pfplane_lane>,
    now_ns: u64,
    id: u64,
    creator: u32,
) -> i32 {
    let body = |lane: &mut Lane| {
        let killed = lane.delete_id(StateId { id, creator }, now_ns);
        Ok(if killed { PFPLANE_OK } else { PFPLANE_END })
    };
    with_lane(lane, body)
}

/// Deletes the state that packets with these addresses and ports belong to (pfctl -k key).
///
/// Parameters: `burst` gives the direction, the routing domain and the time; of `facts`, the fields of the key are read: family, proto, kind,
/// addresses and ports. Either direction of the connection matches, and either side of a translated one, each with its
/// direction.
/// Returns: PFPLANE_OK; PFPLANE_END when this lane has no such state; PFPLANE_ERROR_ARGUMENT for facts that contradict each
/// other.
/// Thread: the lane's. Cost: one lookup.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_lane_state_kill_key(
    lane: Option<&mut pfplane_lane>,
    burst: Option<&pfplane_burst>,
    facts: Option<&pfplane_facts>,
) -> i32 {
    let body = |lane: &mut Lane| {
        let burst = given(burst, "burst")?.burst()?;
        let facts = given(facts, "facts")?;
        facts.check(0)?;
        let mut key = facts.facts(burst.direction).key;
        key.put_in(burst.rdomain);
        let killed = lane.delete_key(&key, burst.direction, burst.now);
        Ok(if killed { PFPLANE_OK } else { PFPLANE_END })
    };
    with_lane(lane, body)
}

/// Deletes the lane's states that a filter selects (pfctl -k), a bounded number of slots per call. Between the calls the lane
/// continues with packets and frames. When no more delete messages can be queued, a call ends early, and the next one continues
/// once frames were flushed.
///
/// Parameters: set `*cursor` to 0 before the first call and leave it alone between calls; `max_slots`, the slots that this call
/// examines.
/// Returns: PFPLANE_OK, call again; PFPLANE_END, all slots were examined. Both write how many states this call deleted.
/// Thread: the lane's. Cost: one cache line per slot.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_lane_state_kill(
    lane: Option<&mut pfplane_lane>,
    now_ns: u64,
    filter: Option<&pfplane_state_filter>,
    max_slots: u32,
    cursor: Option<&mut u32>,
    killed_out: Option<&mut MaybeUninit<u32>>,
) -> i32 {
    let body = |lane: &mut Lane| {
        let filter = given(filter, "filter")?.convert()?;
        let cursor = given_mut(cursor, "cursor")?;
        let killed_out = given_mut(killed_out, "killed_out")?;
        let (killed, next) = lane.delete_matching(&filter, *cursor, max_slots, now_ns);
        killed_out.write(killed);
        *cursor = next.unwrap_or(0);
        Ok(if next.is_some() { PFPLANE_OK } else { PFPLANE_END })
    };
    with_lane(lane, body)
}
