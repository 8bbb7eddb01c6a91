//! A minute of an election with faults: deaths, stops, one-way cuts, partitions, loss, planned switches, links that flap.

use super::lan::Lan;
use super::oracle::Oracle;
use crate::MS;
use crate::world::World;
use pfplane::internals::election::{Class, Dialect};
use pfplane_testkit::Random;

/// How long a node takes to receive all states after a restart, at least, and what one in two takes longer at most: the next
/// fault comes meanwhile.
const LOADING: u64 = 300 * MS;
const SLOW_LOADING: u64 = 20_000 * MS;

/// What happens to a node, in the order of [`Trial::fault`].
const FAULTS: [&str; 8] = [
    "is stopped",
    "is cut off",
    "does not reach another node on a port",
    "and all others lose frames",
    "restarts",
    "steps down",
    "and all others get their adverts back",
    "has a link that is down",
];

const REFLECTION: usize = 6;
const LINK_DOWN: usize = 7;

/// Runs an election beside the plan's world, which does nothing.
pub(crate) fn run(world: &mut World) {
    let mut random = Random::stream(world.random.next_u64(), 0x656c);
    let dialect = random.pick(&[Dialect::Vrrp3, Dialect::Vrrp3, Dialect::OpenBsd, Dialect::FreeBsd]);
    let interval_us = match dialect {
        Dialect::Vrrp3 => random.pick(&[10_000, 100_000, 1_000_000]),
        _ => 1_000_000,
    };
    let nodes = random.between(2, 4) as usize;
    let priorities: Vec<u8> = (0..nodes).map(|index| 240 - 20 * index as u8).collect();
    let ports = random.between(1, 3) as u16;
    let mut lan = Lan::new(dialect, interval_us, &[], ports, random);
    lan.delay = 1 + lan.random.below(3 * MS);
    lan.lateness = lan.random.below(MS);
    // Without hellos the adverts alone tell the ranks, and a deaf port moves the role.
    let says_hello = lan.random.chance(500);
    for (index, priority) in priorities.iter().enumerate() {
        let clock_rate = if lan.random.chance(500) { 1000 } else { lan.random.between(990, 1010) };
        let mut config = super::lan::config(dialect, interval_us, index, *priority, ports);
        config.preempt = lan.random.chance(300);
        // A periodic announcement would hide that one after a conflict is missing.
        config.announce_every_ms = 0;
        lan.add(config, clock_rate);
        lan.nodes[index].says_hello = says_hello;
    }
    world.note(|_| {
        let hellos = if says_hello { "hellos" } else { "no hellos" };
        format!(
            "election: {dialect:?}, {nodes} nodes, {ports} ports, adverts every {interval_us} us, {hellos}"
        )
    });
    Trial::new(lan, u64::from(interval_us) * 1000, dialect).run(world);
}

/// The faults of one election.
struct Trial {
    lan: Lan,
    interval: u64,
    oracle: Oracle,
    /// Nodes killed.
    deaths: u64,
    /// When the cut or loss of now ends.
    heal_at: Option<u64>,
    loaded_at: Vec<u64>,
    /// A port whose link is down, and when it comes up.
    down_link: Option<(usize, u16, u64)>,
    dialect: Dialect,
    /// When all faults so far, and what follows from them, have ended.
    at_rest_from: u64,
}

impl Trial {
    fn new(lan: Lan, interval: u64, dialect: Dialect) -> Self {
        // CARP's skew of the worst node is 74/256 s; VRRP's is less than one interval.
        let down = if dialect == Dialect::Vrrp3 { 4 * interval } else { 3 * interval + 290 * MS };
        let oracle = Oracle::new(&lan, interval + if dialect == Dialect::Vrrp3 { 0 } else { 400 * MS }, down);
        let nodes = lan.nodes.len();
        // At the start each node waits its down time.
        let at_rest_from = lan.now + 2 * down;
        Self {
            deaths: 0,
            lan,
            interval,
            oracle,
            heal_at: None,
            loaded_at: vec![0; nodes],
            down_link: None,
            dialect,
            at_rest_from,
        }
    }

    fn run(mut self, world: &mut World) {
        let faults = 12;
        for _ in 0..faults {
            let wait = 8 * self.interval + 5000 * MS + self.lan.random.below(8 * self.interval);
            self.watch(wait, world);
            self.fault(world);
        }
        let now = self.lan.now;
        self.loaded_at.iter_mut().for_each(|at| *at = now.min(*at));
        self.watch(20 * self.interval + 11_000 * MS, world);
        self.fail_on(Oracle::check_at_rest(&self.lan), world);
        world.figures.deaths += self.deaths;
    }

