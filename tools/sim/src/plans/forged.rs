//! An attacker on the link who knows addresses and identities. pfsync has no authentication, so he can end connections; he
//! must not stop the nodes or leave damage that lasts, as long as what he invented fits into the tables.

use crate::world::World;
use crate::{MS, S};

/// Frames in a thousand that arrive with a forged one.
const FORGED_PER_MILLE: [u64; 3] = [20, 200, 1000];

/// Messages that he forges until he leaves: a quarter are inserts, which stay for a day.
const MAX_FORGED: u64 = 1500;

pub(super) fn run(world: &mut World) {
    world.await_ready();
    for _ in 0..world.random.between(1, 3) {
        world.calm_since = None;
        world.reroute();
        world.link.forges = true;
        world.link.hostile_per_mille = world.random.pick(&FORGED_PER_MILLE);
        world.link.max_forged = world.link.forged + MAX_FORGED;
        for _ in 0..world.random.between(1, 50) {
            world.churn(100 * MS);
            if world.link.forged >= world.link.max_forged {
                break;
            }
        }
        world.note(|_| "the attacker leaves".into());
        world.link.forges = false;
        world.link.repair();
        for connection in &mut world.connections {
            connection.abandon();
            connection.replaced = true;
        }
        for n in world.up() {
            let (states, capacity) = (world.nodes[n].states(world.now) as u64, world.nodes[n].capacity());
            world.expect(states <= capacity, |_| format!("node {n} has {states} states in {capacity} slots"));
        }
        // A forged message in a node's own name looks like a second node with its id: it is not ready for a minute.
        world.run(61 * S, 10 * MS);
        world.await_ready();
        world.run(2 * S, 10 * MS);
        world.calm_since = Some(world.now);
        world.reroute();
        world.run_calm_phase();
        world.expect_all_alive(|world, _| {
            let up = world.up();
            world.random.pick(&up)
        });
        world.expect_quiescence();
    }
    world.kill_under_load();
}
