//! What a fragment says of itself. It is not tracked; the host reassembles it, or judges it by its rules, and needs the
//! key for either.

use super::ip::{FRAGMENT, MOST_EXTENSIONS, extension_bytes, is_extension};
use super::ports::Ports;
use super::reader::Reader;
use super::{Direction, Family, Key, Kind, Link, Rejection, icmp, link};

/// A part of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Its addresses, protocol and, where [`Self::has_ports`], ports, in its own direction.
    ///
    /// Of a later IPv6 fragment the protocol is what its fragment header names, which may be an extension header.
    pub key: Key,
    /// Whether the ports are known: a first fragment of TCP, UDP, SCTP, or an ICMP query, with them in it.
    pub has_ports: bool,
    /// Whether it is the first one, at offset 0.
    pub is_first: bool,
    /// Whether more follow behind it.
    pub more: bool,
    /// The identification that the parts of a packet have in common, between two addresses and for a protocol.
    pub identification: u32,
    /// Where its payload begins within the whole packet's, in octets.
    pub offset: u16,
    /// Where the IP header begins, in octets.
    pub l3_offset: u16,
    /// Where what is behind the IP header, and behind all known headers of a first fragment, begins.
    pub l4_offset: u16,
    /// The IP packet in octets, by its header.
    pub ip_length: u32,
    /// TTL or hop limit.
    pub ttl: u8,
    /// Type of service or traffic class.
    pub tos: u8,
}

/// Addresses, and what is behind the IP header.
struct Header {
    source: u128,
    destination: u128,
    family: Family,
    proto: usize,
    at: usize,
    end: usize,
    flags_and_offset: u16,
    identification: u32,
    ttl: u8,
    tos: u8,
}

/// Reads a fragment, first or later. `None`: it is none, or cannot be read.
///
/// Parameters as of [`super::parse`]. Cost: one pass over the headers, no allocation.
#[must_use]
pub fn parse_fragment(
    bytes: &[u8],
    packet_length: u32,
    link: Link,
    direction: Direction,
) -> Option<Fragment> {
    read(bytes, packet_length, link, direction).ok().flatten()
}

fn read(
    bytes: &[u8],
    packet_length: u32,
    link: Link,
    direction: Direction,
) -> Result<Option<Fragment>, Rejection> {
    let reader = Reader::new(bytes, packet_length);
    let (l3_offset, version) = link::l3_offset(&reader, link)?;
    let [first] = *reader.header::<1>(l3_offset)?;
    if version.is_some_and(|version| version != first >> 4) {
        return Err(Rejection::Malformed);
    }
    let mut header = match first >> 4 {
        4 => v4(&reader, l3_offset)?,
        6 => match v6(&reader, l3_offset)? {
            Some(header) => header,
            None => return Ok(None),
        },
        _ => return Err(Rejection::NotIp),
    };
    let (offset, more) = (header.flags_and_offset & 0xfff8, header.flags_and_offset & 1 != 0);
    if offset == 0 && !more {
        return Ok(None);
    }
    let reader = reader.ending_at(header.end);
    let ports = if offset == 0 { ports(&reader, &mut header) } else { None };
    let numbers = ports.unwrap_or(Ports::NONE);
    let (addr, numbers) = match direction {
        Direction::In => ([header.source, header.destination], numbers.in_order()),
        Direction::Out => ([header.destination, header.source], numbers.swapped()),
    };
    Ok(Some(Fragment {
        key: Key::from_words(addr, numbers, header.family, header.proto as u8),
        has_ports: ports.is_some(),
        is_first: offset == 0,
        more,
        identification: header.identification,
        offset,
        l3_offset: l3_offset as u16,
        l4_offset: header.at as u16,
        ip_length: (header.end - l3_offset) as u32,
        ttl: header.ttl,
        tos: header.tos,
    }))
}

fn v4(reader: &Reader<'_>, at: usize) -> Result<Header, Rejection> {
    let header: &[u8; 20] = reader.header(at)?;
    let header_bytes = usize::from(header[0] & 0x0f) * 4;
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if header_bytes < 20 || length < header_bytes {
        return Err(Rejection::Malformed);
    }
    if at + length > reader.end() {
        return Err(Rejection::Truncated);
    }
    let flags_and_offset = u16::from_be_bytes([header[6], header[7]]);
    let address = |at: usize| header[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes).into());
    Ok(Header {
        source: address(12),
        destination: address(16),
        family: Family::V4,
        proto: header[9].into(),
        at: at + header_bytes,
        end: at + length,
        // As the fragment header of IPv6 has it.
        flags_and_offset: flags_and_offset << 3 | u16::from(flags_and_offset & 0x2000 != 0),
        identification: u16::from_be_bytes([header[4], header[5]]).into(),
        ttl: header[8],
        tos: header[1],
    })
}

/// `None` when no fragment header comes before what is no extension header.
fn v6(reader: &Reader<'_>, at: usize) -> Result<Option<Header>, Rejection> {
    let fixed: &[u8; 40] = reader.header(at)?;
    let end = at + 40 + usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
    if end > reader.end() {
        return Err(Rejection::Truncated);
    }
    let reader = reader.ending_at(end);
    let address = |at: usize| fixed[at..].first_chunk().map_or(0, |bytes| u128::from_le_bytes(*bytes));
    let (mut proto, mut place) = (usize::from(fixed[6]), at + 40);
    for _ in 0..MOST_EXTENSIONS {
        if !is_extension(Family::V6, proto) {
            return Ok(None);
        }
        let header: &[u8; 8] = reader.header(place)?;
        if proto == FRAGMENT {
            let [proto, _, high, low, ref identification @ ..] = *header;
            return Ok(Some(Header {
                source: address(8),
                destination: address(24),
                family: Family::V6,
                proto: proto.into(),
                at: place + 8,
                end,
                flags_and_offset: u16::from_be_bytes([high, low]),
                identification: u32::from_be_bytes(*identification),
                ttl: fixed[7],
                tos: fixed[0] << 4 | fixed[1] >> 4,
            }));
        }
        place += extension_bytes(proto, header)?;
        proto = header[0].into();
    }
    Err(Rejection::Malformed)
}

/// The ports of a first fragment, past the extension headers that are in it.
fn ports(reader: &Reader<'_>, header: &mut Header) -> Option<Ports> {
    const ICMP: usize = 1;
    const TCP: usize = 6;
    const UDP: usize = 17;
    const ICMPV6: usize = 58;
    const SCTP: usize = 132;
    for _ in 0..MOST_EXTENSIONS {
        if !is_extension(header.family, header.proto) || header.proto == FRAGMENT {
            break;
        }
        let extension: &[u8; 8] = reader.header(header.at).ok()?;
        header.at += extension_bytes(header.proto, extension).ok()?;
        header.proto = extension[0].into();
    }
    match (header.proto, header.family) {
        (TCP | UDP | SCTP, _) => Some(Ports::of_header(reader.header::<4>(header.at).ok()?)),
        (ICMP, Family::V4) | (ICMPV6, Family::V6) => {
            let message = icmp::read(reader, header.at, header.family).ok()?;
            (message.kind != Kind::IcmpError).then_some(message.ports)
        }
        _ => None,
    }
}
