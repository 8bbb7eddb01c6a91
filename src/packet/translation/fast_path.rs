//! The fast path: TCP and UDP within one family, without sequence modulation. Nearly all translated packets take it.

use super::{Result, TranslateError, Translation, source_first};
use crate::packet::checksum::ChecksumDelta;
use crate::packet::{Be16, Direction, Facts, Family, IpOptions, Key, Kind, WritablePacket};

const V4_BYTES: usize = 20;
const V6_BYTES: usize = 40;
const UDP_BYTES: usize = 8;
/// The part of a TCP header that changes.
const TCP_BYTES: usize = 18;

/// Whether the packet's kind and modulation allow the fast path.
#[inline(always)]
pub(super) const fn is_eligible(translation: &Translation<'_>, facts: &Facts) -> bool {
    let [sender, receiver] = translation.modulation;
    matches!(facts.kind, Kind::Tcp | Kind::Udp)
        && sender | receiver == 0
        && !facts.ip_options.any(IpOptions::AUTHENTICATION)
}

/// Whether both keys have the same family and protocol.
#[inline(always)]
pub(super) fn has_same_protocol(from: &Key, to: &Key) -> bool {
    let word = |key: &Key| u16::from_ne_bytes([key.family.0, key.proto]);
    word(from) == word(to)
}

/// Rewrites addresses, ports and checksums. Deltas are computed from the two keys, not read from the packet.
#[inline(always)]
pub(super) fn rewrite(
    translation: &Translation<'_>,
    facts: &Facts,
    packet: &mut WritablePacket<'_>,
) -> Result<()> {
    let (from, to) = (&facts.key, translation.to);
    // All packets of a burst have the same direction, so the branch predicts well.
    match facts.direction {
        Direction::In => KeyChange::<false> { from, to }.rewrite(facts, packet),
        Direction::Out => KeyChange::<true> { from, to }.rewrite(facts, packet),
    }
}

/// Rewrites the addresses of a packet without ports, which stays within its family.
pub(super) fn rewrite_addresses(
    translation: &Translation<'_>,
    facts: &Facts,
    packet: &mut WritablePacket<'_>,
) -> Result<()> {
    let (from, to) = (&facts.key, translation.to);
    let header = packet.bytes.get_mut(packet.start + usize::from(facts.l3_offset)..);
    let header = header.ok_or(TranslateError::NotContiguous)?;
    let changed = match facts.direction {
        Direction::In => KeyChange::<false> { from, to }.addresses(header, packet.ip_offload),
        Direction::Out => KeyChange::<true> { from, to }.addresses(header, packet.ip_offload),
    };
    changed.map(drop)
}

/// The keys before and after. With `SWAPPED`, slot 1 is the source's.
struct KeyChange<'a, const SWAPPED: bool> {
    from: &'a Key,
    to: &'a Key,
}

impl<const SWAPPED: bool> KeyChange<'_, SWAPPED> {
    #[inline(always)]
    fn rewrite(&self, facts: &Facts, packet: &mut WritablePacket<'_>) -> Result<()> {
        let WritablePacket { start, l4_offload, ip_offload, .. } = *packet;
        let at = start + usize::from(facts.l4_offset);
        let (front, transport) =
            packet.bytes.split_at_mut_checked(at).ok_or(TranslateError::NotContiguous)?;
        let header =
            front.get_mut(start + usize::from(facts.l3_offset)..).ok_or(TranslateError::NotContiguous)?;
        if facts.kind == Kind::Tcp {
            let transport: &mut [u8; TCP_BYTES] =
                transport.first_chunk_mut().ok_or(TranslateError::NotContiguous)?;
            let addresses = self.addresses(header, ip_offload)?;
            let ports = self.ports(transport);
            let old = Be16([transport[16], transport[17]]);
            let new =
                if l4_offload { addresses.apply_partial(old) } else { addresses.plus(ports).apply(old) };
            transport[16..].copy_from_slice(&new.0);
        } else {
            let transport: &mut [u8; UDP_BYTES] =
                transport.first_chunk_mut().ok_or(TranslateError::NotContiguous)?;
            let addresses = self.addresses(header, ip_offload)?;
            let ports = self.ports(transport);
            let old = Be16([transport[6], transport[7]]);
            let new =
                if l4_offload { addresses.apply_partial(old) } else { addresses.plus(ports).apply_udp(old) };
            transport[6..].copy_from_slice(&new.0);
        }
        Ok(())
    }

    /// Replaces both ports. Their order does not matter to a sum.
    #[inline(always)]
    fn ports(&self, transport: &mut [u8]) -> ChecksumDelta {
        let of = |key: &Key| [key.port[0].0[0], key.port[0].0[1], key.port[1].0[0], key.port[1].0[1]];
        let (old, new) = (of(self.from), of(self.to));
        let in_order = if SWAPPED { [new[2], new[3], new[0], new[1]] } else { new };
        transport[..4].copy_from_slice(&in_order);
        ChecksumDelta::of_field(&old, &new)
    }

    #[inline(always)]
    fn addresses(&self, header: &mut [u8], ip_offload: bool) -> Result<ChecksumDelta> {
        if self.from.family == Family::V6 { self.v6(header) } else { self.v4(header, ip_offload) }
    }

    #[inline(always)]
    fn v4(&self, header: &mut [u8], ip_offload: bool) -> Result<ChecksumDelta> {
        let header: &mut [u8; V4_BYTES] = header.first_chunk_mut().ok_or(TranslateError::NotContiguous)?;
        let short = |address: &[u8; 16]| [address[0], address[1], address[2], address[3]];
        let (old, new) = (self.from.addr.each_ref().map(short), self.to.addr.each_ref().map(short));
        let change =
            ChecksumDelta::of_field(&old[0], &new[0]).plus(ChecksumDelta::of_field(&old[1], &new[1]));
        let [source, destination] = source_first(new, usize::from(SWAPPED));
        header[12..16].copy_from_slice(&source);
        header[16..20].copy_from_slice(&destination);
        if !ip_offload {
            let sum = change.apply(Be16([header[10], header[11]]));
            header[10..12].copy_from_slice(&sum.0);
        }
        Ok(change)
    }

    #[inline(always)]
    fn v6(&self, header: &mut [u8]) -> Result<ChecksumDelta> {
        let header: &mut [u8; V6_BYTES] = header.first_chunk_mut().ok_or(TranslateError::NotContiguous)?;
        let [source, destination] = source_first(self.to.addr.each_ref(), usize::from(SWAPPED));
        header[8..24].copy_from_slice(source);
        header[24..40].copy_from_slice(destination);
        Ok(ChecksumDelta::of_addresses(&self.from.addr, &self.to.addr))
    }
}
