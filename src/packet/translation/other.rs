//! Rewrites SCTP, DCCP, UDP-Lite and protocols without ports, and refuses those whose checksum cannot be updated.

use super::fields::Fields;
use super::{Result, TranslateError, source_first};
use crate::packet::checksum::ChecksumDelta;
use crate::packet::protocol::{DCCP, SCTP, UDP_LITE};
use crate::packet::{Facts, Key};

const SCTP_BYTES: usize = 12;
const SCTP_CHECKSUM: usize = 8;
/// The checksum of UDP-Lite and of DCCP. Both cover the pseudo header; their coverage fields limit the data only.
const CHECKSUM: usize = 6;
const CHECKSUM_END: usize = 8;

/// Protocols whose checksum covers the addresses and is not updated here: OSPF for IPv6, PIM, VRRP, mobility header, HIP.
const WITH_PSEUDO_HEADER: [u8; 5] = [89, 103, 112, 135, 139];

/// Where a transport header is.
#[derive(Clone, Copy)]
pub(super) struct Segment {
    /// Offset of the header.
    pub at: usize,
    /// Length of the segment by the IP header, in bytes.
    pub length: usize,
    /// End of its bytes in the packet.
    pub end: usize,
    /// Slot of its source.
    pub source: usize,
}

impl Segment {
    /// The segment of a packet that is not an ICMP error.
    pub(super) fn of(facts: &Facts) -> Self {
        let (at, end) =
            (usize::from(facts.l4_offset), usize::from(facts.l3_offset) + facts.ip_length as usize);
        Self { at, length: end.saturating_sub(at), end, source: facts.direction.source_slot() }
    }
}

/// Rewrites a segment and its checksum. `addresses` is the delta of the changed addresses.
pub(super) fn rewrite(
    fields: &mut Fields<'_>,
    from: &Key,
    to: &Key,
    segment: Segment,
    addresses: ChecksumDelta,
) -> Result<()> {
    let Segment { at, length, source, .. } = segment;
    match from.proto {
        SCTP => {
            fields.has(at, SCTP_BYTES)?;
            sctp_ports(fields, from, to, at, length, source).map(drop)
        }
        _ if from.port != to.port => Err(TranslateError::Untranslatable),
        UDP_LITE | DCCP if length < CHECKSUM_END => Err(TranslateError::Untranslatable),
        UDP_LITE => fields.update_checksum(at + CHECKSUM, |old| addresses.apply_udp(old)).map(drop),
        DCCP => fields.update_checksum(at + CHECKSUM, |old| addresses.apply(old)).map(drop),
        proto if WITH_PSEUDO_HEADER.contains(&proto) => Err(TranslateError::Untranslatable),
        _ => Ok(()),
    }
}

/// As [`rewrite`], for a segment that an ICMP error quotes, which may be cut short. Returns the delta for the error's checksum.
pub(super) fn rewrite_quoted(
    fields: &mut Fields<'_>,
    from: &Key,
    to: &Key,
    segment: Segment,
    addresses: ChecksumDelta,
) -> Result<ChecksumDelta> {
    let Segment { at, length, end, source } = segment;
    match from.proto {
        SCTP if at + SCTP_BYTES <= end => sctp_ports(fields, from, to, at, length, source),
        SCTP => fields.ports(at, source_first(to.port, source)),
        _ if from.port != to.port => Err(TranslateError::Untranslatable),
        UDP_LITE if at + CHECKSUM_END <= end => {
            fields.update_checksum(at + CHECKSUM, |old| addresses.apply_udp(old))
        }
        DCCP if at + CHECKSUM_END <= end => fields.update_checksum(at + CHECKSUM, |old| addresses.apply(old)),
        _ => Ok(ChecksumDelta::default()),
    }
}

/// Replaces the ports of an SCTP packet of `length` bytes and updates its CRC32c, unless the NIC computes that.
fn sctp_ports(
    fields: &mut Fields<'_>,
    from: &Key,
    to: &Key,
    at: usize,
    length: usize,
    source: usize,
) -> Result<ChecksumDelta> {
    if from.port == to.port {
        return Ok(ChecksumDelta::default());
    }
    let trailing = length.checked_sub(4).ok_or(TranslateError::Untranslatable)?;
    let bytes = |[source, destination]: [crate::packet::Be16; 2]| {
        let ([a, b], [c, d]) = (source.0, destination.0);
        [a, b, c, d]
    };
    let [old, new] = [from, to].map(|key| bytes(source_first(key.port, source)));
    let change = fields.replace(at, new)?;
    let crc = fields.update_crc32c(at + SCTP_CHECKSUM, old, new, trailing)?;
    Ok(change.plus(crc))
}
