//! Wrong pointers, wrong sizes and wrong settings; statistics and memory.

use super::world::*;
use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::ptr::{null, null_mut};
use pfplane::internals::ffi::*;
use pfplane_testkit::Packet;
use std::alloc::{Layout, alloc, dealloc};

fn refused(config: &pfplane_config) -> (i32, String) {
    let mut engine = null_mut();
    let status = unsafe { pfplane_engine_new(Some(config), out(&mut engine)) };
    assert!(engine.is_null());
    (status, last_error())
}

#[test]
fn null_is_an_error_that_names_the_argument() {
    let config = config();
    let there = burst(PFPLANE_IN, 1);
    let mut verdict = MaybeUninit::uninit();
    unsafe {
        assert_eq!(pfplane_engine_new(None, out(&mut null_mut())), PFPLANE_ERROR_NULL);
        assert_eq!(last_error(), "config is NULL");
        assert_eq!(pfplane_engine_new(Some(&config), None), PFPLANE_ERROR_NULL);
        assert_eq!(last_error(), "engine_out is NULL");
        pfplane_engine_free(null_mut());
        assert!(!pfplane_engine_ready(None));
        assert_eq!((pfplane_engine_mtu(None), pfplane_engine_host_id(None)), (0, 0));
        for call in [pfplane_engine_bulk_request, pfplane_engine_bulk_push, pfplane_engine_clear] {
            assert_eq!(call(null_mut()), PFPLANE_ERROR_NULL);
        }
        assert_eq!(last_error(), "engine is NULL");
        assert_eq!(pfplane_lane_poll(None, 1), PFPLANE_ERROR_NULL);
        assert_eq!(pfplane_lane_receive(None, null(), 0, 1), PFPLANE_ERROR_NULL);
        assert_eq!(pfplane_lane_lookup(None, Some(&there), null(), 0, null_mut()), PFPLANE_ERROR_NULL);
        assert_eq!(last_error(), "lane is NULL");
        let engine = Engine::new(&config);
        let lane = engine.lane(0);
        let look_up =
            |burst, count, verdicts| pfplane_lane_lookup(lane.get(), burst, null(), count, verdicts);
        assert_eq!(look_up(None, 0, null_mut()), PFPLANE_ERROR_NULL);
        assert_eq!(look_up(Some(&there), 1, verdict.as_mut_ptr()), PFPLANE_ERROR_NULL);
        assert_eq!(look_up(Some(&there), 0, null_mut()), PFPLANE_OK);
        assert_eq!(pfplane_lane_receive(lane.get(), null(), 20, 1), PFPLANE_ERROR_NULL);
        assert_eq!(pfplane_engine_stat_find(engine.get(), 0, null(), None), PFPLANE_ERROR_NULL);
    }
}

#[test]
fn a_struct_of_another_size_is_refused() {
    let mut config = config();
    config.size -= 4;
    let (status, text) = refused(&config);
    assert_eq!(status, PFPLANE_ERROR_SIZE);
    assert!(text.starts_with("config.size is "), "{text}");
    assert_eq!(pfplane_config_init(None, 3), PFPLANE_ERROR_SIZE);
}

