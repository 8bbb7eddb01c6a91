//! States that an operator ends.

use super::lane::with_lane;
use super::packet::unknown;
use super::{
    Failure, PFPLANE_END, PFPLANE_ERROR_ARGUMENT, PFPLANE_OK, check_size, exclusive, pfplane_burst,
    pfplane_facts, pfplane_lane, put, reference,
};
use crate::lane::{Lane, Prefix, StateFilter};
use crate::packet::Family;
use crate::state::StateId;

/// `pfplane_state_filter.family` counts.
pub const PFPLANE_FILTER_FAMILY: u32 = 0x0001;
/// `pfplane_state_filter.proto` counts.
pub const PFPLANE_FILTER_PROTO: u32 = 0x0002;
/// `pfplane_state_filter.source` and `.source_bits` count.
pub const PFPLANE_FILTER_SOURCE: u32 = 0x0004;
/// `pfplane_state_filter.destination` and `.destination_bits` count.
pub const PFPLANE_FILTER_DESTINATION: u32 = 0x0008;
/// `pfplane_state_filter.source_port` counts.
pub const PFPLANE_FILTER_SOURCE_PORT: u32 = 0x0010;
/// `pfplane_state_filter.destination_port` counts.
pub const PFPLANE_FILTER_DESTINATION_PORT: u32 = 0x0020;
/// `pfplane_state_filter.rule` counts.
pub const PFPLANE_FILTER_RULE: u32 = 0x0040;
/// `pfplane_state_filter.ifname` counts.
pub const PFPLANE_FILTER_IFNAME: u32 = 0x0080;
/// `pfplane_state_filter.creator` counts.
pub const PFPLANE_FILTER_CREATOR: u32 = 0x0100;

const KNOWN: u32 = 0x01ff;

/// Which states are meant: those that every part that counts fits. Addresses and ports are compared with both keys of a
/// translated state, and fit when those of one do.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_state_filter {
    /// sizeof(struct pfplane_state_filter).
    pub size: u32,
    /// PFPLANE_FILTER_*: the parts that count. 0 means all states.
    pub parts: u32,
    /// Address of the side that sent the first packet, network order; IPv4 in the first four bytes.
    pub source: [u8; 16],
    /// Address of the other side.
    pub destination: [u8; 16],
    /// The interface that the state is bound to, padded with NUL.
    pub ifname: [u8; 16],
    /// The rule's number.
    pub rule: u32,
    /// The host id of the node that made the state.
    pub creator: u32,
    /// Host order.
    pub source_port: u16,
    /// Host order.
    pub destination_port: u16,
    /// 4 or 6. Give it with an address.
    pub family: u8,
    /// IP protocol number.
    pub proto: u8,
    /// Bits of `source` that count: 0 to 128.
    pub source_bits: u8,
    /// Bits of `destination` that count: 0 to 128.
    pub destination_bits: u8,
}

impl pfplane_state_filter {
    fn convert(&self) -> Result<StateFilter, Failure> {
        check_size::<Self>(self.size, "filter")?;
        if self.parts & !KNOWN != 0 {
            let text = format!("filter.parts is {:#x}, known bits are {KNOWN:#x}", self.parts);
            return Err(Failure::new(PFPLANE_ERROR_ARGUMENT, text));
        }
        let counts = |part| self.parts & part != 0;
        let family = match self.family {
            _ if !counts(PFPLANE_FILTER_FAMILY) => None,
            4 => Some(Family::V4),
            6 => Some(Family::V6),
            other => return Err(unknown("filter.family", other)),
        };
        let prefix = |part, address, bits| counts(part).then_some(Prefix { address, bits });
        Ok(StateFilter {
            family,
            proto: counts(PFPLANE_FILTER_PROTO).then_some(self.proto),
            source: prefix(PFPLANE_FILTER_SOURCE, self.source, self.source_bits),
            destination: prefix(PFPLANE_FILTER_DESTINATION, self.destination, self.destination_bits),
            source_port: counts(PFPLANE_FILTER_SOURCE_PORT).then_some(self.source_port),
            destination_port: counts(PFPLANE_FILTER_DESTINATION_PORT).then_some(self.destination_port),
            rule: counts(PFPLANE_FILTER_RULE).then_some(self.rule),
            ifname: counts(PFPLANE_FILTER_IFNAME).then_some(self.ifname),
            creator: counts(PFPLANE_FILTER_CREATOR).then_some(self.creator),
        })
    }
}

