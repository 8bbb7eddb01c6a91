//! What a host can see of a state.

use super::lane::with_lane;
use super::{Failure, PFPLANE_END, PFPLANE_OK, check_size, exclusive, pfplane_lane};
use crate::lane::{Lane, StateView};
use crate::packet::protocol::TCP;
use crate::packet::{Direction, Family, Key};
use crate::state::{LocalFlags, Peer};
use crate::table::Slot;

/// One state as `pfctl -vv -ss` would show it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_state_view {
    /// sizeof(struct pfplane_state_view).
    pub size: u32,
    /// The state's place in this lane.
    pub slot: u32,
    /// Identity: unique among the states of one creator.
    pub id: u64,
    /// Identity: the host id of the node that made the state.
    pub creator: u32,
    /// 4 or 6.
    pub family: u8,
    /// IP protocol number.
    pub proto: u8,
    /// PFPLANE_IN or PFPLANE_OUT: the way of the first packet.
    pub direction: u8,
    /// pf's timeout class.
    pub timeout: u8,
    /// The wire key's addresses, network order, IPv4 in the first four bytes; slot 0 is the host out there.
    pub addr: [[u8; 16]; 2],
    /// The wire key's ports, host order. Of an ICMP query identifier and type.
    pub port: [u16; 2],
    /// pf's state numbers: the side that sent the first packet, and the other.
    pub peer_state: [u8; 2],
    /// pf's state flags.
    pub pf_flags: u16,
    /// The rule's number, UINT32_MAX for none.
    pub rule: u32,
    /// Seconds since the state was made.
    pub age_s: u32,
    /// Seconds until it ends without traffic.
    pub expires_s: u32,
    /// Counts the changes made on this node.
    pub version: u32,
    /// Packets: the first packet's way, and the other.
    pub packets: [u64; 2],
    /// Bytes: the first packet's way, and the other.
    pub bytes: [u64; 2],
    /// 1 when a peer told of this state.
    pub imported: u8,
    /// 1 when this node passed a packet of it.
    pub local_traffic: u8,
    /// 1 when its keys differ, and so packets are translated.
    pub translated: u8,
    /// The stack key's family, 4 or 6.
    pub stack_family: u8,
    /// The stack key's IP protocol number.
    pub stack_proto: u8,
    /// Number of the peer that told of it, from 1 on; 0 when it was made here.
    pub origin_peer: u8,
    /// Window scales of the side that sent the first packet and of the other: 0x80 and the shift, 0 where there is none.
    pub wscale: [u8; 2],
    /// The interface that it is bound to, NUL-terminated; "all" is a floating state.
    pub ifname: [u8; 16],
    /// The stack key's addresses: the same as the wire key's when nothing is translated.
    pub stack_addr: [[u8; 16]; 2],
    /// The stack key's ports.
    pub stack_port: [u16; 2],
    /// TCP: the end of what the first packet's side has sent, and of what the other has. So below.
    pub seqlo: [u32; 2],
    /// TCP: the end of what a side may send.
    pub seqhi: [u32; 2],
    /// TCP: what is added to a side's numbers, 0 for nothing.
    pub seqdiff: [u32; 2],
    /// TCP: a side's greatest window, unscaled.
    pub max_win: [u16; 2],
    /// Anchor number, UINT32_MAX for none.
    pub anchor: u32,
    /// Seconds without traffic after which the state ends, whatever its class; 0: by its class.
    pub timeout_s: u32,
    /// Routing tables of the wire and the stack side, -1 for none.
    pub rtableid: [i32; 2],
    /// Next hop of route-to and reply-to.
    pub rt_addr: [u8; 16],
    /// Scrub: the segment size at most, 0 for none.
    pub max_mss: u16,
    /// Route kind in OpenBSD's numbers: 0 none, 1 route-to, 2 dup-to, 3 reply-to.
    pub rt: u8,
    /// Log flags.
    pub log: u8,
    /// Scrub: TTL at least.
    pub min_ttl: u8,
    /// Scrub: TOS, 0 for none.
    pub set_tos: u8,
    /// Scrub: priorities.
    pub set_prio: [u8; 2],
    /// The translation rule's number, UINT32_MAX for none.
    pub nat_rule: u32,
    /// Scrub, of the first packet's side and of the other: what is added to its TCP timestamps; of FreeBSD's SCTP states its
    /// verification tag.
    pub scrub_ts_mod: [u32; 2],
    /// Scrub: pf's flags of a side, of which peers tell timestamp modulation (1).
    pub scrub_flags: [u16; 2],
    /// TCP: a side's greatest segment, where pf's syn-proxy keeps it; 0 for none.
    pub mss: [u16; 2],
    /// Routing domains of the wire and the stack key.
    pub rdomain: [u16; 2],
    /// Scrub: the highest TTL or hop limit seen from a side.
    pub scrub_ttl: [u8; 2],
    /// Scrub: 1 when a side has such a record.
    pub scrub_valid: [u8; 2],
    /// pf's sync flags: 4, the state is counted to its source (pfctl: "source-track"); 8, so is its translation
    /// ("sticky-address").
    pub sync_flags: u8,
    /// 1 when it counts to its source as an open connection.
    pub connected: u8,
    /// Zero.
    pub reserved: [u8; 2],
}

fn family(key: &Key) -> u8 {
    if key.family == Family::V6 { 6 } else { 4 }
}

