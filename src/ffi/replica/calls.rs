//! Replica
//!
//! Keeps a host's table equal to its peers'. The host reports what happens in its table, polls, sends the frames that are due,
//! and passes received frames; the replica calls the table's functions.

use super::super::{
    Failure, PFPLANE_ERROR_ARGUMENT, PFPLANE_ERROR_PANIC, PFPLANE_OK, elements, given, given_mut, guard,
    out_buffer, pfplane_config, pfplane_readiness, pfplane_stat, pfplane_store,
};
use super::store::Callbacks;
use crate::memory::{Heap, Owned};
use crate::sync::{ImportCounters, Removal, Replica, SyncCounters, WrongIndex};
use core::mem::MaybeUninit;

/// Replication of a table that the host owns.
pub struct pfplane_replica {
    replica: Replica<Callbacks>,
    broken: bool,
    /// Where the replica is.
    heap: Heap,
}

/// Creates a replica of a table. States that are in the table already count as this node's own and are sent to the peers.
///
/// Parameters: `config`, for one lane, of which the host id, the peers (without Ethernet headers) and the settings of
/// replication apply; `store`, copied.
/// Returns: PFPLANE_OK and the replica in `replica_out`; PFPLANE_ERROR_SETTING (the last error names the setting and its
/// limits), PFPLANE_ERROR_MEMORY, PFPLANE_ERROR_SIZE or PFPLANE_ERROR_NULL.
/// Ownership: the caller's, until pfplane_replica_free. The store's context must live as long.
/// Thread: any; one thread at a time uses a replica. Cost: allocates all memory, about 100 bytes per slot.
///
/// # Safety
/// What `config` points to is valid, and the store's functions do what their comments say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_replica_new(
    config: Option<&pfplane_config>,
    store: Option<&pfplane_store>,
    replica_out: Option<&mut MaybeUninit<*mut pfplane_replica>>,
) -> i32 {
    guard(|| {
        let out = given_mut(replica_out, "replica_out")?;
        // SAFETY: the configuration's arrays are as long as its counts say.
        let config = unsafe { given(config, "config")?.convert() }?;
        let store = given(store, "store")?;
        // SAFETY: the functions are the host's, who vouches for them until the replica is freed.
        let callbacks = unsafe { store.callbacks() }?;
        let replica = crate::engine::replica(&config, callbacks, store.capacity)?;
        let heap = Heap::new(config.memory, -1);
        let replica = heap.owned("a replica", pfplane_replica { replica, broken: false, heap })?;
        out.write(Owned::into_raw_with_allocator(replica).0);
        Ok(PFPLANE_OK)
    })
}

/// Frees a replica. The table is not touched.
///
/// Parameters: `replica`; `NULL` is fine.
/// Thread: any.
///
/// # Safety
/// `replica` is `NULL`, or was returned by pfplane_replica_new and not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_replica_free(replica: *mut pfplane_replica) {
    guard(|| {
        if !replica.is_null() {
            // SAFETY: a replica that was not freed.
            let heap = unsafe { (*replica).heap };
            // SAFETY: it is the box of pfplane_replica_new in this heap, and nobody uses it after this call.
            drop(unsafe { Owned::from_raw_in(replica, heap) });
        }
        Ok(PFPLANE_OK)
    });
}

/// Runs a call on a replica. A replica in which a defect was contained refuses every later call.
pub(super) fn with_replica(
    replica: Option<&mut pfplane_replica>,
    body: impl FnOnce(&mut Replica<Callbacks>) -> Result<i32, Failure>,
) -> i32 {
    guard(|| {
        let replica = given_mut(replica, "replica")?;
        if replica.broken {
            return Err(Failure::new(PFPLANE_ERROR_PANIC, "the replica is out of use after a defect"));
        }
        replica.broken = true;
        let result = body(&mut replica.replica);
        replica.broken = false;
        result
    })
}

fn wrong_slot(slot: u32) -> impl FnOnce(WrongIndex) -> Failure {
    move |_| {
        Failure::new(PFPLANE_ERROR_ARGUMENT, format_args!("slot {slot} is not one that this call applies to"))
    }
}

/// Reports that the host has inserted a state in `slot` of its table.
///
/// Returns: PFPLANE_OK; PFPLANE_ERROR_ARGUMENT when the replica knows a state in this slot already, the slot is beyond the
/// capacity, or the table has no state there; PFPLANE_ERROR_NULL.
/// Thread: the replica's. Cost: no allocation; reads the state from the table.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_replica_inserted(
    replica: Option<&mut pfplane_replica>,
    slot: u32,
    now_ns: u64,
) -> i32 {
    let body = |replica: &mut Replica<Callbacks>| {
        replica.inserted(slot, now_ns).map_err(wrong_slot(slot))?;
        Ok(PFPLANE_OK)
    };
    with_replica(replica, body)
}

