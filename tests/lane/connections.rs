//! Translated connections whose every packet is checked byte for byte against one that was built anew.

use crate::nat_world::packet::{Carried, Packet, read};
use crate::nat_world::{address, plain};
use crate::node::{Node, RewrittenPacket, info, view};
use pfplane::internals::lane::{Action, Verdict};
use pfplane::internals::packet::{Direction, Family};
use pfplane::internals::state::{Nat, Options, PortRange};

/// Ports that source translation draws from.
pub(crate) const PORTS: PortRange = PortRange { first: 50_000, last: 59_999 };

/// What happened to a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Forwarded {
    pub verdict: Verdict,
    pub bytes: Vec<u8>,
    pub lane: usize,
    pub hand_offs: usize,
}

impl Node {
    /// Passes a packet through lane `at`, and through the lanes that it is handed off to. With `nat` it may create a state.
    pub(crate) fn forward(
        &mut self,
        now: u64,
        at: usize,
        direction: Direction,
        bytes: &[u8],
        nat: Option<&Nat>,
    ) -> Forwarded {
        let info = info(direction, now);
        let mut lane = at;
        for hand_offs in 0..3 {
            let mut packet = RewrittenPacket::new(view(bytes));
            let mut verdict = packet.lookup(&mut self.lanes[lane], &info);
            if let (Action::New, Some(nat)) = (verdict.action, nat) {
                let options = Options { nat: *nat, ..Options::default() };
                verdict = self.lanes[lane].create_in_burst(&info, &mut packet, 0, &options);
            }
            if verdict.action != Action::HandOff {
                return Forwarded { verdict, bytes: packet.out, lane, hand_offs };
            }
            lane = verdict.lane.into();
        }
        panic!("a packet circulates between lanes");
    }
}

/// One connection, as its initiator knows it and as the other end does.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    /// Direction of its first packet.
    pub direction: Direction,
    pub nat: Nat,
    /// The packet as the initiator sends it, without sequence numbers.
    pub near: Packet,
    /// The packet as the other end receives it.
    pub far: Packet,
    seq: u32,
    ack: u32,
}

impl Connection {
    pub(crate) fn new(direction: Direction, near: Packet, nat: Nat) -> Self {
        Self { direction, nat, far: near.clone(), near, seq: 1000, ack: 0 }
    }

    /// Sends the first packet. What leaves is checked against the rules, and is from then on what the other end knows.
    pub(crate) fn open(&mut self, firewall: &mut Node, now: u64, at: usize) -> Forwarded {
        let out =
            firewall.forward(now, at, self.direction, &self.packet(true).build(), Some(&self.nat.clone()));
        assert_eq!(out.verdict.action, Action::Pass, "{:?}", out.verdict);
        let key = read(&out.bytes, self.direction).key;
        let source = self.direction.source_slot();
        self.far.v6 = key.family == Family::V6;
        self.far.addresses = [key.addr[source], key.addr[1 - source]];
        let port = [key.port[source].get(), key.port[1 - source].get()];
        self.far.ports = match self.far.carried {
            Carried::Echo { .. } => [port[0], self.far.ports[1]],
            _ => port,
        };
        self.check_rules();
        assert_eq!(out.bytes, self.packet_of(&self.far, true).build(), "{self:?}");
        out
    }

    fn check_rules(&self) {
        let Nat { source, destination, source_ports, destination_port, .. } = self.nat;
        assert_eq!(self.far.addresses[0], source.unwrap_or(self.near.addresses[0]));
        assert_eq!(self.far.addresses[1], destination.unwrap_or(self.near.addresses[1]));
        match source_ports {
            Some(range) => assert!((range.first..=range.last).contains(&self.far.ports[0])),
            None => assert_eq!(self.far.ports[0], self.near.ports[0]),
        }
        if !matches!(self.near.carried, Carried::Echo { .. }) {
            assert_eq!(self.far.ports[1], destination_port.unwrap_or(self.near.ports[1]));
        }
    }

    /// Returns the next packet of the initiator or of the other end.
    fn packet(&self, forward: bool) -> Packet {
        self.packet_of(if forward { &self.near } else { &self.far }, forward)
    }

    fn packet_of(&self, known: &Packet, forward: bool) -> Packet {
        let mut packet = known.clone();
        packet.carried = match known.carried {
            Carried::Tcp { .. } => {
                let (syn, seq, ack) = match (self.ack, forward) {
                    (0, true) => (true, 1000, 0),
                    (0, false) => (true, 8000, 1001),
                    (_, true) => (false, self.seq, self.ack),
                    (_, false) => (false, self.ack, self.seq),
                };
                Carried::Tcp {
                    seq,
                    ack,
                    syn,
                    sack: (!syn).then_some([ack, ack + 1, ack + 2, ack + 3]),
                    odd: true,
                }
            }
            Carried::Udp => Carried::Udp,
            Carried::Echo { .. } => Carried::Echo { reply: !forward },
        };
        if self.ack == 0 && matches!(packet.carried, Carried::Tcp { .. }) {
            packet.payload.clear();
        }
        if !forward {
            packet.addresses.reverse();
            packet.ports = match packet.carried {
                Carried::Echo { .. } => packet.ports,
                _ => [packet.ports[1], packet.ports[0]],
            };
        }
        packet
    }

