//! Settings whose effect shows over time: the seed, ended states, repeats, eviction; and a host's clock that steps.

use super::world::*;
use core::ffi::CStr;
use core::ptr::null;
use pfplane::internals::ffi::*;
use pfplane_testkit::Packet;

fn syn(n: u16) -> Packet {
    Packet::syn(n.is_multiple_of(2), 5, 6, [4000 + n, 443])
}

fn open(lane: Lane, ports: core::ops::Range<u16>, now: u64) {
    for n in ports {
        assert_eq!(lane.create(&burst(PFPLANE_IN, now), &syn(n).tcp()).action, PFPLANE_PASS);
    }
}

fn polled(engine: &Engine, now: u64, name: &CStr) -> u64 {
    engine.lane(0).poll(now);
    engine.stat(name)
}

#[test]
fn a_seed_repeats_host_id_and_state_ids_and_without_one_they_differ() {
    let ids = |seed: *const [u8; 32], start_unix_s| {
        let engine = Engine::new(&pfplane_config { random_seed: seed, start_unix_s, ..config() });
        open(engine.lane(0), 0..1, MS);
        (pfplane_engine_host_id(engine.get()), engine.lane(0).states(MS)[0].id)
    };
    let (one, other) = ([1; 32], [2; 32]);
    let first = ids(&one, 1000);
    assert_eq!(ids(&one, 1000), first);
    let later = ids(&one, 1001);
    assert!(later.0 == first.0 && later.1 != first.1, "{later:x?}");
    for different in [ids(&other, 1000), ids(null(), 1000), ids(null(), 1000)] {
        assert!(different.0 != first.0 && different.1 != first.1, "{different:x?}");
    }
    assert_ne!(ids(null(), 1000), ids(null(), 1000));
}

/// A node kills its states. Then frames arrive in which its peer had sent them all before.
#[test]
fn ended_states_are_remembered_for_the_number_and_the_time_of_the_settings() {
    let all = u32::MAX;
    for (max_ended_per_lane, ended_s, wait_s, back) in
        [(all, 86_400, 0, 0), (all, 86_400, 10, 0), (all, 5, 10, 40), (all, 30, 10, 0), (0, 86_400, 0, 40)]
    {
        let here = Engine::with_peer(&config(), &peer(1));
        let settings = pfplane_config { max_ended_per_lane, ended_s, ..config() };
        let there = Engine::with_peer(&settings, &peer(2));
        let [from, to] = [&here, &there].map(|engine| engine.lane(0));
        open(from, 0..40, SECOND);
        let mut now = 21 * SECOND;
        assert_eq!(unsafe { pfplane_engine_bulk_push(here.0) }, PFPLANE_OK);
        let mut frames = Vec::new();
        for _ in 0..20 {
            now += MS;
            from.poll(now);
            to.poll(now);
            frames.extend(from.flush(now));
        }
        let deliver = |now| frames.iter().for_each(|frame| to.receive(frame, now));
        deliver(now);
        let states = to.states(now);
        assert_eq!(states.len(), 40);
        for view in &states {
            assert_eq!(pfplane_lane_state_kill_id(to.get(), now, view.id, view.creator), PFPLANE_OK);
        }
        for _ in 0..wait_s {
            now += SECOND;
            to.poll(now);
        }
        deliver(now);
        assert_eq!(to.states(now).len(), back, "{max_ended_per_lane} {ended_s} {wait_s}");
        let refused = polled(&there, now + 2 * MS, c"imports_refused_ended");
        assert_eq!(refused > 0, back == 0, "{refused}");
    }
    for (max_ended, ended_s) in [(all, 0), (all, 1_000_001)] {
        let mut engine = core::ptr::null_mut();
        let peers = peer(1);
        let wrong = pfplane_config { max_ended_per_lane: max_ended, ended_s, ..config() };
        let wrong = pfplane_config { peers: &raw const peers, peer_count: 1, ..wrong };
        let status = unsafe { pfplane_engine_new(Some(&wrong), out(&mut engine)) };
        assert_eq!(status, PFPLANE_ERROR_SETTING, "{}", last_error());
        assert!(last_error().contains("ended_s"), "{}", last_error());
    }
}

