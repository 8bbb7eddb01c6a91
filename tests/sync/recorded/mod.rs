//! Recorded cases of real systems: their states in our tables, and packets in a form that can be compared.

mod receive;
mod send;
mod trailers;

use crate::captures::hex;
use crate::node::{Node, S, settings};
use pfplane::internals::state::{Hot, LocalFlags};
use pfplane::internals::sync::{Clock, PeerSettings, full_state, record_of, to_native};
use pfplane::internals::table::Slot;
use pfplane::internals::time::Tick;
use pfsync::envelope::Envelope;
use pfsync::{
    Action, Family, FrameReader, FullState, IcmpPorts, Identity, Profile, Record, Scrub, StateKey, StatePeer,
};
use serde_json::Value;
use std::net::IpAddr;

const START: u64 = 1_000_000 * S;

fn number(value: &Value, name: &str) -> u64 {
    let value = &value[name];
    value.as_u64().or_else(|| value.as_i64().map(|n| n as u32 as u64)).unwrap_or(0)
}

fn text(field: &mut [u8], value: &Value) {
    let bytes = value.as_str().unwrap_or("").as_bytes();
    field[..bytes.len()].copy_from_slice(bytes);
}

fn address(text: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    match text.strip_prefix("raw:") {
        Some(digits) => bytes[..4].copy_from_slice(&hex(digits)[..4]),
        None => match text.parse().unwrap() {
            IpAddr::V4(v4) => bytes[..4].copy_from_slice(&v4.octets()),
            IpAddr::V6(v6) => bytes = v6.octets(),
        },
    }
    bytes
}

fn key_of(value: &Value) -> StateKey {
    let pair = |name: &str, n: usize| value[name][n].clone();
    StateKey {
        addr: [0, 1].map(|n| address(pair("addr", n).as_str().unwrap())),
        port: [0, 1].map(|n| (pair("port", n).as_u64().unwrap() as u16).to_be_bytes()),
        rdomain: number(value, "rdomain") as u16,
        family: if number(value, "af") == 2 { Family::V4 } else { Family::V6 },
        proto: number(value, "proto") as u8,
    }
}

fn peer_of(value: &Value) -> StatePeer {
    let scrub = &value["scrub"];
    let scrub = if scrub.is_null() {
        Scrub::default()
    } else {
        Scrub {
            flags: number(scrub, "flags") as u16 & 1,
            ttl: number(scrub, "ttl") as u8,
            valid: 1,
            ts_mod: number(scrub, "ts_mod") as u32,
        }
    };
    let word = |name| number(value, name) as u32;
    StatePeer {
        scrub,
        seqlo: word("seqlo"),
        seqhi: word("seqhi"),
        seqdiff: word("seqdiff"),
        max_win: word("max_win") as u16,
        mss: word("mss") as u16,
        state: word("state") as u8,
        wscale: word("wscale") as u8,
    }
}

fn state_of(value: &Value) -> FullState {
    let wire = key_of(&value["wire"]);
    let stack = if value["stack"] == "same" { wire } else { key_of(&value["stack"]) };
    let mut state = FullState {
        id: Identity {
            id: u64::from_str_radix(value["id"].as_str().unwrap(), 16).unwrap(),
            creator: u32::from_str_radix(value["creatorid"].as_str().unwrap(), 16).unwrap(),
        },
        key: [wire, stack],
        src: peer_of(&value["src"]),
        dst: peer_of(&value["dst"]),
        expire: number(value, "expires_in") as u32,
        family: wire.family,
        direction: number(value, "direction") as u8,
        timeout: number(value, "timeout") as u8,
        log: number(value, "log") as u8,
        state_flags: number(value, "state_flags") as u16,
        max_mss: number(value, "max_mss") as u16,
        min_ttl: number(value, "min_ttl") as u8,
        set_tos: number(value, "set_tos") as u8,
        ..FullState::EMPTY
    };
    text(&mut state.ifname, &value["ifname"]);
    state
}

/// One peer behind the group. The recorded FreeBSD knows SCTP's timeout classes, whatever its configured version.
fn peers(profile: Profile) -> Vec<PeerSettings> {
    let mut peers = settings(99, profile).peers;
    if profile != Profile::OpenBsd6 {
        peers[0].timeout_limit = 25;
    }
    peers
}

