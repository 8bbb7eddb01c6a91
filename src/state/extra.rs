//! What only few states have: fields that this node keeps for its peers, and the host's own bytes.

use super::record::IfName;
use crate::packet::Family;

/// Maximum number of the host's own bytes of a state.
pub const MAX_OPAQUE: usize = 64;

/// The host's own bytes of a state. They mean nothing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opaque {
    length: u8,
    bytes: [u8; MAX_OPAQUE],
}

impl Opaque {
    /// No bytes.
    pub const EMPTY: Self = Self { length: 0, bytes: [0; MAX_OPAQUE] };

    /// Copies bytes; `None` when there are more than [`MAX_OPAQUE`].
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut opaque = Self { length: bytes.len() as u8, ..Self::EMPTY };
        opaque.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(opaque)
    }

    /// Returns the bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// Whether there are no bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }
}

/// Fields of FreeBSD's states that this node does not use. Peers that have them get them back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptFields {
    /// Tag; empty for none.
    pub tagname: [u8; 64],
    /// Interface of the next hop of route-to and reply-to; empty for none.
    pub rt_ifname: IfName,
    /// Interface that a floating state was created on; empty if it is unknown.
    pub orig_ifname: IfName,
    /// ALTQ queue and priority queue, dummynet pipe and that of the reverse direction; 0 for none.
    pub queues: [u16; 4],
    /// Family of the next hop.
    pub rt_family: Family,
}

impl KeptFields {
    /// No field.
    pub const EMPTY: Self = Self {
        tagname: [0; 64],
        rt_ifname: [0; 16],
        orig_ifname: [0; 16],
        queues: [0; 4],
        rt_family: Family::NONE,
    };
}

/// What only few states have, see [`KeptFields`] and [`Opaque`]. Three cache lines, read when whole states are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Extra {
    /// Fields kept for peers.
    pub fields: KeptFields,
    /// The host's own bytes.
    pub opaque: Opaque,
}

impl Extra {
    /// Nothing.
    pub const EMPTY: Self = Self { fields: KeptFields::EMPTY, opaque: Opaque::EMPTY };

    /// Whether there is nothing to keep.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.opaque.is_empty() && self.fields == KeptFields::EMPTY
    }
}

const _: () = assert!(size_of::<Extra>() == 192);

/// A part of an [`Extra`], as peers send it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtraPart {
    /// The host's own bytes.
    Opaque(Opaque),
    /// Fields kept for peers.
    Fields(KeptFields),
}

impl Extra {
    /// Sets a part. Fields that are known stay: a message of a dialect that has them came first.
    pub fn set(&mut self, part: &ExtraPart) {
        match part {
            ExtraPart::Opaque(opaque) => self.opaque = *opaque,
            ExtraPart::Fields(fields) if self.fields == KeptFields::EMPTY => self.fields = *fields,
            ExtraPart::Fields(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opaque_bytes_are_bounded() {
        for length in [0, 1, MAX_OPAQUE] {
            let bytes = vec![7; length];
            let opaque = Opaque::new(&bytes).unwrap();
            assert_eq!((opaque.as_bytes(), opaque.is_empty()), (&bytes[..], length == 0));
        }
        for length in [MAX_OPAQUE + 1, 256, 300] {
            assert_eq!(Opaque::new(&vec![7; length]), None);
        }
    }
}
