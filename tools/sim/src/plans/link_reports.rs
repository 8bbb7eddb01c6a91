//! The sync link fails, and each host reports it sooner or later. What was opened meanwhile is announced as exposed until the
//! link is back and the peer has it.

use crate::MS;
use crate::world::World;

pub(super) fn run(world: &mut World) {
    world.await_ready();
    for _ in 0..world.random.between(1, 3) {
        let master = world.random.index(2);
        world.route_through(master);
        let time = world.random.between(50, 1000) * MS;
        world.churn(time);
        cut(world, master);
        let outage = world.random.pick(&[100, 1000, 30_000]);
        let time = world.random.between(1, outage) * MS;
        world.churn(time);
        if world.random.chance(300) {
            world.kill_and_judge(master);
            world.restore();
            continue;
        }
        heal(world);
        let time = world.random.pick(&[1, 20, 200, 3000]) * MS;
        world.churn(time);
        world.kill_and_judge(master);
        world.restore();
    }
}

/// Cuts the link. The master's host learns of it first, so that no frame is lost without its knowledge.
fn cut(world: &mut World, master: usize) {
    world.nodes[master].engine.set_link(false);
    world.step(2 * MS);
    world.link.side[master] = 1;
    world.note(|_| "the link is cut".into());
    if world.random.chance(800) {
        let time = world.random.below(200) * MS;
        world.churn(time);
        world.nodes[1 - master].engine.set_link(false);
    }
}

/// Restores the link. The hosts report it in any order.
fn heal(world: &mut World) {
    world.link.join_all();
    world.note(|_| "the link is back".into());
    let first = world.random.index(2);
    for n in [first, 1 - first] {
        let time = world.random.below(300) * MS;
        world.churn(time);
        world.nodes[n].engine.set_link(true);
        world.note(|_| format!("node {n} knows"));
    }
}
