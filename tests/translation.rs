//! Rewritten packets against packets that the crate `etherparse` builds anew, with all checksums summed from nothing.
//!
//! A failing case prints its seed; `PROPTEST_CASES=20000` looks longer.

use etherparse::{PacketBuilder, TcpOptionElement};
use pfplane::packet::{
    Be16, Direction, Facts, Family, Key, Kind, Link, Refused, Translation, Writable, checksum, parse,
};
use proptest::prelude::*;

/// What a packet carries behind its IP header.
#[derive(Clone, Debug)]
enum Carried {
    Tcp { seq: u32, ack: u32, sack: Option<[u32; 4]>, odd: bool },
    Udp,
    Echo { reply: bool },
}

/// A packet from which bytes are built.
#[derive(Clone, Debug)]
struct Packet {
    v6: bool,
    /// Source and destination.
    addresses: [[u8; 16]; 2],
    /// Source's and destination's; of an echo the identifier is the first.
    ports: [u16; 2],
    carried: Carried,
    payload: Vec<u8>,
}

fn short(address: [u8; 16]) -> [u8; 4] {
    [address[0], address[1], address[2], address[3]]
}

impl Packet {
    fn build(&self) -> Vec<u8> {
        let [source, destination] = self.addresses;
        let ip = if self.v6 {
            PacketBuilder::ipv6(source, destination, 64)
        } else {
            PacketBuilder::ipv4(short(source), short(destination), 64)
        };
        let mut bytes = Vec::new();
        match (&self.carried, self.v6) {
            (Carried::Tcp { seq, ack, sack, odd }, _) => {
                let tcp = ip.tcp(self.ports[0], self.ports[1], *seq, 5000).psh().ack(*ack);
                let mut options = vec![TcpOptionElement::Timestamp(7, 9)];
                if let Some([a, b, c, d]) = *sack {
                    options.extend(odd.then_some(TcpOptionElement::Noop));
                    options
                        .push(TcpOptionElement::SelectiveAcknowledgement((a, b), [Some((c, d)), None, None]));
                }
                tcp.options(&options).unwrap().write(&mut bytes, &self.payload).unwrap();
            }
            (Carried::Udp, _) => {
                ip.udp(self.ports[0], self.ports[1]).write(&mut bytes, &self.payload).unwrap()
            }
            (Carried::Echo { reply: false }, false) => {
                ip.icmpv4_echo_request(self.ports[0], 3).write(&mut bytes, &self.payload).unwrap();
            }
            (Carried::Echo { reply: true }, false) => {
                ip.icmpv4_echo_reply(self.ports[0], 3).write(&mut bytes, &self.payload).unwrap();
            }
            (Carried::Echo { reply: false }, true) => {
                ip.icmpv6_echo_request(self.ports[0], 3).write(&mut bytes, &self.payload).unwrap();
            }
            (Carried::Echo { reply: true }, true) => {
                ip.icmpv6_echo_reply(self.ports[0], 3).write(&mut bytes, &self.payload).unwrap();
            }
        }
        bytes
    }

    /// An ICMP error about the packet, whose first `quoted` bytes it quotes.
    fn error(&self, from: [u8; 16], to: [u8; 16], quoted: usize) -> Vec<u8> {
        let inner = self.build();
        let inner = &inner[..quoted.clamp(if self.v6 { 48 } else { 28 }, inner.len())];
        let mut bytes = Vec::new();
        if self.v6 {
            let ip = PacketBuilder::ipv6(from, to, 61);
            ip.icmpv6_raw(1, 4, [0; 4]).write(&mut bytes, inner).unwrap();
        } else {
            let ip = PacketBuilder::ipv4(short(from), short(to), 61);
            ip.icmpv4_raw(3, 3, [0; 4]).write(&mut bytes, inner).unwrap();
        }
        bytes
    }

    /// The packet as it is after its translation to other addresses and ports.
    fn with(&self, addresses: [[u8; 16]; 2], ports: [u16; 2]) -> Self {
        let ports = match self.carried {
            Carried::Echo { .. } => [ports[0], self.ports[1]],
            _ => ports,
        };
        let mut addresses = addresses;
        if !self.v6 {
            addresses.iter_mut().for_each(|address| address[4..].fill(0));
        }
        Self { addresses, ports, ..self.clone() }
    }

    /// The key that the packet has when it goes in a direction.
    fn key(&self, direction: Direction) -> Key {
        read(&self.build(), direction).key
    }
}

fn read(bytes: &[u8], direction: Direction) -> Facts {
    parse(bytes, bytes.len() as u32, Link::Ip, direction).expect("a packet that etherparse built")
}

fn apply(bytes: &mut [u8], direction: Direction, translation: &Translation) -> Result<usize, Refused> {
    let facts = read(bytes, direction);
    translation.apply(&facts, &mut Writable { bytes, start: 0, partial: false })
}

fn plain(to: Key) -> Translation {
    Translation { to, modulation: [0; 2] }
}

fn carried() -> impl Strategy<Value = Carried> {
    let tcp = (any::<u32>(), any::<u32>(), any::<Option<[u32; 4]>>(), any::<bool>());
    prop_oneof![
        tcp.prop_map(|(seq, ack, sack, odd)| Carried::Tcp { seq, ack, sack, odd }),
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

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::In), Just(Direction::Out)]
}

