//! Frames of the systems with a trailer behind them: their records stay the same.

use crate::SYSTEMS;
use crate::captures::{capture_names, packets};
use pfsync::envelope::Envelope;
use pfsync::{
    Action, FrameReader, FrameWriter, Profile, Protection, Record, Region, RegionError, Trailer,
    TrailerFields, TrailerOption, WriterOptions,
};

fn read(payload: &[u8]) -> Vec<Result<(Action, Vec<Record>), RegionError>> {
    let mut reader = FrameReader::new(payload).unwrap();
    let records = |region: Region<'_>| (region.action(), region.records().collect());
    std::iter::from_fn(|| reader.next_region()).map(|region| region.map(records)).collect()
}

/// Writes the frame again, with a trailer of `bytes` bytes.
fn write(payload: &[u8], profile: Profile, protection: Protection, bytes: usize) -> Vec<u8> {
    let mut reader = FrameReader::new(payload).unwrap();
    let mut buffer = vec![0xee; payload.len() + bytes];
    let mut writer = FrameWriter::new(&mut buffer, profile, &WriterOptions::default()).unwrap();
    writer.begin_trailer(protection).unwrap();
    let value = vec![0xff; bytes - 36 - protection.tag_bytes()];
    writer.push_option(&TrailerOption { kind: 200, value: &value }).unwrap();
    while let Some(region) = reader.next_region() {
        let region = region.unwrap();
        region.records().for_each(|record| writer.push(region.action(), &record).unwrap());
    }
    let length = writer.finish_with(&TrailerFields { sequence: 1, ..TrailerFields::default() });
    buffer.truncate(length);
    buffer
}

#[test]
fn a_trailer_of_48_to_1000_bytes_changes_no_record_of_a_recorded_frame() {
    for (system, profile) in SYSTEMS {
        let mut frames = 0;
        for name in capture_names(system) {
            for packet in packets(&format!("{system}/gen/{name}.pcap")) {
                let payload = &packet[Envelope::parse(&packet).unwrap().payload];
                let mut expected = read(payload);
                let protection = [Protection::None, Protection::Gmac][frames % 2];
                let bytes = 52 + 4 * (frames % 237);
                // The recorded frame as it is, with an end mark in version 5.
                let ours = write(payload, profile, protection, bytes);
                let trailer = FrameReader::new(&ours).unwrap().trailer_bytes().to_vec();
                assert_eq!((trailer.len(), bytes <= 1000), (bytes, true));
                assert!(Trailer::parse(&trailer).unwrap().is_some());
                assert_eq!(read(&[payload, &trailer].concat()), expected, "{name}");
                // Our own frame, without one.
                expected.retain(|region| !matches!(region, Ok((Action::Eof, _))));
                assert_eq!(read(&ours), expected, "{name}");
                frames += 1;
            }
        }
        println!("{system}: {frames} frames read the same with a trailer");
        assert!(frames > 200, "{system}: {frames}");
    }
}
