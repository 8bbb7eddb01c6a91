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
    pub fragment: bool,
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
const MOBILITY: u8 = 135;

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
    let more_or_offset = u16::from_be_bytes([header[6], header[7]]) & 0x3fff;
    let mut ip = Ip {
        family: Family::V4,
        source: [0; 16],
        destination: [0; 16],
        proto: header[9],
        l4_offset: at + header_bytes,
        length: length.into(),
        ttl: header[8],
        tos: header[1],
        options: header_bytes > V4_BYTES,
        fragment: more_or_offset != 0,
    };
    ip.source[..4].copy_from_slice(&header[12..16]);
    ip.destination[..4].copy_from_slice(&header[16..20]);
    Ok((ip, reader))
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
        fragment: false,
    };
    ip.source.copy_from_slice(&header[8..24]);
    ip.destination.copy_from_slice(&header[24..40]);
    if is_extension(ip.proto) {
        walk(&reader, &mut ip)?;
    }
    Ok((ip, reader))
}

const fn is_extension(proto: u8) -> bool {
    matches!(proto, HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION | MOBILITY)
}

/// Goes past the extension headers. Hop-by-hop options are allowed at the front only (RFC 8200 section 4.1), and no
/// header is looked for behind that of a fragment.
#[cold]
fn walk(reader: &Reader<'_>, ip: &mut Ip) -> Result<(), Rejection> {
    let mut seen = 0;
    while is_extension(ip.proto) {
        if seen == MOST_EXTENSIONS || ip.proto == HOP_BY_HOP && seen > 0 {
            return Err(Rejection::Malformed);
        }
        let header: &[u8; 8] = reader.header(ip.l4_offset)?;
        let bytes = match ip.proto {
            FRAGMENT => {
                // An atomic fragment (offset 0, nothing more) is a whole packet (RFC 6946).
                ip.fragment |= u16::from_be_bytes([header[2], header[3]]) & 0xfff9 != 0;
                8
            }
            AUTHENTICATION => (usize::from(header[1]) + 2) * 4,
            _ => (usize::from(header[1]) + 1) * 8,
        };
        if ip.l4_offset + bytes > reader.end() {
            return Err(Rejection::Truncated);
        }
        ip.options |= ip.proto != FRAGMENT;
        ip.proto = header[0];
        ip.l4_offset += bytes;
        seen += 1;
        if ip.fragment {
            break;
        }
    }
    Ok(())
}
