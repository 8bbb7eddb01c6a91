//! Real mbufs of a real pool, without hugepages, hardware or root.

use super::*;
use crate::packet::{Direction, Facts, Family, Key, Link, TranslateError, Translation, checksum, parse};
use core::ffi::{CStr, c_char};
use std::ffi::CString;
use std::sync::OnceLock;

/// Starts DPDK once for this process, on a thread of its own, because EAL pins that thread.
fn start_dpdk() {
    static STARTED: OnceLock<()> = OnceLock::new();
    STARTED.get_or_init(|| {
        let words = "pfplane -l 0 --no-huge -m 64 --no-pci --no-shconf --no-telemetry --log-level=error";
        let status = std::thread::spawn(move || {
            let words: Vec<CString> = words.split(' ').map(|word| CString::new(word).unwrap()).collect();
            let mut pointers: Vec<*mut c_char> = words.into_iter().map(CString::into_raw).collect();
            // SAFETY: the words are never freed, since EAL keeps pointers to them.
            unsafe { dpdk_sys::rte_eal_init(pointers.len() as i32, pointers.as_mut_ptr()) }
        })
        .join()
        .unwrap();
        assert!(status >= 0, "rte_eal_init");
    });
}

/// A pool of 63 mbufs. Drop checks that none is missing, and frees it.
pub(crate) struct Pool(*mut dpdk_sys::rte_mempool);

impl Pool {
    pub(crate) fn new(name: &CStr, buffer_bytes: u16) -> Self {
        start_dpdk();
        // SAFETY: EAL is up, the name is a text.
        let pool = unsafe { dpdk_sys::rte_pktmbuf_pool_create(name.as_ptr(), 63, 0, 0, buffer_bytes, -1) };
        assert!(!pool.is_null());
        Self(pool)
    }

    /// Allocates an empty mbuf.
    pub(crate) fn allocate(&self) -> *mut RteMbuf {
        // SAFETY: a valid pool.
        unsafe { FrameMbufs::allocate(self.0, 1) }.unwrap().finish(0, 0)
    }

    fn in_use(&self) -> u32 {
        // SAFETY: the pool is valid until drop.
        unsafe { dpdk_sys::rte_mempool_in_use_count(self.0) }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.in_use(), 0, "an mbuf is missing");
        }
        // SAFETY: nobody uses the pool any more.
        unsafe { dpdk_sys::rte_mempool_free(self.0) };
    }
}

/// Sets the lengths of an mbuf whose first segment holds `first` bytes of a packet of `whole`.
pub(crate) fn set_lengths(mbuf: *mut RteMbuf, first: u16, whole: u32) {
    // SAFETY: a valid mbuf that is ours.
    let header = unsafe { &mut *mbuf };
    (header.data_len, header.pkt_len) = (first, whole);
}

pub(crate) fn free(mbuf: *mut RteMbuf) {
    let mut mbufs = [mbuf.cast::<dpdk_sys::rte_mbuf>()];
    // SAFETY: a valid mbuf that is not used again.
    unsafe { dpdk_sys::rte_pktmbuf_free_bulk(mbufs.as_mut_ptr(), 1) };
}

#[test]
fn the_host_reads_the_frame_that_was_written() {
    let pool = Pool::new(c"written", 2176);
    // SAFETY: a valid pool.
    let mut frames = unsafe { FrameMbufs::allocate(pool.0, 2) }.unwrap();
    let buffer = frames.buffer().unwrap();
    assert_eq!(buffer.len(), 2048);
    buffer[..6].copy_from_slice(b"xxpfsy");
    let mbuf = frames.finish(2, 4);
    // SAFETY: a valid mbuf that is ours.
    let seen = unsafe { view(mbuf) };
    assert_eq!((seen.data, seen.packet_length, seen.hash), (&b"pfsy"[..], 4, None));
    assert_eq!((frames.len(), pool.in_use()), (1, 2));
    drop(frames);
    assert_eq!(pool.in_use(), 1, "mbufs that were not handed over are freed");
    free(mbuf);
}

