//! What a packet says of itself.

use super::{
    Failure, PFPLANE_ERROR_ARGUMENT, PFPLANE_OK, guard, pfplane_burst, pfplane_packet, pfplane_verdict, put,
    reference,
};
use crate::lane::Verdict;
use crate::packet::protocol::{ICMP, ICMPV6, PFSYNC, TCP, UDP};
use crate::packet::{
    Be16, Direction, Facts, Family, Fragment, Key, Kind, Rejection, TcpFacts, parse, parse_fragment,
};

/// A TCP segment.
pub const PFPLANE_KIND_TCP: u8 = 1;
/// A UDP datagram.
pub const PFPLANE_KIND_UDP: u8 = 2;
/// An ICMP or ICMPv6 query.
pub const PFPLANE_KIND_ICMP_QUERY: u8 = 3;
/// The reply to one.
pub const PFPLANE_KIND_ICMP_REPLY: u8 = 4;
/// An ICMP or ICMPv6 error.
pub const PFPLANE_KIND_ICMP_ERROR: u8 = 5;
/// pfsync, protocol 240.
pub const PFPLANE_KIND_SYNC: u8 = 6;
/// Any other protocol. SCTP has ports, the others are known by their addresses.
pub const PFPLANE_KIND_OTHER: u8 = 7;

/// `pfplane_facts.fragment`: this is a part of a packet only.
pub const PFPLANE_FRAGMENT_PART: u8 = 1;
/// `pfplane_facts.fragment`: it is the first part.
pub const PFPLANE_FRAGMENT_FIRST: u8 = 2;
/// `pfplane_facts.fragment`: more follow behind it.
pub const PFPLANE_FRAGMENT_MORE: u8 = 4;
/// `pfplane_facts.fragment`: the ports are known. They never are of later parts.
pub const PFPLANE_FRAGMENT_PORTS: u8 = 8;

const KINDS: [(u8, Kind); 7] = [
    (PFPLANE_KIND_TCP, Kind::Tcp),
    (PFPLANE_KIND_UDP, Kind::Udp),
    (PFPLANE_KIND_ICMP_QUERY, Kind::IcmpQuery),
    (PFPLANE_KIND_ICMP_REPLY, Kind::IcmpReply),
    (PFPLANE_KIND_ICMP_ERROR, Kind::IcmpError),
    (PFPLANE_KIND_SYNC, Kind::Pfsync),
    (PFPLANE_KIND_OTHER, Kind::Other),
];

/// What a packet says of itself: for the host's rules, or given by a host that has read its packets already.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct pfplane_facts {
    /// sizeof(struct pfplane_facts).
    pub size: u32,
    /// 4 or 6.
    pub family: u8,
    /// IP protocol number, past any IPv6 extension header. For an ICMP error, that of the packet it is about.
    pub proto: u8,
    /// TCP flags (FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32), 0 for other protocols.
    pub tcp_flags: u8,
    /// 1 when this is an ICMP or ICMPv6 error; the addresses and ports are then those of the packet it is about,
    /// which went the other way.
    pub icmp_error: u8,
    /// Source address in network order; IPv4 in the first four bytes.
    pub source: [u8; 16],
    /// Destination address in network order; IPv4 in the first four bytes.
    pub destination: [u8; 16],
    /// Source port in host order. For an ICMP query the identifier, for its reply the request's type.
    pub source_port: u16,
    /// Destination port in host order. For an ICMP query its type, for its reply the identifier.
    pub destination_port: u16,
    /// Bytes from the packet's first byte to its IP header.
    pub l3_offset: u16,
    /// Bytes from the packet's first byte to the header after the IP header and its extensions.
    pub l4_offset: u16,
    /// Bytes of the IP packet as its header says.
    pub ip_length: u32,
    /// TTL or hop limit.
    pub ttl: u8,
    /// TOS or traffic class.
    pub tos: u8,
    /// PFPLANE_KIND_*.
    pub kind: u8,
    /// PFPLANE_FRAGMENT_*, 0 for a whole packet.
    pub fragment: u8,
    /// TCP: the sequence number. Of an ICMP error about TCP, that of the segment it is about.
    pub tcp_seq: u32,
    /// TCP: the acknowledgement number.
    pub tcp_ack: u32,
    /// TCP: bytes of data.
    pub tcp_payload: u32,
    /// TCP: the window as in the header, not scaled.
    pub tcp_window: u16,
    /// TCP: of a SYN, the segment size of the option, 0 when it is absent.
    pub tcp_mss: u16,
    /// TCP: of a SYN, 0x80 and the shift of the window scale option, 0 when it is absent.
    pub tcp_wscale: u8,
    /// Zero.
    pub reserved: u8,
    /// Of a fragment: where its payload lies within the whole packet's, in bytes.
    pub fragment_offset: u16,
    /// Of a fragment: the number that the packet's parts have in common, between two addresses and for a protocol.
    pub fragment_id: u32,
    /// Given to pfplane_lane_lookup_facts: the NIC's RSS hash, looked at only when `pfplane_burst.trust_hash` is 1.
    pub hash: u32,
}

