//! Packet facts and steering
//!
//! What the headers of a packet say: for the host's rules, or passed to the library by a host that parsed the packet itself.

use super::super::{
    Failure, PFPLANE_END, PFPLANE_ERROR_ARGUMENT, PFPLANE_OK, given, guard, pfplane_engine, put,
};
use super::{pfplane_burst, pfplane_packet, pfplane_verdict};
use crate::lane::Verdict;
use crate::packet::protocol::{ICMP, ICMPV6, PFSYNC, SCTP, TCP, UDP};
use crate::packet::{
    Be16, Direction, Facts, Family, Fragment, IpOptions, Key, Kind, Rejection, TcpFacts, parse,
    parse_fragment,
};
use core::mem::MaybeUninit;

// enum pfplane_kind: What a packet is.
/// A TCP segment.
pub const PFPLANE_KIND_TCP: u8 = 1;
/// A UDP datagram.
pub const PFPLANE_KIND_UDP: u8 = 2;
/// An ICMP or ICMPv6 query.
pub const PFPLANE_KIND_ICMP_QUERY: u8 = 3;
/// An ICMP or ICMPv6 reply.
pub const PFPLANE_KIND_ICMP_REPLY: u8 = 4;
/// An ICMP or ICMPv6 error.
pub const PFPLANE_KIND_ICMP_ERROR: u8 = 5;
/// pfsync, IP protocol 240.
pub const PFPLANE_KIND_SYNC: u8 = 6;
/// Any other protocol. SCTP has ports; states of the others are identified by addresses alone.
pub const PFPLANE_KIND_OTHER: u8 = 7;

// enum pfplane_fragment_flag: What `pfplane_facts.fragment` says. 0 is a whole packet.
/// A fragment.
pub const PFPLANE_FRAGMENT_PART: u8 = 0x01;
/// The first fragment of its packet.
pub const PFPLANE_FRAGMENT_FIRST: u8 = 0x02;
/// More fragments follow.
pub const PFPLANE_FRAGMENT_MORE: u8 = 0x04;
/// The ports are known; they never are for later fragments.
pub const PFPLANE_FRAGMENT_PORTS: u8 = 0x08;

// enum pfplane_ip_options: What the IP header carries, in `pfplane_facts.ip_options`.
/// IPv4 options; IPv6 hop-by-hop options, destination options or a routing header.
pub const PFPLANE_IP_OPTIONS: u8 = 0x01;
/// A source route: IPv4 LSRR or SSRR, an IPv6 routing header of type 0.
pub const PFPLANE_IP_SOURCE_ROUTE: u8 = 0x02;
/// An authentication header. It covers the addresses, so such packets are never translated.
pub const PFPLANE_IP_AUTHENTICATION: u8 = 0x04;

const KINDS: [(u8, Kind); 7] = [
    (PFPLANE_KIND_TCP, Kind::Tcp),
    (PFPLANE_KIND_UDP, Kind::Udp),
    (PFPLANE_KIND_ICMP_QUERY, Kind::IcmpQuery),
    (PFPLANE_KIND_ICMP_REPLY, Kind::IcmpReply),
    (PFPLANE_KIND_ICMP_ERROR, Kind::IcmpError),
    (PFPLANE_KIND_SYNC, Kind::Pfsync),
    (PFPLANE_KIND_OTHER, Kind::Other),
];

