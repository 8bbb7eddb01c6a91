//! Builds a TCP segment without data that answers a packet, including its link header.

use super::checksum::{Sum, checksum};
use super::{Be16, Facts, Family, protocol};

/// Maximum length of an answer: Ethernet with two VLAN tags, IPv6, TCP.
pub const MAX_ANSWER: usize = 22 + 40 + TCP_BYTES;

const TCP_BYTES: usize = 20;
const TTL: u8 = 64;
const DONT_FRAGMENT: u8 = 0x40;

/// Writes a segment from the packet's destination to its source with `seq`, `ack`, `flags` and window 0.
///
/// `packet` begins with its link header, which the answer repeats with both Ethernet addresses exchanged. Returns the
/// answer's length, or `None` if `out` is too small or the link header is not Ethernet.
#[must_use]
pub fn write_answer(
    packet: &[u8],
    facts: &Facts,
    seq: u32,
    ack: u32,
    flags: u8,
    out: &mut [u8],
) -> Option<usize> {
    let link = usize::from(facts.l3_offset);
    let header = if facts.key.family == Family::V6 { 40 } else { 20 };
    let length = link + header + TCP_BYTES;
    let out = out.get_mut(..length)?;
    write_link(packet.get(..link)?, &mut out[..link])?;
    let (ip, tcp) = out[link..].split_at_mut(header);
    // The packet's source is the answer's destination.
    let to = facts.direction.source_slot();
    let addresses = [&facts.key.addr[1 - to], &facts.key.addr[to]];
    write_ip(facts.key.family, addresses, protocol::TCP, TCP_BYTES, ip);
    tcp[..2].copy_from_slice(&facts.key.port[1 - to].0);
    tcp[2..4].copy_from_slice(&facts.key.port[to].0);
    tcp[4..8].copy_from_slice(&seq.to_be_bytes());
    tcp[8..12].copy_from_slice(&ack.to_be_bytes());
    tcp[12..].copy_from_slice(&[(TCP_BYTES as u8 / 4) << 4, flags, 0, 0, 0, 0, 0, 0]);
    let Be16(sum) =
        Sum::pseudo_header(&facts.key.addr, protocol::TCP, TCP_BYTES as u32).bytes(tcp).checksum();
    tcp[16..18].copy_from_slice(&sum);
    Some(length)
}

/// Writes the Ethernet header with exchanged addresses; writes nothing if there is no link header.
pub(super) fn write_link(link: &[u8], out: &mut [u8]) -> Option<()> {
    if link.is_empty() {
        return Some(());
    }
    let (addresses, rest) = link.split_at_checked(12)?;
    out[..6].copy_from_slice(&addresses[6..]);
    out[6..12].copy_from_slice(&addresses[..6]);
    out[12..].copy_from_slice(rest);
    Some(())
}

/// Writes an IP header from the first address to the second, for `length` bytes of `proto`.
pub(super) fn write_ip(
    family: Family,
    [source, destination]: [&[u8; 16]; 2],
    proto: u8,
    length: usize,
    ip: &mut [u8],
) {
    if family == Family::V6 {
        let [high, low] = (length as u16).to_be_bytes();
        ip[..8].copy_from_slice(&[0x60, 0, 0, 0, high, low, proto, TTL]);
        ip[8..24].copy_from_slice(source);
        ip[24..].copy_from_slice(destination);
        return;
    }
    let [high, low] = ((20 + length) as u16).to_be_bytes();
    ip[..12].copy_from_slice(&[0x45, 0, high, low, 0, 0, DONT_FRAGMENT, 0, TTL, proto, 0, 0]);
    ip[12..16].copy_from_slice(&source[..4]);
    ip[16..].copy_from_slice(&destination[..4]);
    let Be16(sum) = checksum(ip);
    ip[10..12].copy_from_slice(&sum);
}

#[cfg(test)]
mod tests {
    use super::super::{Direction, Kind, Link, parse, tcp_flags};
    use super::*;

    /// Builds an Ethernet frame with two VLAN tags and a SYN.
    fn frame(v6: bool) -> Vec<u8> {
        let mut frame = vec![1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 0x88, 0xa8, 0, 7, 0x81, 0, 0, 9];
        if v6 {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, 6, 9]);
            frame.extend(1..33);
        } else {
            frame.extend([0x08, 0, 0x45, 0, 0, 40, 0, 0, 0x40, 0, 9, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        }
        frame.extend([0x11, 0x11, 0, 80, 0, 0, 0, 5, 0, 0, 0, 0, 0x50, tcp_flags::SYN, 1, 0, 0, 0, 0, 0]);
        frame
    }

    #[test]
    fn an_answer_is_sent_back_to_the_source_and_is_intact() {
        for (v6, direction) in
            [(false, Direction::In), (false, Direction::Out), (true, Direction::In), (true, Direction::Out)]
        {
            let frame = frame(v6);
            let length = frame.len() as u32;
            let facts = parse(&frame, length, Link::Ethernet, direction).expect("a packet");
            let mut out = [0xee; MAX_ANSWER];
            let written = write_answer(&frame, &facts, 77, 6, tcp_flags::ACK, &mut out).expect("an answer");
            assert_eq!(written, frame.len());
            let out = &out[..written];
            assert_eq!((&out[..6], &out[6..12], &out[12..22]), (&frame[6..12], &frame[..6], &frame[12..22]));
            let read = parse(out, length, Link::Ethernet, direction.reverse()).expect("a packet");
            assert_eq!((read.key, read.kind, read.ip_length), (facts.key, Kind::Tcp, facts.ip_length));
            assert_eq!(
                (read.tcp.seq, read.tcp.ack, read.tcp.flags, read.tcp.window),
                (77, 6, tcp_flags::ACK, 0)
            );
            let (ip, tcp) = out[22..].split_at(written - 22 - TCP_BYTES);
            assert!(v6 || Sum::default().bytes(ip).is_intact());
            assert!(
                Sum::pseudo_header(&read.key.addr, protocol::TCP, TCP_BYTES as u32).bytes(tcp).is_intact()
            );
        }
    }

    #[test]
    fn a_short_buffer_or_an_unknown_link_header_gives_no_answer() {
        let frame = frame(true);
        let facts = parse(&frame, frame.len() as u32, Link::Ethernet, Direction::In).expect("a packet");
        let mut out = [0; MAX_ANSWER];
        for length in 0..frame.len() {
            assert_eq!(write_answer(&frame, &facts, 1, 2, 4, &mut out[..length]), None, "{length}");
        }
        let odd = Facts { l3_offset: 4, ..facts };
        assert_eq!(write_answer(&frame, &odd, 1, 2, 4, &mut out), None);
        let bare = Facts { l3_offset: 0, ..facts };
        assert_eq!(write_answer(&[], &bare, 1, 2, 4, &mut out), Some(60));
    }
}
