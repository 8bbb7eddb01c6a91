//! Two pfplane nodes of several lanes compare what they hold.

use super::world::*;
use pfplane::internals::ffi::*;
use pfplane_testkit::Packet;

const LANES: u32 = 3;

/// Node 1 or 2, with the other one as its peer.
fn node(number: u8, extensions: u8, change: impl FnOnce(&mut pfplane_config)) -> Engine {
    let mut config = pfplane_config { lanes: LANES, ..config() };
    change(&mut config);
    let mut peer = pfplane_peer { extensions, ..peer(number) };
    peer.destination.family = 4;
    peer.destination.bytes[..4].copy_from_slice(&[192, 0, 2, 3 - number]);
    Engine::with_peer(&config, &peer)
}

/// Lets both nodes exchange frames, and calls `each` once a millisecond.
fn exchange(nodes: [&Engine; 2], now: &mut u64, ms: u64, mut each: impl FnMut(u64)) {
    for _ in 0..ms {
        *now += MS;
        each(*now);
        for (from, to) in [(nodes[0], nodes[1]), (nodes[1], nodes[0])] {
            for index in 0..LANES {
                from.lane(index).poll(*now);
                from.lane(index).flush(*now).iter().for_each(|frame| to.lane(0).receive(frame, *now));
            }
        }
    }
}

fn compare(engine: &Engine, now: u64) -> pfplane_comparison {
    let mut comparison = pfplane_comparison { size: size::<pfplane_comparison>(), ..zeroed() };
    assert_eq!(
        pfplane_engine_compare(engine.get(), 0, now, Some(&mut comparison)),
        PFPLANE_OK,
        "{}",
        last_error()
    );
    comparison
}

/// Opens a UDP flow on the lane that owns it.
fn open(engine: &Engine, n: u16, now: u64) {
    let bytes = Packet::syn(n.is_multiple_of(2), 5, 6, [4000 + n, 53]).udp();
    let mut lanes = (0..LANES).map(|index| engine.lane(index).create(&burst(PFPLANE_IN, now), &bytes).action);
    assert!(lanes.any(|action| action == PFPLANE_PASS), "{n}");
}

fn states(engine: &Engine, now: u64) -> usize {
    (0..LANES).map(|index| engine.lane(index).states(now).len()).sum()
}

#[test]
fn nodes_of_several_lanes_are_found_equal_while_states_are_created() {
    let (here, there) = (node(1, 1, |_| {}), node(2, 1, |_| {}));
    let (mut now, mut next) = (SECOND, 0);
    exchange([&here, &there], &mut now, 3000, |now| {
        if (now / MS).is_multiple_of(3) {
            open([&here, &there][usize::from(next % 2)], next, now);
            next += 1;
        }
    });
    exchange([&here, &there], &mut now, 20, |_| {});
    for engine in [&here, &there] {
        let found = compare(engine, now);
        assert_eq!((found.streams, found.equal, found.differing), (LANES, 1, 0));
        assert!(found.equal_age_ms <= 1100, "{}", found.equal_age_ms);
        assert!(engine.stat(c"comparisons_equal") > 0);
        assert_eq!(engine.stat(c"differences_missing") + engine.stat(c"differences_ghosts"), 0);
        assert!(pfplane_engine_ready(engine.get()));
    }
    assert_eq!((states(&here, now), states(&there, now)), (usize::from(next), usize::from(next)));
}

#[test]
fn states_that_expired_here_too_early_are_named_and_sent_again() {
    let short = |config: &mut pfplane_config| {
        config.timeouts_s[PFPLANE_TIMEOUT_UDP_FIRST as usize] = 2;
        config.timeouts_s[PFPLANE_TIMEOUT_INTERVAL as usize] = 1;
    };
    let (here, there) = (node(1, 1, |_| {}), node(2, 1, short));
    let mut now = SECOND;
    exchange([&here, &there], &mut now, 200, |_| {});
    (0..60).for_each(|n| open(&here, n, now));
    exchange([&here, &there], &mut now, 1000, |_| {});
    assert_eq!(states(&there, now), 60);
    let mut missing = 0;
    exchange([&here, &there], &mut now, 12_000, |now| missing = missing.max(60 - states(&there, now)));
    assert!(missing > 0, "none expired");
    let named = there.stat(c"differences_missing");
    assert!(named >= 60 && here.stat(c"states_told_again") >= 60, "{named}");
    assert!(there.stat(c"sketches_requested") > 0 && here.stat(c"sketch_frames_sent") > 0);
}

#[test]
fn a_state_that_a_node_cannot_hold_is_reported_and_does_not_count() {
    let (here, there) = (node(1, 1, |_| {}), node(2, 1, |config| config.max_imported_per_lane = 5));
    let mut now = SECOND;
    exchange([&here, &there], &mut now, 200, |_| {});
    (0..60).for_each(|n| open(&here, n, now));
    exchange([&here, &there], &mut now, 4000, |_| {});
    assert_eq!(states(&there, now), 15);
    assert!(here.stat(c"states_refused_by_peer") >= 45);
    let found = compare(&there, now);
    assert_eq!((found.equal, found.differing), (1, 0), "{}", found.equal_age_ms);
    assert!(!pfplane_engine_ready(there.get()), "states are missing");
}

#[test]
fn nothing_is_compared_with_a_node_that_is_no_pfplane_node_or_unknown() {
    let (here, there) = (node(1, 0, |_| {}), node(2, 0, |_| {}));
    let mut now = SECOND;
    (0..10).for_each(|n| open(&here, n, now));
    exchange([&here, &there], &mut now, 1000, |_| {});
    let found = compare(&there, now);
    assert_eq!((found.streams, found.equal, found.equal_age_ms), (0, 1, PFPLANE_NEVER));
    assert_eq!(here.stat(c"roots_sent"), 0);
    let mut other = pfplane_comparison { size: size::<pfplane_comparison>(), ..zeroed() };
    assert_eq!(pfplane_engine_compare(here.get(), 1, now, Some(&mut other)), PFPLANE_ERROR_ARGUMENT);
    assert_eq!(pfplane_engine_compare(None, 0, now, Some(&mut other)), PFPLANE_ERROR_NULL);
    assert_eq!(pfplane_engine_compare(here.get(), 0, now, None), PFPLANE_ERROR_NULL);
    other.size = 1;
    assert_eq!(pfplane_engine_compare(here.get(), 0, now, Some(&mut other)), PFPLANE_ERROR_SIZE);
}
