//! Lane: DPDK's mbufs
//!
//! The calls above for mbufs, in libraries built with DPDK. Headers are read from the first segment only.

use super::super::{
    Failure, PFPLANE_ERROR_BUFFER, PFPLANE_OK, elements, elements_mut, given_mut, pfplane_lane,
    pfplane_state_options,
};
use super::frames::received;
use super::lookup::{check_count, create, look_up};
use super::{pfplane_burst, pfplane_verdict, with_lane};
use crate::lane::{Checksums, Lane, PacketView};
use crate::mbuf::{self, FrameMbufs, MAX_FRAMES, RteMbuf};
use crate::packet::{Facts, Translation};
use core::mem::MaybeUninit;
use core::ptr::NonNull;

/// DPDK's packet buffer.
pub struct rte_mbuf;

/// DPDK's pool of buffers.
pub struct rte_mempool;

/// An mbuf as the lane reads it.
///
/// # Safety
/// `mbuf` is a valid mbuf that nobody writes while the view lives.
unsafe fn view<'a>(mbuf: *mut rte_mbuf) -> PacketView<'a> {
    // SAFETY: `mbuf::view` asks for the same.
    let seen = unsafe { mbuf::view(mbuf.cast::<RteMbuf>()) };
    let checksums = match seen.checksums {
        mbuf::Checksums::Unknown => Checksums::Unknown,
        mbuf::Checksums::Intact => Checksums::Intact,
        mbuf::Checksums::Bad => Checksums::Bad,
    };
    PacketView { data: seen.data, packet_length: seen.packet_length, hash: seen.hash, checksums }
}

/// As pfplane_lane_lookup, for mbufs. With `burst->trust_hash`, the RSS hash of each mbuf that has one is used.
///
/// Parameters: `count`, 0 to PFPLANE_MAX_BURST, the elements of `mbufs` (none of them `NULL`) and `verdicts_out`.
/// Returns: as pfplane_lane_lookup. Mbufs marked RX_L4_CKSUM_BAD or RX_IP_CKSUM_BAD are dropped with PFPLANE_REASON_CHECKSUM.
/// Ownership: the mbufs stay the caller's. Those that pass by a translated or modulated state are rewritten in place; checksums
/// that their offload flags leave to the NIC stay left to it. One whose buffer is shared gets PFPLANE_NOT_WRITABLE.
/// Thread: the lane's.
/// Cost: as pfplane_lane_lookup; no call into DPDK.
///
/// # Safety
/// `mbufs` has `count` valid mbufs that nobody else uses during the call; `verdicts_out` has `count` elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_lookup_mbufs(
    lane: Option<&mut pfplane_lane>,
    burst: Option<&pfplane_burst>,
    mbufs: *const *mut rte_mbuf,
    count: u32,
    verdicts_out: *mut pfplane_verdict,
) -> i32 {
    let body = |lane: &mut Lane| {
        check_count(count)?;
        // SAFETY: `count` pointers.
        let mbufs = unsafe { elements(mbufs, count, "mbufs") }?;
        // SAFETY: each is a valid mbuf, and nobody writes it before its verdict.
        let view = |index: usize| -> PacketView<'_> { unsafe { view(mbufs[index]) } };
        let rewrite = |index: usize, facts: &Facts, to: &Translation<'_>| {
            // SAFETY: a valid mbuf that is this call's alone; the lane has dropped its view.
            unsafe { mbuf::rewrite(mbufs[index].cast::<RteMbuf>(), facts, to) }
        };
        // SAFETY: `count` verdicts fit.
        unsafe { look_up(lane, burst, count, view, rewrite, verdicts_out) }
    };
    with_lane(lane, body)
}

/// As pfplane_lane_state_create, for an mbuf.
///
/// Returns: as pfplane_lane_state_create.
/// Ownership: the mbuf stays the caller's. If it passes, it is rewritten as `options` say.
/// Thread: the lane's.
/// Cost: no allocation.
///
/// # Safety
/// `mbuf` is `NULL`, or a valid mbuf that nobody else uses during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_state_create_mbuf(
    lane: Option<&mut pfplane_lane>,
    burst: Option<&pfplane_burst>,
    mbuf: *mut rte_mbuf,
    options: Option<&pfplane_state_options>,
    verdict_out: Option<&mut MaybeUninit<pfplane_verdict>>,
) -> i32 {
    let body = |lane: &mut Lane| {
        let mbuf = not_null(mbuf, "mbuf")?;
        // SAFETY: a valid mbuf of this call's.
        let view = unsafe { view(mbuf) };
        let rewrite = |facts: &Facts, to: &Translation<'_>| {
            // SAFETY: nobody else uses the mbuf, and the lane no longer uses its view.
            unsafe { mbuf::rewrite(mbuf.cast::<RteMbuf>(), facts, to) }
        };
        create(lane, burst, &view, options, rewrite, verdict_out)
    };
    with_lane(lane, body)
}

/// A pointer that must not be NULL.
pub(in super::super) fn not_null<T>(pointer: *mut T, name: &str) -> Result<*mut T, Failure> {
    NonNull::new(pointer).map(NonNull::as_ptr).ok_or_else(|| Failure::null(name))
}

