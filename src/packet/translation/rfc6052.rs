//! IPv4 addresses in IPv6 addresses (RFC 6052 section 2.2).

use crate::packet::Family;

/// A prefix length in bytes, and where the IPv4 address's bytes are behind it. Byte 8 is always zero.
type Format = (usize, [usize; 4]);

const FORMATS: [Format; 6] = [
    (12, [12, 13, 14, 15]),
    (8, [9, 10, 11, 12]),
    (7, [7, 9, 10, 11]),
    (6, [6, 7, 9, 10]),
    (5, [5, 6, 7, 9]),
    (4, [4, 5, 6, 7]),
];

/// Returns `address` in the other family, mapped as `known` is mapped to `mapped`, whose family is `family`. `None` if neither
/// of these has the other one in it, or if `address` has another prefix.
pub(super) fn map_alike(
    address: &[u8; 16],
    known: &[u8; 16],
    mapped: &[u8; 16],
    family: Family,
) -> Option<[u8; 16]> {
    let to_v6 = family == Family::V6;
    let (wide, short) = if to_v6 { (mapped, known) } else { (known, mapped) };
    let (prefix, positions) = FORMATS.iter().find(|(_, positions)| extract(wide, positions) == *short)?;
    if !to_v6 {
        return (address[..*prefix] == wide[..*prefix]).then(|| extract(address, positions));
    }
    let mut embedded = *wide;
    positions.iter().zip(address).for_each(|(position, byte)| embedded[*position] = *byte);
    Some(embedded)
}

fn extract(wide: &[u8; 16], positions: &[usize; 4]) -> [u8; 16] {
    let mut short = [0; 16];
    positions.iter().zip(&mut short).for_each(|(position, byte)| *byte = wide[*position]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(bytes: [u8; 4]) -> [u8; 16] {
        let mut address = [0; 16];
        address[..4].copy_from_slice(&bytes);
        address
    }

    #[test]
    fn a_router_is_mapped_with_the_prefix_of_the_other_end() {
        let (server, router) = (v4([192, 0, 2, 33]), v4([203, 0, 113, 7]));
        for (prefix, positions) in FORMATS {
            let mut wide = [0; 16];
            wide[..prefix].copy_from_slice(&[0x20, 1, 0xd, 0xb8, 1, 0x22, 3, 0x44, 0, 0, 0, 0][..prefix]);
            let (mut mapped, mut expected) = (wide, wide);
            for (n, position) in positions.into_iter().enumerate() {
                (mapped[position], expected[position]) = (server[n], router[n]);
            }
            assert_eq!(map_alike(&router, &server, &mapped, Family::V6), Some(expected), "{prefix}");
            assert_eq!(map_alike(&expected, &mapped, &server, Family::V4), Some(router), "{prefix}");
            assert_eq!(map_alike(&[0xfd; 16], &mapped, &server, Family::V4), None);
        }
    }

    #[test]
    fn an_address_without_the_other_one_in_it_maps_nothing() {
        assert_eq!(map_alike(&v4([1; 4]), &v4([192, 0, 2, 33]), &[0xfd; 16], Family::V6), None);
    }
}
