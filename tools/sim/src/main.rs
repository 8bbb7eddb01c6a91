//! `./x sim`: seeds by the thousand, on all cores, until one fails.

mod command;

use command::{Command, HELP};
use pfplane_sim::{Figures, Options, Outcome, silence_violations, simulate};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Events of a failing seed that are printed.
const LAST_EVENTS: usize = 60;

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
    if command.log { run_aloud(&command) } else { run_all(&command) }
}

/// One seed after the other, with all that happens.
fn run_aloud(command: &Command) -> ExitCode {
    for seed in command.seeds.clone() {
        let outcome = simulate(&command.options, seed, true);
        let out = std::io::stdout().lock();
        let mut out = std::io::BufWriter::new(out);
        for line in &outcome.log {
            // A reader that closed its end early, such as `head`, is no failure.
            if writeln!(out, "{line}").is_err() {
                return ExitCode::SUCCESS;
            }
        }
        if outcome.failure.is_some() {
            return ExitCode::FAILURE;
        }
        let _ = writeln!(out, "seed {seed} holds: {}", in_words(&outcome.figures));
    }
    ExitCode::SUCCESS
}

fn run_all(command: &Command) -> ExitCode {
    let began = Instant::now();
    let count = command.seeds.end - command.seeds.start;
    let next = AtomicU64::new(command.seeds.start);
    let stop = AtomicBool::new(false);
    let (mut done, mut total, mut failed) = (0, Figures::default(), None::<Outcome>);
    let mut reasons = BTreeMap::<String, Vec<u64>>::new();
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
        let mut progress = Progress::new();
        for outcome in outcomes {
            done += 1;
            total.add(&outcome.figures);
            if let Some(why) = &outcome.failure {
                reasons.entry(kind_of(why)).or_default().push(outcome.seed);
                if command.census {
                    progress.clear();
                    println!("seed {} fails: {}", outcome.seed, why.lines().next().unwrap_or_default());
                }
                stop.store(!command.census, Ordering::Relaxed);
                if failed.as_ref().is_none_or(|known| outcome.seed < known.seed) {
                    failed = Some(outcome);
                }
            }
            progress.show(done, count, &total);
        }
        progress.clear();
    });
    if command.census {
        let mut reasons: Vec<_> = reasons.into_iter().collect();
        reasons.sort_by_key(|(_, seeds)| std::cmp::Reverse(seeds.len()));
        let words = reasons.iter().map(|(why, seeds)| {
            let least = seeds.iter().min().copied().unwrap_or_default();
            format!("{} {why} (seed {least})", seeds.len())
        });
        let words: Vec<_> = words.collect();
        let failed = reasons.iter().map(|(_, seeds)| seeds.len()).sum::<usize>();
        println!("{}", in_words(&total));
        println!("{failed} of {done} seeds: {}", words.join("; "));
        return if reasons.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    if let Some(failed) = failed {
        return explain(&command.options, &failed);
    }
    println!("{done} seeds hold, in {:.0} s: {}", began.elapsed().as_secs_f64(), in_words(&total));
    ExitCode::SUCCESS
}

/// The first words of a failure, without its numbers.
fn kind_of(why: &str) -> String {
    let line = why.lines().next().unwrap_or_default();
    let words = line.split([':', '(']).next().unwrap_or_default();
    words
        .chars()
        .filter(|c| !c.is_ascii_digit())
        .collect::<String>()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// The failing seed once more, with its events.
fn explain(options: &Options, failed: &Outcome) -> ExitCode {
    let again = simulate(options, failed.seed, true);
    let path = format!("target/sim-{}.log", failed.seed);
    let is_kept = std::fs::create_dir_all("target").is_ok()
        && std::fs::write(&path, again.log.join("\n") + "\n").is_ok();
    println!("\nseed {} FAILS; its last events:\n", failed.seed);
    let from = again.log.len().saturating_sub(LAST_EVENTS);
    again.log[from..].iter().for_each(|line| println!("{line}"));
    if again.failure != failed.failure || again.fingerprint != failed.fingerprint {
        println!("\nThe second run went otherwise: {:?}", again.failure);
    }
    println!("\n{}", failed.failure.as_deref().unwrap_or_default());
    println!("\nagain with: {}", options.replay(failed.seed));
    if is_kept {
        println!("all {} events: {path}", again.log.len());
    }
    ExitCode::FAILURE
}

fn in_words(figures: &Figures) -> String {
    format!(
        "{} connections, {} packets passed, {} frames with {} messages, {} deaths; {} sudden ones under load lost {} \
         connections of {} announced; {} probes of live connections passed",
        figures.connections,
        figures.packets,
        figures.frames,
        figures.messages,
        figures.deaths,
        figures.sudden,
        figures.lost,
        figures.announced,
        figures.probes,
    )
}

/// A line that moves on a terminal, and one now and then elsewhere.
struct Progress {
    is_terminal: bool,
    began: Instant,
    shown: Instant,
}

impl Progress {
    fn new() -> Self {
        Self { is_terminal: std::io::stdout().is_terminal(), began: Instant::now(), shown: Instant::now() }
    }

    fn show(&mut self, done: u64, of: u64, total: &Figures) {
        let every = if self.is_terminal { Duration::from_millis(200) } else { Duration::from_secs(10) };
        if self.shown.elapsed() < every || done == of {
            return;
        }
        self.shown = Instant::now();
        let rate = done as f64 / self.began.elapsed().as_secs_f64();
        let left = (of - done) as f64 / rate;
        let line = format!(
            "{done} of {of} seeds, {rate:.0} a second, {left:.0} s to go; {} connections, {} deaths, {} packets",
            total.connections, total.deaths, total.packets
        );
        let (before, after) = if self.is_terminal { ("\r\x1b[K", "") } else { ("", "\n") };
        print!("{before}{line}{after}");
        let _ = std::io::stdout().flush();
    }

    fn clear(&self) {
        if self.is_terminal {
            print!("\r\x1b[K");
        }
    }
}
