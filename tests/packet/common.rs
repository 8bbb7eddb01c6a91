//! Common packets have a reader of their own. It must agree with the general one on any bytes.

use pfplane::internals::packet::{Direction, Facts, Link, parse, parse_general};
use pfplane_testkit::packet::{ACK, Packet, ethernet};
use proptest::prelude::*;

/// Bytes as they are given to the parser.
#[derive(Clone, Debug)]
struct Sample {
    bytes: Vec<u8>,
    length: u32,
    link: Link,
}

impl Sample {
    fn new(packet: &[u8], framed: bool) -> Self {
        let (bytes, link) =
            if framed { (ethernet(&[], packet), Link::Ethernet) } else { (packet.to_vec(), Link::Ip) };
        Self { length: bytes.len() as u32, bytes, link }
    }

    /// Compares both readers. Returns whether the packet has a key.
    fn check(&self) -> bool {
        let [inward, outward] = [Direction::In, Direction::Out].map(|direction| {
            let mut facts = Facts::EMPTY;
            let general = parse_general(&self.bytes, self.length, self.link, direction, &mut facts);
            let read = parse(&self.bytes, self.length, self.link, direction);
            assert_eq!(read, general.map(|()| facts), "{self:?}");
            read.is_ok()
        });
        assert_eq!(inward, outward, "{self:?}");
        inward
    }
}

/// Common packets: both families, TCP and UDP, framed and not.
fn common_packets() -> impl Iterator<Item = Sample> {
    (0..8u8).map(|n| {
        let (v6, udp, framed) = (n & 1 != 0, n & 2 != 0, n & 4 != 0);
        let packet = Packet { flags: ACK, payload: 12, ..Packet::syn(v6, 1, 2, [3, 4]) };
        Sample::new(&if udp { packet.udp() } else { packet.tcp() }, framed)
    })
}

#[test]
fn both_readers_agree_on_every_value_of_every_byte() {
    let mut accepted = 0;
    for sample in common_packets() {
        for index in 0..sample.bytes.len() {
            for value in 0..=u8::MAX {
                let mut changed = sample.clone();
                changed.bytes[index] = value;
                accepted += u32::from(changed.check());
            }
        }
    }
    assert!(accepted > 50_000, "{accepted}");
}

#[test]
fn both_readers_agree_on_every_length() {
    for sample in common_packets() {
        let whole = sample.bytes.len();
        for cut in 0..=whole {
            for length in [0, cut, cut + 1, whole - 1, whole, whole + 1] {
                let bytes = sample.bytes[..cut].to_vec();
                let accepted = Sample { bytes, length: length as u32, ..sample }.check();
                assert!(!accepted || length.max(cut) >= whole, "{sample:?} cut to {cut} of {length}");
            }
        }
    }
}

proptest! {
    #[test]
    fn both_readers_agree_on_any_bytes(
        base in 0usize..8,
        edits in prop::collection::vec((0usize..90, any::<u8>()), 0..6),
        cut in 0usize..100,
        more in 0u32..80,
    ) {
        let mut sample = common_packets().nth(base).unwrap();
        for (index, value) in edits {
            if let Some(byte) = sample.bytes.get_mut(index) {
                *byte = value;
            }
        }
        sample.bytes.truncate(cut);
        sample.length = sample.bytes.len() as u32 + more;
        sample.check();
    }
}
