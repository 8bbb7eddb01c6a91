//! Verifies a packet's checksums in software, for packets of which the NIC said nothing.

use super::checksum::Sum;
use super::crc32c::crc32c;
use super::protocol::{DCCP, ICMP, ICMPV6, SCTP, TCP, UDP, UDP_LITE};
use super::{Facts, Family, IpOptions, Kind};

const SCTP_HEADER_BYTES: usize = 12;

/// Whether the checksums of the packet that `facts` describe are intact: of the IPv4 header, and of TCP, UDP, ICMP, SCTP, DCCP
/// or UDP-Lite.
///
/// What cannot be verified counts as intact: data in other segments, UDP without a checksum, other protocols, and a
/// source route, behind which the final destination is hidden. Cost: one pass over the packet.
#[must_use]
pub fn are_checksums_intact(bytes: &[u8], facts: &Facts) -> bool {
    let (ip, transport) = (usize::from(facts.l3_offset), usize::from(facts.l4_offset));
    let end = ip + facts.ip_length as usize;
    let Some(header) = bytes.get(ip..transport) else { return true };
    if facts.key.family == Family::V4 {
        let length = usize::from(header.first().copied().unwrap_or(0) & 0x0f) * 4;
        if header.get(..length).is_some_and(|header| !Sum::default().bytes(header).is_intact()) {
            return false;
        }
    }
    if facts.ip_options.any(IpOptions::SOURCE_ROUTE) {
        return true;
    }
    let Some(segment) = bytes.get(transport..end) else { return true };
    is_segment_intact(header, segment, facts)
}

/// Returns the addresses of an IP header, for a pseudo header.
fn addresses(header: &[u8], family: Family) -> [[u8; 16]; 2] {
    let (at, length) = if family == Family::V4 { (12, 4) } else { (8, 16) };
    core::array::from_fn(|n| {
        let mut address = [0; 16];
        let field = header.get(at + n * length..at + (n + 1) * length).unwrap_or_default();
        address[..field.len()].copy_from_slice(field);
        address
    })
}

fn is_segment_intact(header: &[u8], segment: &[u8], facts: &Facts) -> bool {
    let family = facts.key.family;
    let proto = match (facts.kind, family) {
        (Kind::IcmpError, Family::V4) => ICMP,
        (Kind::IcmpError, _) => ICMPV6,
        _ => facts.key.proto,
    };
    let word =
        |at: usize| segment.get(at..at + 2).map_or(0, |field| u16::from_be_bytes([field[0], field[1]]));
    let covered = |length: usize| {
        let Some(bytes) = segment.get(..length) else { return false };
        let addresses = addresses(header, family);
        Sum::pseudo_header(&addresses, proto, segment.len() as u32).bytes(bytes).is_intact()
    };
    match proto {
        UDP if word(6) == 0 => true,
        UDP => {
            let length = usize::from(word(4));
            let addresses = addresses(header, family);
            segment.get(..length).is_none_or(|datagram| {
                Sum::pseudo_header(&addresses, proto, length as u32).bytes(datagram).is_intact()
            })
        }
        // Zero covers the whole packet (RFC 3828 section 3.1).
        UDP_LITE => covered(if word(4) == 0 { segment.len() } else { word(4).into() }),
        DCCP => match (segment.get(4), segment.get(5).map(|byte| byte & 0x0f)) {
            (Some(offset), Some(coverage @ 1..)) => {
                let length = usize::from(*offset) * 4 + usize::from(coverage - 1) * 4;
                covered(length.min(segment.len()))
            }
            _ => covered(segment.len()),
        },
        TCP | ICMPV6 => covered(segment.len()),
        ICMP => Sum::default().bytes(segment).is_intact(),
        SCTP => is_sctp_intact(segment),
        _ => true,
    }
}

fn is_sctp_intact(segment: &[u8]) -> bool {
    let Some((header, chunks)) = segment.split_first_chunk::<SCTP_HEADER_BYTES>() else { return false };
    let (front, field) = header.split_at(8);
    field == crc32c(&[front, &[0; 4], chunks]).to_le_bytes()
}
