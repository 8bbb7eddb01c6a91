//! What would be lost if this node died now, as its lane knows it at this moment.

use super::lane::with_lane;
use super::{PFPLANE_OK, check_size, exclusive, pfplane_lane};
use crate::lane::Lane;

/// What would be lost if this node died now.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_exposure {
    /// sizeof(struct pfplane_exposure).
    pub size: u32,
    /// States made here that no peer was sent yet: their connections break if this node dies now.
    pub creations: u32,
    /// States with another change that no peer was sent yet.
    pub changes: u32,
    /// Zero.
    pub reserved: u32,
    /// Nanoseconds that the oldest of them has waited, about.
    pub oldest_ns: u64,
}

/// Says what would be lost of this lane if the node died now: the statistics `exposed_creations`, `exposed_changes` and
/// `oldest_unsent_ns` without the millisecond that they are late. With several peers it is what none was sent yet.
///
/// Frames that pfplane_lane_flush gave out count as sent; a host that has not sent them yet adds them.
///
/// Parameters: `exposure_out->size` is set by the caller.
/// Returns: PFPLANE_OK, PFPLANE_ERROR_NULL or PFPLANE_ERROR_SIZE.
/// Thread: the lane's. Cost: a few loads.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_exposure(
    lane: *mut pfplane_lane,
    now_ns: u64,
    exposure_out: *mut pfplane_exposure,
) -> i32 {
    let body = |lane: &mut Lane| {
        // SAFETY: the caller promises NULL or a struct that only this call uses.
        let out = unsafe { exclusive(exposure_out, "exposure_out") }?;
        check_size::<pfplane_exposure>(out.size, "exposure_out")?;
        let exposure = lane.exposure(now_ns);
        (out.creations, out.changes) = (exposure.creations, exposure.changes);
        (out.reserved, out.oldest_ns) = (0, exposure.oldest);
        Ok(PFPLANE_OK)
    };
    // SAFETY: the caller promises NULL or a lane that only this thread uses.
    unsafe { with_lane(lane, body) }
}
