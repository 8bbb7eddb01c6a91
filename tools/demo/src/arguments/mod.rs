//! The command line of the demonstration.

mod election;

use std::path::PathBuf;

use lexopt::prelude::*;
use pfplane_testbed::clock::SECOND;
use pfplane_testbed::failure::{Context, Fallible, fail};
use pfplane_testbed::firewall::{Election, Protocol, Settings, Translation};
use pfplane_testbed::options::{number, path};
use pfplane_testbed::router::Peer;

use crate::fault::Fault;
use crate::mode::Mode;
use crate::peer;

pub(crate) const HELP: &str = include_str!("../help.txt");

/// The time for which pf defers a packet.
const PF_DEFER_MS: u32 = 20;

/// The parsed command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub connections: u32,
    pub mode: Mode,
    /// How the firewalls elect the master; `None`: the demonstration makes the survivor the master.
    pub election: Option<Election>,
    /// The router in place of firewall B.
    pub peer: Option<Peer>,
    /// The number of faults in one run.
    pub repeat: Option<u32>,
    /// With [`Mode::Freeze`]: for how many seconds the master is paused.
    pub freeze_s: u32,
    /// The number of runs with `--kills`.
    pub kills: Option<u32>,
    /// With [`Mode::DuringSetup`]: the percentage of open connections at which the kill comes.
    pub kill_at_percent: u32,
    pub defer_ms: u32,
    /// Seal the frames of the sync link.
    pub seal: bool,
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
    /// With [`Mode::Rolling`]: the program of another build, with which both start.
    pub with: Option<PathBuf>,
    pub capture: bool,
    pub keep: bool,
    pub verbose: bool,
}

impl Default for Arguments {
    fn default() -> Arguments {
        Arguments {
            connections: 200,
            mode: Mode::default(),
            election: Some(Election { protocol: Protocol::Vrrp, interval_ms: 10 }),
            peer: None,
            repeat: None,
            freeze_s: 2,
            kills: None,
            kill_at_percent: 50,
            defer_ms: 0,
            seal: false,
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
            with: None,
            capture: true,
            keep: false,
            verbose: false,
        }
    }
}

impl Arguments {
    /// Returns what happens to the master, in order.
    pub(crate) fn faults(&self) -> Vec<Fault> {
        let default = match self.mode {
            // Both firewalls of the other build, one, none.
            Mode::Rolling if self.with.is_some() => 3,
            Mode::Rolling => 2,
            Mode::Switch => SWITCHES.len() as u32,
            _ => 1,
        };
        let fault = |index: u32| match self.mode {
            Mode::Freeze => Fault::Pause(self.freeze_s),
            Mode::Partition => Fault::Partition(self.partition_s()),
            Mode::Switch => SWITCHES[index as usize % SWITCHES.len()],
            _ => Fault::Kill,
        };
        (0..self.repeat.unwrap_or(default)).map(fault).collect()
    }

    /// Returns for how many seconds the links are cut: the backup must take over meanwhile.
    fn partition_s(&self) -> u32 {
        let takeover = self.election.map_or(0, |election| election.takeover_limit().div_ceil(SECOND));
        MIN_PARTITION_S.max(takeover as u32 + 2)
    }

    /// Returns how the firewalls are started.
    pub(crate) fn firewall_settings(&self) -> Settings {
        Settings {
            program: self.firewall.clone(),
            program_before: self.with.clone(),
            lanes: [self.lanes, self.lanes_b.unwrap_or(self.lanes)],
            translation: self.translation,
            defer_ms: self.defer_ms,
            election: self.election,
            peer: self.peer,
            replicates: self.mode.replicates(),
            seal: self.seal,
            event_log: false,
            log_folder: self.out.clone(),
        }
    }
}

/// Seconds of traffic after each of several faults.
const REPEATED_SECONDS: u32 = 3;
/// The seconds for which the links are cut at least.
const MIN_PARTITION_S: u32 = 3;
/// A planned switch by control word there and back, then by SIGTERM.
const SWITCHES: [Fault; 4] = [Fault::StepDown, Fault::StepDown, Fault::Terminate, Fault::Terminate];

