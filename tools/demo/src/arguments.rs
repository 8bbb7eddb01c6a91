//! The command line of the demonstration.

use std::path::PathBuf;

use lexopt::prelude::*;

use crate::failure::{Because, Outcome, fail};
use crate::mode::Mode;
use crate::translation::Translation;

/// The help text.
pub const HELP: &str = "\
Two DPDK firewalls share their states; one is killed under real connections; the other carries them on.

Usage: ./x demo [OPTIONS]        (as root: it makes its own network namespaces, and removes them)

  --connections N       TCP connections, half IPv4 and half IPv6 (default 200)
  --without-sync        replication off: the connections must die, which shows that the demo can fail
  --kill-during-setup   kill the firewall while connections are still being opened
  --late-start          firewall B starts when all connections are open: it must load every state in bulk
  --cut-sync            the sync link is cut while connections are opened, and mended before the kill
  --rolling             A is killed, comes back empty and loads all in bulk; then B is killed, A takes over
  --kills N             N runs with a kill during setup, each at another moment; what was lost
                        in all, beside what the dead firewalls had announced as exposed
  --defer               hold the first packet of a connection until the other firewall knows it, 20 ms at most
  --defer-ms MS         the same with another time, 0 to 1000 (0: not at all)
  --nat                 the firewalls translate the client's addresses; the server knows no way to the client
  --nat64               the client has IPv6 only, the server IPv4 only: all connections are translated between them
  --seconds S           how long traffic goes on after a takeover (default 8)
  --lanes N             lanes (cores) of each firewall, 1 to 16 (default 2)
  --lanes-b N           lanes of firewall B (default: as --lanes)
  --udp N               UDP flows, half and half (default 20)
  --seed N              what the connections' bytes follow from (default: random, printed)
  --out DIR             report.json, timeline.svg, sync.pcap and logs go here (default target/demo)
  --firewall PATH       the firewall to run (default c-examples/build/ha-firewall)
  --no-capture          do not record the sync link
  --keep                leave the namespaces standing, for a look around
  --verbose             also print each firewall's status and statistics
  --help                this text

Examples:
  ./x demo                           200 connections, all must live
  ./x demo --connections 2000        more of them
  ./x demo --without-sync            the same without replication: none may live
  ./x demo --kill-during-setup       the young ones are reported apart
  ./x demo --kill-during-setup --defer    with first packets held: the young ones must live, too
  ./x demo --nat                     behind one address of the firewalls, which moves with the master
  ./x demo --nat64                   from IPv6 to IPv4, which goes on with the new master, too
  ./x demo --rolling                 both firewalls die in turn, all must live
  ./x demo --late-start --lanes-b 4  a second firewall of another size joins late and knows all
  python3 tools/check-capture.py target/demo/sync.pcap    what the firewalls told each other

Exit status: 0 when everything that had to live lived (--without-sync: when none did), 1 otherwise, 2 when the
demonstration could not be run.
";

/// As long as pf holds a packet.
const PF_DEFER_MS: u32 = 20;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// TCP connections.
    pub connections: u32,
    /// What is shown.
    pub mode: Mode,
    /// So many runs one after the other, each with a kill while connections are opened.
    pub kills: Option<u32>,
    /// With [`Mode::DuringSetup`]: how many of a hundred connections are open when the kill comes.
    pub kill_at_percent: u32,
    /// Milliseconds that first packets are held at most.
    pub defer_ms: u32,
    /// What the firewalls translate.
    pub translation: Translation,
    /// Seconds of traffic after the takeover.
    pub seconds: u32,
    /// Lanes of each firewall.
    pub lanes: u32,
    /// Lanes of the second firewall, when they are others.
    pub lanes_b: Option<u32>,
    /// UDP flows.
    pub udp_flows: u32,
    /// The seed, when it was given.
    pub seed: Option<u64>,
    /// Where the results go.
    pub out: PathBuf,
    /// The firewall program.
    pub firewall: PathBuf,
    /// Record the sync link.
    pub capture: bool,
    /// The firewalls keep a journal beside their logs. Not an option of the command line.
    pub journal: bool,
    /// Leave the namespaces standing.
    pub keep: bool,
    /// Say more.
    pub verbose: bool,
}

impl Default for Arguments {
    fn default() -> Arguments {
        Arguments {
            connections: 200,
            mode: Mode::default(),
            kills: None,
            kill_at_percent: 50,
            defer_ms: 0,
            translation: Translation::default(),
            seconds: 8,
            lanes: 2,
            lanes_b: None,
            udp_flows: 20,
            seed: None,
            out: "target/demo".into(),
            firewall: "c-examples/build/ha-firewall".into(),
            capture: true,
            journal: false,
            keep: false,
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
            Long("connections") => arguments.connections = number(&mut parser, "connections", 1, 20_000)?,
            Long(option) if Mode::of_option(option).is_some() => choose(&mut arguments.mode, option)?,
            Long(option) if Translation::of_option(option).is_some() => {
                translate(&mut arguments.translation, option)?;
            }
            Long("seconds") => arguments.seconds = number(&mut parser, "seconds", 2, 3600)?,
            Long("lanes") => arguments.lanes = number(&mut parser, "lanes", 1, 16)?,
            Long("lanes-b") => arguments.lanes_b = Some(number(&mut parser, "lanes-b", 1, 16)?),
            Long("udp") => arguments.udp_flows = number(&mut parser, "udp", 0, 1000)?,
            Long("seed") => arguments.seed = Some(number(&mut parser, "seed", 0, u64::MAX)?),
            Long("out") => arguments.out = parser.value().because(|| "read --out".into())?.into(),
            Long("firewall") => {
                arguments.firewall = parser.value().because(|| "read --firewall".into())?.into()
            }
            Long("capture") => arguments.capture = true,
            Long("no-capture") => arguments.capture = false,
            Long("kills") => arguments.kills = Some(number(&mut parser, "kills", 1, 10_000)?),
            Long("defer") => arguments.defer_ms = PF_DEFER_MS,
            Long("defer-ms") => arguments.defer_ms = number(&mut parser, "defer-ms", 0, 1000)?,
            Long("keep") => arguments.keep = true,
            Long("verbose") => arguments.verbose = true,
            Long("help") | Short('h') => return Ok(None),
            other => return fail(format!("{}; --help lists the options", other.unexpected())),
        }
    }
    if arguments.kills.is_some() {
        match arguments.mode {
            Mode::UnderLoad | Mode::DuringSetup => arguments.mode = Mode::DuringSetup,
            other => {
                return fail(format!("--kills are of --kill-during-setup, and this is {}", other.words()));
            }
        }
    }
    if arguments.defer_ms > 0 && !arguments.mode.replicates() {
        return fail(
            "--defer waits for the other firewall, which --without-sync does not speak to".to_owned(),
        );
    }
    Ok(Some(arguments))
}

