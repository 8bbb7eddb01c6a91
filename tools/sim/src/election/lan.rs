//! Nodes on LANs. Each port is a LAN; hellos have a path of their own. Frames take time and are lost, paths are cut in one or both
//! directions, nodes stop, die and restart, and their clocks differ.

use super::hello::{hello_frame, hello_of};
use crate::MS;
use pfplane::internals::election::{
    Class, Dialect, Election, ElectionConfig, ElectionFrame, Event, EventKind, MAX_ELECTION_FRAME_BYTES,
    MemberConfig, Role, Why,
};
use pfplane_testkit::Random;

/// The port number that stands for the path of hellos.
pub const SYNC: u16 = u16::MAX;

/// Longest queue of a port, in frames.
const MAX_QUEUE: usize = 512;

/// Returns the configuration of node number `node`: two members, one of each family, on each of `ports` ports.
#[must_use]
pub fn config(dialect: Dialect, interval_us: u32, node: usize, priority: u8, ports: u16) -> ElectionConfig {
    let member = |port: u16, v6: bool| MemberConfig {
        port,
        vlan: 0,
        id: 7,
        own_mac: [2, 0, 0, 0, port as u8, node as u8 + 1],
        own_address: if v6 {
            format!("fe80::{port}:{}", node + 1)
        } else {
            format!("10.0.{port}.{}", node + 1)
        }
        .parse()
        .expect("an address"),
        addresses: vec![
            if v6 { format!("2001:db8:{port}::1") } else { format!("10.0.{port}.100") }
                .parse()
                .expect("an address"),
        ],
        peers: Vec::new(),
        passphrase: if dialect == Dialect::Vrrp3 { Vec::new() } else { b"secret".to_vec() }.into(),
    };
    let members = (0..ports).flat_map(|port| [false, true].map(|v6| member(port, v6))).collect();
    ElectionConfig {
        dialect,
        interval_us,
        min_interval_us: 1000,
        announce_every_ms: 5000,
        priority,
        members,
        ..ElectionConfig::default()
    }
}

/// A frame or hello in flight.
struct Delivery {
    at: u64,
    to: usize,
    what: Input,
}

enum Input {
    Frame(u16, Vec<u8>),
    Hello(Vec<u8>),
}

/// A node: its election, and what a host knows of it.
pub struct Node {
    /// Its election.
    pub election: Election,
    /// Whether it runs at all.
    pub is_alive: bool,
    /// Whether it sends hellos.
    pub says_hello: bool,
    /// Until when it is stopped.
    pub stopped_until: u64,
    /// How fast its clock is, in parts per thousand.
    pub clock_rate: u64,
    /// All events so far.
    pub events: Vec<Event>,
    /// When it last sent an announcement of addresses.
    pub announced: u64,
    /// When it last sent an advert.
    pub advertised: Option<u64>,
    /// When it last sent anything while no path was cut or lost frames.
    pub spoke_to_all: u64,
    config: ElectionConfig,
    queue: Vec<Input>,
    next_poll: u64,
}

impl Node {
    /// Returns the time of its own clock.
    #[must_use]
    pub const fn clock(&self, now: u64) -> u64 {
        now / 1000 * self.clock_rate
    }

    /// Returns its role.
    #[must_use]
    pub fn role(&self) -> Role {
        self.election.status().role
    }
}

/// The network.
pub struct Lan {
    /// The time.
    pub now: u64,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// Random numbers.
    pub random: Random,
    /// Longest time of a frame in flight.
    pub delay: u64,
    /// Frames lost of a thousand.
    pub loss_per_mille: u64,
    /// Latest poll after the time that a node asked for.
    pub lateness: u64,
    /// Cuts: sender, receiver, port.
    pub cuts: Vec<(usize, usize, u16)>,
    /// Frames from the virtual MAC address by nodes that could not forward.
    pub forged_macs: u64,
    /// Nodes that may forward beside another one at the moment when they continue after a stop: their lanes run before their
    /// control threads do.
    pub forwarding_after_stop: Vec<usize>,
    /// A node that spoke as master when it continued after a stop, although another one may forward.
    pub spoke_after_stop: Option<usize>,
    /// How often each sender's adverts are sent back to it by a stranger, of a thousand.
    pub reflected_per_mille: u64,
    in_flight: Vec<Delivery>,
    ports: u16,
}

