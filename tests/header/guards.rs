//! Every exported function begins with the guard, has our prefix, and says which thread may call it.

use super::generate::SECTIONS;
use super::source::{code_only, files_below, without_tests};

/// Functions that run a closure for an exported one, behind a guard of their own.
const ENTRIES: [&str; 5] = ["with_lane", "with_lane_read", "with_replica", "with_engine", "with_election"];

/// Functions without a guard: each only returns a constant, a pointer to a static or thread-local text, or compares two numbers.
const CANNOT_FAIL: [&str; 9] = [
    "pfplane_status_text",
    "pfplane_last_error",
    "pfplane_version_string",
    "pfplane_abi_version",
    "pfplane_frame_field_name",
    "pfplane_frame_fault_name",
    "pfplane_election_may_forward",
    "pfplane_election_lease",
    "pfplane_election_may_use_virtual_mac",
];

#[test]
fn every_file_that_exports_has_a_section() {
    for (path, text) in files_below("src/ffi") {
        let section = path.trim_start_matches("src/ffi/").trim_end_matches(".rs");
        let exports = !exported_functions(&path, &text).is_empty() || text.contains("pub const PFPLANE_");
        assert!(!exports || SECTIONS.contains(&section), "{path} is not in SECTIONS");
    }
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
fn the_entries_begin_with_the_guard() {
    let files = files_below("src/ffi");
    for entry in ENTRIES.map(|entry| format!("fn {entry}(")) {
        let (_, text) = files.iter().find(|(_, text)| text.contains(&entry)).expect(&entry);
        let code = code_only(text);
        let head = &code[code.find(&entry).unwrap()..];
        let body = head.split_once('{').unwrap().1.trim_start();
        let body = body.trim_start_matches("let mut broken = None;").trim_start();
        assert!(body.trim_start_matches("let status = ").starts_with("guard("), "{entry}");
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
    with_lane(lane, body)
}
/// Thread: any.
#[unsafe(no_mangle)]
pub unsafe extern \"C\" fn pfplane_engine_good(engine: *mut E) -> i32 {
    let body = |engine: &Engine| { Ok(()) };
    unsafe { with_engine(engine, body) }
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
        ("pfplane_engine_good", true),
        ("pfplane_lane_early", false),
    ];
    assert_eq!(seen, expected);
}

struct Exported {
    name: String,
    comment: String,
    body: String,
}

impl Exported {
    /// The guard is the first thing that runs: `guard(` itself, behind nothing but variables that start as a constant,
    /// or one closure `body` that is handed to one of [`ENTRIES`], whose own first thing is the guard.
    fn is_guarded(&self) -> bool {
        let text: String = self.body.split_whitespace().collect::<Vec<_>>().join(" ");
        text.strip_prefix("let body = |").map_or_else(|| self.begins_with_guard(), is_closure_for_an_entry)
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

/// `text` is what follows `let body = |`: the closure's block, and then nothing but the call of an entry.
fn is_closure_for_an_entry(text: &str) -> bool {
    let Some((_, block)) = text.split_once('{') else { return false };
    let rest = block[block_length(block)..].trim_start_matches(['}', ';', ' ']);
    let call = rest.strip_prefix("unsafe { ").and_then(|rest| rest.strip_suffix(" }")).unwrap_or(rest);
    ENTRIES.iter().any(|entry| call.starts_with(&format!("{entry}(")))
        && call.trim_end().ends_with(", body)")
        && call.matches([';', '(']).count() == 1
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
