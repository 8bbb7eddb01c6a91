//! Answers to refused packets.

use super::lane::with_lane;
use super::{
    Failure, PFPLANE_ERROR_BUFFER, PFPLANE_OK, elements_mut, pfplane_burst, pfplane_lane, pfplane_packet,
    pfplane_verdict, put, reference,
};
use crate::lane::{Action, Lane, Reason, Verdict};
use crate::packet::MAX_ANSWER;
use crate::table::Slot;

/// Room that every answer fits into.
pub const PFPLANE_ANSWER_MAX: u32 = 96;

const _: () = assert!(MAX_ANSWER <= PFPLANE_ANSWER_MAX as usize);

/// Writes what pf would send back for a TCP packet that the lookup just said to drop with PFPLANE_REASON_CHALLENGE_ACK or
/// PFPLANE_REASON_RESET: a whole packet, from the link header on, to go out where the refused one came in.
///
/// A host that sends none leaves a client that uses its ports again waiting until the connection before has ended by
/// itself. An answer is no longer than what it answers, and one at most is made for each packet.
///
/// Parameters: `burst`, `packet` and `verdict` as in the lookup, without another call between that changes states;
/// `capacity` bytes at `buffer`, at least PFPLANE_ANSWER_MAX.
/// Returns: PFPLANE_OK with the length, 0 when the verdict calls for no answer; PFPLANE_ERROR_BUFFER.
/// Ownership: packet and buffer stay the caller's. They must not overlap.
/// Thread: the lane's.
/// Cost: no allocation.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_answer(
    lane: *mut pfplane_lane,
    burst: *const pfplane_burst,
    packet: *const pfplane_packet,
    verdict: *const pfplane_verdict,
    buffer: *mut u8,
    capacity: u32,
    length_out: *mut u32,
) -> i32 {
    let body = |lane: &mut Lane| {
        // SAFETY: the caller promises NULL or a valid burst.
        let burst = unsafe { reference(burst, "burst") }?.burst()?;
        // SAFETY: the caller promises NULL or a valid packet.
        let packet = unsafe { reference(packet, "packet") }?;
        // SAFETY: the caller promises NULL or a valid verdict.
        let verdict = unsafe { reference(verdict, "verdict") }?.refusal();
        // SAFETY: the caller promises that the packet's bytes can be read during the call.
        let view = unsafe { packet.view() };
        if capacity < PFPLANE_ANSWER_MAX {
            let text = format!("capacity is {capacity}, an answer needs up to {PFPLANE_ANSWER_MAX} bytes");
            return Err(Failure::new(PFPLANE_ERROR_BUFFER, text));
        }
        if buffer.is_null() {
            return Err(Failure::null("buffer"));
        }
        // SAFETY: not NULL; the caller promises `capacity` bytes that only this call uses, and these are no more.
        unsafe { buffer.write_bytes(0, MAX_ANSWER) };
        // SAFETY: as above, and the bytes are now initialised.
        let out = unsafe { elements_mut(buffer, MAX_ANSWER as u32, "buffer") }?;
        let length = verdict.and_then(|verdict| lane.answer(&burst, &view, &verdict, out)).unwrap_or(0);
        // SAFETY: the caller promises NULL or room for a number.
        unsafe { put(length_out, "length_out", length as u32) }?;
        Ok(PFPLANE_OK)
    };
    // SAFETY: the caller promises NULL or a lane that only this thread uses.
    unsafe { with_lane(lane, body) }
}

impl pfplane_verdict {
    /// The verdict as the lane gave it, when it is one that pf answers.
    fn refusal(&self) -> Option<Verdict> {
        let answered = [Reason::ChallengeAck, Reason::Reset];
        let reason = answered.into_iter().find(|reason| self.reason == *reason as u8)?;
        let refused = self.action == Action::Drop as u8;
        refused.then(|| Verdict { slot: Slot(self.slot), ..Verdict::drop(reason) })
    }
}
