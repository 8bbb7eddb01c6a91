//! What tracking costs a packet of an established flow when its lines are in the cache: the tracker beside the plain
//! oracle of the tests and beside no tracking, in rotating rounds of one run.
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
use pfplane::packet::{Facts, Family, TcpFacts};
use pfplane::state::{Options, Record, StateId, create, track};
use pfplane::time::Tick;

const FLOWS: usize = 64;
const SEGMENT: u32 = 1_400;
const SYN: u8 = 2;
const ACK: u8 = 16;

/// One flow, known to both trackers, and the two packets that it repeats: data forward, an acknowledgement back.
struct Flow {
    record: Record,
    oracle: Oracle,
    packets: [Facts; 2],
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
        let mut flow = Self {
            record: create(&syn, &Options::default(), id, Tick(0)),
            oracle: Oracle::create(&syn, false, 0),
            packets: [
                packet(family, true, tcp(1_001, 5_001, ACK, SEGMENT)),
                packet(family, false, tcp(5_001, 1_001 + SEGMENT, ACK, 0)),
            ],
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
    let mut sets: [Vec<Flow>; 3] = std::array::from_fn(|_| (0..FLOWS).map(Flow::new).collect());
    let mut times: [Vec<f64>; 3] = std::array::from_fn(|_| Vec::new());
    for number in 0..rounds {
        for place in 0..3 {
            let which = (number + place) % 3;
            let flows = &mut sets[which];
            times[which].push(match which {
                0 => round(flows, turns, |flow, side, _| black_box(&flow.packets[side]).ip_length > 0),
                1 => round(flows, turns, |flow, side, now| {
                    let Record { hot, track: line, .. } = &mut flow.record;
                    track(hot, line, &flow.packets[side], Tick(now)).passes()
                }),
                _ => round(flows, turns, |flow, side, now| {
                    flow.oracle.track(&flow.packets[side], now) == pf_oracle::Said::Pass
                }),
            });
        }
    }
    let last = |flow: &Flow| (flow.record.track.src.seqlo, flow.oracle.sides[0].seqlo);
    let (tracked, plain) = (last(&sets[1][0]).0, last(&sets[2][0]).1);
    assert_eq!(tracked, plain, "the two did not see the same packets");

    let mut own: Vec<f64> = times[1].iter().zip(&times[0]).map(|(with, without)| with - without).collect();
    let mut ratios: Vec<f64> = times[1].iter().zip(&times[2]).map(|(fast, slow)| slow / fast).collect();
    println!("{FLOWS} established flows, {rounds} rounds, ns a packet (median, least, most)");
    for (name, values) in ["no tracking", "tracker", "plain oracle"].into_iter().zip(&mut times) {
        let middle = median(values);
        println!("{name:<14} {middle:6.2}  {:6.2}  {:6.2}", values[0], values[values.len() - 1]);
    }
    println!("tracking alone {:6.2} ns a packet", median(&mut own));
    println!("oracle / tracker {:4.2} (median of the rounds)", median(&mut ratios));
}
