//! The C door: `include/pfplane.h` is what cbindgen makes of `src/ffi`, and every exported function is guarded.
//!
//! `PFPLANE_BLESS=1` writes the header instead of comparing it (`./x header`).

#[path = "tree/source.rs"]
mod source;

use source::{code_only, files_below, without_tests};
use std::fs;
use std::path::{Path, PathBuf};

/// The files of the door in the order of the header's sections. A new file has to be given its place here.
const SECTIONS: [&str; 26] = [
    "status",
    "version",
    "allocator",
    "peer",
    "source_limits",
    "config",
    "engine",
    "stats",
    "packet",
    "facts",
    "state_options",
    "lane",
    "lane_facts",
    "answer",
    "lane_mbufs",
    "held",
    "exposure",
    "state_view",
    "state_kill",
    "frame_record",
    "frame_fields",
    "frame_reader",
    "frame_writer",
    "frame_mbufs",
    "store",
    "replica",
];

/// Functions that run a closure for an exported one.
const WAYS_IN: [&str; 2] = ["with_lane", "with_replica"];

/// Functions without a guard: each only returns a constant or a pointer to a static or thread-local text.
const CANNOT_FAIL: [&str; 7] = [
    "pfplane_status_text",
    "pfplane_last_error",
    "pfplane_version",
    "pfplane_version_string",
    "pfplane_abi_version",
    "pfplane_frame_field_name",
    "pfplane_frame_fault_name",
];

#[test]
fn the_header_is_what_cbindgen_makes_of_the_door() {
    let path = root().join("include/pfplane.h");
    let made = made_header();
    if std::env::var_os("PFPLANE_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &made).unwrap();
        return;
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    if let Some((line, made, kept)) = first_difference(&made, &kept) {
        panic!(
            "include/pfplane.h is not up to date, run ./x header\nline {line}\n  made: {made}\n  kept: {kept}"
        );
    }
}

#[test]
fn every_file_of_the_door_has_a_section() {
    let files = files_below("src/ffi");
    let names: Vec<_> = files.iter().map(|(path, _)| path.trim_start_matches("src/ffi/")).collect();
    for name in &names {
        let section = name.trim_end_matches(".rs");
        assert!(section == "mod" || SECTIONS.contains(&section), "src/ffi/{name} has no place in SECTIONS");
    }
    assert_eq!(names.len(), SECTIONS.len() + 1);
}

#[test]
fn every_exported_function_begins_with_the_guard() {
    let files = files_below("src/ffi");
    let functions: Vec<_> = files.iter().flat_map(|(path, text)| exported_functions(path, text)).collect();
    assert!(functions.len() > 20, "only {} exported functions were found", functions.len());
    let unguarded: Vec<_> =
        functions.iter().filter(|function| !function.is_guarded()).map(|f| &f.name).collect();
    let mut expected = CANNOT_FAIL.to_vec();
    expected.sort_unstable();
    let mut found: Vec<_> = unguarded.iter().map(|name| name.as_str()).collect();
    found.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn the_ways_into_a_lane_and_a_replica_begin_with_the_guard() {
    let files = files_below("src/ffi");
    for way in WAYS_IN.map(|way| format!("fn {way}(")) {
        let (_, text) = files.iter().find(|(_, text)| text.contains(&way)).expect(&way);
        let code = code_only(text);
        let head = &code[code.find(&way).unwrap()..];
        let body = head.split_once('{').unwrap().1.trim_start();
        assert!(body.trim_start_matches("let status = ").starts_with("guard("), "{way}");
    }
}

#[test]
fn every_exported_function_has_our_prefix_and_says_its_thread() {
    for (path, text) in files_below("src/ffi") {
        for function in exported_functions(&path, &text) {
            assert!(function.name.starts_with("pfplane_"), "{path}: {}", function.name);
            assert!(
                function.comment.contains("Thread: "),
                "{path}: {} does not say its thread",
                function.name
            );
        }
    }
}

#[test]
fn a_planted_function_without_the_guard_is_seen() {
    let planted = "
/// Thread: any.
#[unsafe(no_mangle)]
pub unsafe extern \"C\" fn pfplane_bare(a: *const u8) -> i32 {
    let a = unsafe { *a }; guard(|| Ok(0))
}
/// Thread: any.
#[unsafe(no_mangle)]
pub extern \"C\" fn pfplane_early() -> u32 {
    let mut value = compute();
    guard(|| Ok(0));
    value
}
/// Thread: any.
#[unsafe(no_mangle)]
pub extern \"C\" fn pfplane_good() -> u32 {
    let mut value = 0;
    guard(|| { value = 1; Ok(0) });
    value
}
/// Thread: the lane's.
#[unsafe(no_mangle)]
pub unsafe extern \"C\" fn pfplane_lane_good(lane: *mut L) -> i32 {
    let body = |lane: &mut Lane| { if lane.go() { Ok(0) } else { Err(()) } };
    unsafe { with_lane(lane, body) }
}
/// Thread: the lane's.
#[unsafe(no_mangle)]
pub unsafe extern \"C\" fn pfplane_lane_early(lane: *mut L) -> i32 {
    let body = |lane: &mut Lane| { Ok(0) };
    touch(lane);
    unsafe { with_lane(lane, body) }
}";
    let functions = exported_functions("planted.rs", planted);
    let seen: Vec<_> =
        functions.iter().map(|function| (function.name.as_str(), function.is_guarded())).collect();
    let expected = [
        ("pfplane_bare", false),
        ("pfplane_early", false),
        ("pfplane_good", true),
        ("pfplane_lane_good", true),
        ("pfplane_lane_early", false),
    ];
    assert_eq!(seen, expected);
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn made_header() -> String {
    let config = cbindgen::Config::from_file(root().join("cbindgen.toml")).expect("cbindgen.toml");
    let mut builder = cbindgen::Builder::new().with_config(config);
    for section in SECTIONS {
        builder = builder.with_src(root().join(format!("src/ffi/{section}.rs")));
    }
    let mut bytes = Vec::new();
    builder.generate().expect("src/ffi can be bound").write(&mut bytes);
    in_words_of_c(&String::from_utf8(bytes).expect("UTF-8"))
}

