//! Two engines with several lanes, translation, source limits, held packets and peers of two dialects, in virtual time.

use super::measure::call;
use super::world::*;
use core::ptr::null_mut;
use pfplane::internals::ffi::*;
use pfplane_testkit::Packet;

const LANES: u32 = 3;
/// Packets of a burst.
const BURST: usize = 32;

struct Node {
    engine: *mut pfplane_engine,
    lanes: Vec<*mut pfplane_lane>,
}

impl Node {
    fn new(number: u8) -> Self {
        let mut peer: pfplane_peer = zeroed();
        assert_eq!(call!(pfplane_peer_init(out(&mut peer), size::<pfplane_peer>())), PFPLANE_OK);
        peer.source = super::world::peer(number).source;
        peer.extensions = 1;
        peer.unsealed_may = 15;
        let secret = [7; 32];
        let key = |id| pfplane_seal_key { key: secret.as_ptr(), key_bytes: 32, id };
        let (other, keys) = ([super::world::peer(3 - number).source], [key(1)]);
        let sealed = pfplane_peer {
            sources: other.as_ptr(),
            source_count: 1,
            seal: PFPLANE_SEAL_REQUIRE as u8,
            seal_key_count: 1,
            seal_keys: keys.as_ptr(),
            ..peer
        };
        let peers = [sealed, pfplane_peer { profile: PFPLANE_PROFILE_FREEBSD1500, ..peer }];
        let tables = [0, 1];
        let (mut config, mut engine) = (zeroed(), null_mut());
        let size = size::<pfplane_config>();
        assert_eq!(call!(pfplane_config_init(out(&mut config), size)), PFPLANE_OK);
        (config.lanes, config.states_per_lane, config.host_id) = (LANES, 500, number.into());
        (config.peers, config.peer_count) = (peers.as_ptr(), 2);
        (config.max_defer_ms, config.max_sources) = (20, 100);
        (config.routing_tables, config.routing_table_count) = (tables.as_ptr(), 2);
        // Which ports are chosen, and so which lanes get the states, follows from this.
        let seed = [number; 32];
        config.random_seed = &raw const seed;
        assert_eq!(call!(pfplane_config_memory(Some(&config), out(&mut 0))), PFPLANE_OK);
        assert_eq!(
            call!(pfplane_engine_new(Some(&config), out(&mut engine))),
            PFPLANE_OK,
            "{}",
            last_error()
        );
        assert_eq!(
            call!(pfplane_engine_seal_key_add(engine, 0, Some(&key(2)))),
            PFPLANE_OK,
            "{}",
            last_error()
        );
        assert_eq!(call!(pfplane_engine_seal_key_remove(engine, 0, 2)), PFPLANE_OK);
        assert_eq!(call!(pfplane_engine_seal_renew(engine)), PFPLANE_OK);
        let mut status =
            pfplane_seal_status { size: super::world::size::<pfplane_seal_status>(), ..zeroed() };
        assert_eq!(call!(pfplane_engine_seal_status(engine.as_ref(), 0, Some(&mut status))), PFPLANE_OK);
        let mut comparison =
            pfplane_comparison { size: super::world::size::<pfplane_comparison>(), ..zeroed() };
        assert_eq!(call!(pfplane_engine_compare(engine.as_ref(), 0, 1, Some(&mut comparison))), PFPLANE_OK);
        let lanes = (0..LANES).map(|index| {
            let mut lane = null_mut();
            assert_eq!(call!(pfplane_engine_lane(engine.as_ref(), index, out(&mut lane))), PFPLANE_OK);
            lane
        });
        Self { engine, lanes: lanes.collect() }
    }

    /// Looks up a burst on every lane, and creates states for what is new.
    fn forward(&self, packets: &mut [Vec<u8>], direction: u8, step: u32, now: u64) {
        let burst = burst(direction, now);
        for lane in &self.lanes {
            for some in packets.chunks_mut(BURST) {
                let given: Vec<_> = some.iter_mut().map(|bytes| writable(bytes, 0)).collect();
                let mut verdicts = [zeroed::<pfplane_verdict>(); BURST];
                let (count, verdicts_out) = (given.len() as u32, verdicts.as_mut_ptr());
                let status = call!(pfplane_lane_lookup(
                    lane.as_mut(),
                    Some(&burst),
                    given.as_ptr(),
                    count,
                    verdicts_out
                ));
                assert_eq!(status, PFPLANE_OK);
                for (index, packet) in given.iter().enumerate() {
                    self.decide(*lane, &burst, packet, &verdicts[index], step + index as u32);
                }
            }
        }
    }

