//! NAT64 for ICMP errors and the packets they quote (RFC 7915 sections 4.2, 4.3, 5.2, 5.3).

use super::fields::Fields;
use super::nat64::{
    Header, HeaderFields, V4_BYTES, V6_BYTES, header_bytes, pseudo_header_delta, rewrite_echo,
};
use super::other::{self, Segment};
use super::rfc6052;
use super::{ICMP, ICMPV6, Result, TCP, TranslateError, Translation, UDP, address_delta, icmp_error};
use crate::packet::checksum::ChecksumDelta;
use crate::packet::parse::reader::Reader;
use crate::packet::parse::{icmp, ip};
use crate::packet::{Be16, Facts, Family, Key};

/// The meaning of the last four bytes of an error's header.
#[derive(Clone, Copy)]
enum Rest {
    /// Zero.
    Unused,
    /// The MTU of the next hop.
    Mtu,
    /// The offset of the error in the quoted header.
    Pointer,
    /// A fixed offset.
    PointerTo(u8),
}

/// A type, its first and last code, and the new type and code (`None`: the code stays).
type Row = (u8, u8, u8, u8, Option<u8>, Rest);

const FROM_V4: [Row; 12] = [
    (3, 0, 1, 1, Some(0), Rest::Unused),
    (3, 2, 2, 4, Some(1), Rest::PointerTo(6)),
    (3, 3, 3, 1, Some(4), Rest::Unused),
    (3, 4, 4, 2, Some(0), Rest::Mtu),
    (3, 5, 8, 1, Some(0), Rest::Unused),
    (3, 9, 10, 1, Some(1), Rest::Unused),
    (3, 11, 12, 1, Some(0), Rest::Unused),
    (3, 13, 13, 1, Some(1), Rest::Unused),
    (3, 15, 15, 1, Some(1), Rest::Unused),
    (11, 0, 1, 3, None, Rest::Unused),
    (12, 0, 0, 4, Some(0), Rest::Pointer),
    (12, 2, 2, 4, Some(0), Rest::Pointer),
];

const FROM_V6: [Row; 8] = [
    (1, 0, 0, 3, Some(1), Rest::Unused),
    (1, 1, 1, 3, Some(10), Rest::Unused),
    (1, 2, 3, 3, Some(1), Rest::Unused),
    (1, 4, 4, 3, Some(3), Rest::Unused),
    (2, 0, 255, 3, Some(4), Rest::Mtu),
    (3, 0, 1, 11, None, Rest::Unused),
    (4, 0, 0, 12, Some(0), Rest::Pointer),
    (4, 1, 1, 3, Some(2), Rest::Unused),
];

/// First and last offset of a field in an IPv4 header, and the field's offset in an IPv6 header.
const POINTERS_FROM_V4: [(u8, u8, u8); 7] =
    [(0, 0, 0), (1, 1, 1), (2, 3, 4), (8, 8, 7), (9, 9, 6), (12, 15, 8), (16, 19, 24)];
/// The reverse mapping.
const POINTERS_FROM_V6: [(u8, u8, u8); 7] =
    [(0, 0, 0), (1, 1, 1), (4, 5, 2), (6, 6, 9), (7, 7, 8), (8, 23, 12), (24, 39, 16)];

/// Minimum MTU of IPv6.
const MIN_V6_MTU: u32 = 1280;
const GROWTH: u32 = (V6_BYTES - V4_BYTES) as u32;

/// Translates an error's header. Returns `None` if the error has no counterpart in the other family.
fn translate_header(old: [u8; 8], to: Family) -> Option<[u8; 8]> {
    let [kind, code, _, _, rest @ ..] = old;
    let to_v6 = to == Family::V6;
    let rows: &[Row] = if to_v6 { &FROM_V4 } else { &FROM_V6 };
    let row = rows.iter().find(|row| row.0 == kind && (row.1..=row.2).contains(&code))?;
    let rest = match row.5 {
        Rest::Unused => [0; 4],
        Rest::Mtu => mtu(rest, to_v6),
        Rest::Pointer => pointer(if to_v6 { rest[0].into() } else { u32::from_be_bytes(rest) }, to_v6)?,
        Rest::PointerTo(offset) => [0, 0, 0, offset],
    };
    let [a, b, c, d] = rest;
    Some([row.3, row.4.unwrap_or(code), 0, 0, a, b, c, d])
}

