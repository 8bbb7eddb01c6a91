//! From one family to the other (RFC 7915; pf's af-to): another IP header, the same data.
//!
//! The new header is put right before the transport header, and what stands before it moves along, so that the data stays
//! where it is. Translated are plain headers: options, extension headers and fragments are not. An IPv4 header that is made
//! says "do not fragment" and has no identification (RFC 6864). TTL and hop limit are taken over.

use super::fields::Fields;
use super::{
    ICMP, ICMPV6, Refused, TCP, Translation, UDP, Writable, addresses_change, family_icmp, modulation,
    ordered,
};
use crate::packet::checksum::{Change, checksum};
use crate::packet::ip::is_extension;
use crate::packet::{Be16, Facts, Family, Key, Kind, icmp};

pub(super) const V4_BYTES: usize = 20;
pub(super) const V6_BYTES: usize = 40;
const IPV4_TYPE: [u8; 2] = [0x08, 0x00];
const IPV6_TYPE: [u8; 2] = [0x86, 0xdd];

/// Octets of a family's plain header.
pub(super) fn header_bytes(family: Family) -> usize {
    if family == Family::V4 { V4_BYTES } else { V6_BYTES }
}

/// What a header says besides addresses.
#[derive(Clone, Copy)]
pub(super) struct Said {
    pub tos: u8,
    pub ttl: u8,
    pub proto: u8,
    /// Octets behind the header.
    pub payload: usize,
}

/// An IP header of either family.
pub(super) struct Header {
    bytes: [u8; V6_BYTES],
    length: usize,
}

