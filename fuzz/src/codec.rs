//! The codec: reading anything to its end, and writing back what was read.

use pfsync::{
    Action, FrameReader, FrameWriter, FullState, Profile, Record, Region, WriterOptions, convert,
};

/// Reads a frame to its end, judges every record and carries every state to every dialect.
///
/// # Panics
/// When there are more regions or records than the bytes can hold, or a conversion is not stable.
pub fn read_all(payload: &[u8]) {
    let Ok(mut reader) = FrameReader::new(payload) else { return };
    assert!(reader.length() + reader.trailer().len() == payload.len());
    let (mut regions, mut records) = (0, 0);
    while let Some(region) = reader.next_region() {
        regions += 1;
        let Ok(region) = region else { continue };
        assert!(region.records().count() <= usize::from(region.count()));
        for record in region.records() {
            records += 1;
            judge(&region, &record);
        }
    }
    assert!(regions <= payload.len() / 4 && records <= payload.len() / 12);
}

fn judge(region: &Region<'_>, record: &Record) {
    match record {
        Record::State(state) => {
            let from = region.profile().expect("a region of states has a dialect");
            let _ = state.validate(from.timeout_limit());
            for to in Profile::ALL {
                let there = convert(state, from, to).state;
                assert_eq!(convert(&there, to, to).state, there, "{from:?} to {to:?}");
                again(to, &there);
            }
        }
        Record::Compressed(update) => {
            let _ = update.validate(20);
        }
        _ => {}
    }
}

/// Writes a state and reads it.
fn again(profile: Profile, state: &FullState) {
    let mut buffer = [0; 512];
    let mut writer = FrameWriter::new(&mut buffer, profile, &WriterOptions::default()).expect("room");
    writer.push_state(Action::Insert, state).expect("room");
    let length = writer.finish();
    let mut reader = FrameReader::new(&buffer[..length]).expect("our own frame");
    let record = reader.next_region().expect("a region").expect("a sound region").records().next();
    assert_eq!(record, Some(Record::State(*state)), "{profile:?}");
}

/// Takes `data` as the records of one region of `profile`, chosen by its first byte; what is read is written, and
/// what is written is read as the same and writes to the same bytes.
///
/// # Panics
/// When it is not.
pub fn round_trip(profile: Profile, data: &[u8]) {
    let Some((choice, records)) = data.split_first() else { return };
    let action = Action::ALL[usize::from(*choice) % Action::ALL.len()];
    let Some(frame) = frame_of(profile, action, records) else { return };
    let first = write(profile, &frame);
    let second = write(profile, &first);
    assert_eq!(first, second);
    assert_eq!(records_of(&first), records_of(&second));
    read_all(&frame);
}

/// A frame with one region of as many whole records as there are bytes for.
fn frame_of(profile: Profile, action: Action, records: &[u8]) -> Option<Vec<u8>> {
    let (number, size) = match (action, profile) {
        (Action::Clear, _) => (0, 20),
        (Action::InsertAck, _) => (2, 12),
        (Action::UpdateCompressed, _) => (4, 84),
        (Action::UpdateRequest, _) => (5, 12),
        (Action::DeleteCompressed, _) => (7, 12),
        (Action::BulkStatus, _) => (10, 12),
        (Action::Insert, Profile::OpenBsd6 | Profile::FreeBsd1400) => (13, profile.state_bytes()),
        (Action::Update, Profile::OpenBsd6 | Profile::FreeBsd1400) => (14, profile.state_bytes()),
        (Action::Insert, Profile::FreeBsd1301) => (1, 242),
        (Action::Update, Profile::FreeBsd1301) => (3, 242),
        (Action::Insert, Profile::FreeBsd1500) => (15, 360),
        (Action::Update, Profile::FreeBsd1500) => (16, 360),
        (Action::Tdb, Profile::OpenBsd6) => (15, 52),
        (Action::Tdb, _) => (11, 48),
        _ => return None,
    };
    let count = (records.len() / size).min(60_000 / size);
    let version = profile.version() as u8;
    let words = if version == 6 { (size / 4) as u8 } else { 0 };
    let mut frame = vec![version, 0];
    frame.extend(((24 + count * size) as u16).to_be_bytes());
    frame.extend([0; 16]);
    frame.extend([number, words]);
    frame.extend((count as u16).to_be_bytes());
    frame.extend(&records[..count * size]);
    Some(frame)
}

fn records_of(frame: &[u8]) -> Vec<(Action, Record)> {
    let mut reader = FrameReader::new(frame).expect("our own frame");
    let mut all = Vec::new();
    while let Some(region) = reader.next_region() {
        let region = region.expect("a sound region");
        all.extend(region.records().map(|record| (region.action(), record)));
    }
    all
}

fn write(profile: Profile, frame: &[u8]) -> Vec<u8> {
    // Clears begin a region each.
    let mut buffer = vec![0; frame.len() * 2 + 8];
    let mut writer = FrameWriter::new(&mut buffer, profile, &WriterOptions::default()).expect("room");
    for (action, record) in records_of(frame) {
        match record {
            Record::State(state) => writer.push_state(action, &state),
            Record::Compressed(update) => writer.push_compressed_update(&update),
            Record::Id(id) => writer.push_id(action, id),
            Record::Clear(clear) => writer.push_clear(&clear),
            Record::BulkStatus(status) => writer.push_bulk_status(&status),
            Record::Tdb(tdb) => writer.push_tdb(&tdb),
        }
        .expect("room");
    }
    let length = writer.finish();
    buffer.truncate(length);
    buffer
}
