//! Lane: packets that the host has parsed
//!
//! For VPP, and for hosts that reassemble fragments: the same states, verdicts and statistics as pfplane_lane_lookup. No packet
//! is read or written, so the host rewrites translated packets, to the keys that pfplane_lane_state_at shows.
//!
//! A host that knows the ports of later fragments, from the first one, can forward fragments without reassembly. It sets kind, protocol and
//! ports of the whole packet in what pfplane_packet_facts says about each. The first fragment is tracked as a packet. Later ones pass
//! whatever the TCP state is, and create no state. pfplane_lane_rewrite_fragment translates both.

use super::super::{
    PFPLANE_OK, elements, elements_mut, given, given_mut, pfplane_facts, pfplane_lane, pfplane_state_options,
};
use super::lookup::{check_count, options_of};
use super::{pfplane_burst, pfplane_packet, pfplane_verdict, with_lane};
use crate::lane::{Burst, Lane, Packet, Verdict};
use crate::packet::Direction;
use crate::table::Slot;
use core::mem::MaybeUninit;

/// As pfplane_lane_lookup, for packets that the host has parsed.
///
/// Parameters: `count`, 0 to PFPLANE_MAX_BURST, the elements of `facts` and `verdicts_out`. The call reads the fields
/// that pfplane_packet_facts fills for a whole packet, except the offsets, `fragment`, and `hash`. `burst->link` is ignored.
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

/// Rewrites a fragment that passes by a translated state: the addresses, and in the first fragment ports and checksum too.
///
/// Parameters: `burst` and `packet`, the fragment from its link or IP header on; `verdict`, what pfplane_lane_lookup_facts or
/// pfplane_lane_state_create_facts said of it.
/// Returns: PFPLANE_OK. `*verdict` is unchanged if the fragment was rewritten or its state does not translate. Otherwise it is
/// PFPLANE_NOT_CONTIGUOUS, or PFPLANE_DROP with PFPLANE_REASON_TRANSLATION: the packet is no fragment of this state, the state
/// translates between families, or the protocol is not TCP, UDP or ICMP.
/// Ownership: the packet stays the caller's.
/// Thread: the lane's.
/// Cost: one pass over the headers, no allocation.
///
/// # Safety
/// The packet's bytes, and its headroom, are used by nobody else during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_rewrite_fragment(
    lane: Option<&mut pfplane_lane>,
    burst: Option<&pfplane_burst>,
    packet: Option<&pfplane_packet>,
    verdict: Option<&mut pfplane_verdict>,
) -> i32 {
    let body = |lane: &mut Lane| {
        let burst = given(burst, "burst")?.burst()?;
        let packet = given(packet, "packet")?;
        let verdict = given_mut(verdict, "verdict")?;
        if verdict.translated == 0 {
            return Ok(PFPLANE_OK);
        }
        let slot = Slot(verdict.slot);
        // SAFETY: the packet and its headroom are this call's alone.
        let rewritten = unsafe {
            packet.with_writable(|length, writable| lane.rewrite_fragment(&burst, slot, length, writable))
        };
        if let Err(refused) = rewritten {
            *verdict = Verdict::of_refused(refused).into();
        }
        Ok(PFPLANE_OK)
    };
    with_lane(lane, body)
}
