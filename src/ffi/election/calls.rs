//! Election: calls
//!
//! One control thread, or the thread of lane 0, owns an election: it passes in all frames that have come, then polls, then
//! flushes, in this order, so that a node that was stopped reads before it speaks. A second thread at the same time gets
//! PFPLANE_ERROR_PANIC. All threads may make the calls of the section "Election: lanes".
//!
//! A node that becomes master sends adverts, then gratuitous ARP requests and unsolicited neighbour advertisements for all
//! shared addresses. All of them come from pfplane_election_flush.

use super::super::{
    Failure, PFPLANE_END, PFPLANE_ERROR_ARGUMENT, PFPLANE_ERROR_FULL, PFPLANE_OK, check_size, elements,
    given, given_mut, out_buffer, pfplane_address, pfplane_engine, put, unknown,
};
use super::config::{c_address, pfplane_election, with_election};
use crate::election::{Class, Election, HELLO_BYTES, Hello, MAX_ELECTION_FRAME_BYTES};
use core::ffi::{CStr, c_char};
use core::mem::MaybeUninit;

/// Size of a buffer that every frame of an election fits into.
pub const PFPLANE_MAX_ELECTION_FRAME: u32 = 4160;
/// Length of a hello.
pub const PFPLANE_ELECTION_HELLO_BYTES: u32 = 48;
/// `weight` of pfplane_election_demote: this node must not be master at all.
pub const PFPLANE_ELECTION_FORBID: u32 = u32::MAX;

const _: () = assert!(MAX_ELECTION_FRAME_BYTES <= PFPLANE_MAX_ELECTION_FRAME as usize);
const _: () = assert!(HELLO_BYTES == PFPLANE_ELECTION_HELLO_BYTES as usize);
const _: () = assert!(HELLO_BYTES == crate::sync::HELLO_BYTES);

/// Maximum number of hellos of one call.
const MAX_HELLOS: u32 = 8;

// enum pfplane_election_class: Whether a node knows what its peers know.
/// It has all states.
pub const PFPLANE_ELECTION_SYNCED: u32 = 0;
/// It asked for all states and got none: it takes over only if nobody else is there.
pub const PFPLANE_ELECTION_GAVE_UP: u32 = 1;
/// It is receiving all states.
pub const PFPLANE_ELECTION_LOADING: u32 = 2;

/// A frame to be sent.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_election_frame {
    /// sizeof(struct pfplane_election_frame).
    pub size: u32,
    /// Length in bytes, with the Ethernet header.
    pub length: u32,
    /// The port to send it on.
    pub port: u16,
    /// Its VLAN, 0 for none. The frame has the tag already.
    pub vlan: u16,
    /// 1 if it comes from the virtual MAC address.
    pub from_virtual_mac: u8,
    /// Zero.
    pub reserved: [u8; 3],
    /// The unicast peer whose MAC address the host writes into the first six bytes. Without a family for multicast.
    pub receiver: pfplane_address,
}

/// Passes in a frame, from its Ethernet header on.
///
/// Parameters: `port`; `vlan`, the VLAN that it was received in, 0 for none: its tag may have been removed.
/// Returns: PFPLANE_OK if it was a frame of IP protocol 112, also if it was refused (a counter says why); PFPLANE_END if it was
/// another one; PFPLANE_ERROR_NULL.
/// Thread: the election's. Cost: up to two digests of CARP, about 1 us each; 1000 adverts a second and member at most.
///
/// # Safety
/// `election` is valid; `frame` has `length` bytes that nobody writes during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_election_receive(
    election: *mut pfplane_election,
    port: u16,
    vlan: u16,
    frame: *const u8,
    length: u32,
    now_ns: u64,
) -> i32 {
    let body = |election: &mut Election| {
        // SAFETY: `length` readable bytes.
        let frame = unsafe { elements(frame, length, "frame") }?;
        Ok(if election.receive((port, vlan), frame, now_ns) { PFPLANE_OK } else { PFPLANE_END })
    };
    // SAFETY: the election is valid.
    unsafe { with_election(election, body) }
}

