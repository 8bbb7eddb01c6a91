//! A partition without other faults, in which one node forwards everything.
//!
//! What the others have missed is repaired without a packet if all nodes send all their states, otherwise by the first
//! message of a node that is behind.

use super::any_node;
use crate::options::Fault;
use crate::world::{Routing, World};
use crate::{MS, S};
use pfplane_testkit::flow::Intent;

/// Connections that reuse ports during the partition.
const MAX_REUSED: usize = 6;
/// Longer than an update may be delayed, so that all messages of the partition are lost.
const FLUSHED_AFTER: u64 = 1100 * MS;

impl World {
    /// Partitions one node with all traffic. The others keep old views of its connections, and closed ones whose ports
    /// have been reused.
    pub(super) fn partition_briefly(&mut self) {
        let up = self.up();
        if !self.may(Fault::Partition) || up.len() < 2 {
            return;
        }
        let alone = self.random.pick(&up);
        self.link.join_all();
        self.link.side[alone] = 1;
        self.routing = Routing::Shared([alone; 2]);
        self.note(|_| format!("node {alone} is partitioned briefly"));
        let old = self.connections.len();
        self.reuse_all_ports(MAX_REUSED);
        self.send_all();
        // First packets that are held for a peer are held for the whole delay.
        self.run(FLUSHED_AFTER, 10 * MS);
        self.send_all();
        self.run(FLUSHED_AFTER, 10 * MS);
        self.link.join_all();
        self.note(|_| "no partition".into());
        if self.random.chance(500) {
            self.request_all_states();
            self.expect_quiescence();
            self.expect_new_pass(old, alone);
        } else {
            self.expect_new_pass(old, alone);
            self.expect_old_pass_behind(old, alone);
        }
        self.run(2 * S, 10 * MS);
        self.expect_agreement();
    }

    /// Every node requests all states, in random order: a node with an old view, or with a closed connection, learns.
    fn request_all_states(&mut self) {
        let up = self.up();
        let first = self.random.index(up.len());
        for n in 0..up.len() {
            self.nodes[up[(first + n) % up.len()]].engine.request_bulk();
            let apart = self.random.below(30) * MS;
            self.run(apart, 5 * MS);
        }
        self.refreshed = self.now;
    }

    /// Connections started during the partition pass where they started: no view of the earlier users of their ports
    /// harms them.
    fn expect_new_pass(&mut self, old: usize, alone: usize) {
        for _ in 0..3 {
            for n in old..self.connections.len() {
                let passes = self.send_through(n, Intent::Talk, Some(alone));
                self.expect(passes, |world| format!("is dropped after a partition: {}", world.describe(n)));
            }
            self.run(30 * MS, 10 * MS);
        }
    }

    /// The next packet of each older connection passes a node that has missed the partition's messages.
    fn expect_old_pass_behind(&mut self, old: usize, alone: usize) {
        let others: Vec<_> = self.up().into_iter().filter(|&n| n != alone).collect();
        for n in (0..old).filter(|&n| !self.connections[n].is_over()).collect::<Vec<_>>() {
            let behind = self.random.pick(&others);
            let passes = self.send_through(n, Intent::Talk, Some(behind));
            let survives = passes || !self.connections[n].is_live(self.now);
            self.expect(survives, |world| {
                format!("lost at node {behind} after a partition: {}", world.describe(n))
            });
        }
    }

    /// Partitions a pair for longer than the timeout of idle states, while one node forwards. The other one keeps its
    /// copies and takes over.
    pub(super) fn partition_for_long(&mut self) {
        if self.nodes.len() > 2 || !self.may(Fault::Partition) || !self.may(Fault::Restart) {
            return;
        }
        let dead = any_node(self);
        self.routing = Routing::Shared([dead; 2]);
        for _ in 0..3 {
            self.send_all();
            self.run(600 * MS, 10 * MS);
        }
        self.link.side = [0, 1, 0, 0, 0];
        let time = self.random.between(10, 50);
        self.note(|_| format!("node {dead} is partitioned for {time} s"));
        for _ in 0..time {
            self.send_all();
            self.run(S, 100 * MS);
        }
        self.kill(dead);
        self.reroute();
        self.expect_alive_now(|world, _| any_node(world));
        self.link.join_all();
        self.restart(dead);
        self.await_ready();
        self.reroute();
    }
}
