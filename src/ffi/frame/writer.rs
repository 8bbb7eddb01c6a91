//! Frames: writing
//!
//! Builds pfsync frames of one dialect into the caller's memory: begin, push records, finish; then the IP header with
//! pfplane_frame_envelope_write.

use super::super::{
    Failure, PFPLANE_ERROR_ARGUMENT, PFPLANE_ERROR_BUFFER, PFPLANE_OK, check_size, elements_mut, given,
    given_mut, guard, icmp_ports, pfplane_address, profile_of, put,
};
use super::record::{action_of, pfplane_frame_record};
use crate::memory::{Heap, Owned};
use core::mem::MaybeUninit;
use pfsync::envelope::{EnvelopeError, Transport};
use pfsync::{FrameWriter, Profile, WriterOptions};

/// What a frame has besides its records.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_frame_options {
    /// sizeof(struct pfplane_frame_options).
    pub size: u32,
    /// Bytes reserved, as zeros, behind the length that the frame states, where receivers ignore them. Default 0.
    pub trailer: u32,
    /// Ruleset checksum. Default zeros; set it only if a FreeBSD peer should use our rule numbers.
    pub checksum: [u8; 16],
    /// 1: key ICMP states by identifier only, as FreeBSD before 13.3-p5 and 14.1-p3; PFPLANE_PROFILE_FREEBSD1301 and
    /// _FREEBSD1400 only, otherwise ignored. Default 0: by identifier and type.
    pub icmp_id_twice: u8,
    /// Zero.
    pub reserved: [u8; 7],
}

/// Builds pfsync frames, one after another.
pub struct pfplane_frame_writer {
    profile: Profile,
    options: WriterOptions,
    writer: Option<FrameWriter<'static>>,
}

impl pfplane_frame_writer {
    pub(super) fn begin(&mut self, buffer: &'static mut [u8]) -> Result<i32, Failure> {
        self.writer = None;
        let capacity = buffer.len();
        let frame = FrameWriter::new(buffer, self.profile, &self.options).map_err(|_| {
            Failure::new(
                PFPLANE_ERROR_BUFFER,
                format_args!("capacity is {capacity}, too small for any frame"),
            )
        })?;
        self.writer = Some(frame);
        Ok(PFPLANE_OK)
    }
}

/// Creates a writer for a dialect.
///
/// Parameters: `profile`, PFPLANE_PROFILE_*; `options`, `NULL` for the defaults, copied.
/// Returns: PFPLANE_OK and the writer in `writer_out`; PFPLANE_ERROR_ARGUMENT, PFPLANE_ERROR_SIZE,
/// PFPLANE_ERROR_MEMORY, PFPLANE_ERROR_NULL.
/// Ownership: the caller's, until pfplane_frame_writer_free.
/// Thread: any; one thread at a time uses a writer. Cost: the only allocation.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_frame_writer_new(
    profile: u32,
    options: Option<&pfplane_frame_options>,
    writer_out: Option<&mut MaybeUninit<*mut pfplane_frame_writer>>,
) -> i32 {
    guard(|| {
        let out = given_mut(writer_out, "writer_out")?;
        let profile = profile_of("profile", profile)?;
        let mut writer_options = WriterOptions::default();
        if let Some(options) = options {
            check_size::<pfplane_frame_options>(options.size, "options")?;
            writer_options.checksum = options.checksum;
            writer_options.trailer = options.trailer as usize;
            writer_options.icmp_ports = icmp_ports("options.icmp_id_twice", options.icmp_id_twice)?;
        }
        let writer = pfplane_frame_writer { profile, options: writer_options, writer: None };
        let writer = Heap::SYSTEM.owned("a frame writer", writer)?;
        out.write(Owned::into_raw_with_allocator(writer).0);
        Ok(PFPLANE_OK)
    })
}

/// Frees a writer.
///
/// Parameters: `writer`; `NULL` is fine.
/// Thread: any.
///
/// # Safety
/// `writer` is `NULL`, or was returned by pfplane_frame_writer_new and not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_frame_writer_free(writer: *mut pfplane_frame_writer) {
    guard(|| {
        if !writer.is_null() {
            // SAFETY: pfplane_frame_writer_new made it from a box; this is its only free.
            drop(unsafe { Owned::from_raw_in(writer, Heap::SYSTEM) });
        }
        Ok(PFPLANE_OK)
    });
}

