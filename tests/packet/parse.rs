//! Parsing: every family, VLAN tags, every protocol, malformed and truncated packets.

use pfplane::internals::packet::{
    Direction, Facts, Family, IpOptions, Kind, Link, Rejection, parse, tcp_flags,
};
use pfplane_testkit::packet::{Packet, address, ethernet};

pub(crate) fn read(packet: &[u8], direction: Direction) -> Result<Facts, Rejection> {
    parse(packet, packet.len() as u32, Link::Ip, direction)
}

fn reject(packet: &[u8]) -> Rejection {
    read(packet, Direction::In).expect_err("rejected")
}

const FAMILIES: [bool; 2] = [false, true];

#[test]
fn a_request_and_its_reply_have_the_same_key() {
    for v6 in FAMILIES {
        let out = Packet::syn(v6, 7, 9, [1234, 80]);
        let back = out.syn_ack();
        let pairs = [(out.tcp(), back.tcp()), (out.udp(), back.udp())];
        for (out, back) in pairs {
            let out = read(&out, Direction::In).unwrap();
            let back = read(&back, Direction::Out).unwrap();
            assert_eq!(out.key, back.key);
            assert_eq!(out.key.addr[0], address(v6, 1, 7), "slot 0 is the host beyond the interface");
            assert_eq!(out.key.port.map(|port| port.get()), [1234, 80]);
            assert_eq!(out.key.family, if v6 { Family::V6 } else { Family::V4 });
        }
        let back = Packet { ports: [1234, 0], ..back };
        let out = read(&out.echo(false), Direction::In).unwrap();
        let back = read(&back.echo(true), Direction::Out).unwrap();
        assert_eq!((out.kind, back.kind), (Kind::IcmpQuery, Kind::IcmpReply));
        assert_eq!(out.key, back.key);
        assert_eq!(out.key.port.map(|port| port.get()), [1234, if v6 { 128 } else { 8 }]);
    }
}

#[test]
fn tcp_facts_are_those_of_the_header() {
    for v6 in FAMILIES {
        let syn = Packet::syn(v6, 7, 9, [1234, 80]);
        let facts = read(&syn.tcp(), Direction::In).unwrap();
        assert_eq!((facts.tcp.seq, facts.tcp.flags, facts.tcp.wscale), (1000, 2, 0x87));
        assert_eq!(facts.tcp.payload, 0);
        let data = read(&syn.data(1001, 5001, 99).tcp(), Direction::In).unwrap();
        assert_eq!((data.tcp.seq, data.tcp.ack, data.tcp.window, data.tcp.payload), (1001, 5001, 500, 99));
        assert_eq!(data.ip_length as usize, syn.data(1, 1, 99).tcp().len());
    }
}

#[test]
fn padding_after_the_ip_packet_is_not_payload() {
    let mut frame = ethernet(&[], &Packet::syn(false, 1, 2, [1, 2]).data(1, 1, 0).tcp());
    frame.resize(60, 0);
    let facts = parse(&frame, 60, Link::Ethernet, Direction::In).unwrap();
    assert_eq!(facts.tcp.payload, 0);
}

#[test]
fn up_to_two_vlan_tags_are_skipped() {
    let packet = Packet::syn(true, 1, 2, [1, 2]).tcp();
    let plain = read(&packet, Direction::In).unwrap();
    for (tags, offset) in [(&[][..], 14), (&[5], 18), (&[5, 6], 22)] {
        let frame = ethernet(tags, &packet);
        let facts = parse(&frame, frame.len() as u32, Link::Ethernet, Direction::In).unwrap();
        assert_eq!((facts.key, facts.l3_offset), (plain.key, offset));
    }
    let frame = ethernet(&[5, 6, 7], &packet);
    let result = parse(&frame, frame.len() as u32, Link::Ethernet, Direction::In);
    assert_eq!(result, Err(Rejection::Malformed));
}

