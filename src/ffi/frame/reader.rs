//! Frames: reading
//!
//! Parses pfsync frames of any dialect, record by record:
//!
//! ```c
//!     pfplane_frame_reader_begin_packet(reader, ip_packet, length, &fault);
//!     while (pfplane_frame_reader_next(reader, &record) == PFPLANE_OK)
//!         use(&record); // after a look at record.fault
//! ```

use super::super::{
    PFPLANE_END, PFPLANE_OK, check_size, elements, given, given_mut, guard, profile_number, put,
};
use super::record::{action_number, pfplane_frame_record};
use crate::memory::{Heap, Owned};
use core::ffi::{CStr, c_char};
use core::mem::MaybeUninit;
use pfsync::envelope::{Envelope, TTL};
use pfsync::{
    Action, FrameError, FrameReader, Invalid, Profile, Record, Records, Region, RegionError, Version,
};

// enum pfplane_fault: What is wrong with a frame, a region of it (records of one action), or a record.
/// Nothing.
pub const PFPLANE_FAULT_NONE: u32 = 0;
/// Frame: the IP header is malformed, or belongs to another protocol.
pub const PFPLANE_FAULT_IP: u32 = 1;
/// Frame: the TTL or hop limit is not 255 (pf's badttl).
pub const PFPLANE_FAULT_TTL: u32 = 2;
/// Frame: too short for its header (pf's hdrops).
pub const PFPLANE_FAULT_HEADER: u32 = 3;
/// Frame: neither version 5 nor 6 (pf's badver).
pub const PFPLANE_FAULT_VERSION: u32 = 4;
/// Frame or region: wrong length (pf's badlen).
pub const PFPLANE_FAULT_LENGTH: u32 = 5;
/// Region: unknown action; the rest of the frame is lost (pf's badact).
pub const PFPLANE_FAULT_ACTION: u32 = 6;
/// Region: unknown action with a length (version 6); the frame continues behind it.
pub const PFPLANE_FAULT_SKIPPED: u32 = 7;
/// Region: bytes after the end mark (version 5; FreeBSD counts badlen).
pub const PFPLANE_FAULT_AFTER_END: u32 = 8;
/// Record: a timeout class at or above the dialect's limit (pf's badval, as all below).
pub const PFPLANE_FAULT_TIMEOUT: u32 = 9;
/// Record: a side's state number above 12.
pub const PFPLANE_FAULT_PEER_STATE: u32 = 10;
/// Record: direction neither in nor out.
pub const PFPLANE_FAULT_DIRECTION: u32 = 11;
/// Record: neither IPv4 nor IPv6.
pub const PFPLANE_FAULT_FAMILY: u32 = 12;
/// Record: no creator.
pub const PFPLANE_FAULT_CREATOR: u32 = 13;
/// Record: a name without a NUL.
pub const PFPLANE_FAULT_NAME: u32 = 14;

const NAMES: [&CStr; 15] = [
    c"none",
    c"ip",
    c"badttl",
    c"hdrops",
    c"badver",
    c"badlen",
    c"badact",
    c"skipped",
    c"after_end",
    c"timeout",
    c"peer_state",
    c"direction",
    c"family",
    c"creator",
    c"name",
];

/// Parses pfsync frames, one after another.
pub struct pfplane_frame_reader {
    reader: Option<FrameReader<'static>>,
    region: Option<(Region<'static>, Records<'static>)>,
}

const fn frame_fault(error: FrameError) -> u32 {
    match error {
        FrameError::Header => PFPLANE_FAULT_HEADER,
        FrameError::Version => PFPLANE_FAULT_VERSION,
        FrameError::Length => PFPLANE_FAULT_LENGTH,
    }
}

const fn region_fault(error: RegionError) -> u32 {
    match error {
        RegionError::Skipped => PFPLANE_FAULT_SKIPPED,
        RegionError::Action => PFPLANE_FAULT_ACTION,
        RegionError::Length => PFPLANE_FAULT_LENGTH,
        RegionError::AfterEnd => PFPLANE_FAULT_AFTER_END,
    }
}

const fn invalid_fault(invalid: Invalid) -> u32 {
    match invalid {
        Invalid::Timeout => PFPLANE_FAULT_TIMEOUT,
        Invalid::PeerState => PFPLANE_FAULT_PEER_STATE,
        Invalid::Direction => PFPLANE_FAULT_DIRECTION,
        Invalid::Family => PFPLANE_FAULT_FAMILY,
        Invalid::Creator => PFPLANE_FAULT_CREATOR,
        Invalid::Name => PFPLANE_FAULT_NAME,
    }
}

