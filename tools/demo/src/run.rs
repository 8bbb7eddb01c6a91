//! Everything that runs during a demonstration, and the operations on it: start, wait, watch.

use std::path::Path;
use std::time::Duration;

use pfplane_testbed::capture::{Capture, PortCapture};
use pfplane_testbed::clock::{self, Nanos, SECOND};
use pfplane_testbed::failure::{Fallible, fail};
use pfplane_testbed::firewall::{Exposure, Firewall, Node, RolePoller, Settings, Status};
use pfplane_testbed::network::{Network, SERVER_V4, SERVER_V6};
use pfplane_testbed::screen::Screen;
use pfplane_testbed::stalls::StallWatch;
use pfplane_testbed::traffic::handle::Traffic;
use pfplane_testbed::traffic::keystream::random_seed;
use pfplane_testbed::traffic::plan::Plan;
use pfplane_testbed::traffic::report::Progress;

use crate::arguments::Arguments;
use crate::flood::Flood;
use crate::mode::Mode;

const IN_SYNC_TIMEOUT: Nanos = 15 * SECOND;
/// The role of a firewall that forwards.
pub(crate) const MASTER: &str = "master";
/// Connections that stalled together also send together; pings fill the time between, so that what the firewalls forward shows
/// when nobody did.
const DENSE_PING_MS: u64 = 2;
const WATCH_INTERVAL: Duration = Duration::from_millis(20);

/// Calls `watch` until the progress of client and server that it returns satisfies `condition`. The error names `what` was waited
/// for, and where the logs are.
pub(crate) fn watch_until(
    what: &str,
    timeout: Nanos,
    out: &Path,
    mut watch: impl FnMut() -> Fallible<Option<(Progress, Progress)>>,
    condition: impl Fn(&Progress, &Progress) -> bool,
) -> Fallible<()> {
    let deadline = clock::now() + timeout;
    loop {
        if let Some((client, server)) = watch()?
            && condition(&client, &server)
        {
            return Ok(());
        }
        if clock::now() > deadline {
            let out = out.display();
            return fail(format!("waited {} s for {what}; the logs are in {out}", timeout / SECOND));
        }
    }
}

/// The network, the firewalls and the traffic.
pub(crate) struct Run<'a> {
    pub arguments: &'a Arguments,
    pub network: &'a Network,
    pub settings: Settings,
    pub plan: Plan,
    pub screen: Screen,
    pub capture: Option<Capture>,
    pub ports: Option<PortCapture>,
    pub roles: Option<RolePoller>,
    pub stalls: Option<StallWatch>,
    /// What went wrong besides lost connections.
    pub problems: Vec<String>,
    /// The firewall that forwards.
    pub master: Node,
    /// A and B; `None` while one does not run.
    pub firewalls: [Option<Firewall>; 2],
    pub client: Traffic,
    pub server: Traffic,
    flood: Option<Flood>,
}

