//! Tables that are nearly full: of equal nodes, of unequal nodes, and with adaptive timeouts.
//!
//! A backup that cannot hold what it receives must not say that it may take over.

use crate::world::World;
use crate::world::setup::Setup;
use crate::{MS, S};
use pfplane_testkit::Random;

/// Equal nodes whose timeouts shrink above 60 % of the capacity.
pub(super) fn set_up_adaptive(setup: &mut Setup, random: &mut Random) {
    set_up_full(setup, random);
    setup.is_adaptive = true;
}

/// Equal nodes with small tables.
pub(super) fn set_up_full(setup: &mut Setup, random: &mut Random) {
    super::traffic::set_up_pair(setup, random);
    let lanes = random.pick(&[1, 1, 2]);
    setup.lanes = Some(lanes);
    setup.capacities.fill(random.between(100, 500) as u32);
}

/// Nodes with tables of different sizes, some too small, and different numbers of lanes.
pub(super) fn set_up_unequal(setup: &mut Setup, random: &mut Random) {
    super::traffic::set_up_pair(setup, random);
    let large = random.between(100, 400) as u32;
    setup.capacities =
        setup.capacities.iter().map(|_| random.between(u64::from(large) / 4, large.into()) as u32).collect();
}

/// Idle connections and a flood of half-open ones. Nothing may expire early on the backup alone.
pub(super) fn run_idle(world: &mut World) {
    world.await_ready();
    world.route_through(0);
    let capacity = world.nodes[0].capacity();
    let share = world.random.between(50, 95);
    world.open(capacity * share / 100);
    world.note(|world| format!("{} of {capacity} states", world.nodes[0].states(world.now)));
    for _ in 0..world.random.between(1, 4) {
        match world.random.below(4) {
            0 => world.flood(capacity * (100 - share) / 100),
            1 => world.nodes[1].engine.request_bulk(),
            2 => world.nodes[0].engine.push_bulk(),
            _ => world.send_all(),
        }
        let (time, step) = (world.random.between(1, 200) * S, world.random.between(10, 200) * MS);
        world.run(time, step);
    }
    world.kill_and_judge(0);
    world.restore();
}

/// Traffic that keeps the table full, and deaths in turn.
pub(super) fn run_busy(world: &mut World) {
    world.await_ready();
    for _ in 0..world.random.between(1, 3) {
        let master = world.random.index(2);
        world.route_through(master);
        let capacity = world.nodes[master].capacity();
        let held = world.nodes[master].states(world.now) as u64;
        let wanted = capacity * world.random.between(80, 104) / 100;
        world.open(wanted.saturating_sub(held));
        world.note(|world| {
            format!("node {master}: {} of {capacity} states", world.nodes[master].states(world.now))
        });
        let time = world.random.between(100, 3000) * MS;
        world.churn(time);
        if world.random.chance(300) {
            // A backup that starts now loads the full table in bulk.
            world.kill(1 - master);
            world.restart(1 - master);
            let time = world.random.between(5, 3000) * MS;
            world.churn(time);
        }
        world.kill_and_judge(master);
        world.restart(master);
        let time = world.random.between(500, 3000) * MS;
        world.churn(time);
    }
}
