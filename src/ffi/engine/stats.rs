//! Statistics
//!
//! Statistics are numbered from 0 and have the same numbers in every engine of one library. Names are lower case with
//! underscores. Where a name is one of OpenBSD's or FreeBSD's own counters, its help names the system. A value is the one of the
//! lane's last pfplane_lane_poll. Telemetry and logs are the host's.

use super::super::{
    Failure, PFPLANE_END, PFPLANE_ERROR_ARGUMENT, PFPLANE_ERROR_LANE, PFPLANE_ERROR_UNKNOWN, PFPLANE_OK,
    check_size, given, given_mut, guard, pfplane_engine, put,
};
use crate::stats::{Descriptor, Kind};
use core::ffi::{CStr, c_char};
use core::mem::MaybeUninit;

// enum pfplane_stat_kind: How a statistic behaves.
/// It only grows.
pub const PFPLANE_STAT_COUNTER: u32 = 1;
/// It goes up and down.
pub const PFPLANE_STAT_GAUGE: u32 = 2;

/// In place of a lane's number: all lanes together. Values are added; of an age, it is the maximum.
pub const PFPLANE_ALL_LANES: u32 = u32::MAX;

/// One statistic.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_stat {
    /// sizeof(struct pfplane_stat).
    pub size: u32,
    /// PFPLANE_STAT_COUNTER or PFPLANE_STAT_GAUGE.
    pub kind: u32,
    /// The name. Lives as long as the program.
    pub name: *const c_char,
    /// One sentence about it. Lives as long as the program.
    pub help: *const c_char,
    /// The value.
    pub value: u64,
}

fn check_lane(engine: &pfplane_engine, lane: u32) -> Result<Option<usize>, Failure> {
    let lanes = engine.engine.lanes();
    match lane {
        PFPLANE_ALL_LANES => Ok(None),
        lane if lane < lanes => Ok(Some(lane as usize)),
        lane => Err(Failure::new(PFPLANE_ERROR_LANE, format_args!("lane {lane}: the engine has {lanes}"))),
    }
}

impl pfplane_stat {
    /// Fills the struct behind an output, or reports that there is no such statistic.
    pub(in super::super) fn fill(
        out: Option<&mut Self>,
        found: impl FnOnce() -> Result<Option<(&'static Descriptor, u64)>, Failure>,
    ) -> Result<i32, Failure> {
        let out = given_mut(out, "stat_out")?;
        check_size::<Self>(out.size, "stat_out")?;
        let Some((descriptor, value)) = found()? else { return Ok(PFPLANE_END) };
        out.kind = match descriptor.kind {
            Kind::Counter => PFPLANE_STAT_COUNTER,
            Kind::Gauge | Kind::Maximum => PFPLANE_STAT_GAUGE,
        };
        (out.name, out.help) = (descriptor.name.as_ptr(), descriptor.help.as_ptr());
        out.value = value;
        Ok(PFPLANE_OK)
    }
}

/// Returns statistic number `index` of a lane or of all lanes.
///
/// Parameters: `lane`, a lane's number or PFPLANE_ALL_LANES; the caller sets `stat_out->size`.
/// Returns: PFPLANE_OK; PFPLANE_END when `index` is past the last; PFPLANE_ERROR_LANE when there is no such lane.
/// Ownership: the texts are the library's.
/// Thread: any.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_engine_stat(
    engine: Option<&pfplane_engine>,
    lane: u32,
    index: u32,
    stat_out: Option<&mut pfplane_stat>,
) -> i32 {
    guard(|| {
        let engine = given(engine, "engine")?;
        pfplane_stat::fill(stat_out, || Ok(engine.engine.stat(check_lane(engine, lane)?, index as usize)))
    })
}

/// Returns the value of the statistic called `name`, of a lane or of all lanes.
///
/// Parameters: `lane`, a lane's number or PFPLANE_ALL_LANES; `name`, NUL-terminated.
/// Returns: PFPLANE_OK; PFPLANE_ERROR_UNKNOWN when there is none of that name; PFPLANE_ERROR_LANE.
/// Thread: any. Cost: a walk over the names; keep the number of pfplane_engine_stat for frequent use.
///
/// # Safety
/// `name` is `NULL` or ends with a NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_engine_stat_find(
    engine: Option<&pfplane_engine>,
    lane: u32,
    name: *const c_char,
    value_out: Option<&mut MaybeUninit<u64>>,
) -> i32 {
    guard(|| {
        let engine = given(engine, "engine")?;
        if name.is_null() {
            return Err(Failure::null("name"));
        }
        // SAFETY: not NULL, and it ends with a NUL.
        let name = unsafe { CStr::from_ptr(name) };
        let lane = check_lane(engine, lane)?;
        let mut all = (0..).map_while(|index| engine.engine.stat(lane, index));
        let Some((_, value)) = all.find(|(descriptor, _)| descriptor.name == name) else {
            let text = format_args!("no statistic is called {}", name.to_bytes().escape_ascii());
            return Err(Failure::new(PFPLANE_ERROR_UNKNOWN, text));
        };
        put(value_out, "value_out", value)?;
        Ok(PFPLANE_OK)
    })
}

/// Returns statistic number `index` of one peer: what was sent to it and received from it, what it lacks, its states. Received
/// frames are counted by lane 0.
///
/// Parameters: `peer`, its index in `pfplane_config.peers`; otherwise as pfplane_engine_stat, with numbers of its own.
/// Returns: PFPLANE_OK; PFPLANE_END when `index` is past the last; PFPLANE_ERROR_LANE; PFPLANE_ERROR_ARGUMENT when there
/// is no such peer.
/// Ownership: the texts are the library's.
/// Thread: any.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_engine_peer_stat(
    engine: Option<&pfplane_engine>,
    peer: u32,
    lane: u32,
    index: u32,
    stat_out: Option<&mut pfplane_stat>,
) -> i32 {
    guard(|| {
        let engine = given(engine, "engine")?;
        pfplane_stat::fill(stat_out, || {
            let (lane, peers) = (check_lane(engine, lane)?, engine.engine.peers());
            if peer as usize >= peers {
                let text = format_args!("peer {peer}: the engine has {peers}");
                return Err(Failure::new(PFPLANE_ERROR_ARGUMENT, text));
            }
            Ok(engine.engine.peer_stat(peer as usize, lane, index as usize))
        })
    })
}
