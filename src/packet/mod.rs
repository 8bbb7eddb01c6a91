//! Packet headers: parsing, checksums, and rewriting for NAT. No table, no state.
//!
//! [`parse`] reads Ethernet with VLAN tags, IPv4 with options, IPv6 with extension headers, TCP, UDP, SCTP, ICMP and
//! ICMPv6. It checks each header once, never reads past the packet's first segment, and gives a reason for every packet
//! it rejects ([`Rejection`]). Fragments are rejected, not reassembled; [`parse_fragment`] returns what is known of one.
//!
//! [`Translation`] rewrites packets of translated states in place; [`checksum`] has the arithmetic.
//!
//! [`are_checksums_intact`] verifies checksums that the NIC did not.
//!
//! [`write_answer`] builds the segments that refuse TCP packets of a state, [`write_refusal`] the answers to packets without one.

mod answer;
pub mod checksum;
mod crc32c;
mod facts;
mod key;
mod parse;
pub use pfsync::ip_protocol as protocol;
mod refusal;
mod rejection;
mod translation;
mod verify;

pub use answer::{MAX_ANSWER, write_answer};
pub use facts::{Facts, IpOptions, Kind, TcpFacts, tcp_flags};
pub use key::{Be16, Direction, Family, Key};
pub use parse::{Fragment, Link, parse, parse_fragment, parse_general, parse_into};
pub use refusal::{MAX_REFUSAL, RefusalKind, write_refusal};
pub use rejection::Rejection;
pub use translation::{TranslateError, Translation, WritablePacket, has_translatable_ports, key_in_family};
pub use verify::are_checksums_intact;
