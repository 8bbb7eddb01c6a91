//! Lane: packets that the host has parsed
//!
//! For VPP, and for hosts that reassemble fragments: the same states, verdicts and statistics as pfplane_lane_lookup. No packet
//! is read or written, so the host rewrites translated packets, to the keys that pfplane_lane_state_at shows.

use super::super::{
    PFPLANE_OK, elements, elements_mut, given, given_mut, pfplane_facts, pfplane_lane, pfplane_state_options,
};
use super::lookup::{check_count, options_of};
use super::{pfplane_burst, pfplane_verdict, with_lane};
use crate::lane::{Burst, Lane, Packet, Verdict};
use crate::packet::Direction;
use core::mem::MaybeUninit;

/// As pfplane_lane_lookup, for packets that the host has parsed.
///
/// Parameters: `count`, 0 to PFPLANE_MAX_BURST, the elements of `facts` and `verdicts_out`. The call reads the fields
/// that pfplane_packet_facts fills for a whole packet, except the offsets, and `hash`. `burst->link` is ignored.
/// Returns: PFPLANE_OK with every verdict written; PFPLANE_ERROR_ARGUMENT for facts that contradict each other, which the last
/// error names. On an error no verdict is written and no packet is tracked.
/// Thread: the lane's.
/// Cost: as pfplane_lane_lookup without the parsing.
///
/// # Safety
/// `facts` and `verdicts_out` have `count` elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_lookup_facts(
    lane: Option<&mut pfplane_lane>,
    burst: Option<&pfplane_burst>,
    facts: *const pfplane_facts,
    count: u32,
    verdicts_out: *mut pfplane_verdict,
) -> i32 {
    let body = |lane: &mut Lane| {
        check_count(count)?;
        let burst = given(burst, "burst")?.burst()?;
        // SAFETY: `count` is the length of `facts`.
        let facts = unsafe { elements(facts, count, "facts") }?;
        for (index, facts) in facts.iter().enumerate() {
            facts.check(index)?;
        }
        let verdicts_out = verdicts_out.cast::<MaybeUninit<pfplane_verdict>>();
        // SAFETY: `count` is the length of `verdicts_out` too, whose elements may be uninitialised.
        let verdicts = unsafe { elements_mut(verdicts_out, count, "verdicts_out") }?;
        lane.lookup_burst(&burst, &mut FactsBurst { facts, direction: burst.direction, verdicts });
        Ok(PFPLANE_OK)
    };
    with_lane(lane, body)
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

/// As pfplane_lane_state_create, for a packet that the host has parsed.
///
/// Returns: as pfplane_lane_state_create; PFPLANE_ERROR_ARGUMENT for facts that contradict each other.
/// Thread: the lane's.
/// Cost: no allocation.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_lane_state_create_facts(
    lane: Option<&mut pfplane_lane>,
    burst: Option<&pfplane_burst>,
    facts: Option<&pfplane_facts>,
    options: Option<&pfplane_state_options>,
    verdict_out: Option<&mut MaybeUninit<pfplane_verdict>>,
) -> i32 {
    let body = |lane: &mut Lane| {
        let burst = given(burst, "burst")?.burst()?;
        let facts = given(facts, "facts")?;
        facts.check(0)?;
        let options = options_of(options)?;
        let out = given_mut(verdict_out, "verdict_out")?;
        let (hash, facts) = (Some(facts.hash), facts.facts(burst.direction));
        out.write(lane.create_from_facts(&burst, &facts, hash, &options).into());
        Ok(PFPLANE_OK)
    };
    with_lane(lane, body)
}
