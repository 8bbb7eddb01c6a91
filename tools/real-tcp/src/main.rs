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
use pfplane_testbed::{entry, requirements};

use arguments::Arguments;

/// Sockets of both ends, and a reserve.
const DESCRIPTORS: u32 = 8_000;

fn main() -> ExitCode {
    entry::run("real-tcp", run_requested)
}

/// Runs what the user requests. Returns whether it passed.
fn run_requested(words: &[OsString]) -> Fallible<bool> {
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