fn choose(mode: &mut Mode, option: &str) -> Outcome<()> {
    let asked = Mode::of_option(option).unwrap_or_default();
    if ![Mode::default(), asked].contains(mode) {
        return fail(format!("{} show different things; take one at a time", Mode::options()));
    }
    *mode = asked;
    Ok(())
}

fn translate(translation: &mut Translation, option: &str) -> Outcome<()> {
    let asked = Translation::of_option(option).unwrap_or_default();
    if ![Translation::default(), asked].contains(translation) {
        return fail(format!("{} translate differently; take one", Translation::options()));
    }
    *translation = asked;
    Ok(())
}

fn number<T>(parser: &mut lexopt::Parser, option: &str, least: T, most: T) -> Outcome<T>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    let value = parser.value().because(|| format!("read --{option}"))?;
    let text = value.to_string_lossy();
    match text.parse::<T>() {
        Ok(number) if number >= least && number <= most => Ok(number),
        _ => fail(format!("--{option} takes a number from {least} to {most}, not '{text}'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Outcome<Option<Arguments>> {
        parse(line.split_whitespace().map(Into::into))
    }

    #[test]
    fn no_arguments_are_the_documented_defaults() {
        assert_eq!(parsed("").unwrap(), Some(Arguments::default()));
    }

    #[test]
    fn every_option_of_the_help_is_understood() {
        let all = "--connections 2000 --rolling --defer-ms 5 --seconds 3 --lanes 4 --lanes-b 3 --udp 6 --seed 9 \
                   --out /tmp/o --firewall /f --no-capture --keep --verbose --nat";
        let arguments = parsed(all).unwrap().unwrap();
        let expected = Arguments {
            connections: 2000,
            mode: Mode::Rolling,
            kills: None,
            kill_at_percent: 50,
            defer_ms: 5,
            seconds: 3,
            lanes: 4,
            lanes_b: Some(3),
            udp_flows: 6,
            seed: Some(9),
            out: "/tmp/o".into(),
            firewall: "/f".into(),
            capture: false,
            journal: false,
            keep: true,
            verbose: true,
            translation: Translation::Nat,
        };
        assert_eq!(arguments, expected);
        let named = HELP.split_whitespace().filter_map(|word| word.strip_prefix("--"));
        for word in named.map(|word| word.trim_end_matches([':', ')'])).filter(|&word| word != "help") {
            let alone = parsed(&format!("--{word}")).and_then(|_| parsed(&format!("--{word} 5")));
            let unknown = alone.is_err_and(|failure| failure.0.contains("invalid option"));
            assert!(!unknown, "--{word} is in the help");
        }
    }

    #[test]
    fn the_modes_exclude_each_other() {
        assert_eq!(parsed("--kill-during-setup").unwrap().unwrap().mode, Mode::DuringSetup);
        assert!(parsed("--cut-sync --cut-sync").is_ok());
        assert!(parsed("--kill-during-setup --without-sync").is_err());
        assert!(parsed("--late-start --cut-sync").is_err());
    }

    #[test]
    fn the_translations_exclude_each_other_and_go_with_any_mode() {
        let arguments = parsed("--nat64 --rolling").unwrap().unwrap();
        assert_eq!((arguments.translation, arguments.mode), (Translation::Nat64, Mode::Rolling));
        assert!(parsed("--nat --nat").is_ok());
        assert!(parsed("--nat --nat64").unwrap_err().0.contains("--nat and --nat64"));
    }

    #[test]
    fn defer_is_pfs_time_and_needs_somebody_to_wait_for() {
        assert_eq!(parsed("--defer").unwrap().unwrap().defer_ms, 20);
        assert!(parsed("--defer --without-sync").is_err());
        assert!(parsed("--defer-ms 1001").unwrap_err().0.contains("0 to 1000"));
    }

    #[test]
    fn kills_come_while_connections_are_opened() {
        let arguments = parsed("--kills 3 --defer").unwrap().unwrap();
        assert_eq!((arguments.kills, arguments.mode), (Some(3), Mode::DuringSetup));
        assert!(parsed("--kills 3 --kill-during-setup").is_ok());
        assert!(parsed("--kills 3 --rolling").unwrap_err().0.contains("--kills"));
        assert!(parsed("--kills 0").is_err());
    }

    #[test]
    fn a_wrong_number_or_option_is_refused_with_its_name() {
        for (line, word) in [("--lanes 0", "--lanes"), ("--connections many", "many"), ("--frob", "frob")] {
            assert!(parsed(line).unwrap_err().0.contains(word), "{line}");
        }
    }
}