/// Reports that the host has passed a packet of the state in `slot`. Many such changes become one message.
///
/// Returns: PFPLANE_OK; PFPLANE_ERROR_ARGUMENT when there is no state in this slot; PFPLANE_ERROR_NULL.
/// Thread: the replica's. Cost: a few instructions on one cache line; the table is not read.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_replica_updated(
    replica: Option<&mut pfplane_replica>,
    slot: u32,
    now_ns: u64,
) -> i32 {
    let body = |replica: &mut Replica<Callbacks>| {
        replica.updated(slot, now_ns).map_err(wrong_slot(slot))?;
        Ok(PFPLANE_OK)
    };
    with_replica(replica, body)
}

/// Reports that the host has removed the state in `slot`, or is about to. Not for states that the replica removes itself
/// through `pfplane_store.remove`.
///
/// Parameters: `expired`, true if its timeout was over: peers then get a delete message only if this node had traffic of it.
/// Returns: PFPLANE_OK; PFPLANE_ERROR_ARGUMENT when there is no state in this slot; PFPLANE_ERROR_NULL.
/// Thread: the replica's. Cost: no allocation.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_replica_removed(
    replica: Option<&mut pfplane_replica>,
    slot: u32,
    expired: bool,
    now_ns: u64,
) -> i32 {
    let body = |replica: &mut Replica<Callbacks>| {
        let why = if expired { Removal::Expired } else { Removal::Ended };
        replica.removed(slot, why, now_ns).map_err(wrong_slot(slot))?;
        Ok(PFPLANE_OK)
    };
    with_replica(replica, body)
}

/// Returns whether the host should keep the state in `slot` although its timeout is over: only a peer has traffic of it, and
/// the peer is silent (`pfplane_config.grace_s`), or a bulk transfer is in progress. A host that shortens timeouts while its
/// table fills should not shorten those of states that only a peer has traffic of.
///
/// Returns: true or false; false for `NULL`.
/// Thread: the replica's.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_replica_keeps(replica: Option<&pfplane_replica>, slot: u32) -> bool {
    guard(|| Ok(i32::from(given(replica, "replica")?.replica.in_grace(slot)))) == 1
}

/// Housekeeping. Call it at least once per millisecond.
///
/// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
/// Thread: the replica's. Cost: a bounded amount of work per call.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_replica_poll(replica: Option<&mut pfplane_replica>, now_ns: u64) -> i32 {
    let body = |replica: &mut Replica<Callbacks>| {
        replica.poll(now_ns);
        Ok(PFPLANE_OK)
    };
    with_replica(replica, body)
}

/// Receives one pfsync packet (IP protocol 240) from the sync port, starting at its IP header.
///
/// Returns: PFPLANE_OK, also for a packet that is refused (a statistic counts why); PFPLANE_ERROR_NULL.
/// Thread: the replica's.
///
/// # Safety
/// `ip_packet` has `length` bytes that nobody writes during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_replica_receive(
    replica: Option<&mut pfplane_replica>,
    ip_packet: *const u8,
    length: u32,
    now_ns: u64,
) -> i32 {
    let body = |replica: &mut Replica<Callbacks>| {
        // SAFETY: `length` readable bytes, used until the call returns.
        replica.receive(unsafe { elements(ip_packet, length, "ip_packet") }?, now_ns);
        Ok(PFPLANE_OK)
    };
    with_replica(replica, body)
}

/// Writes the next pfsync packet that is due, starting at its IP header. Call it until `length_out` is 0.
///
/// Parameters: `capacity`, the bytes of `buffer`, at least `pfplane_config.mtu`.
/// Returns: PFPLANE_OK with the packet's length, 0 when none is due; PFPLANE_ERROR_BUFFER when `capacity` is too small;
/// PFPLANE_ERROR_NULL.
/// Thread: the replica's. Cost: reads every state in the packet from the table.
///
/// # Safety
/// `buffer` has `capacity` bytes that nobody else uses during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_replica_flush(
    replica: Option<&mut pfplane_replica>,
    now_ns: u64,
    buffer: *mut u8,
    capacity: u32,
    length_out: Option<&mut MaybeUninit<u32>>,
) -> i32 {
    let body = |replica: &mut Replica<Callbacks>| {
        // SAFETY: `capacity` is the buffer's length, and only this call uses it.
        let buffer = unsafe { out_buffer(buffer, capacity, replica.settings().mtu as usize) }?;
        let out = given_mut(length_out, "length_out")?;
        out.write(replica.flush(now_ns, buffer).map_or(0, |flushed| flushed.length as u32));
        Ok(PFPLANE_OK)
    };
    with_replica(replica, body)
}

