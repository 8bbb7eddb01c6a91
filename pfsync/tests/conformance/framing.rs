//! Transport and framing.

use crate::support::states::{valid_state, valid_update};
use crate::support::{frame_of, raw_frame, read, round_trip, state_bytes};
use pfsync::envelope::{Address, Envelope, GROUP_V4, GROUP_V6, TOS_LOW_DELAY, TTL, Transport};
use pfsync::{
    Action, BulkStatus, Clear, Family, FrameError, FrameReader, FrameWriter, Identity, Profile, Record,
    RegionError, WriterOptions,
};

const DELETE_6: &[u8] = &[7, 3, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1];
const DELETE: Record = Record::Id(Identity { id: 9, creator: 1 });

#[test]
fn the_ip_header_is_that_of_the_systems() {
    let source = Address::V4([192, 0, 2, 1]);
    for destination in [GROUP_V4, Address::V4([192, 0, 2, 2])] {
        let mut packet = [0; 24];
        let transport = Transport { source, destination, tos: TOS_LOW_DELAY };
        assert_eq!(transport.emit(&mut packet, 4, 0xabcd), Ok(20));
        assert_eq!(packet[..2], [0x45, 0x10]);
        assert_eq!(packet[6..10], [0x40, 0, 255, 240], "don't fragment, TTL, protocol");
        assert_eq!(Envelope::parse(&packet).unwrap().destination, destination);
    }
    let transport = Transport { source: Address::V6([1; 16]), destination: GROUP_V6, tos: 0 };
    let mut packet = [0; 44];
    assert_eq!(transport.emit(&mut packet, 4, 0), Ok(40));
    assert_eq!(packet[..8], [0x60, 0, 0, 0, 0, 4, 240, 255]);
}

#[test]
fn the_receiver_gets_the_ttl_to_check() {
    let transport = Transport { source: Address::V6([1; 16]), destination: GROUP_V6, tos: 0 };
    let mut packet = [0; 40];
    transport.emit(&mut packet, 0, 0).unwrap();
    assert_eq!(Envelope::parse(&packet).unwrap().ttl, TTL);
    packet[7] = 254;
    assert_eq!(Envelope::parse(&packet).unwrap().ttl, 254);
}

