//! One connection, as its two ends know it.

use crate::support::Packet;
use crate::sync_node::traffic::Random;
use pfplane::packet::tcp_flags::{ACK, FIN, SYN};

/// A packet on its way.
pub struct Sent {
    pub bytes: Vec<u8>,
    /// The host's rules let it make a state.
    pub begins: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Syn,
    SynAck,
    Ack,
    Open,
    FinAck,
    LastAck,
    Closed,
}

#[derive(Clone, Debug)]
pub struct Connection {
    packet: Packet,
    is_tcp: bool,
    phase: Phase,
    next: [u32; 2],
    forward: bool,
}

impl Connection {
    pub fn new(n: u32, random: &mut Random) -> Self {
        let packet = Packet::syn(random.chance(500), n, n % 7, [10_000 + (n % 40_000) as u16, 443]);
        let first = |random: &mut Random| {
            if random.chance(300) {
                u32::MAX - random.below(5000) as u32
            } else {
                random.below(1 << 32) as u32
            }
        };
        let next = [first(random), first(random)];
        Self { packet, is_tcp: random.chance(800), phase: Phase::Syn, next, forward: false }
    }

    /// Both ends are connected and mean to stay so.
    pub fn is_open(&self) -> bool {
        self.is_tcp && self.phase == Phase::Open
    }

    /// The client's port: no two connections share it.
    pub fn port(&self) -> u16 {
        self.packet.ports[0]
    }

    /// Nothing more will be said.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Closed
    }

    fn tcp(&self, forward: bool, flags: u8, payload: usize) -> Sent {
        let side = usize::from(!forward);
        let way = if forward { self.packet } else { self.packet.syn_ack() };
        let packet = Packet {
            seq: self.next[side],
            ack: if flags & ACK == 0 { 0 } else { self.next[1 - side] },
            flags,
            wscale: (flags & SYN != 0).then_some(7),
            window: 500,
            payload,
            ..way
        };
        Sent { bytes: packet.tcp(), begins: flags == SYN }
    }

    /// The next packet, and whether the client sends it.
    pub fn next_packet(&self, closing: bool) -> (Sent, bool) {
        if !self.is_tcp {
            let forward = !self.forward;
            let way = if forward { self.packet } else { self.packet.syn_ack() };
            return (Sent { bytes: Packet { payload: 30, ..way }.udp(), begins: forward }, forward);
        }
        let (forward, flags, payload) = match self.phase {
            Phase::Syn => (true, SYN, 0),
            Phase::SynAck => (false, SYN | ACK, 0),
            Phase::Ack => (true, ACK, 0),
            Phase::Open if closing => (true, FIN | ACK, 0),
            Phase::Open | Phase::Closed => (!self.forward, ACK, 300),
            Phase::FinAck => (false, FIN | ACK, 0),
            Phase::LastAck => (true, ACK, 0),
        };
        (self.tcp(forward, flags, payload), forward)
    }

    /// The client's first packet again, while it has no answer.
    pub fn syn_again(&self) -> Option<Sent> {
        let waits = self.is_tcp && self.phase == Phase::SynAck;
        waits.then(|| {
            let mut again = self.clone();
            again.next[0] = again.next[0].wrapping_sub(1);
            again.tcp(true, SYN, 0)
        })
    }

    /// A keep-alive.
    pub fn probe(&self, forward: bool) -> Sent {
        self.tcp(forward, ACK, 0)
    }

    /// The packet arrived.
    pub fn passed(&mut self, forward: bool, closing: bool) {
        self.forward = forward;
        if !self.is_tcp {
            self.phase = if closing { Phase::Closed } else { Phase::Open };
            return;
        }
        let side = usize::from(!forward);
        let (moved, next) = match self.phase {
            Phase::Syn => (1, Phase::SynAck),
            Phase::SynAck => (1, Phase::Ack),
            Phase::Ack => (0, Phase::Open),
            Phase::Open if closing => (1, Phase::FinAck),
            Phase::Open | Phase::Closed => (300, self.phase),
            Phase::FinAck => (1, Phase::LastAck),
            Phase::LastAck => (0, Phase::Closed),
        };
        self.next[side] = self.next[side].wrapping_add(moved);
        self.phase = next;
    }
}
