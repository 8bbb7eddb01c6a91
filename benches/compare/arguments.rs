//! The command line.

use std::path::PathBuf;

/// The options, and the two builds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    /// How often both builds run.
    pub runs: usize,
    /// Whether one build runs to its end before the other starts: for benches that measure real time or start processes.
    pub whole: bool,
    /// Where the builds write their results.
    pub folder: PathBuf,
    /// The programs, the older first.
    pub programs: [PathBuf; 2],
    /// The options of the bench.
    pub options: Vec<String>,
}

const USAGE: &str =
    "usage: compare [--whole] [--runs=N] --folder=FOLDER BEFORE AFTER [OPTION OF THE BENCH]...";

impl Arguments {
    /// Parses the arguments without the program's name. Returns a sentence for the user on an error.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut runs, mut whole, mut folder) = (3, false, None);
        let (mut programs, mut options) = (Vec::new(), Vec::new());
        for argument in arguments {
            let (flag, value) = argument.split_once('=').unwrap_or((&argument, ""));
            match flag {
                "--whole" => whole = true,
                "--runs" => runs = number(value)?,
                "--folder" => folder = Some(PathBuf::from(value)),
                _ if flag.starts_with('-') => options.push(argument),
                _ => programs.push(PathBuf::from(argument)),
            }
        }
        let programs = programs.try_into().map_err(|_| USAGE.to_owned())?;
        let folder = folder.ok_or(USAGE)?;
        Ok(Self { runs, whole, folder, programs, options })
    }
}

fn number(value: &str) -> Result<usize, String> {
    match value.parse() {
        Ok(runs) if runs > 0 => Ok(runs),
        _ => Err(format!("--runs needs a number above 0, not '{value}'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::parse(line.split(' ').map(str::to_owned))
    }

    #[test]
    fn options_of_the_bench_are_passed_on() {
        let arguments = parse("--runs=2 --folder=out one two --sizes=10 --only=IPv4").unwrap();
        let programs = [PathBuf::from("one"), PathBuf::from("two")];
        let options = vec!["--sizes=10".to_owned(), "--only=IPv4".to_owned()];
        assert_eq!(arguments, Arguments { runs: 2, whole: false, folder: "out".into(), programs, options });
    }

    #[test]
    fn wrong_arguments_are_explained() {
        assert_eq!(parse("--folder=out one").unwrap_err(), USAGE);
        assert_eq!(parse("one two").unwrap_err(), USAGE);
        assert_eq!(
            parse("--folder=out --runs=0 one two").unwrap_err(),
            "--runs needs a number above 0, not '0'"
        );
    }
}
