//! Nodes are killed, others take over, and the killed ones restart.

use super::{READY_WITHIN, any_node};
use crate::options::Fault;
use crate::world::{Routing, World};
use crate::{MS, S};
use pfplane_testkit::flow::Intent;
use pfsync::Identity;

/// Connections lost in a takeover.
#[derive(Clone, Copy, Default)]
struct Losses {
    lost: u64,
    /// Those of which the link had lost a frame to or from the survivor: pfsync has no sequence numbers, so nobody knows.
    by_link: u64,
}

impl World {
    /// Kills a node, sometimes two. The others forward everything at once. A restarted node is ready only when it can
    /// forward everything too, whoever else restarts at the same time.
    pub(super) fn kill_and_restart(&mut self) {
        let first = match self.routing {
            Routing::Shared(path) => path[0],
            Routing::PerConnection => any_node(self),
        };
        let mut dead = vec![first];
        if self.nodes.len() > 2 && self.random.chance(400) {
            dead.extend(Some(any_node(self)).filter(|&second| second != first));
        }
        self.send_all();
        self.run(1300 * MS, 10 * MS);
        dead.iter().for_each(|&n| self.kill(n));
        self.reroute();
        self.expect_alive_now(|world, _| any_node(world));
        if self.random.chance(500) {
            self.run_calm_phase();
        }
        for &n in &dead {
            self.restart(n);
            let apart = self.random.below(20) * MS;
            self.run(apart, MS);
        }
        let started = self.now;
        // Another node may receive a bulk transfer too: its end is not the end of ours.
        if let Some(other) = self.usable().into_iter().find(|_| self.random.chance(300)) {
            self.nodes[other].engine.request_bulk();
            self.refreshed = self.now;
            self.run(3 * MS, MS);
        }
        while !dead.is_empty() {
            self.step(MS);
            self.check_restarted(&mut dead, started);
        }
        self.reroute();
    }

    /// Checks that restarted nodes that became ready forward everything, and removes them from the list.
    fn check_restarted(&mut self, restarted: &mut Vec<usize>, started: u64) {
        let waited = self.now - started;
        for n in core::mem::take(restarted) {
            if self.nodes[n].engine.ready() {
                self.note(|_| format!("node {n} is ready after {} ms", waited / MS));
                self.was_ready[n] = true;
                self.nodes[n].resume();
                self.expect_alive_now(|_, _| n);
                continue;
            }
            restarted.push(n);
            if self.may(Fault::Stall) && self.random.chance(100) {
                let (lanes, time) = (self.nodes[n].lanes.len(), self.random.between(1, 20) * MS);
                self.nodes[n].stall(self.random.index(lanes), self.now + time);
            }
            self.expect(waited < READY_WITHIN, |_| format!("node {n} is not ready after {} s", waited / S));
        }
    }

    /// Kills a node at a random moment under load, on a sound link: it loses at most the creations that it announced last.
    pub(crate) fn kill_under_load(&mut self) {
        self.link.repair();
        self.calm_since = None;
        let dead = any_node(self);
        self.routing = Routing::Shared([dead; 2]);
        let steps = self.random.between(20, 200);
        for _ in 0..steps {
            let count = self.random.below(3);
            self.start(count);
            for _ in 0..self.random.below(12) {
                self.send_some();
            }
            let step = self.random.between(100, 3000) * 1000;
            self.step(step);
        }
        self.kill_and_judge(dead);
        self.figures.unsettled_deaths += 1;
        self.recover();
    }

    /// Kills a node and moves its traffic to another one.
    pub(crate) fn kill_and_judge(&mut self, dead: usize) {
        let announced = self.nodes[dead].exposed_creations(self.now);
        self.kill(dead);
        // What was sent arrives.
        let impairment = self.link.wire.impairment;
        self.run(20 * MS + impairment.delay_ns + impairment.jitter_ns, MS);
        let survivor = any_node(self);
        self.judge_takeover(dead, survivor, announced);
    }

    /// Moves the traffic of a dead node to a survivor. `announced` creations were exposed when it died: a survivor that is ready
    /// loses at most these, and what the link lost.
    pub(crate) fn judge_takeover(&mut self, dead: usize, survivor: usize, announced: u64) {
        let is_ready = self.nodes[survivor].engine.ready();
        let Losses { lost, by_link } = self.count_lost(dead, survivor);
        self.reroute();
        let ready = if is_ready { "ready" } else { "not ready" };
        self.note(|_| {
            format!("node {survivor} takes over, {ready}: announced {announced}, lost {lost}, by the link {by_link}")
        });
        if !is_ready {
            self.figures.unready_takeovers += 1;
            self.abandon_unknown(survivor);
            return;
        }
        self.figures.sudden_deaths += 1;
        self.figures.announced += announced;
        self.figures.lost += lost;
        self.expect(lost <= announced, |_| {
            format!(
                "node {dead} was killed and lost {lost} connections, but had announced {announced} creations"
            )
        });
    }

    /// Abandons the connections of every kind that a survivor does not know.
    fn abandon_unknown(&mut self, survivor: usize) {
        let known = self.nodes[survivor].known(self.now);
        let connections = self.connections.iter_mut();
        connections.filter(|one| !known.contains_key(&one.key())).for_each(|one| one.abandon());
    }

    /// Counts the established connections of a dead node that do not pass the survivor, and abandons those.
    fn count_lost(&mut self, dead: usize, survivor: usize) -> Losses {
        let mut losses = Losses::default();
        let [of_dead, known] = [dead, survivor].map(|n| self.nodes[n].known(self.now));
        for n in 0..self.connections.len() {
            let key = self.connections[n].key();
            let Some(state) = of_dead.get(&key).filter(|_| self.connections[n].is_established()) else {
                continue;
            };
            // If only the SYN was replicated, nobody knows the server's window scale: it passes, but not for long.
            let is_complete = known.get(&key).is_some_and(|state| state.peer_state == [4; 2]);
            let passes = (0..2).all(|_| self.send_through(n, Intent::Talk, Some(survivor)));
            if !passes {
                let id = Identity::from(state.id);
                let by_link = self.named_in_lost.contains(&(id, survivor));
                *if by_link { &mut losses.by_link } else { &mut losses.lost } += 1;
            }
            if !(passes && is_complete) {
                self.connections[n].abandon();
            }
        }
        losses
    }
}
