//! A packet's bytes to its key and facts.

use super::ip::{self, Fragment, Ip};
use super::reader::Reader;
use super::{Be16, Direction, Facts, Family, Key, Kind, Link, Rejection, TcpFacts, icmp, link, tcp};

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;
const SCTP: u8 = 132;
const PFSYNC: u8 = 240;

/// What stands behind the IP header.
struct Transport {
    kind: Kind,
    /// Of the source and of the destination.
    ports: [Be16; 2],
    tcp: TcpFacts,
}

impl Transport {
    const fn plain(kind: Kind, ports: [Be16; 2]) -> Self {
        let tcp = TcpFacts { seq: 0, ack: 0, window: 0, flags: 0, wscale: 0, mss: 0, payload: 0 };
        Self { kind, ports, tcp }
    }
}

/// Reads a packet that crosses its interface in `direction`.
///
/// `bytes` is its first piece and all that is read; `packet_length` the bytes of all pieces (less than `bytes` counts as
/// `bytes`). An ICMP error gives the key of the packet that it quotes, under the reversed direction.
///
/// Cost: one pass over the headers, no allocation.
///
/// # Errors
/// See [`Rejection`]; a packet with an error has no key.
#[inline]
pub fn parse(bytes: &[u8], packet_length: u32, link: Link, direction: Direction) -> Result<Facts, Rejection> {
    let reader = Reader::new(bytes, packet_length);
    let (l3_offset, version) = link::l3_offset(&reader, link)?;
    let (ip, reader) = ip::read(&reader, l3_offset, version, false)?;
    if ip.fragment != Fragment::Whole {
        return Err(Rejection::Fragment);
    }
    let transport = read_transport(&reader, &ip)?;
    let (key, tcp) = if transport.kind == Kind::IcmpError {
        read_quoted(&reader, &ip, direction)?
    } else {
        (key_of(&ip, transport.ports, direction), transport.tcp)
    };
    Ok(Facts {
        key,
        kind: transport.kind,
        direction,
        l3_offset: l3_offset as u16,
        l4_offset: ip.l4_offset as u16,
        ip_length: ip.length,
        ttl: ip.ttl,
        tos: ip.tos,
        ip_options: ip.options,
        tcp,
    })
}

#[inline(always)]
fn key_of(ip: &Ip, ports: [Be16; 2], direction: Direction) -> Key {
    let key = Key {
        addr: [ip.source, ip.destination],
        port: ports,
        rdomain: 0,
        family: ip.family,
        proto: ip.proto,
    };
    match direction {
        Direction::In => key,
        Direction::Out => key.swapped(),
    }
}

#[inline(always)]
fn read_transport(reader: &Reader<'_>, ip: &Ip) -> Result<Transport, Rejection> {
    match (ip.proto, ip.family) {
        (TCP, _) => {
            let (ports, tcp) = tcp::read(reader, ip.l4_offset)?;
            Ok(Transport { kind: Kind::Tcp, ports, tcp })
        }
        (UDP, _) => read_udp(reader, ip.l4_offset),
        (ICMP, Family::V4) | (ICMPV6, Family::V6) => {
            let message = icmp::read(reader, ip.l4_offset, ip.family)?;
            Ok(Transport::plain(message.kind, message.ports))
        }
        (SCTP, _) => {
            let [a, b, c, d, ..] = *reader.header::<12>(ip.l4_offset)?;
            Ok(Transport::plain(Kind::Other, [Be16([a, b]), Be16([c, d])]))
        }
        (PFSYNC, _) => Ok(Transport::plain(Kind::Pfsync, [Be16([0; 2]); 2])),
        _ => Ok(Transport::plain(Kind::Other, [Be16([0; 2]); 2])),
    }
}

#[inline(always)]
fn read_udp(reader: &Reader<'_>, at: usize) -> Result<Transport, Rejection> {
    let header: &[u8; 8] = reader.header(at)?;
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    // pf drops the same (OpenBSD `pf_setup_pdesc`): a datagram shorter than its header or longer than its packet.
    if length < header.len() || at + length > reader.end() {
        return Err(Rejection::Malformed);
    }
    let ports = [Be16([header[0], header[1]]), Be16([header[2], header[3]])];
    Ok(Transport::plain(Kind::Udp, ports))
}

/// The key of the packet that an ICMP error quotes. It went the other way, so that its source is where the error goes to.
#[cold]
fn read_quoted(reader: &Reader<'_>, outer: &Ip, direction: Direction) -> Result<(Key, TcpFacts), Rejection> {
    let at = outer.l4_offset + icmp::HEADER_BYTES;
    let version = if outer.family == Family::V4 { 4 } else { 6 };
    let (ip, reader) = ip::read(reader, at, Some(version), true)?;
    // Not `Fragment`: the error itself is whole, and its receiver has nothing to reassemble.
    if ip.fragment == Fragment::Later {
        return Err(Rejection::Malformed);
    }
    let transport = match ip.proto {
        TCP => {
            let (ports, tcp) = tcp::read_quoted(&reader, ip.l4_offset)?;
            Transport { kind: Kind::Tcp, ports, tcp }
        }
        UDP | SCTP => {
            let [a, b, c, d] = *reader.header::<4>(ip.l4_offset)?;
            Transport::plain(Kind::Udp, [Be16([a, b]), Be16([c, d])])
        }
        _ => read_transport(&reader, &ip)?,
    };
    // An error about an error is never sent (RFC 1122 section 3.2.2); this one is forged.
    if transport.kind == Kind::IcmpError {
        return Err(Rejection::Malformed);
    }
    Ok((key_of(&ip, transport.ports, direction.reverse()), transport.tcp))
}
