//! Runs one bench of two builds in turn and prints how many times as fast the second build is.
//!
//! `./x bench --compare COMMIT NAME` builds both and calls this; see `benches/README.md`.

mod arguments;
mod ratios;
mod turns;

use arguments::Arguments;
use ratios::Comparison;
use std::process::ExitCode;

fn main() -> ExitCode {
    match compare() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare() -> Result<(), String> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    let mut comparison = Comparison::default();
    for run in 0..arguments.runs {
        let results = turns::run(&arguments, run)?;
        comparison.add(&results)?;
        println!("  run {} of {} is done", run + 1, arguments.runs);
    }
    comparison.print();
    Ok(())
}