impl pfplane_state_view {
    fn new(view: &StateView<'_>) -> Self {
        let (hot, track, cold) = (view.hot, view.track, view.cold);
        let translated = hot.local.has(LocalFlags::TRANSLATED);
        let stack = if translated { &cold.stack_key } else { &hot.key };
        let peers = [track.src, track.dst];
        let sides = if hot.key.proto == TCP { peers } else { [Peer::default(); 2] };
        Self {
            size: size_of::<Self>() as u32,
            slot: view.slot.0,
            id: cold.id.id,
            creator: cold.id.creator,
            family: family(&hot.key),
            proto: hot.key.proto,
            direction: match hot.direction() {
                Direction::In => super::PFPLANE_IN,
                Direction::Out => super::PFPLANE_OUT,
            },
            timeout: hot.timeout,
            addr: hot.key.addr,
            port: hot.key.port.map(|port| port.get()),
            peer_state: hot.peer_state,
            pf_flags: hot.pf_flags,
            rule: cold.rule,
            age_s: view.age_s,
            expires_s: view.expires_s,
            version: cold.version,
            packets: [0, 1].map(|way| cold.packets[way] + u64::from(hot.packets[way])),
            bytes: [0, 1].map(|way| cold.bytes[way] + u64::from(hot.bytes[way])),
            imported: u8::from(hot.local.has(LocalFlags::IMPORTED)),
            local_traffic: u8::from(hot.local.has(LocalFlags::LOCAL_TRAFFIC)),
            translated: translated.into(),
            stack_family: family(stack),
            stack_proto: stack.proto,
            origin_peer: cold.origin_peer,
            wscale: sides.map(|side| side.wscale),
            ifname: cold.ifname,
            stack_addr: stack.addr,
            stack_port: stack.port.map(|port| port.get()),
            seqlo: sides.map(|side| side.seqlo),
            seqhi: sides.map(|side| side.seqhi),
            seqdiff: sides.map(|side| side.seqdiff),
            max_win: sides.map(|side| side.max_win),
            anchor: cold.anchor,
            timeout_s: cold.timeout_override_s,
            rtableid: cold.rtableid,
            rt_addr: cold.rt_addr,
            max_mss: cold.max_mss,
            rt: cold.rt,
            log: cold.log,
            min_ttl: cold.min_ttl,
            set_tos: cold.set_tos,
            set_prio: cold.set_prio,
            nat_rule: cold.nat_rule,
            scrub_ts_mod: peers.map(|peer| peer.scrub.ts_mod),
            scrub_flags: peers.map(|peer| peer.scrub.flags),
            mss: sides.map(|side| side.mss),
            rdomain: [hot.key.rdomain, stack.rdomain],
            scrub_ttl: peers.map(|peer| peer.scrub.ttl),
            scrub_valid: peers.map(|peer| peer.scrub.valid),
            sync_flags: cold.sync_flags,
            connected: cold.connected.into(),
            reserved: [0; 2],
        }
    }
}

/// Gives the lane's next state. The walk goes by place, so states made or ended meanwhile may be missed, none comes twice.
///
/// Parameters: `*cursor` is 0 at first and then left alone; `view_out->size` is set by the caller.
/// Returns: PFPLANE_OK; PFPLANE_END when there is none left.
/// Thread: the lane's. Cost: reads the hot and the cold record of one state, and skips free places.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_state_next(
    lane: *mut pfplane_lane,
    now_ns: u64,
    cursor: *mut u32,
    view_out: *mut pfplane_state_view,
) -> i32 {
    let body = |lane: &mut Lane| -> Result<i32, Failure> {
        // SAFETY: the caller promises NULL or a number that only this call uses.
        let cursor = unsafe { exclusive(cursor, "cursor") }?;
        // SAFETY: the caller promises NULL or a struct that only this call uses.
        let view_out = unsafe { exclusive(view_out, "view_out") }?;
        check_size::<pfplane_state_view>(view_out.size, "view_out")?;
        let Some(view) = lane.state_from(*cursor, now_ns) else {
            return Ok(PFPLANE_END);
        };
        *cursor = view.slot.0 + 1;
        *view_out = pfplane_state_view::new(&view);
        Ok(PFPLANE_OK)
    };
    // SAFETY: the caller promises NULL or a lane that only this thread uses.
    unsafe { with_lane(lane, body) }
}

/// Gives the state at a place of the lane, for instance that of a verdict.
///
/// Parameters: `view_out->size` is set by the caller.
/// Returns: PFPLANE_OK; PFPLANE_END when there is none.
/// Thread: the lane's. Cost: reads the records of one state.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_state_at(
    lane: *mut pfplane_lane,
    now_ns: u64,
    slot: u32,
    view_out: *mut pfplane_state_view,
) -> i32 {
    let body = |lane: &mut Lane| -> Result<i32, Failure> {
        // SAFETY: the caller promises NULL or a struct that only this call uses.
        let view_out = unsafe { exclusive(view_out, "view_out") }?;
        check_size::<pfplane_state_view>(view_out.size, "view_out")?;
        let Some(view) = lane.state_at(Slot(slot), now_ns) else {
            return Ok(PFPLANE_END);
        };
        *view_out = pfplane_state_view::new(&view);
        Ok(PFPLANE_OK)
    };
    // SAFETY: the caller promises NULL or a lane that only this thread uses.
    unsafe { with_lane(lane, body) }
}
