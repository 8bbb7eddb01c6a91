//! Ends: what was killed, cleared or replaced stays ended on every node, whatever crosses its end.

use super::*;

/// Opens 300 connections through node 0, which both nodes then have.
fn opened(lanes: [u32; 2], seed: u64) -> Cluster {
    let mut pair = Cluster::pair(seed, lanes, 1024);
    pair.open_next(300);
    assert_eq!(pair.talk(0, 8, 5 * MS), 0);
    pair.run(2 * S, 5 * MS);
    pair.assert_equal(0, 1);
    pair
}

fn assert_states(pair: &Cluster, expected: usize) {
    assert_eq!([pair.states(0), pair.states(1)], [expected; 2]);
    pair.assert_equal(0, 1);
}

#[test]
fn states_killed_while_both_nodes_send_all_theirs_stay_ended() {
    for (lanes, killer) in LANES.into_iter().flat_map(|lanes| [(lanes, 0), (lanes, 1)]) {
        let mut pair = opened(lanes, 71);
        // Frames take 20 ms, so the transfers cross the deletes.
        pair.link.wire.latency_ns = 20 * MS;
        for n in 0..2 {
            pair.host(n).engine.push_bulk();
            pair.host(n).engine.request_bulk();
        }
        pair.run(2 * MS, MS);
        let now = pair.now;
        assert_eq!(pair.host(killer).delete_states(now, 200), 200);
        pair.run(3 * S, MS);
        assert_states(&pair, 100);
    }
}

#[test]
fn states_whose_deletes_overtake_their_inserts_stay_ended() {
    for (lanes, killer) in LANES.into_iter().flat_map(|lanes| [(lanes, 0), (lanes, 1)]) {
        let mut pair = Cluster::pair(70, lanes, 1024);
        pair.run(2 * S, 5 * MS);
        pair.open_next(120);
        for n in 0..120 {
            assert!(pair.send(n, 0));
        }
        // The inserts take 50 ms, what follows them takes no time.
        pair.link.wire.latency_ns = 50 * MS;
        pair.run(12 * MS, MS);
        assert_eq!((pair.stat(0, "inserts_sent"), pair.states(1)), (120, 0));
        if killer == 1 {
            pair.link.wire.latency_ns = 0;
            pair.host(0).engine.push_bulk();
            pair.run(10 * MS, MS);
            assert_eq!(pair.states(1), 120);
        }
        pair.link.wire.latency_ns = 0;
        let now = pair.now;
        assert_eq!(pair.host(killer).delete_states(now, 120), 120);
        pair.run(2 * S, 5 * MS);
        assert_states(&pair, 0);
        assert!(pair.stat(1, "imports_refused_ended") > 0);
    }
}

#[test]
fn states_cleared_or_killed_while_the_link_is_down_stay_ended() {
    for lanes in LANES {
        // The nodes that see the link go down: both, the other, only the one that clears.
        for (knows, clears, killer) in [(3, true, 0), (2, true, 0), (1, true, 0), (2, false, 0), (3, true, 1)]
        {
            let mut pair = opened(lanes, 72);
            pair.link.wire.impairment = LOSES_ALL;
            for n in (0..2).filter(|n| knows >> n & 1 == 1) {
                pair.host(n).engine.set_link(false);
            }
            pair.run(S, 5 * MS);
            let now = pair.now;
            if clears {
                pair.host(killer).engine.clear();
            } else {
                assert_eq!(pair.host(killer).delete_states(now, 300), 300);
            }
            pair.run(3 * S, 5 * MS);
            pair.link.wire.impairment = Impairment::default();
            for n in (0..2).filter(|n| knows >> n & 1 == 1) {
                pair.host(n).engine.set_link(true);
            }
            pair.run(5 * S, 5 * MS);
            assert_states(&pair, 0);
        }
    }
}

#[test]
fn connections_opened_during_a_clear_survive_it_on_both_nodes() {
    for lanes in LANES {
        let host = |n: usize| Config { sweep_per_poll: 4, ..config(n, lanes[n], 1024, &OPENBSD) };
        let mut pair = Cluster::new(73, vec![host(0), host(1)]);
        pair.run(100 * MS, MS);
        pair.open_next(300);
        assert_eq!(pair.talk(0, 8, 5 * MS), 0);
        pair.run(2 * S, 5 * MS);
        pair.host(0).engine.clear();
        pair.run(10 * MS, MS);
        assert!(pair.states(0) > 0, "the clear takes longer");
        pair.connections.clear();
        pair.open((300..400).map(Flow::numbered));
        assert_eq!(pair.talk(0, 8, 20 * MS), 0);
        pair.run(2 * S, MS);
        assert_states(&pair, 100);
        pair.kill(0);
        pair.assert_all_pass(1);
    }
}