/// Does what is due: judges silence, queues adverts, renews the lease.
///
/// Parameters: `next_due_ns_out`, when to call again at the latest; may be `NULL` for a host that calls it in every turn of its
/// loop. A master that is called more than two intervals late listens for 1.25 intervals before it forwards again.
/// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
/// Thread: the election's. Cost: no allocation, one pass over the members.
///
/// # Safety
/// `election` is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_election_poll(
    election: *mut pfplane_election,
    now_ns: u64,
    next_due_ns_out: Option<&mut MaybeUninit<u64>>,
) -> i32 {
    let body = |election: &mut Election| {
        let due = election.poll(now_ns);
        if let Some(out) = next_due_ns_out {
            out.write(due);
        }
        Ok(PFPLANE_OK)
    };
    // SAFETY: the election is valid.
    unsafe { with_election(election, body) }
}

/// Writes the next frame to be sent. Call it until it returns PFPLANE_END. A process that may have been stopped since the poll asks
/// pfplane_election_may_forward before it sends what a master says, and drops the frame if that is false.
///
/// Parameters: `capacity`, the bytes of `buffer`, at least PFPLANE_MAX_ELECTION_FRAME; the caller sets `frame_out->size`.
/// Returns: PFPLANE_OK; PFPLANE_END when nothing is left; PFPLANE_ERROR_BUFFER; PFPLANE_ERROR_SIZE; PFPLANE_ERROR_NULL.
/// Thread: the election's. Cost: no allocation; with CARP one digest.
///
/// # Safety
/// `election` is valid; `buffer` has `capacity` bytes that nobody else uses during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_election_flush(
    election: *mut pfplane_election,
    buffer: *mut u8,
    capacity: u32,
    frame_out: Option<&mut pfplane_election_frame>,
) -> i32 {
    let body = |election: &mut Election| {
        // SAFETY: `capacity` is the buffer's length, and only this call uses it.
        let buffer = unsafe { out_buffer(buffer, capacity, PFPLANE_MAX_ELECTION_FRAME as usize) }?;
        let out = given_mut(frame_out, "frame_out")?;
        check_size::<pfplane_election_frame>(out.size, "frame_out")?;
        let Some(frame) = election.flush(buffer) else { return Ok(PFPLANE_END) };
        *out = pfplane_election_frame {
            size: out.size,
            length: frame.length as u32,
            port: frame.port,
            vlan: frame.vlan,
            from_virtual_mac: frame.from_virtual_mac.into(),
            reserved: [0; 3],
            receiver: c_address(frame.receiver),
        };
        Ok(PFPLANE_OK)
    };
    // SAFETY: the election is valid.
    unsafe { with_election(election, body) }
}

/// Tells that `frames` frames to `port` could not be sent. Adverts of which none was sent do not renew the lease; three rounds in
/// a row demote this node until adverts are sent again.
///
/// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
/// Thread: the election's.
///
/// # Safety
/// `election` is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_election_send_failed(
    election: *mut pfplane_election,
    port: u16,
    frames: u32,
    now_ns: u64,
) -> i32 {
    let body = |election: &mut Election| {
        election.send_failed(port, frames, now_ns);
        Ok(PFPLANE_OK)
    };
    // SAFETY: the election is valid.
    unsafe { with_election(election, body) }
}

/// Tells whether the link of `port` is up. A node without links is no master.
///
/// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
/// Thread: the election's.
///
/// # Safety
/// `election` is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_election_link(
    election: *mut pfplane_election,
    port: u16,
    is_up: bool,
    now_ns: u64,
) -> i32 {
    let body = |election: &mut Election| {
        election.link(port, is_up, now_ns);
        Ok(PFPLANE_OK)
    };
    // SAFETY: the election is valid.
    unsafe { with_election(election, body) }
}

