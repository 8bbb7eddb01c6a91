//! TCP and UDP within their family, their numbers left alone: nearly every packet that is translated.

use super::{Kind, Refused, Translation, ordered};
use crate::packet::checksum::Change;
use crate::packet::{Be16, Direction, Facts, Family, Key, Writable};

const V4_BYTES: usize = 20;
const V6_BYTES: usize = 40;
const UDP_BYTES: usize = 8;
/// As much of a TCP header as is changed.
const TCP_BYTES: usize = 18;

/// Whether a packet is one of these.
#[inline(always)]
pub(super) const fn is_plain(translation: &Translation<'_>, facts: &Facts) -> bool {
    let [own, other] = translation.modulation;
    matches!(facts.kind, Kind::Tcp | Kind::Udp) && own | other == 0
}

/// Whether both keys have one family and one protocol.
#[inline(always)]
pub(super) fn are_alike(from: &Key, to: &Key) -> bool {
    let word = |key: &Key| u16::from_ne_bytes([key.family.0, key.proto]);
    word(from) == word(to)
}

/// Rewrites addresses, ports and checksums. What changes is told from the two keys: the packet has what its own says.
#[inline(always)]
pub(super) fn rewrite(
    translation: &Translation<'_>,
    facts: &Facts,
    packet: &mut Writable<'_>,
) -> Result<(), Refused> {
    let (from, to) = (&facts.key, translation.to);
    // All packets of a burst go one way, so this is told in advance.
    match facts.direction {
        Direction::In => Changing::<false> { from, to }.rewrite(facts, packet),
        Direction::Out => Changing::<true> { from, to }.rewrite(facts, packet),
    }
}

/// The keys before and after. `SWAPPED`: slot 1 is the source's.
struct Changing<'a, const SWAPPED: bool> {
    from: &'a Key,
    to: &'a Key,
}

impl<const SWAPPED: bool> Changing<'_, SWAPPED> {
    #[inline(always)]
    fn rewrite(&self, facts: &Facts, packet: &mut Writable<'_>) -> Result<(), Refused> {
        let Writable { start, partial, ip_left, .. } = *packet;
        let at = start + usize::from(facts.l4_offset);
        let (front, transport) = packet.bytes.split_at_mut_checked(at).ok_or(Refused::NotContiguous)?;
        let header = front.get_mut(start + usize::from(facts.l3_offset)..).ok_or(Refused::NotContiguous)?;
        if facts.kind == Kind::Tcp {
            let transport: &mut [u8; TCP_BYTES] =
                transport.first_chunk_mut().ok_or(Refused::NotContiguous)?;
            let addresses = self.addresses(header, ip_left)?;
            let ports = self.ports(transport);
            let old = Be16([transport[16], transport[17]]);
            let new = if partial { addresses.in_sum(old) } else { addresses.and(ports).in_checksum(old) };
            transport[16..].copy_from_slice(&new.0);
        } else {
            let transport: &mut [u8; UDP_BYTES] =
                transport.first_chunk_mut().ok_or(Refused::NotContiguous)?;
            let addresses = self.addresses(header, ip_left)?;
            let ports = self.ports(transport);
            let old = Be16([transport[6], transport[7]]);
            let new = if partial { addresses.in_sum(old) } else { addresses.and(ports).in_udp_checksum(old) };
            transport[6..].copy_from_slice(&new.0);
        }
        Ok(())
    }

    /// Both ports, at the beginning of the transport header. Their order is the same to a sum.
    #[inline(always)]
    fn ports(&self, transport: &mut [u8]) -> Change {
        let of = |key: &Key| [key.port[0].0[0], key.port[0].0[1], key.port[1].0[0], key.port[1].0[1]];
        let (old, new) = (of(self.from), of(self.to));
        let in_order = if SWAPPED { [new[2], new[3], new[0], new[1]] } else { new };
        transport[..4].copy_from_slice(&in_order);
        Change::of_field(&old, &new)
    }

    #[inline(always)]
    fn addresses(&self, header: &mut [u8], ip_left: bool) -> Result<Change, Refused> {
        if self.from.family == Family::V6 { self.v6(header) } else { self.v4(header, ip_left) }
    }

    #[inline(always)]
    fn v4(&self, header: &mut [u8], ip_left: bool) -> Result<Change, Refused> {
        let header: &mut [u8; V4_BYTES] = header.first_chunk_mut().ok_or(Refused::NotContiguous)?;
        let short = |address: &[u8; 16]| [address[0], address[1], address[2], address[3]];
        let (old, new) = (self.from.addr.each_ref().map(short), self.to.addr.each_ref().map(short));
        let change = Change::of_field(&old[0], &new[0]).and(Change::of_field(&old[1], &new[1]));
        let [source, destination] = ordered(new, usize::from(SWAPPED));
        header[12..16].copy_from_slice(&source);
        header[16..20].copy_from_slice(&destination);
        if !ip_left {
            let sum = change.in_checksum(Be16([header[10], header[11]]));
            header[10..12].copy_from_slice(&sum.0);
        }
        Ok(change)
    }

    #[inline(always)]
    fn v6(&self, header: &mut [u8]) -> Result<Change, Refused> {
        let header: &mut [u8; V6_BYTES] = header.first_chunk_mut().ok_or(Refused::NotContiguous)?;
        let [source, destination] = ordered(self.to.addr.each_ref(), usize::from(SWAPPED));
        header[8..24].copy_from_slice(source);
        header[24..40].copy_from_slice(destination);
        Ok(Change::of_addresses(&self.from.addr, &self.to.addr))
    }
}