/// Validates whole states as inserts. An update of a known state needs less, which the host decides.
fn validate(version: Version, record: &Record) -> u32 {
    let limit = match version {
        Version::V6 => Profile::OpenBsd6.timeout_limit(),
        Version::V5 => Profile::FreeBsd1500.timeout_limit(),
    };
    let result = match record {
        Record::State(state) => state.validate(limit),
        Record::Compressed(update) => update.validate(limit),
        _ => Ok(()),
    };
    result.map_or_else(invalid_fault, |()| PFPLANE_FAULT_NONE)
}

impl pfplane_frame_reader {
    fn begin(&mut self, payload: &'static [u8]) -> u32 {
        self.region = None;
        match FrameReader::new(payload) {
            Ok(reader) => {
                self.reader = Some(reader);
                PFPLANE_FAULT_NONE
            }
            Err(error) => {
                self.reader = None;
                frame_fault(error)
            }
        }
    }

    pub(super) fn begin_packet(&mut self, packet: &'static [u8]) -> u32 {
        (self.reader, self.region) = (None, None);
        match Envelope::parse(packet) {
            Err(_) => PFPLANE_FAULT_IP,
            Ok(envelope) if envelope.ttl != TTL => PFPLANE_FAULT_TTL,
            Ok(envelope) => self.begin(&packet[envelope.payload]),
        }
    }

    /// The next record or fault; false at the end of the frame.
    fn next(&mut self, out: &mut pfplane_frame_record) -> bool {
        let Some(reader) = &mut self.reader else { return false };
        loop {
            if let Some((region, records)) = &mut self.region {
                if let Some(record) = records.next() {
                    *out = pfplane_frame_record::empty();
                    out.action = action_number(region.action());
                    out.profile = region.profile().map_or(0, profile_number);
                    out.fault = validate(reader.version(), &record);
                    out.set(&record);
                    return true;
                }
                self.region = None;
            }
            match reader.next_region() {
                None => return false,
                Some(Ok(region)) if region.action() == Action::Eof => {}
                Some(Ok(region)) => {
                    let records = region.records();
                    self.region = Some((region, records));
                }
                Some(Err(error)) => {
                    *out = pfplane_frame_record::empty();
                    out.fault = region_fault(error);
                    return true;
                }
            }
        }
    }
}

/// Creates a reader.
///
/// Returns: PFPLANE_OK and the reader in `reader_out`; PFPLANE_ERROR_MEMORY, PFPLANE_ERROR_NULL.
/// Ownership: the caller's, until pfplane_frame_reader_free.
/// Thread: any; one thread at a time uses a reader. Cost: the only allocation.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_frame_reader_new(
    reader_out: Option<&mut MaybeUninit<*mut pfplane_frame_reader>>,
) -> i32 {
    guard(|| {
        let out = given_mut(reader_out, "reader_out")?;
        let reader = pfplane_frame_reader { reader: None, region: None };
        let reader = Heap::SYSTEM.owned("a frame reader", reader)?;
        out.write(Owned::into_raw_with_allocator(reader).0);
        Ok(PFPLANE_OK)
    })
}

/// Frees a reader.
///
/// Parameters: `reader`; `NULL` is fine.
/// Thread: any.
///
/// # Safety
/// `reader` is `NULL`, or was returned by pfplane_frame_reader_new and not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_frame_reader_free(reader: *mut pfplane_frame_reader) {
    guard(|| {
        if !reader.is_null() {
            // SAFETY: the pointer is the box of pfplane_frame_reader_new, which ends here.
            drop(unsafe { Owned::from_raw_in(reader, Heap::SYSTEM) });
        }
        Ok(PFPLANE_OK)
    });
}

/// Begins to read a frame that starts after its IP header.
///
/// Parameters: `payload` with `length` bytes, as many as the IP header says; `fault_out` gets PFPLANE_FAULT_NONE, or why the
/// whole frame must be dropped.
/// Returns: PFPLANE_OK, also for a frame with a fault; PFPLANE_ERROR_NULL.
/// Ownership: `payload` stays the caller's and must not change until the next begin or pfplane_frame_reader_free.
/// Thread: the reader's.
///
/// # Safety
/// `payload` has `length` bytes that do not change while the reader reads them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_frame_reader_begin(
    reader: Option<&mut pfplane_frame_reader>,
    payload: *const u8,
    length: u32,
    fault_out: Option<&mut MaybeUninit<u32>>,
) -> i32 {
    guard(|| {
        let reader = given_mut(reader, "reader")?;
        // SAFETY: the bytes outlive the reader's use of them, so the reader may keep the slice.
        let payload: &'static [u8] = unsafe { elements(payload, length, "payload") }?;
        put(fault_out, "fault_out", reader.begin(payload))?;
        Ok(PFPLANE_OK)
    })
}

