//! IPv4 and IPv6 headers, past options and extension headers.

use super::reader::Reader;
use super::{Family, Rejection};

/// What the IP header says.
#[derive(Clone, Copy)]
pub(super) struct Ip {
    pub family: Family,
    /// Addresses as the key holds them, in numbers whose little-endian bytes they are: see [`super::Key`]'s stores.
    pub source: u128,
    /// See [`Self::source`].
    pub destination: u128,
    /// The IP packet in octets.
    pub length: u32,
    pub ttl: u8,
    pub tos: u8,
    pub payload: Payload,
}

/// What comes behind the headers that are gone past.
///
/// It and [`Ip`] are handed on by value, and are whole numbers without gaps. What a rare path takes a reference to is
/// kept in memory on the common path too; into a type with unused values, such as a `bool`, a `Result` folds its
/// error, so that a word of it is put together from pieces; and gaps are copied. Each costs a wait for stores that have
/// only just been made, of five nanoseconds a packet.
#[derive(Clone, Copy)]
pub(super) struct Payload {
    pub proto: usize,
    /// Where it begins.
    pub at: usize,
    /// Where the packet ends, by its header.
    pub end: usize,
    /// Octets of options in front of it.
    pub option_octets: usize,
}

/// Which part of a packet this is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fragment {
    /// All of it.
    Whole,
    /// The first part, with the transport header in it.
    First,
    /// A later part: it has no ports.
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

    /// A part of a packet cannot be judged. Of a packet that an ICMP error quotes the first part can, and a later one is
    /// no `Fragment`: the error itself is whole, and its receiver has nothing to reassemble.
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
/// Extension headers that are walked; hosts send two or three.
pub(super) const MAX_EXTENSIONS: usize = 8;

const HOP_BY_HOP: usize = 0;
const ROUTING: usize = 43;
pub(super) const FRAGMENT: usize = 44;
const AUTHENTICATION: usize = 51;
const DESTINATION: usize = 60;
/// The least that an authentication header has (RFC 4302 section 2).
const AUTHENTICATION_BYTES: usize = 12;

/// Reads the IP header at `at`. `expected` is the version that the Ethernet type names. With `quoted` the packet may be
/// cut off before its own end, as an ICMP error does.
#[inline(always)]
pub(super) fn read(
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

/// Where the packet ends by its header; where the bytes end if it is quoted and that comes first.
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
    let (at, option_octets) = (at + header_bytes, header_bytes - V4_BYTES);
    let first = Payload { proto: header[9].into(), at, end, option_octets };
    let is_extended = is_extension(Family::V4, first.proto) && fragment == Fragment::Whole;
    let payload = if is_extended { walk(*reader, Family::V4, first, quoted)? } else { first };
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
    let first = Payload { proto: header[6].into(), at: at + V6_BYTES, end, option_octets: 0 };
    let is_extended = is_extension(Family::V6, first.proto);
    let payload = if is_extended { walk(*reader, Family::V6, first, quoted)? } else { first };
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

/// Whether the next header is one to go past. IPv4 has the authentication header only. Behind a mobility header (135)
/// or "no next header" (59) nothing follows that counts (RFC 6275 section 6.1.1, RFC 8200 section 4.7): such packets go
/// by their addresses.
#[inline(always)]
pub(super) fn is_extension(family: Family, proto: usize) -> bool {
    match proto {
        AUTHENTICATION => true,
        HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION => family == Family::V6,
        _ => false,
    }
}

/// How long an extension header is.
pub(super) fn extension_bytes(proto: usize, header: &[u8; 8]) -> Result<usize, Rejection> {
    match (proto, usize::from(header[1])) {
        (FRAGMENT, _) => Ok(8),
        (AUTHENTICATION, length) if (length + 2) * 4 < AUTHENTICATION_BYTES => Err(Rejection::Malformed),
        (AUTHENTICATION, length) => Ok((length + 2) * 4),
        (_, length) => Ok((length + 1) * 8),
    }
}

/// Goes past the extension headers (OpenBSD `pf_walk_header`, `pf_walk_header6`). Hop-by-hop options are allowed at the
/// front only (RFC 8200 section 4.1). Behind the header of a fragment nothing is looked for, but for the first fragment
/// that an ICMP error quotes: there is nothing to reassemble.
#[cold]
fn walk(reader: Reader<'_>, family: Family, first: Payload, quoted: bool) -> Result<Payload, Rejection> {
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
            // An atomic fragment (offset 0, nothing more) is a whole packet (RFC 6946).
            let offset_and_more = u16::from_be_bytes([header[2], header[3]]);
            fragment = fragment.max(Fragment::new(offset_and_more >> 3, offset_and_more & 1 != 0));
        }
        let bytes = extension_bytes(payload.proto, header)?;
        if payload.at + bytes > reader.end() {
            return Err(Rejection::Truncated);
        }
        let is_option = matches!(payload.proto, HOP_BY_HOP | ROUTING | DESTINATION);
        payload.option_octets += if is_option { bytes } else { 0 };
        payload.proto = header[0].into();
        payload.at += bytes;
        seen += 1;
        fragment.check(quoted)?;
    }
    Ok(payload)
}