    /// Runs and checks each step.
    fn watch(&mut self, time: u64, world: &mut World) {
        let end = self.lan.now + time;
        while self.lan.now < end {
            self.end_what_is_due();
            self.lan.wait(MS / 2);
            let result = self.oracle.check(&self.lan, self.heal_at.is_some());
            self.fail_on(result, world);
        }
    }

    fn fail_on(&self, result: Result<(), String>, world: &mut World) {
        if let Err(why) = result {
            let roles: Vec<_> = self.lan.nodes.iter().map(super::lan::Node::role).collect();
            let text = format!("election after {} ms: {why}; roles {roles:?}", self.lan.now / MS);
            for (index, node) in self.lan.nodes.iter().enumerate() {
                for event in &node.events {
                    world.note(|_| {
                        format!("node {index} at {} ms of its clock: {:?}", event.at / MS, event.kind)
                    });
                }
            }
            world.expect(false, |_| text);
        }
    }

    fn end_what_is_due(&mut self) {
        let now = self.lan.now;
        if self.heal_at.is_some_and(|at| now >= at) {
            self.lan.cuts.clear();
            (self.lan.loss_per_mille, self.lan.reflected_per_mille) = (0, 0);
            self.heal_at = None;
            self.oracle.heal(now);
        }
        if let Some((node, port, at)) = self.down_link
            && now >= at
        {
            let clock = self.lan.nodes[node].clock(now);
            self.lan.nodes[node].election.link(port, true, clock);
            self.down_link = None;
            self.oracle.disturb(now);
        }
        for (index, at) in self.loaded_at.iter().enumerate() {
            if now >= *at {
                self.lan.nodes[index].election.readiness(Class::Synced);
            }
        }
    }

    /// Begins a fault.
    fn fault(&mut self, world: &mut World) {
        let now = self.lan.now;
        let node = self.lan.random.index(self.lan.nodes.len());
        let time = 1 + self.lan.random.below(20 * self.interval);
        self.oracle.disturb(now);
        let is_at_rest = now >= self.at_rest_from;
        let end = now + time;
        // The down time, and that of a node that preempts what took over meanwhile.
        self.at_rest_from = self.at_rest_from.max(end + 5 * self.interval + 1500 * MS);
        let kind = match self.lan.random.index(FAULTS.len()) {
            // VRRP has nothing that tells a stranger's advert from a router's.
            REFLECTION if self.dialect == Dialect::Vrrp3 => LINK_DOWN,
            kind => kind,
        };
        match kind {
            0 => self.lan.nodes[node].stopped_until = now + time,
            1 => self.cut(now + time, |lan| {
                for other in (0..lan.nodes.len()).filter(|other| *other != node) {
                    lan.partition(node, other);
                }
            }),
            2 => {
                self.cut(end, |lan| {
                    let other = (node + 1) % lan.nodes.len();
                    lan.cuts.push((node, other, lan.random.below(2) as u16));
                });
                self.hold_steady(is_at_rest && self.lan.nodes[node].says_hello, end);
            }
            3 => self.cut(now + time, |lan| lan.loss_per_mille = lan.random.between(50, 300)),
            4 => {
                self.lan.restart(node, |_| {});
                self.deaths += 1;
                let longer = if self.lan.random.chance(500) { SLOW_LOADING + 20 * self.interval } else { 1 };
                let loaded_at = now + LOADING + self.lan.random.below(longer);
                self.loaded_at[node] = loaded_at;
                self.at_rest_from = self.at_rest_from.max(loaded_at + 5 * self.interval + 1500 * MS);
            }
            5 => {
                let clock = self.lan.nodes[node].clock(now);
                let is_master = self.lan.forwarding() == [node];
                self.lan.nodes[node].election.step_down((time / MS) as u32, clock);
                self.oracle.hold(node, end);
                // The held node stays backup for longer than the handover takes.
                if is_master && is_at_rest && time > self.interval + 500 * MS {
                    self.oracle.expect_handover(&self.lan);
                }
            }
            REFLECTION => {
                self.cut(end, |lan| lan.reflected_per_mille = 500);
                self.hold_steady(is_at_rest, end);
            }
            // A link that is down already stays as it is.
            _ if self.down_link.is_some() => {}
            _ => {
                let port = 0;
                let clock = self.lan.nodes[node].clock(now);
                self.lan.nodes[node].election.link(port, false, clock);
                self.down_link = Some((node, port, now + time));
            }
        }
        world.note(|_| {
            format!("election after {} ms: node {node} {} for {} ms", now / MS, FAULTS[kind], time / MS)
        });
    }

    /// Nodes that were at rest keep their roles until `end`.
    fn hold_steady(&mut self, is_at_rest: bool, end: u64) {
        if is_at_rest {
            self.oracle.hold_steady(&self.lan, end);
        }
    }

    fn cut(&mut self, until: u64, begin: impl FnOnce(&mut Lan)) {
        begin(&mut self.lan);
        self.heal_at = Some(until);
    }
}
