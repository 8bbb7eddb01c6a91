//! `./x sim`: runs seeds on all cores until one fails.

mod command_line;
mod report;

use command_line::{Command, HELP};
use pfplane_sim::{Figures, Outcome, SoakProgress, silence_violations, simulate};
use report::{Failures, Progress};
use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    let command = match Command::parse(std::env::args_os().skip(1)) {
        Ok(Some(command)) => command,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprintln!("pfplane-sim: {why}");
            return ExitCode::from(2);
        }
    };
    silence_violations();
    if let Some(minutes) = command.soak {
        return run_soak(command.seeds.start, minutes);
    }
    if command.log { run_with_log(&command) } else { run_all(&command) }
}

/// Runs one seed after the other and prints all events.
fn run_with_log(command: &Command) -> ExitCode {
    for seed in command.seeds.clone() {
        let outcome = simulate(&command.options, seed, true);
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        for line in &outcome.log {
            // A reader that closes its end early, such as `head`, is no failure.
            if writeln!(out, "{line}").is_err() {
                return ExitCode::SUCCESS;
            }
        }
        if outcome.failure.is_some() {
            return ExitCode::FAILURE;
        }
        let _ = writeln!(out, "seed {seed} holds: {}", report::totals(&outcome.figures));
    }
    ExitCode::SUCCESS
}

/// Runs one cluster for some minutes.
fn run_soak(seed: u64, minutes: u64) -> ExitCode {
    let time = Duration::from_secs(60 * minutes);
    let (started, mut line) = (Instant::now(), report::Line::new());
    let mut text =
        move |progress: &SoakProgress| line.show(&report::soak_line(progress, started.elapsed(), time));
    match pfplane_sim::soak(seed, time, &mut text) {
        Ok(progress) => {
            println!("\nthe soak holds: {}", report::soak_line(&progress, time, time));
            println!("{}", report::totals(&progress.figures));
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("\nthe soak FAILS (--first {seed}): {why}");
            ExitCode::FAILURE
        }
    }
}

fn run_all(command: &Command) -> ExitCode {
    let started = Instant::now();
    let count = command.seeds.end - command.seeds.start;
    let (mut done, mut total, mut failed) = (0, Figures::default(), None::<Outcome>);
    let (mut failures, mut progress) = (Failures::default(), Progress::new());
    for_each_outcome(command, |outcome, stop| {
        done += 1;
        total.add(&outcome.figures);
        if let Some(why) = &outcome.failure {
            failures.add(outcome.seed, why);
            if command.keep_going {
                progress.clear();
                println!("seed {} fails: {}", outcome.seed, why.lines().next().unwrap_or_default());
            }
            stop.store(!command.keep_going, Ordering::Relaxed);
            if failed.as_ref().is_none_or(|known| outcome.seed < known.seed) {
                failed = Some(outcome);
            }
        }
        progress.show(done, count, &total);
    });
    progress.clear();
    if command.keep_going {
        println!("{}", report::totals(&total));
        return failures.print(done);
    }
    if let Some(failed) = failed {
        return report::explain(&command.options, &failed);
    }
    println!("{done} seeds hold, in {:.0} s: {}", started.elapsed().as_secs_f64(), report::totals(&total));
    ExitCode::SUCCESS
}

/// Runs the seeds on all threads and passes each outcome on, until the flag stops them.
fn for_each_outcome(command: &Command, mut handle: impl FnMut(Outcome, &AtomicBool)) {
    let next = AtomicU64::new(command.seeds.start);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (sender, outcomes) = mpsc::channel();
        for _ in 0..command.threads {
            let (sender, next, stop) = (sender.clone(), &next, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= command.seeds.end
                        || sender.send(simulate(&command.options, seed, false)).is_err()
                    {
                        return;
                    }
                }
            });
        }
        drop(sender);
        outcomes.into_iter().for_each(|outcome| handle(outcome, &stop));
    });
}