proptest! {
    #[test]
    fn a_rewritten_packet_is_the_one_that_is_built_with_the_new_addresses_and_ports(
        packet in packet(),
        direction in direction(),
        addresses in any::<[[u8; 16]; 2]>(),
        ports in any::<[u16; 2]>(),
    ) {
        let expected = packet.with(addresses, ports);
        let mut bytes = packet.build();
        prop_assert_eq!(apply(&mut bytes, direction, &plain(expected.key(direction))), Ok(0));
        prop_assert_eq!(&bytes, &expected.build());
        prop_assert_eq!(apply(&mut bytes, direction, &plain(packet.key(direction))), Ok(0));
        prop_assert_eq!(bytes, packet.build(), "and back");
    }

    #[test]
    fn an_icmp_error_is_the_one_about_the_translated_packet(
        packet in packet(),
        direction in direction(),
        new_source in any::<Option<([u8; 16], u16)>>(),
        new_destination in any::<Option<([u8; 16], u16)>>(),
        router in any::<[u8; 16]>(),
        quoted in 28usize..150,
    ) {
        // The packet that was sent, and which its sender's side knows by the other key.
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
        prop_assert_eq!(apply(&mut bytes, direction, &plain(to)), Ok(0));
        let from = if expected.addresses[1] == packet.addresses[1] { router } else { expected.addresses[1] };
        prop_assert_eq!(bytes, expected.error(from, expected.addresses[0], quoted));
    }

    #[test]
    fn sequence_numbers_acknowledgements_and_their_selective_edges_are_moved(
        packet in packet(),
        direction in direction(),
        modulation in any::<[u32; 2]>(),
    ) {
        let Carried::Tcp { seq, ack, sack, odd } = packet.carried.clone() else { return Ok(()) };
        let [sender, receiver] = modulation;
        let mut bytes = packet.build();
        let translation = Translation { to: packet.key(direction), modulation };
        prop_assert_eq!(apply(&mut bytes, direction, &translation), Ok(0));
        let carried = Carried::Tcp {
            seq: seq.wrapping_add(sender),
            ack: ack.wrapping_sub(receiver),
            sack: sack.map(|edges| edges.map(|edge| edge.wrapping_sub(receiver))),
            odd,
        };
        prop_assert_eq!(bytes, Packet { carried, ..packet }.build());
    }

    #[test]
    fn the_sum_that_a_card_is_to_complete_is_that_of_the_new_pseudo_header(
        packet in packet(),
        direction in direction(),
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
        let mut writable = Writable { bytes: &mut bytes, start: 0, partial: true };
        prop_assert_eq!(Translation { to, modulation }.apply(&facts, &mut writable), Ok(0));
        let place = usize::from(facts.l4_offset) + at;
        let field = |bytes: &[u8]| u16::from_be_bytes([bytes[place], bytes[place + 1]]) % u16::MAX;
        prop_assert_eq!(field(&bytes), field(&partial(&expected).0));
    }

    #[test]
    fn any_bytes_that_have_a_key_are_rewritten_or_refused_and_never_beyond_their_headers(
        packet in packet(),
        error in any::<Option<u8>>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        direction in direction(),
        to in any::<([[u8; 16]; 2], [u16; 2])>(),
        modulation in any::<[u32; 2]>(),
        partial in any::<bool>(),
    ) {
        let mut bytes = match error {
            Some(quoted) => packet.error([9; 16], packet.addresses[0], quoted.into()),
            None => packet.build(),
        };
        for (place, value) in damage {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        let whole = bytes.len() as u32;
        bytes.truncate(cut.index(bytes.len() * 4).max(1));
        let Ok(facts) = parse(&bytes, whole, Link::Ip, direction) else { return Ok(()) };
        let key = Key { addr: to.0, port: to.1.map(Be16::new), ..facts.key };
        let mut writable = Writable { bytes: &mut bytes, start: 0, partial };
        let _ = Translation { to: key, modulation }.apply(&facts, &mut writable);
    }
}

#[test]
fn udp_without_a_checksum_stays_without_one() {
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
    assert_eq!(apply(&mut bytes, Direction::In, &plain(to)), Ok(0));
    assert_eq!((&bytes[20..22], &bytes[26..28]), (&[0, 9][..], &[0, 0][..]));
}

#[test]
fn ports_of_sctp_and_types_of_icmp_are_not_translated_and_the_packet_is_left_alone() {
    let sctp = {
        let mut bytes = Vec::new();
        let ip = PacketBuilder::ipv4([1; 4], [2; 4], 64);
        ip.write(&mut bytes, 132.into(), &[0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        bytes
    };
    let echo = Packet {
        v6: true,
        addresses: [[1; 16], [2; 16]],
        ports: [7, 8],
        carried: Carried::Echo { reply: false },
        payload: Vec::new(),
    };
    for bytes in [sctp, echo.build()] {
        let mut rewritten = bytes.clone();
        let facts = read(&bytes, Direction::In);
        let to = Key { port: [facts.key.port[0], Be16::new(77)], ..facts.key };
        assert_eq!(apply(&mut rewritten, Direction::In, &plain(to)), Err(Refused::Untranslatable));
        assert_eq!(rewritten, bytes);
        let other_addresses = Key { addr: [[5; 16]; 2], ..facts.key };
        assert_eq!(apply(&mut rewritten, Direction::In, &plain(other_addresses)), Ok(0));
        assert_eq!(facts.key.family == Family::V6, rewritten[8] == 5);
    }
}
