//! The demonstration: two firewalls, the master fails, every connection survives.

mod arguments;
mod events;
mod fault;
mod flood;
mod mode;
mod peer;
mod repeated_kills;
mod results;
mod run;
mod scenario;

use std::ffi::OsString;
use std::process::ExitCode;

use pfplane_testbed::failure::Fallible;
use pfplane_testbed::{entry, requirements};

fn main() -> ExitCode {
    entry::run("demo", run_requested)
}

/// Runs what the user requests. Returns whether it passed.
fn run_requested(words: &[OsString]) -> Fallible<bool> {
    let Some(arguments) = arguments::parse(words.iter().cloned())? else {
        print!("{}", arguments::HELP);
        return Ok(true);
    };
    requirements::check("./x demo", &arguments.firewall, arguments.capture)?;
    requirements::raise_descriptor_limit(2 * arguments.connections)?;
    if let Some((peer, election)) = arguments.peer.zip(arguments.election) {
        return peer::run(&arguments, peer, election);
    }
    match arguments.kills {
        None => Ok(scenario::run(&arguments)?.passed),
        Some(kills) => repeated_kills::run_all(&arguments, kills),
    }
}
