//! Runs other programs to their end.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::failure::{Context, Fallible, fail};

/// Runs a program and returns its output; its error output becomes the failure.
pub fn run(program: &str, arguments: &[&str]) -> Fallible<String> {
    run_with_input(program, arguments, "")
}

/// Runs a program with `input` on its standard input.
pub fn run_with_input(program: &str, arguments: &[&str], input: &str) -> Fallible<String> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context(|| format!("start {program}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).context(|| format!("write to {program}"))?;
    }
    let output = child.wait_with_output().context(|| format!("wait for {program}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let error = String::from_utf8_lossy(&output.stderr);
    fail(format!("`{program} {}` failed: {}", arguments.join(" "), error.trim()))
}

/// Whether a program of this name is in the search path.
pub fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
