//! Reads a packet's bytes with one bounds check per header.

use crate::packet::Rejection;

/// The first segment of a packet, and the packet's length.
///
/// `end` is first the length of all segments, then the end that the IP header gives.
#[derive(Clone, Copy)]
pub(in crate::packet) struct Reader<'a> {
    bytes: &'a [u8],
    end: usize,
}

impl<'a> Reader<'a> {
    pub(in crate::packet) const fn new(bytes: &'a [u8], packet_length: u32) -> Self {
        let length = packet_length as usize;
        Self { bytes, end: if length < bytes.len() { bytes.len() } else { length } }
    }

    /// Returns the `N` bytes at `at`.
    #[inline(always)]
    pub(in crate::packet) fn header<const N: usize>(&self, at: usize) -> Result<&'a [u8; N], Rejection> {
        if at + N > self.end {
            return Err(Rejection::Truncated);
        }
        self.bytes.get(at..).and_then(|rest| rest.first_chunk()).ok_or(Rejection::NotContiguous)
    }

    /// Returns the `length` bytes at `at`.
    #[inline(always)]
    pub(in crate::packet) fn slice(&self, at: usize, length: usize) -> Result<&'a [u8], Rejection> {
        if at + length > self.end {
            return Err(Rejection::Truncated);
        }
        self.bytes.get(at..at + length).ok_or(Rejection::NotContiguous)
    }

    /// Returns the end of the packet.
    pub(in crate::packet) const fn end(&self) -> usize {
        self.end
    }

    /// Returns a reader of the same bytes with another end, which the caller has checked. What follows it is padding.
    #[inline(always)]
    pub(in crate::packet) const fn ending_at(&self, end: usize) -> Self {
        Self { bytes: self.bytes, end }
    }
}
