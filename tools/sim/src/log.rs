//! The events of a run. Lines are formatted only if they are kept: a failing seed is run again with the log on.

/// The events of one seed.
pub struct Log {
    lines: Option<Vec<String>>,
    digest: u64,
}

impl Log {
    /// Builds a log that keeps its lines, or only the digest.
    #[must_use]
    pub fn new(keeps: bool) -> Self {
        Self { lines: keeps.then(Vec::new), digest: 0xcbf2_9ce4_8422_2325 }
    }

    /// Returns whether lines are kept.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.lines.is_some()
    }

    /// Writes a line, `since` nanoseconds after the start.
    pub fn note(&mut self, since: u64, what: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{:>11}.{:06} {}", since / 1_000_000_000, since / 1000 % 1_000_000, what()));
        }
    }

    /// Adds bytes that every run of the seed must send (FNV-1a).
    pub fn digest(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.digest = (self.digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// Returns the digest of all these bytes.
    #[must_use]
    pub const fn fingerprint(&self) -> u64 {
        self.digest
    }

    /// Returns the lines so far.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }
}
