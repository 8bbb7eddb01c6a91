//! Lane: pfsync frames
//!
//! Every lane builds frames about its own states; flush them after each burst and send them on the sync port. Lane 0
//! receives all frames from the sync port and passes states to the lanes that own them.

use super::super::{
    Failure, PFPLANE_ERROR_FULL, PFPLANE_ERROR_LANE, PFPLANE_OK, elements, given_mut, out_buffer,
    pfplane_lane, unknown,
};
use super::with_lane;
use crate::lane::Lane;
use core::mem::MaybeUninit;

/// Receives one pfsync packet (IP protocol 240) from the sync port, starting at its IP header. The host has checked the
/// Ethernet header; pfplane_lane_receive_frame checks it against the peers' settings.
///
/// Returns: PFPLANE_OK, also for a packet that is refused (a statistic counts why); PFPLANE_ERROR_FULL when messages in it were
/// lost, because the other lanes do not keep up (`messages_lost`); PFPLANE_ERROR_LANE when this is not lane 0;
/// PFPLANE_ERROR_NULL.
/// Thread: the lane's.
///
/// # Safety
/// `ip_packet` has `length` bytes that nobody writes during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_receive(
    lane: Option<&mut pfplane_lane>,
    ip_packet: *const u8,
    length: u32,
    now_ns: u64,
) -> i32 {
    let body = |lane: &mut Lane| {
        // SAFETY: `length` readable bytes, which the lane copies what it needs of.
        let packet = unsafe { elements(ip_packet, length, "ip_packet") }?;
        let is_sync_lane = lane.receive(packet, now_ns);
        received(lane, is_sync_lane)
    };
    with_lane(lane, body)
}

/// `stripped_tag` of pfplane_lane_receive_frame: the NIC has removed no VLAN tag.
pub const PFPLANE_NO_TAG: u32 = u32::MAX;

/// Receives one Ethernet frame from the sync port. A frame is refused unless it is in the VLAN of a peer and addressed to us or to
/// the multicast group, as `pfplane_peer.vlan`, `ethernet_source` and `destination` say; peers without `ethernet` accept any
/// header. A frame that is neither IPv4 nor IPv6 is ignored.
///
/// Parameters: `frame` with `length` bytes; `stripped_tag`, the VLAN tag that the NIC has removed from it, or PFPLANE_NO_TAG.
/// Returns: PFPLANE_OK, also for a frame that is refused (a statistic counts why: `badvlan`, `badmac`, ...); PFPLANE_ERROR_FULL,
/// PFPLANE_ERROR_LANE and PFPLANE_ERROR_NULL as pfplane_lane_receive; PFPLANE_ERROR_ARGUMENT for a tag above 65535.
/// Thread: the lane's.
///
/// # Safety
/// `frame` has `length` bytes that nobody writes during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_receive_frame(
    lane: Option<&mut pfplane_lane>,
    frame: *const u8,
    length: u32,
    stripped_tag: u32,
    now_ns: u64,
) -> i32 {
    let body = |lane: &mut Lane| {
        // SAFETY: `length` readable bytes, used until the call returns.
        let frame = unsafe { elements(frame, length, "frame") }?;
        let tag = match (stripped_tag, u16::try_from(stripped_tag)) {
            (PFPLANE_NO_TAG, _) => None,
            (_, Ok(tag)) => Some(tag),
            _ => return Err(unknown("stripped_tag", stripped_tag)),
        };
        let is_sync_lane = lane.receive_frame(frame, tag.as_slice(), now_ns);
        received(lane, is_sync_lane)
    };
    with_lane(lane, body)
}

/// The status of a call that has received frames.
pub(super) fn received(lane: &mut Lane, is_sync_lane: bool) -> Result<i32, Failure> {
    if !is_sync_lane {
        return Err(Failure::new(PFPLANE_ERROR_LANE, "only lane 0 receives pfsync packets"));
    }
    if lane.take_lost() {
        return Err(Failure::new(
            PFPLANE_ERROR_FULL,
            "messages were lost: the other lanes are not polled in time",
        ));
    }
    Ok(PFPLANE_OK)
}

/// Writes the next frame that is due, starting at its Ethernet header if `pfplane_peer.ethernet` is 1, otherwise at its IP header.
/// Call it until `length_out` is 0.
///
/// Parameters: `capacity`, the bytes of `buffer`: at least pfplane_engine_mtu, plus 18 if a peer has an Ethernet header.
/// Returns: PFPLANE_OK with the frame's length, 0 when none is due; PFPLANE_ERROR_BUFFER when `capacity` is too small;
/// PFPLANE_ERROR_NULL.
/// Thread: the lane's. Cost: no allocation.
///
/// # Safety
/// `buffer` has `capacity` bytes that nobody else uses during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_flush(
    lane: Option<&mut pfplane_lane>,
    now_ns: u64,
    buffer: *mut u8,
    capacity: u32,
    length_out: Option<&mut MaybeUninit<u32>>,
) -> i32 {
    let body = |lane: &mut Lane| {
        // SAFETY: `capacity` is the buffer's length, and only this call uses it.
        let buffer = unsafe { out_buffer(buffer, capacity, lane.max_frame_bytes()) }?;
        let out = given_mut(length_out, "length_out")?;
        let frame = lane.flush(buffer, now_ns).unwrap_or(0..0);
        out.write(frame.len() as u32);
        buffer.copy_within(frame, 0);
        Ok(PFPLANE_OK)
    };
    with_lane(lane, body)
}

/// Requeues the contents of a frame that could not be sent. Nothing more is due for a millisecond then. Without this call, the
/// peers miss what was in the frame until its states change again.
///
/// Parameters: `frame` with `length` bytes, as pfplane_lane_flush wrote it.
/// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL. The statistic `oerrors` counts the frames.
/// Thread: the lane's. Cost: as receiving the frame.
///
/// # Safety
/// `frame` has `length` bytes that nobody writes during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_requeue(
    lane: Option<&mut pfplane_lane>,
    frame: *const u8,
    length: u32,
    now_ns: u64,
) -> i32 {
    let body = |lane: &mut Lane| {
        // SAFETY: the frame's bytes are only read, and only until this call returns.
        lane.requeue_frame(unsafe { elements(frame, length, "frame") }?, now_ns);
        Ok(PFPLANE_OK)
    };
    with_lane(lane, body)
}
