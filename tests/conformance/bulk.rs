//! Items 45 to 50: all states, asked for and answered.

use super::*;

fn asking() -> Node {
    let mut node = open();
    node.importer.bulk.start(node.now, false);
    assert_eq!(node.says(), [(Action::UpdateRequest, Record::Id(Identity::BULK))]);
    node
}

#[test]
fn item_45_a_bulk_request_ends_in_bounded_time_whatever_the_peer_does() {
    let mut node = asking();
    node.wait(S).hear(&[Say::Bulk(bulk_status::START, 0)]);
    assert!(node.wait(4 * S).says().is_empty(), "START stops the short retry");
    node.hear(&[Say::Bulk(bulk_status::END, 0)]);
    assert_eq!(node.importer.bulk.phase(), Phase::Done);
    for start in [false, true] {
        let mut node = asking();
        for _ in 0..3000 {
            if start {
                node.hear(&[Say::Bulk(bulk_status::START, 0)]);
            }
            node.wait(100 * MS).says();
        }
        assert_eq!(node.importer.bulk.phase(), Phase::GivenUp);
    }
}

#[test]
fn item_46_states_are_taken_in_before_start_after_end_and_unasked() {
    let mut node = asking();
    let whole = |n| Say::State(Action::Update, state(n));
    node.hear(&[whole(1)]);
    node.hear(&[Say::Bulk(bulk_status::START, 0), whole(2), Say::Bulk(bulk_status::END, 0), whole(3)]);
    assert_eq!(node.table.len(), 3);
    let mut unasked = open();
    unasked.hear(&[Say::Bulk(bulk_status::START, 0), whole(4), Say::Bulk(bulk_status::END, 0)]);
    assert_eq!((unasked.table.len(), unasked.importer.bulk.phase()), (1, Phase::Idle));
}

/// The peer counts whole seconds: without START the second in which we asked is left out, as an END that somebody else
/// waits for may cross our request. With START it counts.
#[test]
fn item_47_an_end_counts_if_its_walk_began_after_our_request_also_without_start() {
    let cases = [(0, true), (9, true), (10, false), (30, false), (u32::MAX, false)];
    let with_start = [(0, true), (10, true), (11, false), (30, false), (u32::MAX, false)];
    for (is_started, cases) in [(false, cases), (true, with_start)] {
        for (endtime, done) in cases {
            let mut node = asking();
            if is_started {
                node.hear(&[Say::Bulk(bulk_status::START, 0)]);
            }
            node.wait(10 * S).hear(&[Say::Bulk(bulk_status::END, endtime)]);
            assert_eq!(node.importer.bulk.phase() == Phase::Done, done, "START {is_started}, {endtime} s");
        }
    }
}

#[test]
fn item_48_a_bulk_answer_begins_with_start_and_ends_with_end() {
    for profile in PROFILES {
        for states in [0, 1, 40] {
            let mut node = node(profile);
            for n in 0..states {
                node.hear(&[insert(state(n))]);
            }
            node.hear(&[insert(state(1000))]);
            let hidden = slot_of(&node, 1000).unwrap();
            node.table.hot_mut(hidden).pf_flags |= pf_flags::NOSYNC;
            node.hear(&[Say::Id(Action::UpdateRequest, Identity::BULK)]);
            let mut said = Vec::new();
            for _ in 0..3000 {
                said.extend(node.says());
                node.wait(MS);
            }
            let status = |record: &Record| match record {
                Record::BulkStatus(bulk) => (bulk.status, bulk.creator, bulk.endtime),
                other => panic!("{other:?}"),
            };
            let host_id = node.exporter.settings().host_id;
            assert_eq!(status(&said.first().unwrap().1), (bulk_status::START, host_id, 0));
            assert_eq!(status(&said.last().unwrap().1), (bulk_status::END, host_id, 0));
            assert_eq!(said.len() as u32, states + 2, "{profile:?}");
        }
    }
}

#[test]
fn item_48_the_end_tells_version_5_how_long_it_took() {
    for (profile, seconds) in [(Profile::OpenBsd6, 0), (Profile::FreeBsd1400, 2)] {
        let slow = SyncSettings { bulk_frames: 1, bulk_interval: S, ..settings(1, profile) };
        let mut node = Node::new(slow, 64, 1000 * S);
        (0..12).for_each(|n| _ = node.hear(&[insert(state(n))]));
        node.hear(&[Say::Id(Action::UpdateRequest, Identity::BULK)]);
        let mut said = node.says();
        while node.exporter.is_walking() {
            said.extend(node.wait(S).says());
        }
        let Some((_, Record::BulkStatus(end))) = said.last() else { panic!("{said:?}") };
        assert_eq!((end.status, end.endtime), (bulk_status::END, seconds));
    }
}

#[test]
fn item_49_a_bulk_answer_keeps_its_pace_and_begins_anew_on_a_new_request() {
    let paced = SyncSettings { bulk_frames: 1, bulk_interval: 20 * MS, ..settings(1, Profile::OpenBsd6) };
    let mut node = Node::new(paced, 64, 1000 * S);
    (0..60).for_each(|n| _ = node.hear(&[insert(state(n))]));
    let request = [Say::Id(Action::UpdateRequest, Identity::BULK)];
    node.hear(&request);
    assert_eq!(node.says().len(), 1 + 5, "START and one frame");
    assert!(node.wait(19 * MS).says().is_empty());
    assert_eq!(node.wait(MS).says().len(), 5);
    node.wait(10 * MS).hear(&request);
    assert_eq!(node.says().len(), 0, "within the least interval it is the same request");
    node.wait(S).hear(&request);
    let said = node.actions();
    assert_eq!(said[..2], [Action::BulkStatus, Action::Update]);
    let mut states = said.len() - 1;
    loop {
        let said = node.wait(20 * MS).actions();
        states += said.iter().filter(|action| **action == Action::Update).count();
        if said.contains(&Action::BulkStatus) {
            break;
        }
    }
    assert_eq!(states, 60, "all of them again");
}

#[test]
fn item_50_an_unanswered_request_is_sent_twelve_times() {
    let mut node = asking();
    let mut requests = 1;
    for _ in 0..600 {
        requests += node.wait(100 * MS).says().len();
    }
    assert_eq!((requests, node.importer.bulk.phase()), (12, Phase::GivenUp));
}
