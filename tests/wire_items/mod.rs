//! Frames that the items are about, and what is read of them.

mod encoding;
mod framing;
mod validation;

use pfsync::{
    Action, FrameReader, FrameWriter, FullState, Identity, Profile, Record, RegionError, WriterOptions,
};

/// One record in a frame of its own.
fn frame_of(profile: Profile, push: impl FnOnce(&mut FrameWriter<'_>)) -> Vec<u8> {
    let mut buffer = vec![0xee; 1480];
    let mut writer = FrameWriter::new(&mut buffer, profile, &WriterOptions::default()).unwrap();
    push(&mut writer);
    let length = writer.finish();
    buffer.truncate(length);
    buffer
}

fn state_bytes(profile: Profile, state: &FullState) -> Vec<u8> {
    let frame = frame_of(profile, |writer| writer.push_state(Action::Insert, state).unwrap());
    frame[24..24 + profile.state_bytes()].to_vec()
}

/// What is read of a frame: actions with their records.
fn read(frame: &[u8]) -> Vec<Result<(Action, Vec<Record>), RegionError>> {
    let mut reader = FrameReader::new(frame).unwrap();
    std::iter::from_fn(|| reader.next_region())
        .map(|region| region.map(|region| (region.action(), region.records().collect())))
        .collect()
}

fn state_again(profile: Profile, state: &FullState) -> FullState {
    let frame = frame_of(profile, |writer| writer.push_state(Action::Update, state).unwrap());
    match &read(&frame)[0] {
        Ok((Action::Update, records)) => match records[..] {
            [Record::State(state)] => state,
            _ => panic!("{records:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// A frame from raw regions.
fn raw(version: u8, regions: &[&[u8]]) -> Vec<u8> {
    let mut frame = vec![0; 20];
    regions.iter().for_each(|region| frame.extend(*region));
    let length = frame.len() as u16;
    frame[0] = version;
    frame[2..4].copy_from_slice(&length.to_be_bytes());
    frame
}

const DELETE_6: &[u8] = &[7, 3, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1];
const DELETE_5: &[u8] = &[7, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1];
const DELETE: Record = Record::Id(Identity { id: 9, creator: 1 });
