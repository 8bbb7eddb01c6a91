//! Builds frames, and reads them into plain values.
#![allow(dead_code, reason = "each test crate uses its part")]

pub(crate) mod states;

use pfsync::{Action, FrameReader, FrameWriter, FullState, Profile, Record, RegionError, WriterOptions};

/// Returns the frame that `push` writes into 1480 bytes.
pub(crate) fn frame_of(profile: Profile, push: impl FnOnce(&mut FrameWriter<'_>)) -> Vec<u8> {
    frame_with(profile, &WriterOptions::default(), push)
}

/// Returns the frame that `push` writes into 1480 bytes, with these options.
pub(crate) fn frame_with(
    profile: Profile,
    options: &WriterOptions,
    push: impl FnOnce(&mut FrameWriter<'_>),
) -> Vec<u8> {
    let mut buffer = vec![0xee; 1480];
    let mut writer = FrameWriter::new(&mut buffer, profile, options).unwrap();
    push(&mut writer);
    let length = writer.finish();
    buffer.truncate(length);
    buffer
}

/// Returns a frame of raw regions.
pub(crate) fn raw_frame(version: u8, regions: &[&[u8]]) -> Vec<u8> {
    let mut frame = vec![0; 20];
    regions.iter().for_each(|region| frame.extend(*region));
    let length = u16::try_from(frame.len()).unwrap();
    frame[0] = version;
    frame[2..4].copy_from_slice(&length.to_be_bytes());
    frame
}

/// An action with its records, or why they are not read.
pub(crate) type RegionRecords = Result<(Action, Vec<Record>), RegionError>;

/// Reads every region of a frame.
pub(crate) fn read(frame: &[u8]) -> Vec<RegionRecords> {
    let mut reader = FrameReader::new(frame).unwrap();
    std::iter::from_fn(|| reader.next_region())
        .map(|region| region.map(|region| (region.action(), region.records().collect())))
        .collect()
}

/// Reads the records of a frame without errors.
pub(crate) fn read_records(frame: &[u8]) -> Vec<(Action, Record)> {
    let regions = read(frame).into_iter().map(Result::unwrap);
    regions.flat_map(|(action, records)| records.into_iter().map(move |record| (action, record))).collect()
}

/// Returns the bytes of a state in a profile's layout.
pub(crate) fn state_bytes(profile: Profile, state: &FullState) -> Vec<u8> {
    let frame = frame_of(profile, |writer| writer.push_state(Action::Insert, state).unwrap());
    frame[24..24 + profile.state_bytes()].to_vec()
}

/// Writes a state and reads it back.
pub(crate) fn round_trip(profile: Profile, state: &FullState) -> FullState {
    let frame = frame_of(profile, |writer| writer.push_state(Action::Update, state).unwrap());
    match read_records(&frame)[0] {
        (Action::Update, Record::State(state)) => state,
        other => panic!("{other:?}"),
    }
}
