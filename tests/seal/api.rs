//! The seal through the C API: handshake, modes, rotation, wrong settings, and what frames without a seal may do.

use super::world::*;
use super::*;

fn status(node: &Engine) -> pfplane_seal_status {
    let mut status = pfplane_seal_status { size: size::<pfplane_seal_status>(), ..zeroed() };
    assert_eq!(pfplane_engine_seal_status(node.get(), 0, Some(&mut status)), PFPLANE_OK);
    status
}

#[test]
fn sealed_nodes_hold_each_others_states_in_every_dialect_and_family() {
    for profile in 1..=4 {
        for v6 in [false, true] {
            let keys = [key(1)];
            let make = |n| node(&pfplane_peer { profile, ..sealed(n, v6, PFPLANE_SEAL_REQUIRE, &keys) });
            let (a, b) = (make(1), make(2));
            create(&a, 0, 40, MS);
            exchange([&a, &b], MS, 100 * MS);
            create(&b, 100, 40, 100 * MS);
            exchange([&a, &b], 100 * MS, 200 * MS);
            for node in [&a, &b] {
                assert_eq!(states(node, 200 * MS), 80, "{profile} {v6}");
                let status = status(node);
                assert_eq!((status.proven, status.accepted, status.mode), (1, 1, PFPLANE_SEAL_REQUIRE));
                assert_eq!((status.key_sent, status.key_received, status.peer_keys), (1, 1, [1, 0, 0, 0]));
                assert!(node.stat(c"frames_sealed") > 0 && pfplane_engine_ready(node.get()));
                for refused in [c"badauth", c"seal_key", c"seal_missing", c"seal_replayed", c"badlen"] {
                    assert_eq!(node.stat(refused), 0, "{refused:?}");
                }
            }
        }
    }
}

#[test]
fn a_node_that_restarts_is_accepted_again_and_receives_all_states() {
    let keys = [key(1)];
    let make = |n| node(&sealed(n, false, PFPLANE_SEAL_REQUIRE, &keys));
    let (a, b) = (make(1), make(2));
    create(&a, 0, 50, MS);
    let old = exchange([&a, &b], MS, 2000 * MS);
    drop(b);
    let b = make(2);
    create(&a, 50, 50, 2000 * MS);
    exchange([&a, &b], 2000 * MS, 2200 * MS);
    assert_eq!(states(&b, 2200 * MS), 100);
    assert!(pfplane_engine_ready(a.get()) && pfplane_engine_ready(b.get()));
    let accepted = b.stat(c"frames_sealed");
    old.iter().for_each(|frame| b.lane(0).receive(frame, 2200 * MS));
    b.lane(0).poll(2202 * MS);
    assert_eq!(b.stat(c"frames_sealed"), accepted, "frames of before the start were accepted");
}

#[test]
fn the_mode_decides_about_frames_without_a_seal() {
    let keys = [key(1)];
    let plain = node(&pfplane_peer { extensions: 1, ..sealed(1, false, PFPLANE_SEAL_OFF, &[]) });
    for (mode, accepted, name) in
        [(PFPLANE_SEAL_SIGN, 20, c"frames_unsealed"), (PFPLANE_SEAL_REQUIRE, 0, c"seal_missing")]
    {
        let b = node(&sealed(2, false, mode, &keys));
        create(&plain, mode as u16 * 20, 20, MS);
        exchange([&plain, &b], MS, 100 * MS);
        assert_eq!(states(&b, 100 * MS), accepted);
        assert!(b.stat(name) > 0);
        assert!(plain.stat(c"badlen") == 0 && plain.stat(c"frames_sealed") == 0);
    }
    // Both nodes have the seal by now: a frame without one is an attacker's.
    let (a, b) = (
        node(&sealed(1, false, PFPLANE_SEAL_SIGN, &keys)),
        node(&sealed(2, false, PFPLANE_SEAL_SIGN, &keys)),
    );
    exchange([&a, &b], MS, 100 * MS);
    create(&plain, 100, 20, 100 * MS);
    exchange([&plain, &b], 100 * MS, 200 * MS);
    assert_eq!(states(&b, 200 * MS), 0);
    assert!(b.stat(c"seal_stripped") > 0);
}

#[test]
fn keys_are_rotated_under_traffic_without_a_lost_frame() {
    let keys = [key(1)];
    let make = |n| node(&sealed(n, false, PFPLANE_SEAL_REQUIRE, &keys));
    let (a, b) = (make(1), make(2));
    exchange([&a, &b], MS, 100 * MS);
    let before = [&a, &b].map(|node| (node.stat(c"seal_unproven"), node.stat(c"frames_lost")));
    let add = |node: &Engine, id| unsafe { pfplane_engine_seal_key_add(node.0, 0, Some(&key(id))) };
    let remove = |node: &Engine, id| unsafe { pfplane_engine_seal_key_remove(node.0, 0, id) };
    let mut now = 100 * MS;
    for step in 0..40_u16 {
        match step {
            5 => assert_eq!(add(&a, 2), PFPLANE_OK),
            10 => {
                assert_eq!((status(&a).keys, status(&a).key_sent), ([2, 1, 0, 0], 1));
                assert_eq!(remove(&a, 1), PFPLANE_ERROR_SETTING);
                assert!(last_error().contains("still sends with this key"), "{}", last_error());
                assert_eq!(add(&b, 2), PFPLANE_OK);
            }
            30 => assert_eq!([remove(&a, 1), remove(&b, 1)], [PFPLANE_OK; 2]),
            _ => {}
        }
        create(&a, step * 10, 10, now);
        exchange([&a, &b], now, now + 200 * MS);
        now += 200 * MS;
    }
    assert_eq!(states(&b, now), 400);
    for node in [&a, &b] {
        assert_eq!(
            (status(node).key_sent, status(node).key_received, status(node).keys),
            (2, 2, [2, 0, 0, 0])
        );
        for name in [c"badauth", c"seal_key", c"seal_replayed"] {
            assert_eq!(node.stat(name), 0, "{name:?}");
        }
    }
    let after = [&a, &b].map(|node| (node.stat(c"seal_unproven"), node.stat(c"frames_lost")));
    assert_eq!(after, before);
}

