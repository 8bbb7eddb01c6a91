//! Items 45 to 50: bulk requests and answers.

use super::*;

fn requesting() -> Node {
    let mut node = open();
    node.importer.bulk.start(node.now, false);
    assert_eq!(node.sent(), [(Action::UpdateRequest, Record::Id(Identity::BULK))]);
    node
}

#[test]
fn item_45_a_bulk_request_ends_in_bounded_time_whatever_the_peer_does() {
    let mut node = requesting();
    node.wait(S).apply(&[Item::Bulk(bulk_status::START, 0)]);
    assert!(node.wait(4 * S).sent().is_empty(), "START stops the short retry");
    node.apply(&[Item::Bulk(bulk_status::END, 0)]);
    assert_eq!(node.importer.bulk.phase(), Phase::Done);
    for start in [false, true] {
        let mut node = requesting();
        for _ in 0..3000 {
            if start {
                node.apply(&[Item::Bulk(bulk_status::START, 0)]);
            }
            node.wait(100 * MS).sent();
        }
        assert_eq!(node.importer.bulk.phase(), Phase::GivenUp);
    }
}

#[test]
fn item_46_states_are_inserted_before_start_after_end_and_without_a_request() {
    let mut node = requesting();
    let whole = |n| Item::State(Action::Update, state(n));
    node.apply(&[whole(1)]);
    node.apply(&[Item::Bulk(bulk_status::START, 0), whole(2), Item::Bulk(bulk_status::END, 0), whole(3)]);
    assert_eq!(node.table.len(), 3);
    let mut unasked = open();
    unasked.apply(&[Item::Bulk(bulk_status::START, 0), whole(4), Item::Bulk(bulk_status::END, 0)]);
    assert_eq!((unasked.table.len(), unasked.importer.bulk.phase()), (1, Phase::Idle));
}

/// The peer counts whole seconds. Without START the second of our request does not count, because an END for another node
/// may cross our request; with START it counts.
#[test]
fn item_47_an_end_counts_if_its_walk_started_after_our_request_even_without_start() {
    let cases = [(0, true), (9, true), (10, false), (30, false), (u32::MAX, false)];
    let with_start = [(0, true), (10, true), (11, false), (30, false), (u32::MAX, false)];
    for (is_started, cases) in [(false, cases), (true, with_start)] {
        for (endtime, done) in cases {
            let mut node = requesting();
            if is_started {
                node.apply(&[Item::Bulk(bulk_status::START, 0)]);
            }
            node.wait(10 * S).apply(&[Item::Bulk(bulk_status::END, endtime)]);
            assert_eq!(node.importer.bulk.phase() == Phase::Done, done, "START {is_started}, {endtime} s");
        }
    }
}

#[test]
fn item_48_a_bulk_answer_starts_with_start_and_ends_with_end() {
    for profile in PROFILES {
        for states in [0, 1, 40] {
            let mut node = node(profile);
            for n in 0..states {
                node.apply(&[insert(state(n))]);
            }
            node.apply(&[insert(state(1000))]);
            let hidden = slot_of(&node, 1000).unwrap();
            node.table.hot_mut(hidden).pf_flags |= pf_flags::NOSYNC;
            node.apply(&[Item::Id(Action::UpdateRequest, Identity::BULK)]);
            let mut sent = Vec::new();
            for _ in 0..3000 {
                sent.extend(node.sent());
                node.wait(MS);
            }
            let status = |record: &Record| match record {
                Record::BulkStatus(bulk) => (bulk.status, bulk.creator, bulk.endtime),
                other => panic!("{other:?}"),
            };
            let host_id = node.exporter.settings().host_id;
            assert_eq!(status(&sent.first().unwrap().1), (bulk_status::START, host_id, 0));
            assert_eq!(status(&sent.last().unwrap().1), (bulk_status::END, host_id, 0));
            assert_eq!(sent.len() as u32, states + 2, "{profile:?}");
        }
    }
}

#[test]
fn item_48_an_end_of_version_5_holds_the_duration() {
    for (profile, seconds) in [(Profile::OpenBsd6, 0), (Profile::FreeBsd1400, 2)] {
        let slow = SyncSettings { bulk_frames: 1, bulk_interval: S, ..settings(1, profile) };
        let mut node = Node::new(slow, 64, 1000 * S);
        (0..12).for_each(|n| _ = node.apply(&[insert(state(n))]));
        node.apply(&[Item::Id(Action::UpdateRequest, Identity::BULK)]);
        let mut sent = node.sent();
        while node.exporter.is_walking() {
            sent.extend(node.wait(S).sent());
        }
        let Some((_, Record::BulkStatus(end))) = sent.last() else { panic!("{sent:?}") };
        assert_eq!((end.status, end.endtime), (bulk_status::END, seconds));
    }
}

#[test]
fn item_49_a_bulk_answer_keeps_its_pace_and_restarts_on_a_new_request() {
    let paced = SyncSettings { bulk_frames: 1, bulk_interval: 20 * MS, ..settings(1, Profile::OpenBsd6) };
    let mut node = Node::new(paced, 64, 1000 * S);
    (0..60).for_each(|n| _ = node.apply(&[insert(state(n))]));
    let request = [Item::Id(Action::UpdateRequest, Identity::BULK)];
    node.apply(&request);
    assert_eq!(node.sent().len(), 1 + 5, "START and one frame");
    assert!(node.wait(19 * MS).sent().is_empty());
    assert_eq!(node.wait(MS).sent().len(), 5);
    node.wait(10 * MS).apply(&request);
    assert_eq!(node.sent().len(), 0, "within the minimum interval it is the same request");
    node.wait(S).apply(&request);
    let sent = node.sent_actions();
    assert_eq!(sent[..2], [Action::BulkStatus, Action::Update]);
    let mut states = sent.len() - 1;
    loop {
        let sent = node.wait(20 * MS).sent_actions();
        states += sent.iter().filter(|action| **action == Action::Update).count();
        if sent.contains(&Action::BulkStatus) {
            break;
        }
    }
    assert_eq!(states, 60, "all states again");
}

#[test]
fn item_50_an_unanswered_request_is_sent_twelve_times() {
    let mut node = requesting();
    let mut requests = 1;
    for _ in 0..600 {
        requests += node.wait(100 * MS).sent().len();
    }
    assert_eq!((requests, node.importer.bulk.phase()), (12, Phase::GivenUp));
}

/// The transfer of another node of the group, whose beginning this node has missed.
#[test]
fn an_end_without_start_is_not_ours_while_states_arrive() {
    for (has_start, done) in [(false, false), (true, true)] {
        let mut node = requesting();
        if has_start {
            node.apply(&[Item::Bulk(bulk_status::START, 0)]);
        }
        node.wait(S).apply(&[Item::State(Action::Update, state(1))]);
        node.wait(S / 2).apply(&[Item::Bulk(bulk_status::END, 0)]);
        assert_eq!(node.importer.bulk.phase() == Phase::Done, done);
    }
}
