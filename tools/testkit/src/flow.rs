//! A connection as its two ends see it: which packet comes next, and what changes once it is delivered.

use crate::packet::{ACK, FIN, PSH, Packet, RST, SYN};
use crate::random::Random;

const DATA_LENGTH: usize = 300;

/// A packet of a flow.
#[derive(Clone, Debug)]
pub struct Segment {
    /// The packet from its IP header.
    pub bytes: Vec<u8>,
    /// Sent by the client.
    pub forward: bool,
    /// The rules allow it to create a state.
    pub may_create: bool,
}

/// The protocol of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Handshake, data, and a close or a reset.
    Tcp,
    /// Requests and replies.
    Udp,
    /// Echo requests and replies.
    Echo,
}

/// How far a flow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The client's first packet is next.
    Syn,
    /// The server's SYN is next.
    SynAck,
    /// The client's acknowledgement of it is next.
    Ack,
    /// Open: both sides send data in turn.
    Open,
    /// The FIN of the side that closes second is next.
    FinAck,
    /// The last acknowledgement is next.
    LastAck,
    /// Closed, reset or abandoned.
    Over,
}

/// What an end wants to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Continue.
    Talk,
    /// Send a FIN.
    Close,
    /// Send a reset.
    Reset,
}

/// A connection from a client, whose packets come in, to a server.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// Its protocol.
    pub kind: Kind,
    /// How far it is.
    pub phase: Phase,
    packet: Packet,
    /// The next sequence number of client and server.
    next: [u32; 2],
    /// The client sent the last packet.
    forward: bool,
    /// The client sent the first FIN.
    closer_is_client: bool,
    /// Where the server sees the client, if its address is translated.
    outside: Option<([u8; 16], u16)>,
}

impl Flow {
    /// Builds a flow that has not started, with the addresses and ports of `packet` and these first sequence numbers.
    #[must_use]
    pub const fn new(kind: Kind, packet: Packet, next: [u32; 2]) -> Self {
        Self { packet, kind, phase: Phase::Syn, next, forward: false, closer_is_client: true, outside: None }
    }

    /// Builds flow `n` of a fixed series: both families, two thirds TCP, some with sequence numbers that wrap.
    #[must_use]
    pub fn numbered(n: u32) -> Self {
        let kind = [Kind::Tcp, Kind::Tcp, Kind::Udp, Kind::Tcp, Kind::Tcp, Kind::Echo][n as usize % 6];
        let packet = Packet::syn(n / 3 % 2 == 1, n, n % 11, [1024 + (n % 50_000) as u16, 443]);
        let first = if n % 4 == 3 { u32::MAX - 1500 } else { n.wrapping_mul(0x9e37_79b1) };
        Self::new(kind, packet, [first, !first])
    }

    /// Draws flow `n`.
    pub fn random(n: u32, random: &mut Random) -> Self {
        let kind = match random.below(10) {
            0 => Kind::Echo,
            1 | 2 => Kind::Udp,
            _ => Kind::Tcp,
        };
        let ports = [10_000 + (n % 40_000) as u16, 443];
        let packet = Packet::syn(random.chance(500), n, n % 7, ports);
        Self::new(kind, packet, first_numbers(random))
    }

    /// Draws a new flow with the addresses and ports of this one.
    #[must_use]
    pub fn again(&self, random: &mut Random) -> Self {
        Self::new(self.kind, self.packet, first_numbers(random))
    }

    /// Starts a new flow with the addresses and ports of this one, whose sequence numbers are `ahead` of it.
    #[must_use]
    pub const fn again_at(&self, ahead: [u32; 2]) -> Self {
        let next = [self.next[0].wrapping_add(ahead[0]), self.next[1].wrapping_add(ahead[1])];
        Self::new(self.kind, self.packet, next)
    }

    /// Returns the packet with the addresses and ports of the client's side.
    #[must_use]
    pub const fn packet(&self) -> &Packet {
        &self.packet
    }

    /// Returns the next sequence numbers of client and server.
    #[must_use]
    pub const fn next_numbers(&self) -> [u32; 2] {
        self.next
    }

    /// Builds a packet from the client that has the flow's key.
    #[must_use]
    pub fn first_packet(&self) -> Vec<u8> {
        match self.kind {
            Kind::Tcp => self.packet.tcp(),
            Kind::Udp => self.packet.udp(),
            Kind::Echo => self.packet.echo(false),
        }
    }