impl Header {
    /// A header for `key`, whose slot `source` is the source's. Refused where the length does not fit.
    pub(super) fn new(key: &Key, source: usize, said: Said) -> Result<Self, Refused> {
        let [source, destination] = ordered(key.addr, source);
        let mut bytes = [0; V6_BYTES];
        let length = header_bytes(key.family);
        let own = if key.family == Family::V4 { V4_BYTES } else { 0 };
        let octets = u16::try_from(said.payload + own).map_err(|_| Refused::Untranslatable)?.to_be_bytes();
        if key.family == Family::V4 {
            bytes[..2].copy_from_slice(&[0x45, said.tos]);
            bytes[2..4].copy_from_slice(&octets);
            bytes[6] = 0x40;
            bytes[8..10].copy_from_slice(&[said.ttl, said.proto]);
            bytes[12..16].copy_from_slice(&source[..4]);
            bytes[16..20].copy_from_slice(&destination[..4]);
            let sum = checksum(&bytes[..V4_BYTES]);
            bytes[10..12].copy_from_slice(&sum.0);
        } else {
            bytes[..2].copy_from_slice(&[0x60 | said.tos >> 4, said.tos << 4]);
            bytes[4..6].copy_from_slice(&octets);
            bytes[6..8].copy_from_slice(&[said.proto, said.ttl]);
            bytes[8..24].copy_from_slice(&source);
            bytes[24..].copy_from_slice(&destination);
        }
        Ok(Self { bytes, length })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// What an ICMPv6 checksum covers that an ICMP checksum does not: addresses in either order, length and protocol.
fn pseudo_header(addresses: &[[u8; 16]; 2], length: usize) -> [u8; 38] {
    let mut bytes = [0; 38];
    bytes[..32].copy_from_slice(addresses.as_flattened());
    bytes[32..36].copy_from_slice(&(length as u32).to_be_bytes());
    bytes[37] = ICMPV6;
    bytes
}

/// What leaving or entering IPv6 does to the checksum of an ICMP message whose length was and is as said.
pub(super) fn pseudo_change(from: &Key, to: &Key, was: usize, is: usize) -> Change {
    if to.family == Family::V6 {
        Change::between(&[], &pseudo_header(&to.addr, is))
    } else {
        Change::between(&pseudo_header(&from.addr, was), &[])
    }
}

/// The like of an ICMP protocol in the other family; every other protocol is its own.
const fn like(proto: u8) -> u8 {
    match proto {
        ICMP => ICMPV6,
        ICMPV6 => ICMP,
        other => other,
    }
}

/// Whether the keys are of one connection in two families.
fn is_pair(from: &Key, to: &Key) -> bool {
    let families = [from.family, to.family];
    let differ = families == [Family::V4, Family::V6] || families == [Family::V6, Family::V4];
    differ && like(from.proto) == to.proto && !is_extension(to.family, to.proto.into())
}

/// Rewrites a packet. Returns where it begins afterwards.
///
/// # Errors
/// [`Refused::NotWritable`] when there is too little room before it.
pub(super) fn rewrite(
    translation: &Translation<'_>,
    facts: &Facts,
    packet: &mut Writable<'_>,
) -> Result<usize, Refused> {
    let (from, to) = (&facts.key, translation.to);
    let (ip, transport) = (usize::from(facts.l3_offset), usize::from(facts.l4_offset));
    let own = header_bytes(from.family);
    if !is_pair(from, to) || transport != ip + own {
        return Err(Refused::Untranslatable);
    }
    let payload = (facts.ip_length as usize).checked_sub(own).ok_or(Refused::Untranslatable)?;
    let mut said = Said { tos: facts.tos, ttl: facts.ttl, proto: to.proto, payload };
    let bytes = packet.bytes.get_mut(packet.start..).ok_or(Refused::NotContiguous)?;
    let mut fields = Fields::new(bytes, packet.partial, packet.ip_left);
    fields.has(transport, 0)?;
    let source = facts.direction.source_slot();
    if facts.kind == Kind::IcmpError {
        let error = family_icmp::Error::read(&mut fields, facts, translation, payload)?;
        said.payload = error.length;
        said.proto = if to.family == Family::V6 { ICMPV6 } else { ICMP };
        let header = Header::new(to, source, said)?;
        // The header, the message's own, and the quoted header, in the room of the three old ones.
        let old = 2 * own + icmp::HEADER_BYTES;
        let begins = room(packet.start, old, 2 * header.bytes().len() + icmp::HEADER_BYTES)?;
        let (message, quoted) = error.write(&mut fields, facts, translation)?;
        return Ok(put(packet, ip, begins, &[header.bytes(), &message, quoted.bytes()], to.family));
    }
    let header = Header::new(to, source, said)?;
    let begins = room(packet.start, own, header.bytes().len())?;
    data(&mut fields, facts, translation, payload)?;
    Ok(put(packet, ip, begins, &[header.bytes()], to.family))
}

/// Where a packet begins when so many octets of headers take the place of others.
fn room(start: usize, old: usize, new: usize) -> Result<usize, Refused> {
    (start + old).checked_sub(new).ok_or(Refused::NotWritable)
}

/// Moves what stands before the IP header to its new place, with the other Ethernet type, and puts the headers behind it.
fn put(packet: &mut Writable<'_>, ip: usize, begins: usize, headers: &[&[u8]], family: Family) -> usize {
    packet.bytes.copy_within(packet.start..packet.start + ip, begins);
    let mut at = begins + ip;
    if ip >= 2 {
        let kind = if family == Family::V4 { IPV4_TYPE } else { IPV6_TYPE };
        packet.bytes[at - 2..at].copy_from_slice(&kind);
    }
    for header in headers {
        packet.bytes[at..at + header.len()].copy_from_slice(header);
        at += header.len();
    }
    begins
}

/// Ports or identifier, sequence numbers and the checksum of a packet that is no ICMP error.
fn data(
    fields: &mut Fields<'_>,
    facts: &Facts,
    translation: &Translation<'_>,
    payload: usize,
) -> Result<(), Refused> {
    let (from, to, at) = (&facts.key, translation.to, usize::from(facts.l4_offset));
    let source = facts.direction.source_slot();
    let addresses = addresses_change(from, to);
    match from.proto {
        TCP | UDP => {
            fields.has(at, if from.proto == TCP { 18 } else { 8 })?;
            // IPv6 knows no datagram without a checksum, and the data is not summed here.
            if from.proto == UDP && fields.bytes()[at + 6..at + 8] == [0, 0] {
                return Err(Refused::Untranslatable);
            }
            let modulates = from.proto == TCP && translation.modulation != [0; 2];
            if modulates {
                modulation::check(fields, at, facts)?;
            }
            let ports = fields.ports(at, ordered(to.port, source))?;
            fields.transport_checksum(at, from.proto, addresses, ports)?;
            if modulates {
                modulation::modulate(fields, at, facts, translation.modulation)?;
            }
            Ok(())
        }
        ICMP | ICMPV6 => {
            fields.has(at, icmp::HEADER_BYTES)?;
            let slot = if facts.kind == Kind::IcmpReply { 1 - source } else { source };
            echo(fields, at, from.port[1 - slot], to, slot, pseudo_change(from, to, payload, payload))
                .map(drop)
        }
        _ if from.port != to.port => Err(Refused::Untranslatable),
        _ => Ok(()),
    }
}

/// An echo request or reply at `at` gets the other family's type and an identifier. `kind` is the request's type. Gives
/// back what that does to a checksum around it.
pub(super) fn echo(
    fields: &mut Fields<'_>,
    at: usize,
    kind: Be16,
    to: &Key,
    slot: usize,
    pseudo: Change,
) -> Result<Change, Refused> {
    const TYPES: [[u8; 2]; 2] = [[8, 128], [0, 129]];
    let Some(&[old, code]) = fields.bytes().get(at..at + 2).and_then(<[u8]>::first_chunk) else {
        return Err(Refused::NotContiguous);
    };
    let is_request = u16::from(old) == kind.get();
    let [v4, v6] = TYPES[usize::from(!is_request)];
    let new = if to.family == Family::V4 { v4 } else { v6 };
    if !matches!(kind.get(), 8 | 128) || old != if to.family == Family::V4 { v6 } else { v4 } {
        return Err(Refused::Untranslatable);
    }
    let mut change = fields.replace(at, [new, code])?;
    change = change.and(fields.replace(at + 4, to.port[slot].0)?);
    let covered = change.and(pseudo);
    Ok(change.and(fields.checksum(at + 2, |old| covered.in_checksum(old))?))
}
