//! Every test that SECURITY.md names exists.

use crate::assert_clean;
use crate::source::{files_below, files_with};

/// Folders that hold tests.
const FOLDERS: [&str; 5] = ["src", "pfsync", "tests", "tools", "fuzz/fuzz_targets"];

/// Returns the names in backticks in the last column of the tables: the tests.
fn named_tests(document: &str) -> Vec<String> {
    let rows = document.lines().filter(|line| line.starts_with("| ") && !line.ends_with("| test |"));
    let cells = rows.filter_map(|row| row.trim_end_matches(['|', ' ']).rsplit('|').next());
    let names = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    names.filter(|name| !name.contains("./x")).map(str::to_owned).collect()
}

#[test]
fn every_test_that_the_threat_model_names_exists() {
    let files: Vec<_> = FOLDERS.iter().flat_map(|folder| files_below(folder)).collect();
    let exists = |name: &str| {
        let function = format!("fn {name}(");
        let plan = format!("entry(\"{name}\"");
        let target = format!("fuzz_targets/{name}.rs");
        let is_in = |(path, text): &(String, String)| {
            path.ends_with(&target) || text.contains(&function) || text.contains(&plan)
        };
        files.iter().any(is_in)
    };
    let documents = files_with("SECURITY.md", &["md"]);
    let names = named_tests(&documents[0].1);
    assert!(names.len() > 30, "only {} tests are named", names.len());
    assert_clean(names.iter().filter(|name| !exists(name)).map(|name| format!("SECURITY.md names {name}")));
}

#[test]
fn names_are_read_from_the_last_column_only() {
    let table = "| the attacker | what holds | test |\n|---|---|---|\n| `a` | b | `one`, fuzz target `two` under `./x sim` |\n";
    assert_eq!(named_tests(table), ["one", "two"]);
}
