//! The malformed-input list of the protocol reference, section 9: each must be safe and have a name.

mod states;

use pfsync::envelope::{Envelope, EnvelopeError};
use pfsync::{
    Action, CompressedUpdate, Family, FrameError, FrameReader, FrameWriter, FullState, Identity, Invalid,
    Profile, Record, RegionError, WriterOptions, name_bytes,
};
use states::{sound_state, sound_update};

fn frame(version: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; 20];
    frame.extend(body);
    let length = u16::try_from(frame.len()).unwrap();
    frame[0] = version;
    frame[2..4].copy_from_slice(&length.to_be_bytes());
    frame
}

/// What came of one region: how many records, or the error.
type Outcome = Result<(Action, usize), RegionError>;

/// How a frame reads: records of each region, or the error.
fn outcome(frame: &[u8]) -> Result<Vec<Outcome>, FrameError> {
    let mut reader = FrameReader::new(frame)?;
    Ok(std::iter::from_fn(|| reader.next_region())
        .map(|region| region.map(|region| (region.action(), region.records().count())))
        .collect())
}

fn regions(version: u8, body: &[u8]) -> Vec<Outcome> {
    outcome(&frame(version, body)).unwrap()
}

fn subheader(action: u8, len: u8, count: u16) -> [u8; 4] {
    let [high, low] = count.to_be_bytes();
    [action, len, high, low]
}

#[test]
fn payloads_shorter_than_a_header() {
    for version in [5, 6] {
        for length in 0..20 {
            assert_eq!(outcome(&frame(version, &[])[..length]), Err(FrameError::Header), "{length}");
        }
        assert_eq!(outcome(&frame(version, &[])), Ok(vec![]));
    }
}

#[test]
fn lengths_that_lie() {
    for version in [5, 6] {
        for length in [0u16, 1, 19, 21, 23, 24, 65535] {
            let mut bytes = frame(version, &[]);
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
            assert_eq!(outcome(&bytes), Err(FrameError::Length), "{length}");
        }
    }
}

#[test]
fn truncated_subheaders_are_left_over() {
    for version in [5, 6] {
        for left in 1..4 {
            assert_eq!(regions(version, &vec![7; left]), []);
        }
    }
}

#[test]
fn every_action_with_counts_and_lengths_at_their_ends() {
    let bodies = [0, 3, 11, 12, 20, 264, 1400];
    for (version, action) in (0..=255).flat_map(|action| [(5, action), (6, action)]) {
        for (len, count) in
            [0, 1, 3, 66, 255].into_iter().flat_map(|len| [0, 1, 2, 65535].map(|count| (len, count)))
        {
            for body in bodies {
                let bytes = [&subheader(action, len, count)[..], &vec![0; body]].concat();
                // The zeros that follow may read as regions of their own: no more than the bytes can hold.
                let seen = regions(version, &bytes);
                assert!(seen.len() <= 2 + body / 4, "{version} {action} {len} {count} {body}");
                let records: usize = seen.iter().flatten().map(|(_, records)| records).sum();
                assert!(records * 12 <= body, "{version} {action} {len} {count} {body}: {records}");
            }
        }
    }
}

#[test]
fn the_longest_region_that_a_subheader_can_tell_is_no_overflow() {
    let body = [&subheader(7, 255, 65535)[..], &[0; 1000]].concat();
    assert_eq!(regions(6, &body), [Err(RegionError::Length)]);
    let body = [&subheader(77, 255, 65535)[..], &[0; 1000]].concat();
    assert_eq!(regions(6, &body), [Err(RegionError::Length)]);
    assert_eq!(regions(5, &[&subheader(16, 0, 65535)[..], &[0; 1000]].concat()), [Err(RegionError::Length)]);
}

#[test]
fn known_messages_one_word_short_and_one_word_long() {
    for (action, words) in
        [(0, 5), (2, 3), (4, 21), (5, 3), (6, 66), (7, 3), (10, 3), (13, 66), (14, 66), (15, 13u8)]
    {
        let body = |words: u8| [&subheader(action, words, 1)[..], &vec![0; usize::from(words) * 4]].concat();
        assert_eq!(regions(6, &body(words - 1)), [Err(RegionError::Skipped)], "{action}");
        assert!(matches!(regions(6, &body(words))[..], [Ok((_, 1))]), "{action}");
        assert!(matches!(regions(6, &body(words + 1))[..], [Ok((_, 1))]), "{action}");
    }
}

