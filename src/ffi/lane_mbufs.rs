//! A lane's calls on DPDK's mbufs.

use super::lane::{create, look_up, not_the_sync_lane, with_lane};
use super::{
    Failure, PFPLANE_ERROR_BUFFER, PFPLANE_OK, elements, elements_mut, pfplane_burst, pfplane_lane,
    pfplane_state_options, pfplane_verdict, put,
};
use crate::lane::{Lane, PacketView};
use crate::mbuf::{self, FrameMbufs, MAX_FRAMES, RteMbuf};
use crate::packet::{Facts, Translation};
use core::mem::MaybeUninit;
use pfsync::link::Ethernet;

/// DPDK's packet buffer.
pub struct rte_mbuf;

/// DPDK's pool of buffers.
pub struct rte_mempool;

/// An mbuf as the packet path sees it.
///
/// # Safety
/// `mbuf` is a valid mbuf that nobody writes while the view lives.
unsafe fn view<'a>(mbuf: *mut rte_mbuf) -> PacketView<'a> {
    // SAFETY: the caller promises a valid mbuf that nobody writes.
    let seen = unsafe { mbuf::view(mbuf.cast::<RteMbuf>()) };
    PacketView { data: seen.data, packet_length: seen.packet_length, hash: seen.hash }
}

/// As pfplane_lane_lookup, for mbufs. Only the first segment is read, so that headers must be in it.
///
/// With `burst->trust_hash` the RSS hash of an mbuf that has one is used.
///
/// Parameters: `count`, 0 to PFPLANE_BURST_MAX; `mbufs` (none of them `NULL`) and `verdicts_out` have `count` elements.
/// Returns: as pfplane_lane_lookup.
/// Ownership: the mbufs stay the caller's. Those that pass by a translated or modulated state are rewritten in place, with
/// what their offload flags leave to the card left to it; one whose buffer another mbuf has too gets
/// PFPLANE_NOT_WRITABLE. The others are only read.
/// Thread: the lane's.
/// Cost: as pfplane_lane_lookup; no call into DPDK.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_lookup_mbufs(
    lane: *mut pfplane_lane,
    burst: *const pfplane_burst,
    mbufs: *const *mut rte_mbuf,
    count: u32,
    verdicts_out: *mut pfplane_verdict,
) -> i32 {
    let body = |lane: &mut Lane| {
        // SAFETY: the caller promises NULL or `count` pointers.
        let mbufs = unsafe { elements(mbufs, count, "mbufs") }?;
        // SAFETY: the caller promises valid mbufs that nobody writes during the call.
        let view = |place: usize| -> PacketView<'_> { unsafe { view(mbufs[place]) } };
        let rewrite = |place: usize, facts: &Facts, to: &Translation<'_>| {
            // SAFETY: the caller promises valid mbufs that nobody else uses; their views were last used before.
            unsafe { mbuf::rewrite(mbufs[place].cast::<RteMbuf>(), facts, to) }
        };
        // SAFETY: the caller promises NULL or a burst, and NULL or room for `count` verdicts.
        unsafe { look_up(lane, burst, count, view, rewrite, verdicts_out) }
    };
    // SAFETY: the caller promises NULL or a lane that only this thread uses.
    unsafe { with_lane(lane, body) }
}

/// As pfplane_lane_state_create, for an mbuf.
///
/// Ownership: the mbuf stays the caller's. It is rewritten as `options` say when it passes.
/// Thread: the lane's.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_state_create_mbuf(
    lane: *mut pfplane_lane,
    burst: *const pfplane_burst,
    mbuf: *mut rte_mbuf,
    options: *const pfplane_state_options,
    verdict_out: *mut pfplane_verdict,
) -> i32 {
    let body = |lane: &mut Lane| {
        if mbuf.is_null() {
            return Err(Failure::null("mbuf"));
        }
        // SAFETY: not NULL; the caller promises a valid mbuf that nobody writes during the call.
        let view = unsafe { view(mbuf) };
        let rewrite = |facts: &Facts, to: &Translation<'_>| {
            // SAFETY: not NULL; the caller promises a valid mbuf that nobody else uses; its view was last used before.
            unsafe { mbuf::rewrite(mbuf.cast::<RteMbuf>(), facts, to) }
        };
        // SAFETY: the caller promises that the other pointers are NULL or valid.
        unsafe { create(lane, burst, &view, options, rewrite, verdict_out) }
    };
    // SAFETY: the caller promises NULL or a lane that only this thread uses.
    unsafe { with_lane(lane, body) }
}

