//! The codec: what the real systems sent passes through it unchanged, and wrong arguments are refused.

use super::captures::{capture_names, packets};
use super::world::*;
use core::ffi::CStr;
use core::ptr::{null, null_mut};
use pfplane::internals::ffi::*;

struct Reader(*mut pfplane_frame_reader);

impl Reader {
    fn new() -> Self {
        let mut reader = null_mut();
        assert_eq!(pfplane_frame_reader_new(out(&mut reader)), PFPLANE_OK);
        Self(reader)
    }

    fn get(&mut self) -> Option<&mut pfplane_frame_reader> {
        unsafe { self.0.as_mut() }
    }

    fn begin(&mut self, packet: &[u8]) -> u32 {
        let mut fault = u32::MAX;
        let (bytes, length) = (packet.as_ptr(), packet.len() as u32);
        let status = unsafe { pfplane_frame_reader_begin_packet(self.get(), bytes, length, out(&mut fault)) };
        assert_eq!(status, PFPLANE_OK);
        fault
    }

    fn next(&mut self) -> Option<pfplane_frame_record> {
        let mut record = record(PFPLANE_ACTION_CLEAR);
        match pfplane_frame_reader_next(self.get(), Some(&mut record)) {
            PFPLANE_OK => Some(record),
            PFPLANE_END => None,
            other => panic!("{other}"),
        }
    }

    fn trailer(&mut self) -> Option<Vec<u8>> {
        let (mut trailer, mut length) = (null(), u32::MAX);
        let outs = (out(&mut trailer), out(&mut length));
        let status = pfplane_frame_reader_trailer(self.get().map(|reader| &*reader), outs.0, outs.1);
        let bytes = || unsafe { std::slice::from_raw_parts(trailer, length as usize) }.to_vec();
        (status == PFPLANE_OK).then(bytes)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        unsafe { pfplane_frame_reader_free(self.0) };
    }
}

struct Writer(*mut pfplane_frame_writer);

impl Writer {
    fn new(profile: u32) -> Self {
        Self::with_options(profile, None)
    }

    fn with_options(profile: u32, options: Option<&pfplane_frame_options>) -> Self {
        let mut writer = null_mut();
        assert_eq!(pfplane_frame_writer_new(profile, options, out(&mut writer)), PFPLANE_OK);
        Self(writer)
    }

    fn get(&mut self) -> Option<&mut pfplane_frame_writer> {
        unsafe { self.0.as_mut() }
    }

    fn begin(&mut self, buffer: &mut [u8]) -> i32 {
        unsafe { pfplane_frame_writer_begin(self.get(), buffer.as_mut_ptr(), buffer.len() as u32) }
    }

    fn push(&mut self, record: &pfplane_frame_record) -> i32 {
        pfplane_frame_writer_push(self.get(), Some(record))
    }

    fn finish(&mut self) -> usize {
        let mut length = u32::MAX;
        assert_eq!(pfplane_frame_writer_finish(self.get(), out(&mut length)), PFPLANE_OK);
        length as usize
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        unsafe { pfplane_frame_writer_free(self.0) };
    }
}

fn record(action: u32) -> pfplane_frame_record {
    let mut record = zeroed();
    let status = pfplane_frame_record_init(out(&mut record), size::<pfplane_frame_record>(), action);
    assert_eq!(status, PFPLANE_OK);
    record
}

fn text(text: *const core::ffi::c_char) -> &'static str {
    unsafe { CStr::from_ptr(text) }.to_str().unwrap()
}

#[test]
#[cfg_attr(miri, ignore = "reads captures")]
fn frames_of_the_real_systems_pass_through_unchanged() {
    for (system, profile) in [
        ("openbsd", PFPLANE_PROFILE_OPENBSD6),
        ("freebsd1301", PFPLANE_PROFILE_FREEBSD1301),
        ("freebsd1400", PFPLANE_PROFILE_FREEBSD1400),
    ] {
        let (mut reader, mut writer) = (Reader::new(), Writer::new(profile));
        let mut frames = 0;
        for name in capture_names(system) {
            for packet in packets(&format!("{system}/gen/{name}.pcap")) {
                let mut again = vec![0; packet.len() - 20];
                assert_eq!(reader.begin(&packet), PFPLANE_FAULT_NONE);
                assert_eq!(writer.begin(&mut again), PFPLANE_OK);
                while let Some(record) = reader.next() {
                    assert_eq!(record.fault, PFPLANE_FAULT_NONE);
                    assert_eq!(writer.push(&record), PFPLANE_OK);
                }
                let length = writer.finish();
                // The checksum of the sender's rules is unknown to the writer.
                again[4..20].copy_from_slice(&packet[24..40]);
                assert_eq!(again[..length], packet[20..], "{system} {name}");
                frames += 1;
            }
        }
        println!("{system}: {frames} frames");
        assert!(frames > 200);
    }
}

