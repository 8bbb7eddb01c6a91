//! The cluster of one seed: virtual time, whose turn it is, the link, the traffic, and what is known of it.

use crate::connection::{Connection, Intent, Sent};
use crate::link::{Fate, Link};
use crate::log::Log;
use crate::node::{Node, Passage};
use crate::options::{Fault, Options};
use crate::outcome::Figures;
use crate::plan::Plan;
use crate::tally::Tally;
use crate::{MS, S};
use pfplane_testkit::Random;
use std::collections::HashMap;
use std::rc::Rc;

/// When every simulation begins: seconds since 1970, from which engines number their states.
pub const EPOCH: u64 = 1_700_000_000 * S;

/// Which nodes the packets go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routing {
    /// All of them forward through one node, and reverse through one, often the same.
    Shared([usize; 2]),
    /// Each connection has its own.
    EachItsOwn,
}

/// Everything there is.
pub struct World {
    /// What may go wrong.
    pub options: Options,
    /// What the seed decides.
    pub random: Random,
    /// How the nodes are set up.
    pub plan: Plan,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// Nodes that have all states, or so they say.
    pub whole: Vec<bool>,
    /// All connections that there ever were.
    pub connections: Vec<Connection>,
    /// The time.
    pub now: u64,
    /// The link.
    pub link: Link,
    /// What happened.
    pub log: Log,
    /// Where packets go.
    pub routing: Routing,
    /// Frames that a lane may send at once: few when the host has no buffers.
    pub max_frames: usize,
    /// Since when nothing has gone wrong.
    pub calm_since: Option<u64>,
    /// When states were last told of that had not changed: that begins their time anew, as in pf.
    pub refreshed: u64,
    /// What all nodes have sent.
    pub sent: Tally,
    /// What is told of the seed.
    pub figures: Figures,
    /// Packets that nodes hold until a peer has their state.
    pub held: HashMap<(usize, u64), (usize, Sent, Intent)>,
    outgoing: Vec<(usize, Rc<[u8]>)>,
}

impl World {
    /// The world of a seed, before anything has happened.
    #[must_use]
    pub fn new(options: &Options, seed: u64, keeps_log: bool) -> Self {
        let mut random = Random::new(seed);
        let nodes = options.nodes.map_or_else(|| random.pick(&[2, 2, 2, 3, 3, 4, 5]), |nodes| nodes as usize);
        let states = if options.flows.unwrap_or(0) > 500 { 16_384 } else { 2048 };
        let plan = Plan::draw(nodes, options.lanes, states, options.faults.has(Fault::Drift), &mut random);
        let now = EPOCH;
        let all: Vec<Node> = (0..nodes).map(|n| Node::new(n, &plan, now, &mut random)).collect();
        let mut world = Self {
            options: options.clone(),
            random,
            plan,
            whole: vec![true; nodes],
            nodes: all,
            connections: Vec::new(),
            now,
            link: Link::default(),
            log: Log::new(keeps_log),
            routing: Routing::Shared([0, 0]),
            max_frames: usize::MAX,
            calm_since: Some(now),
            refreshed: now,
            sent: Tally::default(),
            figures: Figures::default(),
            held: HashMap::new(),
            outgoing: Vec::new(),
        };
        world.note(|world| format!("seed {seed}: {}", world.plan.describe()));
        for n in 0..nodes {
            world.introduce(n);
        }
        world
    }

    /// A connection and what every node knows of it, for whoever reads a failure.
    #[must_use]
    pub fn describe(&self, n: usize) -> String {
        let connection = &self.connections[n];
        let mut words = format!("connection {n} ({})", connection.describe());
        for (place, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.is_up) {
            words += &format!("\n    node {place}: {}", node.describe(&connection.key(), self.now));
        }
        words
    }

    /// Writes a line about this world.
    pub fn note(&mut self, what: impl FnOnce(&Self) -> String) {
        if self.log.is_on() {
            let line = what(self);
            self.log.note(self.now - EPOCH, || line);
        }
    }

    fn introduce(&mut self, n: usize) {
        self.note(|world| {
            let node = &world.nodes[n];
            let (lanes, mtu, drift) = (node.lanes.len(), node.engine.mtu(), node.drift());
            format!("node {n}: {lanes} lanes, MTU {mtu}, clock fast by {drift} millionths")
        });
    }

    /// Something must not be: ends the seed.
    pub fn fail(&mut self, why: &str) -> ! {
        self.note(|_| format!("FAILED: {why}"));
        std::panic::panic_any(crate::outcome::Violation(why.to_owned()))
    }

    /// Ends the seed unless `holds`.
    pub fn expect(&mut self, holds: bool, why: impl FnOnce(&Self) -> String) {
        if !holds {
            let why = why(self);
            self.fail(&why);
        }
    }

