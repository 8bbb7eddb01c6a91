//! Reads pfsync frames: the codec alone, without an engine, a table or a clock.

use super::frame_record::{action_number, profile_number};
use super::{
    Failure, PFPLANE_END, PFPLANE_OK, check_size, elements, exclusive, guard, pfplane_frame_record, put,
    reference,
};
use core::ffi::{CStr, c_char};
use pfsync::envelope::{Envelope, TTL};
use pfsync::{
    Action, FrameError, FrameReader, Invalid, Profile, Record, Records, Region, RegionError, Version,
};

/// Nothing is wrong.
pub const PFPLANE_FAULT_NONE: u32 = 0;
/// Frame: the IP header makes no sense or belongs to another protocol.
pub const PFPLANE_FAULT_IP: u32 = 1;
/// Frame: the TTL or hop limit is not 255 (pf's "badttl").
pub const PFPLANE_FAULT_TTL: u32 = 2;
/// Frame: too short for its header (pf's "hdrops").
pub const PFPLANE_FAULT_HEADER: u32 = 3;
/// Frame: neither version 5 nor 6 (pf's "badver").
pub const PFPLANE_FAULT_VERSION: u32 = 4;
/// Frame or region: its length does not fit (pf's "badlen").
pub const PFPLANE_FAULT_LENGTH: u32 = 5;
/// Region: an unknown action, the rest of the frame is lost (pf's "badact").
pub const PFPLANE_FAULT_ACTION: u32 = 6;
/// Region: stepped over by its own length (version 6). The frame goes on.
pub const PFPLANE_FAULT_SKIPPED: u32 = 7;
/// Region: bytes behind the end mark (version 5; FreeBSD counts "badlen").
pub const PFPLANE_FAULT_AFTER_END: u32 = 8;
/// Record: a timeout class at or above the peer's limit (pf's "badval", as all of the following).
pub const PFPLANE_FAULT_TIMEOUT: u32 = 9;
/// Record: a peer's state number above 12.
pub const PFPLANE_FAULT_PEER_STATE: u32 = 10;
/// Record: neither in nor out.
pub const PFPLANE_FAULT_DIRECTION: u32 = 11;
/// Record: neither IPv4 nor IPv6.
pub const PFPLANE_FAULT_FAMILY: u32 = 12;
/// Record: no creator.
pub const PFPLANE_FAULT_CREATOR: u32 = 13;
/// Record: a name that does not end.
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

/// Reads one frame after another. Opaque. It holds no memory beside itself.
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

/// Whole states are judged as inserts: an update of a known state needs less, and the host decides that.
fn judge(version: Version, record: &Record) -> u32 {
    let limit = match version {
        Version::V6 => Profile::OpenBsd6.timeout_limit(),
        Version::V5 => Profile::FreeBsd1500.timeout_limit(),
    };
    let judged = match record {
        Record::State(state) => state.validate(limit),
        Record::Compressed(update) => update.validate(limit),
        _ => Ok(()),
    };
    judged.map_or_else(invalid_fault, |()| PFPLANE_FAULT_NONE)
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
                    out.fault = judge(reader.version(), &record);
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

/// Makes a reader.
///
/// Returns: PFPLANE_OK and the reader in `reader_out`; PFPLANE_ERROR_NULL.
/// Ownership: the caller's, until pfplane_frame_reader_free.
/// Thread: any; a reader is used by one at a time. Cost: the only allocation.
///
/// # Safety
/// `reader_out` is NULL or has room for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_frame_reader_new(reader_out: *mut *mut pfplane_frame_reader) -> i32 {
    guard(|| {
        if reader_out.is_null() {
            return Err(Failure::null("reader_out"));
        }
        let reader = Box::into_raw(Box::new(pfplane_frame_reader { reader: None, region: None }));
        // SAFETY: not NULL, checked above; the caller promises room for a pointer.
        unsafe { put(reader_out, "reader_out", reader) }?;
        Ok(PFPLANE_OK)
    })
}

/// Frees a reader. The bytes that it read stay the caller's.
///
/// Parameters: `reader`; `NULL` is fine.
/// Thread: any.
///
/// # Safety
/// `reader` is NULL or came from pfplane_frame_reader_new and was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_frame_reader_free(reader: *mut pfplane_frame_reader) {
    guard(|| {
        if !reader.is_null() {
            // SAFETY: the caller promises that the pointer came from pfplane_frame_reader_new, which made it from a box.
            drop(unsafe { Box::from_raw(reader) });
        }
        Ok(PFPLANE_OK)
    });
}

