//! All states at once: to the one that came late, on demand, and when the other end is of no help.

use super::*;

#[test]
fn a_firewall_that_starts_late_has_all_states_when_it_says_that_it_is_ready() {
    let long = [([1, 3], 9000), ([4, 2], 9000)];
    for (lanes, mtu) in LANES.map(|lanes| (lanes, 1500)).into_iter().chain(long) {
        let host = |n: usize| {
            let mut config = config(n as u8 + 1, lanes[n], 16_384, &OPEN);
            config.sync.mtu = mtu;
            config
        };
        let mut pair = Cluster::new(2, vec![host(0), host(1)]);
        pair.run(2 * S, 5 * MS);
        pair.kill(1);
        pair.begin(5000);
        assert_eq!(pair.talk(0, 4, 5 * MS), 0);
        pair.boot(1, host(1));
        let mut progress = Vec::new();
        while !pair.host(1).engine.ready() {
            pair.run(MS, MS);
            progress.push(pair.host(1).engine.bulk().states);
            assert!(progress.len() < 10_000, "lanes {lanes:?} mtu {mtu}: never ready");
        }
        assert_eq!(pair.host(1).states(), 5000, "lanes {lanes:?} mtu {mtu}: ready means that all are in");
        assert_eq!(pair.host(1).engine.bulk().phase, Bulk::Done);
        assert!(progress.is_sorted() && progress.iter().any(|&states| (1..5000).contains(&states)));
        assert_eq!(pair.host(1).stat("bulk_starts_received"), 1);
        assert_eq!(pair.host(1).stat("bulk_ends_received"), 1);
        assert_eq!(pair.host(1).stat("ring_full"), 0);
        pair.kill(0);
        pair.assert_all_pass(1);
    }
}

#[test]
fn states_that_a_lane_had_no_room_to_pass_on_are_asked_for_again() {
    let host = |n: usize| {
        let mut config = config(n as u8 + 1, [8, 2][n], 16_384, &OPEN);
        config.sync.mtu = 9000;
        config
    };
    let mut pair = Cluster::new(3, vec![host(0), host(1)]);
    pair.run(2 * S, 5 * MS);
    pair.kill(1);
    pair.begin(8000);
    pair.flows.retain(|flow| flow.kind == Kind::Tcp);
    assert_eq!(pair.talk(0, 3, 5 * MS), 0);
    pair.boot(1, host(1));
    // Lane 1 of the new host is late: its core stands still while frames come in.
    for _ in 0..100 {
        pair.now += MS;
        pair.tick_but(Some((1, 1)));
    }
    pair.run(MS, MS);
    assert!(pair.host(1).stat("ring_full") > 0, "the ring is longer than this test believes");
    pair.run(20 * S, 5 * MS);
    assert!(pair.host(1).engine.ready());
    assert_eq!(pair.host(1).states(), pair.host(0).states());
}

#[test]
fn two_that_start_while_one_is_told_everything_both_end_up_with_everything() {
    let host = |n: u8| config(n, 2, 16_384, &OPEN);
    let mut three = Cluster::new(12, vec![host(1), host(2), host(3)]);
    three.run(4 * S, 5 * MS);
    three.kill(1);
    three.kill(2);
    three.begin(9000);
    assert_eq!(three.talk(0, 3, 5 * MS), 0);
    three.run(2 * S, 5 * MS);
    three.boot(1, host(2));
    three.run(60 * MS, MS);
    let early = three.host(1).engine.bulk();
    assert!(early.phase == Bulk::Receiving && early.states > 1000, "{early:?}");
    three.boot(2, host(3));
    while !(three.host(1).engine.ready() && three.host(2).engine.ready()) {
        three.run(MS, MS);
    }
    for n in [1, 2] {
        assert_eq!(three.host(n).states(), 9000, "host {n} is ready");
    }
    assert_eq!(three.host(0).stat("bulk_walks_begun"), 3, "one at the start for both, two now");
}