/// Translates an MTU. Old routers report zero, which becomes the minimum.
fn mtu(rest: [u8; 4], to_v6: bool) -> [u8; 4] {
    if to_v6 {
        let mtu = u32::from(u16::from_be_bytes([rest[2], rest[3]]));
        return (mtu + GROWTH).max(MIN_V6_MTU).to_be_bytes();
    }
    u32::from_be_bytes(rest).saturating_sub(GROWTH).min(u16::MAX.into()).to_be_bytes()
}

fn pointer(offset: u32, to_v6: bool) -> Option<[u8; 4]> {
    let rows = if to_v6 { &POINTERS_FROM_V4 } else { &POINTERS_FROM_V6 };
    let row = rows.iter().find(|row| (u32::from(row.0)..=u32::from(row.1)).contains(&offset))?;
    Some(if to_v6 { [0, 0, 0, row.2] } else { [row.2, 0, 0, 0] })
}

/// Returns the key with an error's new addresses: those of the translated packets, but for the sender. A router between the
/// translator and the other end keeps its own address, mapped like the other end's if that has an IPv4 address in it (RFC 7915
/// sections 4.2 and 5.2, RFC 6052). Otherwise the other end seems to be the sender.
pub(super) fn outer_key(bytes: &[u8], facts: &Facts, to: &Key) -> Key {
    let (from, source) = (&facts.key, facts.direction.source_slot());
    let (at, length) = if from.family == Family::V4 { (12, 4) } else { (8, 16) };
    let mut outer = *to;
    let mut sender = [0; 16];
    let Some(field) = bytes.get(usize::from(facts.l3_offset) + at..).and_then(|field| field.get(..length))
    else {
        return outer;
    };
    sender[..length].copy_from_slice(field);
    if sender != from.addr[source]
        && let Some(mapped) = rfc6052::map_alike(&sender, &from.addr[source], &to.addr[source], to.family)
    {
        outer.addr[source] = mapped;
    }
    outer
}

/// The translation of an error, before anything is written.
pub(super) struct IcmpError {
    /// The new ICMP header without its checksum.
    message: [u8; 8],
    /// The new quoted IP header.
    quoted: Header,
    /// Offset of the quoted transport header.
    transport: usize,
    /// End of the quoted bytes in the first segment.
    end: usize,
    /// Payload length that the quoted IP header gives.
    quoted_payload: usize,
    /// Old length of the whole message.
    old_length: usize,
    /// New length of the whole message.
    pub length: usize,
}

impl IcmpError {
    pub(super) fn read(
        fields: &mut Fields<'_>,
        facts: &Facts,
        translation: &Translation<'_>,
        payload: usize,
    ) -> Result<Self> {
        let (from, to, at) = (&facts.key, translation.to, usize::from(facts.l4_offset));
        let whole = usize::from(facts.l3_offset) + facts.ip_length as usize;
        let bytes = fields.bytes();
        let available = bytes.len().min(whole);
        let old: &[u8; 8] =
            bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(TranslateError::NotContiguous)?;
        let message = translate_header(*old, to.family).ok_or(TranslateError::Untranslatable)?;
        let inner = at + icmp::HEADER_BYTES;
        let reader = Reader::new(bytes, whole as u32).ending_at(whole);
        let old_quoted = ip::read(&reader, inner, None, true).map_err(|_| TranslateError::Untranslatable)?;
        let own = header_bytes(from.family);
        let is_fragment =
            from.family == Family::V4 && bytes.get(inner + 6).is_none_or(|flags| flags & 0x20 != 0);
        if old_quoted.family != from.family || old_quoted.payload.at != inner + own || is_fragment {
            return Err(TranslateError::Untranslatable);
        }
        let quoted_payload = (old_quoted.length as usize).saturating_sub(own);
        let quoted = HeaderFields {
            tos: old_quoted.tos,
            ttl: old_quoted.ttl,
            proto: to.proto,
            payload: quoted_payload,
        };
        let quoted = Header::new(to, facts.key_direction().source_slot(), quoted)?;
        let length =
            (payload + quoted.bytes().len()).checked_sub(own).ok_or(TranslateError::Untranslatable)?;
        let transport = inner + own;
        let end = old_quoted.payload.end.min(available);
        Ok(Self { message, quoted, transport, end, quoted_payload, old_length: payload, length })
    }

