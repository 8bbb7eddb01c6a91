//! Replication alone, of a table that the host has itself.

use super::store::Callbacks;
use super::{
    Failure, PFPLANE_END, PFPLANE_ERROR_ARGUMENT, PFPLANE_ERROR_BUFFER, PFPLANE_ERROR_PANIC, PFPLANE_OK,
    check_size, elements, elements_mut, exclusive, guard, pfplane_config, pfplane_stat, pfplane_store, put,
    reference,
};
use crate::sync::{ImportCounters, Removal, Replica, SyncCounters, WrongIndex};

/// Replication of a table of the host's. Opaque.
///
/// Thread: one at a time.
pub struct pfplane_replica {
    replica: Replica<Callbacks>,
    broken: bool,
}

/// Makes a replica of a table. The states that the table holds already are taken for this node's own and offered to the peers.
///
/// Parameters: `config`, of which host id, peers (without Ethernet headers) and all that concerns replication is looked at, for
/// one lane; `store`, copied.
/// Returns: PFPLANE_OK and the replica in `replica_out`; PFPLANE_ERROR_SETTING (the last error names the setting and the
/// limit), PFPLANE_ERROR_SIZE or PFPLANE_ERROR_NULL.
/// Ownership: the caller's, until pfplane_replica_free; the store's context must live as long.
/// Thread: any. Cost: all memory is had now, about 100 bytes a place.
///
/// # Safety
/// All pointers are valid as said, or `NULL`, and the store's functions keep their promises.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_replica_new(
    config: *const pfplane_config,
    store: *const pfplane_store,
    replica_out: *mut *mut pfplane_replica,
) -> i32 {
    guard(|| {
        if replica_out.is_null() {
            return Err(Failure::null("replica_out"));
        }
        // SAFETY: the caller promises NULL or a valid configuration.
        let config = unsafe { reference(config, "config") }?;
        // SAFETY: the caller promises that what the configuration points to is valid.
        let config = unsafe { config.convert() }?;
        // SAFETY: the caller promises NULL or a valid store.
        let store = unsafe { reference(store, "store") }?;
        // SAFETY: the caller promises that the functions keep their promises.
        let callbacks = unsafe { store.callbacks() }?;
        let replica = crate::engine::replica(&config, callbacks, store.capacity)?;
        let replica = Box::into_raw(Box::new(pfplane_replica { replica, broken: false }));
        // SAFETY: not NULL, checked above; the caller promises room for a pointer.
        unsafe { put(replica_out, "replica_out", replica) }?;
        Ok(PFPLANE_OK)
    })
}

/// Frees a replica. The table is not touched.
///
/// Parameters: `replica`; `NULL` is fine.
/// Thread: any.
///
/// # Safety
/// `replica` is NULL or came from pfplane_replica_new and was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_replica_free(replica: *mut pfplane_replica) {
    guard(|| {
        if !replica.is_null() {
            // SAFETY: the caller promises that the pointer came from pfplane_replica_new, which made it from a box.
            drop(unsafe { Box::from_raw(replica) });
        }
        Ok(PFPLANE_OK)
    });
}

/// Runs a replica's call; one in which a defect was contained refuses every later call.
///
/// # Safety
/// `replica` is NULL, or valid and used by this thread alone.
unsafe fn with_replica(
    replica: *mut pfplane_replica,
    body: impl FnOnce(&mut Replica<Callbacks>) -> Result<i32, Failure>,
) -> i32 {
    guard(|| {
        // SAFETY: the caller promises NULL or a replica that only this thread uses.
        let replica = unsafe { exclusive(replica, "replica") }?;
        if replica.broken {
            return Err(Failure::new(PFPLANE_ERROR_PANIC, "the replica is out of use after a defect"));
        }
        replica.broken = true;
        let result = body(&mut replica.replica);
        replica.broken = false;
        result
    })
}

fn wrong_index(place: u32) -> impl FnOnce(WrongIndex) -> Failure {
    move |_| Failure::new(PFPLANE_ERROR_ARGUMENT, format!("place {place} cannot be what this call is for"))
}

/// Tells that the host has made a state at `place`; its table has it by now.
///
/// Returns: PFPLANE_OK; PFPLANE_ERROR_ARGUMENT when there is a state at this place already, the place is beyond the capacity,
/// or the table has none there.
/// Thread: the replica's. Cost: no allocation; asks the table once.
///
/// # Safety
/// `replica` is NULL, or valid and used by this thread alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_replica_inserted(
    replica: *mut pfplane_replica,
    place: u32,
    now_ns: u64,
) -> i32 {
    let body = |replica: &mut Replica<Callbacks>| {
        replica.inserted(place, now_ns).map_err(wrong_index(place))?;
        Ok(PFPLANE_OK)
    };
    // SAFETY: the caller promises NULL or a replica that only this thread uses.
    unsafe { with_replica(replica, body) }
}