/// What the headers of one packet say.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct pfplane_facts {
    /// sizeof(struct pfplane_facts).
    pub size: u32,
    /// 4 or 6.
    pub family: u8,
    /// IP protocol number, after any IPv6 extension headers. For an ICMP error, that of the packet inside it.
    pub proto: u8,
    /// TCP flags: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32. SCTP, by the first chunk: INIT 2, INIT ACK 18, SHUTDOWN and SHUTDOWN ACK
    /// 1, ABORT and SHUTDOWN COMPLETE 4, HEARTBEAT ACK, COOKIE ECHO and COOKIE ACK 24, others 16. 0 for other protocols.
    pub tcp_flags: u8,
    /// 1 for an ICMP or ICMPv6 error. Addresses and ports are then those of the packet inside it, which travelled the other
    /// way.
    pub icmp_error: u8,
    /// Source address, network order; IPv4 in the first 4 bytes.
    pub source: [u8; 16],
    /// Destination address, network order; IPv4 in the first 4 bytes.
    pub destination: [u8; 16],
    /// Source port, host order. For an ICMP query the identifier, for a reply the type of its query.
    pub source_port: u16,
    /// Destination port, host order. For an ICMP query the type, for a reply the identifier.
    pub destination_port: u16,
    /// Offset of the IP header, in bytes.
    pub l3_offset: u16,
    /// Offset of the header after the IP header and its extensions, in bytes.
    pub l4_offset: u16,
    /// Length of the IP packet according to its header, in bytes.
    pub ip_length: u32,
    /// TTL or hop limit.
    pub ttl: u8,
    /// TOS or traffic class.
    pub tos: u8,
    /// PFPLANE_KIND_*.
    pub kind: u8,
    /// PFPLANE_FRAGMENT_*, 0 for a whole packet.
    pub fragment: u8,
    /// TCP: sequence number. For an ICMP error about TCP, that of the segment inside it. SCTP: verification tag.
    pub tcp_seq: u32,
    /// TCP: acknowledgement number. SCTP: the tag that an INIT or INIT ACK offers.
    pub tcp_ack: u32,
    /// TCP: bytes of data.
    pub tcp_payload: u32,
    /// TCP: window field, not scaled. SCTP: 1 if the first chunk has bit 0 of its flags set (the T bit of an ABORT).
    pub tcp_window: u16,
    /// TCP: MSS option of a SYN, 0 without.
    pub tcp_mss: u16,
    /// TCP: window scale option of a SYN, 0x80 + shift, 0 without.
    pub tcp_wscale: u8,
    /// PFPLANE_IP_*: options and extension headers.
    pub ip_options: u8,
    /// Fragment: offset of its payload in the payload of the whole packet, in bytes.
    pub fragment_offset: u16,
    /// Fragment: identification, the same for all fragments of one packet.
    pub fragment_id: u32,
    /// The NIC's RSS hash, used by pfplane_lane_lookup_facts if `pfplane_burst.trust_hash` is 1. Not filled by
    /// pfplane_packet_facts.
    pub hash: u32,
}

const fn family(key: &Key) -> u8 {
    if matches!(key.family, Family::V6) { 6 } else { 4 }
}

impl pfplane_facts {
    fn new(facts: &Facts) -> Self {
        let source = facts.key_direction().source_slot();
        let TcpFacts { seq, ack, window, flags, wscale, mss, payload } = facts.tcp;
        let kind = KINDS.iter().find(|row| row.1 == facts.kind).map_or(PFPLANE_KIND_OTHER, |row| row.0);
        Self {
            tcp_flags: flags,
            icmp_error: u8::from(facts.is_icmp_error()),
            l3_offset: facts.l3_offset,
            l4_offset: facts.l4_offset,
            ip_length: facts.ip_length,
            ttl: facts.ttl,
            tos: facts.tos,
            kind,
            fragment: 0,
            tcp_seq: seq,
            tcp_ack: ack,
            tcp_payload: payload,
            tcp_window: window,
            tcp_mss: mss,
            tcp_wscale: wscale,
            ip_options: facts.ip_options.0,
            ..Self::of_key(&facts.key, source)
        }
    }

    /// Addresses, protocol and ports of a key whose source is in slot `source`; all else is 0.
    fn of_key(key: &Key, source: usize) -> Self {
        let destination = 1 - source;
        Self {
            size: size_of::<Self>() as u32,
            family: family(key),
            proto: key.proto,
            tcp_flags: 0,
            icmp_error: 0,
            source: key.addr[source],
            destination: key.addr[destination],
            source_port: key.port[source].get(),
            destination_port: key.port[destination].get(),
            l3_offset: 0,
            l4_offset: 0,
            ip_length: 0,
            ttl: 0,
            tos: 0,
            kind: PFPLANE_KIND_OTHER,
            fragment: 0,
            tcp_seq: 0,
            tcp_ack: 0,
            tcp_payload: 0,
            tcp_window: 0,
            tcp_mss: 0,
            tcp_wscale: 0,
            ip_options: 0,
            fragment_offset: 0,
            fragment_id: 0,
            hash: 0,
        }
    }

