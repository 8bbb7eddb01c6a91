//! A lane's calls: the packet path, housekeeping, and pfsync in and out.

use super::{
    Failure, PFPLANE_BURST_MAX, PFPLANE_ERROR_ARGUMENT, PFPLANE_ERROR_BUFFER, PFPLANE_ERROR_LANE,
    PFPLANE_ERROR_PANIC, PFPLANE_OK, elements, elements_mut, exclusive, guard, pfplane_burst, pfplane_lane,
    pfplane_packet, pfplane_state_options, pfplane_verdict, put, reference,
};
use crate::lane::{Burst, Lane, Packet, PacketView, Verdict};
use crate::packet::{Facts, TranslateError, Translation};
use crate::state::Options;
use core::mem::MaybeUninit;

/// Runs a lane's call; a lane in which a defect was contained refuses every later call, since its tables may be torn.
///
/// # Safety
/// `lane` is NULL, or valid and used by this thread alone.
pub(super) unsafe fn with_lane(
    lane: *mut pfplane_lane,
    body: impl FnOnce(&mut Lane) -> Result<i32, Failure>,
) -> i32 {
    let status = guard(|| {
        // SAFETY: the caller promises NULL or a lane that only this thread uses.
        let lane = unsafe { exclusive(lane, "lane") }?;
        if lane.lane.is_broken() {
            return Err(Failure::new(PFPLANE_ERROR_PANIC, "the lane is out of use after a defect"));
        }
        body(&mut lane.lane)
    });
    if status == PFPLANE_ERROR_PANIC {
        // SAFETY: the body ran, so the pointer was valid; this thread alone uses the lane.
        if let Ok(lane) = unsafe { exclusive(lane, "lane") } {
            lane.lane.set_broken();
        }
    }
    status
}

/// Looks up a burst of packets, tracks their connections, and says what to do with each.
///
/// Parameters: `count`, 0 to PFPLANE_BURST_MAX; `packets` and `verdicts_out` have `count` elements.
/// Returns: PFPLANE_OK with every verdict written; on any error no verdict is.
/// Ownership: the packets stay the caller's. Those that pass by a translated or modulated state are rewritten in place,
/// see `pfplane_verdict.translated`; the others are only read.
/// Thread: the lane's.
/// Cost: no allocation, lock, clock or system call; about two cache lines of memory a packet, TCP three, translated ones
/// one more. Up to 32 packets wait for each of them together; of a longer burst the next packets' lines are on their way
/// meanwhile, so that under load 64 to 256 packets cost less than as many in bursts of 32.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_lookup(
    lane: *mut pfplane_lane,
    burst: *const pfplane_burst,
    packets: *const pfplane_packet,
    count: u32,
    verdicts_out: *mut pfplane_verdict,
) -> i32 {
    let body = |lane: &mut Lane| {
        // SAFETY: the caller promises NULL or `count` packets.
        let packets = unsafe { elements(packets, count, "packets") }?;
        // SAFETY: the caller promises that each packet's bytes can be read during the call.
        let view = |place: usize| -> PacketView<'_> { unsafe { packets[place].view() } };
        let rewrite = |place: usize, facts: &Facts, to: &Translation<'_>| {
            // SAFETY: the caller promises that each packet's bytes can be written; its view was last used before.
            unsafe { packets[place].rewrite(facts, to) }
        };
        // SAFETY: the caller promises NULL or a burst, and NULL or room for `count` verdicts.
        unsafe { look_up(lane, burst, count, view, rewrite, verdicts_out) }
    };
    // SAFETY: the caller promises NULL or a lane that only this thread uses.
    unsafe { with_lane(lane, body) }
}

/// A burst of whatever kind of packets.
///
/// # Safety
/// `burst` is NULL or valid; `verdicts_out` is NULL or has room for `count` verdicts that only this call uses.
pub(super) unsafe fn look_up<'a>(
    lane: &mut Lane,
    burst: *const pfplane_burst,
    count: u32,
    view: impl Fn(usize) -> PacketView<'a>,
    rewrite: impl FnMut(usize, &Facts, &Translation<'_>) -> Result<i16, TranslateError>,
    verdicts_out: *mut pfplane_verdict,
) -> Result<i32, Failure> {
    if count > PFPLANE_BURST_MAX {
        let text = format!("count is {count}, a burst has at most {PFPLANE_BURST_MAX} packets");
        return Err(Failure::new(PFPLANE_ERROR_ARGUMENT, text));
    }
    // SAFETY: the caller promises NULL or a valid burst.
    let burst = unsafe { reference(burst, "burst") }?;
    let (leave, burst) = (burst.leave == 1, burst.burst()?);
    let verdicts_out = verdicts_out.cast::<MaybeUninit<pfplane_verdict>>();
    // SAFETY: the caller promises NULL or room for `count` verdicts that only this call uses.
    let verdicts = unsafe { elements_mut(verdicts_out, count, "verdicts_out") }?;
    lane.lookup_burst(&burst, &mut HostBurst { view, rewrite, leave, verdicts });
    Ok(PFPLANE_OK)
}

