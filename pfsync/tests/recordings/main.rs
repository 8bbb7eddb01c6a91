//! Frames of real systems, from `tests/vectors` of the repository; its README says where they come from.

#[path = "../../../tests/captures/mod.rs"]
mod captures;
mod received;
mod sent;
mod trailers;

use pfsync::{FrameReader, FrameWriter, Profile, Record, Region, WriterOptions};

/// The systems of the recordings.
const SYSTEMS: [(&str, Profile); 3] = [
    ("openbsd", Profile::OpenBsd6),
    ("freebsd1301", Profile::FreeBsd1301),
    ("freebsd1400", Profile::FreeBsd1400),
];

/// Reads a frame, passes every region with its records to `each`, and checks that the frame is written back unchanged.
fn write_back(payload: &[u8], profile: Profile, name: &str, mut each: impl FnMut(&Region<'_>, &[Record])) {
    let mut reader = FrameReader::new(payload).unwrap_or_else(|error| panic!("{error} in {name}"));
    let mut again = vec![0xee; payload.len()];
    let options = WriterOptions {
        checksum: reader.checksum(),
        trailer: reader.trailer_bytes().len(),
        ..WriterOptions::default()
    };
    let mut writer = FrameWriter::new(&mut again, profile, &options).unwrap();
    while let Some(region) = reader.next_region() {
        let region = region.unwrap_or_else(|error| panic!("{error} in {name}"));
        let records: Vec<Record> = region.records().collect();
        records.iter().for_each(|record| writer.push(region.action(), record).unwrap());
        each(&region, &records);
    }
    let length = writer.finish();
    assert_eq!(&again[..length], payload, "{name}");
}
