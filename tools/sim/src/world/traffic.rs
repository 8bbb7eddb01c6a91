//! The packets of the connections, and their paths through the nodes.

use super::connection::Connection;
use super::{Routing, World};
use crate::S;
use pfplane_testkit::Flow;
use pfplane_testkit::flow::{Intent, Kind, Phase, Segment};
use pfplane_testkit::node::Passage;

impl World {
    /// Returns the node of a connection's path in a direction.
    fn node_for(&self, n: usize, forward: bool) -> usize {
        let path = match self.routing {
            Routing::Shared(path) => path,
            Routing::PerConnection => self.connections[n].path,
        };
        path[usize::from(!forward)]
    }

    /// Sends the next packet of a connection on its path. Returns whether it was delivered.
    pub fn send(&mut self, n: usize, intent: Intent) -> bool {
        self.send_through(n, intent, None)
    }

    /// Sends the next packet of a connection through a node, or on its path. Returns whether it was delivered.
    pub fn send_through(&mut self, n: usize, intent: Intent, through: Option<usize>) -> bool {
        if self.connections[n].is_held {
            return false;
        }
        let segment = self.connections[n].next_packet(intent);
        let node = through.unwrap_or_else(|| self.node_for(n, segment.forward));
        let passage = self.nodes[node].forward(&segment, self.now, &mut self.random);
        if let Passage::Held(handle) = passage {
            self.connections[n].is_held = true;
            self.held.insert((node, handle), (n, segment, intent));
            self.note(|_| format!("connection {n}: node {node} holds its packet"));
            return false;
        }
        self.finish(n, node, &segment, intent, passage)
    }

    /// Delivers a packet that a node has held.
    pub(super) fn release(&mut self, node: usize, handle: u64) {
        let Some((n, segment, intent)) = self.held.remove(&(node, handle)) else {
            self.fail(&format!("node {node} releases a packet that it does not hold"))
        };
        self.connections[n].is_held = false;
        if !self.connections[n].is_over() {
            self.finish(n, node, &segment, intent, Passage::Passed);
        }
    }

    fn finish(&mut self, n: usize, node: usize, segment: &Segment, intent: Intent, passage: Passage) -> bool {
        self.note(|world| {
            let (arrow, connection) = (if segment.forward { "->" } else { "<-" }, &world.connections[n]);
            format!(
                "connection {n} {arrow} node {node}: {passage:?} {:?} {intent:?}",
                connection.phase_name()
            )
        });
        if passage == Passage::Passed {
            self.deliver(n, node, segment, intent);
        } else {
            self.connections[n].dropped();
        }
        passage == Passage::Passed
    }

    fn deliver(&mut self, n: usize, node: usize, segment: &Segment, intent: Intent) {
        if self.setup.translates && segment.forward && self.connections[n].phase == Phase::Syn {
            self.translate(n, node);
        }
        let connection = &mut self.connections[n];
        let (was_over, was_closing) = (connection.is_over(), connection.is_closing());
        if !was_closing && intent != Intent::Talk {
            connection.closed_at = Some(node);
        } else if was_closing && connection.closed_at != Some(node) {
            connection.closed_at = None;
        }
        connection.last_node = node;
        connection.last_at[node] = self.now;
        connection.delivered(segment, intent, self.now);
        self.figures.packets += 1;
        if connection.is_over() && !was_over {
            self.figures.closed += 1;
            let is_calm = self.calm_since.is_some_and(|since| since < connection.closing_since);
            let is_accepted = intent != Intent::Reset || connection.is_seen_by_one(self.now);
            let is_certain = is_calm && connection.settled && is_accepted;
            connection.over_since = is_certain.then_some(self.now);
        }
    }

    /// Lets the server see where a node translates a connection's client to.
    fn translate(&mut self, n: usize, node: usize) {
        let key = self.connections[n].key();
        let mut outside = None;
        self.nodes[node].for_each_state(self.now, |_, view| {
            if view.hot.key == key {
                outside = Some((view.cold.stack_key.addr[0], view.cold.stack_key.port[0].get()));
            }
        });
        if let Some((address, port)) = outside {
            self.connections[n].translate(address, port);
        }
    }

