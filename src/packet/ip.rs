//! IPv4 and IPv6 headers, past options and extension headers.

use super::reader::Reader;
use super::{Family, Rejection};

/// What the IP header says.
#[derive(Clone, Copy)]
pub(super) struct Ip {
    pub family: Family,
    pub source: [u8; 16],
    pub destination: [u8; 16],
    /// The protocol of the payload.
    pub proto: u8,
    /// Where the payload begins.
    pub l4_offset: usize,
    /// The IP packet in octets.
    pub length: u32,
    pub ttl: u8,
    pub tos: u8,
    pub options: bool,
    pub fragment: Fragment,
}

/// Which part of a packet this is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fragment {
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
}

const V4_BYTES: usize = 20;
const V6_BYTES: usize = 40;
/// Extension headers that are walked; hosts send two or three.
const MOST_EXTENSIONS: usize = 8;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;
/// The least that an authentication header has (RFC 4302 section 2).
const AUTHENTICATION_BYTES: usize = 12;

/// Reads the IP header at `at`. `expected` is the version that the Ethernet type names. With `quoted` the packet may be
/// cut off before its own end, as an ICMP error does.
#[inline(always)]
pub(super) fn read<'a>(
    reader: &Reader<'a>,
    at: usize,
    expected: Option<u8>,
    quoted: bool,
) -> Result<(Ip, Reader<'a>), Rejection> {
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

#[inline(always)]
fn bounded<'a>(reader: &Reader<'a>, end: usize, quoted: bool) -> Result<Reader<'a>, Rejection> {
    if quoted { Ok(reader.quoted(end)) } else { reader.ending_at(end) }
}

#[inline(always)]
fn v4<'a>(reader: &Reader<'a>, at: usize, quoted: bool) -> Result<(Ip, Reader<'a>), Rejection> {
    let header: &[u8; V4_BYTES] = reader.header(at)?;
    let header_bytes = usize::from(header[0] & 0x0f) * 4;
    let length = u16::from_be_bytes([header[2], header[3]]);
    if header_bytes < V4_BYTES || usize::from(length) < header_bytes {
        return Err(Rejection::Malformed);
    }
    let reader = bounded(reader, at + usize::from(length), quoted)?;
    if at + header_bytes > reader.end() {
        return Err(Rejection::Truncated);
    }
    let flags_and_offset = u16::from_be_bytes([header[6], header[7]]);
    let mut ip = Ip {
        family: Family::V4,
        source: widened([header[12], header[13], header[14], header[15]]),
        destination: widened([header[16], header[17], header[18], header[19]]),
        proto: header[9],
        l4_offset: at + header_bytes,
        length: length.into(),
        ttl: header[8],
        tos: header[1],
        options: header_bytes > V4_BYTES,
        fragment: Fragment::new(flags_and_offset & 0x1fff, flags_and_offset & 0x2000 != 0),
    };
    if is_extension(&ip) && ip.fragment == Fragment::Whole {
        walk(&reader, &mut ip, quoted)?;
    }
    Ok((ip, reader))
}

/// An IPv4 address as the key holds it. Made as one number, so that it is stored in the whole words that the hash and
/// the comparison load, not in a short store over a long one.
#[inline(always)]
const fn widened(address: [u8; 4]) -> [u8; 16] {
    (u32::from_le_bytes(address) as u128).to_le_bytes()
}

#[inline(always)]
fn v6<'a>(reader: &Reader<'a>, at: usize, quoted: bool) -> Result<(Ip, Reader<'a>), Rejection> {
    let header: &[u8; V6_BYTES] = reader.header(at)?;
    let length = V6_BYTES + usize::from(u16::from_be_bytes([header[4], header[5]]));
    let reader = bounded(reader, at + length, quoted)?;
    let mut ip = Ip {
        family: Family::V6,
        source: [0; 16],
        destination: [0; 16],
        proto: header[6],
        l4_offset: at + V6_BYTES,
        length: length as u32,
        ttl: header[7],
        tos: header[0] << 4 | header[1] >> 4,
        options: false,
        fragment: Fragment::Whole,
    };
    ip.source.copy_from_slice(&header[8..24]);
    ip.destination.copy_from_slice(&header[24..40]);
    if is_extension(&ip) {
        walk(&reader, &mut ip, quoted)?;
    }
    Ok((ip, reader))
}

/// Whether the next header is one to go past. IPv4 has the authentication header only. Behind a mobility header (135)
/// or "no next header" (59) nothing follows that counts (RFC 6275 section 6.1.1, RFC 8200 section 4.7): such packets go
/// by their addresses.
#[inline(always)]
fn is_extension(ip: &Ip) -> bool {
    match ip.proto {
        AUTHENTICATION => true,
        HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION => ip.family == Family::V6,
        _ => false,
    }
}

/// Goes past the extension headers (OpenBSD `pf_walk_header`, `pf_walk_header6`). Hop-by-hop options are allowed at the
/// front only (RFC 8200 section 4.1). Behind the header of a fragment nothing is looked for, but for the first fragment
/// that an ICMP error quotes: there is nothing to reassemble.
#[cold]
fn walk(reader: &Reader<'_>, ip: &mut Ip, quoted: bool) -> Result<(), Rejection> {
    let mut seen = 0;
    while is_extension(ip) {
        if seen == MOST_EXTENSIONS || ip.proto == HOP_BY_HOP && seen > 0 {
            return Err(Rejection::Malformed);
        }
        let header: &[u8; 8] = reader.header(ip.l4_offset)?;
        let bytes = match ip.proto {
            FRAGMENT => {
                // An atomic fragment (offset 0, nothing more) is a whole packet (RFC 6946).
                let offset_and_more = u16::from_be_bytes([header[2], header[3]]);
                let this = Fragment::new(offset_and_more >> 3, offset_and_more & 1 != 0);
                ip.fragment = ip.fragment.max(this);
                8
            }
            AUTHENTICATION => (usize::from(header[1]) + 2) * 4,
            _ => (usize::from(header[1]) + 1) * 8,
        };
        if ip.proto == AUTHENTICATION && bytes < AUTHENTICATION_BYTES {
            return Err(Rejection::Malformed);
        }
        if ip.l4_offset + bytes > reader.end() {
            return Err(Rejection::Truncated);
        }
        ip.options |= matches!(ip.proto, HOP_BY_HOP | ROUTING | DESTINATION);
        ip.proto = header[0];
        ip.l4_offset += bytes;
        seen += 1;
        if ip.fragment == Fragment::Later || ip.fragment == Fragment::First && !quoted {
            break;
        }
    }
    Ok(())
}
