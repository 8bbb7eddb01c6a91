//! Builds an answer to a packet that no state knows and the host's rules refuse: a TCP reset, or an ICMP error.

use super::answer::{write_answer, write_ip, write_link};
use super::checksum::Sum;
use super::protocol::{ICMP, ICMPV6};
use super::{Be16, Facts, Family, Kind, are_checksums_intact, tcp_flags};

/// Maximum length of an answer: Ethernet with two VLAN tags, and an IP packet of IPv6's minimum MTU.
pub const MAX_REFUSAL: usize = 22 + 1280;

/// Maximum length of an ICMP error (RFC 1812 section 4.3.2.3, RFC 4443 section 2.4).
const MAX_V4_ERROR: usize = 576;
const MAX_V6_ERROR: usize = 1280;
const ICMP_BYTES: usize = 8;
/// Data that an error quotes at least.
const MIN_QUOTED_DATA: usize = 8;

/// How to refuse a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// As pf's `return`: a reset for TCP, otherwise "port unreachable".
    Return,
    /// An ICMP error: "communication administratively prohibited".
    Prohibited,
}

/// Writes the answer to a packet, from its link header on. `router` is the sender of an ICMP error, in a key's format; without
/// one it is the packet's destination.
///
/// Returns the answer's length. Returns `None` for packets that nobody may answer (RFC 1122 section 3.2.2, RFC 4443 section
/// 2.4, RFC 9293 section 3.5.2): resets, ICMP errors, neighbour discovery, wrong checksums, and packets to or from addresses
/// of more than one host; also if `out` is too small or the link header is not Ethernet.
#[must_use]
pub fn write_refusal(
    packet: &[u8],
    facts: &Facts,
    kind: RefusalKind,
    router: Option<&[u8; 16]>,
    out: &mut [u8],
) -> Option<usize> {
    if !may_answer(packet, facts) {
        return None;
    }
    if facts.kind == Kind::Tcp && kind == RefusalKind::Return {
        let tcp = &facts.tcp;
        if tcp.flags & tcp_flags::ACK != 0 {
            return write_answer(packet, facts, tcp.ack, 0, tcp_flags::RST, out);
        }
        let has = |flag| u32::from(tcp.flags & flag != 0);
        let end = tcp.seq.wrapping_add(tcp.payload + has(tcp_flags::SYN) + has(tcp_flags::FIN));
        return write_answer(packet, facts, 0, end, tcp_flags::RST | tcp_flags::ACK, out);
    }
    write_error(packet, facts, kind, router, out)
}

fn may_answer(packet: &[u8], facts: &Facts) -> bool {
    let source = facts.direction.source_slot();
    let is_group = |slot: usize| {
        let address = &facts.key.addr[slot];
        match facts.key.family {
            Family::V6 => address[0] == 0xff || *address == [0; 16],
            _ => address[0] >= 0xe0 || address[0] == 0,
        }
    };
    let is_link_group = facts.l3_offset != 0 && packet.first().is_some_and(|byte| byte & 1 != 0);
    let is_discovery = facts.key.proto == ICMPV6 && (130..=137).contains(&facts.key.port[1 - source].get());
    let is_refused_kind = match facts.kind {
        Kind::IcmpError | Kind::IcmpReply | Kind::Pfsync | Kind::LaterFragment => true,
        Kind::Tcp => facts.tcp.flags & tcp_flags::RST != 0,
        _ => false,
    };
    !(is_refused_kind || is_discovery || is_link_group || is_group(0) || is_group(1))
        && are_checksums_intact(packet, facts)
}

/// Writes an ICMP error that quotes as much of the packet as fits.
fn write_error(
    packet: &[u8],
    facts: &Facts,
    kind: RefusalKind,
    router: Option<&[u8; 16]>,
    out: &mut [u8],
) -> Option<usize> {
    let v6 = facts.key.family == Family::V6;
    let (link, transport) = (usize::from(facts.l3_offset), usize::from(facts.l4_offset));
    let end = packet.len().min(link + facts.ip_length as usize);
    let (header, max) = if v6 { (40, MAX_V6_ERROR) } else { (20, MAX_V4_ERROR) };
    let capacity = max.min(out.len().checked_sub(link)?).checked_sub(header + ICMP_BYTES)?;
    let quoted = packet.get(link..end)?;
    let quoted = &quoted[..quoted.len().min(capacity)];
    if quoted.len() < transport - link + MIN_QUOTED_DATA.min(end.saturating_sub(transport)) {
        return None;
    }
    let message = ICMP_BYTES + quoted.len();
    let out = out.get_mut(..link + header + message)?;
    write_link(packet.get(..link)?, &mut out[..link])?;
    let source = facts.direction.source_slot();
    let addresses = [router.unwrap_or(&facts.key.addr[1 - source]), &facts.key.addr[source]];
    let proto = if v6 { ICMPV6 } else { ICMP };
    write_ip(facts.key.family, addresses, proto, message, &mut out[link..link + header]);
    let code = match (v6, kind) {
        (false, RefusalKind::Return) => [3, 3],
        (false, RefusalKind::Prohibited) => [3, 13],
        (true, RefusalKind::Return) => [1, 4],
        (true, RefusalKind::Prohibited) => [1, 1],
    };
    let icmp = &mut out[link + header..];
    icmp[..ICMP_BYTES].copy_from_slice(&[code[0], code[1], 0, 0, 0, 0, 0, 0]);
    icmp[ICMP_BYTES..].copy_from_slice(quoted);
    let pseudo = Sum::pseudo_header(&addresses.map(|address| *address), ICMPV6, message as u32);
    let Be16(sum) = if v6 { pseudo } else { Sum::default() }.bytes(icmp).checksum();
    icmp[2..4].copy_from_slice(&sum);
    Some(link + header + message)
}

