//! Compares rewritten packets with packets that the crate `etherparse` builds with the new addresses and ports.
//!
//! `PROPTEST_CASES=20000` runs more cases.

use crate::frames::any_direction;
use crate::packet::{Carried, Packet, read};
use etherparse::PacketBuilder;
use pfplane::internals::packet::{
    Be16, Direction, Family, Key, Kind, Link, TranslateError, Translation, WritablePacket, checksum,
    key_in_family, parse,
};
use proptest::prelude::*;

pub(crate) fn apply(
    bytes: &mut [u8],
    direction: Direction,
    translation: &Translation<'_>,
) -> Result<usize, TranslateError> {
    let facts = read(bytes, direction);
    translation.apply(&facts, &mut WritablePacket { bytes, start: 0, l4_offload: false, ip_offload: false })
}

fn plain(to: &Key) -> Translation<'_> {
    Translation { to, modulation: [0; 2] }
}

fn carried() -> impl Strategy<Value = Carried> {
    let tcp = (any::<u32>(), any::<u32>(), any::<Option<[u32; 4]>>(), any::<bool>());
    prop_oneof![
        tcp.prop_map(|(seq, ack, sack, odd)| Carried::Tcp { seq, ack, syn: false, sack, odd }),
        Just(Carried::Udp),
        any::<bool>().prop_map(|reply| Carried::Echo { reply }),
    ]
}

fn packet() -> impl Strategy<Value = Packet> {
    let payload = prop::collection::vec(any::<u8>(), 0..80);
    (any::<bool>(), any::<[[u8; 16]; 2]>(), any::<[u16; 2]>(), carried(), payload).prop_map(
        |(v6, addresses, ports, carried, payload)| {
            let packet = Packet { v6, addresses, ports, carried, payload };
            packet.with(addresses, ports)
        },
    )
}

