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
        let room: &'static mut [u8] = unsafe { mbuf::buffer(mbuf.cast()) };
        let room = room.get_mut(offset as usize..).ok_or_else(|| {
            Failure::new(PFPLANE_ERROR_BUFFER, format!("offset {offset} is beyond the mbuf's buffer"))
        })?;
        let most = room.len().min(capacity as usize);
        writer.begin(&mut room[..most])
    })
}

#[cfg(test)]
#[expect(
    clippy::undocumented_unsafe_blocks,
    reason = "every call passes pointers to values of this function and to mbufs that are ours"
)]
mod tests {
    use super::super::*;
    use super::*;
    use crate::mbuf::tests::{Pool, free, set_lengths};
    use core::mem::MaybeUninit;
    use core::ptr::{null, null_mut};

    const IP: u32 = 20;
    /// Of the pool's buffers, behind the headroom.
    const ROOM: u32 = 512;

    fn begin(writer: *mut pfplane_frame_writer, mbuf: *mut mbuf::RteMbuf, offset: u32, capacity: u32) -> i32 {
        unsafe { pfplane_frame_writer_begin_mbuf(writer, mbuf.cast(), offset, capacity) }
    }

    fn read(reader: *mut pfplane_frame_reader, mbuf: *mut mbuf::RteMbuf) -> u32 {
        let mut fault = u32::MAX;
        let status = unsafe { pfplane_frame_reader_begin_mbuf(reader, mbuf.cast(), &mut fault) };
        assert_eq!(status, PFPLANE_OK);
        fault
    }

    fn ack() -> pfplane_frame_record {
        let mut record = MaybeUninit::uninit();
        let size = size_of::<pfplane_frame_record>() as u32;
        let action = PFPLANE_ACTION_INSERT_ACK;
        assert_eq!(unsafe { pfplane_frame_record_init(record.as_mut_ptr(), size, action) }, PFPLANE_OK);
        unsafe { record.assume_init() }
    }

    /// The IP header in front of the frame, and the lengths, as the host does it.
    fn wrap(mbuf: *mut mbuf::RteMbuf, payload: u32) {
        let ours = pfplane_address { family: 4, reserved: [0; 3], bytes: [9; 16] };
        let mut length = 0;
        let header = unsafe { mbuf::buffer(mbuf) };
        let status = unsafe {
            pfplane_frame_envelope_write(&ours, &ours, 0x10, 1, payload, header.as_mut_ptr(), IP, &mut length)
        };
        assert_eq!((status, length), (PFPLANE_OK, IP));
        set_lengths(mbuf, (IP + payload) as u16, IP + payload);
    }

    #[test]
    fn a_frame_is_written_into_an_mbuf_to_its_last_byte_and_read_from_it() {
        let pool = Pool::new(c"codec", 128 + ROOM as u16);
        let (mut writer, mut reader) = (null_mut(), null_mut());
        assert_eq!(unsafe { pfplane_frame_writer_new(PFPLANE_PROFILE_OPENBSD6, null(), &mut writer) }, 0);
        assert_eq!(unsafe { pfplane_frame_reader_new(&mut reader) }, PFPLANE_OK);
        for (capacity, fit) in [(u32::MAX, (ROOM - IP - 24) / 12), (60, 3), (59, 2)] {
            let mbuf = pool.allocate();
            assert_eq!(begin(writer, mbuf, IP, capacity), PFPLANE_OK);
            let mut pushed = 0;
            while unsafe { pfplane_frame_writer_push(writer, &ack()) } == PFPLANE_OK {
                pushed += 1;
            }
            assert_eq!(pushed, fit, "{capacity}");
            let mut payload = 0;
            assert_eq!(unsafe { pfplane_frame_writer_finish(writer, &mut payload) }, PFPLANE_OK);
            wrap(mbuf, payload);
            assert_eq!(read(reader, mbuf), PFPLANE_FAULT_NONE);
            let (mut record, mut seen) = (ack(), 0);
            while unsafe { pfplane_frame_reader_next(reader, &mut record) } == PFPLANE_OK {
                assert_eq!((record.action, record.fault), (PFPLANE_ACTION_INSERT_ACK, PFPLANE_FAULT_NONE));
                seen += 1;
            }
            assert_eq!(seen, fit);
            // The rest of the packet lies in another segment.
            set_lengths(mbuf, (IP + payload - 1) as u16, IP + payload);
            assert_eq!(read(reader, mbuf), PFPLANE_FAULT_IP);
            free(mbuf);
        }
        unsafe { pfplane_frame_writer_free(writer) };
        unsafe { pfplane_frame_reader_free(reader) };
    }

    #[test]
    fn wrong_arguments_are_refused() {
        let pool = Pool::new(c"codec_wrong", 128 + ROOM as u16);
        let (mut writer, mbuf) = (null_mut(), pool.allocate());
        assert_eq!(unsafe { pfplane_frame_writer_new(PFPLANE_PROFILE_FREEBSD1400, null(), &mut writer) }, 0);
        assert_eq!(begin(writer, mbuf, ROOM + 1, 100), PFPLANE_ERROR_BUFFER);
        assert_eq!(begin(writer, mbuf, ROOM - 23, 100), PFPLANE_ERROR_BUFFER);
        assert_eq!(begin(writer, mbuf, ROOM - 24, 100), PFPLANE_OK);
        assert_eq!(begin(writer, null_mut(), 0, 100), PFPLANE_ERROR_NULL);
        assert_eq!(begin(null_mut(), mbuf, 0, 100), PFPLANE_ERROR_NULL);
        let reader = null_mut();
        let status = unsafe { pfplane_frame_reader_begin_mbuf(reader, mbuf.cast(), &mut 0) };
        assert_eq!(status, PFPLANE_ERROR_NULL);
        unsafe { pfplane_frame_writer_free(writer) };
        free(mbuf);
    }
}
