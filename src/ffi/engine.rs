//! The engine: one firewall instance of the host process.

use super::{
    Failure, PFPLANE_END, PFPLANE_ERROR_ARGUMENT, PFPLANE_ERROR_LANE, PFPLANE_OK, check_size, exclusive,
    guard, pfplane_config, put, reference,
};
use crate::engine::Engine;
use crate::lane::Lane;
use crate::sync::Tuning;
use core::cell::UnsafeCell;

/// One firewall instance: its configuration and its lanes. Opaque.
///
/// Thread: the calls on it may come from any one thread at a time (a control thread); the lanes run beside it.
pub struct pfplane_engine {
    pub(super) engine: Engine,
    /// Never moved or resized: C has pointers to them. Each has a cell of its own, so that a pointer to one lane stays valid
    /// whatever is done with the engine or with another lane.
    lanes: Box<[UnsafeCell<pfplane_lane>]>,
}

/// All that one core owns: its states, its sync queues, its counters. Opaque; it belongs to its engine.
///
/// Thread: one at a time, and the same one unless the host hands it over with a barrier of its own.
pub struct pfplane_lane {
    pub(super) lane: Lane,
}

/// No bulk transfer was asked for.
pub const PFPLANE_BULK_IDLE: u32 = 0;
/// Asked for, the peer has not begun.
pub const PFPLANE_BULK_WAITING: u32 = 1;
/// The peer's states are coming in.
pub const PFPLANE_BULK_RECEIVING: u32 = 2;
/// The peer's states are in.
pub const PFPLANE_BULK_DONE: u32 = 3;
/// The peer did not answer, or stopped answering.
pub const PFPLANE_BULK_GIVEN_UP: u32 = 4;

/// How far the bulk transfer from the peer is.
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
    /// How the last transfer ended: PFPLANE_BULK_ENDED_*.
    pub last_ending: u32,
    /// Zero.
    pub reserved2: u32,
    /// States received in the last transfer that ended.
    pub last_states: u64,
    /// Nanoseconds from its first request to its end.
    pub last_took_ns: u64,
}

/// No transfer has ended yet.
pub const PFPLANE_BULK_ENDED_NONE: u32 = 0;
/// The peer said that it told all.
pub const PFPLANE_BULK_ENDED_COMPLETE: u32 = 1;
/// Nobody answered.
pub const PFPLANE_BULK_ENDED_NO_ANSWER: u32 = 2;
/// States came, then nothing more, however often it was asked for.
pub const PFPLANE_BULK_ENDED_BROKEN_OFF: u32 = 3;
/// The whole time was over, with states still coming.
pub const PFPLANE_BULK_ENDED_TOO_LONG: u32 = 4;

/// Makes an engine with all its memory; nothing is allocated later.
///
/// Parameters: `config`, copied, with everything that it points to.
/// Returns: PFPLANE_OK and the engine in `engine_out`; PFPLANE_ERROR_SETTING (the last error names the setting and the
/// limit), PFPLANE_ERROR_MEMORY, PFPLANE_ERROR_SIZE or PFPLANE_ERROR_NULL, and `engine_out` is not written.
/// Ownership: the caller's, until pfplane_engine_free.
/// Thread: any. Cost: touches all memory once; milliseconds per 100 MiB.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_engine_new(
    config: *const pfplane_config,
    engine_out: *mut *mut pfplane_engine,
) -> i32 {
    guard(|| {
        if engine_out.is_null() {
            return Err(Failure::null("engine_out"));
        }
        // SAFETY: the caller promises NULL or a valid configuration.
        let config = unsafe { reference(config, "config") }?;
        // SAFETY: the caller promises that what the configuration points to is valid.
        let config = unsafe { config.convert() }?;
        let (engine, lanes) = Engine::new(config)?;
        let lanes = lanes.into_iter().map(|lane| UnsafeCell::new(pfplane_lane { lane })).collect();
        let engine = Box::into_raw(Box::new(pfplane_engine { engine, lanes }));
        // SAFETY: not NULL, checked above; the caller promises room for a pointer.
        unsafe { put(engine_out, "engine_out", engine) }?;
        Ok(PFPLANE_OK)
    })
}

