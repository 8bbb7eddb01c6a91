//! The link: down and up again, impaired, idle, hostile, and between different dialects.

use super::*;

#[test]
fn both_tables_are_equal_after_the_link_comes_back() {
    for lanes in LANES {
        let mut pair = Cluster::pair(7, lanes, 1024);
        pair.open_next(60);
        pair.host(0).engine.set_link(false);
        assert_eq!(pair.talk(0, 8, 5 * MS), 0);
        pair.run(5 * S, 5 * MS);
        assert_eq!(pair.states(1), 0);
        pair.host(0).engine.set_link(true);
        pair.run(2 * S, 5 * MS);
        pair.assert_equal(0, 1);
        assert_eq!(pair.states(1), 60, "pushed, since the other node saw no link go down");
    }
}

/// There are more deletes than the setting allows. Lost ones would come back: the peer has the states, and the transfer
/// that follows would send them.
#[test]
fn deletes_queued_while_the_link_is_down_are_all_sent_once_it_is_up() {
    for lanes in LANES {
        let host = |n: usize| {
            let mut config = config(n, lanes[n], 1024, &OPENBSD);
            config.sync.max_deletes = 4;
            config
        };
        let mut pair = Cluster::new(9, vec![host(0), host(1)]);
        pair.run(2 * S, 5 * MS);
        pair.open_next(300);
        assert_eq!(pair.talk(0, 8, 5 * MS), 0);
        pair.run(2 * S, 5 * MS);
        pair.assert_equal(0, 1);
        pair.host(0).engine.set_link(false);
        let now = pair.now;
        let deleted = pair.host(0).delete_states(now, 200);
        pair.run(5 * S, 5 * MS);
        assert_eq!((deleted, pair.states(1)), (200, 300));
        pair.host(0).engine.set_link(true);
        pair.run(3 * S, 5 * MS);
        pair.assert_equal(0, 1);
        assert_eq!([pair.states(0), pair.states(1)], [100; 2], "lanes {lanes:?}");
        assert_eq!(pair.stat(0, "deletes_lost"), 0);
    }
}

/// The sync lane learned of the end after it had passed the same state to its owner again, and forgot which lane owns it.
/// The peer's delete of it, and its request for it, then reached nobody.
#[test]
fn a_state_that_a_peer_sends_again_just_as_it_expires_is_still_found_by_its_id() {
    for lanes in [1, 3] {
        let mut short = config(1, lanes, 64, &OPENBSD);
        for class in [timeout_class::UDP_FIRST, timeout_class::UDP_SINGLE, timeout_class::UDP_MULTIPLE] {
            short.timeouts.set(class, 5).unwrap();
        }
        short.sync.grace.duration = 0;
        let mut long = config(0, 1, 64, &OPENBSD);
        long.sync.min_bulk_interval = 0;
        let mut pair = Cluster::new(21, vec![long, short]);
        pair.run(2 * S, 5 * MS);
        pair.open_next(120);
        pair.connections.retain(|connection| connection.kind == Kind::Udp);
        assert_eq!((pair.talk(0, 2, 5 * MS), pair.connections.len()), (0, 20));
        pair.run(S, 5 * MS);
        pair.assert_equal(0, 1);
        for expired in 0..5 {
            while pair.stat(1, "states_expired") == expired {
                pair.run(5 * MS, 5 * MS);
            }
            pair.host(0).engine.push_bulk();
            pair.run(50 * MS, 5 * MS);
            pair.assert_equal(0, 1);
        }
        let now = pair.now;
        assert_eq!(pair.host(0).delete_states(now, 20), 20);
        pair.run(S, 5 * MS);
        assert_eq!([pair.states(0), pair.states(1)], [0; 2], "lanes {lanes}");
    }
}

#[test]
fn tables_agree_after_a_link_that_loses_duplicates_and_reorders() {
    for seed in 0..12 {
        let lanes = LANES[seed as usize % LANES.len()];
        let mut pair = Cluster::pair(seed, lanes, 1024);
        pair.link.wire.impairment = BAD;
        pair.open_next(90);
        for _ in 0..5 {
            pair.talk(0, 3, 20 * MS);
            pair.run(500 * MS, 5 * MS);
        }
        pair.close(0, |n| n % 3 == 0);
        pair.run(3 * S, 10 * MS);
        pair.link.repair();
        for _ in 0..2 {
            pair.talk(0, 2, 10 * MS);
            pair.run(1500 * MS, 10 * MS);
        }
        // What was closed on the bad link expires on both nodes.
        for _ in 0..40 {
            pair.keep_alive(0);
            pair.run(5 * S, 20 * MS);
        }
        pair.assert_equal(0, 1);
        let open = pair.connections.iter().filter(|connection| cluster::is_open(connection)).count();
        assert_eq!(pair.states(1), open, "seed {seed}: a closed connection still has a state");
        pair.kill(0);
        pair.assert_all_pass(1);
    }
}

