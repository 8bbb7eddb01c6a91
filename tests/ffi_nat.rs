//! Translated states, views and kills through the C door.
#![expect(
    clippy::multiple_unsafe_ops_per_block,
    clippy::type_complexity,
    reason = "every line calls the C door"
)]

mod nat_world;

use core::ffi::CStr;
use core::mem::{MaybeUninit, size_of};
use core::ptr::{null, null_mut};
use nat_world::packet::{Carried, Packet};
use nat_world::{address, plain};
use pfplane::internals::ffi::*;

const MS: u64 = 1_000_000;

fn zeroed<T>() -> T {
    // SAFETY: used for C structs of numbers, arrays and pointers, for which all zeros are a value.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

/// An engine that is freed at the end.
struct Engine(*mut pfplane_engine);

impl Engine {
    fn new(node: u8, lanes: u32) -> Self {
        let (mut config, mut peer, mut engine) =
            (zeroed::<pfplane_config>(), zeroed::<pfplane_peer>(), null_mut());
        // SAFETY: rooms for the structs with their sizes, a valid configuration, room for a pointer.
        unsafe {
            assert_eq!(pfplane_config_init(&mut config, size_of::<pfplane_config>() as u32), PFPLANE_OK);
            assert_eq!(pfplane_peer_init(&mut peer, size_of::<pfplane_peer>() as u32), PFPLANE_OK);
            peer.source.family = 4;
            peer.source.bytes[..4].copy_from_slice(&[192, 0, 2, node]);
            (config.lanes, config.states_per_lane, config.host_id) = (lanes, 1000, u32::from(node));
            (config.peers, config.peer_count) = (&raw const peer, 1);
            assert_eq!(pfplane_engine_new(&config, &mut engine), PFPLANE_OK);
        }
        Self(engine)
    }

    fn lane(&self, index: u32) -> *mut pfplane_lane {
        let mut lane = null_mut();
        // SAFETY: a valid engine and room for a pointer.
        assert_eq!(unsafe { pfplane_engine_lane(self.0, index, &mut lane) }, PFPLANE_OK);
        lane
    }

    fn stat(&self, name: &CStr) -> u64 {
        let mut value = 0;
        // SAFETY: a valid engine, a text, room for a number.
        let status =
            unsafe { pfplane_engine_stat_find(self.0, PFPLANE_ALL_LANES, name.as_ptr(), &mut value) };
        assert_eq!(status, PFPLANE_OK);
        value
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // SAFETY: came from the library and is not used again.
        unsafe { pfplane_engine_free(self.0) };
    }
}

fn burst(direction: u8, now_ns: u64) -> pfplane_burst {
    let size = size_of::<pfplane_burst>() as u32;
    pfplane_burst { size, direction, link: PFPLANE_LINK_IP, trust_hash: 0, leave: 0, now_ns }
}

fn packet(bytes: &mut [u8], headroom: usize) -> pfplane_packet {
    pfplane_packet {
        data: bytes[headroom..].as_mut_ptr(),
        length: (bytes.len() - headroom) as u32,
        packet_length: 0,
        hash: 0,
        headroom: headroom as u16,
        flags: 0,
    }
}

fn look_up(lane: *mut pfplane_lane, burst: &pfplane_burst, bytes: &mut [u8]) -> pfplane_verdict {
    let mut verdict = MaybeUninit::uninit();
    let packet = packet(bytes, 0);
    // SAFETY: one packet, room for one verdict, a lane of this thread; the call succeeds.
    unsafe {
        assert_eq!(pfplane_lane_lookup(lane, burst, &packet, 1, verdict.as_mut_ptr()), PFPLANE_OK);
        verdict.assume_init()
    }
}

fn create(
    lane: *mut pfplane_lane,
    burst: &pfplane_burst,
    bytes: &mut [u8],
    options: &pfplane_state_options,
) -> pfplane_verdict {
    let mut verdict = MaybeUninit::uninit();
    let packet = packet(bytes, 0);
    // SAFETY: one packet, valid options, room for one verdict, a lane of this thread; the call succeeds.
    unsafe {
        assert_eq!(
            pfplane_lane_state_create(lane, burst, &packet, options, verdict.as_mut_ptr()),
            PFPLANE_OK
        );
        verdict.assume_init()
    }
}

fn options() -> pfplane_state_options {
    let mut options = zeroed::<pfplane_state_options>();
    // SAFETY: room for the struct, and its size.
    let status =
        unsafe { pfplane_state_options_init(&mut options, size_of::<pfplane_state_options>() as u32) };
    assert_eq!(status, PFPLANE_OK);
    options
}

fn source_nat(v6: bool) -> pfplane_state_options {
    let nat = PFPLANE_NAT_SOURCE | PFPLANE_NAT_SOURCE_PORT;
    pfplane_state_options {
        nat,
        nat_source: address(v6, 2, 200),
        nat_source_ports: [60_000, 60_999],
        ..options()
    }
}

fn datagram(v6: bool, host: u8, port: u16) -> Packet {
    plain(Carried::Udp, v6, [address(v6, 1, host), address(v6, 2, 1)], [port, 53])
}

fn view_at(lane: *mut pfplane_lane, slot: u32) -> pfplane_state_view {
    let mut view = zeroed::<pfplane_state_view>();
    view.size = size_of::<pfplane_state_view>() as u32;
    // SAFETY: a lane of this thread, room for the struct.
    assert_eq!(unsafe { pfplane_lane_state_at(lane, MS, slot, &mut view) }, PFPLANE_OK);
    view
}

#[test]
fn a_packet_is_rewritten_with_its_state_and_the_view_shows_both_keys() {
    for v6 in [false, true] {
        let engine = Engine::new(1, 1);
        let lane = engine.lane(0);
        let request = datagram(v6, 7, 4000);
        let mut bytes = request.build();
        let made = create(lane, &burst(PFPLANE_IN, MS), &mut bytes, &source_nat(v6));
        assert_eq!((made.action, made.translated, made.moved), (PFPLANE_PASS, 1, 0));
        let view = view_at(lane, made.slot);
        let port = view.stack_port[0];
        assert!((60_000..61_000).contains(&port));
        assert_eq!((view.translated, view.stack_family), (1, if v6 { 6 } else { 4 }));
        assert_eq!(view.addr, request.addresses);
        assert_eq!(view.stack_addr, [address(v6, 2, 200), address(v6, 2, 1)]);
        let sent = request.with(view.stack_addr, view.stack_port);
        assert_eq!(bytes, sent.build());

        let answer = sent.with([sent.addresses[1], sent.addresses[0]], [53, port]);
        let mut bytes = answer.build();
        let left = pfplane_burst { leave: 1, ..burst(PFPLANE_OUT, 2 * MS) };
        let verdict = look_up(lane, &left, &mut bytes);
        assert_eq!((verdict.action, verdict.reverse, verdict.translated), (PFPLANE_PASS, 1, 1));
        assert_eq!(bytes, answer.build(), "left as it is");
        let verdict = look_up(lane, &burst(PFPLANE_OUT, 2 * MS), &mut bytes);
        assert_eq!((verdict.action, verdict.translated), (PFPLANE_PASS, 1));
        assert_eq!(bytes, answer.with([request.addresses[1], request.addresses[0]], [53, 4000]).build());
    }
}

#[test]
fn a_packet_that_changes_its_family_says_where_it_begins_now() {
    let engine = Engine::new(1, 1);
    let lane = engine.lane(0);
    let nat = PFPLANE_NAT_SOURCE | PFPLANE_NAT_DESTINATION | PFPLANE_NAT_FAMILY;
    for v6 in [false, true] {
        let request = datagram(v6, 7, 4000);
        let (nat_source, nat_destination) = (address(!v6, 2, 200), address(!v6, 9, 1));
        let nat_family = if v6 { 4 } else { 6 };
        let options = pfplane_state_options { nat, nat_source, nat_destination, nat_family, ..options() };
        let expected = Packet { v6: !v6, ..request.clone() }.with([nat_source, nat_destination], [4000, 53]);
        for headroom in [0, 40] {
            let mut bytes = vec![0; headroom];
            bytes.extend(request.build());
            let (packet, mut verdict) = (packet(&mut bytes, headroom), zeroed::<pfplane_verdict>());
            let burst = burst(PFPLANE_IN, MS);
            // SAFETY: one packet with its headroom, valid options, room for one verdict, a lane of this thread.
            let status = unsafe { pfplane_lane_state_create(lane, &burst, &packet, &options, &mut verdict) };
            assert_eq!(status, PFPLANE_OK);
            if headroom == 0 && !v6 {
                assert_eq!((verdict.action, verdict.moved), (PFPLANE_NOT_WRITABLE, 0));
                assert_eq!(bytes, request.build());
                continue;
            }
            assert_eq!((verdict.action, verdict.moved), (PFPLANE_PASS, if v6 { 20 } else { -20 }));
            let begins = headroom.checked_add_signed(verdict.moved.into()).unwrap();
            assert_eq!(bytes[begins..], expected.build());
            let view = view_at(lane, verdict.slot);
            assert_eq!((view.family, view.stack_family), (if v6 { 6 } else { 4 }, nat_family));
        }
    }
}

#[test]
fn options_that_say_nothing_sensible_are_refused_with_their_names() {
    let engine = Engine::new(1, 1);
    let lane = engine.lane(0);
    let rows: [(fn(&mut pfplane_state_options), &str); 3] = [
        (|options| options.nat = 0x8000, "options.nat is 0x8000"),
        (|options| options.nat_source_ports = [9, 8], "nat_source_ports ends at 8"),
        (|options| (options.nat, options.nat_family) = (PFPLANE_NAT_FAMILY, 5), "options.nat_family is 5"),
    ];
    for (change, text) in rows {
        let mut wrong = source_nat(true);
        change(&mut wrong);
        let mut bytes = datagram(true, 1, 1).build();
        let (packet, mut verdict) = (packet(&mut bytes, 0), zeroed::<pfplane_verdict>());
        // SAFETY: one packet, valid options, room for one verdict, a lane of this thread; the last error is a text.
        let (status, said) = unsafe {
            let burst = burst(PFPLANE_IN, MS);
            let status = pfplane_lane_state_create(lane, &burst, &packet, &wrong, &mut verdict);
            (status, CStr::from_ptr(pfplane_last_error()).to_str().unwrap())
        };
        assert_eq!(status, PFPLANE_ERROR_ARGUMENT);
        assert!(said.contains(text), "{said}");
    }
}

/// Lets two engines run for so many milliseconds.
fn run(engines: [&Engine; 2], lanes: [u32; 2], now: &mut u64, milliseconds: u64) {
    let mut buffer = vec![0u8; 2048];
    for _ in 0..milliseconds {
        *now += MS;
        for from in 0..2 {
            for index in 0..lanes[from] {
                let lane = engines[from].lane(index);
                // SAFETY: lanes of this thread, a buffer of that length, room for a number.
                unsafe {
                    assert_eq!(pfplane_lane_poll(lane, *now), PFPLANE_OK);
                    let mut length = 1;
                    while length > 0 {
                        let (bytes, room) = (buffer.as_mut_ptr(), buffer.len() as u32);
                        assert_eq!(pfplane_lane_flush(lane, *now, bytes, room, &mut length), PFPLANE_OK);
                        if length > 0 {
                            let to = engines[1 - from].lane(0);
                            assert_eq!(pfplane_lane_receive(to, buffer.as_ptr(), length, *now), PFPLANE_OK);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn states_are_killed_by_identity_by_address_of_either_key_and_all_at_once_here_and_at_the_peer() {
    let (a, b) = (Engine::new(1, 3), Engine::new(2, 2));
    let mut now = 1000 * MS;
    let step = |now: &mut u64, time| run([&a, &b], [3, 2], now, time);
    step(&mut now, 100);
    let mut made = Vec::new();
    for host in 0..30 {
        for v6 in [false, true] {
            let mut at = 0;
            loop {
                let mut bytes = datagram(v6, host, 4000 + u16::from(host)).build();
                let verdict = create(a.lane(at), &burst(PFPLANE_IN, now), &mut bytes, &source_nat(v6));
                if verdict.action == PFPLANE_HANDOFF {
                    at = verdict.lane.into();
                    continue;
                }
                assert_eq!(verdict.action, PFPLANE_PASS);
                made.push((at, view_at(a.lane(at), verdict.slot)));
                break;
            }
        }
    }
    step(&mut now, 100);
    assert_eq!((a.stat(c"states"), b.stat(c"states")), (60, 60));

    let (lane, view) = &made[0];
    // SAFETY: a lane of this thread.
    let kill = |lane: u32| unsafe { pfplane_lane_state_kill_id(a.lane(lane), now, view.id, view.creator) };
    assert_eq!(kill(*lane), PFPLANE_OK);
    assert_eq!(kill(*lane), PFPLANE_END);
    step(&mut now, 100);
    assert_eq!((a.stat(c"states"), b.stat(c"states")), (59, 59));

    let mut filter = zeroed::<pfplane_state_filter>();
    filter.size = size_of::<pfplane_state_filter>() as u32;
    filter.parts = PFPLANE_FILTER_FAMILY | PFPLANE_FILTER_SOURCE;
    filter.family = 6;
    // The translated address, of which the upper 64 bits count.
    (filter.source, filter.source_bits) = (address(true, 2, 0), 64);
    for (engine, lanes, expected) in [(&a, 3, 30), (&b, 2, 0)] {
        let mut killed = 0;
        for index in 0..lanes {
            let (mut cursor, mut count, mut status) = (0, 0, PFPLANE_OK);
            while status == PFPLANE_OK {
                let lane = engine.lane(index);
                // SAFETY: a lane of this thread, a valid filter, rooms for two numbers.
                status = unsafe { pfplane_lane_state_kill(lane, now, &filter, 7, &mut cursor, &mut count) };
                killed += count;
            }
            assert_eq!(status, PFPLANE_END);
        }
        assert_eq!(killed, expected);
        step(&mut now, 100);
    }
    assert_eq!((a.stat(c"states"), b.stat(c"states"), a.stat(c"killed")), (29, 29, 31));

    // SAFETY: a valid engine.
    assert_eq!(unsafe { pfplane_engine_clear(a.0) }, PFPLANE_OK);
    let deletes = a.stat(c"deletes_sent");
    step(&mut now, 200);
    assert_eq!((a.stat(c"states"), b.stat(c"states")), (0, 0));
    assert_eq!((a.stat(c"clears_sent"), a.stat(c"deletes_sent")), (1, deletes));
    // SAFETY: valid engines and NULL.
    unsafe {
        assert_eq!(pfplane_engine_clear(null()), PFPLANE_ERROR_NULL);
        assert_eq!(pfplane_engine_clear(b.0), PFPLANE_OK);
    }
    step(&mut now, 200);
    assert_eq!(a.stat(c"states"), 0);
}

#[test]
fn a_translated_state_is_ended_by_the_key_that_either_side_knows() {
    let engine = Engine::new(1, 1);
    let (lane, near, out) = (engine.lane(0), burst(PFPLANE_IN, MS), burst(PFPLANE_OUT, MS));
    let read = |burst: &pfplane_burst, bytes: &mut [u8]| {
        let (mut facts, packet) = (zeroed::<pfplane_facts>(), packet(bytes, 0));
        // SAFETY: one packet, room for facts.
        let status = unsafe { pfplane_packet_facts(burst, &packet, &mut facts, null_mut()) };
        assert_eq!(status, PFPLANE_OK);
        facts
    };
    for v6 in [false, true] {
        let before = datagram(v6, 1, 4000).build();
        for from_outside in [false, true] {
            let mut after = before.clone();
            assert_eq!(create(lane, &near, &mut after, &source_nat(v6)).action, PFPLANE_PASS);
            assert_ne!(after, before);
            // As the answer comes: to where the packet seems to be from.
            let seen = read(&near, &mut after);
            let answer = pfplane_facts {
                source: seen.destination,
                destination: seen.source,
                source_port: seen.destination_port,
                destination_port: seen.source_port,
                ..seen
            };
            let inside = read(&near, &mut before.clone());
            let (burst, facts) = if from_outside { (&out, answer) } else { (&near, inside) };
            // SAFETY: a burst, facts, a lane of this thread.
            let kill = || unsafe { pfplane_lane_state_kill_key(lane, burst, &facts) };
            assert_eq!((kill(), kill()), (PFPLANE_OK, PFPLANE_END), "v6 {v6}");
        }
    }
}

#[test]
fn what_another_node_made_is_deleted_there_when_all_is_cleared_here() {
    let (a, b) = (Engine::new(1, 1), Engine::new(2, 1));
    let mut now = 1000 * MS;
    run([&a, &b], [1, 1], &mut now, 100);
    for host in 0..20 {
        let mut bytes = datagram(host % 2 == 0, host, 4000).build();
        create(a.lane(0), &burst(PFPLANE_IN, now), &mut bytes, &source_nat(host % 2 == 0));
    }
    run([&a, &b], [1, 1], &mut now, 100);
    assert_eq!(b.stat(c"states"), 20);
    // SAFETY: a valid engine.
    assert_eq!(unsafe { pfplane_engine_clear(b.0) }, PFPLANE_OK);
    run([&a, &b], [1, 1], &mut now, 200);
    assert_eq!((a.stat(c"states"), b.stat(c"states")), (0, 0));
}
