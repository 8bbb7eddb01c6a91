//! How often updates are sent, and what a takeover by pf would lose, for downloads at a constant rate.

use pfplane::internals::engine::{Config, Engine};
use pfplane::internals::lane::{Action, BurstInfo, Lane};
use pfplane::internals::packet::{
    Be16, Direction, Facts, Family, IpOptions, Key, Kind, Link, TcpFacts, tcp_flags,
};
use pfplane::internals::state::Options;
use pfplane::internals::sync::{PeerSettings, SyncSettings};
use pfplane::pfsync::envelope::{Address, Envelope};
use pfplane::pfsync::{FrameReader, Profile, Record};
use std::collections::HashMap;
use std::fmt;

const MICROSECOND: u64 = 1000;
const SECOND: u64 = 1_000_000 * MICROSECOND;
/// Interval between two bursts, and between two polls.
const STEP: u64 = 100 * MICROSECOND;
/// The node may die at any millisecond of this time.
const OBSERVED: u64 = 2 * SECOND;
/// Time before, in which every connection is sent at least once.
const WARM_UP: u64 = SECOND + SECOND / 5;
/// Compressed updates of pf in one frame of 1500 bytes.
const PF_FRAME: usize = 17;
/// pf's `maxupd`.
const PF_MAX_UPDATES: u32 = 128;

/// Downloads that are alike.
#[derive(Clone, Copy, Debug)]
pub struct Downloads {
    /// Number of connections.
    pub count: usize,
    /// Bytes per second of each.
    pub rate: u64,
    /// Bytes in a segment.
    pub segment: u32,
    /// Window that the clients advertise, unscaled, and its shift.
    pub window: (u16, u8),
}

const fn downloads(count: usize, rate: u64, segment: u32, window: (u16, u8)) -> Downloads {
    Downloads { count, rate, segment, window }
}

/// Downloads from 10 kB/s to 10 Gbit/s, in windows that allow them.
pub const RATES: [Downloads; 9] = [
    downloads(20, 10_000, 500, (60_000, 0)),
    downloads(8, 140_000, 1_448, (60_000, 0)),
    downloads(120, 140_000, 1_448, (60_000, 0)),
    downloads(8, 1_000_000, 1_448, (60_000, 0)),
    downloads(40, 1_000_000, 1_448, (60_000, 0)),
    downloads(2, 12_500_000, 1_448, (60_000, 0)),
    downloads(2, 12_500_000, 1_448, (4_000, 7)),
    downloads(1, 125_000_000, 8_948, (24_000, 7)),
    downloads(1, 1_250_000_000, 60_000, (u16::MAX, 9)),
];

impl fmt::Display for Downloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, kilobytes, window) = (self.count, self.rate / 1000, self.window_bytes());
        write!(f, "{count} of {kilobytes} kB/s, window {window}")
    }
}

/// When an update is sent.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// This project's, with the maximum drift in percent of the window. With 0: a second after the last one, or 128 packets.
    Engine(u32),
    /// pf's: when a frame is full, a second after its first message, or 128 packets.
    Pf,
}

/// What happened within the observed time.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The share of connections that a takeover by pf would lose, if the node died at a random time.
    pub lost: f64,
    /// Records sent per second, all connections together.
    pub records: f64,
    /// Frames sent per second.
    pub frames: f64,
}

/// One download. Numbers count from the first byte.
#[derive(Clone, Copy, Default)]
struct Flow {
    sent: u64,
    segments: u64,
    acked: u64,
    /// What pf's copy accepts up to, as sent.
    copy: u64,
}

/// Base of the server's sequence numbers.
const BASE: u32 = u32::MAX - 500_000;

impl Downloads {
    fn window_bytes(&self) -> u64 {
        u64::from(self.window.0) << self.window.1
    }

    /// Bytes that are acknowledged late: half of what the window allows to be in flight, at most of 20 ms.
    fn in_flight(&self) -> u64 {
        (self.window_bytes() / 2).min(self.rate / 50)
    }

    fn facts(&self, index: usize, forward: bool, tcp: TcpFacts) -> Facts {
        let mut client = [0; 16];
        client[..4].copy_from_slice(&(0x0a00_0000 + index as u32).to_be_bytes());
        let mut server = [0; 16];
        server[..4].copy_from_slice(&[192, 0, 2, 80]);
        let port = [Be16::new(4000), Be16::new(80)];
        let key = Key { addr: [client, server], port, rdomain: 0, family: Family::V4, proto: 6 };
        Facts {
            key,
            kind: Kind::Tcp,
            direction: if forward { Direction::In } else { Direction::Out },
            ip_length: 40 + tcp.payload,
            l3_offset: 0,
            l4_offset: 20,
            ttl: 64,
            tos: 0,
            ip_options: IpOptions::NONE,
            tcp,
        }
    }
}

