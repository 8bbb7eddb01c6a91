//! The command line.

use std::path::PathBuf;

use lexopt::prelude::*;
use pfplane_testbed::failure::{Context, Fallible, fail};
use pfplane_testbed::firewall::{Settings, Translation};
use pfplane_testbed::options::{number, path};

pub(crate) const HELP: &str = "\
Sends Linux TCP through the example firewall over a bad network; the window check must drop none of it.

Usage: ./x test real-tcp [OPTIONS]       (as root: it creates network namespaces and deletes them at the end)

  --connections N   connections, half IPv4 and half IPv6 (default 10000)
  --inject          forge segments outside the window on both sides; all must be dropped
  --takeover        kill firewall A halfway; B takes over
  --nat             translate the client's addresses
  --all             eight runs, all combinations of the three, and a table of the results
  --lanes N         lanes of each firewall, 1 to 16 (default 2)
  --seed N          determines every random choice (default: random, printed)
  --out DIR         folder for logs (default target/real-tcp)
  --firewall PATH   the firewall program (default c-examples/build/ha-firewall)
  --verbose         print every counter of the firewalls
  --help            this text

Exit status: 0 when all runs passed, 1 otherwise, 2 when they could not run.
";

/// The parsed command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub connections: u32,
    /// Forge segments.
    pub inject: bool,
    /// Kill firewall A.
    pub takeover: bool,
    pub nat: bool,
    /// Run all combinations.
    pub all: bool,
    pub lanes: u32,
    pub seed: Option<u64>,
    /// The folder for logs.
    pub out: PathBuf,
    /// The firewall program.
    pub firewall: PathBuf,
    pub verbose: bool,
}

impl Arguments {
    /// Returns the name of the combination.
    pub(crate) fn mode(&self) -> String {
        let modes = [("inject", self.inject), ("takeover", self.takeover), ("nat", self.nat)];
        let on: Vec<&str> = modes.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect();
        if on.is_empty() { "plain".into() } else { on.join("+") }
    }

    /// Returns how the firewalls are started.
    pub(crate) fn firewall_settings(&self) -> Settings {
        Settings {
            program_before: None,
            program: self.firewall.clone(),
            lanes: [self.lanes; 2],
            translation: if self.nat { Translation::Nat } else { Translation::Nothing },
            defer_ms: 0,
            peer: None,
            replicates: true,
            seal: false,
            election: None,
            event_log: true,
            log_folder: self.out.clone(),
        }
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

/// Parses the command line. Returns `None` for `--help`.
pub(crate) fn parse(words: impl IntoIterator<Item = std::ffi::OsString>) -> Fallible<Option<Arguments>> {
    let mut arguments = Arguments::default();
    let mut parser = lexopt::Parser::from_args(words);
    while let Some(argument) = parser.next().context(|| "read the command line")? {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Fallible<Option<Arguments>> {
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
    fn an_invalid_number_or_option_is_named_in_the_error() {
        for line in ["--lanes 0", "--connections x", "--seed -1", "--frob"] {
            assert!(parsed(line).unwrap_err().0.contains(line.split(' ').next().unwrap()), "{line}");
        }
    }
}
