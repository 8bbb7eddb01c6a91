//! First packets that are held until a peer has their state.

use super::world::*;
use core::ptr::null_mut;
use pfplane::internals::ffi::*;
use pfplane_testkit::Packet;

fn released(lane: Lane, now: u64, all: bool) -> Vec<u64> {
    let (mut handles, mut count) = ([0; 3], 0);
    let mut found = Vec::new();
    loop {
        let (lane, start) = (lane.get(), handles.as_mut_ptr());
        let status = unsafe { pfplane_lane_release(lane, now, all, start, 3, out(&mut count)) };
        assert_eq!(status, PFPLANE_OK, "{}", last_error());
        found.extend_from_slice(&handles[..count as usize]);
        if count < 3 {
            return found;
        }
    }
}

#[test]
fn a_first_packet_waits_for_the_peer_and_is_released_in_every_case() {
    let config = pfplane_config { max_defer_ms: 20, max_deferred: 4, ..config() };
    let engines = [1, 2].map(|node| Engine::with_peer(&config, &peer(node)));
    let [here, there] = engines.each_ref().map(|engine| engine.lane(0));
    let burst = burst(PFPLANE_IN, 100 * MS);
    let syn = |n: u16| Packet::syn(n.is_multiple_of(2), 5, 6, [4000 + n, 443]).tcp();
    let hold = |n: u16, handle: u64| {
        let verdict = here.create(&burst, &syn(n));
        assert_eq!(verdict.action, PFPLANE_HELD);
        assert_eq!(pfplane_lane_hold(here.get(), verdict.slot, handle), PFPLANE_OK);
        verdict.slot
    };

    let slot = hold(0, 70);
    assert_eq!(here.look_up(&burst, &syn(0)).action, PFPLANE_HELD, "not before the one that is held");
    assert_eq!(pfplane_lane_hold(here.get(), slot, 71), PFPLANE_OK);
    assert_eq!(here.carry(there, 100 * MS), 1);
    assert!(released(here, 100 * MS, false).is_empty());
    assert_eq!(there.carry(here, 100 * MS), 1, "the acknowledgement is sent at once");
    assert_eq!(released(here, 100 * MS, false), [70, 71]);
    assert_eq!(here.look_up(&burst, &syn(0)).action, PFPLANE_PASS);
    assert_eq!(engines[0].stat(c"states_deferred"), 0, "statistics are published by the poll");

    (1..=6).for_each(|n| _ = hold(n, n.into()));
    assert_eq!(released(here, 119 * MS, false), [1, 2], "at most four states are held");
    assert_eq!(released(here, 120 * MS, false), [3, 4, 5, 6]);
    (7..=9).for_each(|n| _ = hold(n, n.into()));
    assert_eq!(released(here, 100 * MS, true), [7, 8, 9]);
    assert_eq!(pfplane_lane_hold(here.get(), u32::MAX, 1), PFPLANE_ERROR_FULL);
    assert_eq!(pfplane_lane_hold(None, 0, 1), PFPLANE_ERROR_NULL);
    let mut count = 0;
    let release =
        |lane, capacity, count| unsafe { pfplane_lane_release(lane, 1, true, null_mut(), capacity, count) };
    assert_eq!(release(None, 0, None), PFPLANE_ERROR_NULL);
    assert_eq!(release(here.get(), 0, None), PFPLANE_ERROR_NULL);
    assert_eq!(release(here.get(), 1, out(&mut count)), PFPLANE_ERROR_NULL);
    here.poll(200 * MS);
    let stat = |name| engines[0].stat(name);
    assert_eq!((stat(c"states_deferred"), stat(c"packets_held")), (10, 0));
    assert_eq!((stat(c"states_released"), stat(c"states_released_timeout")), (1, 4));
}
