//! Finds which modules a file names.

/// Lists the first segment of every path that starts at the crate's root, by `crate::` or by enough `super::`.
pub(crate) fn modules_named(path: &str, code: &str) -> Vec<String> {
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

/// Returns how many `super` lead to the crate's root: one for `src/time.rs` and `src/table/mod.rs`, one more for each
/// folder and for each enclosing `mod name {`.
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

/// Counts the `super` at the start of `code`; returns also what follows them.
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

/// Lists the names behind `::`: one for `:: name ...`, `a` and `b` for `::{a, b::{c, d}}`.
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

/// Splits code into its words, each with its offset.
pub(crate) fn words(code: &str) -> Vec<(usize, &str)> {
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
