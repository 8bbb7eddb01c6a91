//! What tracking and translation cost a packet of an established flow when its lines are in the cache: the tracker beside
//! the plain oracle of the tests and beside no tracking; rewriting addresses and ports with it, beside a rewrite that sums
//! the whole packet anew. In rotating rounds of one run.
//!
//! `cargo bench -p pfplane-bench --bench track [-- --quick]`. Rates on a machine with other load are worth little;
//! the ratios, taken round by round, are what to compare.

#[path = "../tests/support/connection.rs"]
mod connection;
#[path = "../tests/support/pf_oracle.rs"]
mod pf_oracle;

use std::hint::black_box;
use std::time::Instant;

use connection::packet;
use pf_oracle::{Oracle, agrees};
use pfplane::packet::checksum::{Sum, checksum};
use pfplane::packet::{Be16, Facts, Family, Key, TcpFacts, Translation, Writable};
use pfplane::state::{Options, Record, StateId, create, track};
use pfplane::time::Tick;

/// So few that packets, facts and records of a contender stay in the first-level cache.
const FLOWS: usize = 12;
const SEGMENT: u32 = 1_400;
const SYN: u8 = 2;
const ACK: u8 = 16;

/// A packet's bytes, which every turn translates from one of two keys to the other.
struct Wire {
    bytes: Vec<u8>,
    keys: [Key; 2],
    facts: Facts,
}

/// Where the TCP checksum is behind its header's beginning.
const TCP_CHECKSUM: usize = 16;

impl Wire {
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
        let mut wire = Self { bytes, keys: [key, other], facts };
        wire.naive(&key);
        wire
    }

    /// Addresses and ports, then all checksums from nothing.
    fn naive(&mut self, key: &Key) {
        let transport = usize::from(self.facts.l4_offset);
        let source = self.facts.direction.source_slot();
        for (place, slot) in [source, 1 - source].into_iter().enumerate() {
            if key.family == Family::V6 {
                self.bytes[8 + 16 * place..][..16].copy_from_slice(&key.addr[slot]);
            } else {
                self.bytes[12 + 4 * place..][..4].copy_from_slice(&key.addr[slot][..4]);
            }
            self.bytes[transport + 2 * place..][..2].copy_from_slice(&key.port[slot].0);
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

    /// The same by what changed.
    fn rewrite(&mut self, to: &Key) -> bool {
        let translation = Translation { to: *to, modulation: [0; 2] };
        let mut packet = Writable { bytes: &mut self.bytes, start: 0, partial: false, ip_left: false };
        translation.apply(&self.facts, &mut packet).is_ok()
    }

    /// The key that comes next; the packet has the other one.
    fn turn(&mut self, turn: u32) -> Key {
        let [one, other] = self.keys;
        let (from, to) = if turn.is_multiple_of(2) { (one, other) } else { (other, one) };
        self.facts.key = from;
        to
    }
}

/// One flow, known to both trackers, and the two packets that it repeats: data forward, an acknowledgement back.
struct Flow {
    record: Record,
    oracle: Oracle,
    packets: [Facts; 2],
    wires: [Wire; 2],
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
            wires: packets.each_ref().map(|facts| Wire::new(facts, number)),
            packets,
        };
        let rest = [(false, tcp(5_000, 1_001, SYN | ACK, 0)), (true, tcp(1_001, 5_001, ACK, 0))];
        for (forward, tcp) in rest {
            let facts = packet(family, forward, tcp);
            let outcome = track(&mut flow.record.hot, &mut flow.record.track, &facts, Tick(1));
            assert!(agrees(flow.oracle.track(&facts, 1), outcome) && outcome.passes());
        }
        assert_eq!(flow.oracle.differs(&flow.record), None);
        flow
    }

    /// The packets of the next turn.
    fn advance(&mut self) {
        self.packets[0].tcp.seq = self.packets[0].tcp.seq.wrapping_add(SEGMENT);
        self.packets[1].tcp.ack = self.packets[1].tcp.ack.wrapping_add(SEGMENT);
    }
}

