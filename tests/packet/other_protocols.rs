//! Translation of SCTP, UDP-Lite and DCCP: checksums are right afterwards, or the packet is refused.

use crate::packet::read;
use crate::translation::apply;
use pfplane::internals::packet::{
    Direction, Family, IpOptions, Key, TranslateError, Translation, are_checksums_intact,
};
use proptest::prelude::*;

/// Builds an IP packet; the transport checksum is as in `segment`.
fn packet(v6: bool, addresses: [[u8; 16]; 2], proto: u8, segment: &[u8]) -> Vec<u8> {
    let length = segment.len() as u16;
    let mut bytes = if v6 {
        let mut header = vec![0x60, 0, 0, 0, 0, 0, proto, 64];
        header[4..6].copy_from_slice(&length.to_be_bytes());
        header.extend(addresses.as_flattened());
        header
    } else {
        let mut header = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, proto, 0, 0];
        header[2..4].copy_from_slice(&(20 + length).to_be_bytes());
        addresses.iter().for_each(|address| header.extend(&address[..4]));
        let sum = naive_sum(&[&header]);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        header
    };
    bytes.extend(segment);
    bytes
}

/// The checksum of RFC 1071; each part has an even length, but for the last.
fn naive_sum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u32;
    for pair in parts.iter().flat_map(|part| part.chunks(2)) {
        sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// CRC32c bit by bit.
fn naive_crc(bytes: &[u8]) -> u32 {
    let mut register = u32::MAX;
    for byte in bytes {
        register ^= u32::from(*byte);
        for _ in 0..8 {
            register = if register & 1 == 0 { register >> 1 } else { register >> 1 ^ 0x82f6_3b78 };
        }
    }
    !register
}

fn sctp(ports: [u16; 2], chunks: &[u8]) -> Vec<u8> {
    let mut segment = Vec::new();
    ports.iter().for_each(|port| segment.extend(port.to_be_bytes()));
    segment.extend([1, 2, 3, 4, 0, 0, 0, 0]);
    segment.extend(chunks);
    let crc = naive_crc(&segment);
    segment[8..12].copy_from_slice(&crc.to_le_bytes());
    segment
}

/// A UDP-Lite datagram or DCCP packet whose checksum covers `covered` bytes.
fn lite(v6: bool, addresses: [[u8; 16]; 2], proto: u8, data: &[u8], partial: bool) -> Vec<u8> {
    let mut segment = vec![0x12, 0x34, 0, 80, 0, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9];
    segment.extend(data);
    let covered = match (proto, partial) {
        (_, false) => segment.len(),
        (136, true) => 10,
        (_, true) => 16 + 4.min(data.len() & !3),
    };
    match (proto, partial) {
        (136, true) => segment[5] = 10,
        (33, _) => {
            segment[4..6].copy_from_slice(&[4, if partial { 1 + ((covered - 16) / 4) as u8 } else { 0 }])
        }
        _ => {}
    }
    let bytes = if v6 { 16 } else { 4 };
    let mut pseudo = [&addresses[0][..bytes], &addresses[1][..bytes]].concat();
    pseudo.extend((segment.len() as u32).to_be_bytes());
    pseudo.extend([0, proto]);
    let sum = naive_sum(&[&pseudo, &segment[..covered]]);
    segment[6..8].copy_from_slice(&if sum == 0 { 0xffffu16 } else { sum }.to_be_bytes());
    segment
}

fn short(v6: bool, mut address: [u8; 16]) -> [u8; 16] {
    if !v6 {
        address[4..].fill(0);
    }
    address
}

fn is_intact(bytes: &[u8]) -> bool {
    are_checksums_intact(bytes, &read(bytes, Direction::In))
}

proptest! {
    #[test]
    fn a_translated_sctp_packet_has_the_crc_of_the_new_packet(
        v6 in any::<bool>(),
        addresses in any::<[[u8; 16]; 4]>(),
        ports in any::<[u16; 4]>(),
        chunks in prop::collection::vec(any::<u8>(), 4..200),
    ) {
        let [a, b, c, d] = addresses.map(|address| short(v6, address));
        let expected = packet(v6, [c, d], 132, &sctp([ports[2], ports[3]], &chunks));
        let mut bytes = packet(v6, [a, b], 132, &sctp([ports[0], ports[1]], &chunks));
        prop_assert!(is_intact(&bytes));
        let to = read(&expected, Direction::In).key;
        let translation = Translation { to: &to, modulation: [0; 2] };
        prop_assert_eq!(apply(&mut bytes, Direction::In, &translation), Ok(0));
        prop_assert_eq!(bytes, expected);
    }

    #[test]
    fn translated_udp_lite_and_dccp_keep_right_checksums_and_wrong_ones_stay_wrong(
        v6 in any::<bool>(),
        addresses in any::<[[u8; 16]; 4]>(),
        proto in prop_oneof![Just(33u8), Just(136)],
        data in prop::collection::vec(any::<u8>(), 0..80),
        partial in any::<bool>(),
    ) {
        let [a, b, c, d] = addresses.map(|address| short(v6, address));
        let expected = packet(v6, [c, d], proto, &lite(v6, [c, d], proto, &data, partial));
        let mut bytes = packet(v6, [a, b], proto, &lite(v6, [a, b], proto, &data, partial));
        prop_assert!(is_intact(&bytes));
        let to = read(&expected, Direction::In).key;
        let translation = Translation { to: &to, modulation: [0; 2] };
        prop_assert_eq!(apply(&mut bytes, Direction::In, &translation), Ok(0));
        prop_assert!(is_intact(&bytes));
        prop_assert_eq!(&bytes, &expected);
        let at = bytes.len() - data.len() - 7;
        bytes[at] ^= 0x20;
        prop_assert!(!is_intact(&bytes));
        let from = read(&bytes, Direction::In).key;
        prop_assert_eq!(apply(&mut bytes, Direction::In, &Translation { to: &from, ..translation }), Ok(0));
        prop_assert!(!is_intact(&bytes));
    }
}

#[test]
fn packets_whose_checksum_cannot_be_updated_are_refused_unchanged() {
    for v6 in [false, true] {
        let [a, b, c] = [1, 2, 3].map(|host| short(v6, [host; 16]));
        for proto in [89, 103, 112, 135, 139] {
            let bytes = packet(v6, [a, b], proto, &[7; 40]);
            let to = Key { addr: [c, b], ..read(&bytes, Direction::In).key };
            let translation = Translation { to: &to, modulation: [0; 2] };
            let mut out = bytes.clone();
            let refused = Err(TranslateError::Untranslatable);
            assert_eq!(apply(&mut out, Direction::In, &translation), refused, "{proto}");
            assert_eq!(out, bytes);
        }
        // An authentication header covers the addresses.
        let mut behind = vec![17, 4];
        behind.extend([0; 22]);
        behind.extend([0, 53, 0, 53, 0, 8, 0, 0]);
        let mut bytes = packet(v6, [a, b], 51, &behind);
        let facts = read(&bytes, Direction::In);
        assert_eq!((facts.key.proto, facts.ip_options), (17, IpOptions(IpOptions::AUTHENTICATION)));
        let to = Key { addr: [c, b], ..facts.key };
        let translation = Translation { to: &to, modulation: [0; 2] };
        assert_eq!(apply(&mut bytes, Direction::In, &translation), Err(TranslateError::Untranslatable));
    }
    assert_eq!(Family::V4, read(&packet(false, [[1; 16]; 2], 47, &[0; 8]), Direction::In).key.family);
}
