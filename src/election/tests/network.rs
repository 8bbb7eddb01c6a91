//! A network of nodes in virtual time: members are LANs, one more path carries hellos. Frames take time, can be lost, and
//! nodes can be stopped, killed and cut off.

use crate::election::config::tests::member;
use crate::election::{
    Class, Dialect, Election, ElectionConfig, ElectionFrame, Event, EventKind, MAX_ELECTION_FRAME_BYTES, Role,
};
use crate::time::Nanos;

pub(super) const MS: Nanos = 1_000_000;

/// A frame or hello in flight.
struct Flying {
    at: Nanos,
    from: usize,
    to: usize,
    what: What,
}

enum What {
    Frame { port: u16, bytes: Vec<u8> },
    Hello([u8; crate::election::HELLO_BYTES]),
}

/// A node: its election, and whether it runs.
pub(super) struct Node {
    pub(super) election: Election,
    pub(super) is_alive: bool,
    pub(super) says_hello: bool,
    /// It does nothing until then.
    pub(super) paused_until: Nanos,
    inbox: Vec<What>,
    next_poll: Nanos,
    pub(super) events: Vec<Event>,
    /// When it last sent an announcement of each member's addresses.
    pub(super) announced: Nanos,
    pub(super) last_advert: Option<Nanos>,
}

/// The network.
pub(super) struct Network {
    pub(super) now: Nanos,
    pub(super) nodes: Vec<Node>,
    flying: Vec<Flying>,
    random: u64,
    /// Longest time of a frame in flight.
    pub(super) delay: Nanos,
    /// Frames lost of a thousand.
    pub(super) loss: u64,
    /// Cuts: sender, receiver, port (`SYNC` for the sync link).
    pub(super) cuts: Vec<(usize, usize, u16)>,
    /// Frames from the virtual MAC address by a node that may not forward.
    pub(super) forged_macs: u64,
    pub(super) config: ElectionConfig,
}

/// The port number of the sync link.
pub(super) const SYNC: u16 = u16::MAX;

pub(super) fn config(
    dialect: Dialect,
    interval_us: u32,
    node: usize,
    priority: u8,
    ports: u16,
) -> ElectionConfig {
    let mut members = Vec::new();
    for port in 0..ports {
        for v6 in [false, true] {
            let mut member = member(node as u8 + 1, port, v6);
            if dialect != Dialect::Vrrp3 {
                member.passphrase = zeroize::Zeroizing::new(b"secret".to_vec());
            }
            members.push(member);
        }
    }
    ElectionConfig {
        dialect,
        interval_us,
        min_interval_us: 1000,
        priority,
        members,
        ..ElectionConfig::default()
    }
}

impl Network {
    /// Makes a network of nodes with these priorities, which all say hello and have all states.
    pub(super) fn new(dialect: Dialect, interval_us: u32, priorities: &[u8], ports: u16, seed: u64) -> Self {
        let mut network = Self {
            now: MS,
            nodes: Vec::new(),
            flying: Vec::new(),
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            delay: 1000,
            loss: 0,
            cuts: Vec::new(),
            forged_macs: 0,
            config: config(dialect, interval_us, 0, 100, ports),
        };
        for (index, priority) in priorities.iter().enumerate() {
            network.add(config(dialect, interval_us, index, *priority, ports));
        }
        network
    }

    pub(super) fn add(&mut self, config: ElectionConfig) {
        let mut election = Election::new(&config, self.next_random()).expect("a right configuration");
        election.readiness(Class::Synced);
        for member in &config.members {
            election.link(member.port, true, self.now);
        }
        self.nodes.push(Node {
            election,
            is_alive: true,
            says_hello: true,
            paused_until: 0,
            inbox: Vec::new(),
            next_poll: self.now,
            events: Vec::new(),
            announced: 0,
            last_advert: None,
        });
    }

    /// Starts a node again: another run, which is loading.
    pub(super) fn restart(&mut self, index: usize, config: ElectionConfig) {
        self.add(config);
        let mut node = self.nodes.pop().expect("just added");
        node.election.readiness(Class::Loading);
        self.nodes[index] = node;
    }

