//! ARP and neighbour discovery: questions for an address, answers, and announcements (RFC 826, RFC 4861).

use super::frame::{Mac, Path, ethernet, multicast_mac, write, write_ethernet};
use crate::packet::checksum::Sum;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Maximum length of an answer or announcement: Ethernet with a VLAN tag, IPv6, an advertisement with one option.
pub const MAX_NEIGHBOUR_BYTES: usize = 18 + 40 + ADVERTISEMENT_BYTES;

const ARP: [u8; 2] = [0x08, 0x06];
const IPV6: [u8; 2] = [0x86, 0xdd];
const ARP_BYTES: usize = 28;
/// Ethernet and IPv4 addresses.
const ARP_HEADER: [u8; 6] = [0, 1, 8, 0, 6, 4];
const REQUEST: u16 = 1;
const REPLY: u16 = 2;

const ICMPV6: u8 = 58;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const SOLICITATION_BYTES: usize = 24;
const ADVERTISEMENT_BYTES: usize = 32;
const TARGET_OPTION: [u8; 2] = [2, 1];
const ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

const BROADCAST: Mac = [0xff; 6];
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// Somebody asks who has an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// The address.
    pub target: IpAddr,
    /// Who asks, unspecified while it checks whether the address is free.
    pub asker: IpAddr,
    /// Where the answer goes.
    pub asker_mac: Mac,
}

/// Reads an ARP request or a neighbour solicitation. Returns `None` for any other frame.
pub fn parse(frame: &[u8], vlan: u16) -> Option<Question> {
    let (kind, payload) = ethernet(frame, vlan)?;
    match kind {
        ARP => parse_arp(payload),
        IPV6 => parse_solicitation(payload, *frame[6..].first_chunk()?),
        _ => None,
    }
}

fn parse_arp(payload: &[u8]) -> Option<Question> {
    let bytes: &[u8; ARP_BYTES] = payload.first_chunk()?;
    let address = |at: usize| Ipv4Addr::from(*bytes[at..].first_chunk::<4>().expect("four bytes"));
    let (asker, target) = (address(14), address(24));
    let is_question = bytes[..6] == ARP_HEADER && bytes[6..8] == REQUEST.to_be_bytes();
    // Who asks for its own address announces it.
    (is_question && asker != target).then_some(Question {
        target: target.into(),
        asker: asker.into(),
        asker_mac: *bytes[8..].first_chunk().expect("six bytes"),
    })
}

fn parse_solicitation(packet: &[u8], source_mac: Mac) -> Option<Question> {
    let (header, rest) = packet.split_first_chunk::<40>()?;
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let message = rest.get(..length)?;
    let address = |bytes: &[u8]| Some(Ipv6Addr::from(*bytes.first_chunk::<16>()?));
    let (source, destination) = (address(&header[8..])?, address(&header[24..])?);
    let is_question = header[0] >> 4 == 6
        && header[6..8] == [ICMPV6, 255]
        && message.len() >= SOLICITATION_BYTES
        && message[..2] == [SOLICITATION, 0]
        && pseudo_header(source, destination, length).bytes(message).is_intact();
    let target = is_question.then(|| address(&message[8..]))??;
    Some(Question { target: target.into(), asker: source.into(), asker_mac: source_mac })
}

fn pseudo_header(source: Ipv6Addr, destination: Ipv6Addr, length: usize) -> Sum {
    Sum::pseudo_header(&[source.octets(), destination.octets()], ICMPV6, length as u32)
}

/// Writes the answer: `question.target` is at `mac`. It is sent from `source`. Returns its length, or `None` if `out` is too small.
pub fn write_answer(question: &Question, mac: Mac, source: Mac, vlan: u16, out: &mut [u8]) -> Option<usize> {
    let length = write_answer_of(question, mac, vlan, out)?;
    out[6..12].copy_from_slice(&source);
    Some(length)
}