#[test]
#[cfg_attr(miri, ignore = "reads captures")]
fn a_state_of_openbsd_becomes_one_of_freebsd_and_the_lost_fields_are_reported() {
    let (mut reader, mut writer) = (Reader::new(), Writer::new(PFPLANE_PROFILE_FREEBSD1400));
    let mut lost = 0;
    for packet in packets("openbsd/gen/ins.pcap") {
        let mut frame = vec![0; 1480];
        reader.begin(&packet);
        writer.begin(&mut frame);
        let mut record = reader.next().unwrap();
        let (mut dropped, mut mapped) = (0, 0);
        let (from, to) = (PFPLANE_PROFILE_OPENBSD6, PFPLANE_PROFILE_FREEBSD1400);
        let outs = (out(&mut dropped), out(&mut mapped));
        let status = pfplane_frame_record_convert(Some(&mut record), from, to, outs.0, outs.1);
        assert_eq!(status, PFPLANE_OK);
        lost |= dropped;
        assert_eq!(writer.push(&record), PFPLANE_OK);
        let length = writer.finish();
        assert_eq!((frame[0], frame[20], length), (5, 13, 24 + 277 + 4));
    }
    let names: Vec<&str> =
        (0..32).filter(|bit| lost & 1 << bit != 0).map(|bit| text(pfplane_frame_field_name(bit))).collect();
    assert!(names.contains(&"rdomain") && names.contains(&"stack_af"), "{names:?}");
    assert!(pfplane_frame_field_name(31).is_null());
}

#[test]
#[cfg_attr(miri, ignore = "reads captures")]
fn faults_of_frames_regions_and_records_are_reported() {
    let mut reader = Reader::new();
    let packet = packets("openbsd/gen/upd_c.pcap").remove(0);
    let spoil = |at: usize, value: u8| {
        let mut packet = packet.clone();
        packet[at] = value;
        packet[10..12].fill(0);
        let words = packet[..20].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
        let sum: u32 = words.sum();
        let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet
    };
    for (at, value, fault) in [
        (9, 17, PFPLANE_FAULT_IP),
        (8, 64, PFPLANE_FAULT_TTL),
        (20, 4, PFPLANE_FAULT_VERSION),
        (23, 255, PFPLANE_FAULT_LENGTH),
    ] {
        assert_eq!(reader.begin(&spoil(at, value)), fault);
        assert!(reader.next().is_none(), "nothing is read of a frame with a fault");
    }
    for (at, value, fault) in [
        (41, 0, PFPLANE_FAULT_ACTION),
        (43, 9, PFPLANE_FAULT_LENGTH),
        (41, 20, PFPLANE_FAULT_SKIPPED),
        (44 + 80, 20, PFPLANE_FAULT_TIMEOUT),
        (44 + 8 + 24, 13, PFPLANE_FAULT_PEER_STATE),
    ] {
        let packet = spoil(at, value);
        assert_eq!(reader.begin(&packet), PFPLANE_FAULT_NONE);
        assert_eq!(reader.next().unwrap().fault, fault, "byte {at}");
    }
    assert_eq!(text(pfplane_frame_fault_name(PFPLANE_FAULT_TTL)), "badttl");
    assert_eq!(text(pfplane_frame_fault_name(99)), "unknown");
}

