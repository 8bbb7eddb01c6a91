//! The bytes of one direction of one connection: a stream that both ends can produce, so that the receiver checks
//! each byte and a byte of another connection, another direction or another place never passes.

use pfplane_testkit::random::mix;

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Which way a stream goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the client.
    ToServer,
    /// From the server.
    ToClient,
}

/// A stream and the place reached in it.
#[derive(Clone, Debug)]
pub struct Keystream {
    key: u64,
    offset: u64,
    word: [u8; 8],
}

impl Keystream {
    /// The stream of connection `number` in direction `way`, at its beginning.
    pub fn new(seed: u64, number: u32, way: Way) -> Keystream {
        let salt = u64::from(number) << 1 | u64::from(way == Way::ToServer);
        let key = mix(seed ^ mix(salt.wrapping_add(GOLDEN)));
        Keystream { key, offset: 0, word: word(key, 0) }
    }

    /// The next byte.
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

    /// How many of `bytes` are not what belongs here. The place moves on by all of them.
    pub fn count_wrong(&mut self, bytes: &[u8]) -> u64 {
        bytes.iter().map(|&byte| u64::from(byte != self.next_byte())).sum()
    }
}

fn word(key: u64, index: u64) -> [u8; 8] {
    mix(key.wrapping_add(index.wrapping_mul(GOLDEN))).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(seed: u64, number: u32, way: Way, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        Keystream::new(seed, number, way).append(&mut bytes, count);
        bytes
    }

    #[test]
    fn the_receiver_finds_its_own_stream_right_however_it_is_cut() {
        let bytes = bytes_of(7, 3, Way::ToServer, 1000);
        for cut in [1, 7, 8, 9, 64, 511] {
            let mut stream = Keystream::new(7, 3, Way::ToServer);
            let wrong: u64 = bytes.chunks(cut).map(|part| stream.count_wrong(part)).sum();
            assert_eq!(wrong, 0, "cut every {cut} bytes");
        }
    }

    #[test]
    fn one_changed_byte_is_one_wrong_byte() {
        let mut bytes = bytes_of(7, 3, Way::ToServer, 1000);
        bytes[500] ^= 1;
        assert_eq!(Keystream::new(7, 3, Way::ToServer).count_wrong(&bytes), 1);
    }

    #[test]
    fn another_connection_direction_seed_or_place_does_not_pass() {
        let bytes = bytes_of(7, 3, Way::ToServer, 1000);
        let most = 950;
        assert!(Keystream::new(7, 4, Way::ToServer).count_wrong(&bytes) > most);
        assert!(Keystream::new(7, 3, Way::ToClient).count_wrong(&bytes) > most);
        assert!(Keystream::new(8, 3, Way::ToServer).count_wrong(&bytes) > most);
        let mut late = Keystream::new(7, 3, Way::ToServer);
        late.next_byte();
        assert!(late.count_wrong(&bytes) > most);
    }
}