    /// Nodes that are not dead.
    #[must_use]
    pub fn up(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|&n| self.nodes[n].is_up).collect()
    }

    /// Nodes that traffic may be sent through.
    #[must_use]
    pub fn usable(&self) -> Vec<usize> {
        let usable = |&n: &usize| self.nodes[n].is_awake(self.now) && self.whole[n];
        (0..self.nodes.len()).filter(usable).collect()
    }

    /// `time` goes by in steps of at most `step`.
    pub fn run(&mut self, time: u64, step: u64) {
        let end = self.now + time;
        while self.now < end {
            let rest = end - self.now;
            self.step(step.min(rest));
        }
    }

    /// `time` goes by, much of it at once; nobody has anything to say meanwhile.
    pub fn run_long(&mut self, time: u64) {
        for _ in 0..2 {
            self.run(30 * MS, 10 * MS);
            self.step(time / 2 - 30 * MS);
        }
        self.run(30 * MS, 10 * MS);
    }

    /// One step of time: every node has its turn, in any order, then what has arrived is taken in.
    pub fn step(&mut self, time: u64) {
        self.now += time;
        let count = self.nodes.len();
        let first = self.random.index(count);
        for n in (0..count).map(|n| (first + n) % count) {
            let mut outgoing = std::mem::take(&mut self.outgoing);
            self.nodes[n]
                .turn(self.now, self.max_frames, |lane, packet| outgoing.push((lane, packet.into())));
            for (lane, packet) in outgoing.drain(..) {
                self.send(n, lane, &packet);
            }
            self.outgoing = outgoing;
            for handle in self.nodes[n].released(self.now) {
                self.release(n, handle);
            }
        }
        while let Some((to, frame)) = self.link.arrived(self.now) {
            self.nodes[to].receive(frame, self.now);
        }
    }

    fn send(&mut self, from: usize, lane: usize, packet: &Rc<[u8]>) {
        let seen = &mut self.link.seen;
        let Some(tally) = Tally::of(packet, |id| seen.push_back(id)) else {
            self.fail(&format!("node {from} sent a frame that cannot be read"))
        };
        self.nodes[from].sent.add(&tally);
        self.sent.add(&tally);
        self.log.digest(packet);
        self.link.remember(packet);
        let destination = match packet[0] >> 4 {
            4 => self.plan.node_of(crate::packets::v4_destination(packet)),
            _ => self.plan.node_of(crate::packets::v6_destination(packet)),
        };
        let mut fates = Vec::new();
        for to in (0..self.nodes.len()).filter(|&to| to != from && destination.is_none_or(|node| node == to))
        {
            let fate = self.link.send([from, to], packet, self.now, &mut self.random);
            if self.log.is_on() {
                fates.push((to, fate));
            }
        }
        self.note(|_| {
            let told = fates.iter().map(|(to, fate)| match fate {
                Fate::Comes(after) => format!("to {to} in {:.1} ms", *after as f64 / MS as f64),
                Fate::Doubled => format!("to {to} twice"),
                Fate::Lost => format!("to {to} LOST"),
                Fate::Cut => format!("to {to} CUT OFF"),
                Fate::Attacked(how) => format!("to {to} {how}"),
            });
            let told: Vec<_> = told.collect();
            format!("node {from} lane {lane} sends {}; {}", tally.describe(), told.join(", "))
        });
    }

    /// Where connection `n` goes in a direction.
    fn node_for(&self, n: usize, forward: bool) -> usize {
        let path = match self.routing {
            Routing::Shared(path) => path,
            Routing::EachItsOwn => self.connections[n].path,
        };
        path[usize::from(!forward)]
    }

    /// The next packet of a connection, on its way.
    pub fn speak(&mut self, n: usize, intent: Intent) -> bool {
        self.speak_through(n, intent, None)
    }

    /// The next packet of a connection through a node, or on its way.
    pub fn speak_through(&mut self, n: usize, intent: Intent, through: Option<usize>) -> bool {
        if self.connections[n].is_held {
            return false;
        }
        let sent = self.connections[n].next_packet(intent);
        let node = through.unwrap_or_else(|| self.node_for(n, sent.forward));
        let passage = self.nodes[node].forward(&sent, self.now, &mut self.random);
        if let Passage::Held(handle) = passage {
            self.connections[n].is_held = true;
            self.held.insert((node, handle), (n, sent, intent));
            self.note(|_| format!("connection {n}: node {node} holds its packet"));
            return false;
        }
        self.arrive(n, node, &sent, intent, passage)
    }

    /// A node lets a held packet go.
    fn release(&mut self, node: usize, handle: u64) {
        let Some((n, sent, intent)) = self.held.remove(&(node, handle)) else {
            self.fail(&format!("node {node} releases a packet that it does not hold"))
        };
        self.connections[n].is_held = false;
        if !self.connections[n].is_over() {
            self.arrive(n, node, &sent, intent, Passage::Passed);
        }
    }

    fn arrive(&mut self, n: usize, node: usize, sent: &Sent, intent: Intent, passage: Passage) -> bool {
        self.note(|world| {
            let (way, connection) = (if sent.forward { "->" } else { "<-" }, &world.connections[n]);
            format!("connection {n} {way} node {node}: {passage:?} {:?} {intent:?}", connection.phase_name())
        });
        let connection = &mut self.connections[n];
        if passage == Passage::Passed {
            let (was_over, was_closing) = (connection.is_over(), connection.is_closing());
            if !was_closing && intent != Intent::Talk {
                connection.closed_at = Some(node);
            } else if was_closing && connection.closed_at != Some(node) {
                connection.closed_at = None;
            }
            connection.last_node = node;
            connection.last_at[node] = self.now;
            connection.passed(sent, intent, self.now);
            self.figures.packets += 1;
            if connection.is_over() && !was_over {
                self.figures.ended += 1;
                let is_calm = self.calm_since.is_some_and(|since| since < connection.closing_since);
                let is_believed = intent != Intent::Reset || connection.is_seen_by_one(self.now);
                let is_sure = is_calm && connection.settled && is_believed;
                connection.over_since = is_sure.then_some(self.now);
            }
        } else {
            connection.refused();
        }
        passage == Passage::Passed
    }

    /// New connections, now and then on the ports of one that is long over.
    pub fn begin(&mut self, count: u64) {
        for _ in 0..count {
            let again = self.random.chance(150) && !self.connections.is_empty();
            let old = again.then(|| self.random.index(self.connections.len()));
            match old.filter(|&old| self.is_free(old)) {
                Some(old) => self.begin_again(old),
                None => self.begin_new(),
            }
        }
    }

    fn begin_new(&mut self) {
        let path = self.a_path();
        let connection = Connection::new(self.connections.len() as u32, path, &mut self.random);
        self.note(|world| format!("connection {} begins: {:?}", world.connections.len(), connection.kind));
        self.add(connection);
    }

    fn begin_again(&mut self, old: usize) {
        let path = self.a_path();
        let connection = self.connections[old].again(path, &mut self.random);
        self.connections[old].replaced = true;
        self.note(|world| format!("connection {} takes the ports of {old}", world.connections.len()));
        self.add(connection);
    }

    fn add(&mut self, connection: Connection) {
        self.connections.push(connection);
        self.figures.connections += 1;
    }

    /// The ports of up to so many connections that are long over are taken again.
    pub fn take_ports_again(&mut self, most: usize) {
        let free: Vec<_> = (0..self.connections.len()).rev().filter(|&old| self.is_free(old)).collect();
        free.into_iter().take(most).for_each(|old| self.begin_again(old));
    }

    /// Whether a connection is long over, so that its ports may be taken again.
    fn is_free(&self, n: usize) -> bool {
        let old = &self.connections[n];
        !old.replaced
            && old.closed_at.is_some()
            && old.over_since.is_some_and(|since| self.now > since + 3 * S)
    }

    fn a_path(&mut self) -> [usize; 2] {
        let usable = self.usable();
        if usable.is_empty() {
            return [0, 0];
        }
        let one = self.random.pick(&usable);
        let near: Vec<_> = usable.into_iter().filter(|&other| self.link.joins(one, other)).collect();
        let other = if self.random.chance(500) { one } else { self.random.pick(&near) };
        [one, other]
    }

    /// All traffic takes another way.
    pub fn reroute(&mut self) {
        let path = self.a_path();
        self.routing = match self.random.below(3) {
            0 => Routing::Shared(path),
            1 => Routing::Shared([path[0]; 2]),
            _ => Routing::EachItsOwn,
        };
        for n in 0..self.connections.len() {
            let path = self.a_path();
            self.connections[n].path = path;
        }
        self.note(|world| format!("the traffic goes {:?}", world.routing));
    }

    /// Packets come where they came before, as far as that node has been alive since.
    pub fn route_as_before(&mut self) {
        let usable = self.usable();
        for connection in &mut self.connections {
            let has_it = usable.contains(&connection.last_node);
            let node = if has_it { connection.last_node } else { usable.first().copied().unwrap_or(0) };
            connection.path = [node; 2];
        }
        self.routing = Routing::EachItsOwn;
        self.note(|_| "the traffic goes where it went before".into());
    }

    /// Every connection that is not over sends one packet.
    pub fn everybody_speaks(&mut self) {
        for n in 0..self.connections.len() {
            if !self.connections[n].is_over() {
                self.speak(n, Intent::Talk);
            }
        }
    }

    /// A node stops at once.
    pub fn kill(&mut self, n: usize) {
        self.note(|_| format!("node {n} dies"));
        self.nodes[n].is_up = false;
        self.whole[n] = false;
        self.figures.deaths += 1;
        let lost = self.held.extract_if(|(node, _), _| *node == n);
        lost.for_each(|(_, (connection, ..))| self.connections[connection].is_held = false);
    }

    /// A dead node comes back, empty.
    pub fn restart(&mut self, n: usize) {
        self.note(|_| format!("node {n} comes back empty"));
        self.nodes[n].restart(&self.plan, self.now, &mut self.random);
        self.introduce(n);
        self.refreshed = self.now;
    }
}
