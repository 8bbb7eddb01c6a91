//! The layout of `struct rte_mbuf`, the same since DPDK 22.11 (checked with 22.11, 24.11 and 25.11).

use core::ffi::c_void;
use core::mem::offset_of;
use core::sync::atomic::AtomicU16;

/// An mbuf, with the fields that this module reads or writes. `dpdk-sys/shim.c` asserts the same offsets in C.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct RteMbuf {
    /// The buffer; data starts `data_off` bytes after it.
    pub(super) buf_addr: *mut u8,
    buf_iova: u64,
    /// Offset of the data in the buffer.
    pub(super) data_off: u16,
    /// Number of owners of the mbuf. Never written here.
    pub(super) refcnt: AtomicU16,
    /// Number of segments of the packet.
    pub(super) nb_segs: u16,
    port: u16,
    /// Offload flags, and which of the other fields are valid.
    pub(super) ol_flags: u64,
    /// The packet type that the NIC recognised.
    pub(super) packet_type: u32,
    /// Bytes of all segments.
    pub(super) pkt_len: u32,
    /// Bytes of this segment.
    pub(super) data_len: u16,
    /// Tag of the VLAN, the inner one of two.
    pub(super) vlan_tci: u16,
    /// The RSS hash, valid if `ol_flags` has [`RSS_HASH`].
    pub(super) hash_rss: u32,
    hash_rest: u32,
    /// Tag of the outer VLAN.
    pub(super) vlan_tci_outer: u16,
    /// Bytes of the buffer.
    pub(super) buf_len: u16,
    pool: *mut c_void,
    next: *mut Self,
    tx_offload: u64,
    /// Owners of a buffer that does not belong to the pool.
    pub(super) shinfo: *const SharedInfo,
    rest: [u64; 5],
}

/// `struct rte_mbuf_ext_shared_info`: of a buffer that several mbufs may share.
#[derive(Debug)]
#[repr(C)]
pub(super) struct SharedInfo {
    free: *const c_void,
    context: *const c_void,
    pub(super) refcnt: AtomicU16,
}

/// Offload flags, asserted in the shim.
pub(super) mod flags {
    /// `RTE_MBUF_F_RX_L4_CKSUM_MASK`.
    pub(crate) const RX_L4_MASK: u64 = 1 << 3 | 1 << 8;
    /// `RTE_MBUF_F_RX_L4_CKSUM_BAD`.
    pub(crate) const RX_L4_BAD: u64 = 1 << 3;
    /// `RTE_MBUF_F_RX_IP_CKSUM_MASK`.
    pub(crate) const RX_IP_MASK: u64 = 1 << 4 | 1 << 7;
    /// `RTE_MBUF_F_RX_IP_CKSUM_BAD`.
    pub(crate) const RX_IP_BAD: u64 = 1 << 4;
    /// `RTE_MBUF_F_RX_L4_CKSUM_NONE`: intact, but the field holds the pseudo header's sum.
    pub(crate) const RX_L4_NONE: u64 = 1 << 3 | 1 << 8;
    /// `RTE_MBUF_F_RX_VLAN_STRIPPED`: the (inner) tag is in `vlan_tci` and not in the frame.
    pub(crate) const RX_VLAN_STRIPPED: u64 = 1 << 6;
    /// `RTE_MBUF_F_RX_QINQ_STRIPPED`: the outer tag is in `vlan_tci_outer` and not in the frame.
    pub(crate) const RX_QINQ_STRIPPED: u64 = 1 << 15;
    /// `RTE_MBUF_F_TX_UDP_SEG`.
    pub(crate) const TX_UDP_SEG: u64 = 1 << 42;
    /// `RTE_MBUF_F_TX_TCP_SEG`.
    pub(crate) const TX_TCP_SEG: u64 = 1 << 50;
    /// `RTE_MBUF_F_TX_L4_MASK`.
    pub(crate) const TX_L4_MASK: u64 = 3 << 52;
    /// `RTE_MBUF_F_TX_IP_CKSUM`.
    pub(crate) const TX_IP_CKSUM: u64 = 1 << 54;
    /// `RTE_MBUF_F_EXTERNAL`: the buffer does not belong to the pool.
    pub(crate) const EXTERNAL: u64 = 1 << 61;
    /// `RTE_MBUF_F_INDIRECT`: the buffer belongs to another mbuf.
    pub(crate) const INDIRECT: u64 = 1 << 62;
}

/// `RTE_MBUF_F_RX_RSS_HASH`, asserted in the shim.
pub(super) const RSS_HASH: u64 = 1 << 1;

const _: () = {
    assert!(size_of::<RteMbuf>() == 128 && align_of::<RteMbuf>() == 64);
    assert!(offset_of!(RteMbuf, data_off) == 16 && offset_of!(RteMbuf, refcnt) == 18);
    assert!(offset_of!(RteMbuf, nb_segs) == 20 && offset_of!(RteMbuf, port) == 22);
    assert!(offset_of!(RteMbuf, ol_flags) == 24 && offset_of!(RteMbuf, packet_type) == 32);
    assert!(offset_of!(RteMbuf, pkt_len) == 36 && offset_of!(RteMbuf, data_len) == 40);
    assert!(offset_of!(RteMbuf, vlan_tci) == 42 && offset_of!(RteMbuf, hash_rss) == 44);
    assert!(offset_of!(RteMbuf, vlan_tci_outer) == 52);
    assert!(offset_of!(RteMbuf, buf_len) == 54 && offset_of!(RteMbuf, pool) == 56);
    assert!(offset_of!(RteMbuf, shinfo) == 80 && offset_of!(SharedInfo, refcnt) == 16);
    assert!(offset_of!(RteMbuf, next) == 64 && offset_of!(RteMbuf, tx_offload) == 72);
};