/// As pfplane_lane_receive_frame, for mbufs, each of one segment. VLAN tags that the NIC removed are read from the mbuf.
///
/// Parameters: `count`, the elements of `mbufs`, none of them `NULL`.
/// Returns: PFPLANE_OK, also for frames that are refused (a statistic counts why); PFPLANE_ERROR_FULL and PFPLANE_ERROR_LANE as
/// pfplane_lane_receive. All frames are received also with PFPLANE_ERROR_FULL.
/// Ownership: the mbufs stay the caller's and are only read.
/// Thread: the lane's.
///
/// # Safety
/// `mbufs` has `count` valid mbufs that nobody writes during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_receive_mbufs(
    lane: Option<&mut pfplane_lane>,
    mbufs: *const *mut rte_mbuf,
    count: u32,
    now_ns: u64,
) -> i32 {
    let body = |lane: &mut Lane| {
        // SAFETY: `count` pointers.
        for mbuf in unsafe { elements(mbufs, count, "mbufs") }? {
            // SAFETY: a valid mbuf, only read.
            let frame = unsafe { view(*mbuf) }.data;
            // SAFETY: as above.
            let stripped = unsafe { mbuf::stripped_tags(mbuf.cast::<RteMbuf>()) };
            if !lane.receive_frame(frame, &stripped, now_ns) {
                return received(lane, false);
            }
        }
        received(lane, true)
    };
    with_lane(lane, body)
}

/// As pfplane_lane_flush, into mbufs of the host's pool: up to `capacity` frames that are due. Call it until `count_out` is
/// less than `capacity`. When the pool is empty nothing is lost: the frames stay due, and the statistic `onomem` counts it.
///
/// Parameters: `pool`, a pktmbuf pool whose data room holds pfplane_engine_mtu and an Ethernet header; `mbufs_out` has
/// `capacity` elements.
/// Returns: PFPLANE_OK with the number of frames; PFPLANE_ERROR_BUFFER when the pool's data room is too small;
/// PFPLANE_ERROR_NULL.
/// Ownership: the mbufs become the caller's, to send or to free.
/// Thread: the lane's, which must be allowed to allocate from the pool.
/// Cost: one allocation from the pool for up to 64 frames.
///
/// # Safety
/// `pool` is `NULL` or a valid pktmbuf pool; `mbufs_out` has `capacity` elements that nobody else uses during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_flush_mbufs(
    lane: Option<&mut pfplane_lane>,
    now_ns: u64,
    pool: *mut rte_mempool,
    mbufs_out: *mut *mut rte_mbuf,
    capacity: u32,
    count_out: Option<&mut MaybeUninit<u32>>,
) -> i32 {
    let body = |lane: &mut Lane| {
        let pool = not_null(pool, "pool")?;
        let count_out = given_mut(count_out, "count_out")?;
        let mbufs_out = mbufs_out.cast::<MaybeUninit<*mut rte_mbuf>>();
        // SAFETY: `capacity` is the array's length; its elements may be uninitialised.
        let mbufs_out = unsafe { elements_mut(mbufs_out, capacity, "mbufs_out") }?;
        // SAFETY: a valid pool, from which the lane's thread may allocate.
        count_out.write(unsafe { flush(lane, now_ns, pool, mbufs_out) }? as u32);
        Ok(PFPLANE_OK)
    };
    with_lane(lane, body)
}

/// Fills mbufs with the frames that are due; returns how many.
///
/// # Safety
/// `pool` is a valid pool that this thread may allocate from.
unsafe fn flush(
    lane: &mut Lane,
    now_ns: u64,
    pool: *mut rte_mempool,
    mbufs_out: &mut [MaybeUninit<*mut rte_mbuf>],
) -> Result<usize, Failure> {
    let mut count = 0;
    while count < mbufs_out.len() && lane.flush_due(now_ns) {
        let wanted = (mbufs_out.len() - count).min(MAX_FRAMES);
        // SAFETY: the pool is the caller's, and so is the right to use it.
        let Some(mut frames) = (unsafe { FrameMbufs::allocate(pool.cast(), wanted) }) else {
            lane.count_missing_buffer();
            break;
        };
        while let Some(buffer) = frames.buffer() {
            let needed = lane.max_frame_bytes();
            if buffer.len() < needed {
                let text =
                    format_args!("pool: an mbuf holds {} bytes, a frame needs up to {needed}", buffer.len());
                return Err(Failure::new(PFPLANE_ERROR_BUFFER, text));
            }
            let Some(frame) = lane.flush(&mut buffer[..needed], now_ns) else { return Ok(count) };
            let mbuf = frames.finish(frame.start as u16, frame.len() as u16);
            mbufs_out[count].write(mbuf.cast());
            count += 1;
        }
    }
    Ok(count)
}

