//! The C door from the other side: wrong pointers, wrong sizes, wrong settings; statistics and memory.
#![expect(
    clippy::multiple_unsafe_ops_per_block,
    clippy::type_complexity,
    reason = "every line calls the C door"
)]

mod ffi_world;

use core::ffi::{CStr, c_void};
use core::mem::{MaybeUninit, size_of};
use core::ptr::{null, null_mut};
use ffi_world::{burst, config, engine, lane, last_error, packet, peer};
use pfplane::internals::ffi::*;
use pfplane_testkit::Packet;
use std::alloc::{Layout, alloc, dealloc};

fn refused(config: &pfplane_config) -> (i32, String) {
    let mut engine = null_mut();
    // SAFETY: a valid configuration and room for a pointer.
    let status = unsafe { pfplane_engine_new(config, &mut engine) };
    assert!(engine.is_null());
    (status, last_error())
}

#[test]
fn null_is_an_error_that_names_the_argument() {
    let config = config();
    let mut verdict = MaybeUninit::uninit();
    // SAFETY: NULL is allowed everywhere; the rest is valid.
    unsafe {
        assert_eq!(pfplane_engine_new(null(), &mut null_mut()), PFPLANE_ERROR_NULL);
        assert_eq!(last_error(), "config is NULL");
        assert_eq!(pfplane_engine_new(&config, null_mut()), PFPLANE_ERROR_NULL);
        assert_eq!(last_error(), "engine_out is NULL");
        pfplane_engine_free(null_mut());
        assert!(!pfplane_engine_ready(null()));
        assert_eq!(pfplane_engine_mtu(null()), 0);
        assert_eq!(pfplane_engine_host_id(null()), 0);
        assert_eq!(pfplane_lane_poll(null_mut(), 1), PFPLANE_ERROR_NULL);
        assert_eq!(pfplane_lane_receive(null_mut(), null(), 0, 1), PFPLANE_ERROR_NULL);
        assert_eq!(
            pfplane_lane_lookup(null_mut(), &burst(PFPLANE_IN, 1), null(), 0, null_mut()),
            PFPLANE_ERROR_NULL
        );
        assert_eq!(last_error(), "lane is NULL");
        let engine = engine(&config);
        let lane = lane(engine, 0);
        assert_eq!(pfplane_lane_lookup(lane, null(), null(), 0, null_mut()), PFPLANE_ERROR_NULL);
        assert_eq!(
            pfplane_lane_lookup(lane, &burst(PFPLANE_IN, 1), null(), 1, verdict.as_mut_ptr()),
            PFPLANE_ERROR_NULL
        );
        assert_eq!(pfplane_lane_lookup(lane, &burst(PFPLANE_IN, 1), null(), 0, null_mut()), PFPLANE_OK);
        assert_eq!(pfplane_lane_receive(lane, null(), 20, 1), PFPLANE_ERROR_NULL);
        assert_eq!(pfplane_engine_stat_find(engine, 0, null(), null_mut()), PFPLANE_ERROR_NULL);
        pfplane_engine_free(engine);
    }
}

#[test]
fn a_struct_of_another_size_is_refused() {
    let mut config = config();
    config.size -= 4;
    let (status, text) = refused(&config);
    assert_eq!(status, PFPLANE_ERROR_SIZE);
    assert!(text.starts_with("config.size is "), "{text}");
    // SAFETY: NULL with a wrong size.
    assert_eq!(unsafe { pfplane_config_init(null_mut(), 3) }, PFPLANE_ERROR_SIZE);
}

