//! The codec on DPDK's mbufs.

use super::{Failure, guard, pfplane_frame_reader, pfplane_frame_writer, put, rte_mbuf};
use super::{PFPLANE_ERROR_BUFFER, PFPLANE_OK, exclusive};
use crate::mbuf;

/// As pfplane_frame_reader_begin_packet, for an mbuf whose data begins with the IP header, all in its first segment.
///
/// Ownership: the mbuf stays the caller's and must not change until the next begin or the reader's end.
/// Thread: the reader's.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_frame_reader_begin_mbuf(
    reader: *mut pfplane_frame_reader,
    mbuf: *const rte_mbuf,
    fault_out: *mut u32,
) -> i32 {
    guard(|| {
        // SAFETY: the caller promises NULL or a reader that only this thread uses.
        let reader = unsafe { exclusive(reader, "reader") }?;
        if mbuf.is_null() {
            return Err(Failure::null("mbuf"));
        }
        // SAFETY: not NULL; the caller promises a valid mbuf that does not change while the reader reads it.
        let packet: mbuf::MbufView<'static> = unsafe { mbuf::view(mbuf.cast()) };
        let fault = reader.begin_packet(packet.data);
        // SAFETY: the caller promises NULL or room for a number.
        unsafe { put(fault_out, "fault_out", fault) }?;
        Ok(PFPLANE_OK)
    })
}

/// As pfplane_frame_writer_begin, into an mbuf: the frame begins `offset` bytes behind the start of its data, where the
/// caller puts the headers, and ends at the latest `capacity` bytes further or at the end of the buffer.
///
/// Ownership: the mbuf stays the caller's, who sets its lengths once the frame is finished; nobody else may use it
/// until then.
/// Thread: the writer's.
///
/// # Safety
/// All pointers are valid as said, or `NULL`; the mbuf's buffer is initialised memory, as DPDK makes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_frame_writer_begin_mbuf(
    writer: *mut pfplane_frame_writer,
    mbuf: *mut rte_mbuf,
    offset: u32,
    capacity: u32,
) -> i32 {
    guard(|| {
        // SAFETY: the caller promises NULL or a writer that only this thread uses.
        let writer = unsafe { exclusive(writer, "writer") }?;
        if mbuf.is_null() {
            return Err(Failure::null("mbuf"));
        }
        // SAFETY: not NULL; the caller promises a valid mbuf that only the writer uses until the frame is finished.
        let room: &'static mut [u8] = unsafe { mbuf::room(mbuf.cast()) };
        let room = room.get_mut(offset as usize..).ok_or_else(|| {
            Failure::new(PFPLANE_ERROR_BUFFER, format!("offset {offset} is beyond the mbuf's buffer"))
        })?;
        let most = room.len().min(capacity as usize);
        writer.begin(&mut room[..most])
    })
}