#[test]
fn regions_of_version_5_one_byte_too_long() {
    let sizes =
        [(0, 20), (1, 242), (2, 12), (3, 242), (4, 84), (5, 12), (6, 242), (7, 12), (10, 12), (11, 48)];
    for (action, size) in sizes.into_iter().chain([(13, 277), (14, 277), (15, 360), (16, 360)]) {
        let body = |size: usize| [&subheader(action, 0, 1)[..], &vec![0; size]].concat();
        assert!(matches!(regions(5, &body(size))[..], [Ok((_, 1))]), "{action}");
        assert_eq!(regions(5, &body(size - 1)), [Err(RegionError::Length)], "{action}");
    }
}

#[test]
fn end_marks_in_odd_places() {
    let mark = |count| subheader(12, 0, count);
    let end = Ok((Action::Eof, 0));
    let after = Err(RegionError::AfterEnd);
    let delete = [&subheader(7, 0, 1)[..], &[0; 12]].concat();
    assert_eq!(regions(5, &[&mark(1)[..], &delete].concat()), [end, after]);
    assert_eq!(regions(5, &[mark(1), mark(1)].concat()), [end, after]);
    assert_eq!(regions(5, &mark(0)), [end]);
    assert_eq!(regions(5, &mark(65535)), [end]);
    assert_eq!(regions(5, &[&mark(1)[..], &[1, 2, 3]].concat()), [end, after]);
    assert_eq!(regions(6, &[&mark(1)[..], &mark(0)].concat()), [Err(RegionError::Skipped); 2]);
}

#[test]
fn actions_that_nobody_has() {
    for action in 16..=255 {
        assert_eq!(regions(6, &subheader(action, 0, 1)), [Err(RegionError::Action)]);
        assert_eq!(regions(6, &subheader(action, 1, 1)), [Err(RegionError::Length)]);
    }
    for action in 17..=255 {
        assert_eq!(regions(5, &subheader(action, 0, 1)), [Err(RegionError::Action)]);
    }
}

#[test]
fn names_with_control_bytes_come_as_they_are_and_those_without_an_end_are_refused() {
    let control = FullState { ifname: *b"\x1b[2J\xff\x07\0\0\0\0\0\0\0\0\0\0", ..sound_state() };
    assert_eq!(control.validate(20), Ok(()));
    assert_eq!(name_bytes(&control.ifname), Some(&b"\x1b[2J\xff\x07"[..]));
    for spoil in [
        |state: &mut FullState| state.ifname = [1; 16],
        |state: &mut FullState| state.rt_ifname = [1; 16],
        |state: &mut FullState| state.orig_ifname = [1; 16],
        |state: &mut FullState| state.tagname = [1; 64],
    ] {
        let mut state = sound_state();
        spoil(&mut state);
        assert_eq!(state.validate(20), Err(Invalid::Name));
    }
}

/// Reads a sound state of version 6 with one byte changed.
fn spoiled_6(at: usize, value: u8) -> FullState {
    let mut buffer = [0; 1480];
    let mut writer = FrameWriter::new(&mut buffer, Profile::OpenBsd6, &WriterOptions::default()).unwrap();
    writer.push_state(Action::Insert, &sound_state()).unwrap();
    let length = writer.finish();
    buffer[24 + at] = value;
    let mut reader = FrameReader::new(&buffer[..length]).unwrap();
    let record = reader.next_region().unwrap().unwrap().records().next();
    let Some(Record::State(state)) = record else { panic!("{record:?}") };
    state
}

#[test]
fn families_that_differ_or_are_none() {
    assert_eq!(spoiled_6(62, 2).validate(20), Ok(()), "the keys' families may differ");
    for (at, value) in [(62, 0), (62, 10), (102, 10), (102, 0), (250, 0), (250, 10), (250, 255)] {
        assert_eq!(spoiled_6(at, value).validate(20), Err(Invalid::Family), "{at} {value}");
    }
    assert_eq!(spoiled_6(62, 28).key[0].family, Family::V6, "FreeBSD's number is tolerated");
    for proto in [0, 240] {
        assert_eq!(spoiled_6(251, proto).validate(20), Ok(()), "the protocol is for the table to judge");
    }
}

