//! The values of the options HELLO and ECHO of a trailer.

use super::keys::MAX_KEYS;

/// Length of a hello.
pub const HELLO_BYTES: usize = 32;
/// Length of an echo.
pub const ECHO_BYTES: usize = 8;

/// What a node says of itself to one peer.
///
/// ```text
///  0  second half of the epoch (8)    16  first half of the receiver's epoch, once it is proven (8)    28  ids of keys (4)
///  8  challenge (8)                   24  host id (4)
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SealHello {
    /// Second half of the sender's epoch.
    pub epoch: u64,
    /// The receiver is to return this number.
    pub challenge: u64,
    /// First half of the receiver's epoch if the sender accepts its frames, otherwise 0.
    pub accepts: u64,
    /// The sender's host id.
    pub creator: u32,
    /// The ids of the sender's keys.
    pub keys: [u8; MAX_KEYS],
}

impl SealHello {
    /// Reads an option's value.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let bytes: &[u8; HELLO_BYTES] = value.try_into().ok()?;
        let long = |at: usize| u64::from_be_bytes(core::array::from_fn(|n| bytes[at + n]));
        Some(Self {
            epoch: long(0),
            challenge: long(8),
            accepts: long(16),
            creator: u32::from_be_bytes(core::array::from_fn(|n| bytes[24 + n])),
            keys: core::array::from_fn(|n| bytes[28 + n]),
        })
    }

    /// Writes the option's value.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HELLO_BYTES] {
        let mut bytes = [0; HELLO_BYTES];
        bytes[..8].copy_from_slice(&self.epoch.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.challenge.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.accepts.to_be_bytes());
        bytes[24..28].copy_from_slice(&self.creator.to_be_bytes());
        bytes[28..].copy_from_slice(&self.keys);
        bytes
    }
}

/// Reads the value of an echo: the challenge that it returns.
#[must_use]
pub fn echo_of(value: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(value.try_into().ok()?))
}

/// Writes the value of an echo.
#[must_use]
pub const fn echo_bytes(challenge: u64) -> [u8; ECHO_BYTES] {
    challenge.to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_reads_back_and_other_lengths_are_refused() {
        let hello = SealHello { epoch: 1 << 60, challenge: 2, accepts: 3, creator: 4, keys: [5, 6, 0, 0] };
        let bytes = hello.to_bytes();
        assert_eq!(SealHello::parse(&bytes), Some(hello));
        assert_eq!((bytes[0], bytes[15], bytes[23], bytes[27], bytes[28]), (0x10, 2, 3, 4, 5));
        assert_eq!(SealHello::parse(&bytes[..31]), None);
        assert_eq!(echo_of(&echo_bytes(77)), Some(77));
        assert_eq!(echo_of(&bytes), None);
    }
}