/// Begins to read a frame: what follows the IP header, as many bytes as the IP header says there are.
///
/// Parameters: `fault_out` gets PFPLANE_FAULT_NONE, or why the frame is to be dropped whole.
/// Returns: PFPLANE_OK, also for a frame with a fault; PFPLANE_ERROR_NULL.
/// Ownership: `payload` stays the caller's and must not change until the next begin or the reader's end.
/// Thread: the reader's.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_frame_reader_begin(
    reader: *mut pfplane_frame_reader,
    payload: *const u8,
    length: u32,
    fault_out: *mut u32,
) -> i32 {
    guard(|| {
        // SAFETY: the caller promises NULL or a reader that only this thread uses.
        let reader = unsafe { exclusive(reader, "reader") }?;
        // SAFETY: the caller promises `length` bytes that do not change while the reader reads them.
        let payload: &'static [u8] = unsafe { elements(payload, length, "payload") }?;
        let fault = reader.begin(payload);
        // SAFETY: the caller promises NULL or room for a number.
        unsafe { put(fault_out, "fault_out", fault) }?;
        Ok(PFPLANE_OK)
    })
}

/// As pfplane_frame_reader_begin, for a whole IPv4 or IPv6 packet: its header, TTL and checksum are looked at first.
///
/// Thread: the reader's.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_frame_reader_begin_packet(
    reader: *mut pfplane_frame_reader,
    ip_packet: *const u8,
    length: u32,
    fault_out: *mut u32,
) -> i32 {
    guard(|| {
        // SAFETY: the caller promises NULL or a reader that only this thread uses.
        let reader = unsafe { exclusive(reader, "reader") }?;
        // SAFETY: the caller promises `length` bytes that do not change while the reader reads them.
        let packet: &'static [u8] = unsafe { elements(ip_packet, length, "ip_packet") }?;
        let fault = reader.begin_packet(packet);
        // SAFETY: the caller promises NULL or room for a number.
        unsafe { put(fault_out, "fault_out", fault) }?;
        Ok(PFPLANE_OK)
    })
}

/// Gives the frame's next record, in the order of the wire. Of a region with a fault one record comes, with `action` 0
/// and that fault; regions before and, after PFPLANE_FAULT_SKIPPED, behind it are given all the same.
///
/// Parameters: `record_out->size` is set by the caller.
/// Returns: PFPLANE_OK; PFPLANE_END at the end of the frame; PFPLANE_ERROR_SIZE, PFPLANE_ERROR_NULL.
/// Thread: the reader's. Cost: writes the whole struct.
///
/// # Safety
/// All pointers are valid as said, or `NULL`; the frame's bytes did not change since begin.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_frame_reader_next(
    reader: *mut pfplane_frame_reader,
    record_out: *mut pfplane_frame_record,
) -> i32 {
    guard(|| {
        // SAFETY: the caller promises NULL or a reader that only this thread uses.
        let reader = unsafe { exclusive(reader, "reader") }?;
        // SAFETY: the caller promises NULL or a struct that only this call uses.
        let record_out = unsafe { exclusive(record_out, "record_out") }?;
        check_size::<pfplane_frame_record>(record_out.size, "record_out")?;
        Ok(if reader.next(record_out) { PFPLANE_OK } else { PFPLANE_END })
    })
}

/// The version byte of the frame that is being read.
///
/// Returns: 5 or 6; 0 when no frame is.
/// Thread: the reader's.
///
/// # Safety
/// `reader` is NULL or a valid reader.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_frame_reader_version(reader: *const pfplane_frame_reader) -> u32 {
    let mut version = 0;
    guard(|| {
        // SAFETY: the caller promises NULL or a valid reader.
        let reader = unsafe { reference(reader, "reader") }?;
        version = reader.reader.as_ref().map_or(0, |reader| reader.version() as u32);
        Ok(PFPLANE_OK)
    });
    version
}

/// What lies behind the own length of the frame that is being read: receivers ignore it. See pfplane_frame_options,
/// `trailer`.
///
/// Parameters: `trailer_out` gets its first byte, `length_out` how many there are, 0 for none.
/// Returns: PFPLANE_OK; PFPLANE_END when no frame is being read, and nothing is set; PFPLANE_ERROR_NULL.
/// Ownership: the bytes are a part of the frame, which is the caller's.
/// Thread: the reader's.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_frame_reader_trailer(
    reader: *const pfplane_frame_reader,
    trailer_out: *mut *const u8,
    length_out: *mut u32,
) -> i32 {
    guard(|| {
        // SAFETY: the caller promises NULL or a valid reader.
        let reader = unsafe { reference(reader, "reader") }?;
        let Some(frame) = &reader.reader else { return Ok(PFPLANE_END) };
        let trailer = frame.trailer();
        // SAFETY: the caller promises NULL or room for a pointer.
        unsafe { put(trailer_out, "trailer_out", trailer.as_ptr()) }?;
        // SAFETY: the caller promises NULL or room for a number.
        unsafe { put(length_out, "length_out", trailer.len() as u32) }?;
        Ok(PFPLANE_OK)
    })
}

/// The name of a fault, as pf's counters call it where pf counts it.
///
/// Returns: a text that lives as long as the program, never `NULL`.
/// Thread: any.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_frame_fault_name(fault: u32) -> *const c_char {
    NAMES.get(fault as usize).map_or(c"unknown", |name| name).as_ptr()
}
