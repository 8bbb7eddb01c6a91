//! How much stack the calls of the C API need, on x86-64 with glibc.
//!
//! Every function of the header is called, on the paths with the largest frames that are known. A mark is the lowest byte that
//! was written, so it can miss up to a page that a function reserves without writing to it; the limit leaves that much. What the
//! host's own functions need (allocator, store) comes on top, and what a contained defect needs.
//!
//! `cargo test --release --test stack -- --nocapture` prints the numbers. Without optimization every value has a slot of its
//! own, so that build only checks that every call is measured.
#![expect(
    clippy::multiple_unsafe_ops_per_block,
    clippy::undocumented_unsafe_blocks,
    reason = "every call passes pointers to values of the test that makes it"
)]
#![allow(unused_unsafe, reason = "the macro that calls does not know which functions are safe")]
#![cfg(all(target_arch = "x86_64", not(miri)))]

mod codec;
mod election;
mod lanes;
mod measure;
#[path = "../c_api/world.rs"]
#[expect(dead_code, reason = "each test uses its part")]
mod world;

use std::collections::BTreeSet;

/// What the header says of every call.
const LIMIT: usize = 16 << 10;
/// What the mark may miss.
const PAGE: usize = 4 << 10;
/// What it may miss of calls that create: their deepest functions copy and allocate, and have small frames.
const SMALL_FRAME: usize = 1 << 10;

/// The functions of the header, but for those on mbufs, which run the same code on the same frames.
fn functions() -> BTreeSet<String> {
    let header = include_str!("../../include/pfplane.h");
    let code = header.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.filter_map(|line| line.split_once('('))
        .filter_map(|(before, _)| before.rsplit([' ', '*']).next())
        .filter(|name| name.starts_with("pfplane_") && !name.contains("mbuf"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn no_call_needs_more_stack_than_the_header_says() {
    lanes::run();
    codec::run();
    election::run();
    let used = measure::used();
    let mut sorted: Vec<_> = used.iter().map(|(name, bytes)| (*bytes, *name)).collect();
    sorted.sort_unstable();
    sorted.iter().for_each(|(bytes, name)| println!("{bytes:6} {name}"));
    let missed = |name: &str| if name.ends_with("_new") { SMALL_FRAME } else { PAGE };
    let over: Vec<_> = sorted.iter().filter(|(bytes, name)| bytes + missed(name) > LIMIT).collect();
    assert!(cfg!(debug_assertions) || over.is_empty(), "more than the header says: {over:?}");
    let functions = functions();
    let measured: BTreeSet<String> = used.keys().map(|name| (*name).to_owned()).collect();
    assert!(functions.len() > 80, "only {} functions found in the header", functions.len());
    let missing: Vec<_> = functions.difference(&measured).collect();
    assert!(missing.is_empty(), "not measured: {missing:?}");
}