/// As pfplane_lane_receive, for Ethernet frames in mbufs, each in one segment. VLAN tags are read past; frames that are
/// neither IPv4 nor IPv6 are skipped.
///
/// Parameters: `mbufs` has `count` elements, none of them `NULL`.
/// Returns: PFPLANE_OK also for frames that are refused (a counter says why); PFPLANE_ERROR_LANE when this is not lane 0.
/// Ownership: the mbufs stay the caller's and are only read.
/// Thread: the lane's.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_receive_mbufs(
    lane: *mut pfplane_lane,
    mbufs: *const *mut rte_mbuf,
    count: u32,
    now_ns: u64,
) -> i32 {
    let body = |lane: &mut Lane| {
        // SAFETY: the caller promises NULL or `count` pointers.
        for mbuf in unsafe { elements(mbufs, count, "mbufs") }? {
            // SAFETY: the caller promises valid mbufs that nobody writes during the call.
            let frame = unsafe { view(*mbuf) }.data;
            let Ok((_, packet)) = Ethernet::parse(frame) else { continue };
            if !lane.receive(&frame[packet], now_ns) {
                return Err(not_the_sync_lane());
            }
        }
        Ok(PFPLANE_OK)
    };
    // SAFETY: the caller promises NULL or a lane that only this thread uses.
    unsafe { with_lane(lane, body) }
}

/// As pfplane_lane_flush, into mbufs of the host's pool: up to `capacity` frames that are due.
///
/// Call it until `count_out` is less than `capacity`. When the pool has no mbuf left, nothing is lost: the frames stay
/// due, and the statistic `onomem` counts it.
///
/// Parameters: `pool`, a pktmbuf pool whose data room holds the effective MTU and the Ethernet header; `mbufs_out`, room
/// for `capacity` pointers.
/// Returns: PFPLANE_OK with the number of frames; PFPLANE_ERROR_BUFFER when the pool's data room is too small.
/// Ownership: the mbufs given out are the caller's, to send or to free.
/// Thread: the lane's; it must be allowed to allocate from the pool.
/// Cost: one allocation from the pool for all frames.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_flush_mbufs(
    lane: *mut pfplane_lane,
    now_ns: u64,
    pool: *mut rte_mempool,
    mbufs_out: *mut *mut rte_mbuf,
    capacity: u32,
    count_out: *mut u32,
) -> i32 {
    let body = |lane: &mut Lane| {
        if pool.is_null() {
            return Err(Failure::null("pool"));
        }
        let mbufs_out = mbufs_out.cast::<MaybeUninit<*mut rte_mbuf>>();
        // SAFETY: the caller promises NULL or room for `capacity` pointers that only this call uses.
        let mbufs_out = unsafe { elements_mut(mbufs_out, capacity, "mbufs_out") }?;
        // SAFETY: not NULL; the caller promises a pool that this thread may allocate from.
        let count = unsafe { flush(lane, now_ns, pool, mbufs_out) }?;
        // SAFETY: the caller promises NULL or room for a number.
        unsafe { put(count_out, "count_out", count as u32) }?;
        Ok(PFPLANE_OK)
    };
    // SAFETY: the caller promises NULL or a lane that only this thread uses.
    unsafe { with_lane(lane, body) }
}

/// Fills mbufs with what is due; returns how many.
///
/// # Safety
/// `pool` is a valid pool that this thread may allocate from.
unsafe fn flush(
    lane: &mut Lane,
    now_ns: u64,
    pool: *mut rte_mempool,
    mbufs_out: &mut [MaybeUninit<*mut rte_mbuf>],
) -> Result<usize, Failure> {
    let mut count = 0;
    while count < mbufs_out.len() && lane.flush_due(now_ns) {
        let wanted = (mbufs_out.len() - count).min(MAX_FRAMES);
        // SAFETY: the caller promises the pool.
        let Some(mut frames) = (unsafe { FrameMbufs::allocate(pool.cast(), wanted) }) else {
            lane.count_missing_buffer();
            break;
        };
        while let Some(buffer) = frames.buffer() {
            let needed = lane.max_frame_bytes();
            if buffer.len() < needed {
                let text =
                    format!("pool: an mbuf holds {} bytes, a frame needs up to {needed}", buffer.len());
                return Err(Failure::new(PFPLANE_ERROR_BUFFER, text));
            }
            let Some(frame) = lane.flush(&mut buffer[..needed], now_ns) else { return Ok(count) };
            let mbuf = frames.finish(frame.start as u16, frame.len() as u16);
            mbufs_out[count].write(mbuf.cast());
            count += 1;
        }
    }
    Ok(count)
}

/// As pfplane_lane_unsent, for the mbufs that a port did not take.
///
/// Parameters: `mbufs` has `count` elements, none of them `NULL`, as pfplane_lane_flush_mbufs gave them out.
/// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
/// Ownership: the mbufs stay the caller's, to be freed; they are only read.
/// Thread: the lane's.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_unsent_mbufs(
    lane: *mut pfplane_lane,
    mbufs: *const *mut rte_mbuf,
    count: u32,
    now_ns: u64,
) -> i32 {
    let body = |lane: &mut Lane| {
        // SAFETY: the caller promises NULL or `count` pointers.
        for mbuf in unsafe { elements(mbufs, count, "mbufs") }? {
            // SAFETY: the caller promises valid mbufs that nobody writes during the call.
            lane.requeue_frame(unsafe { view(*mbuf) }.data, now_ns);
        }
        Ok(PFPLANE_OK)
    };
    // SAFETY: the caller promises NULL or a lane that only this thread uses.
    unsafe { with_lane(lane, body) }
}
