//! Frames that the systems received and answered, some of them malformed: the answers are written back unchanged, and each
//! error has the counter that the system's own receiver increased.

use std::collections::BTreeMap;

use crate::captures::{hex, json};
use crate::{SYSTEMS, write_back};
use pfsync::envelope::{Envelope, EnvelopeError, TTL};
use pfsync::{Action, FrameReader, Profile, Record};
use serde_json::Value;

fn is_packet(text: &str) -> bool {
    text.len() >= 40 && text.starts_with('4') && text.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// Collects every string in `value` that is an IP packet in hex digits.
fn packets_in<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) if is_packet(text) => found.push(text),
        Value::Array(values) => values.iter().for_each(|value| packets_in(value, found)),
        Value::Object(values) => values.values().for_each(|value| packets_in(value, found)),
        _ => {}
    }
}

/// Returns the packets that the system sent in the cases of a scenario file, each with the name of its case.
fn answers(system: &str, file: &str) -> Vec<(String, Vec<u8>)> {
    let document = json(&format!("{system}/scenarios/{file}.json"));
    let mut answers = Vec::new();
    for case in document["cases"].as_array().unwrap() {
        let mut found = Vec::new();
        if file == "receive" {
            packets_in(&case["replies"], &mut found);
            packets_in(&case["replies_later"], &mut found);
        } else {
            let steps = case["steps"].as_array().unwrap();
            steps.iter().for_each(|step| packets_in(&step["sent"], &mut found));
        }
        let name = format!("{system} {file} {}", case["name"]);
        answers.extend(found.into_iter().map(|packet| (name.clone(), hex(packet))));
    }
    answers
}

#[test]
fn answers_of_the_systems_are_written_back_unchanged() {
    for (system, profile) in SYSTEMS {
        let (mut frames, mut records, mut released) = (0, 0, 0);
        for (name, packet) in ["receive", "send"].iter().flat_map(|file| answers(system, file)) {
            match Envelope::parse(&packet) {
                Ok(envelope) => {
                    frames += 1;
                    write_back(&packet[envelope.payload], profile, &name, |_, of_region| {
                        records += of_region.len()
                    });
                }
                // A deferred first packet of a connection, released after the acknowledgement.
                Err(EnvelopeError::Protocol) => released += 1,
                Err(error) => panic!("{error} in {name}"),
            }
        }
        println!(
            "{system}: {frames} answers with {records} records written back, {released} deferred packets released"
        );
        assert!(frames > 20, "{system}");
    }
}

/// Adds what a receiver counts for one packet, by the names of pf's counters.
fn count(packet: &[u8], receiver: Profile, counters: &mut BTreeMap<&'static str, u64>) {
    // The recorded FreeBSD is version 14 even if it sends messages of version 1301, so it accepts 25 classes.
    let limit = if receiver == Profile::OpenBsd6 { 20 } else { 25 };
    let mut add = |name| *counters.entry(name).or_default() += 1;
    let envelope = Envelope::parse(packet).unwrap();
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
            let result = match record {
                Record::State(state) if region.action() == Action::Insert => state.validate(limit),
                Record::State(state) if region.action() == Action::Update => state.validate_update(limit),
                Record::Compressed(update) => update.validate(limit),
                _ => Ok(()),
            };
            if result.is_err() {
                add("badval");
            }
        }
    }
}

/// Cases in which the crate differs on purpose: the start of their names, and why.
const DIFFERENCES: [(&str, &str); 8] = [
    ("len_zero_", "a length below that of the header is refused"),
    ("len_cuts_message_", "FreeBSD reads a record beyond the end of the frame"),
    ("ins_creator0_", "the systems refuse it without counting"),
    ("ins_val_direction_0_", "FreeBSD accepts a state without a direction"),
    ("action_6_", "the crate reads the full DEL, as FreeBSD 13 did"),
    ("action_15_", "the crate reads the states of FreeBSD 15 too"),
    ("action_16_", "the crate reads the states of FreeBSD 15 too"),
    ("count_0_0", "stray bytes are read as subheaders, and the crate knows more numbers"),
];

const COUNTERS: [&str; 6] = ["hdrops", "badver", "badttl", "badlen", "badact", "badval"];

#[test]
fn every_error_has_the_counter_of_the_systems_receiver() {
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
        println!("{system}: {compared} receptions counted alike, {differing} known differences");
        assert!(compared > 90 && differing < 15, "{system}");
    }
}