#[test]
fn an_idle_pair_sends_nothing() {
    for lanes in LANES {
        let mut pair = Cluster::pair(7, lanes, 1024);
        pair.open_next(60);
        pair.talk(0, 8, 5 * MS);
        pair.run(3 * S, 5 * MS);
        let frames = pair.sent.frames;
        pair.run(5 * S, 5 * MS);
        assert_eq!(pair.sent.frames, frames);
    }
}

#[test]
fn states_that_a_full_table_refuses_are_counted_and_arrive_when_there_is_space() {
    for lanes in [[1, 1], [4, 2], [2, 4]] {
        let host = |n: usize, states| Config {
            adaptive_by_capacity: false,
            ..config(n, lanes[n], states / lanes[n], &OPENBSD)
        };
        let mut pair = Cluster::new(10, vec![host(0, 1024), host(1, 64)]);
        pair.run(100 * MS, MS);
        // Twice as many as fit; the first ones are short-lived.
        let mut flows: Vec<_> = (0..128).map(Flow::numbered).collect();
        flows.sort_by_key(|flow| flow.kind == Kind::Tcp);
        flows.truncate(85);
        pair.open(flows);
        assert_eq!(pair.talk(0, 8, 5 * MS), 0);
        pair.run(2 * S, 5 * MS);
        assert!(pair.states(1) <= 64 && pair.states(1) > 48);
        // The quota is reached first, unless the node has states of its own.
        assert!(pair.stat(1, "imports_refused_table_full") + pair.stat(1, "imports_refused_quota") > 0);
        assert!(pair.stat(1, "requests_sent") <= 85, "it does not request what does not fit");
        pair.run(70 * S, 10 * MS);
        pair.connections.retain(|connection| connection.kind == Kind::Tcp);
        pair.connections.truncate(16 * lanes[1] as usize / 4 + 12);
        assert_eq!(pair.talk(0, 2, 5 * MS), 0);
        pair.run(4 * S, 5 * MS);
        pair.kill(0);
        pair.assert_all_pass(1);
    }
}

#[test]
fn peers_of_different_profiles_each_get_every_change() {
    for lanes in [[1, 1, 1], [3, 2, 4]] {
        let both = [Profile::OpenBsd6, Profile::FreeBsd1400];
        let profiles = [&both[..], &both[..1], &both[1..]];
        let configs = (0..3).map(|n| config(n, lanes[n], 1024, profiles[n])).collect();
        let mut three = Cluster::new(12, configs);
        three.run(100 * MS, MS);
        three.open_next(90);
        assert_eq!(three.talk(0, 8, 5 * MS), 0);
        three.run(2 * S, 5 * MS);
        for other in [1, 2] {
            three.assert_equal(0, other);
            assert_eq!(three.states(other), 90);
            assert!(three.stat(other, "badver") > 0, "it receives the other dialect too");
        }
        three.close(0, |_| true);
        three.run(115 * S, 20 * MS);
        for other in [1, 2] {
            assert_eq!(three.states(other), 0);
            assert!(three.stat(other, "states_removed_by_peer") > 0);
        }
        // A late node of either dialect gets all states.
        three.connections.clear();
        three.open_next(60);
        three.talk(0, 8, 5 * MS);
        for other in [1, 2] {
            three.kill(other);
            three.boot(other, config(other, 2, 1024, profiles[other]));
            three.run(2 * S, 5 * MS);
            assert!(three.host(other).engine.ready());
            assert_eq!(three.states(other), 60, "{:?}", profiles[other]);
        }
        three.kill(0);
        three.assert_all_pass(1);
        three.assert_all_pass(2);
    }
}

