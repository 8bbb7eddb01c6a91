//! IPv4 and IPv6 headers, with options and extension headers.

use super::reader::Reader;
use crate::packet::{Family, IpOptions, Rejection};

/// The IP header.
#[derive(Clone, Copy)]
pub(in crate::packet) struct Ip {
    pub family: Family,
    /// The source address, in a number whose little-endian bytes are those of the key.
    pub source: u128,
    /// The destination address, like [`Self::source`].
    pub destination: u128,
    /// Length of the IP packet in bytes.
    pub length: u32,
    pub ttl: u8,
    pub tos: u8,
    pub payload: Payload,
}

/// What follows the IP header, its options and extension headers.
///
/// This type and [`Ip`] are passed by value and have whole-word fields without padding. A reference taken on a slow path
/// would force them into memory on the fast path too, and a `bool` field would let `Result` pack its error into unused
/// bits. Either causes store-forwarding stalls.
#[derive(Clone, Copy)]
pub(in crate::packet) struct Payload {
    pub proto: usize,
    /// Offset of the payload.
    pub at: usize,
    /// End of the packet, by its header.
    pub end: usize,
    /// See [`IpOptions`].
    pub options: usize,
}

/// Which part of a fragmented packet this is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fragment {
    /// The whole packet.
    Whole,
    /// The first part, which has the transport header.
    First,
    /// A later part, which has no ports.
    Later,
}

impl Fragment {
    #[inline(always)]
    const fn new(offset: u16, more: bool) -> Self {
        match (offset, more) {
            (0, false) => Self::Whole,
            (0, true) => Self::First,
            _ => Self::Later,
        }
    }

    /// Rejects fragments. A quoted packet may be a first fragment; a quoted later one is malformed rather than a
    /// fragment, because the error that quotes it needs no reassembly.
    #[inline(always)]
    const fn check(self, quoted: bool) -> Result<(), Rejection> {
        match (self, quoted) {
            (Self::Whole, _) | (Self::First, true) => Ok(()),
            (Self::Later, true) => Err(Rejection::Malformed),
            (_, false) => Err(Rejection::Fragment),
        }
    }
}

const V4_BYTES: usize = 20;
const V6_BYTES: usize = 40;
/// Maximum number of extension headers; hosts send two or three.
pub(in crate::packet) const MAX_EXTENSIONS: usize = 8;

const HOP_BY_HOP: usize = 0;
const ROUTING: usize = 43;
pub(in crate::packet) const FRAGMENT: usize = 44;
const AUTHENTICATION: usize = 51;
const DESTINATION: usize = 60;
/// Minimum length of an authentication header (RFC 4302 section 2).
const MIN_AUTHENTICATION_BYTES: usize = 12;

/// Parses the IP header at `at`. `expected` is the version that the Ethernet type names. A packet that an ICMP error
/// quotes (`quoted`) may be cut short.
#[inline(always)]
pub(in crate::packet) fn read(
    reader: &Reader<'_>,
    at: usize,
    expected: Option<u8>,
    quoted: bool,
) -> Result<Ip, Rejection> {
    let [first] = *reader.header::<1>(at)?;
    let version = first >> 4;
    if expected.is_some_and(|expected| expected != version) {
        return Err(Rejection::Malformed);
    }
    match version {
        4 => v4(reader, at, quoted),
        6 => v6(reader, at, quoted),
        _ if expected.is_none() => Err(Rejection::NotIp),
        _ => Err(Rejection::Malformed),
    }
}

/// Returns the packet's end by its header, or the end of the bytes for a quoted packet that is cut short.
#[inline(always)]
fn end_of(reader: &Reader<'_>, end: usize, quoted: bool) -> Result<usize, Rejection> {
    if end <= reader.end() {
        return Ok(end);
    }
    if quoted { Ok(reader.end()) } else { Err(Rejection::Truncated) }
}

#[inline(always)]
fn v4(reader: &Reader<'_>, at: usize, quoted: bool) -> Result<Ip, Rejection> {
    let header: &[u8; V4_BYTES] = reader.header(at)?;
    let header_bytes = usize::from(header[0] & 0x0f) * 4;
    let length = u16::from_be_bytes([header[2], header[3]]);
    if header_bytes < V4_BYTES || usize::from(length) < header_bytes {
        return Err(Rejection::Malformed);
    }
    let end = end_of(reader, at + usize::from(length), quoted)?;
    if at + header_bytes > end {
        return Err(Rejection::Truncated);
    }
    let flags_and_offset = u16::from_be_bytes([header[6], header[7]]);
    let fragment = Fragment::new(flags_and_offset & 0x1fff, flags_and_offset & 0x2000 != 0);
    fragment.check(quoted)?;
    let options = if header_bytes == V4_BYTES { 0 } else { v4_options(*reader, at, header_bytes)? };
    let at = at + header_bytes;
    let first = Payload { proto: header[9].into(), at, end, options };
    let is_extended = is_extension(Family::V4, first.proto) && fragment == Fragment::Whole;
    let payload = if is_extended { skip_extensions(*reader, Family::V4, first, quoted)? } else { first };
    Ok(Ip {
        family: Family::V4,
        source: u32::from_le_bytes([header[12], header[13], header[14], header[15]]).into(),
        destination: u32::from_le_bytes([header[16], header[17], header[18], header[19]]).into(),
        length: length.into(),
        ttl: header[8],
        tos: header[1],
        payload,
    })
}

