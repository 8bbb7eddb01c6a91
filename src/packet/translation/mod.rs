//! Rewriting packets of translated states, in offsets.
//!
//! A packet of a translated state matches one of the state's keys and gets the addresses, ports or ICMP identifiers of the
//! other key. A packet of a modulated state gets other sequence numbers. Checksums are updated by the difference (RFC
//! 1624), so data is not read and damaged packets stay damaged.
//!
//! An ICMP error is translated together with the packet that it quotes (RFC 5508): the quoted addresses, ports and
//! checksums, and the outer address of the translated host (OpenBSD `pf_translate_icmp`).
//!
//! NAT64 replaces the IP header, see `nat64.rs`.
//!
//! SCTP, DCCP and UDP-Lite: see `other.rs`. Not translated: packets with an authentication header, which covers the addresses,
//! protocols whose checksum covers them and is unknown here, and addresses inside a protocol's data.

mod fast_path;
mod fields;
mod icmp_error;
mod modulation;
mod nat64;
mod nat64_icmp_error;
mod other;
mod rfc6052;

use super::checksum::ChecksumDelta;
use super::parse::icmp;
use super::parse::ip::is_extension;
use super::protocol::{ICMP, ICMPV6, SCTP, TCP, UDP};
use super::{Be16, Facts, Family, IpOptions, Key, Kind};
use fields::{Fields, Offsets};

type Result<T> = core::result::Result<T, TranslateError>;

/// How to rewrite a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation<'a> {
    /// The packet's new key, with slots as in its facts' key.
    pub to: &'a Key,
    /// Modulators added to the sequence numbers of the packet's sender and receiver; zero for none.
    pub modulation: [u32; 2],
}

/// Why a packet was not rewritten. It is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TranslateError {
    /// A field to change is not in the packet's first segment.
    NotContiguous,
    /// The buffer is read-only, or has too little headroom for a longer header.
    NotWritable,
    /// No translation exists for this packet.
    Untranslatable,
}

/// The buffer of a packet to rewrite.
#[derive(Debug)]
pub struct WritablePacket<'a> {
    /// The packet's first segment, with headroom.
    pub bytes: &'a mut [u8],
    /// Offset of the packet in `bytes`.
    pub start: usize,
    /// The NIC completes the TCP or UDP checksum; the field holds the pseudo-header sum only.
    pub l4_offload: bool,
    /// The NIC computes the IPv4 header checksum; the field is left alone.
    pub ip_offload: bool,
}

