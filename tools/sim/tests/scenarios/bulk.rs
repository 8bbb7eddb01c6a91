//! Bulk transfers: to a node that starts late, on request, and while the sender fails.

use super::*;

/// Builds a cluster, kills all nodes but the first, and opens `count` connections on it.
fn one_full_node(seed: u64, configs: Vec<Config>, count: u32, settle: u64) -> Cluster {
    let mut cluster = Cluster::new(seed, configs);
    cluster.run(settle, 5 * MS);
    (1..cluster.nodes.len()).for_each(|n| cluster.kill(n));
    cluster.open_next(count);
    cluster
}

#[test]
fn a_node_that_starts_late_has_all_states_when_it_is_ready() {
    let long = [([1, 3], 9000), ([4, 2], 9000)];
    for (lanes, mtu) in LANES.map(|lanes| (lanes, 1500)).into_iter().chain(long) {
        let host = |n: usize| {
            let mut config = config(n, lanes[n], 16_384, &OPENBSD);
            config.sync.mtu = mtu;
            config
        };
        let mut pair = one_full_node(2, vec![host(0), host(1)], 5000, 2 * S);
        assert_eq!(pair.talk(0, 4, 5 * MS), 0);
        pair.boot(1, host(1));
        let mut progress = Vec::new();
        while !pair.host(1).engine.ready() {
            pair.run(MS, MS);
            progress.push(pair.host(1).engine.bulk().states);
            assert!(progress.len() < 10_000, "lanes {lanes:?} mtu {mtu}: never ready");
        }
        assert_eq!(pair.states(1), 5000, "lanes {lanes:?} mtu {mtu}: ready before all states arrived");
        assert_eq!(pair.host(1).engine.bulk().phase, Bulk::Done);
        assert!(progress.is_sorted() && progress.iter().any(|&states| (1..5000).contains(&states)));
        assert_eq!(pair.stat(1, "bulk_starts_received"), 1);
        assert_eq!(pair.stat(1, "bulk_ends_received"), 1);
        assert_eq!(pair.stat(1, "messages_lost"), 0);
        pair.kill(0);
        pair.assert_all_pass(1);
    }
}

#[test]
fn states_lost_because_a_ring_was_full_are_requested_again() {
    let host = |n: usize| {
        let mut config = config(n, [8, 2][n], 16_384, &OPENBSD);
        config.sync.mtu = 9000;
        config
    };
    let mut pair = one_full_node(3, vec![host(0), host(1)], 8000, 2 * S);
    pair.connections.retain(|connection| connection.kind == Kind::Tcp);
    assert_eq!(pair.talk(0, 3, 5 * MS), 0);
    pair.boot(1, host(1));
    let stalled_until = pair.now + 101 * MS;
    pair.host(1).stall(1, stalled_until);
    pair.run(102 * MS, MS);
    assert!(pair.stat(1, "messages_delayed") > 0, "the ring is longer than this test expects");
    pair.run(20 * S, 5 * MS);
    assert!(pair.host(1).engine.ready());
    assert_eq!(pair.states(1), pair.states(0));
    assert_eq!(pair.stat(1, "messages_lost"), 0);
}

#[test]
fn two_nodes_that_start_during_one_transfer_both_get_all_states() {
    let host = |n: usize| config(n, 2, 16_384, &OPENBSD);
    let mut three = one_full_node(12, vec![host(0), host(1), host(2)], 9000, 4 * S);
    assert_eq!(three.talk(0, 3, 5 * MS), 0);
    three.run(2 * S, 5 * MS);
    three.boot(1, host(1));
    three.run(60 * MS, MS);
    let early = three.host(1).engine.bulk();
    assert!(early.phase == Bulk::Receiving && early.states > 1000, "{early:?}");
    three.boot(2, host(2));
    while !(three.host(1).engine.ready() && three.host(2).engine.ready()) {
        three.run(MS, MS);
    }
    for n in [1, 2] {
        assert_eq!(three.states(n), 9000, "node {n} is ready");
    }
    assert_eq!(
        three.stat(0, "bulk_walks_begun"),
        2,
        "one at the start for both, one now that the second node joins"
    );
}

