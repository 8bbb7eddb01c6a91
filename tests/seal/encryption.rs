//! Encrypted frames: what the link shows of them, peers in other modes, and frames that a port refused.

use super::world::*;
use super::*;
use pfplane::pfsync::envelope::Envelope;
use pfplane::pfsync::{FrameReader, Protection};

/// The interface name of every state here, as frames carry it.
const READABLE: &[u8] = b"all\0\0\0\0\0\0\0\0\0\0\0\0\0";

fn status(node: &Engine) -> pfplane_seal_status {
    let mut status = pfplane_seal_status { size: size::<pfplane_seal_status>(), ..zeroed() };
    assert_eq!(pfplane_engine_seal_status(node.get(), 0, Some(&mut status)), PFPLANE_OK);
    status
}

/// How a frame is protected, and whether a stock system reads nothing of it.
fn protection(frame: &[u8]) -> (Protection, bool) {
    let payload = &frame[Envelope::parse(frame).unwrap().payload];
    let mut reader = FrameReader::new(payload).unwrap();
    let protection =
        reader.trailer().unwrap().map_or(Protection::None, |trailer| trailer.fields().protection);
    (protection, reader.next_region().is_none())
}

fn is_readable(frame: &[u8]) -> bool {
    frame.windows(READABLE.len()).any(|bytes| bytes == READABLE)
}

