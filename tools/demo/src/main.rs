//! The demonstration: two firewalls, the master fails, every connection survives.

mod arguments;
mod events;
mod fault;
mod flood;
mod mode;
mod repeated_kills;
mod results;
mod run;
mod scenario;

use std::ffi::OsString;
use std::process::ExitCode;

use pfplane_testbed::failure::Fallible;
use pfplane_testbed::network::cleanup;
use pfplane_testbed::requirements;

const EXIT_NOT_RUN: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match dispatch(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("demo: {failure}");
            ExitCode::from(EXIT_NOT_RUN)
        }
    }
}

/// Runs the hidden command of the clean-up process, or the demonstration. Returns whether it passed.
fn dispatch(arguments: &[OsString]) -> Fallible<bool> {
    let texts: Vec<&str> = arguments.iter().filter_map(|argument| argument.to_str()).collect();
    if let [cleanup::COMMAND, suffix] = texts[..] {
        cleanup::wait_and_clean_up(suffix)?;
        return Ok(true);
    }
    let Some(arguments) = arguments::parse(arguments.iter().cloned())? else {
        print!("{}", arguments::HELP);
        return Ok(true);
    };
    requirements::check("./x demo", &arguments.firewall, arguments.capture)?;
    requirements::raise_descriptor_limit(2 * arguments.connections)?;
    match arguments.kills {
        None => Ok(scenario::run(&arguments)?.passed),
        Some(kills) => repeated_kills::run_all(&arguments, kills),
    }
}
