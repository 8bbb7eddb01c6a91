//! Lane: held packets (pf's defer)
//!
//! With `pfplane_config.max_defer_ms`, the first packet of a connection leaves only when a peer has its state, so that no
//! established connection is unknown to the peer. The host keeps the packets; the lane keeps a number for each.

use super::super::{Failure, PFPLANE_ERROR_FULL, PFPLANE_OK, elements_mut, given_mut, guard, pfplane_lane};
use super::with_lane;
use crate::lane::Lane;
use crate::table::Slot;
use core::mem::MaybeUninit;

/// Holds a packet whose verdict was PFPLANE_HELD. The lane keeps only its number, for instance an mbuf's address, and returns
/// it once through pfplane_lane_release: when a peer has the state, after `max_defer_ms`, when the state ends, or when more than
/// `pfplane_config.max_deferred` states have held packets. Packets of one state are released in the order in which they were
/// held.
///
/// Parameters: `slot`, the verdict's; `handle`, any number.
/// Returns: PFPLANE_OK; PFPLANE_ERROR_FULL when the packet cannot be held: the host sends it now; PFPLANE_ERROR_NULL.
/// Ownership: the packet stays the host's.
/// Thread: the lane's. Cost: no allocation.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_lane_hold(lane: Option<&mut pfplane_lane>, slot: u32, handle: u64) -> i32 {
    let body = |lane: &mut Lane| match lane.hold(Slot(slot), handle) {
        Ok(()) => Ok(PFPLANE_OK),
        Err(_) => Err(Failure::new(PFPLANE_ERROR_FULL, "no packet can be held for this state")),
    };
    with_lane(lane, body)
}

/// Returns the numbers of held packets that are released; the host sends these packets, in this order. Call it after every
/// pfplane_lane_poll and pfplane_lane_receive, until `count_out` is less than `capacity`. It also works on a lane that is out
/// of use after PFPLANE_ERROR_PANIC.
///
/// Parameters: `all`, true to release all held packets now, as before pfplane_engine_free or when the peer is lost;
/// `handles_out` has `capacity` elements.
/// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
/// Thread: the lane's. Cost: no allocation; negligible when nothing is held.
///
/// # Safety
/// `handles_out` has `capacity` elements that nobody else uses during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_release(
    lane: Option<&mut pfplane_lane>,
    now_ns: u64,
    all: bool,
    handles_out: *mut u64,
    capacity: u32,
    count_out: Option<&mut MaybeUninit<u32>>,
) -> i32 {
    guard(|| {
        let lane = &mut given_mut(lane, "lane")?.lane;
        let count_out = given_mut(count_out, "count_out")?;
        let handles_out = handles_out.cast::<MaybeUninit<u64>>();
        // SAFETY: `capacity` is the array's length; its elements may be uninitialised.
        let mut handles = unsafe { elements_mut(handles_out, capacity, "handles_out") }?.iter_mut();
        if all {
            lane.release_all();
        }
        let count = lane.take_released(now_ns, capacity as usize, |handle| {
            if let Some(out) = handles.next() {
                out.write(handle);
            }
        });
        count_out.write(count as u32);
        Ok(PFPLANE_OK)
    })
}
