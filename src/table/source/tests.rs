use super::*;
use crate::state::Rate;
use proptest::prelude::Rng as _;
use proptest::test_runner::{RngAlgorithm, TestRng};

const NOW: Tick = Tick(5000);

fn plan(most: u32) -> SourcePlan {
    SourcePlan { most, bits: [32, 128], limits: SourceLimits::default(), pass_when_full: false }
}

fn sources(plan: &SourcePlan) -> Sources {
    Sources::new(plan, [1, 2, 3, 4], &Memory::SYSTEM).unwrap()
}

fn host(n: u32, family: Family, rule: u32) -> Source {
    let mut address = [0; 16];
    if family == Family::V4 {
        address[..4].copy_from_slice(&(0x0a00_0000 + n).to_be_bytes());
    } else {
        address[..2].copy_from_slice(&[0x20, 0x01]);
        address[12..].copy_from_slice(&n.to_be_bytes());
    }
    Source { address, family, rule }
}

#[test]
fn a_source_gets_as_many_states_as_its_rule_says_and_one_more_when_one_ends() {
    let sources = sources(&plan(100));
    let limits = SourceLimits { states: 3, ..SourceLimits::default() };
    for family in [Family::V4, Family::V6] {
        let (one, other) = (host(1, family, 7), host(2, family, 7));
        let held: Vec<_> = (0..3).map(|_| sources.admit(&one, &limits, NOW).unwrap()).collect();
        assert_eq!(sources.admit(&one, &limits, NOW), Err(SourceRefusal::States));
        let others = sources.admit(&other, &limits, NOW).unwrap();
        assert!(sources.admit(&host(1, family, 8), &limits, NOW).is_ok(), "another rule counts apart");
        assert_eq!((sources.counts(&one, true), sources.sources(Some(7))), ((3, 0), 2));
        sources.release(&held[0], 7, false);
        assert!(sources.admit(&one, &limits, NOW).is_ok());
        sources.release(&others, 7, false);
        held.iter().for_each(|places| sources.release(places, 7, false));
        assert_eq!(sources.sources(Some(7)), 0);
        sources.release(&sources.admit_imported(&host(1, family, 8), false, NOW), 8, false);
    }
}

#[test]
fn there_are_as_many_sources_as_the_rule_says() {
    let sources = sources(&plan(100));
    let limits = SourceLimits { sources: 2, ..SourceLimits::default() };
    let one = sources.admit(&host(1, Family::V4, 7), &limits, NOW).unwrap();
    let again = sources.admit(&host(1, Family::V4, 7), &limits, NOW).unwrap();
    sources.admit(&host(2, Family::V4, 7), &limits, NOW).unwrap();
    assert_eq!(sources.admit(&host(3, Family::V4, 7), &limits, NOW), Err(SourceRefusal::Sources));
    sources.release(&one, 7, false);
    assert_eq!(sources.admit(&host(3, Family::V4, 7), &limits, NOW), Err(SourceRefusal::Sources));
    sources.release(&again, 7, false);
    assert!(sources.admit(&host(3, Family::V4, 7), &limits, NOW).is_ok());
    assert_eq!(sources.known(), 2);
}

#[test]
fn connections_count_once_they_are_open_and_the_one_too_many_is_told() {
    let limits = SourceLimits {
        connections: 2,
        connection_rate: Rate { most: 3, seconds: 10 },
        ..SourceLimits::default()
    };
    let sources = sources(&SourcePlan { limits, ..plan(100) });
    let one = host(1, Family::V6, u32::MAX);
    let open = |now| {
        let places = sources.admit(&one, &SourceLimits::default(), now).unwrap();
        (places, sources.connected(&places, now))
    };
    let (first, fine) = open(NOW);
    assert_eq!(fine, Ok(()));
    assert_eq!(open(NOW).1, Ok(()));
    let (third, why) = open(NOW);
    assert_eq!(why, Err(SourceRefusal::Connections));
    sources.release(&third, u32::MAX, true);
    sources.release(&first, u32::MAX, true);
    assert_eq!(sources.counts(&one, false), (1, 1));
    assert_eq!(open(NOW).1, Err(SourceRefusal::ConnectionRate));
    let (_, later) = open(NOW.plus_seconds(11));
    assert_eq!(later, Err(SourceRefusal::Connections), "those that were refused and not ended count");
}

#[test]
fn how_fast_states_are_made_is_remembered_when_they_have_ended() {
    let sources = sources(&plan(4));
    let limits = SourceLimits { new_rate: Rate { most: 5, seconds: 60 }, ..SourceLimits::default() };
    let one = host(1, Family::V4, 7);
    let once = |now| {
        let places = sources.admit(&one, &limits, now)?;
        sources.release(&places, 7, false);
        Ok(())
    };
    (0..5).for_each(|_| once(NOW).unwrap());
    // Others come and go meanwhile; none of them gets its place.
    for n in 2..1000 {
        if let Ok(places) = sources.admit(&host(n, Family::V4, 7), &SourceLimits { states: 9, ..limits }, NOW)
        {
            sources.release(&places, 7, false);
        }
    }
    assert_eq!(once(NOW), Err(SourceRefusal::NewRate));
    assert_eq!(once(NOW.plus_seconds(61)), Ok(()));
    assert_eq!((sources.known(), sources.counts(&one, true)), (0, (0, 0)));
}

