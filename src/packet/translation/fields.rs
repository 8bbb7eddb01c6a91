//! Replaces fields of a packet and returns the checksum deltas.

use super::{Result, TCP, TranslateError, UDP};
use crate::packet::checksum::{ChecksumDelta, Sum};
use crate::packet::{Be16, Facts, Family, Key, crc32c};

/// The offsets of a packet's headers, and the slot of its source in its key.
pub(super) struct Offsets {
    pub family: Family,
    pub ip: usize,
    pub transport: usize,
    pub source: usize,
}

impl Offsets {
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

/// A packet's bytes, accessed by checked offsets.
pub(super) struct Fields<'a> {
    bytes: &'a mut [u8],
    l4_offload: bool,
    ip_offload: bool,
}

impl<'a> Fields<'a> {
    #[inline(always)]
    pub(super) const fn new(bytes: &'a mut [u8], l4_offload: bool, ip_offload: bool) -> Self {
        Self { bytes, l4_offload, ip_offload }
    }

    /// Returns all bytes.
    pub(super) const fn bytes(&mut self) -> &mut [u8] {
        self.bytes
    }

    /// Checks that `length` bytes at `at` are in the first segment.
    #[inline(always)]
    pub(super) const fn has(&self, at: usize, length: usize) -> Result<()> {
        if at + length <= self.bytes.len() { Ok(()) } else { Err(TranslateError::NotContiguous) }
    }

    #[inline(always)]
    fn field<const N: usize>(&mut self, at: usize) -> Result<&mut [u8; N]> {
        self.bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut()).ok_or(TranslateError::NotContiguous)
    }

    /// Replaces the bytes at `at` by `new`.
    #[inline(always)]
    pub(super) fn replace<const N: usize>(&mut self, at: usize, new: [u8; N]) -> Result<ChecksumDelta> {
        let field = self.field::<N>(at)?;
        let change = ChecksumDelta::of_field(field, &new);
        *field = new;
        Ok(change)
    }

    /// Replaces both ports.
    #[inline(always)]
    pub(super) fn ports(&mut self, at: usize, [source, destination]: [Be16; 2]) -> Result<ChecksumDelta> {
        let ([a, b], [c, d]) = (source.0, destination.0);
        self.replace(at, [a, b, c, d])
    }

    /// Updates a checksum field. Returns what that adds to an enclosing checksum.
    #[inline(always)]
    pub(super) fn update_checksum(
        &mut self,
        at: usize,
        new: impl FnOnce(Be16) -> Be16,
    ) -> Result<ChecksumDelta> {
        let field = self.field::<2>(at)?;
        let old = *field;
        *field = new(Be16(old)).0;
        Ok(ChecksumDelta::of_field(&old, field))
    }

    /// Updates the checksum of the TCP or UDP header at `at` for changed addresses and header fields.
    #[inline(always)]
    pub(super) fn transport_checksum(
        &mut self,
        at: usize,
        proto: u8,
        addresses: ChecksumDelta,
        header: ChecksumDelta,
    ) -> Result<()> {
        let is_tcp = proto == TCP;
        let field = at + if is_tcp { 16 } else { 6 };
        let l4_offload = self.l4_offload;
        self.update_checksum(field, |old| match (l4_offload, is_tcp) {
            (true, _) => addresses.apply_partial(old),
            (false, true) => addresses.plus(header).apply(old),
            (false, false) => addresses.plus(header).apply_udp(old),
        })
        .map(drop)
    }

    /// Updates the CRC32c at `at` for a packet that began with `old` and now begins with `new`, with `trailing` bytes behind
    /// them, unless the NIC does. Returns what that adds to an enclosing checksum.
    pub(super) fn update_crc32c(
        &mut self,
        at: usize,
        old: [u8; 4],
        new: [u8; 4],
        trailing: usize,
    ) -> Result<ChecksumDelta> {
        if self.l4_offload {
            return Ok(ChecksumDelta::default());
        }
        let crc = u32::from_le_bytes(*self.field::<4>(at)?);
        self.replace(at, (crc ^ crc32c::change(old, new, trailing)).to_le_bytes())
    }

    /// Writes the checksum of the UDP datagram of `length` bytes at `at`, which had none, for the addresses of `key`. Cost: one
    /// pass over the datagram.
    pub(super) fn compute_udp_checksum(&mut self, at: usize, length: usize, key: &Key) -> Result<()> {
        let datagram = self.bytes.get_mut(at..at + length).ok_or(TranslateError::NotContiguous)?;
        let sum = Sum::pseudo_header(&key.addr, UDP, length as u32).bytes(datagram).checksum();
        // Zero would mean "no checksum".
        let field = if sum == Be16([0; 2]) { [0xff; 2] } else { sum.0 };
        datagram.get_mut(6..8).ok_or(TranslateError::NotContiguous)?.copy_from_slice(&field);
        Ok(())
    }

    /// Updates the checksum of the IPv4 header at `at`, unless the NIC does.
    #[inline(always)]
    pub(super) fn ip_checksum(&mut self, at: usize, change: ChecksumDelta) -> Result<()> {
        if self.ip_offload {
            return Ok(());
        }
        self.update_checksum(at + V4_CHECKSUM, |old| change.apply(old)).map(drop)
    }

    /// Like [`Self::addresses`], for a quoted header, whose checksum no NIC completes.
    pub(super) fn quoted_addresses(
        &mut self,
        offsets: &Offsets,
        source: &[u8; 16],
        destination: &[u8; 16],
        change: ChecksumDelta,
    ) -> Result<()> {
        let ip_offload = core::mem::take(&mut self.ip_offload);
        let result = self.addresses(offsets, source, destination, change);
        self.ip_offload = ip_offload;
        result
    }

    /// Replaces both addresses of an IP header and updates an IPv4 header's checksum.
    #[inline(always)]
    pub(super) fn addresses(
        &mut self,
        offsets: &Offsets,
        source: &[u8; 16],
        destination: &[u8; 16],
        change: ChecksumDelta,
    ) -> Result<()> {
        if offsets.family == Family::V6 {
            let header = self.field::<V6_BYTES>(offsets.ip)?;
            header[V6_ADDRESSES..][..16].copy_from_slice(source);
            header[V6_ADDRESSES + 16..].copy_from_slice(destination);
            return Ok(());
        }
        let header = self.field::<V4_BYTES>(offsets.ip)?;
        header[V4_ADDRESSES..][..4].copy_from_slice(&source[..4]);
        header[V4_ADDRESSES + 4..].copy_from_slice(&destination[..4]);
        self.ip_checksum(offsets.ip, change)
    }
}
