//! The story: build the network, start two firewalls, open the connections, kill one firewall, hand over, look.

use std::os::unix::fs::DirBuilderExt;

use serde_json::Value;

use crate::arguments::Arguments;
use crate::capture::{self, Capture, Judgement};
use crate::clock::{self, MILLISECOND, Nanos, SECOND, milliseconds};
use crate::control::Status;
use crate::failure::{Because, Outcome, fail};
use crate::fates::{Moments, fates};
use crate::firewall::{Firewall, Letter};
use crate::mode::Mode;
use crate::namespaces::{Namespaces, SERVER_V4, SERVER_V6};
use crate::report::{Firewalls, Report};
use crate::screen::Screen;
use crate::sweeper::{Sweeper, run_folder};
use crate::takeover::take_over;
use crate::timeline::Timeline;
use crate::traffic::keystream::mix;
use crate::traffic::plan::Plan;
use crate::traffic::report::Progress;
use crate::traffic_end::TrafficEnd;
use crate::verdict::{Evidence, judge};

const TCP_PORT: u16 = 5000;
const UDP_PORT: u16 = 5001;
/// Longer than any gap that a takeover may make; shorter than a person's patience with a dead connection.
const USER_TIMEOUT_MS: u32 = 20_000;
const BUCKET_MS: u64 = 50;

const PATIENCE_PATH: Nanos = 15 * SECOND;
const PATIENCE_OPENING: Nanos = 60 * SECOND;
const PATIENCE_STEADY: Nanos = 15 * SECOND;
const WARM_UP: Nanos = 3 * SECOND;

/// Runs it all. `true` when everything was as it must be.
pub fn run(arguments: &Arguments) -> Outcome<bool> {
    let suffix = std::process::id().to_string();
    let namespaces = Namespaces::named(&suffix);
    std::fs::create_dir_all(&arguments.out).because(|| format!("make {}", arguments.out.display()))?;
    // Made first, so dropped last: whatever is below may fail at any point.
    let mut sweeper = Sweeper::start(&suffix)?;
    let result = Stage::set_up(&namespaces, arguments).and_then(Stage::play);
    if arguments.keep {
        sweeper.keep();
        println!("the namespaces stand; `ip netns list` names them, and this removes them:");
        println!("  for n in {}; do ip netns del $n; done", namespaces.names().join(" "));
    }
    result
}

/// All that is running.
struct Stage<'a> {
    arguments: &'a Arguments,
    namespaces: &'a Namespaces,
    plan: Plan,
    screen: Screen,
    capture: Option<Capture>,
    a: Firewall,
    /// Not there yet when it is to start late.
    b: Option<Firewall>,
    client: TrafficEnd,
    server: TrafficEnd,
}

