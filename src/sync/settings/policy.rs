//! Policies with times of their own: holding first packets, keeping a silent peer's states, repeating a bulk request.

use crate::time::{NANOS_PER_SECOND, Nanos};

/// pf's time for [`Defer::delay`].
pub const PF_DELAY: Nanos = 20_000_000;

/// Whether and how long the first packets of a new state are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defer {
    /// Maximum time that a packet is held; 0 to hold none.
    pub delay: Nanos,
    /// Maximum number of states with held packets. One more releases the oldest.
    pub max_states: u32,
}

impl Default for Defer {
    /// Off, with pf's maximum number of states.
    fn default() -> Self {
        Self { delay: 0, max_states: 128 }
    }
}

/// How long the states of a silent peer outlive their timeouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GracePolicy {
    /// A peer is silent when it has sent nothing for this long. pf updates a busy state every second.
    pub silence: Nanos,
    /// States are kept until the peer has been silent for this long; 0 to expire them by their timeouts.
    pub duration: Nanos,
}

impl Default for GracePolicy {
    /// A minute: enough for a switch to restart.
    fn default() -> Self {
        Self { silence: 3 * NANOS_PER_SECOND, duration: 60 * NANOS_PER_SECOND }
    }
}

/// When a bulk request is repeated, and when it is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Time without an answer after which the request is repeated.
    pub interval: Nanos,
    /// Maximum number of requests.
    pub attempts: u32,
    /// Time without a state after which a running transfer counts as interrupted and is requested again.
    pub progress_timeout: Nanos,
    /// Maximum time of the whole transfer.
    pub total_timeout: Nanos,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            interval: 2 * NANOS_PER_SECOND,
            attempts: 12,
            progress_timeout: 5 * NANOS_PER_SECOND,
            total_timeout: 600 * NANOS_PER_SECOND,
        }
    }
}
