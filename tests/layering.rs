//! The rooms of `src/` and the arrows between them, as `ARCHITECTURE.md` draws them. Any other arrow fails here.

mod source;

use source::{code_only, files_below, without_tests};

/// A room and the rooms that it may name. Arrows point down; nothing names `ffi`.
const ARROWS: [(&str, &[&str]); 14] = [
    ("error", &[]),
    ("time", &[]),
    ("stats", &[]),
    ("packet", &["error"]),
    ("cpu", &["error", "packet"]),
    ("memory", &["error"]),
    ("state", &["error", "time", "stats", "packet"]),
    ("limits", &["error", "time", "stats", "packet", "cpu", "memory", "state"]),
    ("table", &["error", "time", "stats", "packet", "cpu", "memory", "state", "limits"]),
    ("sync", &["error", "time", "stats", "packet", "cpu", "memory", "state", "limits", "table"]),
    ("mbuf", &["error", "packet"]),
    ("lane", &["error", "time", "stats", "packet", "cpu", "memory", "state", "limits", "table", "sync"]),
    (
        "engine",
        &["error", "time", "stats", "packet", "cpu", "memory", "state", "limits", "table", "sync", "lane"],
    ),
    (
        "ffi",
        &[
            "error", "time", "stats", "packet", "cpu", "memory", "state", "limits", "table", "sync", "mbuf",
            "lane", "engine",
        ],
    ),
];

/// The modules that may contain `unsafe`.
const UNSAFE: [&str; 4] = ["src/mbuf/", "src/ffi/", "src/cpu/", "src/memory/"];

/// Crates and types that `pfsync` must do without outside its tests: it runs on `core`, with no allocation.
const NOT_IN_PFSYNC: [&str; 14] = [
    "std",
    "alloc",
    "arrayvec",
    "dpdk_sys",
    "hashbrown",
    "libc",
    "rtrb",
    "Vec",
    "String",
    "Box",
    "Rc",
    "Arc",
    "vec",
    "format",
];

/// The longest that a file may be without its tests.
const MAX_LINES: usize = 450;

#[test]
fn every_arrow_between_rooms_is_one_of_the_table() {
    assert_clean(files_below("src").iter().flat_map(|(path, text)| foreign_arrows(path, text)));
}

#[test]
fn every_room_of_the_tree_is_in_the_table() {
    let unknown: Vec<_> =
        files_below("src").into_iter().filter(|(path, _)| arrows_of(room_of(path)).is_none()).collect();
    assert_clean(
        unknown
            .iter()
            .filter(|(path, _)| path != "src/lib.rs")
            .map(|(path, _)| format!("{path}: a new room")),
    );
}

#[test]
fn only_mbuf_and_the_mbuf_calls_of_ffi_name_dpdk() {
    assert_clean(files_below("src").iter().flat_map(|(path, text)| dpdk_names(path, text)));
}

#[test]
fn unsafe_stands_only_where_it_may() {
    assert_clean(files_below("src").iter().flat_map(|(path, text)| unsafe_blocks(path, text)));
}

#[test]
fn pfsync_needs_core_only_and_never_allocates() {
    let files = files_below("pfsync/src");
    assert_clean(files.iter().flat_map(|(path, text)| pfsync_needs(path, text)));
}

#[test]
fn no_file_is_longer_than_one_concept_needs() {
    let long = files_below("src").into_iter().filter_map(|(path, text)| {
        let lines = text.lines().take_while(|line| line.trim() != "#[cfg(test)]").count();
        (lines > MAX_LINES).then(|| format!("{path}: {lines} lines without tests, at most {MAX_LINES}"))
    });
    assert_clean(long);
}

