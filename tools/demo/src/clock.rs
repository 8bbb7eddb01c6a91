//! Monotonic time. The kernel gives every process and namespace of one machine the same clock, so stamps of the
//! client, the server and the killer can be compared without any exchange.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of the monotonic clock.
pub type Nanos = u64;

/// One millisecond.
pub const MILLISECOND: Nanos = 1_000_000;
/// One second.
pub const SECOND: Nanos = 1_000_000_000;

/// The present moment.
pub fn now() -> Nanos {
    let time = clock_gettime(ClockId::Monotonic);
    // Both are never negative on this clock.
    time.tv_sec as u64 * SECOND + time.tv_nsec as u64
}

/// Seconds between two moments, negative when `moment` comes first.
pub fn seconds_since(origin: Nanos, moment: Nanos) -> f64 {
    (moment as f64 - origin as f64) / SECOND as f64
}

/// A duration in milliseconds, for people.
pub fn milliseconds(duration: Nanos) -> f64 {
    duration as f64 / MILLISECOND as f64
}
