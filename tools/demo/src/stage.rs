//! All that is running in a demonstration, and what can be done to it: wait, look, start, kill, hand over.

use std::os::unix::fs::DirBuilderExt;

use crate::arguments::Arguments;
use crate::capture::Capture;
use crate::clock::{self, MILLISECOND, Nanos, SECOND, milliseconds};
use crate::control::Status;
use crate::exposure::Exposure;
use crate::failure::{Because, Outcome, fail};
use crate::fates::Death;
use crate::firewall::{Firewall, Letter};
use crate::mode::Mode;
use crate::namespaces::{Namespaces, SERVER_V4, SERVER_V6};
use crate::report::Kill;
use crate::screen::Screen;
use crate::sweeper::run_folder;
use crate::takeover::take_over;
use crate::traffic::plan::Plan;
use crate::traffic::report::Progress;
use crate::traffic_end::TrafficEnd;
use pfplane_testkit::random::mix;

const TCP_PORT: u16 = 5000;
const UDP_PORT: u16 = 5001;
/// Longer than any gap that a takeover may make; shorter than a person's patience with a dead connection.
const USER_TIMEOUT_MS: u32 = 20_000;
const BUCKET_MS: u64 = 50;

const PATIENCE_STEADY: Nanos = 15 * SECOND;

/// The network, the firewalls, the traffic.
pub struct Stage<'a> {
    /// What was asked for.
    pub arguments: &'a Arguments,
    /// Where it runs.
    pub namespaces: &'a Namespaces,
    /// The traffic.
    pub plan: Plan,
    /// Where it is told.
    pub screen: Screen,
    /// The sync link's recording.
    pub capture: Option<Capture>,
    /// Who forwards.
    pub master: Letter,
    /// A and B; nothing for one that is not there now.
    firewalls: [Option<Firewall>; 2],
    /// One end of the traffic.
    pub client: TrafficEnd,
    /// The other end.
    pub server: TrafficEnd,
}

