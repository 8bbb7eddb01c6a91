//! Translates ICMP errors together with the packet that they quote.
//!
//! The quoted packet travelled in the opposite direction. It gets back the addresses that its sender used, so that the
//! sender finds its connection. Every change also counts in the error's own checksum.

use super::fields::{Fields, Offsets};
use super::other::{self, Segment};
use super::{ICMP, ICMPV6, Result, TCP, TranslateError, Translation, UDP, address_delta, source_first};
use crate::packet::checksum::ChecksumDelta;
use crate::packet::parse::reader::Reader;
use crate::packet::parse::{icmp, ip};
use crate::packet::{Be16, Facts, Family};

/// The quoted packet's headers.
struct Quoted {
    ip: usize,
    transport: usize,
    /// End of the quoted bytes in the first segment.
    end: usize,
    /// The slot of its source.
    source: usize,
    /// Length of what follows its IP header, by that header.
    length: usize,
}

fn find(fields: &mut Fields<'_>, facts: &Facts) -> Result<Quoted> {
    let at = usize::from(facts.l4_offset) + icmp::HEADER_BYTES;
    let end = usize::from(facts.l3_offset) + facts.ip_length as usize;
    let bytes = fields.bytes();
    let available = bytes.len().min(end);
    let reader = Reader::new(bytes, end as u32).ending_at(end);
    let header = ip::read(&reader, at, None, true).map_err(|_| TranslateError::NotContiguous)?;
    let source = facts.key_direction().source_slot();
    let transport = header.payload.at;
    let length = (at + header.length as usize).saturating_sub(transport);
    Ok(Quoted { ip: at, transport, end: header.payload.end.min(available), source, length })
}

/// Rewrites an error within its family.
pub(super) fn rewrite(fields: &mut Fields<'_>, facts: &Facts, translation: &Translation<'_>) -> Result<()> {
    let (from, to) = (&facts.key, translation.to);
    let quoted = find(fields, facts)?;
    let addresses = address_delta(from, to);
    let offsets =
        Offsets { family: from.family, ip: quoted.ip, transport: quoted.transport, source: quoted.source };
    let [source, destination] = source_first(to.addr, quoted.source);
    let mut quoted_delta = transport(fields, facts, translation, &quoted, addresses)?;
    fields.quoted_addresses(&offsets, &source, &destination, addresses)?;
    // The sum over an IPv4 header, including its checksum, does not change.
    if from.family == Family::V6 {
        quoted_delta = quoted_delta.plus(addresses);
    }
    let outer = outer_addresses(fields, facts, translation)?;
    let delta = if from.family == Family::V6 { quoted_delta.plus(outer) } else { quoted_delta };
    fields.update_checksum(usize::from(facts.l4_offset) + 2, |old| delta.apply(old)).map(drop)
}

/// Rewrites what follows the quoted IP header: ports or identifier, sequence number, and the checksum if it is quoted.
/// Returns the delta for the error's checksum.
fn transport(
    fields: &mut Fields<'_>,
    facts: &Facts,
    translation: &Translation<'_>,
    quoted: &Quoted,
    addresses: ChecksumDelta,
) -> Result<ChecksumDelta> {
    let (from, to, at) = (&facts.key, translation.to, quoted.transport);
    match from.proto {
        TCP | UDP => rewrite_tcp_udp(fields, facts, translation, at, quoted.end),
        ICMP | ICMPV6 => icmp_query(fields, facts, translation, at, addresses),
        _ => {
            let Quoted { end, source, length, .. } = *quoted;
            other::rewrite_quoted(fields, from, to, Segment { at, length, end, source }, addresses)
        }
    }
}

/// Rewrites a quoted TCP or UDP header at `at`: ports, sequence number, and the checksum if it is quoted before `end`.
/// Returns the delta for the error's checksum.
pub(super) fn rewrite_tcp_udp(
    fields: &mut Fields<'_>,
    facts: &Facts,
    translation: &Translation<'_>,
    at: usize,
    end: usize,
) -> Result<ChecksumDelta> {
    let (from, to) = (&facts.key, translation.to);
    let is_tcp = from.proto == TCP;
    let mut change = fields.ports(at, source_first(to.port, facts.key_direction().source_slot()))?;
    if is_tcp {
        // The quoted packet's sender is the error's receiver.
        let seq = facts.tcp.seq.wrapping_sub(translation.modulation[1]);
        change = change.plus(fields.replace(at + 4, seq.to_be_bytes())?);
    }
    let field = at + if is_tcp { 16 } else { 6 };
    if field + 2 > end {
        return Ok(change);
    }
    let covered = change.plus(address_delta(from, to));
    let new = |old| if is_tcp { covered.apply(old) } else { covered.apply_udp(old) };
    Ok(change.plus(fields.update_checksum(field, new)?))
}

/// Rewrites a quoted query or reply. The slot whose value changes is the one with the identifier.
fn icmp_query(
    fields: &mut Fields<'_>,
    facts: &Facts,
    translation: &Translation<'_>,
    at: usize,
    addresses: ChecksumDelta,
) -> Result<ChecksumDelta> {
    let (from, to) = (&facts.key, translation.to);
    let mut change = ChecksumDelta::default();
    let differs: [bool; 2] = core::array::from_fn(|slot| from.port[slot] != to.port[slot]);
    let new = match differs {
        [false, false] => None,
        [true, false] => Some((to.port[0], from.port[1])),
        [false, true] => Some((to.port[1], from.port[0])),
        [true, true] => return Err(TranslateError::Untranslatable),
    };
    if let Some((Be16(new), kind)) = new {
        if !icmp::has_identifier(kind, from.family) {
            return Err(TranslateError::Untranslatable);
        }
        change = fields.replace(at + 4, new)?;
    }
    let covered = if from.family == Family::V6 { change.plus(addresses) } else { change };
    Ok(change.plus(fields.update_checksum(at + 2, |old| covered.apply(old))?))
}

/// Rewrites the error's own addresses where they belong to the translated host.
fn outer_addresses(
    fields: &mut Fields<'_>,
    facts: &Facts,
    translation: &Translation<'_>,
) -> Result<ChecksumDelta> {
    let (from, to) = (&facts.key, translation.to);
    let v6 = from.family == Family::V6;
    let ip = usize::from(facts.l3_offset);
    let source = facts.direction.source_slot();
    let mut change = ChecksumDelta::default();
    // The key was built with the reversed direction, so its slots are those of the error.
    for (slot, offset) in [(source, 0), (1 - source, 1)] {
        if from.addr[slot] == to.addr[slot] {
            continue;
        }
        let new = &to.addr[slot];
        change = change.plus(if v6 {
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
