//! One connection, as its two ends know it: the oracle of what must pass.

use crate::S;
use pfplane::internals::packet::tcp_flags::{ACK, FIN, PSH, RST, SYN};
use pfplane::internals::packet::{Direction, Key, Link, parse};
use pfplane_testkit::Packet;
use pfplane_testkit::Random;

/// A packet on its way.
pub struct Sent {
    /// From the IP header on.
    pub bytes: Vec<u8>,
    /// The client sends it.
    pub forward: bool,
    /// The host's rules let it make a state.
    pub begins: bool,
}

/// How a connection talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Handshake, data, and a close or a reset.
    Tcp,
    /// Questions and answers.
    Udp,
    /// Echo requests and replies.
    Echo,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Syn,
    SynAck,
    Ack,
    Open,
    /// The peer of the closing side answers with its own FIN.
    FinAck,
    LastAck,
    Over,
}

/// What an end is up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Go on.
    Talk,
    /// Send a FIN, from either side.
    Close,
    /// Send a reset, from either side.
    Reset,
}

/// A connection through the cluster.
#[derive(Clone, Debug)]
pub struct Connection {
    packet: Packet,
    /// How it talks.
    pub kind: Kind,
    phase: Phase,
    /// The next sequence number of client and server.
    next: [u32; 2],
    /// Who sent last.
    forward: bool,
    /// Who sends the first FIN.
    closer_is_client: bool,
    /// Nodes that its packets go through, forward and reverse.
    pub path: [usize; 2],
    /// When its last packet passed.
    pub last: u64,
    /// Where.
    pub last_node: usize,
    /// When a packet last passed each node.
    pub last_at: [u64; 5],
    /// It was open after a storm: from then on it must live, whatever happens.
    pub settled: bool,
    /// Since when it has been over, with nothing gone wrong on the way.
    pub over_since: Option<u64>,
    /// When an end last began to close it.
    pub closing_since: u64,
    /// The node that all packets of the close went through, if it was one.
    pub closed_at: Option<usize>,
    /// A node keeps its packet back.
    pub is_held: bool,
    /// A later connection has taken its ports over.
    pub replaced: bool,
}

impl Connection {
    /// Connection `n` of the world.
    pub fn new(n: u32, path: [usize; 2], random: &mut Random) -> Self {
        let kind = match random.below(10) {
            0 => Kind::Echo,
            1 | 2 => Kind::Udp,
            _ => Kind::Tcp,
        };
        let ports = [10_000 + (n % 40_000) as u16, 443];
        let packet = Packet::syn(random.chance(500), n, n % 7, ports);
        Self::of(packet, kind, path, random)
    }

    fn of(packet: Packet, kind: Kind, path: [usize; 2], random: &mut Random) -> Self {
        // Near the end of the space now and then, so that numbers wrap while it lives.
        let mut first = || {
            if random.chance(300) {
                u32::MAX - random.below(5000) as u32
            } else {
                random.below(1 << 32) as u32
            }
        };
        Self {
            packet,
            kind,
            phase: Phase::Syn,
            next: [first(), first()],
            forward: false,
            closer_is_client: true,
            path,
            last: 0,
            last_node: path[0],
            last_at: [0; 5],
            settled: false,
            over_since: None,
            closing_since: 0,
            closed_at: None,
            is_held: false,
            replaced: false,
        }
    }

    /// Another connection with the same addresses and ports.
    pub fn again(&self, path: [usize; 2], random: &mut Random) -> Self {
        Self::of(self.packet, self.kind, path, random)
    }

    /// Its key, as an inside interface sees it.
    #[must_use]
    pub fn key(&self) -> Key {
        let first = self.first();
        parse(&first, first.len() as u32, Link::Ip, Direction::In).expect("a sound packet").key
    }

    fn first(&self) -> Vec<u8> {
        match self.kind {
            Kind::Tcp => self.packet.tcp(),
            Kind::Udp => self.packet.udp(),
            Kind::Echo => self.packet.echo(false),
        }
    }

    /// Both ends are connected and mean to stay so: the packet after `now` must pass wherever its state should be.
    #[must_use]
    pub fn is_live(&self, now: u64) -> bool {
        let patience = match self.kind {
            Kind::Tcp => u64::MAX,
            Kind::Udp => 20 * S,
            Kind::Echo => 6 * S,
        };
        self.phase == Phase::Open && now.saturating_sub(self.last) < patience
    }