/// Passes every packet of every flow through `one` for some turns. Nanoseconds a packet.
fn round(flows: &mut [Flow], turns: u32, mut one: impl FnMut(&mut Flow, usize, u32) -> bool) -> f64 {
    let begin = Instant::now();
    for turn in 0..turns {
        for flow in flows.iter_mut() {
            for side in 0..2 {
                assert!(black_box(one(flow, side, turn)));
            }
            flow.advance();
        }
    }
    begin.elapsed().as_secs_f64() * 1e9 / (f64::from(turns) * 2.0 * flows.len() as f64)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (rounds, turns) = if quick { (5, 200) } else { (41, 5_000) };
    let mut sets: [Vec<Flow>; 6] = std::array::from_fn(|_| (0..FLOWS).map(Flow::new).collect());
    let mut times: [Vec<f64>; 6] = std::array::from_fn(|_| Vec::new());
    for number in 0..rounds {
        for place in 0..6 {
            let which = (number + place) % 6;
            let flows = &mut sets[which];
            times[which].push(match which {
                0 => round(flows, turns, |flow, side, _| black_box(&flow.packets[side]).ip_length > 0),
                1 => round(flows, turns, tracked),
                2 => round(flows, turns, |flow, side, now| {
                    flow.oracle.track(&flow.packets[side], now) == pf_oracle::Said::Pass
                }),
                3 => round(flows, turns, |flow, side, now| {
                    let passes = tracked(flow, side, now);
                    let to = flow.wires[side].turn(now);
                    passes && flow.wires[side].rewrite(black_box(&to))
                }),
                4 => round(flows, turns, |flow, side, now| {
                    let passes = tracked(flow, side, now);
                    black_box(&flow.wires[side].turn(now));
                    passes
                }),
                _ => round(flows, turns, |flow, side, now| {
                    let passes = tracked(flow, side, now);
                    let to = flow.wires[side].turn(now);
                    flow.wires[side].naive(black_box(&to));
                    passes
                }),
            });
        }
    }
    let last = |flow: &Flow| (flow.record.track.src.seqlo, flow.oracle.sides[0].seqlo);
    let (tracked, plain) = (last(&sets[1][0]).0, last(&sets[2][0]).1);
    assert_eq!(tracked, plain, "the two did not see the same packets");
    for (one, other) in sets[3].iter().zip(&sets[5]) {
        let bytes = |flow: &Flow| flow.wires.each_ref().map(|wire| wire.bytes.clone());
        assert_eq!(bytes(one), bytes(other), "the two did not write the same packets");
    }

    let names =
        ["no tracking", "tracker", "plain oracle", "and translated", "and key chosen", "and summed anew"];
    let apart = |one: usize, other: usize| -> Vec<f64> {
        times[one].iter().zip(&times[other]).map(|(with, without)| with - without).collect()
    };
    let (mut own, mut rewriting, mut anew) = (apart(1, 0), apart(3, 4), apart(5, 4));
    let mut ratios: Vec<f64> = times[1].iter().zip(&times[2]).map(|(fast, slow)| slow / fast).collect();
    println!("{FLOWS} established flows, {rounds} rounds, ns a packet (median, least, most)");
    for (name, values) in names.into_iter().zip(&mut times) {
        let middle = median(values);
        println!("{name:<15} {middle:7.2}  {:7.2}  {:7.2}", values[0], values[values.len() - 1]);
    }
    println!("tracking alone    {:6.2} ns a packet", median(&mut own));
    println!(
        "translation alone {:6.2} ns a packet, summed anew {:6.2}",
        median(&mut rewriting),
        median(&mut anew)
    );
    println!("oracle / tracker {:4.2} (median of the rounds)", median(&mut ratios));
}

/// The tracker's word on a packet of a flow.
fn tracked(flow: &mut Flow, side: usize, now: u32) -> bool {
    let Record { hot, track: line, .. } = &mut flow.record;
    track(hot, line, &flow.packets[side], Tick(now)).passes()
}