    /// Sends one packet of every connection that is not over.
    pub fn send_all(&mut self) {
        for n in 0..self.connections.len() {
            if !self.connections[n].is_over() {
                self.send(n, Intent::Talk);
            }
        }
    }

    /// Starts new connections, some on the ports of one that has been over for long.
    pub fn start(&mut self, count: u64) {
        for _ in 0..count {
            let reuses = self.random.chance(150) && !self.connections.is_empty();
            let old = reuses.then(|| self.random.index(self.connections.len()));
            match old.filter(|&old| self.is_free(old)) {
                Some(old) => self.reuse_ports(old),
                None => self.start_new(),
            }
        }
    }

    /// Starts a new connection.
    pub(crate) fn start_new(&mut self) {
        let path = self.draw_path();
        let flow = Flow::random(self.figures.connections as u32, &mut self.random);
        self.note(|world| format!("connection {} starts: {:?}", world.connections.len(), flow.kind));
        self.add(Connection::new(flow, path));
    }

    fn reuse_ports(&mut self, old: usize) {
        let path = self.draw_path();
        let connection = self.connections[old].again(path, &mut self.random);
        self.connections[old].replaced = true;
        self.note(|world| format!("connection {} reuses the ports of {old}", world.connections.len()));
        self.add(connection);
    }

    fn add(&mut self, connection: Connection) {
        self.connections.push(connection);
        self.figures.connections += 1;
    }

    /// Closes most connections, so that a long run does not fill the tables.
    pub(crate) fn max_close(&mut self) {
        for n in 0..self.connections.len() {
            if self.connections[n].is_over() || self.random.chance(200) {
                continue;
            }
            if self.connections[n].kind != Kind::Tcp {
                self.connections[n].abandon();
            } else if self.connections[n].is_open_tcp() {
                self.connections[n].closing_since = self.now;
                for intent in [Intent::Close, Intent::Talk, Intent::Talk] {
                    self.send(n, intent);
                }
            }
        }
    }

    /// Forgets the connections that are over. No packet may be held.
    pub(crate) fn forget_closed(&mut self) {
        if self.held.is_empty() {
            self.connections.retain(|connection| !connection.is_over());
        }
    }

    /// Starts up to `max` connections on the ports of some that have been over for long.
    pub fn reuse_all_ports(&mut self, max: usize) {
        let free: Vec<_> = (0..self.connections.len()).rev().filter(|&old| self.is_free(old)).collect();
        free.into_iter().take(max).for_each(|old| self.reuse_ports(old));
    }

    /// Returns whether a connection has been over long enough to reuse its ports.
    fn is_free(&self, n: usize) -> bool {
        let old = &self.connections[n];
        !old.replaced
            && old.closed_at.is_some()
            && old.over_since.is_some_and(|since| self.now > since + 3 * S)
    }

    fn draw_path(&mut self) -> [usize; 2] {
        let usable = self.usable();
        if usable.is_empty() {
            return [0, 0];
        }
        let one = self.random.pick(&usable);
        let reachable: Vec<_> = usable.into_iter().filter(|&other| self.link.joins(one, other)).collect();
        let other = if self.random.chance(500) { one } else { self.random.pick(&reachable) };
        [one, other]
    }

    /// Draws new paths for all traffic.
    pub fn reroute(&mut self) {
        let path = self.draw_path();
        self.routing = match self.random.below(3) {
            0 => Routing::Shared(path),
            1 => Routing::Shared([path[0]; 2]),
            _ => Routing::PerConnection,
        };
        for n in 0..self.connections.len() {
            let path = self.draw_path();
            self.connections[n].path = path;
        }
        self.note(|world| format!("traffic is routed {:?}", world.routing));
    }

    /// Routes each connection through the node of its last packet, if that has been up since.
    pub fn route_as_before(&mut self) {
        let usable = self.usable();
        for connection in &mut self.connections {
            let is_usable = usable.contains(&connection.last_node);
            let node = if is_usable { connection.last_node } else { usable.first().copied().unwrap_or(0) };
            connection.path = [node; 2];
        }
        self.routing = Routing::PerConnection;
        self.note(|_| "traffic is routed as before".into());
    }
}
