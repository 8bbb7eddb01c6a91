//! Writes pfsync frames: the codec alone, without an engine, a table or a clock.

use super::frame_record::{action_of, profile_of};
use super::{
    Failure, PFPLANE_ERROR_ARGUMENT, PFPLANE_ERROR_BUFFER, PFPLANE_OK, check_size, elements_mut, exclusive,
    guard, pfplane_address, pfplane_frame_record, put, reference,
};
use pfsync::envelope::{EnvelopeError, Transport};
use pfsync::{FrameWriter, Profile, WriterOptions};

/// What a frame has besides its records.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_frame_options {
    /// sizeof(struct pfplane_frame_options).
    pub size: u32,
    /// Bytes kept free, as zeros, behind the frame's own length, where receivers ignore them. Default 0.
    pub trailer: u32,
    /// Ruleset checksum; zeros unless a FreeBSD peer is to take our rule numbers. Default zeros.
    pub checksum: [u8; 16],
}

/// Writes one frame after another into the caller's memory. Opaque.
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
            Failure::new(PFPLANE_ERROR_BUFFER, format!("{capacity} bytes: no frame fits into that"))
        })?;
        self.writer = Some(frame);
        Ok(PFPLANE_OK)
    }
}

/// Makes a writer of a dialect.
///
/// Parameters: `profile`, PFPLANE_PROFILE_*; `options`, or `NULL` for the defaults, copied.
/// Returns: PFPLANE_OK and the writer in `writer_out`; PFPLANE_ERROR_ARGUMENT, PFPLANE_ERROR_SIZE, PFPLANE_ERROR_NULL.
/// Ownership: the caller's, until pfplane_frame_writer_free.
/// Thread: any; a writer is used by one at a time. Cost: the only allocation.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_frame_writer_new(
    profile: u32,
    options: *const pfplane_frame_options,
    writer_out: *mut *mut pfplane_frame_writer,
) -> i32 {
    guard(|| {
        if writer_out.is_null() {
            return Err(Failure::null("writer_out"));
        }
        let profile = profile_of(profile)?;
        let options = if options.is_null() {
            WriterOptions::default()
        } else {
            // SAFETY: not NULL; the caller promises valid options.
            let options = unsafe { reference(options, "options") }?;
            check_size::<pfplane_frame_options>(options.size, "options")?;
            WriterOptions { checksum: options.checksum, trailer: options.trailer as usize }
        };
        let writer = Box::into_raw(Box::new(pfplane_frame_writer { profile, options, writer: None }));
        // SAFETY: not NULL, checked above; the caller promises room for a pointer.
        unsafe { put(writer_out, "writer_out", writer) }?;
        Ok(PFPLANE_OK)
    })
}

/// Frees a writer. What it wrote stays the caller's.
///
/// Parameters: `writer`; `NULL` is fine.
/// Thread: any.
///
/// # Safety
/// `writer` is NULL or came from pfplane_frame_writer_new and was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_frame_writer_free(writer: *mut pfplane_frame_writer) {
    guard(|| {
        if !writer.is_null() {
            // SAFETY: the caller promises that the pointer came from pfplane_frame_writer_new, which made it from a box.
            drop(unsafe { Box::from_raw(writer) });
        }
        Ok(PFPLANE_OK)
    });
}

/// Begins a frame. One that was begun and not finished is given up.
///
/// Parameters: `buffer`, initialised memory for what follows the IP header; `capacity` is its bytes, usually the MTU
/// less the IP header. Nothing is written beyond it.
/// Returns: PFPLANE_OK; PFPLANE_ERROR_BUFFER when not even an empty frame fits; PFPLANE_ERROR_NULL.
/// Ownership: the buffer is the writer's until pfplane_frame_writer_finish, then the caller's again.
/// Thread: the writer's.
///
/// # Safety
/// All pointers are valid as said, or `NULL`; nobody else uses the buffer until the frame is finished.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_frame_writer_begin(
    writer: *mut pfplane_frame_writer,
    buffer: *mut u8,
    capacity: u32,
) -> i32 {
    guard(|| {
        // SAFETY: the caller promises NULL or a writer that only this thread uses.
        let writer = unsafe { exclusive(writer, "writer") }?;
        // SAFETY: the caller promises `capacity` bytes that only the writer uses until the frame is finished.
        let buffer: &'static mut [u8] = unsafe { elements_mut(buffer, capacity, "buffer") }?;
        writer.begin(buffer)
    })
}

