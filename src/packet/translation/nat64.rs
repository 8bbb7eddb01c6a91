//! NAT64 (RFC 7915; pf's af-to): replaces the IP header by one of the other family.
//!
//! The new header ends where the transport header begins and the link header moves, so the data stays in place. Packets
//! with IP options, extension headers or fragments are not translated. A new IPv4 header has "don't fragment" set and no
//! identification (RFC 6864). TTL and hop limit are copied.

use super::fields::Fields;
use super::other::{self, Segment};
use super::{
    ICMP, ICMPV6, Result, TCP, TranslateError, Translation, UDP, WritablePacket, address_delta,
    nat64_icmp_error, source_first, transport_bytes,
};
use crate::packet::checksum::{ChecksumDelta, checksum};
use crate::packet::parse::icmp;
use crate::packet::parse::ip::is_extension;
use crate::packet::{Be16, Facts, Family, Key, Kind};

pub(super) const V4_BYTES: usize = 20;
pub(super) const V6_BYTES: usize = 40;
const IPV4_TYPE: [u8; 2] = [0x08, 0x00];
const IPV6_TYPE: [u8; 2] = [0x86, 0xdd];

/// Returns the length of a header without options.
pub(super) fn header_bytes(family: Family) -> usize {
    if family == Family::V4 { V4_BYTES } else { V6_BYTES }
}

/// The fields of an IP header besides the addresses.
#[derive(Clone, Copy)]
pub(super) struct HeaderFields {
    pub tos: u8,
    pub ttl: u8,
    pub proto: u8,
    /// Length of the payload in bytes.
    pub payload: usize,
}

/// An IP header of either family.
pub(super) struct Header {
    bytes: [u8; V6_BYTES],
    length: usize,
}