impl Lan {
    /// Builds nodes with these priorities. They have all states and say hello.
    #[must_use]
    pub fn new(dialect: Dialect, interval_us: u32, priorities: &[u8], ports: u16, random: Random) -> Self {
        let mut lan = Self {
            now: MS,
            nodes: Vec::new(),
            random,
            delay: 1000,
            loss_per_mille: 0,
            lateness: 0,
            cuts: Vec::new(),
            forged_macs: 0,
            forwarding_after_stop: Vec::new(),
            spoke_after_stop: None,
            reflected_per_mille: 0,
            in_flight: Vec::new(),
            ports,
        };
        for (index, priority) in priorities.iter().enumerate() {
            lan.add(config(dialect, interval_us, index, *priority, ports), 1000);
        }
        lan
    }

    /// Adds a node.
    ///
    /// # Panics
    /// If its configuration is wrong.
    pub fn add(&mut self, config: ElectionConfig, clock_rate: u64) {
        let mut election = Election::new(&config, self.random.next_u64()).expect("a right configuration");
        election.readiness(Class::Synced);
        let clock = self.now / 1000 * clock_rate;
        (0..self.ports).for_each(|port| election.link(port, true, clock));
        self.nodes.push(Node {
            election,
            is_alive: true,
            says_hello: true,
            stopped_until: 0,
            clock_rate,
            events: Vec::new(),
            announced: 0,
            advertised: None,
            spoke_to_all: 0,
            config,
            queue: Vec::new(),
            next_poll: self.now,
        });
    }

    /// Kills a node and starts it again: it is loading. `change` changes its configuration.
    ///
    /// # Panics
    /// If the configuration is wrong then.
    pub fn restart(&mut self, index: usize, change: impl FnOnce(&mut ElectionConfig)) {
        self.kill(index);
        let mut config = self.nodes[index].config.clone();
        change(&mut config);
        self.add(config, self.nodes[index].clock_rate);
        let mut node = self.nodes.pop().expect("just added");
        node.election.readiness(Class::Loading);
        node.says_hello = self.nodes[index].says_hello;
        self.nodes[index] = node;
    }

    /// Kills a node. What it has sent arrives.
    pub fn kill(&mut self, index: usize) {
        self.nodes[index].is_alive = false;
        self.nodes[index].queue.clear();
    }

    /// Cuts all paths between two nodes.
    pub fn partition(&mut self, a: usize, b: usize) {
        for port in (0..self.ports).chain([SYNC]) {
            self.cuts.extend([(a, b, port), (b, a, port)]);
        }
    }

    /// Runs for `time` in steps of half a millisecond; `check` is called after each.
    pub fn run(&mut self, time: u64, mut check: impl FnMut(&mut Self)) {
        let end = self.now + time;
        while self.now < end {
            self.now += MS / 2;
            self.step();
            check(self);
        }
    }

    /// Runs for `time`.
    pub fn wait(&mut self, time: u64) {
        self.run(time, |_| {});
    }

