//! The end of all faults: what they cost is repaired.

use crate::world::World;
use crate::{MS, S};
use pfplane_testkit::node::Known;

/// pf's timeout of half-open connections is 30 s; packets are sent again soon after the faults end.
const MAX_HALF_OPEN: u64 = 28 * S;
/// Rounds of packets before and after the traffic takes other paths.
const ROUNDS: u32 = 5;
/// A full table of 4096 states, and 64 requests a round.
const MAX_MORE_ROUNDS: u32 = 64;

impl World {
    /// Ends every fault and lets all connections send, until all that was lost is repaired.
    pub(crate) fn recover(&mut self) {
        self.link.repair();
        self.link.join_all();
        self.max_frames = usize::MAX;
        self.note(|_| "faults end".into());
        for n in 0..self.nodes.len() {
            if !self.nodes[n].is_up {
                self.restart(n);
            }
        }
        while (0..self.nodes.len()).any(|n| !self.nodes[n].is_running(self.now)) {
            self.step(20 * MS);
        }
        self.run(600 * MS, 10 * MS);
        // Only traffic repairs what a node has missed, so it first passes the nodes that know the connections.
        self.route_as_before();
        self.abandon_half_open();
        self.await_ready();
        let had_deaths = self.figures.unsettled_deaths > 0;
        self.send_rounds(ROUNDS);
        // A node that has missed more than its requests can name asks for the rest in later rounds.
        for _ in 0..MAX_MORE_ROUNDS {
            let lost = self.requests_lost();
            self.send_rounds(1);
            if self.requests_lost() == lost {
                break;
            }
        }
        self.reroute();
        self.send_rounds(ROUNDS);
        if had_deaths {
            self.abandon_unscaled();
        }
        self.settle_connections(had_deaths);
        self.figures.unsettled_deaths = 0;
        self.named_in_lost.clear();
        self.calm_since = Some(self.now);
        self.refreshed = self.now;
    }

    /// Lets all connections send once a second.
    fn send_rounds(&mut self, rounds: u32) {
        for _ in 0..rounds {
            self.send_all();
            self.run(S, 10 * MS);
        }
    }

    fn requests_lost(&self) -> u64 {
        self.nodes.iter().filter(|node| node.is_up).map(|node| node.stat("requests_lost")).sum()
    }

    /// Abandons connections that were half-open without a packet for as long as a firewall keeps them.
    fn abandon_half_open(&mut self) {
        let oldest = self.now.saturating_sub(MAX_HALF_OPEN);
        for connection in &mut self.connections {
            if connection.is_half_open_tcp() && connection.last < oldest {
                connection.abandon();
            }
        }
    }

    fn settle_connections(&mut self, had_deaths: bool) {
        for n in 0..self.connections.len() {
            let connection = &self.connections[n];
            let is_silent = !connection.is_over() && self.now > connection.last + 3 * S;
            if connection.is_in_transition() || is_silent {
                // A killed node takes along what it had not replicated.
                let is_excused = had_deaths && !connection.settled;
                self.expect(is_excused, |world| format!("makes no progress: {}", world.describe(n)));
                self.connections[n].abandon();
            } else if connection.is_live(self.now) {
                self.connections[n].settled = true;
            }
        }
    }

    /// Abandons connections whose handshake only a killed node saw: the others do not know the window scale, so they
    /// forward them for a while only.
    fn abandon_unscaled(&mut self) {
        let known: Vec<_> = self.up().iter().map(|&n| self.nodes[n].known(self.now)).collect();
        for n in 0..self.connections.len() {
            let connection = &self.connections[n];
            let key = connection.key();
            let is_unscaled = |view: &&Known| !view.is_scaled;
            let is_affected = known.iter().filter_map(|known| known.get(&key)).any(|view| is_unscaled(&view));
            if !connection.settled && connection.is_open_tcp() && is_affected {
                self.connections[n].abandon();
            }
        }
    }
}