/// A burst of whatever kind of packets the host has.
struct HostBurst<'v, V, R> {
    view: V,
    rewrite: R,
    /// The host rewrites the packets itself.
    leave: bool,
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
        if self.leave { Ok(0) } else { (self.rewrite)(index, facts, translation) }
    }

    #[inline]
    fn verdict(&mut self, index: usize, verdict: Verdict) {
        self.verdicts[index].write(verdict.into());
    }
}

/// Makes the state for a packet that the host's rules let pass (its verdict was PFPLANE_NEW).
///
/// Parameters: `packet` and `burst` as in the lookup; `options`, or `NULL` for the defaults.
/// Returns: PFPLANE_OK with the verdict: PFPLANE_PASS (made, or made meanwhile by an earlier packet of the burst),
/// PFPLANE_HELD when the packet waits until a peer has the state,
/// PFPLANE_DROP with PFPLANE_REASON_TABLE_FULL, PFPLANE_REASON_KEY_COLLISION, PFPLANE_REASON_NO_STATE,
/// PFPLANE_REASON_TRANSLATION, PFPLANE_REASON_NO_PORT, PFPLANE_REASON_HALF_OPEN, or a limit of its source
/// (PFPLANE_REASON_SOURCES, ..._SOURCE_STATES, ..._SOURCE_NEW_RATE, ..._SOURCES_FULL); PFPLANE_NOT_WRITABLE,
/// PFPLANE_HANDOFF when another lane owns the key, or what a lookup says of the packet otherwise.
/// Ownership: the packet stays the caller's. It is rewritten as `options` say when it passes.
/// Thread: the lane's.
/// Cost: no allocation.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_state_create(
    lane: *mut pfplane_lane,
    burst: *const pfplane_burst,
    packet: *const pfplane_packet,
    options: *const pfplane_state_options,
    verdict_out: *mut pfplane_verdict,
) -> i32 {
    let body = |lane: &mut Lane| {
        // SAFETY: the caller promises NULL or a valid packet.
        let packet = unsafe { reference(packet, "packet") }?;
        // SAFETY: the caller promises that the packet's bytes can be read during the call.
        let view = unsafe { packet.view() };
        let rewrite = |facts: &Facts, to: &Translation<'_>| {
            // SAFETY: the caller promises that the packet's bytes can be written; its view was last used before.
            unsafe { packet.rewrite(facts, to) }
        };
        // SAFETY: the caller promises that the other pointers are NULL or valid.
        unsafe { create(lane, burst, &view, options, rewrite, verdict_out) }
    };
    // SAFETY: the caller promises NULL or a lane that only this thread uses.
    unsafe { with_lane(lane, body) }
}

/// A state for whatever kind of packet.
///
/// # Safety
/// `burst` and `options` are NULL or valid; `verdict_out` is NULL or has room for a verdict that only this call uses.
pub(super) unsafe fn create(
    lane: &mut Lane,
    burst: *const pfplane_burst,
    view: &PacketView<'_>,
    options: *const pfplane_state_options,
    mut rewrite: impl FnMut(&Facts, &Translation<'_>) -> Result<i16, TranslateError>,
    verdict_out: *mut pfplane_verdict,
) -> Result<i32, Failure> {
    // SAFETY: the caller promises NULL or a valid burst.
    let burst = unsafe { reference(burst, "burst") }?;
    let (leave, burst) = (burst.leave == 1, burst.burst()?);
    // SAFETY: the caller promises NULL or valid options.
    let options = unsafe { options_of(options) }?;
    if verdict_out.is_null() {
        return Err(Failure::null("verdict_out"));
    }
    let mut packets = HostBurst {
        view: |_| *view,
        rewrite: |_, facts: &Facts, translation: &Translation<'_>| rewrite(facts, translation),
        leave,
        verdicts: &mut [],
    };
    let verdict = lane.create_in_burst(&burst, &mut packets, 0, &options);
    // SAFETY: not NULL; the caller promises room for a verdict that only this call uses.
    unsafe { put(verdict_out, "verdict_out", verdict.into()) }?;
    Ok(PFPLANE_OK)
}

/// The options behind a pointer, or the defaults for NULL.
///
/// # Safety
/// `options` is NULL or valid.
pub(super) unsafe fn options_of(options: *const pfplane_state_options) -> Result<Options, Failure> {
    if options.is_null() {
        return Ok(Options::default());
    }
    // SAFETY: the caller promises valid options.
    unsafe { reference(options, "options") }?.convert()
}

/// Housekeeping: takes other lanes' messages, ends states whose time is over, goes on with a bulk transfer, and shows the
/// statistics.
///
/// Call it between bursts, at least every millisecond; each call does a bounded amount of work.
///
/// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
/// Thread: the lane's.
///
/// # Safety
/// `lane` is NULL, or valid and used by this thread alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_poll(lane: *mut pfplane_lane, now_ns: u64) -> i32 {
    let body = |lane: &mut Lane| {
        lane.poll(now_ns);
        Ok(PFPLANE_OK)
    };
    // SAFETY: the caller promises NULL or a lane that only this thread uses.
    unsafe { with_lane(lane, body) }
}