/// As pfplane_lane_requeue, for the mbufs that a port did not take.
///
/// Parameters: `count`, the elements of `mbufs`, none of them `NULL`, as pfplane_lane_flush_mbufs returned them.
/// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
/// Ownership: the mbufs stay the caller's, to be freed; they are only read.
/// Thread: the lane's.
///
/// # Safety
/// `mbufs` has `count` valid mbufs that nobody writes during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_lane_requeue_mbufs(
    lane: Option<&mut pfplane_lane>,
    mbufs: *const *mut rte_mbuf,
    count: u32,
    now_ns: u64,
) -> i32 {
    let body = |lane: &mut Lane| {
        // SAFETY: `count` pointers.
        for mbuf in unsafe { elements(mbufs, count, "mbufs") }? {
            // SAFETY: a valid mbuf, only read.
            lane.requeue_frame(unsafe { view(*mbuf) }.data, now_ns);
        }
        Ok(PFPLANE_OK)
    };
    with_lane(lane, body)
}

#[cfg(test)]
#[expect(
    clippy::undocumented_unsafe_blocks,
    reason = "every call passes pointers to values of this function and to mbufs that are ours"
)]
mod tests {
    use super::super::super::*;
    use super::*;
    use crate::mbuf::tests::{Pool, free, set_lengths};
    use crate::packet::Link;
    use crate::time::NANOS_PER_SECOND;

    fn made<T>(call: impl FnOnce(Option<&mut MaybeUninit<T>>) -> i32) -> T {
        let mut value = MaybeUninit::uninit();
        assert_eq!(call(Some(&mut value)), PFPLANE_OK);
        unsafe { value.assume_init() }
    }

    /// An engine with one lane and the group as its peer, and the lane.
    fn node(number: u8) -> (*mut pfplane_engine, *mut pfplane_lane) {
        let mut peer = made(|out| pfplane_peer_init(out, size_of::<pfplane_peer>() as u32));
        peer.source.family = 4;
        peer.source.bytes[..4].copy_from_slice(&[192, 0, 2, number]);
        (peer.ethernet, peer.ethernet_source) = (1, [2, 0, 0, 0, 0, number]);
        let mut config = made(|out| pfplane_config_init(out, size_of::<pfplane_config>() as u32));
        (config.peers, config.peer_count, config.states_per_lane) = (&raw const peer, 1, 100);
        let engine = made(|out| unsafe { pfplane_engine_new(Some(&config), out) });
        (engine, made(|out| unsafe { pfplane_engine_lane(engine.as_ref(), 0, out) }))
    }

    #[test]
    fn a_frame_in_two_segments_is_refused_and_counted() {
        let pool = Pool::new(c"segments", 2176);
        let (sender, from) = node(1);
        let (receiver, to) = node(2);
        let mut syn = [0; 40];
        (syn[0], syn[3], syn[8], syn[9]) = (0x45, 40, 64, 6);
        syn[12..20].copy_from_slice(&[10, 0, 0, 1, 198, 51, 100, 1]);
        (syn[21], syn[23], syn[32], syn[33]) = (9, 80, 0x50, 2);
        let packet = pfplane_packet {
            data: syn.as_ptr().cast_mut(),
            length: syn.len() as u32,
            packet_length: 0,
            hash: 0,
            headroom: 0,
            flags: 0,
        };
        let size = size_of::<pfplane_burst>() as u32;
        let mut burst = pfplane_burst { size, link: Link::Ip as u8, ..unsafe { core::mem::zeroed() } };
        burst.direction = PFPLANE_IN;
        let lane = || unsafe { from.as_mut() };
        made(|out| unsafe { pfplane_lane_state_create(lane(), Some(&burst), Some(&packet), None, out) });
        let mbuf = pool.allocate();
        let buffer = unsafe { mbuf::buffer(mbuf) };
        assert_eq!(pfplane_lane_poll(lane(), NANOS_PER_SECOND), PFPLANE_OK);
        let mut flush = || {
            made(|out| unsafe {
                let (bytes, capacity) = (buffer.as_mut_ptr(), buffer.len() as u32);
                pfplane_lane_flush(lane(), NANOS_PER_SECOND, bytes, capacity, out)
            })
        };
        // The request for all states is shorter.
        let length = (0..3).map(|_| flush()).find(|&length| length > 128).expect("the state");
        let mbufs = [mbuf.cast()];
        let mut now = NANOS_PER_SECOND;
        for (first, refused, states) in [(128, 1, 0), (length as u16 - 1, 2, 0), (length as u16, 2, 1)] {
            set_lengths(mbuf, first, length);
            now += NANOS_PER_SECOND / 100;
            let lane = || unsafe { to.as_mut() };
            assert_eq!(unsafe { pfplane_lane_receive_mbufs(lane(), mbufs.as_ptr(), 1, now) }, PFPLANE_OK);
            assert_eq!(pfplane_lane_poll(lane(), now), PFPLANE_OK);
            let stat = |name: &core::ffi::CStr| {
                let engine = unsafe { receiver.as_ref() };
                made(|out| unsafe { pfplane_engine_stat_find(engine, 0, name.as_ptr(), out) })
            };
            assert_eq!((stat(c"badip"), stat(c"states")), (refused, states), "{first} bytes");
        }
        free(mbuf);
        for engine in [sender, receiver] {
            unsafe { pfplane_engine_free(engine) };
        }
    }
}
