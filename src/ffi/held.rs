//! Packets that wait until a peer has their state (pf's defer).

use super::lane::with_lane;
use super::{Failure, PFPLANE_ERROR_FULL, PFPLANE_OK, elements_mut, exclusive, guard, pfplane_lane, put};
use crate::lane::Lane;
use crate::table::Slot;
use core::mem::MaybeUninit;

/// Leaves a packet whose verdict was PFPLANE_HELD with the lane, by a number of the host's (an mbuf's address, an index).
///
/// The library keeps the number only, and gives it back once through pfplane_lane_released: when a peer has the state, when
/// `pfplane_config.defer_ms` have gone by, when the state ends, when too many packets are held, and after
/// pfplane_lane_release_all. Numbers of one state come back in the order in which they were left. Before the engine is freed
/// the host calls pfplane_lane_release_all and pfplane_lane_released.
///
/// Parameters: `slot`, the verdict's; `handle`, any number.
/// Returns: PFPLANE_OK; PFPLANE_ERROR_FULL when there is no room, and the number was not taken: the host sends the packet now.
/// Ownership: the packet stays the host's.
/// Thread: the lane's. Cost: no allocation.
///
/// # Safety
/// `lane` is NULL, or valid and used by this thread alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_hold(lane: *mut pfplane_lane, slot: u32, handle: u64) -> i32 {
    let body = |lane: &mut Lane| match lane.hold(Slot(slot), handle) {
        Ok(()) => Ok(PFPLANE_OK),
        Err(_) => Err(Failure::new(PFPLANE_ERROR_FULL, "there is no room to hold another packet")),
    };
    // SAFETY: the caller promises NULL or a lane that only this thread uses.
    unsafe { with_lane(lane, body) }
}

/// Gives back packets that were held and go now: the host sends them, in this order.
///
/// Call it after every pfplane_lane_poll and pfplane_lane_receive, until `count_out` is less than `capacity`. It also works on
/// a lane that is out of use after a defect.
///
/// Parameters: `handles_out`, room for `capacity` numbers.
/// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
/// Thread: the lane's. Cost: no allocation; nothing to speak of when nothing is held.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_released(
    lane: *mut pfplane_lane,
    now_ns: u64,
    handles_out: *mut u64,
    capacity: u32,
    count_out: *mut u32,
) -> i32 {
    guard(|| {
        if count_out.is_null() {
            return Err(Failure::null("count_out"));
        }
        // SAFETY: the caller promises NULL or a lane that only this thread uses.
        let lane = unsafe { exclusive(lane, "lane") }?;
        let handles_out = handles_out.cast::<MaybeUninit<u64>>();
        // SAFETY: the caller promises NULL or room for `capacity` numbers that only this call uses.
        let mut handles = unsafe { elements_mut(handles_out, capacity, "handles_out") }?.iter_mut();
        let count = lane.lane.take_released(now_ns, capacity as usize, |handle| {
            if let Some(place) = handles.next() {
                place.write(handle);
            }
        });
        // SAFETY: not NULL; the caller promises room for a number.
        unsafe { put(count_out, "count_out", count as u32) }?;
        Ok(PFPLANE_OK)
    })
}

/// Lets all held packets go; pfplane_lane_released then gives them. For the end, and for a node that loses its peer.
///
/// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL. It also works on a lane that is out of use after a defect.
/// Thread: the lane's.
///
/// # Safety
/// `lane` is NULL, or valid and used by this thread alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_release_all(lane: *mut pfplane_lane) -> i32 {
    guard(|| {
        // SAFETY: the caller promises NULL or a lane that only this thread uses.
        unsafe { exclusive(lane, "lane") }?.lane.release_all();
        Ok(PFPLANE_OK)
    })
}
