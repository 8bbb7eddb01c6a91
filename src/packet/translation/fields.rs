//! Fields of a packet that are replaced, and what that does to checksums.

use super::{Refused, TCP};
use crate::packet::checksum::Change;
use crate::packet::{Be16, Facts, Family};

/// Where a packet's headers are, and which slot of its key is its source's.
pub(super) struct Place {
    pub family: Family,
    pub ip: usize,
    pub transport: usize,
    pub source: usize,
}

impl Place {
    #[inline(always)]
    pub(super) fn of(facts: &Facts) -> Self {
        Self {
            family: facts.key.family,
            ip: facts.l3_offset.into(),
            transport: facts.l4_offset.into(),
            source: facts.direction.source_slot(),
        }
    }
}

const V4_BYTES: usize = 20;
const V6_BYTES: usize = 40;
const V4_CHECKSUM: usize = 10;
const V4_ADDRESSES: usize = 12;
const V6_ADDRESSES: usize = 8;

/// A packet's bytes, reached by checked places.
pub(super) struct Fields<'a> {
    bytes: &'a mut [u8],
    partial: bool,
    ip_left: bool,
}

impl<'a> Fields<'a> {
    #[inline(always)]
    pub(super) const fn new(bytes: &'a mut [u8], partial: bool, ip_left: bool) -> Self {
        Self { bytes, partial, ip_left }
    }

    /// All bytes.
    pub(super) const fn bytes(&mut self) -> &mut [u8] {
        self.bytes
    }

    /// Whether `length` bytes at `at` are there.
    #[inline(always)]
    pub(super) const fn has(&self, at: usize, length: usize) -> Result<(), Refused> {
        if at + length <= self.bytes.len() { Ok(()) } else { Err(Refused::NotContiguous) }
    }

    #[inline(always)]
    fn field<const N: usize>(&mut self, at: usize) -> Result<&mut [u8; N], Refused> {
        self.bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut()).ok_or(Refused::NotContiguous)
    }

    /// Puts `new` in the place of what is there.
    #[inline(always)]
    pub(super) fn replace<const N: usize>(&mut self, at: usize, new: [u8; N]) -> Result<Change, Refused> {
        let field = self.field::<N>(at)?;
        let change = Change::of_field(field, &new);
        *field = new;
        Ok(change)
    }

    /// Both ports.
    #[inline(always)]
    pub(super) fn ports(&mut self, at: usize, [source, destination]: [Be16; 2]) -> Result<Change, Refused> {
        let ([a, b], [c, d]) = (source.0, destination.0);
        self.replace(at, [a, b, c, d])
    }

    /// Gives a checksum field its new value. What comes out is what that change does to a checksum around it.
    #[inline(always)]
    pub(super) fn checksum(&mut self, at: usize, new: impl FnOnce(Be16) -> Be16) -> Result<Change, Refused> {
        let field = self.field::<2>(at)?;
        let old = *field;
        *field = new(Be16(old)).0;
        Ok(Change::of_field(&old, field))
    }

    /// The checksum of a TCP or UDP header at `at`, after addresses and what the header holds changed.
    #[inline(always)]
    pub(super) fn transport_checksum(
        &mut self,
        at: usize,
        proto: u8,
        addresses: Change,
        header: Change,
    ) -> Result<(), Refused> {
        let is_tcp = proto == TCP;
        let place = at + if is_tcp { 16 } else { 6 };
        let partial = self.partial;
        self.checksum(place, |old| match (partial, is_tcp) {
            (true, _) => addresses.in_sum(old),
            (false, true) => addresses.and(header).in_checksum(old),
            (false, false) => addresses.and(header).in_udp_checksum(old),
        })
        .map(drop)
    }

    /// The checksum of the IPv4 header at `at`.
    #[inline(always)]
    pub(super) fn ip_checksum(&mut self, at: usize, change: Change) -> Result<(), Refused> {
        if self.ip_left {
            return Ok(());
        }
        self.checksum(at + V4_CHECKSUM, |old| change.in_checksum(old)).map(drop)
    }

    /// As [`Self::addresses`], for a quoted header: no card completes that one's checksum.
    pub(super) fn quoted_addresses(
        &mut self,
        place: &Place,
        source: &[u8; 16],
        destination: &[u8; 16],
        change: Change,
    ) -> Result<(), Refused> {
        let left = core::mem::take(&mut self.ip_left);
        let done = self.addresses(place, source, destination, change);
        self.ip_left = left;
        done
    }

    /// Both addresses of an IP header, and its checksum where it has one.
    #[inline(always)]
    pub(super) fn addresses(
        &mut self,
        place: &Place,
        source: &[u8; 16],
        destination: &[u8; 16],
        change: Change,
    ) -> Result<(), Refused> {
        if place.family == Family::V6 {
            let header = self.field::<V6_BYTES>(place.ip)?;
            header[V6_ADDRESSES..][..16].copy_from_slice(source);
            header[V6_ADDRESSES + 16..].copy_from_slice(destination);
            return Ok(());
        }
        let header = self.field::<V4_BYTES>(place.ip)?;
        header[V4_ADDRESSES..][..4].copy_from_slice(&source[..4]);
        header[V4_ADDRESSES + 4..].copy_from_slice(&destination[..4]);
        self.ip_checksum(place.ip, change)
    }
}
