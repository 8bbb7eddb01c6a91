//! Frames: in DPDK's mbufs

use super::super::{
    Failure, PFPLANE_ERROR_BUFFER, PFPLANE_OK, given_mut, guard, not_null, pfplane_frame_reader,
    pfplane_frame_writer, put, rte_mbuf,
};
use crate::mbuf;
use core::mem::MaybeUninit;

/// As pfplane_frame_reader_begin_packet, for an mbuf whose data starts with the IP header. The packet must be in the first
/// segment; otherwise the fault is PFPLANE_FAULT_IP.
///
/// Returns: as pfplane_frame_reader_begin_packet.
/// Ownership: the mbuf stays the caller's and must not change until the next begin or pfplane_frame_reader_free.
/// Thread: the reader's.
///
/// # Safety
/// `mbuf` is `NULL`, or a valid mbuf that does not change while the reader reads it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_frame_reader_begin_mbuf(
    reader: Option<&mut pfplane_frame_reader>,
    mbuf: *const rte_mbuf,
    fault_out: Option<&mut MaybeUninit<u32>>,
) -> i32 {
    guard(|| {
        let reader = given_mut(reader, "reader")?;
        let mbuf = not_null(mbuf.cast_mut(), "mbuf")?;
        // SAFETY: a valid mbuf, which stays as it is for longer than the reader keeps the view.
        let packet: mbuf::MbufView<'static> = unsafe { mbuf::view(mbuf.cast()) };
        put(fault_out, "fault_out", reader.begin_packet(packet.data))?;
        Ok(PFPLANE_OK)
    })
}

