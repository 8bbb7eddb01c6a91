//! What must hold in every election: who forwards, for how long nobody does, who is master, and what is announced.

use super::lan::Lan;
use crate::MS;
use pfplane::internals::election::{Class, Role, Why};

/// How long a node forwards at most that hands over and has received the next master on one network.
const ROUND: u64 = 10 * MS;

/// Watches an election, step by step.
pub(super) struct Oracle {
    /// Time between adverts.
    interval: u64,
    /// How long a backup waits at most, without what a node that is loading adds.
    down: u64,
    /// Delay, late polls and steps.
    slack: u64,
    /// Two nodes may forward until then: after a cut, or while nodes step down in order.
    exempt_until: u64,
    /// Somebody forwards from then on at the latest.
    undisturbed_since: u64,
    two_since: Option<u64>,
    nobody_since: Option<u64>,
    unready_since: Option<u64>,
    /// The only master, and until when it must stay the only one: faults that must not move the role.
    steady: Option<(usize, u64)>,
    /// Since when each node forwards.
    forwards_since: Vec<Option<u64>>,
    /// A master that steps down in order is replaced by then.
    replaced_by: Option<u64>,
    /// Until when each node was ordered to take over from nobody.
    held_until: Vec<u64>,
}

impl Oracle {
    pub(super) fn new(lan: &Lan, interval: u64, down: u64) -> Self {
        let slack = lan.delay + lan.lateness + 3 * MS;
        Self {
            interval,
            down,
            slack,
            exempt_until: 0,
            undisturbed_since: lan.now,
            two_since: None,
            nobody_since: None,
            unready_since: None,
            steady: None,
            forwards_since: vec![None; lan.nodes.len()],
            replaced_by: None,
            held_until: vec![0; lan.nodes.len()],
        }
    }

    /// A node is ordered to take over from nobody until then.
    pub(super) fn hold(&mut self, node: usize, until: u64) {
        self.held_until[node] = until;
    }

    /// A fault begins that must not move the role until `until`.
    pub(super) fn hold_steady(&mut self, lan: &Lan, until: u64) {
        if let [master] = lan.forwarding()[..] {
            self.steady = Some((master, until));
        }
    }

    /// The master says farewell now, and a backup is at its best.
    pub(super) fn expect_handover(&mut self, lan: &Lan) {
        // A quarter of the skew: of VRRP below a quarter interval, of CARP below 100 ms.
        let wait = self.interval / 4 + 100 * MS;
        self.replaced_by = Some(lan.now + wait + 2 * self.slack);
    }

    /// A fault begins now.
    pub(super) fn disturb(&mut self, now: u64) {
        self.undisturbed_since = now;
        (self.steady, self.replaced_by) = (None, None);
    }

    /// All paths are whole again, after they were cut or lost frames: two masters end with the next advert.
    pub(super) fn heal(&mut self, now: u64) {
        self.undisturbed_since = now;
        self.exempt_until = now + self.interval * 5 / 4 + self.slack;
    }

    /// A master that is stopped while the paths become whole learns of the other one only when it continues: until then its lease
    /// from before the cut's end counts.
    fn extend_exemption(&mut self, lan: &Lan) {
        let masters = || lan.nodes.iter().filter(|node| node.election.status().role == Role::Master);
        if lan.now < self.exempt_until && masters().count() > 1 {
            let continues = masters().map(|node| node.stopped_until).max().unwrap_or(0);
            self.exempt_until = self.exempt_until.max(continues + self.slack);
        }
    }

    /// Checks the state of the election now. `is_cut` says that frames are lost.
    pub(super) fn check(&mut self, lan: &Lan, is_cut: bool) -> Result<(), String> {
        let now = lan.now;
        self.extend_exemption(lan);
        let forwarding = lan.forwarding();
        // I1. Roles cross within a delay and a late poll.
        let allowed = is_cut || now < self.exempt_until;
        self.two_since = (forwarding.len() > 1 && !allowed).then(|| self.two_since.unwrap_or(now));
        // One that hands over draws no traffic: it forwards what is sent to it until all networks know the next master.
        let is_handed_over = (0..lan.nodes.len()).any(|node| lan.hands_over(node));
        let limit = self.slack + if is_handed_over { ROUND } else { 0 };
        if self.two_since.is_some_and(|since| now - since > limit) {
            return Err(format!("nodes {forwarding:?} forward at the same time"));
        }
        if !allowed && !lan.forwarding_after_stop.is_empty() {
            return Err(format!(
                "nodes {:?} forward after a stop beside another one",
                lan.forwarding_after_stop
            ));
        }
        if let (Some(node), false) = (lan.spoke_after_stop, allowed) {
            return Err(format!("node {node} spoke as master after a stop beside another one"));
        }
        if let Some((master, until)) = self.steady
            && now < until
            && forwarding != [master]
        {
            return Err(format!(
                "nodes {forwarding:?} forward instead of {master}, which every node received"
            ));
        }
        if self.replaced_by.is_some_and(|by| now >= by) {
            self.replaced_by = None;
            if forwarding.len() != 1 {
                return Err(format!("after a farewell, nodes {forwarding:?} forward"));
            }
        }
        if let (Some(node), false) = (self.find_needless_return(lan), allowed) {
            return Err(format!("node {node} listened after a stop and became master beside another one"));
        }
        self.check_somebody_forwards(lan, &forwarding)?;
        self.check_the_master_has_states(lan, is_cut)?;
        // I5.
        if lan.forged_macs > 0 {
            return Err("a node that could not forward sent a frame from the virtual MAC address".into());
        }
        Ok(())
    }