/// The sending node.
enum Node {
    Engine { lane: Box<Lane>, ids: HashMap<u64, usize>, buffer: Vec<u8>, _engine: Box<Engine> },
    Pf { queued: Vec<u32>, order: Vec<usize>, since: u64 },
}

struct World {
    downloads: Downloads,
    flows: Vec<Flow>,
    node: Node,
    records: u64,
    frames: u64,
}

/// Runs the downloads by a rule.
///
/// # Panics
/// When the node drops a packet.
#[must_use]
pub fn run(downloads: Downloads, rule: Rule) -> Pace {
    let node = match rule {
        Rule::Engine(percent) => engine(percent, downloads.count),
        Rule::Pf => Node::Pf { queued: vec![0; downloads.count], order: Vec::new(), since: 0 },
    };
    let flows = vec![Flow::default(); downloads.count];
    let mut world = World { downloads, flows, node, records: 0, frames: 0 };
    world.open();
    let (mut lost, mut samples) = (0, 0);
    let mut before = (0, 0);
    let mut now = SECOND;
    while now < SECOND + WARM_UP + OBSERVED {
        now += STEP;
        world.step(now);
        if now < SECOND + WARM_UP {
            before = (world.records, world.frames);
        } else if now.is_multiple_of(1000 * MICROSECOND) {
            samples += downloads.count;
            lost += world
                .flows
                .iter()
                .filter(|flow| flow.acked + u64::from(downloads.segment) > flow.copy)
                .count();
        }
    }
    let seconds = OBSERVED as f64 / SECOND as f64;
    Pace {
        lost: lost as f64 / samples as f64,
        records: (world.records - before.0) as f64 / seconds,
        frames: (world.frames - before.1) as f64 / seconds,
    }
}

fn engine(percent: u32, count: usize) -> Node {
    let mut sync = SyncSettings { host_id: 7, max_drift_percent: percent, ..SyncSettings::default() };
    sync.peers.push(PeerSettings::group(Profile::OpenBsd6, Address::V4([192, 0, 2, 1])));
    let config = Config { sync, states_per_lane: 2 * count as u32, start_unix_s: 1, ..Config::default() };
    let (engine, mut lanes) = Engine::new(config).expect("settings within their ranges");
    let lane = Box::new(lanes.remove(0));
    let buffer = vec![0; lane.max_frame_bytes()];
    Node::Engine { lane, ids: HashMap::new(), buffer, _engine: Box::new(engine) }
}

impl World {
    fn info(forward: bool, now: u64) -> BurstInfo {
        let direction = if forward { Direction::In } else { Direction::Out };
        BurstInfo { direction, link: Link::Ip, rdomain: 0, trust_hash: false, now }
    }

    fn pass(&mut self, index: usize, forward: bool, tcp: TcpFacts, now: u64) {
        let facts = self.downloads.facts(index, forward, tcp);
        match &mut self.node {
            Node::Engine { lane, .. } => {
                let verdict = lane.lookup_facts(&Self::info(forward, now), &facts, None);
                assert_eq!(verdict.action, Action::Pass, "{tcp:?}");
            }
            Node::Pf { .. } => self.note_as_pf(index, now),
        }
    }

    /// Opens all connections at one second.
    fn open(&mut self) {
        let (window, shift) = self.downloads.window;
        let wscale = if shift == 0 { 0 } else { 0x80 | shift };
        for index in 0..self.downloads.count {
            let syn =
                TcpFacts { seq: 99, window: 60_000, flags: tcp_flags::SYN, wscale, ..TcpFacts::default() };
            if let Node::Engine { lane, .. } = &mut self.node {
                let facts = self.downloads.facts(index, true, syn);
                let created =
                    lane.create_from_facts(&Self::info(true, SECOND), &facts, None, &Options::default());
                assert_eq!(created.action, Action::Pass);
                let answer = TcpFacts {
                    seq: BASE.wrapping_sub(1),
                    ack: 100,
                    flags: tcp_flags::SYN | tcp_flags::ACK,
                    ..syn
                };
                self.pass(index, false, answer, SECOND);
                let ack =
                    TcpFacts { seq: 100, ack: BASE, window, flags: tcp_flags::ACK, ..TcpFacts::default() };
                self.pass(index, true, ack, SECOND);
            }
            self.flows[index].copy = self.downloads.window_bytes();
        }
    }

