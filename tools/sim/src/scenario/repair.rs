//! The link between pfplane nodes loses, doubles and reorders frames, and is cut for seconds. The nodes repair what that cost: two
//! seconds after the last fault and the last change, all tables are equal.

use crate::world::World;
use crate::world::setup::Setup;
use crate::{MS, S};
use pfplane::internals::packet::Key;
use pfplane_testkit::Random;
use pfplane_testkit::wire::Impairment;
use std::collections::{HashMap, HashSet};

/// Seconds in which a state may expire on one node and not yet on another.
const MAX_EXPIRY_S: u32 = 5;
/// Time in which everything is repaired.
const REPAIRED_WITHIN: u64 = 2 * S;
/// More than the time that a delete is in flight.
const MOMENT: u64 = 100 * MS;

pub(crate) fn set_up(setup: &mut Setup, _: &mut Random) {
    setup.min_age = 0;
    setup.is_pfplane = true;
}

pub(crate) fn run(world: &mut World) {
    world.await_ready();
    for _ in 0..world.random.between(1, 4) {
        world.calm_since = None;
        let node = world.random.index(world.nodes.len());
        world.route_through(node);
        world.link.wire.impairment = Impairment {
            loss_per_mille: world.random.between(10, 200),
            duplicate_per_mille: world.random.pick(&[0, 50]),
            jitter_ns: world.random.pick(&[0, 0, 5 * MS]),
            ..Impairment::default()
        };
        world.note(|world| format!("faults: {:?}", world.link.wire.impairment));
        let time = world.random.between(50, 3000) * MS;
        world.churn(time);
        if world.random.chance(300) {
            (0..world.nodes.len()).for_each(|n| world.link.side[n] = n as u8);
            world.note(|_| "the link is cut".into());
            let time = world.random.between(50, 2000) * MS;
            world.churn(time);
        } else if world.random.chance(500) {
            // The traffic ends before the faults: nothing follows a last frame that is lost, but what shows its loss.
            let time = world.random.between(500, 3000) * MS;
            world.run(time, 10 * MS);
        }
        world.link.repair();
        world.link.join_all();
        world.note(|_| "faults end".into());
        world.expect_equal_tables();
    }
    world.recover();
    world.expect_quiescence();
}

impl World {
    /// Expects that all nodes have the same states when everything must be repaired, and no gap between frames. What ends a
    /// moment before that is still in flight, so only a state that differed a moment earlier too is a fault.
    fn expect_equal_tables(&mut self) {
        self.run(REPAIRED_WITHIN - MOMENT, 10 * MS);
        let earlier = self.differing_states();
        self.run(MOMENT, 10 * MS);
        let now = self.differing_states();
        if let Some((key, other)) = now.iter().find(|(key, _)| earlier.iter().any(|(then, _)| then == key)) {
            let views = [0, *other].map(|node| self.nodes[node].describe(key, self.now)).join("\n    ");
            self.fail(&format!(
                "nodes 0 and {other} differ {REPAIRED_WITHIN} ns after the last fault:\n    {views}"
            ));
        }
        for n in 0..self.nodes.len() {
            let [unrepaired, abandoned] =
                ["frames_unrepaired", "gaps_abandoned"].map(|name| self.nodes[n].stat(name));
            self.expect([unrepaired, abandoned] == [0, 0], |_| {
                format!("node {n}: {unrepaired} frames are not repaired, {abandoned} gaps were given up")
            });
        }
    }
    /// Returns the keys of states that a node has otherwise than node 0, with that node. States that are about to expire do not
    /// count: each node counts their time from the last packet that it knows of.
    fn differing_states(&self) -> Vec<(Key, usize)> {
        let known: Vec<_> = self.nodes.iter().map(|node| node.known(self.now)).collect();
        let mut expiring = HashSet::new();
        for node in &self.nodes {
            node.for_each_state(self.now, |_, view| {
                if view.expires_s <= MAX_EXPIRY_S {
                    expiring.insert(view.hot.key);
                }
            });
        }
        let mut keys: Vec<_> = known.iter().flat_map(HashMap::keys).collect();
        keys.sort_unstable_by_key(|key| format!("{key:?}"));
        keys.dedup();
        let differing = |key: &Key| {
            let first = known[0].get(key);
            Some((*key, known.iter().position(|known| known.get(key) != first)?))
        };
        keys.into_iter().filter(|key| !expiring.contains(*key)).filter_map(differing).collect()
    }
}
