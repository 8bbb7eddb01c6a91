//! One takes over from the other: what lives on, what ends, and who tells of it.

use super::*;

#[test]
fn every_connection_goes_on_through_the_other_firewall_when_one_dies() {
    for lanes in LANES {
        let mut pair = Cluster::pair(1, lanes, 1024);
        pair.begin(120);
        assert_eq!(pair.talk(0, 8, 5 * MS), 0);
        pair.run(2 * S, 5 * MS);
        pair.assert_equal(0, 1);
        assert_eq!(pair.host(1).states(), 120);
        pair.kill(0);
        pair.assert_all_pass(1);
        assert_eq!(pair.talk(1, 6, 5 * MS), 0);
        assert!(pair.flows.iter().all(|flow| flow.is_open()));
    }
}

/// Opens UDP flows and lets the peer hear of them.
fn pair_with_udp(grace: u64) -> Cluster {
    let host = |n: u8| {
        let mut config = config(n, 2, 1024, &OPEN);
        config.sync.grace.duration = grace;
        config
    };
    let mut pair = Cluster::new(6, vec![host(1), host(2)]);
    pair.run(100 * MS, MS);
    pair.begin(120);
    pair.flows.retain(|flow| flow.kind == Kind::Udp);
    assert_eq!(pair.talk(0, 4, 5 * MS), 0);
    pair.run(2 * S, 5 * MS);
    assert_eq!(pair.host(1).states(), pair.flows.len());
    pair
}

#[test]
fn states_of_a_peer_that_went_silent_outlive_their_time_for_the_grace() {
    for (grace, kept) in [(100 * S, true), (0, false)] {
        let mut pair = pair_with_udp(grace);
        // The link is cut. Its owner forwards on; nothing of that comes here.
        pair.faults.lose = 1000;
        for _ in 0..14 {
            pair.talk(0, 1, 5 * S);
        }
        assert_eq!(pair.host(1).states() > 0, kept, "after 70 s, where UDP ends after 60");
        pair.kill(0);
        if kept {
            pair.assert_all_pass(1);
        }
    }
    let mut pair = pair_with_udp(100 * S);
    pair.kill(0);
    pair.run(120 * S, 10 * MS);
    assert_eq!(pair.host(1).states(), 0, "the grace is over");
}

#[test]
fn a_peer_that_speaks_and_leaves_a_state_out_has_no_traffic_of_it() {
    let mut pair = pair_with_udp(100 * S);
    let busy = pair.flows[0];
    for _ in 0..90 {
        let segment = pair.flows[0].next();
        assert!(pair.send_through(0, 0, &segment));
        pair.run(S, 5 * MS);
    }
    assert_eq!(pair.host(1).states(), 1, "of {busy:?} alone");
}

#[test]
fn with_defer_no_answer_comes_before_its_state_on_the_other_firewall() {
    for lanes in LANES {
        let host = |n: usize| {
            let mut config = config(n as u8 + 1, lanes[n], 1024, &OPEN);
            config.sync.defer.delay = 20 * MS;
            config
        };
        let mut pair = Cluster::new(9, vec![host(0), host(1)]);
        pair.run(100 * MS, MS);
        pair.faults.delay_ms = 5;
        pair.begin(60);
        for n in 0..60 {
            let (now, segment) = (pair.now, pair.flows[n].next());
            let (owner, verdict) = pair.host(0).ask(now, 0, &segment);
            assert_eq!(verdict.action, Action::New);
            let verdict = pair.host(0).begins(now, owner, &segment);
            assert_eq!(verdict.action, Action::Held);
            pair.host(0).lanes[owner].hold(verdict.slot, n as u64).unwrap();
        }
        let mut answered = 0;
        for _ in 0..30 {
            pair.run(MS, MS);
            let (now, mut released) = (pair.now + pair.host(0).clock, Vec::new());
            for lane in &mut pair.host(0).lanes {
                lane.take_released(now, usize::MAX, |handle| released.push(handle as usize));
            }
            for n in released {
                let question = pair.flows[n].next();
                pair.flows[n].arrived(&question);
                let answer = pair.flows[n].next();
                assert!(!answer.forward);
                assert!(pair.send_through(n, 1, &answer), "flow {n}, lanes {lanes:?}");
                answered += 1;
            }
        }
        pair.run(2 * MS, MS);
        assert_eq!((answered, pair.host(0).stat("defer_timeouts")), (60, 0));
        assert_eq!((pair.host(0).stat("deferred"), pair.host(0).stat("held_now")), (60, 0));
        // The two go on side by side: questions through one firewall, answers through the other.
        for _ in 0..20 {
            for n in 0..60 {
                let segment = pair.flows[n].next();
                let through = usize::from(!segment.forward);
                assert!(pair.send_through(n, through, &segment), "flow {n}, lanes {lanes:?}");
            }
            pair.run(15 * MS, MS);
        }
    }
}

