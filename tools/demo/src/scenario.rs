//! The sequence of a demonstration: network, firewalls, connections, kill, takeover, judgement.

use pfplane_testbed::capture::{self, Capture, CaptureCheck};
use pfplane_testbed::clock::{self, Nanos, SECOND};
use pfplane_testbed::failure::{Context, Fallible, fail};
use pfplane_testbed::firewall::{Firewall, Node};
use pfplane_testbed::network::Network;
use pfplane_testbed::network::cleanup::Cleanup;
use pfplane_testbed::traffic::handle::Command;

use crate::arguments::Arguments;
use crate::mode::Mode;
use crate::outcomes::{Outcome, Times, lost_per_kill, outcomes};
use crate::report::{Kill, Report, Survivor};
use crate::run::Run;
use crate::timeline::Timeline;
use crate::verdict::{Evidence, Loss, judge};

const PATH_TIMEOUT: Nanos = 15 * SECOND;
const OPEN_TIMEOUT: Nanos = 60 * SECOND;
const WARM_UP: Nanos = 3 * SECOND;
/// Time in which the flood fills the tables.
const FLOOD_BEFORE_KILL: Nanos = 10 * SECOND;

/// The result of a run.
pub(crate) struct RunResult {
    pub passed: bool,
    /// What each kill lost; empty without replication.
    pub losses: Vec<Loss>,
}

/// Runs one demonstration.
pub(crate) fn run(arguments: &Arguments) -> Fallible<RunResult> {
    let suffix = std::process::id().to_string();
    let network = Network::named(&suffix);
    std::fs::create_dir_all(&arguments.out).context(|| format!("create {}", arguments.out.display()))?;
    // Created first, so dropped last.
    let mut cleanup = Cleanup::start(&suffix)?;
    let result = Run::start(&network, arguments).and_then(Run::play);
    if arguments.keep {
        cleanup.keep();
        let namespaces = network.namespaces();
        let names: Vec<&str> = namespaces.iter().map(|namespace| namespace.name()).collect();
        println!("the namespaces remain; this deletes them:");
        println!("  for n in {}; do ip netns del $n; done", names.join(" "));
    }
    result
}

