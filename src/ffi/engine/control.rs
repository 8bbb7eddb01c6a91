//! Engine
//!
//! The control side of a firewall. Requests (bulk transfers, clear, tune) are carried out by the lanes in their next
//! pfplane_lane_poll.

use super::super::{
    Failure, PFPLANE_ERROR_LANE, PFPLANE_ERROR_NULL, PFPLANE_OK, check_size, given, given_mut, guard,
    pfplane_config, put,
};
use super::setting;
use crate::engine::Engine;
use crate::lane::Lane;
use crate::memory::{Heap, List, Owned};
use crate::sync::Tuning;
use core::cell::UnsafeCell;
use core::mem::{ManuallyDrop, MaybeUninit};

/// One firewall: its configuration and its lanes.
pub struct pfplane_engine {
    pub(in super::super) engine: Engine,
    /// Never moved or resized: C has pointers to them. Each has a cell of its own, so that a pointer to one lane stays valid
    /// whatever is done with the engine or with another lane.
    lanes: List<UnsafeCell<pfplane_lane>>,
    /// Where the engine is.
    heap: Heap,
}

/// What one core owns: its states, its sync queues, its counters. It belongs to its engine.
#[repr(transparent)]
pub struct pfplane_lane {
    pub(in super::super) lane: Lane,
}

/// Engine calls come from any thread.
const _: () = {
    const fn is_shared<T: Sync>() {}
    is_shared::<Engine>();
};

/// Creates an engine and allocates all its memory; nothing is allocated later.
///
/// Returns: PFPLANE_OK and the engine in `engine_out`; PFPLANE_ERROR_SETTING (the last error names the setting and its
/// limits), PFPLANE_ERROR_MEMORY, PFPLANE_ERROR_SIZE or PFPLANE_ERROR_NULL.
/// Ownership: the caller's, until pfplane_engine_free.
/// Thread: any. Cost: touches all memory once; milliseconds per 100 MiB.
///
/// # Safety
/// What `config` points to is valid, with as many elements as its counts say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_engine_new(
    config: Option<&pfplane_config>,
    engine_out: Option<&mut MaybeUninit<*mut pfplane_engine>>,
) -> i32 {
    guard(|| {
        let out = given_mut(engine_out, "engine_out")?;
        // SAFETY: the C caller vouches for everything that the configuration points to.
        let config = unsafe { given(config, "config")?.convert() }?;
        let heap = Heap::new(config.memory, -1);
        let (engine, lanes) = Engine::build(&config)?;
        let engine = heap.owned("an engine", pfplane_engine { engine, lanes: shared_with_c(lanes), heap })?;
        out.write(Owned::into_raw_with_allocator(engine).0);
        Ok(PFPLANE_OK)
    })
}

/// The lanes as C has pointers to them. They stay where they are.
fn shared_with_c(lanes: List<Lane>) -> List<UnsafeCell<pfplane_lane>> {
    let mut lanes = ManuallyDrop::new(lanes);
    let (base, heap) = (lanes.as_mut_ptr().cast(), *lanes.allocator());
    // SAFETY: the parts of a list that is not used any more; a lane in a transparent struct and a cell has the same layout.
    unsafe { List::from_raw_parts_in(base, lanes.len(), lanes.capacity(), heap) }
}

/// Frees an engine with its lanes and all its memory.
///
/// Parameters: `engine`; `NULL` is fine.
/// Thread: any; no other thread may be in a call on the engine or on one of its lanes, or make one later.
///
/// # Safety
/// `engine` is `NULL`, or was returned by pfplane_engine_new and not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_engine_free(engine: *mut pfplane_engine) {
    guard(|| {
        if !engine.is_null() {
            // SAFETY: an engine that was not freed.
            let heap = unsafe { (*engine).heap };
            // SAFETY: pfplane_engine_new took the pointer from a box in this heap, and gives it up here.
            drop(unsafe { Owned::from_raw_in(engine, heap) });
        }
        Ok(PFPLANE_OK)
    });
}

