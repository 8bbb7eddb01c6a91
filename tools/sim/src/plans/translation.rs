//! Source NAT to one address that both nodes share, and limits per source, on a link that delays and reorders frames.

use crate::world::World;
use crate::world::setup::Setup;
use crate::{MS, S};
use pfplane_testkit::Random;
use std::collections::HashMap;

/// States of one source: some connections are refused.
const STATES_PER_SOURCE: u32 = 6;
/// Prefix lengths that put several clients into one source.
const SOURCE_BITS: [u8; 2] = [29, 125];

/// Two nodes that translate.
pub(super) fn set_up_pair(setup: &mut Setup, random: &mut Random) {
    super::traffic::set_up_pair(setup, random);
    setup.translates = true;
}

/// Two nodes that translate and limit.
pub(super) fn set_up(setup: &mut Setup, random: &mut Random) {
    set_up_pair(setup, random);
    setup.sources.bits = SOURCE_BITS;
    setup.sources.limits.states = STATES_PER_SOURCE;
}

pub(super) fn run(world: &mut World) {
    world.await_ready();
    for _ in 0..world.random.between(1, 3) {
        let master = world.random.index(2);
        world.route_through(master);
        world.link.wire.impairment.jitter_ns = world.random.below(20) * MS;
        world.link.wire.impairment.duplicate_per_mille = world.random.below(100);
        let count = world.random.between(20, 100);
        world.open(count);
        let time = world.random.between(50, 3000) * MS;
        world.churn(time);
        world.kill_and_judge(master);
        world.restore();
        world.send_all();
        world.run(2 * S, 10 * MS);
        for n in world.up() {
            expect_sources_counted(world, n);
        }
    }
}

/// Expects that each source's count is the number of its states.
fn expect_sources_counted(world: &mut World, n: usize) {
    let mut counts: HashMap<_, u32> = HashMap::new();
    world.nodes[n].for_each_state(world.now, |_, view| {
        let key = view.hot.key;
        *counts.entry((key.addr[0], key.family)).or_default() += 1;
    });
    let mut by_source: Vec<(u32, u32)> = Vec::new();
    for (address, family) in counts.keys() {
        let counted = world.nodes[n].engine.source(*address, *family, None).map_or(0, |(states, _)| states);
        let of_prefix = counts.iter().filter(|((other, its), _)| {
            its == family && is_same_source(address, other, *family == pfplane::internals::packet::Family::V4)
        });
        by_source.push((counted, of_prefix.map(|(_, count)| count).sum()));
    }
    let wrong = by_source.iter().find(|(counted, states)| counted != states).copied();
    world.expect(wrong.is_none(), |_| {
        let (counted, states) = wrong.unwrap_or_default();
        format!("node {n} counts {counted} states of a source that has {states}")
    });
}

fn is_same_source(one: &[u8; 16], other: &[u8; 16], is_v4: bool) -> bool {
    let last = if is_v4 { 3 } else { 15 };
    one[..last] == other[..last] && one[last] & !7 == other[last] & !7
}