/// As pfplane_frame_writer_begin, into an mbuf. The frame starts `offset` bytes after the start of the mbuf's data, where the
/// caller puts the headers, and has at most `capacity` bytes, or as many as the mbuf's buffer holds.
///
/// Returns: as pfplane_frame_writer_begin.
/// Ownership: the mbuf stays the caller's, who sets its lengths when the frame is finished. Nobody else may use it until then.
/// Thread: the writer's.
///
/// # Safety
/// `mbuf` is `NULL`, or a valid mbuf of a pool that nobody else uses until the frame is finished.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_frame_writer_begin_mbuf(
    writer: Option<&mut pfplane_frame_writer>,
    mbuf: *mut rte_mbuf,
    offset: u32,
    capacity: u32,
) -> i32 {
    guard(|| {
        let writer = given_mut(writer, "writer")?;
        let mbuf = not_null(mbuf, "mbuf")?;
        // SAFETY: a valid mbuf whose buffer the pool has initialised; until the frame is finished it is the writer's.
        let buffer: &'static mut [u8] = unsafe { mbuf::buffer(mbuf.cast()) };
        let buffer = buffer.get_mut(offset as usize..).ok_or_else(|| {
            Failure::new(PFPLANE_ERROR_BUFFER, format_args!("offset {offset} is beyond the mbuf's buffer"))
        })?;
        let capacity = buffer.len().min(capacity as usize);
        writer.begin(&mut buffer[..capacity])
    })
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

    const IP: u32 = 20;
    /// Capacity of the pool's buffers after the headroom.
    const CAPACITY: u32 = 512;

    /// The value that a call wrote.
    fn made<T>(call: impl FnOnce(Option<&mut MaybeUninit<T>>) -> i32) -> T {
        let mut value = MaybeUninit::uninit();
        assert_eq!(call(Some(&mut value)), PFPLANE_OK);
        unsafe { value.assume_init() }
    }

    struct Codec {
        reader: *mut pfplane_frame_reader,
        writer: *mut pfplane_frame_writer,
    }

    impl Drop for Codec {
        fn drop(&mut self) {
            unsafe { pfplane_frame_reader_free(self.reader) };
            unsafe { pfplane_frame_writer_free(self.writer) };
        }
    }

    impl Codec {
        fn new(profile: u32) -> Self {
            let writer = made(|out| pfplane_frame_writer_new(profile, None, out));
            Self { reader: made(|out| pfplane_frame_reader_new(out)), writer }
        }

        fn reader(&mut self) -> Option<&mut pfplane_frame_reader> {
            unsafe { self.reader.as_mut() }
        }

        fn writer(&mut self) -> Option<&mut pfplane_frame_writer> {
            unsafe { self.writer.as_mut() }
        }

        fn begin(&mut self, mbuf: *mut mbuf::RteMbuf, offset: u32, capacity: u32) -> i32 {
            unsafe { pfplane_frame_writer_begin_mbuf(self.writer(), mbuf.cast(), offset, capacity) }
        }

        fn read(&mut self, mbuf: *mut mbuf::RteMbuf) -> u32 {
            made(|out| unsafe { pfplane_frame_reader_begin_mbuf(self.reader(), mbuf.cast(), out) })
        }
    }

    fn ack() -> pfplane_frame_record {
        let size = size_of::<pfplane_frame_record>() as u32;
        made(|out| pfplane_frame_record_init(out, size, PFPLANE_ACTION_INSERT_ACK))
    }

    /// Writes the IP header before the frame and sets the lengths, as the host does.
    fn wrap(mbuf: *mut mbuf::RteMbuf, payload: u32) {
        let ours = pfplane_address { family: 4, reserved: [0; 3], bytes: [9; 16] };
        let header = unsafe { mbuf::buffer(mbuf) }.as_mut_ptr();
        let length = made(|out| unsafe {
            pfplane_frame_envelope_write(Some(&ours), Some(&ours), 0x10, 1, payload, header, IP, out)
        });
        assert_eq!(length, IP);
        set_lengths(mbuf, (IP + payload) as u16, IP + payload);
    }

    #[test]
    fn a_frame_fills_an_mbuf_to_its_last_byte_and_is_read_back() {
        let pool = Pool::new(c"codec", 128 + CAPACITY as u16);
        let mut codec = Codec::new(PFPLANE_PROFILE_OPENBSD6);
        for (capacity, fit) in [(u32::MAX, (CAPACITY - IP - 24) / 12), (60, 3), (59, 2)] {
            let mbuf = pool.allocate();
            assert_eq!(codec.begin(mbuf, IP, capacity), PFPLANE_OK);
            let mut pushed = 0;
            while pfplane_frame_writer_push(codec.writer(), Some(&ack())) == PFPLANE_OK {
                pushed += 1;
            }
            assert_eq!(pushed, fit, "{capacity}");
            let payload = made(|out| pfplane_frame_writer_finish(codec.writer(), out));
            wrap(mbuf, payload);
            assert_eq!(codec.read(mbuf), PFPLANE_FAULT_NONE);
            let (mut record, mut seen) = (ack(), 0);
            while pfplane_frame_reader_next(codec.reader(), Some(&mut record)) == PFPLANE_OK {
                assert_eq!((record.action, record.fault), (PFPLANE_ACTION_INSERT_ACK, PFPLANE_FAULT_NONE));
                seen += 1;
            }
            assert_eq!(seen, fit);
            // The rest of the packet is in another segment.
            set_lengths(mbuf, (IP + payload - 1) as u16, IP + payload);
            assert_eq!(codec.read(mbuf), PFPLANE_FAULT_IP);
            free(mbuf);
        }
    }

    #[test]
    fn wrong_arguments_are_refused() {
        let pool = Pool::new(c"codec_wrong", 128 + CAPACITY as u16);
        let (mut codec, mbuf) = (Codec::new(PFPLANE_PROFILE_FREEBSD1400), pool.allocate());
        assert_eq!(codec.begin(mbuf, CAPACITY + 1, 100), PFPLANE_ERROR_BUFFER);
        assert_eq!(codec.begin(mbuf, CAPACITY - 23, 100), PFPLANE_ERROR_BUFFER);
        assert_eq!(codec.begin(mbuf, CAPACITY - 24, 100), PFPLANE_OK);
        assert_eq!(codec.begin(core::ptr::null_mut(), 0, 100), PFPLANE_ERROR_NULL);
        let begin = unsafe { pfplane_frame_writer_begin_mbuf(None, mbuf.cast(), 0, 100) };
        assert_eq!(begin, PFPLANE_ERROR_NULL);
        let read = unsafe { pfplane_frame_reader_begin_mbuf(None, mbuf.cast(), None) };
        assert_eq!(read, PFPLANE_ERROR_NULL);
        drop(codec);
        free(mbuf);
    }
}