/// Tells that the host has passed a packet of the state at `place`. Many such changes become one message.
///
/// Returns: PFPLANE_OK; PFPLANE_ERROR_ARGUMENT when there is no state at this place.
/// Thread: the replica's. Cost: a few instructions on one cache line; the table is not asked.
///
/// # Safety
/// `replica` is NULL, or valid and used by this thread alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_replica_updated(
    replica: *mut pfplane_replica,
    place: u32,
    now_ns: u64,
) -> i32 {
    let body = |replica: &mut Replica<Callbacks>| {
        replica.updated(place, now_ns).map_err(wrong_index(place))?;
        Ok(PFPLANE_OK)
    };
    // SAFETY: the caller promises NULL or a replica that only this thread uses.
    unsafe { with_replica(replica, body) }
}

/// Tells that the host has removed the state at `place`, or is about to. Not for those that the host was told to remove.
///
/// Parameters: `expired`, true when its time was over: the peers are told only if this node had traffic of it.
/// Returns: PFPLANE_OK; PFPLANE_ERROR_ARGUMENT when there is no state at this place.
/// Thread: the replica's. Cost: no allocation.
///
/// # Safety
/// `replica` is NULL, or valid and used by this thread alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_replica_removed(
    replica: *mut pfplane_replica,
    place: u32,
    expired: bool,
    now_ns: u64,
) -> i32 {
    let body = |replica: &mut Replica<Callbacks>| {
        let why = if expired { Removal::Expired } else { Removal::Ended };
        replica.removed(place, why, now_ns).map_err(wrong_index(place))?;
        Ok(PFPLANE_OK)
    };
    // SAFETY: the caller promises NULL or a replica that only this thread uses.
    unsafe { with_replica(replica, body) }
}

/// Whether the host should keep the state at `place` although its time is over: only a peer has traffic of it, and the peer is
/// silent (`pfplane_config.grace_s`) or all states are being asked for.
///
/// Returns: true or false; false for `NULL`.
/// Thread: the replica's.
///
/// # Safety
/// `replica` is NULL, or valid and used by this thread alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_replica_keeps(replica: *mut pfplane_replica, place: u32) -> bool {
    guard(|| {
        // SAFETY: the caller promises NULL or a replica that only this thread uses.
        let replica = unsafe { exclusive(replica, "replica") }?;
        Ok(i32::from(replica.replica.in_grace(place)))
    }) == 1
}

/// Housekeeping. Call it at least every millisecond; each call does a bounded amount of work.
///
/// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
/// Thread: the replica's.
///
/// # Safety
/// `replica` is NULL, or valid and used by this thread alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_replica_poll(replica: *mut pfplane_replica, now_ns: u64) -> i32 {
    let body = |replica: &mut Replica<Callbacks>| {
        replica.poll(now_ns);
        Ok(PFPLANE_OK)
    };
    // SAFETY: the caller promises NULL or a replica that only this thread uses.
    unsafe { with_replica(replica, body) }
}

/// Takes one packet of protocol 240 that came in on the sync port, from its IP header on.
///
/// Returns: PFPLANE_OK also for a packet that is refused (a statistic says why); PFPLANE_ERROR_NULL.
/// Ownership: the bytes stay the caller's and are only read.
/// Thread: the replica's.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_replica_receive(
    replica: *mut pfplane_replica,
    ip_packet: *const u8,
    length: u32,
    now_ns: u64,
) -> i32 {
    let body = |replica: &mut Replica<Callbacks>| {
        // SAFETY: the caller promises NULL or `length` readable bytes.
        replica.receive(unsafe { elements(ip_packet, length, "ip_packet") }?, now_ns);
        Ok(PFPLANE_OK)
    };
    // SAFETY: the caller promises NULL or a replica that only this thread uses.
    unsafe { with_replica(replica, body) }
}