#[test]
fn a_wrong_setting_is_named_with_its_limit() {
    let cases: [(fn(&mut pfplane_config), &str); 7] = [
        (|config| config.lanes = 0, "lanes is 0, it must be from 1 to 128"),
        (|config| config.lanes = 129, "lanes is 129, it must be from 1 to 128"),
        (|config| config.states_per_lane = 0, "states_per_lane is 0"),
        (|config| config.max_updates = 256, "max_updates is 256"),
        (|config| config.left_out_count = 257, "left_out_count is 257"),
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
    config.left_out_count = 2;
    assert_eq!(refused(&config), (PFPLANE_ERROR_NULL, "left_out is NULL".to_owned()));
    let names = [*b"eth0\0\0\0\0\0\0\0\0\0\0\0\0", [b'x'; 16]];
    config.left_out = [17, 1].as_ptr();
    (config.interfaces, config.interface_count) = (names.as_ptr(), 2);
    let (status, text) = refused(&config);
    assert_eq!(
        (status, text.as_str()),
        (PFPLANE_ERROR_ARGUMENT, "interfaces is empty or has no NUL in its 16 bytes")
    );
    config.interface_count = 1;
    let too_many = pfplane_peer { source_count: 9, ..peer([192, 0, 2, 1]) };
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
    config.peers = &raw const sound;
    // SAFETY: the engine was just made and is used by nobody.
    unsafe { pfplane_engine_free(engine(&config)) };
}

#[test]
fn an_mtu_too_small_for_one_state_is_refused() {
    let peers = [peer([192, 0, 2, 1])];
    let mut config = config();
    config.peers = peers.as_ptr();
    config.peer_count = 1;
    config.mtu = 300;
    let (status, text) = refused(&config);
    assert_eq!(status, PFPLANE_ERROR_SETTING);
    assert!(text.contains("mtu is 300"), "{text}");
}

#[test]
fn the_effective_mtu_is_the_least_of_the_three() {
    let peers = [peer([192, 0, 2, 1])];
    for (mtu, device, room, expected) in
        [(1500, 0, 0, 1500), (9000, 1400, 0, 1400), (9000, 0, 2048, 2048), (1500, 9000, 9000, 1500)]
    {
        let mut config = config();
        config.peers = peers.as_ptr();
        config.peer_count = 1;
        (config.mtu, config.device_mtu, config.buffer_room) = (mtu, device, room);
        let engine = engine(&config);
        // SAFETY: a valid engine.
        unsafe {
            assert_eq!(pfplane_engine_mtu(engine), expected);
            pfplane_engine_free(engine);
        }
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
    // SAFETY: the context is the test's ledger.
    let ledger = unsafe { &mut *context.cast::<Ledger>() };
    // SAFETY: sizes are not 0.
    let memory = unsafe { alloc(Layout::from_size_align(bytes, align).unwrap()) };
    ledger.open.push((memory as usize, bytes, align));
    ledger.sockets.push(socket);
    ledger.bytes += bytes;
    memory.cast()
}

unsafe extern "C" fn hook_free(context: *mut c_void, memory: *mut c_void, bytes: usize) {
    // SAFETY: the context is the test's ledger.
    let ledger = unsafe { &mut *context.cast::<Ledger>() };
    let place = ledger.open.iter().position(|open| open.0 == memory as usize).expect("was given out");
    let (_, size, align) = ledger.open.swap_remove(place);
    assert_eq!(size, bytes);
    // SAFETY: given out by `hook_alloc` with this layout.
    unsafe { dealloc(memory.cast(), Layout::from_size_align(size, align).unwrap()) };
}

#[test]
fn the_hosts_allocator_gives_all_tables_and_gets_everything_back() {
    let mut ledger = Ledger::default();
    let allocator = pfplane_allocator {
        size: size_of::<pfplane_allocator>() as u32,
        alloc: Some(hook_alloc),
        free: Some(hook_free),
        context: (&raw mut ledger).cast(),
    };
    let sockets = [0, 1];
    let mut config = config();
    config.lanes = 2;
    config.allocator = &allocator;
    config.lane_sockets = sockets.as_ptr();
    let mut needed = 0;
    // SAFETY: a valid configuration and room for a number.
    assert_eq!(unsafe { pfplane_config_memory(&config, &mut needed) }, PFPLANE_OK);
    let engine = engine(&config);
    assert_eq!(ledger.bytes as u64, needed, "the query says what is then asked for");
    assert!(ledger.sockets.contains(&0) && ledger.sockets.contains(&1));
    // SAFETY: a valid engine.
    unsafe { pfplane_engine_free(engine) };
    assert!(ledger.open.is_empty());
}

#[test]
fn arguments_without_a_meaning_are_refused() {
    let engine = engine(&config());
    let lane = lane(engine, 0);
    let mut verdict = MaybeUninit::uninit();
    let bytes = Packet::syn(false, 1, 2, [3, 4]).tcp();
    let mut wrong = burst(3, 1);
    // SAFETY: valid pointers throughout.
    unsafe {
        let status = pfplane_lane_lookup(lane, &wrong, &packet(&bytes), 1, verdict.as_mut_ptr());
        assert_eq!(
            (status, last_error().as_str()),
            (PFPLANE_ERROR_ARGUMENT, "burst.direction is 3, which is none of its values")
        );
        wrong = burst(PFPLANE_IN, 1);
        wrong.link = 9;
        assert_eq!(
            pfplane_lane_lookup(lane, &wrong, &packet(&bytes), 1, verdict.as_mut_ptr()),
            PFPLANE_ERROR_ARGUMENT
        );
        assert_eq!(
            pfplane_lane_lookup(lane, &burst(PFPLANE_IN, 1), &packet(&bytes), 257, verdict.as_mut_ptr()),
            PFPLANE_ERROR_ARGUMENT
        );
        let mut lane_out = null_mut();
        assert_eq!(pfplane_engine_lane(engine, 1, &mut lane_out), PFPLANE_ERROR_LANE);
        let mut value = 0;
        assert_eq!(
            pfplane_engine_stat_find(engine, 0, c"nothing".as_ptr(), &mut value),
            PFPLANE_ERROR_UNKNOWN
        );
        assert_eq!(pfplane_engine_stat_find(engine, 7, c"passed".as_ptr(), &mut value), PFPLANE_ERROR_LANE);
        let mut small = [0; 100];
        let mut length = 0;
        assert_eq!(pfplane_lane_flush(lane, 1, small.as_mut_ptr(), 100, &mut length), PFPLANE_ERROR_BUFFER);
        pfplane_engine_free(engine);
    }
}

#[test]
fn statistics_have_names_and_helps_of_their_own() {
    let engine = engine(&config());
    let mut names = Vec::new();
    for index in 0.. {
        let mut stat = pfplane_stat {
            size: size_of::<pfplane_stat>() as u32,
            kind: 0,
            name: null(),
            help: null(),
            value: 0,
        };
        // SAFETY: a valid engine and struct.
        match unsafe { pfplane_engine_stat(engine, PFPLANE_ALL_LANES, index, &mut stat) } {
            PFPLANE_END => break,
            status => assert_eq!(status, PFPLANE_OK),
        }
        // SAFETY: both are NUL-terminated texts.
        let (name, help) = unsafe { (CStr::from_ptr(stat.name), CStr::from_ptr(stat.help)) };
        assert!(!help.is_empty(), "{name:?}");
        names.push(name.to_owned());
    }
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count, "no name twice");
    assert!(count > 40, "{count}");
    // SAFETY: a valid engine.
    unsafe { pfplane_engine_free(engine) };
}
