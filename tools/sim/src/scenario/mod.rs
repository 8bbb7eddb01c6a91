//! What happens in a seed: phases with and without faults in turn, kills and restarts, and a day without new connections.

mod calm;
mod deaths;
mod fault_phase;
mod partition;
mod quiescence;
mod recovery;
pub(crate) mod repair;

use crate::options::Fault;
use crate::world::World;
use crate::{MS, S};
use pfplane_testkit::node::Passage;

/// Maximum time from the start of a node until it is ready: all bulk requests remain unanswered.
const READY_WITHIN: u64 = 30 * S;

/// Runs one seed.
pub(crate) fn run(world: &mut World) {
    begin(world);
    let phases = world.random.between(2, 4);
    for _ in 0..phases {
        round(world);
    }
    world.kill_under_load();
    world.pass_a_day();
    for n in world.up() {
        world.expect_alive_now(|_, _| n);
    }
}

/// Waits until all nodes are ready, and routes traffic.
pub(crate) fn begin(world: &mut World) {
    world.await_ready();
    world.reroute();
}

/// Runs a phase with faults and one without, and checks what must hold after each.
pub(crate) fn round(world: &mut World) {
    world.run_fault_phase();
    world.recover();
    world.expect_all_alive(|world, _| any_node(world));
    world.run_calm_phase();
    world.expect_quiescence();
    world.partition_briefly();
    if world.options.faults.has(Fault::Restart) {
        world.kill_and_restart();
        world.expect_quiescence();
        world.partition_for_long();
    }
    world.reroute();
}

/// Draws a node that is up.
fn any_node(world: &mut World) -> usize {
    let up = world.up();
    world.random.pick(&up)
}

impl World {
    const fn may(&self, fault: Fault) -> bool {
        self.options.faults.has(fault)
    }

    /// Waits until every node that is up is ready.
    pub(crate) fn await_ready(&mut self) {
        let started = self.now;
        while self.up().iter().any(|&n| !self.nodes[n].engine.ready()) {
            let waited = self.now - started;
            self.expect(waited < READY_WITHIN, |world| {
                let nodes = world
                    .nodes
                    .iter()
                    .map(|node| (node.is_up, node.engine.readiness(world.now), node.engine.bulk()));
                let nodes: Vec<_> = nodes.collect();
                format!("not ready after {} s: {nodes:?}", waited / S)
            });
            self.step(5 * MS);
        }
        for n in self.up() {
            self.was_ready[n] = true;
        }
    }

    /// Lets a day pass in which only keep-alives are sent. Then only open connections have states.
    pub(crate) fn pass_a_day(&mut self) {
        self.reroute();
        for round in 0..90 {
            for n in 0..self.connections.len() {
                if self.connections[n].is_open_tcp() {
                    self.send_keep_alive(n, round % 2 == 0);
                }
            }
            self.run_long(1000 * S);
            if matches!(round, 0 | 2) {
                self.expect_agreement();
            }
        }
        self.expect_quiescence();
        self.expect_only_open_connections();
    }

    fn send_keep_alive(&mut self, n: usize, forward: bool) {
        let probe = self.connections[n].probe(forward);
        let node = any_node(self);
        let passage = self.nodes[node].forward(&probe, self.now, &mut self.random);
        self.figures.packets += 1;
        self.expect(passage == Passage::Passed, |world| {
            let state = world.nodes[node].describe(&world.connections[n].key(), world.now);
            format!("a keep-alive of connection {n} was refused at node {node}: {passage:?} {state}")
        });
    }
}
