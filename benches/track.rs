//! Cost of tracking and translation per packet of an established flow with its records in the cache. Compares the tracker
//! with the tests' oracle and with no tracking, and the incremental rewrite with one that recomputes all checksums.
//!
//! `cargo bench -p pfplane-bench --bench track [-- --quick]`. Contenders rotate within each round; compare the ratios, which
//! are taken round by round, because absolute times depend on other load.

#[path = "../tests/tcp/connection.rs"]
mod connection;
#[path = "../tests/tcp/pf_oracle.rs"]
mod pf_oracle;

use std::hint::black_box;
use std::time::Instant;

use connection::packet;
use pf_oracle::{Oracle, agrees};
use pfplane::internals::packet::checksum::{Sum, checksum};
use pfplane::internals::packet::tcp_flags::{ACK, SYN};
use pfplane::internals::packet::{Be16, Facts, Family, TcpFacts, Translation, WritablePacket};
use pfplane::internals::state::{Options, Record, StateId, create, track};
use pfplane::internals::time::Tick;

/// Few enough for one contender's packets, facts and records to stay in the first-level cache.
const FLOWS: usize = 12;
const SEGMENT: u32 = 1_400;

/// A packet that is translated back and forth between two keys.
struct Bytes {
    bytes: Vec<u8>,
    /// The facts of the packet with either key.
    facts: [Facts; 2],
}

/// Offset of the checksum in the TCP header.
const TCP_CHECKSUM: usize = 16;

impl Bytes {
    fn new(facts: &Facts, number: usize) -> Self {
        let v6 = facts.key.family == Family::V6;
        let header = if v6 { 40 } else { 20 };
        let mut key = facts.key;
        for slot in 0..2 {
            key.addr[slot][..4].copy_from_slice(&[10, slot as u8, (number >> 8) as u8, number as u8]);
            key.port[slot] = Be16::new(1000 + slot as u16);
        }
        let mut other = key;
        other.addr[0][..4].copy_from_slice(&[192, 0, 2, 1]);
        other.port[0] = Be16::new(50_000 + number as u16);
        let mut bytes = vec![0x5a; header + 20 + facts.tcp.payload as usize];
        bytes[0] = if v6 { 0x60 } else { 0x45 };
        bytes[header + 12] = 0x50;
        let facts =
            Facts { l3_offset: 0, l4_offset: header as u16, ip_length: bytes.len() as u32, key, ..*facts };
        let mut packet = Self { bytes, facts: [facts, Facts { key: other, ..facts }] };
        packet.recompute(1);
        packet
    }

    /// Writes the addresses and ports of the other key and recomputes all checksums.
    fn recompute(&mut self, turn: u32) {
        let [from, to] = before_and_after(&self.facts, turn);
        let (key, transport) = (&to.key, usize::from(from.l4_offset));
        let source = from.direction.source_slot();
        for (index, slot) in [source, 1 - source].into_iter().enumerate() {
            if key.family == Family::V6 {
                self.bytes[8 + 16 * index..][..16].copy_from_slice(&key.addr[slot]);
            } else {
                self.bytes[12 + 4 * index..][..4].copy_from_slice(&key.addr[slot][..4]);
            }
            self.bytes[transport + 2 * index..][..2].copy_from_slice(&key.port[slot].0);
        }
        if key.family == Family::V4 {
            self.bytes[10..12].fill(0);
            let sum = checksum(&self.bytes[..20]);
            self.bytes[10..12].copy_from_slice(&sum.0);
        }
        self.bytes[transport + TCP_CHECKSUM..][..2].fill(0);
        let segment = &self.bytes[transport..];
        let sum = Sum::pseudo_header(&key.addr, key.proto, segment.len() as u32).bytes(segment).checksum();
        self.bytes[transport + TCP_CHECKSUM..][..2].copy_from_slice(&sum.0);
    }

    /// Rewrites incrementally, as the library does.
    fn rewrite(&mut self, turn: u32) -> bool {
        let [from, to] = before_and_after(&self.facts, turn);
        let translation = Translation { to: &to.key, modulation: [0; 2] };
        let mut packet =
            WritablePacket { bytes: &mut self.bytes, start: 0, l4_offload: false, ip_offload: false };
        translation.apply(from, &mut packet).is_ok()
    }
}

/// Returns the facts before and after the rewrite of a turn.
fn before_and_after([one, other]: &[Facts; 2], turn: u32) -> [&Facts; 2] {
    if turn.is_multiple_of(2) { [one, other] } else { [other, one] }
}

/// A flow with both trackers' records, and the two packets that it repeats: data forward, an acknowledgement in reverse.
struct Flow {
    record: Record,
    oracle: Oracle,
    packets: [Facts; 2],
    bytes: [Bytes; 2],
}

impl Flow {
    fn new(number: usize) -> Self {
        let family = if number.is_multiple_of(2) { Family::V4 } else { Family::V6 };
        let tcp = |seq, ack, flags, payload| TcpFacts {
            seq,
            ack,
            flags,
            payload,
            window: 60_000,
            wscale: if flags & SYN == 0 { 0 } else { 0x87 },
            mss: 0,
        };
        let syn = packet(family, true, tcp(1_000, 0, SYN, 0));
        let id = StateId { id: number as u64, creator: 1 };
        let packets = [
            packet(family, true, tcp(1_001, 5_001, ACK, SEGMENT)),
            packet(family, false, tcp(5_001, 1_001 + SEGMENT, ACK, 0)),
        ];
        let mut flow = Self {
            record: create(&syn, &Options::default(), id, Tick(0)),
            oracle: Oracle::create(&syn, false, 0),
            bytes: packets.each_ref().map(|facts| Bytes::new(facts, number)),
            packets,
        };
        let handshake = [(false, tcp(5_000, 1_001, SYN | ACK, 0)), (true, tcp(1_001, 5_001, ACK, 0))];
        for (forward, tcp) in handshake {
            let facts = packet(family, forward, tcp);
            let outcome = track(&mut flow.record.hot, &mut flow.record.track, &facts, Tick(1));
            assert!(agrees(flow.oracle.track(&facts, 1), outcome) && outcome.passes());
        }
        assert_eq!(flow.oracle.differs(&flow.record), None);
        flow
    }

