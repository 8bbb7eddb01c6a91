//! Packets and verdicts
//!
//! Pass a burst of packets to a lookup, and get a verdict for each packet. Directions are pf's: PFPLANE_IN packets arrive from
//! the network beyond the interface, PFPLANE_OUT packets leave towards it. A host that looks up each packet once uses
//! PFPLANE_IN for packets from its inside port, and PFPLANE_OUT for those from its outside port.
//!
//! Hairpin NAT, where an inside client reaches an inside server through an outside address, needs a state that translates source and
//! destination. The server's replies come in at the inside port, to the new source: such packets are looked up with PFPLANE_OUT.

use super::super::{Failure, check_size, unknown};
use crate::lane::{BurstInfo, Checksums, PacketView, Reason, Verdict};
use crate::packet::{Direction, Facts, Link, TranslateError, Translation, WritablePacket};

// enum pfplane_direction: The direction of a burst's packets, as seen from this host.
/// Into the host: the packet's source is beyond the interface.
pub const PFPLANE_IN: u8 = 1;
/// Out of the host: the packet's destination is beyond the interface.
pub const PFPLANE_OUT: u8 = 2;

// enum pfplane_link: How packets start.
/// With an Ethernet header; VLAN tags are skipped.
pub const PFPLANE_LINK_ETHERNET: u8 = 0;
/// With an IPv4 or IPv6 header.
pub const PFPLANE_LINK_IP: u8 = 1;

/// Maximum packets in one burst.
pub const PFPLANE_MAX_BURST: u32 = 256;

// enum pfplane_verdict_action: What the host does with a packet.
/// Forward it: a state allows it.
pub const PFPLANE_PASS: u8 = 1;
/// It has no state: the host's rules decide. If they pass it, call pfplane_lane_state_create.
pub const PFPLANE_NEW: u8 = 2;
/// Drop it, for the verdict's `reason`.
pub const PFPLANE_DROP: u8 = 3;
/// Hand it to the lane in the verdict's `lane`, which owns its key.
pub const PFPLANE_HANDOFF: u8 = 4;
/// Keep it with pfplane_lane_hold until a peer has its state. Only if `pfplane_config.max_defer_ms` is set.
pub const PFPLANE_HELD: u8 = 5;
/// A pfsync packet (IP protocol 240), which is never tracked. From the sync port, it goes to pfplane_lane_receive.
pub const PFPLANE_SYNC: u8 = 6;
/// Neither IPv4 nor IPv6, for instance ARP.
pub const PFPLANE_NOT_IP: u8 = 7;
/// A fragment: the host reassembles it or applies its rules. pfplane_packet_facts describes it. For a first fragment,
/// the verdict's `slot` is that of its state, if there is one.
pub const PFPLANE_FRAGMENT: u8 = 8;
/// Its headers are not all in the first segment: make it contiguous and repeat the call.
pub const PFPLANE_NOT_CONTIGUOUS: u8 = 9;
/// It has to be translated, but its memory is shared with another packet: copy it and repeat the call.
pub const PFPLANE_NOT_WRITABLE: u8 = 10;

