//! Translated states: rewriting, the view of both keys, and deletion by an operator.

use super::nat_world::packet::{Carried, Packet};
use super::nat_world::{address, plain};
use super::world::*;
use core::ptr::null_mut;
use pfplane::internals::ffi::*;

fn node(number: u8, lanes: u32) -> Engine {
    Engine::with_peer(&pfplane_config { lanes, host_id: number.into(), ..config() }, &peer(number))
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

/// Creates a state for a packet, which is rewritten.
fn create(
    lane: Lane,
    burst: &pfplane_burst,
    bytes: &mut [u8],
    options: &pfplane_state_options,
) -> pfplane_verdict {
    lane.try_create(burst, &writable(bytes, 0), Some(options)).expect("a verdict")
}

#[test]
fn a_packet_is_rewritten_by_its_state_and_the_view_shows_both_keys() {
    for v6 in [false, true] {
        let engine = node(1, 1);
        let lane = engine.lane(0);
        let request = datagram(v6, 7, 4000);
        let mut bytes = request.build();
        let made = create(lane, &burst(PFPLANE_IN, MS), &mut bytes, &source_nat(v6));
        assert_eq!((made.action, made.translated, made.data_shift), (PFPLANE_PASS, 1, 0));
        let view = lane.state_at(made.slot);
        let [wire, stack] = view.state.key;
        let port = stack.port[0];
        assert!((60_000..61_000).contains(&port));
        assert_eq!((view.translated, stack.family), (1, if v6 { 6 } else { 4 }));
        assert_eq!(wire.addr, request.addresses);
        assert_eq!(stack.addr, [address(v6, 2, 200), address(v6, 2, 1)]);
        let sent = request.with(stack.addr, stack.port);
        assert_eq!(bytes, sent.build());

        let answer = sent.with([sent.addresses[1], sent.addresses[0]], [53, port]);
        let mut bytes = answer.build();
        let by_host = pfplane_burst { host_rewrites: 1, ..burst(PFPLANE_OUT, 2 * MS) };
        let verdict = lane.look_up_packet(&by_host, &writable(&mut bytes, 0));
        assert_eq!((verdict.action, verdict.reverse, verdict.translated), (PFPLANE_PASS, 1, 1));
        assert_eq!(bytes, answer.build(), "not rewritten");
        let verdict = lane.look_up_packet(&burst(PFPLANE_OUT, 2 * MS), &writable(&mut bytes, 0));
        assert_eq!((verdict.action, verdict.translated), (PFPLANE_PASS, 1));
        assert_eq!(bytes, answer.with([request.addresses[1], request.addresses[0]], [53, 4000]).build());
    }
}

#[test]
fn the_verdict_on_a_packet_that_changes_its_family_has_the_shift_of_its_start() {
    let engine = node(1, 1);
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
            let packet = writable(&mut bytes, headroom);
            let verdict = lane.try_create(&burst(PFPLANE_IN, MS), &packet, Some(&options)).unwrap();
            if headroom == 0 && !v6 {
                assert_eq!((verdict.action, verdict.data_shift), (PFPLANE_NOT_WRITABLE, 0));
                assert_eq!(bytes, request.build());
                continue;
            }
            assert_eq!((verdict.action, verdict.data_shift), (PFPLANE_PASS, if v6 { 20 } else { -20 }));
            let start = headroom.checked_add_signed(verdict.data_shift.into()).unwrap();
            assert_eq!(bytes[start..], expected.build());
            let families = lane.state_at(verdict.slot).state.key.map(|key| key.family);
            assert_eq!(families, [if v6 { 6 } else { 4 }, nat_family]);
        }
    }
}

#[test]
fn options_without_a_meaning_are_refused_by_name() {
    type Change = fn(&mut pfplane_state_options);
    let engine = node(1, 1);
    let rows: [(Change, &str); 4] = [
        (|options| options.nat = 0x8000, "options.nat is 0x8000"),
        (|options| options.nat_source_ports = [9, 8], "nat_source_ports ends at 8"),
        (|options| (options.nat, options.nat_family) = (PFPLANE_NAT_FAMILY, 5), "options.nat_family is 5"),
        (|options| options.state_flags = 0x4000, "options.state_flags is 0x4000"),
    ];
    for (change, expected) in rows {
        let mut wrong = source_nat(true);
        change(&mut wrong);
        let mut bytes = datagram(true, 1, 1).build();
        let packet = writable(&mut bytes, 0);
        let refused = engine.lane(0).try_create(&burst(PFPLANE_IN, MS), &packet, Some(&wrong));
        let (status, text) = refused.unwrap_err();
        assert_eq!(status, PFPLANE_ERROR_ARGUMENT);
        assert!(text.contains(expected), "{text}");
    }
}

/// Two engines with their lanes, and the time.
struct Pair {
    engines: [Engine; 2],
    lanes: [u32; 2],
    now: u64,
}

impl Pair {
    fn new(lanes: [u32; 2]) -> Self {
        let mut pair = Self { engines: [node(1, lanes[0]), node(2, lanes[1])], lanes, now: SECOND };
        pair.run(100);
        pair
    }

    /// Polls all lanes once per millisecond, and hands their frames to the other engine.
    fn run(&mut self, milliseconds: u64) {
        for _ in 0..milliseconds {
            self.now += MS;
            for from in 0..2 {
                for index in 0..self.lanes[from] {
                    let lane = self.engines[from].lane(index);
                    lane.poll(self.now);
                    lane.carry(self.engines[1 - from].lane(0), self.now);
                }
            }
        }
    }