/// One announced that it had sent all its states, which were none, and the other took over empty.
#[test]
fn two_nodes_that_restart_together_do_not_accept_each_other_as_complete() {
    let host = |n: usize| config(n, 2, 4096, &OPENBSD);
    let mut three = Cluster::new(13, vec![host(0), host(1), host(2)]);
    three.run(10 * S, 5 * MS);
    assert!((0..3).all(|n| three.host(n).engine.ready()), "a cluster that starts empty is ready too");
    three.kill(1);
    three.kill(2);
    three.open_next(3000);
    assert_eq!(three.talk(0, 3, 5 * MS), 0);
    three.run(2 * S, 5 * MS);
    for apart in [0, 3 * MS, 12 * MS] {
        three.kill(1);
        three.kill(2);
        three.boot(1, host(1));
        three.run(apart, MS);
        three.boot(2, host(2));
        for n in [1, 2] {
            while !three.host(n).engine.ready() {
                three.run(MS, MS);
            }
            assert_eq!(three.states(n), 3000, "node {n} is ready, {apart} ns apart");
        }
    }
    // If the last complete node dies, they do not wait for each other for ever.
    three.kill(1);
    three.kill(2);
    three.boot(1, host(1));
    three.boot(2, host(2));
    three.kill(0);
    three.run(10 * S, 5 * MS);
    assert!((1..3).all(|n| three.host(n).engine.ready()));
}

#[test]
fn an_operator_can_request_and_push_all_states() {
    for push in [true, false] {
        let mut pair = Cluster::pair(8, [3, 2], 1024);
        pair.open_next(60);
        pair.link.wire.impairment = LOSES_ALL;
        assert_eq!(pair.talk(0, 8, 5 * MS), 0);
        pair.run(2 * S, 5 * MS);
        pair.link.repair();
        assert_eq!(pair.states(1), 0);
        if push {
            pair.host(0).engine.push_bulk();
        } else {
            pair.host(1).engine.request_bulk();
        }
        pair.run(S, 5 * MS);
        assert_eq!(pair.states(1), 60, "push {push}");
        let bulk = pair.host(1).engine.bulk();
        assert_eq!(bulk.phase, Bulk::Done);
        assert_eq!(bulk.last.states, if push { 0 } else { 60 }, "a push is no transfer that we requested");
    }
}

#[test]
fn a_node_without_an_answering_peer_gives_up_in_bounded_time() {
    for lanes in [1, 4] {
        let mut alone = Cluster::new(4, vec![config(0, lanes, 64, &OPENBSD)]);
        let started = alone.now;
        while !alone.host(0).engine.ready() {
            assert!(alone.now - started < 30 * S, "never ready");
            alone.run(10 * MS, 10 * MS);
        }
        assert!(alone.now - started > 20 * S, "it has sent all its requests");
        let bulk = alone.host(0).engine.bulk();
        assert_eq!((bulk.phase, bulk.attempts, bulk.states), (Bulk::GivenUp, 12, 0));
        assert_eq!(alone.sent.frames, 12, "one frame a request, and nothing else");
    }
}

#[test]
fn a_sender_that_dies_during_a_transfer_blocks_nobody() {
    let host = |n: usize| config(n, 2, 16_384, &OPENBSD);
    let mut pair = one_full_node(5, vec![host(0), host(1)], 3000, 2 * S);
    pair.talk(0, 3, 5 * MS);
    pair.boot(1, host(1));
    pair.run(20 * MS, MS);
    pair.kill(0);
    let bulk = pair.host(1).engine.bulk();
    assert!(bulk.phase == Bulk::Receiving && bulk.states > 0, "{bulk:?}");
    pair.run(60 * S, 10 * MS);
    assert!(pair.host(1).engine.ready());
    assert_eq!(pair.host(1).engine.bulk().phase, Bulk::GivenUp);
}
