//! A rate in one word, as pf's thresholds count (OpenBSD `pf_add_threshold`, `pf_check_threshold`), in hundredths of a
//! second instead of seconds.

use crate::state::Rate;
use crate::time::{TICKS_PER_SECOND, Tick};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What one event counts, so that fractions of it can fade.
const ONE: u64 = 1000;

/// Counts an event. False when there were more than `rate` allows, this one among them.
///
/// The word holds what was counted (upper half) and when (lower half); 0 is nothing.
pub(super) fn strike(word: &AtomicU64, rate: Rate, now: Tick) -> bool {
    let span = u64::from(rate.seconds.saturating_mul(TICKS_PER_SECOND)).max(1);
    let after = |old: u64| {
        let passed = u64::from(now.since(Tick(old as u32)).max(0).cast_unsigned());
        let count = old >> 32;
        let left = if passed >= span { 0 } else { count - count * passed / span };
        (left + ONE).min(u64::from(u32::MAX))
    };
    let store = |old: u64| Some(after(old) << 32 | u64::from(now.0));
    // The closure always gives a value, so this cannot fail.
    let old = word.fetch_update(Relaxed, Relaxed, store).unwrap_or_default();
    after(old) <= u64::from(rate.most) * ONE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u32) -> Tick {
        Tick(0).plus_seconds(seconds)
    }

    #[test]
    fn as_many_as_the_rate_says_pass_at_once_and_the_next_when_they_have_faded() {
        let (word, rate) = (AtomicU64::new(0), Rate { most: 10, seconds: 10 });
        let struck = |now| strike(&word, rate, now);
        assert!((0..10).all(|_| struck(at(1000))));
        assert!(!struck(at(1000)));
        // Eleven counted; two seconds on, a fifth of them has faded.
        assert!(struck(at(1002)));
        assert!(!struck(at(1002)));
        assert!(struck(at(1020)), "all is forgotten after the time");
    }

    #[test]
    fn a_flood_does_not_overflow_and_is_forgotten_after_the_time() {
        let (word, rate) = (AtomicU64::new(u64::from(u32::MAX) << 32 | 7), Rate { most: 1, seconds: 86_400 });
        assert!(!strike(&word, rate, Tick(7)));
        assert!(strike(&word, rate, Tick(7).plus_seconds(86_400)));
        // Another lane's clock may be a little behind.
        assert!(!strike(&word, rate, Tick(6).plus_seconds(86_400)));
    }
}