/// Gives the next pfsync packet that is due, whole from its IP header on. Call it until `length_out` is 0.
///
/// Parameters: `capacity` bytes at `buffer`, at least `pfplane_config.mtu`.
/// Returns: PFPLANE_OK with the length, 0 when nothing is due; PFPLANE_ERROR_BUFFER when `capacity` is too small.
/// Ownership: the buffer stays the caller's.
/// Thread: the replica's. Cost: asks the table for every state in the packet.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_replica_flush(
    replica: *mut pfplane_replica,
    now_ns: u64,
    buffer: *mut u8,
    capacity: u32,
    length_out: *mut u32,
) -> i32 {
    let body = |replica: &mut Replica<Callbacks>| {
        let needed = replica.settings().mtu;
        if capacity < needed {
            let text = format!("capacity is {capacity}, a frame needs up to {needed} bytes");
            return Err(Failure::new(PFPLANE_ERROR_BUFFER, text));
        }
        if buffer.is_null() || length_out.is_null() {
            return Err(Failure::null(if buffer.is_null() { "buffer" } else { "length_out" }));
        }
        // SAFETY: not NULL; the caller promises `capacity` bytes that only this call uses, and `needed` are no more.
        unsafe { buffer.write_bytes(0, needed as usize) };
        // SAFETY: as above, and the bytes are now initialised.
        let buffer = unsafe { elements_mut(buffer, needed, "buffer") }?;
        let length = replica.flush(now_ns, buffer).map_or(0, |flushed| flushed.length);
        // SAFETY: not NULL; the caller promises room for a number.
        unsafe { put(length_out, "length_out", length as u32) }?;
        Ok(PFPLANE_OK)
    };
    // SAFETY: the caller promises NULL or a replica that only this thread uses.
    unsafe { with_replica(replica, body) }
}

/// Takes back a packet of pfplane_replica_flush that could not be sent: what it said is said again.
///
/// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
/// Ownership: the bytes stay the caller's and are only read.
/// Thread: the replica's.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_replica_unsent(
    replica: *mut pfplane_replica,
    ip_packet: *const u8,
    length: u32,
    now_ns: u64,
) -> i32 {
    let body = |replica: &mut Replica<Callbacks>| {
        // SAFETY: the caller promises NULL or `length` readable bytes.
        replica.requeue_frame(unsafe { elements(ip_packet, length, "ip_packet") }?, now_ns);
        Ok(PFPLANE_OK)
    };
    // SAFETY: the caller promises NULL or a replica that only this thread uses.
    unsafe { with_replica(replica, body) }
}

/// Whether this node may take over: the peers' states are in or were given up on.
///
/// Returns: true or false; false for `NULL`.
/// Thread: the replica's.
///
/// # Safety
/// `replica` is NULL, or valid and used by this thread alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_replica_ready(replica: *mut pfplane_replica) -> bool {
    guard(|| {
        // SAFETY: the caller promises NULL or a replica that only this thread uses.
        let replica = unsafe { exclusive(replica, "replica") }?;
        Ok(i32::from(replica.replica.bulk().is_ready()))
    }) == 1
}

/// Asks the peers for all their states (`push` false), or tells them all of this node's (`push` true).
///
/// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
/// Thread: the replica's.
///
/// # Safety
/// `replica` is NULL, or valid and used by this thread alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_replica_bulk(replica: *mut pfplane_replica, push: bool, now_ns: u64) -> i32 {
    let body = |replica: &mut Replica<Callbacks>| {
        if push {
            replica.push(now_ns);
        } else {
            replica.request(now_ns);
        }
        Ok(PFPLANE_OK)
    };
    // SAFETY: the caller promises NULL or a replica that only this thread uses.
    unsafe { with_replica(replica, body) }
}

/// Gives one statistic; those of replication by the names of pfplane_engine_stat.
///
/// Parameters: `index` from 0 on; `stat_out->size` is set by the caller.
/// Returns: PFPLANE_OK; PFPLANE_END when `index` is past the last.
/// Ownership: the texts are the library's.
/// Thread: the replica's.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_replica_stat(
    replica: *mut pfplane_replica,
    now_ns: u64,
    index: u32,
    stat_out: *mut pfplane_stat,
) -> i32 {
    let body = |replica: &mut Replica<Callbacks>| {
        // SAFETY: the caller promises NULL or a struct that only this call uses.
        let stat_out = unsafe { exclusive(stat_out, "stat_out") }?;
        check_size::<pfplane_stat>(stat_out.size, "stat_out")?;
        let (sent, received) = replica.counters(now_ns);
        let (index, sent_count) = (index as usize, SyncCounters::LIST.len());
        let found = match index.checked_sub(sent_count) {
            None => Some((&SyncCounters::LIST[index], sent.values()[index])),
            Some(index) => ImportCounters::LIST.get(index).zip(received.values().get(index).copied()),
        };
        let Some((descriptor, value)) = found else { return Ok(PFPLANE_END) };
        stat_out.fill(descriptor, value);
        Ok(PFPLANE_OK)
    };
    // SAFETY: the caller promises NULL or a replica that only this thread uses.
    unsafe { with_replica(replica, body) }
}
