//! The demonstration: two firewalls, one is killed, every connection lives.

use std::ffi::OsString;
use std::fs::File;
use std::io::BufWriter;
use std::process::ExitCode;

use pfplane_demo::failure::{Because, Outcome, fail};
use pfplane_demo::traffic::plan::Plan;
use pfplane_demo::traffic::{client, server};
use pfplane_demo::{arguments, requirements, run, series, sweeper, traffic_end};

const COULD_NOT_RUN: u8 = 2;

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    match obey(&words) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("demo: {failure}");
            ExitCode::from(COULD_NOT_RUN)
        }
    }
}

/// The hidden commands are this program's own children; everything else is a person's command line.
fn obey(words: &[OsString]) -> Outcome<ExitCode> {
    let texts: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
    match texts[..] {
        [traffic_end::CLIENT_COMMAND | traffic_end::SERVER_COMMAND, plan, report] => {
            be_traffic_end(texts[0], plan, report)
        }
        [sweeper::COMMAND, suffix] => {
            sweeper::sweep_when_the_run_ends(suffix)?;
            Ok(ExitCode::SUCCESS)
        }
        _ => demonstrate(words),
    }
}

fn demonstrate(words: &[OsString]) -> Outcome<ExitCode> {
    let Some(arguments) = arguments::parse(words.iter().cloned())? else {
        print!("{}", arguments::HELP);
        return Ok(ExitCode::SUCCESS);
    };
    requirements::check(&arguments)?;
    let as_hoped = match arguments.kills {
        None => run::run(&arguments)?.as_hoped,
        Some(kills) => series::run_all(&arguments, kills)?,
    };
    Ok(if as_hoped { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn be_traffic_end(command: &str, plan: &str, report: &str) -> Outcome<ExitCode> {
    let plan: Plan = serde_json::from_str(plan).because(|| "read the traffic plan".into())?;
    requirements::raise_descriptor_limit(plan.connections)?;
    let run = if command == traffic_end::CLIENT_COMMAND { client::run } else { server::run };
    let Some(written) = run(plan).because(|| format!("go on as {command}"))? else {
        return fail(format!("{command}: the run is gone"));
    };
    let file = File::create(report).because(|| format!("write {report}"))?;
    serde_json::to_writer(BufWriter::new(file), &written).because(|| format!("write {report}"))?;
    Ok(ExitCode::SUCCESS)
}
