//! Makes the header: cbindgen translates the items of `src/ffi`, and here they are put into sections, one per file, in the order of the
//! source. A run of constants under a comment `// enum pfplane_x: ...` becomes an enum; a file's module doc becomes the text of its
//! section.

use super::blocks::{self, Block};
use super::text;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The files of `src/ffi` that export anything, in the order of the header's sections. A new file has to be added here.
pub(crate) const SECTIONS: [&str; 36] = [
    "status",
    "version",
    "engine/allocator",
    "engine/seal",
    "engine/peer",
    "engine/source_limits",
    "engine/config",
    "engine/control",
    "engine/readiness",
    "engine/stats",
    "lane/packet",
    "lane/facts",
    "state/options",
    "lane/lookup",
    "lane/frames",
    "lane/deferred",
    "lane/answer",
    "lane/exposure",
    "lane/lookup_facts",
    "lane/mbufs",
    "state/contents",
    "state/view",
    "state/admin_delete",
    "frame/record",
    "frame/reader",
    "frame/writer",
    "frame/mbufs",
    "frame/fields",
    "replica/store",
    "replica/calls",
    "replica/seal",
    "election/config",
    "election/calls",
    "election/lanes",
    "election/peers",
    "election/report",
];

/// Objects that C only names, in the order in which the header introduces them.
const OBJECTS: [&str; 6] = [
    "pfplane_engine",
    "pfplane_lane",
    "pfplane_frame_reader",
    "pfplane_frame_writer",
    "pfplane_replica",
    "pfplane_election",
];

const START: &str = "
#ifndef PFPLANE_H
#define PFPLANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern \"C\" {
#endif

// DPDK's structs are only named: a program that passes no mbufs needs no DPDK header.
struct rte_mbuf;
struct rte_mempool;
";

const END: &str = "
#ifdef __cplusplus
} // extern \"C\"
#endif

#endif // PFPLANE_H
";

/// The whole header.
pub(crate) fn header(root: &Path) -> String {
    let mut items = items(root);
    let mut header = comment(&text::module_doc(&read(root, "mod")));
    header += "//\n// Generated from src/ffi by ./x header; do not edit.\n";
    header += START;
    heading(&mut header, "Objects\n\nOpaque: C sees pointers to them only.");
    for name in OBJECTS {
        let object = items.remove(name).unwrap_or_else(|| panic!("src/ffi has no {name}"));
        // Whatever Rust makes of it, such as a transparent struct, C sees an incomplete type.
        write!(header, "\n{}typedef struct {name} {name};\n", object.comment).unwrap();
    }
    for section in SECTIONS {
        let source = read(root, section);
        let found = blocks::of_source(&source);
        if found.is_empty() {
            continue;
        }
        heading(&mut header, &text::module_doc(&source));
        found.iter().for_each(|block| write_block(&mut header, block, &mut items));
    }
    assert!(items.is_empty(), "no section has {:?}", items.keys());
    header + END
}

fn read(root: &Path, section: &str) -> String {
    let path = root.join(format!("src/ffi/{section}.rs"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What cbindgen makes of all items, by name.
fn items(root: &Path) -> HashMap<String, text::Item> {
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml");
    let mut builder = cbindgen::Builder::new().with_config(config);
    for section in SECTIONS {
        builder = builder.with_src(root.join(format!("src/ffi/{section}.rs")));
    }
    let mut bytes = Vec::new();
    builder.generate().expect("src/ffi can be bound").write(&mut bytes);
    text::items(&String::from_utf8(bytes).expect("UTF-8"))
}

fn write_block(header: &mut String, block: &Block, items: &mut HashMap<String, text::Item>) {
    match block {
        Block::Item(name) if OBJECTS.contains(&name.as_str()) || name.starts_with("rte_") => {}
        Block::Item(name) => {
            let item = items.remove(name).unwrap_or_else(|| panic!("cbindgen does not know {name}"));
            write!(header, "\n{}{}\n", item.comment, item.code).unwrap();
        }
        Block::Family { name, comment: about, constants } => {
            constants.iter().for_each(|constant| drop(items.remove(&constant.name)));
            write!(header, "\n{}enum {name} {{\n{}}};\n", comment(about), blocks::enumerators(constants))
                .unwrap();
        }
    }
}

/// A section's title and text.
fn heading(header: &mut String, text: &str) {
    let rule = format!("// {}\n", "-".repeat(97));
    let (title, rest) = text.split_once('\n').unwrap_or((text, ""));
    write!(header, "\n{rule}// {title}\n{rule}").unwrap();
    if !rest.trim().is_empty() {
        write!(header, "//\n{}", comment(rest.trim_matches('\n'))).unwrap();
    }
}

fn comment(text: &str) -> String {
    text.lines().map(|line| format!("// {line}").trim_end().to_owned() + "\n").collect()
}
