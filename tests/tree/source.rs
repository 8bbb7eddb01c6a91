//! Reads Rust source and blanks comments and string contents.

use std::fs;
use std::path::{Path, PathBuf};

/// Lists the `.rs` files below a folder of the package, sorted, as (path, text).
pub(crate) fn files_below(folder: &str) -> Vec<(String, String)> {
    files_with(folder, &["rs"])
}

/// Lists the files below a folder, or the file itself, whose extension is one of these.
pub(crate) fn files_with(folder: &str, extensions: &[&str]) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut waiting = vec![root.join(folder)];
    let mut files = Vec::new();
    while let Some(path) = waiting.pop() {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or("");
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("a folder of the package");
            waiting
                .extend(entries.map(|entry| entry.unwrap().path()).filter(|path| !path.ends_with("target")));
        } else if extensions.contains(&extension) {
            files.push((from_root(root, &path), fs::read_to_string(&path).expect("a source file")));
        }
    }
    files.sort();
    files
}

fn from_root(root: &Path, path: &Path) -> String {
    let relative: PathBuf = path.strip_prefix(root).expect("below the package").into();
    relative.to_str().expect("a path in ASCII").to_owned()
}

/// Blanks comments, doc comments, and the contents of strings and character literals. Line breaks stay.
pub(crate) fn code_only(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = match &bytes[at..] {
            [b'/', b'/', ..] => line_end(bytes, at),
            [b'/', b'*', ..] => block_comment_end(bytes, at),
            [b'"', ..] => string_end(bytes, at),
            [b'r', b'"' | b'#', ..] if !ends_in_word(&out) => raw_string_end(bytes, at),
            [b'\'', ..] => character_end(bytes, at),
            _ => at,
        };
        if end == at {
            out.push(if bytes[at].is_ascii() { bytes[at] as char } else { '?' });
            at += 1;
        } else {
            out.extend(bytes[at..end].iter().map(|&byte| if byte == b'\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

fn ends_in_word(text: &str) -> bool {
    text.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |length| at + length)
}

fn block_comment_end(bytes: &[u8], at: usize) -> usize {
    let mut depth = 0_usize;
    let mut i = at;
    while i < bytes.len() {
        match &bytes[i..] {
            [b'/', b'*', ..] => {
                depth += 1;
                i += 2;
            }
            [b'*', b'/', ..] => {
                depth -= 1;
                i += 2;
                if depth == 0 {
                    return i;
                }
            }
            _ => i += 1,
        }
    }
    bytes.len()
}

fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut i = at + 1;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 2,
            b'"' => return i + 1,
            _ => i += 1,
        }
    }
    bytes.len()
}

/// Returns the end of a raw string whose `r` is at `at`, or `at` if it is an identifier such as `r#type`.
fn raw_string_end(bytes: &[u8], at: usize) -> usize {
    let hashes = bytes[at + 1..].iter().take_while(|&&byte| byte == b'#').count();
    let begin = at + 1 + hashes;
    if bytes.get(begin) != Some(&b'"') {
        return at;
    }
    let mut i = begin + 1;
    while i < bytes.len() {
        if bytes[i] == b'"'
            && bytes[i + 1..].iter().take(hashes).filter(|&&byte| byte == b'#').count() == hashes
        {
            return i + 1 + hashes;
        }
        i += 1;
    }
    bytes.len()
}

/// Returns the end of a character literal, or `at` if it is a lifetime.
fn character_end(bytes: &[u8], at: usize) -> usize {
    match &bytes[at + 1..] {
        [b'\\', _, rest @ ..] => {
            rest.iter().position(|&byte| byte == b'\'').map_or(bytes.len(), |length| at + 4 + length)
        }
        [_, b'\'', ..] => at + 3,
        [first, ..] if !first.is_ascii() => {
            let rest = &bytes[at + 1..];
            rest.iter().position(|&byte| byte == b'\'').map_or(bytes.len(), |length| at + 2 + length)
        }
        _ => at,
    }
}

/// Removes the items behind `#[cfg(test)]` from the output of [`code_only`].
pub(crate) fn without_tests(code: &str) -> String {
    let mut out = String::new();
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(test)]") {
        out.push_str(&rest[..at]);
        rest = &rest[item_end(rest, at)..];
    }
    out.push_str(rest);
    out
}

/// Returns the end of the item at `at`: behind its closing brace, or its semicolon if that comes first.
fn item_end(code: &str, at: usize) -> usize {
    let bytes = code.as_bytes();
    let mut depth = 0_usize;
    for (i, &byte) in bytes.iter().enumerate().skip(at) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return i + 1,
            b'}' => depth -= 1,
            b';' if depth == 0 => return i + 1,
            _ => {}
        }
    }
    bytes.len()
}
