//! Items 26 to 28: validation.

use super::{frame_of, read, state_again};
use crate::states::{sound_state, sound_update};
use pfsync::{Action, CompressedUpdate, Family, FullState, Invalid, Profile, Record, Version};

#[test]
fn item_26_a_bad_record_is_skipped_and_its_neighbours_stand() {
    type Spoil = fn(&mut FullState);
    let spoils: [(Invalid, Spoil); 6] = [
        (Invalid::Timeout, |state| state.timeout = 20),
        (Invalid::PeerState, |state| state.src.state = 13),
        (Invalid::Direction, |state| state.direction = 3),
        (Invalid::Direction, |state| state.direction = 0),
        (Invalid::Creator, |state| state.id.creator = 0),
        (Invalid::Family, |state| state.key[0].family = Family::from_number(10, Version::V6)),
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