/// Returns lane `index` of an engine, 0 to `lanes` - 1. Lane 0 is the sync lane: it alone receives pfsync frames.
///
/// Returns: PFPLANE_OK; PFPLANE_ERROR_LANE when there is no such lane; PFPLANE_ERROR_NULL.
/// Ownership: the engine's; the pointer is valid until pfplane_engine_free, and the same in every call.
/// Thread: any. Each lane is then used by one thread at a time; a host that moves a lane to another thread synchronises them.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_engine_lane(
    engine: Option<&pfplane_engine>,
    index: u32,
    lane_out: Option<&mut MaybeUninit<*mut pfplane_lane>>,
) -> i32 {
    guard(|| {
        let lanes = &given(engine, "engine")?.lanes;
        let Some(lane) = lanes.get(index as usize) else {
            let text = format_args!("lane {index}: the engine has {}", lanes.len());
            return Err(Failure::new(PFPLANE_ERROR_LANE, text));
        };
        put(lane_out, "lane_out", lane.get())?;
        Ok(PFPLANE_OK)
    })
}

// enum pfplane_bulk_phase: How far a bulk transfer to this node is.
/// None was requested.
pub const PFPLANE_BULK_IDLE: u32 = 0;
/// Requested; the peer has not started.
pub const PFPLANE_BULK_WAITING: u32 = 1;
/// The peer's states are arriving.
pub const PFPLANE_BULK_RECEIVING: u32 = 2;
/// All states of the peer are here.
pub const PFPLANE_BULK_DONE: u32 = 3;
/// The peer did not answer, or stopped answering.
pub const PFPLANE_BULK_GIVEN_UP: u32 = 4;

// enum pfplane_bulk_ending: How the last bulk transfer ended.
/// None has ended yet.
pub const PFPLANE_BULK_ENDED_NONE: u32 = 0;
/// The peer reported that it sent all states.
pub const PFPLANE_BULK_ENDED_COMPLETE: u32 = 1;
/// No peer answered.
pub const PFPLANE_BULK_ENDED_NO_ANSWER: u32 = 2;
/// States arrived, then no more, in spite of repeated requests.
pub const PFPLANE_BULK_ENDED_BROKEN_OFF: u32 = 3;
/// `pfplane_config.max_bulk_s` was over while states were still arriving.
pub const PFPLANE_BULK_ENDED_TOO_LONG: u32 = 4;

/// The progress of the bulk transfer from the peers.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_bulk {
    /// sizeof(struct pfplane_bulk).
    pub size: u32,
    /// PFPLANE_BULK_*.
    pub phase: u32,
    /// Requests sent for this transfer.
    pub attempts: u32,
    /// Zero.
    pub reserved: u32,
    /// States received since the request.
    pub states: u64,
    /// PFPLANE_BULK_ENDED_*: how the last transfer ended.
    pub last_ending: u32,
    /// Zero.
    pub reserved2: u32,
    /// States received in the last transfer that ended.
    pub last_states: u64,
    /// Nanoseconds from its first request to its end.
    pub last_took_ns: u64,
}

/// Reports the progress of the bulk transfer from the peers.
///
/// Parameters: the caller sets `bulk_out->size`.
/// Returns: PFPLANE_OK, PFPLANE_ERROR_NULL or PFPLANE_ERROR_SIZE.
/// Thread: any.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_engine_bulk(
    engine: Option<&pfplane_engine>,
    bulk_out: Option<&mut pfplane_bulk>,
) -> i32 {
    guard(|| {
        let engine = given(engine, "engine")?;
        let out = given_mut(bulk_out, "bulk_out")?;
        check_size::<pfplane_bulk>(out.size, "bulk_out")?;
        let progress = engine.engine.bulk();
        *out = pfplane_bulk {
            size: out.size,
            phase: progress.phase as u32,
            attempts: progress.attempts,
            reserved: 0,
            states: progress.states,
            last_ending: progress.last.ending as u32,
            reserved2: 0,
            last_states: progress.last.states,
            last_took_ns: progress.last.took,
        };
        Ok(PFPLANE_OK)
    })
}