    /// Returns the nodes that may forward now. A node that is stopped cannot.
    #[must_use]
    pub fn forwarding(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|&index| self.may_forward(index)).collect()
    }

    /// Returns how many events of a node are wanted.
    #[must_use]
    pub fn count(&self, index: usize, kind: EventKind) -> usize {
        self.nodes[index].events.iter().filter(|event| event.kind == kind).count()
    }

    fn may_forward(&self, index: usize) -> bool {
        let node = &self.nodes[index];
        let can_run = node.is_alive && self.now >= node.stopped_until;
        can_run && node.election.forwarding().may_forward(node.clock(self.now))
    }

    /// Whether a node forwards only because it has stepped down: from its own MAC address, until the next master is known.
    #[must_use]
    pub fn hands_over(&self, index: usize) -> bool {
        let node = &self.nodes[index];
        let status = node.election.status();
        (status.role, status.why) == (Role::Backup, Why::SteppedDown)
            && self.may_forward(index)
            && !node.election.forwarding().may_use_virtual_mac(node.clock(self.now))
    }

    fn find_forwarding_after_stop(&self) -> Vec<usize> {
        let forwarding = self.forwarding();
        if forwarding.len() < 2 {
            return Vec::new();
        }
        forwarding.into_iter().filter(|index| self.continues(*index)).collect()
    }

    /// Whether a node's stop ends in this step.
    fn continues(&self, index: usize) -> bool {
        (self.now - MS / 2 + 1..=self.now).contains(&self.nodes[index].stopped_until)
    }

    fn step(&mut self) {
        let now = self.now;
        self.forwarding_after_stop = self.find_forwarding_after_stop();
        self.spoke_after_stop = None;
        let (due, later): (Vec<_>, Vec<_>) =
            core::mem::take(&mut self.in_flight).into_iter().partition(|delivery| delivery.at <= now);
        self.in_flight = later;
        for delivery in due {
            let node = &mut self.nodes[delivery.to];
            if node.is_alive && node.queue.len() < MAX_QUEUE {
                node.queue.push(delivery.what);
            }
        }
        for index in 0..self.nodes.len() {
            if self.nodes[index].is_alive && now >= self.nodes[index].stopped_until {
                self.turn(index);
            }
        }
    }

    /// What a host's control loop does: it reads everything, polls, then sends.
    fn turn(&mut self, index: usize) {
        let lateness = self.random.below(self.lateness + 1);
        let node = &mut self.nodes[index];
        let clock = node.clock(self.now);
        // It may have been stopped after it had read, and before it polled.
        let polls_first = self.now.saturating_sub(node.stopped_until) < MS / 2 && self.random.chance(500);
        let read = if polls_first { Vec::new() } else { core::mem::take(&mut node.queue) };
        for what in read {
            match what {
                Input::Frame(port, bytes) => _ = node.election.receive((port, 0), &bytes, clock),
                Input::Hello(bytes) => {
                    let hello = hello_of(&bytes).expect("a hello");
                    node.election.receive_hello(&hello, clock);
                }
            }
        }
        if clock >= node.next_poll {
            node.next_poll = node.election.poll(clock).min(clock + MS) + lateness;
        }
        let mut out = [0; MAX_ELECTION_FRAME_BYTES];
        while let Some(frame) = self.nodes[index].election.flush(&mut out) {
            self.send(index, &frame, &out[..frame.length]);
        }
        let node = &mut self.nodes[index];
        node.events.extend(core::iter::from_fn(|| node.election.event_next(clock)));
        if node.says_hello
            && let Some(hello) = node.election.hello(clock)
        {
            let frame = hello_frame(&hello.write(), index);
            self.deliver(index, SYNC, || Input::Hello(frame.clone()));
        }
    }

    fn send(&mut self, from: usize, frame: &ElectionFrame, bytes: &[u8]) {
        self.forged_macs += u64::from(frame.from_virtual_mac && !self.may_forward(from));
        let preempts = matches!(self.nodes[from].election.status().why, Why::Preemption | Why::MasterDemoted);
        if frame.from_virtual_mac
            && !preempts
            && self.continues(from)
            && self.forwarding().iter().any(|other| *other != from)
        {
            self.spoke_after_stop = Some(from);
        }
        let reaches_all = self.cuts.is_empty() && self.loss_per_mille == 0;
        let node = &mut self.nodes[from];
        if reaches_all {
            node.spoke_to_all = self.now;
        }
        if is_advert(bytes) {
            node.advertised = Some(self.now);
        } else {
            node.announced = self.now;
        }
        self.deliver(from, frame.port, || Input::Frame(frame.port, bytes.to_vec()));
        if is_advert(bytes) && self.random.chance(self.reflected_per_mille) {
            let bytes = reflected(bytes);
            self.in_flight.push(Delivery {
                at: self.now + MS,
                to: from,
                what: Input::Frame(frame.port, bytes),
            });
        }
    }

    fn deliver(&mut self, from: usize, port: u16, what: impl Fn() -> Input) {
        for to in 0..self.nodes.len() {
            if to != from
                && !self.cuts.contains(&(from, to, port))
                && !self.random.chance(self.loss_per_mille)
            {
                let at = self.now + 1 + self.random.below(self.delay);
                self.in_flight.push(Delivery { at, to, what: what() });
            }
        }
    }
}

/// Returns CARP's advert as a stranger sends it back: from another address, with the best skew and no demotion, which the digest
/// does not cover.
fn reflected(frame: &[u8]) -> Vec<u8> {
    let mut bytes = frame.to_vec();
    let is_v4 = bytes[14] >> 4 == 4;
    bytes[6..12].copy_from_slice(&[2, 0, 0, 0, 9, 9]);
    let (last_of_source, advert) = if is_v4 { (29, 34) } else { (37, 54) };
    bytes[last_of_source] = 99;
    (bytes[advert + 2], bytes[advert + 4]) = (0, 0);
    if is_v4 {
        write_checksum(&mut bytes, 14, 34, 24);
    }
    write_checksum(&mut bytes, advert, advert + 36, advert + 6);
    bytes
}

fn write_checksum(bytes: &mut [u8], start: usize, end: usize, field: usize) {
    bytes[field..field + 2].fill(0);
    let sum = pfplane::internals::packet::checksum::checksum(&bytes[start..end]).0;
    bytes[field..field + 2].copy_from_slice(&sum);
}

/// Whether a frame that an election sends is an advert, not an announcement.
#[must_use]
pub fn is_advert(frame: &[u8]) -> bool {
    frame[12..14] != [8, 6] && frame[if frame[14] >> 4 == 4 { 23 } else { 20 }] == 112
}
