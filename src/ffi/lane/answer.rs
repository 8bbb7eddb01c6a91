//! Lane: answers to dropped packets
//!
//! pf answers some TCP packets that it drops. Without these answers, a client that uses its ports again waits until the old
//! connection has expired.

use super::super::{PFPLANE_OK, given, given_mut, guard, out_buffer, pfplane_address, pfplane_lane, unknown};
use super::{pfplane_burst, pfplane_packet, pfplane_verdict, with_lane_read};
use crate::lane::{Action, Checksums, Lane, Reason, Verdict};
use crate::packet::{MAX_ANSWER, MAX_REFUSAL, RefusalKind, parse, write_refusal};
use crate::table::Slot;
use core::mem::MaybeUninit;

/// Maximum length of an answer in bytes.
pub const PFPLANE_MAX_ANSWER: u32 = 96;

const _: () = assert!(MAX_ANSWER <= PFPLANE_MAX_ANSWER as usize);

/// Builds pf's answer to a TCP packet that a lookup just dropped with PFPLANE_REASON_CHALLENGE_ACK or PFPLANE_REASON_RESET: a
/// whole packet from the link header on, to send back through the port of the dropped one. It is never longer than that one.
///
/// Parameters: `burst`, `packet` and `verdict` as in the lookup, without another call that changes states in between;
/// `capacity`, the bytes of `buffer`, at least PFPLANE_MAX_ANSWER.
/// Returns: PFPLANE_OK with the length, 0 when the verdict calls for no answer; PFPLANE_ERROR_BUFFER; PFPLANE_ERROR_NULL.
/// Thread: the lane's.
/// Cost: no allocation.
///
/// # Safety
/// The packet's bytes are readable; `buffer` has `capacity` bytes, which do not overlap the packet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_answer(
    lane: Option<&pfplane_lane>,
    burst: Option<&pfplane_burst>,
    packet: Option<&pfplane_packet>,
    verdict: Option<&pfplane_verdict>,
    buffer: *mut u8,
    capacity: u32,
    length_out: Option<&mut MaybeUninit<u32>>,
) -> i32 {
    let body = |lane: &Lane| {
        let burst = given(burst, "burst")?.burst()?;
        // SAFETY: the packet is only read, and does not overlap the buffer that is written.
        let view = unsafe { given(packet, "packet")?.view() };
        let verdict = given(verdict, "verdict")?.refusal();
        // SAFETY: `capacity` is the buffer's length, and only this call uses it.
        let buffer = unsafe { out_buffer(buffer, capacity, PFPLANE_MAX_ANSWER as usize) }?;
        let out = given_mut(length_out, "length_out")?;
        let answer = &mut buffer[..MAX_ANSWER];
        let length = verdict.and_then(|verdict| lane.answer(&burst, &view, &verdict, answer)).unwrap_or(0);
        out.write(length as u32);
        Ok(PFPLANE_OK)
    };
    with_lane_read(lane, body)
}

/// Maximum length of an answer of pfplane_packet_refuse in bytes.
pub const PFPLANE_MAX_REFUSAL: u32 = 1302;

const _: () = assert!(MAX_REFUSAL == PFPLANE_MAX_REFUSAL as usize);

// enum pfplane_refusal: How pfplane_packet_refuse answers.
/// As pf's `return`: TCP gets an RST, other packets the ICMP error "port unreachable".
pub const PFPLANE_REFUSE_RETURN: u32 = 0;
/// Every packet gets the ICMP error "communication administratively prohibited".
pub const PFPLANE_REFUSE_PROHIBITED: u32 = 1;

/// Builds the answer to a packet that the host refuses: of an unknown connection (PFPLANE_NEW that the rules do not pass, or
/// PFPLANE_REASON_NO_STATE after a restart), so that its sender need not wait. A whole packet from the link header on, to send
/// back through the port of the refused one. Limit the rate: an attacker may spoof the sender.
///
/// Parameters: `burst` and `packet` as in a lookup; `refusal`, PFPLANE_REFUSE_*; `router`, the sender of an ICMP error, `NULL` for
/// the packet's destination; `capacity`, the bytes of `buffer`, at least PFPLANE_MAX_REFUSAL.
/// Returns: PFPLANE_OK with the length, 0 for packets that nobody may answer: RST, ICMP errors and replies, neighbour discovery,
/// fragments, wrong checksums, multicast and broadcast; PFPLANE_ERROR_ARGUMENT; PFPLANE_ERROR_BUFFER; PFPLANE_ERROR_NULL.
/// Thread: any.
/// Cost: one pass over the packet, no allocation.
///
/// # Safety
/// The packet's bytes are readable; `buffer` has `capacity` bytes, which do not overlap the packet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_packet_refuse(
    burst: Option<&pfplane_burst>,
    packet: Option<&pfplane_packet>,
    refusal: u32,
    router: Option<&pfplane_address>,
    buffer: *mut u8,
    capacity: u32,
    length_out: Option<&mut MaybeUninit<u32>>,
) -> i32 {
    guard(|| {
        let burst = given(burst, "burst")?.burst()?;
        // SAFETY: the packet is read before the call returns, and does not overlap the buffer.
        let view = unsafe { given(packet, "packet")?.view() };
        let kind = match refusal {
            PFPLANE_REFUSE_RETURN => RefusalKind::Return,
            PFPLANE_REFUSE_PROHIBITED => RefusalKind::Prohibited,
            other => return Err(unknown("refusal", other)),
        };
        // SAFETY: the buffer is the caller's, with `capacity` bytes.
        let buffer = unsafe { out_buffer(buffer, capacity, PFPLANE_MAX_REFUSAL as usize) }?;
        let out = given_mut(length_out, "length_out")?;
        let facts = parse(view.data, view.packet_length, burst.link, burst.direction);
        let facts = facts.ok().filter(|_| view.checksums != Checksums::Bad);
        let router = router.map(|router| &router.bytes);
        let answer = &mut buffer[..MAX_REFUSAL];
        let length = facts.and_then(|facts| write_refusal(view.data, &facts, kind, router, answer));
        out.write(length.unwrap_or(0) as u32);
        Ok(PFPLANE_OK)
    })
}

impl pfplane_verdict {
    /// The lane's verdict, if it is one that pf answers.
    fn refusal(&self) -> Option<Verdict> {
        let answered = [Reason::ChallengeAck, Reason::Reset];
        let reason = answered.into_iter().find(|reason| self.reason == *reason as u8)?;
        let refused = self.action == Action::Drop as u8;
        refused.then(|| Verdict { slot: Slot(self.slot), ..Verdict::drop(reason) })
    }
}
