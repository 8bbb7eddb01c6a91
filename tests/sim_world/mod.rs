//! A handful of engines on one thread: virtual time, a seeded scheduler, a bad link, nodes that die and come back, and an
//! oracle that knows every connection.

pub mod connection;
pub mod node;

use crate::sync_node::traffic::Random;
use connection::Connection;
use node::Node;
use pfplane::wire::Profile;

pub const MS: u64 = 1_000_000;
pub const S: u64 = 1000 * MS;

/// Faults of the link, in thousandths, and how long a frame may take.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    pub lose: u64,
    pub double: u64,
    pub delay_ms: u64,
    pub hostile: u64,
}

struct Frame {
    at: u64,
    to: usize,
    bytes: Vec<u8>,
}

pub struct World {
    pub seed: u64,
    pub random: Random,
    pub nodes: Vec<Node>,
    pub connections: Vec<Connection>,
    pub now: u64,
    pub frames: u64,
    pub faults: Faults,
    /// Node that is cut off from the others.
    pub cut: Option<usize>,
    link: Vec<Frame>,
    /// What happened, for whoever reads a failure.
    pub log: Vec<String>,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        (0..10).for_each(|_| _ = random.below(2));
        let profile = Profile::ALL[random.below(4) as usize];
        let count = 2 + random.below(3) as usize;
        let now = 1_700_000_000 * S;
        let nodes: Vec<Node> = (0..count)
            .map(|n| Node::new(n as u8 + 1, profile, 1 + random.below(4) as u32, now, &mut random))
            .collect();
        let lanes: Vec<u32> = nodes.iter().map(|node| node.lane_count).collect();
        let log = vec![format!("seed {seed}: {count} nodes, lanes {lanes:?}, {profile:?}")];
        Self {
            seed,
            random,
            nodes,
            connections: Vec::new(),
            now,
            frames: 0,
            faults: Faults::default(),
            cut: None,
            link: Vec::new(),
            log,
        }
    }

    pub fn note(&mut self, what: impl AsRef<str>) {
        let seconds = (self.now - 1_700_000_000 * S) as f64 / S as f64;
        self.log.push(format!("{seconds:>12.3} {}", what.as_ref()));
    }

    /// Fails with everything that is needed to see why and to see it again.
    pub fn fail(&self, why: &str) -> ! {
        let tail = self.log.iter().rev().take(60).rev().cloned().collect::<Vec<_>>().join("\n");
        panic!("{tail}\n{why}\nagain with: PFPLANE_SIM_SEED={} cargo test --test sim", self.seed)
    }

    pub fn alive(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|&n| self.nodes[n].is_up).collect()
    }

    /// `time` goes by in steps.
    pub fn run(&mut self, time: u64, step: u64) {
        let end = self.now + time;
        while self.now < end {
            self.now += step.min(end - self.now);
            for n in 0..self.nodes.len() {
                let frames = self.nodes[n].poll(self.now);
                frames.into_iter().for_each(|frame| self.broadcast(n, &frame));
            }
            self.deliver();
        }
    }

    fn broadcast(&mut self, from: usize, bytes: &[u8]) {
        self.frames += 1;
        for to in (0..self.nodes.len()).filter(|&to| to != from) {
            let is_cut = self.cut.is_some_and(|cut| cut == from || cut == to);
            if is_cut || self.random.chance(self.faults.lose) {
                continue;
            }
            for _ in 0..=u64::from(self.random.chance(self.faults.double)) {
                let at = self.now + self.random.below(self.faults.delay_ms + 1) * MS;
                let mut bytes = bytes.to_vec();
                if self.random.chance(self.faults.hostile) {
                    let place = 20 + self.random.below(bytes.len() as u64 - 20) as usize;
                    // The version and the action: what is left is refused, not believed.
                    if place < 24 {
                        bytes[place] ^= 1 << self.random.below(8);
                    } else {
                        bytes.truncate(place);
                    }
                }
                self.link.push(Frame { at, to, bytes });
            }
        }
    }

    fn deliver(&mut self) {
        let now = self.now;
        let (mut due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.link).into_iter().partition(|frame| frame.at <= now);
        self.link = later;
        due.sort_by_key(|frame| frame.at);
        due.into_iter().for_each(|frame| self.nodes[frame.to].receive(&frame.bytes, now));
    }

    /// The next packet of a connection through the node of its direction. Whether it went on.
    pub fn speak(&mut self, n: usize, path: [usize; 2], closing: bool) -> bool {
        let (packet, forward) = self.connections[n].next_packet(closing);
        let node = path[usize::from(!forward)];
        let passes = self.nodes[node].forwards(&packet, forward, self.now, &mut self.random);
        if passes {
            self.connections[n].passed(forward, closing);
        } else if let Some(syn) = self.connections[n].syn_again() {
            self.nodes[path[0]].forwards(&syn, true, self.now, &mut self.random);
        }
        passes
    }

    /// Every live connection speaks once in each direction and goes on unless a node refuses it.
    pub fn everybody_speaks(&mut self, path: [usize; 2]) -> Vec<usize> {
        let mut refused = Vec::new();
        for n in 0..self.connections.len() {
            for _ in 0..2 {
                if self.connections[n].is_open() && !self.speak(n, path, false) {
                    refused.push(n);
                }
            }
        }
        refused.dedup();
        refused
    }

    pub fn begin(&mut self, count: u32) {
        let first = self.connections.len() as u32;
        for n in first..first + count {
            let connection = Connection::new(n, &mut self.random);
            self.connections.push(connection);
        }
    }

    pub fn restart(&mut self, n: usize) {
        let (now, lanes) = (self.now, 1 + self.random.below(4) as u32);
        self.note(format!("node {n} has {lanes} lanes now"));
        self.nodes[n].restart(now, lanes);
    }
}
