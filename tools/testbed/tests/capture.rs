//! Tests the capture checker, which is independent of the library's codec, with captures of OpenBSD.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const PYTHON: &str = "python3";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Returns the checker's output, or `None` on a machine without Python.
fn check(capture: &Path) -> Option<Output> {
    let checker = root().join("tools/check-capture.py");
    match Command::new(PYTHON).arg(checker).arg(capture).arg("--json").output() {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("skipped: {PYTHON} cannot be run: {error}");
            None
        }
    }
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("the checker answers in JSON")
}

fn captures() -> Vec<PathBuf> {
    let folder = root().join("tests/vectors/openbsd/gen");
    let entries = std::fs::read_dir(&folder).expect("the vectors are in the repository");
    let mut captures: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    captures.retain(|path| path.extension().is_some_and(|ending| ending == "pcap"));
    captures
}

/// Returns the messages by action, as OpenBSD recorded them beside the capture.
fn recorded(capture: &Path) -> std::collections::BTreeMap<u64, u64> {
    let text = std::fs::read_to_string(capture.with_extension("json")).expect("a record beside the capture");
    let record: Value = serde_json::from_str(&text).expect("JSON");
    let mut counts = std::collections::BTreeMap::new();
    for packet in record["packets"].as_array().expect("packets") {
        for section in packet["sections"].as_array().expect("sections") {
            let action = section["action"].as_u64().expect("a number");
            *counts.entry(action).or_default() += section["count"].as_u64().expect("a number");
        }
    }
    counts
}

const NAMES: [(u64, &str); 10] = [
    (0, "CLR"),
    (2, "INS_ACK"),
    (4, "UPD_C"),
    (5, "UPD_REQ"),
    (6, "DEL"),
    (7, "DEL_C"),
    (10, "BUS"),
    (13, "INS"),
    (14, "UPD"),
    (15, "TDB"),
];

#[test]
fn every_frame_of_openbsd_is_well_formed_and_counted_as_recorded() {
    let captures = captures();
    assert!(captures.len() > 20, "only {} captures found", captures.len());
    for capture in captures {
        let Some(output) = check(&capture) else { return };
        let result = json(&output);
        assert!(output.status.success(), "{}: {result}", capture.display());
        for (action, count) in recorded(&capture) {
            let (_, name) = NAMES.iter().find(|(number, _)| *number == action).expect("a known action");
            assert_eq!(result["messages"][name], count, "{name} in {}", capture.display());
        }
    }
}

/// Writes a capture with one changed byte; the offset counts from the first packet's IP header.
fn changed(name: &str, offset: usize, value: u8, folder: &Path) -> PathBuf {
    const BEFORE_FIRST_PACKET: usize = 24 + 16;
    let source = root().join("tests/vectors/openbsd/gen").join(name);
    let mut bytes = std::fs::read(&source).expect("a capture");
    assert_ne!(bytes[BEFORE_FIRST_PACKET + offset], value, "the byte has this value already");
    bytes[BEFORE_FIRST_PACKET + offset] = value;
    let path = folder.join(format!("changed-{offset}-{name}"));
    std::fs::write(&path, bytes).expect("a writable folder");
    path
}

#[test]
fn one_changed_byte_of_the_framing_is_detected() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let changes = [
        ("the TTL", 8, 254),
        ("the version", 20, 5),
        ("the length", 23, 1),
        ("the action", 40, 99),
        ("the message length", 41, 7),
        ("the count", 43, 9),
        ("the direction", 44 + 252, 3),
        ("a key's family", 44 + 24 + 38, 28),
    ];
    for (what, offset, value) in changes {
        let capture = changed("ins.pcap", offset, value, &folder);
        let Some(output) = check(&capture) else { return };
        assert_eq!(output.status.code(), Some(1), "changed {what}: {}", json(&output));
        assert!(!json(&output)["malformed"].as_array().expect("a list").is_empty(), "{what}");
    }
}
