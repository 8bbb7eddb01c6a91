//! A rate in one word. It counts as pf's thresholds do (OpenBSD `pf_add_threshold`, `pf_check_threshold`), but in
//! hundredths of a second instead of seconds.

use crate::state::Rate;
use crate::time::{TICKS_PER_SECOND, Tick};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The value of one event, so that counts can decay in fractions.
const EVENT: u64 = 1000;

/// Counts an event. Returns false when it exceeds `rate`.
///
/// The word holds the count (upper half) and the time of the last event (lower half); 0 means no events.
pub(super) fn count_event(word: &AtomicU64, rate: Rate, now: Tick) -> bool {
    let span = u64::from(rate.seconds.saturating_mul(TICKS_PER_SECOND)).max(1);
    let after = |old: u64| {
        let passed = u64::from(now.since(Tick(old as u32)).max(0).cast_unsigned());
        let count = old >> 32;
        let left = if passed >= span { 0 } else { count - count * passed / span };
        (left + EVENT).min(u64::from(u32::MAX))
    };
    let store = |old: u64| Some(after(old) << 32 | u64::from(now.0));
    // The closure always returns a value, so this cannot fail.
    let old = word.fetch_update(Relaxed, Relaxed, store).unwrap_or_default();
    after(old) <= u64::from(rate.max) * EVENT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u32) -> Tick {
        Tick(0).plus_seconds(seconds)
    }

    #[test]
    fn a_burst_up_to_the_rate_passes_and_further_events_pass_as_the_count_decays() {
        let (word, rate) = (AtomicU64::new(0), Rate { max: 10, seconds: 10 });
        let passes = |now| count_event(&word, rate, now);
        assert!((0..10).all(|_| passes(at(1000))));
        assert!(!passes(at(1000)));
        // Eleven were counted; after two seconds a fifth has decayed.
        assert!(passes(at(1002)));
        assert!(!passes(at(1002)));
        assert!(passes(at(1020)), "the count is zero after the whole period");
    }

    #[test]
    fn a_flood_does_not_overflow_the_count_and_decays_within_the_period() {
        let (word, rate) = (AtomicU64::new(u64::from(u32::MAX) << 32 | 7), Rate { max: 1, seconds: 86_400 });
        assert!(!count_event(&word, rate, Tick(7)));
        assert!(count_event(&word, rate, Tick(7).plus_seconds(86_400)));
        // Another lane's clock may be slightly behind.
        assert!(!count_event(&word, rate, Tick(6).plus_seconds(86_400)));
    }
}
