//! ICMP and ICMPv6: queries, which have states, and errors, which belong to the state of the packet they quote.
//!
//! The initiator's port slot holds the query's identifier, the other slot the request's type. A reply has the type of its
//! request (OpenBSD `pf_icmp_mapping`, `pf_icmp_state_lookup`; `protocol` section 7.2).

use super::ports::Ports;
use super::reader::Reader;
use crate::packet::{Be16, Family, Kind, Rejection};

/// The role of a message type.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// A query, with the request type.
    Query(u8),
    /// A reply, with the request type.
    Reply(u8),
    /// An error, which quotes a packet.
    Error,
}

/// Where a message has its identifier.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Identifier {
    /// In the two bytes after the checksum.
    Header,
    /// Nowhere; zero is used.
    Zero,
    /// Folded from the address at byte 8 (neighbour discovery, multicast listeners).
    Folded,
}

/// The known types. Any other type is a query of its own type without an identifier.
const V4: [(u8, Role, Identifier); 19] = [
    (0, Role::Reply(8), Identifier::Header),
    (3, Role::Error, Identifier::Zero),
    (4, Role::Error, Identifier::Zero),
    (5, Role::Error, Identifier::Zero),
    (8, Role::Query(8), Identifier::Header),
    (9, Role::Reply(10), Identifier::Zero),
    (10, Role::Query(10), Identifier::Zero),
    (11, Role::Error, Identifier::Zero),
    (12, Role::Error, Identifier::Zero),
    (13, Role::Query(13), Identifier::Header),
    (14, Role::Reply(13), Identifier::Header),
    (15, Role::Query(15), Identifier::Header),
    (16, Role::Reply(15), Identifier::Header),
    (17, Role::Query(17), Identifier::Header),
    (18, Role::Reply(17), Identifier::Header),
    (33, Role::Query(33), Identifier::Zero),
    (34, Role::Reply(33), Identifier::Zero),
    (35, Role::Query(35), Identifier::Zero),
    (36, Role::Reply(35), Identifier::Zero),
];

/// The known types of ICMPv6. Not listed: router solicitation and advertisement (133, 134), redirect (137, which need
/// not quote the packet that caused it) and "listener done" (132).
const V6: [(u8, Role, Identifier); 14] = [
    (1, Role::Error, Identifier::Zero),
    (2, Role::Error, Identifier::Zero),
    (3, Role::Error, Identifier::Zero),
    (4, Role::Error, Identifier::Zero),
    (128, Role::Query(128), Identifier::Header),
    (129, Role::Reply(128), Identifier::Header),
    (130, Role::Query(130), Identifier::Folded),
    // A listener reports unasked and to another address than the query's: not a reply, but with the query's key.
    (131, Role::Query(130), Identifier::Folded),
    (135, Role::Query(135), Identifier::Folded),
    (136, Role::Reply(135), Identifier::Folded),
    // Node information has the question type where echo has its identifier.
    (139, Role::Query(139), Identifier::Zero),
    (140, Role::Reply(139), Identifier::Zero),
    (200, Role::Reply(201), Identifier::Zero),
    (201, Role::Query(201), Identifier::Zero),
];

/// The kind of an ICMP message, and the numbers that take the place of ports in its key.
pub(super) struct Icmp {
    pub kind: Kind,
    pub(super) ports: Ports,
}

/// Length of the header, which precedes an error's quoted packet or neighbour discovery's address.
pub(in crate::packet) const HEADER_BYTES: usize = 8;

/// Parses the message at `at`.
pub(super) fn read(reader: &Reader<'_>, at: usize, family: Family) -> Result<Icmp, Rejection> {
    let [kind, _, _, _, high, low, _, _] = *reader.header::<HEADER_BYTES>(at)?;
    let rows: &[_] = if family == Family::V4 { &V4 } else { &V6 };
    let known = rows.iter().find(|row| row.0 == kind);
    let (role, identifier) = known.map_or((Role::Query(kind), Identifier::Zero), |row| (row.1, row.2));
    let id = match identifier {
        Identifier::Zero => Be16([0; 2]),
        Identifier::Header => Be16([high, low]),
        Identifier::Folded => fold(reader.header(at + HEADER_BYTES)?),
    };
    Ok(match role {
        Role::Query(request) => {
            Icmp { kind: Kind::IcmpQuery, ports: Ports::new(id, Be16::new(request.into())) }
        }
        Role::Reply(request) => {
            Icmp { kind: Kind::IcmpReply, ports: Ports::new(Be16::new(request.into()), id) }
        }
        Role::Error => Icmp { kind: Kind::IcmpError, ports: Ports::NONE },
    })
}

/// Whether queries of type `kind` have an identifier that NAT can replace.
pub(in crate::packet) fn has_identifier(kind: Be16, family: Family) -> bool {
    let rows: &[_] = if family == Family::V4 { &V4 } else { &V6 };
    rows.iter().any(|row| {
        u16::from(row.0) == kind.get() && row.1 == Role::Query(row.0) && row.2 == Identifier::Header
    })
}

/// Folds an address to 16 bits by exclusive or.
fn fold(address: &[u8; 16]) -> Be16 {
    let fold = |folded: [u8; 2], pair: &[u8]| [folded[0] ^ pair[0], folded[1] ^ pair[1]];
    Be16(address.chunks_exact(2).fold([0; 2], fold))
}