impl Translation<'_> {
    /// Rewrites the packet that `facts` describe. Returns its new offset in the buffer.
    ///
    /// Cost: about twenty additions on header cache lines that the parser has loaded.
    ///
    /// # Errors
    /// See [`TranslateError`].
    #[inline]
    pub fn apply(&self, facts: &Facts, packet: &mut WritablePacket<'_>) -> Result<usize> {
        if fast_path::is_eligible(self, facts) && fast_path::has_same_protocol(&facts.key, self.to) {
            return fast_path::rewrite(self, facts, packet).map(|()| packet.start);
        }
        // Passed by value: a reference would force the fields into memory on the fast path too.
        let WritablePacket { start, l4_offload, ip_offload, .. } = *packet;
        (*self).apply_slow(facts, WritablePacket { bytes: packet.bytes, start, l4_offload, ip_offload })
    }

    /// Rewrites a fragment: the addresses, and in the first one whatever else the state translates. Its checksum covers all
    /// fragments, and is updated by the difference.
    ///
    /// # Errors
    /// [`TranslateError::Untranslatable`] between families, and for protocols other than TCP, UDP and ICMP.
    pub fn apply_to_fragment(&self, facts: &Facts, packet: &mut WritablePacket<'_>) -> Result<()> {
        let has_part = match facts.kind {
            Kind::Tcp | Kind::Udp | Kind::IcmpQuery | Kind::IcmpReply => true,
            Kind::LaterFragment => false,
            _ => return Err(TranslateError::Untranslatable),
        };
        let is_known = matches!(facts.key.proto, TCP | UDP | ICMP | ICMPV6);
        if self.to.family != facts.key.family || !is_known || facts.ip_options.any(IpOptions::AUTHENTICATION)
        {
            return Err(TranslateError::Untranslatable);
        }
        if has_part {
            self.apply(facts, packet).map(drop)
        } else {
            fast_path::rewrite_addresses(self, facts, packet)
        }
    }

    /// Rewrites any packet that [`fast_path`] does not.
    #[inline(never)]
    fn apply_slow(self, facts: &Facts, mut packet: WritablePacket<'_>) -> Result<usize> {
        if facts.ip_options.any(IpOptions::AUTHENTICATION) {
            return Err(TranslateError::Untranslatable);
        }
        if self.to.family != facts.key.family {
            return nat64::rewrite(&self, facts, &mut packet);
        }
        let Some(bytes) = packet.bytes.get_mut(packet.start..) else {
            return Err(TranslateError::NotContiguous);
        };
        if self.to.proto != facts.key.proto {
            return Err(TranslateError::Untranslatable);
        }
        let mut fields = Fields::new(bytes, packet.l4_offload, packet.ip_offload);
        match facts.kind {
            Kind::IcmpError => icmp_error::rewrite(&mut fields, facts, &self)?,
            _ => self.rewrite(&mut fields, facts)?,
        }
        Ok(packet.start)
    }

    /// Rewrites a packet other than an ICMP error within its family.
    #[inline]
    fn rewrite(&self, fields: &mut Fields<'_>, facts: &Facts) -> Result<()> {
        let (from, to) = (&facts.key, self.to);
        let offsets = Offsets::of(facts);
        let addresses = address_delta(from, to);
        match from.proto {
            TCP | UDP => {
                fields.has(offsets.transport, transport_bytes(from.proto))?;
                self.rewrite_transport(fields, facts, addresses)?;
            }
            ICMP | ICMPV6 => self.rewrite_icmp_query(fields, facts, &offsets, addresses)?,
            _ => other::rewrite(fields, from, to, other::Segment::of(facts), addresses)?,
        }
        let [source, destination] = source_first(to.addr, offsets.source);
        fields.addresses(&offsets, &source, &destination, addresses)
    }

    /// Rewrites ports, sequence numbers and checksum of a TCP or UDP header.
    fn rewrite_transport(
        &self,
        fields: &mut Fields<'_>,
        facts: &Facts,
        addresses: ChecksumDelta,
    ) -> Result<()> {
        let (proto, at) = (facts.key.proto, usize::from(facts.l4_offset));
        let is_modulated = proto == TCP && self.modulation != [0; 2];
        if is_modulated {
            modulation::require_contiguous(fields, at)?;
        }
        let ports = fields.ports(at, source_first(self.to.port, facts.direction.source_slot()))?;
        fields.transport_checksum(at, proto, addresses, ports)?;
        if is_modulated {
            modulation::modulate(fields, at, facts, self.modulation)?;
        }
        Ok(())
    }

    /// Rewrites the identifier of an ICMP query or reply.
    fn rewrite_icmp_query(
        &self,
        fields: &mut Fields<'_>,
        facts: &Facts,
        offsets: &Offsets,
        addresses: ChecksumDelta,
    ) -> Result<()> {
        let slot = if facts.kind == Kind::IcmpReply { 1 - offsets.source } else { offsets.source };
        let (old, new) = (facts.key.port[slot], self.to.port[slot]);
        let kind = facts.key.port[1 - slot];
        if kind != self.to.port[1 - slot] || (old != new && !icmp::has_identifier(kind, facts.key.family)) {
            return Err(TranslateError::Untranslatable);
        }
        fields.has(offsets.transport, icmp::HEADER_BYTES)?;
        let mut change = if facts.key.family == Family::V6 { addresses } else { ChecksumDelta::default() };
        if old != new {
            change = change.plus(fields.replace(offsets.transport + 4, new.0)?);
        }
        fields.update_checksum(offsets.transport + 2, |sum| change.apply(sum)).map(drop)
    }
}

/// Returns the length of the part of a TCP or UDP header that changes.
const fn transport_bytes(proto: u8) -> usize {
    if proto == TCP { 18 } else { 8 }
}

/// Returns the checksum delta of the changed addresses.
#[inline(always)]
fn address_delta(from: &Key, to: &Key) -> ChecksumDelta {
    ChecksumDelta::of_addresses(&from.addr, &to.addr)
}

/// Orders the two values of a key's field: the source's first.
#[inline]
const fn source_first<T: Copy>([a, b]: [T; 2], source_slot: usize) -> [T; 2] {
    if source_slot == 0 { [a, b] } else { [b, a] }
}

/// Whether a protocol has ports or identifiers that NAT can replace. `kind` is the type of an ICMP query.
#[must_use]
pub fn has_translatable_ports(family: Family, proto: u8, kind: Be16) -> bool {
    match proto {
        TCP | UDP | SCTP => true,
        ICMP | ICMPV6 => icmp::has_identifier(kind, family),
        _ => false,
    }
}

/// Returns `key` in another family, with the corresponding protocol and ICMP type; the caller sets the addresses.
///
/// `source` is the slot of the packet's source. Returns `None` if the protocol or type has no counterpart.
#[must_use]
pub fn key_in_family(key: &Key, kind: Kind, source: usize, family: Family) -> Option<Key> {
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
        // In IPv6 these numbers are extension headers, which need a next header.
        (proto, _) if family == Family::V6 && is_extension(family, proto.into()) => None,
        _ => Some(other),
    }
}