#[test]
fn ends_are_told_by_the_firewall_that_saw_the_traffic_and_by_it_alone() {
    for lanes in LANES {
        let mut pair = Cluster::pair(8, lanes, 1024);
        pair.begin(60);
        pair.talk(0, 8, 5 * MS);
        pair.run(2 * S, 5 * MS);
        // The copies run out first: nothing is said, and nothing is lost on the other side.
        pair.faults.lose = 1000;
        let alive = |pair: &mut Cluster| {
            for n in 0..pair.flows.len() {
                let probe = pair.flows[n].probe(true);
                assert!(pair.send_through(n, 0, &probe));
            }
        };
        for _ in 0..20 {
            alive(&mut pair);
            pair.run(5 * S, 50 * MS);
        }
        let tcp = pair.flows.iter().filter(|flow| flow.kind == Kind::Tcp).count();
        assert_eq!(pair.host(1).states(), tcp, "copies of UDP and ICMP have run out");
        assert_eq!(pair.host(1).stat("silent_ends"), 60 - tcp as u64);
        assert_eq!(pair.host(1).stat("deletes_sent"), 0);
        pair.faults = CLEAN;
        alive(&mut pair);
        pair.run(3 * S, 5 * MS);
        assert_eq!((pair.host(0).states(), pair.host(1).states()), (60, 60), "traffic brings them back");
        // Now the originals run out, and the copies end by that word.
        pair.close(0, |_| true);
        pair.run(2 * S, 5 * MS);
        let removed = pair.host(1).stat("removed");
        pair.run(115 * S, 20 * MS);
        assert_eq!((pair.host(0).states(), pair.host(1).states()), (0, 0));
        assert_eq!(pair.host(0).stat("deletes_sent"), 60);
        assert!(pair.host(1).stat("removed") > removed);
        assert_eq!(pair.host(1).stat("deletes_sent"), 0, "a delete is not echoed");
    }
}

#[test]
fn a_key_that_is_used_again_replaces_the_old_connection_on_both() {
    for lanes in LANES {
        let mut pair = Cluster::pair(9, lanes, 1024);
        pair.begin(24);
        pair.talk(0, 6, 5 * MS);
        pair.close(0, |_| true);
        pair.run(1200 * MS, 5 * MS);
        pair.assert_equal(0, 1);
        let old = pair.host(1).states();
        for flow in pair.flows.iter_mut().filter(|flow| flow.kind == Kind::Tcp) {
            *flow = flow.again();
        }
        assert_eq!(pair.talk(0, 6, 5 * MS), 0);
        pair.run(1200 * MS, 5 * MS);
        pair.assert_equal(0, 1);
        assert_eq!(pair.host(1).states(), old);
        assert_eq!(pair.host(0).stat("retired"), 16);
        pair.kill(0);
        pair.assert_all_pass(1);
    }
}

/// The old connection's end is known to both, the SYN of the new one and what is told of it to one only. The server begins
/// where its old connection ended, as far as that can be.
#[test]
fn an_answer_that_comes_to_the_old_connection_of_its_ports_waits_for_word_of_the_new_one() {
    for lanes in LANES {
        let mut pair = Cluster::pair(10, lanes, 1024);
        pair.begin(24);
        pair.flows.retain(|flow| flow.kind == Kind::Tcp);
        pair.talk(0, 6, 5 * MS);
        pair.close(0, |_| true);
        pair.run(1200 * MS, 5 * MS);
        pair.faults.lose = 1000;
        for n in 0..pair.flows.len() {
            pair.flows[n] = pair.flows[n].again_at([1_000_000, 1000]);
            let syn = pair.flows[n].next();
            assert!(pair.send_through(n, 1, &syn));
        }
        pair.run(1200 * MS, 5 * MS);
        pair.faults = CLEAN;
        for n in 0..pair.flows.len() {
            let answer = pair.flows[n].next();
            assert!(!pair.send_through(n, 0, &answer), "lanes {lanes:?}: {:?}", pair.flows[n]);
            let syn = pair.flows[n].opening();
            let now = pair.now;
            assert!(pair.host(1).forwards(now, 0, &syn));
        }
        pair.run(1200 * MS, 5 * MS);
        for _ in 0..6 {
            for n in 0..pair.flows.len() {
                let segment = pair.flows[n].next();
                let through = usize::from(segment.forward);
                assert!(pair.send_through(n, through, &segment), "lanes {lanes:?}: {:?}", pair.flows[n]);
            }
            pair.run(20 * MS, MS);
        }
        pair.run(1200 * MS, 5 * MS);
        pair.assert_equal(0, 1);
    }
}

#[test]
fn a_returning_firewall_loads_everything_and_takes_over_again() {
    for (lanes, returning) in [([1, 1], 1), ([1, 3], 1), ([4, 2], 4), ([4, 2], 3), ([4, 1], 2), ([2, 8], 8)] {
        println!("comes back with {returning} lanes");
        let mut pair = Cluster::pair(11, lanes, 1024);
        pair.begin(120);
        assert_eq!(pair.talk(0, 8, 5 * MS), 0);
        pair.run(20 * MS, MS);
        pair.kill(0);
        assert_eq!(pair.talk(1, 4, 5 * MS), 0);
        // Its host id is configured, so its own earlier states come back to it under its own name.
        let later = config(1, returning, 1024, &OPEN);
        pair.boot(0, Config { start_unix_s: later.start_unix_s + 9, ..later });
        assert!(!pair.host(0).engine.ready());
        assert_eq!(pair.talk(1, 4, 5 * MS), 0);
        pair.run(2 * S, MS);
        assert!(pair.host(0).engine.ready());
        assert_eq!(pair.host(0).states(), 120);
        pair.assert_equal(0, 1);
        // New ones on both, and the old ones through the one that came back.
        pair.begin(60);
        assert_eq!(pair.talk(0, 8, 5 * MS), 0);
        pair.run(2 * S, MS);
        pair.assert_equal(0, 1);
        pair.assert_all_pass(1);
        pair.run(2 * S, MS);
        pair.close(1, |n| n % 2 == 0);
        pair.run(115 * S, 20 * MS);
        pair.flows.retain(|flow| flow.kind == Kind::Tcp && flow.phase == Phase::Open);
        let open = pair.flows.len();
        assert_eq!((pair.host(0).states(), pair.host(1).states()), (open, open));
        pair.kill(1);
        pair.assert_all_pass(0);
    }
}
