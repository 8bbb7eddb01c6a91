//! The command line of the demonstration.

use std::path::PathBuf;

use lexopt::prelude::*;
use pfplane_testbed::failure::{Context, Fallible, fail};
use pfplane_testbed::firewall::{Settings, Translation};
use pfplane_testbed::options::{number, path};

use crate::mode::Mode;

pub(crate) const HELP: &str = "\
Two DPDK firewalls replicate their states. One is killed under real connections; the other takes them over.

Usage: ./x demo [OPTIONS]        (as root: it creates network namespaces and deletes them at the end)

  --connections N       TCP connections, half IPv4 and half IPv6 (default 200)
  --without-sync        no replication: all connections must be lost, which shows that the test can fail
  --kill-during-setup   kill firewall A while connections are being opened
  --late-start          start firewall B when all connections are open: it must load every state in bulk
  --cut-sync            cut the sync link while connections are opened, and restore it before the kill
  --cut-before-kill MS  cut the sync link MS milliseconds before the kill, 1 to 10000
  --pause-backup S      pause firewall B for S seconds (SIGSTOP) while connections are opened, 1 to 60
  --flood               send a SYN flood from invented addresses from when all connections are open until the end
  --rolling             kill A, restart it empty, let it load all states in bulk; then kill B
  --kills N             N runs with a kill during setup, each at another time; sums the connections lost
                        and those that the killed firewalls had reported as exposed
  --defer               hold the first packet of a connection until the peer has its state, at most 20 ms
  --defer-ms MS         the same with another maximum, 0 to 1000 (0: off)
  --nat                 translate the client's addresses; the server has no route to the client
  --nat64               the client has IPv6 only, the server IPv4 only; the firewalls translate
  --seconds S           seconds of traffic after a takeover (default 8)
  --lanes N             lanes (cores) of each firewall, 1 to 16 (default 2)
  --lanes-b N           lanes of firewall B (default: as --lanes)
  --udp N               UDP flows, half IPv4 and half IPv6 (default 20)
  --seed N              determines the connections' bytes (default: random, printed)
  --out DIR             folder for report.json, timeline.svg, sync.pcap and logs (default target/demo)
  --firewall PATH       the firewall program (default c-examples/build/ha-firewall)
  --no-capture          do not record the sync link
  --keep                keep the namespaces for inspection
  --verbose             also print each firewall's status and statistics
  --help                this text

Examples:
  ./x demo                           200 connections, all must survive
  ./x demo --connections 2000        more connections
  ./x demo --without-sync            no replication: none may survive
  ./x demo --kill-during-setup       reports connections that were being opened separately
  ./x demo --kill-during-setup --defer    with held first packets these must survive too
  ./x demo --nat                     one address of the firewalls, which moves to the new master
  ./x demo --nat64                   IPv6 to IPv4, which the new master continues
  ./x demo --cut-before-kill 1500    the sync link dies before the firewall
  ./x demo --pause-backup 5          the backup misses 5 seconds, as in a migration of its virtual machine
  ./x demo --flood                   half-open connections fill the tables
  ./x demo --rolling                 both firewalls die in turn, all connections must survive
  ./x demo --late-start --lanes-b 4  a second firewall with more lanes joins late
  python3 tools/check-capture.py target/demo/sync.pcap    the frames on the sync link

Exit status: 0 when all connections that must survive did (--without-sync: when none did), 1 otherwise, 2 when the
demonstration could not run.
";

/// The time for which pf defers a packet.
const PF_DEFER_MS: u32 = 20;

/// The parsed command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub connections: u32,
    pub mode: Mode,
    /// The number of runs with `--kills`.
    pub kills: Option<u32>,
    /// With [`Mode::DuringSetup`]: the percentage of open connections at which the kill comes.
    pub kill_at_percent: u32,
    pub defer_ms: u32,
    /// Milliseconds for which the sync link is cut before the kill, 0 for none.
    pub cut_before_kill_ms: u32,
    /// Seconds for which B is paused while connections are opened, 0 for none.
    pub pause_backup_s: u32,
    /// Send a SYN flood.
    pub flood: bool,
    pub translation: Translation,
    /// Seconds of traffic after the takeover.
    pub seconds: u32,
    pub lanes: u32,
    pub lanes_b: Option<u32>,
    pub udp_flows: u32,
    pub seed: Option<u64>,
    /// The folder for results.
    pub out: PathBuf,
    /// The firewall program.
    pub firewall: PathBuf,
    pub capture: bool,
    pub keep: bool,
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
            cut_before_kill_ms: 0,
            pause_backup_s: 0,
            flood: false,
            translation: Translation::default(),
            seconds: 8,
            lanes: 2,
            lanes_b: None,
            udp_flows: 20,
            seed: None,
            out: "target/demo".into(),
            firewall: "c-examples/build/ha-firewall".into(),
            capture: true,
            keep: false,
            verbose: false,
        }
    }
}

