//! An operator kills and clears states, and starts bulk transfers. What he ended stays ended, and what is opened meanwhile lives.

use crate::world::World;
use crate::{MS, S};
use pfplane::internals::state::StateId;
use std::collections::HashSet;

pub(super) fn run(world: &mut World) {
    world.await_ready();
    for _ in 0..world.random.between(1, 3) {
        let master = world.random.index(world.nodes.len());
        world.route_through(master);
        let count = world.random.between(20, 150);
        world.open(count);
        world.link.wire.impairment.jitter_ns = world.random.below(10) * MS;
        let mut ended = HashSet::new();
        for _ in 0..world.random.between(1, 6) {
            act(world, master, &mut ended);
            let time = world.random.below(300) * MS;
            world.churn(time);
        }
        world.restore();
        expect_ended(world, &ended);
        // Every node sends and receives everything once more.
        for n in world.up() {
            world.nodes[n].engine.request_bulk();
            world.run(S, 10 * MS);
        }
        expect_ended(world, &ended);
        let time = world.random.below(300) * MS;
        world.churn(time);
        world.kill_and_judge(master);
        world.restore();
    }
}

fn act(world: &mut World, master: usize, ended: &mut HashSet<StateId>) {
    match world.random.below(6) {
        0 => clear(world, master, ended),
        1 => world.nodes[master].engine.push_bulk(),
        2 => {
            let n = world.another(master);
            world.nodes[n].engine.request_bulk();
        }
        _ => {
            let n = world.random.index(world.nodes.len());
            kill_some(world, n, ended);
        }
    }
}

/// Kills random connections on a node.
fn kill_some(world: &mut World, node: usize, ended: &mut HashSet<StateId>) {
    let known = world.nodes[node].known(world.now);
    let share = world.random.pick(&[20, 300, 1000]);
    let mut count = 0;
    for n in 0..world.connections.len() {
        let Some(state) = known.get(&world.connections[n].key()) else { continue };
        if world.random.chance(share) && world.nodes[node].delete_id(state.id, world.now) {
            world.connections[n].abandon();
            ended.insert(state.id);
            count += 1;
        }
    }
    world.note(|_| format!("the operator kills {count} states on node {node}"));
}

/// Clears the node that forwards everything, at a moment when all others have its states.
fn clear(world: &mut World, master: usize, ended: &mut HashSet<StateId>) {
    world.run(500 * MS, 10 * MS);
    let known = world.nodes[master].known(world.now);
    ended.extend(known.values().map(|state| state.id));
    for connection in &mut world.connections {
        if !connection.is_over() {
            connection.abandon();
        }
    }
    world.nodes[master].engine.clear();
    world.note(|_| format!("the operator clears node {master}: {} states", known.len()));
}

/// Expects that no node has a state that was killed or cleared.
fn expect_ended(world: &mut World, ended: &HashSet<StateId>) {
    for n in world.up() {
        let known = world.nodes[n].known(world.now);
        let Some(key) = known.iter().find(|(_, state)| ended.contains(&state.id)).map(|(key, _)| *key) else {
            continue;
        };
        let alive = known.values().filter(|state| ended.contains(&state.id)).count();
        let connection = world.connections.iter().position(|connection| connection.key() == key);
        world.fail(&format!(
            "node {n} has {alive} of {} states that the operator ended: {}",
            ended.len(),
            connection.map_or_else(|| format!("{key:?}"), |n| world.describe(n)),
        ));
    }
}
