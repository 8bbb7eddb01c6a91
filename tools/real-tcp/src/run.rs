//! One run: the network, two firewalls, the traffic in phases, perhaps forged segments, perhaps a kill, and the results.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use pfplane_testbed::clock::{self, MILLISECOND, Nanos, SECOND};
use pfplane_testbed::failure::{Context, Fallible, fail};
use pfplane_testbed::firewall::{Firewall, Node};
use pfplane_testbed::network::cleanup::Cleanup;
use pfplane_testbed::network::{Host, Network};
use pfplane_testbed::screen::Screen;
use pfplane_testbed::traffic::keystream::random_seed;
use pfplane_testkit::random::mix;

use crate::arguments::Arguments;
use crate::cable;
use crate::endpoints::endpoint::TIME_LIMIT;
use crate::endpoints::server::Listeners;
use crate::endpoints::{client, server};
use crate::event_log::EventLog;
use crate::network::{self, PHASES, Phase};
use crate::results::{Counters, Results};
use crate::shared::{Shared, phase_end, server_buffer};
use crate::table::Row;

const WATCH_INTERVAL: Duration = Duration::from_millis(20);
const STATUS_INTERVAL: Nanos = 5 * SECOND;
const DEFAULT_BUFFER_BYTES: usize = 128 << 10;

/// Returns the phase in whose middle firewall A is killed: one of the middle four, as each has other TCP options.
fn kill_phase(seed: u64) -> u32 {
    PHASES / 4 + (mix(seed) % u64::from(PHASES / 2)) as u32
}

/// Runs once and prints the results.
pub(crate) fn run(arguments: &Arguments) -> Fallible<Row> {
    let suffix = std::process::id().to_string();
    let network = Network::named(&suffix);
    std::fs::create_dir_all(&arguments.out).context(|| format!("create {}", arguments.out.display()))?;
    let seed = arguments.seed.unwrap_or_else(random_seed);
    println!("{} connections, {}, seed {seed}", arguments.connections, arguments.mode());
    // Created first, so dropped last.
    let _cleanup = Cleanup::start(&suffix)?;
    network.create()?;
    network::insert_cables(&network)?;
    network::set_retries(&network)?;
    let settings = arguments.firewall_settings();
    let mut firewalls =
        [Firewall::start(Node::A, &network, &settings)?, Firewall::start(Node::B, &network, &settings)?];
    for firewall in &mut firewalls {
        firewall.wait_until_ready()?;
    }
    let shared = Shared::new(seed, arguments.connections);
    let results = run_traffic(&shared, &network, arguments, firewalls)?;
    results.print(arguments);
    Ok(results.row(arguments))
}

fn run_traffic(
    shared: &Shared,
    network: &Network,
    arguments: &Arguments,
    firewalls: [Firewall; 2],
) -> Fallible<Results> {
    let enter = |host| network.namespace(host).enter();
    let open_listeners = || enter(Host::Server).and_then(|()| Listeners::open().context(|| "listen"));
    let listeners =
        thread::scope(|scope| scope.spawn(open_listeners).join().expect("opening sockets does not panic"))?;
    thread::scope(|scope| {
        let cables = [0, 1].map(|side| {
            scope.spawn(move || {
                enter(Host::Switch)?;
                let interfaces = network::cable_interfaces(side);
                cable::run(shared, interfaces, side, arguments.inject).context(|| "run a cable")
            })
        });
        let server = scope.spawn(|| {
            enter(Host::Server)?;
            server::run(shared, &listeners).context(|| "run the server")
        });
        let client = scope.spawn(|| {
            enter(Host::Client)?;
            client::run(shared).context(|| "run the client")
        });
        let director = Director::new(shared, network, arguments, firewalls);
        let facts = director.run(&listeners);
        shared.stop.store(true, Ordering::Relaxed);
        shared.cables_stop.store(true, Ordering::Relaxed);
        let ends = [client.join(), server.join()].map(|end| end.expect("an endpoint does not panic"));
        let cables = cables.map(|cable| cable.join().expect("a cable does not panic"));
        // An endpoint's error explains a timeout of the director.
        let [client, server] = ends;
        client.and(server)?;
        let [left, right] = cables;
        let ((left, left_recorder), (right, right_recorder)) = (left?, right?);
        Ok(Results::new(shared, [left, right], [left_recorder, right_recorder], facts?))
    })
}

/// What the director observed.
pub(crate) struct RunFacts {
    /// The firewalls' counters: A's, and B's after a takeover.
    pub counters: Counters,
    /// The times of the kill and the takeover.
    pub outage: Option<[Nanos; 2]>,
    /// From the first connection to the last.
    pub duration: Nanos,
    pub events: EventLog,
    pub problems: Vec<String>,
}

/// Starts the phases and kills firewall A.
struct Director<'a> {
    shared: &'a Shared,
    network: &'a Network,
    arguments: &'a Arguments,
    firewalls: [Firewall; 2],
    screen: Screen,
    counters: Counters,
    outage: Option<[Nanos; 2]>,
}