impl<'a> Run<'a> {
    /// Creates the network, starts the firewalls, and starts client and server, which wait for `open`.
    pub(crate) fn start(network: &'a Network, arguments: &'a Arguments) -> Fallible<Run<'a>> {
        let plan = plan(arguments);
        let settings = arguments.firewall_settings();
        let screen = Screen::start();
        screen.print(&format!("seed {}; results in {}", plan.seed, arguments.out.display()));
        network.create()?;
        arguments.translation.prepare(network)?;
        screen.print(&format!("network created: five namespaces, {}-*", network.prefix()));
        if let Some(description) = arguments.translation.description() {
            screen.print(description);
        }
        let capture = arguments.capture.then(|| Capture::start(network, &arguments.out)).transpose()?;
        let ports = arguments.capture.then(|| PortCapture::start(network)).transpose()?;
        let roles = Some(RolePoller::start(network)?);
        let stalls = Some(StallWatch::start()?);
        let late = arguments.mode == Mode::LateStart;
        let mut a = Firewall::start(Node::A, network, &settings)?;
        if settings.election.is_some() {
            // Whoever starts first is elected, whatever its priority.
            a.wait_until(|status| status.role == MASTER)?;
        }
        let mut b = (!late).then(|| Firewall::start(Node::B, network, &settings)).transpose()?;
        for firewall in [Some(&mut a), b.as_mut()].into_iter().flatten() {
            // Without B, A becomes ready only when it stops waiting for a peer; it forwards before that.
            let Status { role, lanes, mtu, .. } = firewall.wait_until(|status| status.ready || late)?;
            screen.print(&format!("{} started: {role}, {lanes} lanes, sync MTU {mtu}", firewall.name()));
        }
        let server = Traffic::server(Some(network), &plan);
        let client = Traffic::client(Some(network), &plan);
        let (master, firewalls) = (Node::A, [Some(a), b]);
        let flood = None;
        Ok(Run {
            arguments,
            network,
            settings,
            plan,
            screen,
            capture,
            ports,
            roles,
            stalls,
            problems: Vec::new(),
            master,
            firewalls,
            client,
            server,
            flood,
        })
    }

    /// Returns a firewall that runs.
    pub(crate) fn firewall(&mut self, node: Node) -> Fallible<&mut Firewall> {
        let missing = || fail(format!("{} does not run", node.name()));
        self.firewalls[node as usize].as_mut().map_or_else(missing, Ok)
    }

    pub(crate) fn status(&mut self, node: Node) -> Fallible<Status> {
        self.firewall(node)?.control.status()
    }

    /// Adds a firewall that was just started; it must load all of the master's states before it becomes ready.
    pub(crate) fn add_backup(&mut self, node: Node, mut firewall: Firewall) -> Fallible<()> {
        let Status { lanes, states, .. } = firewall.wait_until_ready()?;
        self.firewalls[node as usize] = Some(firewall);
        let of_master = self.status(self.master)?.states;
        let (name, master) = (node.name(), self.master.name());
        self.screen.print(&format!(
            "{name} is ready: {lanes} lanes, {states} states loaded in bulk ({master} has {of_master})"
        ));
        if states < u64::from(self.arguments.connections) {
            return fail(format!("{name} reports ready with {states} of {master}'s {of_master} states"));
        }
        Ok(())
    }

    /// Waits until the backup has the master's states. After a timeout the run continues and shows the cost.
    pub(crate) fn wait_until_in_sync(&mut self) -> Fallible<()> {
        if !self.arguments.mode.replicates() {
            self.screen.print("replication is off: the backup has no states");
            return Ok(());
        }
        let (master, backup) = (self.master, self.master.other());
        let deadline = clock::now() + IN_SYNC_TIMEOUT;
        loop {
            let (original, copy) = (self.status(master)?, self.status(backup)?);
            let in_sync = original.unsent_inserts == 0 && copy.states >= original.states;
            if in_sync || clock::now() > deadline {
                self.screen.print(&format!(
                    "{}: {} has {} states ({} new ones not sent yet), {} has {}",
                    if in_sync { "in sync" } else { "NOT in sync" },
                    master.name(),
                    original.states,
                    original.unsent_inserts,
                    backup.name(),
                    copy.states
                ));
                return Ok(());
            }
            self.watch()?;
        }
    }

    /// Starts the SYN flood, if there is one.
    pub(crate) fn start_flood(&mut self) -> Fallible<()> {
        if self.arguments.flood {
            self.flood = Some(Flood::start(self.network)?);
            self.screen.print("a SYN flood from invented addresses begins");
        }
        Ok(())
    }

    /// Ends the SYN flood.
    pub(crate) fn stop_flood(&mut self) -> Fallible<()> {
        let Some(flood) = self.flood.take() else { return Ok(()) };
        let sent = flood.stop()?;
        self.screen.print(&format!("the SYN flood ends after {sent} SYNs"));
        Ok(())
    }

    /// Pauses firewall B for a time while the traffic continues.
    pub(crate) fn pause_backup(&mut self, seconds: u32) -> Fallible<()> {
        self.firewall(Node::B)?.pause(true)?;
        self.screen.print(&format!("firewall B is paused for {seconds} s"));
        let result = self.run_traffic(u64::from(seconds) * SECOND);
        self.firewall(Node::B)?.pause(false)?;
        result?;
        let (a, b) = (self.status(Node::A)?.states, self.status(Node::B)?);
        let ready = if b.ready { "ready".into() } else { format!("not ready ({})", b.reasons.join(", ")) };
        self.screen.print(&format!("firewall B continues, {ready}: {} states, firewall A has {a}", b.states));
        Ok(())
    }

    /// Lets the traffic continue for `duration`.
    pub(crate) fn run_traffic(&mut self, duration: Nanos) -> Fallible<()> {
        let end = clock::now() + duration;
        while clock::now() < end {
            self.watch()?;
        }
        Ok(())
    }

    /// Waits until the progress of client and server satisfies `condition`.
    pub(crate) fn wait_until(
        &mut self,
        what: &str,
        timeout: Nanos,
        condition: impl Fn(&Progress, &Progress) -> bool,
    ) -> Fallible<()> {
        let out = &self.arguments.out;
        watch_until(what, timeout, out, || self.watch(), condition)
    }

    /// Sleeps briefly, checks that everything still runs, and prints a status line once a second.
    fn watch(&mut self) -> Fallible<Option<(Progress, Progress)>> {
        std::thread::sleep(WATCH_INTERVAL);
        self.client.check_running()?;
        self.server.check_running()?;
        self.firewalls.iter_mut().flatten().try_for_each(Firewall::check_running)?;
        let both = self.client.progress().zip(self.server.progress());
        if let Some((client, server)) = &both
            && self.screen.status_is_due(SECOND)
        {
            let exposure =
                self.firewalls[self.master as usize].as_ref().map(Firewall::exposure).transpose()?;
            let exposed = exposure.filter(|_| self.arguments.mode.replicates()).map_or_else(
                String::new,
                |Exposure { connections, changes, .. }| {
                    format!("; exposed now: {connections} connections, {changes} changes")
                },
            );
            self.screen.print(&format!("{}{exposed}", progress_text(&self.plan, client, server)));
        }
        Ok(both)
    }
}