fn write_answer_of(question: &Question, mac: Mac, vlan: u16, out: &mut [u8]) -> Option<usize> {
    match (question.target, question.asker) {
        (IpAddr::V4(target), IpAddr::V4(asker)) => {
            write_arp(REPLY, (mac, target), (question.asker_mac, asker), question.asker_mac, vlan, out)
        }
        // Whoever checks whether the address is free has none itself: all nodes get the answer.
        (IpAddr::V6(target), IpAddr::V6(asker)) if asker.is_unspecified() => write_advertisement(
            target,
            mac,
            ROUTER | OVERRIDE,
            (ALL_NODES, multicast_mac(ALL_NODES.into())),
            vlan,
            out,
        ),
        (IpAddr::V6(target), IpAddr::V6(asker)) => {
            let flags = ROUTER | SOLICITED | OVERRIDE;
            write_advertisement(target, mac, flags, (asker, question.asker_mac), vlan, out)
        }
        _ => None,
    }
}

/// Writes the announcement that `address` is at `mac`: a gratuitous ARP request, or an unsolicited advertisement.
pub fn write_announcement(address: IpAddr, mac: Mac, vlan: u16, out: &mut [u8]) -> Option<usize> {
    match address {
        IpAddr::V4(v4) => write_arp(REQUEST, (mac, v4), (BROADCAST, v4), BROADCAST, vlan, out),
        IpAddr::V6(v6) => {
            let to = (ALL_NODES, multicast_mac(ALL_NODES.into()));
            write_advertisement(v6, mac, ROUTER | OVERRIDE, to, vlan, out)
        }
    }
}

fn write_arp(
    operation: u16,
    sender: (Mac, Ipv4Addr),
    target: (Mac, Ipv4Addr),
    destination: Mac,
    vlan: u16,
    out: &mut [u8],
) -> Option<usize> {
    let start = write_ethernet((destination, sender.0), vlan, ARP, out)?;
    let bytes = out[start..].first_chunk_mut::<ARP_BYTES>()?;
    bytes[..6].copy_from_slice(&ARP_HEADER);
    bytes[6..8].copy_from_slice(&operation.to_be_bytes());
    for (at, (mac, address)) in [(8, sender), (18, target)] {
        bytes[at..at + 6].copy_from_slice(&mac);
        bytes[at + 6..at + 10].copy_from_slice(&address.octets());
    }
    Some(start + ARP_BYTES)
}

