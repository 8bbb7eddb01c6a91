//! Reading the captures of `tests/vectors`.

use std::fs;
use std::path::{Path, PathBuf};

fn vectors(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(path)
}

/// The names of the captures of a system, without their endings.
pub fn capture_names(system: &str) -> Vec<String> {
    let folder = vectors(system).join("gen");
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "pcap"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// The packets of a capture: little endian, link type 101 (raw IP).
pub fn packets(path: &str) -> Vec<Vec<u8>> {
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
