//! A packet's bytes to its key and facts.

use super::ip::{self, Ip, Payload};
use super::ports::Ports;
use super::reader::Reader;
use super::{Direction, Facts, Family, Key, Kind, Link, Rejection, TcpFacts, icmp, link, tcp};

const ICMP: usize = 1;
const TCP: usize = 6;
const UDP: usize = 17;
const ICMPV6: usize = 58;
const SCTP: usize = 132;
const PFSYNC: usize = 240;

/// What stands behind the IP header, other than TCP and UDP.
struct Other {
    kind: Kind,
    ports: Ports,
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
#[inline(always)]
pub fn parse(bytes: &[u8], packet_length: u32, link: Link, direction: Direction) -> Result<Facts, Rejection> {
    let mut facts = Facts::EMPTY;
    parse_into(bytes, packet_length, link, direction, &mut facts)?;
    Ok(facts)
}

/// As [`parse`], but writes the facts where they are to stay. After an error they are not to be used.
///
/// # Errors
/// As [`parse`].
#[inline(always)]
pub fn parse_into(
    bytes: &[u8],
    packet_length: u32,
    link: Link,
    direction: Direction,
    facts: &mut Facts,
) -> Result<(), Rejection> {
    let reader = Reader::new(bytes, packet_length);
    let (l3_offset, version) = link::l3_offset(&reader, link)?;
    let ip = ip::read(&reader, l3_offset, version, false)?;
    let reader = reader.ending_at(ip.payload.end);
    facts.direction = direction;
    facts.l3_offset = l3_offset as u16;
    facts.l4_offset = ip.payload.at as u16;
    facts.ip_length = ip.length;
    facts.ttl = ip.ttl;
    facts.tos = ip.tos;
    facts.ip_options = ip.payload.option_octets != 0;
    match ip.payload.proto {
        TCP => {
            let (ports, tcp) = tcp::read(&reader, ip.payload.at)?;
            facts.key = key_of(&ip, ports, direction);
            facts.kind = Kind::Tcp;
            facts.tcp = tcp;
        }
        UDP => {
            let ports = read_udp(&reader, ip.payload.at)?;
            facts.key = key_of(&ip, ports, direction);
            facts.kind = Kind::Udp;
            facts.tcp = TcpFacts::NONE;
        }
        _ => {
            let transport = read_other(reader, ip.family, ip.payload)?;
            facts.key = key_of(&ip, transport.ports, direction);
            facts.kind = transport.kind;
            facts.tcp = TcpFacts::NONE;
            if transport.kind == Kind::IcmpError {
                (facts.key, facts.tcp) = read_quoted(reader, ip.family, ip.payload.at, direction)?;
            }
        }
    }
    Ok(())
}

#[inline(always)]
fn key_of(ip: &Ip, ports: Ports, direction: Direction) -> Key {
    let (addr, ports) = match direction {
        Direction::In => ([ip.source, ip.destination], ports.in_order()),
        Direction::Out => ([ip.destination, ip.source], ports.swapped()),
    };
    Key::from_words(addr, ports, ip.family, ip.payload.proto as u8)
}

#[inline(never)]
fn read_other(reader: Reader<'_>, family: Family, payload: Payload) -> Result<Other, Rejection> {
    match (payload.proto, family) {
        (ICMP, Family::V4) | (ICMPV6, Family::V6) => {
            let message = icmp::read(&reader, payload.at, family)?;
            Ok(Other { kind: message.kind, ports: message.ports })
        }
        (SCTP, _) => {
            let ports = Ports::of_header(reader.header::<12>(payload.at)?);
            Ok(Other { kind: Kind::Other, ports })
        }
        (PFSYNC, _) => Ok(Other { kind: Kind::Pfsync, ports: Ports::NONE }),
        _ => Ok(Other { kind: Kind::Other, ports: Ports::NONE }),
    }
}

#[inline(always)]
fn read_udp(reader: &Reader<'_>, at: usize) -> Result<Ports, Rejection> {
    let header: &[u8; 8] = reader.header(at)?;
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    // pf drops the same (OpenBSD `pf_setup_pdesc`): a datagram shorter than its header or longer than its packet.
    if length < header.len() || at + length > reader.end() {
        return Err(Rejection::Malformed);
    }
    Ok(Ports::of_header(header))
}

/// The key of the packet that an ICMP error quotes. It went the other way, so that its source is where the error goes to.
#[cold]
fn read_quoted(
    reader: Reader<'_>,
    family: Family,
    at: usize,
    direction: Direction,
) -> Result<(Key, TcpFacts), Rejection> {
    let version = if family == Family::V4 { 4 } else { 6 };
    let ip = ip::read(&reader, at + icmp::HEADER_BYTES, Some(version), true)?;
    let (reader, at) = (reader.ending_at(ip.payload.end), ip.payload.at);
    let (ports, tcp) = match ip.payload.proto {
        TCP => tcp::read_quoted(&reader, at)?,
        UDP | SCTP => (Ports::of_header(reader.header::<4>(at)?), TcpFacts::NONE),
        _ => {
            let other = read_other(reader, ip.family, ip.payload)?;
            // An error about an error is never sent (RFC 1122 section 3.2.2); this one is forged.
            if other.kind == Kind::IcmpError {
                return Err(Rejection::Malformed);
            }
            (other.ports, TcpFacts::NONE)
        }
    };
    Ok((key_of(&ip, ports, direction.reverse()), tcp))
}