#[test]
fn wrong_settings_of_a_seal_are_refused_with_the_reason() {
    let keys = [key(1), pfplane_seal_key { id: 1, ..key(2) }];
    let short = [pfplane_seal_key { key_bytes: 16, ..key(1) }];
    let zero_id = [pfplane_seal_key { id: 0, ..key(1) }];
    let zeros = [0_u8; 32];
    let no_secret = [pfplane_seal_key { key: zeros.as_ptr(), ..key(1) }];
    let require = |keys: &[pfplane_seal_key]| sealed(1, false, PFPLANE_SEAL_REQUIRE, keys);
    let group = pfplane_peer { destination: zeroed(), ..require(&keys[..1]) };
    let cases = [
        (require(&keys), "two keys have the same id"),
        (require(&short), "a key must have 32 bytes"),
        (require(&zero_id), "from 1 to 255"),
        (require(&no_secret), "zeros only"),
        (require(&[]), "needs at least one key"),
        (group, "a sealed peer is one node"),
        (pfplane_peer { seal: 9, ..require(&keys[..1]) }, "peer.seal"),
        (pfplane_peer { unsealed_may: 16, ..require(&keys[..1]) }, "peer.unsealed_may"),
        (pfplane_peer { seal_key_count: 5, ..require(&keys[..1]) }, "peer.seal_key_count"),
    ];
    for (peer, reason) in cases {
        let config = pfplane_config { peers: &raw const peer, peer_count: 1, ..config() };
        let mut engine = core::ptr::null_mut();
        let status = unsafe { pfplane_engine_new(Some(&config), out(&mut engine)) };
        assert!(status != PFPLANE_OK && last_error().contains(reason), "{reason}: {}", last_error());
    }
    let plain = node(&sealed(1, false, PFPLANE_SEAL_OFF, &[]));
    let status = unsafe { pfplane_engine_seal_key_add(plain.0, 0, Some(&key(1))) };
    assert!(
        status == PFPLANE_ERROR_SETTING && last_error().contains("no peer is sealed"),
        "{}",
        last_error()
    );
    let mut shown = pfplane_seal_status { size: size::<pfplane_seal_status>(), ..zeroed() };
    assert_eq!(pfplane_engine_seal_status(plain.get(), 1, Some(&mut shown)), PFPLANE_ERROR_ARGUMENT);
    assert_eq!(pfplane_engine_seal_status(plain.get(), 0, Some(&mut shown)), PFPLANE_OK);
    assert_eq!((shown.mode, shown.keys), (PFPLANE_SEAL_OFF, [0; 4]));
}

#[test]
fn a_peer_without_a_seal_ends_no_state_of_sealed_nodes() {
    let keys = [key(1)];
    for (unsealed_may, left) in [(3, 40), (7, 0)] {
        let profile = PFPLANE_PROFILE_FREEBSD1400;
        // The third node is a stock system on another address.
        let stock_here = pfplane_peer { profile, destination: address(9, false), unsealed_may, ..peer(1) };
        let peers = [sealed(1, false, PFPLANE_SEAL_REQUIRE, &keys), stock_here];
        let settings = pfplane_config { lanes: LANES, peers: peers.as_ptr(), peer_count: 2, ..config() };
        let a = Engine::new(&settings);
        let b = node(&sealed(2, false, PFPLANE_SEAL_REQUIRE, &keys));
        let there =
            pfplane_peer { profile, source: address(9, false), destination: address(1, false), ..peer(9) };
        let stock = node(&there);
        create(&a, 0, 20, MS);
        create(&b, 20, 20, MS);
        let mut now = MS;
        let mut run = |until: u64| {
            while now < until {
                for frame in frames(&a, now) {
                    b.lane(0).receive(&frame, now);
                    stock.lane(0).receive(&frame, now);
                }
                frames(&b, now).iter().for_each(|frame| a.lane(0).receive(frame, now));
                frames(&stock, now).iter().for_each(|frame| a.lane(0).receive(frame, now));
                now += MS;
            }
        };
        run(300 * MS);
        assert_eq!((states(&a, 300 * MS), states(&b, 300 * MS)), (40, 40));
        assert!(states(&stock, 300 * MS) >= 20);
        run(2500 * MS);
        assert_eq!(unsafe { pfplane_engine_clear(stock.0) }, PFPLANE_OK);
        run(3000 * MS);
        let (before, refused) = (states(&stock, 3000 * MS), a.stat(c"messages_unsealed"));
        assert_eq!(before, 0);
        let held = states(&a, 3000 * MS);
        assert_eq!((held >= left, refused > 0), (true, left > 0), "{unsealed_may}: {held} {refused}");
        assert!(left > 0 || held < 40, "{held}");
    }
}
