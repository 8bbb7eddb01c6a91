//! What a packet says of itself, as the rooms above need it.

use super::{Direction, Key};

/// TCP flag bits as in the header.
pub mod tcp_flags {
    /// The sender has sent all.
    pub const FIN: u8 = 0x01;
    /// The sequence number is the first.
    pub const SYN: u8 = 0x02;
    /// The connection is refused or over.
    pub const RST: u8 = 0x04;
    /// Hand the data on at once.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement number counts.
    pub const ACK: u8 = 0x10;
    /// The urgent pointer counts.
    pub const URG: u8 = 0x20;
}

/// What a packet is to the tracker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A TCP segment.
    Tcp,
    /// A UDP datagram.
    Udp,
    /// An ICMP or ICMPv6 query.
    IcmpQuery,
    /// The reply to a query. Its key is the query's.
    IcmpReply,
    /// An ICMP or ICMPv6 error. Its key is the quoted packet's, built with the reversed direction, so that it finds the
    /// state of the quoted packet.
    IcmpError,
    /// pfsync itself, IP protocol 240.
    Pfsync,
    /// Any other protocol: known by its addresses only.
    Other,
}

/// What the tracker reads of a TCP header. All zero for other kinds; of an ICMP error, `seq` is the quoted segment's.
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
    /// `0x80 | shift` when the window-scale option is there, else 0. Read of SYNs only.
    pub wscale: u8,
    /// Maximum segment size of the option, 0 when it is absent.
    pub mss: u16,
    /// Octets of data, by the IP header's length.
    pub payload: u32,
}

/// One packet, read once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The key to look up.
    pub key: Key,
    /// What the packet is.
    pub kind: Kind,
    /// The way that the packet itself goes.
    pub direction: Direction,
    /// Where the IP header begins, in octets.
    pub l3_offset: u16,
    /// Where the header after IP begins, in octets.
    pub l4_offset: u16,
    /// The whole IP packet in octets, by its header.
    pub ip_length: u32,
    /// TTL or hop limit.
    pub ttl: u8,
    /// Type of service or traffic class.
    pub tos: u8,
    /// Whether the IP header has options.
    pub ip_options: bool,
    /// The TCP header.
    pub tcp: TcpFacts,
}

impl TcpFacts {
    /// Of a packet that is not TCP.
    pub const NONE: Self = Self { seq: 0, ack: 0, window: 0, flags: 0, wscale: 0, mss: 0, payload: 0 };
}

impl AsRef<Key> for Facts {
    #[inline(always)]
    fn as_ref(&self) -> &Key {
        &self.key
    }
}

impl Facts {
    /// Of no packet: what a place for facts holds before the first.
    pub const EMPTY: Self = Self {
        key: Key::EMPTY,
        kind: Kind::Other,
        direction: Direction::In,
        l3_offset: 0,
        l4_offset: 0,
        ip_length: 0,
        ttl: 0,
        tos: 0,
        ip_options: false,
        tcp: TcpFacts::NONE,
    };

    /// Whether this is an ICMP error, whose key is that of the packet that it quotes.
    #[must_use]
    pub const fn is_icmp_error(&self) -> bool {
        matches!(self.kind, Kind::IcmpError)
    }

    /// Whether a TCP segment has flags that no host sends together. [`super::parse`] refuses such.
    #[inline(always)]
    #[must_use]
    pub const fn is_impossible(&self) -> bool {
        matches!(self.kind, Kind::Tcp) && super::tcp::is_impossible(self.tcp.flags)
    }

    /// The direction that the key was built with: the packet's own, or the reversed one for an ICMP error.
    #[must_use]
    pub const fn key_direction(&self) -> Direction {
        if self.is_icmp_error() { self.direction.reverse() } else { self.direction }
    }
}
