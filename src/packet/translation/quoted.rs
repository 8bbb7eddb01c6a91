//! ICMP errors, translated with the packet that they quote.
//!
//! The quoted packet went the other way. It is given back the addresses that its sender knows, so that the sender finds
//! its connection; every change counts in the error's own checksum too.

use super::fields::{Fields, Place};
use super::{ICMP, ICMPV6, Refused, TCP, Translation, UDP, addresses_change, ordered};
use crate::packet::checksum::Change;
use crate::packet::reader::Reader;
use crate::packet::{Be16, Facts, Family, icmp, ip};

/// The quoted packet's headers.
struct Quoted {
    ip: usize,
    transport: usize,
    /// Where the bytes end that are quoted and in the first piece.
    end: usize,
    /// The slot of its source.
    source: usize,
}

fn find(fields: &mut Fields<'_>, facts: &Facts) -> Result<Quoted, Refused> {
    let at = usize::from(facts.l4_offset) + icmp::HEADER_BYTES;
    let end = usize::from(facts.l3_offset) + facts.ip_length as usize;
    let bytes = fields.bytes();
    let held = bytes.len().min(end);
    let reader = Reader::new(bytes, end as u32).ending_at(end);
    let header = ip::read(&reader, at, None, true).map_err(|_| Refused::NotContiguous)?;
    let source = facts.key_direction().source_slot();
    Ok(Quoted { ip: at, transport: header.payload.at, end: header.payload.end.min(held), source })
}

/// Rewrites an error within its family.
pub(super) fn rewrite(
    fields: &mut Fields<'_>,
    facts: &Facts,
    translation: &Translation<'_>,
) -> Result<(), Refused> {
    let (from, to) = (&facts.key, translation.to);
    let quoted = find(fields, facts)?;
    let addresses = addresses_change(from, to);
    let place =
        Place { family: from.family, ip: quoted.ip, transport: quoted.transport, source: quoted.source };
    let [source, destination] = ordered(to.addr, quoted.source);
    let mut inside = transport(fields, facts, translation, &quoted, addresses)?;
    fields.quoted_addresses(&place, &source, &destination, addresses)?;
    // An IPv4 header sums to the same as before, its checksum included.
    if from.family == Family::V6 {
        inside = inside.and(addresses);
    }
    let outer = outer_addresses(fields, facts, translation)?;
    if from.family == Family::V6 {
        inside = inside.and(outer);
    }
    fields.checksum(usize::from(facts.l4_offset) + 2, |old| inside.in_checksum(old)).map(drop)
}

/// What follows the quoted IP header: ports or identifier, sequence number, and the checksum if it is quoted. What all of
/// it does to the error's checksum.
fn transport(
    fields: &mut Fields<'_>,
    facts: &Facts,
    translation: &Translation<'_>,
    quoted: &Quoted,
    addresses: Change,
) -> Result<Change, Refused> {
    let (from, to, at) = (&facts.key, translation.to, quoted.transport);
    let is_there = |place: usize| at + place + 2 <= quoted.end;
    match from.proto {
        TCP => {
            let mut change = fields.ports(at, ordered(to.port, quoted.source))?;
            // Its sender is the receiver of the error.
            let seq = facts.tcp.seq.wrapping_sub(translation.modulation[1]);
            change = change.and(fields.replace(at + 4, seq.to_be_bytes())?);
            if is_there(16) {
                let covered = change.and(addresses);
                change = change.and(fields.checksum(at + 16, |old| covered.in_checksum(old))?);
            }
            Ok(change)
        }
        UDP => {
            let mut change = fields.ports(at, ordered(to.port, quoted.source))?;
            if is_there(6) {
                let covered = change.and(addresses);
                change = change.and(fields.checksum(at + 6, |old| covered.in_udp_checksum(old))?);
            }
            Ok(change)
        }
        ICMP | ICMPV6 => identifier(fields, facts, translation, at, addresses),
        _ if from.port != to.port => Err(Refused::Untranslatable),
        _ => Ok(Change::default()),
    }
}

/// A quoted query or reply. Which of the two slots has the identifier does not show in the facts, but in the message.
fn identifier(
    fields: &mut Fields<'_>,
    facts: &Facts,
    translation: &Translation<'_>,
    at: usize,
    addresses: Change,
) -> Result<Change, Refused> {
    let (from, to) = (&facts.key, translation.to);
    let mut change = Change::default();
    let differs: [bool; 2] = core::array::from_fn(|slot| from.port[slot] != to.port[slot]);
    let new = match differs {
        [false, false] => None,
        [true, false] => Some((to.port[0], from.port[1])),
        [false, true] => Some((to.port[1], from.port[0])),
        [true, true] => return Err(Refused::Untranslatable),
    };
    if let Some((Be16(new), kind)) = new {
        if !icmp::has_identifier(kind, from.family) {
            return Err(Refused::Untranslatable);
        }
        change = fields.replace(at + 4, new)?;
    }
    let covered = if from.family == Family::V6 { change.and(addresses) } else { change };
    Ok(change.and(fields.checksum(at + 2, |old| covered.in_checksum(old))?))
}

/// The error itself comes from, or goes to, the host that the changed quoted address stands for.
fn outer_addresses(
    fields: &mut Fields<'_>,
    facts: &Facts,
    translation: &Translation<'_>,
) -> Result<Change, Refused> {
    let (from, to) = (&facts.key, translation.to);
    let v6 = from.family == Family::V6;
    let ip = usize::from(facts.l3_offset);
    let own = facts.direction.source_slot();
    let mut change = Change::default();
    // The slots of the quoted packet, under the reversed direction, are those of the error.
    for (slot, offset) in [(own, 0), (1 - own, 1)] {
        if from.addr[slot] == to.addr[slot] {
            continue;
        }
        let new = &to.addr[slot];
        change = change.and(if v6 {
            fields.replace(ip + 8 + 16 * offset, *new)?
        } else {
            fields.replace(ip + 12 + 4 * offset, [new[0], new[1], new[2], new[3]])?
        });
    }
    if !v6 {
        fields.ip_checksum(ip, change)?;
    }
    Ok(change)
}
