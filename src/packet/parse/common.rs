//! The common packet, recognised by a few comparisons of words: Ethernet without tags or IP, IPv4 without options or IPv6
//! without extension headers, unfragmented, TCP with ACK and without SYN, or UDP. Nearly all packets are like this.
//!
//! It accepts only what [`super::parse_general`] accepts, and gives the same facts.

use super::{Link, TCP, UDP};
use crate::packet::{Direction, Facts, Family, IpOptions, Key, Kind, TcpFacts, tcp_flags};

const ETHERNET_BYTES: usize = 14;
const V4_BYTES: usize = 20;
const V6_BYTES: usize = 40;
const TCP_BYTES: usize = 20;
const UDP_BYTES: usize = 8;

/// Ethernet types as little-endian numbers.
const IPV4: u16 = 0x0800u16.swap_bytes();
const IPV6: u16 = 0x86ddu16.swap_bytes();

/// The bits of an IPv4 header's first eight bytes that say whether it has options or is a fragment, little-endian: version
/// and length of the header, the flag for more fragments, and the offset.
const V4_MASK: u64 = u64::from_le_bytes([0xff, 0, 0, 0, 0, 0, 0x3f, 0xff]);
const V4_PLAIN: u64 = 0x45;

/// The bits of a TCP header's offset and flags that must have a value: with ACK, without SYN.
const TCP_MASK: u8 = tcp_flags::ACK | tcp_flags::SYN;

/// Returns the bytes at `at`. The array is long enough, so the compiler leaves the check out.
#[inline(always)]
fn at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
}

/// Parses a common packet into `facts`. Returns false if it is not one; the content of `facts` is meaningless then.
///
/// Parameters as in [`super::parse_into`]. It writes as it reads, so that few values are held in registers.
#[inline(always)]
pub(super) fn read(
    bytes: &[u8],
    packet_length: u32,
    link: Link,
    direction: Direction,
    facts: &mut Facts,
) -> bool {
    let (l3_offset, ethertype) = match link {
        Link::Ip => (0, None),
        Link::Ethernet => match bytes.first_chunk::<ETHERNET_BYTES>() {
            Some(header) => (ETHERNET_BYTES, Some(u16::from_le_bytes(at(header, 12)))),
            None => return false,
        },
    };
    let Some((_, packet)) = bytes.split_at_checked(l3_offset) else { return false };
    facts.direction = direction;
    facts.l3_offset = l3_offset as u16;
    facts.ip_options = IpOptions::NONE;
    let Some((header, rest)) = packet.split_first_chunk::<V4_BYTES>() else { return false };
    let word = u64::from_le_bytes(at(header, 0));
    let (length, proto, transport) =
        if word & V4_MASK == V4_PLAIN && ethertype.is_none_or(|kind| kind == IPV4) {
            let Some(ports) = rest.first_chunk() else { return false };
            let total = usize::from(u16::from_be_bytes(at(header, 2)));
            let Some(length) = total.checked_sub(V4_BYTES) else { return false };
            let [source, destination] =
                [at(header, 12), at(header, 16)].map(|address| u128::from(u32::from_le_bytes(address)));
            facts.key = key([source, destination], *ports, Family::V4, header[9], direction);
            facts.l4_offset = (l3_offset + V4_BYTES) as u16;
            (facts.ttl, facts.tos) = (header[8], header[1]);
            (length, header[9], rest)
        } else {
            let Some((header, rest)) = packet.split_first_chunk::<V6_BYTES>() else { return false };
            let Some(ports) = rest.first_chunk() else { return false };
            if header[0] >> 4 != 6 || ethertype.is_some_and(|kind| kind != IPV6) {
                return false;
            }
            let [source, destination] = [at(header, 8), at(header, 24)].map(u128::from_le_bytes);
            facts.key = key([source, destination], *ports, Family::V6, header[6], direction);
            facts.l4_offset = (l3_offset + V6_BYTES) as u16;
            (facts.ttl, facts.tos) = (header[7], header[0] << 4 | header[1] >> 4);
            (usize::from(u16::from_be_bytes(at(header, 4))), header[6], rest)
        };
    let end = usize::from(facts.l4_offset) + length;
    if end > bytes.len() && end > packet_length as usize {
        return false;
    }
    facts.ip_length = (end - l3_offset) as u32;
    match usize::from(proto) {
        TCP => read_tcp(transport, length, facts),
        UDP => read_udp(transport, length, facts),
        _ => false,
    }
}

