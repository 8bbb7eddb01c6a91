//! Why a packet has no key.

/// Why a packet was rejected. Each reason has its own verdict or counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// Neither IPv4 nor IPv6.
    NotIp,
    /// The packet is shorter than its headers say.
    Truncated,
    /// The headers continue in another memory segment.
    NotContiguous,
    /// The headers contradict themselves, or an ICMP error quotes a packet that has no state: another error, or a
    /// fragment without ports.
    Malformed,
    /// A fragment, first or later.
    Fragment,
}