    /// A TCP connection whose client has the server's SYN and ACK, and that nobody has closed: what a takeover must
    /// not break.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.kind == Kind::Tcp && matches!(self.phase, Phase::Ack | Phase::Open)
    }

    /// It is being closed.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        matches!(self.phase, Phase::FinAck | Phase::LastAck)
    }

    /// A TCP connection that is open.
    #[must_use]
    pub fn is_open_tcp(&self) -> bool {
        self.kind == Kind::Tcp && self.phase == Phase::Open
    }

    /// Nothing more will be said.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Neither open nor over.
    #[must_use]
    pub fn is_on_its_way(&self) -> bool {
        !matches!(self.phase, Phase::Open | Phase::Over)
    }

    /// In words, for whoever reads a failure.
    #[must_use]
    pub fn describe(&self) -> String {
        let (kind, phase) = (self.kind, self.phase_name());
        let Self { next, settled, over_since, last, .. } = self;
        let begin = crate::world::EPOCH;
        let at = |time: u64| time.saturating_sub(begin) as f64 / S as f64;
        format!(
            "{kind:?}, {phase}, next {next:?}, settled {settled}, last packet at {:.3}, over since {:?}",
            at(*last),
            over_since.map(at)
        )
    }

    /// Where it is, for the log.
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

    /// The client gives up.
    pub fn abandon(&mut self) {
        self.phase = Phase::Over;
        self.over_since = None;
    }

    fn way(&self, forward: bool) -> Packet {
        if forward { self.packet } else { self.packet.syn_ack() }
    }

    fn tcp(&self, forward: bool, flags: u8, payload: usize) -> Sent {
        let side = usize::from(!forward);
        let packet = Packet {
            seq: self.next[side],
            ack: if flags & ACK == 0 { 0 } else { self.next[1 - side] },
            flags,
            wscale: (flags & SYN != 0).then_some(7),
            window: 500,
            payload,
            ..self.way(forward)
        };
        Sent { bytes: packet.tcp(), forward, begins: flags == SYN }
    }

    /// The next packet.
    #[must_use]
    pub fn next_packet(&self, intent: Intent) -> Sent {
        let forward = !self.forward;
        match self.kind {
            Kind::Tcp => self.next_segment(intent),
            Kind::Udp => {
                let bytes = Packet { payload: 30, ..self.way(forward) }.udp();
                Sent { bytes, forward, begins: forward }
            }
            Kind::Echo => {
                // The identifier stays where it is in a reply.
                let ports = self.packet.ports;
                let bytes = Packet { ports, ..self.way(forward) }.echo(!forward);
                Sent { bytes, forward, begins: forward }
            }
        }
    }

    fn next_segment(&self, intent: Intent) -> Sent {
        let client = self.closer_is_client;
        match (self.phase, intent) {
            (Phase::Syn, _) => self.tcp(true, SYN, 0),
            (Phase::SynAck, _) => self.tcp(false, SYN | ACK, 0),
            (Phase::Ack, _) => self.tcp(true, ACK, 0),
            (Phase::Open, Intent::Close) => self.tcp(!self.forward, FIN | ACK, 0),
            (Phase::Open, Intent::Reset) => self.tcp(!self.forward, RST | ACK, 0),
            (Phase::Open | Phase::Over, _) => self.tcp(!self.forward, ACK | PSH, 300),
            (Phase::FinAck, _) => self.tcp(!client, FIN | ACK, 0),
            (Phase::LastAck, _) => self.tcp(client, ACK, 0),
        }
    }

    /// The packet arrived at the other end.
    pub fn passed(&mut self, sent: &Sent, intent: Intent, now: u64) {
        self.forward = sent.forward;
        self.last = now;
        if self.kind != Kind::Tcp {
            if !sent.forward {
                self.phase = Phase::Open;
            }
            return;
        }
        let side = usize::from(!sent.forward);
        let (moved, next) = match (self.phase, intent) {
            (Phase::Syn, _) => (1, Phase::SynAck),
            (Phase::SynAck, _) => (1, Phase::Ack),
            (Phase::Ack, _) => (0, Phase::Open),
            (Phase::Open, Intent::Close) => {
                self.closer_is_client = sent.forward;
                (1, Phase::FinAck)
            }
            (Phase::Open, Intent::Reset) | (Phase::LastAck, _) => (0, Phase::Over),
            (Phase::Open | Phase::Over, _) => (300, self.phase),
            (Phase::FinAck, _) => (1, Phase::LastAck),
        };
        self.next[side] = self.next[side].wrapping_add(moved);
        self.phase = next;
    }

    /// Whether one node has seen all of it for a while, so that its view is exact: a reset must name the next octet.
    #[must_use]
    pub fn is_seen_by_one(&self, now: u64) -> bool {
        let others = self.last_at.iter().enumerate().filter(|(node, _)| *node != self.last_node);
        others.map(|(_, at)| *at).all(|at| now.saturating_sub(at) > 2 * S)
    }

    /// The packet did not arrive: who waits for an answer repeats what it asked.
    pub fn refused(&mut self) {
        match (self.kind, self.phase) {
            (Kind::Tcp, Phase::SynAck) => {
                self.phase = Phase::Syn;
                self.next[0] = self.next[0].wrapping_sub(1);
            }
            // The answer is lost for good; the client asks again.
            (Kind::Udp | Kind::Echo, Phase::Syn | Phase::Open) => self.forward = false,
            _ => {}
        }
    }

    /// A packet that changes nothing: a keep-alive of TCP, another question or answer otherwise.
    #[must_use]
    pub fn probe(&self, forward: bool) -> Sent {
        if self.kind == Kind::Tcp {
            return self.tcp(forward, ACK, 0);
        }
        let mut asked = self.clone();
        asked.forward = !forward;
        Sent { begins: false, ..asked.next_packet(Intent::Talk) }
    }

    /// An ICMP error about it, from the server's network.
    #[must_use]
    pub fn error(&self) -> Sent {
        let quoted = self.probe(true).bytes;
        let router =
            Packet { source: self.packet.destination, destination: self.packet.source, ..self.packet };
        Sent { bytes: router.unreachable(&quoted), forward: false, begins: false }
    }
}
