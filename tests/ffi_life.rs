//! The C door from creation to takeover: a connection goes on elsewhere, packets are held, frames are said again.
#![expect(clippy::multiple_unsafe_ops_per_block, reason = "every line calls the C door")]

mod ffi_world;

use core::ffi::CStr;
use core::mem::{MaybeUninit, size_of};
use core::ptr::{null, null_mut};
use ffi_world::{burst, config, create, engine, flush_all, lane, last_error, look_up, peer, stat};
use pfplane::internals::ffi::*;
use pfplane_testkit::Packet;

#[test]
fn a_connection_made_on_one_engine_goes_on_on_another() {
    const MS: u64 = 1_000_000;
    let peers = [[peer([192, 0, 2, 1])], [peer([192, 0, 2, 2])]];
    let engines = peers.each_ref().map(|peers| {
        let mut config = config();
        config.peers = peers.as_ptr();
        config.peer_count = 1;
        engine(&config)
    });
    let [here, there] = engines.map(|engine| lane(engine, 0));
    // SAFETY: a valid engine.
    assert!(!unsafe { pfplane_engine_ready(engines[1]) }, "not before the peer has answered");

    for v6 in [false, true] {
        let syn = Packet::syn(v6, 5, 6, [4000, 443]);
        let answer = syn.syn_ack();
        let steps = [
            (syn.tcp(), PFPLANE_IN),
            (answer.tcp(), PFPLANE_OUT),
            (syn.data(1001, 5001, 0).tcp(), PFPLANE_IN),
        ];
        let unknown = look_up(there, &burst(PFPLANE_OUT, MS), &answer.data(5001, 1001, 10).tcp());
        assert_eq!(unknown.action, PFPLANE_NEW);
        for (bytes, direction) in &steps {
            let burst = burst(*direction, 10 * MS);
            let verdict = look_up(here, &burst, bytes);
            if verdict.action == PFPLANE_NEW {
                assert_eq!(create(here, &burst, bytes).action, PFPLANE_PASS);
            } else {
                assert_eq!((verdict.action, verdict.size), (PFPLANE_PASS, 16));
            }
        }
    }
    // Both lanes keep house and exchange what is due, for two seconds of their time.
    for step in 0..200 {
        let now = (20 + 10 * step) * MS;
        for (from, to) in [(here, there), (there, here)] {
            // SAFETY: lanes of this thread.
            assert_eq!(unsafe { pfplane_lane_poll(from, now) }, PFPLANE_OK);
            for frame in flush_all(from, now) {
                // SAFETY: a lane of this thread, a frame of that length.
                let status = unsafe { pfplane_lane_receive(to, frame.as_ptr(), frame.len() as u32, now) };
                assert_eq!(status, PFPLANE_OK, "{}", last_error());
            }
        }
    }
    // SAFETY: a valid engine.
    assert!(unsafe { pfplane_engine_ready(engines[1]) });
    assert_eq!(stat(engines[1], c"states"), 2);
    assert_eq!(stat(engines[1], c"imported"), 2);
    for v6 in [false, true] {
        let syn = Packet::syn(v6, 5, 6, [4000, 443]);
        let data = syn.syn_ack().data(5001, 1001, 10).tcp();
        let verdict = look_up(there, &burst(PFPLANE_OUT, 2100 * MS), &data);
        assert_eq!((verdict.action, verdict.reverse), (PFPLANE_PASS, 1));
    }
    let mut cursor = 0;
    // SAFETY: all-zero is a valid view; its size is set below.
    let mut view: pfplane_state_view = unsafe { MaybeUninit::zeroed().assume_init() };
    view.size = size_of::<pfplane_state_view>() as u32;
    let mut families = Vec::new();
    // SAFETY: a lane of this thread, a cursor and a view.
    while unsafe { pfplane_lane_state_next(there, 2100 * MS, &mut cursor, &mut view) } == PFPLANE_OK {
        // SAFETY: a valid engine.
        assert_eq!(view.creator, unsafe { pfplane_engine_host_id(engines[0]) });
        assert_eq!((view.proto, view.port, view.imported), (6, [4000, 443], 1));
        assert_eq!(view.peer_state, [4, 4], "established on both sides");
        families.push(view.family);
    }
    families.sort_unstable();
    assert_eq!(families, [4, 6]);
    for engine in engines {
        // SAFETY: a valid engine, not used again.
        unsafe { pfplane_engine_free(engine) };
    }
}

