//! Frames that the systems' senders built: they read as what the sender had in memory, and are written back unchanged.

use std::net::IpAddr;

use crate::captures::{capture_names, hex, json, packets};
use crate::write_back;
use pfsync::envelope::{Envelope, Transport};
use pfsync::{
    Family, FrameReader, FullState, Profile, Record, Region, Scrub, StateKey, StatePeer, name_bytes, route,
};
use serde_json::Value;

/// Compares values with those that the sender had in memory, and counts them.
#[derive(Default)]
struct Comparison {
    frames: usize,
    regions: usize,
    records: usize,
    fields: usize,
    /// Regions that follow another one in the profile's order.
    ordered: usize,
    /// The frame that is compared.
    frame: String,
}

impl Comparison {
    #[track_caller]
    fn same<T: PartialEq + std::fmt::Debug>(&mut self, field: &str, ours: T, theirs: T) {
        assert_eq!(ours, theirs, "{field} in {}", self.frame);
        self.fields += 1;
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is not a number"))
}

/// -1 is "none", which is all ones on the wire.
fn number_or_none(value: &Value) -> u32 {
    value.as_i64().map(|number| number as u32).unwrap()
}

fn digits(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap(), 16).unwrap()
}

fn address(value: &Value) -> [u8; 16] {
    let mut bytes = [0; 16];
    match value.as_str().map(|text| text.parse().unwrap()) {
        Some(IpAddr::V4(v4)) => bytes[..4].copy_from_slice(&v4.octets()),
        Some(IpAddr::V6(v6)) => bytes = v6.octets(),
        None => {}
    }
    bytes
}

fn compare_peer(comparison: &mut Comparison, peer: &StatePeer, expected: &Value) {
    let scrub = match &expected["scrub"] {
        Value::Null => Scrub::default(),
        scrub => Scrub {
            flags: number(&scrub["flags"]) as u16 & 1,
            ttl: number(&scrub["ttl"]) as u8,
            valid: 1,
            ts_mod: number(&scrub["ts_mod"]) as u32,
        },
    };
    comparison.same("scrub", peer.scrub, scrub);
    comparison.same("seqlo", u64::from(peer.seqlo), number(&expected["seqlo"]));
    comparison.same("seqhi", u64::from(peer.seqhi), number(&expected["seqhi"]));
    comparison.same("seqdiff", u64::from(peer.seqdiff), number(&expected["seqdiff"]));
    comparison.same("max_win", u64::from(peer.max_win), number(&expected["max_win"]));
    comparison.same("mss", u64::from(peer.mss), number(&expected["mss"]));
    comparison.same("state", u64::from(peer.state), number(&expected["state"]));
    comparison.same("wscale", u64::from(peer.wscale), number(&expected["wscale"]));
}

fn compare_key(comparison: &mut Comparison, key: &StateKey, expected: &Value, profile: Profile) {
    comparison.same("af", u64::from(key.family.number(profile.version())), number(&expected["af"]));
    comparison.same("known family", key.family.is_ip(), true);
    comparison.same("proto", u64::from(key.proto), number(&expected["proto"]));
    for slot in 0..2 {
        comparison.same("addr", key.addr[slot], address(&expected["addr"][slot]));
        comparison.same(
            "port",
            u64::from(u16::from_be_bytes(key.port[slot])),
            number(&expected["port"][slot]),
        );
    }
    if profile == Profile::OpenBsd6 {
        comparison.same("rdomain", u64::from(key.rdomain), number(&expected["rdomain"]));
    }
}

fn compare_name(comparison: &mut Comparison, field: &str, name: &[u8], expected: &Value) {
    comparison.same(field, name_bytes(name), expected.as_str().map(str::as_bytes));
}

