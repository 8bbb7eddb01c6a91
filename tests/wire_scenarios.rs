//! Frames that the systems got and answered, some of them broken on purpose: each is read to its end, what a system
//! sent writes back the same, and what we find wrong is what the system's own receiver counted.

mod captures;

use std::collections::BTreeMap;

use captures::{hex, json};
use pfsync::envelope::{Envelope, EnvelopeError, TTL};
use pfsync::{Action, FrameReader, FrameWriter, Profile, Record, WriterOptions};
use serde_json::Value;

const SYSTEMS: [(&str, Profile); 3] = [
    ("openbsd", Profile::OpenBsd6),
    ("freebsd1301", Profile::FreeBsd1301),
    ("freebsd1400", Profile::FreeBsd1400),
];

fn is_packet(text: &str) -> bool {
    text.len() >= 40 && text.starts_with('4') && text.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// Every string in `value` that is an IP packet in hex digits.
fn packets_in<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) if is_packet(text) => found.push(text),
        Value::Array(values) => values.iter().for_each(|value| packets_in(value, found)),
        Value::Object(values) => values.values().for_each(|value| packets_in(value, found)),
        _ => {}
    }
}

/// Reads a frame that a system sent and writes it again.
fn write_back(payload: &[u8], profile: Profile, place: &str) -> usize {
    let mut reader = FrameReader::new(payload).unwrap_or_else(|error| panic!("{error:?} in {place}"));
    let mut again = vec![0; payload.len()];
    let options = WriterOptions { checksum: reader.checksum(), trailer: reader.trailer().len() };
    let mut writer = FrameWriter::new(&mut again, profile, &options).unwrap();
    let mut records = 0;
    while let Some(region) = reader.next_region() {
        let region = region.unwrap_or_else(|error| panic!("{error:?} in {place}"));
        for record in region.records() {
            records += 1;
            match record {
                Record::State(state) => writer.push_state(region.action(), &state),
                Record::Compressed(update) => writer.push_compressed_update(&update),
                Record::Id(id) => writer.push_id(region.action(), id),
                Record::Clear(clear) => writer.push_clear(&clear),
                Record::BulkStatus(status) => writer.push_bulk_status(&status),
                Record::Tdb(tdb) => writer.push_tdb(&tdb),
            }
            .unwrap();
        }
    }
    let length = writer.finish();
    assert_eq!(&again[..length], payload, "{place}");
    records
}

#[test]
fn what_the_systems_sent_in_answer_writes_back_the_same() {
    for (system, profile) in SYSTEMS {
        let (mut frames, mut records) = (0, 0);
        let mut held = 0;
        for (file, keys) in [("receive", &["replies", "replies_later"][..]), ("send", &["steps"])] {
            let document = json(&format!("{system}/scenarios/{file}.json"));
            for case in document["cases"].as_array().unwrap() {
                let mut found = Vec::new();
                keys.iter().for_each(|&key| {
                    if file == "receive" {
                        packets_in(&case[key], &mut found);
                    } else {
                        case[key]
                            .as_array()
                            .unwrap()
                            .iter()
                            .for_each(|step| packets_in(&step["sent"], &mut found));
                    }
                });
                let place = format!("{system} {file} {}", case["name"]);
                for packet in found.into_iter().map(hex) {
                    match Envelope::parse(&packet) {
                        Ok(envelope) => {
                            frames += 1;
                            records += write_back(&packet[envelope.payload], profile, &place);
                        }
                        // A first packet that was held back and let go.
                        Err(EnvelopeError::Protocol) => held += 1,
                        Err(error) => panic!("{error:?} in {place}"),
                    }
                }
            }
        }
        println!(
            "{system}: {frames} answers with {records} records written back, {held} held packets let go"
        );
        assert!(frames > 20, "{system}");
    }
}

/// What a receiver counts of one packet, by the names of pf's counters.
fn count(packet: &[u8], receiver: Profile, counters: &mut BTreeMap<&'static str, u64>) {
    // The recorded FreeBSD is a 14 even where it sends messages of version 1301, so it takes 25 classes.
    let limit = if receiver == Profile::OpenBsd6 { 20 } else { 25 };
    let mut add = |name| *counters.entry(name).or_default() += 1;
    let envelope = match Envelope::parse(packet) {
        Ok(envelope) => envelope,
        Err(error) => panic!("{error:?}"),
    };
    if envelope.ttl != TTL {
        return add("badttl");
    }
    let mut reader = match FrameReader::new(&packet[envelope.payload]) {
        Ok(reader) if reader.version() != receiver.version() => return add("badver"),
        Ok(reader) => reader,
        Err(error) => return add(error.counter()),
    };
    while let Some(region) = reader.next_region() {
        let region = match region {
            Ok(region) => region,
            Err(error) => {
                error.counter().into_iter().for_each(&mut add);
                continue;
            }
        };
        for record in region.records() {
            let judged = match record {
                Record::State(state) if region.action() == Action::Insert => state.validate(limit),
                Record::State(state) if region.action() == Action::Update => state.validate_update(limit),
                Record::Compressed(update) => update.validate(limit),
                _ => Ok(()),
            };
            if judged.is_err() {
                add("badval");
            }
        }
    }
}

/// Cases in which we differ on purpose, by the start of their names, and why.
const DIFFERENCES: [(&str, &str); 8] = [
    ("len_zero_", "a length below the header's is refused"),
    ("len_cuts_message_", "FreeBSD reads a record on beyond the frame's own length, we do not"),
    ("ins_creator0_", "both refuse it, the systems without counting"),
    ("ins_val_direction_0_", "FreeBSD takes a state that has no direction"),
    ("action_6_", "we read the full DEL that FreeBSD 13 read"),
    ("action_15_", "we read the states of FreeBSD 15, too"),
    ("action_16_", "we read the states of FreeBSD 15, too"),
    ("count_0_0", "stray bytes are read as subheaders, and we know more numbers"),
];

const COUNTERS: [&str; 6] = ["hdrops", "badver", "badttl", "badlen", "badact", "badval"];

#[test]
fn what_is_wrong_with_a_frame_is_what_the_system_s_own_receiver_counted() {
    for (system, profile) in SYSTEMS {
        let document = json(&format!("{system}/scenarios/receive.json"));
        let (mut compared, mut differing) = (0, 0);
        for case in document["cases"].as_array().unwrap() {
            if case["counters"].get("badif").is_some() {
                continue;
            }
            let mut ours = BTreeMap::new();
            for packet in case["input"].as_array().unwrap() {
                count(&hex(packet.as_str().unwrap()), profile, &mut ours);
            }
            let theirs: BTreeMap<&str, u64> = COUNTERS
                .into_iter()
                .filter_map(|name| case["counters"][name].as_u64().map(|count| (name, count)))
                .collect();
            let name = case["name"].as_str().unwrap();
            if DIFFERENCES.iter().any(|(start, _)| name.starts_with(start)) {
                differing += 1;
                continue;
            }
            assert_eq!(ours, theirs, "{system} {name}: {}", case["about"]);
            compared += 1;
        }
        println!("{system}: {compared} receptions counted alike, {differing} left out by name");
        assert!(compared > 90 && differing < 15, "{system}");
    }
}