/// Adds a record. Records of one action that follow each other share a region.
///
/// Parameters: `record`: which fields are read is said at PFPLANE_ACTION_*. Flags and timeout classes are written as
/// they are: see pfplane_frame_record_convert.
/// Returns: PFPLANE_OK; PFPLANE_ERROR_BUFFER when the frame is full: finish it and begin the next;
/// PFPLANE_ERROR_ARGUMENT for an action that the dialect cannot say, or when no frame was begun; PFPLANE_ERROR_SIZE,
/// PFPLANE_ERROR_NULL.
/// Thread: the writer's.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_frame_writer_push(
    writer: *mut pfplane_frame_writer,
    record: *const pfplane_frame_record,
) -> i32 {
    guard(|| {
        // SAFETY: the caller promises NULL or a writer that only this thread uses.
        let writer = unsafe { exclusive(writer, "writer") }?;
        // SAFETY: the caller promises NULL or a valid record.
        let record = unsafe { reference(record, "record") }?;
        check_size::<pfplane_frame_record>(record.size, "record")?;
        let action = action_of(record.action)?;
        let frame = writer.writer.as_mut().ok_or_else(no_frame)?;
        if !frame.supports(action) {
            let text = format!("{} cannot say {}", writer.profile.name(), action.name());
            return Err(Failure::new(PFPLANE_ERROR_ARGUMENT, text));
        }
        let pushed = frame.push(action, &record.record()?);
        pushed.map(|()| PFPLANE_OK).map_err(|_| Failure::new(PFPLANE_ERROR_BUFFER, "the frame is full"))
    })
}

fn no_frame() -> Failure {
    Failure::new(PFPLANE_ERROR_ARGUMENT, "no frame was begun")
}

/// Ends the frame.
///
/// Parameters: `length_out` gets the frame's bytes, the trailer included; 0 when no record was added.
/// Returns: PFPLANE_OK; PFPLANE_ERROR_ARGUMENT when no frame was begun; PFPLANE_ERROR_NULL.
/// Thread: the writer's.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_frame_writer_finish(
    writer: *mut pfplane_frame_writer,
    length_out: *mut u32,
) -> i32 {
    guard(|| {
        // SAFETY: the caller promises NULL or a writer that only this thread uses.
        let writer = unsafe { exclusive(writer, "writer") }?;
        let frame = writer.writer.take().ok_or_else(no_frame)?;
        let length = if frame.is_empty() { 0 } else { frame.finish() };
        // SAFETY: the caller promises NULL or room for a number.
        unsafe { put(length_out, "length_out", length as u32) }?;
        Ok(PFPLANE_OK)
    })
}

/// Writes the IP header of a frame, 20 or 40 bytes: protocol 240, TTL 255, IPv4 with don't-fragment and checksum.
///
/// Parameters: `source` and `destination` of one family; `tos`, 0x10 is what the systems send; `identification`,
/// IPv4's, any number; `payload_length`, the frame's bytes; `buffer` has `capacity` bytes; `length_out` gets the
/// header's bytes.
/// Returns: PFPLANE_OK, PFPLANE_ERROR_BUFFER, PFPLANE_ERROR_ARGUMENT, PFPLANE_ERROR_NULL.
/// Thread: any.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_frame_envelope_write(
    source: *const pfplane_address,
    destination: *const pfplane_address,
    tos: u8,
    identification: u16,
    payload_length: u32,
    buffer: *mut u8,
    capacity: u32,
    length_out: *mut u32,
) -> i32 {
    guard(|| {
        // SAFETY: the caller promises NULL or a valid address.
        let source = unsafe { reference(source, "source") }?.address("source")?;
        // SAFETY: as above.
        let destination = unsafe { reference(destination, "destination") }?.address("destination")?;
        let (Some(source), Some(destination)) = (source, destination) else {
            return Err(Failure::new(PFPLANE_ERROR_ARGUMENT, "an address is none"));
        };
        // SAFETY: the caller promises NULL or `capacity` bytes that only this call uses.
        let buffer = unsafe { elements_mut(buffer, capacity, "buffer") }?;
        let transport = Transport { source, destination, tos };
        let length = transport.emit(buffer, payload_length as usize, identification).map_err(|error| {
            let status =
                if error == EnvelopeError::Truncated { PFPLANE_ERROR_BUFFER } else { PFPLANE_ERROR_ARGUMENT };
            Failure::new(status, "the header does not fit, or addresses or length do not go together")
        })?;
        // SAFETY: the caller promises NULL or room for a number.
        unsafe { put(length_out, "length_out", length as u32) }?;
        Ok(PFPLANE_OK)
    })
}
