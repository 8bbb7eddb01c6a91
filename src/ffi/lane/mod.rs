//! The lane's part of the C API: packets and verdicts, the packet path, housekeeping, and pfsync frames in and out.

mod answer;
mod deferred;
mod exposure;
mod facts;
mod frames;
mod lookup;
mod lookup_facts;
#[cfg(feature = "dpdk")]
mod mbufs;
mod packet;

pub use answer::*;
pub use deferred::*;
pub use exposure::*;
pub use facts::*;
pub use frames::*;
pub use lookup::*;
pub use lookup_facts::*;
#[cfg(feature = "dpdk")]
pub use mbufs::*;
pub use packet::*;

use super::{Failure, PFPLANE_ERROR_PANIC, given, given_mut, guard, pfplane_lane};
use crate::lane::Lane;

/// Runs a call on a lane. A lane in which a defect was contained refuses every later call, since its tables may be torn.
pub(super) fn with_lane(
    lane: Option<&mut pfplane_lane>,
    body: impl FnOnce(&mut Lane) -> Result<i32, Failure>,
) -> i32 {
    let mut broken = None;
    let status = guard(|| {
        let lane = &mut given_mut(lane, "lane")?.lane;
        check_whole(lane)?;
        let lane = broken.insert(lane);
        body(lane)
    });
    if let (PFPLANE_ERROR_PANIC, Some(lane)) = (status, broken) {
        lane.set_broken();
    }
    status
}

/// As [`with_lane`], for a call that only reads.
pub(super) fn with_lane_read(
    lane: Option<&pfplane_lane>,
    body: impl FnOnce(&Lane) -> Result<i32, Failure>,
) -> i32 {
    guard(|| {
        let lane = &given(lane, "lane")?.lane;
        check_whole(lane)?;
        body(lane)
    })
}

fn check_whole(lane: &Lane) -> Result<(), Failure> {
    if lane.is_broken() {
        return Err(Failure::new(PFPLANE_ERROR_PANIC, "the lane is out of use after a defect"));
    }
    Ok(())
}
