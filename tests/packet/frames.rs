//! Strategies for frames of all kinds, built by the crate `etherparse`.

use etherparse::{
    IpAuthHeader, IpFragOffset, IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv6Extensions,
    Ipv6FragmentHeader, Ipv6Header, Ipv6RawExtHeader, Ipv6RoutingExtensions, PacketBuilder, TcpHeader,
    TcpOptionElement, VlanHeader, VlanId,
};
use pfplane::internals::packet::Direction;
use proptest::prelude::*;

pub(crate) fn any_direction() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::In), Just(Direction::Out)]
}

fn raw(body: &[u8]) -> Ipv6RawExtHeader {
    Ipv6RawExtHeader::new_raw(IpNumber::UDP, body).expect("a body of 6 + 8n bytes")
}

pub(crate) fn an_ip_header() -> impl Strategy<Value = IpHeaders> {
    let authentication = prop::option::of(any::<[u8; 12]>());
    let v4 =
        (any::<[[u8; 4]; 2]>(), any::<u8>(), 0u8..11, authentication).prop_map(|(hosts, ttl, words, icv)| {
            let mut header =
                Ipv4Header::new(0, ttl, IpNumber::UDP, hosts[0], hosts[1]).expect("an empty payload");
            let options = vec![1; usize::from(words) * 4];
            header.options = options.as_slice().try_into().expect("whole words");
            let auth = icv.map(|icv| IpAuthHeader::new(IpNumber::UDP, 1, 2, &icv).expect("whole words"));
            IpHeaders::Ipv4(header, Ipv4Extensions { auth })
        });
    let parts = any::<[bool; 6]>();
    let v6 = (any::<[[u8; 16]; 2]>(), any::<[u8; 2]>(), parts).prop_map(|(hosts, [ttl, class], parts)| {
        let header = Ipv6Header {
            traffic_class: class,
            hop_limit: ttl,
            source: hosts[0],
            destination: hosts[1],
            ..Ipv6Header::default()
        };
        let [hop, destination, routing, last, atomic, auth] = parts;
        let extensions = Ipv6Extensions {
            hop_by_hop_options: hop.then(|| raw(&[1, 4, 0, 0, 0, 0])),
            destination_options: destination.then(|| raw(&[1; 14])),
            routing: routing.then(|| Ipv6RoutingExtensions {
                routing: raw(&[4, 0, 0, 0, 0, 0]),
                final_destination_options: last.then(|| raw(&[1, 4, 0, 0, 0, 0])),
            }),
            fragment: atomic.then(|| Ipv6FragmentHeader::new(IpNumber::UDP, IpFragOffset::ZERO, false, 7)),
            auth: auth.then(|| IpAuthHeader::new(IpNumber::UDP, 1, 2, &[0; 8]).expect("whole words")),
        };
        IpHeaders::Ipv6(header, extensions)
    });
    prop_oneof![v4, v6]
}

/// What follows the IP header: kind (0 TCP, 1 UDP, 2 and 3 ICMP), ports, sequence numbers, flags, data.
pub(crate) type Body = (u8, [u16; 2], [u32; 2], u8, Vec<u8>);

fn a_body() -> impl Strategy<Value = Body> {
    (0u8..5, any::<[u16; 2]>(), any::<[u32; 2]>(), any::<u8>(), prop::collection::vec(any::<u8>(), 0..60))
}

pub(crate) fn with_body(ip: IpHeaders, vlan: Option<VlanHeader>, body: &Body) -> Vec<u8> {
    let (kind, ports, numbers, flags, data) = body;
    let ethernet = PacketBuilder::ethernet2([2; 6], [4; 6]);
    let is_v6 = matches!(ip, IpHeaders::Ipv6(..));
    let step = match vlan {
        Some(vlan) => ethernet.vlan(vlan).ip(ip),
        None => ethernet.ip(ip),
    };
    let mut out = Vec::new();
    let written = match (kind, is_v6) {
        (0, _) => {
            let mut header = TcpHeader::new(ports[0], ports[1], numbers[0], (*flags).into());
            header.acknowledgment_number = numbers[1];
            [header.fin, header.syn, header.rst, header.psh, header.ack, header.urg] =
                [0, 1, 2, 3, 4, 5].map(|bit| flags >> bit & 1 == 1);
            let shift = TcpOptionElement::WindowScale(flags >> 4);
            let mss = TcpOptionElement::MaximumSegmentSize(ports[0]);
            header
                .set_options(&[mss, TcpOptionElement::Noop, shift][usize::from(flags & 1)..])
                .expect("three options");
            step.tcp_header(header).write(&mut out, data)
        }
        (1, _) => step.udp(ports[0], ports[1]).write(&mut out, data),
        (2, false) => step.icmpv4_echo_request(ports[0], ports[1]).write(&mut out, data),
        (2, true) => step.icmpv6_echo_reply(ports[0], ports[1]).write(&mut out, data),
        (3, false) => step.icmpv4_raw(*flags, 0, [0; 4]).write(&mut out, data),
        (3, true) => step.icmpv6_raw(*flags, 0, [0; 4]).write(&mut out, data),
        // The writer panics on the number of an extension header.
        _ if matches!(flags, 0 | 43 | 44 | 51 | 60) => step.write(&mut out, IpNumber(47), data),
        _ => step.write(&mut out, IpNumber(*flags), data),
    };
    written.expect("a packet of moderate size");
    out
}

pub(crate) fn a_frame() -> impl Strategy<Value = Vec<u8>> {
    let vlan = prop_oneof![Just(0u8), Just(1), Just(2)];
    (an_ip_header(), vlan, a_body()).prop_map(|(ip, tags, body)| {
        let single = |id: u16| etherparse::SingleVlanHeader {
            vlan_id: VlanId::try_new(id).expect("12 bits"),
            ..Default::default()
        };
        let vlan = match tags {
            0 => None,
            1 => Some(VlanHeader::Single(single(5))),
            _ => {
                Some(VlanHeader::Double(etherparse::DoubleVlanHeader { outer: single(5), inner: single(6) }))
            }
        };
        with_body(ip, vlan, &body)
    })
}

/// Returns the IP packet of a frame with up to two tags.
pub(crate) fn ip_of(frame: &[u8]) -> &[u8] {
    let tags =
        frame[12..].chunks(4).take_while(|tag| matches!(tag, [0x81, 0, ..] | [0x88, 0xa8, ..])).count();
    &frame[14 + tags * 4..]
}