/// Frees an engine with its lanes and all its memory.
///
/// Parameters: `engine`; `NULL` is fine.
/// Thread: any; no lane of it may be in a call, or be used afterwards.
///
/// # Safety
/// `engine` is NULL or came from pfplane_engine_new and was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_engine_free(engine: *mut pfplane_engine) {
    guard(|| {
        if !engine.is_null() {
            // SAFETY: the caller promises that the pointer came from pfplane_engine_new, which made it from a box.
            drop(unsafe { Box::from_raw(engine) });
        }
        Ok(PFPLANE_OK)
    });
}

/// Gives lane `index` of an engine.
///
/// Parameters: `index` from 0 to lanes - 1. Lane 0 is the sync lane: it alone takes pfplane_lane_receive.
/// Returns: PFPLANE_OK; PFPLANE_ERROR_LANE when there is no such lane.
/// Ownership: the engine's; the pointer is valid until pfplane_engine_free.
/// Thread: the control thread. Each lane is then used by one thread.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_engine_lane(
    engine: *mut pfplane_engine,
    index: u32,
    lane_out: *mut *mut pfplane_lane,
) -> i32 {
    guard(|| {
        // SAFETY: the caller promises NULL or a valid engine.
        let engine = unsafe { reference(engine, "engine") }?;
        let count = engine.lanes.len();
        let Some(lane) = engine.lanes.get(index as usize) else {
            return Err(Failure::new(PFPLANE_ERROR_LANE, format!("lane {index}: the engine has {count}")));
        };
        // SAFETY: the caller promises NULL or room for a pointer.
        unsafe { put(lane_out, "lane_out", lane.get()) }?;
        Ok(PFPLANE_OK)
    })
}

/// Whether this node may take over: the peer's states are in or were given up on, or there is no peer.
///
/// A node that takes over before it is ready breaks the connections that it does not know yet.
///
/// Returns: 1 or 0; 0 for `NULL`.
/// Thread: any, also beside the lanes. Cost: one load.
///
/// # Safety
/// `engine` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_engine_ready(engine: *const pfplane_engine) -> bool {
    guard(|| {
        // SAFETY: the caller promises NULL or a valid engine; readiness is read atomically.
        let engine = unsafe { reference(engine, "engine") }?;
        Ok(i32::from(engine.engine.ready()))
    }) == 1
}

/// How far the bulk transfer from the peer is.
///
/// Parameters: `bulk_out->size` is set by the caller.
/// Returns: PFPLANE_OK, PFPLANE_ERROR_NULL or PFPLANE_ERROR_SIZE.
/// Thread: any, also beside the lanes.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_engine_bulk(
    engine: *const pfplane_engine,
    bulk_out: *mut pfplane_bulk,
) -> i32 {
    guard(|| {
        // SAFETY: the caller promises NULL or a valid engine.
        let engine = unsafe { reference(engine, "engine") }?;
        // SAFETY: the caller promises NULL or a struct that only this call uses.
        let bulk_out = unsafe { exclusive(bulk_out, "bulk_out") }?;
        check_size::<pfplane_bulk>(bulk_out.size, "bulk_out")?;
        let progress = engine.engine.bulk();
        bulk_out.phase = progress.phase as u32;
        bulk_out.attempts = progress.attempts;
        bulk_out.reserved = 0;
        bulk_out.states = progress.states;
        bulk_out.last_ending = progress.last.ending as u32;
        bulk_out.reserved2 = 0;
        bulk_out.last_states = progress.last.states;
        bulk_out.last_took_ns = progress.last.took;
        Ok(PFPLANE_OK)
    })
}

/// Asks the peer for all its states; carried out in the sync lane's next pfplane_lane_poll.
///
/// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL. Without a peer nothing happens.
/// Thread: any, also beside the lanes.
///
/// # Safety
/// `engine` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_engine_bulk_request(engine: *const pfplane_engine) -> i32 {
    guard(|| {
        // SAFETY: the caller promises NULL or a valid engine.
        let engine = unsafe { reference(engine, "engine") }?;
        engine.engine.request_bulk();
        Ok(PFPLANE_OK)
    })
}