#[inline(always)]
fn key(addresses: [u128; 2], ports: [u8; 4], family: Family, proto: u8, direction: Direction) -> Key {
    let ports = u32::from_le_bytes(ports);
    let [source, destination] = addresses;
    match direction {
        Direction::In => Key::from_words([source, destination], ports, family, proto),
        Direction::Out => Key::from_words([destination, source], ports.rotate_left(16), family, proto),
    }
}

/// Parses a TCP segment of `length` bytes.
#[inline(always)]
fn read_tcp(segment: &[u8], length: usize, facts: &mut Facts) -> bool {
    let Some(header) = segment.first_chunk::<TCP_BYTES>() else { return false };
    let [offset, flags] = at(header, 12);
    let header_bytes = usize::from(offset >> 4) * 4;
    if header_bytes < TCP_BYTES || header_bytes > length || flags & TCP_MASK != tcp_flags::ACK {
        return false;
    }
    let numbers = u64::from_be_bytes(at(header, 4));
    facts.kind = Kind::Tcp;
    facts.tcp = TcpFacts {
        seq: (numbers >> 32) as u32,
        ack: numbers as u32,
        window: u16::from_be_bytes(at(header, 14)),
        flags: flags & 0x3f,
        wscale: 0,
        mss: 0,
        payload: (length - header_bytes) as u32,
    };
    true
}

/// Parses a UDP datagram in `length` bytes.
#[inline(always)]
fn read_udp(datagram: &[u8], length: usize, facts: &mut Facts) -> bool {
    let Some(header) = datagram.first_chunk::<UDP_BYTES>() else { return false };
    let datagram_bytes = usize::from(u16::from_be_bytes(at(header, 4)));
    facts.kind = Kind::Udp;
    facts.tcp = TcpFacts::NONE;
    datagram_bytes >= UDP_BYTES && datagram_bytes <= length
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a frame of 12 bytes of data, with TCP or UDP.
    fn frame(v6: bool, udp: bool) -> Vec<u8> {
        let proto = if udp { UDP } else { TCP } as u8;
        let length = if udp { UDP_BYTES } else { TCP_BYTES } as u8 + 12;
        let mut frame = vec![2; 12];
        if v6 {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, length, proto, 64]);
            frame.extend([7; 32]);
        } else {
            frame.extend([8, 0, 0x45, 0, 0, length + 20, 0, 1, 0x40, 0, 64, proto, 0, 0]);
            frame.extend([7; 8]);
        }
        frame.extend([0, 1, 0, 2]);
        if udp {
            frame.extend([0, length, 0, 0]);
        } else {
            frame.extend([0, 0, 0, 3, 0, 0, 0, 4, 0x50, tcp_flags::ACK, 0, 5, 0, 0, 0, 0]);
        }
        frame.extend([9; 12]);
        frame
    }

    fn is_common(bytes: &[u8], link: Link) -> bool {
        read(bytes, 0, link, Direction::In, &mut Facts::EMPTY.clone())
    }

    #[test]
    fn tcp_and_udp_of_both_families_are_common() {
        for (v6, udp) in [(false, false), (false, true), (true, false), (true, true)] {
            let frame = frame(v6, udp);
            assert!(is_common(&frame, Link::Ethernet), "{frame:?}");
            assert!(is_common(&frame[ETHERNET_BYTES..], Link::Ip), "{frame:?}");
            assert!(!is_common(&frame, Link::Ip) && !is_common(&frame[..frame.len() - 1], Link::Ethernet));
        }
    }

    #[test]
    fn tags_options_fragments_and_other_flags_are_not_common() {
        let changes =
            [(false, 13, 0x81), (false, 14, 0x46), (false, 20, 0x20), (false, 21, 1), (false, 23, 1)];
        let changes =
            changes.into_iter().chain([(true, 14, 0x40), (true, 20, 44), (false, 47, 2), (true, 67, 4)]);
        for (v6, at, value) in changes {
            let mut frame = frame(v6, false);
            frame[at] = value;
            assert!(!is_common(&frame, Link::Ethernet), "byte {at} = {value:#x}");
        }
    }
}
