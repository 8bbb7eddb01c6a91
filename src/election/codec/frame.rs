//! Ethernet and IP headers of adverts.

use crate::packet::checksum::checksum;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The IP protocol of CARP and VRRP.
pub const PROTOCOL: u8 = 112;
/// Maximum length of the headers: Ethernet with a VLAN tag, IPv6.
pub const MAX_HEADER_BYTES: usize = 18 + 40;

/// A MAC address.
pub type Mac = [u8; 6];

const ETHERNET_BYTES: usize = 14;
const VLAN: [u8; 2] = [0x81, 0x00];
const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xdd];
const HOPS: u8 = 255;
const DONT_FRAGMENT: u8 = 0x40;

/// An advert's frame, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The sender's MAC address.
    pub source_mac: Mac,
    /// The sender.
    pub source: IpAddr,
    /// The group, or the receiver.
    pub destination: IpAddr,
    /// What follows the IP header.
    pub payload: &'a [u8],
}

/// Why a frame carries no advert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It has another VLAN tag, is not IP, or has another protocol.
    NotOurs,
    /// Cut, with options or extension headers, a fragment, or with a wrong header checksum.
    Header,
    /// It was forwarded: the TTL or hop limit is not 255.
    Ttl,
}

/// Where an Ethernet frame's payload begins, and its type. A VLAN tag must be that of `vlan`; the port may have removed it.
pub fn ethernet(frame: &[u8], vlan: u16) -> Option<([u8; 2], &[u8])> {
    let (header, payload) = frame.split_first_chunk::<ETHERNET_BYTES>()?;
    let kind = [header[12], header[13]];
    if kind != VLAN {
        return Some((kind, payload));
    }
    let (tag, payload) = payload.split_first_chunk::<4>()?;
    let id = u16::from_be_bytes([tag[0], tag[1]]) & 0xfff;
    (id == vlan).then_some(([tag[2], tag[3]], payload))
}

/// Takes an Ethernet frame apart. Bytes behind the IP packet are padding.
pub fn parse(frame: &[u8], vlan: u16) -> Result<Frame<'_>, Fault> {
    let (kind, packet) = ethernet(frame, vlan).ok_or(Fault::NotOurs)?;
    let source_mac = frame[6..12].try_into().expect("six bytes");
    let (source, destination, payload) = match kind {
        IPV4 => parse_v4(packet)?,
        IPV6 => parse_v6(packet)?,
        _ => return Err(Fault::NotOurs),
    };
    Ok(Frame { source_mac, source, destination, payload })
}

/// Whether a frame's Ethernet type is IPv4's.
#[must_use]
pub fn is_v4(frame: &[u8], vlan: u16) -> bool {
    ethernet(frame, vlan).is_some_and(|(kind, _)| kind == IPV4)
}

/// Returns the sender of a frame whose header may be damaged, for a report.
#[must_use]
pub fn source(frame: &[u8], vlan: u16) -> Option<IpAddr> {
    match ethernet(frame, vlan)? {
        (IPV4, packet) => Some(IpAddr::from(*packet.get(12..)?.first_chunk::<4>()?)),
        (IPV6, packet) => Some(IpAddr::from(*packet.get(8..)?.first_chunk::<16>()?)),
        _ => None,
    }
}

/// Hop-by-hop options, routing, fragment, destination options.
const EXTENSION_HEADERS: [u8; 4] = [0, 43, 44, 60];

type Parts<'a> = (IpAddr, IpAddr, &'a [u8]);

fn parse_v4(packet: &[u8]) -> Result<Parts<'_>, Fault> {
    let header: &[u8; 20] = packet.first_chunk().ok_or(Fault::Header)?;
    if header[9] != PROTOCOL {
        return Err(Fault::NotOurs);
    }
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let is_fragment = header[6] & 0x3f | header[7] != 0;
    if header[0] != 0x45 || is_fragment || checksum(header).get() != 0 {
        return Err(Fault::Header);
    }
    let payload = packet.get(20..length).ok_or(Fault::Header)?;
    if header[8] != HOPS {
        return Err(Fault::Ttl);
    }
    let address = |at: usize| Ipv4Addr::from(*header[at..].first_chunk::<4>().expect("four bytes")).into();
    Ok((address(12), address(16), payload))
}

