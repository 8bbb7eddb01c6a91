//! A firewall that translates, hosts on both sides of it, and every packet checked byte by byte against one that was built
//! anew.
#![allow(dead_code, reason = "each test uses its part")]

pub mod packet;

use packet::{Carried, Packet, read};
use pfplane::internals::engine::{Config, Engine};
use pfplane::internals::lane::{self, Action, Burst, BurstInfo, Lane, PacketView, Verdict};
use pfplane::internals::packet::{
    Direction, Facts, Family, Link, TranslateError, Translation, WritablePacket,
};
use pfplane::internals::state::{Nat, Options, PortRange};
use pfplane::internals::sync::{PeerSettings, SyncSettings};
use pfsync::Profile;
use pfsync::envelope::Address;

/// Ports that source translation draws from.
pub const PORTS: PortRange = PortRange { first: 50_000, last: 59_999 };

/// Bytes that are free before a packet.
pub const HEADROOM: usize = 64;

/// One firewall with its lanes.
pub struct Firewall {
    pub engine: Engine,
    pub lanes: Vec<Lane>,
    /// Verdicts that sent a packet to another lane.
    pub handed_off: usize,
}

/// What became of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarded {
    pub verdict: Verdict,
    pub bytes: Vec<u8>,
    pub lane: usize,
}

pub fn burst(direction: Direction, now: u64) -> BurstInfo {
    BurstInfo { direction, link: Link::Ip, trust_hash: false, now }
}

/// One packet that is rewritten where it lies.
struct RewrittenPacket<'a> {
    bytes: &'a mut Vec<u8>,
    verdict: Option<Verdict>,
}

impl<'a> RewrittenPacket<'a> {
    const fn new(bytes: &'a mut Vec<u8>) -> Self {
        Self { bytes, verdict: None }
    }
}

impl Burst for RewrittenPacket<'_> {
    fn count(&self) -> usize {
        1
    }

    fn packet(&self, _: usize) -> lane::Packet<'_> {
        let packet_length = self.bytes.len() as u32;
        lane::Packet::Bytes(PacketView { data: self.bytes, packet_length, hash: None })
    }

    fn rewrite(&mut self, _: usize, facts: &Facts, to: &Translation<'_>) -> Result<i16, TranslateError> {
        rewrite(self.bytes, facts, to)
    }

    fn verdict(&mut self, _: usize, verdict: Verdict) {
        self.verdict = Some(verdict);
    }
}

/// Rewrites a packet in a buffer with room before it.
pub fn rewrite(
    bytes: &mut Vec<u8>,
    facts: &Facts,
    translation: &Translation<'_>,
) -> Result<i16, TranslateError> {
    let mut buffer = vec![0xee; HEADROOM];
    buffer.extend_from_slice(bytes);
    let start = translation.apply(
        facts,
        &mut WritablePacket { bytes: &mut buffer, start: HEADROOM, l4_offload: false, ip_offload: false },
    )?;
    *bytes = buffer.split_off(start);
    Ok(start as i16 - HEADROOM as i16)
}

impl Firewall {
    pub fn new(config: Config) -> Self {
        let (engine, lanes) = Engine::new(config).expect("a plain configuration");
        Self { engine, lanes, handed_off: 0 }
    }

    /// A packet that comes in on lane `at`, is handed on as the verdicts say, and makes a state where `nat` is given.
    pub fn forward(
        &mut self,
        now: u64,
        at: usize,
        direction: Direction,
        packet: &[u8],
        nat: Option<&Nat>,
    ) -> Forwarded {
        let burst = burst(direction, now);
        let mut lane = at;
        for _ in 0..3 {
            let mut bytes = packet.to_vec();
            let mut verdict = self.look(lane, &burst, &mut bytes);
            if let (Action::New, Some(nat)) = (verdict.action, nat) {
                let options = Options { nat: *nat, ..Options::default() };
                let mut packet = RewrittenPacket::new(&mut bytes);
                verdict = self.lanes[lane].create_in_burst(&burst, &mut packet, 0, &options);
            }
            if verdict.action != Action::HandOff {
                return Forwarded { verdict, bytes, lane };
            }
            self.handed_off += 1;
            lane = verdict.lane.into();
        }
        panic!("a packet goes round between lanes");
    }

