//! ICMP errors from one family to the other, with the packet that they quote (RFC 7915 sections 4.2, 4.3, 5.2, 5.3).

use super::family::{Header, Said, V4_BYTES, V6_BYTES, echo, header_bytes, pseudo_change};
use super::fields::Fields;
use super::{ICMP, ICMPV6, Refused, TCP, Translation, UDP, addresses_change, ordered};
use crate::packet::checksum::Change;
use crate::packet::reader::Reader;
use crate::packet::{Be16, Facts, Family, icmp, ip};

/// What becomes of the last four octets of an error's header.
#[derive(Clone, Copy)]
enum Rest {
    /// Zero.
    Unused,
    /// The greatest packet that fits.
    Mtu,
    /// The place of what is wrong in the quoted header.
    Pointer,
    /// This place.
    PointerTo(u8),
}

/// A type, its codes from the first to the last, and what they become; a code of none stays.
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

/// Places in an IPv4 header, from the first to the last, and the place of the same in an IPv6 header.
const POINTERS_FROM_V4: [(u8, u8, u8); 7] =
    [(0, 0, 0), (1, 1, 1), (2, 3, 4), (8, 8, 7), (9, 9, 6), (12, 15, 8), (16, 19, 24)];
/// The other way.
const POINTERS_FROM_V6: [(u8, u8, u8); 7] =
    [(0, 0, 0), (1, 1, 1), (4, 5, 2), (6, 6, 9), (7, 7, 8), (8, 23, 12), (24, 39, 16)];

/// The least that IPv6 links carry.
const V6_LEAST_MTU: u32 = 1280;
const GROWS_BY: u32 = (V6_BYTES - V4_BYTES) as u32;

/// Type, code and the last four octets of the other family's error. None where it has no like.
fn header(old: [u8; 8], to: Family) -> Option<[u8; 8]> {
    let [kind, code, _, _, rest @ ..] = old;
    let to_v6 = to == Family::V6;
    let rows: &[Row] = if to_v6 { &FROM_V4 } else { &FROM_V6 };
    let row = rows.iter().find(|row| row.0 == kind && (row.1..=row.2).contains(&code))?;
    let rest = match row.5 {
        Rest::Unused => [0; 4],
        Rest::Mtu => mtu(rest, to_v6),
        Rest::Pointer => pointer(if to_v6 { rest[0].into() } else { u32::from_be_bytes(rest) }, to_v6)?,
        Rest::PointerTo(place) => [0, 0, 0, place],
    };
    let [a, b, c, d] = rest;
    Some([row.3, row.4.unwrap_or(code), 0, 0, a, b, c, d])
}

/// Routers of old do not say which size fits; then the least is taken.
fn mtu(rest: [u8; 4], to_v6: bool) -> [u8; 4] {
    if to_v6 {
        let said = u32::from(u16::from_be_bytes([rest[2], rest[3]]));
        return (said + GROWS_BY).max(V6_LEAST_MTU).to_be_bytes();
    }
    u32::from_be_bytes(rest).saturating_sub(GROWS_BY).min(u16::MAX.into()).to_be_bytes()
}

fn pointer(place: u32, to_v6: bool) -> Option<[u8; 4]> {
    let rows = if to_v6 { &POINTERS_FROM_V4 } else { &POINTERS_FROM_V6 };
    let row = rows.iter().find(|row| (u32::from(row.0)..=u32::from(row.1)).contains(&place))?;
    Some(if to_v6 { [0, 0, 0, row.2] } else { [row.2, 0, 0, 0] })
}

/// An error that can be translated.
pub(super) struct Error {
    /// Its header afterwards, its checksum still to come.
    message: [u8; 8],
    /// The quoted packet's header afterwards.
    quoted: Header,
    /// Where the quoted transport header is, and where its bytes in the first piece end.
    transport: usize,
    end: usize,
    /// Octets behind the quoted header by its own length.
    quoted_payload: usize,
    /// Octets of the whole message, before and afterwards.
    was: usize,
    pub length: usize,
}

