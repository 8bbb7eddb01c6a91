//! Limits per source address (pf.conf's `max-src-nodes`, `max-src-states`, `max-src-conn`, `max-src-conn-rate`).

use crate::error::{Error, check_range};

/// A rate limit that works like pf's thresholds: the count decays linearly over `seconds`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// Maximum number of events in `seconds`, 0 for no limit.
    pub max: u32,
    /// The period in seconds.
    pub seconds: u32,
}

/// Limits for sources (senders of first packets). 0 means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceLimits {
    /// Maximum number of sources with states (pf: max-src-nodes).
    pub sources: u32,
    /// Maximum number of states per source (pf: max-src-states).
    pub states: u32,
    /// Maximum number of TCP connections per source that both sides have opened (pf: max-src-conn).
    pub connections: u32,
    /// Maximum rate of such connections per source (pf: max-src-conn-rate).
    pub connection_rate: Rate,
    /// Maximum rate of new states per source, answered or not.
    pub new_rate: Rate,
}

/// Maximum number of sources, and of states per source.
pub const MAX_SOURCE_COUNT: u32 = (1 << 24) - 1;
/// Maximum [`Rate::max`].
const MAX_RATE: u64 = 1_000_000;
/// Maximum [`Rate::seconds`].
pub(crate) const MAX_RATE_SECONDS: u32 = 86_400;

impl Rate {
    /// Whether there is no limit.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.max == 0
    }

    fn check(&self, max: &'static str, seconds: &'static str) -> Result<(), Error> {
        check_range(max, self.max.into(), 0, MAX_RATE)?;
        if self.is_none() {
            Ok(())
        } else {
            check_range(seconds, self.seconds.into(), 1, MAX_RATE_SECONDS.into())
        }
    }
}

impl SourceLimits {
    /// Whether there is no limit at all.
    #[must_use]
    pub fn is_none(&self) -> bool {
        let Self { sources, states, connections, connection_rate, new_rate } = self;
        sources | states | connections == 0 && connection_rate.is_none() && new_rate.is_none()
    }

    /// Checks every limit.
    ///
    /// # Errors
    /// [`Error::Setting`], naming the limit and its range.
    pub fn check(&self) -> Result<(), Error> {
        check_range("max_src_nodes", self.sources.into(), 0, MAX_SOURCE_COUNT.into())?;
        check_range("max_src_states", self.states.into(), 0, MAX_SOURCE_COUNT.into())?;
        check_range("max_src_conn", self.connections.into(), 0, MAX_SOURCE_COUNT.into())?;
        self.connection_rate.check("max_src_conn_rate", "max_src_conn_seconds")?;
        self.new_rate.check("max_src_new_rate", "max_src_new_seconds")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_limit_that_is_out_of_range() {
        let none = SourceLimits::default();
        let rate = |max, seconds| Rate { max, seconds };
        let rows = [
            (SourceLimits { sources: 1 << 24, ..none }, "max_src_nodes is 16777216"),
            (SourceLimits { states: 1 << 24, ..none }, "max_src_states is"),
            (SourceLimits { connections: u32::MAX, ..none }, "max_src_conn is"),
            (SourceLimits { connection_rate: rate(5, 0), ..none }, "max_src_conn_seconds is 0"),
            (SourceLimits { new_rate: rate(1_000_001, 1), ..none }, "max_src_new_rate is"),
            (SourceLimits { new_rate: rate(1, 86_401), ..none }, "max_src_new_seconds is 86401"),
        ];
        for (limits, text) in rows {
            let error = limits.check().expect_err("out of range").to_string();
            assert!(error.starts_with(text), "{error}");
            assert!(!limits.is_none());
        }
        assert!(none.is_none() && none.check().is_ok());
        assert!(SourceLimits { new_rate: rate(0, 0), ..none }.check().is_ok());
    }
}
