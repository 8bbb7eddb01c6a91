//! What must hold in every election: who forwards, for how long nobody does, who is master, and what is announced.

use super::lan::Lan;
use crate::MS;
use pfplane::internals::election::{Class, Role};

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
        }
    }

    /// A fault begins now.
    pub(super) fn disturb(&mut self, now: u64) {
        self.undisturbed_since = now;
    }

    /// All paths are whole again, after they were cut or lost frames: two masters end with the next advert.
    pub(super) fn heal(&mut self, now: u64) {
        self.undisturbed_since = now;
        self.exempt_until = now + self.interval * 5 / 4 + self.slack;
    }

    /// Checks the state of the election now. `is_cut` says that frames are lost.
    pub(super) fn check(&mut self, lan: &Lan, is_cut: bool) -> Result<(), String> {
        let now = lan.now;
        let forwarding = lan.forwarding();
        // I1. Roles cross within a delay and a late poll.
        let allowed = is_cut || now < self.exempt_until;
        self.two_since = (forwarding.len() > 1 && !allowed).then(|| self.two_since.unwrap_or(now));
        if self.two_since.is_some_and(|since| now - since > self.slack) {
            return Err(format!("nodes {forwarding:?} forward at the same time"));
        }
        if !allowed && !lan.forwarding_after_stop.is_empty() {
            return Err(format!(
                "nodes {:?} forward after a stop beside another one",
                lan.forwarding_after_stop
            ));
        }
        self.check_somebody_forwards(lan, &forwarding)?;
        self.check_the_master_has_states(lan, is_cut)?;
        // I5.
        if lan.forged_macs > 0 {
            return Err("a node that could not forward sent a frame from the virtual MAC address".into());
        }
        Ok(())
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
            && all.iter().any(|index| is(index, Role::Backup, true));
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
