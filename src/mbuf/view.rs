//! Reads the first segment of an mbuf that the host owns.

use super::overlay::{RSS_HASH, RteMbuf, flags};
use arrayvec::ArrayVec;

/// What the packet path reads of an mbuf.
#[derive(Clone, Copy, Debug)]
pub struct MbufView<'a> {
    /// The first segment's bytes.
    pub data: &'a [u8],
    /// Bytes of all segments.
    pub packet_length: u32,
    /// The NIC's RSS hash, if it computed one.
    pub hash: Option<u32>,
    /// What the NIC said of its checksums.
    pub checksums: Checksums,
}

/// What the NIC said of a packet's checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksums {
    /// Nothing.
    Unknown,
    /// The transport checksum is right, or left to a NIC.
    Intact,
    /// The IPv4 header's or the transport checksum is wrong.
    Bad,
}

/// Returns what the offload flags say of the checksums.
#[inline]
const fn checksums(ol_flags: u64) -> Checksums {
    const SENT: u64 = flags::TX_L4_MASK | flags::TX_TCP_SEG | flags::TX_UDP_SEG;
    let (transport, ip) = (ol_flags & flags::RX_L4_MASK, ol_flags & flags::RX_IP_MASK);
    if transport == flags::RX_L4_BAD || ip == flags::RX_IP_BAD {
        Checksums::Bad
    } else if transport != 0 || ol_flags & SENT != 0 {
        Checksums::Intact
    } else {
        Checksums::Unknown
    }
}

/// Reads an mbuf. Cost: its first cache line.
///
/// # Safety
/// `mbuf` points to a valid mbuf whose fields and first segment nobody writes while the view lives.
#[inline]
#[must_use]
pub unsafe fn view<'a>(mbuf: *const RteMbuf) -> MbufView<'a> {
    // SAFETY: the caller promises a valid mbuf that nobody writes; DPDK aligns mbufs to 64 bytes.
    let header = unsafe { &*mbuf };
    let first = header.buf_addr.wrapping_add(usize::from(header.data_off));
    // SAFETY: in a valid mbuf the `data_len` bytes at `buf_addr + data_off` lie in its buffer; nobody writes them.
    let data = unsafe { core::slice::from_raw_parts(first, usize::from(header.data_len)) };
    let hash = (header.ol_flags & RSS_HASH != 0).then_some(header.hash_rss);
    MbufView { data, packet_length: header.pkt_len, hash, checksums: checksums(header.ol_flags) }
}

/// Returns the VLAN tags that the NIC has removed from a frame, outermost first.
///
/// # Safety
/// `mbuf` points to a valid mbuf that nobody writes during the call.
#[must_use]
pub unsafe fn stripped_tags(mbuf: *const RteMbuf) -> ArrayVec<u16, 2> {
    // SAFETY: the caller promises a valid mbuf that nobody writes; DPDK aligns mbufs to 64 bytes.
    let header = unsafe { &*mbuf };
    let tag = |flag, tag| (header.ol_flags & flag != 0).then_some(tag);
    let outer = tag(flags::RX_QINQ_STRIPPED, header.vlan_tci_outer);
    outer.into_iter().chain(tag(flags::RX_VLAN_STRIPPED, header.vlan_tci)).collect()
}

/// Returns the bytes of an mbuf from the start of its data to the end of its buffer.
///
/// # Safety
/// `mbuf` points to a valid mbuf that nobody else uses while the slice lives, with a buffer of its own whose memory
/// is initialised, as DPDK's pools make it.
#[must_use]
pub unsafe fn buffer<'a>(mbuf: *mut RteMbuf) -> &'a mut [u8] {
    // SAFETY: the caller promises a valid mbuf that nobody else uses; DPDK aligns mbufs to 64 bytes.
    let header = unsafe { &*mbuf };
    let bytes = usize::from(header.buf_len.saturating_sub(header.data_off));
    let first = header.buf_addr.wrapping_add(usize::from(header.data_off));
    // SAFETY: in a valid mbuf the buffer has `buf_len` bytes, so `bytes` bytes follow `data_off`; the caller promises that
    // they are initialised and that nobody else uses them.
    unsafe { core::slice::from_raw_parts_mut(first, bytes) }
}