/// Runs a call that changes an engine. C passes a plain pointer, since other threads may use the engine meanwhile; the core
/// does the change on a shared reference.
///
/// # Safety
/// `engine` is NULL or a valid engine.
pub(super) unsafe fn with_engine(
    engine: *mut pfplane_engine,
    body: impl FnOnce(&Engine) -> Result<(), Failure>,
) -> i32 {
    guard(|| {
        // SAFETY: NULL or valid; a shared reference is all that any thread makes of an engine before it is freed.
        let engine = unsafe { engine.as_ref() };
        body(&engine.ok_or_else(|| Failure::new(PFPLANE_ERROR_NULL, "engine is NULL"))?.engine)?;
        Ok(PFPLANE_OK)
    })
}

/// Requests all states of the peers. Without a peer nothing happens.
///
/// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
/// Thread: any.
///
/// # Safety
/// `engine` is `NULL` or a valid engine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_engine_bulk_request(engine: *mut pfplane_engine) -> i32 {
    let body = |engine: &Engine| {
        engine.request_bulk();
        Ok(())
    };
    // SAFETY: the requirement is the same.
    unsafe { with_engine(engine, body) }
}

/// Sends all states of this node to all peers, unasked. Without a peer nothing happens, nor within
/// `pfplane_config.min_bulk_interval_ms` of a transfer to the same peer.
///
/// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
/// Thread: any.
///
/// # Safety
/// `engine` is `NULL` or a valid engine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_engine_bulk_push(engine: *mut pfplane_engine) -> i32 {
    let body = |engine: &Engine| {
        engine.push_bulk();
        Ok(())
    };
    // SAFETY: a shared reference is enough to set the request.
    unsafe { with_engine(engine, body) }
}

/// Deletes all states (pfctl -F states), a bounded number in each pfplane_lane_poll. States that are created meanwhile stay.
/// Peers get a delete message for each state.
///
/// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
/// Thread: any.
///
/// # Safety
/// `engine` is `NULL` or a valid engine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_engine_clear(engine: *mut pfplane_engine) -> i32 {
    let body = |engine: &Engine| {
        engine.clear();
        Ok(())
    };
    // SAFETY: passed on as the C caller gave it, NULL or valid.
    unsafe { with_engine(engine, body) }
}

/// Changes the pace of replication at run time. A bulk transfer that is in progress continues at the new pace.
///
/// Parameters: as the settings of these names in `pfplane_config`, with the same ranges.
/// Returns: PFPLANE_OK; PFPLANE_ERROR_SETTING (the last error names the setting and its limits), and nothing has changed;
/// PFPLANE_ERROR_NULL. Each lane applies the change within a millisecond of polling.
/// Thread: any.
///
/// # Safety
/// `engine` is `NULL` or a valid engine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_engine_tune(
    engine: *mut pfplane_engine,
    max_insert_age_ms: u32,
    max_update_age_ms: u32,
    max_updates: u32,
    max_bulk_frames_per_ms: u32,
) -> i32 {
    let body = |engine: &Engine| {
        let maxupd = setting("max_updates", max_updates.into(), 0, 255)? as u8;
        let (insert_age_ms, update_age_ms) = (max_insert_age_ms, max_update_age_ms);
        engine.tune(&Tuning { insert_age_ms, update_age_ms, maxupd, bulk_frames: max_bulk_frames_per_ms })?;
        Ok(())
    };
    // SAFETY: the engine is NULL or valid, which is all that matters here; the settings are numbers.
    unsafe { with_engine(engine, body) }
}

