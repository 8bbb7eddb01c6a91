//! Frames pass between some nodes in one direction only, while traffic passes all of them.

use crate::MS;
use crate::world::World;

pub(super) fn run(world: &mut World) {
    world.await_ready();
    for _ in 0..world.random.between(1, 3) {
        world.calm_since = None;
        world.reroute();
        let time = world.random.between(50, 1000) * MS;
        world.churn(time);
        let deaf = world.random.index(world.nodes.len());
        for from in 0..world.nodes.len() {
            world.link.is_blocked[from][deaf] = from != deaf && world.random.chance(700);
        }
        world.note(|_| format!("node {deaf} receives nothing from some nodes"));
        let longest = world.random.pick(&[500, 5000, 40_000]);
        let time = world.random.between(50, longest) * MS;
        world.churn(time);
        world.recover();
        world.expect_all_alive(|world, _| {
            let up = world.up();
            world.random.pick(&up)
        });
        world.expect_quiescence();
    }
    world.kill_under_load();
}
