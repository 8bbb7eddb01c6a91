//! `include/pfplane.h`: what it is made from, how C lays its structs out, and that every function in it is guarded.
//!
//! `PFPLANE_BLESS=1` writes the header instead of comparing it (`./x header`).

#[path = "../tree/source.rs"]
mod source;

mod blocks;
mod generate;
mod guards;
mod layout;
mod text;

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

#[test]
fn the_header_is_what_the_sources_make_of_it() {
    let path = root().join("include/pfplane.h");
    let made = generate::header(&root());
    if std::env::var_os("PFPLANE_BLESS").is_some() {
        fs::write(&path, &made).unwrap();
        return;
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let mut lines = made.lines().zip(kept.lines()).enumerate();
    if let Some((index, (made, kept))) = lines.find(|(_, (made, kept))| made != kept) {
        panic!(
            "include/pfplane.h is not up to date, run ./x header\nline {}\n  made: {made}\n  kept: {kept}",
            index + 1
        );
    }
    assert_eq!(made.len(), kept.len(), "include/pfplane.h is not up to date, run ./x header");
}
