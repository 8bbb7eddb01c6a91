//! The demonstration: two firewalls, one is killed, every connection survives.

mod arguments;
mod mode;
mod outcomes;
mod repeated_kills;
mod report;
mod run;
mod scenario;
mod summary;
mod timeline;
mod verdict;

use std::ffi::OsString;
use std::fs::File;
use std::io::BufWriter;
use std::process::ExitCode;

use pfplane_testbed::failure::{Context, Fallible, fail};
use pfplane_testbed::network::cleanup;
use pfplane_testbed::requirements;
use pfplane_testbed::traffic::plan::Plan;
use pfplane_testbed::traffic::{client, server};
use pfplane_testbed::traffic_process::{CLIENT_COMMAND, SERVER_COMMAND};

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

/// Runs a hidden command, as this program's own children do, or the demonstration. Returns whether it passed.
fn dispatch(arguments: &[OsString]) -> Fallible<bool> {
    let texts: Vec<&str> = arguments.iter().filter_map(|argument| argument.to_str()).collect();
    match texts[..] {
        [CLIENT_COMMAND | SERVER_COMMAND, plan, report] => run_traffic(texts[0], plan, report),
        [cleanup::COMMAND, suffix] => cleanup::wait_and_clean_up(suffix).map(|()| true),
        _ => demonstrate(arguments),
    }
}

fn demonstrate(arguments: &[OsString]) -> Fallible<bool> {
    let Some(arguments) = arguments::parse(arguments.iter().cloned())? else {
        print!("{}", arguments::HELP);
        return Ok(true);
    };
    requirements::check("./x demo", &arguments.firewall, arguments.capture)?;
    match arguments.kills {
        None => Ok(scenario::run(&arguments)?.passed),
        Some(kills) => repeated_kills::run_all(&arguments, kills),
    }
}

fn run_traffic(command: &str, plan: &str, report: &str) -> Fallible<bool> {
    let plan: Plan = serde_json::from_str(plan).context(|| "read the traffic plan")?;
    requirements::raise_descriptor_limit(plan.connections)?;
    let run = if command == CLIENT_COMMAND { client::run } else { server::run };
    let Some(result) = run(plan).context(|| format!("continue as {command}"))? else {
        return fail(format!("{command}: the run has ended"));
    };
    let file = File::create(report).context(|| format!("write {report}"))?;
    serde_json::to_writer(BufWriter::new(file), &result).context(|| format!("write {report}"))?;
    Ok(true)
}