#[test]
fn a_subheader_of_version_6_has_the_record_length_in_words() {
    let words = |push: &dyn Fn(&mut FrameWriter<'_>)| frame_of(Profile::OpenBsd6, push)[21];
    let id = Identity { id: 1, creator: 2 };
    assert_eq!(words(&|writer| writer.push_clear(&Clear::default()).unwrap()), 5);
    assert_eq!(words(&|writer| writer.push_id(Action::InsertAck, id).unwrap()), 3);
    assert_eq!(words(&|writer| writer.push_compressed_update(&valid_update()).unwrap()), 21);
    assert_eq!(words(&|writer| writer.push_id(Action::UpdateRequest, id).unwrap()), 3);
    assert_eq!(words(&|writer| writer.push_id(Action::DeleteCompressed, id).unwrap()), 3);
    assert_eq!(words(&|writer| writer.push_bulk_status(&BulkStatus::default()).unwrap()), 3);
    for action in [Action::Insert, Action::Update, Action::Delete] {
        assert_eq!(words(&|writer| writer.push_state(action, &valid_state()).unwrap()), 66);
    }
    assert_eq!(words(&|writer| writer.push_tdb(&Default::default()).unwrap()), 13);
}

#[test]
fn the_length_of_a_version_5_frame_includes_its_end_mark() {
    for profile in [Profile::FreeBsd1301, Profile::FreeBsd1400, Profile::FreeBsd1500] {
        let frame = frame_of(profile, |writer| {
            writer.push_compressed_update(&valid_update()).unwrap();
            writer.push_id(Action::DeleteCompressed, Identity { id: 9, creator: 1 }).unwrap();
        });
        assert_eq!(frame[..2], [5, 0]);
        assert_eq!(frame[2..4], (frame.len() as u16).to_be_bytes());
        assert_eq!(frame[20..24], [4, 0, 0, 1]);
        assert_eq!(frame[108..112], [7, 0, 0, 1]);
        assert_eq!(frame[frame.len() - 4..], [12, 0, 0, 1]);
    }
}

#[test]
fn a_frame_is_never_longer_than_its_buffer() {
    for profile in Profile::ALL {
        for space in 24..1480 {
            let mut buffer = vec![0xee; space + 4];
            let mut writer =
                FrameWriter::new(&mut buffer[..space], profile, &WriterOptions::default()).unwrap();
            while writer.push_state(Action::Insert, &valid_state()).is_ok() {}
            while writer.push_compressed_update(&valid_update()).is_ok() {}
            while writer.push_id(Action::InsertAck, Identity::BULK).is_ok() {}
            let length = writer.finish();
            assert!(length <= space && space - length < 16, "{profile}: {length} of {space}");
            assert_eq!(buffer[space..], [0xee; 4]);
        }
    }
}

#[test]
fn a_frame_holds_as_many_records_as_those_of_the_systems() {
    // MTU 1500; FreeBSD 14 and later reserve 40 bytes for the IP header in both families.
    let cases = [(Profile::OpenBsd6, 20, 5, 17, 121), (Profile::FreeBsd1301, 40, 5, 17, 119)];
    let cases = cases.into_iter().chain([
        (Profile::FreeBsd1301, 20, 6, 17, 121),
        (Profile::FreeBsd1400, 40, 5, 17, 119),
        (Profile::FreeBsd1500, 40, 3, 17, 119),
    ]);
    for (profile, ip, states, updates, ids) in cases {
        let fill = |push: &dyn Fn(&mut FrameWriter<'_>) -> bool| {
            let mut buffer = vec![0; 1500 - ip];
            let mut writer = FrameWriter::new(&mut buffer, profile, &WriterOptions::default()).unwrap();
            let mut count = 0;
            while push(&mut writer) {
                count += 1;
            }
            count
        };
        assert_eq!(fill(&|writer| writer.push_state(Action::Update, &valid_state()).is_ok()), states);
        assert_eq!(fill(&|writer| writer.push_compressed_update(&valid_update()).is_ok()), updates);
        assert_eq!(fill(&|writer| writer.push_id(Action::InsertAck, Identity::BULK).is_ok()), ids);
    }
}

#[test]
fn a_length_below_the_payload_is_accepted_and_one_above_is_not() {
    let mut frame = raw_frame(6, &[DELETE_6, DELETE_6]);
    for (length, expected) in [
        (52u16, Ok(2)),
        (51, Ok(1)),
        (36, Ok(1)),
        (20, Ok(0)),
        (53, Err(FrameError::Length)),
        (19, Err(FrameError::Length)),
        (0, Err(FrameError::Length)),
        (65535, Err(FrameError::Length)),
    ] {
        frame[2..4].copy_from_slice(&length.to_be_bytes());
        let regions = FrameReader::new(&frame)
            .map(|mut reader| std::iter::from_fn(|| reader.next_region()).filter(Result::is_ok).count());
        assert_eq!(regions, expected, "{length}");
    }
}

#[test]
fn regions_after_states_of_odd_length_are_read() {
    for profile in [Profile::FreeBsd1301, Profile::FreeBsd1400] {
        let frame = frame_of(profile, |writer| {
            writer.push_state(Action::Insert, &valid_state()).unwrap();
            writer.push_compressed_update(&valid_update()).unwrap();
            writer.push_state(Action::Update, &valid_state()).unwrap();
            writer.push_id(Action::DeleteCompressed, Identity { id: 9, creator: 1 }).unwrap();
        });
        let seen = read(&frame);
        assert_eq!(seen[1], Ok((Action::UpdateCompressed, vec![Record::Compressed(valid_update())])));
        assert_eq!(seen[3], Ok((Action::DeleteCompressed, vec![DELETE])));
        assert_eq!(seen[0].clone().unwrap().1, seen[2].clone().unwrap().1);
    }
}

#[test]
fn number_13_is_another_message_in_each_version() {
    let state = |words: u8, bytes: usize| [vec![13, words, 0, 1], vec![0; bytes]].concat();
    let of = |frame: Vec<u8>| {
        let mut reader = FrameReader::new(&frame).unwrap();
        reader.next_region().unwrap().map(|region| (region.profile().unwrap(), region.stride()))
    };
    assert_eq!(of(raw_frame(6, &[&state(66, 264)])), Ok((Profile::OpenBsd6, 264)));
    assert_eq!(of(raw_frame(5, &[&state(0, 277)])), Ok((Profile::FreeBsd1400, 277)));
    assert_eq!(of(raw_frame(5, &[&state(66, 264)])), Err(RegionError::Length));
    assert_eq!(of(raw_frame(6, &[&state(0, 277)])), Err(RegionError::Action));
}

#[test]
fn the_known_part_of_a_longer_version_6_record_is_read() {
    let mut longer = vec![7, 4, 0, 2];
    for _ in 0..2 {
        longer.extend(&DELETE_6[4..]);
        longer.extend([0xff; 4]);
    }
    let seen = read(&raw_frame(6, &[&longer, DELETE_6]));
    assert_eq!(seen[0], Ok((Action::DeleteCompressed, vec![DELETE, DELETE])));
    assert_eq!(seen[1], Ok((Action::DeleteCompressed, vec![DELETE])));
}

#[test]
fn an_unknown_version_6_message_with_a_length_is_skipped() {
    let seen = read(&raw_frame(6, &[&[200, 1, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8], DELETE_6]));
    assert_eq!(seen, [Err(RegionError::Skipped), Ok((Action::DeleteCompressed, vec![DELETE]))]);
    for without_length in [[200, 0, 0, 2], [200, 1, 0, 0]] {
        assert_eq!(read(&raw_frame(6, &[&without_length, DELETE_6])), [Err(RegionError::Action)]);
    }
}

#[test]
fn families_have_the_numbers_of_the_profile() {
    for (family, six, five) in [(Family::V4, 2, 2), (Family::V6, 24, 28)] {
        let mut state = valid_state();
        state.key.iter_mut().for_each(|key| key.family = family);
        state.family = family;
        let bytes = state_bytes(Profile::OpenBsd6, &state);
        assert_eq!([bytes[62], bytes[102], bytes[250]], [six; 3]);
        assert_eq!(state_bytes(Profile::FreeBsd1301, &state)[232], five);
        assert_eq!(state_bytes(Profile::FreeBsd1400, &state)[232], five);
        assert_eq!(state_bytes(Profile::FreeBsd1500, &state)[344..346], [five; 2]);
        for profile in Profile::ALL {
            assert_eq!(round_trip(profile, &state).family, family);
        }
    }
}
