//! Every frame that the systems' own senders made reads as what the sender had in memory, and writes back to the
//! same bytes. See `tests/vectors/README.md` for where the frames come from.

mod captures;
mod pcap;

use std::net::IpAddr;

use captures::json;
use pcap::{capture_names, packets};
use pfsync::envelope::{Envelope, Transport};
use pfsync::{
    Action, Family, FrameReader, FrameWriter, FullState, Profile, Record, Scrub, StateKey, StatePeer,
    WriterOptions, name_bytes, route,
};
use serde_json::Value;

/// Counts what was held against its expected value.
#[derive(Default)]
struct Tally {
    frames: usize,
    regions: usize,
    records: usize,
    fields: usize,
    /// Regions that stand behind another one as the profile says.
    ordered: usize,
    place: String,
}

impl Tally {
    #[track_caller]
    fn same<T: PartialEq + std::fmt::Debug>(&mut self, field: &str, ours: T, theirs: T) {
        assert_eq!(ours, theirs, "{field} in {}", self.place);
        self.fields += 1;
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// -1 stands for none, which is all ones on the wire.
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

fn compare_peer(tally: &mut Tally, peer: &StatePeer, expected: &Value) {
    let scrub = match &expected["scrub"] {
        Value::Null => Scrub::default(),
        scrub => Scrub {
            flags: number(&scrub["flags"]) as u16 & 1,
            ttl: number(&scrub["ttl"]) as u8,
            valid: 1,
            ts_mod: number(&scrub["ts_mod"]) as u32,
        },
    };
    tally.same("scrub", peer.scrub, scrub);
    tally.same("seqlo", u64::from(peer.seqlo), number(&expected["seqlo"]));
    tally.same("seqhi", u64::from(peer.seqhi), number(&expected["seqhi"]));
    tally.same("seqdiff", u64::from(peer.seqdiff), number(&expected["seqdiff"]));
    tally.same("max_win", u64::from(peer.max_win), number(&expected["max_win"]));
    tally.same("mss", u64::from(peer.mss), number(&expected["mss"]));
    tally.same("state", u64::from(peer.state), number(&expected["state"]));
    tally.same("wscale", u64::from(peer.wscale), number(&expected["wscale"]));
}

fn compare_key(tally: &mut Tally, key: &StateKey, expected: &Value, profile: Profile) {
    tally.same("af", u64::from(key.family.number(profile.version())), number(&expected["af"]));
    tally.same("family is known", key.family.is_ip(), true);
    tally.same("proto", u64::from(key.proto), number(&expected["proto"]));
    for slot in 0..2 {
        tally.same("addr", key.addr[slot], address(&expected["addr"][slot]));
        tally.same("port", u64::from(u16::from_be_bytes(key.port[slot])), number(&expected["port"][slot]));
    }
    if profile == Profile::OpenBsd6 {
        tally.same("rdomain", u64::from(key.rdomain), number(&expected["rdomain"]));
    }
}

fn compare_name(tally: &mut Tally, field: &str, name: &[u8], expected: &Value) {
    tally.same(field, name_bytes(name), expected.as_str().map(str::as_bytes));
}

/// The fields that all three systems send.
fn compare_state(tally: &mut Tally, state: &FullState, expected: &Value, profile: Profile) {
    compare_name(tally, "ifname", &state.ifname, &expected["ifname"]);
    compare_key(tally, &state.key[0], &expected["wire"], profile);
    let stack = if expected["stack"] == "same" { &expected["wire"] } else { &expected["stack"] };
    compare_key(tally, &state.key[1], stack, profile);
    compare_peer(tally, &state.src, &expected["src"]);
    compare_peer(tally, &state.dst, &expected["dst"]);
    tally.same("rt_addr", state.rt_addr, address(&expected["rt_addr"]));
    tally.same("rule", state.rule, number_or_none(&expected["rule"]));
    tally.same("anchor", state.anchor, number_or_none(&expected["anchor"]));
    for side in 0..2 {
        tally.same("packets", state.packets[side], number(&expected["packets"][side]));
        tally.same("bytes", state.bytes[side], number(&expected["bytes"][side]));
    }
    tally.same("expire", u64::from(state.expire), number(&expected["expires_in"]));
    tally.same("timeout", u64::from(state.timeout), number(&expected["timeout"]));
    tally.same("direction", u64::from(state.direction), number(&expected["direction"]));
    tally.same("log", u64::from(state.log), number(&expected["log"]));
    tally.same("updates", state.updates, 0);
    let nodes = u8::from(expected["src_node"] == true) << 2 | u8::from(expected["nat_src_node"] == true) << 3;
    tally.same("sync_flags", state.sync_flags, nodes);
    match profile {
        Profile::OpenBsd6 => compare_openbsd(tally, state, expected),
        Profile::FreeBsd1301 => compare_freebsd_1301(tally, state, expected),
        _ => compare_freebsd_1400(tally, state, expected),
    }
}

fn compare_scrub_settings(tally: &mut Tally, state: &FullState, expected: &Value) {
    tally.same("max_mss", u64::from(state.max_mss), number(&expected["max_mss"]));
    tally.same("min_ttl", u64::from(state.min_ttl), number(&expected["min_ttl"]));
    tally.same("set_tos", u64::from(state.set_tos), number(&expected["set_tos"]));
    for side in 0..2 {
        tally.same("set_prio", u64::from(state.set_prio[side]), number(&expected["set_prio"][side]));
    }
}

fn compare_openbsd(tally: &mut Tally, state: &FullState, expected: &Value) {
    let held = if expected["deferred"] == true { 0x0010 } else { 0 };
    tally.same("state_flags", u64::from(state.state_flags), number(&expected["state_flags"]) | held);
    tally.same("creation", u64::from(state.creation), number(&expected["age"]));
    tally.same("rt", u64::from(state.rt), number(&expected["rt"]));
    tally.same("nat_rule", state.nat_rule, u32::MAX);
    for side in 0..2 {
        let expected = expected["rtableid"][side].as_i64().unwrap();
        tally.same("rtableid", i64::from(state.rtableid[side]), expected);
    }
    compare_scrub_settings(tally, state, expected);
}

fn compare_freebsd_1301(tally: &mut Tally, state: &FullState, expected: &Value) {
    tally.same("state_flags", u64::from(state.state_flags), number(&expected["state_flags"]) & 0xff);
    tally.same("creation", u64::from(state.creation), number(&expected["age_ms"]) / 1000);
    tally.same("nat_rule", state.nat_rule, number_or_none(&expected["nat_rule"]));
}

fn compare_freebsd_1400(tally: &mut Tally, state: &FullState, expected: &Value) {
    tally.same("state_flags", u64::from(state.state_flags), number(&expected["state_flags"]));
    tally.same("creation", u64::from(state.creation), number(&expected["age_ms"]) / 1000);
    tally.same("nat_rule", state.nat_rule, number_or_none(&expected["nat_rule"]));
    let ours = [route::NONE, route::FASTROUTE, route::ROUTE_TO, route::DUP_TO, route::REPLY_TO];
    tally.same("rt", state.rt, ours[number(&expected["rt"]) as usize]);
    compare_name(tally, "rt_ifname", &state.rt_ifname, &expected["rt_ifname"]);
    let rtableid = expected["rtableid"].as_i64().unwrap();
    tally.same("rtableid", state.rtableid, [rtableid as i32; 2]);
    let queues =
        [("qid", state.qid), ("pqid", state.pqid), ("dnpipe", state.dnpipe), ("dnrpipe", state.dnrpipe)];
    for (name, queue) in queues {
        tally.same(name, u64::from(queue), number(&expected[name]));
    }
    compare_scrub_settings(tally, state, expected);
}

fn compare_record(tally: &mut Tally, record: &Record, expected: &Value, profile: Option<Profile>) {
    tally.records += 1;
    let creator = |expected: &Value| digits(&expected["creatorid"]) as u32;
    match record {
        Record::State(state) => {
            tally.same("id", state.id.id, digits(&expected["id"]));
            tally.same("creatorid", state.id.creator, creator(expected));
            compare_state(tally, state, &expected["state"], profile.unwrap());
        }
        Record::Compressed(update) => {
            tally.same("id", update.id.id, digits(&expected["id"]));
            tally.same("creatorid", update.id.creator, creator(expected));
            compare_peer(tally, &update.src, &expected["state"]["src"]);
            compare_peer(tally, &update.dst, &expected["state"]["dst"]);
            tally.same("timeout", u64::from(update.timeout), number(&expected["state"]["timeout"]));
            tally.same("expire", update.expire, 0);
        }
        Record::Id(id) => {
            tally.same("id", id.id, digits(&expected["id"]));
            tally.same("creatorid", id.creator, creator(expected));
        }
        Record::Clear(clear) => {
            compare_name(tally, "ifname", &clear.ifname, &expected["ifname"]);
            tally.same("creatorid", clear.creator, creator(expected));
        }
        Record::BulkStatus(status) => {
            tally.same("creatorid", status.creator, creator(expected));
            tally.same("endtime", u64::from(status.endtime), number(&expected["endtime"]));
            tally.same("status", u64::from(status.status), number(&expected["status"]));
        }
        Record::Tdb(tdb) => {
            let local = &expected["tdb"];
            tally.same("spi", u64::from(tdb.spi), digits(&expected["spi"]));
            tally.same("rpl", tdb.replay, number(&local["rpl"]) + number(&local["rpl_bump"]) * 16384);
            tally.same("cur_bytes", tdb.bytes, number(&local["cur_bytes"]));
            tally.same("sproto", u64::from(tdb.proto), number(&local["sproto"]));
            tally.same("rdomain", u64::from(tdb.rdomain), number(&local["rdomain"]));
            tally.same("dst_af", u64::from(tdb.destination[1]), number(&local["dst_af"]));
            let address = captures::hex(local["dst"].as_str().unwrap());
            let at = if address.len() == 4 { 4 } else { 8 };
            tally.same("dst", &tdb.destination[at..at + address.len()], &address[..]);
        }
    }
}

/// Reads a frame, holds it against the sender's memory and writes it again.
fn compare_frame(tally: &mut Tally, packet: &[u8], expected: &Value, profile: Profile) {
    let envelope = Envelope::parse(packet).unwrap();
    let header = envelope.payload.start;
    let payload = &packet[envelope.payload.clone()];
    let mut reader = FrameReader::new(payload).unwrap();
    tally.frames += 1;
    tally.same("ip_len", packet.len() as u64, number(&expected["ip_len"]));
    tally.same("version", reader.version() as u64, number(&expected["version"]));
    tally.same("len", reader.length() as u64, number(&expected["len"]));
    let checksum = expected["checksum"].as_str().map_or_else(|| vec![0; 16], captures::hex);
    tally.same("pfcksum", reader.checksum().to_vec(), checksum);

    let mut again = vec![0xee; payload.len()];
    let options = WriterOptions { checksum: reader.checksum(), trailer: reader.trailer().len() };
    let mut writer = FrameWriter::new(&mut again, profile, &options).unwrap();
    let mut last = None;
    for section in expected["sections"].as_array().unwrap() {
        let region = reader.next_region().unwrap().unwrap();
        tally.regions += 1;
        if let Some(place) = profile.region_order().iter().position(|&action| action == region.action()) {
            assert!(last < Some(place), "{}: the order of regions", tally.place);
            tally.ordered += usize::from(last.is_some());
            last = Some(place);
        }
        tally.same("action", u64::from(region.number()), number(&section["action"]));
        tally.same("offset", (header + region.offset()) as u64, number(&section["offset"]));
        tally.same("count", u64::from(region.count()), number(&section["count"]));
        tally.same("msg_len", region.stride() as u64, number(&section["msg_len"]));
        let messages = section["messages"].as_array().unwrap();
        assert_eq!(region.records().count(), messages.len(), "{}", tally.place);
        for (record, message) in region.records().zip(messages) {
            compare_record(tally, &record, message, region.profile());
            write(&mut writer, region.action(), &record);
        }
    }
    assert!(matches!(reader.next_region(), None | Some(Ok(_))), "{}", tally.place);
    let length = writer.finish();
    assert_eq!(&again[..length], payload, "{}", tally.place);

    let Envelope { source, destination, tos, .. } = envelope;
    let mut outer = vec![0; header];
    let identification = u16::from_be_bytes([packet[4], packet[5]]);
    Transport { source, destination, tos }.emit(&mut outer, payload.len(), identification).unwrap();
    assert_eq!(outer, packet[..header], "{}", tally.place);
}

fn write(writer: &mut FrameWriter<'_>, action: Action, record: &Record) {
    match record {
        Record::State(state) => writer.push_state(action, state),
        Record::Compressed(update) => writer.push_compressed_update(update),
        Record::Id(id) => writer.push_id(action, *id),
        Record::Clear(clear) => writer.push_clear(clear),
        Record::BulkStatus(status) => writer.push_bulk_status(status),
        Record::Tdb(tdb) => writer.push_tdb(tdb),
    }
    .unwrap();
}

fn compare_system(system: &str, profile: Profile, frames: usize) {
    let mut tally = Tally::default();
    for name in capture_names(system) {
        let expected = json(&format!("{system}/gen/{name}.json"));
        let expected = expected["packets"].as_array().unwrap();
        let packets = packets(&format!("{system}/gen/{name}.pcap"));
        assert_eq!(packets.len(), expected.len(), "{system} {name}");
        for (number, (packet, expected)) in packets.iter().zip(expected).enumerate() {
            tally.place = format!("{system}/gen/{name} packet {number}");
            compare_frame(&mut tally, packet, expected, profile);
        }
    }
    println!(
        "{system}: {} frames, {} regions, {} records, {} fields compared; every frame written back byte by byte",
        tally.frames, tally.regions, tally.records, tally.fields
    );
    assert_eq!(tally.frames, frames, "all recorded frames of {system} are there");
    assert!(tally.ordered >= 8, "{} regions behind another", tally.ordered);
}

#[test]
fn frames_of_openbsd_read_as_what_was_sent_and_write_back_the_same() {
    compare_system("openbsd", Profile::OpenBsd6, 255);
}

#[test]
fn frames_of_freebsd_13_read_as_what_was_sent_and_write_back_the_same() {
    compare_system("freebsd1301", Profile::FreeBsd1301, 226);
}

#[test]
fn frames_of_freebsd_14_read_as_what_was_sent_and_write_back_the_same() {
    compare_system("freebsd1400", Profile::FreeBsd1400, 227);
}

#[test]
fn families_are_those_of_the_sending_system() {
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
