//! Two elections on one network, in any sequence of calls: frames exchanged, changed, forged and lost, hellos, links, readiness,
//! demotions, a witness, late calls and clocks that jump.

mod node;

use std::net::IpAddr;

use crate::input::Input;
use node::{Node, is_farewell};
use pfplane::internals::election::codec::frame;
use pfplane::internals::election::{
    ChecksumManner, Class, Dialect, Election, ElectionConfig, EventKind, FORBIDS, HELLO_BYTES, Hello,
    MAX_ELECTION_FRAME_BYTES, MAX_NEIGHBOUR_BYTES, MacMode, MemberConfig, Role, Silence,
};
use pfplane::internals::packet::checksum::checksum;

const MS: u64 = 1_000_000;
const PORTS: u16 = 2;
const VLAN: u16 = 7;
/// Frames in flight.
const MAX_FRAMES: usize = 64;
/// Events kept, and the number of those lost.
const MAX_EVENTS: usize = 65;

/// A frame that a node has sent.
struct Sent {
    from: usize,
    port: u16,
    bytes: Vec<u8>,
}

struct Network {
    nodes: [Node; 2],
    now: u64,
    interval: u64,
    max_interval: u64,
    frames: Vec<Sent>,
}

/// Runs `data` as eight bytes of configuration and then calls: one byte selects the call, one the node, others follow.
///
/// # Panics
/// If a node forwards without an advert to renew its lease, or for longer than a millisecond after it received the next master,
/// sends from the virtual MAC address without being master, sends more frames than it has members, addresses and peers, is
/// demoted when all is well, counts a frame twice or not at all, or changes its role for an advert of CARP without a right
/// digest.
pub fn any_election(data: &[u8]) {
    let Some((choices, rest)) = data.split_first_chunk::<8>() else { return };
    let mut network = Network::new(choices);
    let mut input = Input::new(rest);
    while let Some(call) = input.next() {
        let node = usize::from(call >> 7);
        match call & 0xf {
            0 => network.wait(u64::from(input.byte()) * network.interval / 32),
            1 => network.jump(&mut input),
            2..=4 => network.turn(node),
            5 | 6 => network.deliver(node, &mut input),
            7 => network.forge(node, call, &mut input),
            8 => network.link(node, input.byte()),
            9 => network.nodes[node].election.readiness(class(input.byte())),
            10 => network.demote(node, &mut input),
            11 => network.hello(node, input.byte()),
            12 => network.step_down(node, input.byte()),
            13 => network.nodes[node].election.peer_down(network.now),
            14 if call & 16 == 0 => network.fail_to_send(node, input.byte()),
            14 => network.nodes[node].election.witness(call & 32 != 0),
            _ => network.answer(node, &mut input),
        }
        network.check();
    }
    network.recover();
}

const fn class(byte: u8) -> Class {
    match byte & 3 {
        0 => Class::Loading,
        1 => Class::GaveUp,
        _ => Class::Synced,
    }
}