    fn of_fragment(fragment: &Fragment, direction: Direction) -> Self {
        let flags = [
            (fragment.is_first, PFPLANE_FRAGMENT_FIRST),
            (fragment.more, PFPLANE_FRAGMENT_MORE),
            (fragment.has_ports, PFPLANE_FRAGMENT_PORTS),
        ];
        let flags = flags.iter().filter(|flag| flag.0).fold(PFPLANE_FRAGMENT_PART, |all, flag| all | flag.1);
        Self {
            l3_offset: fragment.l3_offset,
            l4_offset: fragment.l4_offset,
            ip_length: fragment.ip_length,
            ttl: fragment.ttl,
            tos: fragment.tos,
            ip_options: fragment.ip_options.0,
            fragment: flags,
            fragment_offset: fragment.offset,
            fragment_id: fragment.identification,
            ..Self::of_key(&fragment.key, direction.source_slot())
        }
    }

    /// Checks facts that a host passes: the kind must be the one of family and protocol.
    pub(in super::super) fn check(&self, index: usize) -> Result<(), Failure> {
        let wrong = |name: &str, value: u32| {
            let text = format_args!("facts[{index}].{name} is {value}, which contradicts the other fields");
            Err(Failure::new(PFPLANE_ERROR_ARGUMENT, text))
        };
        if self.size as usize != size_of::<Self>() {
            return wrong("size", self.size);
        }
        let proto = match (self.kind, self.family) {
            (_, 0..=3 | 5 | 7..) => return wrong("family", self.family.into()),
            (PFPLANE_KIND_TCP, _) => self.proto == TCP,
            (PFPLANE_KIND_UDP, _) => self.proto == UDP,
            (PFPLANE_KIND_ICMP_QUERY | PFPLANE_KIND_ICMP_REPLY, 4) => self.proto == ICMP,
            (PFPLANE_KIND_ICMP_QUERY | PFPLANE_KIND_ICMP_REPLY, _) => self.proto == ICMPV6,
            (PFPLANE_KIND_ICMP_ERROR, _) => true,
            (PFPLANE_KIND_SYNC, _) => self.proto == PFSYNC,
            (PFPLANE_KIND_OTHER, 4) => !matches!(self.proto, ICMP | TCP | UDP | PFSYNC),
            (PFPLANE_KIND_OTHER, _) => !matches!(self.proto, ICMPV6 | TCP | UDP | PFSYNC),
            _ => return wrong("kind", self.kind.into()),
        };
        if !proto {
            return wrong("proto", self.proto.into());
        }
        if self.is_later_fragment() && self.kind == PFPLANE_KIND_ICMP_ERROR {
            return wrong("fragment", self.fragment.into());
        }
        if (self.icmp_error == 1) != (self.kind == PFPLANE_KIND_ICMP_ERROR) {
            return wrong("icmp_error", self.icmp_error.into());
        }
        Ok(())
    }

    const fn is_later_fragment(&self) -> bool {
        self.fragment & (PFPLANE_FRAGMENT_PART | PFPLANE_FRAGMENT_FIRST) == PFPLANE_FRAGMENT_PART
    }

    /// The facts as the lane takes them. [`Self::check`] has accepted them.
    pub(in super::super) fn facts(&self, direction: Direction) -> Facts {
        let kind = KINDS.iter().find(|row| row.0 == self.kind).map_or(Kind::Other, |row| row.1);
        let kind = if self.is_later_fragment() { Kind::LaterFragment } else { kind };
        let is_tcp = matches!(kind, Kind::Tcp | Kind::IcmpError) || self.proto == SCTP;
        let tcp = TcpFacts {
            seq: self.tcp_seq,
            ack: self.tcp_ack,
            window: self.tcp_window,
            flags: self.tcp_flags & 0x3f,
            wscale: self.tcp_wscale,
            mss: self.tcp_mss,
            payload: self.tcp_payload,
        };
        let mut facts = Facts {
            kind,
            direction,
            l3_offset: self.l3_offset,
            l4_offset: self.l4_offset,
            ip_length: self.ip_length,
            ttl: self.ttl,
            tos: self.tos,
            ip_options: IpOptions(self.ip_options),
            tcp: if is_tcp { tcp } else { TcpFacts::NONE },
            ..Facts::EMPTY
        };
        facts.key = self.key(facts.key_direction().source_slot());
        facts
    }