impl Error {
    pub(super) fn read(
        fields: &mut Fields<'_>,
        facts: &Facts,
        translation: &Translation<'_>,
        payload: usize,
    ) -> Result<Self, Refused> {
        let (from, to, at) = (&facts.key, translation.to, usize::from(facts.l4_offset));
        let whole = usize::from(facts.l3_offset) + facts.ip_length as usize;
        let bytes = fields.bytes();
        let held = bytes.len().min(whole);
        let old: &[u8; 8] = bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(Refused::NotContiguous)?;
        let message = header(*old, to.family).ok_or(Refused::Untranslatable)?;
        let inner = at + icmp::HEADER_BYTES;
        let reader = Reader::new(bytes, whole as u32).ending_at(whole);
        let said = ip::read(&reader, inner, None, true).map_err(|_| Refused::Untranslatable)?;
        let own = header_bytes(from.family);
        let is_part = from.family == Family::V4 && bytes.get(inner + 6).is_none_or(|flags| flags & 0x20 != 0);
        if said.family != from.family || said.payload.at != inner + own || is_part {
            return Err(Refused::Untranslatable);
        }
        let quoted_payload = (said.length as usize).saturating_sub(own);
        let quoted = Said { tos: said.tos, ttl: said.ttl, proto: to.proto, payload: quoted_payload };
        let quoted = Header::new(to, facts.key_direction().source_slot(), quoted)?;
        let length = (payload + quoted.bytes().len()).checked_sub(own).ok_or(Refused::Untranslatable)?;
        let transport = inner + own;
        let end = said.payload.end.min(held);
        Ok(Self { message, quoted, transport, end, quoted_payload, was: payload, length })
    }

    /// Writes what follows the quoted header, and gives the two headers that come before it.
    pub(super) fn write(
        self,
        fields: &mut Fields<'_>,
        facts: &Facts,
        translation: &Translation<'_>,
    ) -> Result<([u8; 8], Header), Refused> {
        let (from, to, at) = (&facts.key, translation.to, usize::from(facts.l4_offset));
        let mut old = [0; icmp::HEADER_BYTES + V6_BYTES];
        let front = &mut old[..self.transport - at];
        let bytes = fields.bytes().get(at..self.transport).ok_or(Refused::NotContiguous)?;
        front.copy_from_slice(bytes);
        // Whoever says it need not be whom the quoted packet was for.
        let mut outer = *from;
        if from.family == Family::V6 {
            let addresses = usize::from(facts.l3_offset) + 8;
            let bytes = fields.bytes().get(addresses..).and_then(<[u8]>::first_chunk::<32>);
            let (halves, _) = bytes.ok_or(Refused::NotContiguous)?.as_chunks::<16>();
            outer.addr.copy_from_slice(halves);
        }
        let sum = Be16([front[2], front[3]]);
        front[2..4].fill(0);
        let data = self.data(fields, facts, translation)?;
        let mut change = data.and(Change::between(front, &self.message));
        change = change.and(Change::between(&[], self.quoted.bytes()));
        change = change.and(pseudo_change(&outer, to, self.was, self.length));
        let mut message = self.message;
        message[2..4].copy_from_slice(&change.in_checksum(sum).0);
        Ok((message, self.quoted))
    }

    fn data(
        &self,
        fields: &mut Fields<'_>,
        facts: &Facts,
        translation: &Translation<'_>,
    ) -> Result<Change, Refused> {
        let (from, to, at) = (&facts.key, translation.to, self.transport);
        let source = facts.key_direction().source_slot();
        let addresses = addresses_change(from, to);
        let is_there = |place: usize| at + place + 2 <= self.end;
        match from.proto {
            TCP | UDP => {
                let mut change = fields.ports(at, ordered(to.port, source))?;
                if from.proto == TCP {
                    let seq = facts.tcp.seq.wrapping_sub(translation.modulation[1]);
                    change = change.and(fields.replace(at + 4, seq.to_be_bytes())?);
                }
                let place = if from.proto == TCP { 16 } else { 6 };
                if is_there(place) {
                    let covered = change.and(addresses);
                    let sum = fields.checksum(at + place, |old| match from.proto {
                        TCP => covered.in_checksum(old),
                        _ => covered.in_udp_checksum(old),
                    })?;
                    change = change.and(sum);
                }
                Ok(change)
            }
            ICMP | ICMPV6 => {
                // Of the two slots the one with the request's type tells which has the identifier.
                let request = Be16::new(if from.family == Family::V4 { 8 } else { 128 });
                let kind = *fields.bytes().get(at).ok_or(Refused::NotContiguous)?;
                let asks = u16::from(kind) == request.get();
                let slot = if asks { source } else { 1 - source };
                if ![8, 0, 128, 129].contains(&kind) || from.port[1 - slot] != request {
                    return Err(Refused::Untranslatable);
                }
                let pseudo = pseudo_change(from, to, self.quoted_payload, self.quoted_payload);
                echo(fields, at, request, to, slot, pseudo)
            }
            _ if from.port != to.port => Err(Refused::Untranslatable),
            _ => Ok(Change::default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_codes_sizes_and_places_are_those_of_rfc_7915() {
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
            assert_eq!(header(old, to), new, "{old:?}");
        }
    }
}
