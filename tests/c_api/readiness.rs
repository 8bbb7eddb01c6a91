//! Whether a node may take over, and why not.

use super::world::*;
use core::ptr::null_mut;
use pfplane::internals::ffi::*;
use pfplane_testkit::Packet;

fn readiness(engine: &Engine, now: u64) -> pfplane_readiness {
    let mut readiness = pfplane_readiness { size: size::<pfplane_readiness>(), ..zeroed() };
    assert_eq!(pfplane_engine_readiness(engine.get(), now, Some(&mut readiness)), PFPLANE_OK);
    assert_eq!(readiness.ready == 1, pfplane_engine_ready(engine.get()));
    readiness
}

fn reasons(engine: &Engine, now: u64) -> u32 {
    readiness(engine, now).reasons
}

/// Polls both engines every millisecond, and lets them receive each other's frames.
fn exchange(engines: &[Engine; 2], now: &mut u64, milliseconds: u64) {
    let [here, there] = engines.each_ref().map(|engine| engine.lane(0));
    for _ in 0..milliseconds {
        *now += MS;
        for (from, to) in [(here, there), (there, here)] {
            from.poll(*now);
            from.carry(to, *now);
        }
    }
}

fn pair(change: impl Fn(u8, &mut pfplane_config)) -> ([Engine; 2], u64) {
    let engines = [1, 2].map(|node| {
        let mut config = config();
        change(node, &mut config);
        Engine::with_peer(&config, &peer(node))
    });
    (engines, SECOND)
}

fn open(engine: &Engine, count: u16, now: u64) {
    let lane = engine.lane(0);
    for n in 0..count {
        let v6 = n % 2 == 0;
        let syn = Packet::syn(v6, 5, 6, [4000 + n, 443]).tcp();
        assert_eq!(lane.create(&burst(PFPLANE_IN, now), &syn).action, PFPLANE_PASS);
    }
}

/// Lets the servers of open connections answer, and the clients acknowledge.
fn establish(engine: &Engine, count: u16, now: u64) {
    let lane = engine.lane(0);
    for n in 0..count {
        let syn = Packet::syn(n % 2 == 0, 5, 6, [4000 + n, 443]);
        for (direction, bytes) in
            [(PFPLANE_OUT, syn.syn_ack().tcp()), (PFPLANE_IN, syn.data(1001, 5001, 0).tcp())]
        {
            assert_eq!(lane.look_up(&burst(direction, now), &bytes).action, PFPLANE_PASS);
        }
    }
}

#[test]
fn a_node_says_why_it_is_not_ready() {
    let alone = Engine::new(&config());
    let of_alone = readiness(&alone, SECOND);
    assert_eq!((of_alone.ready_class, of_alone.reasons), (PFPLANE_READY_CLASS_SYNCED, 0));
    let (engines, mut now) = pair(|_, _| {});
    let at_first = readiness(&engines[1], now);
    assert_eq!((at_first.ready_class, at_first.peer_age_ms), (PFPLANE_READY_CLASS_LOADING, PFPLANE_NEVER));
    exchange(&engines, &mut now, 100);
    let synced = readiness(&engines[1], now + 7 * MS);
    assert_eq!((synced.ready_class, synced.reasons, synced.missing), (PFPLANE_READY_CLASS_SYNCED, 0, 0));
    assert!(synced.peer_age_ms >= 7 && synced.peer_age_ms < 1000, "{}", synced.peer_age_ms);
    assert_eq!(reasons(&engines[1], now + 10 * SECOND), PFPLANE_READY_REASON_PEER_SILENT);
    unsafe { pfplane_engine_sync_link(engines[1].0, false) };
    assert_eq!(reasons(&engines[1], now), PFPLANE_READY_REASON_LINK_DOWN);

    let mut wrong = pfplane_readiness { size: 3, ..zeroed() };
    assert_eq!(pfplane_engine_readiness(alone.get(), 0, Some(&mut wrong)), PFPLANE_ERROR_SIZE);
    assert_eq!(pfplane_engine_readiness(None, 0, Some(&mut wrong)), PFPLANE_ERROR_NULL);
    assert_eq!(pfplane_engine_readiness(alone.get(), 0, None), PFPLANE_ERROR_NULL);
    assert_eq!(unsafe { pfplane_engine_frames_missed(null_mut(), 1) }, PFPLANE_ERROR_NULL);
    assert_eq!(pfplane_replica_readiness(None, 0, Some(&mut wrong)), PFPLANE_ERROR_NULL);
    assert_eq!(pfplane_replica_frames_missed(None, 1), PFPLANE_ERROR_NULL);
}