    /// Rewrites what follows the quoted IP header. `to` has the error's new addresses. Returns the ICMP header and the quoted
    /// IP header.
    pub(super) fn write(
        self,
        fields: &mut Fields<'_>,
        facts: &Facts,
        translation: &Translation<'_>,
        to: &Key,
    ) -> Result<([u8; 8], Header)> {
        let (from, at) = (&facts.key, usize::from(facts.l4_offset));
        let mut old = [0; icmp::HEADER_BYTES + V6_BYTES];
        let front = &mut old[..self.transport - at];
        let bytes = fields.bytes().get(at..self.transport).ok_or(TranslateError::NotContiguous)?;
        front.copy_from_slice(bytes);
        // The error's sender need not be the quoted packet's destination.
        let mut outer = *from;
        if from.family == Family::V6 {
            let addresses = usize::from(facts.l3_offset) + 8;
            let bytes = fields.bytes().get(addresses..).and_then(<[u8]>::first_chunk::<32>);
            let (halves, _) = bytes.ok_or(TranslateError::NotContiguous)?.as_chunks::<16>();
            outer.addr.copy_from_slice(halves);
        }
        let sum = Be16([front[2], front[3]]);
        front[2..4].fill(0);
        let transport = self.rewrite_transport(fields, facts, translation)?;
        let mut change = transport.plus(ChecksumDelta::between(front, &self.message));
        change = change.plus(ChecksumDelta::between(&[], self.quoted.bytes()));
        change = change.plus(pseudo_header_delta(&outer, to, self.old_length, self.length));
        let mut message = self.message;
        message[2..4].copy_from_slice(&change.apply(sum).0);
        Ok((message, self.quoted))
    }

    /// Rewrites the quoted transport header. Returns the delta for the error's checksum.
    fn rewrite_transport(
        &self,
        fields: &mut Fields<'_>,
        facts: &Facts,
        translation: &Translation<'_>,
    ) -> Result<ChecksumDelta> {
        let (from, to, at) = (&facts.key, translation.to, self.transport);
        let source = facts.key_direction().source_slot();
        match from.proto {
            TCP | UDP => icmp_error::rewrite_tcp_udp(fields, facts, translation, at, self.end),
            ICMP | ICMPV6 => {
                // The identifier is in the slot opposite the request's type.
                let request = Be16::new(if from.family == Family::V4 { 8 } else { 128 });
                let kind = *fields.bytes().get(at).ok_or(TranslateError::NotContiguous)?;
                let is_request = u16::from(kind) == request.get();
                let slot = if is_request { source } else { 1 - source };
                if ![8, 0, 128, 129].contains(&kind) || from.port[1 - slot] != request {
                    return Err(TranslateError::Untranslatable);
                }
                let pseudo = pseudo_header_delta(from, to, self.quoted_payload, self.quoted_payload);
                rewrite_echo(fields, at, request, to, slot, pseudo)
            }
            _ => {
                let segment = Segment { at, length: self.quoted_payload, end: self.end, source };
                other::rewrite_quoted(fields, from, to, segment, address_delta(from, to))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_codes_sizes_and_pointers_are_those_of_rfc_7915() {
        let rows: [([u8; 8], Family, Option<[u8; 8]>); 12] = [
            ([3, 3, 9, 9, 0, 0, 0, 0], Family::V6, Some([1, 4, 0, 0, 0, 0, 0, 0])),
            ([3, 2, 9, 9, 0, 0, 0, 0], Family::V6, Some([4, 1, 0, 0, 0, 0, 0, 6])),
            ([3, 4, 9, 9, 0, 0, 5, 220], Family::V6, Some([2, 0, 0, 0, 0, 0, 5, 240])),
            ([3, 4, 9, 9, 0, 0, 0, 0], Family::V6, Some([2, 0, 0, 0, 0, 0, 5, 0])),
            ([3, 14, 9, 9, 0, 0, 0, 0], Family::V6, None),
            ([5, 0, 9, 9, 0, 0, 0, 0], Family::V6, None),
            ([11, 1, 9, 9, 0, 0, 0, 0], Family::V6, Some([3, 1, 0, 0, 0, 0, 0, 0])),
            ([12, 0, 9, 9, 9, 0, 0, 0], Family::V6, Some([4, 0, 0, 0, 0, 0, 0, 6])),
            ([2, 0, 9, 9, 0, 0, 5, 220], Family::V4, Some([3, 4, 0, 0, 0, 0, 5, 200])),
            ([4, 0, 9, 9, 0, 0, 0, 39], Family::V4, Some([12, 0, 0, 0, 16, 0, 0, 0])),
            ([4, 0, 9, 9, 0, 0, 0, 40], Family::V4, None),
            ([1, 5, 9, 9, 0, 0, 0, 0], Family::V4, None),
        ];
        for (old, to, new) in rows {
            assert_eq!(translate_header(old, to), new, "{old:?}");
        }
    }
}
