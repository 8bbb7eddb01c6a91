//! Malformed frames: each is read safely and has its own error.

use crate::support::states::{valid_state, valid_update};
use crate::support::{frame_of, raw_frame, read, read_records};
use pfsync::{
    Action, CompressedUpdate, Family, FullState, Identity, Invalid, Profile, Record, RegionError, name_bytes,
};

/// Returns the action and the number of records of each region, or its error.
fn regions(version: u8, body: &[u8]) -> Vec<Result<(Action, usize), RegionError>> {
    let regions = read(&raw_frame(version, &[body])).into_iter();
    regions.map(|region| region.map(|(action, records)| (action, records.len()))).collect()
}

fn subheader(action: u8, len: u8, count: u16) -> [u8; 4] {
    let [high, low] = count.to_be_bytes();
    [action, len, high, low]
}

#[test]
fn a_truncated_subheader_is_ignored() {
    for version in [5, 6] {
        for left in 1..4 {
            assert_eq!(regions(version, &vec![7; left]), []);
        }
    }
}

#[test]
fn extreme_counts_and_lengths_of_every_action_are_read_safely() {
    let bodies = [0, 3, 11, 12, 20, 264, 1400];
    for (version, action) in (0..=255).flat_map(|action| [(5, action), (6, action)]) {
        for (len, count) in
            [0, 1, 3, 66, 255].into_iter().flat_map(|len| [0, 1, 2, 65535].map(|count| (len, count)))
        {
            for body in bodies {
                let bytes = [&subheader(action, len, count)[..], &vec![0; body]].concat();
                // The zeros after the region may read as further regions, as many as fit.
                let seen = regions(version, &bytes);
                assert!(seen.len() <= 2 + body / 4, "{version} {action} {len} {count} {body}");
                let records: usize = seen.iter().flatten().map(|(_, records)| records).sum();
                assert!(records * 12 <= body, "{version} {action} {len} {count} {body}: {records}");
            }
        }
    }
}

#[test]
fn the_maximum_region_length_does_not_overflow() {
    let body = [&subheader(7, 255, 65535)[..], &[0; 1000]].concat();
    assert_eq!(regions(6, &body), [Err(RegionError::Length)]);
    let body = [&subheader(77, 255, 65535)[..], &[0; 1000]].concat();
    assert_eq!(regions(6, &body), [Err(RegionError::Length)]);
    assert_eq!(regions(5, &[&subheader(16, 0, 65535)[..], &[0; 1000]].concat()), [Err(RegionError::Length)]);
}

