//! Rewriting packets of translated states, in place.
//!
//! A packet of a translated state is matched by one of the state's keys and gets addresses, ports or ICMP identifiers of
//! the other one. A packet of a modulated state gets its sequence numbers moved. Checksums follow by what has changed
//! (RFC 1624), so that data is neither read nor needed, and what was damaged stays damaged.
//!
//! An ICMP error is translated with the packet that it quotes (RFC 5508): the quoted addresses, ports and checksums, and
//! of the outer addresses the one that stands for the translated host, as OpenBSD's `pf_translate_icmp` does it.
//!
//! Between the families (NAT64) the IP header is exchanged, see `family.rs`.
//!
//! Not translated: ports of SCTP (its checksum is over all data), addresses inside the data of any protocol.

mod family;
mod family_icmp;
mod fields;
mod modulation;
mod plain;
mod quoted;

use super::checksum::Change;
use super::icmp;
use super::ip::is_extension;
use super::{Be16, Facts, Family, Key, Kind};
use fields::{Fields, Place};

pub(super) const ICMP: u8 = 1;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const ICMPV6: u8 = 58;

/// What a packet is to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation<'a> {
    /// The key that it is to have, under the slots of its facts' key.
    pub to: &'a Key,
    /// What is added to the sequence numbers of the packet's sender, and of its receiver. Zero: not modulated.
    pub modulation: [u32; 2],
}

/// Why a packet cannot be rewritten. Nothing of it has been changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// What is to be changed is not in the packet's first piece.
    NotContiguous,
    /// Its memory must not be written, or it grows and there is no room before it.
    NotWritable,
    /// There is no translation of such a packet.
    Untranslatable,
}

/// The memory of a packet that is rewritten.
#[derive(Debug)]
pub struct Writable<'a> {
    /// The packet's first piece, and free bytes before it.
    pub bytes: &'a mut [u8],
    /// Where the packet begins.
    pub start: usize,
    /// The checksum field of TCP or UDP holds the sum of the pseudo header only: the card is to do the rest.
    pub partial: bool,
    /// The IPv4 header's checksum is left to the card, and its field as it is.
    pub ip_left: bool,
}

impl Translation<'_> {
    /// Rewrites the packet that `facts` were read from. Returns where it begins afterwards.
    ///
    /// Cost: the header lines that the parser has read, some twenty additions; no data is read.
    ///
    /// # Errors
    /// See [`Refused`].
    #[inline]
    pub fn apply(&self, facts: &Facts, packet: &mut Writable<'_>) -> Result<usize, Refused> {
        if plain::is_plain(self, facts) && plain::are_alike(&facts.key, self.to) {
            return plain::rewrite(self, facts, packet).map(|()| packet.start);
        }
        // Handed on by value: what has an address of its own is kept in memory, for the others as well.
        let Writable { start, partial, ip_left, .. } = *packet;
        (*self).apply_seldom(facts, Writable { bytes: packet.bytes, start, partial, ip_left })
    }

    /// To every other packet than [`plain`] ones.
    #[inline(never)]
    fn apply_seldom(self, facts: &Facts, mut packet: Writable<'_>) -> Result<usize, Refused> {
        if self.to.family != facts.key.family {
            return family::rewrite(&self, facts, &mut packet);
        }
        let Some(bytes) = packet.bytes.get_mut(packet.start..) else { return Err(Refused::NotContiguous) };
        if self.to.proto != facts.key.proto {
            return Err(Refused::Untranslatable);
        }
        let mut fields = Fields::new(bytes, packet.partial, packet.ip_left);
        match facts.kind {
            Kind::IcmpError => quoted::rewrite(&mut fields, facts, &self)?,
            _ => self.rewrite(&mut fields, facts)?,
        }
        Ok(packet.start)
    }

    /// A packet that is no ICMP error, within its family.
    #[inline]
    fn rewrite(&self, fields: &mut Fields<'_>, facts: &Facts) -> Result<(), Refused> {
        let (from, to) = (&facts.key, self.to);
        let place = Place::of(facts);
        let addresses = addresses_change(from, to);
        match from.proto {
            TCP | UDP => {
                fields.has(place.transport, if from.proto == TCP { 18 } else { 8 })?;
                if self.modulation != [0; 2] {
                    modulation::check(fields, place.transport, facts)?;
                }
                let ports = ordered(to.port, place.source);
                let both = fields.ports(place.transport, ports)?;
                fields.transport_checksum(place.transport, from.proto, addresses, both)?;
                if self.modulation != [0; 2] && from.proto == TCP {
                    modulation::modulate(fields, place.transport, facts, self.modulation)?;
                }
            }
            ICMP | ICMPV6 => self.identifier(fields, facts, &place, addresses)?,
            _ if from.port != to.port => return Err(Refused::Untranslatable),
            _ => {}
        }
        let [source, destination] = ordered(to.addr, place.source);
        fields.addresses(&place, &source, &destination, addresses)
    }

    /// An ICMP query or its reply.
    fn identifier(
        &self,
        fields: &mut Fields<'_>,
        facts: &Facts,
        place: &Place,
        addresses: Change,
    ) -> Result<(), Refused> {
        let slot = if facts.kind == Kind::IcmpReply { 1 - place.source } else { place.source };
        let (old, new) = (facts.key.port[slot], self.to.port[slot]);
        let kind = facts.key.port[1 - slot];
        if kind != self.to.port[1 - slot] || (old != new && !icmp::has_identifier(kind, facts.key.family)) {
            return Err(Refused::Untranslatable);
        }
        fields.has(place.transport, icmp::HEADER_BYTES)?;
        let mut change = if facts.key.family == Family::V6 { addresses } else { Change::default() };
        if old != new {
            change = change.and(fields.replace(place.transport + 4, new.0)?);
        }
        fields.checksum(place.transport + 2, |sum| change.in_checksum(sum)).map(drop)
    }
}

/// What other addresses do to a checksum.
#[inline(always)]
fn addresses_change(from: &Key, to: &Key) -> Change {
    Change::of_addresses(&from.addr, &to.addr)
}

/// The source's and the destination's of what a key has two of.
#[inline]
const fn ordered<T: Copy>([a, b]: [T; 2], source_slot: usize) -> [T; 2] {
    if source_slot == 0 { [a, b] } else { [b, a] }
}

/// Whether a protocol has ports, or identifiers, that can be translated. `kind` is the type of an ICMP query.
#[must_use]
pub fn has_translatable_ports(family: Family, proto: u8, kind: Be16) -> bool {
    match proto {
        TCP | UDP => true,
        ICMP | ICMPV6 => icmp::has_identifier(kind, family),
        _ => false,
    }
}

/// A key in the other family, its addresses still to be put in: the like of its protocol, and of an ICMP query's type.
/// `source` is the slot of the packet's source. None where there is no like.
#[must_use]
pub fn translated_proto(key: &Key, kind: Kind, source: usize, family: Family) -> Option<Key> {
    let mut other = Key { family, ..*key };
    match (key.proto, kind) {
        (ICMP | ICMPV6, Kind::IcmpQuery) => {
            let (from, to, proto) = if family == Family::V6 { (8, 128, ICMPV6) } else { (128, 8, ICMP) };
            if key.port[1 - source] != Be16::new(from) {
                return None;
            }
            other.port[1 - source] = Be16::new(to);
            other.proto = proto;
            Some(other)
        }
        (ICMP | ICMPV6, _) => None,
        // A number that only IPv4 has for a protocol: in IPv6 a header would have to follow.
        (proto, _) if family == Family::V6 && is_extension(family, proto.into()) => None,
        _ => Some(other),
    }
}