/// Ends one state by its identity (pfctl -k id) and tells the peers.
///
/// Parameters: `id` and `creator` as `pfplane_state_view` shows them.
/// Returns: PFPLANE_OK; PFPLANE_END when this lane has no such state.
/// Thread: the lane's. Cost: one lookup.
///
/// # Safety
/// `lane` is NULL, or valid and used by this thread alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_state_kill_id(
    lane: *mut pfplane_lane,
    now_ns: u64,
    id: u64,
    creator: u32,
) -> i32 {
    let body = |lane: &mut Lane| {
        let killed = lane.delete_id(StateId { id, creator }, now_ns);
        Ok(if killed { PFPLANE_OK } else { PFPLANE_END })
    };
    // SAFETY: the caller promises NULL or a lane that only this thread uses.
    unsafe { with_lane(lane, body) }
}

/// Ends the state that packets with these addresses and ports belong to (pfctl -k key), and tells the peers.
///
/// Parameters: `burst`, whose direction and time count; `facts` as for pfplane_lane_lookup_facts, of which those fields are
/// read that make up the key: family, proto, kind, addresses and ports. Either way of the connection will do, and of a
/// translated one either side, each with its direction.
/// Returns: PFPLANE_OK; PFPLANE_END when this lane has no such state; PFPLANE_ERROR_ARGUMENT for facts that contradict
/// themselves.
/// Thread: the lane's. Cost: one lookup.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_state_kill_key(
    lane: *mut pfplane_lane,
    burst: *const pfplane_burst,
    facts: *const pfplane_facts,
) -> i32 {
    let body = |lane: &mut Lane| {
        // SAFETY: the caller promises NULL or a valid burst.
        let burst = unsafe { reference(burst, "burst") }?.burst()?;
        // SAFETY: the caller promises NULL or valid facts.
        let facts = unsafe { reference(facts, "facts") }?;
        facts.check(0)?;
        let facts = facts.facts(burst.direction);
        let killed = lane.delete_key(&facts.key, burst.direction, burst.now);
        Ok(if killed { PFPLANE_OK } else { PFPLANE_END })
    };
    // SAFETY: the caller promises NULL or a lane that only this thread uses.
    unsafe { with_lane(lane, body) }
}

/// Ends the lane's states that a filter means (pfctl -k), some places of the table a call, and tells the peers.
///
/// Between calls the lane goes on with packets and frames: when no more deletes can be noted, a call ends early and the next
/// one goes on once frames have left.
///
/// Parameters: `*cursor` is 0 at first and then left alone; `places`, how many are looked at in this call.
/// Returns: PFPLANE_OK with the number of states ended in this call, to be called again; PFPLANE_END likewise, when that
/// were all.
/// Thread: the lane's. Cost: one line of memory a place.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_state_kill(
    lane: *mut pfplane_lane,
    now_ns: u64,
    filter: *const pfplane_state_filter,
    places: u32,
    cursor: *mut u32,
    killed_out: *mut u32,
) -> i32 {
    let body = |lane: &mut Lane| {
        // SAFETY: the caller promises NULL or a valid filter.
        let filter = unsafe { reference(filter, "filter") }?.convert()?;
        // SAFETY: the caller promises NULL or a number that only this call uses.
        let cursor = unsafe { exclusive(cursor, "cursor") }?;
        if killed_out.is_null() {
            return Err(Failure::null("killed_out"));
        }
        let (killed, next) = lane.delete_matching(&filter, *cursor, places, now_ns);
        // SAFETY: not NULL; the caller promises room for a number.
        unsafe { put(killed_out, "killed_out", killed) }?;
        *cursor = next.unwrap_or(0);
        Ok(if next.is_some() { PFPLANE_OK } else { PFPLANE_END })
    };
    // SAFETY: the caller promises NULL or a lane that only this thread uses.
    unsafe { with_lane(lane, body) }
}
