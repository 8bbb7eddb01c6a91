//! From one node to another: a connection continues, frames are requeued, the pace changes.

use super::world::*;
use core::ptr::{null, null_mut};
use pfplane::internals::ffi::*;
use pfplane_testkit::Packet;

#[test]
fn a_connection_of_one_engine_continues_on_another() {
    let engines = [1, 2].map(|node| Engine::with_peer(&config(), &peer(node)));
    let [here, there] = engines.each_ref().map(|engine| engine.lane(0));
    assert!(!pfplane_engine_ready(engines[1].get()), "not before the peer has answered");

    for v6 in [false, true] {
        let syn = Packet::syn(v6, 5, 6, [4000, 443]);
        let answer = syn.syn_ack();
        let steps = [
            (syn.tcp(), PFPLANE_IN),
            (answer.tcp(), PFPLANE_OUT),
            (syn.data(1001, 5001, 0).tcp(), PFPLANE_IN),
        ];
        let unknown = there.look_up(&burst(PFPLANE_OUT, MS), &answer.data(5001, 1001, 10).tcp());
        assert_eq!(unknown.action, PFPLANE_NEW);
        for (bytes, direction) in &steps {
            let burst = burst(*direction, 10 * MS);
            let mut verdict = here.look_up(&burst, bytes);
            if verdict.action == PFPLANE_NEW {
                verdict = here.create(&burst, bytes);
            }
            assert_eq!(verdict.action, PFPLANE_PASS);
        }
    }
    // Both lanes are polled and exchange what is due, for two seconds of their time.
    for step in 0..200 {
        let now = (20 + 10 * step) * MS;
        for (from, to) in [(here, there), (there, here)] {
            from.poll(now);
            from.carry(to, now);
        }
    }
    assert!(pfplane_engine_ready(engines[1].get()));
    assert_eq!((engines[1].stat(c"states"), engines[1].stat(c"states_imported")), (2, 2));
    for v6 in [false, true] {
        let data = Packet::syn(v6, 5, 6, [4000, 443]).syn_ack().data(5001, 1001, 10).tcp();
        let verdict = there.look_up(&burst(PFPLANE_OUT, 2100 * MS), &data);
        assert_eq!((verdict.action, verdict.reverse), (PFPLANE_PASS, 1));
    }
    let mut families = Vec::new();
    for view in there.states(2100 * MS) {
        let (key, state) = (&view.state.key[0], &view.state);
        assert_eq!((view.creator, view.imported), (pfplane_engine_host_id(engines[0].get()), 1));
        assert_eq!((key.proto, key.port), (6, [4000, 443]));
        assert_eq!((state.src.state, state.dst.state), (4, 4), "established on both sides");
        families.push(key.family);
    }
    families.sort_unstable();
    assert_eq!(families, [4, 6]);
}

#[test]
fn a_frame_that_a_port_did_not_take_is_requeued_and_each_peer_has_its_statistics() {
    // The first peer's frames start with an Ethernet header, the second one's with IP.
    let with_ethernet = pfplane_peer { ethernet: 1, ethernet_source: [2, 0, 0, 0, 0, 1], ..peer(1) };
    let peers = [with_ethernet, pfplane_peer { profile: PFPLANE_PROFILE_FREEBSD1400, ..peer(1) }];
    let engine = Engine::new(&pfplane_config { peers: peers.as_ptr(), peer_count: 2, ..config() });
    let lane = engine.lane(0);
    for n in 0..3 {
        lane.create(&burst(PFPLANE_IN, 100 * MS), &Packet::syn(n == 1, 5, 6, [4000 + n, 443]).tcp());
    }
    let frames = lane.flush(110 * MS);
    assert_eq!(frames.len(), 2);
    let requeue =
        |frame: *const u8, length| unsafe { pfplane_lane_requeue(lane.get(), frame, length, 110 * MS) };
    for frame in &frames {
        assert_eq!(requeue(frame.as_ptr(), frame.len() as u32), PFPLANE_OK);
    }
    assert_eq!(requeue(null(), 1), PFPLANE_ERROR_NULL);
    lane.poll(111 * MS);
    assert_eq!((engine.stat(c"oerrors"), engine.stat(c"exposed_creations")), (2, 3));

    let peer_stat = |peer, lane, index, out: &mut pfplane_stat| {
        pfplane_engine_peer_stat(engine.get(), peer, lane, index, Some(out))
    };
    assert_eq!(peer_stat(2, PFPLANE_ALL_LANES, 0, &mut stat()), PFPLANE_ERROR_ARGUMENT);
    assert_eq!(peer_stat(0, 7, 0, &mut stat()), PFPLANE_ERROR_LANE);
    assert_eq!(peer_stat(0, 0, 1000, &mut stat()), PFPLANE_END);
    for peer in [0, 1] {
        let all = statistics(|index, out| peer_stat(peer, PFPLANE_ALL_LANES, index, out));
        let value = |name| all.iter().find(|row| row.0 == name).expect(name).2;
        assert_eq!((value("oerrors"), value("inserts_sent"), value("exposed_creations")), (1, 3, 3));
    }
    // Before them, the request for all states, which is due with the first poll.
    let again = lane.flush(120 * MS);
    let lengths = |frames: &[Vec<u8>]| frames.iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(lengths(&again)[2..], lengths(&frames));
}