#[test]
fn encrypted_nodes_hold_each_others_states_and_the_link_shows_none() {
    for profile in 1..=4 {
        for v6 in [false, true] {
            for mode in [PFPLANE_SEAL_REQUIRE, PFPLANE_SEAL_ENCRYPT] {
                let keys = [key(1)];
                let make = |n| node(&pfplane_peer { profile, ..sealed(n, v6, mode, &keys) });
                let (a, b) = (make(1), make(2));
                create(&a, 0, 40, MS);
                let mut all = exchange([&a, &b], MS, 100 * MS);
                create(&b, 100, 40, 100 * MS);
                all.extend(exchange([&a, &b], 100 * MS, 200 * MS));
                let is_encrypted = mode == PFPLANE_SEAL_ENCRYPT;
                assert_eq!(all.iter().any(|frame| is_readable(frame)), !is_encrypted, "{profile} {v6}");
                for frame in &all {
                    let (protection, is_empty) = protection(frame);
                    assert!(!is_encrypted || is_empty, "a stock system reads records");
                    assert!(is_encrypted || protection == Protection::Gmac);
                }
                for node in [&a, &b] {
                    assert_eq!(states(node, 200 * MS), 80, "{profile} {v6} {mode}");
                    assert_eq!((status(node).encrypts, status(node).mode), (is_encrypted.into(), mode));
                    assert_eq!(node.stat(c"frames_decrypted") > 0, is_encrypted);
                    for refused in [c"badauth", c"seal_format", c"seal_unencrypted", c"badlen", c"hdrops"] {
                        assert_eq!(node.stat(refused), 0, "{refused:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_node_that_signs_encrypts_as_soon_as_its_peer_wants_that() {
    for mode in [PFPLANE_SEAL_SIGN, PFPLANE_SEAL_REQUIRE] {
        let keys = [key(1)];
        let a = node(&sealed(1, false, PFPLANE_SEAL_ENCRYPT, &keys));
        let b = node(&sealed(2, false, mode, &keys));
        create(&b, 0, 40, MS);
        exchange([&a, &b], MS, 200 * MS);
        create(&b, 100, 40, 200 * MS);
        create(&a, 200, 40, 200 * MS);
        let later = exchange([&a, &b], 200 * MS, 1500 * MS);
        assert!(!later.iter().any(|frame| is_readable(frame)), "{mode}");
        for node in [&a, &b] {
            assert_eq!(states(node, 1500 * MS), 120, "{mode}");
            assert_eq!((status(node).encrypts, status(node).proven), (1, 1));
            assert!(pfplane_engine_ready(node.get()));
        }
        // The other node is restarted with its former mode: both are signed again.
        drop(a);
        let a = node(&sealed(1, false, PFPLANE_SEAL_REQUIRE, &keys));
        exchange([&a, &b], 1500 * MS, 3000 * MS);
        assert_eq!((status(&a).encrypts, status(&b).encrypts), (0, 0));
        create(&b, 300, 10, 3000 * MS);
        exchange([&a, &b], 3000 * MS, 3100 * MS);
        assert_eq!((states(&a, 3100 * MS), states(&b, 3100 * MS)), (130, 130));
    }
}

#[test]
fn a_running_pair_changes_to_encryption_one_node_at_a_time_and_keeps_all_states() {
    let keys = [key(1)];
    let make = |n, mode| node(&sealed(n, true, mode, &keys));
    let (a, b) = (make(1, PFPLANE_SEAL_REQUIRE), make(2, PFPLANE_SEAL_REQUIRE));
    create(&a, 0, 50, MS);
    exchange([&a, &b], MS, 1000 * MS);
    drop(b);
    let b = make(2, PFPLANE_SEAL_ENCRYPT);
    create(&a, 50, 50, 1000 * MS);
    exchange([&a, &b], 1000 * MS, 2000 * MS);
    assert_eq!(states(&b, 2000 * MS), 100);
    drop(a);
    let a = make(1, PFPLANE_SEAL_ENCRYPT);
    create(&b, 100, 50, 2000 * MS);
    let all = exchange([&a, &b], 2000 * MS, 3000 * MS);
    assert_eq!((states(&a, 3000 * MS), states(&b, 3000 * MS)), (150, 150));
    assert!(!all.iter().any(|frame| is_readable(frame)));
    assert!(pfplane_engine_ready(a.get()) && pfplane_engine_ready(b.get()));
}

#[test]
fn an_encrypted_node_and_one_without_a_seal_exchange_nothing_and_both_count_it() {
    let keys = [key(1)];
    let a = node(&sealed(1, false, PFPLANE_SEAL_ENCRYPT, &keys));
    let b = node(&sealed(2, false, PFPLANE_SEAL_OFF, &[]));
    create(&a, 0, 20, MS);
    create(&b, 100, 20, MS);
    exchange([&a, &b], MS, 200 * MS);
    assert_eq!((states(&a, 200 * MS), states(&b, 200 * MS)), (20, 20));
    assert!(a.stat(c"seal_missing") > 0 && b.stat(c"seal_format") > 0);
}

#[test]
fn a_stock_peer_gets_no_encrypted_frame() {
    // Alone: refused with the reason.
    let stock = pfplane_peer { extensions: 0, ..sealed(1, false, PFPLANE_SEAL_ENCRYPT, &[key(1)]) };
    let config = pfplane_config { peers: &raw const stock, peer_count: 1, ..config() };
    let mut engine = core::ptr::null_mut();
    let status = unsafe { pfplane_engine_new(Some(&config), out(&mut engine)) };
    assert_eq!(status, PFPLANE_ERROR_SETTING);
    assert!(
        last_error().contains("a stock pf system reads nothing of an encrypted frame"),
        "{}",
        last_error()
    );
    // Beside an encrypted node: its frames are as ever.
    let keys = [key(1)];
    let beside = pfplane_peer { destination: address(9, false), ..peer(1) };
    let peers = [sealed(1, false, PFPLANE_SEAL_ENCRYPT, &keys), beside];
    let a = Engine::new(&pfplane_config { lanes: LANES, peers: peers.as_ptr(), peer_count: 2, ..config });
    let b = node(&sealed(2, false, PFPLANE_SEAL_ENCRYPT, &keys));
    create(&a, 0, 40, MS);
    let all = exchange([&a, &b], MS, 200 * MS);
    let (stock, encrypted): (Vec<_>, Vec<_>) = all.iter().partition(|frame| frame[19] == 9);
    assert!(stock.len() > 3 && stock.iter().all(|frame| protection(frame).0 == Protection::None));
    assert!(stock.iter().any(|frame| is_readable(frame)));
    assert!(encrypted.len() > 3 && !encrypted.iter().any(|frame| is_readable(frame)));
    assert_eq!(states(&b, 200 * MS), 40);
}

#[test]
fn what_an_encrypted_frame_carried_that_a_port_refused_is_sent_again() {
    let keys = [key(1)];
    let make = |n| node(&sealed(n, false, PFPLANE_SEAL_ENCRYPT, &keys));
    let (a, b) = (make(1), make(2));
    exchange([&a, &b], MS, 100 * MS);
    create(&a, 0, 40, 100 * MS);
    let mut refused = 0;
    for lane in 0..LANES {
        a.lane(lane).poll(120 * MS);
        for frame in a.lane(lane).flush(120 * MS) {
            let length = frame.len() as u32;
            let status =
                unsafe { pfplane_lane_requeue(a.lane(lane).get(), frame.as_ptr(), length, 120 * MS) };
            assert_eq!(status, PFPLANE_OK);
            refused += 1;
        }
    }
    assert!(refused > 5);
    exchange([&a, &b], 121 * MS, 300 * MS);
    assert_eq!(states(&b, 300 * MS), 40);
}