/// Tells whether this node knows what its peers know. Tell it again whenever it may have changed, for instance in every turn.
///
/// Parameters: `readiness`, PFPLANE_ELECTION_SYNCED, _GAVE_UP or _LOADING.
/// Returns: PFPLANE_OK; PFPLANE_ERROR_ARGUMENT; PFPLANE_ERROR_NULL.
/// Thread: the election's.
///
/// # Safety
/// `election` is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_election_readiness(election: *mut pfplane_election, readiness: u32) -> i32 {
    let body = |election: &mut Election| {
        election.readiness(match readiness {
            PFPLANE_ELECTION_SYNCED => Class::Synced,
            PFPLANE_ELECTION_GAVE_UP => Class::GaveUp,
            PFPLANE_ELECTION_LOADING => Class::Loading,
            other => return Err(unknown("readiness", other)),
        });
        Ok(PFPLANE_OK)
    };
    // SAFETY: the election is valid.
    unsafe { with_election(election, body) }
}

/// Demotes this node for a reason of the host's, such as a router that it cannot reach.
///
/// Parameters: `reason`, its name, NUL-terminated, 1 to 31 bytes; `weight`, in the dialect's measure (OpenBSD: demotion, FreeBSD:
/// advskew, VRRP: priority). It replaces the weight that the reason had; 0 takes it back; PFPLANE_ELECTION_FORBID forbids to be
/// master.
/// Returns: PFPLANE_OK; PFPLANE_ERROR_SETTING for a wrong name or more than 16 reasons; PFPLANE_ERROR_ARGUMENT when the name is not
/// UTF-8; PFPLANE_ERROR_NULL.
/// Thread: the election's.
///
/// # Safety
/// `election` is valid; `reason` is `NULL` or ends with a NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_election_demote(
    election: *mut pfplane_election,
    reason: *const c_char,
    weight: u32,
) -> i32 {
    let body = |election: &mut Election| {
        if reason.is_null() {
            return Err(Failure::null("reason"));
        }
        // SAFETY: not NULL, and it ends with a NUL.
        let reason = unsafe { CStr::from_ptr(reason) }.to_str();
        let reason = reason.map_err(|_| Failure::new(PFPLANE_ERROR_ARGUMENT, "reason is not UTF-8"))?;
        election.demote(reason, weight)?;
        Ok(PFPLANE_OK)
    };
    // SAFETY: the election is valid.
    unsafe { with_election(election, body) }
}

/// Steps down in order: the next flush says farewell. So that no packet is lost, this node may forward until a millisecond after it
/// receives the next master on all members that are up, 10 ms after it does on the first: at most until its lease ends, and for VRRP an interval, for CARP 250 ms, and
/// 50 ms more. See pfplane_election_may_use_virtual_mac. Flush the states to the peers before. A master that was stopped says no
/// farewell: another one may have replaced it.
///
/// Parameters: `hold_ms`, for how long it takes over from nobody.
/// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
/// Thread: the election's.
///
/// # Safety
/// `election` is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_election_step_down(
    election: *mut pfplane_election,
    hold_ms: u32,
    now_ns: u64,
) -> i32 {
    let body = |election: &mut Election| {
        election.step_down(hold_ms, now_ns);
        Ok(PFPLANE_OK)
    };
    // SAFETY: the election is valid.
    unsafe { with_election(election, body) }
}

