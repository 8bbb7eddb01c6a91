//! The command line.

use std::path::PathBuf;

use lexopt::prelude::*;
use pfplane_demo::failure::{Because, Outcome, fail};

/// The help text.
pub const HELP: &str = "\
Linux TCP through the example firewall over a bad network: the window check must drop nothing of it.

Usage: ./x test real-tcp [OPTIONS]       (as root: it makes its own network namespaces, and removes them)

  --connections N   how many, half IPv4 and half IPv6 (default 10000)
  --inject          forged segments outside the window from both sides; all must be dropped, none may harm
  --takeover        firewall A is killed in the middle and B takes over
  --nat             the firewalls translate the client's addresses
  --all             eight runs, every mix of the three, and a table of them at the end
  --lanes N         lanes of each firewall, 1 to 16 (default 2)
  --seed N          what all chance follows from (default: random, printed)
  --out DIR         logs go here (default target/real-tcp)
  --firewall PATH   the firewall to run (default c-examples/build/ha-firewall)
  --verbose         print every counter of the firewalls
  --help            this text

Exit status: 0 when all was as it must be, 1 otherwise, 2 when it could not be run.
";

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// TCP connections.
    pub connections: u32,
    /// Forge segments.
    pub inject: bool,
    /// Kill firewall A.
    pub takeover: bool,
    /// Translate.
    pub nat: bool,
    /// All runs.
    pub all: bool,
    /// Lanes of each firewall.
    pub lanes: u32,
    /// The seed, when it was given.
    pub seed: Option<u64>,
    /// Where the logs go.
    pub out: PathBuf,
    /// The firewall program.
    pub firewall: PathBuf,
    /// Say more.
    pub verbose: bool,
}

impl Arguments {
    /// What a run is to be, in a few words.
    pub fn mode(&self) -> String {
        let modes = [("inject", self.inject), ("takeover", self.takeover), ("nat", self.nat)];
        let on: Vec<&str> = modes.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect();
        if on.is_empty() { "plain".into() } else { on.join("+") }
    }
}

impl Default for Arguments {
    fn default() -> Arguments {
        Arguments {
            connections: 10_000,
            inject: false,
            takeover: false,
            nat: false,
            all: false,
            lanes: 2,
            seed: None,
            out: "target/real-tcp".into(),
            firewall: "c-examples/build/ha-firewall".into(),
            verbose: false,
        }
    }
}

/// Reads the command line; nothing when help was asked for.
pub fn parse(words: impl IntoIterator<Item = std::ffi::OsString>) -> Outcome<Option<Arguments>> {
    let mut arguments = Arguments::default();
    let mut parser = lexopt::Parser::from_args(words);
    while let Some(argument) = parser.next().because(|| "read the command line".into())? {
        match argument {
            Long("connections") => arguments.connections = number(&mut parser, "connections", 8, 100_000)?,
            Long("inject") => arguments.inject = true,
            Long("takeover") => arguments.takeover = true,
            Long("nat") => arguments.nat = true,
            Long("all") => arguments.all = true,
            Long("lanes") => arguments.lanes = number(&mut parser, "lanes", 1, 16)?,
            Long("seed") => arguments.seed = Some(number(&mut parser, "seed", 0, u64::MAX)?),
            Long("out") => arguments.out = path(&mut parser, "out")?,
            Long("firewall") => arguments.firewall = path(&mut parser, "firewall")?,
            Long("verbose") => arguments.verbose = true,
            Long("help") | Short('h') => return Ok(None),
            other => return fail(format!("{}; --help lists the options", other.unexpected())),
        }
    }
    Ok(Some(arguments))
}

fn path(parser: &mut lexopt::Parser, name: &str) -> Outcome<PathBuf> {
    Ok(parser.value().because(|| format!("read --{name}"))?.into())
}

fn number<N>(parser: &mut lexopt::Parser, name: &str, least: N, most: N) -> Outcome<N>
where
    N: std::str::FromStr<Err: std::fmt::Display> + PartialOrd + std::fmt::Display + Copy,
{
    let text = parser.value().because(|| format!("read --{name}"))?.to_string_lossy().into_owned();
    let value: N = text.parse().because(|| format!("read --{name} {text}"))?;
    if value < least || value > most {
        return fail(format!("--{name} is {value}, it must be from {least} to {most}"));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Outcome<Option<Arguments>> {
        parse(line.split_whitespace().map(Into::into))
    }

    #[test]
    fn every_option_of_the_help_is_known_and_reaches_its_field() {
        let line = "--connections 9 --inject --takeover --nat --all --lanes 3 --seed 5 --out o --firewall f --verbose";
        let expected = Arguments {
            connections: 9,
            inject: true,
            takeover: true,
            nat: true,
            all: true,
            lanes: 3,
            seed: Some(5),
            out: "o".into(),
            firewall: "f".into(),
            verbose: true,
        };
        assert_eq!(parsed(line).unwrap(), Some(expected));
        for word in HELP.split_whitespace().filter(|word| word.starts_with("--") && *word != "--help") {
            assert!(line.contains(word), "{word}");
        }
        assert_eq!(parsed("").unwrap(), Some(Arguments::default()));
        assert_eq!(parsed("--help").unwrap(), None);
    }

    #[test]
    fn wrong_numbers_and_words_are_refused_by_name() {
        for line in ["--lanes 0", "--connections x", "--seed -1", "--frob"] {
            assert!(parsed(line).unwrap_err().0.contains(line.split(' ').next().unwrap()), "{line}");
        }
    }
}
