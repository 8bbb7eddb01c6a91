//! The C door from the other side: wrong pointers, wrong sizes, wrong settings, and a life from creation to takeover.
#![expect(
    clippy::multiple_unsafe_ops_per_block,
    clippy::type_complexity,
    reason = "every line calls the C door"
)]

mod support;

use core::ffi::{CStr, c_void};
use core::mem::{MaybeUninit, size_of};
use core::ptr::{null, null_mut};
use pfplane::ffi::*;
use std::alloc::{Layout, alloc, dealloc};
use support::Packet;

fn last_error() -> String {
    // SAFETY: the function returns a NUL-terminated text.
    unsafe { CStr::from_ptr(pfplane_last_error()) }.to_str().unwrap().to_owned()
}

fn config() -> pfplane_config {
    let mut config = MaybeUninit::uninit();
    // SAFETY: room for the struct, and its size.
    let status = unsafe { pfplane_config_init(config.as_mut_ptr(), size_of::<pfplane_config>() as u32) };
    assert_eq!(status, PFPLANE_OK);
    // SAFETY: the call succeeded, so the struct is filled.
    let mut config: pfplane_config = unsafe { config.assume_init() };
    config.states_per_lane = 1000;
    config
}

fn peer(source: [u8; 4]) -> pfplane_peer {
    let mut peer = MaybeUninit::uninit();
    // SAFETY: room for the struct, and its size.
    let status = unsafe { pfplane_peer_init(peer.as_mut_ptr(), size_of::<pfplane_peer>() as u32) };
    assert_eq!(status, PFPLANE_OK);
    // SAFETY: the call succeeded, so the struct is filled.
    let mut peer: pfplane_peer = unsafe { peer.assume_init() };
    peer.source.family = 4;
    peer.source.bytes[..4].copy_from_slice(&source);
    peer
}

fn engine(config: &pfplane_config) -> *mut pfplane_engine {
    let mut engine = null_mut();
    // SAFETY: a valid configuration and room for a pointer.
    let status = unsafe { pfplane_engine_new(config, &mut engine) };
    assert_eq!(status, PFPLANE_OK, "{}", last_error());
    engine
}

fn refused(config: &pfplane_config) -> (i32, String) {
    let mut engine = null_mut();
    // SAFETY: a valid configuration and room for a pointer.
    let status = unsafe { pfplane_engine_new(config, &mut engine) };
    assert!(engine.is_null());
    (status, last_error())
}

fn lane(engine: *mut pfplane_engine, index: u32) -> *mut pfplane_lane {
    let mut lane = null_mut();
    // SAFETY: a valid engine and room for a pointer.
    assert_eq!(unsafe { pfplane_engine_lane(engine, index, &mut lane) }, PFPLANE_OK);
    lane
}

const fn burst(direction: u8, now_ns: u64) -> pfplane_burst {
    pfplane_burst {
        size: size_of::<pfplane_burst>() as u32,
        direction,
        link: PFPLANE_LINK_IP,
        trust_hash: 0,
        leave: 0,
        now_ns,
    }
}

fn packet(bytes: &[u8]) -> pfplane_packet {
    pfplane_packet {
        data: bytes.as_ptr().cast_mut(),
        length: bytes.len() as u32,
        packet_length: 0,
        hash: 0,
        headroom: 0,
        flags: 0,
    }
}

fn look_up(lane: *mut pfplane_lane, burst: &pfplane_burst, bytes: &[u8]) -> pfplane_verdict {
    let mut verdict = MaybeUninit::uninit();
    // SAFETY: one packet, room for one verdict, a lane of this thread.
    let status = unsafe { pfplane_lane_lookup(lane, burst, &packet(bytes), 1, verdict.as_mut_ptr()) };
    assert_eq!(status, PFPLANE_OK, "{}", last_error());
    // SAFETY: the call succeeded, so the verdict is written.
    unsafe { verdict.assume_init() }
}

fn create(lane: *mut pfplane_lane, burst: &pfplane_burst, bytes: &[u8]) -> pfplane_verdict {
    let mut verdict = MaybeUninit::uninit();
    // SAFETY: one packet, default options, room for one verdict, a lane of this thread.
    let status =
        unsafe { pfplane_lane_state_create(lane, burst, &packet(bytes), null(), verdict.as_mut_ptr()) };
    assert_eq!(status, PFPLANE_OK, "{}", last_error());
    // SAFETY: the call succeeded, so the verdict is written.
    unsafe { verdict.assume_init() }
}

fn stat(engine: *mut pfplane_engine, name: &CStr) -> u64 {
    let mut value = 0;
    // SAFETY: a valid engine, a text, room for a number.
    let status = unsafe { pfplane_engine_stat_find(engine, PFPLANE_ALL_LANES, name.as_ptr(), &mut value) };
    assert_eq!(status, PFPLANE_OK, "{}", last_error());
    value
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

/// Takes all frames that are due on a lane.
fn flush_all(lane: *mut pfplane_lane, now: u64) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    loop {
        let mut buffer = vec![0; 2048];
        let mut length = 0;
        // SAFETY: a lane of this thread, a buffer of that size.
        let status = unsafe { pfplane_lane_flush(lane, now, buffer.as_mut_ptr(), 2048, &mut length) };
        assert_eq!(status, PFPLANE_OK, "{}", last_error());
        if length == 0 {
            return frames;
        }
        buffer.truncate(length as usize);
        frames.push(buffer);
    }
}

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
        (config.defer_ms, config.defer_most) = (20, 4);
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
