//! Connections made of real packets, which go on as long as whoever forwards lets them pass.

use pfplane::internals::packet::Direction;
use pfplane::internals::packet::tcp_flags::{ACK, FIN, RST, SYN};
use pfplane_testkit::Packet;

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Tcp,
    Udp,
    Icmp,
}

/// Where a TCP connection is; the others are always open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Syn,
    SynAck,
    Ack,
    Open,
    FinAck,
    LastAck,
    Closed,
}

/// One connection, from a client whose packets come in to a server whose packets go out.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    pub kind: Kind,
    pub phase: Phase,
    client: Packet,
    /// The next sequence numbers of client and server.
    next: [u32; 2],
    /// Who spoke last.
    forward: bool,
}

/// A packet on its way.
pub struct Segment {
    pub bytes: Vec<u8>,
    pub forward: bool,
    /// May make a state.
    pub begins: bool,
    length: u32,
    flags: u8,
}

impl Segment {
    pub fn direction(&self) -> Direction {
        if self.forward { Direction::In } else { Direction::Out }
    }
}

impl Flow {
    /// Connection number `n`: both families, two thirds TCP, sequence numbers that wrap among them.
    pub fn new(n: u32) -> Self {
        let kind = [Kind::Tcp, Kind::Tcp, Kind::Udp, Kind::Tcp, Kind::Tcp, Kind::Icmp][n as usize % 6];
        let client = Packet::syn(n / 3 % 2 == 1, n, n % 11, [1024 + (n % 50_000) as u16, 443]);
        let first = if n % 4 == 3 { u32::MAX - 1500 } else { n.wrapping_mul(0x9e37_79b1) };
        Self { kind, phase: Phase::Syn, client, next: [first, !first], forward: false }
    }

    /// The same hosts and ports once more.
    pub fn again(&self) -> Self {
        self.again_at([1_000_000, 7_000_000])
    }

    /// The same, so much further in the sequence spaces of client and server.
    pub fn again_at(&self, further: [u32; 2]) -> Self {
        let next = [self.next[0].wrapping_add(further[0]), self.next[1].wrapping_add(further[1])];
        Self { phase: Phase::Syn, next, forward: false, ..*self }
    }

    pub const fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open) || !matches!(self.kind, Kind::Tcp)
    }

    /// The next packet of an undisturbed life.
    pub fn next(&self) -> Segment {
        let (forward, flags, length) = match self.phase {
            Phase::Syn => (true, SYN, 0),
            Phase::SynAck => (false, SYN | ACK, 0),
            Phase::Ack | Phase::LastAck => (true, ACK, 0),
            Phase::Open => (!self.forward, ACK, 700),
            Phase::FinAck => (false, FIN | ACK, 0),
            Phase::Closed => (true, ACK, 0),
        };
        let forward = if self.kind == Kind::Tcp { forward } else { !self.forward };
        self.segment(forward, flags, length)
    }

    /// The client's first packet, once more or for the first time.
    pub fn opening(&self) -> Segment {
        let mut again = *self;
        if self.phase != Phase::Syn {
            again.next[0] = again.next[0].wrapping_sub(1);
        }
        again.segment(true, SYN, 0)
    }

    /// The packet that begins an orderly end.
    pub fn closing(&self) -> Segment {
        self.segment(true, FIN | ACK, 0)
    }

    /// A packet that changes nothing for the two ends.
    pub fn probe(&self, forward: bool) -> Segment {
        self.segment(forward, ACK, 0)
    }

    fn segment(&self, forward: bool, flags: u8, length: u32) -> Segment {
        let side = usize::from(!forward);
        let way = if forward { self.client } else { self.client.syn_ack() };
        let bytes = match self.kind {
            Kind::Tcp => {
                let ack = if flags & ACK == 0 { 0 } else { self.next[1 - side] };
                let wscale = (flags & SYN != 0).then_some(7);
                let window = if flags & SYN == 0 { 500 } else { 64_000 };
                Packet { seq: self.next[side], ack, flags, window, wscale, payload: length as usize, ..way }
                    .tcp()
            }
            Kind::Udp => Packet { payload: 20, ..way }.udp(),
            Kind::Icmp => Packet { ports: self.client.ports, ..way }.echo(!forward),
        };
        let begins = forward && (self.kind != Kind::Tcp || flags & (SYN | ACK | RST) == SYN);
        Segment { bytes, forward, begins, length, flags }
    }

    /// The packet reached the other end.
    pub fn arrived(&mut self, segment: &Segment) {
        let side = usize::from(!segment.forward);
        let counted = u32::from(segment.flags & (SYN | FIN) != 0);
        self.next[side] = self.next[side].wrapping_add(segment.length + counted);
        self.forward = segment.forward;
        self.phase = match self.phase {
            Phase::Syn => Phase::SynAck,
            Phase::SynAck => Phase::Ack,
            Phase::Ack => Phase::Open,
            Phase::Open if segment.flags & FIN != 0 => Phase::FinAck,
            Phase::FinAck => Phase::LastAck,
            Phase::LastAck => Phase::Closed,
            other => other,
        };
    }
}
