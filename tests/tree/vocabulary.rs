//! Words and identifiers that were abolished do not come back. `abolished.txt` lists them.

use crate::assert_clean;
use crate::source::files_with;

/// What is searched.
const FOLDERS: [&str; 16] = [
    "src",
    "pfsync",
    "dpdk-sys",
    "include",
    "tools",
    "c-examples",
    "vpp-plugin",
    "doc",
    "benches",
    "tests",
    "fuzz",
    "README.md",
    "ARCHITECTURE.md",
    "LIMITS.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
];
const EXTENSIONS: [&str; 7] = ["rs", "c", "h", "md", "sh", "lua", "toml"];

/// Names that a pattern with `*` must not catch.
const ALLOWED: [&str; 1] = ["at_most"];

/// One line of `abolished.txt`.
struct Rule {
    pattern: Pattern,
    replacement: &'static str,
}

enum Pattern {
    /// An identifier, case-sensitive; `*` before or after it stands for any letters.
    Identifier { prefix: bool, name: &'static str, suffix: bool },
    /// Words of running text, case-insensitive.
    Phrase(&'static str),
    /// The name of a file or folder without its extension.
    File(&'static str),
}

fn rules() -> Vec<Rule> {
    let lines = include_str!("abolished.txt").lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(rule).collect()
}

fn rule(line: &'static str) -> Rule {
    let (pattern, replacement) = line.split_once(" -> ").expect("`pattern -> replacement`");
    let pattern = if let Some(phrase) = pattern.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Pattern::Phrase(phrase)
    } else if let Some(name) = pattern.strip_prefix("file:") {
        Pattern::File(name)
    } else {
        let (prefix, suffix) = (pattern.starts_with('*'), pattern.ends_with('*'));
        Pattern::Identifier { prefix, name: pattern.trim_matches('*'), suffix }
    };
    Rule { pattern, replacement }
}

impl Rule {
    /// Lists where a file breaks the rule.
    fn faults(&self, path: &str, text: &Text) -> Vec<String> {
        let Self { pattern, replacement } = self;
        match pattern {
            Pattern::Identifier { prefix, name, suffix } => {
                let places = find(&text.original, name, *prefix, *suffix)
                    .into_iter()
                    .map(|at| text.line_of_original(at));
                places.map(|line| format!("{path}:{line}: `{name}`, write `{replacement}`")).collect()
            }
            Pattern::Phrase(phrase) => {
                let places =
                    find(&text.flat, phrase, false, false).into_iter().map(|at| text.line_of_flat(at));
                places.map(|line| format!("{path}:{line}: \"{phrase}\", write \"{replacement}\"")).collect()
            }
            Pattern::File(name) => {
                let stems = path.split('/').map(|part| part.split('.').next().unwrap_or(part));
                let found = stems.filter(|stem| stem == name);
                found.map(|stem| format!("{path}: named `{stem}`, use `{replacement}`")).collect()
            }
        }
    }
}

/// Finds a word, or what contains it at its start or end, at word boundaries.
fn find(text: &str, word: &str, prefix: bool, suffix: bool) -> Vec<usize> {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let bytes = text.as_bytes();
    let whole = |at: usize| {
        let before = bytes[..at].iter().rev().take_while(|byte| is_word(byte)).count();
        let after = bytes[at + word.len()..].iter().take_while(|byte| is_word(byte)).count();
        let name = &text[at - before..at + word.len() + after];
        (prefix || before == 0) && (suffix || after == 0) && !ALLOWED.contains(&name)
    };
    text.match_indices(word).map(|(at, _)| at).filter(|&at| whole(at)).collect()
}

/// A file as it is, and as running text: in lower case, on one line, without comment signs.
struct Text {
    original: String,
    flat: String,
    /// Offset of each line in `flat`.
    lines: Vec<usize>,
}

impl Text {
    fn new(original: String) -> Self {
        let (mut flat, mut lines) = (String::new(), Vec::new());
        for line in original.lines() {
            lines.push(flat.len());
            let words = line.trim_start().trim_start_matches(['/', '!', '*', '#', '>']).split_whitespace();
            words.for_each(|word| {
                flat.push_str(&word.to_ascii_lowercase());
                flat.push(' ');
            });
        }
        Self { original, flat, lines }
    }

    fn line_of_flat(&self, at: usize) -> usize {
        self.lines.partition_point(|&start| start <= at)
    }

    fn line_of_original(&self, at: usize) -> usize {
        self.original[..at].matches('\n').count() + 1
    }
}

fn faults() -> Vec<(String, Vec<String>)> {
    let rules = rules();
    let files = FOLDERS.iter().flat_map(|folder| files_with(folder, &EXTENSIONS));
    let checked = files.map(|(path, text)| {
        let text = Text::new(text);
        let faults = rules.iter().flat_map(|rule| rule.faults(&path, &text)).collect();
        (path, faults)
    });
    checked.filter(|(path, _)| path != "tests/tree/vocabulary.rs").collect()
}

#[test]
fn no_abolished_word_comes_back() {
    assert_clean(faults().into_iter().flat_map(|(_, faults)| faults));
}

#[test]
fn abolished_words_are_found_at_word_boundaries_across_lines() {
    let text =
        Text::new("/// What is had, all\n/// the same.\nlet peers_most = at_most(foreseen);\n".to_owned());
    let found = |line: &'static str| rule(line).faults("src/lane/census.rs", &text).len();
    assert_eq!(found("\"all the same\" -> (drop it)"), 1);
    assert_eq!(found("\"the sam\" -> x"), 0);
    assert_eq!(found("*_most -> max_*"), 1);
    assert_eq!(found("foresee -> prefetch"), 0);
    assert_eq!(found("foresee* -> prefetch"), 1);
    assert_eq!(found("file:census -> accounting"), 1);
    let line = rule("\"all the same\" -> so").faults("README.md", &text);
    assert_eq!(line, ["README.md:1: \"all the same\", write \"so\""]);
}