/// Compares the fields that all systems send.
fn compare_state(comparison: &mut Comparison, state: &FullState, expected: &Value, profile: Profile) {
    compare_name(comparison, "ifname", &state.ifname, &expected["ifname"]);
    compare_key(comparison, &state.key[0], &expected["wire"], profile);
    let stack = if expected["stack"] == "same" { &expected["wire"] } else { &expected["stack"] };
    compare_key(comparison, &state.key[1], stack, profile);
    compare_peer(comparison, &state.src, &expected["src"]);
    compare_peer(comparison, &state.dst, &expected["dst"]);
    comparison.same("rt_addr", state.rt_addr, address(&expected["rt_addr"]));
    comparison.same("rule", state.rule, number_or_none(&expected["rule"]));
    comparison.same("anchor", state.anchor, number_or_none(&expected["anchor"]));
    for side in 0..2 {
        comparison.same("packets", state.packets[side], number(&expected["packets"][side]));
        comparison.same("bytes", state.bytes[side], number(&expected["bytes"][side]));
    }
    comparison.same("expire", u64::from(state.expire), number(&expected["expires_in"]));
    comparison.same("timeout", u64::from(state.timeout), number(&expected["timeout"]));
    comparison.same("direction", u64::from(state.direction), number(&expected["direction"]));
    comparison.same("log", u64::from(state.log), number(&expected["log"]));
    comparison.same("updates", state.updates, 0);
    let nodes = u8::from(expected["src_node"] == true) << 2 | u8::from(expected["nat_src_node"] == true) << 3;
    comparison.same("sync_flags", state.sync_flags, nodes);
    match profile {
        Profile::OpenBsd6 => compare_openbsd(comparison, state, expected),
        Profile::FreeBsd1301 => compare_freebsd_1301(comparison, state, expected),
        _ => compare_freebsd_1400(comparison, state, expected),
    }
}

fn compare_scrub_settings(comparison: &mut Comparison, state: &FullState, expected: &Value) {
    comparison.same("max_mss", u64::from(state.max_mss), number(&expected["max_mss"]));
    comparison.same("min_ttl", u64::from(state.min_ttl), number(&expected["min_ttl"]));
    comparison.same("set_tos", u64::from(state.set_tos), number(&expected["set_tos"]));
    for side in 0..2 {
        comparison.same("set_prio", u64::from(state.set_prio[side]), number(&expected["set_prio"][side]));
    }
}

fn compare_openbsd(comparison: &mut Comparison, state: &FullState, expected: &Value) {
    let ack = if expected["deferred"] == true { 0x0010 } else { 0 };
    comparison.same("state_flags", u64::from(state.state_flags), number(&expected["state_flags"]) | ack);
    comparison.same("creation", u64::from(state.creation), number(&expected["age"]));
    comparison.same("rt", u64::from(state.rt), number(&expected["rt"]));
    comparison.same("nat_rule", state.nat_rule, u32::MAX);
    for side in 0..2 {
        let expected = expected["rtableid"][side].as_i64().unwrap();
        comparison.same("rtableid", i64::from(state.rtableid[side]), expected);
    }
    compare_scrub_settings(comparison, state, expected);
}

fn compare_freebsd_1301(comparison: &mut Comparison, state: &FullState, expected: &Value) {
    comparison.same("state_flags", u64::from(state.state_flags), number(&expected["state_flags"]) & 0xff);
    comparison.same("creation", u64::from(state.creation), number(&expected["age_ms"]) / 1000);
    comparison.same("nat_rule", state.nat_rule, number_or_none(&expected["nat_rule"]));
}

fn compare_freebsd_1400(comparison: &mut Comparison, state: &FullState, expected: &Value) {
    comparison.same("state_flags", u64::from(state.state_flags), number(&expected["state_flags"]));
    comparison.same("creation", u64::from(state.creation), number(&expected["age_ms"]) / 1000);
    comparison.same("nat_rule", state.nat_rule, number_or_none(&expected["nat_rule"]));
    let ours = [route::NONE, route::FASTROUTE, route::ROUTE_TO, route::DUP_TO, route::REPLY_TO];
    comparison.same("rt", state.rt, ours[number(&expected["rt"]) as usize]);
    compare_name(comparison, "rt_ifname", &state.rt_ifname, &expected["rt_ifname"]);
    let rtableid = expected["rtableid"].as_i64().unwrap();
    comparison.same("rtableid", state.rtableid, [rtableid as i32; 2]);
    let queues =
        [("qid", state.qid), ("pqid", state.pqid), ("dnpipe", state.dnpipe), ("dnrpipe", state.dnrpipe)];
    for (name, queue) in queues {
        comparison.same(name, u64::from(queue), number(&expected[name]));
    }
    compare_scrub_settings(comparison, state, expected);
}

