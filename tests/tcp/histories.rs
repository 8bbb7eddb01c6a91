//! Random histories: the tracker and the oracle must decide alike on every packet and keep equal records.
//!
//! Packets are generated around the limits in the record, so that both outcomes of every comparison occur. proptest prints
//! and stores a history that fails.

use crate::connection::packet;
use crate::pf_oracle::{Decision, Oracle, Side, agrees};
use pfplane::internals::packet::tcp_flags::{ACK, FIN, PSH, RST, SYN};
use pfplane::internals::packet::{Facts, Family, TcpFacts};
use pfplane::internals::state::{Options, Outcome, StateId, create, pf_flags, track};
use pfplane::internals::time::Tick;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

/// The base of a packet's sequence or acknowledgement number.
#[derive(Clone, Copy, Debug)]
enum Base {
    Next,
    UpperEdge,
    LowerEdge,
    Zero,
}

/// A packet, relative to the record that it meets.
#[derive(Clone, Debug)]
struct Step {
    forward: bool,
    flags: u8,
    seq: (Base, i64),
    ack: (Base, i64),
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

fn number() -> impl Strategy<Value = (Base, i64)> {
    let base = prop_oneof![
        8 => Just(Base::Next),
        2 => Just(Base::UpperEdge),
        2 => Just(Base::LowerEdge),
        1 => Just(Base::Zero),
    ];
    (base, offset())
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

fn any_step() -> impl Strategy<Value = Step> {
    let window = prop_oneof![3 => Just(65_535u16), 2 => 0u16..3, 3 => any::<u16>()];
    let wscale = prop_oneof![2 => Just(0u8), 3 => (0u8..=14).prop_map(|shift| 0x80 | shift)];
    let payload = prop_oneof![4 => Just(0u32), 1 => Just(1u32), 3 => Just(1_460u32), 1 => 0u32..70_000];
    (any::<bool>(), flags(), number(), number(), window, wscale, payload).prop_map(
        |(forward, flags, seq, ack, window, wscale, payload)| Step {
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

/// Mostly connections with a handshake, perhaps with scaling, followed by any packets.
fn history() -> impl Strategy<Value = (u32, Vec<Step>)> {
    let iss = prop_oneof![2 => any::<u32>(), 1 => (u32::MAX - 3_000)..=u32::MAX, 1 => 0u32..3];
    let opening = (any::<bool>(), 0u8..=14, 0u8..=14).prop_map(|(scaled, a, b)| {
        let step = |forward, flags, ack, wscale: u8| Step {
            forward,
            flags,
            seq: (if forward { Base::Next } else { Base::Zero }, if forward { 0 } else { 7_000 }),
            ack: (Base::Next, ack),
            window: 65_535,
            wscale: if scaled { 0x80 | wscale } else { 0 },
            payload: 0,
        };
        let mut last = step(true, ACK, 1, 0);
        last.seq = (Base::Next, 1);
        vec![step(true, SYN, 0, a), step(false, SYN | ACK, 1, b), last]
    });
    let shaped = (opening, prop::collection::vec(any_step(), 0..40)).prop_map(|(mut opening, rest)| {
        opening.extend(rest);
        opening
    });
    let wild = prop::collection::vec(any_step(), 1..40);
    (iss, prop_oneof![3 => shaped, 1 => wild])
}

fn resolve((base, offset): (Base, i64), own: &Side, other: &Side) -> u32 {
    let shift = if own.scale.is_some() { other.scale.unwrap_or(0) } else { 0 };
    let start = match base {
        Base::Next => i64::from(own.seqlo),
        Base::UpperEdge => i64::from(own.seqhi),
        Base::LowerEdge => i64::from(own.seqlo) - (other.max_win << shift),
        Base::Zero => 0,
    };
    (start + offset).rem_euclid(1 << 32) as u32
}

fn facts_of(family: Family, step: &Step, own: &Side, other: &Side) -> Facts {
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

/// Runs a history through both. Returns the decision on each packet, or where they differ.
fn run(family: Family, sloppy: bool, iss: u32, moves: &[Step]) -> Result<Vec<Decision>, String> {
    let silent = Side { seqlo: iss, ..Side::default() };
    let first = facts_of(family, &Step { forward: true, ..moves[0].clone() }, &silent, &Side::default());
    let options = Options { pf_flags: if sloppy { pf_flags::SLOPPY } else { 0 }, ..Options::default() };
    let mut record = create(&first, &options, StateId { id: 1, creator: 1 }, Tick(0));
    let mut oracle = Oracle::create(&first, sloppy, 0);
    let mut decisions = Vec::new();
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
        decisions.push(expected);
    }
    Ok(decisions)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    #[test]
    fn the_tracker_and_the_oracle_agree_on_every_packet((iss, moves) in history(), v6: bool) {
        let family = if v6 { Family::V6 } else { Family::V4 };
        prop_assert_eq!(run(family, false, iss, &moves).err(), None);
    }

    #[test]
    fn they_agree_on_sloppy_states((iss, moves) in history(), v6: bool) {
        let family = if v6 { Family::V6 } else { Family::V4 };
        prop_assert_eq!(run(family, true, iss, &moves).err(), None);
    }
}

#[test]
fn histories_reach_every_decision_often() {
    let mut runner = TestRunner::deterministic();
    let mut counts = [0u32; 5];
    for _ in 0..2_500 {
        let (iss, moves) = history().new_tree(&mut runner).unwrap().current();
        for decision in run(Family::V4, false, iss, &moves).unwrap() {
            let known = [
                Decision::Pass,
                Decision::Loose,
                Decision::ChallengeAck,
                Decision::DropAndReset,
                Decision::Drop,
            ];
            counts[known.iter().position(|&known| known == decision).unwrap()] += 1;
        }
    }
    assert!(counts.iter().all(|&count| count > 100), "{counts:?}");
    // Histories must consist largely of live connections, not of drops.
    assert!(counts[0] > counts[4] / 2, "{counts:?}");
}