/// Ends all states (pfctl -F states), from each lane's next pfplane_lane_poll on, some places a call. States made meanwhile
/// stay. When all lanes are done, peers are told with one clear for the states that this node made, and with a delete for
/// each that another node made.
///
/// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
/// Thread: any, also beside the lanes.
///
/// # Safety
/// `engine` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_engine_clear(engine: *const pfplane_engine) -> i32 {
    guard(|| {
        // SAFETY: the caller promises NULL or a valid engine.
        let engine = unsafe { reference(engine, "engine") }?;
        engine.engine.clear();
        Ok(PFPLANE_OK)
    })
}

/// Tells all peers all states of this node, unasked; begun in the sync lane's next pfplane_lane_poll.
///
/// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL. Without a peer nothing happens, and not within
/// `pfplane_config.min_bulk_interval_ms` of a transfer to the same peer.
/// Thread: any, also beside the lanes.
///
/// # Safety
/// `engine` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_engine_bulk_push(engine: *const pfplane_engine) -> i32 {
    guard(|| {
        // SAFETY: the caller promises NULL or a valid engine.
        let engine = unsafe { reference(engine, "engine") }?;
        engine.engine.push_bulk();
        Ok(PFPLANE_OK)
    })
}

/// Changes the pace of replication while all goes on: what is under way, a bulk transfer for instance, goes on with it.
///
/// Parameters: as the settings of `pfplane_config` with these names, in their ranges.
/// Returns: PFPLANE_OK; PFPLANE_ERROR_SETTING (the last error names the setting and the limit), and nothing has changed;
/// PFPLANE_ERROR_NULL. Each lane takes it over within a millisecond of its pfplane_lane_poll.
/// Thread: any, also beside the lanes.
///
/// # Safety
/// `engine` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_engine_tune(
    engine: *const pfplane_engine,
    insert_age_ms: u32,
    update_age_ms: u32,
    max_updates: u32,
    bulk_frames_per_ms: u32,
) -> i32 {
    guard(|| {
        // SAFETY: the caller promises NULL or a valid engine.
        let engine = unsafe { reference(engine, "engine") }?;
        let maxupd = super::config::setting("max_updates", max_updates.into(), 0, 255)? as u8;
        let tuning = Tuning { insert_age_ms, update_age_ms, maxupd, bulk_frames: bulk_frames_per_ms };
        engine.engine.tune(&tuning)?;
        Ok(PFPLANE_OK)
    })
}

/// Tells whether the sync port's link is up. While it is down nothing is sent and the queues stay bounded; when it comes
/// back the node asks for a bulk transfer and offers its own states again.
///
/// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL. Telling the same twice does nothing.
/// Thread: any, also beside the lanes.
///
/// # Safety
/// `engine` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_engine_sync_link(engine: *const pfplane_engine, up: bool) -> i32 {
    guard(|| {
        // SAFETY: the caller promises NULL or a valid engine.
        let engine = unsafe { reference(engine, "engine") }?;
        engine.engine.set_link(up);
        Ok(PFPLANE_OK)
    })
}

/// The longest IP packet that this engine sends on the sync link, in bytes: the least of the configured MTU, the device's
/// MTU and the room in one buffer.
///
/// Returns: bytes; 0 for `NULL`.
/// Thread: any.
///
/// # Safety
/// `engine` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_engine_mtu(engine: *const pfplane_engine) -> u32 {
    let mut mtu = 0;
    guard(|| {
        // SAFETY: the caller promises NULL or a valid engine.
        mtu = unsafe { reference(engine, "engine") }?.engine.mtu();
        Ok(PFPLANE_OK)
    });
    mtu
}

/// The host id (creatorid) of this engine: as configured, or the random one that it took.
///
/// Returns: the number as pf prints it; 0 for `NULL`.
/// Thread: any.
///
/// # Safety
/// `engine` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_engine_host_id(engine: *const pfplane_engine) -> u32 {
    let mut host_id = 0;
    guard(|| {
        // SAFETY: the caller promises NULL or a valid engine.
        host_id = unsafe { reference(engine, "engine") }?.engine.host_id();
        Ok(PFPLANE_OK)
    });
    host_id
}

