//! The cluster of one seed: virtual time, the nodes, the link, the connections.

mod attack;
pub mod connection;
mod forgery;
pub mod link;
pub mod node;
pub mod setup;
mod traffic;

use crate::log::Log;
use crate::options::{Fault, Options};
use crate::outcome::{Figures, Violation};
use crate::plans::Plan;
use crate::traffic_counts::{self, TrafficCounts};
use crate::{MS, S};
use connection::Connection;
use link::{FrameOutcome, Link};
use node::Node;
use pfplane::internals::engine::Config;
use pfplane_testkit::Random;
use pfplane_testkit::flow::{Intent, Segment};
use pfplane_testkit::node::Clock;
use pfplane_testkit::wire::Delivery;
use pfsync::Identity;
use pfsync::envelope::Envelope;
use setup::Setup;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// When every simulation starts, in seconds since 1970: engines number their states from it.
pub const EPOCH: u64 = 1_700_000_000 * S;

/// The nodes that packets pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routing {
    /// All forward packets pass one node, all reverse packets one, often the same.
    Shared([usize; 2]),
    /// Each connection has its own path.
    PerConnection,
}

/// The whole simulation.
pub struct World {
    /// The faults and the size.
    pub options: Options,
    /// What happens.
    pub plan: Plan,
    /// The random numbers of the seed.
    pub random: Random,
    /// How the nodes are set up.
    pub setup: Setup,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// Nodes that were ready since they started: traffic may be routed through them.
    pub was_ready: Vec<bool>,
    /// All connections, also those that are over.
    pub connections: Vec<Connection>,
    /// The time, in nanoseconds.
    pub now: u64,
    /// The link.
    pub link: Link,
    /// The events.
    pub log: Log,
    /// Where packets are routed.
    pub routing: Routing,
    /// Frames that a lane may send at once: few when the host has no buffers.
    pub max_frames: usize,
    /// Since when there has been no fault.
    pub calm_since: Option<u64>,
    /// When unchanged states were last sent: that restarts their timeout at the receiver, as in pf.
    pub refreshed: u64,
    /// What all nodes have sent.
    pub sent: TrafficCounts,
    /// The totals of the seed.
    pub figures: Figures,
    /// Packets that nodes hold until a peer has their state, by node and handle.
    pub held: HashMap<(usize, u64), (usize, Segment, Intent)>,
    /// States that a lost frame named, with the sender and the receiver of the frame.
    pub named_in_lost: HashSet<(Identity, usize)>,
    outgoing: Vec<(usize, Rc<[u8]>)>,
}

impl World {
    /// Builds the world of a seed.
    #[must_use]
    pub fn new(options: &Options, seed: u64, keeps_log: bool) -> Self {
        let mut random = Random::new(seed);
        let plan = options.plan.unwrap_or_else(|| Plan::of_seed(seed));
        let drawn = random.pick(&[2, 2, 2, 3, 3, 4, 5]);
        let drawn = if plan.is_for_pairs() { 2 } else { drawn };
        let count = options.nodes.filter(|_| !plan.is_for_pairs()).map_or(drawn, |nodes| nodes as usize);
        let states = if options.flows.unwrap_or(0) > 500 { 16_384 } else { 2048 };
        let drifts = options.faults.has(Fault::Drift);
        let mut setup = Setup::draw(count, options.lanes, states, drifts, &mut random);
        plan.set_up(&mut setup, &mut random);
        let mut options = options.clone();
        if plan.may_be_pfplane() {
            setup.is_pfplane |= options.pfplane;
        }
        if setup.is_pfplane {
            options.faults = options.faults.without(Fault::Hostile);
        }
        let nodes = (0..count).map(|n| Node::draw(n, &setup, EPOCH, &mut random)).collect();
        let mut world = Self::of(options, plan, random, setup, nodes, Log::new(keeps_log));
        world.note(|world| format!("seed {seed}, plan {}: {}", plan.name(), world.setup.describe()));
        (0..count).for_each(|n| world.note_start(n));
        world
    }

