//! The command line of a bench.

use std::path::PathBuf;

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// The largest sizes too, and more rounds.
    pub full: bool,
    /// Tiny sizes, correctness only: how the tests run a bench.
    pub smoke: bool,
    /// Sizes instead of the usual ones.
    pub sizes: Option<Vec<u32>>,
    /// Rounds instead of the usual number.
    pub rounds: Option<usize>,
    /// Only measures whose name contains this.
    pub only: Option<String>,
    /// Where the JSON goes.
    pub json: PathBuf,
}

impl Options {
    /// Reads the arguments, `--name=value` each; `name` is the bench's. Without cargo's `--bench` it is a smoke run.
    pub fn from_arguments(name: &str) -> Self {
        let mut options = Self {
            full: false,
            smoke: true,
            sizes: None,
            rounds: None,
            only: None,
            json: PathBuf::from(format!("{}/../target/bench/{name}.json", env!("CARGO_MANIFEST_DIR"))),
        };
        for argument in std::env::args().skip(1) {
            let (flag, value) = argument.split_once('=').unwrap_or((&argument, ""));
            match flag {
                "--bench" => options.smoke = false,
                "--quick" => options.full = false,
                "--full" => options.full = true,
                "--sizes" => options.sizes = Some(numbers(value)),
                "--rounds" => options.rounds = numbers(value).first().map(|&rounds| rounds as usize),
                "--only" => options.only = Some(value.to_owned()),
                "--json" => options.json = PathBuf::from(value),
                _ => usage(name),
            }
        }
        options
    }

    /// Whether a measure is wanted.
    pub fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|word| name.contains(word.as_str()))
    }
}

fn usage(name: &str) -> ! {
    eprintln!(
        "usage: {name} [--quick | --full] [--sizes=10000,1000000] [--rounds=N] [--only=WORD] [--json=FILE]"
    );
    std::process::exit(2);
}

fn numbers(list: &str) -> Vec<u32> {
    list.split(',').filter_map(|number| number.trim().parse().ok()).collect()
}