    /// Returns a node that became master just now because it received nobody, although another one has been master for longer
    /// than an interval.
    fn find_needless_return(&mut self, lan: &Lan) -> Option<usize> {
        let now = lan.now;
        let forwarding = lan.forwarding();
        for (index, since) in self.forwards_since.iter_mut().enumerate() {
            *since = forwarding.contains(&index).then(|| since.unwrap_or(now));
        }
        let long_since = now.saturating_sub(self.interval + self.slack);
        let has_returned = |index: &usize| {
            let status = lan.nodes[*index].election.status();
            self.forwards_since[*index] == Some(now) && status.why == Why::NobodyElse
        };
        let is_established = |since: &Option<u64>| since.is_some_and(|since| since < long_since);
        self.forwards_since
            .iter()
            .any(is_established)
            .then(|| forwarding.into_iter().find(has_returned))
            .flatten()
    }

    /// I2: somebody forwards again after the down time, the pause of the node that was stopped, and what loading adds.
    fn check_somebody_forwards(&mut self, lan: &Lan, forwarding: &[usize]) -> Result<(), String> {
        let now = lan.now;
        let is_stopped = lan.nodes.iter().any(|node| !node.is_alive || now < node.stopped_until);
        let since = self.nobody_since.unwrap_or(now).max(self.undisturbed_since);
        self.nobody_since = (forwarding.is_empty() && !is_stopped).then_some(since);
        // A loading node waits two intervals more, a stopped one listens for 1.25; clocks differ by one in a hundred.
        let longest = (self.down + 2 * self.interval + self.interval * 5 / 4) * 103 / 100 + 2 * self.slack;
        match self.nobody_since {
            Some(since) if now - since > longest => {
                Err(format!("nobody forwards for {} ms", (now - since) / MS))
            }
            _ => Ok(()),
        }
    }

    /// I3: no node without all states is master while one with all states is alive and both receive each other.
    fn check_the_master_has_states(&mut self, lan: &Lan, is_cut: bool) -> Result<(), String> {
        let now = lan.now;
        let runs = |index: &usize| {
            let node = &lan.nodes[*index];
            node.is_alive && now >= node.stopped_until
        };
        let is = |index: &usize, role, synced: bool| {
            let status = lan.nodes[*index].election.status();
            status.role == role && (status.class == Class::Synced) == synced
        };
        let all: Vec<_> = (0..lan.nodes.len()).filter(runs).collect();
        let is_wrong = !is_cut
            && all.iter().any(|index| is(index, Role::Master, false))
            && all.iter().any(|index| is(index, Role::Backup, true) && now >= self.held_until[*index]);
        let since = self.unready_since.unwrap_or(now).max(self.undisturbed_since);
        self.unready_since = is_wrong.then_some(since);
        // Adverts cross, a backup that was stopped in between starts anew.
        match self.unready_since {
            Some(since) if now - since > 5 * self.interval + self.down + self.slack => {
                Err("a node without all states is master beside one that has them".into())
            }
            _ => Ok(()),
        }
    }

    /// I4 and I6, at rest: one master, which spoke last, and no demotion.
    pub(super) fn check_at_rest(lan: &Lan) -> Result<(), String> {
        let forwarding = lan.forwarding();
        let [master] = forwarding[..] else { return Err(format!("at rest, nodes {forwarding:?} forward")) };
        for (index, node) in lan.nodes.iter().enumerate() {
            let demotion = node.election.status().demotion;
            if demotion != 0 {
                return Err(format!("node {index} is demoted by {demotion} although all is well"));
            }
            let spoke = node.spoke_to_all;
            let announced = lan.nodes[master].announced;
            if index != master && spoke > announced {
                let (spoke, announced) = (spoke / MS, announced / MS);
                return Err(format!(
                    "node {index} spoke at {spoke} ms, after master {master} at {announced} ms"
                ));
            }
        }
        Ok(())
    }
}
