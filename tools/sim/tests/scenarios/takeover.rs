//! One node takes over from the other: which states survive, which expire, and who sends the deletes.

use super::*;

#[test]
fn every_connection_continues_through_the_other_node_when_one_is_killed() {
    for lanes in LANES {
        let mut pair = Cluster::pair(1, lanes, 1024);
        pair.open_next(120);
        assert_eq!(pair.talk(0, 8, 5 * MS), 0);
        pair.run(2 * S, 5 * MS);
        pair.assert_equal(0, 1);
        assert_eq!(pair.states(1), 120);
        pair.kill(0);
        pair.assert_all_pass(1);
        assert_eq!(pair.talk(1, 6, 5 * MS), 0);
        assert!(pair.connections.iter().all(cluster::is_open));
    }
}

/// Opens UDP connections and replicates them.
fn pair_with_udp(grace: u64) -> Cluster {
    let host = |n: usize| {
        let mut config = config(n, 2, 1024, &OPENBSD);
        config.sync.grace.duration = grace;
        config
    };
    let mut pair = Cluster::new(6, vec![host(0), host(1)]);
    pair.run(100 * MS, MS);
    pair.open_next(120);
    pair.connections.retain(|connection| connection.kind == Kind::Udp);
    assert_eq!(pair.talk(0, 4, 5 * MS), 0);
    pair.run(2 * S, 5 * MS);
    assert_eq!(pair.states(1), pair.connections.len());
    pair
}

#[test]
fn states_of_a_silent_peer_are_kept_for_the_grace_period() {
    for (grace, kept) in [(100 * S, true), (0, false)] {
        let mut pair = pair_with_udp(grace);
        // The link is cut, and the peer continues to forward.
        pair.link.wire.impairment = LOSES_ALL;
        for _ in 0..14 {
            pair.talk(0, 1, 5 * S);
        }
        assert_eq!(pair.states(1) > 0, kept, "after 70 s, where UDP expires after 60");
        pair.kill(0);
        if kept {
            pair.assert_all_pass(1);
        }
    }
    let mut pair = pair_with_udp(100 * S);
    pair.kill(0);
    pair.run(120 * S, 10 * MS);
    assert_eq!(pair.states(1), 0, "the grace period is over");
}

#[test]
fn a_peer_that_sends_but_omits_a_state_has_no_traffic_of_it() {
    let mut pair = pair_with_udp(100 * S);
    for _ in 0..90 {
        assert!(pair.send(0, 0));
        pair.run(S, 5 * MS);
    }
    assert_eq!(pair.states(1), 1, "of {:?} only", pair.connections[0]);
}

#[test]
fn with_defer_no_answer_arrives_before_its_state_is_on_the_other_node() {
    for lanes in LANES {
        let host = |n: usize| {
            let mut config = config(n, lanes[n], 1024, &OPENBSD);
            config.sync.defer.delay = 20 * MS;
            config
        };
        let mut pair = Cluster::new(9, vec![host(0), host(1)]);
        pair.run(100 * MS, MS);
        pair.link.wire.impairment.jitter_ns = 5 * MS;
        pair.open_next(60);
        for n in 0..60 {
            assert!(!pair.send(n, 0) && pair.connections[n].is_held, "connection {n}");
        }
        let mut answered = [false; 60];
        for _ in 0..30 {
            pair.run(MS, MS);
            for (n, answered) in answered.iter_mut().enumerate() {
                if !*answered && !pair.connections[n].is_held {
                    assert!(!pair.connections[n].next_packet(Intent::Talk).forward);
                    assert!(pair.send(n, 1), "connection {n}, lanes {lanes:?}");
                    *answered = true;
                }
            }
        }
        pair.run(2 * MS, MS);
        assert_eq!((answered, pair.stat(0, "states_released_timeout")), ([true; 60], 0));
        assert_eq!((pair.stat(0, "states_deferred"), pair.stat(0, "packets_held")), (60, 0));
        // Both nodes stay active: requests pass one, replies the other.
        for _ in 0..20 {
            for n in 0..60 {
                let through = usize::from(!pair.connections[n].next_packet(Intent::Talk).forward);
                assert!(pair.send(n, through), "connection {n}, lanes {lanes:?}");
            }
            pair.run(15 * MS, MS);
        }
    }
}

#[test]
fn only_the_node_that_saw_the_traffic_sends_deletes() {
    for lanes in LANES {
        let mut pair = Cluster::pair(8, lanes, 1024);
        pair.open_next(60);
        pair.talk(0, 8, 5 * MS);
        pair.run(2 * S, 5 * MS);
        // The copies expire first: no delete is sent, and the other node loses nothing.
        pair.link.wire.impairment = LOSES_ALL;
        for _ in 0..20 {
            pair.keep_alive(0);
            pair.run(5 * S, 50 * MS);
        }
        let tcp = pair.connections.iter().filter(|connection| connection.kind == Kind::Tcp).count();
        assert_eq!(pair.states(1), tcp, "copies of UDP and ICMP have expired");
        assert_eq!(pair.stat(1, "ends_silent"), 60 - tcp as u64);
        assert_eq!(pair.stat(1, "deletes_sent"), 0);
        pair.link.repair();
        pair.keep_alive(0);
        pair.run(3 * S, 5 * MS);
        assert_eq!((pair.states(0), pair.states(1)), (60, 60), "traffic restores them");
        // Now the originals expire, and their deletes remove the copies.
        pair.close(0, |_| true);
        pair.run(2 * S, 5 * MS);
        let removed = pair.stat(1, "states_removed_by_peer");
        pair.run(115 * S, 20 * MS);
        assert_eq!((pair.states(0), pair.states(1)), (0, 0));
        assert_eq!(pair.stat(0, "deletes_sent"), 60);
        assert!(pair.stat(1, "states_removed_by_peer") > removed);
        assert_eq!(pair.stat(1, "deletes_sent"), 0, "a delete is not echoed");
    }
}