impl Arguments {
    /// Returns how the firewalls are started.
    pub(crate) fn firewall_settings(&self) -> Settings {
        Settings {
            program: self.firewall.clone(),
            lanes: [self.lanes, self.lanes_b.unwrap_or(self.lanes)],
            translation: self.translation,
            defer_ms: self.defer_ms,
            replicates: self.mode.replicates(),
            event_log: false,
            log_folder: self.out.clone(),
        }
    }
}

/// Parses the command line. Returns `None` for `--help`.
pub(crate) fn parse(words: impl IntoIterator<Item = std::ffi::OsString>) -> Fallible<Option<Arguments>> {
    let mut arguments = Arguments::default();
    let mut parser = lexopt::Parser::from_args(words);
    while let Some(argument) = parser.next().context(|| "read the command line")? {
        match argument {
            Long("connections") => arguments.connections = number(&mut parser, "connections", 1, 20_000)?,
            Long(option) if Mode::from_option(option).is_some() => set_mode(&mut arguments.mode, option)?,
            Long(option) if Translation::from_option(option).is_some() => {
                set_translation(&mut arguments.translation, option)?;
            }
            Long("seconds") => arguments.seconds = number(&mut parser, "seconds", 2, 3600)?,
            Long("lanes") => arguments.lanes = number(&mut parser, "lanes", 1, 16)?,
            Long("lanes-b") => arguments.lanes_b = Some(number(&mut parser, "lanes-b", 1, 16)?),
            Long("udp") => arguments.udp_flows = number(&mut parser, "udp", 0, 1000)?,
            Long("seed") => arguments.seed = Some(number(&mut parser, "seed", 0, u64::MAX)?),
            Long("out") => arguments.out = path(&mut parser, "out")?,
            Long("firewall") => arguments.firewall = path(&mut parser, "firewall")?,
            Long("capture") => arguments.capture = true,
            Long("no-capture") => arguments.capture = false,
            Long("kills") => arguments.kills = Some(number(&mut parser, "kills", 1, 10_000)?),
            Long("defer") => arguments.defer_ms = PF_DEFER_MS,
            Long("defer-ms") => arguments.defer_ms = number(&mut parser, "defer-ms", 0, 1000)?,
            Long("cut-before-kill") => {
                arguments.cut_before_kill_ms = number(&mut parser, "cut-before-kill", 1, 10_000)?;
            }
            Long("pause-backup") => arguments.pause_backup_s = number(&mut parser, "pause-backup", 1, 60)?,
            Long("flood") => arguments.flood = true,
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
                return fail(format!("--kills implies --kill-during-setup, not '{}'", other.description()));
            }
        }
    }
    if arguments.defer_ms > 0 && !arguments.mode.replicates() {
        return fail("--defer needs replication, which --without-sync disables");
    }
    check_combinations(&arguments)?;
    Ok(Some(arguments))
}

/// Refuses options that contradict each other.
fn check_combinations(arguments: &Arguments) -> Fallible<()> {
    let Arguments { mode, cut_before_kill_ms, pause_backup_s, flood, .. } = *arguments;
    if cut_before_kill_ms > 0 && !mode.replicates() {
        return fail("--cut-before-kill needs replication, which --without-sync disables");
    }
    if pause_backup_s > 0 && !matches!(mode, Mode::UnderLoad | Mode::Rolling) {
        return fail(format!("--pause-backup does not combine with '{}'", mode.description()));
    }
    if flood && arguments.translation == Translation::Nat64 {
        return fail("--flood sends IPv4, which --nat64 does not pass");
    }
    Ok(())
}

