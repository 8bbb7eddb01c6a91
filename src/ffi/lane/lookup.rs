//! Lane: the packet path
//!
//! Look up a burst; create states for the PFPLANE_NEW packets that the host's rules pass; poll between bursts. See
//! c-examples/dpdk-pair for the loop with all verdicts.

use super::super::{
    Failure, PFPLANE_ERROR_ARGUMENT, PFPLANE_OK, elements, elements_mut, given, given_mut, pfplane_lane,
    pfplane_state_options,
};
use super::{PFPLANE_MAX_BURST, pfplane_burst, pfplane_packet, pfplane_verdict, with_lane};
use crate::lane::{Burst, Lane, Packet, PacketView, Verdict};
use crate::packet::{Facts, TranslateError, Translation};
use crate::state::Options;
use core::mem::MaybeUninit;

/// Looks up a burst of packets, tracks their connections, and says what to do with each.
///
/// Parameters: `count`, 0 to PFPLANE_MAX_BURST, the elements of `packets` and `verdicts_out`.
/// Returns: PFPLANE_OK with every verdict written; on an error none is.
/// Ownership: the packets stay the caller's. Packets that pass by a translated or modulated state are rewritten in place
/// (`pfplane_verdict.translated`); others are only read.
/// Thread: the lane's.
/// Cost: no allocation, lock or system call. About two cache lines of memory per packet, three for TCP, one more if translated.
/// The cache misses of up to 32 packets overlap, and longer bursts prefetch for the next 32: under load, bursts of 64 to 256 cost
/// less per packet than bursts of 32.
///
/// # Safety
/// `packets` and `verdicts_out` have `count` elements. Each packet's bytes, and its headroom, are used by nobody else.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_lookup(
    lane: Option<&mut pfplane_lane>,
    burst: Option<&pfplane_burst>,
    packets: *const pfplane_packet,
    count: u32,
    verdicts_out: *mut pfplane_verdict,
) -> i32 {
    let body = |lane: &mut Lane| {
        check_count(count)?;
        // SAFETY: `count` goes with `packets`.
        let packets = unsafe { elements(packets, count, "packets") }?;
        // SAFETY: nobody writes the packet's bytes while it is looked up.
        let view = |index: usize| -> PacketView<'_> { unsafe { packets[index].view() } };
        let rewrite = |index: usize, facts: &Facts, to: &Translation<'_>| {
            // SAFETY: packet and headroom are this call's; the lane has dropped the packet's view.
            unsafe { packets[index].rewrite(facts, to) }
        };
        // SAFETY: `count` goes with `verdicts_out` as well.
        unsafe { look_up(lane, burst, count, view, rewrite, verdicts_out) }
    };
    with_lane(lane, body)
}

/// Looks up a burst, whatever kind its packets are of.
///
/// # Safety
/// `verdicts_out` is NULL or has `count` elements, initialised or not, that only the caller uses.
pub(super) unsafe fn look_up<'a>(
    lane: &mut Lane,
    burst: Option<&pfplane_burst>,
    count: u32,
    view: impl Fn(usize) -> PacketView<'a>,
    rewrite: impl FnMut(usize, &Facts, &Translation<'_>) -> Result<i16, TranslateError>,
    verdicts_out: *mut pfplane_verdict,
) -> Result<i32, Failure> {
    let burst = given(burst, "burst")?;
    let (host_rewrites, burst) = (burst.host_rewrites == 1, burst.burst()?);
    // SAFETY: the elements may be uninitialised, which `MaybeUninit` allows; the rest is required here too.
    let verdicts =
        unsafe { elements_mut(verdicts_out.cast::<MaybeUninit<pfplane_verdict>>(), count, "verdicts_out") }?;
    lane.lookup_burst(&burst, &mut HostBurst { view, rewrite, host_rewrites, verdicts });
    Ok(PFPLANE_OK)
}

/// A burst of packets in the host's memory, whatever kind they are of.
struct HostBurst<'v, V, R> {
    view: V,
    rewrite: R,
    host_rewrites: bool,
    verdicts: &'v mut [MaybeUninit<pfplane_verdict>],
}

impl<'a, V, R> Burst for HostBurst<'a, V, R>
where
    V: Fn(usize) -> PacketView<'a>,
    R: FnMut(usize, &Facts, &Translation<'_>) -> Result<i16, TranslateError>,
{
    #[inline]
    fn count(&self) -> usize {
        self.verdicts.len()
    }

    #[inline]
    fn packet(&self, index: usize) -> Packet<'_> {
        Packet::Bytes((self.view)(index))
    }

    #[inline]
    fn rewrite(
        &mut self,
        index: usize,
        facts: &Facts,
        translation: &Translation<'_>,
    ) -> Result<i16, TranslateError> {
        if self.host_rewrites { Ok(0) } else { (self.rewrite)(index, facts, translation) }
    }

    #[inline]
    fn verdict(&mut self, index: usize, verdict: Verdict) {
        self.verdicts[index].write(verdict.into());
    }
}