/// Takes one packet of protocol 240 that came in on the sync port, from its IP header on.
///
/// Parameters: `length` bytes at `ip_packet`, the whole packet.
/// Returns: PFPLANE_OK also for a packet that is refused (a counter says why); PFPLANE_ERROR_LANE when this is not lane 0.
/// Ownership: the bytes stay the caller's and are only read.
/// Thread: the lane's.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_receive(
    lane: *mut pfplane_lane,
    ip_packet: *const u8,
    length: u32,
    now_ns: u64,
) -> i32 {
    let body = |lane: &mut Lane| {
        // SAFETY: the caller promises NULL or `length` readable bytes.
        let packet = unsafe { elements(ip_packet, length, "ip_packet") }?;
        if !lane.receive(packet, now_ns) {
            return Err(not_the_sync_lane());
        }
        Ok(PFPLANE_OK)
    };
    // SAFETY: the caller promises NULL or a lane that only this thread uses.
    unsafe { with_lane(lane, body) }
}

pub(super) fn not_the_sync_lane() -> Failure {
    Failure::new(PFPLANE_ERROR_LANE, "only lane 0 takes pfsync packets")
}

/// Gives the next pfsync packet that is due, whole from its IP header on, or from its Ethernet header where the peer's
/// configuration says so.
///
/// Call it until `length_out` is 0.
///
/// Parameters: `capacity` bytes at `buffer`, at least the effective MTU plus 18 for an Ethernet header with a VLAN tag.
/// Returns: PFPLANE_OK with the length, 0 when nothing is due; PFPLANE_ERROR_BUFFER when `capacity` is too small.
/// Ownership: the buffer stays the caller's.
/// Thread: the lane's.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_flush(
    lane: *mut pfplane_lane,
    now_ns: u64,
    buffer: *mut u8,
    capacity: u32,
    length_out: *mut u32,
) -> i32 {
    let body = |lane: &mut Lane| {
        let needed = lane.max_frame_bytes();
        if (capacity as usize) < needed {
            let text = format!("capacity is {capacity}, a frame needs up to {needed} bytes");
            return Err(Failure::new(PFPLANE_ERROR_BUFFER, text));
        }
        if buffer.is_null() {
            return Err(Failure::null("buffer"));
        }
        // SAFETY: not NULL; the caller promises `capacity` bytes that only this call uses, and `needed` are no more.
        unsafe { buffer.write_bytes(0, needed) };
        // SAFETY: as above, and the bytes are now initialised.
        let buffer = unsafe { elements_mut(buffer, needed as u32, "buffer") }?;
        if length_out.is_null() {
            return Err(Failure::null("length_out"));
        }
        let frame = lane.flush(buffer, now_ns).unwrap_or(0..0);
        let length = frame.len();
        buffer.copy_within(frame, 0);
        // SAFETY: not NULL; the caller promises room for a number.
        unsafe { put(length_out, "length_out", length as u32) }?;
        Ok(PFPLANE_OK)
    };
    // SAFETY: the caller promises NULL or a lane that only this thread uses.
    unsafe { with_lane(lane, body) }
}

/// Takes back a frame of pfplane_lane_flush that could not be sent: what it said is said again, and nothing more is due for a
/// millisecond. Without this call what was in the frame is lost until its states change again.
///
/// Parameters: `length` bytes at `frame`, as they were given out.
/// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL. The statistic `oerrors` counts the frames.
/// Ownership: the bytes stay the caller's and are only read.
/// Thread: the lane's. Cost: as that of receiving the frame.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_unsent(
    lane: *mut pfplane_lane,
    frame: *const u8,
    length: u32,
    now_ns: u64,
) -> i32 {
    let body = |lane: &mut Lane| {
        // SAFETY: the caller promises NULL or `length` readable bytes.
        lane.requeue_frame(unsafe { elements(frame, length, "frame") }?, now_ns);
        Ok(PFPLANE_OK)
    };
    // SAFETY: the caller promises NULL or a lane that only this thread uses.
    unsafe { with_lane(lane, body) }
}
