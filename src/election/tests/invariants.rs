//! Seeds: nodes that die, restart, are stopped and cut off, and what must hold whatever happens.

use super::network::{MS, Network, config};
use crate::election::{Class, Dialect, Role};
use crate::time::Nanos;

/// What one seed found.
#[derive(Debug, Default)]
struct Found {
    /// Longest time in which two nodes forwarded after a stop, outside of partitions.
    two: Nanos,
    /// Longest time in which two nodes forwarded after all cuts were healed.
    after_heal: Nanos,
    /// Longest time in which nobody forwarded although a node ran undisturbed.
    nobody: Nanos,
    forged_macs: u64,
}

const STEP: Nanos = MS / 2;
const T: Nanos = 100 * MS;

/// Runs a minute of faults.
fn run(seed: u64) -> Found {
    let dialect = Dialect::Vrrp3;
    let mut network = Network::new(dialect, 100_000, &[200, 100], 1 + (seed % 2) as u16, seed);
    network.delay = 1 + network.below(3 * MS);
    let mut found = Found::default();
    let (mut two, mut nobody) = (0, 0);
    let mut healed_at: Nanos = 0;
    let mut undisturbed_since = network.now;
    let mut next_fault = network.now + 3000 * MS;
    let mut heal_at = None;
    network.run(60_000 * MS, STEP, |network| {
        let now = network.now;
        if heal_at.is_some_and(|at| now >= at) {
            network.cuts.clear();
            (heal_at, healed_at) = (None, now);
        }
        if now >= next_fault && heal_at.is_none() {
            next_fault = now + 2500 * MS + network.below(2000) * MS;
            let node = network.below(2) as usize;
            match network.below(4) {
                0 => network.nodes[node].paused_until = now + network.below(2000) * MS,
                1 => {
                    network.partition(0, 1);
                    heal_at = Some(now + network.below(2000) * MS);
                }
                2 => {
                    let priority = if node == 0 { 200 } else { 100 };
                    let ports = network.config.members.len() as u16 / 2;
                    network.kill(node);
                    network.restart(node, config(dialect, 100_000, node, priority, ports));
                }
                _ => {
                    let ms = network.below(2000) as u32;
                    network.nodes[node].election.step_down(ms, now);
                }
            }
            undisturbed_since = now;
        }
        // States arrive within 300 ms of a restart.
        for index in 0..2 {
            if now > undisturbed_since + 300 * MS {
                network.nodes[index].election.readiness(Class::Synced);
            }
        }
        let forwarding = network.forwarding().len();
        two = if forwarding > 1 && heal_at.is_none() { two + STEP } else { 0 };
        let since_heal = now - healed_at;
        if since_heal < 2 * T {
            found.after_heal = found.after_heal.max(two);
        } else {
            found.two = found.two.max(two);
        }
        nobody = if forwarding == 0 { nobody + STEP } else { 0 };
        let stopped = network.nodes.iter().any(|node| now < node.paused_until + 2 * T);
        found.nobody = found.nobody.max(if stopped { 0 } else { nobody });
    });
    found.forged_macs = network.forged_macs;
    let masters = (0..2).filter(|&index| network.role(index) == Role::Master).count();
    assert!(masters <= 2);
    found
}

/// I1: one node forwards, but for a partition and an interval after it, and for the delay when roles cross.
/// I2: never nobody for longer than the down time and what a loading node waits.
/// I5: no frame from the virtual MAC address by a node that may not forward.
#[test]
fn whatever_happens_one_node_forwards() {
    let seeds = if cfg!(miri) { 0..1 } else { 0..20 };
    for seed in seeds {
        let found = run(seed);
        assert!(found.two <= 60 * MS, "seed {seed}: {found:?}");
        assert!(found.after_heal <= T + 10 * MS, "seed {seed}: {found:?}");
        assert!(found.nobody <= 3 * T + 2 * T + 2 * T + 20 * MS, "seed {seed}: {found:?}");
        assert_eq!(found.forged_macs, 0, "seed {seed}");
    }
}