fn parse_v6(packet: &[u8]) -> Result<Parts<'_>, Fault> {
    let (header, rest) = packet.split_first_chunk::<40>().ok_or(Fault::Header)?;
    if EXTENSION_HEADERS.contains(&header[6]) && rest.first() == Some(&PROTOCOL) {
        return Err(Fault::Header);
    }
    if header[6] != PROTOCOL {
        return Err(Fault::NotOurs);
    }
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let payload = rest.get(..length).filter(|_| header[0] >> 4 == 6).ok_or(Fault::Header)?;
    if header[7] != HOPS {
        return Err(Fault::Ttl);
    }
    let address =
        |at: usize| Ipv6Addr::from(*header[at..].first_chunk::<16>().expect("sixteen bytes")).into();
    Ok((address(8), address(24), payload))
}

/// The headers of a frame to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    /// The VLAN, 0 for no tag.
    pub vlan: u16,
    /// The sender's MAC address.
    pub source_mac: Mac,
    /// The receiver's MAC address.
    pub destination_mac: Mac,
    /// The sender.
    pub source: IpAddr,
    /// The receiver, of the same family.
    pub destination: IpAddr,
    /// The IP protocol.
    pub protocol: u8,
    /// TOS or traffic class.
    pub tos: u8,
}

/// Writes the Ethernet header with `kind` as its type. Returns its length.
pub fn write_ethernet(
    (destination, source): (Mac, Mac),
    vlan: u16,
    kind: [u8; 2],
    out: &mut [u8],
) -> Option<usize> {
    let length = if vlan == 0 { ETHERNET_BYTES } else { ETHERNET_BYTES + 4 };
    let out = out.get_mut(..length)?;
    out[..6].copy_from_slice(&destination);
    out[6..12].copy_from_slice(&source);
    if vlan != 0 {
        out[12..14].copy_from_slice(&VLAN);
        out[14..16].copy_from_slice(&vlan.to_be_bytes());
    }
    out[length - 2..].copy_from_slice(&kind);
    Some(length)
}

/// Writes a frame around `payload`. Returns its length, or `None` if `out` is too small.
pub fn write(path: &Path, payload: &[u8], out: &mut [u8]) -> Option<usize> {
    let kind = if path.source.is_ipv4() { IPV4 } else { IPV6 };
    let start = write_ethernet((path.destination_mac, path.source_mac), path.vlan, kind, out)?;
    let packet = &mut out[start..];
    let header = match (path.source, path.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let header = packet.first_chunk_mut::<20>()?;
            let length = u16::try_from(20 + payload.len()).ok()?.to_be_bytes();
            *header = [
                0x45,
                path.tos,
                length[0],
                length[1],
                0,
                0,
                DONT_FRAGMENT,
                0,
                HOPS,
                path.protocol,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
            ];
            header[12..16].copy_from_slice(&source.octets());
            header[16..].copy_from_slice(&destination.octets());
            let sum = checksum(header).0;
            header[10..12].copy_from_slice(&sum);
            20
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let header = packet.first_chunk_mut::<40>()?;
            header.fill(0);
            header[..2].copy_from_slice(&[0x60 | path.tos >> 4, path.tos << 4]);
            header[4..6].copy_from_slice(&u16::try_from(payload.len()).ok()?.to_be_bytes());
            header[6..8].copy_from_slice(&[path.protocol, HOPS]);
            header[8..24].copy_from_slice(&source.octets());
            header[24..].copy_from_slice(&destination.octets());
            40
        }
        _ => return None,
    };
    packet.get_mut(header..header + payload.len())?.copy_from_slice(payload);
    Some(start + header + payload.len())
}