/// Returns a configuration that `choices` select, which is right.
fn config(choices: &[u8; 8], node: u8) -> ElectionConfig {
    let [what, how, interval, hold, priorities, peers, addresses, _] = *choices;
    let dialect = [Dialect::Vrrp3, Dialect::OpenBsd, Dialect::FreeBsd][usize::from(what % 3)];
    let interval_us = match dialect {
        Dialect::Vrrp3 => 10_000 * (1 + u32::from(interval)),
        Dialect::OpenBsd if interval & 1 == 0 => 12_000 * (1 + u32::from(interval % 80)),
        _ => 1_000_000 * (1 + u32::from(interval >> 4)),
    };
    let mut members = Vec::new();
    for port in 0..PORTS {
        for v6 in [false, true] {
            let address = |last: u16| -> IpAddr {
                if v6 {
                    [0xfe80, 0, 0, 0, 0, 0, port, last].into()
                } else {
                    [10, 0, port as u8, last as u8].into()
                }
            };
            members.push(MemberConfig {
                port,
                vlan: port * VLAN,
                id: 7,
                own_mac: [2, 0, 0, 0, port as u8, node + 1],
                own_address: address(1 + u16::from(node)),
                addresses: (0..1 + u16::from(addresses & 3)).map(|last| address(100 + last)).collect(),
                peers: if peers & 1 == 0 {
                    Vec::new()
                } else {
                    vec![address(2 - u16::from(node)), address(9)]
                },
                passphrase: if dialect == Dialect::Vrrp3 { Vec::new() } else { b"secret".to_vec() }.into(),
            });
        }
    }
    ElectionConfig {
        dialect,
        preempt: how & 1 != 0,
        preempt_delay_ms: u32::from(hold),
        silence: [Silence::Automatic, Silence::All, Silence::Any][usize::from(how >> 1 & 3) % 3],
        mac: [MacMode::Virtual, MacMode::VirtualAdvertsFromOwn, MacMode::Own][usize::from(how >> 3 & 3) % 3],
        checksum: if how & 32 == 0 { ChecksumManner::WithPseudoHeader } else { ChecksumManner::AdvertOnly },
        check_addresses: how & 64 == 0,
        // Different ones: equal priorities are settled by chance if hellos pass in one direction only.
        priority: if node == 0 { 1 + priorities % 99 + 100 * (priorities & 1) } else { 100 },
        interval_us,
        min_interval_us: u32::from(peers >> 4) * 500,
        start_hold_ms: u32::from(hold),
        announce_every_ms: u32::from(hold) * 16,
        link_weight: u32::from(addresses >> 2),
        group: 3,
        members,
        ..ElectionConfig::default()
    }
}

impl Network {
    fn new(choices: &[u8; 8]) -> Self {
        let nodes = [0, 1].map(|node| {
            let config = config(choices, node);
            Node {
                election: Election::new(&config, 0x1234_5678_9abc << node).expect("a right configuration"),
                config,
                links: [false; PORTS as usize],
                reasons: [0; 4],
                has_failed: false,
                granted: 0,
                crossing: 0,
                awaited: Vec::new(),
                role: Role::Init,
                until: 0,
            }
        });
        let interval = u64::from(nodes[0].config.interval_us) * 1000;
        // An interval of CARP below one second grows with the skew, to one second at most.
        let max_interval =
            if nodes[0].config.dialect == Dialect::OpenBsd { interval.max(1000 * MS) } else { interval };
        Self { nodes, now: 1_000_000_000, interval, max_interval, frames: Vec::new() }
    }

    fn wait(&mut self, time: u64) {
        self.now += time;
    }

    /// The clock jumps, also backwards.
    fn jump(&mut self, input: &mut Input<'_>) {
        let time = u64::from(input.word()) << (input.byte() & 31);
        self.now = if input.byte() & 1 == 0 { self.now + time } else { self.now.saturating_sub(time) };
        self.now = self.now.min(1 << 60);
    }

    /// Polls a node and sends what it has.
    fn turn(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        let due = node.election.poll(self.now);
        assert!(due > self.now);
        if node.election.status().role == Role::Master {
            node.granted = node.granted.max(self.now + 3 * self.max_interval);
        }
        let most =
            node.config.members.iter().map(|member| 2 * member.peers.len().max(1) + member.addresses.len());
        let most: usize = most.sum();
        let mut out = [0; MAX_ELECTION_FRAME_BYTES];
        let mut count = 0;
        while let Some(sent) = node.election.flush(&mut out) {
            count += 1;
            assert!(count <= most, "more frames than a round of adverts, a last one and announcements");
            let is_master = node.election.status().role == Role::Master;
            assert!(is_master || !sent.from_virtual_mac, "a backup sends from the virtual MAC address");
            assert!(!sent.from_virtual_mac || node.config.mac != MacMode::Own);
            assert_eq!(
                out[6..11] == [0, 0, 0x5e, 0, 1] || out[6..11] == [0, 0, 0x5e, 0, 2],
                sent.from_virtual_mac
            );
            if self.frames.len() == MAX_FRAMES {
                self.frames.remove(0);
            }
            self.frames.push(Sent { from: index, port: sent.port, bytes: out[..sent.length].to_vec() });
        }
        let mut events = 0;
        while let Some(event) = node.election.event_next(self.now) {
            events += 1;
            assert!(events <= MAX_EVENTS);
            assert!(event.member.is_none_or(|member| usize::from(member) < node.config.members.len()));
            assert!(
                !matches!(event.kind, EventKind::Role { from, to, .. } if from == to && to != Role::Backup)
            );
        }
        self.check_demotion(index);
    }