/// The one told the other at once that it had told all, which was nothing, and that one took over empty.
#[test]
fn two_that_come_back_at_once_do_not_take_each_other_for_whole() {
    let host = |n: u8| config(n, 2, 4096, &OPEN);
    let mut three = Cluster::new(13, vec![host(1), host(2), host(3)]);
    three.run(10 * S, 5 * MS);
    assert!((0..3).all(|n| three.host(n).engine.ready()), "a cluster that begins empty is ready too");
    three.kill(1);
    three.kill(2);
    three.begin(3000);
    assert_eq!(three.talk(0, 3, 5 * MS), 0);
    three.run(2 * S, 5 * MS);
    for apart in [0, 3 * MS, 12 * MS] {
        three.kill(1);
        three.kill(2);
        three.boot(1, host(2));
        three.run(apart, MS);
        three.boot(2, host(3));
        for n in [1, 2] {
            while !three.host(n).engine.ready() {
                three.run(MS, MS);
            }
            assert_eq!(three.host(n).states(), 3000, "host {n} is ready, {apart} ns apart");
        }
    }
    // Where the last whole one dies, they do not wait for each other for ever.
    three.kill(1);
    three.kill(2);
    three.boot(1, host(2));
    three.boot(2, host(3));
    three.kill(0);
    three.run(10 * S, 5 * MS);
    assert!((1..3).all(|n| three.host(n).engine.ready()));
}

#[test]
fn an_operator_has_all_states_told_in_either_direction() {
    for push in [true, false] {
        let mut pair = Cluster::pair(8, [3, 2], 1024);
        pair.begin(60);
        pair.faults.lose = 1000;
        assert_eq!(pair.talk(0, 8, 5 * MS), 0);
        pair.run(2 * S, 5 * MS);
        pair.faults = CLEAN;
        assert_eq!(pair.host(1).states(), 0);
        if push {
            pair.host(0).engine.push_bulk();
        } else {
            pair.host(1).engine.request_bulk();
        }
        pair.run(S, 5 * MS);
        assert_eq!(pair.host(1).states(), 60, "push {push}");
        assert_eq!(pair.host(1).engine.bulk().phase, Bulk::Done);
        let begun = if push { 1 } else { 0 };
        assert_eq!(
            pair.host(1).engine.bulk().last.states,
            60 * (1 - begun),
            "unasked is no transfer of ours"
        );
    }
}

#[test]
fn without_a_peer_that_answers_it_gives_up_in_bounded_time() {
    for lanes in [1, 4] {
        let mut alone = Cluster::new(4, vec![config(1, lanes, 64, &OPEN)]);
        let began = alone.now;
        while !alone.host(0).engine.ready() {
            assert!(alone.now - began < 30 * S, "never ready");
            alone.run(10 * MS, 10 * MS);
        }
        assert!(alone.now - began > 20 * S, "it has asked with patience");
        let bulk = alone.host(0).engine.bulk();
        assert_eq!((bulk.phase, bulk.attempts, bulk.states), (Bulk::GivenUp, 12, 0));
        assert_eq!(alone.frames, 12, "one frame a request, and nothing else");
    }
}

#[test]
fn a_peer_that_dies_while_it_answers_holds_nobody_up() {
    let mut pair = Cluster::new(5, vec![config(1, 2, 16_384, &OPEN), config(2, 2, 16_384, &OPEN)]);
    pair.run(2 * S, 5 * MS);
    pair.kill(1);
    pair.begin(3000);
    pair.talk(0, 3, 5 * MS);
    pair.boot(1, config(2, 2, 16_384, &OPEN));
    pair.run(20 * MS, MS);
    pair.kill(0);
    let bulk = pair.host(1).engine.bulk();
    assert!(bulk.phase == Bulk::Receiving && bulk.states > 0, "{bulk:?}");
    pair.run(60 * S, 10 * MS);
    assert!(pair.host(1).engine.ready());
    assert_eq!(pair.host(1).engine.bulk().phase, Bulk::GivenUp);
}
