//! The recorded frames with bytes behind them: what they do stays the same.

use super::receive::play_with;
use crate::captures::json;
use pfsync::envelope::Envelope;
use pfsync::{FrameReader, FrameWriter, Profile, Protection, TrailerFields, TrailerOption, WriterOptions};

/// Puts bytes behind a frame that ends with its packet, after removing its end mark if our own sender would have none.
fn with_bytes_behind(packet: &[u8], behind: &[u8], keep_end_mark: bool) -> Vec<u8> {
    const END_MARK: [u8; 4] = [12, 0, 0, 1];
    let Ok(envelope) = Envelope::parse(packet) else { return packet.to_vec() };
    let mut changed = packet[..envelope.payload.end].to_vec();
    match FrameReader::new(&packet[envelope.payload.clone()]) {
        Ok(reader) if reader.trailer_bytes().is_empty() => {}
        _ => return packet.to_vec(),
    }
    let payload = envelope.payload.start;
    if !keep_end_mark && changed[payload] == 5 && changed[payload + 20..].ends_with(&END_MARK) {
        changed.truncate(changed.len() - 4);
        let length = (changed.len() - payload) as u16;
        changed[payload + 2..payload + 4].copy_from_slice(&length.to_be_bytes());
    }
    changed.extend(behind);
    let total = changed.len() as u16;
    changed[2..4].copy_from_slice(&total.to_be_bytes());
    changed[10..12].fill(0);
    let words = changed[..payload].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    changed[10..12].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
    changed
}

/// A trailer of `length` bytes with a tag and one unknown option. It has no number, because the same one is behind every frame of a
/// case, and a number that comes twice is refused.
fn trailer(length: usize) -> Vec<u8> {
    let mut buffer = vec![0; 20 + length];
    let mut writer = FrameWriter::new(&mut buffer, Profile::OpenBsd6, &WriterOptions::default()).unwrap();
    writer.begin_trailer(Protection::Gmac).unwrap();
    if length > 48 {
        writer.push_option(&TrailerOption { kind: 200, value: &vec![0xff; length - 52] }).unwrap();
    }
    assert_eq!(writer.finish_with(&TrailerFields::default()), buffer.len());
    buffer.split_off(20)
}

#[test]
fn a_trailer_of_48_to_1000_bytes_changes_no_outcome_in_any_dialect() {
    let behind = [trailer(48), trailer(100), trailer(1000), vec![0xd5; 48], vec![0; 999]];
    for (system, profile) in [
        ("openbsd", Profile::OpenBsd6),
        ("freebsd1400", Profile::FreeBsd1400),
        ("freebsd1301", Profile::FreeBsd1301),
    ] {
        let file = json(&format!("{system}/scenarios/receive.json"));
        for (case, behind) in file["cases"].as_array().unwrap().iter().zip(behind.iter().cycle()) {
            for (is_pfplane, keep_end_mark) in [(false, true), (true, false)] {
                let changed = |packet: &Vec<u8>| with_bytes_behind(packet, behind, keep_end_mark);
                // The setting alone changes which idle time a whole state shows.
                let plain = play_with(case, profile, is_pfplane, Vec::clone).ours;
                let ours = play_with(case, profile, is_pfplane, changed).ours;
                let (differences, bytes) = (ours.differences(&plain), behind.len());
                assert!(differences.is_empty(), "{system} {} {bytes}: {differences:?}", case["name"]);
            }
        }
    }
}