/// Node 2 is down while node 0 kills. Later it sends its states to node 1, which has received the deletes.
#[test]
fn a_node_that_missed_ends_does_not_bring_them_back_to_one_that_did_not() {
    for lanes in [[1, 1, 1], [2, 4, 3], [1, 3, 1]] {
        let mut group = Cluster::new(74, (0..3).map(|n| config(n, lanes[n], 1024, &OPENBSD)).collect());
        group.run(5 * S, 5 * MS);
        group.open_next(120);
        assert_eq!(group.talk(0, 8, 5 * MS), 0);
        group.run(2 * S, 5 * MS);
        group.assert_equal(1, 2);
        group.kill(2);
        let now = group.now;
        group.host(0).delete_states(now, 100);
        group.run(2 * S, 5 * MS);
        assert_eq!(group.states(1), 20);
        group.kill(0);
        group.nodes[2].is_up = true;
        group.host(2).engine.push_bulk();
        group.run(5 * S, 5 * MS);
        assert_eq!([group.states(1), group.states(2)], [20; 2]);
        group.assert_equal(1, 2);
    }
}

/// The clock does not run while the node is off, so that it starts at the same second with the same host id.
#[test]
fn a_node_that_restarts_in_the_same_second_gives_its_new_states_new_ids() {
    for (lanes, waits) in LANES.into_iter().flat_map(|lanes| [(lanes, true), (lanes, false)]) {
        let same = |run: u8| Config { random_seed: Some([run; 32]), ..config(0, lanes[0], 1024, &OPENBSD) };
        let mut pair = Cluster::new(75, vec![same(1), config(1, lanes[1], 1024, &OPENBSD)]);
        pair.run(2 * S, 5 * MS);
        pair.open_next(120);
        assert_eq!(pair.talk(0, 8, 5 * MS), 0);
        pair.run(2 * S, 5 * MS);
        pair.kill(0);
        pair.boot(0, same(2));
        if waits {
            pair.run(2 * S, 5 * MS);
        }
        pair.open_next(120);
        for n in 120..240 {
            assert!(pair.send(n, 0));
        }
        pair.run(2 * S, 5 * MS);
        assert_eq!(pair.talk(0, 8, 5 * MS), 0);
        pair.run(4 * S, 5 * MS);
        assert_states(&pair, 240);
        assert_eq!((pair.stat(0, "ids_skipped"), pair.stat(0, "states_refused_id_collision")), (0, 0));
    }
}

/// As above, with the same random bits too: the ids of the earlier run are skipped as far as its states have come back.
#[test]
fn a_node_that_repeats_its_random_bits_continues_above_the_ids_that_come_back() {
    for lanes in LANES {
        let mut pair = opened(lanes, 76);
        pair.kill(0);
        pair.boot(0, config(0, lanes[0], 1024, &OPENBSD));
        pair.run(2 * S, 5 * MS);
        pair.open_next(200);
        assert_eq!(pair.talk(0, 8, 5 * MS), 0);
        pair.run(2 * S, 5 * MS);
        assert_states(&pair, 500);
    }
}

#[test]
fn what_a_full_ring_between_lanes_refuses_is_sent_or_requested_again() {
    let mut pair = Cluster::pair(77, [1, 2], 8192);
    pair.run(2 * S, 5 * MS);
    let stall = |pair: &mut Cluster| {
        let until = pair.now + 300 * MS;
        pair.host(1).stall(1, until);
    };
    stall(&mut pair);
    pair.open((0..6000).map(|n| Flow::numbered(6 * n + 2)));
    for n in 0..6000 {
        assert!(pair.send(n, 0));
    }
    pair.run(100 * MS, MS);
    let delayed = pair.stat(1, "messages_delayed");
    assert!(delayed > 0 && pair.states(1) < 6000);
    pair.run(4 * S, 5 * MS);
    assert_states(&pair, 6000);
    stall(&mut pair);
    pair.host(0).engine.clear();
    pair.run(4 * S, 5 * MS);
    assert_states(&pair, 0);
    assert!(pair.stat(1, "messages_delayed") > delayed);
    assert_eq!((pair.stat(1, "messages_lost"), pair.stat(1, "messages_waiting")), (0, 0));
}
