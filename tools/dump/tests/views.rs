//! A state view of the C API has every field that `pfctl -vv -ss` prints: states that OpenBSD sent are received, viewed and
//! printed from the view, and compared with the system's own printer (`tests/vectors/openbsd/printed`).

#[path = "../../../tests/captures/mod.rs"]
mod captures;

use captures::{packets, vectors};
use core::mem::MaybeUninit;
use pfplane::internals::ffi::*;
use pfplane_dump::styles::state_lines;
use pfsync::envelope::Envelope;
use pfsync::{Family, FrameReader, FullState, Identity, Record, Scrub, StateKey, StatePeer};
use std::collections::HashMap;
use std::fs;

/// Later than the age of every recorded state.
const NOW: u64 = 40_000_000 * 1_000_000_000;

/// Returns the value that a call wrote.
fn made<T>(call: impl FnOnce(Option<&mut MaybeUninit<T>>) -> i32) -> T {
    let mut value = MaybeUninit::uninit();
    assert_eq!(call(Some(&mut value)), PFPLANE_OK);
    // SAFETY: the call succeeded, so it wrote the value.
    unsafe { value.assume_init() }
}

/// Returns the views of all states after these packets are received.
fn views(packets: &[Vec<u8>]) -> Vec<pfplane_state_view> {
    let mut peer: pfplane_peer = made(|out| pfplane_peer_init(out, size_of::<pfplane_peer>() as u32));
    peer.source.family = 4;
    peer.source.bytes[..4].copy_from_slice(&[192, 0, 2, 2]);
    let mut config: pfplane_config = made(|out| pfplane_config_init(out, size_of::<pfplane_config>() as u32));
    // OpenBSD has up to 256 routing tables, and the recorded states random ones.
    let tables: Vec<u32> = (1..256).collect();
    (config.routing_tables, config.routing_table_count) = (tables.as_ptr(), tables.len() as u32);
    (config.peers, config.peer_count, config.states_per_lane) = (&raw const peer, 1, 4096);
    // SAFETY: the configuration points to one peer.
    let engine = made(|out| unsafe { pfplane_engine_new(Some(&config), out) });
    // SAFETY: the engine lives until the end of this function.
    let lane = made(|out| pfplane_engine_lane(unsafe { engine.as_ref() }, 0, out));
    // SAFETY: only this thread uses the lane.
    let lane = unsafe { lane.as_mut() }.unwrap();
    for packet in packets {
        let (bytes, length) = (packet.as_ptr(), packet.len() as u32);
        // SAFETY: a packet of that length.
        assert_eq!(unsafe { pfplane_lane_receive(Some(&mut *lane), bytes, length, NOW) }, PFPLANE_OK);
    }
    let (mut all, mut cursor) = (Vec::new(), 0);
    // SAFETY: all zeros are a view.
    let mut view: pfplane_state_view = unsafe { MaybeUninit::zeroed().assume_init() };
    view.size = size_of::<pfplane_state_view>() as u32;
    while pfplane_lane_state_next(Some(&*lane), NOW, Some(&mut cursor), Some(&mut view)) == PFPLANE_OK {
        all.push(view);
    }
    // SAFETY: made above; neither engine nor lane is used again.
    unsafe { pfplane_engine_free(engine) };
    all
}

fn key(key: &pfplane_key) -> StateKey {
    let family = if key.family == 6 { Family::V6 } else { Family::V4 };
    let port = key.port.map(u16::to_be_bytes);
    StateKey { addr: key.addr, port, rdomain: key.rdomain, family, proto: key.proto }
}

fn side(side: &pfplane_side) -> StatePeer {
    StatePeer {
        scrub: Scrub {
            flags: side.scrub_flags,
            ttl: side.scrub_ttl,
            valid: side.scrub_valid,
            ts_mod: side.scrub_ts_mod,
        },
        seqlo: side.seqlo,
        seqhi: side.seqhi,
        seqdiff: side.seqdiff,
        max_win: side.max_win,
        mss: side.mss,
        state: side.state,
        wscale: side.wscale,
    }
}

/// Returns the state in a view.
fn from_view(view: &pfplane_state_view) -> FullState {
    let state = &view.state;
    let mut stack = state.key[1];
    if state.key[0].family != stack.family {
        // pf exchanges the slots of the second key then.
        stack.addr.reverse();
        stack.port.reverse();
    }
    FullState {
        id: Identity { id: view.id, creator: view.creator },
        ifname: state.ifname,
        key: [key(&state.key[0]), key(&stack)],
        src: side(&state.src),
        dst: side(&state.dst),
        rt_addr: state.rt_addr,
        rule: state.rule,
        anchor: state.anchor,
        nat_rule: state.nat_rule,
        creation: state.age_s,
        expire: state.expire_s,
        packets: state.packets,
        bytes: state.bytes,
        rtableid: state.rtableid,
        max_mss: state.max_mss,
        direction: state.direction,
        log: state.log,
        rt: state.rt,
        timeout: state.timeout,
        sync_flags: state.sync_flags,
        min_ttl: state.min_ttl,
        set_tos: state.set_tos,
        set_prio: state.set_prio,
        state_flags: state.state_flags,
        ..FullState::EMPTY
    }
}

