//! Election: lanes
//!
//! What each lane asks, while another thread runs the election.

use super::super::{PFPLANE_END, PFPLANE_OK, elements, given, given_mut, guard, out_buffer};
use super::config::pfplane_election;
use crate::election::MAX_NEIGHBOUR_BYTES;
use core::mem::MaybeUninit;

/// Size of a buffer that every answer of pfplane_election_answer fits into.
pub const PFPLANE_MAX_ELECTION_ANSWER: u32 = 96;

const _: () = assert!(MAX_NEIGHBOUR_BYTES <= PFPLANE_MAX_ELECTION_ANSWER as usize);

/// Whether this node may forward packets to the shared addresses and through them: ask once a burst, before the lookup, and drop
/// the burst otherwise. It ends by itself if the control thread is stopped.
///
/// Returns: true or false; false for `NULL`.
/// Thread: any. Cost: a call and one comparison; pfplane_election_lease saves the call.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_election_may_forward(election: Option<&pfplane_election>, now_ns: u64) -> bool {
    election.is_some_and(|election| election.forwarding.may_forward(now_ns))
}

/// Returns where the end of the lease stands, so that a lane can compare it without a call. It may forward while its clock is less
/// than `__atomic_load_n(end, __ATOMIC_RELAXED)`; pfplane_election_may_forward says the same.
///
/// Returns: a pointer to nanoseconds, which only the library writes, valid until pfplane_election_free; `NULL` for `NULL`.
/// Thread: any.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_election_lease(election: Option<&pfplane_election>) -> *const u64 {
    election.map_or(core::ptr::null(), |election| election.forwarding.lease())
}

/// Whether frames may be sent from the virtual MAC address. While a node hands over (pfplane_election_step_down, or a better master
/// was received) it may forward, but not from that address: switches would send the traffic of the next master back to it. Ask
/// right before a burst is sent; if this is false and pfplane_election_may_forward is true, write the port's own MAC address into
/// the frames as their source.
///
/// Returns: true or false; false for `NULL`. Without meaning if the group uses the ports' own addresses.
/// Thread: any. Cost: two loads and one comparison.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_election_may_use_virtual_mac(
    election: Option<&pfplane_election>,
    now_ns: u64,
) -> bool {
    election.is_some_and(|election| election.forwarding.may_use_virtual_mac(now_ns))
}

/// Writes the answer to an ARP request or a neighbour solicitation for an address of a member: for a shared one if this node may
/// forward, for its own always.
///
/// Parameters: `port` and `vlan` where `frame` was received; `capacity`, the bytes of `buffer`, at least
/// PFPLANE_MAX_ELECTION_ANSWER.
/// Returns: PFPLANE_OK with the length, to be sent on the same port; PFPLANE_END if there is nothing to answer;
/// PFPLANE_ERROR_BUFFER; PFPLANE_ERROR_NULL.
/// Thread: any. Cost: no allocation.
///
/// # Safety
/// `frame` has `length` bytes, `buffer` has `capacity`; they do not overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_election_answer(
    election: Option<&pfplane_election>,
    port: u16,
    vlan: u16,
    frame: *const u8,
    length: u32,
    now_ns: u64,
    buffer: *mut u8,
    capacity: u32,
    length_out: Option<&mut MaybeUninit<u32>>,
) -> i32 {
    guard(|| {
        let forwarding = &given(election, "election")?.forwarding;
        // SAFETY: `length` readable bytes that do not overlap the buffer.
        let frame = unsafe { elements(frame, length, "frame") }?;
        // SAFETY: `capacity` is the buffer's length, and only this call uses it.
        let buffer = unsafe { out_buffer(buffer, capacity, PFPLANE_MAX_ELECTION_ANSWER as usize) }?;
        let out = given_mut(length_out, "length_out")?;
        let Some(length) = forwarding.answer((port, vlan), frame, buffer, now_ns) else {
            return Ok(PFPLANE_END);
        };
        out.write(length as u32);
        Ok(PFPLANE_OK)
    })
}