/// Begins a frame. A frame that was begun and not finished is discarded.
///
/// Parameters: `buffer` with `capacity` bytes for what follows the IP header, usually the MTU less that header. It must be
/// initialised, for instance zeroed.
/// Returns: PFPLANE_OK; PFPLANE_ERROR_BUFFER when not even an empty frame fits; PFPLANE_ERROR_NULL.
/// Ownership: the buffer is the writer's until pfplane_frame_writer_finish, then the caller's again.
/// Thread: the writer's.
///
/// # Safety
/// `buffer` has `capacity` initialised bytes that nobody else uses until the frame is finished or discarded.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_frame_writer_begin(
    writer: Option<&mut pfplane_frame_writer>,
    buffer: *mut u8,
    capacity: u32,
) -> i32 {
    guard(|| {
        let writer = given_mut(writer, "writer")?;
        // SAFETY: the bytes belong to the writer until the frame is finished, so it may keep the slice that long.
        let buffer: &'static mut [u8] = unsafe { elements_mut(buffer, capacity, "buffer") }?;
        writer.begin(buffer)
    })
}

/// Appends a record. Consecutive records of one action share a region.
///
/// Parameters: `record`; flags and timeout classes are written as they are, see pfplane_frame_record_convert.
/// Returns: PFPLANE_OK; PFPLANE_ERROR_BUFFER when the frame is full: finish it and begin the next; PFPLANE_ERROR_ARGUMENT
/// for an action that the dialect does not have, or when no frame was begun; PFPLANE_ERROR_SIZE, PFPLANE_ERROR_NULL.
/// Thread: the writer's.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_frame_writer_push(
    writer: Option<&mut pfplane_frame_writer>,
    record: Option<&pfplane_frame_record>,
) -> i32 {
    guard(|| {
        let writer = given_mut(writer, "writer")?;
        let record = given(record, "record")?;
        check_size::<pfplane_frame_record>(record.size, "record")?;
        let action = action_of(record.action)?;
        let frame = writer.writer.as_mut().ok_or_else(no_frame)?;
        if !frame.supports(action) {
            let text = format_args!("{} has no action {}", writer.profile.name(), action.name());
            return Err(Failure::new(PFPLANE_ERROR_ARGUMENT, text));
        }
        let pushed = frame.push(action, &record.record()?);
        pushed.map(|()| PFPLANE_OK).map_err(|_| Failure::new(PFPLANE_ERROR_BUFFER, "the frame is full"))
    })
}

fn no_frame() -> Failure {
    Failure::new(PFPLANE_ERROR_ARGUMENT, "no frame was begun")
}

/// Finishes the frame.
///
/// Parameters: `length_out` gets the frame's bytes, trailer included; 0 when no record was pushed.
/// Returns: PFPLANE_OK; PFPLANE_ERROR_ARGUMENT when no frame was begun; PFPLANE_ERROR_NULL.
/// Thread: the writer's.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_frame_writer_finish(
    writer: Option<&mut pfplane_frame_writer>,
    length_out: Option<&mut MaybeUninit<u32>>,
) -> i32 {
    guard(|| {
        let frame = given_mut(writer, "writer")?.writer.take().ok_or_else(no_frame)?;
        let length = if frame.is_empty() { 0 } else { frame.finish() };
        put(length_out, "length_out", length as u32)?;
        Ok(PFPLANE_OK)
    })
}

/// Writes the IP header of a frame, 20 or 40 bytes: protocol 240, TTL 255; for IPv4 with don't-fragment and checksum.
///
/// Parameters: `source` and `destination`, of the same family; `tos`, the systems send 0x10 (IPv4) and 0 (IPv6);
/// `identification`, IPv4's, any number; `payload_length`, the frame's bytes; `buffer` with `capacity` bytes; `length_out`
/// gets the header's bytes.
/// Returns: PFPLANE_OK, PFPLANE_ERROR_BUFFER, PFPLANE_ERROR_ARGUMENT, PFPLANE_ERROR_NULL.
/// Thread: any.
///
/// # Safety
/// `buffer` has `capacity` initialised bytes that nobody else uses during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_frame_envelope_write(
    source: Option<&pfplane_address>,
    destination: Option<&pfplane_address>,
    tos: u8,
    identification: u16,
    payload_length: u32,
    buffer: *mut u8,
    capacity: u32,
    length_out: Option<&mut MaybeUninit<u32>>,
) -> i32 {
    guard(|| {
        let source = given(source, "source")?.address("source")?;
        let destination = given(destination, "destination")?.address("destination")?;
        let (Some(source), Some(destination)) = (source, destination) else {
            return Err(Failure::new(PFPLANE_ERROR_ARGUMENT, "source or destination has no family"));
        };
        // SAFETY: `capacity` is the buffer's length, and only this call uses it.
        let buffer = unsafe { elements_mut(buffer, capacity, "buffer") }?;
        let transport = Transport { source, destination, tos };
        let length = transport.emit(buffer, payload_length as usize, identification).map_err(|error| {
            let status =
                if error == EnvelopeError::Truncated { PFPLANE_ERROR_BUFFER } else { PFPLANE_ERROR_ARGUMENT };
            Failure::new(status, "capacity is too small, the families differ, or the payload is too long")
        })?;
        put(length_out, "length_out", length as u32)?;
        Ok(PFPLANE_OK)
    })
}