#[inline(always)]
fn v6(reader: &Reader<'_>, at: usize, quoted: bool) -> Result<Ip, Rejection> {
    let header: &[u8; V6_BYTES] = reader.header(at)?;
    let length = V6_BYTES + usize::from(u16::from_be_bytes([header[4], header[5]]));
    let end = end_of(reader, at + length, quoted)?;
    let first = Payload { proto: header[6].into(), at: at + V6_BYTES, end, options: 0 };
    let is_extended = is_extension(Family::V6, first.proto);
    let payload = if is_extended { skip_extensions(*reader, Family::V6, first, quoted)? } else { first };
    let (_, addresses) = header.split_at(8);
    let address = |at: usize| addresses[at..].first_chunk().map_or(0, |bytes| u128::from_le_bytes(*bytes));
    Ok(Ip {
        family: Family::V6,
        source: address(0),
        destination: address(16),
        length: length as u32,
        ttl: header[7],
        tos: header[0] << 4 | header[1] >> 4,
        payload,
    })
}

/// Whether `proto` is an extension header that the parser skips; IPv4 has the authentication header only. Mobility (135)
/// and "no next header" (59) are not skipped, because nothing may follow them (RFC 6275 section 6.1.1, RFC 8200 section
/// 4.7): such packets are keyed by their addresses.
#[inline(always)]
pub(in crate::packet) fn is_extension(family: Family, proto: usize) -> bool {
    match proto {
        AUTHENTICATION => true,
        HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION => family == Family::V6,
        _ => false,
    }
}

/// Returns the length of an extension header.
pub(in crate::packet) fn extension_bytes(proto: usize, header: &[u8; 8]) -> Result<usize, Rejection> {
    match (proto, usize::from(header[1])) {
        (FRAGMENT, _) => Ok(8),
        (AUTHENTICATION, length) if (length + 2) * 4 < MIN_AUTHENTICATION_BYTES => Err(Rejection::Malformed),
        (AUTHENTICATION, length) => Ok((length + 2) * 4),
        (_, length) => Ok((length + 1) * 8),
    }
}

const OPTION_END: u8 = 0;
const OPTION_NOP: u8 = 1;
const LOOSE_SOURCE_ROUTE: u8 = 131;
const STRICT_SOURCE_ROUTE: u8 = 137;

/// Reads the options of an IPv4 header of `header_bytes` bytes at `at`. Like hosts, it stops at a malformed option.
#[cold]
pub(in crate::packet) fn v4_options(
    reader: Reader<'_>,
    at: usize,
    header_bytes: usize,
) -> Result<usize, Rejection> {
    let mut options = reader.slice(at + V4_BYTES, header_bytes - V4_BYTES)?;
    let mut found = IpOptions::OPTIONS;
    while let [kind, rest @ ..] = options {
        let length = match (*kind, rest.first()) {
            (OPTION_END, _) => break,
            (OPTION_NOP, _) => 1,
            (_, Some(length)) if *length >= 2 => usize::from(*length),
            _ => break,
        };
        if matches!(*kind, LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE) {
            found |= IpOptions::SOURCE_ROUTE;
        }
        options = options.get(length..).unwrap_or_default();
    }
    Ok(found.into())
}

/// Returns what an extension header adds to a packet's [`IpOptions`].
pub(in crate::packet) const fn extension_options(proto: usize, header: &[u8; 8]) -> u8 {
    match (proto, header[2]) {
        (ROUTING, 0) => IpOptions::OPTIONS | IpOptions::SOURCE_ROUTE,
        (HOP_BY_HOP | ROUTING | DESTINATION, _) => IpOptions::OPTIONS,
        (AUTHENTICATION, _) => IpOptions::AUTHENTICATION,
        _ => 0,
    }
}

/// Skips the extension headers (OpenBSD `pf_walk_header`, `pf_walk_header6`). Hop-by-hop options must come first (RFC
/// 8200 section 4.1). A fragment header ends the walk, except in a quoted first fragment.
#[cold]
fn skip_extensions(
    reader: Reader<'_>,
    family: Family,
    first: Payload,
    quoted: bool,
) -> Result<Payload, Rejection> {
    let reader = reader.ending_at(first.end);
    let mut payload = first;
    let mut fragment = Fragment::Whole;
    let mut seen = 0;
    while is_extension(family, payload.proto) {
        if seen == MAX_EXTENSIONS || payload.proto == HOP_BY_HOP && seen > 0 {
            return Err(Rejection::Malformed);
        }
        let header: &[u8; 8] = reader.header(payload.at)?;
        if payload.proto == FRAGMENT {
            // An atomic fragment (offset 0, no more fragments) is a whole packet (RFC 6946).
            let offset_and_more = u16::from_be_bytes([header[2], header[3]]);
            fragment = fragment.max(Fragment::new(offset_and_more >> 3, offset_and_more & 1 != 0));
        }
        let bytes = extension_bytes(payload.proto, header)?;
        if payload.at + bytes > reader.end() {
            return Err(Rejection::Truncated);
        }
        payload.options |= usize::from(extension_options(payload.proto, header));
        payload.proto = header[0].into();
        payload.at += bytes;
        seen += 1;
        fragment.check(quoted)?;
    }
    Ok(payload)
}
