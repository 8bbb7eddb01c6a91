//! Statistics as a neutral iterator: name, help, value. Telemetry and logs are the host's.

use super::{
    Failure, PFPLANE_END, PFPLANE_ERROR_ARGUMENT, PFPLANE_ERROR_LANE, PFPLANE_ERROR_UNKNOWN, PFPLANE_OK,
    check_size, exclusive, guard, pfplane_engine, put, reference,
};
use crate::stats::{Descriptor, Kind};
use core::ffi::{CStr, c_char};

/// Instead of a lane's number: the sum over all lanes, and of an age the greatest.
pub const PFPLANE_ALL_LANES: u32 = u32::MAX;

/// The value only grows.
pub const PFPLANE_STAT_COUNTER: u32 = 1;
/// The value goes up and down.
pub const PFPLANE_STAT_GAUGE: u32 = 2;

/// One statistic.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_stat {
    /// sizeof(struct pfplane_stat).
    pub size: u32,
    /// PFPLANE_STAT_COUNTER or PFPLANE_STAT_GAUGE.
    pub kind: u32,
    /// Lower case, words joined by an underscore. Lives as long as the program.
    pub name: *const c_char,
    /// One sentence. Lives as long as the program.
    pub help: *const c_char,
    /// The value as of the lane's last pfplane_lane_poll.
    pub value: u64,
}

fn check_lane(engine: &pfplane_engine, lane: u32) -> Result<Option<usize>, Failure> {
    let lanes = engine.engine.lanes();
    match lane {
        PFPLANE_ALL_LANES => Ok(None),
        lane if lane < lanes => Ok(Some(lane as usize)),
        lane => Err(Failure::new(PFPLANE_ERROR_LANE, format!("lane {lane}: the engine has {lanes}"))),
    }
}

impl pfplane_stat {
    pub(super) const fn fill(&mut self, descriptor: &Descriptor, value: u64) {
        self.kind = match descriptor.kind {
            Kind::Counter => PFPLANE_STAT_COUNTER,
            Kind::Gauge | Kind::Maximum => PFPLANE_STAT_GAUGE,
        };
        self.name = descriptor.name.as_ptr();
        self.help = descriptor.help.as_ptr();
        self.value = value;
    }
}

/// Gives the statistic at place `index`; the places are 0, 1, 2, ... and the same in every engine of this library.
///
/// Parameters: `lane`, a lane's number or PFPLANE_ALL_LANES; `stat_out->size` is set by the caller.
/// Returns: PFPLANE_OK; PFPLANE_END when `index` is past the last; PFPLANE_ERROR_LANE when there is no such lane.
/// Ownership: the texts are the library's.
/// Thread: any, also beside the lanes.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_engine_stat(
    engine: *const pfplane_engine,
    lane: u32,
    index: u32,
    stat_out: *mut pfplane_stat,
) -> i32 {
    guard(|| {
        // SAFETY: the caller promises NULL or a valid engine.
        let engine = unsafe { reference(engine, "engine") }?;
        // SAFETY: the caller promises NULL or a struct that only this call uses.
        let stat_out = unsafe { exclusive(stat_out, "stat_out") }?;
        check_size::<pfplane_stat>(stat_out.size, "stat_out")?;
        let lane = check_lane(engine, lane)?;
        let Some((descriptor, value)) = engine.engine.stat(lane, index as usize) else {
            return Ok(PFPLANE_END);
        };
        stat_out.fill(descriptor, value);
        Ok(PFPLANE_OK)
    })
}

/// Gives one statistic of a peer: what was sent to it and received from it, what it has not been sent yet, its states.
///
/// Parameters: `peer`, its place in `pfplane_config.peers`; otherwise as for pfplane_engine_stat. What is received is counted
/// by lane 0.
/// Returns: PFPLANE_OK; PFPLANE_END when `index` is past the last; PFPLANE_ERROR_LANE; PFPLANE_ERROR_ARGUMENT when there is no
/// such peer.
/// Ownership: the texts are the library's.
/// Thread: any, also beside the lanes.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_engine_peer_stat(
    engine: *const pfplane_engine,
    peer: u32,
    lane: u32,
    index: u32,
    stat_out: *mut pfplane_stat,
) -> i32 {
    guard(|| {
        // SAFETY: the caller promises NULL or a valid engine.
        let engine = unsafe { reference(engine, "engine") }?;
        // SAFETY: the caller promises NULL or a struct that only this call uses.
        let stat_out = unsafe { exclusive(stat_out, "stat_out") }?;
        check_size::<pfplane_stat>(stat_out.size, "stat_out")?;
        let lane = check_lane(engine, lane)?;
        if peer as usize >= engine.engine.peers() {
            let text = format!("peer {peer}: the engine has {}", engine.engine.peers());
            return Err(Failure::new(PFPLANE_ERROR_ARGUMENT, text));
        }
        let Some((descriptor, value)) = engine.engine.peer_stat(peer as usize, lane, index as usize) else {
            return Ok(PFPLANE_END);
        };
        stat_out.fill(descriptor, value);
        Ok(PFPLANE_OK)
    })
}

/// Gives the value of the statistic called `name`.
///
/// Parameters: `lane` as for pfplane_engine_stat; `name`, NUL-terminated.
/// Returns: PFPLANE_OK; PFPLANE_ERROR_UNKNOWN when there is none of that name; PFPLANE_ERROR_LANE.
/// Thread: any, also beside the lanes. Cost: a walk over the names.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_engine_stat_find(
    engine: *const pfplane_engine,
    lane: u32,
    name: *const c_char,
    value_out: *mut u64,
) -> i32 {
    guard(|| {
        // SAFETY: the caller promises NULL or a valid engine.
        let engine = unsafe { reference(engine, "engine") }?;
        if name.is_null() {
            return Err(Failure::null("name"));
        }
        // SAFETY: not NULL; the caller promises a NUL-terminated text.
        let name = unsafe { CStr::from_ptr(name) };
        let lane = check_lane(engine, lane)?;
        let found = (0..)
            .map_while(|index| engine.engine.stat(lane, index))
            .find(|(descriptor, _)| descriptor.name == name);
        let Some((_, value)) = found else {
            let text = format!("no statistic is called {}", name.to_string_lossy());
            return Err(Failure::new(PFPLANE_ERROR_UNKNOWN, text));
        };
        // SAFETY: the caller promises NULL or room for a number.
        unsafe { put(value_out, "value_out", value) }?;
        Ok(PFPLANE_OK)
    })
}