fn held_by(lane: *mut pfplane_lane, now: u64) -> Vec<u64> {
    let (mut handles, mut count) = ([0; 3], 0);
    let mut all = Vec::new();
    loop {
        // SAFETY: a lane of this thread, room for three numbers.
        let status = unsafe { pfplane_lane_released(lane, now, handles.as_mut_ptr(), 3, &mut count) };
        assert_eq!(status, PFPLANE_OK, "{}", last_error());
        all.extend_from_slice(&handles[..count as usize]);
        if count < 3 {
            return all;
        }
    }
}

/// Hands all frames that are due on one lane to another.
fn carry(from: *mut pfplane_lane, to: *mut pfplane_lane, now: u64) -> usize {
    let frames = flush_all(from, now);
    for frame in &frames {
        // SAFETY: a lane of this thread, a frame of that length.
        let status = unsafe { pfplane_lane_receive(to, frame.as_ptr(), frame.len() as u32, now) };
        assert_eq!(status, PFPLANE_OK, "{}", last_error());
    }
    frames.len()
}

#[test]
fn a_first_packet_waits_for_the_peer_and_comes_back_in_every_case() {
    const MS: u64 = 1_000_000;
    let peers = [[peer([192, 0, 2, 1])], [peer([192, 0, 2, 2])]];
    let engines = peers.each_ref().map(|peers| {
        let mut config = config();
        (config.peers, config.peer_count) = (peers.as_ptr(), 1);
        (config.defer_ms, config.max_defer) = (20, 4);
        engine(&config)
    });
    let [here, there] = engines.map(|engine| lane(engine, 0));
    let burst = burst(PFPLANE_IN, 100 * MS);
    let syn = |n: u16| Packet::syn(n.is_multiple_of(2), 5, 6, [4000 + n, 443]).tcp();
    let hold = |n: u16, handle: u64| {
        let verdict = create(here, &burst, &syn(n));
        assert_eq!(verdict.action, PFPLANE_HELD);
        // SAFETY: a lane of this thread.
        assert_eq!(unsafe { pfplane_lane_hold(here, verdict.slot, handle) }, PFPLANE_OK);
        verdict.slot
    };

    let slot = hold(0, 70);
    assert_eq!(look_up(here, &burst, &syn(0)).action, PFPLANE_HELD, "not before the one that is held");
    // SAFETY: a lane of this thread.
    assert_eq!(unsafe { pfplane_lane_hold(here, slot, 71) }, PFPLANE_OK);
    assert_eq!(carry(here, there, 100 * MS), 1);
    assert!(held_by(here, 100 * MS).is_empty());
    assert_eq!(carry(there, here, 100 * MS), 1, "the acknowledgement does not wait");
    assert_eq!(held_by(here, 100 * MS), [70, 71]);
    assert_eq!(look_up(here, &burst, &syn(0)).action, PFPLANE_PASS);
    assert_eq!(stat(engines[0], c"deferred"), 0, "shown in housekeeping");

    (1..=6).for_each(|n| _ = hold(n, n.into()));
    assert_eq!(held_by(here, 119 * MS), [1, 2], "four states are held at most");
    assert_eq!(held_by(here, 120 * MS), [3, 4, 5, 6]);
    (7..=9).for_each(|n| _ = hold(n, n.into()));
    // SAFETY: lanes of this thread, or NULL; a slot beyond the table is no state.
    unsafe {
        assert_eq!(pfplane_lane_release_all(here), PFPLANE_OK);
        assert_eq!(held_by(here, 100 * MS), [7, 8, 9]);
        assert_eq!(pfplane_lane_hold(here, u32::MAX, 1), PFPLANE_ERROR_FULL);
        assert_eq!(pfplane_lane_hold(null_mut(), 0, 1), PFPLANE_ERROR_NULL);
        assert_eq!(pfplane_lane_release_all(null_mut()), PFPLANE_ERROR_NULL);
        assert_eq!(pfplane_lane_released(here, 1, null_mut(), 1, &mut 0), PFPLANE_ERROR_NULL);
        assert_eq!(pfplane_lane_released(here, 1, null_mut(), 0, null_mut()), PFPLANE_ERROR_NULL);
        pfplane_lane_poll(here, 200 * MS);
    }
    assert_eq!((stat(engines[0], c"deferred"), stat(engines[0], c"held_now")), (10, 0));
    assert_eq!((stat(engines[0], c"released"), stat(engines[0], c"defer_timeouts")), (1, 4));

    for engine in engines {
        // SAFETY: a valid engine, not used again.
        unsafe { pfplane_engine_free(engine) };
    }
}

