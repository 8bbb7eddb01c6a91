//! Validation of received records.

use crate::support::states::{valid_state, valid_update};
use crate::support::{frame_of, read_records, round_trip};
use pfsync::{Action, CompressedUpdate, Family, FullState, Invalid, Profile, Record, Version};

#[test]
fn a_bad_record_does_not_affect_its_neighbours() {
    type Change = fn(&mut FullState);
    let changes: [(Invalid, Change); 6] = [
        (Invalid::Timeout, |state| state.timeout = 20),
        (Invalid::PeerState, |state| state.src.state = 13),
        (Invalid::Direction, |state| state.direction = 3),
        (Invalid::Direction, |state| state.direction = 0),
        (Invalid::Creator, |state| state.id.creator = 0),
        (Invalid::Family, |state| state.key[0].family = Family::from_number(10, Version::V6)),
    ];
    for (reason, change) in changes {
        for profile in Profile::ALL {
            let mut bad = valid_state();
            change(&mut bad);
            let frame = frame_of(profile, |writer| {
                for state in [&valid_state(), &bad, &valid_state()] {
                    writer.push_state(Action::Insert, state).unwrap();
                }
            });
            let results: Vec<_> = read_records(&frame)
                .iter()
                .map(|(_, record)| match record {
                    Record::State(state) => state.validate(20),
                    other => panic!("{other}"),
                })
                .collect();
            assert_eq!(results, [Ok(()), Err(reason), Ok(())], "{profile}");
        }
    }
}

#[test]
fn an_update_of_a_known_state_needs_fewer_valid_fields() {
    let state = FullState { direction: 0, ..valid_state() };
    assert_eq!(state.validate_update(20), Ok(()));
    assert_eq!(state.validate(20), Err(Invalid::Direction));
    let update = CompressedUpdate { timeout: 20, ..valid_update() };
    assert_eq!(update.validate(20), Err(Invalid::Timeout));
}

#[test]
fn the_timeout_limit_is_that_of_the_peer_not_of_the_layout() {
    assert_eq!(Profile::ALL.map(Profile::timeout_limit), [20, 20, 25, 25]);
    let sctp = FullState { timeout: 22, ..valid_state() };
    let again = round_trip(Profile::FreeBsd1301, &sctp);
    assert_eq!(again.validate(Profile::FreeBsd1301.timeout_limit()), Err(Invalid::Timeout));
    assert_eq!(again.validate(25), Ok(()), "a FreeBSD 14 that speaks 1301");
    assert_eq!(FullState { timeout: 25, ..sctp }.validate(25), Err(Invalid::Timeout));
}