    /// A translated state on the first engine, in the lane that owns its key.
    fn create(&self, v6: bool, host: u8, port: u16) -> (Lane, pfplane_state_view) {
        let mut lane = self.engines[0].lane(0);
        loop {
            let mut bytes = datagram(v6, host, port).build();
            let verdict = create(lane, &burst(PFPLANE_IN, self.now), &mut bytes, &source_nat(v6));
            if verdict.action != PFPLANE_HANDOFF {
                assert_eq!(verdict.action, PFPLANE_PASS);
                return (lane, lane.state_at(verdict.slot));
            }
            lane = self.engines[0].lane(verdict.lane.into());
        }
    }

    fn stats(&self, name: &core::ffi::CStr) -> [u64; 2] {
        self.engines.each_ref().map(|engine| engine.stat(name))
    }

    /// Deletes the states of one engine that match, seven slots a call, and counts them.
    fn kill(&self, engine: usize, filter: &pfplane_state_filter) -> u32 {
        let mut killed = 0;
        for index in 0..self.lanes[engine] {
            let lane = self.engines[engine].lane(index);
            let (mut cursor, mut count, mut status) = (0, 0, PFPLANE_OK);
            while status == PFPLANE_OK {
                let (cursor, count_out) = (Some(&mut cursor), out(&mut count));
                status = pfplane_lane_state_kill(lane.get(), self.now, Some(filter), 7, cursor, count_out);
                killed += count;
            }
            assert_eq!(status, PFPLANE_END);
        }
        killed
    }
}

#[test]
fn states_are_deleted_by_identity_by_address_and_all_at_once_on_both_nodes() {
    let mut pair = Pair::new([3, 2]);
    let mut made = Vec::new();
    for host in 0..30 {
        made.extend([false, true].map(|v6| pair.create(v6, host, 4000 + u16::from(host))));
    }
    pair.run(100);
    assert_eq!(pair.stats(c"states"), [60, 60]);

    let (lane, view) = &made[0];
    let kill_id = || pfplane_lane_state_kill_id(lane.get(), pair.now, view.id, view.creator);
    assert_eq!((kill_id(), kill_id()), (PFPLANE_OK, PFPLANE_END));
    pair.run(100);
    assert_eq!(pair.stats(c"states"), [59, 59]);

    // By the translated address, of which the upper 64 bits count.
    let filter = pfplane_state_filter {
        size: size::<pfplane_state_filter>(),
        fields: PFPLANE_FILTER_FAMILY | PFPLANE_FILTER_SOURCE,
        family: 6,
        source: address(true, 2, 0),
        source_prefix: 64,
        ..zeroed()
    };
    for (engine, expected) in [(0, 30), (1, 0)] {
        assert_eq!(pair.kill(engine, &filter), expected);
        pair.run(100);
    }
    assert_eq!((pair.stats(c"states"), pair.stats(c"states_deleted")[0]), ([29, 29], 31));

    assert_eq!(unsafe { pfplane_engine_clear(pair.engines[0].0) }, PFPLANE_OK);
    let deletes = pair.stats(c"deletes_sent")[0];
    pair.run(200);
    assert_eq!(pair.stats(c"states"), [0, 0]);
    assert_eq!(pair.stats(c"deletes_sent")[0], deletes + 29);
    assert_eq!(unsafe { pfplane_engine_clear(pair.engines[1].0) }, PFPLANE_OK);
    pair.run(200);
    assert_eq!(pair.stats(c"states"), [0, 0]);
}

#[test]
fn a_translated_state_is_deleted_by_the_key_that_either_side_knows() {
    let engine = node(1, 1);
    let (lane, near, far) = (engine.lane(0), burst(PFPLANE_IN, MS), burst(PFPLANE_OUT, MS));
    let read = |burst: &pfplane_burst, bytes: &[u8]| {
        let (mut facts, packet) = (zeroed::<pfplane_facts>(), packet(bytes));
        let status = unsafe { pfplane_packet_facts(Some(burst), Some(&packet), out(&mut facts), None) };
        assert_eq!(status, PFPLANE_OK);
        facts
    };
    for v6 in [false, true] {
        let before = datagram(v6, 1, 4000).build();
        for from_outside in [false, true] {
            let mut after = before.clone();
            assert_eq!(create(lane, &near, &mut after, &source_nat(v6)).action, PFPLANE_PASS);
            assert_ne!(after, before);
            // As the answer arrives: addressed to where the packet seems to be from.
            let seen = read(&near, &after);
            let answer = pfplane_facts {
                source: seen.destination,
                destination: seen.source,
                source_port: seen.destination_port,
                destination_port: seen.source_port,
                ..seen
            };
            let (burst, facts) = if from_outside { (&far, answer) } else { (&near, read(&near, &before)) };
            let kill = || pfplane_lane_state_kill_key(lane.get(), Some(burst), Some(&facts));
            assert_eq!((kill(), kill()), (PFPLANE_OK, PFPLANE_END), "v6 {v6}");
        }
    }
}

#[test]
fn a_clear_deletes_what_another_node_created_there_too() {
    let mut pair = Pair::new([1, 1]);
    for host in 0..20 {
        pair.create(host % 2 == 0, host, 4000);
    }
    pair.run(100);
    assert_eq!(pair.stats(c"states"), [20, 20]);
    assert_eq!(unsafe { pfplane_engine_clear(pair.engines[1].0) }, PFPLANE_OK);
    pair.run(200);
    assert_eq!(pair.stats(c"states"), [0, 0]);
    assert_eq!(unsafe { pfplane_engine_clear(null_mut()) }, PFPLANE_ERROR_NULL);
}
