//! A node dies while the link loses, delays and reorders frames. Only connections that a lost frame named may be lost.

use crate::world::World;
use crate::world::setup::Setup;
use crate::{MS, S};
use pfplane_testkit::Random;
use pfplane_testkit::wire::Impairment;

pub(super) fn set_up(setup: &mut Setup, random: &mut Random) {
    super::traffic::set_up_group(setup, random);
    setup.repeat_age = random.pick(&[0, 10 * S]);
}

pub(super) fn run(world: &mut World) {
    world.await_ready();
    for _ in 0..world.random.between(1, 3) {
        let dead = world.random.index(world.nodes.len());
        world.route_through(dead);
        let time = world.random.between(50, 1000) * MS;
        world.churn(time);
        let loss_per_mille = world.random.pick(&[1, 10, 50, 200]);
        let jitter_ns = world.random.below(20) * MS;
        world.link.wire.impairment = Impairment { loss_per_mille, jitter_ns, ..Impairment::default() };
        world.note(|world| format!("faults: {:?}", world.link.wire.impairment));
        let time = world.random.between(50, 3000) * MS;
        world.churn(time);
        world.kill_and_judge(dead);
        world.restore();
    }
}
