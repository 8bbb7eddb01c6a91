//! ICMP and ICMPv6: queries with a state of their own, and errors about somebody else's packet.
//!
//! The initiator's port slot holds the query's identifier, the other one the request's type; a reply is mapped to the
//! request's type first (OpenBSD `pf_icmp_mapping`, `pf_icmp_state_lookup`; `protocol` section 7.2).

use super::ports::Ports;
use super::reader::Reader;
use super::{Be16, Family, Kind, Rejection};

/// What a message is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// A query, or its reply, of the request type.
    Query(u8),
    Reply(u8),
    /// It quotes a packet.
    Error,
}

/// Where the identifier is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Identifier {
    /// In the two octets after the checksum.
    Header,
    /// There is none.
    Zero,
    /// Folded from the address at octet 8 (neighbour discovery, multicast listeners).
    Folded,
}

/// Types with their meaning. A type that is not here is a query of its own type without an identifier.
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

/// Not here, and so of their own type: router solicitation and advertisement (133, 134), redirect (137, which need not
/// quote the packet that caused it) and "listener done" (132).
const V6: [(u8, Role, Identifier); 14] = [
    (1, Role::Error, Identifier::Zero),
    (2, Role::Error, Identifier::Zero),
    (3, Role::Error, Identifier::Zero),
    (4, Role::Error, Identifier::Zero),
    (128, Role::Query(128), Identifier::Header),
    (129, Role::Reply(128), Identifier::Header),
    (130, Role::Query(130), Identifier::Folded),
    // A listener reports unasked, and to another address than that of the question: no reply, but a query's key.
    (131, Role::Query(130), Identifier::Folded),
    (135, Role::Query(135), Identifier::Folded),
    (136, Role::Reply(135), Identifier::Folded),
    // What node information has where echo has its identifier is the kind of question, not who asked.
    (139, Role::Query(139), Identifier::Zero),
    (140, Role::Reply(139), Identifier::Zero),
    (200, Role::Reply(201), Identifier::Zero),
    (201, Role::Query(201), Identifier::Zero),
];

/// What an ICMP message is, and the ports that stand for it: of the packet's source and of its destination.
pub(super) struct Icmp {
    pub kind: Kind,
    pub ports: Ports,
}

/// Octets of the header: what comes before the quoted packet of an error, or the address of neighbour discovery.
pub(super) const HEADER_BYTES: usize = 8;

/// Reads the message at `at`.
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

/// Whether queries of a type, as a key holds it, have an identifier that can be given another value.
pub(super) fn has_identifier(kind: Be16, family: Family) -> bool {
    let rows: &[_] = if family == Family::V4 { &V4 } else { &V6 };
    rows.iter().any(|row| {
        u16::from(row.0) == kind.get() && row.1 == Role::Query(row.0) && row.2 == Identifier::Header
    })
}

/// The four words of an address xored into one, and its halves into 16 bits.
fn fold(address: &[u8; 16]) -> Be16 {
    let fold = |folded: [u8; 2], pair: &[u8]| [folded[0] ^ pair[0], folded[1] ^ pair[1]];
    Be16(address.chunks_exact(2).fold([0; 2], fold))
}