impl<'a> Stage<'a> {
    fn set_up(namespaces: &'a Namespaces, arguments: &'a Arguments) -> Outcome<Stage<'a>> {
        let plan = plan(arguments);
        let screen = Screen::new(arguments.connections, arguments.udp_flows);
        screen.say(&format!("seed {}; results go to {}", plan.seed, arguments.out.display()));
        let folder = run_folder(namespaces);
        let mut private = std::fs::DirBuilder::new();
        private.mode(0o700).create(&folder).because(|| format!("make {}", folder.display()))?;
        namespaces.make()?;
        screen.say(&format!("five namespaces, {}-*, and the links between them", namespaces.prefix()));
        let capture = arguments.capture.then(|| Capture::start(namespaces, &arguments.out)).transpose()?;
        let mut a = Firewall::start(Letter::A, namespaces, arguments)?;
        let start_b = || Firewall::start(Letter::B, namespaces, arguments);
        let late = arguments.mode == Mode::LateStart;
        let mut b = (!late).then(start_b).transpose()?;
        for firewall in [Some(&mut a), b.as_mut()].into_iter().flatten() {
            // Alone, A is ready only when it has given up on a peer; it forwards all the same.
            let Status { role, lanes, mtu, .. } = firewall.wait_until(|status| status.ready || late)?;
            screen.say(&format!("{} is up: {role}, {lanes} lanes, sync MTU {mtu}", firewall.name()));
        }
        let server = TrafficEnd::server(namespaces, &plan, &arguments.out)?;
        let client = TrafficEnd::client(namespaces, &plan, &arguments.out)?;
        Ok(Stage { arguments, namespaces, plan, screen, capture, a, b, client, server })
    }

    fn play(mut self) -> Outcome<bool> {
        self.wait_for_the_path()?;
        self.client.order("open")?;
        match self.arguments.mode {
            Mode::DuringSetup => self.wait_until_half_open()?,
            Mode::CutSync => self.cut_while_opening()?,
            _ => self.wait_until_all_carry_data()?,
        }
        if self.arguments.mode == Mode::LateStart {
            self.start_b_late()?;
        }
        if self.arguments.mode != Mode::DuringSetup {
            self.wait_until_steady()?;
        }
        let a_at_kill = self.a.control.status()?;
        let b_at_kill = self.b()?.control.status()?;
        let a_stats = self.a.control.ask("stats")?;
        let (kill, dead, takeover) = self.kill_and_take_over(&a_at_kill)?;
        self.traffic_for(u64::from(self.arguments.seconds) * SECOND)?;
        self.finish(Firewalls { a_at_kill, a_stats, b_at_kill }, Moments { kill, dead, takeover, stop: 0 })
    }

    /// Both pings must come back before anything is built on the path.
    fn wait_for_the_path(&mut self) -> Outcome<()> {
        self.until("a ping in both families through firewall A", PATIENCE_PATH, |client, _| {
            client.lively_pings == 2
        })?;
        self.screen.say("pings go through firewall A in both families; opening connections");
        Ok(())
    }

    fn wait_until_half_open(&mut self) -> Outcome<()> {
        let half = (self.arguments.connections / 2).max(1);
        self.until("half of the connections", PATIENCE_OPENING, |client, _| client.established >= half)
    }

    fn b(&self) -> Outcome<&Firewall> {
        self.b.as_ref().map_or_else(|| fail("firewall B was not started"), Ok)
    }

    /// B finds a full table at A and must load all of it before it calls itself ready.
    fn start_b_late(&mut self) -> Outcome<()> {
        let mut b = Firewall::start(Letter::B, self.namespaces, self.arguments)?;
        let Status { role, lanes, states, .. } = b.wait_until_ready()?;
        let a = self.a.control.status()?;
        self.screen.say(&format!(
            "firewall B started late and is ready: {role}, {lanes} lanes, {states} states in bulk of A's {}",
            a.states
        ));
        self.b = Some(b);
        if states < u64::from(self.arguments.connections) {
            return fail(format!("firewall B calls itself ready with {states} of A's {} states", a.states));
        }
        Ok(())
    }

    /// The second half of the connections is opened while the firewalls cannot hear each other.
    fn cut_while_opening(&mut self) -> Outcome<()> {
        self.wait_until_half_open()?;
        self.namespaces.set_sync_link(false)?;
        self.screen.say("the sync link is cut");
        self.wait_until_all_carry_data()?;
        let (a, b) = (self.a.control.status()?, self.b()?.control.status()?);
        self.screen
            .say(&format!("during the cut firewall A has {} states, firewall B {}", a.states, b.states));
        self.namespaces.set_sync_link(true)?;
        self.screen.say("the sync link is mended");
        if b.states >= a.states {
            return fail("the cut kept no state from firewall B: it shows nothing; take more --connections");
        }
        Ok(())
    }

    fn wait_until_all_carry_data(&mut self) -> Outcome<()> {
        let all = self.arguments.connections;
        self.until("data on every connection both ways", PATIENCE_OPENING, |client, server| {
            client.heard == all && server.heard == all
        })?;
        self.screen.say(&format!("all {all} connections carry data both ways"));
        self.traffic_for(WARM_UP)
    }

    /// The survivor must hold what the master holds. When it does not get there the run goes on: it shows the cost.
    fn wait_until_steady(&mut self) -> Outcome<()> {
        if !self.arguments.mode.replicates() {
            self.screen.say("replication is off: nothing to wait for");
            return Ok(());
        }
        let deadline = clock::now() + PATIENCE_STEADY;
        loop {
            let (a, b) = (self.a.control.status()?, self.b()?.control.status()?);
            let steady = a.unsent_inserts == 0 && b.states >= a.states;
            if steady || clock::now() > deadline {
                let word = if steady { "steady" } else { "NOT steady" };
                self.screen.say(&format!(
                    "{word}: firewall A has {} states ({} new ones unsent), firewall B {}",
                    a.states, a.unsent_inserts, b.states
                ));
                return Ok(());
            }
            self.watch()?;
        }
    }

    fn kill_and_take_over(&mut self, at_kill: &Status) -> Outcome<(Nanos, Nanos, Nanos)> {
        self.client.order("mark")?;
        self.server.order("mark")?;
        let (kill, dead) = self.a.kill()?;
        take_over(&self.b()?.control)?;
        let takeover = clock::now();
        self.screen.say(&format!("firewall A was killed with {} states in it (SIGKILL)", at_kill.states));
        self.screen.say(&format!(
            "firewall B has taken over, {:.1} ms after the kill",
            milliseconds(takeover - kill)
        ));
        Ok((kill, dead, takeover))
    }

    fn traffic_for(&mut self, duration: Nanos) -> Outcome<()> {
        let end = clock::now() + duration;
        while clock::now() < end {
            self.watch()?;
        }
        Ok(())
    }

    fn finish(mut self, firewalls: Firewalls, mut moments: Moments) -> Outcome<bool> {
        self.screen.say("ending the traffic: every connection says goodbye");
        let client = self.client.stop()?;
        let server = self.server.stop()?;
        moments.stop = client.stopped;
        let b_after = self.b()?.control.status()?;
        let b_stats = self.b()?.control.ask("stats")?;
        if self.arguments.verbose {
            self.print_details(&firewalls, &b_after, &b_stats);
        }
        let mut complaints = Vec::new();
        complaints.extend(self.send_b_home()?);
        let capture = self.capture.take().map(Capture::finish).transpose()?;
        let judgement = capture.as_deref().and_then(capture::check);
        complaints.extend(judgement.as_ref().and_then(|judgement| self.complaint_of(judgement)));
        let fates = fates(&client, &server, &moments);
        let (expectation, wanted) = (self.arguments.mode.expectation(), self.arguments.connections);
        let evidence =
            Evidence { expectation, wanted, fates: &fates, probes: &client.probes, moments, complaints };
        let report = Report {
            arguments: self.arguments,
            plan: &self.plan,
            verdict: judge(&evidence),
            fates: &fates,
            probes: &client.probes,
            moments,
            firewalls,
            b_after,
            b_stats,
            capture: judgement,
        };
        report.write(&self.arguments.out)?;
        Timeline { report: &report, client: &client, server: &server }.write(&self.arguments.out)?;
        report.print();
        Ok(report.verdict.as_hoped)
    }

    /// The survivor leaves in order and counts its buffers: a missing one fails the run.
    fn send_b_home(&mut self) -> Outcome<Option<String>> {
        let Some(b) = &mut self.b else { return fail("firewall B was not started") };
        let exit = b.quit()?;
        Ok((!exit.success())
            .then(|| format!("firewall B did not leave cleanly ({exit}): buffers are missing, see its log.")))
    }

    /// With replication there must be frames, and they must be well formed; without, there must be none.
    fn complaint_of(&self, judgement: &Judgement) -> Option<String> {
        let words = &judgement.words;
        match (judgement.well_formed, judgement.empty != self.arguments.mode.replicates()) {
            (true, true) => None,
            (false, _) => Some(format!("the sync link's capture holds malformed frames: {words}.")),
            (true, false) if judgement.empty => Some("nothing was sent on the sync link.".into()),
            (true, false) => {
                Some(format!("replication is off, and yet the sync link carried frames: {words}."))
            }
        }
    }

    fn print_details(&self, firewalls: &Firewalls, b_after: &Status, b_stats: &Value) {
        let a = &firewalls.a_at_kill;
        println!("firewall A at the kill: {a:?}\n{:#}", firewalls.a_stats);
        println!("firewall B at the end: {b_after:?}\n{b_stats:#}");
    }

    /// Waits until the traffic's progress satisfies `enough`.
    fn until(
        &mut self,
        what: &str,
        patience: Nanos,
        enough: impl Fn(&Progress, &Progress) -> bool,
    ) -> Outcome<()> {
        let deadline = clock::now() + patience;
        loop {
            if let Some((client, server)) = self.watch()?
                && enough(&client, &server)
            {
                return Ok(());
            }
            if clock::now() > deadline {
                let logs = self.arguments.out.display();
                return fail(format!("waited {} s for {what}; logs are in {logs}", patience / SECOND));
            }
        }
    }

    /// One short look at everything that must be running.
    fn watch(&mut self) -> Outcome<Option<(Progress, Progress)>> {
        std::thread::sleep(std::time::Duration::from_nanos(20 * MILLISECOND));
        self.client.must_run()?;
        self.server.must_run()?;
        if let Some(b) = &mut self.b {
            b.must_run()?;
        }
        let both = self.client.progress().zip(self.server.progress());
        if let Some((client, server)) = &both {
            self.screen.show(client, server);
        }
        Ok(both)
    }
}

fn plan(arguments: &Arguments) -> Plan {
    let base = clock::now();
    Plan {
        seed: arguments.seed.unwrap_or_else(|| mix(base ^ u64::from(std::process::id()) << 32)),
        connections: arguments.connections,
        udp_flows: arguments.udp_flows,
        ping: true,
        interval_ms: Plan::interval_for(arguments.connections),
        // Half of them must fall into the cut, which the firewalls notice within a tenth of a second.
        open_per_second: match arguments.mode {
            Mode::CutSync => u64::from(arguments.connections / 6).clamp(5, 500),
            _ => Plan::rate_for(arguments.connections),
        },
        server_v4: SERVER_V4.parse().expect("an address"),
        server_v6: SERVER_V6.parse().expect("an address"),
        tcp_port: TCP_PORT,
        udp_port: UDP_PORT,
        user_timeout_ms: USER_TIMEOUT_MS,
        bucket_ms: BUCKET_MS,
        base,
    }
}