impl Header {
    /// Builds a header for `key` with the source in slot `source`. Fails if the length field overflows.
    pub(super) fn new(key: &Key, source: usize, fields: HeaderFields) -> Result<Self> {
        let [source, destination] = source_first(key.addr, source);
        let mut bytes = [0; V6_BYTES];
        let length = header_bytes(key.family);
        let own = if key.family == Family::V4 { V4_BYTES } else { 0 };
        let length_field =
            u16::try_from(fields.payload + own).map_err(|_| TranslateError::Untranslatable)?.to_be_bytes();
        if key.family == Family::V4 {
            bytes[..2].copy_from_slice(&[0x45, fields.tos]);
            bytes[2..4].copy_from_slice(&length_field);
            bytes[6] = 0x40;
            bytes[8..10].copy_from_slice(&[fields.ttl, fields.proto]);
            bytes[12..16].copy_from_slice(&source[..4]);
            bytes[16..20].copy_from_slice(&destination[..4]);
            let sum = checksum(&bytes[..V4_BYTES]);
            bytes[10..12].copy_from_slice(&sum.0);
        } else {
            bytes[..2].copy_from_slice(&[0x60 | fields.tos >> 4, fields.tos << 4]);
            bytes[4..6].copy_from_slice(&length_field);
            bytes[6..8].copy_from_slice(&[fields.proto, fields.ttl]);
            bytes[8..24].copy_from_slice(&source);
            bytes[24..].copy_from_slice(&destination);
        }
        Ok(Self { bytes, length })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Builds the pseudo header that an ICMPv6 checksum covers and an ICMP checksum does not.
fn pseudo_header(addresses: &[[u8; 16]; 2], length: usize) -> [u8; 38] {
    let mut bytes = [0; 38];
    bytes[..32].copy_from_slice(addresses.as_flattened());
    bytes[32..36].copy_from_slice(&(length as u32).to_be_bytes());
    bytes[37] = ICMPV6;
    bytes
}

/// Returns the checksum delta of adding or removing the ICMPv6 pseudo header, given the message's old and new length.
pub(super) fn pseudo_header_delta(
    from: &Key,
    to: &Key,
    old_length: usize,
    new_length: usize,
) -> ChecksumDelta {
    if to.family == Family::V6 {
        ChecksumDelta::between(&[], &pseudo_header(&to.addr, new_length))
    } else {
        ChecksumDelta::between(&pseudo_header(&from.addr, old_length), &[])
    }
}

/// Returns the protocol's number in the other family, which differs for ICMP only.
const fn counterpart(proto: u8) -> u8 {
    match proto {
        ICMP => ICMPV6,
        ICMPV6 => ICMP,
        other => other,
    }
}

/// Whether the keys differ in family and correspond in protocol.
fn is_translatable(from: &Key, to: &Key) -> bool {
    let families = [from.family, to.family];
    let differ = families == [Family::V4, Family::V6] || families == [Family::V6, Family::V4];
    differ && counterpart(from.proto) == to.proto && !is_extension(to.family, to.proto.into())
}

/// Rewrites a packet. Returns its new offset in the buffer.
///
/// # Errors
/// [`TranslateError::NotWritable`] if the headroom is too small.
pub(super) fn rewrite(
    translation: &Translation<'_>,
    facts: &Facts,
    packet: &mut WritablePacket<'_>,
) -> Result<usize> {
    let (from, to) = (&facts.key, translation.to);
    let (ip, transport) = (usize::from(facts.l3_offset), usize::from(facts.l4_offset));
    let own = header_bytes(from.family);
    if !is_translatable(from, to) || transport != ip + own {
        return Err(TranslateError::Untranslatable);
    }
    let payload = (facts.ip_length as usize).checked_sub(own).ok_or(TranslateError::Untranslatable)?;
    let mut header_fields = HeaderFields { tos: facts.tos, ttl: facts.ttl, proto: to.proto, payload };
    let bytes = packet.bytes.get_mut(packet.start..).ok_or(TranslateError::NotContiguous)?;
    let mut fields = Fields::new(bytes, packet.l4_offload, packet.ip_offload);
    fields.has(transport, 0)?;
    let source = facts.direction.source_slot();
    if facts.kind == Kind::IcmpError {
        let outer = nat64_icmp_error::outer_key(fields.bytes(), facts, to);
        let error = nat64_icmp_error::IcmpError::read(&mut fields, facts, translation, payload)?;
        header_fields.payload = error.length;
        header_fields.proto = if to.family == Family::V6 { ICMPV6 } else { ICMP };
        let header = Header::new(&outer, source, header_fields)?;
        // Replaces three headers: IP, ICMP and the quoted IP header.
        let old = 2 * own + icmp::HEADER_BYTES;
        let start = new_start(packet.start, old, 2 * header.bytes().len() + icmp::HEADER_BYTES)?;
        let (message, quoted) = error.write(&mut fields, facts, translation, &outer)?;
        return Ok(write_headers(packet, ip, start, &[header.bytes(), &message, quoted.bytes()], to.family));
    }
    let header = Header::new(to, source, header_fields)?;
    let start = new_start(packet.start, own, header.bytes().len())?;
    rewrite_transport(&mut fields, facts, translation, payload)?;
    Ok(write_headers(packet, ip, start, &[header.bytes()], to.family))
}

/// Returns the packet's offset after `new` bytes of headers replace `old` ones.
fn new_start(start: usize, old: usize, new: usize) -> Result<usize> {
    (start + old).checked_sub(new).ok_or(TranslateError::NotWritable)
}

/// Moves the link header to `start`, sets its Ethernet type, and writes the new headers behind it.
fn write_headers(
    packet: &mut WritablePacket<'_>,
    ip: usize,
    start: usize,
    headers: &[&[u8]],
    family: Family,
) -> usize {
    packet.bytes.copy_within(packet.start..packet.start + ip, start);
    let mut at = start + ip;
    if ip >= 2 {
        let kind = if family == Family::V4 { IPV4_TYPE } else { IPV6_TYPE };
        packet.bytes[at - 2..at].copy_from_slice(&kind);
    }
    for header in headers {
        packet.bytes[at..at + header.len()].copy_from_slice(header);
        at += header.len();
    }
    start
}

/// Rewrites ports or identifier, sequence numbers and checksum of a packet other than an ICMP error.
fn rewrite_transport(
    fields: &mut Fields<'_>,
    facts: &Facts,
    translation: &Translation<'_>,
    payload: usize,
) -> Result<()> {
    let (from, to, at) = (&facts.key, translation.to, usize::from(facts.l4_offset));
    match from.proto {
        TCP | UDP => {
            fields.has(at, transport_bytes(from.proto))?;
            let has_checksum = from.proto == TCP || fields.bytes()[at + 6..at + 8] != [0, 0];
            if has_checksum || to.family == Family::V4 {
                return translation.rewrite_transport(fields, facts, address_delta(from, to));
            }
            // IPv6 requires a checksum (RFC 7915 section 4.5).
            let length = usize::from(u16::from_be_bytes([fields.bytes()[at + 4], fields.bytes()[at + 5]]));
            fields.has(at, length)?;
            fields.ports(at, source_first(to.port, facts.direction.source_slot()))?;
            fields.compute_udp_checksum(at, length, to)
        }
        ICMP | ICMPV6 => {
            fields.has(at, icmp::HEADER_BYTES)?;
            let source = facts.direction.source_slot();
            let slot = if facts.kind == Kind::IcmpReply { 1 - source } else { source };
            let pseudo = pseudo_header_delta(from, to, payload, payload);
            rewrite_echo(fields, at, from.port[1 - slot], to, slot, pseudo).map(drop)
        }
        _ => other::rewrite(fields, from, to, Segment::of(facts), address_delta(from, to)),
    }
}

/// Gives the echo request or reply at `at` the other family's type and the new identifier. `kind` is the request's type.
/// Returns the delta for an enclosing checksum.
pub(super) fn rewrite_echo(
    fields: &mut Fields<'_>,
    at: usize,
    kind: Be16,
    to: &Key,
    slot: usize,
    pseudo: ChecksumDelta,
) -> Result<ChecksumDelta> {
    const TYPES: [[u8; 2]; 2] = [[8, 128], [0, 129]];
    let Some(&[old, code]) = fields.bytes().get(at..at + 2).and_then(<[u8]>::first_chunk) else {
        return Err(TranslateError::NotContiguous);
    };
    let is_request = u16::from(old) == kind.get();
    let [v4, v6] = TYPES[usize::from(!is_request)];
    let new = if to.family == Family::V4 { v4 } else { v6 };
    if !matches!(kind.get(), 8 | 128) || old != if to.family == Family::V4 { v6 } else { v4 } {
        return Err(TranslateError::Untranslatable);
    }
    let mut change = fields.replace(at, [new, code])?;
    change = change.plus(fields.replace(at + 4, to.port[slot].0)?);
    let covered = change.plus(pseudo);
    Ok(change.plus(fields.update_checksum(at + 2, |old| covered.apply(old))?))
}