proptest! {
    #[test]
    fn a_rewritten_packet_equals_one_built_with_the_new_addresses_and_ports(
        packet in packet(),
        direction in any_direction(),
        addresses in any::<[[u8; 16]; 2]>(),
        ports in any::<[u16; 2]>(),
    ) {
        let expected = packet.with(addresses, ports);
        let mut bytes = packet.build();
        prop_assert_eq!(apply(&mut bytes, direction, &plain(&expected.key(direction))), Ok(0));
        prop_assert_eq!(&bytes, &expected.build());
        prop_assert_eq!(apply(&mut bytes, direction, &plain(&packet.key(direction))), Ok(0));
        prop_assert_eq!(bytes, packet.build(), "and back");
    }

    #[test]
    fn a_rewritten_icmp_error_equals_one_about_the_translated_packet(
        packet in packet(),
        direction in any_direction(),
        new_source in any::<Option<([u8; 16], u16)>>(),
        new_destination in any::<Option<([u8; 16], u16)>>(),
        router in any::<[u8; 16]>(),
        // An even number, because half a quoted checksum is left alone.
        quoted in (14usize..75).prop_map(|pairs| pairs * 2),
    ) {
        // The quoted packet, as its sender sent it.
        let (source, source_port) = new_source.unwrap_or((packet.addresses[0], packet.ports[0]));
        let (destination, destination_port) =
            new_destination.unwrap_or((packet.addresses[1], packet.ports[1]));
        let expected = packet.with([source, destination], [source_port, destination_port]);
        let router = packet.with([router; 2], [0; 2]).addresses[0];
        let mut bytes = packet.error(router, packet.addresses[0], quoted);
        let facts = read(&bytes, direction);
        prop_assert_eq!(facts.kind, Kind::IcmpError);
        let to = expected.key(direction.reverse());
        prop_assert_eq!(facts.key, packet.key(direction.reverse()));
        prop_assert_eq!(apply(&mut bytes, direction, &plain(&to)), Ok(0));
        let from = if expected.addresses[1] == packet.addresses[1] { router } else { expected.addresses[1] };
        prop_assert_eq!(bytes, expected.error(from, expected.addresses[0], quoted));
    }

    #[test]
    fn sequence_numbers_acknowledgements_and_sack_edges_are_modulated(
        packet in packet(),
        direction in any_direction(),
        modulation in any::<[u32; 2]>(),
    ) {
        let Carried::Tcp { seq, ack, syn, sack, odd } = packet.carried.clone() else { return Ok(()) };
        let [sender, receiver] = modulation;
        let mut bytes = packet.build();
        let translation = Translation { to: &packet.key(direction), modulation };
        prop_assert_eq!(apply(&mut bytes, direction, &translation), Ok(0));
        let carried = Carried::Tcp {
            seq: seq.wrapping_add(sender),
            ack: ack.wrapping_sub(receiver),
            syn,
            sack: sack.map(|edges| edges.map(|edge| edge.wrapping_sub(receiver))),
            odd,
        };
        prop_assert_eq!(bytes, Packet { carried, ..packet }.build());
    }

    #[test]
    fn with_checksum_offload_the_field_holds_the_new_pseudo_header_sum(
        packet in packet(),
        direction in any_direction(),
        addresses in any::<[[u8; 16]; 2]>(),
        ports in any::<[u16; 2]>(),
        modulation in any::<[u32; 2]>(),
    ) {
        let at = match packet.carried {
            Carried::Tcp { .. } => 16,
            Carried::Udp => 6,
            Carried::Echo { .. } => return Ok(()),
        };
        let expected = packet.with(addresses, ports);
        let partial = |packet: &Packet| {
            let mut bytes = packet.build();
            let facts = read(&bytes, direction);
            let transport = usize::from(facts.l4_offset);
            let length = (bytes.len() - transport) as u32;
            let sum = checksum::Sum::pseudo_header(&packet.addresses, facts.key.proto, length).checksum();
            bytes[transport + at..][..2].copy_from_slice(&sum.0.map(|byte| !byte));
            (bytes, facts)
        };
        let (mut bytes, facts) = partial(&packet);
        let to = expected.key(direction);
        let mut writable = WritablePacket { bytes: &mut bytes, start: 0, l4_offload: true, ip_offload: false };
        prop_assert_eq!(Translation { to: &to, modulation }.apply(&facts, &mut writable), Ok(0));
        let offset = usize::from(facts.l4_offset) + at;
        let field = |bytes: &[u8]| u16::from_be_bytes([bytes[offset], bytes[offset + 1]]) % u16::MAX;
        prop_assert_eq!(field(&bytes), field(&partial(&expected).0));
    }

    #[test]
    fn a_packet_translated_to_the_other_family_equals_one_built_there(
        packet in packet(),
        direction in any_direction(),
        addresses in any::<[[u8; 16]; 2]>(),
        ports in any::<[u16; 2]>(),
        tags in prop_oneof![Just(None), (0usize..3).prop_map(Some)],
    ) {
        let expected = Packet { v6: !packet.v6, ..packet.clone() }.with(addresses, ports);
        let key = expected.key(direction);
        let translation = plain(&key);
        let frame = |packet: &Packet| {
            let bytes = packet.build();
            tags.map_or(bytes.clone(), |tags| pfplane_testkit::packet::ethernet(&[7, 8][..tags], &bytes))
        };
        let link = if tags.is_some() { Link::Ethernet } else { Link::Ip };
        let mut bytes = frame(&packet);
        let facts = parse(&bytes, bytes.len() as u32, link, direction).unwrap();
        let start = 20;
        bytes.splice(..0, [0xee; 20]);
        let mut writable = WritablePacket { bytes: &mut bytes, start, l4_offload: false, ip_offload: false };
        let new_start = translation.apply(&facts, &mut writable);
        prop_assert_eq!(new_start, Ok(if packet.v6 { 40 } else { 0 }));
        prop_assert_eq!(&bytes[new_start.unwrap()..], &frame(&expected));
        let short = &mut bytes[start..];
        if !packet.v6 {
            let before = short.to_vec();
            let mut writable = WritablePacket { bytes: short, start: 0, l4_offload: false, ip_offload: false };
            prop_assert_eq!(translation.apply(&facts, &mut writable), Err(TranslateError::NotWritable));
            prop_assert_eq!(&bytes[start..], &before, "without headroom nothing is written");
        }
    }

    #[test]
    fn an_icmp_error_translated_to_the_other_family_equals_one_built_there(
        packet in packet(),
        direction in any_direction(),
        addresses in any::<[[u8; 16]; 2]>(),
        ports in any::<[u16; 2]>(),
        quoted in (4usize..60).prop_map(|pairs| pairs * 2),
    ) {
        let expected = Packet { v6: !packet.v6, ..packet.clone() }.with(addresses, ports);
        let own = |v6: bool| if v6 { 40 } else { 20 };
        let error = |packet: &Packet, from| packet.error(from, packet.addresses[0], own(packet.v6) + quoted);
        let router = packet.with([[9; 16]; 2], [0; 2]).addresses[0];
        let mut bytes = error(&packet, router);
        let facts = read(&bytes, direction);
        bytes.splice(..0, [0xee; 40]);
        let mut writable = WritablePacket { bytes: &mut bytes, start: 40, l4_offload: false, ip_offload: false };
        let new_start = plain(&expected.key(direction.reverse())).apply(&facts, &mut writable);
        prop_assert_eq!(new_start, Ok(if packet.v6 { 80 } else { 0 }));
        prop_assert_eq!(&bytes[new_start.unwrap()..], &error(&expected, expected.addresses[1]));
    }

    #[test]
    fn no_packet_with_a_key_makes_the_translation_panic(
        packet in packet(),
        error in any::<Option<u8>>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        direction in any_direction(),
        to in any::<([[u8; 16]; 2], [u16; 2])>(),
        modulation in any::<[u32; 2]>(),
        [partial, headroom, other_family] in any::<[bool; 3]>(),
    ) {
        let mut bytes = match error {
            Some(quoted) => packet.error([9; 16], packet.addresses[0], quoted.into()),
            None => packet.build(),
        };
        for (index, value) in damage {
            let index = index.index(bytes.len());
            bytes[index] = value;
        }
        let whole = bytes.len() as u32;
        bytes.truncate(cut.index(bytes.len() * 4).max(1));
        let Ok(facts) = parse(&bytes, whole, Link::Ip, direction) else { return Ok(()) };
        let mut key = Key { addr: to.0, port: to.1.map(Be16::new), ..facts.key };
        let start = if headroom { bytes.splice(..0, [0; 40]).count() + 40 } else { 0 };
        if other_family {
            key.family = if key.family == Family::V4 { Family::V6 } else { Family::V4 };
            key.proto = [1, 58, key.proto][[58, 1].iter().position(|&proto| proto == key.proto).unwrap_or(2)];
            let echo = |port: Be16| [128, 8].iter().position(|&kind| kind == port.get());
            key.port = facts.key.port.map(|port| echo(port).map_or(port, |index| Be16::new([8, 128][index])));
        }
        let mut writable = WritablePacket { bytes: &mut bytes, start, l4_offload: partial, ip_offload: partial };
        let _ = Translation { to: &key, modulation }.apply(&facts, &mut writable);
    }
}

