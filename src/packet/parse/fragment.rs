//! Fragments. They are not tracked, but the host needs their keys to reassemble or filter them.

use super::ip::{FRAGMENT, MAX_EXTENSIONS, extension_bytes, extension_options, is_extension, v4_options};
use super::ports::Ports;
use super::reader::Reader;
use super::{ICMP, ICMPV6, Link, SCTP, TCP, UDP, icmp, link};
use crate::packet::{Direction, Facts, Family, IpOptions, Key, Kind, Rejection, TcpFacts};

/// A fragment of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// The fragment's addresses, protocol and, if [`Self::has_ports`], ports.
    ///
    /// The protocol of a later IPv6 fragment is the one that its fragment header names, possibly an extension header.
    pub key: Key,
    /// What the first fragment with ports is a part of; otherwise [`Kind::LaterFragment`].
    pub kind: Kind,
    /// Whether the ports are known: in a first fragment of TCP, UDP or SCTP, or of an ICMP query, that holds them.
    pub has_ports: bool,
    /// Whether this is the first fragment (offset 0).
    pub is_first: bool,
    /// Whether more fragments follow.
    pub more: bool,
    /// The identification shared by all fragments of one packet.
    pub identification: u32,
    /// Offset of this fragment's payload in the whole packet's, in bytes.
    pub offset: u16,
    /// Offset of the IP header in bytes.
    pub l3_offset: u16,
    /// Offset of what follows the IP header and, in a first fragment, the known extension headers.
    pub l4_offset: u16,
    /// Length of the IP packet in bytes, by its header.
    pub ip_length: u32,
    /// TTL or hop limit.
    pub ttl: u8,
    /// Type of service or traffic class.
    pub tos: u8,
    /// Options and extension headers before the fragment header.
    pub ip_options: IpOptions,
}

impl Fragment {
    /// Returns the facts of the fragment by itself, which crosses its interface in `direction`.
    #[must_use]
    pub const fn facts(&self, direction: Direction) -> Facts {
        Facts {
            key: self.key,
            kind: self.kind,
            direction,
            l3_offset: self.l3_offset,
            l4_offset: self.l4_offset,
            ip_length: self.ip_length,
            ttl: self.ttl,
            tos: self.tos,
            ip_options: self.ip_options,
            tcp: TcpFacts::NONE,
        }
    }
}

/// The IP header, and where its payload is.
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
    ip_options: IpOptions,
}