/// The conventions of the system's memory, whatever dialect it is configured to send.
fn conventions(profile: Profile) -> Profile {
    if profile == Profile::OpenBsd6 { profile } else { Profile::FreeBsd1400 }
}

fn put(node: &mut Node, value: &Value, profile: Profile) -> Slot {
    let state = to_native(&state_of(value), conventions(profile), IcmpPorts::default());
    let mut record = record_of(&state, &node.timeouts, node.tick(), 0);
    record.hot.pf_flags = state.state_flags;
    record.hot.local.clear(LocalFlags::IMPORTED | LocalFlags::RESYNC_SRC | LocalFlags::RESYNC_DST);
    record.hot.local.set(LocalFlags::LOCAL_TRAFFIC);
    if state.expire == 0 {
        record.hot.last_activity = node.tick().minus_seconds(node.timeouts.get(state.timeout));
    }
    let updated = value["pfsync_time_ago"].as_u64().unwrap_or(100) as u32;
    record.cold.network_update = node.tick().minus_seconds(updated);
    if updated < 2 {
        record.hot.local.set(LocalFlags::NETWORK_RECENT);
    }
    let slot = node.table.insert(&record).unwrap();
    match value["sync_state"].as_str() {
        Some("ins-queued") => node.exporter.inserted(&mut node.table, slot, node.now),
        Some("upd_c-queued") => node.exporter.updated(&mut node.table, slot, node.now),
        _ => {}
    }
    if value["deferred"] == true {
        node.table.hot_mut(slot).local.set(LocalFlags::DEFERRED);
    }
    slot
}

/// A state of ours, limited to the fields that the recordings have.
fn exported(node: &Node, slot: Slot, profile: Profile) -> FullState {
    let table = &node.table;
    let clock = Clock { timeouts: &node.timeouts, now: Tick::from_nanos(node.now), states: 1 };
    let export = |hot: &Hot| {
        full_state(hot, table.track(slot), table.cold(slot), table.extra(slot), &clock, conventions(profile))
    };
    let hot = table.hot(slot);
    let fresh = Hot { last_activity: clock.now, ..*hot };
    comparable(&export(hot).unwrap_or_else(|| FullState { expire: 0, ..export(&fresh).unwrap() }))
}

fn comparable(state: &FullState) -> FullState {
    let mut key = state.key;
    for key in key.iter_mut().filter(|key| matches!(key.proto, 1 | 58)) {
        // The recorded ports of ICMP states are random, unlike FreeBSD's own, and converted when received.
        key.port = [[0; 2]; 2];
    }
    FullState {
        key,
        rt_addr: [0; 16],
        rule: u32::MAX,
        anchor: u32::MAX,
        nat_rule: u32::MAX,
        creation: 0,
        packets: [0; 2],
        bytes: [0; 2],
        rtableid: [-1; 2],
        rt: 0,
        sync_flags: 0,
        updates: 0,
        set_prio: [0; 2],
        state_flags: state.state_flags & 0x2b,
        qid: 0,
        pqid: 0,
        dnpipe: 0,
        dnrpipe: 0,
        rt_ifname: [0; 16],
        orig_ifname: [0; 16],
        tagname: [0; 64],
        rt_family: Family::NONE,
        ..*state
    }
}

/// The messages of packets, without clocks, sorted.
fn messages(packets: &[Vec<u8>]) -> Vec<(Action, Record)> {
    let mut messages = Vec::new();
    for packet in packets {
        let envelope = Envelope::parse(packet).unwrap();
        let mut reader = FrameReader::new(&packet[envelope.payload]).unwrap();
        while let Some(Ok(region)) = reader.next_region() {
            messages.extend(region.records().map(|record| (region.action(), without_clocks(record))));
        }
    }
    messages.sort_by_key(|message| format!("{message:?}"));
    messages
}

fn without_clocks(record: Record) -> Record {
    match record {
        Record::State(state) => Record::State(FullState { expire: 0, ..comparable(&state) }),
        other => other,
    }
}

fn packets(value: &Value) -> Vec<Vec<u8>> {
    let hexes = value.as_array().into_iter().flatten();
    hexes.map(|entry| hex(entry.as_str().or_else(|| entry["hex"].as_str()).unwrap())).collect()
}
