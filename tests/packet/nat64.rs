//! NAT64: UDP without a checksum, and the addresses of routers that send ICMP errors.

use crate::packet::{Carried, Packet, read};
use pfplane::internals::packet::{
    Direction, Facts, Key, Link, TranslateError, Translation, WritablePacket, are_checksums_intact, parse,
};

const HEADROOM: usize = 40;

/// Translates a packet to the other family. Returns the new packet.
fn translate(packet: &[u8], facts: &Facts, to: &Key) -> Result<Vec<u8>, TranslateError> {
    let mut bytes = [vec![0xee; HEADROOM], packet.to_vec()].concat();
    let mut writable =
        WritablePacket { bytes: &mut bytes, start: HEADROOM, l4_offload: false, ip_offload: false };
    let start = Translation { to, modulation: [0; 2] }.apply(facts, &mut writable)?;
    Ok(bytes.split_off(start))
}

fn v4(bytes: [u8; 4]) -> [u8; 16] {
    let mut address = [0; 16];
    address[..4].copy_from_slice(&bytes);
    address
}

/// Maps an address into 64:ff9b::/96.
fn mapped(bytes: [u8; 4]) -> [u8; 16] {
    let mut address = [0; 16];
    address[1] = 0x64;
    address[2..4].copy_from_slice(&[0xff, 0x9b]);
    address[12..].copy_from_slice(&bytes);
    address
}

fn client() -> [u8; 16] {
    [0xfd, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5]
}

const SERVER: [u8; 4] = [192, 0, 2, 9];
const NAT: [u8; 4] = [198, 51, 100, 1];

/// The client's packet as it knows it, and as the server does.
fn both(payload: Vec<u8>) -> [Packet; 2] {
    let inside = Packet {
        v6: true,
        addresses: [client(), mapped(SERVER)],
        ports: [4500, 4500],
        carried: Carried::Udp,
        payload,
    };
    let outside =
        Packet { v6: false, addresses: [v4(NAT), v4(SERVER)], ports: [40_000, 4500], ..inside.clone() };
    [inside, outside]
}

fn reversed(packet: &Packet) -> Packet {
    let Packet { addresses: [a, b], ports: [c, d], .. } = *packet;
    Packet { addresses: [b, a], ports: [d, c], ..packet.clone() }
}

#[test]
fn a_udp_packet_without_a_checksum_gets_one_in_ipv6_and_none_in_ipv4() {
    for length in [0, 1, 9, 1200] {
        let [inside, outside] = both((0..length).map(|n| n as u8).collect()).map(|packet| reversed(&packet));
        let mut bytes = outside.build();
        bytes[26..28].fill(0);
        let facts = read(&bytes, Direction::Out);
        assert_eq!(translate(&bytes, &facts, &inside.key(Direction::Out)), Ok(inside.build()));
        // All of the data must be there.
        if length > 0 {
            let cut = &bytes[..bytes.len() - 1];
            let facts = parse(cut, bytes.len() as u32, Link::Ip, Direction::Out).unwrap();
            let refused = Err(TranslateError::NotContiguous);
            assert_eq!(translate(cut, &facts, &inside.key(Direction::Out)), refused);
        }
        let [inside, outside] = both(vec![3; length]);
        let mut bytes = inside.build();
        bytes[46..48].fill(0);
        let mut expected = outside.build();
        expected[26..28].fill(0);
        let facts = read(&bytes, Direction::In);
        assert_eq!(translate(&bytes, &facts, &outside.key(Direction::In)), Ok(expected));
    }
}

#[test]
fn a_router_keeps_its_own_address_mapped_like_the_servers() {
    let router = [203, 0, 113, 7];
    let [inside, outside] = both(vec![1; 30]);
    // From IPv4, about what the client sent.
    let bytes = outside.error(v4(router), outside.addresses[0], 200);
    let facts = read(&bytes, Direction::Out);
    let translated = translate(&bytes, &facts, &inside.key(Direction::In)).unwrap();
    let expected = inside.error(mapped(router), inside.addresses[0], 200);
    assert_eq!(translated[8..40], expected[8..40]);
    assert!(are_checksums_intact(&translated, &read(&translated, Direction::Out)));
    // From the server itself.
    let bytes = outside.error(v4(SERVER), outside.addresses[0], 200);
    let translated = translate(&bytes, &read(&bytes, Direction::Out), &inside.key(Direction::In)).unwrap();
    assert_eq!(translated[8..24], mapped(SERVER));
    // From IPv6, about what the server sent. The server sees the translator: an IPv6 router has no IPv4 address.
    let [inside, outside] = [reversed(&inside), reversed(&outside)];
    let own = [0xfd, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let bytes = inside.error(own, inside.addresses[0], 200);
    let facts = read(&bytes, Direction::In);
    let translated = translate(&bytes, &facts, &outside.key(Direction::Out)).unwrap();
    assert_eq!((&translated[12..16], &translated[16..20]), (&NAT[..], &SERVER[..]));
    assert!(are_checksums_intact(&translated, &read(&translated, Direction::In)));
}
