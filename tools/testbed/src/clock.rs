//! Monotonic time. All processes and namespaces of one machine share this clock, so the time stamps of the client,
//! the server and the run are comparable.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of the monotonic clock.
pub type Nanos = u64;

/// One millisecond.
pub const MILLISECOND: Nanos = 1_000_000;
/// One second.
pub const SECOND: Nanos = 1_000_000_000;

/// Returns the current time.
pub fn now() -> Nanos {
    let time = clock_gettime(ClockId::Monotonic);
    // Neither field is negative on this clock.
    time.tv_sec as u64 * SECOND + time.tv_nsec as u64
}

/// Returns the seconds from `origin` to `time`, negative when `time` is earlier.
pub fn seconds_since(origin: Nanos, time: Nanos) -> f64 {
    (time as f64 - origin as f64) / SECOND as f64
}

/// Converts a duration to milliseconds.
pub fn milliseconds(duration: Nanos) -> f64 {
    duration as f64 / MILLISECOND as f64
}