    /// Builds a world of nodes with these settings. Their clocks differ by hours.
    #[must_use]
    pub fn with_nodes(seed: u64, configs: Vec<Config>) -> Self {
        let clock = |n: usize| Clock { started: EPOCH, offset: (1000 + 7919 * n as u64) * S, drift: 0 };
        let setup = Setup::fixed(configs.len());
        let nodes =
            configs.into_iter().enumerate().map(|(n, config)| Node::new(n, config, clock(n))).collect();
        Self::of(Options::default(), Plan::Faults, Random::new(seed), setup, nodes, Log::new(false))
    }

    fn of(options: Options, plan: Plan, random: Random, setup: Setup, nodes: Vec<Node>, log: Log) -> Self {
        Self {
            options,
            plan,
            random,
            setup,
            was_ready: vec![true; nodes.len()],
            nodes,
            connections: Vec::new(),
            now: EPOCH,
            link: Link::default(),
            log,
            routing: Routing::Shared([0, 0]),
            max_frames: usize::MAX,
            calm_since: Some(EPOCH),
            refreshed: EPOCH,
            sent: TrafficCounts::default(),
            figures: Figures::default(),
            held: HashMap::new(),
            named_in_lost: HashSet::new(),
            outgoing: Vec::new(),
        }
    }

    /// Describes a connection, and what every node knows of it, for a failure message.
    #[must_use]
    pub fn describe(&self, n: usize) -> String {
        let connection = &self.connections[n];
        let mut text = format!("connection {n} ({})", connection.describe());
        for (number, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.is_up) {
            text += &format!("\n    node {number}: {}", node.describe(&connection.key(), self.now));
        }
        text
    }

    /// Writes a line to the log, if it is on.
    pub fn note(&mut self, what: impl FnOnce(&Self) -> String) {
        if self.log.is_on() {
            let line = what(self);
            self.log.note(self.now - EPOCH, || line);
        }
    }

    fn note_start(&mut self, n: usize) {
        self.note(|world| {
            let node = &world.nodes[n];
            let (lanes, mtu, drift) = (node.lanes.len(), node.engine.mtu(), node.clock.drift);
            format!("node {n}: {lanes} lanes, MTU {mtu}, clock fast by {drift} millionths")
        });
    }

    /// Ends the seed: an invariant is broken.
    pub fn fail(&mut self, why: &str) -> ! {
        self.note(|_| format!("FAILED: {why}"));
        std::panic::panic_any(Violation(why.to_owned()))
    }

    /// Ends the seed unless `holds`.
    pub fn expect(&mut self, holds: bool, why: impl FnOnce(&Self) -> String) {
        if !holds {
            let why = why(self);
            self.fail(&why);
        }
    }

