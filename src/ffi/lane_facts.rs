//! A lane's packet path for a host that has read its packets itself, or has put them together from fragments.

use super::lane::{options_of, with_lane};
use super::{
    Failure, PFPLANE_BURST_MAX, PFPLANE_ERROR_ARGUMENT, PFPLANE_OK, elements, elements_mut, pfplane_burst,
    pfplane_facts, pfplane_lane, pfplane_state_options, pfplane_verdict, put, reference,
};
use crate::lane::{Burst, Lane, Packet, Verdict};
use crate::packet::Direction;
use core::mem::MaybeUninit;

/// As pfplane_lane_lookup, for packets that the host has read itself: VPP, or whoever reassembles fragments. The same states,
/// verdicts and statistics; no packet is read or written.
///
/// Parameters: `count`, 0 to PFPLANE_BURST_MAX; `facts` and `verdicts_out` have `count` elements. Of `facts` those fields
/// are read that pfplane_packet_facts fills for a whole packet, without `fragment` and the offsets; `burst->link` is not
/// looked at. A verdict that says `translated` leaves the rewriting to the host, by the keys that pfplane_lane_state_at
/// shows.
/// Returns: PFPLANE_OK with every verdict written; PFPLANE_ERROR_ARGUMENT for facts that contradict themselves, and the last
/// error names them; on any error no verdict is written and nothing is tracked.
/// Ownership: nothing is kept.
/// Thread: the lane's.
/// Cost: as pfplane_lane_lookup without the reading.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_lookup_facts(
    lane: *mut pfplane_lane,
    burst: *const pfplane_burst,
    facts: *const pfplane_facts,
    count: u32,
    verdicts_out: *mut pfplane_verdict,
) -> i32 {
    let body = |lane: &mut Lane| {
        if count > PFPLANE_BURST_MAX {
            let text = format!("count is {count}, a burst has at most {PFPLANE_BURST_MAX} packets");
            return Err(Failure::new(PFPLANE_ERROR_ARGUMENT, text));
        }
        // SAFETY: the caller promises NULL or a valid burst.
        let burst = unsafe { reference(burst, "burst") }?.burst()?;
        // SAFETY: the caller promises NULL or `count` facts.
        let facts = unsafe { elements(facts, count, "facts") }?;
        for (place, facts) in facts.iter().enumerate() {
            facts.check(place)?;
        }
        let verdicts_out = verdicts_out.cast::<MaybeUninit<pfplane_verdict>>();
        // SAFETY: the caller promises NULL or room for `count` verdicts that only this call uses.
        let verdicts = unsafe { elements_mut(verdicts_out, count, "verdicts_out") }?;
        lane.lookup_burst(&burst, &mut FactsBurst { facts, direction: burst.direction, verdicts });
        Ok(PFPLANE_OK)
    };
    // SAFETY: the caller promises NULL or a lane that only this thread uses.
    unsafe { with_lane(lane, body) }
}

/// A burst of packets that the host has parsed.
struct FactsBurst<'a> {
    facts: &'a [pfplane_facts],
    direction: Direction,
    verdicts: &'a mut [MaybeUninit<pfplane_verdict>],
}

impl Burst for FactsBurst<'_> {
    #[inline]
    fn count(&self) -> usize {
        self.facts.len()
    }

    #[inline]
    fn packet(&self, index: usize) -> Packet<'_> {
        let facts = &self.facts[index];
        Packet::Facts { facts: facts.facts(self.direction), hash: Some(facts.hash) }
    }

    #[inline]
    fn verdict(&mut self, index: usize, verdict: Verdict) {
        self.verdicts[index].write(verdict.into());
    }
}

/// As pfplane_lane_state_create, for a packet that the host has read itself: see pfplane_lane_lookup_facts.
///
/// Returns: as pfplane_lane_state_create; PFPLANE_ERROR_ARGUMENT for facts that contradict themselves.
/// Ownership: nothing is kept. With `options` that translate, the host rewrites the packet.
/// Thread: the lane's.
/// Cost: no allocation.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_state_create_facts(
    lane: *mut pfplane_lane,
    burst: *const pfplane_burst,
    facts: *const pfplane_facts,
    options: *const pfplane_state_options,
    verdict_out: *mut pfplane_verdict,
) -> i32 {
    let body = |lane: &mut Lane| {
        // SAFETY: the caller promises NULL or a valid burst.
        let burst = unsafe { reference(burst, "burst") }?.burst()?;
        // SAFETY: the caller promises NULL or valid facts.
        let facts = unsafe { reference(facts, "facts") }?;
        facts.check(0)?;
        // SAFETY: the caller promises NULL or valid options.
        let options = unsafe { options_of(options) }?;
        if verdict_out.is_null() {
            return Err(Failure::null("verdict_out"));
        }
        let hash = Some(facts.hash);
        let verdict = lane.create_from_facts(&burst, &facts.facts(burst.direction), hash, &options);
        // SAFETY: not NULL; the caller promises room for a verdict that only this call uses.
        unsafe { put(verdict_out, "verdict_out", verdict.into()) }?;
        Ok(PFPLANE_OK)
    };
    // SAFETY: the caller promises NULL or a lane that only this thread uses.
    unsafe { with_lane(lane, body) }
}