#[test]
fn an_empty_pool_allocates_nothing_and_leaks_nothing() {
    let pool = Pool::new(c"empty", 2176);
    // SAFETY: a valid pool.
    let all = unsafe { FrameMbufs::allocate(pool.0, 63) }.unwrap();
    // SAFETY: a valid pool.
    assert!(unsafe { FrameMbufs::allocate(pool.0, 1) }.is_none());
    drop(all);
    // SAFETY: a valid pool.
    assert!(unsafe { FrameMbufs::allocate(pool.0, 63) }.is_some());
}

#[test]
fn a_chain_shows_its_first_segment_and_its_whole_length() {
    let pool = Pool::new(c"chain", 2176);
    // SAFETY: a valid pool.
    let mut frames = unsafe { FrameMbufs::allocate(pool.0, 2) }.unwrap();
    frames.buffer().unwrap()[..3].copy_from_slice(b"abc");
    let head = frames.finish(0, 3);
    let tail = frames.finish(0, 100);
    // SAFETY: two valid mbufs that are ours.
    assert_eq!(unsafe { dpdk_sys::pfplane_shim_chain(head.cast(), tail.cast()) }, 0);
    // SAFETY: a valid mbuf that is ours.
    let seen = unsafe { view(head) };
    assert_eq!((seen.data, seen.packet_length), (&b"abc"[..], 103));
    free(head);
}

#[test]
fn the_data_room_is_that_of_the_pool() {
    let pool = Pool::new(c"small", 1000);
    // SAFETY: a valid pool.
    assert_eq!(unsafe { data_room(pool.0) }, 1000 - 128);
}

#[test]
fn the_hash_is_used_only_if_the_flag_says_so() {
    let pool = Pool::new(c"hash", 2176);
    // SAFETY: a valid pool.
    let mut frames = unsafe { FrameMbufs::allocate(pool.0, 1) }.unwrap();
    let mbuf = frames.finish(0, 0);
    for (flags, seen) in [(0, None), (!super::overlay::RSS_HASH, None), (super::overlay::RSS_HASH, Some(7))] {
        // SAFETY: a valid mbuf that is ours.
        let header = unsafe { &mut *mbuf };
        header.ol_flags = flags;
        header.hash_rss = 7;
        // SAFETY: a valid mbuf that is ours; `header` is not used any more.
        assert_eq!(unsafe { view(mbuf) }.hash, seen, "flags {flags:#x}");
        // SAFETY: as above. Back to what an mbuf without offloads has, since it is freed below.
        unsafe { (*mbuf).ol_flags = 0 };
    }
    free(mbuf);
}

/// Builds a UDP datagram in an mbuf. Returns it, its facts, and its key with another source.
fn datagram(frames: &mut FrameMbufs) -> (*mut RteMbuf, Facts, Key) {
    let mut bytes = vec![0x45, 0, 0, 32, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    bytes.extend([0x10, 0, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4]);
    let header = checksum::checksum(&bytes[..20]);
    bytes[10..12].copy_from_slice(&header.0);
    let facts = parse(&bytes, 32, Link::Ip, Direction::In).unwrap();
    frames.buffer().unwrap()[..32].copy_from_slice(&bytes);
    let mut to = facts.key;
    to.addr[0][..4].copy_from_slice(&[192, 0, 2, 1]);
    (frames.finish(0, 32), facts, to)
}

fn plain(to: &Key) -> Translation<'_> {
    Translation { to, modulation: [0; 2] }
}

