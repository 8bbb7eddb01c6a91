//! The command line of a bench.

use std::path::PathBuf;

/// The options.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Also runs the largest sizes.
    pub full: bool,
    /// Tiny sizes, to check correctness only: how `cargo test` runs a bench.
    pub smoke: bool,
    /// Numbers of flows, instead of the defaults.
    pub sizes: Option<Vec<u32>>,
    /// Number of rounds, instead of the default.
    pub rounds: Option<usize>,
    /// Runs only measures whose name contains this text.
    pub only: Option<String>,
    /// Output file for JSON.
    pub json: PathBuf,
}

impl Options {
    /// Parses the arguments of the bench `name`. Without cargo's `--bench` it is a smoke run.
    pub(crate) fn from_arguments(name: &str) -> Self {
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

    /// Whether to run a measure.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|word| name.contains(word.as_str()))
    }
}

fn usage(name: &str) -> ! {
    eprintln!(
        "usage: {name} [OPTION]...\n\
         \x20 --quick          default sizes\n\
         \x20 --full           also the largest sizes\n\
         \x20 --sizes=N,N      these numbers of flows\n\
         \x20 --rounds=N       number of rounds\n\
         \x20 --only=TEXT      only measures whose name contains TEXT\n\
         \x20 --json=FILE      write the results to FILE"
    );
    std::process::exit(2);
}

fn numbers(list: &str) -> Vec<u32> {
    list.split(',').filter_map(|number| number.trim().parse().ok()).collect()
}
