//! The hello that pfplane nodes send each other on the sync link: 48 bytes, big endian. It rides behind the length of a
//! pfsync frame, where other systems ignore it.

use crate::election::{Class, Rank, Role};
use crate::time::Nanos;

/// Length of a hello.
pub const HELLO_BYTES: usize = 48;

const MAGIC: [u8; 4] = *b"pfel";
const VERSION: u8 = 1;

/// What a node says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The number of the election group.
    pub group: u32,
    /// The sender's role. A node that is leaving says [`Role::Init`].
    pub role: Role,
    /// Whether it knows what its peers know.
    pub class: Class,
    /// What it advertises.
    pub rank: Rank,
    /// Its demotion, in its own dialect's measure.
    pub demotion: u16,
    /// Its interval.
    pub interval: Nanos,
    /// Members whose link is up.
    pub members_up: u32,
    /// Members on which it receives the other node's adverts.
    pub members_received: u32,
    /// A random number of this run.
    pub run: u64,
    /// Increases with every hello of a run.
    pub sequence: u64,
}

impl Hello {
    /// Writes the hello.
    #[must_use]
    pub fn write(&self) -> [u8; HELLO_BYTES] {
        let mut bytes = [0; HELLO_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&[VERSION, self.role as u8, self.class as u8, self.rank.demotion]);
        bytes[8..12].copy_from_slice(&self.group.to_be_bytes());
        bytes[12..14].copy_from_slice(&self.rank.timing.to_be_bytes());
        bytes[14..16].copy_from_slice(&self.demotion.to_be_bytes());
        bytes[16..20].copy_from_slice(&self.interval_us().to_be_bytes());
        bytes[20..24].copy_from_slice(&self.members_up.to_be_bytes());
        bytes[24..28].copy_from_slice(&self.members_received.to_be_bytes());
        bytes[32..40].copy_from_slice(&self.run.to_be_bytes());
        bytes[40..].copy_from_slice(&self.sequence.to_be_bytes());
        bytes
    }

    /// Reads a hello, or returns `None` if the bytes are none.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HELLO_BYTES] = bytes.first_chunk()?;
        if bytes[..4] != MAGIC || bytes[4] != VERSION {
            return None;
        }
        let word = |at: usize| u32::from_be_bytes(*bytes[at..].first_chunk().expect("four bytes"));
        let half = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let long = |at: usize| u64::from_be_bytes(*bytes[at..].first_chunk().expect("eight bytes"));
        Some(Self {
            group: word(8),
            role: Role::from_number(bytes[5])?,
            class: [Class::Synced, Class::GaveUp, Class::Loading]
                .into_iter()
                .find(|class| *class as u8 == bytes[6])?,
            rank: Rank { demotion: bytes[7], timing: half(12) },
            demotion: half(14),
            interval: u64::from(word(16)) * 1000,
            members_up: word(20),
            members_received: word(24),
            run: long(32),
            sequence: long(40),
        })
    }

    fn interval_us(&self) -> u32 {
        u32::try_from(self.interval / 1000).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_damaged_hellos_are_none() {
        let hello = Hello {
            group: 7,
            role: Role::Master,
            class: Class::GaveUp,
            rank: Rank { demotion: 16, timing: 310 },
            demotion: 17,
            interval: 10_000_000,
            members_up: 3,
            members_received: 2,
            run: u64::MAX - 1,
            sequence: 1 << 40,
        };
        let bytes = hello.write();
        assert_eq!(Hello::parse(&bytes), Some(hello));
        assert_eq!(Hello::parse(&bytes[..HELLO_BYTES - 1]), None);
        for (at, value) in [(0, 0), (4, 2), (5, 9), (6, 3)] {
            let mut damaged = bytes;
            damaged[at] = value;
            assert_eq!(Hello::parse(&damaged), None, "{at}");
        }
    }
}