    /// Returns the phase as the log names it.
    #[must_use]
    pub const fn phase_name(&self) -> &'static str {
        match self.phase {
            Phase::Syn => "opening",
            Phase::SynAck => "answered",
            Phase::Ack => "established",
            Phase::Open => "open",
            Phase::FinAck => "closing",
            Phase::LastAck => "last ack",
            Phase::Over => "over",
        }
    }

    /// Sets where the server sees the client: the address and port of its translated source.
    pub const fn translate(&mut self, address: [u8; 16], port: u16) {
        self.outside = Some((address, port));
    }

    fn headers(&self, forward: bool) -> Packet {
        if forward {
            return self.packet;
        }
        let mut answer = self.packet.syn_ack();
        if let Some((address, port)) = self.outside {
            answer.destination = address;
            answer.ports[1] = port;
        }
        answer
    }

    fn tcp(&self, forward: bool, flags: u8, payload: usize) -> Segment {
        let side = usize::from(!forward);
        let packet = Packet {
            seq: self.next[side],
            ack: if flags & ACK == 0 { 0 } else { self.next[1 - side] },
            flags,
            wscale: (flags & SYN != 0).then_some(7),
            window: 500,
            payload,
            ..self.headers(forward)
        };
        Segment { bytes: packet.tcp(), forward, may_create: flags == SYN }
    }

    /// Builds the next packet.
    #[must_use]
    pub fn next_packet(&self, intent: Intent) -> Segment {
        let forward = !self.forward;
        match self.kind {
            Kind::Tcp => self.next_segment(intent),
            Kind::Udp => {
                let bytes = Packet { payload: 30, ..self.headers(forward) }.udp();
                Segment { bytes, forward, may_create: forward }
            }
            Kind::Echo => {
                // A reply has the identifier in the same field.
                let mut ports = self.packet.ports;
                if let Some((_, port)) = self.outside.filter(|_| !forward) {
                    ports[0] = port;
                }
                let bytes = Packet { ports, ..self.headers(forward) }.echo(!forward);
                Segment { bytes, forward, may_create: forward }
            }
        }
    }

    fn next_segment(&self, intent: Intent) -> Segment {
        let client = self.closer_is_client;
        match (self.phase, intent) {
            (Phase::Syn, _) => self.tcp(true, SYN, 0),
            (Phase::SynAck, _) => self.tcp(false, SYN | ACK, 0),
            (Phase::Ack, _) => self.tcp(true, ACK, 0),
            (Phase::Open, Intent::Close) => self.tcp(!self.forward, FIN | ACK, 0),
            (Phase::Open, Intent::Reset) => self.tcp(!self.forward, RST | ACK, 0),
            (Phase::Open | Phase::Over, _) => self.tcp(!self.forward, ACK | PSH, DATA_LENGTH),
            (Phase::FinAck, _) => self.tcp(!client, FIN | ACK, 0),
            (Phase::LastAck, _) => self.tcp(client, ACK, 0),
        }
    }

    /// Continues after the packet of `next_packet` was delivered.
    pub fn delivered(&mut self, segment: &Segment, intent: Intent) {
        self.forward = segment.forward;
        if self.kind != Kind::Tcp {
            if !segment.forward {
                self.phase = Phase::Open;
            }
            return;
        }
        let side = usize::from(!segment.forward);
        let (sent, phase) = match (self.phase, intent) {
            (Phase::Syn, _) => (1, Phase::SynAck),
            (Phase::SynAck, _) => (1, Phase::Ack),
            (Phase::Ack, _) => (0, Phase::Open),
            (Phase::Open, Intent::Close) => {
                self.closer_is_client = segment.forward;
                (1, Phase::FinAck)
            }
            (Phase::Open, Intent::Reset) | (Phase::LastAck, _) => (0, Phase::Over),
            (Phase::Open | Phase::Over, _) => (DATA_LENGTH as u32, self.phase),
            (Phase::FinAck, _) => (1, Phase::LastAck),
        };
        self.next[side] = self.next[side].wrapping_add(sent);
        self.phase = phase;
    }

    /// Continues after the packet was dropped: the client repeats its SYN, or its request.
    pub const fn dropped(&mut self) {
        match (self.kind, self.phase) {
            (Kind::Tcp, Phase::SynAck) => {
                self.phase = Phase::Syn;
                self.next[0] = self.next[0].wrapping_sub(1);
            }
            (Kind::Udp | Kind::Echo, Phase::Syn | Phase::Open) => self.forward = false,
            _ => {}
        }
    }

    /// Builds a packet that changes nothing: a keep-alive of TCP, otherwise another request or reply.
    #[must_use]
    pub fn probe(&self, forward: bool) -> Segment {
        if self.kind == Kind::Tcp {
            return self.tcp(forward, ACK, 0);
        }
        let repeated = Self { forward: !forward, ..*self };
        Segment { may_create: false, ..repeated.next_packet(Intent::Talk) }
    }

    /// Builds an ICMP error about the flow, from the server's network.
    #[must_use]
    pub fn icmp_error(&self) -> Segment {
        let quoted = self.probe(true).bytes;
        let bytes = self.packet.reversed().unreachable(&quoted);
        Segment { bytes, forward: false, may_create: false }
    }
}

/// Draws first sequence numbers, some just before the wrap.
fn first_numbers(random: &mut Random) -> [u32; 2] {
    let mut draw = || {
        if random.chance(300) { u32::MAX - random.below(5000) as u32 } else { random.below(1 << 32) as u32 }
    };
    [draw(), draw()]
}
