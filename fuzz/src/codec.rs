//! The codec: reads any bytes to their end, and writes back what was read.

use pfsync::{
    Action, FrameReader, FrameWriter, FullState, Identity, Profile, Record, Region, StreamOption, Trailer,
    TrailerOption, WriterOptions, convert,
};

/// Reads a frame to its end, validates every record, and converts every state to every profile.
///
/// # Panics
/// If there are more regions or records than the bytes can hold, or if a second conversion changes a state.
pub fn read_all(payload: &[u8]) {
    let Ok(mut reader) = FrameReader::new(payload) else { return };
    assert!(reader.length() + reader.trailer_bytes().len() == payload.len());
    let (mut regions, mut records) = (0, 0);
    while let Some(region) = reader.next_region() {
        regions += 1;
        let Ok(region) = region else { continue };
        assert!(region.records().count() <= usize::from(region.count()));
        for record in region.records() {
            records += 1;
            check_record(&region, &record);
        }
    }
    assert!(regions <= payload.len() / 4 && records <= payload.len() / 12);
    if let Ok(Some(trailer)) = reader.trailer() {
        assert!(reader.length() + trailer.length() == payload.len());
        check_trailer(&trailer);
    }
}

/// Reads `data` as a trailer, alone and behind a frame, and writes what was read.
///
/// # Panics
/// If a trailer changes when it is written and read again, or changes how the frame before it is read.
pub fn trailer(data: &[u8]) {
    let Ok(Some(trailer)) = Trailer::parse(data) else { return };
    check_trailer(&trailer);
    for profile in Profile::ALL {
        let mut buffer = [0; 64];
        let mut writer =
            FrameWriter::new(&mut buffer, profile, &WriterOptions::default()).expect("the frame fits");
        writer.push_id(Action::InsertAck, Identity { id: 1, creator: 2 }).expect("the record fits");
        let length = writer.finish();
        let plain = &buffer[..length];
        assert_eq!(records_of(&[plain, data].concat()), records_of(plain));
    }
}

/// Writes a trailer and reads it again.
fn check_trailer(trailer: &Trailer<'_>) {
    if !trailer.encrypted_bytes().is_empty() {
        assert_eq!(trailer.options().count(), 0, "they are encrypted");
        return;
    }
    let mut options: Vec<_> = trailer.options().collect();
    if options.iter().any(Result::is_err) {
        options.pop();
        assert!(options.iter().all(Result::is_ok), "nothing follows the damage");
        return;
    }
    let mut buffer = vec![0; 20 + trailer.length()];
    let mut writer =
        FrameWriter::new(&mut buffer, Profile::OpenBsd6, &WriterOptions::default()).expect("the frame fits");
    writer.begin_trailer(trailer.fields().protection).expect("the trailer fits");
    for option in options.iter().rev().flatten() {
        writer.push_option(option).expect("the option fits");
        check_option(option);
    }
    let length = writer.finish_with(trailer.fields());
    let again = FrameReader::new(&buffer[..length]).expect("our own frame").trailer();
    let again = again.expect("our own trailer").expect("our own trailer");
    assert_eq!((again.fields(), again.length()), (trailer.fields(), trailer.length()));
    assert_eq!(again.options().collect::<Vec<_>>(), options);
}

/// Writes an option about a stream and reads it again.
fn check_option(option: &TrailerOption<'_>) {
    let Some(about) = StreamOption::parse(option) else { return };
    let mut value = [0; StreamOption::MAX_BYTES];
    let length = about.emit(&mut value);
    assert!(length <= option.value.len() && about.kind() == option.kind);
    let again = StreamOption::parse(&TrailerOption { kind: option.kind, value: &value[..length] });
    assert_eq!(again, Some(about));
}

fn check_record(region: &Region<'_>, record: &Record) {
    match record {
        Record::State(state) => {
            let from = region.profile().expect("a region of states has a profile");
            let _ = state.validate(from.timeout_limit());
            for to in Profile::ALL {
                let there = convert(state, from, to).state;
                assert_eq!(convert(&there, to, to).state, there, "{from} to {to}");
                check_round_trip(to, &there);
            }
        }
        Record::Compressed(update) => {
            let _ = update.validate(20);
        }
        _ => {}
    }
}

/// Writes a state and reads it back.
fn check_round_trip(profile: Profile, state: &FullState) {
    let mut buffer = [0; 512];
    let mut writer =
        FrameWriter::new(&mut buffer, profile, &WriterOptions::default()).expect("the record fits");
    writer.push_state(Action::Insert, state).expect("the record fits");
    let length = writer.finish();
    let mut reader = FrameReader::new(&buffer[..length]).expect("our own frame");
    let record = reader.next_region().expect("a region").expect("a valid region").records().next();
    assert_eq!(record, Some(Record::State(*state)), "{profile}");
}

/// Reads `data` as one region of `profile`, whose action its first byte selects, and writes the records twice.
///
/// # Panics
/// If the second frame has other bytes or other records than the first.
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

/// Returns a frame with one region of as many records as `records` has bytes for.
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
        let region = region.expect("a valid region");
        all.extend(region.records().map(|record| (region.action(), record)));
    }
    all
}

fn write(profile: Profile, frame: &[u8]) -> Vec<u8> {
    // Every clear starts a region.
    let mut buffer = vec![0; frame.len() * 2 + 8];
    let mut writer =
        FrameWriter::new(&mut buffer, profile, &WriterOptions::default()).expect("the record fits");
    for (action, record) in records_of(frame) {
        writer.push(action, &record).expect("the record fits");
    }
    let length = writer.finish();
    buffer.truncate(length);
    buffer
}
