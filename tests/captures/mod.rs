//! Reads the recordings in `tests/vectors`. Tests of any crate of the repository may include this file.
#![allow(dead_code, reason = "each test uses its part")]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Returns a path below `tests/vectors`.
pub(crate) fn vectors(path: &str) -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = manifest.ancestors().map(|folder| folder.join("tests/vectors"));
    folders.find(|folder| folder.is_dir()).expect("tests/vectors of the repository").join(path)
}

/// Reads a JSON file below `tests/vectors`.
pub(crate) fn json(path: &str) -> Value {
    let path = vectors(path);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the bytes of hex digits.
pub(crate) fn hex(digits: &str) -> Vec<u8> {
    assert!(digits.len().is_multiple_of(2), "{digits}");
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

/// Returns the names of a system's captures, without their extension.
pub(crate) fn capture_names(system: &str) -> Vec<String> {
    let folder = vectors(system).join("gen");
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "pcap"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// Reads the packets of a capture below `tests/vectors`: little endian, link type 101 (raw IP).
pub(crate) fn packets(path: &str) -> Vec<Vec<u8>> {
    let bytes = fs::read(vectors(path)).unwrap();
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    assert_eq!((word(0), word(20)), (0xa1b2_c3d4, 101), "{path}");
    let mut packets = Vec::new();
    let mut at = 24;
    while at < bytes.len() {
        let length = word(at + 8);
        packets.push(bytes[at + 16..at + 16 + length].to_vec());
        at += 16 + length;
    }
    packets
}
