//! Encoding of records.

use crate::support::states::{valid_state, valid_update};
use crate::support::{frame_of, read, round_trip, state_bytes};
use pfsync::{
    Action, BulkStatus, Clear, CompressedUpdate, Family, FrameWriter, FullState, Identity, Profile, Record,
    route,
};

#[test]
fn messages_have_their_sizes() {
    assert_eq!(Profile::ALL.map(Profile::state_bytes), [264, 242, 277, 360]);
    for profile in Profile::ALL {
        let end_mark = if profile == Profile::OpenBsd6 { 0 } else { 4 };
        let size = |push: &dyn Fn(&mut FrameWriter<'_>)| frame_of(profile, push).len() - 24 - end_mark;
        assert_eq!(
            size(&|writer| writer.push_state(Action::Insert, &valid_state()).unwrap()),
            profile.state_bytes()
        );
        assert_eq!(size(&|writer| writer.push_compressed_update(&valid_update()).unwrap()), 84);
        for action in [Action::DeleteCompressed, Action::UpdateRequest, Action::InsertAck] {
            assert_eq!(size(&|writer| writer.push_id(action, Identity::BULK).unwrap()), 12);
        }
        assert_eq!(size(&|writer| writer.push_bulk_status(&BulkStatus::default()).unwrap()), 12);
        assert_eq!(size(&|writer| writer.push_clear(&Clear::default()).unwrap()), 20);
    }
}

#[test]
fn identities_addresses_and_ports_are_unchanged() {
    for profile in Profile::ALL {
        let state = valid_state();
        let again = round_trip(profile, &state);
        assert_eq!(again.id, state.id);
        assert_eq!(again.key.map(|key| (key.addr, key.port)), state.key.map(|key| (key.addr, key.port)));
        let bytes = state_bytes(profile, &state);
        assert_eq!(bytes[..8], state.id.id.to_be_bytes());
        assert_eq!(bytes[24..40], state.key[0].addr[0]);
    }
}

#[test]
fn bytes_after_an_ipv4_address_are_cleared_when_written_and_read() {
    let mut state = valid_state();
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
        assert_eq!(dirty, round_trip(profile, &state), "{profile:?}");
    }
}

#[test]
fn counters_and_times_are_big_endian() {
    let state = FullState { packets: [0x0102_0304_0506_0708, 1], creation: 7, expire: 9, ..valid_state() };
    for (profile, at) in [(Profile::OpenBsd6, 204), (Profile::FreeBsd1500, 196)] {
        let bytes = state_bytes(profile, &state);
        assert_eq!(bytes[at..at + 16], [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(bytes[at - 8..at], [0, 0, 0, 7, 0, 0, 0, 9]);
    }
}

#[test]
fn no_rule_is_all_ones_and_openbsd_has_no_translation_rule() {
    for profile in Profile::ALL {
        let at = if profile == Profile::OpenBsd6 { 184 } else { 176 };
        assert_eq!(state_bytes(profile, &FullState::EMPTY)[at..at + 12], [0xff; 12]);
    }
    let state = FullState { nat_rule: 3, ..valid_state() };
    assert_eq!(state_bytes(Profile::OpenBsd6, &state)[192..196], [0xff; 4]);
    assert_eq!(state_bytes(Profile::FreeBsd1400, &state)[184..188], [0, 0, 0, 3]);
}

#[test]
fn an_unused_routing_table_is_minus_one() {
    assert_eq!(state_bytes(Profile::OpenBsd6, &FullState::EMPTY)[240..248], [0xff; 8]);
    assert_eq!(state_bytes(Profile::FreeBsd1400, &FullState::EMPTY)[250..254], [0xff; 4]);
    assert_eq!(state_bytes(Profile::FreeBsd1500, &FullState::EMPTY)[328..332], [0xff; 4]);
    assert_eq!(
        round_trip(Profile::FreeBsd1301, &FullState { rtableid: [0; 2], ..valid_state() }).rtableid,
        [-1; 2]
    );
}

#[test]
fn the_creator_of_a_compressed_update_follows_the_peers() {
    let update = CompressedUpdate { id: Identity { id: 1, creator: 0xdead_beef }, ..valid_update() };
    for profile in Profile::ALL {
        let frame = frame_of(profile, |writer| writer.push_compressed_update(&update).unwrap());
        assert_eq!(frame[24 + 72..24 + 80], [0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 0]);
        assert_eq!(frame[24 + 80..24 + 84], [update.timeout, 0, 0, 0]);
    }
}

#[test]
fn flags_are_at_the_offset_of_each_profile() {
    let state = FullState { state_flags: 0x0123, ..valid_state() };
    assert_eq!(state_bytes(Profile::OpenBsd6, &state)[260..262], [0x01, 0x23]);
    assert_eq!(state_bytes(Profile::FreeBsd1301, &state)[238], 0x23);
    assert_eq!(state_bytes(Profile::FreeBsd1400, &state)[235..237], [0x01, 0x23]);
    assert_eq!(state_bytes(Profile::FreeBsd1500, &state)[332..334], [0x01, 0x23]);
    assert_eq!(round_trip(Profile::FreeBsd1301, &state).state_flags, 0x23);
}

#[test]
fn routing_options_are_one_higher_on_freebsd() {
    let cases =
        [(route::NONE, 0, 0), (route::ROUTE_TO, 1, 2), (route::DUP_TO, 2, 3), (route::REPLY_TO, 3, 4)];
    for (rt, six, five) in cases {
        let state = FullState { rt, ..valid_state() };
        assert_eq!(state_bytes(Profile::OpenBsd6, &state)[254], six);
        assert_eq!(state_bytes(Profile::FreeBsd1400, &state)[260], five);
        assert_eq!(state_bytes(Profile::FreeBsd1500, &state)[352], five);
    }
}
