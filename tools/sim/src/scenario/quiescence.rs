//! The invariants that hold once there are no more faults.

use crate::world::World;
use crate::{MS, S};
use pfplane::internals::packet::Key;
use pfplane_testkit::flow::{Intent, Kind};
use pfplane_testkit::node::{Known, Passage};
use std::collections::HashMap;

/// Time in which the last messages reach every node: the maximum age of an update, and the grace for a silent peer.
const SETTLED_AFTER: u64 = 1300 * MS;
/// Time after which a closed connection has no state: pf's timeout, the sweep interval, and the grace for a silent peer.
const GONE_AFTER: u64 = (90 + 20 + 4 * 60) * S;
/// The same if no node saw the whole close, because its packets took two paths: pf's timeout of closing connections.
const GONE_AFTER_TWO_PATHS: u64 = (900 + 20 + 4 * 60) * S;
/// Maximum time of a transfer of all states by small frames.
const QUIESCENT_WITHIN: u64 = 20 * S;
/// Maximum messages about states for one packet, creation or end, for each peer of the node.
const MAX_MESSAGES_PER_CHANGE: u64 = 3;

impl World {
    /// Waits until messages have settled, then expects that every live connection passes a node in both directions.
    pub(crate) fn expect_all_alive(&mut self, mut through: impl FnMut(&mut Self, usize) -> usize) {
        self.run(SETTLED_AFTER, 10 * MS);
        self.expect_alive_now(|world, n| through(world, n));
    }

    /// Expects that every live connection passes a node in both directions.
    pub(crate) fn expect_alive_now(&mut self, mut through: impl FnMut(&mut Self, usize) -> usize) {
        for n in 0..self.connections.len() {
            if !self.connections[n].is_live(self.now) {
                continue;
            }
            let node = through(self, n);
            for _ in 0..2 {
                let is_alive = self.passes(n, node);
                self.figures.probes += 1;
                self.expect(is_alive, |world| format!("lost at node {node}: {}", world.describe(n)));
            }
        }
    }

    /// Returns whether the next packet of a connection passes a node without creating a new state.
    fn passes(&mut self, n: usize, node: usize) -> bool {
        if self.connections[n].kind != Kind::Tcp {
            let forward = self.connections[n].next_packet(Intent::Talk).forward;
            let probe = self.connections[n].probe(forward);
            if self.nodes[node].forward(&probe, self.now, &mut self.random) != Passage::Passed {
                return false;
            }
        }
        self.send_through(n, Intent::Talk, Some(node))
    }

    /// Expects that without traffic no messages are sent, nothing is queued, and all nodes agree.
    pub(crate) fn expect_quiescence(&mut self) {
        self.run(3 * S, 10 * MS);
        self.await_silence();
        self.await_empty_link();
        let in_flight = self.link.wire.in_flight();
        self.expect(in_flight == 0, |_| format!("{in_flight} frames are in flight"));
        for n in self.up() {
            self.expect_queues_empty(n);
            self.expect_counters_match(n);
            let overdue = self.nodes[n].overdue(self.now);
            self.expect(overdue == 0, |_| format!("node {n} has {overdue} overdue states"));
        }
        self.expect_agreement();
        self.expect_bounded_messages();
    }

    /// Waits until two seconds pass without a message.
    fn await_silence(&mut self) {
        let started = self.now;
        loop {
            let before = self.messages_sent();
            self.run(2 * S, 10 * MS);
            let sent = self.messages_sent() - before;
            if sent == 0 {
                return;
            }
            // A transfer to a restarted node may still continue at its own pace.
            let waited = self.now - started;
            self.expect(waited < QUIESCENT_WITHIN, |_| {
                format!("{sent} messages in two seconds without traffic")
            });
        }
    }

    /// Waits until no delete is queued or in flight: a state may expire in any step. Statistics are published with a
    /// delay, so several steps must agree.
    fn await_empty_link(&mut self) {
        let mut silent_steps = 0;
        for _ in 0..100 {
            let frames = self.sent.frames;
            self.step(10 * MS);
            let link_is_silent = self.sent.frames == frames && self.link.wire.in_flight() == 0;
            let is_silent =
                link_is_silent && self.up().iter().all(|&n| self.nodes[n].stat("deletes_queued") == 0);
            silent_steps = if is_silent { silent_steps + 1 } else { 0 };
            if silent_steps == 4 {
                return;
            }
        }
    }