    fn step(&mut self, now: u64) {
        let Downloads { count, rate, segment, window, .. } = self.downloads;
        for index in 0..count {
            // Connections do not all send at the same time.
            let phase = u64::from(segment) * index as u64 / count as u64;
            let target = (now - SECOND) / 1000 * rate / 1_000_000 + phase;
            while self.flows[index].sent + u64::from(segment) <= target {
                let flow = &mut self.flows[index];
                let seq = BASE.wrapping_add(flow.sent as u32);
                flow.sent += u64::from(segment);
                flow.segments += 1;
                let flow = *flow;
                let flags = tcp_flags::ACK;
                let data = TcpFacts {
                    seq,
                    ack: 100,
                    window: 60_000,
                    flags,
                    payload: segment,
                    ..TcpFacts::default()
                };
                self.pass(index, false, data, now);
                if flow.segments.is_multiple_of(2) {
                    let acked = flow.sent.saturating_sub(self.downloads.in_flight());
                    self.flows[index].acked = acked;
                    let ack = BASE.wrapping_add(acked as u32);
                    let tcp = TcpFacts { seq: 100, ack, window: window.0, flags, ..TcpFacts::default() };
                    self.pass(index, true, tcp, now);
                }
            }
        }
        self.send(now);
    }

    fn send(&mut self, now: u64) {
        let Self { node, flows, records, frames, .. } = self;
        match node {
            Node::Engine { lane, ids, buffer, .. } => {
                lane.poll(now);
                while let Some(range) = lane.flush(buffer, now) {
                    *frames += 1;
                    *records += deliver(&buffer[range], ids, flows);
                }
            }
            Node::Pf { order, since, .. } if !order.is_empty() && now - *since >= SECOND => self.push_as_pf(),
            Node::Pf { .. } => {}
        }
    }

    fn note_as_pf(&mut self, index: usize, now: u64) {
        let Node::Pf { queued, order, .. } = &mut self.node else { return };
        if queued[index] > 0 {
            queued[index] += 1;
            if queued[index] > PF_MAX_UPDATES {
                self.push_as_pf();
            }
            return;
        }
        let is_full = order.len() == PF_FRAME;
        if is_full {
            self.push_as_pf();
        }
        let Node::Pf { queued, order, since: first } = &mut self.node else { return };
        if order.is_empty() {
            *first = now;
        }
        queued[index] = 1;
        order.push(index);
    }

    fn push_as_pf(&mut self) {
        let window = self.downloads.window_bytes();
        let Node::Pf { queued, order, .. } = &mut self.node else { return };
        for index in order.drain(..) {
            queued[index] = 0;
            self.flows[index].copy = self.flows[index].acked + window;
            self.records += 1;
        }
        self.frames += 1;
    }
}

/// Applies a frame to pf's copies. Returns the number of its records.
fn deliver(frame: &[u8], ids: &mut HashMap<u64, usize>, flows: &mut [Flow]) -> u64 {
    let envelope = Envelope::parse(frame).expect("an IP packet");
    let mut reader = FrameReader::new(&frame[envelope.payload]).expect("a frame");
    let mut records = 0;
    while let Some(Ok(region)) = reader.next_region() {
        for record in region.records() {
            let (index, seqhi) = match record {
                Record::State(state) => {
                    let octets = state.key[0]
                        .addr
                        .map(|addr| u32::from_be_bytes([addr[0], addr[1], addr[2], addr[3]]));
                    let client = octets.into_iter().find(|address| address >> 24 == 10).expect("a client");
                    let index = (client - 0x0a00_0000) as usize;
                    ids.insert(state.id.id, index);
                    (index, state.dst.seqhi)
                }
                Record::Compressed(update) => (ids[&update.id.id], update.dst.seqhi),
                _ => continue,
            };
            records += 1;
            let flow = &mut flows[index];
            // The copy is at most 2 GB from the acknowledged byte.
            let ahead = seqhi.wrapping_sub(BASE.wrapping_add(flow.acked as u32)).cast_signed();
            flow.copy = flow.acked.saturating_add_signed(ahead.into());
        }
    }
    records
}
