//! Time. The library never reads a clock: the host passes `now` in nanoseconds of a monotonic clock ([`Nanos`]).
//!
//! Records store [`Tick`]s, hundredths of a second in 32 bits.

/// Nanoseconds of the host's monotonic clock.
pub type Nanos = u64;

/// Nanoseconds in one second.
pub const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Ticks in one second.
pub const TICKS_PER_SECOND: u32 = 100;

const NANOS_PER_TICK: u64 = NANOS_PER_SECOND / TICKS_PER_SECOND as u64;

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

#[cfg(test)]
mod tests {
    use super::*;

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
