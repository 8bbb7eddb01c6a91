//! Reading what was recorded in `tests/vectors`: JSON and hex digits.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A folder or file below `tests/vectors`.
fn vectors(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(path)
}

/// A JSON file below `tests/vectors`.
pub fn json(path: &str) -> Value {
    let path = vectors(path);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The bytes of hex digits.
pub fn hex(digits: &str) -> Vec<u8> {
    assert!(digits.len().is_multiple_of(2), "{digits}");
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}