// enum pfplane_reason: Why a packet is dropped.
/// The packet is not dropped.
pub const PFPLANE_REASON_NONE: u8 = 0;
/// It ends before its headers do.
pub const PFPLANE_REASON_TRUNCATED: u8 = 1;
/// Its headers contradict each other.
pub const PFPLANE_REASON_MALFORMED: u8 = 2;
/// A TCP segment outside the window of its state.
pub const PFPLANE_REASON_WINDOW: u8 = 3;
/// A SYN on an established connection, which pf answers with a challenge ACK, see pfplane_lane_answer.
pub const PFPLANE_REASON_CHALLENGE_ACK: u8 = 4;
/// A TCP segment outside the window while both sides are opening, which pf answers with an RST, see pfplane_lane_answer.
pub const PFPLANE_REASON_RESET: u8 = 5;
/// The lane is full.
pub const PFPLANE_REASON_TABLE_FULL: u8 = 6;
/// The key belongs to another state.
pub const PFPLANE_REASON_KEY_COLLISION: u8 = 7;
/// Its state refuses it for another cause, for instance an ICMP reply in the direction of the query, or an SCTP packet with a wrong
/// verification tag.
pub const PFPLANE_REASON_STATE: u8 = 8;
/// It has no state and cannot create one, for instance an ICMP error.
pub const PFPLANE_REASON_NO_STATE: u8 = 9;
/// It cannot be translated as its state or the options require.
pub const PFPLANE_REASON_TRANSLATION: u8 = 10;
/// All source ports of the options' range that this node (`pfplane_config.nat_nodes`) and this lane draw are in use. A lane draws those
/// whose replies steer to it.
pub const PFPLANE_REASON_NO_PORT: u8 = 11;
/// The rule's or engine's maximum number of sources is reached.
pub const PFPLANE_REASON_SOURCES: u8 = 12;
/// Its source has reached its maximum number of states.
pub const PFPLANE_REASON_SOURCE_STATES: u8 = 13;
/// Its source has reached its maximum number of connections; this one is deleted.
pub const PFPLANE_REASON_SOURCE_CONNECTIONS: u8 = 14;
/// Its source has reached its maximum rate of connections; this one is deleted.
pub const PFPLANE_REASON_SOURCE_CONNECTION_RATE: u8 = 15;
/// Its source has reached its maximum rate of new states.
pub const PFPLANE_REASON_SOURCE_NEW_RATE: u8 = 16;
/// Its source cannot be counted: `pfplane_config.max_sources` is reached.
pub const PFPLANE_REASON_SOURCES_FULL: u8 = 17;
/// `pfplane_config.max_half_open` is reached.
pub const PFPLANE_REASON_HALF_OPEN: u8 = 18;
/// pfplane_lane_state_create: other states have the ids that the state could get.
pub const PFPLANE_REASON_ID_COLLISION: u8 = 19;
/// A checksum is wrong: the NIC marked the packet, or the library verified it (`pfplane_config.verify_checksums`).
pub const PFPLANE_REASON_CHECKSUM: u8 = 20;
/// It has IP options, or extension headers with options, which its state or rule does not allow (PFPLANE_STATE_ALLOW_OPTIONS), or
/// a source route (`pfplane_config.pass_source_routes`).
pub const PFPLANE_REASON_IP_OPTIONS: u8 = 21;

const _: () = assert!(
    PFPLANE_REASON_NO_PORT == Reason::NoPort as u8
        && PFPLANE_REASON_SOURCES == Reason::Sources as u8
        && PFPLANE_REASON_SOURCE_STATES == Reason::SourceStates as u8
        && PFPLANE_REASON_SOURCE_CONNECTIONS == Reason::SourceConnections as u8
        && PFPLANE_REASON_SOURCE_CONNECTION_RATE == Reason::SourceConnectionRate as u8
        && PFPLANE_REASON_SOURCE_NEW_RATE == Reason::SourceNewRate as u8
        && PFPLANE_REASON_SOURCES_FULL == Reason::SourcesFull as u8
        && PFPLANE_REASON_HALF_OPEN == Reason::HalfOpen as u8
        && PFPLANE_REASON_ID_COLLISION == Reason::IdCollision as u8
        && PFPLANE_REASON_CHECKSUM == Reason::Checksum as u8
        && PFPLANE_REASON_IP_OPTIONS == Reason::IpOptions as u8
);