fn compare_record(comparison: &mut Comparison, record: &Record, expected: &Value, profile: Option<Profile>) {
    comparison.records += 1;
    let creator = |expected: &Value| digits(&expected["creatorid"]) as u32;
    match record {
        Record::State(state) => {
            comparison.same("id", state.id.id, digits(&expected["id"]));
            comparison.same("creatorid", state.id.creator, creator(expected));
            compare_state(comparison, state, &expected["state"], profile.unwrap());
        }
        Record::Compressed(update) => {
            comparison.same("id", update.id.id, digits(&expected["id"]));
            comparison.same("creatorid", update.id.creator, creator(expected));
            compare_peer(comparison, &update.src, &expected["state"]["src"]);
            compare_peer(comparison, &update.dst, &expected["state"]["dst"]);
            comparison.same("timeout", u64::from(update.timeout), number(&expected["state"]["timeout"]));
            comparison.same("expire", update.expire, 0);
        }
        Record::Id(id) => {
            comparison.same("id", id.id, digits(&expected["id"]));
            comparison.same("creatorid", id.creator, creator(expected));
        }
        Record::Clear(clear) => {
            compare_name(comparison, "ifname", &clear.ifname, &expected["ifname"]);
            comparison.same("creatorid", clear.creator, creator(expected));
        }
        Record::BulkStatus(status) => {
            comparison.same("creatorid", status.creator, creator(expected));
            comparison.same("endtime", u64::from(status.endtime), number(&expected["endtime"]));
            comparison.same("status", u64::from(status.status), number(&expected["status"]));
        }
        Record::Tdb(tdb) => {
            let local = &expected["tdb"];
            comparison.same("spi", u64::from(tdb.spi), digits(&expected["spi"]));
            comparison.same("rpl", tdb.replay, number(&local["rpl"]) + number(&local["rpl_bump"]) * 16384);
            comparison.same("cur_bytes", tdb.bytes, number(&local["cur_bytes"]));
            comparison.same("sproto", u64::from(tdb.proto), number(&local["sproto"]));
            comparison.same("rdomain", u64::from(tdb.rdomain), number(&local["rdomain"]));
            comparison.same("dst_af", u64::from(tdb.destination[1]), number(&local["dst_af"]));
            let address = hex(local["dst"].as_str().unwrap());
            let at = if address.len() == 4 { 4 } else { 8 };
            comparison.same("dst", &tdb.destination[at..at + address.len()], &address[..]);
        }
    }
}

/// Compares a frame with the sender's memory and writes it back.
fn compare_frame(comparison: &mut Comparison, packet: &[u8], expected: &Value, profile: Profile) {
    let envelope = Envelope::parse(packet).unwrap();
    let header = envelope.payload.start;
    let payload = &packet[envelope.payload.clone()];
    let reader = FrameReader::new(payload).unwrap();
    comparison.frames += 1;
    comparison.same("ip_len", packet.len() as u64, number(&expected["ip_len"]));
    comparison.same("version", reader.version() as u64, number(&expected["version"]));
    comparison.same("len", reader.length() as u64, number(&expected["len"]));
    let checksum = expected["checksum"].as_str().map_or_else(|| vec![0; 16], hex);
    comparison.same("pfcksum", reader.checksum().to_vec(), checksum);

    let name = comparison.frame.clone();
    let mut sections = expected["sections"].as_array().unwrap().iter();
    let mut last = None;
    write_back(payload, profile, &name, |region, records| {
        // The end mark has no section.
        let Some(section) = sections.next() else {
            return assert!(records.is_empty(), "{name}: more regions");
        };
        let position = profile.region_order().iter().position(|&action| action == region.action());
        if position.is_some() {
            assert!(last < position, "{name}: order of regions");
            comparison.ordered += usize::from(last.is_some());
            last = position;
        }
        compare_region(comparison, region, records, section, header);
    });
    assert!(sections.next().is_none(), "{name}: missing regions");

    let Envelope { source, destination, tos, .. } = envelope;
    let mut ip_header = vec![0; header];
    let identification = u16::from_be_bytes([packet[4], packet[5]]);
    Transport { source, destination, tos }.emit(&mut ip_header, payload.len(), identification).unwrap();
    assert_eq!(ip_header, packet[..header], "{name}");
}