#[test]
fn classes_states_and_directions_out_of_range() {
    for timeout in [20, 21, 22, 25, 26, 27, 255] {
        assert_eq!(spoiled_6(255, timeout).validate(20), Err(Invalid::Timeout));
        assert_eq!(spoiled_6(255, timeout).validate(25).is_ok(), timeout < 25);
        let update = CompressedUpdate { timeout, ..sound_update() };
        assert_eq!(update.validate(20), Err(Invalid::Timeout));
    }
    for state in [13, 128, 255] {
        assert_eq!(spoiled_6(104 + 24, state).validate(20), Err(Invalid::PeerState));
        assert_eq!(spoiled_6(136 + 24, state).validate(20), Err(Invalid::PeerState));
    }
    for direction in [0, 3, 255] {
        assert_eq!(spoiled_6(252, direction).validate(20), Err(Invalid::Direction));
    }
    assert_eq!(spoiled_6(104 + 25, 0x8f).validate(20), Ok(()), "a shift of 15 is for the tracking to clamp");
    let strange = spoiled_6(104 + 3, 2);
    assert_eq!((strange.validate(20), strange.src.scrub), (Ok(()), Default::default()));
    for at in [196, 200] {
        let state = (0..4).map(|byte| spoiled_6(at + byte, 0xff)).next_back().unwrap();
        assert_eq!(state.validate(20), Ok(()));
    }
}

#[test]
fn half_an_identity_is_read_as_it_is() {
    for (id, creator) in [(0, 7), (7, 0), (0, 0)] {
        let mut buffer = [0; 200];
        let mut writer =
            FrameWriter::new(&mut buffer, Profile::FreeBsd1400, &WriterOptions::default()).unwrap();
        let identity = Identity { id, creator };
        for action in [Action::UpdateRequest, Action::DeleteCompressed, Action::InsertAck] {
            writer.push_id(action, identity).unwrap();
        }
        let length = writer.finish();
        let mut reader = FrameReader::new(&buffer[..length]).unwrap();
        while let Some(Ok(region)) = reader.next_region() {
            assert!(region.records().all(|record| record == Record::Id(identity)));
        }
    }
}

#[test]
fn one_identity_twice_and_an_insert_after_its_delete_keep_their_order() {
    let mut buffer = [0; 1480];
    let mut writer = FrameWriter::new(&mut buffer, Profile::OpenBsd6, &WriterOptions::default()).unwrap();
    let state = sound_state();
    writer.push_state(Action::Insert, &state).unwrap();
    writer.push_state(Action::Insert, &state).unwrap();
    writer.push_id(Action::DeleteCompressed, state.id).unwrap();
    writer.push_state(Action::Insert, &state).unwrap();
    let length = writer.finish();
    let expected = [(Action::Insert, 2), (Action::DeleteCompressed, 1), (Action::Insert, 1)].map(Ok);
    assert_eq!(outcome(&buffer[..length]).unwrap(), expected);
}

#[test]
fn bulk_marks_of_any_status_and_count() {
    for version in [5, 6] {
        for (count, status) in [(0, 1), (1, 0), (1, 3), (1, 255), (2, 1)] {
            let mut body = subheader(10, 3, count).to_vec();
            for _ in 0..count {
                body.extend([0, 0, 0, 1, 0, 0, 0, 0, status, 0, 0, 0]);
            }
            let bytes = frame(version, &body);
            let region = FrameReader::new(&bytes).unwrap().next_region().unwrap().unwrap();
            assert_eq!(region.records().count(), usize::from(count));
            for record in region.records() {
                assert!(matches!(record, Record::BulkStatus(bulk) if bulk.status == status));
            }
        }
    }
}

#[test]
fn ip_packets_with_options_extension_headers_and_fragments() {
    let mut packet = vec![0x60, 0, 0, 0, 0, 8, 0, 255];
    packet.extend([1; 32]);
    packet.extend([240, 0, 1, 4, 0, 0, 0, 0]);
    assert_eq!(Envelope::parse(&packet), Err(EnvelopeError::Protocol), "hop-by-hop options before 240");
    packet[6] = 44;
    assert_eq!(Envelope::parse(&packet), Err(EnvelopeError::Protocol), "a fragment header before 240");
    packet[6] = 240;
    assert_eq!(Envelope::parse(&packet).unwrap().payload, 40..48);
}