// enum pfplane_packet_flag: What the NIC does with checksums, or said of them, in `pfplane_packet.flags`.
/// The TCP or UDP checksum field holds the sum of the pseudo header only.
pub const PFPLANE_PACKET_L4_CHECKSUM_OFFLOAD: u16 = 0x0001;
/// The IPv4 header checksum is not computed.
pub const PFPLANE_PACKET_IP_CHECKSUM_OFFLOAD: u16 = 0x0002;
/// The NIC found the IPv4 header's or the TCP, UDP or SCTP checksum wrong: the packet is dropped with PFPLANE_REASON_CHECKSUM. A
/// host that parses packets itself drops such packets itself.
pub const PFPLANE_PACKET_CHECKSUM_BAD: u16 = 0x0004;
/// The NIC found all checksums right: the library does not verify them again.
pub const PFPLANE_PACKET_CHECKSUM_GOOD: u16 = 0x0008;

/// One packet in plain memory. The library reads it during the call. It writes to it only where a translated or modulated
/// state passes it and `pfplane_burst.host_rewrites` is 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_packet {
    /// The first byte, of the Ethernet or IP header as `pfplane_burst.link` says.
    pub data: *mut u8,
    /// Bytes at `data`.
    pub length: u32,
    /// Bytes of the whole packet if it is in several segments. 0: the same as `length`.
    pub packet_length: u32,
    /// The NIC's RSS hash, used only if `pfplane_burst.trust_hash` is 1.
    pub hash: u32,
    /// Free bytes before `data`, for packets that grow when they are translated to IPv6: 40 are always enough.
    pub headroom: u16,
    /// PFPLANE_PACKET_*.
    pub flags: u16,
}

/// What the packets of one burst have in common.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_burst {
    /// sizeof(struct pfplane_burst).
    pub size: u32,
    /// PFPLANE_IN or PFPLANE_OUT.
    pub direction: u8,
    /// PFPLANE_LINK_ETHERNET or PFPLANE_LINK_IP.
    pub link: u8,
    /// 1: the packets' hashes are the NIC's, made with the key of pfplane_engine_steering over addresses and ports of TCP and
    /// UDP. 0: the library computes them. If the NIC hashes other fields (UDP or packets behind IPv6 extension headers by
    /// addresses only), such packets reach their lane by one PFPLANE_HANDOFF and the statistic `hash_mismatch` counts them.
    pub trust_hash: u8,
    /// 1: the host rewrites packets whose verdict says `translated`, to the keys of pfplane_lane_state_at. 0: the library
    /// rewrites them.
    pub host_rewrites: u8,
    /// The time, in nanoseconds.
    pub now_ns: u64,
    /// Routing domain (VRF) that the packets are routed in, 0 for the default one. Only states in it match them, so equal addresses
    /// in two routing domains are two connections. Peers get the number: all nodes number their routing domains alike.
    pub rdomain: u16,
    /// Zero.
    pub reserved: [u8; 6],
}

/// What to do with one packet: 16 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_verdict {
    /// The state's slot in this lane; UINT32_MAX if there is none.
    pub slot: u32,
    /// PFPLANE_HANDOFF: the lane that owns the packet's key.
    pub lane: u16,
    /// How many bytes later the packet now starts; negative if it has grown at the front. An mbuf is adjusted already; for
    /// other packets the host adds this to `data` and subtracts it from the lengths.
    pub data_shift: i16,
    /// PFPLANE_PASS, PFPLANE_NEW, ...
    pub action: u8,
    /// PFPLANE_DROP: PFPLANE_REASON_*.
    pub reason: u8,
    /// 1: the packet travels against the direction of the state's first packet.
    pub reverse: u8,
    /// 1: the packet was rewritten, or with `pfplane_burst.host_rewrites` the host has to.
    pub translated: u8,
    /// If `translated` is 1: the routing domain in which to forward the packet, see `pfplane_state_options.nat_rdomain`. Otherwise 0.
    pub rdomain: u16,
    /// Zero.
    pub reserved: [u8; 2],
}

const _: () = assert!(size_of::<pfplane_verdict>() == 16);