    /// Advances to the packets of the next turn.
    fn advance(&mut self) {
        self.packets[0].tcp.seq = self.packets[0].tcp.seq.wrapping_add(SEGMENT);
        self.packets[1].tcp.ack = self.packets[1].tcp.ack.wrapping_add(SEGMENT);
    }
}

/// The work done on one packet of a flow.
trait Work {
    fn on(flow: &mut Flow, side: usize, turn: u32) -> bool;
}

/// Processes every packet of every flow once, as a lane's stages process a burst.
#[inline(never)]
fn pass<W: Work>(flows: &mut [Flow], turn: u32) -> bool {
    let mut all = true;
    for flow in flows {
        for side in 0..2 {
            all &= W::on(flow, side, turn);
        }
        flow.advance();
    }
    all
}

/// Runs some turns and returns nanoseconds per packet.
fn round<W: Work>(flows: &mut [Flow], turns: u32) -> f64 {
    let begin = Instant::now();
    for turn in 0..turns {
        assert!(pass::<W>(black_box(flows), turn));
    }
    begin.elapsed().as_secs_f64() * 1e9 / (f64::from(turns) * 2.0 * flows.len() as f64)
}

struct NoTracking;
struct Tracked;
struct TrackedByOracle;
struct Translated;
struct Recomputed;

impl Work for NoTracking {
    fn on(flow: &mut Flow, side: usize, _: u32) -> bool {
        black_box(&flow.packets[side]).ip_length > 0
    }
}

impl Work for Tracked {
    fn on(flow: &mut Flow, side: usize, turn: u32) -> bool {
        let Record { hot, track: line, .. } = &mut flow.record;
        track(hot, line, &flow.packets[side], Tick(turn)).passes()
    }
}

impl Work for TrackedByOracle {
    fn on(flow: &mut Flow, side: usize, turn: u32) -> bool {
        flow.oracle.track(&flow.packets[side], turn) == pf_oracle::Decision::Pass
    }
}

impl Work for Translated {
    fn on(flow: &mut Flow, side: usize, turn: u32) -> bool {
        Tracked::on(flow, side, turn) && flow.bytes[side].rewrite(turn)
    }
}

impl Work for Recomputed {
    fn on(flow: &mut Flow, side: usize, turn: u32) -> bool {
        flow.bytes[side].recompute(turn);
        Tracked::on(flow, side, turn)
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A name, and a function that runs turns on all flows and returns nanoseconds per packet.
type Contender = (&'static str, fn(&mut [Flow], u32) -> f64);

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (rounds, turns) = if quick { (5, 200) } else { (41, 5_000) };
    let contenders: [Contender; 5] = [
        ("no tracking", round::<NoTracking>),
        ("tracker", round::<Tracked>),
        ("oracle", round::<TrackedByOracle>),
        ("+ translation", round::<Translated>),
        ("+ recomputation", round::<Recomputed>),
    ];
    let mut sets = contenders.map(|_| (0..FLOWS).map(Flow::new).collect::<Vec<_>>());
    let mut times = contenders.map(|_| Vec::new());
    for number in 0..rounds {
        for offset in 0..contenders.len() {
            let which = (number + offset) % contenders.len();
            times[which].push(contenders[which].1(&mut sets[which], turns));
        }
    }
    let last = |flow: &Flow| (flow.record.track.src.seqlo, flow.oracle.sides[0].seqlo);
    let (tracked, plain) = (last(&sets[1][0]).0, last(&sets[2][0]).1);
    assert_eq!(tracked, plain, "the trackers saw different packets");
    for (one, other) in sets[3].iter().zip(&sets[4]) {
        let all_bytes = |flow: &Flow| flow.bytes.each_ref().map(|packet| packet.bytes.clone());
        assert_eq!(all_bytes(one), all_bytes(other), "the rewrites differ");
    }

    let difference = |one: usize, other: usize| -> Vec<f64> {
        times[one].iter().zip(&times[other]).map(|(with, without)| with - without).collect()
    };
    let (mut tracking, mut rewriting, mut recomputing) =
        (difference(1, 0), difference(3, 1), difference(4, 1));
    let mut ratios: Vec<f64> = times[1].iter().zip(&times[2]).map(|(fast, slow)| slow / fast).collect();
    println!("{FLOWS} established flows, {rounds} rounds, ns per packet (median, min, max)");
    for ((name, _), values) in contenders.iter().zip(&mut times) {
        let middle = median(values);
        println!("{name:<15} {middle:7.2}  {:7.2}  {:7.2}", values[0], values[values.len() - 1]);
    }
    println!("tracking alone    {:6.2} ns per packet", median(&mut tracking));
    println!(
        "translation alone {:6.2} ns per packet, recomputed {:6.2}",
        median(&mut rewriting),
        median(&mut recomputing)
    );
    println!("oracle / tracker {:4.2} (median of all rounds)", median(&mut ratios));
}