impl Run<'_> {
    fn play(mut self) -> Fallible<RunResult> {
        self.wait_for_path()?;
        self.client.send(Command::Open);
        let mode = self.arguments.mode;
        match mode {
            Mode::DuringSetup => self.wait_until_open(self.arguments.kill_at_percent)?,
            Mode::CutSync => self.cut_link_during_setup()?,
            _ => {
                self.pause_during_setup()?;
                self.wait_until_all_carry_data()?;
            }
        }
        self.start_flood()?;
        if mode == Mode::LateStart {
            let b = Firewall::start(Node::B, self.network, &self.settings)?;
            self.add_backup(Node::B, b)?;
        }
        if mode != Mode::DuringSetup {
            self.wait_until_in_sync()?;
        }
        if self.arguments.flood {
            self.run_traffic(FLOOD_BEFORE_KILL)?;
        }
        let mut kills = vec![self.kill_and_continue()?];
        let mut rejoin = None;
        if mode == Mode::Rolling {
            rejoin = Some(self.restart_victim()?);
            kills.push(self.kill_and_continue()?);
        }
        self.finish(kills, rejoin)
    }

    /// Waits for the pings before opening connections.
    fn wait_for_path(&mut self) -> Fallible<()> {
        let pings = self.plan.families().len();
        let what = "a ping in each family through firewall A";
        self.wait_until(what, PATH_TIMEOUT, |client, _| client.active_pings as usize == pings)?;
        let connections = self.arguments.connections;
        self.screen.print(&format!("pings pass firewall A; opening {connections} connections"));
        Ok(())
    }

    fn wait_until_open(&mut self, percent: u32) -> Fallible<()> {
        let required = (u64::from(self.arguments.connections) * u64::from(percent) / 100).max(1);
        let what = format!("{percent} % of the connections");
        self.wait_until(&what, OPEN_TIMEOUT, |client, _| u64::from(client.established) >= required)
    }

    /// Pauses firewall B while connections are opened, if the arguments say so.
    fn pause_during_setup(&mut self) -> Fallible<()> {
        let seconds = self.arguments.pause_backup_s;
        if seconds == 0 {
            return Ok(());
        }
        self.wait_until_open(10)?;
        self.pause_backup(seconds)
    }

    /// Cuts the sync link while the second half of the connections is opened.
    fn cut_link_during_setup(&mut self) -> Fallible<()> {
        self.wait_until_open(50)?;
        self.network.set_sync_link(false)?;
        self.screen.print("the sync link is cut");
        self.wait_until_all_carry_data()?;
        let (a, b) = (self.status(Node::A)?.states, self.status(Node::B)?.states);
        self.screen.print(&format!("during the cut firewall A has {a} states, firewall B {b}"));
        self.network.set_sync_link(true)?;
        self.screen.print("the sync link is restored");
        if b >= a {
            return fail("firewall B missed no state during the cut; use more --connections");
        }
        Ok(())
    }

    fn wait_until_all_carry_data(&mut self) -> Fallible<()> {
        let all = self.arguments.connections;
        self.wait_until("data in both directions of every connection", OPEN_TIMEOUT, |client, server| {
            client.with_data == all && server.with_data == all
        })?;
        self.screen.print(&format!("all {all} connections carry data in both directions"));
        self.run_traffic(WARM_UP)
    }

    fn kill_and_continue(&mut self) -> Fallible<Kill> {
        let kill = self.kill_master()?;
        // TCP doubles its retransmission timeout, so it may stay silent for as long as the gap was. On a busy machine a
        // killed process takes seconds to exit.
        let gap = kill.times.takeover - kill.times.kill;
        self.run_traffic(u64::from(self.arguments.seconds) * SECOND + 2 * gap)?;
        Ok(kill)
    }

    /// Restarts the killed firewall, which loads all states. Returns the time when it was ready.
    fn restart_victim(&mut self) -> Fallible<Nanos> {
        let node = self.master.other();
        self.screen.print(&format!("{} restarts without states", node.name()));
        let firewall = Firewall::restart(node, self.network, &self.settings)?;
        self.add_backup(node, firewall)?;
        let rejoin = clock::now();
        self.wait_until_in_sync()?;
        self.run_traffic(WARM_UP)?;
        Ok(rejoin)
    }

    fn finish(mut self, kills: Vec<Kill>, rejoin: Option<Nanos>) -> Fallible<RunResult> {
        self.stop_flood()?;
        self.screen.print("closing all connections");
        let client = self.client.stop()?;
        let server = self.server.stop()?;
        let Some(first) = kills.first().map(|kill| kill.times) else { return fail("no firewall was killed") };
        let second = kills.get(1).map(|kill| kill.times);
        let times = Times { first, rejoin, second, stop: client.stopped };
        let survivor = self.survivor()?;
        if self.arguments.verbose {
            print_details(&kills, &survivor);
        }
        let mut problems = Vec::new();
        problems.extend(self.quit_survivor()?);
        let capture = self.capture.take().map(Capture::finish).transpose()?;
        let capture = capture.as_deref().and_then(capture::check);
        problems.extend(capture.as_ref().and_then(|check| self.capture_problem(check)));
        let outcomes = outcomes(&client, &server, &times);
        let arguments = self.arguments;
        let evidence = Evidence {
            expectation: arguments.mode.expectation(arguments.defer_ms > 0),
            requested: arguments.connections,
            losses: losses(&kills, &outcomes, arguments.mode),
            outcomes: &outcomes,
            probes: &client.probes,
            times,
            problems,
        };
        let verdict = judge(&evidence);
        let report = Report { arguments, plan: &self.plan, evidence, verdict, kills, survivor, capture };
        report.write(&arguments.out)?;
        Timeline { report: &report, client: &client, server: &server }.write(&arguments.out)?;
        report.print();
        Ok(RunResult { passed: report.verdict.passed, losses: report.evidence.losses })
    }

    fn survivor(&mut self) -> Fallible<Survivor> {
        let node = self.master;
        let stats = self.firewall(node)?.control.request("stats")?;
        Ok(Survivor { node, status: self.status(node)?, stats })
    }

    /// Lets the survivor exit. Its exit status reports missing buffers.
    fn quit_survivor(&mut self) -> Fallible<Option<String>> {
        let survivor = self.firewall(self.master)?;
        let exit = survivor.quit()?;
        let name = survivor.name();
        Ok((!exit.success()).then(|| format!("{name} exited with {exit}; buffers are missing, see its log.")))
    }

    /// Checks that there are well-formed frames with replication, and no frames without.
    fn capture_problem(&self, check: &CaptureCheck) -> Option<String> {
        let text = &check.text;
        match (check.well_formed, check.empty, self.arguments.mode.replicates()) {
            (true, false, true) | (true, true, false) => None,
            (false, ..) => Some(format!("the capture of the sync link has malformed frames: {text}.")),
            (true, true, true) => Some("no frame was sent on the sync link.".into()),
            (true, false, false) => Some(format!("replication is off, but frames were sent: {text}.")),
        }
    }
}

/// Returns what each kill lost; empty without replication, where nothing is published as exposed.
fn losses(kills: &[Kill], outcomes: &[Outcome], mode: Mode) -> Vec<Loss> {
    let lost = lost_per_kill(outcomes, kills.len());
    let losses = kills.iter().zip(lost).map(|(kill, lost)| Loss { exposed: kill.exposure.connections, lost });
    losses.filter(|_| mode.replicates()).collect()
}

fn print_details(kills: &[Kill], survivor: &Survivor) {
    for kill in kills {
        println!("{} at the kill: {:?}\n{:#}", kill.victim.name(), kill.victim_status, kill.victim_stats);
    }
    println!("{} at the end: {:?}\n{:#}", survivor.node.name(), survivor.status, survivor.stats);
}
