//! The main function of a program that builds networks.

use crate::failure::Fallible;
use crate::network::cleanup;
use std::ffi::OsString;
use std::process::ExitCode;

const EXIT_NOT_RUN: u8 = 2;

/// Runs the hidden command of the clean-up process, or `body`, which returns whether what it ran passed.
///
/// Exit codes: 0 passed, 1 failed, 2 not run; the failure is printed after the program's name.
pub fn run(name: &str, body: impl FnOnce(&[OsString]) -> Fallible<bool>) -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let texts: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
    let result = match texts[..] {
        [cleanup::COMMAND, suffix] => cleanup::wait_and_clean_up(suffix).map(|()| true),
        _ => body(&words),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("{name}: {failure}");
            ExitCode::from(EXIT_NOT_RUN)
        }
    }
}