#[test]
fn a_wrong_setting_is_named_with_its_limit() {
    type Change = fn(&mut pfplane_config);
    let cases: [(Change, &str); 9] = [
        (|config| config.lanes = 0, "lanes is 0, it must be from 1 to 128"),
        (|config| config.lanes = 129, "lanes is 129, it must be from 1 to 128"),
        (|config| config.states_per_lane = 0, "states_per_lane is 0"),
        (|config| config.max_updates = 256, "max_updates is 256"),
        (|config| config.max_drift_percent = 101, "max_drift_percent is 101, it must be from 0 to 100"),
        (|config| config.max_rate_mbit = 0, "max_rate_mbit is 0, it must be from 1 to 1000000"),
        (|config| config.excluded_protocol_count = 257, "excluded_protocol_count is 257"),
        (|config| config.interface_count = 4097, "interface_count is 4097"),
        (|config| config.timeouts_s[2] = u32::MAX, "tcp.established is 4294967295"),
    ];
    for (change, expected) in cases {
        let mut config = config();
        change(&mut config);
        let (status, text) = refused(&config);
        assert_eq!(status, PFPLANE_ERROR_SETTING);
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn lists_of_a_configuration_are_read_whole() {
    let mut config = config();
    config.excluded_protocol_count = 2;
    assert_eq!(refused(&config), (PFPLANE_ERROR_NULL, "excluded_protocols is NULL".to_owned()));
    let names = [*b"eth0\0\0\0\0\0\0\0\0\0\0\0\0", [b'x'; 16]];
    let protocols = [17, 1];
    config.excluded_protocols = protocols.as_ptr();
    (config.interfaces, config.interface_count) = (names.as_ptr(), 2);
    let text = "interfaces is empty or has no NUL in its 16 bytes".to_owned();
    assert_eq!(refused(&config), (PFPLANE_ERROR_ARGUMENT, text));
    config.interface_count = 1;
    let too_many = pfplane_peer { source_count: 9, ..peer(1) };
    (config.peers, config.peer_count) = (&raw const too_many, 1);
    assert!(refused(&config).1.contains("peer.source_count is 9"));
    let sources = [too_many.source; 2];
    let pair = pfplane_interface_names { ours: names[0], theirs: names[0] };
    let sound = pfplane_peer {
        sources: sources.as_ptr(),
        source_count: 2,
        interface_names: &raw const pair,
        interface_name_count: 1,
        ..too_many
    };
    Engine::with_peer(&config, &sound);
}

#[test]
fn an_mtu_too_small_for_one_state_is_refused() {
    let peer = peer(1);
    let config = pfplane_config { peers: &raw const peer, peer_count: 1, mtu: 300, ..config() };
    let (status, text) = refused(&config);
    assert_eq!(status, PFPLANE_ERROR_SETTING);
    assert!(text.contains("mtu is 300"), "{text}");
}

#[test]
fn the_effective_mtu_is_the_minimum_of_the_three() {
    for (mtu, device_mtu, buffer_size, expected) in
        [(1500, 0, 0, 1500), (9000, 1400, 0, 1400), (9000, 0, 2048, 2048), (1500, 9000, 9000, 1500)]
    {
        let config = pfplane_config { mtu, device_mtu, buffer_size, ..config() };
        assert_eq!(pfplane_engine_mtu(Engine::with_peer(&config, &peer(1)).get()), expected);
    }
}

/// What the hooks were asked for.
#[derive(Default)]
struct Ledger {
    open: Vec<(usize, usize, usize)>,
    sockets: Vec<i32>,
    bytes: usize,
}

unsafe extern "C" fn hook_alloc(
    context: *mut c_void,
    bytes: usize,
    align: usize,
    socket: i32,
) -> *mut c_void {
    let ledger = unsafe { &mut *context.cast::<Ledger>() };
    let memory = unsafe { alloc(Layout::from_size_align(bytes, align).unwrap()) };
    ledger.open.push((memory as usize, bytes, align));
    ledger.sockets.push(socket);
    ledger.bytes += bytes;
    memory.cast()
}

unsafe extern "C" fn hook_free(context: *mut c_void, memory: *mut c_void, bytes: usize) {
    let ledger = unsafe { &mut *context.cast::<Ledger>() };
    let index = ledger.open.iter().position(|open| open.0 == memory as usize).expect("was allocated");
    let (_, size, align) = ledger.open.swap_remove(index);
    assert_eq!(size, bytes);
    unsafe { dealloc(memory.cast(), Layout::from_size_align(size, align).unwrap()) };
}

#[test]
fn the_hosts_allocator_serves_all_tables_and_gets_everything_back() {
    let mut ledger = Ledger::default();
    let context = &raw mut ledger;
    let allocator = pfplane_allocator {
        size: size::<pfplane_allocator>(),
        alloc: Some(hook_alloc),
        free: Some(hook_free),
        context: context.cast(),
    };
    let sockets = [0, 1];
    let config = pfplane_config {
        lanes: 2,
        allocator: &raw const allocator,
        lane_sockets: sockets.as_ptr(),
        ..config()
    };
    let mut needed = 0;
    assert_eq!(unsafe { pfplane_config_memory(Some(&config), out(&mut needed)) }, PFPLANE_OK);
    let engine = Engine::new(&config);
    // SAFETY: the hooks run only during calls.
    let ledger = || unsafe { &*context };
    assert_eq!(ledger().bytes as u64, needed, "the query returns what is then allocated");
    assert!(ledger().sockets.contains(&0) && ledger().sockets.contains(&1));
    drop(engine);
    assert!(ledger().open.is_empty());
}

#[test]
fn arguments_without_a_meaning_are_refused() {
    let engine = Engine::new(&config());
    let lane = engine.lane(0);
    let bytes = Packet::syn(false, 1, 2, [3, 4]).tcp();
    let look_up = |burst: &pfplane_burst, count| {
        let mut verdict: pfplane_verdict = zeroed();
        unsafe { pfplane_lane_lookup(lane.get(), Some(burst), &packet(&bytes), count, &mut verdict) }
    };
    assert_eq!(look_up(&burst(3, 1), 1), PFPLANE_ERROR_ARGUMENT);
    assert_eq!(last_error(), "burst.direction is 3, which is not a known value");
    let there = burst(PFPLANE_IN, 1);
    assert_eq!(look_up(&pfplane_burst { link: 9, ..there }, 1), PFPLANE_ERROR_ARGUMENT);
    assert_eq!(look_up(&there, 257), PFPLANE_ERROR_ARGUMENT);
    assert_eq!(pfplane_engine_lane(engine.get(), 1, out(&mut null_mut())), PFPLANE_ERROR_LANE);
    let find = |lane, name: &core::ffi::CStr| unsafe {
        pfplane_engine_stat_find(engine.get(), lane, name.as_ptr(), out(&mut 0))
    };
    assert_eq!(find(0, c"nothing"), PFPLANE_ERROR_UNKNOWN);
    assert_eq!(find(7, c"packets_passed"), PFPLANE_ERROR_LANE);
    let mut small = [0; 100];
    let status = unsafe { pfplane_lane_flush(lane.get(), 1, small.as_mut_ptr(), 100, out(&mut 0)) };
    assert_eq!(status, PFPLANE_ERROR_BUFFER);
}

#[test]
fn statistics_have_names_and_helps_of_their_own() {
    let engine = Engine::new(&config());
    let all = statistics(|index, out| pfplane_engine_stat(engine.get(), PFPLANE_ALL_LANES, index, Some(out)));
    assert!(all.len() > 40, "{}", all.len());
    assert!(all.iter().all(|(name, help, _)| !name.is_empty() && !help.is_empty()));
    let mut names: Vec<_> = all.iter().map(|(name, ..)| name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all.len(), "no name twice");
}
