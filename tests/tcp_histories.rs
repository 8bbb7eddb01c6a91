//! Any history of packets: the tracker and the plain oracle must say the same of each packet and keep the same record.
//!
//! Packets are made from what the record holds, beside each edge that the rules know, so that both sides of every
//! comparison are met. proptest prints and keeps the history that failed.

#[path = "support/connection.rs"]
mod connection;
#[path = "support/pf_oracle.rs"]
mod pf_oracle;

use connection::packet;
use pf_oracle::{Oracle, Said, Side, agrees};
use pfplane::internals::packet::{Facts, Family, TcpFacts};
use pfplane::internals::state::{Options, Outcome, StateId, create, pf_flags, track};
use pfplane::internals::time::Tick;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const PSH: u8 = 8;
const ACK: u8 = 16;

/// What a number of a packet is measured from.
#[derive(Clone, Copy, Debug)]
enum Place {
    Next,
    UpperEdge,
    LowerEdge,
    Zero,
}

/// A packet, told by the record that it meets.
#[derive(Clone, Debug)]
struct Move {
    forward: bool,
    flags: u8,
    seq: (Place, i64),
    ack: (Place, i64),
    window: u16,
    wscale: u8,
    payload: u32,
}

fn offset() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => Just(0i64),
        4 => -2i64..=2,
        2 => prop::sample::select(vec![67_034i64, 67_035, 67_036, -67_034, -67_035, -67_036]),
        2 => -70_000i64..70_000,
        1 => (67_034i64..67_037).prop_map(|k| k << 3),
        1 => -(1i64 << 31)..(1i64 << 31),
    ]
}

fn number() -> impl Strategy<Value = (Place, i64)> {
    let place = prop_oneof![
        8 => Just(Place::Next),
        2 => Just(Place::UpperEdge),
        2 => Just(Place::LowerEdge),
        1 => Just(Place::Zero),
    ];
    (place, offset())
}

fn flags() -> impl Strategy<Value = u8> {
    prop_oneof![
        8 => Just(ACK),
        3 => Just(ACK | PSH),
        3 => Just(SYN),
        4 => Just(SYN | ACK),
        3 => Just(FIN | ACK),
        1 => Just(RST),
        1 => Just(RST | ACK),
        1 => any::<u8>(),
    ]
}

fn a_move() -> impl Strategy<Value = Move> {
    let window = prop_oneof![3 => Just(65_535u16), 2 => 0u16..3, 3 => any::<u16>()];
    let wscale = prop_oneof![2 => Just(0u8), 3 => (0u8..=14).prop_map(|shift| 0x80 | shift)];
    let payload = prop_oneof![4 => Just(0u32), 1 => Just(1u32), 3 => Just(1_460u32), 1 => 0u32..70_000];
    (any::<bool>(), flags(), number(), number(), window, wscale, payload).prop_map(
        |(forward, flags, seq, ack, window, wscale, payload)| Move {
            forward,
            flags,
            seq,
            ack,
            window,
            wscale,
            payload,
        },
    )
}

/// A connection that gets somewhere: a handshake, perhaps with scaling, then moves.
fn history() -> impl Strategy<Value = (u32, Vec<Move>)> {
    let iss = prop_oneof![2 => any::<u32>(), 1 => (u32::MAX - 3_000)..=u32::MAX, 1 => 0u32..3];
    let opening = (any::<bool>(), 0u8..=14, 0u8..=14).prop_map(|(scaled, a, b)| {
        let step = |forward, flags, ack, wscale: u8| Move {
            forward,
            flags,
            seq: (if forward { Place::Next } else { Place::Zero }, if forward { 0 } else { 7_000 }),
            ack: (Place::Next, ack),
            window: 65_535,
            wscale: if scaled { 0x80 | wscale } else { 0 },
            payload: 0,
        };
        let mut last = step(true, ACK, 1, 0);
        last.seq = (Place::Next, 1);
        vec![step(true, SYN, 0, a), step(false, SYN | ACK, 1, b), last]
    });
    let shaped = (opening, prop::collection::vec(a_move(), 0..40)).prop_map(|(mut opening, rest)| {
        opening.extend(rest);
        opening
    });
    let wild = prop::collection::vec(a_move(), 1..40);
    (iss, prop_oneof![3 => shaped, 1 => wild])
}