    fn look(&mut self, lane: usize, burst: &BurstInfo, bytes: &mut Vec<u8>) -> Verdict {
        let mut packet = RewrittenPacket::new(bytes);
        self.lanes[lane].lookup_burst(burst, &mut packet);
        packet.verdict.expect("a verdict for every packet")
    }

    pub fn poll(&mut self, now: u64) {
        self.lanes.iter_mut().for_each(|lane| lane.poll(now));
    }

    pub fn stat(&mut self, now: u64, name: &str) -> u64 {
        self.poll(now);
        self.engine.stat_named(name).unwrap_or_else(|| panic!("no statistic {name}"))
    }

    pub fn states(&self) -> usize {
        let of = |lane: &Lane| {
            std::iter::successors(lane.state_from(0, 0).map(|state| state.slot.0), |slot| {
                lane.state_from(slot + 1, 0).map(|state| state.slot.0)
            })
            .count()
        };
        self.lanes.iter().map(of).sum()
    }
}

/// One connection through a firewall: as its initiator knows it, and as the other end does.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The way of its first packet.
    pub direction: Direction,
    pub nat: Nat,
    /// The packet as the initiator sends it, without its numbers.
    pub near: Packet,
    /// The packet as the other end gets it.
    pub far: Packet,
    seq: u32,
    ack: u32,
}

impl Connection {
    pub fn new(direction: Direction, near: Packet, nat: Nat) -> Self {
        Self { direction, nat, far: near.clone(), near, seq: 1000, ack: 0 }
    }

    /// The first packet. What the other end gets is taken from what comes out, after it was checked against the rules.
    pub fn open(&mut self, firewall: &mut Firewall, now: u64, at: usize) -> Forwarded {
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

    /// The packet that is sent next, by the initiator or by the other end.
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

    /// One packet, which must come out as the other end's packet with its bytes.
    pub fn pass(&mut self, firewall: &mut Firewall, now: u64, at: usize, forward: bool) -> Forwarded {
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

    /// A router beyond the firewall says that the packet sent last cannot go on; the sender is told in its own words.
    pub fn error(&self, firewall: &mut Firewall, now: u64, at: usize, forward: bool) -> Forwarded {
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

/// An address of a side, as keys hold it.
pub fn address(v6: bool, network: u8, host: u8) -> [u8; 16] {
    let mut address = [0; 16];
    if v6 {
        address[..2].copy_from_slice(&[0xfd, network]);
        address[15] = host;
    } else {
        address[..4].copy_from_slice(&[10, network, 0, host]);
    }
    address
}

/// A packet without numbers.
pub fn plain(carried: Carried, v6: bool, addresses: [[u8; 16]; 2], ports: [u16; 2]) -> Packet {
    Packet { v6, addresses, ports, carried, payload: vec![0xab; 21] }
}

/// The three kinds of connection.
pub fn kinds() -> [Carried; 3] {
    [
        Carried::Tcp { seq: 0, ack: 0, syn: true, sack: None, odd: false },
        Carried::Udp,
        Carried::Echo { reply: false },
    ]
}

/// Settings of node `n`, which speaks a dialect on the sync link.
pub fn node(n: u8, lanes: u32, profile: Profile) -> Config {
    let mut sync = SyncSettings { host_id: 0xfeed_0000 | u32::from(n), ..SyncSettings::default() };
    sync.peers.push(PeerSettings::group(profile, Address::V4([192, 0, 2, n])));
    Config { lanes, states_per_lane: 4096, sync, start_unix_s: 1_700_000_000, ..Config::default() }
}

/// Both nodes do their housekeeping for so many milliseconds, and hear each other.
pub fn run(nodes: &mut [Firewall; 2], now: &mut u64, milliseconds: u64) {
    for _ in 0..milliseconds {
        *now += 1_000_000;
        for from in 0..2 {
            nodes[from].poll(*now);
            for lane in 0..nodes[from].lanes.len() {
                let mut buffer = vec![0; nodes[from].lanes[lane].max_frame_bytes()];
                while let Some(frame) = nodes[from].lanes[lane].flush(&mut buffer, *now) {
                    assert!(nodes[1 - from].lanes[0].receive(&buffer[frame], *now));
                }
            }
        }
    }
}

/// Connections of every kind, both families, from inside with a new source and from outside with a new destination.
pub fn connections(count: u8) -> Vec<Connection> {
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

/// Connections of every kind from one family to the other, both ways, from inside and from outside.
pub fn between_families(count: u8) -> Vec<Connection> {
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