#[test]
fn a_reused_key_replaces_the_old_connection_on_both_nodes() {
    for lanes in LANES {
        let mut pair = Cluster::pair(9, lanes, 1024);
        pair.open_next(24);
        pair.talk(0, 6, 5 * MS);
        pair.close(0, |_| true);
        pair.run(1200 * MS, 5 * MS);
        pair.assert_equal(0, 1);
        let old = pair.states(1);
        for connection in pair.connections.iter_mut().filter(|connection| connection.kind == Kind::Tcp) {
            connection.flow = connection.flow.again_at([1_000_000, 7_000_000]);
        }
        assert_eq!(pair.talk(0, 6, 5 * MS), 0);
        pair.run(1200 * MS, 5 * MS);
        pair.assert_equal(0, 1);
        assert_eq!(pair.states(1), old);
        assert_eq!(pair.stat(0, "states_retired"), 16);
        pair.kill(0);
        pair.assert_all_pass(1);
    }
}

/// Both nodes know the end of the old connection, only one knows the SYN of the new one. The server's sequence numbers
/// start as close to the end of its old connection as possible.
#[test]
fn an_answer_that_matches_the_old_connection_of_its_ports_is_dropped_until_the_new_state_arrives() {
    for lanes in LANES {
        let mut pair = Cluster::pair(10, lanes, 1024);
        pair.open_next(24);
        pair.connections.retain(|connection| connection.kind == Kind::Tcp);
        pair.talk(0, 6, 5 * MS);
        pair.close(0, |_| true);
        pair.run(1200 * MS, 5 * MS);
        pair.link.wire.impairment = LOSES_ALL;
        for n in 0..pair.connections.len() {
            pair.connections[n].flow = pair.connections[n].flow.again_at([1_000_000, 1000]);
            assert!(pair.send(n, 1));
        }
        pair.run(1200 * MS, 5 * MS);
        pair.link.repair();
        for n in 0..pair.connections.len() {
            assert!(!pair.send(n, 0), "lanes {lanes:?}: {:?}", pair.connections[n]);
            assert!(pair.send(n, 1), "the client repeats its SYN");
        }
        pair.run(1200 * MS, 5 * MS);
        for _ in 0..6 {
            for n in 0..pair.connections.len() {
                let through = usize::from(pair.connections[n].next_packet(Intent::Talk).forward);
                assert!(pair.send(n, through), "lanes {lanes:?}: {:?}", pair.connections[n]);
            }
            pair.run(20 * MS, MS);
        }
        pair.run(1200 * MS, 5 * MS);
        pair.assert_equal(0, 1);
    }
}

#[test]
fn a_restarted_node_loads_all_states_and_takes_over_again() {
    for (lanes, returning) in [([1, 1], 1), ([1, 3], 1), ([4, 2], 4), ([4, 2], 3), ([4, 1], 2), ([2, 8], 8)] {
        println!("restarts with {returning} lanes");
        let mut pair = Cluster::pair(11, lanes, 1024);
        pair.open_next(120);
        assert_eq!(pair.talk(0, 8, 5 * MS), 0);
        pair.run(20 * MS, MS);
        pair.kill(0);
        assert_eq!(pair.talk(1, 4, 5 * MS), 0);
        // Its host id is configured, so it receives its own earlier states under its own name.
        let later = config(0, returning, 1024, &OPENBSD);
        pair.boot(0, Config { start_unix_s: later.start_unix_s + 9, ..later });
        assert!(!pair.host(0).engine.ready());
        assert_eq!(pair.talk(1, 4, 5 * MS), 0);
        pair.run(2 * S, MS);
        assert!(pair.host(0).engine.ready());
        assert_eq!(pair.states(0), 120);
        pair.assert_equal(0, 1);
        // New connections, and the old ones, through the restarted node.
        pair.open_next(60);
        assert_eq!(pair.talk(0, 8, 5 * MS), 0);
        pair.run(2 * S, MS);
        pair.assert_equal(0, 1);
        pair.assert_all_pass(1);
        pair.run(2 * S, MS);
        pair.close(1, |n| n % 2 == 0);
        pair.run(115 * S, 20 * MS);
        pair.connections.retain(|connection| connection.is_open_tcp());
        let open = pair.connections.len();
        assert_eq!((pair.states(0), pair.states(1)), (open, open));
        pair.kill(1);
        pair.assert_all_pass(0);
    }
}