/// Parses the command line. Returns `None` for `--help`.
pub(crate) fn parse(words: impl IntoIterator<Item = std::ffi::OsString>) -> Fallible<Option<Arguments>> {
    let mut arguments = Arguments::default();
    let (mut protocol, mut interval_ms, mut seconds) = (None, None, None);
    let mut parser = lexopt::Parser::from_args(words);
    while let Some(argument) = parser.next().context(|| "read the command line")? {
        match argument {
            Long("connections") => arguments.connections = number(&mut parser, "connections", 1, 20_000)?,
            Long("freeze") => {
                arguments.freeze_s = number(&mut parser, "freeze", 1, 60)?;
                set_mode(&mut arguments.mode, "freeze")?;
            }
            Long("election") => protocol = Some(election::protocol(&mut parser)?),
            Long("peer") => arguments.peer = Some(election::peer(&mut parser)?),
            Long("interval-ms") => interval_ms = Some(number(&mut parser, "interval-ms", 10, 10_000)?),
            Long("repeat") => arguments.repeat = Some(number(&mut parser, "repeat", 1, 1000)?),
            Long(option) if Mode::from_option(option).is_some() => set_mode(&mut arguments.mode, option)?,
            Long(option) if Translation::from_option(option).is_some() => {
                set_translation(&mut arguments.translation, option)?;
            }
            Long("seconds") => seconds = Some(number(&mut parser, "seconds", 2, 3600)?),
            Long("lanes") => arguments.lanes = number(&mut parser, "lanes", 1, 16)?,
            Long("lanes-b") => arguments.lanes_b = Some(number(&mut parser, "lanes-b", 1, 16)?),
            Long("udp") => arguments.udp_flows = number(&mut parser, "udp", 0, 1000)?,
            Long("seed") => arguments.seed = Some(number(&mut parser, "seed", 0, u64::MAX)?),
            Long("out") => arguments.out = path(&mut parser, "out")?,
            Long("firewall") => arguments.firewall = path(&mut parser, "firewall")?,
            Long("with") => arguments.with = Some(path(&mut parser, "with")?),
            Long("capture") => arguments.capture = true,
            Long("no-capture") => arguments.capture = false,
            Long("kills") => arguments.kills = Some(number(&mut parser, "kills", 1, 10_000)?),
            Long("defer") => arguments.defer_ms = PF_DEFER_MS,
            Long("defer-ms") => arguments.defer_ms = number(&mut parser, "defer-ms", 0, 1000)?,
            Long("cut-before-kill") => {
                arguments.cut_before_kill_ms = number(&mut parser, "cut-before-kill", 1, 10_000)?;
            }
            Long("pause-backup") => arguments.pause_backup_s = number(&mut parser, "pause-backup", 1, 60)?,
            Long("seal") => arguments.seal = true,
            Long("flood") => arguments.flood = true,
            Long("keep") => arguments.keep = true,
            Long("verbose") => arguments.verbose = true,
            Long("help") | Short('h') => return Ok(None),
            other => return fail(format!("{}; --help lists the options", other.unexpected())),
        }
    }
    let default_seconds = if arguments.repeat.is_some() { REPEATED_SECONDS } else { arguments.seconds };
    arguments.seconds = seconds.unwrap_or(default_seconds);
    arguments.election = election::choose(protocol, interval_ms, arguments.peer, arguments.mode)?;
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
    if arguments.seal && !arguments.mode.replicates() {
        return fail("--seal needs replication, which --without-sync disables");
    }
    check_combinations(&arguments)?;
    Ok(Some(arguments))
}

/// Refuses options that contradict each other.
fn check_combinations(arguments: &Arguments) -> Fallible<()> {
    election::check(arguments)?;
    arguments.peer.map_or(Ok(()), |peer| peer::check(arguments, peer))?;
    let Arguments { mode, cut_before_kill_ms, pause_backup_s, flood, .. } = *arguments;
    if cut_before_kill_ms > 0 && !mode.replicates() {
        return fail("--cut-before-kill needs replication, which --without-sync disables");
    }
    if arguments.with.is_some() && mode != Mode::Rolling {
        return fail("--with is the build that --rolling replaces");
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
pub(super) mod tests {
    use super::*;

    pub(super) fn parsed(line: &str) -> Fallible<Option<Arguments>> {
        parse(line.split_whitespace().map(Into::into))
    }

    #[test]
    fn no_options_give_the_documented_defaults() {
        assert_eq!(parsed("").unwrap(), Some(Arguments::default()));
    }

    #[test]
    fn every_option_of_the_help_is_known() {
        let all = "--connections 2000 --rolling --defer-ms 5 --seconds 3 --lanes 4 --lanes-b 3 --seal --udp 6 --seed 9 \
                   --out /tmp/o --firewall /f --with /g --no-capture --keep --verbose --nat --cut-before-kill 1500 \
                   --pause-backup 5 --flood --election vrrp --interval-ms 100";
        let arguments = parsed(all).unwrap().unwrap();
        let expected = Arguments {
            connections: 2000,
            mode: Mode::Rolling,
            election: Some(Election { protocol: Protocol::Vrrp, interval_ms: 100 }),
            peer: None,
            repeat: None,
            freeze_s: 2,
            kills: None,
            kill_at_percent: 50,
            defer_ms: 5,
            seal: true,
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
            with: Some("/g".into()),
            capture: false,
            keep: true,
            verbose: true,
            translation: Translation::Nat,
        };
        assert_eq!(arguments, expected);
        let named = HELP.split_whitespace().filter_map(|word| word.strip_prefix("--"));
        for word in named.map(|word| word.trim_end_matches([':', ')', ','])).filter(|&word| word != "help") {
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
    fn faults_are_repeated_in_one_run() {
        let faults = |line: &str| parsed(line).unwrap().unwrap().faults();
        assert_eq!(faults(""), [Fault::Kill]);
        assert_eq!(faults("--rolling"), [Fault::Kill; 2]);
        assert_eq!(faults("--rolling --with /g"), [Fault::Kill; 3]);
        assert!(parsed("--with /g").unwrap_err().0.contains("--rolling"));
        assert_eq!(faults("--repeat 3"), [Fault::Kill; 3]);
        assert_eq!(faults("--freeze 4 --repeat 2"), [Fault::Pause(4); 2]);
        assert_eq!(faults("--partition"), [Fault::Partition(3)]);
        assert_eq!(faults("--partition --election carp"), [Fault::Partition(6)]);
        assert_eq!(faults("--switch"), SWITCHES);
        assert_eq!(faults("--switch --repeat 5")[4], Fault::StepDown);
        assert!(parsed("--rolling --repeat 3").is_err());
        assert!(parsed("--kills 3 --repeat 3").is_err());
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
        assert!(parsed("--defer --without-sync").is_err() && parsed("--seal --without-sync").is_err());
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
