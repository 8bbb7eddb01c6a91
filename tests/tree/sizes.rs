//! Files and folders stay small.

use crate::assert_clean;
use crate::source::{files_below, files_with};
use std::collections::BTreeMap;

/// Maximum lines of a file, with its tests.
const MAX_LINES: usize = 450;
/// Maximum files of a folder.
const MAX_FILES: usize = 12;

#[test]
fn no_file_is_longer_than_450_lines() {
    let folders = ["src", "pfsync", "dpdk-sys", "tools", "benches", "tests", "fuzz", "c-examples"];
    let written = |folder| files_with(folder, &["rs", "c", "h", "sh", "py", "lua"]);
    let files = folders.into_iter().flat_map(written).chain(plugin_files());
    let sizes = files.map(|(path, text)| (path, text.lines().count()));
    let long = sizes.filter(|(_, lines)| *lines > MAX_LINES);
    assert_clean(long.map(|(path, lines)| format!("{path}: {lines} lines, maximum {MAX_LINES}")));
}

#[test]
fn no_source_folder_has_more_than_12_files() {
    let mut folders = BTreeMap::<String, usize>::new();
    let rust = ["src", "pfsync/src", "tools/sim", "tools/testkit"].into_iter().flat_map(files_below);
    for (path, _) in rust.chain(plugin_files()) {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        *folders.entry(folder.to_owned()).or_default() += 1;
    }
    let full = folders.into_iter().filter(|(_, count)| *count > MAX_FILES);
    assert_clean(full.map(|(path, count)| format!("{path}: {count} files, maximum {MAX_FILES}")));
}

/// The VPP plugin has no Rust.
fn plugin_files() -> Vec<(String, String)> {
    files_with("vpp-plugin", &["c", "h", "api", "py", "txt", "yaml"])
}