/// The RSS key and the redirection table that make the NIC choose the same lane as this engine does.
///
/// The hash is Toeplitz over source and destination address and, for TCP, UDP and SCTP, the ports; its low seven bits
/// choose one of the 128 entries.
///
/// Parameters: `key_out`, room for 40 bytes; `redirection_out`, room for 128 lane numbers. Either may be `NULL`.
/// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
/// Thread: any.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_engine_steering(
    engine: *const pfplane_engine,
    key_out: *mut [u8; 40],
    redirection_out: *mut [u8; 128],
) -> i32 {
    guard(|| {
        // SAFETY: the caller promises NULL or a valid engine.
        let steering = unsafe { reference(engine, "engine") }?.engine.steering();
        if !key_out.is_null() {
            // SAFETY: not NULL; the caller promises room for 40 bytes.
            unsafe { put(key_out, "key_out", *steering.key()) }?;
        }
        if !redirection_out.is_null() {
            // SAFETY: not NULL; the caller promises room for 128 numbers.
            unsafe { put(redirection_out, "redirection_out", *steering.redirection()) }?;
        }
        Ok(PFPLANE_OK)
    })
}

/// The lane that owns a packet's key, for a host that steers in software.
///
/// Parameters: as for pfplane_packet_facts; `lane_out`, room for the lane's number.
/// Returns: PFPLANE_OK; PFPLANE_END when the packet has no key (not IP, a fragment, broken): any lane may have it.
/// Thread: any.
/// Cost: one pass over the headers and one table-driven hash.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_engine_lane_of(
    engine: *const pfplane_engine,
    burst: *const super::pfplane_burst,
    packet: *const super::pfplane_packet,
    lane_out: *mut u32,
) -> i32 {
    guard(|| {
        // SAFETY: the caller promises NULL or a valid engine.
        let engine = unsafe { reference(engine, "engine") }?;
        // SAFETY: the caller promises NULL or a valid burst.
        let burst = unsafe { reference(burst, "burst") }?.burst()?;
        // SAFETY: the caller promises NULL or a valid packet.
        let packet = unsafe { reference(packet, "packet") }?;
        // SAFETY: the caller promises that the packet's bytes can be read.
        let view = unsafe { packet.view() };
        let Ok(facts) = crate::packet::parse(view.data, view.packet_length, burst.link, burst.direction)
        else {
            return Ok(PFPLANE_END);
        };
        let lane = u32::from(engine.engine.steering().lane_of(&facts.key));
        // SAFETY: the caller promises NULL or room for a number.
        unsafe { put(lane_out, "lane_out", lane) }?;
        Ok(PFPLANE_OK)
    })
}

pub(super) fn unknown_argument(name: &str, value: u32) -> Failure {
    Failure::new(PFPLANE_ERROR_ARGUMENT, format!("{name} is {value}, which is none of its values"))
}

#[cfg(test)]
mod tests {
    use super::super::pfplane_lane_poll;
    use super::*;
    use core::ptr::null_mut;

    /// An engine of two small lanes.
    fn engine_with_two_lanes() -> *mut pfplane_engine {
        let config = pfplane_config { lanes: 2, states_per_lane: 16, ..pfplane_config::defaults() };
        let mut engine = null_mut();
        // SAFETY: a filled configuration and room for a pointer.
        assert_eq!(unsafe { pfplane_engine_new(&raw const config, &raw mut engine) }, PFPLANE_OK);
        engine
    }

    fn lane(engine: *mut pfplane_engine, index: u32) -> *mut pfplane_lane {
        let mut lane = null_mut();
        // SAFETY: a valid engine and room for a pointer.
        assert_eq!(unsafe { pfplane_engine_lane(engine, index, &raw mut lane) }, PFPLANE_OK);
        lane
    }

    fn poll(lane: *mut pfplane_lane) {
        // SAFETY: a valid lane that only this thread uses.
        assert_eq!(unsafe { pfplane_lane_poll(lane, 1) }, PFPLANE_OK);
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