#[test]
fn other_protocols_than_ip_are_rejected() {
    let arp = [&[0xff; 12][..], &[8, 6], &[0; 28]].concat();
    assert_eq!(parse(&arp, 42, Link::Ethernet, Direction::In), Err(Rejection::NotIp));
    assert_eq!(reject(&[0x50; 40]), Rejection::NotIp);
}

#[test]
fn an_ethernet_type_of_the_other_ip_version_is_malformed() {
    let mut frame = ethernet(&[], &Packet::syn(false, 1, 2, [1, 2]).tcp());
    frame[12..14].copy_from_slice(&[0x86, 0xdd]);
    assert_eq!(parse(&frame, frame.len() as u32, Link::Ethernet, Direction::In), Err(Rejection::Malformed));
}

/// Inserts extension headers (type, body) before the payload of an IPv6 packet.
fn extended(packet: &[u8], chain: &[(u8, &[u8])]) -> Vec<u8> {
    let mut headers = Vec::new();
    for (index, (_, body)) in chain.iter().enumerate() {
        let next = chain.get(index + 1).map_or(packet[6], |following| following.0);
        headers.push(next);
        headers.extend(*body);
    }
    let mut out = packet[..40].to_vec();
    out[6] = chain[0].0;
    let payload = packet.len() - 40 + headers.len();
    out[4..6].copy_from_slice(&(payload as u16).to_be_bytes());
    out.extend(headers);
    out.extend(&packet[40..]);
    out
}

#[test]
fn ipv6_extension_headers_are_skipped() {
    let packet = Packet::syn(true, 1, 2, [1, 2]).tcp();
    let plain = read(&packet, Direction::In).unwrap();
    let hop = (0, &[0, 5, 2, 0, 0, 1, 0][..]);
    let routing = (43, &[0, 4, 0, 0, 0, 0, 0][..]);
    let destination = (60, &[1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..]);
    let authentication = (51, &[1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1][..]);
    let atomic = (44, &[0, 0, 0, 0, 0, 0, 9][..]);
    for chain in [&[hop][..], &[hop, routing, destination], &[authentication], &[atomic, destination]] {
        let facts = read(&extended(&packet, chain), Direction::In).unwrap();
        assert_eq!((facts.key, facts.tcp), (plain.key, plain.tcp), "{chain:?}");
    }
    assert_eq!(reject(&extended(&packet, &[destination, hop])), Rejection::Malformed);
    assert_eq!(reject(&extended(&packet, &[routing; 9])), Rejection::Malformed);
    let too_long = (60, &[200, 1, 4, 0, 0, 0, 0][..]);
    assert_eq!(reject(&extended(&packet, &[too_long])), Rejection::Truncated);
}

#[test]
fn first_and_later_fragments_are_rejected() {
    let mut first = Packet::syn(false, 1, 2, [1, 2]).udp();
    first[6] = 0x20;
    assert_eq!(reject(&first), Rejection::Fragment);
    let mut later = Packet::syn(false, 1, 2, [1, 2]).udp();
    later[6..8].copy_from_slice(&[0, 185]);
    assert_eq!(reject(&later), Rejection::Fragment);
    let packet = Packet::syn(true, 1, 2, [1, 2]).tcp();
    assert_eq!(reject(&extended(&packet, &[(44, &[0, 0, 1, 0, 0, 0, 9])])), Rejection::Fragment);
    assert_eq!(reject(&extended(&packet, &[(44, &[0, 5, 0, 0, 0, 0, 9])])), Rejection::Fragment);
}

#[test]
fn ipv4_options_move_the_transport_header() {
    let packet = Packet::syn(false, 1, 2, [1, 2]).tcp();
    let mut with_options = packet[..20].to_vec();
    with_options[0] = 0x46;
    with_options[2..4].copy_from_slice(&(packet.len() as u16 + 4).to_be_bytes());
    with_options.extend([148, 4, 0, 0]);
    with_options.extend(&packet[20..]);
    let facts = read(&with_options, Direction::In).unwrap();
    assert_eq!(facts.ip_options, IpOptions(IpOptions::OPTIONS));
    assert_eq!(facts.tcp, read(&packet, Direction::In).unwrap().tcp);
}

