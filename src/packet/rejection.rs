//! Why a packet has no key.

/// Each cause has its own verdict or counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// Neither IPv4 nor IPv6.
    NotIp,
    /// It ends before what its headers promise.
    Truncated,
    /// The headers go on in another piece of memory.
    NotContiguous,
    /// The headers contradict themselves, or an ICMP error quotes what can have no state: an error, or a fragment
    /// without ports.
    Malformed,
    /// A fragment, first or later.
    Fragment,
}

impl Rejection {
    /// Every cause.
    pub const ALL: [Self; 5] =
        [Self::NotIp, Self::Truncated, Self::NotContiguous, Self::Malformed, Self::Fragment];

    /// The name that a counter of it has.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotIp => "not_ip",
            Self::Truncated => "truncated",
            Self::NotContiguous => "not_contiguous",
            Self::Malformed => "malformed",
            Self::Fragment => "fragment",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_causes_share_a_name() {
        for (place, cause) in Rejection::ALL.iter().enumerate() {
            let others = &Rejection::ALL[place + 1..];
            assert!(others.iter().all(|other| other.name() != cause.name()), "{cause:?}");
        }
    }
}
