//! Bytes of a packet, read with one check for each header.

use super::Rejection;

/// The first piece of a packet, and how long the packet says or is known to be.
///
/// `end` is where the packet ends by what was read so far: first the bytes of all pieces, then the IP header's length.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    end: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8], packet_length: u32) -> Self {
        let all = packet_length as usize;
        Self { bytes, end: if all < bytes.len() { bytes.len() } else { all } }
    }

    /// The header of `N` bytes at `at`.
    #[inline(always)]
    pub(super) fn header<const N: usize>(&self, at: usize) -> Result<&'a [u8; N], Rejection> {
        if at + N > self.end {
            return Err(Rejection::Truncated);
        }
        self.bytes.get(at..).and_then(|rest| rest.first_chunk()).ok_or(Rejection::NotContiguous)
    }

    /// The `length` bytes at `at`.
    #[inline(always)]
    pub(super) fn slice(&self, at: usize, length: usize) -> Result<&'a [u8], Rejection> {
        if at + length > self.end {
            return Err(Rejection::Truncated);
        }
        self.bytes.get(at..at + length).ok_or(Rejection::NotContiguous)
    }

    /// Where the packet ends.
    pub(super) const fn end(&self) -> usize {
        self.end
    }

    /// The same bytes, of a packet that ends at `end`, which was found to be there. What lies behind it is padding.
    #[inline(always)]
    pub(super) const fn ending_at(&self, end: usize) -> Self {
        Self { bytes: self.bytes, end }
    }
}