#[test]
fn a_planted_wrong_arrow_is_rejected() {
    let planted = [
        ("src/packet/key.rs", "use crate::{error::Error, table::Slot};"),
        ("src/state/record.rs", "fn f() { crate::sync::queue(); }"),
        ("src/table/slab.rs", "use super::super::lane::Lane;"),
        ("src/sync/queue/mod.rs", "use super::super::engine::Engine;"),
        ("src/lane/burst.rs", "use\n    crate::{\n        packet::Key,\n        ffi,\n    };"),
        ("src/engine/mod.rs", "use super::ffi::guard;"),
        ("src/time.rs", "use super::packet::Key;"),
        ("src/lane/burst.rs", "use crate as everything;"),
        ("src/state/record.rs", "#[cfg(test)] mod tests { use crate::sync::Exporter; }"),
    ];
    for (path, text) in planted {
        assert_eq!(foreign_arrows(path, text).len(), 1, "{path}: {text}");
    }
}

#[test]
fn a_right_arrow_and_words_in_comments_are_accepted() {
    let fine = [
        ("src/sync/translate.rs", "use crate::{state::Peer, packet::{Facts, Key}};"),
        ("src/packet/region/item.rs", "use super::super::header::Header; use super::record;"),
        (
            "src/packet/key.rs",
            "const TEXT: &str = \"crate::engine\"; const QUOTE: char = '\"'; use crate::packet::Be16;",
        ),
        ("src/lib.rs", "pub use crate::ffi;"),
    ];
    for (path, text) in fine {
        assert_eq!(foreign_arrows(path, text), Vec::<String>::new(), "{path}: {text}");
    }
}

#[test]
fn planted_dpdk_names_unsafe_blocks_and_allocations_are_rejected() {
    assert_eq!(dpdk_names("src/lane/burst.rs", "fn f(m: *mut rte_mbuf) {}").len(), 1);
    assert_eq!(dpdk_names("src/ffi/lane.rs", "use dpdk_sys::rte_pktmbuf_free;").len(), 2);
    assert_eq!(dpdk_names("src/ffi/lane_mbuf.rs", "fn f(m: *mut rte_mbuf) {}").len(), 0);
    assert_eq!(unsafe_blocks("pfsync/src/frame.rs", "fn f() { unsafe { g() } }").len(), 1);
    assert_eq!(unsafe_blocks("src/table/index.rs", "unsafe impl Send for T {}").len(), 1);
    assert_eq!(unsafe_blocks("src/cpu/prefetch.rs", "unsafe { g() }").len(), 0);
    assert_eq!(unsafe_blocks("src/state/id.rs", "// unsafe\n#![deny(unsafe_op_in_unsafe_fn)]").len(), 0);
    assert_eq!(pfsync_needs("pfsync/src/frame.rs", "use std::fmt; fn f() -> Vec<u8> { vec![] }").len(), 3);
    assert_eq!(
        pfsync_needs("pfsync/src/frame.rs", "use core::fmt;\n#[cfg(test)]\nmod tests { use std::fs; }").len(),
        0
    );
}

fn assert_clean(faults: impl Iterator<Item = String>) {
    let faults: Vec<String> = faults.collect();
    assert!(faults.is_empty(), "{} fault(s):\n{}", faults.len(), faults.join("\n"));
}

/// `src/table/slab.rs` and `src/table.rs` are both of the room `table`.
fn room_of(path: &str) -> &str {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs")
}

fn arrows_of(room: &str) -> Option<&'static [&'static str]> {
    ARROWS.iter().find(|(name, _)| *name == room).map(|(_, may_name)| *may_name)
}

/// The crate's root (`lib.rs`) names every room; a room of which the table knows nothing may name none.
fn foreign_arrows(path: &str, text: &str) -> Vec<String> {
    let room = room_of(path);
    if room == "lib" {
        return Vec::new();
    }
    let may_name = arrows_of(room).unwrap_or(&[]);
    let mut named = rooms_named(path, &code_only(text));
    named.sort();
    named.dedup();
    let is_foreign = |name: &String| name != room && !may_name.contains(&name.as_str());
    named
        .into_iter()
        .filter(is_foreign)
        .map(|name| format!("{path}: `{room}` must not name `{name}`"))
        .collect()
}