/// Returns the progress of the traffic in one line.
pub(crate) fn progress_text(plan: &Plan, client: &Progress, server: &Progress) -> String {
    let Plan { connections, udp_flows, .. } = *plan;
    format!(
        "  {established}/{connections} open, {active} active, {failed} failed; UDP {flows}/{udp_flows}, \
         ping {active_pings}/{pings}; {megabytes:.1} MB checked, {wrong} bytes wrong",
        established = client.established,
        active = client.active.min(server.active),
        failed = client.failed + server.failed,
        flows = client.active_flows,
        active_pings = client.active_pings,
        pings = plan.families().len(),
        megabytes = (client.received + server.received) as f64 / 1e6,
        wrong = client.wrong + server.wrong,
    )
}

/// Returns the traffic that the arguments describe.
pub(crate) fn plan(arguments: &Arguments) -> Plan {
    Plan {
        seed: arguments.seed.unwrap_or_else(random_seed),
        connections: arguments.connections,
        udp_flows: arguments.udp_flows,
        ping: true,
        interval_ms: Plan::interval_for(arguments.connections),
        ping_interval_ms: if arguments.mode == Mode::Switch { 1 } else { DENSE_PING_MS },
        // Half of the connections must be opened during the cut, which the firewalls detect within 100 ms.
        open_per_second: match arguments.mode {
            Mode::CutSync => u64::from(arguments.connections / 6).clamp(5, 500),
            // Some connections are opened before the pause and after it.
            _ if arguments.pause_backup_s > 0 => {
                u64::from(arguments.connections / (arguments.pause_backup_s + 2)).clamp(5, 500)
            }
            _ => Plan::rate_for(arguments.connections),
        },
        server_v4: SERVER_V4.parse().expect("an address"),
        server_v6: SERVER_V6.parse().expect("an address"),
        nat64: arguments.translation.nat64_server(),
        base: clock::now(),
        ..Plan::default()
    }
}