fn peer_stat(engine: *mut pfplane_engine, peer: u32, name: &CStr) -> u64 {
    let size = size_of::<pfplane_stat>() as u32;
    let mut stat = pfplane_stat { size, kind: 0, name: null(), help: null(), value: 0 };
    for index in 0.. {
        // SAFETY: a valid engine and struct.
        let status = unsafe { pfplane_engine_peer_stat(engine, peer, PFPLANE_ALL_LANES, index, &mut stat) };
        assert_eq!(status, PFPLANE_OK, "no statistic {name:?}");
        // SAFETY: a NUL-terminated text.
        if unsafe { CStr::from_ptr(stat.name) } == name {
            break;
        }
    }
    stat.value
}

#[test]
fn a_frame_that_a_port_did_not_take_is_said_again_and_each_peer_has_its_statistics() {
    const MS: u64 = 1_000_000;
    // The first peer's frames begin with an Ethernet header, the second one's with IP.
    let with_ethernet =
        pfplane_peer { ethernet: 1, ethernet_source: [2, 0, 0, 0, 0, 1], ..peer([192, 0, 2, 1]) };
    let six = pfplane_peer { profile: PFPLANE_PROFILE_FREEBSD1400, ..peer([192, 0, 2, 1]) };
    let peers = [with_ethernet, six];
    let mut config = config();
    (config.peers, config.peer_count) = (peers.as_ptr(), 2);
    let engine = engine(&config);
    let lane = lane(engine, 0);
    let burst = burst(PFPLANE_IN, 100 * MS);
    for n in 0..3 {
        create(lane, &burst, &Packet::syn(n == 1, 5, 6, [4000 + n, 443]).tcp());
    }
    let frames = flush_all(lane, 110 * MS);
    assert_eq!(frames.len(), 2);
    for frame in &frames {
        // SAFETY: a lane of this thread, a frame of that length.
        let status = unsafe { pfplane_lane_unsent(lane, frame.as_ptr(), frame.len() as u32, 110 * MS) };
        assert_eq!(status, PFPLANE_OK);
    }
    // SAFETY: a lane of this thread, or NULL.
    unsafe {
        pfplane_lane_poll(lane, 111 * MS);
        assert_eq!(pfplane_lane_unsent(lane, null(), 1, 0), PFPLANE_ERROR_NULL);
        let size = size_of::<pfplane_stat>() as u32;
        let mut stat = pfplane_stat { size, kind: 0, name: null(), help: null(), value: 0 };
        let mut ask = |peer, lane, index| pfplane_engine_peer_stat(engine, peer, lane, index, &mut stat);
        assert_eq!(ask(2, PFPLANE_ALL_LANES, 0), PFPLANE_ERROR_ARGUMENT);
        assert_eq!(ask(0, 7, 0), PFPLANE_ERROR_LANE);
        assert_eq!(ask(0, 0, 1000), PFPLANE_END);
    }
    assert_eq!((stat(engine, c"oerrors"), stat(engine, c"exposed_creations")), (2, 3));
    for peer in [0, 1] {
        assert_eq!(peer_stat(engine, peer, c"oerrors"), 1);
        assert_eq!(peer_stat(engine, peer, c"inserts_sent"), 3);
        assert_eq!(peer_stat(engine, peer, c"exposed_creations"), 3);
    }
    // Beside them the request for all states, which was due with the first housekeeping.
    let again = flush_all(lane, 120 * MS);
    let lengths = |frames: &[Vec<u8>]| frames.iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(lengths(&again)[2..], lengths(&frames));
    // SAFETY: a valid engine, not used again.
    unsafe { pfplane_engine_free(engine) };
}

#[test]
fn the_pace_can_be_changed_within_its_ranges() {
    let engine = engine(&config());
    // SAFETY: a valid engine, or NULL.
    unsafe {
        assert_eq!(pfplane_engine_tune(engine, 5, 500, 64, 16), PFPLANE_OK);
        assert_eq!(pfplane_engine_tune(engine, 10_001, 500, 64, 16), PFPLANE_ERROR_SETTING);
        assert!(last_error().contains("insert_age_ms is 10001"));
        assert_eq!(pfplane_engine_tune(engine, 5, 500, 256, 16), PFPLANE_ERROR_SETTING);
        assert_eq!(pfplane_engine_tune(null(), 5, 500, 64, 16), PFPLANE_ERROR_NULL);
        assert_eq!(pfplane_engine_bulk_push(engine), PFPLANE_OK);
        assert_eq!(pfplane_engine_bulk_push(null()), PFPLANE_ERROR_NULL);
        pfplane_engine_free(engine);
    }
}
