//! Rewriting an mbuf in place.

use super::overlay::{RteMbuf, flags};
use crate::packet::{Facts, TranslateError, Translation, WritablePacket};
use core::sync::atomic::Ordering;

/// Returns which checksums are left to the NIC, by the offload flags: that of the transport header, and that of the IP header.
const fn offloaded_checksums(ol_flags: u64) -> (bool, bool) {
    let sends = ol_flags & (flags::TX_L4_MASK | flags::TX_TCP_SEG | flags::TX_UDP_SEG) != 0;
    let received = ol_flags & flags::RX_L4_MASK == flags::RX_L4_NONE;
    (sends || received, ol_flags & flags::TX_IP_CKSUM != 0)
}

/// Returns whether only this mbuf uses its buffer, and only the caller this mbuf.
///
/// # Safety
/// `header` is that of a valid mbuf.
unsafe fn is_exclusive(header: &RteMbuf) -> bool {
    if header.ol_flags & flags::INDIRECT != 0 || header.refcnt.load(Ordering::Acquire) != 1 {
        return false;
    }
    if header.ol_flags & flags::EXTERNAL == 0 {
        return true;
    }
    // SAFETY: in a valid mbuf with an external buffer this is NULL or points to its shared info.
    let shared = unsafe { header.shinfo.as_ref() };
    shared.is_some_and(|shared| shared.refcnt.load(Ordering::Acquire) == 1)
}

/// Applies a translation to the first segment. Returns by how many bytes the start of the data moved; the mbuf's fields are
/// updated.
///
/// # Errors
/// As [`Translation::apply`]; [`TranslateError::NotWritable`] if the buffer is shared. A packet with transmit offloads cannot change
/// its address family, because its offload fields say where the headers are.
///
/// # Safety
/// `mbuf` points to a valid mbuf that nobody else uses, whose buffer is initialised from `buf_addr` to the end of its data,
/// as DPDK's pools make it.
pub unsafe fn rewrite(
    mbuf: *mut RteMbuf,
    facts: &Facts,
    translation: &Translation<'_>,
) -> Result<i16, TranslateError> {
    // SAFETY: the caller promises a valid mbuf that nobody else uses; DPDK aligns mbufs to 64 bytes.
    let header = unsafe { &mut *mbuf };
    // SAFETY: it is the header of a valid mbuf.
    if !unsafe { is_exclusive(header) } {
        return Err(TranslateError::NotWritable);
    }
    let (l4_offload, ip_offload) = offloaded_checksums(header.ol_flags);
    let changes_family = translation.to.family != facts.key.family;
    if changes_family && (ip_offload || header.ol_flags & (flags::TX_L4_MASK | flags::TX_TCP_SEG) != 0) {
        return Err(TranslateError::Untranslatable);
    }
    let start = usize::from(header.data_off);
    let length = start + usize::from(header.data_len);
    // SAFETY: in a valid mbuf the buffer has headroom and data from `buf_addr` on; the caller promises that it is
    // initialised and that nobody else uses it.
    let bytes = unsafe { core::slice::from_raw_parts_mut(header.buf_addr, length) };
    let new_start = translation.apply(facts, &mut WritablePacket { bytes, start, l4_offload, ip_offload })?;
    let moved = (new_start as isize - start as isize) as i16;
    if moved != 0 {
        header.data_off = new_start as u16;
        header.data_len = (length - new_start) as u16;
        header.pkt_len = header.pkt_len.wrapping_add_signed(-i32::from(moved));
    }
    if changes_family {
        header.packet_type = 0;
    }
    Ok(moved)
}
