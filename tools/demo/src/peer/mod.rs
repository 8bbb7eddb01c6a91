//! `--peer`: the second router is keepalived or ucarp on a plain Linux router, which has no states. The firewall is killed and the
//! router takes over; the firewall comes back as backup, the router loses its power, and the firewall takes over.

mod report;

use std::time::Duration;

use pfplane_testbed::capture::PortCapture;
use pfplane_testbed::clock::{self, MILLISECOND, Nanos, SECOND};
use pfplane_testbed::command;
use pfplane_testbed::failure::{Fallible, fail};
use pfplane_testbed::firewall::{Election, Firewall, Node, RolePoller, Settings};
use pfplane_testbed::network::Network;
use pfplane_testbed::router::{Peer, Router};
use pfplane_testbed::screen::Screen;
use pfplane_testbed::stalls::StallWatch;
use pfplane_testbed::traffic::handle::{Command, Traffic};
use pfplane_testbed::traffic::plan::Plan;
use pfplane_testbed::traffic::report::{Progress, TrafficReport};

use crate::arguments::Arguments;
use crate::mode::Mode;
use crate::peer::report::{Event, Report};
use crate::results::forwarding::Forwarding;
use crate::results::outcomes::{EventTimes, Times};
use crate::run::{MASTER, plan, progress_text, watch_until};
use crate::scenario::in_network;

const WATCH_INTERVAL: Duration = Duration::from_millis(20);
const OPEN_TIMEOUT: Nanos = 60 * SECOND;
/// Beyond three intervals and the delays of the router's program.
const TAKEOVER_TIMEOUT: Nanos = 10 * SECOND;
/// How long the routers run side by side before something happens: the backup must stay backup.
const CALM: Nanos = 3 * SECOND;
/// Connections that are opened once the firewall is master again.
const NEW_CONNECTIONS: u32 = 20;
const NEW_SECONDS: u64 = 2;

/// Refuses what a router without states and replication cannot show.
pub(crate) fn check(arguments: &Arguments, peer: Peer) -> Fallible<()> {
    let name = peer.name();
    let refused = [
        (arguments.mode != Mode::UnderLoad, arguments.mode.description()),
        (arguments.repeat.is_some(), "--repeat"),
        (arguments.kills.is_some(), "--kills"),
        (arguments.defer_ms > 0, "--defer"),
        (arguments.seal, "--seal"),
        (arguments.flood, "--flood"),
        (arguments.cut_before_kill_ms > 0, "--cut-before-kill"),
        (arguments.pause_backup_s > 0, "--pause-backup"),
        (arguments.lanes_b.is_some(), "--lanes-b"),
        (arguments.translation.description().is_some(), "translation"),
        (!arguments.capture, "--no-capture"),
    ];
    match refused.iter().find(|(is_set, _)| *is_set) {
        Some((_, what)) => fail(format!("--peer {name} does not combine with '{what}'")),
        None => Ok(()),
    }
}

/// Runs the demonstration beside `peer`. Returns whether it passed.
pub(crate) fn run(arguments: &Arguments, peer: Peer, election: Election) -> Fallible<bool> {
    let name = peer.name();
    if !command::exists(name) {
        return fail(format!("{name} is not installed; as root: apt-get install {name}"));
    }
    in_network(arguments, |network| PeerRun::start(network, arguments, peer, election)?.play())
}

/// What runs.
struct PeerRun<'a> {
    arguments: &'a Arguments,
    network: &'a Network,
    peer: Peer,
    election: Election,
    settings: Settings,
    plan: Plan,
    screen: Screen,
    ports: PortCapture,
    roles: RolePoller,
    stalls: StallWatch,
    firewall: Option<Firewall>,
    router: Router,
    client: Traffic,
    server: Traffic,
}