fn compare_region(
    comparison: &mut Comparison,
    region: &Region<'_>,
    records: &[Record],
    section: &Value,
    header: usize,
) {
    comparison.regions += 1;
    comparison.same("action", u64::from(region.number()), number(&section["action"]));
    comparison.same("offset", (header + region.offset()) as u64, number(&section["offset"]));
    comparison.same("count", u64::from(region.count()), number(&section["count"]));
    comparison.same("msg_len", region.stride() as u64, number(&section["msg_len"]));
    let messages = section["messages"].as_array().unwrap();
    assert_eq!(records.len(), messages.len(), "{}", comparison.frame);
    for (record, message) in records.iter().zip(messages) {
        compare_record(comparison, record, message, region.profile());
    }
}

fn compare_system(system: &str, profile: Profile, frames: usize) {
    let mut comparison = Comparison::default();
    for name in capture_names(system) {
        let expected = json(&format!("{system}/gen/{name}.json"));
        let expected = expected["packets"].as_array().unwrap();
        let packets = packets(&format!("{system}/gen/{name}.pcap"));
        assert_eq!(packets.len(), expected.len(), "{system} {name}");
        for (number, (packet, expected)) in packets.iter().zip(expected).enumerate() {
            comparison.frame = format!("{system}/gen/{name} packet {number}");
            compare_frame(&mut comparison, packet, expected, profile);
        }
    }
    println!(
        "{system}: {} frames, {} regions, {} records, {} fields compared; every frame written back unchanged",
        comparison.frames, comparison.regions, comparison.records, comparison.fields
    );
    assert_eq!(comparison.frames, frames, "recorded frames of {system}");
    assert!(comparison.ordered >= 8, "{} regions follow another", comparison.ordered);
}

#[test]
fn frames_of_openbsd_have_the_senders_values_and_are_written_back_unchanged() {
    compare_system("openbsd", Profile::OpenBsd6, 255);
}

#[test]
fn frames_of_freebsd_13_have_the_senders_values_and_are_written_back_unchanged() {
    compare_system("freebsd1301", Profile::FreeBsd1301, 226);
}

#[test]
fn frames_of_freebsd_14_have_the_senders_values_and_are_written_back_unchanged() {
    compare_system("freebsd1400", Profile::FreeBsd1400, 227);
}

#[test]
fn families_have_the_numbers_of_the_sending_system() {
    let of = |system: &str, profile: Profile| {
        let mut seen = std::collections::BTreeSet::new();
        for packet in packets(&format!("{system}/gen/ins.pcap")) {
            let mut reader = FrameReader::new(&packet[20..]).unwrap();
            while let Some(Ok(region)) = reader.next_region() {
                for record in region.records() {
                    let Record::State(state) = record else { continue };
                    seen.insert(state.family.number(profile.version()));
                    assert!(matches!(state.family, Family::V4 | Family::V6));
                }
            }
        }
        seen.into_iter().collect::<Vec<u8>>()
    };
    assert_eq!(of("openbsd", Profile::OpenBsd6), [2, 24]);
    assert_eq!(of("freebsd1301", Profile::FreeBsd1301), [2, 28]);
    assert_eq!(of("freebsd1400", Profile::FreeBsd1400), [2, 28]);
}
