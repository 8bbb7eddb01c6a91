//! The modules of `src/` and which other modules each may name. `ARCHITECTURE.md` draws the same picture.

use crate::assert_clean;
use crate::paths::{modules_named, words};
use crate::source::{code_only, files_below, without_tests};

/// A module and the modules that it may name. Dependencies point down; nothing names `ffi`.
const DEPENDENCIES: [(&str, &[&str]); 16] = [
    ("error", &[]),
    ("time", &[]),
    ("packet", &["error"]),
    ("cpu", &["error", "packet"]),
    ("memory", &["error"]),
    ("stats", &["error", "memory"]),
    ("state", &["error", "time", "stats", "packet"]),
    ("limits", &["error", "time", "stats", "packet", "cpu", "memory", "state"]),
    ("table", &["error", "time", "stats", "packet", "cpu", "memory", "state", "limits"]),
    ("seal", &["error", "time", "memory"]),
    ("sync", &["error", "time", "stats", "packet", "cpu", "memory", "state", "limits", "table", "seal"]),
    ("mbuf", &["error", "packet"]),
    ("election", &["error", "time", "stats", "packet", "memory"]),
    (
        "lane",
        &["error", "time", "stats", "packet", "cpu", "memory", "state", "limits", "table", "seal", "sync"],
    ),
    (
        "engine",
        &[
            "error", "time", "stats", "packet", "cpu", "memory", "state", "limits", "table", "seal", "sync",
            "lane",
        ],
    ),
    (
        "ffi",
        &[
            "error", "time", "stats", "packet", "cpu", "memory", "state", "limits", "table", "seal", "sync",
            "mbuf", "lane", "engine", "election",
        ],
    ),
];

/// The modules that may contain `unsafe`.
const UNSAFE: [&str; 4] = ["src/mbuf/", "src/ffi/", "src/cpu/", "src/memory/"];

/// Crates and types that `pfsync` may use in tests only: it is built on `core` and never allocates.
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

#[test]
fn every_dependency_between_modules_is_in_the_table() {
    assert_clean(files_below("src").iter().flat_map(|(path, text)| forbidden_dependencies(path, text)));
}

#[test]
fn every_module_is_in_the_table() {
    let unknown: Vec<_> = files_below("src")
        .into_iter()
        .filter(|(path, _)| dependencies_of(module_of(path)).is_none())
        .collect();
    assert_clean(
        unknown
            .iter()
            .filter(|(path, _)| path != "src/lib.rs")
            .map(|(path, _)| format!("{path}: a new module")),
    );
}

#[test]
fn only_mbuf_and_the_mbuf_calls_of_ffi_name_dpdk() {
    assert_clean(files_below("src").iter().flat_map(|(path, text)| dpdk_names(path, text)));
}

#[test]
fn unsafe_code_is_confined_to_a_few_modules() {
    assert_clean(files_below("src").iter().flat_map(|(path, text)| unsafe_blocks(path, text)));
}

#[test]
fn pfsync_uses_core_only_and_never_allocates() {
    let mut files = files_below("pfsync/src");
    files.retain(|(path, _)| !path.ends_with("/tests.rs"));
    assert_clean(files.iter().flat_map(|(path, text)| pfsync_faults(path, text)));
}

#[test]
fn a_forbidden_dependency_is_rejected() {
    let forbidden = [
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
    for (path, text) in forbidden {
        assert_eq!(forbidden_dependencies(path, text).len(), 1, "{path}: {text}");
    }
}

#[test]
fn an_allowed_dependency_and_names_in_comments_are_accepted() {
    let allowed = [
        ("src/sync/translate.rs", "use crate::{state::Peer, packet::{Facts, Key}};"),
        ("src/packet/region/item.rs", "use super::super::header::Header; use super::record;"),
        (
            "src/packet/key.rs",
            "const TEXT: &str = \"crate::engine\"; const QUOTE: char = '\"'; use crate::packet::Be16;",
        ),
        ("src/lib.rs", "pub use crate::ffi;"),
    ];
    for (path, text) in allowed {
        assert_eq!(forbidden_dependencies(path, text), Vec::<String>::new(), "{path}: {text}");
    }
}

#[test]
fn dpdk_names_unsafe_blocks_and_allocations_are_rejected() {
    assert_eq!(dpdk_names("src/lane/burst.rs", "fn f(m: *mut rte_mbuf) {}").len(), 1);
    assert_eq!(dpdk_names("src/ffi/lane/lookup.rs", "use dpdk_sys::rte_pktmbuf_free;").len(), 2);
    assert_eq!(dpdk_names("src/ffi/lane/mbufs.rs", "fn f(m: *mut rte_mbuf) {}").len(), 0);
    assert_eq!(unsafe_blocks("pfsync/src/frame.rs", "fn f() { unsafe { g() } }").len(), 1);
    assert_eq!(unsafe_blocks("src/table/index.rs", "unsafe impl Send for T {}").len(), 1);
    assert_eq!(unsafe_blocks("src/cpu/prefetch.rs", "unsafe { g() }").len(), 0);
    assert_eq!(unsafe_blocks("src/state/id.rs", "// unsafe\n#![deny(unsafe_op_in_unsafe_fn)]").len(), 0);
    assert_eq!(pfsync_faults("pfsync/src/frame.rs", "use std::fmt; fn f() -> Vec<u8> { vec![] }").len(), 3);
    assert_eq!(
        pfsync_faults("pfsync/src/frame.rs", "use core::fmt;\n#[cfg(test)]\nmod tests { use std::fs; }")
            .len(),
        0
    );
}

/// Returns the module of a file: `table` for `src/table/slab.rs` and for `src/table.rs`.
fn module_of(path: &str) -> &str {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs")
}

fn dependencies_of(module: &str) -> Option<&'static [&'static str]> {
    DEPENDENCIES.iter().find(|(name, _)| *name == module).map(|(_, may_name)| *may_name)
}

/// Lists the dependencies that the table does not allow. The root, `lib.rs`, may name every module.
fn forbidden_dependencies(path: &str, text: &str) -> Vec<String> {
    let module = module_of(path);
    if module == "lib" {
        return Vec::new();
    }
    let may_name = dependencies_of(module).unwrap_or(&[]);
    let mut named = modules_named(path, &code_only(text));
    named.sort();
    named.dedup();
    let is_foreign = |name: &String| name != module && !may_name.contains(&name.as_str());
    named
        .into_iter()
        .filter(is_foreign)
        .map(|name| format!("{path}: `{module}` must not name `{name}`"))
        .collect()
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

fn pfsync_faults(path: &str, text: &str) -> Vec<String> {
    let code = without_tests(&code_only(text));
    let found = words(&code).into_iter().filter(|(_, word)| NOT_IN_PFSYNC.contains(word));
    found.map(|(_, word)| format!("{path}: `{word}` in pfsync")).collect()
}
