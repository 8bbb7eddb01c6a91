//! Linux TCP through the example firewall over a bad network. Every byte is checked, and the window check must drop
//! nothing.

mod arguments;
mod cable;
mod endpoints;
mod event_log;
mod network;
mod results;
mod run;
mod shared;
mod table;

use std::ffi::OsString;
use std::process::ExitCode;

use pfplane_testbed::failure::Fallible;
use pfplane_testbed::network::cleanup;
use pfplane_testbed::requirements;

use arguments::Arguments;

const EXIT_NOT_RUN: u8 = 2;
/// Sockets of both ends, and a reserve.
const DESCRIPTORS: u32 = 8_000;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match dispatch(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("real-tcp: {failure}");
            ExitCode::from(EXIT_NOT_RUN)
        }
    }
}

/// Runs the hidden command of the clean-up process, or what the user requests. Returns whether all runs passed.
fn dispatch(words: &[OsString]) -> Fallible<bool> {
    let texts: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
    if let [cleanup::COMMAND, suffix] = texts[..] {
        cleanup::wait_and_clean_up(suffix)?;
        return Ok(true);
    }
    let Some(arguments) = arguments::parse(words.iter().cloned())? else {
        print!("{}", arguments::HELP);
        return Ok(true);
    };
    requirements::check("./x test real-tcp", &arguments.firewall, false)?;
    requirements::raise_descriptor_limit(DESCRIPTORS)?;
    if !arguments.all {
        return Ok(run::run(&arguments)?.passed());
    }
    let mut rows = Vec::new();
    for combination in 0..8 {
        let on = |bit: u32| combination >> bit & 1 == 1;
        let modes = Arguments { inject: on(0), takeover: on(1), nat: on(2), ..arguments.clone() };
        let out = arguments.out.join(modes.mode());
        rows.push(run::run(&Arguments { out, ..modes })?);
    }
    print!("{}", table::text(&rows));
    Ok(rows.iter().all(table::Row::passed))
}