#[test]
fn a_backup_without_space_for_all_states_is_not_ready_until_it_has_them() {
    for quota in [false, true] {
        let (engines, mut now) = pair(|node, config| match node {
            2 if quota => config.max_imported_per_lane = 30,
            2 => (config.states_per_lane, config.max_imported_per_lane) = (30, u32::MAX),
            _ => {}
        });
        open(&engines[0], 100, now);
        establish(&engines[0], 100, now);
        exchange(&engines, &mut now, 100);
        let backup = readiness(&engines[1], now);
        assert_eq!((backup.ready_class, backup.missing), (PFPLANE_READY_CLASS_LOADING, 70));
        assert_eq!(backup.reasons, PFPLANE_READY_REASON_STATES_MISSING);
        assert_eq!(engines[1].stat(c"states_missing"), 70);
        exchange(&engines, &mut now, 20_000);
        assert_eq!(engines[1].stat(c"repairs_requested"), 0, "there is no space");
        // The master's connections end, but for twenty of them.
        let lane = engines[0].lane(0);
        for view in lane.states(now).into_iter().skip(20) {
            assert_eq!(pfplane_lane_state_kill_id(lane.get(), now, view.id, view.creator), PFPLANE_OK);
        }
        exchange(&engines, &mut now, 12_000);
        let backup = readiness(&engines[1], now);
        assert_eq!((backup.ready_class, backup.missing), (PFPLANE_READY_CLASS_SYNCED, 0));
        assert_eq!(backup.reasons & !PFPLANE_READY_REASON_PEER_SILENT, 0);
        assert_eq!(engines[1].stat(c"states"), 20);
        assert_eq!(engines[1].stat(c"repairs_requested"), 1);
    }
}

#[test]
fn a_backup_that_evicts_half_open_states_of_its_peer_is_not_ready() {
    let change = |node, config: &mut pfplane_config| {
        if node == 2 {
            (config.states_per_lane, config.max_imported_per_lane) = (30, u32::MAX);
        }
    };
    let (engines, mut now) = pair(change);
    open(&engines[0], 100, now);
    exchange(&engines, &mut now, 100);
    let backup = readiness(&engines[1], now);
    assert_eq!(backup.ready_class, PFPLANE_READY_CLASS_LOADING);
    assert!(backup.missing >= 70, "{}", backup.missing);
}

#[test]
fn missed_frames_and_a_pause_end_readiness_until_all_states_are_here_again() {
    let (engines, mut now) = pair(|_, _| {});
    open(&engines[0], 50, now);
    exchange(&engines, &mut now, 1500);
    let [_, there] = engines.each_ref().map(|engine| engine.lane(0));
    // The port misses what the master sends.
    open(&engines[0], 150, now);
    let master = engines[0].lane(0);
    master.poll(now + 20 * MS);
    assert!(!master.flush(now + 20 * MS).is_empty());
    assert_eq!(unsafe { pfplane_engine_frames_missed(engines[1].0, 7) }, PFPLANE_OK);
    now += 20 * MS;
    there.poll(now);
    let missed = PFPLANE_READY_REASON_FRAMES_MISSED | PFPLANE_READY_REASON_BULK_RUNNING;
    assert_eq!(reasons(&engines[1], now), missed);
    exchange(&engines, &mut now, 100);
    assert_eq!(reasons(&engines[1], now), 0);
    assert_eq!((engines[1].stat(c"states"), engines[1].stat(c"frames_missed")), (150, 7));

    now += 5 * SECOND;
    there.poll(now);
    let paused = PFPLANE_READY_REASON_PAUSED | PFPLANE_READY_REASON_BULK_RUNNING;
    assert_eq!(reasons(&engines[1], now) & !PFPLANE_READY_REASON_PEER_SILENT, paused);
    exchange(&engines, &mut now, 1500);
    assert_eq!((reasons(&engines[1], now), engines[1].stat(c"pauses")), (0, 1));
}