impl<'a> Director<'a> {
    fn new(
        shared: &'a Shared,
        network: &'a Network,
        arguments: &'a Arguments,
        firewalls: [Firewall; 2],
    ) -> Director<'a> {
        let (screen, counters) = (Screen::start(), Counters::default());
        Director { shared, network, arguments, firewalls, screen, counters, outage: None }
    }

    fn run(mut self, listeners: &Listeners) -> Fallible<RunFacts> {
        let start = clock::now();
        while self.shared.cables_ready.load(Ordering::Acquire) < 2 {
            thread::sleep(WATCH_INTERVAL);
            if clock::now() > start + 10 * SECOND {
                return fail("the cables do not start");
            }
        }
        for phase in 0..PHASES {
            let settings = Phase::number(phase);
            settings.apply(self.network)?;
            let buffer = server_buffer(phase);
            listeners
                .set_buffer(buffer.bytes().unwrap_or(DEFAULT_BUFFER_BYTES))
                .context(|| "set the server's buffers")?;
            self.screen.print(&format!(
                "phase {phase}: {} (client/server), server buffers {buffer:?}",
                settings.text()
            ));
            self.shared.open_limit.store(phase_end(phase, self.shared.connections), Ordering::Release);
            self.wait_until_opened(phase)?;
        }
        self.wait_until_finished()?;
        let duration = clock::now() - start;
        self.finish(duration)
    }

    fn finish(mut self, duration: Nanos) -> Fallible<RunFacts> {
        let first = usize::from(self.outage.is_some());
        self.counters.add(&self.firewalls[first].control.request("stats")?);
        let mut problems = Vec::new();
        for firewall in &mut self.firewalls[first..] {
            let exit = firewall.quit()?;
            if !exit.success() {
                problems.push(format!("{} exited with {exit}, see its log", firewall.name()));
            }
        }
        let mut events = EventLog::default();
        for node in [Node::A, Node::B] {
            events.add(&self.arguments.firewall_settings().event_log_of(node))?;
        }
        Ok(RunFacts { counters: self.counters, outage: self.outage, duration, events, problems })
    }

    fn wait_until_opened(&mut self, phase: u32) -> Fallible<()> {
        let last = self.shared.open_limit.load(Ordering::Relaxed);
        let middle = last - self.shared.connections / PHASES / 2;
        let opened = || self.shared.opened.load(Ordering::Acquire);
        let kills = self.arguments.takeover && phase == kill_phase(self.shared.seed);
        // The kernel applies the settings when a SYN arrives, so the phase lasts until every SYN was answered.
        while opened() < last || self.shared.unanswered.load(Ordering::Relaxed) > 0 {
            if kills && self.outage.is_none() && opened() >= middle {
                self.kill()?;
            }
            self.watch()?;
        }
        Ok(())
    }

    fn wait_until_finished(&mut self) -> Fallible<()> {
        let all = self.shared.connections as usize;
        let deadline = clock::now() + TIME_LIMIT + 10 * SECOND;
        while self.shared.outcome_count(0) < all && clock::now() < deadline {
            self.watch()?;
        }
        let deadline = clock::now() + TIME_LIMIT;
        while self.shared.active_at_server.load(Ordering::Relaxed) > 0 && clock::now() < deadline {
            self.watch()?;
        }
        if self.arguments.takeover && self.outage.is_none() {
            return fail("the phase of the kill ended before firewall A was killed");
        }
        Ok(())
    }

    fn kill(&mut self) -> Fallible<()> {
        let [a, b] = &mut self.firewalls;
        self.counters.add(&a.control.request("stats")?);
        self.shared.open_connections.pause_forging();
        let (kill, _) = a.kill()?;
        b.control.take_over()?;
        let takeover = clock::now();
        let states = b.control.status()?.states;
        self.shared.open_connections.resume_forging(&self.known_to_b()?);
        self.outage = Some([kill, takeover]);
        let gap = (takeover - kill) as f64 / MILLISECOND as f64;
        self.screen.print(&format!("KILLED firewall A; B took over {gap:.1} ms later with {states} states"));
        Ok(())
    }

    /// Returns the connections that firewall B knew as open at the takeover. Its lanes log them at once.
    fn known_to_b(&self) -> Fallible<HashSet<(bool, u16)>> {
        let path = self.arguments.firewall_settings().event_log_of(Node::B);
        let deadline = clock::now() + 10 * SECOND;
        loop {
            let mut events = EventLog::default();
            events.add(&path)?;
            if events.lanes_taken_over >= u64::from(self.arguments.lanes) {
                let open = events.known_states.iter().filter(|state| state.is_open());
                return Ok(open.map(|state| (state.v6, state.client_port)).collect());
            }
            if clock::now() > deadline {
                return fail("firewall B does not log its states at the takeover");
            }
            thread::sleep(WATCH_INTERVAL);
        }
    }

    fn watch(&mut self) -> Fallible<()> {
        thread::sleep(WATCH_INTERVAL);
        let first = usize::from(self.outage.is_some());
        self.firewalls[first..].iter_mut().try_for_each(Firewall::check_running)?;
        if self.screen.status_is_due(STATUS_INTERVAL) {
            let load = |number: &AtomicU32| number.load(Ordering::Relaxed);
            self.screen.print(&format!(
                "  {} started; {} active at the client, {} at the server",
                load(&self.shared.opened),
                load(&self.shared.active_at_client),
                load(&self.shared.active_at_server)
            ));
        }
        Ok(())
    }
}
