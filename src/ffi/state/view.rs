//! States: listing
//!
//! pfctl -ss, for one lane:
//!
//! ```c
//!     struct pfplane_state_view view = {.size = sizeof(view)};
//!     uint32_t cursor = 0;
//!     while (pfplane_lane_state_next(lane, now_ns, &cursor, &view) == PFPLANE_OK)
//!         print(&view);
//! ```

use super::super::{
    Failure, PFPLANE_END, PFPLANE_IN, PFPLANE_MAX_OPAQUE, PFPLANE_OK, PFPLANE_OUT, check_size, given_mut,
    pfplane_key, pfplane_lane, pfplane_side, pfplane_state, with_lane_read,
};
use crate::lane::{Lane, StateView};
use crate::packet::{Direction, Family, Key};
use crate::state::{Cold, LocalFlags, Peer};
use crate::sync::add_extra;
use crate::table::Slot;

use crate::packet::protocol::TCP;

/// One state of a lane.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_state_view {
    /// sizeof(struct pfplane_state_view).
    pub size: u32,
    /// The state's slot in this lane.
    pub slot: u32,
    /// Identity: unique among the states of one creator.
    pub id: u64,
    /// Identity: the host id of the node that created the state.
    pub creator: u32,
    /// Number of changes made on this node.
    pub version: u32,
    /// Seconds without traffic after which the state expires, whatever its timeout class; 0: by its class.
    pub timeout_s: u32,
    /// The peer that sent it: its index in `pfplane_config.peers` + 1; 0 if this node created the state.
    pub origin_peer: u8,
    /// 1: a peer sent this state.
    pub imported: u8,
    /// 1: this node passed a packet of it.
    pub local_traffic: u8,
    /// 1: its keys differ, so packets are translated.
    pub translated: u8,
    /// 1: it counts as an established connection of its source.
    pub connected: u8,
    /// Bytes in `opaque`.
    pub opaque_length: u8,
    /// 1: a peer sent fields that found no space (`pfplane_config.max_extra_per_lane`).
    pub incomplete: u8,
    /// Zero.
    pub reserved: [u8; 5],
    /// Its contents.
    pub state: pfplane_state,
    /// The host's own bytes, see `pfplane_state_options.opaque`; zero beyond their length.
    pub opaque: [u8; 64],
}

impl pfplane_key {
    fn of(key: &Key) -> Self {
        Self {
            addr: key.addr,
            port: key.port.map(|port| port.get()),
            rdomain: key.rdomain,
            family: if key.family == Family::V6 { 6 } else { 4 },
            proto: key.proto,
        }
    }
}

impl pfplane_side {
    /// Sequence numbers are meaningful for TCP only.
    fn of(peer: &Peer, state: u8, proto: u8) -> Self {
        let (none, scrub) = (Peer::default(), &peer.scrub);
        let tcp = if proto == TCP { peer } else { &none };
        Self {
            seqlo: tcp.seqlo,
            seqhi: tcp.seqhi,
            seqdiff: tcp.seqdiff,
            scrub_ts_mod: scrub.ts_mod,
            scrub_flags: scrub.flags,
            max_win: tcp.max_win,
            mss: tcp.mss,
            scrub_ttl: scrub.ttl,
            scrub_valid: scrub.valid,
            state,
            wscale: tcp.wscale,
            reserved: [0; 6],
        }
    }
}

impl pfplane_state {
    fn of(view: &StateView<'_>) -> Self {
        let (hot, track, cold) = (view.hot, view.track, view.cold);
        let mut kept = pfsync::FullState::EMPTY;
        view.extra.into_iter().for_each(|extra| add_extra(&mut kept, extra));
        let translated = hot.local.has(LocalFlags::TRANSLATED);
        let stack = if translated { &cold.stack_key } else { &hot.key };
        Self {
            key: [pfplane_key::of(&hot.key), pfplane_key::of(stack)],
            src: pfplane_side::of(&track.src, hot.peer_state[0], hot.key.proto),
            dst: pfplane_side::of(&track.dst, hot.peer_state[1], hot.key.proto),
            packets: [0, 1].map(|way| cold.packets[way] + u64::from(hot.packets[way])),
            bytes: [0, 1].map(|way| cold.bytes[way] + u64::from(hot.bytes[way])),
            ifname: cold.ifname,
            rt_addr: cold.rt_addr,
            rule: cold.rule,
            anchor: cold.anchor,
            nat_rule: cold.nat_rule,
            age_s: view.age_s,
            expire_s: view.expires_s,
            rtableid: cold.rtableid,
            state_flags: hot.pf_flags,
            max_mss: cold.max_mss,
            direction: match hot.direction() {
                Direction::In => PFPLANE_IN,
                Direction::Out => PFPLANE_OUT,
            },
            log: cold.log,
            rt: cold.rt,
            timeout: hot.timeout,
            sync_flags: cold.sync_flags,
            min_ttl: cold.min_ttl,
            set_tos: cold.set_tos,
            set_prio: cold.set_prio,
            ..Self::new(&kept)
        }
    }
}