const fn family(key: &Key) -> u8 {
    if matches!(key.family, Family::V6) { 6 } else { 4 }
}

impl pfplane_facts {
    pub(super) fn new(facts: &Facts) -> Self {
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
            reserved: 0,
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
            fragment: flags,
            fragment_offset: fragment.offset,
            fragment_id: fragment.identification,
            ..Self::of_key(&fragment.key, direction.source_slot())
        }
    }

    /// Whether the library can take these facts from a host: the kind must be that of family and protocol.
    pub(super) fn check(&self, place: usize) -> Result<(), Failure> {
        let wrong = |name: &str, value: u32| {
            let text = format!("facts[{place}].{name} is {value}, which does not go with the rest");
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
        if (self.icmp_error == 1) != (self.kind == PFPLANE_KIND_ICMP_ERROR) {
            return wrong("icmp_error", self.icmp_error.into());
        }
        Ok(())
    }

    /// As the core has them. They must have been found good by [`Self::check`].
    pub(super) fn facts(&self, direction: Direction) -> Facts {
        let kind = KINDS.iter().find(|row| row.0 == self.kind).map_or(Kind::Other, |row| row.1);
        let is_tcp = matches!(kind, Kind::Tcp | Kind::IcmpError);
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

/// Reads a packet's headers for the host's rules. The rules are asked once a connection, so this is one packet a call.
///
/// Parameters: `burst` and `packet` as for pfplane_lane_lookup.
/// Returns: PFPLANE_OK with `facts_out` filled; PFPLANE_END when the packet has no facts, and `verdict_out` (may be
/// `NULL`) says why: PFPLANE_NOT_IP, PFPLANE_FRAGMENT, PFPLANE_NOT_CONTIGUOUS, or PFPLANE_DROP with a reason. Of a fragment
/// `facts_out` says all the same what is known: addresses, protocol, which part it is and of what, and of the first part the
/// ports.
/// Ownership: nothing is kept.
/// Thread: any.
/// Cost: one pass over the headers, no allocation.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_packet_facts(
    burst: *const pfplane_burst,
    packet: *const pfplane_packet,
    facts_out: *mut pfplane_facts,
    verdict_out: *mut pfplane_verdict,
) -> i32 {
    guard(|| {
        // SAFETY: the caller promises NULL or a valid burst.
        let burst = unsafe { reference(burst, "burst") }?.burst()?;
        // SAFETY: the caller promises NULL or a valid packet.
        let packet = unsafe { reference(packet, "packet") }?;
        // SAFETY: the caller promises that the packet's bytes can be read.
        let view = unsafe { packet.view() };
        let (data, length) = (view.data, view.packet_length);
        match parse(data, length, burst.link, burst.direction) {
            Ok(facts) => {
                // SAFETY: the caller promises NULL or room for the facts.
                unsafe { put(facts_out, "facts_out", pfplane_facts::new(&facts)) }?;
                Ok(PFPLANE_OK)
            }
            Err(rejection) => {
                if let (Rejection::Fragment, Some(fragment)) =
                    (rejection, parse_fragment(data, length, burst.link, burst.direction))
                {
                    let facts = pfplane_facts::of_fragment(&fragment, burst.direction);
                    // SAFETY: the caller promises NULL or room for the facts.
                    unsafe { put(facts_out, "facts_out", facts) }?;
                }
                if !verdict_out.is_null() {
                    let verdict = Verdict::of_rejection(rejection).into();
                    // SAFETY: not NULL, so the caller promises room for a verdict.
                    unsafe { put(verdict_out, "verdict_out", verdict) }?;
                }
                Ok(super::PFPLANE_END)
            }
        }
    })
}