#[test]
fn wrong_arguments_are_refused_and_leave_the_writer_whole() {
    let mut writer = Writer::new(PFPLANE_PROFILE_FREEBSD1400);
    let delete = record(PFPLANE_ACTION_DELETE);
    let ack = record(PFPLANE_ACTION_INSERT_ACK);
    assert_eq!(writer.push(&ack), PFPLANE_ERROR_ARGUMENT, "no frame was begun");
    assert_eq!(writer.begin(&mut [0; 23]), PFPLANE_ERROR_BUFFER);
    let mut buffer = [0; 24 + 4 + 12];
    assert_eq!(writer.begin(&mut buffer), PFPLANE_OK);
    assert_eq!(writer.push(&delete), PFPLANE_ERROR_ARGUMENT, "FreeBSD 14 has no full delete");
    assert_eq!(writer.push(&pfplane_frame_record { action: 99, ..ack }), PFPLANE_ERROR_ARGUMENT);
    assert_eq!(writer.push(&pfplane_frame_record { size: 8, ..ack }), PFPLANE_ERROR_SIZE);
    assert_eq!(writer.push(&record(PFPLANE_ACTION_EOF)), PFPLANE_ERROR_ARGUMENT);
    assert_eq!(writer.push(&ack), PFPLANE_OK);
    assert_eq!(writer.push(&ack), PFPLANE_ERROR_BUFFER);
    assert_eq!(writer.finish(), 40);
    assert_eq!(writer.begin(&mut buffer), PFPLANE_OK);
    assert_eq!(writer.finish(), 0, "an empty frame is none");
    assert_eq!(pfplane_frame_writer_new(9, None, out(&mut null_mut())), PFPLANE_ERROR_ARGUMENT);
    assert_eq!(pfplane_frame_reader_new(None), PFPLANE_ERROR_NULL);
    assert_eq!(pfplane_frame_reader_next(None, None), PFPLANE_ERROR_NULL);
    assert_eq!(pfplane_frame_writer_push(writer.get(), None), PFPLANE_ERROR_NULL);
    assert_eq!(pfplane_frame_reader_version(None), 0);
    unsafe { pfplane_frame_reader_free(null_mut()) };
    unsafe { pfplane_frame_writer_free(null_mut()) };
}

#[test]
fn the_trailer_is_reserved_by_the_writer_and_returned_by_the_reader() {
    for (profile, end_mark) in [(PFPLANE_PROFILE_OPENBSD6, 0), (PFPLANE_PROFILE_FREEBSD1500, 4)] {
        for trailer in [0, 1, 40] {
            // FreeBSD counts bytes behind an end mark as a fault.
            let frame = 36 + if trailer == 0 { end_mark } else { 0 };
            let size = size::<pfplane_frame_options>();
            let options = pfplane_frame_options { size, trailer, ..zeroed() };
            let mut writer = Writer::with_options(profile, Some(&options));
            let mut bytes = vec![0xee; frame + trailer as usize];
            assert_eq!(writer.begin(&mut bytes), PFPLANE_OK);
            assert_eq!(writer.push(&record(PFPLANE_ACTION_INSERT_ACK)), PFPLANE_OK);
            assert_eq!(writer.push(&record(PFPLANE_ACTION_INSERT_ACK)), PFPLANE_ERROR_BUFFER);
            assert_eq!(writer.finish(), bytes.len());
            bytes[frame..].fill(7);

            let mut reader = Reader::new();
            assert_eq!(reader.trailer(), None, "no frame was begun");
            let (mut fault, start, length) = (u32::MAX, bytes.as_ptr(), bytes.len() as u32);
            let status = unsafe { pfplane_frame_reader_begin(reader.get(), start, length, out(&mut fault)) };
            assert_eq!((status, fault), (PFPLANE_OK, PFPLANE_FAULT_NONE));
            assert_eq!(reader.trailer(), Some(vec![7; trailer as usize]));
            let reader = reader.get().map(|reader| &*reader);
            assert_eq!(pfplane_frame_reader_trailer(reader, None, None), PFPLANE_ERROR_NULL);
        }
    }
}

#[test]
fn the_ip_header_is_written_for_both_families() {
    for (family, bytes) in [(4, 20), (6, 40)] {
        let address = pfplane_address { family, reserved: [0; 3], bytes: [9; 16] };
        let none = pfplane_address { family: 0, ..address };
        let mut buffer = [0; 64];
        let mut length = 0;
        let mut write = |to: &pfplane_address, capacity: u32| unsafe {
            let (from, to, buffer) = (Some(&address), Some(to), buffer.as_mut_ptr());
            pfplane_frame_envelope_write(from, to, 0x10, 1, 24, buffer, capacity, out(&mut length))
        };
        assert_eq!(write(&none, 64), PFPLANE_ERROR_ARGUMENT);
        assert_eq!(write(&address, bytes - 1), PFPLANE_ERROR_BUFFER);
        assert_eq!(write(&address, 64), PFPLANE_OK);
        assert_eq!(length, bytes);
        assert_eq!(Reader::new().begin(&buffer), PFPLANE_FAULT_VERSION, "24 zeros");
    }
}
