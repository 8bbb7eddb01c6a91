//! The Toeplitz hash of NICs (RSS), with tables: one lookup per input byte instead of one step per bit.
//!
//! For each set input bit `i`, counted from the most significant bit of the first byte, the hash adds by exclusive or the 32
//! key bits that begin at bit `i` (Microsoft, "RSS Hashing Functions"). It is linear, so each byte adds a term that depends
//! on its value and position only.

use zerocopy::FromZeros;

/// Bytes of an RSS key.
pub(super) const KEY_BYTES: usize = 40;

/// Bytes of the longest input: two IPv6 addresses and two ports.
const INPUT_BYTES: usize = 36;

/// Returns the 32 key bits that begin at bit `at`; the key wraps around.
const fn window(key: &[u8; KEY_BYTES], at: usize) -> u32 {
    let mut bits = 0u32;
    let mut n = 0;
    while n < 32 {
        let bit = (at + n) % (8 * KEY_BYTES);
        bits = bits << 1 | (key[bit / 8] >> (7 - bit % 8) & 1) as u32;
        n += 1;
    }
    bits
}

/// Fills in the terms of all 256 values of the byte at `index`.
const fn fill_terms(table: &mut [u32; 256], key: &[u8; KEY_BYTES], index: usize) {
    table[0] = 0;
    let mut value = 1;
    while value < 256 {
        // The highest set bit, and the rest, which is already in the table.
        let bit = 7 - (value as u8).leading_zeros() as usize;
        table[value] = table[value & !(1 << bit)] ^ window(key, 8 * index + 7 - bit);
        value += 1;
    }
}

/// The hash for any key.
///
/// Memory: 36 KiB, on the heap. Thread: any.
#[derive(Clone)]
pub struct Toeplitz {
    tables: Box<[[u32; 256]; INPUT_BYTES]>,
}

impl Toeplitz {
    /// Builds the tables. Cost: about ten microseconds and one allocation.
    #[must_use]
    pub fn new(key: &[u8; KEY_BYTES]) -> Self {
        let mut tables = Box::new([[0; 256]; INPUT_BYTES]);
        for (index, table) in tables.iter_mut().enumerate() {
            fill_terms(table, key, index);
        }
        Self { tables }
    }

    /// Hashes `input`: source address, destination address, source port, destination port. Bytes past the 36th are ignored.
    /// Cost: one load per byte.
    #[must_use]
    pub fn hash(&self, input: &[u8]) -> u32 {
        input.iter().zip(self.tables.iter()).fold(0, |hash, (&byte, table)| hash ^ table[usize::from(byte)])
    }
}

/// The hash for a key that repeats every two bytes, which is the same for both directions.
///
/// With such a key a 16-bit word's term does not depend on its position. So the words are combined first, and two lookups
/// remain.
#[derive(Clone, FromZeros)]
pub(super) struct SymmetricToeplitz {
    high: [u32; 256],
    low: [u32; 256],
}

impl SymmetricToeplitz {
    /// Fills in the tables (2 KiB) for a key that repeats every two bytes.
    pub(super) fn fill(&mut self, key: &[u8; KEY_BYTES]) {
        fill_terms(&mut self.high, key, 0);
        fill_terms(&mut self.low, key, 1);
    }

    /// Whether a key repeats every two bytes.
    pub(super) fn is_symmetric(key: &[u8; KEY_BYTES]) -> bool {
        key.chunks_exact(2).all(|pair| pair == &key[..2])
    }