#[test]
fn a_version_6_record_may_be_longer_than_known_but_not_shorter() {
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
fn a_version_5_region_one_byte_too_long_is_refused() {
    let sizes =
        [(0, 20), (1, 242), (2, 12), (3, 242), (4, 84), (5, 12), (6, 242), (7, 12), (10, 12), (11, 48)];
    for (action, size) in sizes.into_iter().chain([(13, 277), (14, 277), (15, 360), (16, 360)]) {
        let body = |size: usize| [&subheader(action, 0, 1)[..], &vec![0; size]].concat();
        assert!(matches!(regions(5, &body(size))[..], [Ok((_, 1))]), "{action}");
        assert_eq!(regions(5, &body(size - 1)), [Err(RegionError::Length)], "{action}");
    }
}

#[test]
fn bytes_after_an_end_mark_are_reported() {
    let end_mark = |count| subheader(12, 0, count);
    let end = Ok((Action::Eof, 0));
    let after = Err(RegionError::AfterEnd);
    let delete = [&subheader(7, 0, 1)[..], &[0; 12]].concat();
    assert_eq!(regions(5, &[&end_mark(1)[..], &delete].concat()), [end, after]);
    assert_eq!(regions(5, &[end_mark(1), end_mark(1)].concat()), [end, after]);
    assert_eq!(regions(5, &end_mark(0)), [end]);
    assert_eq!(regions(5, &end_mark(65535)), [end]);
    assert_eq!(regions(5, &[&end_mark(1)[..], &[1, 2, 3]].concat()), [end, after]);
    assert_eq!(regions(6, &[&end_mark(1)[..], &end_mark(0)].concat()), [Err(RegionError::Skipped); 2]);
}

#[test]
fn unknown_actions_end_the_frame() {
    for action in 16..=255 {
        assert_eq!(regions(6, &subheader(action, 0, 1)), [Err(RegionError::Action)]);
        assert_eq!(regions(6, &subheader(action, 1, 1)), [Err(RegionError::Length)]);
    }
    for action in 17..=255 {
        assert_eq!(regions(5, &subheader(action, 0, 1)), [Err(RegionError::Action)]);
    }
}

#[test]
fn control_bytes_in_a_name_are_accepted_unchanged() {
    let state = FullState { ifname: *b"\x1b[2J\xff\x07\0\0\0\0\0\0\0\0\0\0", ..valid_state() };
    assert_eq!(state.validate(20), Ok(()));
    assert_eq!(name_bytes(&state.ifname), Some(&b"\x1b[2J\xff\x07"[..]));
}

/// Reads a valid state of version 6 with one byte changed.
fn changed_state_6(at: usize, value: u8) -> FullState {
    let mut frame =
        frame_of(Profile::OpenBsd6, |writer| writer.push_state(Action::Insert, &valid_state()).unwrap());
    frame[24 + at] = value;
    let (_, Record::State(state)) = read_records(&frame)[0] else { panic!("no state") };
    state
}

#[test]
fn families_may_differ_but_must_be_known() {
    assert_eq!(changed_state_6(62, 2).validate(20), Ok(()), "the families of the keys may differ");
    for (at, value) in [(62, 0), (62, 10), (102, 10), (102, 0), (250, 0), (250, 10), (250, 255)] {
        assert_eq!(changed_state_6(at, value).validate(20), Err(Invalid::Family), "{at} {value}");
    }
    assert_eq!(changed_state_6(62, 28).key[0].family, Family::V6, "FreeBSD's number is accepted");
    for proto in [0, 240] {
        assert_eq!(changed_state_6(251, proto).validate(20), Ok(()), "any protocol is accepted");
    }
}

#[test]
fn classes_states_and_directions_out_of_range_are_refused() {
    for timeout in [20, 21, 22, 25, 26, 27, 255] {
        assert_eq!(changed_state_6(255, timeout).validate(20), Err(Invalid::Timeout));
        assert_eq!(changed_state_6(255, timeout).validate(25).is_ok(), timeout < 25);
        let update = CompressedUpdate { timeout, ..valid_update() };
        assert_eq!(update.validate(20), Err(Invalid::Timeout));
    }
    for state in [13, 128, 255] {
        assert_eq!(changed_state_6(104 + 24, state).validate(20), Err(Invalid::PeerState));
        assert_eq!(changed_state_6(136 + 24, state).validate(20), Err(Invalid::PeerState));
    }
    for direction in [0, 3, 255] {
        assert_eq!(changed_state_6(252, direction).validate(20), Err(Invalid::Direction));
    }
    assert_eq!(changed_state_6(104 + 25, 0x8f).validate(20), Ok(()), "a window scale of 15 is accepted");
    let odd_scrub = changed_state_6(104 + 3, 2);
    assert_eq!((odd_scrub.validate(20), odd_scrub.src.scrub), (Ok(()), Default::default()));
    for at in [196, 200] {
        let state = (0..4).map(|byte| changed_state_6(at + byte, 0xff)).next_back().unwrap();
        assert_eq!(state.validate(20), Ok(()));
    }
}

#[test]
fn an_identity_with_a_zero_half_is_read_unchanged() {
    for (id, creator) in [(0, 7), (7, 0), (0, 0)] {
        let identity = Identity { id, creator };
        let actions = [Action::UpdateRequest, Action::DeleteCompressed, Action::InsertAck];
        let frame = frame_of(Profile::FreeBsd1400, |writer| {
            actions.iter().for_each(|&action| writer.push_id(action, identity).unwrap());
        });
        let expected = actions.map(|action| (action, Record::Id(identity)));
        assert_eq!(read_records(&frame)[..3], expected);
    }
}

#[test]
fn repeated_and_contradictory_records_keep_their_order() {
    let state = valid_state();
    let frame = frame_of(Profile::OpenBsd6, |writer| {
        writer.push_state(Action::Insert, &state).unwrap();
        writer.push_state(Action::Insert, &state).unwrap();
        writer.push_id(Action::DeleteCompressed, state.id).unwrap();
        writer.push_state(Action::Insert, &state).unwrap();
    });
    let expected = [(Action::Insert, 2), (Action::DeleteCompressed, 1), (Action::Insert, 1)].map(Ok);
    assert_eq!(regions(6, &frame[20..]), expected);
}

#[test]
fn bulk_status_records_of_any_status_and_count_are_read() {
    for version in [5, 6] {
        for (count, status) in [(0, 1), (1, 0), (1, 3), (1, 255), (2, 1)] {
            let mut body = subheader(10, 3, count).to_vec();
            for _ in 0..count {
                body.extend([0, 0, 0, 1, 0, 0, 0, 0, status, 0, 0, 0]);
            }
            let records = read_records(&raw_frame(version, &[&body]));
            assert_eq!(records.len(), usize::from(count));
            for (_, record) in records {
                assert!(matches!(record, Record::BulkStatus(bulk) if bulk.status == status));
            }
        }
    }
}
