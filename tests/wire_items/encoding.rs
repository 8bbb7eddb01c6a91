//! Items 15 to 25: encoding.

use super::{frame_of, read, state_again, state_bytes};
use crate::states::{sound_state, sound_update};
use pfsync::{
    Action, BulkStatus, Clear, CompressedUpdate, Family, FrameWriter, FullState, Identity, Invalid, Profile,
    Record, Scrub, route,
};

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
        assert_eq!(size(&|writer| writer.push_compressed_update(&sound_update()).unwrap()), 84);
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
        let frame = frame_of(profile, |writer| writer.push_compressed_update(&update).unwrap());
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
