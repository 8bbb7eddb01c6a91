//! Items 1 to 14: transport and framing.

use super::{DELETE, DELETE_5, DELETE_6, frame_of, raw, read, state_again, state_bytes};
use crate::states::{sound_state, sound_update};
use pfsync::envelope::{Address, Envelope, GROUP_V4, GROUP_V6, TOS_LOW_DELAY, TTL, Transport};
use pfsync::{
    Action, BulkStatus, Clear, Family, FrameError, FrameReader, FrameWriter, Identity, Profile, Record,
    RegionError, WriterOptions,
};

#[test]
fn item_01_the_ip_header_is_what_the_systems_send() {
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
fn item_02_the_ttl_is_told_so_that_it_can_be_refused() {
    let transport = Transport { source: Address::V6([1; 16]), destination: GROUP_V6, tos: 0 };
    let mut packet = [0; 40];
    transport.emit(&mut packet, 0, 0).unwrap();
    assert_eq!(Envelope::parse(&packet).unwrap().ttl, TTL);
    packet[7] = 254;
    assert_eq!(Envelope::parse(&packet).unwrap().ttl, 254);
}

#[test]
fn item_03_the_header_of_version_6() {
    let frame = frame_of(Profile::OpenBsd6, |writer| {
        writer.push_id(Action::DeleteCompressed, Identity { id: 9, creator: 1 }).unwrap();
    });
    assert_eq!(frame, raw(6, &[DELETE_6]));
}

#[test]
fn item_04_every_region_of_version_6_tells_its_words() {
    let words = |push: &dyn Fn(&mut FrameWriter<'_>)| frame_of(Profile::OpenBsd6, push)[21];
    let id = Identity { id: 1, creator: 2 };
    assert_eq!(words(&|writer| writer.push_clear(&Clear::default()).unwrap()), 5);
    assert_eq!(words(&|writer| writer.push_id(Action::InsertAck, id).unwrap()), 3);
    assert_eq!(words(&|writer| writer.push_compressed_update(&sound_update()).unwrap()), 21);
    assert_eq!(words(&|writer| writer.push_id(Action::UpdateRequest, id).unwrap()), 3);
    assert_eq!(words(&|writer| writer.push_id(Action::DeleteCompressed, id).unwrap()), 3);
    assert_eq!(words(&|writer| writer.push_bulk_status(&BulkStatus::default()).unwrap()), 3);
    for action in [Action::Insert, Action::Update, Action::Delete] {
        assert_eq!(words(&|writer| writer.push_state(action, &sound_state()).unwrap()), 66);
    }
    assert_eq!(words(&|writer| writer.push_tdb(&Default::default()).unwrap()), 13);
}

#[test]
fn item_05_a_frame_of_version_5_ends_with_a_mark_that_its_length_counts() {
    for profile in [Profile::FreeBsd1301, Profile::FreeBsd1400, Profile::FreeBsd1500] {
        let frame = frame_of(profile, |writer| {
            writer.push_compressed_update(&sound_update()).unwrap();
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
fn item_06_no_frame_is_longer_than_the_room_it_was_given() {
    for profile in Profile::ALL {
        for room in 24..1480 {
            let mut buffer = vec![0xee; room + 4];
            let mut writer =
                FrameWriter::new(&mut buffer[..room], profile, &WriterOptions::default()).unwrap();
            while writer.push_state(Action::Insert, &sound_state()).is_ok() {}
            while writer.push_compressed_update(&sound_update()).is_ok() {}
            while writer.push_id(Action::InsertAck, Identity::BULK).is_ok() {}
            let length = writer.finish();
            assert!(length <= room && room - length < 16, "{profile:?}: {length} of {room}");
            assert_eq!(buffer[room..], [0xee; 4]);
        }
    }
}

#[test]
fn item_06_frames_hold_as_many_messages_as_those_of_the_systems() {
    // MTU 1500; FreeBSD 14 and later keep 40 bytes for the IP header whatever the family.
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
        assert_eq!(fill(&|writer| writer.push_state(Action::Update, &sound_state()).is_ok()), states);
        assert_eq!(fill(&|writer| writer.push_compressed_update(&sound_update()).is_ok()), updates);
        assert_eq!(fill(&|writer| writer.push_id(Action::InsertAck, Identity::BULK).is_ok()), ids);
    }
}

#[test]
fn item_07_the_length_is_trusted_downwards_only() {
    let mut frame = raw(6, &[DELETE_6, DELETE_6]);
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
fn item_08_regions_behind_an_odd_number_of_odd_states_are_read() {
    for profile in [Profile::FreeBsd1301, Profile::FreeBsd1400] {
        let frame = frame_of(profile, |writer| {
            writer.push_state(Action::Insert, &sound_state()).unwrap();
            writer.push_compressed_update(&sound_update()).unwrap();
            writer.push_state(Action::Update, &sound_state()).unwrap();
            writer.push_id(Action::DeleteCompressed, Identity { id: 9, creator: 1 }).unwrap();
        });
        let seen = read(&frame);
        assert_eq!(seen[1], Ok((Action::UpdateCompressed, vec![Record::Compressed(sound_update())])));
        assert_eq!(seen[3], Ok((Action::DeleteCompressed, vec![DELETE])));
        assert_eq!(seen[0].clone().unwrap().1, seen[2].clone().unwrap().1);
    }
}

#[test]
fn item_09_action_13_is_another_message_in_each_version() {
    let state = |words: u8, bytes: usize| [vec![13, words, 0, 1], vec![0; bytes]].concat();
    let of = |frame: Vec<u8>| {
        let mut reader = FrameReader::new(&frame).unwrap();
        reader.next_region().unwrap().map(|region| (region.profile().unwrap(), region.stride()))
    };
    assert_eq!(of(raw(6, &[&state(66, 264)])), Ok((Profile::OpenBsd6, 264)));
    assert_eq!(of(raw(5, &[&state(0, 277)])), Ok((Profile::FreeBsd1400, 277)));
    assert_eq!(of(raw(5, &[&state(66, 264)])), Err(RegionError::Length));
    assert_eq!(of(raw(6, &[&state(0, 277)])), Err(RegionError::Action));
}

#[test]
fn item_10_a_longer_message_of_version_6_is_read_by_its_known_part() {
    let mut longer = vec![7, 4, 0, 2];
    for _ in 0..2 {
        longer.extend(&DELETE_6[4..]);
        longer.extend([0xff; 4]);
    }
    let seen = read(&raw(6, &[&longer, DELETE_6]));
    assert_eq!(seen[0], Ok((Action::DeleteCompressed, vec![DELETE, DELETE])));
    assert_eq!(seen[1], Ok((Action::DeleteCompressed, vec![DELETE])));
}

#[test]
fn item_11_an_unknown_message_of_version_6_is_stepped_over_if_it_tells_its_length() {
    let seen = read(&raw(6, &[&[200, 1, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8], DELETE_6]));
    assert_eq!(seen, [Err(RegionError::Skipped), Ok((Action::DeleteCompressed, vec![DELETE]))]);
    for silent in [[200, 0, 0, 2], [200, 1, 0, 0]] {
        assert_eq!(read(&raw(6, &[&silent, DELETE_6])), [Err(RegionError::Action)]);
    }
}

#[test]
fn item_12_a_frame_of_version_5_ends_at_its_mark_its_length_or_what_is_unknown() {
    let delete = Ok((Action::DeleteCompressed, vec![DELETE]));
    let end = Ok((Action::Eof, vec![]));
    let mark: &[u8] = &[12, 0, 0, 1];
    assert_eq!(read(&raw(5, &[DELETE_5])), std::slice::from_ref(&delete));
    assert_eq!(read(&raw(5, &[DELETE_5, mark])), [delete.clone(), end.clone()]);
    let beyond = [delete.clone(), end, Err(RegionError::AfterEnd)];
    assert_eq!(read(&raw(5, &[DELETE_5, mark, DELETE_5])), beyond);
    assert_eq!(read(&raw(5, &[DELETE_5, &[17, 0, 0, 1], DELETE_5])), [delete, Err(RegionError::Action)]);
}

#[test]
fn item_13_a_bad_region_does_not_undo_earlier_ones() {
    let seen = read(&raw(6, &[DELETE_6, &[2, 3, 0, 1], &DELETE_6[4..], &[7, 3, 0, 2], &DELETE_6[4..]]));
    let earlier = [Ok((Action::DeleteCompressed, vec![DELETE])), Ok((Action::InsertAck, vec![DELETE]))];
    assert_eq!(seen[..2], earlier);
    assert_eq!(seen[2..], [Err(RegionError::Length)]);
}

#[test]
fn item_14_families_have_the_numbers_of_the_profile() {
    for (family, six, five) in [(Family::V4, 2, 2), (Family::V6, 24, 28)] {
        let mut state = sound_state();
        state.key.iter_mut().for_each(|key| key.family = family);
        state.family = family;
        let bytes = state_bytes(Profile::OpenBsd6, &state);
        assert_eq!([bytes[62], bytes[102], bytes[250]], [six; 3]);
        assert_eq!(state_bytes(Profile::FreeBsd1301, &state)[232], five);
        assert_eq!(state_bytes(Profile::FreeBsd1400, &state)[232], five);
        assert_eq!(state_bytes(Profile::FreeBsd1500, &state)[344..346], [five; 2]);
        for profile in Profile::ALL {
            assert_eq!(state_again(profile, &state).family, family);
        }
    }
}
