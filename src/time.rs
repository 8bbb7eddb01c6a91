//! Time. The library never reads a clock: the host passes `now` in nanoseconds of a monotonic clock ([`Nanos`]).
//!
//! Records store [`Tick`]s, hundredths of a second in 32 bits.

/// Nanoseconds of the host's monotonic clock.
pub type Nanos = u64;

/// Nanoseconds in one second.
pub const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Ticks in one second.
pub const TICKS_PER_SECOND: u32 = 100;

/// A host's clock may be this much behind its latest value without having stepped back: lanes cache the time.
const MAX_BEHIND: Nanos = NANOS_PER_SECOND / 10;
/// A host's clock that is this much ahead of its latest value is wrong.
const MAX_AHEAD: Nanos = 30 * 86_400 * NANOS_PER_SECOND;
/// The latest time at which a clock starts, so that no deadline overflows.
const MAX_START: Nanos = 1 << 62;

/// Nanoseconds in one tick.
pub const NANOS_PER_TICK: u64 = NANOS_PER_SECOND / TICKS_PER_SECOND as u64;

/// A point in time in hundredths of a second, modulo 2^32.
///
/// It wraps after 497 days. Two ticks are comparable if they are less than 248 days apart, far more than the maximum timeout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Tick(pub u32);

impl Tick {
    /// Returns the tick that contains `now`.
    #[inline]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "ticks wrap")]
    pub const fn from_nanos(now: Nanos) -> Self {
        Self((now / NANOS_PER_TICK) as u32)
    }

    /// Returns the ticks from `earlier` to `self`, negative if `earlier` is later.
    #[inline]
    #[must_use]
    pub const fn since(self, earlier: Self) -> i32 {
        self.0.wrapping_sub(earlier.0).cast_signed()
    }

    /// Returns the tick `seconds` later.
    #[inline]
    #[must_use]
    pub const fn plus_seconds(self, seconds: u32) -> Self {
        Self(self.0.wrapping_add(seconds.wrapping_mul(TICKS_PER_SECOND)))
    }

    /// Returns the tick `seconds` earlier.
    #[inline]
    #[must_use]
    pub const fn minus_seconds(self, seconds: u32) -> Self {
        Self(self.0.wrapping_sub(seconds.wrapping_mul(TICKS_PER_SECOND)))
    }
}

/// Time of one lane or replica, from the times that the host passes in.
///
/// It never runs backwards and never jumps far. When the host's clock steps back by more than 100 ms, or ahead by more
/// than 30 days, time stands still for that call and then follows the host's clock from its new value.
#[derive(Clone, Debug)]
pub struct HostClock {
    /// The host's latest time; `Nanos::MAX` before the first one.
    host: Nanos,
    now: Nanos,
    /// Times that the host's clock stepped.
    pub steps: u64,
}

impl Default for HostClock {
    fn default() -> Self {
        Self { host: Nanos::MAX, now: 0, steps: 0 }
    }
}

impl HostClock {
    /// Returns the time now, given the host's time. Cost: a comparison and an addition.
    #[inline]
    pub const fn advance(&mut self, host: Nanos) -> Nanos {
        if host >= self.host && host - self.host <= MAX_AHEAD {
            self.now += host - self.host;
            self.host = host;
        } else {
            self.step(host);
        }
        self.now
    }

    #[cold]
    const fn step(&mut self, host: Nanos) {
        if self.host == Nanos::MAX {
            self.now = if host > MAX_START { MAX_START } else { host };
        } else if host < self.host && self.host - host <= MAX_BEHIND {
            return;
        } else {
            self.steps += 1;
        }
        self.host = if host == Nanos::MAX { host - 1 } else { host };
    }

    /// Returns what [`Self::advance`] would return.
    #[must_use]
    pub const fn at(&self, host: Nanos) -> Nanos {
        let mut copy = Self { ..*self };
        copy.advance(host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Nanos = NANOS_PER_SECOND;

    fn times(host: &[Nanos]) -> (Vec<Nanos>, u64) {
        let mut clock = HostClock::default();
        let times = host.iter().map(|&host| clock.advance(host)).collect();
        (times, clock.steps)
    }

    #[test]
    fn time_follows_the_host_and_pauses_count() {
        let days = 29 * 86_400 * S;
        assert_eq!(times(&[5 * S, 6 * S, 6 * S, days]), (vec![5 * S, 6 * S, 6 * S, days], 0));
        assert_eq!(times(&[1 << 60, (1 << 60) + S]), (vec![1 << 60, (1 << 60) + S], 0));
    }

    #[test]
    fn time_stands_still_when_the_host_steps_and_then_continues() {
        let host = [500 * S, 100 * S, 101 * S, 102 * S];
        assert_eq!(times(&host), (vec![500 * S, 500 * S, 501 * S, 502 * S], 1));
        for wild in [u64::MAX, u64::MAX - 1, 1 << 63, 400 * 86_400 * S] {
            let host = [500 * S, wild, 501 * S, 502 * S];
            assert_eq!(times(&host), (vec![500 * S, 500 * S, 500 * S, 501 * S], 2), "{wild}");
        }
    }

    #[test]
    fn a_wild_first_value_is_no_harm() {
        for wild in [u64::MAX, u64::MAX - 1, 1 << 63] {
            let (times, _) = times(&[wild, 5 * S, 6 * S]);
            assert_eq!(times[2] - times[1], S);
            assert!(times[2] < 1 << 63);
        }
    }

    #[test]
    fn a_cached_time_is_no_step_and_makes_time_no_faster() {
        let mut clock = HostClock::default();
        for round in 1..=1000 {
            clock.advance(round * S);
            assert_eq!(clock.at(round * S - S / 10), round * S);
            assert_eq!(clock.advance(round * S - S / 10), round * S);
        }
        assert_eq!(clock.steps, 0);
    }

    #[test]
    fn differences_survive_the_wrap() {
        let before = Tick(u32::MAX - 9);
        let after = before.plus_seconds(1);
        assert_eq!(after.since(before), 100);
        assert_eq!(before.since(after), -100);
        assert_eq!(after.minus_seconds(1), before);
    }

    #[test]
    fn nanoseconds_convert_to_hundredths() {
        assert_eq!(Tick::from_nanos(1_234_567_890), Tick(123));
    }
}