#[cfg(test)]
mod tests {
    use super::super::{Direction, Link, parse};
    use super::*;

    /// Builds an Ethernet frame with a segment or datagram between two hosts.
    fn frame(v6: bool, proto: u8, segment: &[u8]) -> Vec<u8> {
        let mut frame = vec![2, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2];
        let mut addresses = [[0; 16]; 2];
        addresses[0][..4].copy_from_slice(&[10, 1, 2, 3]);
        addresses[1][..4].copy_from_slice(&[10, 9, 8, 7]);
        frame.extend(if v6 { [0x86, 0xdd] } else { [8, 0] });
        let mut header = [0; 40];
        let length = if v6 { 40 } else { 20 };
        let family = if v6 { Family::V6 } else { Family::V4 };
        write_ip(family, [&addresses[0], &addresses[1]], proto, segment.len(), &mut header[..length]);
        frame.extend(&header[..length]);
        let mut segment = segment.to_vec();
        let field = if proto == 6 { 16 } else { 6 };
        segment[field..field + 2].fill(0);
        let Be16(sum) =
            Sum::pseudo_header(&addresses, proto, segment.len() as u32).bytes(&segment).checksum();
        segment[field..field + 2].copy_from_slice(&sum);
        frame.extend(segment);
        frame
    }

    fn tcp(flags: u8, payload: usize) -> Vec<u8> {
        let mut segment = vec![0x11, 0x11, 0, 80, 0, 0, 0, 5, 0, 0, 0, 9, 0x50, flags, 1, 0, 0, 0, 0, 0];
        segment.resize(20 + payload, 7);
        segment
    }

    fn udp(payload: usize) -> Vec<u8> {
        let mut segment = vec![0x11, 0x11, 0, 53];
        segment.extend((8 + payload as u16).to_be_bytes());
        segment.resize(8 + payload, 7);
        segment
    }

    fn refuse(frame: &[u8], kind: RefusalKind) -> Option<Vec<u8>> {
        let facts = parse(frame, frame.len() as u32, Link::Ethernet, Direction::In).expect("a packet");
        let mut out = [0xee; MAX_REFUSAL];
        let length = write_refusal(frame, &facts, kind, None, &mut out)?;
        let out = out[..length].to_vec();
        let facts = parse(&out, length as u32, Link::Ethernet, Direction::Out).expect("a packet");
        assert!(are_checksums_intact(&out, &facts));
        assert_eq!((&out[..6], &out[6..12]), (&frame[6..12], &frame[..6]));
        Some(out)
    }

    #[test]
    fn tcp_gets_the_reset_of_rfc_9293() {
        for v6 in [false, true] {
            let rows = [
                (tcp_flags::SYN, 0, (0, 6, tcp_flags::RST | tcp_flags::ACK)),
                (tcp_flags::ACK, 10, (9, 0, tcp_flags::RST)),
                (tcp_flags::ACK | tcp_flags::FIN, 0, (9, 0, tcp_flags::RST)),
            ];
            for (flags, payload, (seq, ack, answer_flags)) in rows {
                let sent = frame(v6, 6, &tcp(flags, payload));
                let out = refuse(&sent, RefusalKind::Return).expect("an answer");
                let facts = parse(&out, out.len() as u32, Link::Ethernet, Direction::Out).unwrap();
                assert_eq!((facts.tcp.seq, facts.tcp.ack, facts.tcp.flags), (seq, ack, answer_flags));
                let original = parse(&sent, sent.len() as u32, Link::Ethernet, Direction::In).unwrap();
                assert_eq!(facts.key, original.key);
            }
        }
    }

    #[test]
    fn other_packets_get_an_icmp_error_that_quotes_them() {
        for v6 in [false, true] {
            for payload in [0, 1, 30, 2000] {
                let sent = frame(v6, 17, &udp(payload));
                for (kind, code) in [(RefusalKind::Return, [3, 1]), (RefusalKind::Prohibited, [13, 1])] {
                    let out = refuse(&sent, kind).expect("an answer");
                    let facts = parse(&out, out.len() as u32, Link::Ethernet, Direction::Out).unwrap();
                    assert_eq!(facts.kind, Kind::IcmpError);
                    let at = usize::from(facts.l4_offset);
                    let expected = match (v6, kind) {
                        (false, _) => [3, code[0]],
                        (true, RefusalKind::Return) => [1, 4],
                        (true, RefusalKind::Prohibited) => [1, 1],
                    };
                    assert_eq!(out[at..at + 2], expected);
                    assert!(facts.ip_length <= if v6 { 1280 } else { 576 });
                    assert!(sent[14..].starts_with(&out[at + 8..]));
                }
            }
        }
    }

    #[test]
    fn nobody_answers_resets_errors_damaged_packets_and_groups() {
        for v6 in [false, true] {
            let none = |frame: &[u8]| assert_eq!(refuse(frame, RefusalKind::Return), None);
            none(&frame(v6, 6, &tcp(tcp_flags::RST, 0)));
            let error = refuse(&frame(v6, 17, &udp(9)), RefusalKind::Return).unwrap();
            none(&error);
            let mut damaged = frame(v6, 6, &tcp(tcp_flags::SYN, 0));
            damaged[70 - if v6 { 0 } else { 20 }] ^= 1;
            none(&damaged);
            let mut group = frame(v6, 17, &udp(9));
            group[0] |= 1;
            none(&group);
            let mut group = frame(v6, 17, &udp(9));
            group[if v6 { 38 } else { 30 }] = 0xff;
            none(&group);
        }
    }
}