impl<'a> PeerRun<'a> {
    /// Starts the firewall, which becomes master, then the router.
    fn start(
        network: &'a Network,
        arguments: &'a Arguments,
        peer: Peer,
        election: Election,
    ) -> Fallible<PeerRun<'a>> {
        let settings = Settings { peer: Some(peer), replicates: false, ..arguments.firewall_settings() };
        let plan = Plan { ipv4_only: !peer.has_ipv6(), ..plan(arguments) };
        let screen = Screen::start();
        screen.print(&format!("seed {}; results in {}", plan.seed, arguments.out.display()));
        network.create()?;
        let ports = PortCapture::start(network)?;
        let mut firewall = Firewall::start(Node::A, network, &settings)?;
        firewall.wait_until(|status| status.role == MASTER)?;
        screen.print("firewall A started: master");
        let router = Router::start(peer, network, election, &arguments.out)?;
        let roles = RolePoller::beside(network, router.roles())?;
        screen.print(&format!("{} started on a Linux router without states", peer.name()));
        let server = Traffic::server(Some(network), &plan);
        let client = Traffic::client(Some(network), &plan);
        let firewall = Some(firewall);
        Ok(PeerRun {
            arguments,
            network,
            peer,
            election,
            settings,
            plan,
            screen,
            ports,
            roles,
            stalls: StallWatch::start()?,
            firewall,
            router,
            client,
            server,
        })
    }

    fn play(mut self) -> Fallible<bool> {
        self.open_connections()?;
        self.expect(Node::A)?;
        let kill = self.kill()?;
        self.run_traffic(self.after(kill))?;
        self.restart()?;
        let power_off = self.power_off()?;
        self.run_traffic(self.after(power_off))?;
        self.finish(vec![kill, power_off])
    }

    fn open_connections(&mut self) -> Fallible<()> {
        let pings = self.plan.families().len();
        self.wait_until("a ping through firewall A", |client, _| client.active_pings as usize == pings)?;
        self.client.send(Command::Open);
        let all = self.plan.connections;
        self.wait_until("data in both directions of every connection", |client, server| {
            client.with_data == all && server.with_data == all
        })?;
        self.screen.print(&format!("all {all} connections carry data in both directions"));
        self.run_traffic(CALM)
    }

    /// Returns the seconds of traffic after an event. TCP may stay silent for as long as the gap was.
    fn after(&self, times: EventTimes) -> Nanos {
        u64::from(self.arguments.seconds) * SECOND + 2 * (times.takeover - times.begin)
    }

    /// Fails when another router than `master` is master.
    fn expect(&self, master: Node) -> Fallible<()> {
        let [a, b] = [self.role_of_firewall(), self.router.roles().role()];
        let roles = if master == Node::A { [&a, &b] } else { [&b, &a] };
        if roles[0] == MASTER && roles[1] != MASTER {
            return Ok(());
        }
        fail(format!("firewall A is {a} and {} {b}; see their logs", self.peer.name()))
    }

    fn role_of_firewall(&self) -> String {
        let status = self.firewall.as_ref().and_then(|firewall| firewall.control.status().ok());
        status.map_or_else(|| "no answer".into(), |status| status.role)
    }

    fn mark(&self) {
        self.client.send(Command::Mark);
        self.server.send(Command::Mark);
    }

    /// Kills the firewall and waits until the router is master.
    fn kill(&mut self) -> Fallible<EventTimes> {
        self.mark();
        let Some(mut firewall) = self.firewall.take() else { return fail("firewall A does not run") };
        let begin = firewall.send_kill()?;
        let takeover = self.wait_for(|run| run.router.roles().role(), self.peer.name())?;
        let end = firewall.wait_for_death()?;
        self.print_takeover("firewall A is killed", self.peer.name(), begin, takeover);
        Ok(EventTimes { begin, end, takeover })
    }

    /// Starts the firewall again, which must stay backup.
    fn restart(&mut self) -> Fallible<()> {
        let mut firewall = Firewall::restart(Node::A, self.network, &self.settings)?;
        firewall.wait_until(|status| status.role == "backup")?;
        self.firewall = Some(firewall);
        self.screen.print("firewall A restarts as backup");
        self.run_traffic(CALM)?;
        self.expect(Node::B)
    }

    /// Takes the router's power away and waits until the firewall is master.
    fn power_off(&mut self) -> Fallible<EventTimes> {
        self.mark();
        let begin = self.router.power_off()?;
        let end = clock::now();
        let takeover = self.wait_for(PeerRun::role_of_firewall, "firewall A")?;
        let what = format!("{} loses its power", self.peer.name());
        self.print_takeover(&what, "firewall A", begin, takeover);
        Ok(EventTimes { begin, end, takeover })
    }

    fn print_takeover(&self, what: &str, who: &str, begin: Nanos, takeover: Nanos) {
        let ms = clock::milliseconds(takeover - begin);
        self.screen.print(&format!("{}: {who} is master {ms:.1} ms later", what.to_uppercase()));
    }

    fn wait_for(&self, role: impl Fn(&Self) -> String, who: &str) -> Fallible<Nanos> {
        let deadline = clock::now()
            + TAKEOVER_TIMEOUT
            + 3 * Nanos::from(self.election.interval_ms) * MILLISECOND
            + self.peer.delays();
        while role(self) != MASTER {
            if clock::now() > deadline {
                return fail(format!("{who} does not take over: it is {}", role(self)));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(clock::now())
    }

    /// Opens connections through the firewall, which is master again, and closes them after a while.
    fn new_connections(&mut self) -> Fallible<[TrafficReport; 2]> {
        let plan = Plan {
            seed: self.plan.seed.wrapping_add(1),
            connections: NEW_CONNECTIONS,
            udp_flows: 0,
            ping: false,
            base: clock::now(),
            ..self.plan.clone()
        };
        let mut server = Traffic::server(Some(self.network), &plan);
        let mut client = Traffic::client(Some(self.network), &plan);
        let deadline = clock::now() + OPEN_TIMEOUT;
        // Its first progress says that it accepts connections.
        while server.progress().is_none() {
            server.check_running()?;
            if clock::now() > deadline {
                return fail("the second traffic server does not start");
            }
            std::thread::sleep(WATCH_INTERVAL);
        }
        client.send(Command::Open);
        std::thread::sleep(Duration::from_secs(NEW_SECONDS));
        Ok([client.stop()?, server.stop()?])
    }

    fn finish(mut self, times: Vec<EventTimes>) -> Fallible<bool> {
        self.screen.print("closing all connections");
        let client = self.client.stop()?;
        let server = self.server.stop()?;
        self.screen.print(&format!("opening {NEW_CONNECTIONS} new connections through firewall A"));
        let new = self.new_connections()?;
        let times = Times { events: times, rejoin: None, stop: client.stopped };
        let roles = self.roles.finish()?;
        let frames = self.ports.finish()?;
        let mut problems = Vec::new();
        if let Some(mut firewall) = self.firewall.take() {
            let exit = firewall.quit()?;
            if !exit.success() {
                problems.push(format!("firewall A exited with {exit}; buffers are missing, see its log."));
            }
        }
        let masters = [[Node::A, Node::B], [Node::B, Node::A]];
        let forwarding = Forwarding::new(roles, Some(frames), self.stalls.finish()?, &masters, &times);
        let name = self.peer.name();
        let events = [
            Event {
                what: "kill of firewall A".into(),
                survivor: name,
                bound: self.peer.takeover_bound(self.election),
                delays: self.peer.delays(),
            },
            Event {
                what: format!("power-off of {name}"),
                survivor: "firewall A",
                bound: self.election.takeover_bound(Node::A),
                delays: Peer::Keepalived.delays(),
            },
        ];
        let report = Report {
            peer: self.peer,
            election: self.election,
            plan: &self.plan,
            events,
            times,
            forwarding,
            client: &client,
            server: &server,
            new,
            problems,
        };
        report.finish(&self.arguments.out)
    }

    fn run_traffic(&mut self, duration: Nanos) -> Fallible<()> {
        let end = clock::now() + duration;
        while clock::now() < end {
            self.watch()?;
        }
        Ok(())
    }

    fn wait_until(&mut self, what: &str, condition: impl Fn(&Progress, &Progress) -> bool) -> Fallible<()> {
        let out = &self.arguments.out;
        watch_until(what, OPEN_TIMEOUT, out, || self.watch(), condition)
    }

    fn watch(&mut self) -> Fallible<Option<(Progress, Progress)>> {
        std::thread::sleep(WATCH_INTERVAL);
        self.client.check_running()?;
        self.server.check_running()?;
        if let Some(firewall) = &mut self.firewall {
            firewall.check_running()?;
        }
        if self.router.roles().role() != pfplane_testbed::firewall::NO_ANSWER {
            self.router.check_running()?;
        }
        let both = self.client.progress().zip(self.server.progress());
        if let Some((client, server)) = &both
            && self.screen.status_is_due(SECOND)
        {
            self.screen.print(&progress_text(&self.plan, client, server));
        }
        Ok(both)
    }
}
