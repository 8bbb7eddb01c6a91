//! What the simulator prints.

use pfplane_sim::{Figures, Options, Outcome, SoakProgress, simulate};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Events of a failing seed that are printed.
const LAST_EVENTS: usize = 60;

/// Runs a failing seed again and prints its last events.
pub(crate) fn explain(options: &Options, failed: &Outcome) -> ExitCode {
    let again = simulate(options, failed.seed, true);
    let path = format!("target/sim-{}.log", failed.seed);
    let is_written = std::fs::create_dir_all("target").is_ok()
        && std::fs::write(&path, again.log.join("\n") + "\n").is_ok();
    println!("\nseed {} FAILS; its last events:\n", failed.seed);
    let from = again.log.len().saturating_sub(LAST_EVENTS);
    again.log[from..].iter().for_each(|line| println!("{line}"));
    if again.failure != failed.failure || again.fingerprint != failed.fingerprint {
        println!("\nThe second run differs: {:?}", again.failure);
    }
    println!("\n{}", failed.failure.as_deref().unwrap_or_default());
    println!("\nrepeat with: {}", options.replay(failed.seed));
    if is_written {
        println!("all {} events: {path}", again.log.len());
    }
    ExitCode::FAILURE
}

/// Formats the totals of one or more seeds.
pub(crate) fn totals(figures: &Figures) -> String {
    format!(
        "{} connections, {} packets passed, {} frames with {} messages, {} deaths; {} takeovers under load lost {} \
         connections, {} creations were announced as exposed; {} takeovers by nodes that were not ready; {} probes of live \
         connections passed",
        figures.connections,
        figures.packets,
        figures.frames,
        figures.messages,
        figures.deaths,
        figures.sudden_deaths,
        figures.lost,
        figures.announced,
        figures.unready_takeovers,
        figures.probes,
    )
}

/// Describes how far a soak is.
pub(crate) fn soak_line(progress: &SoakProgress, elapsed: Duration, time: Duration) -> String {
    let SoakProgress { rounds, virtual_s, open, states, resident, figures } = progress;
    format!(
        "{} of {} s: {rounds} rounds, {virtual_s} s of virtual time, {} connections, {} deaths, {open} open, {states} states, \
         {:.1} MB",
        elapsed.as_secs(),
        time.as_secs(),
        figures.connections,
        figures.deaths,
        *resident as f64 / 1e6,
    )
}

/// A line that is updated on a terminal, and otherwise printed every ten seconds.
pub(crate) struct Line {
    is_terminal: bool,
    shown: Instant,
}

impl Line {
    /// Builds one that was just shown.
    pub(crate) fn new() -> Self {
        Self { is_terminal: std::io::stdout().is_terminal(), shown: Instant::now() }
    }

    /// Shows a text, if it is time.
    pub(crate) fn show(&mut self, text: &str) {
        let every = if self.is_terminal { Duration::from_millis(200) } else { Duration::from_secs(10) };
        if self.shown.elapsed() >= every {
            self.shown = Instant::now();
            let (before, after) = if self.is_terminal { ("\r\x1b[K", "") } else { ("", "\n") };
            print!("{before}{text}{after}");
            let _ = std::io::stdout().flush();
        }
    }

    /// Clears the line.
    pub(crate) fn clear(&self) {
        if self.is_terminal {
            print!("\r\x1b[K");
        }
    }
}

/// Seeds that failed, by the kind of failure.
#[derive(Default)]
pub(crate) struct Failures(BTreeMap<String, Vec<u64>>);

impl Failures {
    /// Adds a failed seed.
    pub(crate) fn add(&mut self, seed: u64, why: &str) {
        self.0.entry(kind_of(why)).or_default().push(seed);
    }

    /// Prints how many of the seeds failed, and why.
    pub(crate) fn print(self, done: u64) -> ExitCode {
        let mut kinds: Vec<_> = self.0.into_iter().collect();
        kinds.sort_by_key(|(_, seeds)| std::cmp::Reverse(seeds.len()));
        let lines = kinds.iter().map(|(why, seeds)| {
            let first = seeds.iter().min().copied().unwrap_or_default();
            format!("{} {why} (seed {first})", seeds.len())
        });
        let lines: Vec<_> = lines.collect();
        let failed = kinds.iter().map(|(_, seeds)| seeds.len()).sum::<usize>();
        println!("{failed} of {done} seeds fail: {}", lines.join("; "));
        if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// Returns the start of a failure message, without its numbers.
fn kind_of(why: &str) -> String {
    let line = why.lines().next().unwrap_or_default();
    let kind = line.split([':', '(']).next().unwrap_or_default();
    let letters: String = kind.chars().filter(|c| !c.is_ascii_digit()).collect();
    letters.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The progress: one line that is updated on a terminal, otherwise a line every ten seconds.
pub(crate) struct Progress {
    line: Line,
    started: Instant,
}

impl Progress {
    /// Starts the clock.
    pub(crate) fn new() -> Self {
        Self { line: Line::new(), started: Instant::now() }
    }

    /// Prints the progress, if it is time.
    pub(crate) fn show(&mut self, done: u64, of: u64, total: &Figures) {
        if done == of {
            return;
        }
        let rate = done as f64 / self.started.elapsed().as_secs_f64();
        let left = (of - done) as f64 / rate;
        self.line.show(&format!(
            "{done} of {of} seeds, {rate:.0} a second, {left:.0} s to go; {} connections, {} deaths, {} packets",
            total.connections, total.deaths, total.packets
        ));
    }

    /// Clears the line.
    pub(crate) fn clear(&self) {
        self.line.clear();
    }
}
