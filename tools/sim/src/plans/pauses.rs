//! A node pauses for 1 to 60 s, as a virtual machine does that is moved.

use crate::world::World;
use crate::world::setup::Setup;
use crate::{MS, S};
use pfplane_testkit::Random;

pub(super) fn set_up(setup: &mut Setup, random: &mut Random) {
    super::traffic::set_up_pair(setup, random);
    setup.detects_pauses = true;
}

pub(super) fn run(world: &mut World) {
    world.await_ready();
    world.route_through(0);
    let count = world.random.between(20, 150);
    world.open(count);
    world.run(2 * S, 10 * MS);
    for _ in 0..world.random.between(1, 3) {
        let master = world.random.index(2);
        world.route_through(master);
        let time = world.random.between(50, 2000) * MS;
        world.churn(time);
        let time = world.random.pick(&[1, 5, 20, 60]) * S;
        if world.random.chance(500) {
            pause_backup(world, master, time)
        } else {
            pause_master(world, master, time)
        }
        world.restore();
    }
}

/// The backup misses what its port cannot hold. Until it has asked again, it must not be ready.
fn pause_backup(world: &mut World, master: usize, time: u64) {
    let backup = 1 - master;
    world.pause(backup, time);
    world.churn(time + MS);
    let time = world.random.pick(&[1, 10, 100, 3000]) * MS;
    world.churn(time);
    world.kill_and_judge(master);
}

/// The backup takes over. When the old master continues, it must not end what lives on the new one.
fn pause_master(world: &mut World, master: usize, time: u64) {
    let backup = 1 - master;
    let announced = world.nodes[master].exposed_creations(world.now);
    world.pause(master, time);
    world.run(20 * MS, MS);
    world.judge_takeover(master, backup, announced);
    world.route_through(backup);
    world.churn(time);
    world.send_all();
    let time = world.random.pick(&[1, 10, 100, 3000]) * MS;
    world.churn(time);
    world.run(S, 10 * MS);
    world.expect_alive_now(|_, _| backup);
}
