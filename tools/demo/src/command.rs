//! Other programs: run one, feed it, and make its failure a sentence.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::failure::{Because, Outcome, fail};

/// Runs a program to its end and gives back what it printed; its own words are the error.
pub fn run(program: &str, arguments: &[&str]) -> Outcome<String> {
    feed(program, arguments, "")
}

/// The same, with `input` on its standard input.
pub fn feed(program: &str, arguments: &[&str], input: &str) -> Outcome<String> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .because(|| format!("start {program}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).because(|| format!("write to {program}"))?;
    }
    let output = child.wait_with_output().because(|| format!("wait for {program}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    fail(format!("`{program} {}` failed: {}", arguments.join(" "), words.trim()))
}

/// Whether a program of this name can be found.
pub fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