impl<'a> Stage<'a> {
    /// Builds it all up to two ends that wait for the order to begin.
    pub fn set_up(namespaces: &'a Namespaces, arguments: &'a Arguments) -> Outcome<Stage<'a>> {
        let plan = plan(arguments);
        let screen = Screen::new(&plan);
        screen.say(&format!("seed {}; results go to {}", plan.seed, arguments.out.display()));
        let folder = run_folder(namespaces);
        let mut private = std::fs::DirBuilder::new();
        private.mode(0o700).create(&folder).because(|| format!("make {}", folder.display()))?;
        namespaces.make()?;
        arguments.translation.prepare(namespaces)?;
        if let Some(sentence) = arguments.translation.sentence() {
            screen.say(sentence);
        }
        screen.say(&format!("five namespaces, {}-*, and the links between them", namespaces.prefix()));
        let capture = arguments.capture.then(|| Capture::start(namespaces, &arguments.out)).transpose()?;
        let mut a = Firewall::start(Letter::A, namespaces, arguments)?;
        let late = arguments.mode == Mode::LateStart;
        let start_b = || Firewall::start(Letter::B, namespaces, arguments);
        let mut b = (!late).then(start_b).transpose()?;
        for firewall in [Some(&mut a), b.as_mut()].into_iter().flatten() {
            // Alone, A is ready only when it has given up on a peer; it forwards all the same.
            let Status { role, lanes, mtu, .. } = firewall.wait_until(|status| status.ready || late)?;
            screen.say(&format!("{} is up: {role}, {lanes} lanes, sync MTU {mtu}", firewall.name()));
        }
        let server = TrafficEnd::server(namespaces, &plan, &arguments.out)?;
        let client = TrafficEnd::client(namespaces, &plan, &arguments.out)?;
        let (master, firewalls) = (Letter::A, [Some(a), b]);
        Ok(Stage { arguments, namespaces, plan, screen, capture, master, firewalls, client, server })
    }

    /// A firewall that must be there.
    pub fn firewall(&mut self, letter: Letter) -> Outcome<&mut Firewall> {
        let missing = || fail(format!("{} is not there", letter.name()));
        self.firewalls[letter as usize].as_mut().map_or_else(missing, Ok)
    }

    /// Its status.
    pub fn status(&mut self, letter: Letter) -> Outcome<Status> {
        self.firewall(letter)?.control.status()
    }

    /// Puts a firewall that was just started into the row, which finds a full table at the master and must load all of
    /// it before it calls itself ready.
    pub fn join_in_bulk(&mut self, letter: Letter, mut firewall: Firewall) -> Outcome<()> {
        let Status { role, lanes, states, .. } = firewall.wait_until_ready()?;
        self.firewalls[letter as usize] = Some(firewall);
        let (master, there) = (self.master, self.status(self.master)?.states);
        let (name, whose) = (letter.name(), master.name());
        self.screen.say(&format!(
            "{name} has loaded {states} states in bulk of {whose}'s {there} and is ready: {role}, {lanes} lanes"
        ));
        if states < u64::from(self.arguments.connections) {
            return fail(format!("{name} calls itself ready with {states} of {whose}'s {there} states"));
        }
        Ok(())
    }

    /// The backup must hold what the master holds. When it does not get there the run goes on: it shows the cost.
    pub fn wait_until_steady(&mut self) -> Outcome<()> {
        if !self.arguments.mode.replicates() {
            self.screen.say("replication is off: nothing to wait for");
            return Ok(());
        }
        let (master, heir) = (self.master, self.master.other());
        let deadline = clock::now() + PATIENCE_STEADY;
        loop {
            let (full, copy) = (self.status(master)?, self.status(heir)?);
            let steady = full.unsent_inserts == 0 && copy.states >= full.states;
            if steady || clock::now() > deadline {
                let word = if steady { "steady" } else { "NOT steady" };
                self.screen.say(&format!(
                    "{word}: {} has {} states ({} new ones unsent), {} {}",
                    master.name(),
                    full.states,
                    full.unsent_inserts,
                    heir.name(),
                    copy.states
                ));
                return Ok(());
            }
            self.watch()?;
        }
    }

    /// Kills the master; the other one takes over.
    pub fn kill_master(&mut self) -> Outcome<Kill> {
        let (victim, heir) = (self.master, self.master.other());
        let at_kill = self.status(victim)?;
        let heir_at_kill = self.status(heir)?;
        let stats = self.firewall(victim)?.control.ask("stats")?;
        self.client.order("mark")?;
        self.server.order("mark")?;
        let (kill, dead) = self.firewall(victim)?.kill()?;
        let announced = self.firewall(victim)?.exposure()?;
        self.firewalls[victim as usize] = None;
        take_over(&self.firewall(heir)?.control)?;
        let takeover = clock::now();
        self.master = heir;
        self.say_killed(victim, &at_kill, announced);
        self.screen.say(&format!(
            "{} has taken over, {:.1} ms after the kill; the dead process was gone after {:.1} ms",
            heir.name(),
            milliseconds(takeover - kill),
            milliseconds(dead - kill)
        ));
        Ok(Kill { victim, death: Death { kill, dead, takeover }, announced, at_kill, stats, heir_at_kill })
    }

    fn say_killed(&self, victim: Letter, at_kill: &Status, announced: Exposure) {
        let (states, Exposure { connections, changes, oldest_ns }) = (at_kill.states, announced);
        let untold = match self.arguments.mode.replicates() {
            true => format!(
                "announced last as exposed: {connections} connections, {changes} changes, the oldest for {:.1} ms",
                milliseconds(oldest_ns)
            ),
            false => "told to nobody".to_owned(),
        };
        self.screen
            .say(&format!("{} was killed (SIGKILL) with {states} states in it; {untold}", victim.name()));
    }

    /// Lets the traffic flow for a while.
    pub fn traffic_for(&mut self, duration: Nanos) -> Outcome<()> {
        let end = clock::now() + duration;
        while clock::now() < end {
            self.watch()?;
        }
        Ok(())
    }

    /// Waits until the traffic's progress satisfies `enough`.
    pub fn until(
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
        self.firewalls.iter_mut().flatten().try_for_each(Firewall::must_run)?;
        let both = self.client.progress().zip(self.server.progress());
        if let Some((client, server)) = &both
            && self.screen.is_due()
        {
            let exposure =
                self.firewalls[self.master as usize].as_ref().map(Firewall::exposure).transpose()?;
            self.screen.show(client, server, exposure.filter(|_| self.arguments.mode.replicates()));
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
        nat64: arguments.translation.server_for_ipv6_only(),
        tcp_port: TCP_PORT,
        udp_port: UDP_PORT,
        user_timeout_ms: USER_TIMEOUT_MS,
        bucket_ms: BUCKET_MS,
        base,
    }
}