/// As pfplane_frame_reader_begin, for a whole IPv4 or IPv6 packet, whose header, TTL and checksum are checked first.
///
/// Parameters: `ip_packet` with `length` bytes; `fault_out` as in pfplane_frame_reader_begin.
/// Returns: as pfplane_frame_reader_begin.
/// Ownership: `ip_packet` stays the caller's and must not change until the next begin or pfplane_frame_reader_free.
/// Thread: the reader's.
///
/// # Safety
/// `ip_packet` has `length` bytes that do not change while the reader reads them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_frame_reader_begin_packet(
    reader: Option<&mut pfplane_frame_reader>,
    ip_packet: *const u8,
    length: u32,
    fault_out: Option<&mut MaybeUninit<u32>>,
) -> i32 {
    guard(|| {
        let reader = given_mut(reader, "reader")?;
        // SAFETY: as long as this frame is read, the packet's bytes stay where and what they are.
        let packet: &'static [u8] = unsafe { elements(ip_packet, length, "ip_packet") }?;
        put(fault_out, "fault_out", reader.begin_packet(packet))?;
        Ok(PFPLANE_OK)
    })
}

/// Returns the frame's next record, in the order of the frame. A region with a fault gives one record, with `action` 0 and
/// that fault. Regions before it are returned, and after PFPLANE_FAULT_SKIPPED also those behind it.
///
/// Parameters: the caller sets `record_out->size`.
/// Returns: PFPLANE_OK; PFPLANE_END at the end of the frame; PFPLANE_ERROR_SIZE, PFPLANE_ERROR_NULL.
/// Thread: the reader's. Cost: writes the whole struct.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_frame_reader_next(
    reader: Option<&mut pfplane_frame_reader>,
    record_out: Option<&mut pfplane_frame_record>,
) -> i32 {
    guard(|| {
        let reader = given_mut(reader, "reader")?;
        let out = given_mut(record_out, "record_out")?;
        check_size::<pfplane_frame_record>(out.size, "record_out")?;
        Ok(if reader.next(out) { PFPLANE_OK } else { PFPLANE_END })
    })
}

/// Returns the pfsync version of the frame that is being read.
///
/// Returns: 5 or 6; 0 when no frame is being read.
/// Thread: the reader's.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_frame_reader_version(reader: Option<&pfplane_frame_reader>) -> u32 {
    let mut version = 0;
    guard(|| {
        version = given(reader, "reader")?.reader.as_ref().map_or(0, |reader| reader.version() as u32);
        Ok(PFPLANE_OK)
    });
    version
}

/// Returns the trailer of the frame that is being read: the bytes behind the length that the frame states, which receivers
/// ignore. See `pfplane_frame_options.trailer`.
///
/// Parameters: `trailer_out` gets the first byte, `length_out` the number of bytes, 0 for none.
/// Returns: PFPLANE_OK; PFPLANE_END when no frame is being read; PFPLANE_ERROR_NULL.
/// Ownership: the bytes are part of the frame, which is the caller's.
/// Thread: the reader's.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_frame_reader_trailer(
    reader: Option<&pfplane_frame_reader>,
    trailer_out: Option<&mut MaybeUninit<*const u8>>,
    length_out: Option<&mut MaybeUninit<u32>>,
) -> i32 {
    guard(|| {
        let reader = given(reader, "reader")?;
        let Some(frame) = &reader.reader else { return Ok(PFPLANE_END) };
        let trailer = frame.trailer_bytes();
        put(trailer_out, "trailer_out", trailer.as_ptr())?;
        put(length_out, "length_out", trailer.len() as u32)?;
        Ok(PFPLANE_OK)
    })
}

/// Returns the name of a fault: that of pf's counter, where pf counts it.
///
/// Returns: a text that lives as long as the program, never `NULL`; "unknown" for an unknown number.
/// Thread: any.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_frame_fault_name(fault: u32) -> *const c_char {
    NAMES.get(fault as usize).map_or(c"unknown", |name| name).as_ptr()
}