    /// Returns a random number (xorshift).
    pub(super) fn next_random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next_random() % bound.max(1)
    }

    /// Runs for `time` in steps of `step`; `each` is called after each step.
    pub(super) fn run(&mut self, time: Nanos, step: Nanos, mut each: impl FnMut(&mut Self)) {
        let end = self.now + time;
        while self.now < end {
            self.now += step;
            self.step();
            each(self);
        }
    }

    pub(super) fn wait(&mut self, time: Nanos) {
        self.run(time, MS / 2, |_| {});
    }

    fn step(&mut self) {
        let now = self.now;
        let (due, later) = core::mem::take(&mut self.flying).into_iter().partition(|flying| flying.at <= now);
        self.flying = later;
        let due: Vec<Flying> = due;
        for flying in due {
            let node = &mut self.nodes[flying.to];
            // A port's queue is bounded.
            if node.is_alive && node.inbox.len() < 512 {
                node.inbox.push(flying.what);
            }
        }
        for index in 0..self.nodes.len() {
            let node = &mut self.nodes[index];
            if node.is_alive && now >= node.paused_until {
                self.turn(index);
            }
        }
    }

    /// What a host's control loop does: reads, polls, sends.
    fn turn(&mut self, index: usize) {
        let now = self.now;
        let node = &mut self.nodes[index];
        for what in core::mem::take(&mut node.inbox) {
            match what {
                What::Frame { port, bytes } => _ = node.election.receive((port, 0), &bytes, now),
                What::Hello(bytes) => {
                    let hello = crate::election::Hello::parse(&bytes).expect("a hello");
                    node.election.receive_hello(&hello, now);
                }
            }
        }
        if now >= node.next_poll {
            node.next_poll = node.election.poll(now).min(now + MS);
        }
        let mut out = [0; MAX_ELECTION_FRAME_BYTES];
        while let Some(frame) = self.nodes[index].election.flush(&mut out) {
            self.send(index, &frame, &out[..frame.length]);
        }
        while let Some(event) = self.nodes[index].election.event_next(now) {
            self.nodes[index].events.push(event);
        }
        if self.nodes[index].says_hello
            && let Some(hello) = self.nodes[index].election.hello(now)
        {
            self.deliver(index, SYNC, || What::Hello(hello.write()));
        }
    }

    fn send(&mut self, from: usize, frame: &ElectionFrame, bytes: &[u8]) {
        let may_forward = self.nodes[from].election.forwarding().may_forward(self.now);
        self.forged_macs += u64::from(frame.from_virtual_mac && !may_forward);
        let is_advert = bytes[12..14] != [8, 6] && bytes[if bytes[14] >> 4 == 4 { 23 } else { 20 }] == 112;
        if is_advert {
            self.nodes[from].last_advert = Some(self.now);
        } else {
            self.nodes[from].announced = self.now;
        }
        self.deliver(from, frame.port, || What::Frame { port: frame.port, bytes: bytes.to_vec() });
    }

    fn deliver(&mut self, from: usize, port: u16, what: impl Fn() -> What) {
        for to in 0..self.nodes.len() {
            if to == from || self.cuts.contains(&(from, to, port)) || self.below(1000) < self.loss {
                continue;
            }
            let at = self.now + 1 + self.below(self.delay);
            self.flying.push(Flying { at, from, to, what: what() });
        }
    }

    /// Cuts or heals all paths between two nodes.
    pub(super) fn partition(&mut self, a: usize, b: usize) {
        for port in (0..self.config.members.len() as u16 / 2).chain([SYNC]) {
            self.cuts.extend([(a, b, port), (b, a, port)]);
        }
    }

    /// Frames of a dead node arrive no more.
    pub(super) fn kill(&mut self, index: usize) {
        self.nodes[index].is_alive = false;
        self.nodes[index].inbox.clear();
        self.flying.retain(|flying| flying.from != index || flying.at <= self.now);
    }

    pub(super) fn role(&self, index: usize) -> Role {
        self.nodes[index].election.status().role
    }

    /// Returns the nodes that may forward now. One that is stopped cannot.
    pub(super) fn forwarding(&self) -> Vec<usize> {
        (0..self.nodes.len())
            .filter(|&index| {
                let node = &self.nodes[index];
                node.is_alive
                    && self.now >= node.paused_until
                    && node.election.forwarding().may_forward(self.now)
            })
            .collect()
    }

    pub(super) fn count(&self, index: usize, wanted: impl Fn(&EventKind) -> bool) -> usize {
        self.nodes[index].events.iter().filter(|event| wanted(&event.kind)).count()
    }
}
