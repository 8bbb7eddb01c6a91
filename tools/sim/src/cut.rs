//! The link is cut for a moment in calm, and one node forwards all the while. What the others have missed comes back without
//! a packet where all are told all, and by one word of a node that is behind where not.

use crate::connection::Intent;
use crate::options::Fault;
use crate::world::{Routing, World};
use crate::{MS, S};

/// Connections that take the ports of ended ones during a cut.
const AGAIN: usize = 6;
/// Longer than any update waits at a node, so that what is said in a cut is said to nobody.
const SAID: u64 = 1100 * MS;

impl World {
    /// A node is cut off with all traffic. The others know the old connections as they were, and closed ones whose ports
    /// have been taken again meanwhile.
    pub fn short_cut(&mut self) {
        let up = self.up();
        if !self.options.faults.has(Fault::Partition) || up.len() < 2 {
            return;
        }
        let alone = self.random.pick(&up);
        self.link.side = [0; 5];
        self.link.side[alone] = 1;
        self.routing = Routing::Shared([alone; 2]);
        self.note(|_| format!("node {alone} is cut off for a moment"));
        let before = self.connections.len();
        self.take_ports_again(AGAIN);
        self.everybody_speaks();
        // First packets that wait for a peer wait for the whole delay.
        self.run(SAID, 10 * MS);
        self.everybody_speaks();
        self.run(SAID, 10 * MS);
        self.link.side = [0; 5];
        self.note(|_| "no cut".into());
        if self.random.chance(500) {
            self.broadcast();
            self.expect_quiet();
            self.begun_go_on(before, alone);
        } else {
            self.begun_go_on(before, alone);
            self.word_of_one_behind(before, alone);
        }
        self.run(2 * S, 10 * MS);
        self.expect_agreement();
    }

    /// Everybody asks for all states, in any order: whose view is old, or of a connection that has ended, learns of it.
    fn broadcast(&mut self) {
        let up = self.up();
        let first = self.random.index(up.len());
        for n in 0..up.len() {
            self.nodes[up[(first + n) % up.len()]].engine.request_bulk();
            let apart = self.random.below(30) * MS;
            self.run(apart, 5 * MS);
        }
        self.refreshed = self.now;
    }

    /// Connections begun during the cut go on where they began: nobody's view of who had their ports before harms them.
    fn begun_go_on(&mut self, before: usize, alone: usize) {
        for _ in 0..3 {
            for n in before..self.connections.len() {
                let passes = self.speak_through(n, Intent::Talk, Some(alone));
                self.expect(passes, |world| format!("does not go on after a cut: {}", world.describe(n)));
            }
            self.run(30 * MS, 10 * MS);
        }
    }

    /// One end of each older connection answers through a node that has missed what was said before.
    fn word_of_one_behind(&mut self, before: usize, alone: usize) {
        let others: Vec<_> = self.up().into_iter().filter(|&n| n != alone).collect();
        for n in (0..before).filter(|&n| !self.connections[n].is_over()).collect::<Vec<_>>() {
            let behind = self.random.pick(&others);
            let passes = self.speak_through(n, Intent::Talk, Some(behind));
            let lives = passes || !self.connections[n].is_live(self.now);
            self.expect(lives, |world| format!("lost at node {behind} after a cut: {}", world.describe(n)));
        }
    }
}