/// Checks the length of a burst.
pub(super) fn check_count(count: u32) -> Result<(), Failure> {
    if count > PFPLANE_MAX_BURST {
        let text = format_args!("count is {count}, a burst has at most {PFPLANE_MAX_BURST} packets");
        return Err(Failure::new(PFPLANE_ERROR_ARGUMENT, text));
    }
    Ok(())
}

/// Creates the state for a packet whose verdict was PFPLANE_NEW and which the host's rules pass.
///
/// Parameters: `burst` and `packet` as in the lookup; `options`, `NULL` for the defaults.
/// Returns: PFPLANE_OK with a verdict: PFPLANE_PASS (created now, or by an earlier packet of the burst); PFPLANE_HELD when the
/// packet waits until a peer has the state; PFPLANE_HANDOFF when another lane owns the key; PFPLANE_NOT_WRITABLE;
/// PFPLANE_DROP with PFPLANE_REASON_TABLE_FULL, _KEY_COLLISION, _ID_COLLISION, _NO_STATE, _TRANSLATION, _NO_PORT, _HALF_OPEN,
/// _SOURCES, _SOURCE_STATES, _SOURCE_NEW_RATE or _SOURCES_FULL; otherwise what a lookup would say.
/// Ownership: the packet stays the caller's. If it passes, it is rewritten as `options` say.
/// Thread: the lane's.
/// Cost: no allocation.
///
/// # Safety
/// The packet's bytes, and its headroom, are used by nobody else during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_state_create(
    lane: Option<&mut pfplane_lane>,
    burst: Option<&pfplane_burst>,
    packet: Option<&pfplane_packet>,
    options: Option<&pfplane_state_options>,
    verdict_out: Option<&mut MaybeUninit<pfplane_verdict>>,
) -> i32 {
    let body = |lane: &mut Lane| {
        let packet = given(packet, "packet")?;
        // SAFETY: the packet is this call's alone, and nothing writes it before the state exists.
        let view = unsafe { packet.view() };
        let rewrite = |facts: &Facts, to: &Translation<'_>| {
            // SAFETY: the packet and its headroom are this call's alone; the lane no longer uses the view.
            unsafe { packet.rewrite(facts, to) }
        };
        create(lane, burst, &view, options, rewrite, verdict_out)
    };
    with_lane(lane, body)
}

/// Creates a state, whatever kind its packet is of.
pub(super) fn create(
    lane: &mut Lane,
    burst: Option<&pfplane_burst>,
    view: &PacketView<'_>,
    options: Option<&pfplane_state_options>,
    mut rewrite: impl FnMut(&Facts, &Translation<'_>) -> Result<i16, TranslateError>,
    verdict_out: Option<&mut MaybeUninit<pfplane_verdict>>,
) -> Result<i32, Failure> {
    let burst = given(burst, "burst")?;
    let (host_rewrites, burst) = (burst.host_rewrites == 1, burst.burst()?);
    let options = options_of(options)?;
    let out = given_mut(verdict_out, "verdict_out")?;
    let mut packets = HostBurst {
        view: |_| *view,
        rewrite: |_, facts: &Facts, translation: &Translation<'_>| rewrite(facts, translation),
        host_rewrites,
        verdicts: &mut [],
    };
    let verdict = lane.create_in_burst(&burst, &mut packets, 0, &options);
    out.write(verdict.into());
    Ok(PFPLANE_OK)
}

/// The options of a new state, or the defaults for NULL.
pub(super) fn options_of(options: Option<&pfplane_state_options>) -> Result<Options, Failure> {
    options.map_or_else(|| Ok(Options::default()), pfplane_state_options::convert)
}

/// Housekeeping: applies other lanes' messages, deletes expired states, continues bulk transfers, carries out requests of the
/// control thread, and publishes the statistics. Call it between bursts, at least once per millisecond.
///
/// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
/// Thread: the lane's. Cost: a bounded amount of work per call; no allocation.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_lane_poll(lane: Option<&mut pfplane_lane>, now_ns: u64) -> i32 {
    let body = |lane: &mut Lane| {
        lane.poll(now_ns);
        Ok(PFPLANE_OK)
    };
    with_lane(lane, body)
}