    /// Does what a host does with one verdict.
    fn decide(
        &self,
        lane: *mut pfplane_lane,
        burst: &pfplane_burst,
        packet: &pfplane_packet,
        verdict: &pfplane_verdict,
        number: u32,
    ) {
        let (mut facts, mut parsed) = (zeroed::<pfplane_facts>(), zeroed());
        call!(pfplane_packet_facts(Some(burst), Some(packet), out(&mut facts), out(&mut parsed)));
        call!(pfplane_engine_lane_of(self.engine.as_ref(), Some(burst), Some(packet), out(&mut 0)));
        let (mut buffer, mut length) = ([0u8; 2048], 0);
        let answer = buffer.as_mut_ptr();
        call!(pfplane_lane_answer(
            lane.as_ref(),
            Some(burst),
            Some(packet),
            Some(verdict),
            answer,
            2048,
            out(&mut length)
        ));
        for refusal in [PFPLANE_REFUSE_RETURN, PFPLANE_REFUSE_PROHIBITED] {
            let router = if facts.family == 4 {
                peer(9).source
            } else {
                pfplane_address { family: 6, ..peer(9).source }
            };
            call!(pfplane_packet_refuse(
                Some(burst),
                Some(packet),
                refusal,
                Some(&router),
                answer,
                2048,
                out(&mut length)
            ));
        }
        if verdict.action == PFPLANE_HELD || verdict.action == PFPLANE_PASS {
            call!(pfplane_lane_hold(lane.as_mut(), verdict.slot, u64::from(number)));
        }
        if verdict.action != PFPLANE_NEW {
            return;
        }
        let mut options = zeroed();
        call!(pfplane_state_options_init(out(&mut options), size::<pfplane_state_options>()));
        options.source_limits.max_src_states = 50;
        options.opaque_length = 64;
        if number.is_multiple_of(3) && burst.direction == PFPLANE_OUT {
            options.nat = PFPLANE_NAT_SOURCE | PFPLANE_NAT_SOURCE_PORT;
            options.nat_source = if facts.family == 4 { peer(200).source.bytes } else { [0x20; 16] };
            options.nat_source_ports = [60_000, 60_999];
        }
        let (options, mut made) = (Some(&options), zeroed());
        let status = if number % 4 == 1 {
            call!(pfplane_lane_state_create_facts(
                lane.as_mut(),
                Some(burst),
                Some(&facts),
                options,
                out(&mut made)
            ))
        } else {
            call!(pfplane_lane_state_create(
                lane.as_mut(),
                Some(burst),
                Some(packet),
                options,
                out(&mut made)
            ))
        };
        assert!(status == PFPLANE_OK || status == PFPLANE_ERROR_ARGUMENT, "{}", last_error());
        let verdicts = &raw mut made;
        call!(pfplane_lane_lookup_facts(lane.as_mut(), Some(burst), &facts, 1, verdicts));
        made.translated = 1;
        call!(pfplane_lane_rewrite_fragment(lane.as_mut(), Some(burst), Some(packet), Some(&mut made)));
    }

    /// Polls all lanes, and sends what is due to another node.
    fn poll(&self, to: &Self, now: u64) {
        for lane in &self.lanes {
            assert_eq!(call!(pfplane_lane_poll(lane.as_mut(), now)), PFPLANE_OK);
            let mut handles = [0; 64];
            call!(pfplane_lane_release(lane.as_mut(), now, false, handles.as_mut_ptr(), 64, out(&mut 0)));
            let mut exposure = pfplane_exposure { size: size::<pfplane_exposure>(), ..zeroed() };
            call!(pfplane_lane_exposure(lane.as_ref(), now, Some(&mut exposure)));
            for frame in 0.. {
                let (mut buffer, mut length) = (vec![0; 1500], 0);
                let bytes = buffer.as_mut_ptr();
                let status = call!(pfplane_lane_flush(lane.as_mut(), now, bytes, 1500, out(&mut length)));
                assert_eq!(status, PFPLANE_OK);
                if length == 0 {
                    break;
                }
                if frame % 11 == 10 {
                    call!(pfplane_lane_requeue(lane.as_mut(), bytes, length, now));
                    break;
                }
                let sync = to.lanes[0];
                assert_eq!(call!(pfplane_lane_receive(sync.as_mut(), bytes, length, now)), PFPLANE_OK);
                call!(pfplane_lane_receive_frame(sync.as_mut(), bytes, length, 0, now));
            }
        }
    }

    /// Reads everything that can be read.
    fn read(&self, now: u64) {
        let engine = unsafe { self.engine.as_ref() };
        for lane in 0..=LANES {
            let lane = if lane == LANES { PFPLANE_ALL_LANES } else { lane };
            for index in 0..400 {
                let mut value = stat();
                call!(pfplane_engine_stat(engine, lane, index, Some(&mut value)));
                call!(pfplane_engine_peer_stat(engine, index % 2, lane, index, Some(&mut value)));
            }
            call!(pfplane_engine_stat_find(engine, lane, c"states".as_ptr(), out(&mut 0)));
            call!(pfplane_engine_stat_find(engine, lane, c"unknown".as_ptr(), out(&mut 0)));
        }
        let mut readiness = pfplane_readiness { size: size::<pfplane_readiness>(), ..zeroed() };
        call!(pfplane_engine_readiness(engine, now, Some(&mut readiness)));
        let mut bulk = pfplane_bulk { size: size::<pfplane_bulk>(), ..zeroed() };
        call!(pfplane_engine_bulk(engine, Some(&mut bulk)));
        let address = peer(1).source;
        call!(pfplane_engine_source(engine, Some(&address), 0, out(&mut 0), out(&mut 0)));
        call!(pfplane_engine_steering(engine, out(&mut [0; 40]), out(&mut [0; 128])));
        call!(pfplane_engine_ready(engine));
        call!(pfplane_engine_mtu(engine));
        call!(pfplane_engine_host_id(engine));
        for lane in &self.lanes {
            let lane = unsafe { lane.as_ref() };
            let (mut cursor, mut view) =
                (0, pfplane_state_view { size: size::<pfplane_state_view>(), ..zeroed() });
            while call!(pfplane_lane_state_next(lane, now, Some(&mut cursor), Some(&mut view))) == PFPLANE_OK
            {
                call!(pfplane_lane_state_at(lane, now, view.slot, Some(&mut view)));
            }
        }
    }

