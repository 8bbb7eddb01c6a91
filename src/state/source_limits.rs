//! How much one source may have (pf.conf's `max-src-nodes`, `max-src-states`, `max-src-conn`, `max-src-conn-rate`).

use crate::error::Error;

/// How often something may happen, as pf's thresholds count: what happened fades evenly over the seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// So often at most, 0 for no limit.
    pub most: u32,
    /// In so many seconds.
    pub seconds: u32,
}

/// What sources, the senders of first packets, may have. 0 is no limit everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceLimits {
    /// Sources that have a state at once (pf: max-src-nodes).
    pub sources: u32,
    /// States of one source at once (pf: max-src-states).
    pub states: u32,
    /// TCP connections of one source that both sides have opened, at once (pf: max-src-conn).
    pub connections: u32,
    /// How fast one source may open such connections (pf: max-src-conn-rate).
    pub connection_rate: Rate,
    /// How fast one source may make states, whether or not anybody answers.
    pub new_rate: Rate,
}

/// The most states of one source, and the most sources, that can be counted.
pub const MAX_SOURCE_COUNT: u32 = (1 << 24) - 1;
/// The greatest [`Rate::most`].
const MAX_RATE: u32 = 1_000_000;
/// The greatest [`Rate::seconds`].
pub(crate) const RATE_SECONDS: u32 = 86_400;

impl Rate {
    /// Whether there is no limit.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.most == 0
    }

    fn check(&self, most: &'static str, seconds: &'static str) -> Result<(), Error> {
        range(most, self.most, 0, MAX_RATE)?;
        if self.is_none() { Ok(()) } else { range(seconds, self.seconds, 1, RATE_SECONDS) }
    }
}

impl SourceLimits {
    /// Whether there is no limit at all.
    #[must_use]
    pub fn is_none(&self) -> bool {
        let Self { sources, states, connections, connection_rate, new_rate } = self;
        sources | states | connections == 0 && connection_rate.is_none() && new_rate.is_none()
    }

    /// The first limit that cannot be kept.
    ///
    /// # Errors
    /// [`Error::Setting`], naming the limit and its range.
    pub fn check(&self) -> Result<(), Error> {
        range("max_src_nodes", self.sources, 0, MAX_SOURCE_COUNT)?;
        range("max_src_states", self.states, 0, MAX_SOURCE_COUNT)?;
        range("max_src_conn", self.connections, 0, MAX_SOURCE_COUNT)?;
        self.connection_rate.check("max_src_conn_rate", "max_src_conn_seconds")?;
        self.new_rate.check("max_src_new_rate", "max_src_new_seconds")
    }
}

fn range(name: &'static str, value: u32, least: u32, most: u32) -> Result<(), Error> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::Setting { name, value: value.into(), least: least.into(), most: most.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_out_of_range_is_named() {
        let none = SourceLimits::default();
        let rate = |most, seconds| Rate { most, seconds };
        let rows = [
            (SourceLimits { sources: 1 << 24, ..none }, "max_src_nodes is 16777216"),
            (SourceLimits { states: 1 << 24, ..none }, "max_src_states is"),
            (SourceLimits { connections: u32::MAX, ..none }, "max_src_conn is"),
            (SourceLimits { connection_rate: rate(5, 0), ..none }, "max_src_conn_seconds is 0"),
            (SourceLimits { new_rate: rate(1_000_001, 1), ..none }, "max_src_new_rate is"),
            (SourceLimits { new_rate: rate(1, 86_401), ..none }, "max_src_new_seconds is 86401"),
        ];
        for (limits, text) in rows {
            let why = limits.check().expect_err("must be refused").to_string();
            assert!(why.starts_with(text), "{why}");
            assert!(!limits.is_none());
        }
        assert!(none.is_none() && none.check().is_ok());
        assert!(SourceLimits { new_rate: rate(0, 0), ..none }.check().is_ok());
    }
}
