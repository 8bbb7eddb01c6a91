//! The conformance list of the protocol reference, section 9, as far as it is about framing and encoding: one test
//! an item, by its number. Item 1 to 14 are transport and framing, 15 to 25 encoding, 26 to 28 validation.

mod states;

use pfplane::wire::envelope::{Address, Envelope, GROUP_V4, GROUP_V6, TOS_LOW_DELAY, TTL, Transport};
use pfplane::wire::{
    Action, BulkStatus, Clear, CompressedUpdate, Family, FrameError, FrameReader, FrameWriter, FullState,
    Identity, Invalid, Profile, Record, RegionError, Scrub, Version, WriterOptions, route,
};
use states::{sound_state, sound_update};

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
    assert_eq!(words(&|writer| writer.push_compressed(&sound_update()).unwrap()), 21);
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
            writer.push_compressed(&sound_update()).unwrap();
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
            while writer.push_compressed(&sound_update()).is_ok() {}
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
        assert_eq!(fill(&|writer| writer.push_compressed(&sound_update()).is_ok()), updates);
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
            writer.push_compressed(&sound_update()).unwrap();
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

#[test]
fn item_15_messages_have_their_sizes() {
    assert_eq!(Profile::ALL.map(Profile::state_bytes), [264, 242, 277, 360]);
    for profile in Profile::ALL {
        let end = if profile == Profile::OpenBsd6 { 0 } else { 4 };
        let size = |push: &dyn Fn(&mut FrameWriter<'_>)| frame_of(profile, push).len() - 24 - end;
        assert_eq!(
            size(&|writer| writer.push_state(Action::Insert, &sound_state()).unwrap()),
            profile.state_bytes()
        );
        assert_eq!(size(&|writer| writer.push_compressed(&sound_update()).unwrap()), 84);
        for action in [Action::DeleteCompressed, Action::UpdateRequest, Action::InsertAck] {
            assert_eq!(size(&|writer| writer.push_id(action, Identity::BULK).unwrap()), 12);
        }
        assert_eq!(size(&|writer| writer.push_bulk_status(&BulkStatus::default()).unwrap()), 12);
        assert_eq!(size(&|writer| writer.push_clear(&Clear::default()).unwrap()), 20);
    }
}

#[test]
fn item_16_identity_addresses_and_ports_come_back_bit_by_bit() {
    for profile in Profile::ALL {
        let state = sound_state();
        let again = state_again(profile, &state);
        assert_eq!(again.id, state.id);
        assert_eq!(again.key.map(|key| (key.addr, key.port)), state.key.map(|key| (key.addr, key.port)));
        let bytes = state_bytes(profile, &state);
        assert_eq!(bytes[..8], state.id.id.to_be_bytes());
        assert_eq!(bytes[24..40], state.key[0].addr[0]);
    }
}

#[test]
fn item_17_nothing_is_behind_an_ipv4_address_in_either_direction() {
    let mut state = sound_state();
    for key in &mut state.key {
        key.family = Family::V4;
        key.addr = [[0xa5; 16]; 2];
    }
    state.family = Family::V4;
    for profile in Profile::ALL {
        let mut frame = frame_of(profile, |writer| writer.push_state(Action::Insert, &state).unwrap());
        let stack = if profile == Profile::OpenBsd6 { 64 } else { 60 };
        for address in [24, 40, stack, stack + 16].map(|at| at + 24) {
            assert_eq!(frame[address..address + 4], [0xa5; 4]);
            assert_eq!(frame[address + 4..address + 16], [0; 12], "{profile:?}");
            frame[address + 4..address + 16].fill(0x5a);
        }
        let Ok((_, records)) = &read(&frame)[0] else { panic!() };
        let Record::State(dirty) = records[0] else { panic!() };
        assert_eq!(dirty, state_again(profile, &state), "{profile:?}");
    }
}

#[test]
fn item_18_counters_have_their_high_word_first() {
    let state = FullState { packets: [0x0102_0304_0506_0708, 1], creation: 7, expire: 9, ..sound_state() };
    for (profile, at) in [(Profile::OpenBsd6, 204), (Profile::FreeBsd1500, 196)] {
        let bytes = state_bytes(profile, &state);
        assert_eq!(bytes[at..at + 16], [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(bytes[at - 8..at], [0, 0, 0, 7, 0, 0, 0, 9]);
    }
}

#[test]
fn item_19_no_rule_is_all_ones_and_openbsd_has_no_translation_rule() {
    for profile in Profile::ALL {
        let at = if profile == Profile::OpenBsd6 { 184 } else { 176 };
        assert_eq!(state_bytes(profile, &FullState::EMPTY)[at..at + 12], [0xff; 12]);
    }
    let state = FullState { nat_rule: 3, ..sound_state() };
    assert_eq!(state_bytes(Profile::OpenBsd6, &state)[192..196], [0xff; 4]);
    assert_eq!(state_bytes(Profile::FreeBsd1400, &state)[184..188], [0, 0, 0, 3]);
}

#[test]
fn item_20_an_unused_routing_table_is_minus_one() {
    assert_eq!(state_bytes(Profile::OpenBsd6, &FullState::EMPTY)[240..248], [0xff; 8]);
    assert_eq!(state_bytes(Profile::FreeBsd1400, &FullState::EMPTY)[250..254], [0xff; 4]);
    assert_eq!(state_bytes(Profile::FreeBsd1500, &FullState::EMPTY)[328..332], [0xff; 4]);
    assert_eq!(
        state_again(Profile::FreeBsd1301, &FullState { rtableid: [0; 2], ..sound_state() }).rtableid,
        [-1; 2]
    );
}

#[test]
fn item_21_a_compressed_update_has_its_creator_behind_the_peers() {
    let update = CompressedUpdate { id: Identity { id: 1, creator: 0xdead_beef }, ..sound_update() };
    for profile in Profile::ALL {
        let frame = frame_of(profile, |writer| writer.push_compressed(&update).unwrap());
        assert_eq!(frame[24 + 72..24 + 80], [0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 0]);
        assert_eq!(frame[24 + 80..24 + 84], [update.timeout, 0, 0, 0]);
    }
}

#[test]
fn item_22_an_unscrubbed_side_is_all_zero_and_one_flag_alone_is_sent() {
    let mut state = sound_state();
    state.src.scrub = Scrub { flags: 0xffff, ttl: 64, valid: 1, ts_mod: 1 };
    state.dst.scrub = Scrub { flags: 1, ttl: 64, valid: 0, ts_mod: 1 };
    for (profile, src) in [(Profile::OpenBsd6, 104), (Profile::FreeBsd1400, 96)] {
        let bytes = state_bytes(profile, &state);
        assert_eq!(bytes[src..src + 8], [0, 1, 64, 1, 0, 0, 0, 1]);
        assert_eq!(bytes[src + 32..src + 40], [0; 8]);
    }
}

#[test]
fn item_23_flags_lie_where_each_profile_has_them() {
    let state = FullState { state_flags: 0x0123, ..sound_state() };
    assert_eq!(state_bytes(Profile::OpenBsd6, &state)[260..262], [0x01, 0x23]);
    assert_eq!(state_bytes(Profile::FreeBsd1301, &state)[238], 0x23);
    assert_eq!(state_bytes(Profile::FreeBsd1400, &state)[235..237], [0x01, 0x23]);
    assert_eq!(state_bytes(Profile::FreeBsd1500, &state)[332..334], [0x01, 0x23]);
    assert_eq!(state_again(Profile::FreeBsd1301, &state).state_flags, 0x23);
}

#[test]
fn item_24_routing_options_are_counted_from_one_more_on_freebsd() {
    let cases =
        [(route::NONE, 0, 0), (route::ROUTE_TO, 1, 2), (route::DUP_TO, 2, 3), (route::REPLY_TO, 3, 4)];
    for (rt, six, five) in cases {
        let state = FullState { rt, ..sound_state() };
        assert_eq!(state_bytes(Profile::OpenBsd6, &state)[254], six);
        assert_eq!(state_bytes(Profile::FreeBsd1400, &state)[260], five);
        assert_eq!(state_bytes(Profile::FreeBsd1500, &state)[352], five);
    }
}

#[test]
fn item_25_a_name_without_an_end_is_refused_wherever_it_is() {
    let state = FullState { ifname: *b"abcdefghijklmno\0", ..sound_state() };
    assert_eq!(state.validate(20), Ok(()));
    let state = FullState { ifname: *b"abcdefghijklmnop", ..sound_state() };
    for profile in Profile::ALL {
        assert_eq!(state_again(profile, &state).validate(20), Err(Invalid::Name));
    }
}

#[test]
fn item_26_a_bad_record_is_skipped_and_its_neighbours_stand() {
    type Spoil = fn(&mut FullState);
    let spoils: [(Invalid, Spoil); 6] = [
        (Invalid::Timeout, |state| state.timeout = 20),
        (Invalid::PeerState, |state| state.src.state = 13),
        (Invalid::Direction, |state| state.direction = 3),
        (Invalid::Direction, |state| state.direction = 0),
        (Invalid::Creator, |state| state.id.creator = 0),
        (Invalid::Family, |state| state.key[0].family = Family::of(10, Version::V6)),
    ];
    for (reason, spoil) in spoils {
        for profile in Profile::ALL {
            let mut bad = sound_state();
            spoil(&mut bad);
            let frame = frame_of(profile, |writer| {
                for state in [&sound_state(), &bad, &sound_state()] {
                    writer.push_state(Action::Insert, state).unwrap();
                }
            });
            let Ok((Action::Insert, records)) = &read(&frame)[0] else { panic!() };
            let judged: Vec<_> = records
                .iter()
                .map(|record| match record {
                    Record::State(state) => state.validate(20),
                    other => panic!("{other:?}"),
                })
                .collect();
            assert_eq!(judged, [Ok(()), Err(reason), Ok(())], "{profile:?}");
        }
    }
}

#[test]
fn item_27_an_update_is_judged_as_an_insert_only_when_it_would_be_one() {
    let state = FullState { direction: 0, ..sound_state() };
    assert_eq!(state.validate_update(20), Ok(()));
    assert_eq!(state.validate(20), Err(Invalid::Direction));
    let update = CompressedUpdate { timeout: 20, ..sound_update() };
    assert_eq!(update.validate(20), Err(Invalid::Timeout));
}

#[test]
fn item_28_the_limit_of_timeout_classes_is_the_peer_s_not_the_message_s() {
    assert_eq!(Profile::ALL.map(Profile::timeout_limit), [20, 20, 25, 25]);
    let sctp = FullState { timeout: 22, ..sound_state() };
    let again = state_again(Profile::FreeBsd1301, &sctp);
    assert_eq!(again.validate(Profile::FreeBsd1301.timeout_limit()), Err(Invalid::Timeout));
    assert_eq!(again.validate(25), Ok(()), "a FreeBSD 14 that speaks 1301");
    assert_eq!(FullState { timeout: 25, ..sctp }.validate(25), Err(Invalid::Timeout));
}
