//! What holds for the parse of any bytes.

use crate::parse::{read, sctp};
use pfplane::internals::packet::{Direction, Link, Rejection, parse};
use pfplane_testkit::packet::{Packet, ethernet};
use proptest::prelude::*;

fn a_packet() -> impl Strategy<Value = Vec<u8>> {
    let sample = (any::<bool>(), any::<u16>(), any::<u16>(), 0usize..50, 0..6u8).prop_map(
        |(v6, a, b, payload, kind)| {
            let packet = Packet { payload, ..Packet::syn(v6, a.into(), b.into(), [a, b]) };
            match kind {
                0 => packet.tcp(),
                1 => packet.udp(),
                2 => packet.echo(a % 2 == 0),
                3 => packet.unreachable(&packet.tcp()),
                4 => packet.ip(132, &sctp(a as u8, payload)),
                _ => packet.ip(a as u8, &[0; 64]),
            }
        },
    );
    prop_oneof![sample, prop::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(
        packet in a_packet(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        more in 0u32..2000,
        framed in any::<bool>(),
    ) {
        let mut packet = if framed { ethernet(&[1], &packet) } else { packet };
        for (at, value) in edits {
            if !packet.is_empty() {
                let at = at.index(packet.len());
                packet[at] = value;
            }
        }
        let cut = cut.index(packet.len() + 1);
        let link = if framed { Link::Ethernet } else { Link::Ip };
        for direction in [Direction::In, Direction::Out] {
            let cut_short = parse(&packet[..cut], cut as u32, link, direction);
            let in_segments = parse(&packet[..cut], cut as u32 + more, link, direction);
            if let (Ok(short), Ok(long)) = (cut_short, in_segments) {
                prop_assert_eq!(short.key, long.key);
            }
            prop_assert!(more > 0 || cut_short == in_segments);
        }
    }

    #[test]
    fn a_packet_and_its_first_segment_parse_alike(packet in a_packet(), cut in 0usize..200) {
        let all = packet.len() as u32;
        let whole = parse(&packet, all, Link::Ip, Direction::In);
        let segment = parse(&packet[..cut.min(packet.len())], all, Link::Ip, Direction::In);
        prop_assert!(segment == whole || segment == Err(Rejection::NotContiguous), "{:?} {:?}", segment, whole);
    }

    #[test]
    fn the_direction_swaps_the_slots_only(packet in a_packet()) {
        let inward = read(&packet, Direction::In);
        let outward = read(&packet, Direction::Out);
        match (inward, outward) {
            (Ok(inward), Ok(outward)) => prop_assert_eq!(inward.key, outward.key.swapped()),
            (inward, outward) => prop_assert_eq!(inward.err(), outward.err()),
        }
    }
}
