//! Setups and traffic that several plans share.

use crate::MS;
use crate::world::setup::Setup;
use crate::world::{Routing, World};
use pfplane_testkit::Random;
use pfplane_testkit::flow::{Intent, Kind, Phase};

/// Two or more nodes, as drawn.
pub(super) fn set_up_group(setup: &mut Setup, _: &mut Random) {
    setup.min_age = 0;
}

/// Two nodes that hold no packets.
pub(super) fn set_up_pair(setup: &mut Setup, _: &mut Random) {
    setup.min_age = 0;
    setup.defers = false;
}

impl World {
    /// Routes all traffic through one node.
    pub(crate) fn route_through(&mut self, node: usize) {
        self.routing = Routing::Shared([node; 2]);
    }

    /// Opens connections on the present route and sends some data. Gives up those that are refused.
    pub(super) fn open(&mut self, count: u64) {
        for opened in 1..=count {
            self.start_new();
            self.establish(self.connections.len() - 1);
            if opened % 8 == 0 {
                self.step(MS);
            }
        }
    }

    /// Completes the handshake of a connection. Gives up one that is refused.
    fn establish(&mut self, n: usize) {
        for _ in 0..self.random.between(4, 6) {
            self.send(n, Intent::Talk);
            if self.connections[n].is_held {
                return;
            }
        }
        if self.connections[n].phase == Phase::Syn {
            self.connections[n].abandon();
        }
    }

    /// Sends the first packet of new TCP connections, whose clients never answer.
    pub(super) fn flood(&mut self, count: u64) {
        for sent in 1..=count {
            self.start_new();
            let n = self.connections.len() - 1;
            self.send(n, Intent::Talk);
            self.connections[n].abandon();
            if sent % 16 == 0 {
                self.step(MS);
            }
        }
    }

    /// Runs ordinary traffic for a time: connections start, talk and close.
    pub(crate) fn churn(&mut self, time: u64) {
        let end = self.now + time;
        // Long times have longer steps, so that a seed remains short.
        let max_step = (time / 300).clamp(2 * MS, 50 * MS);
        while self.now < end {
            let count = self.random.below(3);
            self.start(count);
            for _ in 0..self.random.below(8) {
                self.send_some();
            }
            self.abandon_refused();
            let step = self.random.between(MS / 10, max_step);
            self.step(step.min(end - self.now).max(1));
        }
    }

    /// Gives up connections whose first packet was refused.
    fn abandon_refused(&mut self) {
        let recent = self.connections.len().saturating_sub(8);
        for connection in &mut self.connections[recent..] {
            if connection.phase == Phase::Syn && connection.last == 0 && connection.kind == Kind::Tcp {
                // It sends its SYN again in its next turn; a full table refuses it for long.
                connection.refusals += 1;
                if connection.refusals > 3 {
                    connection.abandon();
                }
            }
        }
    }

    /// Starts every dead node, and waits until all are ready and all messages have arrived.
    pub(super) fn restore(&mut self) {
        self.link.repair();
        self.link.join_all();
        for n in 0..self.nodes.len() {
            self.nodes[n].engine.set_link(true);
            if !self.nodes[n].is_up {
                self.restart(n);
            }
        }
        while (0..self.nodes.len()).any(|n| !self.nodes[n].is_running(self.now)) {
            self.step(20 * MS);
        }
        self.await_ready();
        self.run(2000 * MS, 10 * MS);
    }

    /// Draws a node that is up, other than `n`.
    pub(super) fn another(&mut self, n: usize) -> usize {
        let others: Vec<_> = self.up().into_iter().filter(|&other| other != n).collect();
        self.random.pick(&others)
    }
}