#[test]
fn contradictory_headers_are_malformed() {
    let tcp = Packet::syn(false, 1, 2, [1, 2]).tcp();
    let edit = |at: usize, value: u8| {
        let mut packet = tcp.clone();
        packet[at] = value;
        packet
    };
    assert_eq!(reject(&edit(0, 0x44)), Rejection::Malformed, "a header of 16 bytes");
    assert_eq!(reject(&edit(3, 19)), Rejection::Malformed, "a packet shorter than its header");
    assert_eq!(reject(&edit(32, 0x40)), Rejection::Malformed, "a TCP header of 16 bytes");
    assert_eq!(reject(&edit(33, 3)), Rejection::Malformed, "SYN and FIN");
    assert_eq!(reject(&edit(3, 60)), Rejection::Truncated, "longer than the packet");
    let mut udp = Packet::syn(false, 1, 2, [1, 2]).udp();
    udp[25] = 7;
    assert_eq!(reject(&udp), Rejection::Malformed, "a datagram shorter than its header");
    udp[25] = 9;
    assert_eq!(reject(&udp), Rejection::Malformed, "a datagram longer than its packet");
}

#[test]
fn headers_in_another_segment_are_distinguished_from_missing_ones() {
    let packet = Packet::syn(false, 1, 2, [1, 2]).data(1, 1, 100).tcp();
    let all = packet.len() as u32;
    assert_eq!(parse(&packet[..30], all, Link::Ip, Direction::In), Err(Rejection::NotContiguous));
    assert_eq!(parse(&packet[..30], 30, Link::Ip, Direction::In), Err(Rejection::Truncated));
    let facts = parse(&packet[..40], all, Link::Ip, Direction::In).unwrap();
    assert_eq!(facts.tcp.payload, 100, "lengths come from the header");
}

/// An SCTP packet with a first chunk of type `kind`, which has `length` bytes in the packet.
pub(crate) fn sctp(kind: u8, length: usize) -> Vec<u8> {
    let mut bytes = vec![0x5a; 12 + length];
    if let Some(byte) = bytes.get_mut(12) {
        *byte = kind % 16;
    }
    bytes
}

#[test]
fn the_first_chunk_of_sctp_is_missing_or_in_another_segment() {
    let packet = Packet::syn(false, 1, 2, [1, 2]).ip(132, &sctp(1, 8));
    let all = packet.len() as u32;
    let parse = |bytes: usize, length| parse(&packet[..bytes], length, Link::Ip, Direction::In);
    for bytes in 32..40 {
        assert_eq!(parse(bytes, all), Err(Rejection::NotContiguous), "{bytes} bytes");
    }
    assert_eq!(parse(40, all).unwrap().tcp.flags, tcp_flags::SYN);
    let header_only = Packet::syn(false, 1, 2, [1, 2]).ip(132, &sctp(1, 0));
    assert_eq!(read(&header_only, Direction::In).unwrap().tcp.flags, 0, "without a chunk");
}

#[test]
fn an_icmp_error_has_the_key_of_the_quoted_packet() {
    for v6 in FAMILIES {
        let out = Packet::syn(v6, 7, 9, [1234, 80]).data(777, 1, 300);
        for quoted in [out.tcp(), out.udp()] {
            let state = read(&quoted, Direction::In).unwrap();
            let router = Packet { source: address(v6, 5, 1), destination: out.source, ..out };
            let error = read(&router.unreachable(&quoted), Direction::Out).unwrap();
            assert_eq!(error.kind, Kind::IcmpError);
            assert_eq!(error.key, state.key);
            assert_eq!(error.direction, Direction::Out);
        }
        let router = Packet { source: address(v6, 5, 1), destination: out.source, ..out };
        let error = read(&router.unreachable(&out.tcp()), Direction::Out).unwrap();
        assert_eq!(error.tcp.seq, 777);
        let about_error = router.unreachable(&router.unreachable(&out.tcp()));
        assert_eq!(reject(&about_error), Rejection::Malformed);
    }
}

