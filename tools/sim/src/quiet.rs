//! What must hold once nothing goes wrong any more.

use crate::connection::{Intent, Kind};
use crate::node::Known;
use crate::world::World;
use crate::{MS, S};
use pfplane::internals::packet::Key;
use std::collections::HashMap;

/// Time in which what was last said reaches every node: the longest age of an update, the grace for a silent peer, and some.
const SETTLES: u64 = 1300 * MS;
/// A connection that ended is gone after pf's timeout of closed ones, the sweep's interval, the grace for a silent peer, and some.
const GONE_AFTER: u64 = (90 + 20 + 4 * 60) * S;
/// Where the packets of the close went two ways at the same time, no node saw it whole: pf's timeout of closing ones.
const GONE_AFTER_TWO_WAYS: u64 = (900 + 20 + 4 * 60) * S;
/// The longest that anything goes on by itself: a transfer of all states by small frames.
const QUIET_WITHIN: u64 = 20 * S;
/// Messages about states that one packet, creation or end may cost on the link, for each peer of the node.
const MESSAGES_PER_CHANGE: u64 = 3;

impl World {
    /// Every live connection goes on through whatever node, both ways, at once.
    pub fn expect_all_alive(&mut self, mut through: impl FnMut(&mut Self, usize) -> usize) {
        self.run(SETTLES, 10 * MS);
        self.expect_alive_now(|world, n| through(world, n));
    }

    /// The same without waiting.
    pub fn expect_alive_now(&mut self, mut through: impl FnMut(&mut Self, usize) -> usize) {
        for n in 0..self.connections.len() {
            if !self.connections[n].is_live(self.now) {
                continue;
            }
            let node = through(self, n);
            for _ in 0..2 {
                let is_alive = self.goes_on(n, node);
                self.figures.probes += 1;
                self.expect(is_alive, |world| format!("lost at node {node}: {}", world.describe(n)));
            }
        }
    }

    /// The next packet of a connection passes a node without making a state anew.
    fn goes_on(&mut self, n: usize, node: usize) -> bool {
        let asks = self.connections[n].kind != Kind::Tcp;
        if asks {
            let forward = self.connections[n].next_packet(Intent::Talk).forward;
            let probe = self.connections[n].probe(forward);
            if self.nodes[node].forward(&probe, self.now, &mut self.random) != crate::node::Passage::Passed {
                return false;
            }
        }
        self.speak_through(n, Intent::Talk, Some(node))
    }

    /// Nobody speaks: then nothing is said, nothing waits, nothing is missing, and all nodes agree.
    pub fn expect_quiet(&mut self) {
        self.run(3 * S, 10 * MS);
        let began = self.now;
        loop {
            let before = self.words();
            self.run(2 * S, 10 * MS);
            let chatter = self.words() - before;
            if chatter == 0 {
                break;
            }
            // A transfer to a node that came back may still go on, at its own pace.
            let waited = self.now - began;
            self.expect(waited < QUIET_WITHIN, |_| {
                format!("{chatter} messages about nothing in two seconds")
            });
        }
        // A delete of a state whose time has just come may be on its way, and boards are shown once in a while.
        let mut silent_steps = 0;
        for _ in 0..100 {
            let frames = self.sent.frames;
            self.step(10 * MS);
            let says_nothing = self.sent.frames == frames && self.link.in_flight() == 0;
            // The time of a state may be over in the last of these steps as well as in any.
            let is_silent =
                says_nothing && self.up().iter().all(|&n| self.nodes[n].stat("deletes_queued") == 0);
            silent_steps = if is_silent { silent_steps + 1 } else { 0 };
            if silent_steps == 4 {
                break;
            }
        }
        let waiting = self.link.in_flight();
        self.expect(waiting == 0, |_| format!("{waiting} frames are on their way"));
        for n in self.up() {
            self.expect_queues_empty(n);
            self.expect_counters_add_up(n);
            let overdue = self.nodes[n].overdue(self.now);
            self.expect(overdue == 0, |_| format!("node {n} keeps {overdue} states whose time is over"));
        }
        self.expect_agreement();
        self.expect_bounded_messages();
    }