    /// Hashes an input, given the exclusive or of its 16-bit words. Cost: two loads.
    #[inline]
    #[must_use]
    pub(super) const fn hash_folded(&self, words: u16) -> u32 {
        self.high[(words >> 8) as usize] ^ self.low[(words & 0xff) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, bit by bit.
    fn naive(key: &[u8; KEY_BYTES], input: &[u8]) -> u32 {
        let mut hash = 0;
        for (n, byte) in input.iter().enumerate() {
            for bit in 0..8 {
                if byte >> (7 - bit) & 1 == 1 {
                    hash ^= window(key, 8 * n + bit);
                }
            }
        }
        hash
    }

    const MICROSOFT: [u8; KEY_BYTES] = [
        0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0,
        0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42,
        0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
    ];

    fn input(source: &str, destination: &str, ports: [u16; 2]) -> Vec<u8> {
        let octets = |text: &str| match text.parse().unwrap() {
            std::net::IpAddr::V4(v4) => v4.octets().to_vec(),
            std::net::IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        let mut bytes = octets(source);
        bytes.extend(octets(destination));
        bytes.extend(ports.iter().flat_map(|port| port.to_be_bytes()));
        bytes
    }

    /// Microsoft, "Verifying the RSS Hash Calculation": source, destination, ports, hash without and with ports.
    const VECTORS: [(&str, &str, [u16; 2], u32, u32); 8] = [
        ("66.9.149.187", "161.142.100.80", [2794, 1766], 0x323e_8fc2, 0x51cc_c178),
        ("199.92.111.2", "65.69.140.83", [14230, 4739], 0xd718_262a, 0xc626_b0ea),
        ("24.19.198.95", "12.22.207.184", [12898, 38024], 0xd2d0_a5de, 0x5c2b_394a),
        ("38.27.205.30", "209.142.163.6", [48228, 2217], 0x8298_9176, 0xafc7_327f),
        ("153.39.163.191", "202.188.127.2", [44251, 1303], 0x5d18_09c5, 0x10e8_28a2),
        ("3ffe:2501:200:1fff::7", "3ffe:2501:200:3::1", [2794, 1766], 0x2cc1_8cd5, 0x4020_7d3d),
        ("3ffe:501:8::260:97ff:fe40:efab", "ff02::1", [14230, 4739], 0x0f0c_461c, 0xdde5_1bbf),
        (
            "3ffe:1900:4545:3:200:f8ff:fe21:67cf",
            "fe80::200:f8ff:fe21:67cf",
            [44251, 38024],
            0x4b61_e985,
            0x02d1_feef,
        ),
    ];

    #[test]
    fn microsofts_vectors_have_their_hashes() {
        let toeplitz = Toeplitz::new(&MICROSOFT);
        for (source, destination, ports, addresses_only, with_ports) in VECTORS {
            let bytes = input(source, destination, ports);
            assert_eq!(toeplitz.hash(&bytes), with_ports, "{source}");
            assert_eq!(toeplitz.hash(&bytes[..bytes.len() - 4]), addresses_only, "{source}");
        }
    }

    #[test]
    fn a_key_that_does_not_repeat_is_not_symmetric() {
        assert!(!SymmetricToeplitz::is_symmetric(&MICROSOFT));
    }

    proptest! {
        #[test]
        fn the_tables_equal_the_definition(
            key in proptest::array::uniform32(any::<u8>()),
            tail in proptest::array::uniform8(any::<u8>()),
            input in proptest::collection::vec(any::<u8>(), 0..=36),
        ) {
            let mut whole = [0; KEY_BYTES];
            whole[..32].copy_from_slice(&key);
            whole[32..].copy_from_slice(&tail);
            prop_assert_eq!(Toeplitz::new(&whole).hash(&input), naive(&whole, &input));
        }

        #[test]
        fn the_folded_hash_equals_the_plain_one(
            pair in any::<[u8; 2]>(),
            words in proptest::collection::vec(any::<u16>(), 0..=18),
        ) {
            let key: [u8; KEY_BYTES] = core::array::from_fn(|n| pair[n % 2]);
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            let folded = words.iter().fold(0, |all, word| all ^ word);
            let mut symmetric = SymmetricToeplitz::new_zeroed();
            symmetric.fill(&key);
            prop_assert_eq!(symmetric.hash_folded(folded), naive(&key, &bytes));
        }
    }
}
