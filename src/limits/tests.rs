use super::{Source, SourcePlan, SourceRefusal, Sources};
use crate::memory::Memory;
use crate::packet::Family;
use crate::state::{NO_SOURCES, Rate, SourceLimits};
use crate::time::Tick;
use proptest::prelude::Rng as _;
use proptest::test_runner::{RngAlgorithm, TestRng};

const NOW: Tick = Tick(5000);

fn plan(capacity: u32) -> SourcePlan {
    SourcePlan { capacity, bits: [32, 128], limits: SourceLimits::default(), pass_when_full: false }
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
fn a_source_at_its_state_limit_is_refused_until_one_of_its_states_ends() {
    let sources = sources(&plan(100));
    let limits = SourceLimits { states: 3, ..SourceLimits::default() };
    for family in [Family::V4, Family::V6] {
        let (one, other) = (host(1, family, 7), host(2, family, 7));
        let held: Vec<_> = (0..3).map(|_| sources.admit(&one, &limits, NOW).unwrap()).collect();
        assert_eq!(sources.admit(&one, &limits, NOW), Err(SourceRefusal::States));
        let others = sources.admit(&other, &limits, NOW).unwrap();
        assert!(sources.admit(&host(1, family, 8), &limits, NOW).is_ok(), "another rule counts separately");
        assert_eq!((sources.counts(&one, true), sources.sources(Some(7))), ((3, 0), 2));
        sources.release(&held[0], 7, false);
        assert!(sources.admit(&one, &limits, NOW).is_ok());
        sources.release(&others, 7, false);
        held.iter().for_each(|counters| sources.release(counters, 7, false));
        assert_eq!(sources.sources(Some(7)), 0);
        sources.release(&sources.admit_imported(&host(1, family, 8), false, NOW), 8, false);
    }
}

#[test]
fn a_new_source_is_refused_at_the_source_limit() {
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
    assert_eq!(sources.source_count(), 2);
}

#[test]
fn open_connections_beyond_the_limit_or_the_rate_are_refused() {
    let limits = SourceLimits {
        connections: 2,
        connection_rate: Rate { max: 3, seconds: 10 },
        ..SourceLimits::default()
    };
    let sources = sources(&SourcePlan { limits, ..plan(100) });
    let one = host(1, Family::V6, u32::MAX);
    let open = |now| {
        let counters = sources.admit(&one, &SourceLimits::default(), now).unwrap();
        (counters, sources.count_connection(&counters, now))
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
    assert_eq!(later, Err(SourceRefusal::Connections), "refused connections count until their states end");
}

#[test]
fn the_rate_of_new_states_is_kept_after_the_states_have_ended() {
    let sources = sources(&plan(4));
    let limits = SourceLimits { new_rate: Rate { max: 5, seconds: 60 }, ..SourceLimits::default() };
    let one = host(1, Family::V4, 7);
    let create = |now| {
        let counters = sources.admit(&one, &limits, now)?;
        sources.release(&counters, 7, false);
        Ok(())
    };
    (0..5).for_each(|_| create(NOW).unwrap());
    // States of other sources begin and end; none of them takes over the counter.
    for n in 2..1000 {
        if let Ok(counters) =
            sources.admit(&host(n, Family::V4, 7), &SourceLimits { states: 9, ..limits }, NOW)
        {
            sources.release(&counters, 7, false);
        }
    }
    assert_eq!(create(NOW), Err(SourceRefusal::NewRate));
    assert_eq!(create(NOW.plus_seconds(61)), Ok(()));
    assert_eq!((sources.source_count(), sources.counts(&one, true)), (0, (0, 0)));
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
fn all_sources_of_the_capacity_are_counted_and_further_ones_are_refused_or_uncounted() {
    let limits = SourceLimits { states: 5, ..SourceLimits::default() };
    for capacity in [1, 10, 1000, 20_000] {
        for pass_when_full in [false, true] {
            let sources = sources(&SourcePlan { limits, pass_when_full, ..plan(capacity) });
            let mut held = Vec::new();
            // The number of sources takes a counter too.
            for n in 0..capacity.max(2) - 1 {
                held.push(sources.admit(&host(n, Family::V6, 1), &SourceLimits::default(), NOW).unwrap());
            }
            assert!(held.iter().all(|counters| *counters != NO_SOURCES));
            let mut refused = 0;
            for n in capacity..capacity * 8 + 64 {
                match sources.admit(&host(n, Family::V6, 1), &SourceLimits::default(), NOW) {
                    Ok(counters) => held.push(counters),
                    Err(why) => {
                        assert_eq!(why, SourceRefusal::Full);
                        refused += 1;
                    }
                }
            }
            assert_eq!(refused == 0, pass_when_full, "{capacity}");
            assert_eq!(sources.uncounted() > 0, pass_when_full, "{capacity}");
            let uncounted = held.iter().filter(|counters| **counters == NO_SOURCES).count() as u64;
            assert_eq!(sources.uncounted(), uncounted);
            held.iter().for_each(|counters| sources.release(counters, 1, false));
            assert_eq!((sources.source_count(), sources.sources(None)), (0, 0));
        }
    }
}

#[test]
fn imported_states_are_counted_and_never_refused() {
    let limits = SourceLimits { states: 1, sources: 1, ..SourceLimits::default() };
    let sources = sources(&SourcePlan { limits, ..plan(100) });
    let counters: Vec<_> =
        (0..5).map(|n| sources.admit_imported(&host(n % 2, Family::V4, 3), n % 2 == 0, NOW)).collect();
    assert_eq!(sources.counts(&host(0, Family::V4, 3), false), (3, 0));
    assert_eq!(sources.counts(&host(0, Family::V4, 3), true), (3, 0));
    assert_eq!(sources.counts(&host(1, Family::V4, 3), true), (0, 0));
    let mine = sources.admit(&host(0, Family::V4, 3), &SourceLimits::default(), NOW);
    assert_eq!(mine, Err(SourceRefusal::States));
    counters.iter().for_each(|counters| sources.release(counters, 3, false));
    assert_eq!(sources.source_count(), 0);
}

#[test]
fn counts_are_exact_when_several_lanes_count_at_once() {
    const LANES: u64 = 4;
    const MAX_STATES: u32 = 40;
    let limits = SourceLimits { states: MAX_STATES, sources: 30, ..SourceLimits::default() };
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
                        if let Ok(counters) = sources.admit(&source, &SourceLimits::default(), NOW) {
                            let counted = sources.counts(&source, false).0;
                            assert!((1..=MAX_STATES).contains(&counted), "{counted}");
                            let connected = random.next_u32().is_multiple_of(2);
                            if connected {
                                let _ = sources.count_connection(&counters, NOW);
                            }
                            held.push((counters, source.rule, connected));
                        }
                    } else if !held.is_empty() {
                        let at = random.next_u32() as usize % held.len();
                        let (counters, rule, connected) = held.swap_remove(at);
                        sources.release(&counters, rule, connected);
                    }
                }
                held.iter()
                    .for_each(|(counters, rule, connected)| sources.release(counters, *rule, *connected));
            });
        }
    });
    assert_eq!((sources.source_count(), sources.sources(None)), (0, 0));
    for n in 0..40 {
        assert_eq!(sources.counts(&host(n, Family::V4, 0), false), (0, 0), "{n}");
    }
}

#[test]
fn a_setting_out_of_range_is_named_in_the_error() {
    let limits = SourceLimits { states: 1, ..SourceLimits::default() };
    let rows = [
        (SourcePlan { capacity: 1 << 24, ..plan(1) }, "max_sources is 16777216"),
        (SourcePlan { bits: [33, 128], ..plan(1) }, "source_prefix_v4 is 33"),
        (SourcePlan { bits: [32, 0], ..plan(1) }, "source_prefix_v6 is 0"),
        (SourcePlan { limits, ..plan(0) }, "max_sources: is 0, but limits"),
    ];
    for (plan, text) in rows {
        let why = plan.check().expect_err("must be refused").to_string();
        assert!(why.starts_with(text), "{why}");
    }
}