#[test]
fn a_node_that_was_paused_ends_no_connection_that_its_peer_took_over() {
    let (engines, mut now) = pair(|_, config| config.timeouts_s[PFPLANE_TIMEOUT_TCP_FIRST as usize] = 5);
    open(&engines[0], 100, now);
    exchange(&engines, &mut now, 1000);
    let [paused, survivor] = engines.each_ref().map(|engine| engine.lane(0));
    // The survivor takes over: clients repeat their SYN every second. The other node stands still, and frames wait at its port.
    let mut backlog = Vec::new();
    for step in 0..100 {
        now += 100 * MS;
        for n in (0..100).filter(|_| step % 10 == 0) {
            let syn = Packet::syn(n % 2 == 0, 5, 6, [4000 + n, 443]).tcp();
            assert_eq!(survivor.look_up(&burst(PFPLANE_IN, now), &syn).action, PFPLANE_PASS);
        }
        survivor.poll(now);
        backlog.extend(survivor.flush(now));
    }
    // It continues: first it polls, also before it reads what waits, and it looks up a packet.
    let syn = Packet::syn(true, 5, 6, [4000, 443]).tcp();
    assert_eq!(paused.look_up(&burst(PFPLANE_IN, now), &syn).action, PFPLANE_PASS);
    (0..50).for_each(|n| paused.poll(now + n * MS));
    paused.carry(survivor, now + 50 * MS);
    for frame in backlog {
        paused.receive(&frame, now + 50 * MS);
    }
    now += 50 * MS;
    exchange(&engines, &mut now, 1500);
    for engine in &engines {
        assert_eq!((engine.stat(c"states"), readiness(engine, now).ready), (100, 1));
    }
}

#[test]
fn two_nodes_with_one_host_id_are_not_ready() {
    let (engines, mut now) = pair(|_, config| config.host_id = 0xc10e);
    exchange(&engines, &mut now, 100);
    for engine in &engines {
        assert!(!pfplane_engine_ready(engine.get()));
        assert_eq!(reasons(engine, now), PFPLANE_READY_REASON_DUPLICATE_HOST_ID);
    }
}

#[test]
fn a_lane_that_is_polled_late_gets_every_state_before_the_node_is_ready() {
    const STATES: u16 = 10_000;
    let (engines, mut now) = pair(|node, config| {
        config.lanes = node.into();
        (config.states_per_lane, config.max_bulk_frames_per_ms) = (20_000, 64);
    });
    open(&engines[0], STATES, now);
    let here = engines[0].lane(0);
    let lanes = [0, 1].map(|lane| engines[1].lane(lane));
    for step in 0..20_000 {
        now += MS;
        here.poll(now);
        here.carry(lanes[0], now);
        for (lane, every) in lanes.iter().zip([1, 100]) {
            if step % every == 0 {
                lane.poll(now);
                lane.carry(here, now);
            }
        }
        if pfplane_engine_ready(engines[1].get()) {
            break;
        }
    }
    let held: usize = lanes.iter().map(|lane| lane.states(now).len()).sum();
    assert_eq!(held, usize::from(STATES), "after {} ms", (now - SECOND) / MS);
    lanes.iter().for_each(|lane| lane.poll(now + MS));
    here.poll(now + MS);
    assert!(engines[1].stat(c"lost_states_requested") > 0, "the ring was never full");
    assert_eq!(engines[0].stat(c"bulk_walks_begun"), 1);
}