#[test]
fn the_pace_can_be_changed_within_its_ranges() {
    let engine = Engine::new(&config());
    let tune =
        |engine, insert_age, updates| unsafe { pfplane_engine_tune(engine, insert_age, 500, updates, 16) };
    assert_eq!(tune(engine.0, 5, 64), PFPLANE_OK);
    assert_eq!(tune(engine.0, 10_001, 64), PFPLANE_ERROR_SETTING);
    assert!(last_error().contains("max_insert_age_ms is 10001"), "{}", last_error());
    assert_eq!(tune(engine.0, 5, 256), PFPLANE_ERROR_SETTING);
    assert_eq!(tune(null_mut(), 5, 64), PFPLANE_ERROR_NULL);
    assert_eq!(unsafe { pfplane_engine_bulk_push(engine.0) }, PFPLANE_OK);
}

#[test]
fn a_download_survives_a_sync_link_that_died_before_its_node_up_to_the_maximum_rate() {
    // 64 Mbit/s for 1.5 seconds.
    const AHEAD: u32 = 12_000_000;
    for (max_rate_mbit, survives) in [(10_000, true), (100, true), (10, false)] {
        let settings = pfplane_config { max_rate_mbit, ..config() };
        let engines = [1, 2].map(|node| Engine::with_peer(&settings, &peer(node)));
        let [here, there] = engines.each_ref().map(|engine| engine.lane(0));
        for v6 in [false, true] {
            let syn = Packet::syn(v6, 5, 6, [4000, 443]);
            let answer = syn.syn_ack();
            assert_eq!(here.create(&burst(PFPLANE_IN, MS), &syn.tcp()).action, PFPLANE_PASS);
            for (bytes, direction) in
                [(answer.tcp(), PFPLANE_OUT), (syn.data(1001, 5001, 200).tcp(), PFPLANE_IN)]
            {
                assert_eq!(here.look_up(&burst(direction, MS), &bytes).action, PFPLANE_PASS);
            }
        }
        for now in [20 * MS, 1_100 * MS] {
            [here, there].iter().for_each(|lane| lane.poll(now));
            here.carry(there, now);
        }
        // The link is down from here on, and the other node dies 1.5 seconds later.
        for v6 in [false, true] {
            let syn = Packet::syn(v6, 5, 6, [4000, 443]);
            let answer = syn.syn_ack();
            for turn in 0..40 {
                let (at, now) = (5001 + AHEAD + turn * 1_000, (2_600 + u64::from(turn)) * MS);
                let data = there.look_up(&burst(PFPLANE_OUT, now), &answer.data(at, 1201, 1_000).tcp());
                let ack = there.look_up(&burst(PFPLANE_IN, now), &syn.data(1201, at + 1_000, 0).tcp());
                let expected = if survives { PFPLANE_PASS } else { PFPLANE_DROP };
                assert_eq!([data.action, ack.action], [expected; 2], "{max_rate_mbit} {v6} {turn}");
            }
        }
        there.poll(2_700 * MS);
        assert_eq!(engines[1].stat(c"packets_dropped_window") > 0, !survives);
    }
}