/// Exchanges hellos with the other pfplane nodes over the sync link of an engine: passes in those that the engine has received,
/// and gives it the one that is due. Call it in every turn, before pfplane_election_poll.
///
/// With hellos, a deaf interface is reported apart from a dead peer, and a silent interface alone makes no second master. They
/// are sent to peers with `pfplane_peer.extensions`, behind the length of a pfsync frame, where other systems ignore them.
///
/// Returns: PFPLANE_OK; PFPLANE_ERROR_FULL when hellos of more than 8 groups wait to be sent, so that the oldest was dropped;
/// PFPLANE_ERROR_NULL.
/// Thread: the election's; the engine may run on other threads, with the same clock. A hello is sent after the next
/// pfplane_lane_poll of lane 0. Cost: no allocation, no waiting; at most 8 hellos.
///
/// # Safety
/// `election` is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_election_greet(
    election: *mut pfplane_election,
    engine: Option<&pfplane_engine>,
    now_ns: u64,
) -> i32 {
    let body = |election: &mut Election| {
        let engine = &given(engine, "engine")?.engine;
        let group = election.group();
        let of_group =
            |bytes: &[u8; HELLO_BYTES]| Hello::parse(bytes).is_none_or(|hello| hello.group == group);
        for _ in 0..MAX_HELLOS {
            let Some((bytes, received)) = engine.take_hello(of_group) else { break };
            // One that waited for longer than the sender's interval says nothing of now.
            if let Some(hello) = Hello::parse(&bytes)
                && now_ns.saturating_sub(received) <= hello.interval
            {
                election.receive_hello(&hello, now_ns);
            }
        }
        if let Some(hello) = election.hello(now_ns)
            && !engine.send_hello(&hello.write(), now_ns)
        {
            return Err(Failure::new(
                PFPLANE_ERROR_FULL,
                "hellos of more than 8 groups wait for pfplane_lane_poll of lane 0",
            ));
        }
        Ok(PFPLANE_OK)
    };
    // SAFETY: the election is valid.
    unsafe { with_election(election, body) }
}

/// Writes a hello for the other pfplane nodes, for a host that sends it on a path of its own: one each interval, from all nodes.
/// pfplane_election_greet sends them over the sync link.
///
/// Parameters: `capacity`, the bytes of `buffer`, at least PFPLANE_ELECTION_HELLO_BYTES, which a hello has.
/// Returns: PFPLANE_OK; PFPLANE_END when none is due; PFPLANE_ERROR_BUFFER; PFPLANE_ERROR_NULL.
/// Thread: the election's.
///
/// # Safety
/// `election` is valid; `buffer` has `capacity` bytes that nobody else uses during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_election_hello(
    election: *mut pfplane_election,
    now_ns: u64,
    buffer: *mut u8,
    capacity: u32,
) -> i32 {
    let body = |election: &mut Election| {
        // SAFETY: `capacity` is the buffer's length, and only this call uses it.
        let buffer = unsafe { out_buffer(buffer, capacity, HELLO_BYTES) }?;
        let Some(hello) = election.hello(now_ns) else { return Ok(PFPLANE_END) };
        buffer.copy_from_slice(&hello.write());
        Ok(PFPLANE_OK)
    };
    // SAFETY: the election is valid.
    unsafe { with_election(election, body) }
}

/// Passes in a hello of another node. The path must be one that no stranger can send on.
///
/// Parameters: `taken_out`, whether it counted: not if it is none, of another group, our own, or not newer than the last; may be
/// `NULL`.
/// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
/// Thread: the election's.
///
/// # Safety
/// `election` is valid; `hello` has `length` bytes that nobody writes during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_election_hello_receive(
    election: *mut pfplane_election,
    hello: *const u8,
    length: u32,
    now_ns: u64,
    taken_out: Option<&mut MaybeUninit<bool>>,
) -> i32 {
    let body = |election: &mut Election| {
        // SAFETY: `length` readable bytes.
        let bytes = unsafe { elements(hello, length, "hello") }?;
        let taken = Hello::parse(bytes).is_some_and(|hello| election.receive_hello(&hello, now_ns));
        if taken_out.is_some() {
            put(taken_out, "taken_out", taken)?;
        }
        Ok(PFPLANE_OK)
    };
    // SAFETY: the election is valid.
    unsafe { with_election(election, body) }
}