/// Requeues the contents of a packet that could not be sent.
///
/// Parameters: `ip_packet` with `length` bytes, as pfplane_replica_flush wrote it.
/// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
/// Thread: the replica's.
///
/// # Safety
/// `ip_packet` has `length` bytes that nobody writes during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_replica_requeue(
    replica: Option<&mut pfplane_replica>,
    ip_packet: *const u8,
    length: u32,
    now_ns: u64,
) -> i32 {
    let body = |replica: &mut Replica<Callbacks>| {
        // SAFETY: the packet's bytes are only read, and only in this call.
        replica.requeue_frame(unsafe { elements(ip_packet, length, "ip_packet") }?, now_ns);
        Ok(PFPLANE_OK)
    };
    with_replica(replica, body)
}

/// Returns whether this node may take over, as pfplane_engine_ready.
///
/// Returns: true or false; false for `NULL`.
/// Thread: the replica's.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_replica_ready(replica: Option<&pfplane_replica>) -> bool {
    guard(|| Ok(i32::from(given(replica, "replica")?.replica.is_ready()))) == 1
}

/// Reports whether this node may take over, and why not, as pfplane_engine_readiness.
///
/// Parameters: the caller sets `readiness_out->size`.
/// Returns: PFPLANE_OK, PFPLANE_ERROR_NULL or PFPLANE_ERROR_SIZE.
/// Thread: the replica's.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_replica_readiness(
    replica: Option<&pfplane_replica>,
    now_ns: u64,
    readiness_out: Option<&mut pfplane_readiness>,
) -> i32 {
    guard(|| {
        let readiness = given(replica, "replica")?.replica.readiness(now_ns);
        pfplane_readiness::fill(readiness_out, &readiness)
    })
}

/// Reports frames that the sync port missed or that the host dropped, as pfplane_engine_frames_missed.
///
/// Parameters: `frames`, those since the last report; 0 does nothing.
/// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
/// Thread: the replica's.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_replica_frames_missed(replica: Option<&mut pfplane_replica>, frames: u64) -> i32 {
    let body = |replica: &mut Replica<Callbacks>| {
        replica.frames_missed(frames);
        Ok(PFPLANE_OK)
    };
    with_replica(replica, body)
}

/// Requests all states of the peers.
///
/// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
/// Thread: the replica's.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_replica_bulk_request(replica: Option<&mut pfplane_replica>, now_ns: u64) -> i32 {
    let body = |replica: &mut Replica<Callbacks>| {
        replica.request(now_ns);
        Ok(PFPLANE_OK)
    };
    with_replica(replica, body)
}

/// Sends all states of this node to the peers, unasked.
///
/// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
/// Thread: the replica's.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_replica_bulk_push(replica: Option<&mut pfplane_replica>, now_ns: u64) -> i32 {
    let body = |replica: &mut Replica<Callbacks>| {
        replica.push(now_ns);
        Ok(PFPLANE_OK)
    };
    with_replica(replica, body)
}

/// Returns one statistic. Those of replication have the same names as in pfplane_engine_stat, and numbers of their own.
///
/// Parameters: `index` from 0 on; the caller sets `stat_out->size`.
/// Returns: PFPLANE_OK; PFPLANE_END when `index` is past the last; PFPLANE_ERROR_NULL, PFPLANE_ERROR_SIZE.
/// Ownership: the texts are the library's.
/// Thread: the replica's.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_replica_stat(
    replica: Option<&pfplane_replica>,
    now_ns: u64,
    index: u32,
    stat_out: Option<&mut pfplane_stat>,
) -> i32 {
    guard(|| {
        let replica = &given(replica, "replica")?.replica;
        pfplane_stat::fill(stat_out, || {
            let (sent, received) = replica.counters(now_ns);
            let (index, sent_count) = (index as usize, SyncCounters::LIST.len());
            Ok(match index.checked_sub(sent_count) {
                None => Some((&SyncCounters::LIST[index], sent.values()[index])),
                Some(index) => ImportCounters::LIST.get(index).zip(received.values().get(index).copied()),
            })
        })
    })
}