impl pfplane_state_view {
    fn new(view: &StateView<'_>) -> Self {
        let has = |flag| u8::from(view.hot.local.has(flag));
        let bytes = view.extra.map_or(&[][..], |extra| extra.opaque.as_bytes());
        let mut opaque = [0; PFPLANE_MAX_OPAQUE];
        opaque[..bytes.len()].copy_from_slice(bytes);
        Self {
            size: size_of::<Self>() as u32,
            slot: view.slot.0,
            id: view.cold.id.id,
            creator: view.cold.id.creator,
            version: view.cold.version,
            timeout_s: view.cold.timeout_override_s,
            origin_peer: view.cold.origin_peer,
            imported: has(LocalFlags::IMPORTED),
            local_traffic: has(LocalFlags::LOCAL_TRAFFIC),
            translated: has(LocalFlags::TRANSLATED),
            connected: view.cold.connected.into(),
            opaque_length: bytes.len() as u8,
            incomplete: (view.cold.extra == Cold::LOST_EXTRA).into(),
            reserved: [0; 5],
            state: pfplane_state::of(view),
            opaque,
        }
    }

    /// Fills the struct behind an output, or reports that there is no such state.
    fn fill(out: &mut Self, view: Option<StateView<'_>>) -> i32 {
        let Some(view) = view else { return PFPLANE_END };
        *out = Self::new(&view);
        PFPLANE_OK
    }

    /// The struct behind an output.
    fn given(out: Option<&mut Self>) -> Result<&mut Self, Failure> {
        let out = given_mut(out, "view_out")?;
        check_size::<Self>(out.size, "view_out")?;
        Ok(out)
    }
}

/// Returns the lane's next state, in the order of slots. States that are created or deleted meanwhile may be missed; none is
/// returned twice.
///
/// Parameters: set `*cursor` to 0 before the first call and leave it alone between calls; the caller sets
/// `view_out->size`.
/// Returns: PFPLANE_OK; PFPLANE_END after the last; PFPLANE_ERROR_NULL, PFPLANE_ERROR_SIZE.
/// Thread: the lane's. Cost: reads three records of one state, and skips free slots.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_lane_state_next(
    lane: Option<&pfplane_lane>,
    now_ns: u64,
    cursor: Option<&mut u32>,
    view_out: Option<&mut pfplane_state_view>,
) -> i32 {
    let body = |lane: &Lane| {
        let cursor = given_mut(cursor, "cursor")?;
        let out = pfplane_state_view::given(view_out)?;
        let status = pfplane_state_view::fill(out, lane.state_from(*cursor, now_ns));
        if status == PFPLANE_OK {
            *cursor = out.slot + 1;
        }
        Ok(status)
    };
    with_lane_read(lane, body)
}

/// Returns the state in a slot of the lane, for instance a verdict's.
///
/// Parameters: the caller sets `view_out->size`.
/// Returns: PFPLANE_OK; PFPLANE_END when the slot is free; PFPLANE_ERROR_NULL, PFPLANE_ERROR_SIZE.
/// Thread: the lane's. Cost: reads three records of one state.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_lane_state_at(
    lane: Option<&pfplane_lane>,
    now_ns: u64,
    slot: u32,
    view_out: Option<&mut pfplane_state_view>,
) -> i32 {
    let body = |lane: &Lane| {
        let out = pfplane_state_view::given(view_out)?;
        Ok(pfplane_state_view::fill(out, lane.state_at(Slot(slot), now_ns)))
    };
    with_lane_read(lane, body)
}