    /// Sends one packet, which must leave with the bytes that the other end expects.
    pub(crate) fn pass(&mut self, firewall: &mut Node, now: u64, at: usize, forward: bool) -> Forwarded {
        let direction = if forward { self.direction } else { self.direction.reverse() };
        let out = firewall.forward(now, at, direction, &self.packet(forward).build(), None);
        assert_eq!(out.verdict.action, Action::Pass, "forward {forward} {:?} {self:?}", out.verdict);
        assert_eq!(out.verdict.reverse, !forward);
        let expected = self.packet_of(if forward { &self.far } else { &self.near }, forward).build();
        assert_eq!(out.bytes, expected, "forward {forward} {self:?}");
        self.count(forward);
        out
    }

    fn count(&mut self, forward: bool) {
        let length = self.near.payload.len() as u32;
        match (self.ack, forward) {
            (0, true) => {}
            (0, false) => (self.seq, self.ack) = (1001, 8001),
            (_, true) => self.seq += length,
            (_, false) => self.ack += length,
        }
    }

    /// Sends an ICMP error about the last packet from a router beyond the firewall. The sender must see its own packet in it.
    pub(crate) fn error(&self, firewall: &mut Node, now: u64, at: usize, forward: bool) -> Forwarded {
        let direction = if forward { self.direction.reverse() } else { self.direction };
        let (sent, known) = if forward { (&self.far, &self.near) } else { (&self.near, &self.far) };
        let (sent, known) = (self.packet_of(sent, forward), self.packet_of(known, forward));
        let router = address(sent.v6, 9, 9);
        let out = firewall.forward(now, at, direction, &sent.error(router, sent.addresses[0], 200), None);
        assert_eq!(out.verdict.action, Action::Pass, "{:?}", out.verdict);
        let from = if sent.addresses[1] == known.addresses[1] { router } else { known.addresses[1] };
        assert_eq!(out.bytes, known.error(from, known.addresses[0], 200));
        out
    }
}

/// The three kinds of connection.
pub(crate) fn kinds() -> [Carried; 3] {
    [
        Carried::Tcp { seq: 0, ack: 0, syn: true, sack: None, odd: false },
        Carried::Udp,
        Carried::Echo { reply: false },
    ]
}

/// Builds connections of every kind and family: from inside with a new source, from outside with a new destination.
pub(crate) fn connections(count: u8) -> Vec<Connection> {
    let mut all = Vec::new();
    for host in 0..count {
        for v6 in [false, true] {
            for kind in kinds() {
                let (inside, server) = (address(v6, 1, host), address(v6, 2, host % 3));
                let nat =
                    Nat { source: Some(address(v6, 2, 200)), source_ports: Some(PORTS), ..Nat::default() };
                let packet = plain(kind.clone(), v6, [inside, server], [1024 + u16::from(host), 80]);
                all.push(Connection::new(Direction::In, packet, nat));
                let port = (!matches!(kind, Carried::Echo { .. })).then_some(8080);
                let nat = Nat { destination: Some(inside), destination_port: port, ..Nat::default() };
                let packet = plain(
                    kind,
                    v6,
                    [address(v6, 3, host), address(v6, 2, 201)],
                    [2000 + u16::from(host), 443],
                );
                all.push(Connection::new(Direction::Out, packet, nat));
            }
        }
    }
    all
}

/// Builds connections of every kind from one family to the other, from inside and from outside.
pub(crate) fn between_families(count: u8) -> Vec<Connection> {
    let mut all = Vec::new();
    for host in 0..count {
        for v6 in [false, true] {
            for (kind, direction) in kinds()
                .into_iter()
                .flat_map(|kind| [Direction::In, Direction::Out].map(|way| (kind.clone(), way)))
            {
                let network = if direction == Direction::In { 1 } else { 4 };
                let addresses = [address(v6, network, host), address(v6, 7, host % 3)];
                let nat = Nat {
                    family: Some(if v6 { Family::V4 } else { Family::V6 }),
                    source: Some(address(!v6, 2, 100 + network)),
                    destination: Some(address(!v6, 8, host % 3)),
                    source_ports: Some(PORTS),
                    ..Nat::default()
                };
                let packet = plain(kind, v6, addresses, [1024 + u16::from(host), 80]);
                all.push(Connection::new(direction, packet, nat));
            }
        }
    }
    all
}