fn resolve((place, offset): (Place, i64), own: &Side, other: &Side) -> u32 {
    let shift = if own.scale.is_some() { other.scale.unwrap_or(0) } else { 0 };
    let base = match place {
        Place::Next => i64::from(own.seqlo),
        Place::UpperEdge => i64::from(own.seqhi),
        Place::LowerEdge => i64::from(own.seqlo) - (other.max_win << shift),
        Place::Zero => 0,
    };
    (base + offset).rem_euclid(1 << 32) as u32
}

fn facts_of(family: Family, step: &Move, own: &Side, other: &Side) -> Facts {
    let tcp = TcpFacts {
        seq: resolve(step.seq, own, other),
        ack: resolve(step.ack, other, own),
        window: step.window,
        flags: step.flags,
        wscale: step.wscale,
        mss: 1_460,
        payload: step.payload,
    };
    packet(family, step.forward, tcp)
}

/// Runs a history through both. What each packet came to, or where they part.
fn run(family: Family, sloppy: bool, iss: u32, moves: &[Move]) -> Result<Vec<Said>, String> {
    let silent = Side { seqlo: iss, ..Side::default() };
    let first = facts_of(family, &Move { forward: true, ..moves[0].clone() }, &silent, &Side::default());
    let options = Options { pf_flags: if sloppy { pf_flags::SLOPPY } else { 0 }, ..Options::default() };
    let mut record = create(&first, &options, StateId { id: 1, creator: 1 }, Tick(0));
    let mut oracle = Oracle::create(&first, sloppy, 0);
    let mut said = Vec::new();
    if let Some(difference) = oracle.differs(&record) {
        return Err(format!("at creation from {first:?}\n{difference}"));
    }
    for (now, step) in moves.iter().enumerate().skip(1) {
        let [own, other] = if step.forward { [0, 1] } else { [1, 0] };
        let facts = facts_of(family, step, &oracle.sides[own], &oracle.sides[other]);
        let now = now as u32;
        let expected = oracle.track(&facts, now);
        let outcome = track(&mut record.hot, &mut record.track, &facts, Tick(now));
        let at = || format!("at packet {now}, {:?}: oracle {expected:?}, tracker {outcome:?}", facts.tcp);
        if !agrees(expected, outcome) {
            return Err(at());
        }
        if let Some(difference) = oracle.differs(&record) {
            return Err(format!("{}\n{difference}", at()));
        }
        if outcome == Outcome::Retire {
            break;
        }
        said.push(expected);
    }
    Ok(said)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    #[test]
    fn the_tracker_and_the_oracle_agree_on_every_packet((iss, moves) in history(), v6: bool) {
        let family = if v6 { Family::V6 } else { Family::V4 };
        prop_assert_eq!(run(family, false, iss, &moves).err(), None);
    }

    #[test]
    fn they_agree_when_tracking_sloppily((iss, moves) in history(), v6: bool) {
        let family = if v6 { Family::V6 } else { Family::V4 };
        prop_assert_eq!(run(family, true, iss, &moves).err(), None);
    }
}

#[test]
fn the_histories_reach_every_outcome_often() {
    let mut runner = TestRunner::deterministic();
    let mut counts = [0u32; 5];
    for _ in 0..2_500 {
        let (iss, moves) = history().new_tree(&mut runner).unwrap().current();
        for said in run(Family::V4, false, iss, &moves).unwrap() {
            let place = [Said::Pass, Said::Loose, Said::ChallengeAck, Said::DropAndReset, Said::Drop];
            counts[place.iter().position(|&known| known == said).unwrap()] += 1;
        }
    }
    assert!(counts.iter().all(|&count| count > 100), "{counts:?}");
    // Most of a history is a connection that lives, else nothing but refusals would be compared.
    assert!(counts[0] > counts[4] / 2, "{counts:?}");
}