#[test]
fn an_mbuf_is_rewritten_in_place_and_offloads_stay_with_the_nic() {
    let pool = Pool::new(c"rewritten", 2176);
    for (ol_flags, ip_left) in [(0, false), (1 << 54 | 3 << 52, true)] {
        // SAFETY: a valid pool.
        let mut frames = unsafe { FrameMbufs::allocate(pool.0, 1) }.unwrap();
        let (mbuf, facts, to) = datagram(&mut frames);
        // SAFETY: a valid mbuf that is ours.
        unsafe { (*mbuf).ol_flags = ol_flags };
        // SAFETY: a valid mbuf that is ours.
        let before = unsafe { view(mbuf) }.data.to_vec();
        // SAFETY: a valid mbuf that is ours, of a pool of DPDK's.
        assert_eq!(unsafe { rewrite(mbuf, &facts, &plain(&to)) }, Ok(0));
        // SAFETY: a valid mbuf that is ours.
        let seen = unsafe { view(mbuf) };
        assert_eq!((&seen.data[12..16], seen.packet_length), (&[192, 0, 2, 1][..], 32));
        let intact = checksum::Sum::default().bytes(&seen.data[..20]).is_intact();
        assert_eq!((intact, seen.data[10..12] == before[10..12]), (!ip_left, ip_left));
        assert_ne!(
            seen.data[26..28] == [0, 0],
            ip_left,
            "no checksum stays none; an offloaded sum follows the header"
        );
        free(mbuf);
    }
}

#[test]
fn a_shared_mbuf_is_not_written() {
    let pool = Pool::new(c"shared", 2176);
    // SAFETY: a valid pool.
    let mut frames = unsafe { FrameMbufs::allocate(pool.0, 1) }.unwrap();
    let (mbuf, facts, to) = datagram(&mut frames);
    // SAFETY: a valid mbuf that is ours.
    unsafe { (*mbuf).refcnt.store(2, core::sync::atomic::Ordering::Relaxed) };
    // SAFETY: a valid mbuf that is ours, of a pool of DPDK's.
    assert_eq!(unsafe { rewrite(mbuf, &facts, &plain(&to)) }, Err(TranslateError::NotWritable));
    // SAFETY: a valid mbuf that is ours.
    assert_eq!(unsafe { view(mbuf) }.data[12..16], [10, 0, 0, 1]);
    // SAFETY: a valid mbuf that is ours.
    unsafe { (*mbuf).refcnt.store(1, core::sync::atomic::Ordering::Relaxed) };
    free(mbuf);
}

#[test]
fn an_mbuf_that_changes_its_family_starts_earlier_and_is_longer() {
    let pool = Pool::new(c"family", 2176);
    // SAFETY: a valid pool.
    let mut frames = unsafe { FrameMbufs::allocate(pool.0, 1) }.unwrap();
    let (mbuf, facts, mut to) = datagram(&mut frames);
    to.family = Family::V6;
    to.addr = [[1; 16], [2; 16]];
    // SAFETY: a valid mbuf that is ours, of a pool of DPDK's.
    assert_eq!(unsafe { rewrite(mbuf, &facts, &plain(&to)) }, Ok(-20));
    // SAFETY: a valid mbuf that is ours.
    let seen = unsafe { view(mbuf) };
    assert_eq!((seen.data.len(), seen.packet_length), (52, 52));
    assert_eq!((seen.data[0], &seen.data[8..24]), (0x60, &[1; 16][..]));
    assert_ne!(seen.data[46..48], [0, 0], "a datagram without a checksum gets one, which IPv6 requires");
    free(mbuf);
}

#[test]
fn the_tags_that_the_nic_removed_are_read_outermost_first() {
    use super::overlay::flags::{RX_QINQ_STRIPPED, RX_VLAN_STRIPPED};
    let pool = Pool::new(c"tags", 2176);
    let mbuf = pool.allocate();
    let cases = [
        (0, &[][..]),
        (RX_VLAN_STRIPPED, &[10]),
        (RX_QINQ_STRIPPED, &[99]),
        (RX_QINQ_STRIPPED | RX_VLAN_STRIPPED, &[99, 10]),
    ];
    for (stripped, expected) in cases {
        // SAFETY: a valid mbuf that is ours. Bit 0 says that the tag is known, not that it was removed.
        let header = unsafe { &mut *mbuf };
        (header.vlan_tci, header.vlan_tci_outer, header.ol_flags) = (10, 99, stripped | 1);
        // SAFETY: a valid mbuf that nobody writes.
        assert_eq!(unsafe { stripped_tags(mbuf) }[..], *expected);
    }
    free(mbuf);
}
