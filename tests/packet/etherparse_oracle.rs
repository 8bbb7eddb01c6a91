//! Compares our parser with the crate `etherparse`, on packets that it built and that were then damaged.
//!
//! [`difference`] and [`is_nested`] list the intended differences; any other fails. `PROPTEST_CASES=20000` runs more cases.

use crate::frames::{a_frame, an_ip_header, any_direction, ip_of, with_body};
use etherparse::{
    IpHeaders, LaxNetSlice, LaxSlicedPacket, NetSlice, SlicedPacket, TcpHeader, TcpOptionElement,
    TransportSlice,
};
use pfplane::internals::packet::{Be16, Direction, Facts, Family, Key, Kind, Link, Rejection, parse};
use proptest::prelude::*;

/// How `etherparse` reads a packet, in our terms.
#[derive(Debug)]
struct Reading {
    source: [u8; 16],
    destination: [u8; 16],
    family: Family,
    proto: u8,
    ttl: u8,
    tos: u8,
    l4_offset: usize,
    fragment: bool,
    transport: Transport,
}

#[derive(Debug)]
enum Transport {
    Tcp { ports: [u16; 2], seq: u32, ack: u32, window: u16, flags: u8, payload: usize, options: (u8, u16) },
    Udp { ports: [u16; 2] },
    Other,
}

fn widen(address: [u8; 4]) -> [u8; 16] {
    let mut wide = [0; 16];
    wide[..4].copy_from_slice(&address);
    wide
}

/// Returns window scale and segment size, or `None` for options at which one of the two parsers would stop.
fn syn_options(header: &TcpHeader) -> Option<(u8, u16)> {
    let mut options = (0, 0);
    for option in header.options_iterator() {
        match option.ok()? {
            TcpOptionElement::WindowScale(shift) => options.0 = 0x80 | shift.min(14),
            TcpOptionElement::MaximumSegmentSize(mss) => options.1 = mss,
            _ => {}
        }
    }
    Some(options)
}

fn theirs(bytes: &[u8], link: Link) -> Option<Reading> {
    let sliced = match link {
        Link::Ethernet => SlicedPacket::from_ethernet(bytes),
        Link::Ip => SlicedPacket::from_ip(bytes),
    };
    let sliced = sliced.ok()?;
    let offset_of = |part: &[u8]| part.as_ptr() as usize - bytes.as_ptr() as usize;
    let (source, destination, family, ttl, tos, payload) = match sliced.net.as_ref()? {
        NetSlice::Ipv4(ip) => {
            let header = ip.header();
            let tos = header.dcp().value() << 2 | header.ecn().value();
            let (source, destination) = (widen(header.source()), widen(header.destination()));
            (source, destination, Family::V4, header.ttl(), tos, ip.payload())
        }
        NetSlice::Ipv6(ip) => {
            let header = ip.header();
            let (source, destination) = (header.source(), header.destination());
            (source, destination, Family::V6, header.hop_limit(), header.traffic_class(), ip.payload())
        }
        _ => return None,
    };
    let transport = match &sliced.transport {
        Some(TransportSlice::Tcp(tcp)) => Transport::Tcp {
            ports: [tcp.source_port(), tcp.destination_port()],
            seq: tcp.sequence_number(),
            ack: tcp.acknowledgment_number(),
            window: tcp.window_size(),
            flags: tcp.slice()[13],
            payload: tcp.payload().len(),
            options: syn_options(&tcp.to_header()).unwrap_or((u8::MAX, 0)),
        },
        Some(TransportSlice::Udp(udp)) => {
            Transport::Udp { ports: [udp.source_port(), udp.destination_port()] }
        }
        _ => Transport::Other,
    };
    Some(Reading {
        source,
        destination,
        family,
        proto: payload.ip_number.0,
        ttl,
        tos,
        l4_offset: offset_of(payload.payload),
        fragment: payload.fragmented,
        transport,
    })
}

