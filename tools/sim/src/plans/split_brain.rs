//! A divided pair: each node is master, opens connections, and translates them to the one address that both share.

use crate::world::World;
use crate::{MS, S};

pub(super) fn run(world: &mut World) {
    world.await_ready();
    world.route_through(0);
    let count = world.random.between(10, 60);
    world.open(count);
    world.run(2 * S, 10 * MS);
    world.link.side[0] = 1;
    let mut owners = vec![0; world.connections.len()];
    for master in [0, 1] {
        world.route_through(master);
        let count = world.random.between(10, 100);
        world.open(count);
        owners.resize(world.connections.len(), master);
    }
    let time = world.random.between(10, 3000) * MS;
    world.run(time, 10 * MS);
    world.link.join_all();
    world.note(|_| "the nodes reach each other again".into());
    for n in [0, 1] {
        if world.random.chance(500) {
            world.nodes[n].engine.request_bulk();
        }
    }
    for _ in 0..world.random.between(1, 4) {
        world.run(S, 10 * MS);
        // Each connection lives on where it was opened, whatever the other node has under its outside key.
        world.expect_alive_now(|_, n| owners[n]);
    }
}