#[test]
fn a_repeat_makes_up_for_a_lost_insert_and_zero_repeats_nothing() {
    for (repeat_age_s, arrive) in [(10, 20), (0, 0)] {
        let here = Engine::with_peer(&pfplane_config { repeat_age_s, ..config() }, &peer(1));
        let there = Engine::with_peer(&config(), &peer(2));
        let [from, to] = [&here, &there].map(|engine| engine.lane(0));
        let mut now = SECOND;
        let run = |now: &mut u64, milliseconds: u64| {
            for _ in 0..milliseconds {
                *now += MS;
                for (from, to) in [(from, to), (to, from)] {
                    from.poll(*now);
                    from.carry(to, *now);
                }
            }
        };
        run(&mut now, 100);
        open(from, 0..20, now);
        // The inserts are lost on the link.
        now += 20 * MS;
        from.poll(now);
        assert!(!from.flush(now).is_empty());
        run(&mut now, 500);
        assert_eq!(to.states(now).len(), 0);
        run(&mut now, 4000);
        assert_eq!(to.states(now).len(), arrive);
        assert_eq!(polled(&here, now, c"repeats_sent") > 0, arrive > 0);
    }
}

#[test]
fn a_full_table_replaces_its_oldest_half_open_connections_if_it_has_enough_of_them() {
    for (evict_half_open_percent, half_open, evicts) in
        [(10, 100, true), (10, 11, true), (10, 5, false), (0, 100, false), (100, 100, true), (100, 99, false)]
    {
        let limits = pfplane_config { states_per_lane: 100, max_half_open: 0, ..config() };
        let engine = Engine::new(&pfplane_config { evict_half_open_percent, ..limits });
        let lane = engine.lane(0);
        open(lane, 0..100, SECOND);
        for n in half_open..100 {
            let answer = (PFPLANE_OUT, syn(n).syn_ack().tcp());
            for (direction, bytes) in [answer, (PFPLANE_IN, syn(n).data(1001, 5001, 0).tcp())] {
                assert_eq!(lane.look_up(&burst(direction, SECOND), &bytes).action, PFPLANE_PASS);
            }
        }
        lane.poll(SECOND + MS);
        let new = lane.create(&burst(PFPLANE_IN, 2 * SECOND), &syn(200).tcp());
        let expected = if evicts { (PFPLANE_PASS, 0) } else { (PFPLANE_DROP, PFPLANE_REASON_TABLE_FULL) };
        assert_eq!((new.action, new.reason), expected, "{evict_half_open_percent} % of {half_open}");
        let evicted = polled(&engine, 3 * SECOND, c"states_evicted_half_open");
        assert_eq!((evicted, lane.states(3 * SECOND).len()), (u64::from(evicts), 100));
        // The oldest half-open one has gone, and every open one is here.
        let is_here = |n: u16| {
            let ports = lane.states(3 * SECOND).iter().map(|view| view.state.key[0].port).collect::<Vec<_>>();
            ports.contains(&[4000 + n, 443])
        };
        assert_eq!((is_here(0), is_here(200)), (!evicts, evicts));
        assert!((half_open..100).all(is_here));
    }
}

#[test]
fn a_clock_that_steps_is_counted_and_neither_ends_nor_freezes_anything() {
    const DAY: u64 = 86_400 * SECOND;
    for host in [100 * DAY, 2 * DAY, 300 * DAY, u64::MAX - DAY] {
        let engine = Engine::new(&pfplane_config { evict_half_open_percent: 0, ..config() });
        let lane = engine.lane(0);
        let start = 100 * DAY;
        lane.poll(start);
        open(lane, 0..10, start);
        let steps = u64::from(host != start);
        lane.poll(host);
        assert_eq!(polled(&engine, host + 2 * MS, c"clock_steps"), steps, "{host}");
        assert_eq!(lane.states(host + 2 * MS).len(), 10);
        // Time continues from there: half-open connections end after 120 seconds (tcp.first), and not before 5.
        for second in 1..=5 {
            lane.poll(host + second * SECOND);
        }
        assert_eq!(lane.states(host + 5 * SECOND).len(), 10);
        for second in 6..=150 {
            (0..5).for_each(|n| lane.poll(host + second * SECOND + n * MS));
        }
        assert_eq!(polled(&engine, host + 151 * SECOND, c"states"), 0);
        assert_eq!(engine.stat(c"clock_steps"), steps);
    }
}
