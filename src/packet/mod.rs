//! Headers to key and facts (L0): what a packet says of itself, without any table.
//!
//! [`parse`] reads Ethernet with VLAN tags, IPv4 with options, IPv6 with extension headers, TCP, UDP, SCTP, ICMP and
//! ICMPv6. It reads each header after one check, never past the first piece of the packet, and says of every packet
//! that it refuses why ([`Rejection`]).
//!
//! [`checksum`] sums headers and keeps their checksums right while fields change.
//!
//! [`Translation`] rewrites packets of translated states in place.
//!
//! [`write_answer`] makes the segments that refuse others.
//!
//! Not done here: reassembly. A fragment is refused and the host decides; [`parse_fragment`] reads it.

mod bare_segment;
pub mod checksum;
mod facts;
mod fragment;
mod icmp;
mod ip;
mod key;
mod link;
mod parse;
mod ports;
mod reader;
mod rejection;
mod tcp;
mod translation;

pub use bare_segment::{MAX_ANSWER, write_answer};
pub use facts::{Facts, Kind, TcpFacts, tcp_flags};
pub use fragment::{Fragment, parse_fragment};
pub use key::{Be16, Direction, Family, Key};
pub use link::Link;
pub use parse::{parse, parse_into};
pub use rejection::Rejection;
pub use translation::{Refused, Translation, Writable, has_translatable_ports, translated_proto};