    /// Deletes states in every way.
    fn kill(&self, packets: &[Vec<u8>], now: u64) {
        let burst = burst(PFPLANE_IN, now);
        for lane in &self.lanes {
            let (mut cursor, mut view) =
                (0, pfplane_state_view { size: size::<pfplane_state_view>(), ..zeroed() });
            call!(pfplane_lane_state_next(lane.as_ref(), now, Some(&mut cursor), Some(&mut view)));
            call!(pfplane_lane_state_kill_id(lane.as_mut(), now, view.id, view.creator));
            let mut facts = zeroed::<pfplane_facts>();
            call!(pfplane_packet_facts(Some(&burst), Some(&packet(&packets[0])), out(&mut facts), None));
            call!(pfplane_lane_state_kill_key(lane.as_mut(), Some(&burst), Some(&facts)));
            let filter = pfplane_state_filter { size: size::<pfplane_state_filter>(), ..zeroed() };
            call!(pfplane_lane_state_kill(lane.as_mut(), now, Some(&filter), 40, Some(&mut 0), out(&mut 0)));
        }
    }
}

/// Packets of a few connections and of none.
fn packets(number: u32) -> [Vec<Vec<u8>>; 2] {
    let (mut requests, mut replies) = (Vec::new(), Vec::new());
    for v6 in [false, true] {
        let syn = Packet::syn(v6, number, number % 7, [4000 + number as u16, 443]);
        requests.extend([syn.tcp(), syn.udp(), syn.echo(false), syn.ip(132, &[0; 40]), syn.ip(47, &[0; 20])]);
        requests.extend([syn.data(1001, 5001, 600).tcp(), syn.unreachable(&syn.reversed().udp())]);
        replies.extend([syn.syn_ack().tcp(), syn.reversed().udp(), syn.reversed().echo(true)]);
        replies.extend([syn.reversed().data(5001, 1001, 600).tcp(), syn.reversed().unreachable(&syn.udp())]);
    }
    requests.push(vec![0x45; 30]);
    [requests, replies]
}

pub(crate) fn run() {
    call!(pfplane_abi_version());
    call!(pfplane_version_string());
    call!(pfplane_status_text(PFPLANE_ERROR_PANIC));
    call!(pfplane_last_error());
    let nodes = [Node::new(1), Node::new(2)];
    // The handshake of the seal.
    for step in 0..10 {
        nodes[0].poll(&nodes[1], SECOND / 2 + step * MS);
        nodes[1].poll(&nodes[0], SECOND / 2 + step * MS);
    }
    for step in 0..30u32 {
        let now = SECOND + u64::from(step) * 50 * MS;
        for (node, other) in [(0, 1), (1, 0)] {
            // Each node has connections of its own: what both create, neither imports.
            let number = step / 2 + 50 * node;
            let (node, other) = (&nodes[node as usize], &nodes[other]);
            let [mut requests, mut replies] = packets(number);
            let directions = if step % 4 < 2 { [PFPLANE_IN, PFPLANE_OUT] } else { [PFPLANE_OUT, PFPLANE_IN] };
            node.forward(&mut requests, directions[0], step, now);
            node.forward(&mut replies, directions[1], step, now);
            node.poll(other, now);
            if step % 20 == 10 {
                node.read(now);
                node.kill(&requests, now);
                call!(pfplane_engine_bulk_request(node.engine));
                call!(pfplane_engine_bulk_push(node.engine));
                call!(pfplane_engine_tune(node.engine, 20, 500, 64, 1));
                call!(pfplane_engine_frames_missed(node.engine, 3));
                call!(pfplane_engine_sync_link(node.engine, step < 20));
            }
            if step == 25 {
                call!(pfplane_engine_clear(node.engine));
            }
        }
    }
    let imported: u64 = nodes
        .iter()
        .map(|node| Engine(node.engine))
        .map(|engine| {
            let states = engine.stat(c"states_imported");
            core::mem::forget(engine);
            states
        })
        .sum();
    assert!(imported > 200, "only {imported} states were imported");
    // Everything ends.
    for hour in 1..4 {
        for node in &nodes {
            node.poll(&nodes[0], hour * 3600 * SECOND);
        }
    }
    for node in nodes {
        call!(pfplane_engine_free(node.engine));
    }
}
