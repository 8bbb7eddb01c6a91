//! CRC32c, the checksum of SCTP (RFC 9260 appendix A): computing it, and updating it when the first bytes change.
//!
//! A CRC is linear: changed bytes change it by a value that depends on their difference and on how many bytes follow, not
//! on the rest of the data. So a damaged packet stays damaged.

/// The polynomial, bits reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;
/// The polynomial 1.
const ONE: u32 = 1 << 31;

/// Returns the register after one more zero bit.
const fn shifted(register: u32) -> u32 {
    if register & 1 == 0 { register >> 1 } else { register >> 1 ^ POLYNOMIAL }
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        let mut register = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            register = shifted(register);
            bit += 1;
        }
        table[byte] = register;
        byte += 1;
    }
    table
};

/// x to the power of 8 times 2 to the power of n: multiplying by entry n appends 2^n zero bytes.
const ZEROS: [u32; 17] = {
    // x^8: eight bits behind 1.
    let mut zeros = [1 << 23; 17];
    let mut n = 1;
    while n < zeros.len() {
        zeros[n] = product(zeros[n - 1], zeros[n - 1]);
        n += 1;
    }
    zeros
};

/// Multiplies two polynomials modulo the CRC's.
const fn product(a: u32, mut b: u32) -> u32 {
    let (mut sum, mut bit) = (0, ONE);
    while bit != 0 {
        if a & bit != 0 {
            sum ^= b;
        }
        b = shifted(b);
        bit >>= 1;
    }
    sum
}

/// Returns the register after `bytes`.
fn advance(register: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(register, |register, byte| TABLE[usize::from(register as u8 ^ byte)] ^ register >> 8)
}

/// Returns the CRC32c of several parts.
pub(super) fn crc32c(parts: &[&[u8]]) -> u32 {
    !parts.iter().fold(u32::MAX, |register, part| advance(register, part))
}

/// Returns what changing `old` to `new`, with `trailing` bytes behind them, adds to a CRC by exclusive or. Cost: at most 17
/// multiplications, whatever the length.
pub(super) fn change(old: [u8; 4], new: [u8; 4], trailing: usize) -> u32 {
    let difference = (u32::from_ne_bytes(old) ^ u32::from_ne_bytes(new)).to_ne_bytes();
    let bits = ZEROS.iter().enumerate().filter(|(n, _)| trailing >> n & 1 != 0);
    bits.fold(advance(0, &difference), |register, (_, zeros)| product(*zeros, register))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_check_value_is_that_of_the_standard() {
        assert_eq!(crc32c(&[b"123456789"]), 0xe306_9283);
        assert_eq!(crc32c(&[&[0; 32]]), 0x8a91_36aa, "RFC 3720 appendix B.4");
        assert_eq!(crc32c(&[b"1234", b"", b"56789"]), 0xe306_9283);
    }

    proptest! {
        #[test]
        fn a_changed_start_gives_the_crc_of_the_changed_data(
            mut data in prop::collection::vec(any::<u8>(), 4..3000),
            new in any::<[u8; 4]>(),
        ) {
            let before = crc32c(&[&data]);
            let old = *data.first_chunk().unwrap();
            data[..4].copy_from_slice(&new);
            prop_assert_eq!(before ^ change(old, new, data.len() - 4), crc32c(&[&data]));
        }
    }
}