/// Parses a fragment. Returns `None` if the packet is not a fragment or is malformed.
///
/// Parameters as in [`super::parse`]. Cost: one pass over the headers, no allocation.
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
    let (numbers, kind) = ports.unwrap_or((Ports::NONE, Kind::LaterFragment));
    let (addr, numbers) = match direction {
        Direction::In => ([header.source, header.destination], numbers.in_order()),
        Direction::Out => ([header.destination, header.source], numbers.swapped()),
    };
    Ok(Some(Fragment {
        key: Key::from_words(addr, numbers, header.family, header.proto as u8),
        kind,
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
        ip_options: header.ip_options,
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
    let options = if header_bytes == 20 { 0 } else { v4_options(*reader, at, header_bytes)? };
    let ip_options = IpOptions(options as u8);
    let address = |at: usize| header[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes).into());
    Ok(Header {
        source: address(12),
        destination: address(16),
        family: Family::V4,
        proto: header[9].into(),
        at: at + header_bytes,
        end: at + length,
        // In the layout of the IPv6 fragment header.
        flags_and_offset: flags_and_offset << 3 | u16::from(flags_and_offset & 0x2000 != 0),
        identification: u16::from_be_bytes([header[4], header[5]]).into(),
        ttl: header[8],
        tos: header[1],
        ip_options,
    })
}

/// Returns `None` if the packet has no fragment header.
fn v6(reader: &Reader<'_>, at: usize) -> Result<Option<Header>, Rejection> {
    let fixed: &[u8; 40] = reader.header(at)?;
    let end = at + 40 + usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
    if end > reader.end() {
        return Err(Rejection::Truncated);
    }
    let reader = reader.ending_at(end);
    let address = |at: usize| fixed[at..].first_chunk().map_or(0, |bytes| u128::from_le_bytes(*bytes));
    let (mut proto, mut offset, mut ip_options) = (usize::from(fixed[6]), at + 40, IpOptions::NONE);
    for _ in 0..MAX_EXTENSIONS {
        if !is_extension(Family::V6, proto) {
            return Ok(None);
        }
        let header: &[u8; 8] = reader.header(offset)?;
        let [next, _, high, low, ref identification @ ..] = *header;
        // An atomic fragment (RFC 6946) is a whole packet.
        if proto == FRAGMENT && u16::from_be_bytes([high, low]) & 0xfff9 != 0 {
            return Ok(Some(Header {
                source: address(8),
                destination: address(24),
                family: Family::V6,
                proto: next.into(),
                at: offset + 8,
                end,
                flags_and_offset: u16::from_be_bytes([high, low]),
                identification: u32::from_be_bytes(*identification),
                ttl: fixed[7],
                tos: fixed[0] << 4 | fixed[1] >> 4,
                ip_options,
            }));
        }
        ip_options.0 |= extension_options(proto, header);
        offset += extension_bytes(proto, header)?;
        proto = next.into();
    }
    Err(Rejection::Malformed)
}

/// Skips the extension headers of a first fragment and returns its ports and kind.
fn ports(reader: &Reader<'_>, header: &mut Header) -> Option<(Ports, Kind)> {
    for _ in 0..MAX_EXTENSIONS {
        if !is_extension(header.family, header.proto) || header.proto == FRAGMENT {
            break;
        }
        let extension: &[u8; 8] = reader.header(header.at).ok()?;
        let behind = header.at + extension_bytes(header.proto, extension).ok()?;
        if behind > reader.end() {
            return None;
        }
        (header.at, header.proto) = (behind, extension[0].into());
    }
    match (header.proto, header.family) {
        (TCP | UDP | SCTP, _) => {
            let kind = match header.proto {
                TCP => Kind::Tcp,
                UDP => Kind::Udp,
                _ => Kind::Other,
            };
            Some((Ports::from_header(reader.header::<4>(header.at).ok()?), kind))
        }
        (ICMP, Family::V4) | (ICMPV6, Family::V6) => {
            let message = icmp::read(reader, header.at, header.family).ok()?;
            (message.kind != Kind::IcmpError).then_some((message.ports, message.kind))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Be16, parse};

    /// Builds an IPv6 packet with next header `next` and the bytes `rest`.
    fn v6(next: u8, rest: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0];
        packet.extend((rest.len() as u16).to_be_bytes());
        packet.extend([next, 64]);
        packet.extend([[0xfd; 16], [0xfe; 16]].as_flattened());
        packet.extend(rest);
        packet
    }

    fn v4(proto: u8, flags_and_offset: u16, rest: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0];
        packet.extend((20 + rest.len() as u16).to_be_bytes());
        packet.extend([0xab, 0xcd]);
        packet.extend(flags_and_offset.to_be_bytes());
        packet.extend([64, proto, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        packet.extend(rest);
        packet
    }

    fn read(packet: &[u8], direction: Direction) -> Option<Fragment> {
        let fragment = parse_fragment(packet, packet.len() as u32, Link::Ip, direction);
        let whole = parse(packet, packet.len() as u32, Link::Ip, direction);
        assert_eq!(fragment.is_some(), whole == Err(Rejection::Fragment), "{packet:x?}");
        fragment
    }

    const PORTS: [u8; 8] = [0x10, 0x00, 0x00, 0x50, 0, 8, 0, 0];
    /// Eight bytes of destination options before TCP, UDP or an echo request.
    const OPTIONS_THEN: [[u8; 8]; 3] =
        [[6, 0, 1, 4, 0, 0, 0, 0], [17, 0, 1, 4, 0, 0, 0, 0], [58, 0, 1, 4, 0, 0, 0, 0]];

    #[test]
    fn a_first_fragment_with_options_has_its_ports() {
        for (options, proto) in OPTIONS_THEN.iter().zip([6, 17]) {
            // A fragment header (offset 0, more fragments) followed by destination options.
            let rest = [&[60, 0, 0, 1, 1, 2, 3, 4][..], options, &PORTS].concat();
            let fragment = read(&v6(44, &rest), Direction::In).unwrap();
            assert_eq!((fragment.key.proto, fragment.has_ports, fragment.is_first), (proto, true, true));
            assert_eq!(fragment.key.port, [Be16::new(0x1000), Be16::new(80)]);
            assert_eq!((fragment.identification, fragment.l4_offset, fragment.more), (0x0102_0304, 56, true));
            let out = read(&v6(44, &rest), Direction::Out).unwrap();
            assert_eq!(out.key, fragment.key.swapped());
        }
    }

    #[test]
    fn a_fragmented_query_has_its_identifier_and_an_error_has_no_ports() {
        let echo = [128, 0, 0, 0, 0x12, 0x34, 0, 1];
        let rest = [&[60, 0, 0, 1, 0, 0, 0, 1][..], &OPTIONS_THEN[2], &echo].concat();
        let fragment = read(&v6(44, &rest), Direction::In).unwrap();
        assert_eq!((fragment.has_ports, fragment.key.port), (true, [Be16::new(0x1234), Be16::new(128)]));
        let echo = [8, 0, 0, 0, 0x12, 0x34, 0, 1];
        let fragment = read(&v4(1, 0x2000, &echo), Direction::In).unwrap();
        assert_eq!((fragment.has_ports, fragment.key.port), (true, [Be16::new(0x1234), Be16::new(8)]));
        let error = read(&v4(1, 0x2000, &[3, 1, 0, 0, 0, 0, 0, 0]), Direction::In).unwrap();
        assert_eq!((error.has_ports, error.key.port), (false, [Be16::new(0); 2]));
    }

    #[test]
    fn a_later_fragment_has_addresses_and_its_payload_offset() {
        let last = read(&v4(6, 185, &PORTS), Direction::In).unwrap();
        assert_eq!((last.offset, last.more, last.is_first, last.has_ports), (1480, false, false, false));
        assert_eq!((last.key.addr[0][..4].to_vec(), last.key.proto), (vec![10, 0, 0, 1], 6));
        assert_eq!((last.identification, last.ip_length), (0xabcd, 28));
        let middle =
            read(&v6(44, &[&[17, 0, 5, 0xc9, 0, 0, 0, 9], &PORTS[..]].concat()), Direction::In).unwrap();
        assert_eq!((middle.offset, middle.more, middle.has_ports), (1480, true, false));
    }

    #[test]
    fn an_atomic_fragment_is_a_whole_packet_and_a_short_first_fragment_has_no_ports() {
        let atomic = [&[17, 0, 0, 0, 0, 0, 0, 9], &PORTS[..]].concat();
        assert_eq!(read(&v6(44, &atomic), Direction::In), None);
        let twice = [&[44, 0, 0, 0, 0, 0, 0, 9, 17, 0, 0, 1, 0, 0, 0, 7], &PORTS[..]].concat();
        let fragment = read(&v6(44, &twice), Direction::In).unwrap();
        assert_eq!((fragment.identification, fragment.has_ports), (7, true));
        // Options whose length exceeds the fragment.
        let cut = read(&v6(44, &[60, 0, 0, 1, 0, 0, 0, 7, 17, 9, 1, 4, 0, 0, 0, 0]), Direction::In).unwrap();
        assert_eq!((cut.has_ports, cut.l4_offset, cut.key.proto), (false, 48, 60));
        let short = read(&v4(17, 0x2000, &[0x10, 0]), Direction::In).unwrap();
        assert_eq!((short.has_ports, short.is_first), (false, true));
    }
}