/// The first segment of every path that begins at the crate's root, written with `crate::` or with enough `super::`.
fn rooms_named(path: &str, code: &str) -> Vec<String> {
    let mut named = Vec::new();
    for (at, word) in words(code) {
        let end = at + word.len();
        match word {
            "crate" if code[end..].trim_start().starts_with("::") => {
                named.extend(first_segments(&code[end..]))
            }
            "crate" if code[end..].trim_start().starts_with("as ") => named.push("crate".to_owned()),
            "super" if !follows_path(code, at) => {
                let (levels, rest) = count_supers(&code[at..]);
                if levels >= depth_at(path, code, at) && rest.trim_start().starts_with("::") {
                    named.extend(first_segments(rest));
                }
            }
            _ => {}
        }
    }
    named
}

/// How many `super` lead from here to the crate's root: one for `src/time.rs` and `src/table/mod.rs`, one more a folder
/// and one more for each `mod name {` that encloses the place.
fn depth_at(path: &str, code: &str, at: usize) -> usize {
    let folders = path.matches('/').count();
    let file = if path.ends_with("/mod.rs") { folders - 1 } else { folders };
    file + open_modules(&code[..at])
}

fn open_modules(before: &str) -> usize {
    let mut blocks = Vec::new();
    let mut last_words = ["", ""];
    let mut words = words(before).into_iter().peekable();
    for (at, c) in before.char_indices() {
        while words.peek().is_some_and(|(start, _)| *start < at) {
            last_words = [last_words[1], words.next().map_or("", |(_, word)| word)];
        }
        match c {
            '{' => blocks.push(last_words[0] == "mod"),
            '}' => _ = blocks.pop(),
            _ => {}
        }
    }
    blocks.into_iter().filter(|is_module| *is_module).count()
}

fn follows_path(code: &str, at: usize) -> bool {
    code[..at].trim_end().ends_with("::")
}

/// How many `super` stand at the head of `code`, and what follows them.
fn count_supers(code: &str) -> (usize, &str) {
    let mut levels = 0;
    let mut rest = code;
    loop {
        let next = rest.trim_start().trim_start_matches("::").trim_start();
        let Some(behind) = next.strip_prefix("super") else { return (levels, rest) };
        levels += 1;
        rest = behind;
    }
}

/// `:: name ...` gives one name, `::{a, b::{c, d}}` gives `a` and `b`.
fn first_segments(code: &str) -> Vec<String> {
    let rest = code.trim_start().trim_start_matches("::").trim_start();
    let Some(group) = rest.strip_prefix('{') else { return vec![head_word(rest)] };
    let mut names = Vec::new();
    let mut depth = 0;
    let mut begin = 0;
    for (i, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.push(head_word(group[begin..i].trim_start()));
                begin = i + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty() && name != "self");
    names
}

fn head_word(code: &str) -> String {
    code.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

fn words(code: &str) -> Vec<(usize, &str)> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(begin) = code[at..].find(is_word).map(|offset| at + offset) {
        let end = code[begin..].find(|c| !is_word(c)).map_or(code.len(), |length| begin + length);
        words.push((begin, &code[begin..end]));
        at = end;
    }
    words
}

fn may_name_dpdk(path: &str) -> bool {
    path.starts_with("src/mbuf") || (path.starts_with("src/ffi/") && path.contains("mbuf"))
}

fn dpdk_names(path: &str, text: &str) -> Vec<String> {
    if may_name_dpdk(path) {
        return Vec::new();
    }
    let code = code_only(text);
    let is_dpdk = |word: &str| word == "dpdk_sys" || word.starts_with("rte_");
    words(&code)
        .into_iter()
        .filter(|(_, word)| is_dpdk(word))
        .map(|(_, word)| format!("{path}: names `{word}`"))
        .collect()
}

fn unsafe_blocks(path: &str, text: &str) -> Vec<String> {
    if UNSAFE.iter().any(|place| path.starts_with(place)) {
        return Vec::new();
    }
    let code = code_only(text);
    words(&code)
        .into_iter()
        .filter(|(_, word)| *word == "unsafe")
        .map(|_| format!("{path}: `unsafe`"))
        .collect()
}

fn pfsync_needs(path: &str, text: &str) -> Vec<String> {
    let code = without_tests(&code_only(text));
    let found = words(&code).into_iter().filter(|(_, word)| NOT_IN_PFSYNC.contains(word));
    found.map(|(_, word)| format!("{path}: `{word}` in pfsync")).collect()
}