fn set_mode(mode: &mut Mode, option: &str) -> Fallible<()> {
    let selected = Mode::from_option(option).unwrap_or_default();
    if ![Mode::default(), selected].contains(mode) {
        return fail(format!("{} exclude each other", Mode::options()));
    }
    *mode = selected;
    Ok(())
}

fn set_translation(translation: &mut Translation, option: &str) -> Fallible<()> {
    let selected = Translation::from_option(option).unwrap_or_default();
    if ![Translation::default(), selected].contains(translation) {
        return fail(format!("{} exclude each other", Translation::options()));
    }
    *translation = selected;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Fallible<Option<Arguments>> {
        parse(line.split_whitespace().map(Into::into))
    }

    #[test]
    fn no_options_give_the_documented_defaults() {
        assert_eq!(parsed("").unwrap(), Some(Arguments::default()));
    }

    #[test]
    fn every_option_of_the_help_is_known() {
        let all = "--connections 2000 --rolling --defer-ms 5 --seconds 3 --lanes 4 --lanes-b 3 --udp 6 --seed 9 \
                   --out /tmp/o --firewall /f --no-capture --keep --verbose --nat --cut-before-kill 1500 \
                   --pause-backup 5 --flood";
        let arguments = parsed(all).unwrap().unwrap();
        let expected = Arguments {
            connections: 2000,
            mode: Mode::Rolling,
            kills: None,
            kill_at_percent: 50,
            defer_ms: 5,
            cut_before_kill_ms: 1500,
            pause_backup_s: 5,
            flood: true,
            seconds: 3,
            lanes: 4,
            lanes_b: Some(3),
            udp_flows: 6,
            seed: Some(9),
            out: "/tmp/o".into(),
            firewall: "/f".into(),
            capture: false,
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
    fn modes_exclude_each_other() {
        assert_eq!(parsed("--kill-during-setup").unwrap().unwrap().mode, Mode::DuringSetup);
        assert!(parsed("--cut-sync --cut-sync").is_ok());
        assert!(parsed("--kill-during-setup --without-sync").is_err());
        assert!(parsed("--late-start --cut-sync").is_err());
    }

    #[test]
    fn translations_exclude_each_other_and_combine_with_any_mode() {
        let arguments = parsed("--nat64 --rolling").unwrap().unwrap();
        assert_eq!((arguments.translation, arguments.mode), (Translation::Nat64, Mode::Rolling));
        assert!(parsed("--nat --nat").is_ok());
        assert!(parsed("--nat --nat64").unwrap_err().0.contains("--nat and --nat64"));
    }

    #[test]
    fn defer_uses_pfs_time_and_needs_replication() {
        assert_eq!(parsed("--defer").unwrap().unwrap().defer_ms, 20);
        assert!(parsed("--defer --without-sync").is_err());
        assert!(parsed("--defer-ms 1001").unwrap_err().0.contains("0 to 1000"));
    }

    #[test]
    fn a_cut_and_a_pause_need_replication_and_a_flood_needs_ipv4() {
        assert!(parsed("--cut-before-kill 100 --without-sync").unwrap_err().0.contains("replication"));
        assert!(parsed("--cut-before-kill 100 --kills 2").is_ok());
        assert!(parsed("--pause-backup 5 --late-start").unwrap_err().0.contains("--pause-backup"));
        assert!(parsed("--flood --nat64").unwrap_err().0.contains("--flood"));
        assert!(parsed("--cut-before-kill 0").unwrap_err().0.contains("1 to 10000"));
    }

    #[test]
    fn kills_implies_a_kill_during_setup() {
        let arguments = parsed("--kills 3 --defer").unwrap().unwrap();
        assert_eq!((arguments.kills, arguments.mode), (Some(3), Mode::DuringSetup));
        assert!(parsed("--kills 3 --kill-during-setup").is_ok());
        assert!(parsed("--kills 3 --rolling").unwrap_err().0.contains("--kills"));
        assert!(parsed("--kills 0").is_err());
    }

    #[test]
    fn an_invalid_number_or_option_is_named_in_the_error() {
        for (line, word) in [("--lanes 0", "--lanes"), ("--connections many", "many"), ("--frob", "frob")] {
            assert!(parsed(line).unwrap_err().0.contains(word), "{line}");
        }
    }
}
