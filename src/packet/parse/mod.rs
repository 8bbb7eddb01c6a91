//! Parses a packet's headers into its key and facts.
//!
//! [`common`] reads nearly all packets with a few comparisons; [`parse_general`] reads every packet, header by header.

mod common;
mod fragment;
pub(super) mod icmp;
pub(super) mod ip;
mod link;
mod ports;
pub(super) mod reader;
mod sctp;
mod tcp;

use super::{Direction, Facts, Family, IpOptions, Key, Kind, Rejection, TcpFacts, protocol};
use ip::{Ip, Payload};
use ports::Ports;
use reader::Reader;

pub use fragment::{Fragment, parse_fragment};
pub use link::Link;
pub(super) use tcp::has_impossible_flags;

// Protocol numbers in the type that [`Payload`] holds them in.
const ICMP: usize = protocol::ICMP as usize;
const TCP: usize = protocol::TCP as usize;
const UDP: usize = protocol::UDP as usize;
const ICMPV6: usize = protocol::ICMPV6 as usize;
const SCTP: usize = protocol::SCTP as usize;
const PFSYNC: usize = protocol::PFSYNC as usize;

/// The header behind the IP header of a packet that is neither TCP nor UDP.
struct Other {
    kind: Kind,
    ports: Ports,
    tcp: TcpFacts,
}

/// Parses a packet that crosses its interface in `direction`.
///
/// `bytes` is the packet's first segment; nothing else is read. `packet_length` is the length of all segments; a value
/// below `bytes.len()` counts as `bytes.len()`. An ICMP error gets the quoted packet's key, with the direction reversed.
///
/// Cost: one pass over the headers, no allocation.
///
/// # Errors
/// See [`Rejection`]; a rejected packet has no key.
#[inline(always)]
pub fn parse(bytes: &[u8], packet_length: u32, link: Link, direction: Direction) -> Result<Facts, Rejection> {
    let mut facts = Facts::EMPTY;
    parse_into(bytes, packet_length, link, direction, &mut facts)?;
    Ok(facts)
}

/// Like [`parse`], but writes the facts in place. After an error their content is meaningless.
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
    if common::read(bytes, packet_length, link, direction, facts) {
        return Ok(());
    }
    parse_general(bytes, packet_length, link, direction, facts)
}

/// Like [`parse_into`], but reads common packets like all others. For tests.
///
/// # Errors
/// As [`parse`].
#[inline(never)]
pub fn parse_general(
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
    facts.ip_options = IpOptions(ip.payload.options as u8);
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
            facts.tcp = transport.tcp;
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
            Ok(Other { kind: message.kind, ports: message.ports, tcp: TcpFacts::NONE })
        }
        (SCTP, _) => {
            let ports = Ports::from_header(reader.header::<12>(payload.at)?);
            Ok(Other { kind: Kind::Other, ports, tcp: sctp::read(&reader, payload.at)? })
        }
        (PFSYNC, _) => Ok(Other { kind: Kind::Pfsync, ports: Ports::NONE, tcp: TcpFacts::NONE }),
        _ => Ok(Other { kind: Kind::Other, ports: Ports::NONE, tcp: TcpFacts::NONE }),
    }
}

#[inline(always)]
fn read_udp(reader: &Reader<'_>, at: usize) -> Result<Ports, Rejection> {
    let header: &[u8; 8] = reader.header(at)?;
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    // Like OpenBSD's `pf_setup_pdesc`: the length must cover the header and fit the packet.
    if length < header.len() || at + length > reader.end() {
        return Err(Rejection::Malformed);
    }
    Ok(Ports::from_header(header))
}

/// Returns the key of the packet that an ICMP error quotes. That packet travelled in the opposite direction.
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
        UDP | SCTP => (Ports::from_header(reader.header::<4>(at)?), TcpFacts::NONE),
        _ => {
            let other = read_other(reader, ip.family, ip.payload)?;
            // No host sends an error about an error (RFC 1122 section 3.2.2).
            if other.kind == Kind::IcmpError {
                return Err(Rejection::Malformed);
            }
            (other.ports, TcpFacts::NONE)
        }
    };
    Ok((key_of(&ip, ports, direction.reverse()), tcp))
}