/// Reports the link state of the sync port. While it is down nothing is sent, and the queues stay bounded. When it comes
/// back, this node requests a bulk transfer and offers its own states again. Reporting the same state twice does nothing.
///
/// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
/// Thread: any.
///
/// # Safety
/// `engine` is `NULL` or a valid engine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_engine_sync_link(engine: *mut pfplane_engine, up: bool) -> i32 {
    let body = |engine: &Engine| {
        engine.set_link(up);
        Ok(())
    };
    // SAFETY: C's own promise about `engine` is the one that `with_engine` needs.
    unsafe { with_engine(engine, body) }
}

/// Returns the longest IP packet that this engine sends on the sync link: the minimum of the configured MTU, the device's MTU
/// and the buffer size.
///
/// Returns: bytes; 0 for `NULL`.
/// Thread: any.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_engine_mtu(engine: Option<&pfplane_engine>) -> u32 {
    let mut mtu = 0;
    guard(|| {
        mtu = given(engine, "engine")?.engine.mtu();
        Ok(PFPLANE_OK)
    });
    mtu
}

/// Returns the host id (pf: creatorid) of this engine: as configured, or the random one that was chosen.
///
/// Returns: the number as pf prints it; 0 for `NULL`.
/// Thread: any.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_engine_host_id(engine: Option<&pfplane_engine>) -> u32 {
    let mut host_id = 0;
    guard(|| {
        host_id = given(engine, "engine")?.engine.host_id();
        Ok(PFPLANE_OK)
    });
    host_id
}

/// Returns the RSS key and redirection table with which a NIC chooses the same lane as this engine.
///
/// The hash is Toeplitz over source and destination address and, for TCP, UDP and SCTP, the ports. Its low seven bits select
/// one of the 128 entries.
///
/// Parameters: `key_out`, 40 bytes; `redirection_out`, 128 lane numbers. Either may be `NULL`.
/// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
/// Thread: any.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_engine_steering(
    engine: Option<&pfplane_engine>,
    key_out: Option<&mut MaybeUninit<[u8; 40]>>,
    redirection_out: Option<&mut MaybeUninit<[u8; 128]>>,
) -> i32 {
    guard(|| {
        let steering = given(engine, "engine")?.engine.steering();
        if let Some(out) = key_out {
            out.write(*steering.key());
        }
        if let Some(out) = redirection_out {
            out.write(*steering.redirection());
        }
        Ok(PFPLANE_OK)
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::pfplane_lane_poll;
    use super::*;

    fn engine_with_two_lanes() -> *mut pfplane_engine {
        let config = pfplane_config { lanes: 2, states_per_lane: 16, ..pfplane_config::defaults() };
        let mut engine = MaybeUninit::uninit();
        // SAFETY: the defaults point to nothing.
        assert_eq!(unsafe { pfplane_engine_new(Some(&config), Some(&mut engine)) }, PFPLANE_OK);
        // SAFETY: the call succeeded, so it wrote the pointer.
        unsafe { engine.assume_init() }
    }

    fn lane(engine: *mut pfplane_engine, index: u32) -> *mut pfplane_lane {
        let mut lane = MaybeUninit::uninit();
        // SAFETY: the engine is valid until the end of the test.
        assert_eq!(pfplane_engine_lane(unsafe { engine.as_ref() }, index, Some(&mut lane)), PFPLANE_OK);
        // SAFETY: the call succeeded, so it wrote the pointer.
        unsafe { lane.assume_init() }
    }

    fn poll(lane: *mut pfplane_lane) {
        // SAFETY: a valid lane that only this thread uses.
        assert_eq!(pfplane_lane_poll(unsafe { lane.as_mut() }, 1), PFPLANE_OK);
    }

    #[test]
    fn a_lane_stays_valid_when_another_one_is_taken() {
        let engine = engine_with_two_lanes();
        let first = lane(engine, 0);
        poll(first);
        let second = lane(engine, 1);
        poll(first);
        poll(second);
        assert_eq!(lane(engine, 0), first);
        poll(first);
        // SAFETY: made above; no lane is used afterwards.
        unsafe { pfplane_engine_free(engine) };
    }
}
