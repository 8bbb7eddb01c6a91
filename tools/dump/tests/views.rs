//! A state's view in the C door has what `pfctl -vv -ss` shows: states that OpenBSD sent are taken in, viewed, and written
//! out from the view alone; the lines are those of the system's own printer (`tests/vectors/openbsd/printed`).
#![expect(clippy::multiple_unsafe_ops_per_block, reason = "every line calls the C door")]

use core::mem::MaybeUninit;
use core::ptr::null_mut;
use pfplane::internals::ffi::*;
use pfplane_dump::capture;
use pfplane_dump::verbose::state_lines;
use pfsync::envelope::Envelope;
use pfsync::{Family, FrameReader, FullState, Identity, Record, Scrub, StateKey, StatePeer};
use std::collections::HashMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Late enough that every state can be as old as it says.
const NOW: u64 = 40_000_000 * 1_000_000_000;

fn vectors(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/openbsd").join(path)
}

/// All states that are viewed after these packets came in.
fn views(packets: &[Vec<u8>]) -> Vec<pfplane_state_view> {
    let (mut config, mut peer) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    let (mut engine, mut lane) = (null_mut(), null_mut());
    let mut all = Vec::new();
    // SAFETY: rooms for the structs with their sizes, which the calls fill; then valid pointers all, on one thread.
    unsafe {
        let size = size_of::<pfplane_config>() as u32;
        assert_eq!(pfplane_config_init(config.as_mut_ptr(), size), PFPLANE_OK);
        assert_eq!(pfplane_peer_init(peer.as_mut_ptr(), size_of::<pfplane_peer>() as u32), PFPLANE_OK);
        let mut peer: pfplane_peer = peer.assume_init();
        peer.source.family = 4;
        peer.source.bytes[..4].copy_from_slice(&[192, 0, 2, 2]);
        let mut config: pfplane_config = config.assume_init();
        (config.peers, config.peer_count, config.states_per_lane) = (&raw const peer, 1, 4096);
        assert_eq!(pfplane_engine_new(&config, &mut engine), PFPLANE_OK);
        assert_eq!(pfplane_engine_lane(engine, 0, &mut lane), PFPLANE_OK);
        for packet in packets {
            let length = packet.len() as u32;
            assert_eq!(pfplane_lane_receive(lane, packet.as_ptr(), length, NOW), PFPLANE_OK);
        }
        let mut view = MaybeUninit::<pfplane_state_view>::zeroed();
        let mut cursor = 0;
        loop {
            (*view.as_mut_ptr()).size = size_of::<pfplane_state_view>() as u32;
            match pfplane_lane_state_next(lane, NOW, &mut cursor, view.as_mut_ptr()) {
                PFPLANE_END => break,
                status => assert_eq!(status, PFPLANE_OK),
            }
            all.push(view.assume_init());
        }
        pfplane_engine_free(engine);
    }
    all
}

fn key(family: u8, proto: u8, addr: [[u8; 16]; 2], port: [u16; 2], rdomain: u16) -> StateKey {
    let family = if family == 6 { Family::V6 } else { Family::V4 };
    StateKey { addr, port: port.map(u16::to_be_bytes), rdomain, family, proto }
}

/// What a view says, as the printer takes it.
fn from_view(view: &pfplane_state_view) -> FullState {
    let side = |n: usize| StatePeer {
        scrub: Scrub {
            flags: view.scrub_flags[n],
            ttl: view.scrub_ttl[n],
            valid: view.scrub_valid[n],
            ts_mod: view.scrub_ts_mod[n],
        },
        seqlo: view.seqlo[n],
        seqhi: view.seqhi[n],
        seqdiff: view.seqdiff[n],
        max_win: view.max_win[n],
        mss: view.mss[n],
        state: view.peer_state[n],
        wscale: view.wscale[n],
    };
    let wire = key(view.family, view.proto, view.addr, view.port, view.rdomain[0]);
    let (mut addr, mut port) = (view.stack_addr, view.stack_port);
    if view.family != view.stack_family {
        // pf lays out the second key the other way round then.
        addr.reverse();
        port.reverse();
    }
    let stack = key(view.stack_family, view.stack_proto, addr, port, view.rdomain[1]);
    FullState {
        id: Identity { id: view.id, creator: view.creator },
        ifname: view.ifname,
        key: [wire, stack],
        src: side(0),
        dst: side(1),
        rt_addr: view.rt_addr,
        rule: view.rule,
        anchor: view.anchor,
        nat_rule: view.nat_rule,
        creation: view.age_s,
        expire: view.expires_s,
        packets: view.packets,
        bytes: view.bytes,
        rtableid: view.rtableid,
        max_mss: view.max_mss,
        direction: view.direction,
        log: view.log,
        rt: view.rt,
        timeout: view.timeout,
        sync_flags: view.sync_flags,
        min_ttl: view.min_ttl,
        set_tos: view.set_tos,
        set_prio: view.set_prio,
        state_flags: view.pf_flags,
        ..FullState::EMPTY
    }
}

