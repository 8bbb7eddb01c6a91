//! The bytes of one direction of one connection. Both ends generate the same stream, so the receiver checks every byte and
//! detects a byte of another connection, direction or position.

use pfplane_testkit::random::mix;

use crate::clock;

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The direction of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client.
    ToServer,
    /// From the server.
    ToClient,
}

impl Direction {
    /// Returns the other direction.
    pub fn reverse(self) -> Direction {
        if self == Direction::ToServer { Direction::ToClient } else { Direction::ToServer }
    }
}

/// A stream and the position in it.
#[derive(Clone, Debug)]
pub struct Keystream {
    key: u64,
    offset: u64,
    word: [u8; 8],
}

impl Keystream {
    /// Starts the stream of connection `number` in `direction`.
    pub fn new(seed: u64, number: u32, direction: Direction) -> Keystream {
        let salt = u64::from(number) << 1 | u64::from(direction == Direction::ToServer);
        let key = mix(seed ^ mix(salt.wrapping_add(GOLDEN)));
        Keystream { key, offset: 0, word: word(key, 0) }
    }

    /// Returns the next byte.
    pub fn next_byte(&mut self) -> u8 {
        let byte = self.word[(self.offset % 8) as usize];
        self.offset += 1;
        if self.offset.is_multiple_of(8) {
            self.word = word(self.key, self.offset / 8);
        }
        byte
    }

    /// Appends the next `count` bytes to `out`.
    pub fn append(&mut self, out: &mut Vec<u8>, count: usize) {
        out.extend((0..count).map(|_| self.next_byte()));
    }

    /// Counts the bytes that differ from the stream, and advances past all of them.
    pub fn count_wrong(&mut self, bytes: &[u8]) -> u64 {
        bytes.iter().map(|&byte| u64::from(byte != self.next_byte())).sum()
    }
}

fn word(key: u64, index: u64) -> [u8; 8] {
    mix(key.wrapping_add(index.wrapping_mul(GOLDEN))).to_le_bytes()
}

/// Returns a seed that differs from run to run.
pub fn random_seed() -> u64 {
    mix(clock::now() ^ u64::from(std::process::id()) << 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(seed: u64, number: u32, direction: Direction, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        Keystream::new(seed, number, direction).append(&mut bytes, count);
        bytes
    }

    #[test]
    fn the_receiver_accepts_its_own_stream_in_pieces_of_any_size() {
        let bytes = bytes_of(7, 3, Direction::ToServer, 1000);
        for size in [1, 7, 8, 9, 64, 511] {
            let mut stream = Keystream::new(7, 3, Direction::ToServer);
            let wrong: u64 = bytes.chunks(size).map(|part| stream.count_wrong(part)).sum();
            assert_eq!(wrong, 0, "pieces of {size} bytes");
        }
    }

    #[test]
    fn one_changed_byte_is_one_wrong_byte() {
        let mut bytes = bytes_of(7, 3, Direction::ToServer, 1000);
        bytes[500] ^= 1;
        assert_eq!(Keystream::new(7, 3, Direction::ToServer).count_wrong(&bytes), 1);
    }

    #[test]
    fn another_connection_direction_seed_or_position_is_detected() {
        let bytes = bytes_of(7, 3, Direction::ToServer, 1000);
        let min_wrong = 950;
        assert!(Keystream::new(7, 4, Direction::ToServer).count_wrong(&bytes) > min_wrong);
        assert!(Keystream::new(7, 3, Direction::ToClient).count_wrong(&bytes) > min_wrong);
        assert!(Keystream::new(8, 3, Direction::ToServer).count_wrong(&bytes) > min_wrong);
        let mut late = Keystream::new(7, 3, Direction::ToServer);
        late.next_byte();
        assert!(late.count_wrong(&bytes) > min_wrong);
    }
}
