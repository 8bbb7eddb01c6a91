//! Lane: answers to dropped TCP packets
//!
//! pf answers some TCP packets that it drops. Without these answers, a client that uses its ports again waits until the old
//! connection has expired.

use super::super::{PFPLANE_OK, given, given_mut, out_buffer, pfplane_lane};
use super::{pfplane_burst, pfplane_packet, pfplane_verdict, with_lane_read};
use crate::lane::{Action, Lane, Reason, Verdict};
use crate::packet::MAX_ANSWER;
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

impl pfplane_verdict {
    /// The lane's verdict, if it is one that pf answers.
    fn refusal(&self) -> Option<Verdict> {
        let answered = [Reason::ChallengeAck, Reason::Reset];
        let reason = answered.into_iter().find(|reason| self.reason == *reason as u8)?;
        let refused = self.action == Action::Drop as u8;
        refused.then(|| Verdict { slot: Slot(self.slot), ..Verdict::drop(reason) })
    }
}
