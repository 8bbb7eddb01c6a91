//! What the parser learns about a packet.

use super::{Direction, Key};

/// TCP flag bits as in the header.
pub mod tcp_flags {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronises sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Resets the connection.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement number is valid.
    pub const ACK: u8 = 0x10;
    /// The urgent pointer is valid.
    pub const URG: u8 = 0x20;
}

/// The kind of a packet, which selects how it is tracked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A TCP segment.
    Tcp,
    /// A UDP datagram.
    Udp,
    /// An ICMP or ICMPv6 query.
    IcmpQuery,
    /// The reply to a query. It has the query's key.
    IcmpReply,
    /// An ICMP or ICMPv6 error. Its key is built from the quoted packet with the direction reversed, so that it finds
    /// the quoted packet's state.
    IcmpError,
    /// pfsync (IP protocol 240).
    Pfsync,
    /// Any other protocol, keyed by addresses only.
    Other,
    /// A fragment after the first one, of which the host knows the ports. The first one was tracked for the whole packet.
    LaterFragment,
}

/// The TCP header fields that tracking needs. All zero for other kinds. For an ICMP error, `seq` is the quoted segment's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFacts {
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Window as in the header, not scaled.
    pub window: u16,
    /// See [`tcp_flags`].
    pub flags: u8,
    /// `0x80 | shift` if a SYN has the window-scale option, else 0.
    pub wscale: u8,
    /// Maximum segment size from a SYN's option, 0 if absent.
    pub mss: u16,
    /// Bytes of data, by the IP header's length.
    pub payload: u32,
}

/// What the IP header carries besides addresses: options and extension headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IpOptions(pub u8);

impl IpOptions {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// IPv4 options, or IPv6 hop-by-hop options, destination options or a routing header.
    pub const OPTIONS: u8 = 0x01;
    /// A source route: loose or strict (IPv4), or a routing header of type 0 (IPv6).
    pub const SOURCE_ROUTE: u8 = 0x02;
    /// An authentication header, which covers the addresses.
    pub const AUTHENTICATION: u8 = 0x04;

    /// Whether any of `mask` is present.
    #[inline(always)]
    #[must_use]
    pub const fn any(self, mask: u8) -> bool {
        self.0 & mask != 0
    }
}

/// The facts of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The key to look up.
    pub key: Key,
    /// The packet's kind.
    pub kind: Kind,
    /// The direction of the packet itself.
    pub direction: Direction,
    /// Offset of the IP header in bytes.
    pub l3_offset: u16,
    /// Offset of the transport header in bytes.
    pub l4_offset: u16,
    /// Length of the IP packet in bytes, by its header.
    pub ip_length: u32,
    /// TTL or hop limit.
    pub ttl: u8,
    /// Type of service or traffic class.
    pub tos: u8,
    /// Options and extension headers of the IP header.
    pub ip_options: IpOptions,
    /// The TCP header.
    pub tcp: TcpFacts,
}

impl TcpFacts {
    /// The value for packets that are not TCP.
    pub const NONE: Self = Self { seq: 0, ack: 0, window: 0, flags: 0, wscale: 0, mss: 0, payload: 0 };
}

impl AsRef<Key> for Facts {
    #[inline(always)]
    fn as_ref(&self) -> &Key {
        &self.key
    }
}

impl Facts {
    /// An initial value for arrays of facts.
    pub const EMPTY: Self = Self {
        key: Key::EMPTY,
        kind: Kind::Other,
        direction: Direction::In,
        l3_offset: 0,
        l4_offset: 0,
        ip_length: 0,
        ttl: 0,
        tos: 0,
        ip_options: IpOptions::NONE,
        tcp: TcpFacts::NONE,
    };

    /// Whether this is an ICMP error, whose key is the quoted packet's.
    #[must_use]
    pub const fn is_icmp_error(&self) -> bool {
        matches!(self.kind, Kind::IcmpError)
    }

    /// Whether this is a TCP segment with a flag combination that no host sends. [`super::parse`] rejects those.
    #[inline(always)]
    #[must_use]
    pub const fn has_impossible_flags(&self) -> bool {
        matches!(self.kind, Kind::Tcp) && super::parse::has_impossible_flags(self.tcp.flags)
    }

    /// Returns the direction that the key was built with: the packet's, reversed for an ICMP error.
    #[must_use]
    pub const fn key_direction(&self) -> Direction {
        if self.is_icmp_error() { self.direction.reverse() } else { self.direction }
    }
}
