//! The sequence of a demonstration: network, firewalls, connections, faults, takeovers, judgement.

use pfplane_testbed::capture::{self, Capture, CaptureCheck, PortCapture};
use pfplane_testbed::clock::{self, Nanos, SECOND};
use pfplane_testbed::failure::{Context, Fallible, fail};
use pfplane_testbed::firewall::{Firewall, Node, RolePoller};
use pfplane_testbed::network::Network;
use pfplane_testbed::network::cleanup::Cleanup;
use pfplane_testbed::stalls::StallWatch;
use pfplane_testbed::traffic::handle::Command;

use crate::arguments::Arguments;
use crate::fault::{self, Fault};
use crate::mode::Mode;
use crate::results::forwarding::Forwarding;
use crate::results::handover;
use crate::results::outcomes::{Outcome, Times, lost_per_event, outcomes};
use crate::results::report::{Event, Report, Survivor};
use crate::results::timeline::Timeline;
use crate::results::verdict::{Evidence, Loss, judge};
use crate::run::Run;

const PATH_TIMEOUT: Nanos = 15 * SECOND;
const OPEN_TIMEOUT: Nanos = 60 * SECOND;
const WARM_UP: Nanos = 3 * SECOND;
/// Time in which the flood fills the tables.
const FLOOD_BEFORE_KILL: Nanos = 10 * SECOND;

/// The result of a run.
pub(crate) struct RunResult {
    pub passed: bool,
    /// What each fault lost; empty without replication.
    pub losses: Vec<Loss>,
}

/// Runs one demonstration.
pub(crate) fn run(arguments: &Arguments) -> Fallible<RunResult> {
    in_network(arguments, |network| Run::start(network, arguments).and_then(Run::play))
}

/// Runs something that creates the network, and deletes the network afterwards.
pub(crate) fn in_network<T>(
    arguments: &Arguments,
    play: impl FnOnce(&Network) -> Fallible<T>,
) -> Fallible<T> {
    let suffix = std::process::id().to_string();
    let network = Network::named(&suffix);
    std::fs::create_dir_all(&arguments.out).context(|| format!("create {}", arguments.out.display()))?;
    // Created first, so dropped last.
    let mut cleanup = Cleanup::start(&suffix)?;
    let result = play(&network);
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
        let (mut events, mut rejoin) = (Vec::new(), None);
        for (index, fault) in self.arguments.faults().into_iter().enumerate() {
            if index > 0 {
                self.screen.print(&format!("event {} of {}", index + 1, self.arguments.faults().len()));
                if self.firewalls.iter().any(Option::is_none) {
                    let ready = self.restart_victim()?;
                    rejoin.get_or_insert(ready);
                }
                self.wait_until_in_sync()?;
            }
            events.push(self.cause_and_continue(fault)?);
        }
        self.finish(events, rejoin)
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

    fn cause_and_continue(&mut self, fault: Fault) -> Fallible<Event> {
        let event = self.cause(fault)?;
        // TCP doubles its retransmission timeout, so it may stay silent for as long as the gap was. On a busy machine a
        // killed process takes seconds to exit.
        let gap = if fault == Fault::Kill { event.times.takeover - event.times.begin } else { 0 };
        self.run_traffic(u64::from(self.arguments.seconds) * SECOND + 2 * gap)?;
        Ok(event)
    }

    /// Restarts the firewall that has ended, which loads all states. Returns the time when it was ready.
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

    fn finish(mut self, events: Vec<Event>, rejoin: Option<Nanos>) -> Fallible<RunResult> {
        self.stop_flood()?;
        self.screen.print("closing all connections");
        let client = self.client.stop()?;
        let server = self.server.stop()?;
        let times =
            Times { events: events.iter().map(|event| event.times).collect(), rejoin, stop: client.stopped };
        let survivor = self.survivor()?;
        if self.arguments.verbose {
            print_details(&events, &survivor);
        }
        let roles = self.roles.take().map(RolePoller::finish).transpose()?.unwrap_or_default();
        let frames = self.ports.take().map(PortCapture::finish).transpose()?;
        let masters: Vec<[Node; 2]> = events.iter().map(|event| [event.victim, event.master_after]).collect();
        let stalls = self.stalls.take().map(StallWatch::finish).transpose()?.unwrap_or_default();
        let forwarding = Forwarding::new(roles, frames, stalls, &masters, &times);
        let mut problems = std::mem::take(&mut self.problems);
        problems.extend(handover::problems(self.arguments, &events, &forwarding, &client.probes));
        problems.extend(self.quit_all()?);
        let capture = self.capture.take().map(Capture::finish).transpose()?;
        let capture = capture.as_deref().and_then(capture::check);
        problems.extend(capture.as_ref().and_then(|check| self.capture_problem(check)));
        let outcomes = outcomes(&client, &server, &times);
        let arguments = self.arguments;
        let evidence = Evidence {
            expectation: arguments.mode.expectation(arguments.defer_ms > 0),
            requested: arguments.connections,
            losses: losses(&events, &outcomes, arguments.mode),
            outcomes: &outcomes,
            probes: &client.probes,
            times,
            event: fault::describe(&arguments.faults()),
            problems,
        };
        let verdict = judge(&evidence);
        let plan = &self.plan;
        let report = Report { arguments, plan, evidence, verdict, events, survivor, forwarding, capture };
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

    /// Lets all firewalls exit, the backup first. Their exit status reports missing buffers.
    fn quit_all(&mut self) -> Fallible<Vec<String>> {
        let mut problems = Vec::new();
        for node in [self.master.other(), self.master] {
            let Some(firewall) = &mut self.firewalls[node as usize] else { continue };
            let (exit, name) = (firewall.quit()?, firewall.name());
            if !exit.success() {
                problems.push(format!("{name} exited with {exit}; buffers are missing, see its log."));
            }
        }
        Ok(problems)
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

/// Returns what each fault lost; empty without replication, where nothing is published as exposed, and with a partition,
/// where two firewalls change the states.
fn losses(events: &[Event], outcomes: &[Outcome], mode: Mode) -> Vec<Loss> {
    let lost = lost_per_event(outcomes, events.len());
    let losses =
        events.iter().zip(lost).map(|(event, lost)| Loss { exposed: event.exposure.connections, lost });
    losses.filter(|_| mode.replicates() && mode != Mode::Partition).collect()
}

fn print_details(events: &[Event], survivor: &Survivor) {
    for event in events {
        let name = event.fault.of(event.victim);
        println!("{name}, before: {:?}\n{:#}", event.victim_status, event.victim_stats);
    }
    println!("{} at the end: {:?}\n{:#}", survivor.node.name(), survivor.status, survivor.stats);
}