    /// Passes a frame that was sent to a node, perhaps changed.
    fn deliver(&mut self, to: usize, input: &mut Input<'_>) {
        if self.frames.is_empty() {
            return;
        }
        let which = usize::from(input.byte()) % self.frames.len();
        let change = input.byte();
        let sent = &self.frames[which];
        let (from, port, mut bytes) = (sent.from, sent.port, sent.bytes.clone());
        if change != 0 {
            let at = usize::from(input.byte()) % bytes.len();
            bytes[at] ^= change;
            fix_checksums(&mut bytes);
        }
        self.receive(to, port, &bytes, from != to);
    }

    /// Passes any bytes to a node.
    fn forge(&mut self, to: usize, call: u8, input: &mut Input<'_>) {
        let port = u16::from(call >> 6 & 1);
        let length = usize::from(input.byte());
        let mut bytes = input.take(length).to_vec();
        if call & 16 != 0 {
            fix_checksums(&mut bytes);
        }
        self.receive(to, port, &bytes, false);
    }

    fn receive(&mut self, to: usize, port: u16, bytes: &[u8], may_be_authentic: bool) {
        let vlan = port * VLAN;
        let now = self.now;
        let node = &mut self.nodes[to];
        // A late call changes the role before the frame does.
        node.election.poll(now);
        node.observe(now);
        if node.election.status().role == Role::Master {
            node.granted = node.granted.max(now + 3 * self.max_interval);
        }
        let before = node.received();
        let adverts_before = node.adverts_received();
        let role = node.election.status().role;
        let is_ours = node.election.receive((port, vlan), bytes, now);
        let counted = node.received() - before;
        let is_up = node.links[usize::from(port)];
        assert_eq!(counted, u64::from(is_ours && is_up), "each frame of a link that is up counts once");
        if node.config.dialect != Dialect::Vrrp3 && !may_be_authentic {
            assert_eq!(node.election.status().role, role, "an advert without a right digest");
        }
        node.observe(now);
        if !is_farewell(bytes) {
            node.note_next_master(&adverts_before, now);
        }
    }

    fn link(&mut self, index: usize, byte: u8) {
        let node = &mut self.nodes[index];
        let (port, is_up) = (u16::from(byte & 1), byte & 2 == 0);
        node.links[usize::from(port)] = is_up;
        node.election.link(port, is_up, self.now);
    }

    fn demote(&mut self, index: usize, input: &mut Input<'_>) {
        let node = &mut self.nodes[index];
        let (which, weight) = (usize::from(input.byte() & 3), input.byte());
        let weight = if weight == 255 { FORBIDS } else { weight.into() };
        node.reasons[which] = weight;
        let name = ["router", "sync link", "operator", "disk"][which];
        node.election.demote(name, weight).expect("four reasons fit");
    }

    /// Sends a hello to the other node, perhaps changed.
    fn hello(&mut self, index: usize, change: u8) {
        let now = self.now;
        let Some(hello) = self.nodes[index].election.hello(now) else { return };
        let mut bytes = hello.write();
        assert_eq!(Hello::parse(&bytes).map(|read| read.write()), Some(bytes));
        if change & 1 != 0 {
            bytes[usize::from(change) % HELLO_BYTES] ^= change;
        }
        let Some(read) = Hello::parse(&bytes) else { return };
        assert!(!self.nodes[index].election.receive_hello(&hello, now), "its own hello");
        let other = &mut self.nodes[1 - index].election;
        other.receive_hello(&read, now);
        assert!(!other.receive_hello(&read, now), "the same hello twice");
    }

    fn step_down(&mut self, index: usize, hold: u8) {
        let node = &mut self.nodes[index];
        node.observe(self.now);
        node.election.step_down(u32::from(hold) * 8, self.now);
        if node.role != Role::Master {
            return;
        }
        node.hand_over(self.now, self.interval);
    }