/// What rustdoc and cbindgen write their own way: links, negative constants without brackets, pointers to arrays where
/// C has arrays as parameters, names as bytes where C has characters. The binary interface is the same.
fn in_words_of_c(header: &str) -> String {
    let plain = header.replace("# Safety\n// ", "Requires: ").replace("[`", "`").replace("`]", "`");
    let names = ["ifname", "rt_ifname", "orig_ifname", "tagname"];
    let plain = names
        .iter()
        .fold(plain, |plain, name| plain.replace(&format!("uint8_t {name}["), &format!("char {name}[")));
    let lines = plain.lines().map(|line| match line.split_once(" -") {
        Some((define, number)) if define.starts_with("#define ") => format!("{define} (-{number})\n"),
        _ => format!("{}\n", array_parameter(line.trim_end())),
    });
    lines.collect()
}

/// A pointer to an array, `uint8_t (*key)[40]`: as a parameter `uint8_t key[40]`, as a field `uint8_t *key`.
fn array_parameter(line: &str) -> String {
    let parts = line.split_once("(*").and_then(|(before, rest)| Some((before, rest.split_once(")[")?)));
    match parts {
        Some((before, _)) if before.trim_start().starts_with("//") => line.to_owned(),
        Some((before, (name, rest))) if rest.ends_with("];") => format!("{before}*{name};"),
        Some((before, (name, rest))) => format!("{before}{name}[{rest}"),
        None => line.to_owned(),
    }
}

fn first_difference<'a>(made: &'a str, kept: &'a str) -> Option<(usize, &'a str, &'a str)> {
    if made == kept {
        return None;
    }
    let mut pairs = made.lines().zip(kept.lines()).enumerate();
    let differing = pairs.find(|(_, (made, kept))| made != kept);
    Some(differing.map_or((0, "another length", ""), |(index, (made, kept))| (index + 1, made, kept)))
}

struct Exported {
    name: String,
    comment: String,
    body: String,
}

impl Exported {
    /// The guard is the first thing that runs: `guard(` itself, behind nothing but variables that start as a constant,
    /// or one closure `body` that is handed to one of [`WAYS_IN`], whose own first thing is the guard.
    fn is_guarded(&self) -> bool {
        let text: String = self.body.split_whitespace().collect::<Vec<_>>().join(" ");
        text.strip_prefix("let body = |").map_or_else(|| self.begins_with_guard(), is_closure_for_a_way_in)
    }

    fn begins_with_guard(&self) -> bool {
        let mut body = self.body.trim_start();
        while let Some((declaration, rest)) =
            body.strip_prefix("let mut ").and_then(|rest| rest.split_once(';'))
        {
            if declaration.contains(['(', '{', '*']) {
                return false;
            }
            body = rest.trim_start();
        }
        body.starts_with("guard(")
    }
}

/// `text` is what follows `let body = |`: the closure's block, and then nothing but the call of `with_lane`.
fn is_closure_for_a_way_in(text: &str) -> bool {
    let Some((_, block)) = text.split_once('{') else { return false };
    let rest = block[block_length(block)..].trim_start_matches(['}', ';', ' ']);
    WAYS_IN.iter().any(|way| rest.starts_with(&format!("unsafe {{ {way}(")))
        && rest.ends_with(", body) }")
        && rest.matches([';', '(']).count() == 1
}

/// The length of a block's inside, given what follows its opening brace.
fn block_length(inside: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in inside.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return at,
            '}' => depth -= 1,
            _ => {}
        }
    }
    inside.len()
}

/// Every `extern "C" fn` with a body, found in the code without comments, its comment taken from the text.
fn exported_functions(path: &str, text: &str) -> Vec<Exported> {
    let code = without_tests(&code_only(text));
    let mut functions = Vec::new();
    for (at, _) in code.match_indices("#[unsafe(no_mangle)]") {
        let rest = &code[at..];
        let name_at = rest.find(" fn ").unwrap_or_else(|| panic!("{path}: no function behind no_mangle")) + 4;
        let name = rest[name_at..].split(['(', '<']).next().unwrap_or_default().to_owned();
        let body_at = rest.find('{').expect("a body") + 1;
        let body = rest[body_at..body_at + block_length(&rest[body_at..])].to_owned();
        functions.push(Exported { comment: comment_of(text, &name), name, body });
    }
    functions
}

/// The doc comment before `fn name`.
fn comment_of(text: &str, name: &str) -> String {
    let at = text.find(&format!("fn {name}(")).expect("the function is in the text");
    let before: Vec<&str> = text[..at].lines().collect();
    let lines = before.iter().rev().skip(1).skip_while(|line| line.trim_start().starts_with("#["));
    lines.take_while(|line| line.trim_start().starts_with("///")).copied().collect::<Vec<_>>().join("\n")
}