#[test]
fn malformed_frames_are_counted_and_harm_no_state() {
    const COUNTERS: [&str; 9] = [
        "badip",
        "badttl",
        "hdrops",
        "badver",
        "badlen",
        "badact",
        "badval",
        "regions_skipped",
        "bulk_ignored",
    ];
    for lanes in LANES {
        let mut pair = Cluster::pair(13, lanes, 1024);
        pair.open_next(60);
        assert_eq!(pair.talk(0, 8, 5 * MS), 0);
        pair.run(2 * S, 5 * MS);
        for frame in malformed::frames() {
            pair.inject(&frame);
            pair.run(MS, MS);
        }
        for n in 0..2 {
            for counter in COUNTERS {
                assert!(pair.stat(n, counter) > 0, "{counter} lanes {lanes:?}");
            }
            assert!(pair.host(n).lanes.iter().all(|lane| !lane.is_broken()));
        }
        pair.assert_all_pass(0);
        pair.assert_all_pass(1);
        for n in 0..2000 {
            let frame = malformed::noise(&mut pair.random, n);
            pair.inject(&frame);
            if n % 50 == 0 {
                pair.run(MS, MS);
            }
        }
        pair.run(2 * S, 5 * MS);
        pair.assert_all_pass(0);
        pair.assert_all_pass(1);
    }
}

/// No packet could find such a state. The fuzz target `lane` created one.
#[test]
fn a_state_whose_id_names_a_lane_that_does_not_own_its_key_is_refused_and_counted() {
    for lanes in [1, 2, 8] {
        let mut pair = Cluster::pair(14, [lanes, 1], 4096);
        pair.run(2 * S, 5 * MS);
        pair.open_next(1);
        assert!(pair.send(0, 0));
        let mut issued = Vec::new();
        let now = pair.now;
        pair.host(0).for_each_state(now, |_, state| issued.push(state.cold.id));
        for lane in 0..u64::from(lanes) {
            for frame in malformed::misplaced(issued[0], lane) {
                pair.inject(&frame);
                pair.run(MS, MS);
            }
        }
        pair.run(S, 5 * MS);
        // States that were accepted are on the lanes that own their keys.
        pair.assert_equal(0, 0);
        let accepted = pair.states(0) as u64 - 1;
        assert_eq!(accepted + pair.stat(0, "imports_refused_wrong_lane"), 60 * u64::from(lanes));
        assert_eq!(lanes > 1, pair.stat(0, "imports_refused_wrong_lane") > 0);
    }
}

#[test]
fn without_the_link_a_node_continues_alone_and_the_other_one_is_updated_later() {
    for lanes in LANES {
        let host = |n: usize| {
            let mut config = config(n, lanes[n], 1024, &OPENBSD);
            config.sync.max_deletes = 2;
            Config { adaptive_by_capacity: false, ..config }
        };
        let mut pair = Cluster::new(6, vec![host(0), host(1)]);
        pair.open_next(120);
        pair.talk(0, 8, 5 * MS);
        pair.run(2 * S, 5 * MS);
        pair.assert_equal(0, 1);
        (0..2).for_each(|n| pair.host(n).engine.set_link(false));
        let frames = pair.sent.frames;
        let old = std::mem::take(&mut pair.connections);
        // Short-lived connections: many more than deletes may be queued, and more than fit at once.
        for wave in 0..3 {
            let count = 1800.min(600 * lanes[0]);
            pair.open((0..count).map(|n| Flow::numbered(996 + wave * 12_000 + n * 6 + 2)));
            for n in 0..pair.connections.len() {
                assert_eq!(pair.connections[n].kind, Kind::Udp);
                assert!(pair.send(n, 0), "wave {wave}: the table has space for all");
            }
            pair.connections.clear();
            pair.run(100 * S, 100 * MS);
        }
        assert_eq!(pair.sent.frames, frames, "nothing is sent");
        assert!((1..=120).contains(&pair.stat(0, "deletes_queued")), "of states that the peer has");
        assert_eq!(pair.stat(0, "deletes_lost"), 0);
        pair.connections = old;
        pair.connections.retain(|connection| connection.kind == Kind::Tcp);
        pair.open((200..260).map(Flow::numbered));
        assert_eq!(pair.talk(0, 4, 5 * MS), 0);
        (0..2).for_each(|n| pair.host(n).engine.set_link(true));
        pair.run(3 * S, 5 * MS);
        let bulk = pair.host(1).engine.bulk();
        assert_eq!(bulk.phase, Bulk::Done);
        assert!(bulk.states > 0);
        pair.assert_equal(0, 1);
        pair.kill(0);
        pair.assert_all_pass(1);
    }
}
