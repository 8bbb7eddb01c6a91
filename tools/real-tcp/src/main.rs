//! Real TCP through the example firewall: Linux at both ends, a bad network between, every byte checked, and the window
//! check must drop nothing.

mod arguments;
mod client;
mod end;
mod ends;
mod forger;
mod frame;
mod impairment;
mod journal;
mod kinds;
mod living;
mod network;
mod poller;
mod recorder;
mod report;
mod run;
mod script;
mod server;
mod stages;
mod table;

use std::ffi::OsString;
use std::process::ExitCode;

use pfplane_demo::arguments::Arguments as DemoArguments;
use pfplane_demo::failure::Outcome;
use pfplane_demo::{requirements, sweeper};

use arguments::Arguments;

const COULD_NOT_RUN: u8 = 2;
/// Sockets of both ends at work or kept, and some.
const DESCRIPTORS: u32 = 8_000;

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    match obey(&words) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("real-tcp: {failure}");
            ExitCode::from(COULD_NOT_RUN)
        }
    }
}

/// The hidden command is this program's own child, which cleans up; everything else is a person's command line.
fn obey(words: &[OsString]) -> Outcome<bool> {
    let texts: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
    if let [sweeper::COMMAND, suffix] = texts[..] {
        sweeper::sweep_when_the_run_ends(suffix)?;
        return Ok(true);
    }
    let Some(arguments) = arguments::parse(words.iter().cloned())? else {
        print!("{}", arguments::HELP);
        return Ok(true);
    };
    let firewall = arguments.firewall.clone();
    requirements::check(&DemoArguments { firewall, capture: false, ..DemoArguments::default() })?;
    requirements::raise_descriptor_limit(DESCRIPTORS)?;
    if !arguments.all {
        return Ok(run::run(&arguments)?.is_good());
    }
    let mut rows = Vec::new();
    for mix in 0..8 {
        let on = |bit: u32| mix >> bit & 1 == 1;
        let modes = Arguments { inject: on(0), takeover: on(1), nat: on(2), ..arguments.clone() };
        let out = arguments.out.join(modes.mode());
        rows.push(run::run(&Arguments { out, ..modes })?);
    }
    print!("{}", table::text(&rows));
    Ok(rows.iter().all(table::Row::is_good))
}