#[test]
fn a_udp_packet_without_a_checksum_stays_without_one() {
    let packet = Packet {
        v6: false,
        addresses: [[1; 16], [2; 16]],
        ports: [7, 8],
        carried: Carried::Udp,
        payload: vec![1; 9],
    };
    let packet = packet.with(packet.addresses, packet.ports);
    let mut bytes = packet.build();
    bytes[26..28].fill(0);
    let to = packet.with([[3; 16], [4; 16]], [9, 10]).key(Direction::In);
    assert_eq!(apply(&mut bytes, Direction::In, &plain(&to)), Ok(0));
    assert_eq!((&bytes[20..22], &bytes[26..28]), (&[0, 9][..], &[0, 0][..]));
}

#[test]
fn icmp_types_are_not_translated() {
    let echo = Packet {
        v6: true,
        addresses: [[1; 16], [2; 16]],
        ports: [7, 8],
        carried: Carried::Echo { reply: false },
        payload: Vec::new(),
    };
    let bytes = echo.build();
    let mut rewritten = bytes.clone();
    let facts = read(&bytes, Direction::In);
    let to = Key { port: [facts.key.port[0], Be16::new(77)], ..facts.key };
    assert_eq!(apply(&mut rewritten, Direction::In, &plain(&to)), Err(TranslateError::Untranslatable));
    assert_eq!(rewritten, bytes);
    let other_addresses = Key { addr: [[5; 16]; 2], ..facts.key };
    assert_eq!(apply(&mut rewritten, Direction::In, &plain(&other_addresses)), Ok(0));
    assert_eq!(facts.key.family == Family::V6, rewritten[8] == 5);
}

#[test]
fn an_ipv4_protocol_that_is_an_ipv6_extension_header_is_not_translated() {
    for (proto, is_translatable) in
        [(0, false), (43, false), (44, false), (60, false), (47, true), (59, true)]
    {
        let mut bytes = vec![0; 40];
        let ip = PacketBuilder::ipv4([1; 4], [2; 4], 64);
        let mut packet = Vec::new();
        ip.write(&mut packet, 47.into(), &[0; 16]).unwrap();
        packet[9] = proto;
        bytes.extend(&packet);
        let facts = parse(&packet, 36, Link::Ip, Direction::In).unwrap();
        assert_eq!(
            key_in_family(&facts.key, facts.kind, 0, Family::V6).is_some(),
            is_translatable,
            "{proto}"
        );
        let to = Key { addr: [[7; 16], [8; 16]], family: Family::V6, ..facts.key };
        let mut writable =
            WritablePacket { bytes: &mut bytes, start: 40, l4_offload: false, ip_offload: false };
        let error = plain(&to).apply(&facts, &mut writable).err();
        assert_eq!(error, (!is_translatable).then_some(TranslateError::Untranslatable), "{proto}");
        if is_translatable {
            let made = parse(&bytes[20..], 56, Link::Ip, Direction::In).unwrap();
            assert_eq!(made.key, to, "{proto}");
        } else {
            assert_eq!(bytes[40..], packet, "{proto}");
        }
    }
}