#[test]
fn pfsync_is_recognised_and_unknown_protocols_are_keyed_by_address() {
    for v6 in FAMILIES {
        let packet = Packet::syn(v6, 1, 2, [9, 9]);
        assert_eq!(read(&packet.ip(240, &[6; 36]), Direction::In).unwrap().kind, Kind::Pfsync);
        let gre = read(&packet.ip(47, &[1; 8]), Direction::In).unwrap();
        assert_eq!((gre.kind, gre.key.port.map(|port| port.get())), (Kind::Other, [0, 0]));
        let sctp = read(&packet.ip(132, &[0, 5, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0]), Direction::In).unwrap();
        assert_eq!(sctp.key.port.map(|port| port.get()), [5, 6]);
    }
}

/// Builds an ICMPv6 message of `kind` about `address`.
fn about_address(packet: &Packet, kind: u8, address: [u8; 16]) -> Vec<u8> {
    packet.ip(58, &[&[kind, 0, 0, 0, 9, 9, 0, 0][..], &address].concat())
}

#[test]
fn icmp_types_have_the_keys_of_openbsd() {
    use Kind::{IcmpQuery, IcmpReply};
    let target = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0x12, 0x34, 0, 0, 0x56, 0x78];
    let folded = 0xfe80 ^ 0x1234 ^ 0x5678;
    let v4 = [
        (8, IcmpQuery, 0x0909, 8),
        (0, IcmpReply, 0x0909, 8),
        (13, IcmpQuery, 0x0909, 13),
        (14, IcmpReply, 0x0909, 13),
        (15, IcmpQuery, 0x0909, 15),
        (16, IcmpReply, 0x0909, 15),
        (17, IcmpQuery, 0x0909, 17),
        (18, IcmpReply, 0x0909, 17),
        (10, IcmpQuery, 0, 10),
        (9, IcmpReply, 0, 10),
        (33, IcmpQuery, 0, 33),
        (34, IcmpReply, 0, 33),
        (35, IcmpQuery, 0, 35),
        (36, IcmpReply, 0, 35),
        (40, IcmpQuery, 0, 40),
    ];
    let v6 = [
        (128, IcmpQuery, 0x0909, 128),
        (129, IcmpReply, 0x0909, 128),
        (130, IcmpQuery, folded, 130),
        (131, IcmpQuery, folded, 130),
        (132, IcmpQuery, 0, 132),
        (133, IcmpQuery, 0, 133),
        (134, IcmpQuery, 0, 134),
        (135, IcmpQuery, folded, 135),
        (136, IcmpReply, folded, 135),
        (137, IcmpQuery, 0, 137),
        (139, IcmpQuery, 0, 139),
        (140, IcmpReply, 0, 139),
        (143, IcmpQuery, 0, 143),
        (201, IcmpQuery, 0, 201),
        (200, IcmpReply, 0, 201),
    ];
    for (v6, rows) in [(false, v4), (true, v6)] {
        for (kind, role, id, request) in rows {
            let packet = Packet::syn(v6, 1, 2, [1, 2]);
            let bytes = if v6 {
                about_address(&packet, kind, target)
            } else {
                packet.ip(1, &[kind, 0, 0, 0, 9, 9, 0, 0])
            };
            let facts = read(&bytes, Direction::In).unwrap();
            let initiator = usize::from(role == IcmpReply);
            let ports = facts.key.port.map(|port| port.get());
            assert_eq!(facts.kind, role, "v6 {v6} type {kind}");
            assert_eq!((ports[initiator], ports[1 - initiator]), (id, request), "v6 {v6} type {kind}");
        }
    }
}

#[test]
fn an_icmp_message_shorter_than_its_header_is_truncated() {
    for (v6, proto) in [(false, 1), (true, 58)] {
        let packet = Packet::syn(v6, 1, 2, [1, 2]);
        for kind in [0, 3, 8, 40, 128, 130, 135, 250] {
            for bytes in 0..8 {
                assert_eq!(reject(&packet.ip(proto, &[kind; 8][..bytes])), Rejection::Truncated);
            }
        }
    }
    let neighbour = about_address(&Packet::syn(true, 1, 2, [1, 2]), 135, [7; 16]);
    let mut short = neighbour[..neighbour.len() - 1].to_vec();
    short[5] -= 1;
    assert_eq!(reject(&short), Rejection::Truncated);
}