impl pfplane_packet {
    /// The packet as the lane reads it.
    ///
    /// # Safety
    /// `data` is NULL, or points to `length` bytes that nobody writes while the view lives.
    pub(super) unsafe fn view<'a>(&self) -> PacketView<'a> {
        let data = if self.data.is_null() {
            &[]
        } else {
            // SAFETY: not NULL, and `length` bytes are readable while the view lives.
            unsafe { core::slice::from_raw_parts(self.data, self.length as usize) }
        };
        let packet_length = if self.packet_length == 0 { self.length } else { self.packet_length };
        PacketView { data, packet_length, hash: Some(self.hash), checksums: self.checksums() }
    }

    const fn checksums(&self) -> Checksums {
        const INTACT: u16 = PFPLANE_PACKET_CHECKSUM_GOOD | PFPLANE_PACKET_L4_CHECKSUM_OFFLOAD;
        match self.flags {
            flags if flags & PFPLANE_PACKET_CHECKSUM_BAD != 0 => Checksums::Bad,
            flags if flags & INTACT != 0 => Checksums::Intact,
            _ => Checksums::Unknown,
        }
    }

    /// Rewrites the packet, and returns by how many bytes its start has moved.
    ///
    /// # Safety
    /// `data` is NULL, or only the caller uses the `headroom` bytes before it and the `length` bytes from it on.
    pub(super) unsafe fn rewrite(
        &self,
        facts: &Facts,
        translation: &Translation<'_>,
    ) -> Result<i16, TranslateError> {
        let start = usize::from(self.headroom) as isize;
        // SAFETY: as required here.
        unsafe { self.with_writable(|_, packet| translation.apply(facts, packet)) }
            .map(|begins| (begins as isize - start) as i16)
    }

    /// Calls `change` with the length of the whole packet and its memory.
    ///
    /// # Safety
    /// As for [`Self::rewrite`].
    pub(super) unsafe fn with_writable<R>(
        &self,
        change: impl FnOnce(u32, &mut WritablePacket<'_>) -> Result<R, TranslateError>,
    ) -> Result<R, TranslateError> {
        if self.data.is_null() {
            return Err(TranslateError::NotContiguous);
        }
        let start = usize::from(self.headroom);
        let first = self.data.wrapping_sub(start);
        // SAFETY: the headroom and the packet are one piece of memory that only the caller uses.
        let bytes = unsafe { core::slice::from_raw_parts_mut(first, start + self.length as usize) };
        let offloads = |flag| self.flags & flag != 0;
        let mut packet = WritablePacket {
            bytes,
            start,
            l4_offload: offloads(PFPLANE_PACKET_L4_CHECKSUM_OFFLOAD),
            ip_offload: offloads(PFPLANE_PACKET_IP_CHECKSUM_OFFLOAD),
        };
        let packet_length = if self.packet_length == 0 { self.length } else { self.packet_length };
        change(packet_length, &mut packet)
    }
}

impl pfplane_burst {
    pub(in super::super) fn burst(&self) -> Result<BurstInfo, Failure> {
        check_size::<Self>(self.size, "burst")?;
        let direction = match self.direction {
            PFPLANE_IN => Direction::In,
            PFPLANE_OUT => Direction::Out,
            other => return Err(unknown("burst.direction", other)),
        };
        let link = match self.link {
            PFPLANE_LINK_ETHERNET => Link::Ethernet,
            PFPLANE_LINK_IP => Link::Ip,
            other => return Err(unknown("burst.link", other)),
        };
        let (rdomain, trust_hash) = (self.rdomain, self.trust_hash == 1);
        Ok(BurstInfo { direction, link, rdomain, trust_hash, now: self.now_ns })
    }
}

impl From<Verdict> for pfplane_verdict {
    #[inline]
    fn from(verdict: Verdict) -> Self {
        Self {
            slot: verdict.slot.0,
            lane: verdict.lane,
            data_shift: verdict.moved,
            action: verdict.action as u8,
            reason: verdict.reason as u8,
            reverse: u8::from(verdict.reverse),
            translated: u8::from(verdict.translated),
            rdomain: verdict.rdomain,
            reserved: [0; 2],
        }
    }
}
