//! Connections that continue, packet by packet, through any node that forwards them.

use super::Node;
use pfplane::internals::packet::{Be16, Direction, Facts, Family, IpOptions, Key, Kind, TcpFacts, tcp_flags};
use pfplane::internals::state::{Options, create};
use pfplane::internals::sync::Removal;
use pfplane::internals::table::Slot;
use pfplane_testkit::Random;

/// The phase of a TCP connection: the packet that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Syn,
    SynAck,
    Ack,
    Data,
    FinAck,
    LastAck,
    Closed,
}

/// A connection from a client to a server.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub key: Key,
    pub is_tcp: bool,
    pub phase: Phase,
    /// The next sequence number of the client and the server.
    next: [u32; 2],
    /// The client sent last.
    forward: bool,
}

impl Connection {
    pub(crate) fn new(n: u32, random: &mut Random) -> Self {
        let family = if n.is_multiple_of(2) { Family::V4 } else { Family::V6 };
        let mut addr = [[0; 16]; 2];
        addr[0][..4].copy_from_slice(&(0x0a00_0000 + n).to_be_bytes());
        addr[1][..4].copy_from_slice(&[192, 0, 2, 80]);
        let is_tcp = !n.is_multiple_of(5);
        let port = [Be16::new(30_000), Be16::new(443)];
        let key = Key { addr, port, rdomain: 0, family, proto: if is_tcp { 6 } else { 17 } };
        // Sequence numbers wrap in every third connection.
        let first = |random: &mut Random| match n % 3 {
            0 => u32::MAX - random.below(3000) as u32,
            _ => random.below(u64::from(u32::MAX)) as u32,
        };
        let next = [first(random), first(random)];
        Self { key, is_tcp, phase: Phase::Syn, next, forward: false }
    }

    fn facts(&self, forward: bool, flags: u8, payload: u32) -> Facts {
        let side = usize::from(!forward);
        let (kind, tcp) = if self.is_tcp {
            let ack = if flags & tcp_flags::ACK == 0 { 0 } else { self.next[1 - side] };
            let wscale = if flags & tcp_flags::SYN == 0 { 0 } else { 0x87 };
            let tcp = TcpFacts { seq: self.next[side], ack, window: 501, flags, wscale, mss: 0, payload };
            (Kind::Tcp, tcp)
        } else {
            (Kind::Udp, TcpFacts::default())
        };
        Facts {
            key: self.key,
            kind,
            direction: if forward { Direction::In } else { Direction::Out },
            l3_offset: 14,
            l4_offset: 34,
            ip_length: 40 + payload,
            ttl: 64,
            tos: 0,
            ip_options: IpOptions::NONE,
            tcp,
        }
    }

    /// The next packet, and whether the client sends it.
    pub(crate) fn next_packet(&self, closing: bool) -> (Facts, bool) {
        use tcp_flags::{ACK, FIN, SYN};
        let (forward, flags, payload) = match self.phase {
            Phase::Syn => (true, SYN, 0),
            Phase::SynAck => (false, SYN | ACK, 0),
            Phase::Ack => (true, ACK, 0),
            Phase::Data if closing => (true, FIN | ACK, 0),
            Phase::Data | Phase::Closed => (!self.forward, ACK, 700),
            Phase::FinAck => (false, FIN | ACK, 0),
            Phase::LastAck => (true, ACK, 0),
        };
        let forward = if self.is_tcp { forward } else { !self.forward };
        (self.facts(forward, flags, payload), forward)
    }

    /// A keep-alive: a packet that changes nothing.
    pub(crate) fn keepalive(&self, forward: bool) -> Facts {
        self.facts(forward, tcp_flags::ACK, 0)
    }

    /// The client's first packet, repeated without an answer.
    pub(crate) fn repeated_syn(&self) -> Facts {
        let mut facts = self.facts(true, tcp_flags::SYN, 0);
        facts.tcp.seq = self.next[0].wrapping_sub(1);
        facts
    }

    /// Continues after the packet was delivered.
    pub(crate) fn delivered(&mut self, facts: &Facts, forward: bool) {
        let side = usize::from(!forward);
        let counts = facts.tcp.flags & (tcp_flags::SYN | tcp_flags::FIN) != 0;
        self.next[side] = self.next[side].wrapping_add(facts.tcp.payload + u32::from(counts));
        self.forward = forward;
        self.phase = match self.phase {
            Phase::Syn => Phase::SynAck,
            Phase::SynAck => Phase::Ack,
            Phase::Ack => Phase::Data,
            Phase::Data if facts.tcp.flags & tcp_flags::FIN != 0 => Phase::FinAck,
            Phase::FinAck => Phase::LastAck,
            Phase::LastAck => Phase::Closed,
            other => other,
        };
    }
}

impl Node {
    /// The live state of a connection.
    pub(crate) fn state_of(&self, connection: &Connection) -> Option<Slot> {
        let slot = self.table.find(&connection.key, Direction::In)?;
        let ended = self.timeouts.expired(self.table.hot(slot), None, self.tick(), self.table.len());
        (!ended).then_some(slot)
    }

    /// Forwards a packet if it may. Returns whether it passes.
    pub(crate) fn forwards(&mut self, connection: &Connection, facts: &Facts, forward: bool) -> bool {
        if let Some(slot) = self.state_of(connection) {
            return self.packet(slot, facts);
        }
        let begins = forward && (!connection.is_tcp || facts.tcp.flags == tcp_flags::SYN);
        if !begins {
            return false;
        }
        if let Some(expired) = self.table.find(&connection.key, Direction::In) {
            self.remove(expired, Removal::Expired);
        }
        let id = self.next_state_id();
        let record = create(facts, &Options::default(), id, self.tick());
        self.insert(&record);
        true
    }
}
