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
    /// The headers contradict themselves.
    Malformed,
    /// A fragment, first or later.
    Fragment,
}