fn write_advertisement(
    target: Ipv6Addr,
    mac: Mac,
    flags: u8,
    (destination, destination_mac): (Ipv6Addr, Mac),
    vlan: u16,
    out: &mut [u8],
) -> Option<usize> {
    let mut message = [0; ADVERTISEMENT_BYTES];
    message[0] = ADVERTISEMENT;
    message[4] = flags;
    message[8..24].copy_from_slice(&target.octets());
    message[24..26].copy_from_slice(&TARGET_OPTION);
    message[26..].copy_from_slice(&mac);
    let sum = pseudo_header(target, destination, ADVERTISEMENT_BYTES).bytes(&message).checksum().0;
    message[2..4].copy_from_slice(&sum);
    let path = Path {
        vlan,
        source_mac: mac,
        destination_mac,
        source: target.into(),
        destination: destination.into(),
        protocol: ICMPV6,
        tos: 0,
    };
    write(&path, &message, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Mac = [0, 0, 0x5e, 0, 1, 7];
    const THEIRS: Mac = [2, 0, 0, 0, 0, 9];

    fn arp_request(asker: [u8; 4], target: [u8; 4]) -> Vec<u8> {
        let mut out = [0; 60];
        write_arp(REQUEST, (THEIRS, asker.into()), ([0; 6], target.into()), BROADCAST, 0, &mut out).unwrap();
        out.to_vec()
    }

    fn solicitation(source: &str, target: &str) -> Vec<u8> {
        let target: Ipv6Addr = target.parse().unwrap();
        let [.., x, y, z] = target.octets();
        let group = Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, x, y, z]);
        let source: Ipv6Addr = source.parse().unwrap();
        let mut message = [0; SOLICITATION_BYTES];
        message[0] = SOLICITATION;
        message[8..].copy_from_slice(&target.octets());
        let sum = pseudo_header(source, group, SOLICITATION_BYTES).bytes(&message).checksum().0;
        message[2..4].copy_from_slice(&sum);
        let path = Path {
            vlan: 0,
            source_mac: THEIRS,
            destination_mac: multicast_mac(group.into()),
            source: source.into(),
            destination: group.into(),
            protocol: ICMPV6,
            tos: 0,
        };
        let mut out = [0; 100];
        let length = write(&path, &message, &mut out).unwrap();
        out[..length].to_vec()
    }

    fn answer(question: &Question) -> Vec<u8> {
        let mut out = [0; MAX_NEIGHBOUR_BYTES];
        let length = write_answer(question, OURS, OURS, 0, &mut out).expect("space");
        out[..length].to_vec()
    }

    #[test]
    fn an_arp_request_is_answered_to_the_asker() {
        let question = parse(&arp_request([10, 0, 0, 9], [10, 0, 0, 1]), 0).expect("a question");
        assert_eq!(question.target, IpAddr::from([10, 0, 0, 1]));
        let reply = answer(&question);
        assert_eq!((&reply[..6], &reply[6..12], &reply[12..14]), (&THEIRS[..], &OURS[..], &ARP[..]));
        assert_eq!(reply[20..22], REPLY.to_be_bytes());
        assert_eq!((&reply[22..28], &reply[28..32]), (&OURS[..], &[10, 0, 0, 1][..]));
        assert_eq!((&reply[32..38], &reply[38..42]), (&THEIRS[..], &[10, 0, 0, 9][..]));
    }

    #[test]
    fn a_solicitation_is_answered_to_the_asker_or_to_all_if_it_has_no_address() {
        for (source, to, flags) in [("fe80::9", "fe80::9", 0xe0), ("::", "ff02::1", 0xa0)] {
            let question = parse(&solicitation(source, "2001:db8::1"), 0).expect("a question");
            let reply = answer(&question);
            let destination: Ipv6Addr = to.parse().unwrap();
            assert_eq!(reply[14 + 24..14 + 40], destination.octets());
            assert_eq!((reply[54], reply[58]), (ADVERTISEMENT, flags), "{source}");
            assert_eq!(reply[54 + 26..], OURS);
            let target: Ipv6Addr = "2001:db8::1".parse().unwrap();
            assert!(pseudo_header(target, destination, ADVERTISEMENT_BYTES).bytes(&reply[54..]).is_intact());
        }
    }

    #[test]
    fn announcements_name_the_address_and_are_no_questions() {
        for (address, vlan) in [("10.0.0.1", 0), ("10.0.0.1", 5), ("2001:db8::1", 0), ("2001:db8::1", 5)] {
            let mut out = [0; MAX_NEIGHBOUR_BYTES];
            let length = write_announcement(address.parse().unwrap(), OURS, vlan, &mut out).expect("space");
            assert_eq!(parse(&out[..length], vlan), None);
            assert_eq!(out[6..12], OURS);
            assert!(out[0] & 1 == 1, "to all");
            assert_eq!(
                write_announcement(address.parse().unwrap(), OURS, vlan, &mut out[..length - 1]),
                None
            );
        }
    }

    #[test]
    fn cut_or_changed_questions_are_ignored() {
        for frame in
            [arp_request([10, 0, 0, 9], [10, 0, 0, 1])[..42].to_vec(), solicitation("fe80::9", "2001:db8::1")]
        {
            for length in 0..frame.len() {
                assert_eq!(parse(&frame[..length], 0), None);
            }
        }
        let mut forwarded = solicitation("fe80::9", "2001:db8::1");
        forwarded[21] = 64;
        assert_eq!(parse(&forwarded, 0), None);
        let mut damaged = solicitation("fe80::9", "2001:db8::1");
        *damaged.last_mut().unwrap() ^= 1;
        assert_eq!(parse(&damaged, 0), None);
        assert_eq!(parse(&arp_request([10, 0, 0, 1], [10, 0, 0, 1]), 0), None, "an announcement");
    }
}