#[test]
fn an_error_that_quotes_a_fragment_is_not_a_fragment() {
    for v6 in FAMILIES {
        let out = Packet::syn(v6, 7, 9, [1234, 80]).data(777, 1, 300);
        let state = read(&out.tcp(), Direction::In).unwrap();
        let router = Packet { source: address(v6, 5, 1), destination: out.source, ..out };
        let proto = if v6 { 58 } else { 1 };
        let quoting = |about: &[u8]| {
            router.ip(proto, &[&[if v6 { 1 } else { 3 }, 1, 0, 0, 0, 0, 0, 0][..], &about[..80]].concat())
        };
        let fragment = |offset: u8, more: u8| {
            let mut packet = out.tcp();
            if v6 {
                return extended(&packet, &[(44, &[0, 0, offset << 3 | more, 0, 0, 0, 9])]);
            }
            packet[6..8].copy_from_slice(&[more << 5, offset]);
            packet
        };
        let first = read(&quoting(&fragment(0, 1)), Direction::Out).unwrap();
        assert_eq!((first.kind, first.key, first.tcp.seq), (Kind::IcmpError, state.key, 777));
        for (offset, more) in [(5, 1), (5, 0)] {
            let later = quoting(&fragment(offset, more));
            assert_eq!(reject(&later), Rejection::Malformed, "it has no ports to find a state with");
        }
    }
}

#[test]
fn an_error_that_quotes_part_of_the_options_is_truncated() {
    let packet = Packet::syn(false, 1, 2, [9, 9]);
    let mut about = packet.ip(47, &[1; 40]);
    about[0] = 0x4d;
    let router = packet.syn_ack();
    for (quoted, expected) in [(51, Err(Rejection::Truncated)), (52, Ok(Kind::IcmpError))] {
        let error = router.ip(1, &[&[3, 1, 0, 0, 0, 0, 0, 0][..], &about[..quoted]].concat());
        assert_eq!(read(&error, Direction::Out).map(|facts| facts.kind), expected);
    }
}

#[test]
fn an_authentication_header_is_skipped_in_both_families() {
    let header = [1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1];
    let v6 = Packet::syn(true, 1, 2, [1, 2]).tcp();
    let v4 = Packet::syn(false, 1, 2, [1, 2]).tcp();
    let mut with_header = v4[..20].to_vec();
    with_header[9] = 51;
    with_header[3] += 12;
    with_header.extend([6]);
    with_header.extend(header);
    with_header.extend(&v4[20..]);
    for (plain, walked) in [(&v4, with_header), (&v6, extended(&v6, &[(51, &header)]))] {
        let plain = read(plain, Direction::In).unwrap();
        let walked = read(&walked, Direction::In).unwrap();
        assert_eq!(
            (walked.key, walked.tcp, walked.ip_options),
            (plain.key, plain.tcp, IpOptions(IpOptions::AUTHENTICATION))
        );
        assert_eq!(walked.l4_offset, plain.l4_offset + 12);
    }
    let too_small = [0, 0, 0, 0, 0, 0, 1];
    assert_eq!(reject(&extended(&v6, &[(51, &too_small)])), Rejection::Malformed);
}

#[test]
fn mobility_and_no_next_header_are_keyed_by_address() {
    let packet = Packet::syn(true, 1, 2, [1, 2]);
    let tcp = packet.tcp();
    for proto in [59, 135] {
        let facts = read(&packet.ip(proto, &[&[6, 0, 5, 0, 0, 0, 0, 0], &tcp[40..]].concat()), Direction::In);
        let facts = facts.unwrap();
        assert_eq!((facts.kind, facts.key.proto, facts.l4_offset), (Kind::Other, proto, 40));
        assert_eq!(facts.key.port.map(|port| port.get()), [0, 0], "nothing after it is parsed");
    }
}
