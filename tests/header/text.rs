//! The text that cbindgen writes, item by item, in the words of C.

use std::collections::HashMap;

/// One item: its comment, lines that begin with `//`, and its code.
pub(crate) struct Item {
    pub comment: String,
    pub code: String,
}

/// The module doc of a source file, without the fences around C code, which keep rustdoc from compiling it as Rust.
pub(crate) fn module_doc(source: &str) -> String {
    let lines = source.lines().take_while(|line| line.starts_with("//!"));
    let lines = lines.filter(|line| !line.starts_with("//! ```"));
    lines
        .map(|line| line.trim_start_matches("//!").strip_prefix(' ').unwrap_or_default().to_owned() + "\n")
        .collect()
}

/// The items of cbindgen's output, which separates them by empty lines.
pub(crate) fn items(output: &str) -> HashMap<String, Item> {
    let blocks = output.split("\n\n").map(str::trim).filter(|block| !block.is_empty());
    blocks.filter_map(item).collect()
}

fn item(block: &str) -> Option<(String, Item)> {
    let lines: Vec<_> = block.lines().collect();
    let comments = lines.iter().take_while(|line| line.starts_with("//")).count();
    let (comment, code) = lines.split_at(comments);
    let name = name_of(code.first()?)?.to_owned();
    let code: Vec<_> = code.iter().map(|line| in_words_of_c(line)).collect();
    // What Rust calls safety is what the overview says of all pointers.
    let comment = comment.join("\n");
    let comment = comment.split("\n//\n// # Safety").next().unwrap_or_default();
    let comment = comment.replace("[`", "`").replace("`]", "`");
    let comment = comment.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
    Some((name, Item { comment, code: code.join("\n") }))
}

/// The name that a line of code declares.
fn name_of(line: &str) -> Option<&str> {
    if line.starts_with("#if") || line.starts_with("#endif") || line.starts_with("extern") {
        return None;
    }
    let words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let mut names = words.filter(|word| word.starts_with("pfplane_") || word.starts_with("PFPLANE_"));
    // A function that returns a struct's pointer would name that first; none does.
    names.next()
}

/// Names of arrays of 16 or 64 characters, which Rust has as bytes.
const TEXTS: [&str; 7] = ["ifname", "rt_ifname", "orig_ifname", "tagname", "ours", "theirs", "interfaces"];

/// Pointers to arrays are parameters with a length, `uint8_t key_out[40]`, or plain pointers in structs; names are characters.
fn in_words_of_c(line: &str) -> String {
    let line = TEXTS.iter().fold(line.trim_end().to_owned(), |line, name| {
        let line = line.replace(&format!("uint8_t {name}["), &format!("char {name}["));
        line.replace(&format!("uint8_t (*{name})["), &format!("char (*{name})["))
    });
    if line.trim_start().starts_with("//") {
        return line.replace("[`", "`").replace("`]", "`");
    }
    let array = line.split_once("(*").and_then(|(before, rest)| Some((before, rest.split_once(")[")?)));
    match array {
        Some((before, _)) if before.ends_with("char ") => line,
        Some((before, (name, rest))) if rest.ends_with("];") => format!("{before}*{name};"),
        Some((before, (name, rest))) => format!("{before}{name}[{rest}"),
        None => line,
    }
}

#[test]
fn pointers_to_arrays_become_what_c_writes() {
    for (rust, c) in [
        ("                uint8_t (*key_out)[40],", "                uint8_t key_out[40],"),
        ("    const uint8_t (*rss_key)[40];", "    const uint8_t *rss_key;"),
        ("    const uint8_t (*interfaces)[16];", "    const char (*interfaces)[16];"),
        ("    uint8_t ifname[16];", "    char ifname[16];"),
        (
            "    void *(*alloc)(void *context, size_t bytes);",
            "    void *(*alloc)(void *context, size_t bytes);",
        ),
    ] {
        assert_eq!(in_words_of_c(rust), c);
    }
}
