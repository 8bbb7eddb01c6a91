//! Whole engines, several lanes each, with a wire between them: what one accepted the other carries on, whatever the
//! wire does and whoever dies. A failing test prints its seed.

mod cluster_net;
mod hostile;
mod support;

use cluster_net::flow::{Kind, Phase};
use cluster_net::{CLEAN, Cluster, Faults, MS, S, config};
use pfplane::engine::Config;
use pfplane::lane::Action;
use pfplane::sync::Phase as Bulk;
use pfplane::wire::Profile;

const LANES: [[u32; 2]; 4] = [[1, 1], [1, 3], [4, 2], [8, 1]];
const BAD: Faults = Faults { lose: 200, double: 100, delay_ms: 30 };
const OPEN: [Profile; 1] = [Profile::OpenBsd6];

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

/// Opens UDP flows and lets the peer hear of them.
fn pair_with_udp(grace: u64) -> Cluster {
    let host = |n: u8| {
        let mut config = config(n, 2, 1024, &OPEN);
        config.sync.grace.time = grace;
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
fn a_link_that_comes_back_brings_both_tables_together() {
    for lanes in LANES {
        let mut pair = Cluster::pair(7, lanes, 1024);
        pair.begin(60);
        pair.host(0).engine.set_link(false);
        assert_eq!(pair.talk(0, 8, 5 * MS), 0);
        pair.run(5 * S, 5 * MS);
        assert_eq!(pair.host(1).states(), 0);
        pair.host(0).engine.set_link(true);
        pair.run(2 * S, 5 * MS);
        pair.assert_equal(0, 1);
        assert_eq!(pair.host(1).states(), 60, "offered, since the other side saw no link go down");
    }
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
                lane.released(now, usize::MAX, |handle| released.push(handle as usize));
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
    assert_eq!(three.host(0).stat("bulk_walks_begun"), 4, "one each at the start, two now");
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

#[test]
fn without_the_link_a_firewall_goes_on_alone_and_the_other_one_catches_up_later() {
    for lanes in LANES {
        let host = |n: usize| {
            let mut config = config(n as u8 + 1, lanes[n], 1024, &OPEN);
            config.sync.deletes = 2;
            Config { adaptive_by_capacity: false, ..config }
        };
        let mut pair = Cluster::new(6, vec![host(0), host(1)]);
        pair.begin(120);
        pair.talk(0, 8, 5 * MS);
        pair.run(2 * S, 5 * MS);
        pair.assert_equal(0, 1);
        for n in 0..2 {
            pair.host(n).engine.set_link(false);
        }
        let frames = pair.frames;
        // Short-lived connections, many more than deletes may wait and more than states fit.
        for wave in 0..3 {
            let mut short: Vec<_> =
                (0..1800).map(|n| cluster_net::flow::Flow::new(996 + wave * 12_000 + n * 6 + 2)).collect();
            short.truncate(600 * lanes[0] as usize);
            for flow in &short {
                assert_eq!(flow.kind, Kind::Udp);
                let (now, segment) = (pair.now, flow.next());
                assert!(pair.host(0).forwards(now, 0, &segment), "wave {wave}: there is room for all");
            }
            pair.run(100 * S, 100 * MS);
        }
        assert_eq!(pair.frames, frames, "nothing is written");
        assert!(pair.host(0).stat("deletes_queued") <= 2 * u64::from(lanes[0]));
        assert!(pair.host(0).stat("deletes_lost") > 0);
        pair.flows.retain(|flow| flow.kind == Kind::Tcp);
        pair.flows.extend((200..260).map(cluster_net::flow::Flow::new));
        assert_eq!(pair.talk(0, 4, 5 * MS), 0);
        for n in 0..2 {
            pair.host(n).engine.set_link(true);
        }
        pair.run(3 * S, 5 * MS);
        assert_eq!(pair.host(1).engine.bulk().phase, Bulk::Done);
        assert!(pair.host(1).engine.bulk().states > 0);
        pair.assert_equal(0, 1);
        pair.kill(0);
        pair.assert_all_pass(1);
    }
}

#[test]
fn tables_agree_after_a_wire_that_loses_doubles_and_reorders() {
    for seed in 0..12 {
        let lanes = LANES[seed as usize % LANES.len()];
        let mut pair = Cluster::pair(seed, lanes, 1024);
        pair.faults = BAD;
        pair.begin(90);
        for _ in 0..5 {
            pair.talk(0, 3, 20 * MS);
            pair.run(500 * MS, 5 * MS);
        }
        pair.close(0, |n| n % 3 == 0);
        pair.run(3 * S, 10 * MS);
        pair.faults = CLEAN;
        for _ in 0..2 {
            pair.talk(0, 2, 10 * MS);
            pair.run(1500 * MS, 10 * MS);
        }
        // What was closed under the bad wire runs out on both sides.
        let keep_alive = |pair: &mut Cluster| {
            for n in 0..pair.flows.len() {
                let probe = pair.flows[n].probe(true);
                if pair.flows[n].is_open() {
                    assert!(pair.send_through(n, 0, &probe));
                }
            }
        };
        for _ in 0..40 {
            keep_alive(&mut pair);
            pair.run(5 * S, 20 * MS);
        }
        pair.assert_equal(0, 1);
        let open = pair.flows.iter().filter(|flow| flow.is_open()).count();
        assert_eq!(pair.host(1).states(), open, "seed {seed}: no ended connection stays");
        pair.kill(0);
        pair.assert_all_pass(1);
    }
}

#[test]
fn a_quiet_pair_is_quiet_on_the_wire() {
    for lanes in LANES {
        let mut pair = Cluster::pair(7, lanes, 1024);
        pair.begin(60);
        pair.talk(0, 8, 5 * MS);
        pair.run(3 * S, 5 * MS);
        let frames = pair.frames;
        pair.run(5 * S, 5 * MS);
        assert_eq!(pair.frames, frames);
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

#[test]
fn what_a_full_table_could_not_take_is_counted_and_comes_when_there_is_room() {
    for lanes in [[1, 1], [4, 2], [2, 4]] {
        let host = |n: usize, states| Config {
            adaptive_by_capacity: false,
            ..config(n as u8 + 1, lanes[n], states / lanes[n], &OPEN)
        };
        let mut pair = Cluster::new(10, vec![host(0, 1024), host(1, 64)]);
        pair.run(100 * MS, MS);
        // Twice as many as fit; those that go first are short-lived.
        pair.flows = (0..128).map(cluster_net::flow::Flow::new).collect();
        pair.flows.sort_by_key(|flow| flow.kind == Kind::Tcp);
        pair.flows.truncate(85);
        assert_eq!(pair.talk(0, 8, 5 * MS), 0);
        pair.run(2 * S, 5 * MS);
        assert!(pair.host(1).states() <= 64 && pair.host(1).states() > 48);
        assert!(pair.host(1).stat("table_full") > 0);
        assert!(pair.host(1).stat("requests_sent") <= 85, "it does not ask for what it has no room for");
        pair.run(70 * S, 10 * MS);
        pair.flows.retain(|flow| flow.kind == Kind::Tcp);
        pair.flows.truncate(16 * lanes[1] as usize / 4 + 12);
        assert_eq!(pair.talk(0, 2, 5 * MS), 0);
        pair.run(4 * S, 5 * MS);
        pair.kill(0);
        pair.assert_all_pass(1);
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

#[test]
fn peers_of_different_profiles_each_get_every_change() {
    for lanes in [[1, 1, 1], [3, 2, 4]] {
        let both = [Profile::OpenBsd6, Profile::FreeBsd1400];
        let mut three = Cluster::new(
            12,
            vec![
                config(1, lanes[0], 1024, &both),
                config(2, lanes[1], 1024, &both[..1]),
                config(3, lanes[2], 1024, &both[1..]),
            ],
        );
        three.run(100 * MS, MS);
        three.begin(90);
        assert_eq!(three.talk(0, 8, 5 * MS), 0);
        three.run(2 * S, 5 * MS);
        for other in [1, 2] {
            three.assert_equal(0, other);
            assert_eq!(three.host(other).states(), 90);
            assert!(three.host(other).stat("badver") > 0, "the other dialect is on the wire as well");
        }
        three.close(0, |_| true);
        three.run(115 * S, 20 * MS);
        for other in [1, 2] {
            assert_eq!(three.host(other).states(), 0);
            assert!(three.host(other).stat("removed") > 0);
        }
        // A late one of either dialect is told all.
        three.flows.clear();
        three.begin(60);
        three.talk(0, 8, 5 * MS);
        for other in [1u8, 2] {
            three.kill(other.into());
            let profile = both[usize::from(other) - 1];
            three.boot(other.into(), config(other + 1, 2, 1024, &[profile]));
            three.run(2 * S, 5 * MS);
            assert!(three.host(other.into()).engine.ready());
            assert_eq!(three.host(other.into()).states(), 60, "{profile:?}");
        }
        three.kill(0);
        three.assert_all_pass(1);
        three.assert_all_pass(2);
    }
}

#[test]
fn hostile_frames_are_counted_and_harm_no_state() {
    for lanes in LANES {
        let mut pair = Cluster::pair(13, lanes, 1024);
        pair.begin(60);
        assert_eq!(pair.talk(0, 8, 5 * MS), 0);
        pair.run(2 * S, 5 * MS);
        for frame in hostile::frames() {
            pair.put_all(&frame);
            pair.run(MS, MS);
        }
        for host in 0..2 {
            for counter in [
                "badip",
                "badttl",
                "hdrops",
                "badver",
                "badlen",
                "badact",
                "badval",
                "skipped",
                "bulk_ignored",
            ] {
                assert!(pair.host(host).stat(counter) > 0, "{counter} lanes {lanes:?}");
            }
            assert!(pair.host(host).lanes.iter().all(|lane| !lane.is_broken()));
        }
        pair.assert_all_pass(0);
        pair.assert_all_pass(1);
        for seed in 0..2000 {
            let frame = hostile::noise(&mut pair.random, seed);
            pair.put_all(&frame);
            if seed % 50 == 0 {
                pair.run(MS, MS);
            }
        }
        pair.run(2 * S, 5 * MS);
        pair.assert_all_pass(0);
        pair.assert_all_pass(1);
    }
}