/// Compares everything that both parsers return.
fn compare(facts: &Facts, reading: &Reading, bytes: &[u8]) {
    let Key { addr, family, proto, .. } = match facts.direction {
        Direction::In => facts.key,
        Direction::Out => facts.key.swapped(),
    };
    assert_eq!(usize::from(facts.l4_offset), reading.l4_offset);
    assert_eq!((facts.ttl, facts.tos), (reading.ttl, reading.tos));
    assert!(!reading.fragment, "a fragment must be rejected");
    if facts.kind == Kind::IcmpError {
        return compare_quoted(facts, &bytes[reading.l4_offset + 8..]);
    }
    assert_eq!((addr, family), ([reading.source, reading.destination], reading.family));
    assert_eq!(proto, reading.proto);
    let [source, destination] = [facts.direction.source_slot(), 1 - facts.direction.source_slot()];
    let ports = [facts.key.port[source], facts.key.port[destination]].map(Be16::get);
    match &reading.transport {
        Transport::Tcp { ports: theirs, seq, ack, window, flags, payload, options } => {
            let tcp = &facts.tcp;
            assert_eq!((facts.kind, ports), (Kind::Tcp, *theirs));
            assert_eq!((tcp.seq, tcp.ack, tcp.window, tcp.flags), (*seq, *ack, *window, *flags & 0x3f));
            assert_eq!(tcp.payload as usize, *payload);
            if *flags & 2 != 0 && options.0 != u8::MAX {
                assert_eq!((tcp.wscale, tcp.mss), *options);
            }
        }
        Transport::Udp { ports: theirs } => assert_eq!((facts.kind, ports), (Kind::Udp, *theirs)),
        Transport::Other => assert!(!matches!(facts.kind, Kind::Tcp | Kind::Udp)),
    }
}

/// Compares the addresses of the packet that an ICMP error quotes, which may be cut short.
fn compare_quoted(facts: &Facts, quoted: &[u8]) {
    let sliced = LaxSlicedPacket::from_ip(quoted).expect("we read its header");
    let net = sliced.net.expect("we read its header");
    let (source, destination) = match net {
        LaxNetSlice::Ipv4(ip) => (widen(ip.header().source()), widen(ip.header().destination())),
        LaxNetSlice::Ipv6(ip) => (ip.header().source(), ip.header().destination()),
        LaxNetSlice::Arp(_) => panic!("an error that quotes ARP"),
    };
    let sender = facts.direction.reverse().source_slot();
    assert_eq!((facts.key.addr[sender], facts.key.addr[1 - sender]), (source, destination));
}

/// Returns why one parser rejects what the other accepts, or `None` if it should not.
fn difference(
    ours: Result<Facts, Rejection>,
    theirs: Option<&Reading>,
    bytes: &[u8],
) -> Option<&'static str> {
    match (ours, theirs) {
        (Err(Rejection::Fragment), Some(reading)) => {
            reading.fragment.then_some("fragments are left to the host")
        }
        (Err(Rejection::Malformed), Some(reading)) => malformed(reading, bytes),
        (Err(Rejection::Truncated), Some(reading)) => cut_short(reading, bytes),
        (Ok(facts), None) => stricter(&facts, bytes),
        _ => None,
    }
}

fn malformed(reading: &Reading, bytes: &[u8]) -> Option<&'static str> {
    let payload = &bytes[reading.l4_offset..];
    match reading.transport {
        Transport::Tcp { flags, .. } => {
            let [fin, syn, rst, psh, ack, urg] = [0, 1, 2, 3, 4, 5].map(|bit| flags >> bit & 1 == 1);
            let impossible = syn && (rst || fin) || !(syn || rst || ack) || !ack && (fin || psh || urg);
            impossible.then_some("flags that no host sends")
        }
        Transport::Udp { .. } => (payload[4..6] == [0, 0]).then_some("UDP with a length of zero"),
        Transport::Other => is_error(reading, payload).then_some("quoted packets are checked too"),
    }
}