    /// Lists the nodes that are up.
    #[must_use]
    pub fn up(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|&n| self.nodes[n].is_up).collect()
    }

    /// Lists the nodes that traffic may be routed through.
    #[must_use]
    pub fn usable(&self) -> Vec<usize> {
        let usable = |&n: &usize| self.nodes[n].is_running(self.now) && self.was_ready[n];
        (0..self.nodes.len()).filter(usable).collect()
    }

    /// Lets `time` pass in steps of at most `step`.
    pub fn run(&mut self, time: u64, step: u64) {
        let end = self.now + time;
        while self.now < end {
            let rest = end - self.now;
            self.step(step.min(rest));
        }
    }

    /// Lets `time` pass in few steps, while nobody has anything to send.
    pub fn run_long(&mut self, time: u64) {
        for _ in 0..2 {
            self.run(30 * MS, 10 * MS);
            self.step(time / 2 - 30 * MS);
        }
        self.run(30 * MS, 10 * MS);
    }

    /// Makes one step of time: every node runs, starting at a random one, then receives the frames that have arrived.
    pub fn step(&mut self, time: u64) {
        self.now += time;
        let count = self.nodes.len();
        let first = self.random.index(count);
        for n in (0..count).map(|n| (first + n) % count) {
            let mut outgoing = std::mem::take(&mut self.outgoing);
            self.nodes[n].run(self.now, self.max_frames, |lane, packet| outgoing.push((lane, packet.into())));
            for (lane, packet) in outgoing.drain(..) {
                self.send_frame(n, lane, &packet);
            }
            self.outgoing = outgoing;
            for handle in self.nodes[n].released(self.now) {
                self.release(n, handle);
            }
        }
        while let Some((to, frame)) = self.link.wire.receive(self.now) {
            self.nodes[to].receive(frame, self.now);
        }
    }

    fn send_frame(&mut self, from: usize, lane: usize, packet: &Rc<[u8]>) {
        let seen = &mut self.link.seen;
        let (Some(counts), Ok(envelope)) =
            (TrafficCounts::of(packet, |id| seen.push_back(id)), Envelope::parse(packet))
        else {
            self.fail(&format!("node {from} sent a frame that cannot be decoded"))
        };
        self.nodes[from].sent.add(&counts);
        self.sent.add(&counts);
        self.log.digest(packet);
        self.link.remember(packet);
        let receiver = self.setup.node_of(envelope.destination);
        let mut outcomes = Vec::new();
        for to in (0..self.nodes.len()).filter(|&to| to != from && receiver.is_none_or(|node| node == to)) {
            let outcome = self.link.send([from, to], packet, self.now, &mut self.random);
            if outcome == FrameOutcome::Sent(Delivery::Lost) {
                let named = traffic_counts::identities(packet);
                self.named_in_lost.extend(named.into_iter().flat_map(|id| [(id, from), (id, to)]));
            }
            if self.log.is_on() {
                outcomes.push((to, outcome));
            }
        }
        self.note(|_| {
            let texts: Vec<_> = outcomes.iter().map(|&(to, outcome)| describe_outcome(to, outcome)).collect();
            format!("node {from} lane {lane} sends {}; {}", counts.describe(), texts.join(", "))
        });
    }

    /// Sends a stranger's frame to every node.
    pub fn inject(&mut self, bytes: &[u8]) {
        let frame = bytes.into();
        for to in 0..self.nodes.len() {
            self.link.wire.send(to, &frame, self.now, &mut self.random);
        }
    }

    /// Pauses a node.
    pub fn pause(&mut self, n: usize, time: u64) {
        self.nodes[n].pause(self.now + time);
        self.note(|_| format!("node {n} pauses for {} ms", time / MS));
    }

    /// Kills a node.
    pub fn kill(&mut self, n: usize) {
        self.note(|_| format!("node {n} is killed"));
        self.nodes[n].is_up = false;
        self.was_ready[n] = false;
        self.figures.deaths += 1;
        let lost = self.held.extract_if(|(node, _), _| *node == n);
        lost.for_each(|(_, (connection, ..))| self.connections[connection].is_held = false);
    }

    /// Restarts a killed node, empty.
    pub fn restart(&mut self, n: usize) {
        self.note(|_| format!("node {n} restarts empty"));
        self.nodes[n].restart(&self.setup, self.now, &mut self.random);
        self.note_start(n);
        self.refreshed = self.now;
    }
}

fn describe_outcome(to: usize, outcome: FrameOutcome) -> String {
    match outcome {
        FrameOutcome::Sent(Delivery::Once(after)) => format!("to {to} in {:.1} ms", after as f64 / MS as f64),
        FrameOutcome::Sent(Delivery::Twice) => format!("to {to} twice"),
        FrameOutcome::Sent(Delivery::Lost) => format!("to {to} LOST"),
        FrameOutcome::Partitioned => format!("to {to} PARTITIONED"),
        FrameOutcome::Attacked(how) => format!("to {to} {how}"),
    }
}