/// Returns the multicast MAC address of an IP multicast group.
pub fn multicast_mac(group: IpAddr) -> Mac {
    match group {
        IpAddr::V4(v4) => {
            let [_, b, c, d] = v4.octets();
            [0x01, 0x00, 0x5e, b & 0x7f, c, d]
        }
        IpAddr::V6(v6) => {
            let octets = v6.octets();
            [0x33, 0x33, octets[12], octets[13], octets[14], octets[15]]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(source: &str, destination: &str, vlan: u16) -> Path {
        let destination: IpAddr = destination.parse().unwrap();
        Path {
            vlan,
            source_mac: [2, 0, 0, 0, 0, 1],
            destination_mac: multicast_mac(destination),
            source: source.parse().unwrap(),
            destination,
            protocol: PROTOCOL,
            tos: 0xc0,
        }
    }

    fn written(path: &Path, payload: &[u8]) -> Vec<u8> {
        let mut out = [0; 200];
        let length = write(path, payload, &mut out).expect("space");
        out[..length].to_vec()
    }

    const PATHS: [(&str, &str, u16); 4] = [
        ("10.0.0.1", "224.0.0.18", 0),
        ("10.0.0.1", "224.0.0.18", 7),
        ("fe80::1", "ff02::12", 0),
        ("fe80::1", "ff02::12", 4094),
    ];

    #[test]
    fn what_is_written_is_read_with_and_without_tag_and_with_padding() {
        for (source, destination, vlan) in PATHS {
            let path = path(source, destination, vlan);
            let mut bytes = written(&path, b"advert");
            bytes.extend([0; 20]);
            let frame = parse(&bytes, vlan).expect("a frame");
            assert_eq!((frame.source, frame.destination), (path.source, path.destination));
            assert_eq!((frame.source_mac, frame.payload), (path.source_mac, &b"advert"[..]));
            assert_eq!(&bytes[..6], &path.destination_mac);
        }
        assert_eq!(multicast_mac("224.0.0.18".parse().unwrap()), [1, 0, 0x5e, 0, 0, 0x12]);
        assert_eq!(multicast_mac("ff02::12".parse().unwrap()), [0x33, 0x33, 0, 0, 0, 0x12]);
    }

    #[test]
    fn frames_of_another_vlan_or_protocol_are_not_ours() {
        let path = path("10.0.0.1", "224.0.0.18", 7);
        assert_eq!(parse(&written(&path, b"x"), 8), Err(Fault::NotOurs));
        let other = Path { protocol: 17, ..path };
        assert_eq!(parse(&written(&other, b"x"), 7), Err(Fault::NotOurs));
        assert_eq!(parse(&[0; 13], 0), Err(Fault::NotOurs));
    }

    #[test]
    fn cut_changed_and_forwarded_packets_are_refused_by_cause() {
        for (source, destination, vlan) in PATHS {
            let bytes = written(&path(source, destination, vlan), b"advert");
            for length in 0..bytes.len() {
                assert!(parse(&bytes[..length], vlan).is_err(), "{length}");
            }
        }
        let change_v4 = |at: usize, value: u8| {
            let mut bytes = written(&path("10.0.0.1", "224.0.0.18", 0), b"advert");
            bytes[14 + at] = value;
            bytes[24] = 0;
            bytes[25] = 0;
            let sum = checksum(&bytes[14..34]).0;
            bytes[24..26].copy_from_slice(&sum);
            parse(&bytes, 0).map(|_| ())
        };
        assert_eq!(change_v4(8, 254), Err(Fault::Ttl));
        assert_eq!(change_v4(0, 0x46), Err(Fault::Header), "options");
        assert_eq!(change_v4(7, 1), Err(Fault::Header), "a fragment");
        assert_eq!(change_v4(3, 10), Err(Fault::Header), "shorter than its header");
        let mut bytes = written(&path("fe80::1", "ff02::12", 0), b"advert");
        bytes[14 + 7] = 64;
        assert_eq!(parse(&bytes, 0), Err(Fault::Ttl));
        bytes[14 + 6] = 0;
        assert_eq!(parse(&bytes, 0), Err(Fault::NotOurs), "options before another protocol");
        bytes[14 + 40] = PROTOCOL;
        assert_eq!(parse(&bytes, 0), Err(Fault::Header), "options before an advert");
    }
}