fn normal(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Printed states, by identity: the lines of hosts, levels and sequences, and that of ages.
fn printed(name: &str) -> HashMap<String, (Vec<String>, String)> {
    let text = fs::read_to_string(vectors("printed").join(name).with_extension("txt")).unwrap();
    let (mut states, mut lines) = (HashMap::new(), Vec::new());
    for line in text.lines().map(normal) {
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

/// An age line without what pf itself forgets of a peer's state: counts, anchor, and the time, which is cut to our own.
fn known_of(ages: &str) -> (String, Option<String>) {
    let mut parts = ages.split(", ");
    let age = parts.next().unwrap_or_default().to_owned();
    (age, parts.find(|part| part.starts_with("rule ")).map(str::to_owned))
}

fn packets_of(name: &str) -> Vec<Vec<u8>> {
    let bytes = fs::read(vectors("gen").join(name).with_extension("pcap")).unwrap();
    let mut packets = Vec::new();
    capture::for_each(&bytes, |captured| {
        packets.push(captured.bytes.to_vec());
        ControlFlow::Continue(())
    })
    .unwrap();
    packets
}

#[test]
fn what_a_view_says_is_what_the_system_prints_of_its_state() {
    let mut compared = 0;
    for name in ["ins", "bulk_5", "mixed", "upd"] {
        let printed = printed(name);
        for view in views(&packets_of(name)) {
            let lines: Vec<_> = state_lines(&from_view(&view)).iter().map(|line| normal(line)).collect();
            let at = lines.iter().position(|line| line.starts_with("id: ")).expect("an identity");
            let (theirs, their_ages) = &printed[lines[at].trim_start_matches("id: ")];
            assert_eq!(&lines[..at - 1], theirs, "{name}");
            assert_eq!(known_of(&lines[at - 1]), known_of(their_ages), "{name}");
            compared += 1;
        }
    }
    println!("{compared} states compared with what OpenBSD prints");
    assert!(compared > 20, "{compared}");
}

#[test]
fn what_a_view_says_is_what_the_message_said() {
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
            let (said, state) = (from_view(&view), &sent[&(view.id, view.creator)]);
            let is_tcp = view.proto == 6;
            for (side, told) in [(said.src, state.src), (said.dst, state.dst)] {
                assert_eq!((side.scrub, side.state), (told.scrub, told.state), "{name}");
                assert!(!is_tcp || side == told, "{name}: {side:?} {told:?}");
                scrubbed += u32::from(side.scrub.valid);
            }
            let other = |state: &FullState| {
                let FullState { rt_addr, rule, rtableid, direction, log, rt, timeout, sync_flags, .. } =
                    *state;
                (rt_addr, rule, rtableid, direction, log, rt, timeout, sync_flags, state.ifname)
            };
            assert_eq!(other(&said), other(state), "{name}");
            let scrub = |state: &FullState| (state.max_mss, state.min_ttl, state.set_tos, state.set_prio);
            assert_eq!((scrub(&said), said.key), (scrub(state), state.key), "{name}");
            tracked += u32::from(said.sync_flags != 0);
            compared += 1;
        }
    }
    println!("{compared} states compared with their messages");
    assert!(compared > 20 && scrubbed > 5 && tracked > 0, "{compared} {scrubbed} {tracked}");
}