#[test]
fn a_network_counts_as_one_source_where_the_bits_say_so() {
    let limits = SourceLimits { states: 2, ..SourceLimits::default() };
    let sources = sources(&SourcePlan { bits: [24, 64], limits, ..plan(100) });
    for family in [Family::V4, Family::V6] {
        let none = SourceLimits::default();
        sources.admit(&host(1, family, 7), &none, NOW).unwrap();
        sources.admit(&host(2, family, 7), &none, NOW).unwrap();
        assert_eq!(sources.admit(&host(3, family, 7), &none, NOW), Err(SourceRefusal::States));
        assert_eq!(sources.counts(&host(200, family, 9), false), (2, 0));
    }
    assert_eq!(sources.sources(None), 2);
}

#[test]
fn as_many_sources_fit_as_were_asked_for_and_then_the_setting_decides() {
    let limits = SourceLimits { states: 5, ..SourceLimits::default() };
    for most in [1, 10, 1000, 20_000] {
        for pass_when_full in [false, true] {
            let sources = sources(&SourcePlan { limits, pass_when_full, ..plan(most) });
            let mut held = Vec::new();
            // The number of sources takes a place too.
            for n in 0..most.max(2) - 1 {
                held.push(sources.admit(&host(n, Family::V6, 1), &SourceLimits::default(), NOW).unwrap());
            }
            assert!(held.iter().all(|places| *places != NO_SOURCES));
            let mut refused = 0;
            for n in most..most * 8 + 64 {
                match sources.admit(&host(n, Family::V6, 1), &SourceLimits::default(), NOW) {
                    Ok(places) => held.push(places),
                    Err(why) => {
                        assert_eq!(why, SourceRefusal::Full);
                        refused += 1;
                    }
                }
            }
            assert_eq!(refused == 0, pass_when_full, "{most}");
            assert_eq!(sources.uncounted() > 0, pass_when_full, "{most}");
            let uncounted = held.iter().filter(|places| **places == NO_SOURCES).count() as u64;
            assert_eq!(sources.uncounted(), uncounted);
            held.iter().for_each(|places| sources.release(places, 1, false));
            assert_eq!((sources.known(), sources.sources(None)), (0, 0));
        }
    }
}

#[test]
fn what_peers_have_let_in_counts_and_is_never_refused() {
    let limits = SourceLimits { states: 1, sources: 1, ..SourceLimits::default() };
    let sources = sources(&SourcePlan { limits, ..plan(100) });
    let places: Vec<_> =
        (0..5).map(|n| sources.admit_imported(&host(n % 2, Family::V4, 3), n % 2 == 0, NOW)).collect();
    assert_eq!(sources.counts(&host(0, Family::V4, 3), false), (3, 0));
    assert_eq!(sources.counts(&host(0, Family::V4, 3), true), (3, 0));
    assert_eq!(sources.counts(&host(1, Family::V4, 3), true), (0, 0));
    let mine = sources.admit(&host(0, Family::V4, 3), &SourceLimits::default(), NOW);
    assert_eq!(mine, Err(SourceRefusal::States));
    places.iter().for_each(|places| sources.release(places, 3, false));
    assert_eq!(sources.known(), 0);
}

#[test]
fn counts_of_many_lanes_at_once_are_exact_and_none_is_left() {
    const LANES: u64 = 4;
    const MOST: u32 = 40;
    let limits = SourceLimits { states: MOST, sources: 30, ..SourceLimits::default() };
    let sources = sources(&SourcePlan { limits, ..plan(64) });
    std::thread::scope(|scope| {
        for lane in 0..LANES {
            let sources = &sources;
            scope.spawn(move || {
                let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &[lane as u8; 32]);
                let mut held = Vec::new();
                for _ in 0..40_000 {
                    let source = host(random.next_u32() % 40, Family::V4, random.next_u32() % 2);
                    if random.next_u32().is_multiple_of(2) {
                        if let Ok(places) = sources.admit(&source, &SourceLimits::default(), NOW) {
                            let counted = sources.counts(&source, false).0;
                            assert!((1..=MOST).contains(&counted), "{counted}");
                            let connected = random.next_u32().is_multiple_of(2);
                            if connected {
                                let _ = sources.connected(&places, NOW);
                            }
                            held.push((places, source.rule, connected));
                        }
                    } else if !held.is_empty() {
                        let at = random.next_u32() as usize % held.len();
                        let (places, rule, connected) = held.swap_remove(at);
                        sources.release(&places, rule, connected);
                    }
                }
                held.iter().for_each(|(places, rule, connected)| sources.release(places, *rule, *connected));
            });
        }
    });
    assert_eq!((sources.known(), sources.sources(None)), (0, 0));
    for n in 0..40 {
        assert_eq!(sources.counts(&host(n, Family::V4, 0), false), (0, 0), "{n}");
    }
}

#[test]
fn a_plan_out_of_range_is_named() {
    let limits = SourceLimits { states: 1, ..SourceLimits::default() };
    let rows = [
        (SourcePlan { most: 1 << 24, ..plan(1) }, "sources is 16777216"),
        (SourcePlan { bits: [33, 128], ..plan(1) }, "source_bits_v4 is 33"),
        (SourcePlan { bits: [32, 0], ..plan(1) }, "source_bits_v6 is 0"),
        (SourcePlan { limits, ..plan(0) }, "sources: is 0, and there are limits"),
    ];
    for (plan, text) in rows {
        let why = plan.check().expect_err("must be refused").to_string();
        assert!(why.starts_with(text), "{why}");
    }
}
