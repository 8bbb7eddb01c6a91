//! The one notion of time: `now` is an argument, never read from a clock here.
//!
//! The host passes nanoseconds of any monotonic clock ([`Nanos`]). Records keep [`Tick`]s, 32 bits of
//! hundredths of a second, so that a state's clocks cost four bytes each.

/// Nanoseconds of the host's monotonic clock.
pub type Nanos = u64;

/// Nanoseconds in one second.
pub const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Ticks in one second.
pub const TICKS_PER_SECOND: u32 = 100;

const NANOS_PER_TICK: u64 = NANOS_PER_SECOND / TICKS_PER_SECOND as u64;

/// A point in time in hundredths of a second, modulo 2^32.
///
/// It wraps after 497 days; two ticks can be compared when they are less than 248 days apart, which is far more
/// than any timeout ([`crate::state`] bounds them).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Tick(pub u32);

impl Tick {
    /// The tick that `now` falls in.
    #[inline]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "ticks wrap on purpose")]
    pub const fn from_nanos(now: Nanos) -> Self {
        Self((now / NANOS_PER_TICK) as u32)
    }

    /// Ticks from `earlier` to `self`: negative when `earlier` is in fact later.
    #[inline]
    #[must_use]
    pub const fn since(self, earlier: Self) -> i32 {
        self.0.wrapping_sub(earlier.0).cast_signed()
    }

    /// The point `seconds` after this one.
    #[inline]
    #[must_use]
    pub const fn plus_seconds(self, seconds: u32) -> Self {
        Self(self.0.wrapping_add(seconds.wrapping_mul(TICKS_PER_SECOND)))
    }

    /// The point `seconds` before this one.
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
    fn nanoseconds_become_hundredths() {
        assert_eq!(Tick::from_nanos(1_234_567_890), Tick(123));
    }
}
