//! Frames lost between pfplane nodes: they are counted, and what they carried is repaired.

use super::world::*;
use pfplane::internals::ffi::*;
use pfplane_testkit::Packet;

const ALL: [u32; 4] = [
    PFPLANE_PROFILE_OPENBSD6,
    PFPLANE_PROFILE_FREEBSD1301,
    PFPLANE_PROFILE_FREEBSD1400,
    PFPLANE_PROFILE_FREEBSD1500,
];

fn node(number: u8, profile: u32, extensions: u8) -> Engine {
    Engine::with_peer(&config(), &pfplane_peer { profile, extensions, ..peer(number) })
}

/// Sends `from`'s frames that are due to `to`, except those whose count, from 1 on, is a multiple of `lose`. Returns all of them.
fn carry_losing(from: &Engine, to: &Engine, now: u64, count: &mut u64, lose: u64) -> Vec<Vec<u8>> {
    from.lane(0).poll(now);
    let frames = from.lane(0).flush(now);
    for frame in &frames {
        *count += 1;
        if !count.is_multiple_of(lose) {
            to.lane(0).receive(frame, now);
        }
    }
    frames
}

#[test]
fn frames_lost_between_pfplane_nodes_are_counted_and_so_are_those_that_come_twice() {
    for profile in ALL {
        for (extensions, counts) in [(1, true), (0, false)] {
            let (here, there) = (node(1, profile, extensions), node(2, profile, extensions));
            let (mut count, mut frames) = (0, Vec::new());
            for n in 0..40_u16 {
                let now = (20 + 20 * u64::from(n)) * MS;
                let syn = Packet::syn(n % 2 == 0, 5, 6, [4000 + n, 443]).tcp();
                here.lane(0).create(&burst(PFPLANE_IN, now), &syn);
                frames = carry_losing(&here, &there, now + 15 * MS, &mut count, 7);
            }
            let lost = (count - 1) / 7;
            assert!(lost > 4, "{count}");
            there.lane(0).receive(frames.last().unwrap(), 900 * MS);
            there.lane(0).poll(900 * MS);
            let late = u64::from(!count.is_multiple_of(7));
            let expected = if counts { (lost, late) } else { (0, 0) };
            assert_eq!((there.stat(c"frames_lost"), there.stat(c"frames_late")), expected, "{profile}");
            assert_eq!(there.stat(c"badlen"), 0);
        }
    }
}

#[test]
fn what_frames_lost_between_pfplane_nodes_carried_is_repaired() {
    for profile in ALL {
        let (here, there) = (node(1, profile, 1), node(2, profile, 1));
        let (mut count, mut back) = (0, 0);
        let mut slots = Vec::new();
        for ms in 20..3000_u64 {
            let now = ms * MS;
            if ms < 800 && ms % 10 == 0 {
                let syn = Packet::syn(ms % 20 == 0, 5, 6, [4000 + ms as u16, 443]).tcp();
                slots.push(here.lane(0).create(&burst(PFPLANE_IN, now), &syn).slot);
            }
            if ms < 800 && ms % 30 == 0 {
                let view = here.lane(0).state_at(slots.remove(0));
                assert_eq!(
                    pfplane_lane_state_kill_id(here.lane(0).get(), now, view.id, view.creator),
                    PFPLANE_OK
                );
            }
            let lose = if ms < 1000 { 3 } else { u64::MAX };
            carry_losing(&here, &there, now, &mut count, lose);
            carry_losing(&there, &here, now, &mut back, lose);
        }
        here.lane(0).poll(3000 * MS);
        there.lane(0).poll(3000 * MS);
        let ids = |engine: &Engine| {
            let mut ids: Vec<_> = engine.lane(0).states(3000 * MS).iter().map(|view| view.id).collect();
            ids.sort_unstable();
            ids
        };
        assert_eq!(ids(&here), ids(&there), "{profile}");
        assert!(there.stat(c"frames_lost") > 4 && there.stat(c"gaps_repaired") > 0, "{profile}");
        assert_eq!(there.stat(c"frames_unrepaired"), 0);
        assert!(here.stat(c"repairs_served") > 0 && here.stat(c"repairs_asked") > 0);
        assert!(here.stat(c"states_repeated") > 0 && here.stat(c"ids_repeated") > 0);
        assert_eq!((here.stat(c"repairs_refused"), there.stat(c"gaps_abandoned")), (0, 0));
    }
}
