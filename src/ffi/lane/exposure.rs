//! Lane: exposure
//!
//! For monitoring, and for deciding when a planned takeover costs nothing.

use super::super::{PFPLANE_OK, check_size, given_mut, pfplane_lane};
use super::with_lane_read;
use crate::lane::Lane;

/// What would be lost if this node died now.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_exposure {
    /// sizeof(struct pfplane_exposure).
    pub size: u32,
    /// States created here that no peer has yet: their connections would break.
    pub creations: u32,
    /// Other changes of states that no peer has yet. A state that was sent and changed since may count twice.
    pub changes: u32,
    /// Zero.
    pub reserved: u32,
    /// Approximate nanoseconds for which the oldest of them has waited.
    pub oldest_ns: u64,
}

/// Reports what would be lost of this lane if the node died now. It is the statistics `exposed_creations`, `exposed_changes`
/// and `oldest_unsent_ns` without their delay of up to a millisecond.
///
/// A pfplane node (`pfplane_peer.extensions`) has what it has reported to have received. Until the report arrives, also if the link
/// has lost the frame or the report, the change is exposed. After the node has started again, all states are exposed to it until it has
/// received them.
///
/// A node that reports nothing, such as a pf system, has what it was sent. There a state whose first packet is held counts until a
/// peer has acknowledged it, also after the packet was released. Of several peers, the one that has most counts.
///
/// Frames that pfplane_lane_flush has written count as sent; a host that has not sent them yet adds them.
///
/// Parameters: the caller sets `exposure_out->size`.
/// Returns: PFPLANE_OK, PFPLANE_ERROR_NULL or PFPLANE_ERROR_SIZE.
/// Thread: the lane's. Cost: a few loads for each peer.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_lane_exposure(
    lane: Option<&pfplane_lane>,
    now_ns: u64,
    exposure_out: Option<&mut pfplane_exposure>,
) -> i32 {
    let body = |lane: &Lane| {
        let out = given_mut(exposure_out, "exposure_out")?;
        check_size::<pfplane_exposure>(out.size, "exposure_out")?;
        let exposure = lane.exposure(now_ns);
        (out.creations, out.changes) = (exposure.creations, exposure.changes);
        (out.reserved, out.oldest_ns) = (0, exposure.oldest);
        Ok(PFPLANE_OK)
    };
    with_lane_read(lane, body)
}
