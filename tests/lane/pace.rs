//! Updates follow the connections' drift, so that a takeover by pf loses none of them.

use pfplane_testkit::pace::{Downloads, Pace, RATES, Rule, run};

fn downloads(count: usize, rate: u64, segment: u32, window: (u16, u8)) -> Downloads {
    Downloads { count, rate, segment, window }
}

#[test]
fn a_takeover_by_pf_loses_no_connection_at_any_rate() {
    for case in RATES {
        let Pace { lost, records, .. } = run(case, Rule::Engine(25));
        assert_eq!(lost, 0.0, "{case:?}");
        // At most five for each window's worth of bytes, one for 128 packets, and one a second.
        let window = f64::from(case.window.0) * f64::from(1u32 << case.window.1);
        let packets = case.rate as f64 / f64::from(case.segment) * 1.5;
        let max = case.count as f64 * (5.0 * case.rate as f64 / window + packets / 128.0 + 1.5);
        assert!(records <= max, "{records} of at most {max} records a second: {case:?}");
    }
}

#[test]
fn a_fixed_age_loses_connections_with_small_windows_and_pf_loses_lonely_ones() {
    let eight = downloads(8, 140_000, 1_448, (60_000, 0));
    assert!(run(eight, Rule::Engine(0)).lost > 0.3, "more than a window a second");
    let pf = run(eight, Rule::Pf);
    assert!(pf.lost > 0.0, "eight do not fill a frame");
    let many = run(downloads(120, 140_000, 1_448, (60_000, 0)), Rule::Pf);
    assert_eq!(many.lost, 0.0);
    let ours = run(downloads(120, 140_000, 1_448, (60_000, 0)), Rule::Engine(25));
    assert!(ours.records * 5.0 < many.records, "{ours:?} {many:?}");
}

#[test]
fn a_slow_reader_is_updated_by_the_window_that_it_offers_now() {
    // A window of 6 kB, where 60 kB were offered before: the model's clients offer what they always did.
    let slow = downloads(4, 100_000, 1_000, (6_000, 0));
    assert_eq!(run(slow, Rule::Engine(25)).lost, 0.0);
    assert!(run(slow, Rule::Engine(0)).lost > 0.5);
}