fn single_spaced(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns the printed states by identity: the lines of hosts, states and sequence numbers, and the line of ages.
fn printed(name: &str) -> HashMap<String, (Vec<String>, String)> {
    let text = fs::read_to_string(vectors(&format!("openbsd/printed/{name}.txt"))).unwrap();
    let (mut states, mut lines) = (HashMap::new(), Vec::new());
    for line in text.lines().map(single_spaced) {
        if line.starts_with("packet ") || line.starts_with("act ") {
            lines.clear();
        } else if let Some(id) = line.strip_prefix("id: ") {
            if let Some(ages) = lines.pop() {
                states.insert(id.to_owned(), (core::mem::take(&mut lines), ages));
            }
        } else {
            lines.push(line);
        }
    }
    states
}

/// Returns the parts of an age line that survive the import: age and rule. pf drops counters and anchor, and limits the time.
fn age_and_rule(ages: &str) -> (String, Option<String>) {
    let mut parts = ages.split(", ");
    let age = parts.next().unwrap_or_default().to_owned();
    (age, parts.find(|part| part.starts_with("rule ")).map(str::to_owned))
}

fn packets_of(name: &str) -> Vec<Vec<u8>> {
    packets(&format!("openbsd/gen/{name}.pcap"))
}

#[test]
fn a_view_prints_as_the_system_prints_its_state() {
    let mut compared = 0;
    for name in ["ins", "bulk_5", "mixed", "upd"] {
        let printed = printed(name);
        for view in views(&packets_of(name)) {
            let lines: Vec<_> =
                state_lines(&from_view(&view)).iter().map(|line| single_spaced(line)).collect();
            let at = lines.iter().position(|line| line.starts_with("id: ")).expect("an identity");
            let (theirs, their_ages) = &printed[lines[at].trim_start_matches("id: ")];
            assert_eq!(&lines[..at - 1], theirs, "{name}");
            assert_eq!(age_and_rule(&lines[at - 1]), age_and_rule(their_ages), "{name}");
            compared += 1;
        }
    }
    println!("{compared} states compared with OpenBSD's output");
    assert!(compared > 20, "{compared}");
}

#[test]
fn a_view_has_the_values_of_the_message() {
    let (mut compared, mut scrubbed, mut tracked) = (0, 0, 0);
    for name in ["ins", "bulk_5", "mixed", "full_ins_1500"] {
        let packets = packets_of(name);
        let mut sent = HashMap::new();
        for packet in &packets {
            let envelope = Envelope::parse(packet).unwrap();
            let mut reader = FrameReader::new(&packet[envelope.payload]).unwrap();
            while let Some(Ok(region)) = reader.next_region() {
                for record in region.records() {
                    if let Record::State(state) = record {
                        sent.insert((state.id.id, state.id.creator), state);
                    }
                }
            }
        }
        for view in views(&packets) {
            let (viewed, state) = (from_view(&view), &sent[&(view.id, view.creator)]);
            let is_tcp = view.state.key[0].proto == 6;
            for (side, sent) in [(viewed.src, state.src), (viewed.dst, state.dst)] {
                assert_eq!((side.scrub, side.state), (sent.scrub, sent.state), "{name}");
                assert!(!is_tcp || side == sent, "{name}: {side:?} {sent:?}");
                scrubbed += u32::from(side.scrub.valid);
            }
            let other = |state: &FullState| {
                let FullState { rt_addr, rule, rtableid, direction, log, rt, timeout, sync_flags, .. } =
                    *state;
                (rt_addr, rule, rtableid, direction, log, rt, timeout, sync_flags, state.ifname)
            };
            assert_eq!(other(&viewed), other(state), "{name}");
            let scrub = |state: &FullState| (state.max_mss, state.min_ttl, state.set_tos, state.set_prio);
            assert_eq!((scrub(&viewed), viewed.key), (scrub(state), state.key), "{name}");
            tracked += u32::from(viewed.sync_flags != 0);
            compared += 1;
        }
    }
    println!("{compared} states compared with their messages");
    assert!(compared > 20 && scrubbed > 5 && tracked > 0, "{compared} {scrubbed} {tracked}");
}