fn cut_short(reading: &Reading, bytes: &[u8]) -> Option<&'static str> {
    let payload = &bytes[reading.l4_offset..];
    let empty_v6 = reading.family == Family::V6 && {
        let header =
            (0..bytes.len()).find(|at| bytes[*at] >> 4 == 6 && bytes[at + 8..].starts_with(&reading.source));
        header.is_some_and(|at| bytes[at + 4..at + 6] == [0, 0])
    };
    let neighbour =
        reading.proto == 58 && payload.first().is_some_and(|kind| matches!(kind, 130 | 131 | 135 | 136));
    match reading.proto {
        _ if empty_v6 => Some("a length of zero is not a jumbogram"),
        132 => Some("they do not parse SCTP"),
        _ if neighbour => Some("they do not parse the address"),
        _ if is_error(reading, payload) => Some("quoted packets are checked too"),
        _ => None,
    }
}

fn is_error(reading: &Reading, payload: &[u8]) -> bool {
    match (reading.proto, payload.first()) {
        (1, Some(kind)) => matches!(kind, 3 | 4 | 5 | 11 | 12),
        (58, Some(kind)) => (1..=4).contains(kind),
        _ => false,
    }
}

/// Returns what `etherparse` rejects and we do not check.
fn stricter(facts: &Facts, bytes: &[u8]) -> Option<&'static str> {
    let payload = &bytes[usize::from(facts.l4_offset)..];
    let proto = facts.key.proto;
    match facts.kind {
        Kind::Other if matches!(proto, 1 | 2 | 58) => {
            Some("ICMP of the other family and IGMP are keyed by address")
        }
        Kind::IcmpQuery | Kind::IcmpReply if proto == 1 && matches!(payload[0], 13 | 14) => {
            Some("a timestamp's length is not checked")
        }
        _ => None,
    }
}

/// Whether there are several authentication headers in IPv4: they parse one, we all, like OpenBSD.
fn is_nested(reading: &Reading) -> bool {
    reading.family == Family::V4 && reading.proto == 51
}

fn check(bytes: &[u8], link: Link, direction: Direction) -> Result<(), TestCaseError> {
    let ours = parse(bytes, bytes.len() as u32, link, direction);
    let theirs = theirs(bytes, link);
    match (&ours, &theirs) {
        (_, Some(reading)) if is_nested(reading) => {}
        (Ok(facts), Some(reading)) => compare(facts, reading, bytes),
        (Err(_), None) => {}
        _ => prop_assert!(
            difference(ours, theirs.as_ref(), bytes).is_some(),
            "ours {ours:?}, theirs {theirs:?}, packet {bytes:02x?}"
        ),
    }
    Ok(())
}

proptest! {
    #[test]
    fn whole_frames_are_parsed_alike(frame in a_frame(), direction in any_direction()) {
        check(&frame, Link::Ethernet, direction)?;
        check(ip_of(&frame), Link::Ip, direction)?;
    }

    #[test]
    fn damaged_frames_are_parsed_or_rejected_alike(
        frame in a_frame(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        direction in any_direction(),
    ) {
        let mut packet = ip_of(&frame).to_vec();
        for (at, value) in edits {
            let headers = packet.len().min(80);
            packet[at.index(headers)] = value;
        }
        check(&packet, Link::Ip, direction)?;
    }

    #[test]
    fn truncated_frames_are_rejected_alike(
        frame in a_frame(),
        cut in any::<prop::sample::Index>(),
        direction in any_direction(),
    ) {
        let packet = ip_of(&frame);
        check(&packet[..cut.index(packet.len())], Link::Ip, direction)?;
        check(&frame[..cut.index(frame.len())], Link::Ethernet, direction)?;
    }

    #[test]
    fn errors_that_quote_packets_are_parsed_alike(
        frame in a_frame(),
        around in an_ip_header(),
        cut in any::<prop::sample::Index>(),
        direction in any_direction(),
    ) {
        let about = ip_of(&frame);
        let v6 = matches!(around, IpHeaders::Ipv6(..));
        let kind = if v6 { 1 } else { 3 };
        let quoted = about[..cut.index(about.len() + 1)].to_vec();
        let error = with_body(around, None, &(3, [0; 2], [0; 2], kind, quoted));
        check(&error, Link::Ethernet, direction)?;
    }
}