    fn fail_to_send(&mut self, index: usize, byte: u8) {
        let node = &mut self.nodes[index];
        node.has_failed = true;
        node.election.send_failed(u16::from(byte & 1), u32::from(byte >> 1), self.now);
    }

    /// Asks a node for an address with any bytes.
    fn answer(&self, index: usize, input: &mut Input<'_>) {
        let length = usize::from(input.byte());
        let frame = input.take(length);
        let mut out = [0; MAX_NEIGHBOUR_BYTES];
        let forwarding = self.nodes[index].election.forwarding();
        for port in 0..PORTS {
            if let Some(length) = forwarding.answer((port, port * VLAN), frame, &mut out, self.now) {
                let from_virtual = out[6..10] == [0, 0, 0x5e, 0];
                assert!(length <= out.len());
                assert!(
                    !from_virtual || forwarding.may_forward(self.now),
                    "a backup answers for a shared address"
                );
            }
        }
    }

    /// The lease of each node.
    fn check(&mut self) {
        for node in &mut self.nodes {
            node.observe(self.now);
            let (role, until, crossing) = (node.role, node.until, node.crossing);
            assert!(until <= node.granted, "a lease without an advert");
            assert!(
                role == Role::Master || until <= crossing,
                "{role:?} forwards until {until}, not {crossing}"
            );
        }
    }

    /// A node without faults is not demoted.
    fn check_demotion(&self, index: usize) {
        let node = &self.nodes[index];
        let is_well = node.links == [true; PORTS as usize] && node.reasons == [0; 4] && !node.has_failed;
        assert!(!is_well || node.election.status().demotion == 0, "demoted although all is well");
    }

    /// When all is well, one of the nodes is master in the end.
    fn recover(&mut self) {
        for index in 0..2 {
            let now = self.now;
            let node = &mut self.nodes[index];
            (0..PORTS).for_each(|port| node.election.link(port, true, now));
            node.links = [true; PORTS as usize];
            for name in ["router", "sync link", "operator", "disk"] {
                node.election.demote(name, 0).expect("it takes back");
            }
            node.reasons = [0; 4];
            node.election.witness(true);
            node.election.readiness(Class::Synced);
        }
        // Past every hold, even after the clock has jumped backwards.
        self.now = 1 << 61;
        // A master may have announced an interval of 40 s.
        for step in 0..200_000 {
            if step > 30 && self.forwarding_count() == 1 {
                break;
            }
            self.now += self.interval / 2 + 1;
            for index in 0..2 {
                self.frames.clear();
                self.turn(index);
                for sent in core::mem::take(&mut self.frames) {
                    self.receive(1 - index, sent.port, &sent.bytes, true);
                }
                self.check();
            }
        }
        assert_eq!(self.forwarding_count(), 1, "one of two nodes that are well forwards");
    }

    fn forwarding_count(&self) -> usize {
        let may_forward = |node: &&Node| node.election.forwarding().may_forward(self.now);
        self.nodes.iter().filter(may_forward).count()
    }
}

/// Makes the checksums of an IPv4 header and of CARP's advert in it right.
fn fix_checksums(bytes: &mut [u8]) {
    let start = if bytes.get(12..14) == Some(&[0x81, 0]) { 18 } else { 14 };
    let Some(packet) = bytes.get_mut(start..) else { return };
    let is_v4 = packet.first().is_some_and(|byte| byte >> 4 == 4);
    if is_v4 && let Some(header) = packet.first_chunk_mut::<20>() {
        header[10..12].fill(0);
        let sum = checksum(header).0;
        header[10..12].copy_from_slice(&sum);
    }
    let at = if is_v4 { 20 } else { 40 };
    if packet.get(if is_v4 { 9 } else { 6 }) == Some(&frame::PROTOCOL)
        && let Some(advert) = packet.get_mut(at..).and_then(|advert| advert.first_chunk_mut::<36>())
        && advert[0] >> 4 == 2
    {
        advert[6..8].fill(0);
        let sum = checksum(advert).0;
        advert[6..8].copy_from_slice(&sum);
    }
}
