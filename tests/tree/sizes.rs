//! Files and folders stay small.

use crate::assert_clean;
use crate::source::files_below;
use std::collections::BTreeMap;

/// Maximum lines of a file, with its tests.
const MAX_LINES: usize = 450;
/// Maximum files of a folder.
const MAX_FILES: usize = 12;

/// Files that are still too long. This list may only shrink.
const LONG_FILES: &[&str] = &[];
/// Folders that still have too many files. This list may only shrink.
const FULL_FOLDERS: &[&str] = &["src/lane", "src/packet", "src/state", "src/sync/export", "src/table"];

#[test]
fn no_file_is_longer_than_450_lines() {
    let folders = ["src", "pfsync", "tools", "benches", "tests", "fuzz"];
    let files = folders.into_iter().flat_map(files_below);
    let sizes = files.map(|(path, text)| (path, text.lines().count()));
    let long = sizes.filter(|(path, lines)| *lines > MAX_LINES && !LONG_FILES.contains(&path.as_str()));
    assert_clean(long.map(|(path, lines)| format!("{path}: {lines} lines, maximum {MAX_LINES}")));
}

#[test]
fn no_source_folder_has_more_than_12_files() {
    let mut folders = BTreeMap::<String, usize>::new();
    for (path, _) in ["src", "tools/sim", "tools/testkit"].into_iter().flat_map(files_below) {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        *folders.entry(folder.to_owned()).or_default() += 1;
    }
    let full = folders
        .into_iter()
        .filter(|(path, count)| *count > MAX_FILES && !FULL_FOLDERS.contains(&path.as_str()));
    assert_clean(full.map(|(path, count)| format!("{path}: {count} files, maximum {MAX_FILES}")));
}