    /// Returns the number of messages sent, without deletes: states may expire at any time.
    const fn messages_sent(&self) -> u64 {
        self.sent.messages() - self.sent.deletes + self.sent.bulk_marks
    }

    fn expect_queues_empty(&mut self, n: usize) {
        // A held state whose acknowledgement was lost stays exposed: nobody has confirmed that a peer has it.
        let unacknowledged = self.nodes[n].stat("unacknowledged_now");
        for (name, max) in
            [("exposed_creations", unacknowledged), ("exposed_changes", 0), ("deletes_queued", 0)]
        {
            let value = self.nodes[n].stat(name);
            self.expect(value <= max, |_| format!("node {n}: {name} is {value} without traffic"));
        }
        let held = self.held.len();
        self.expect(held == 0, |_| format!("{held} packets are held without traffic"));
        let clock = self.nodes[n].clock(self.now);
        let due = self.nodes[n].lanes.iter().position(|lane| lane.flush_due(clock));
        self.expect(due.is_none(), |_| format!("node {n} lane {due:?} has a frame due and does not send it"));
    }

    fn expect_counters_match(&mut self, n: usize) {
        let sent = self.nodes[n].stat("deletes_sent");
        let max = self.nodes[n].max_deletes() * self.nodes[n].peers() + self.nodes[n].stat("ids_repeated");
        self.expect(sent <= max, |_| format!("node {n} sent {sent} deletes, maximum {max}"));
        let wrong = self.nodes[n].miscounted();
        self.expect(wrong.is_none(), |_| {
            let (name, counted, seen) = wrong.unwrap_or_default();
            format!("node {n} counts {name} {counted}, the link saw {seen}")
        });
    }

    /// Expects that all nodes agree on every live connection, and that none keeps a closed one.
    pub(crate) fn expect_agreement(&mut self) {
        let up = self.up();
        let known: Vec<HashMap<Key, Known>> = up.iter().map(|&n| self.nodes[n].known(self.now)).collect();
        for n in 0..self.connections.len() {
            let connection = &self.connections[n];
            if connection.replaced {
                continue;
            }
            let key = connection.key();
            let mut views = known.iter().map(|known| known.get(&key));
            let gone_after = if connection.closed_at.is_some() { GONE_AFTER } else { GONE_AFTER_TWO_PATHS };
            let is_gone =
                connection.over_since.is_some_and(|since| self.now > since.max(self.refreshed) + gone_after);
            let holds = if connection.is_live(self.now) {
                let first = known[0].get(&key);
                first.is_some() && views.all(|view| view == first)
            } else {
                !is_gone || views.all(|view| view.is_none())
            };
            if !holds {
                let why = format!("the nodes disagree: {}", self.describe(n));
                self.fail(&why);
            }
        }
    }

    /// Expects that the number of messages is in proportion to the changes of states. Bulk transfers are bounded by the
    /// requests for them.
    fn expect_bounded_messages(&mut self) {
        let peers = self.nodes.len() as u64 - 1;
        let messages = self.sent.messages() - self.sent.updates;
        let changes =
            self.figures.packets + self.figures.connections + self.figures.closed + self.figures.deaths;
        let repeated: u64 = self.up().iter().map(|&n| self.nodes[n].stat("ids_repeated")).sum();
        let max = MAX_MESSAGES_PER_CHANGE * peers * (changes + self.link.forged) + repeated + 100;
        self.expect(messages <= max, |_| format!("{messages} messages for {changes} changes"));
    }

    /// Expects that every node has exactly the states of the open connections.
    pub(super) fn expect_only_open_connections(&mut self) {
        let open: Vec<_> =
            self.connections.iter().filter(|c| c.is_open_tcp() && !c.replaced).map(|c| c.key()).collect();
        for n in self.up() {
            let known = self.nodes[n].known(self.now);
            let missing = open.iter().filter(|key| !known.contains_key(key)).count();
            let surplus = known.keys().find(|key| !open.contains(key));
            let holds = missing == 0 && surplus.is_none();
            self.expect(holds, |_| {
                let count = open.len();
                format!("node {n} lacks {missing} of {count} open connections, and has {surplus:?}")
            });
        }
        self.expect_agreement();
    }
}