    fn key(&self, source: usize) -> Key {
        let is_v6 = self.family == 6;
        let clean = |mut address: [u8; 16]| {
            address[4..].iter_mut().filter(|_| !is_v6).for_each(|byte| *byte = 0);
            address
        };
        let family = if is_v6 { Family::V6 } else { Family::V4 };
        let mut key = Key { family, proto: self.proto, ..Key::EMPTY };
        (key.addr[source], key.addr[1 - source]) = (clean(self.source), clean(self.destination));
        let ports = [Be16::new(self.source_port), Be16::new(self.destination_port)];
        [key.port[source], key.port[1 - source]] = ports;
        key
    }
}

/// Parses a packet's headers for the host's rules. Rules are applied once per connection, so this takes one packet.
///
/// Parameters: `verdict_out` may be `NULL`.
/// Returns: PFPLANE_OK with `facts_out` filled; PFPLANE_END for a packet without facts, and `verdict_out` says why:
/// PFPLANE_NOT_IP, PFPLANE_FRAGMENT, PFPLANE_NOT_CONTIGUOUS, or PFPLANE_DROP with a reason. For a fragment, `facts_out` still
/// holds what is known: addresses, protocol, which fragment of which packet it is, and the ports if it is the first.
/// Thread: any.
/// Cost: one pass over the headers, no allocation.
///
/// # Safety
/// `packet->data` is `NULL` or points to `packet->length` bytes that nobody writes during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_packet_facts(
    burst: Option<&pfplane_burst>,
    packet: Option<&pfplane_packet>,
    facts_out: Option<&mut MaybeUninit<pfplane_facts>>,
    verdict_out: Option<&mut MaybeUninit<pfplane_verdict>>,
) -> i32 {
    guard(|| {
        let burst = given(burst, "burst")?.burst()?;
        // SAFETY: the view ends with this call, during which the C caller leaves the packet's bytes alone.
        let view = unsafe { given(packet, "packet")?.view() };
        let (data, length) = (view.data, view.packet_length);
        match parse(data, length, burst.link, burst.direction) {
            Ok(facts) => {
                put(facts_out, "facts_out", pfplane_facts::new(&facts))?;
                Ok(PFPLANE_OK)
            }
            Err(rejection) => {
                if let (Rejection::Fragment, Some(fragment)) =
                    (rejection, parse_fragment(data, length, burst.link, burst.direction))
                {
                    let facts = pfplane_facts::of_fragment(&fragment, burst.direction);
                    put(facts_out, "facts_out", facts)?;
                }
                if let Some(out) = verdict_out {
                    out.write(Verdict::of_rejection(rejection).into());
                }
                Ok(PFPLANE_END)
            }
        }
    })
}

/// Returns the lane that owns a packet's key, for a host that steers packets in software.
///
/// Returns: PFPLANE_OK; PFPLANE_END when the packet has no key (not IP, a fragment, malformed): any lane may have it.
/// Thread: any.
/// Cost: one pass over the headers and one table-driven hash.
///
/// # Safety
/// `packet->data` is `NULL` or points to `packet->length` bytes that nobody writes during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_engine_lane_of(
    engine: Option<&pfplane_engine>,
    burst: Option<&pfplane_burst>,
    packet: Option<&pfplane_packet>,
    lane_out: Option<&mut MaybeUninit<u32>>,
) -> i32 {
    guard(|| {
        let engine = given(engine, "engine")?;
        let burst = given(burst, "burst")?.burst()?;
        // SAFETY: the bytes are only parsed here, before the call returns.
        let view = unsafe { given(packet, "packet")?.view() };
        let Ok(facts) = parse(view.data, view.packet_length, burst.link, burst.direction) else {
            return Ok(PFPLANE_END);
        };
        put(lane_out, "lane_out", u32::from(engine.engine.steering().lane_of(&facts.key)))?;
        Ok(PFPLANE_OK)
    })
}