    /// Messages sent so far, but for deletes: states that end of age may be told of.
    const fn words(&self) -> u64 {
        self.sent.messages() - self.sent.deletes + self.sent.marks
    }

    fn expect_queues_empty(&mut self, n: usize) {
        for name in ["exposed_creations", "exposed_changes", "deletes_queued"] {
            let value = self.nodes[n].stat(name);
            self.expect(value == 0, |_| format!("node {n}: {name} is {value} in quiet"));
        }
        let held = self.held.len();
        self.expect(held == 0, |_| format!("{held} packets are held in quiet"));
        let clock = self.nodes[n].clock(self.now);
        let due = self.nodes[n].lanes.iter().position(|lane| lane.flush_due(clock));
        self.expect(due.is_none(), |_| format!("node {n} lane {due:?} has a frame due and writes none"));
    }

    fn expect_counters_add_up(&mut self, n: usize) {
        let (said, most) =
            (self.nodes[n].stat("deletes_sent"), self.nodes[n].ends_aloud() * self.nodes[n].peers());
        self.expect(said <= most, |_| format!("node {n} sent {said} deletes and had reason for {most}"));
        let wrong = self.nodes[n].miscounted();
        self.expect(wrong.is_none(), |_| {
            let (name, counted, seen) = wrong.unwrap_or_default();
            format!("node {n} counts {name} {counted}, the link saw {seen}")
        });
    }

    /// All nodes say the same of every live connection, and none keeps what has ended.
    pub fn expect_agreement(&mut self) {
        let up = self.up();
        let known: Vec<HashMap<Key, Known>> = up.iter().map(|&n| self.nodes[n].known(self.now)).collect();
        for c in 0..self.connections.len() {
            let connection = &self.connections[c];
            if connection.replaced {
                continue;
            }
            let key = connection.key();
            let views = || up.iter().zip(&known).map(|(n, known)| (*n, known.get(&key)));
            let gone_after = if connection.closed_at.is_some() { GONE_AFTER } else { GONE_AFTER_TWO_WAYS };
            let is_gone =
                connection.over_since.is_some_and(|since| self.now > since.max(self.refreshed) + gone_after);
            let holds = if connection.is_live(self.now) {
                let first = known[0].get(&key);
                first.is_some() && views().all(|(_, view)| view == first)
            } else {
                !is_gone || views().all(|(_, view)| view.is_none())
            };
            if !holds {
                let why = format!("the nodes disagree: {}", self.describe(c));
                self.fail(&why);
            }
        }
    }

    /// No storm of messages: their number follows what happened to states.
    fn expect_bounded_messages(&mut self) {
        let peers = self.nodes.len() as u64 - 1;
        let mut messages = self.sent.messages();
        // Bulk transfers are bounded by the requests for them.
        messages -= self.sent.updates;
        let events =
            self.figures.packets + self.figures.connections + self.figures.ended + self.figures.deaths;
        let most = MESSAGES_PER_CHANGE * peers * events + 100;
        self.expect(messages <= most, |_| format!("{messages} messages for {events} changes"));
    }

    /// A day later only what was kept alive is there, on every node alike.
    pub fn expect_only_open_connections(&mut self) {
        let open: Vec<_> =
            self.connections.iter().filter(|c| c.is_open_tcp() && !c.replaced).map(|c| c.key()).collect();
        for n in self.up() {
            let known = self.nodes[n].known(self.now);
            let missing = open.iter().filter(|key| !known.contains_key(key)).count();
            let surplus = known.keys().find(|key| !open.contains(key));
            let holds = missing == 0 && surplus.is_none();
            self.expect(holds, |_| {
                format!(
                    "node {n}: {missing} of {} open connections are missing, and {surplus:?} is there",
                    open.len()
                )
            });
        }
        self.expect_agreement();
    }
}
