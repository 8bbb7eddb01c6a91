//! Packets, bursts and verdicts.

use super::{Failure, PFPLANE_ERROR_ARGUMENT, check_size};
use crate::lane::{BurstInfo, PacketView, Verdict};
use crate::packet::{Direction, Facts, Link, TranslateError, Translation, WritablePacket};

/// Into the host: the packet's source is the host out there. In the one-lookup model: it came from the inside port.
pub const PFPLANE_IN: u8 = 1;
/// Out of the host: the packet's destination is the host out there. In the one-lookup model: it came from the
/// outside port.
pub const PFPLANE_OUT: u8 = 2;

/// A packet begins with its Ethernet header (VLAN tags are read past).
pub const PFPLANE_LINK_ETHERNET: u8 = 0;
/// A packet begins with its IPv4 or IPv6 header.
pub const PFPLANE_LINK_IP: u8 = 1;

/// The greatest number of packets in one burst.
pub const PFPLANE_BURST_MAX: u32 = 256;

/// Forward the packet: a state allows it.
pub const PFPLANE_PASS: u8 = 1;
/// No state: the host's rules decide, and pfplane_lane_state_create makes the state.
pub const PFPLANE_NEW: u8 = 2;
/// Drop the packet, for `reason`.
pub const PFPLANE_DROP: u8 = 3;
/// Hand the packet to lane `lane`, which owns its key.
pub const PFPLANE_HANDOFF: u8 = 4;
/// Leave the packet with pfplane_lane_hold until a peer has its state. Given with `pfplane_config.defer_ms` only.
pub const PFPLANE_HELD: u8 = 5;
/// A pfsync packet (protocol 240): never tracked. One from the sync port goes to pfplane_lane_receive.
pub const PFPLANE_SYNC: u8 = 6;
/// Neither IPv4 nor IPv6, for instance ARP.
pub const PFPLANE_NOT_IP: u8 = 7;
/// A fragment: to be reassembled by the host, or judged by its rules. pfplane_packet_facts says which, and of whom; of a
/// first one `slot` is its state's, if it has one.
pub const PFPLANE_FRAGMENT: u8 = 8;
/// The headers are not in the packet's first piece: make it contiguous and ask again.
pub const PFPLANE_NOT_CONTIGUOUS: u8 = 9;
/// The packet is to be translated and its memory is shared with another one: copy it and ask again.
pub const PFPLANE_NOT_WRITABLE: u8 = 10;

/// The packet is not to be dropped.
pub const PFPLANE_REASON_NONE: u8 = 0;
/// The packet ends before what its headers promise.
pub const PFPLANE_REASON_TRUNCATED: u8 = 1;
/// The packet's headers contradict themselves.
pub const PFPLANE_REASON_MALFORMED: u8 = 2;
/// A TCP segment outside the window of its state.
pub const PFPLANE_REASON_WINDOW: u8 = 3;
/// A SYN on an established connection: pf answers it with a challenge acknowledgement.
pub const PFPLANE_REASON_CHALLENGE_ACK: u8 = 4;
/// A TCP segment outside the window while both sides are opening: pf answers it with a reset.
pub const PFPLANE_REASON_RESET: u8 = 5;
/// There is no room for another state.
pub const PFPLANE_REASON_TABLE_FULL: u8 = 6;
/// The key belongs to another state.
pub const PFPLANE_REASON_KEY_COLLISION: u8 = 7;
/// The state refuses the packet for another cause.
pub const PFPLANE_REASON_STATE: u8 = 8;
/// The packet has no state and is of a kind that cannot make one, for instance an ICMP error.
pub const PFPLANE_REASON_NO_STATE: u8 = 9;
/// The packet cannot be translated as its state or the options say.
pub const PFPLANE_REASON_TRANSLATION: u8 = 10;
/// No source port of the options' range is free.
pub const PFPLANE_REASON_NO_PORT: u8 = 11;

/// `pfplane_packet.flags`: the checksum field of TCP or UDP holds the sum of the pseudo header only, the rest is left to
/// the card.
pub const PFPLANE_PACKET_L4_PARTIAL: u16 = 1;
/// `pfplane_packet.flags`: the IPv4 header's checksum is left to the card.
pub const PFPLANE_PACKET_IP_LEFT: u16 = 2;

/// One packet that is not an mbuf. The memory stays the caller's. It is read during the call, and written only where a
/// packet of a translated or modulated state passes and `pfplane_burst.leave` is 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_packet {
    /// The first byte: of the Ethernet header or of the IP header, as `pfplane_burst.link` says.
    pub data: *mut u8,
    /// Bytes that can be read, and written, at `data`.
    pub length: u32,
    /// Bytes of the whole packet when it lies in several pieces; 0: the same as `length`.
    pub packet_length: u32,
    /// The NIC's RSS hash, looked at only when `pfplane_burst.trust_hash` is 1.
    pub hash: u32,
    /// Bytes before `data` that are free, for packets that grow when they are translated to IPv6: 40 are always enough.
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
    /// 1: the packets' hashes were made by the NIC with pfplane_engine_steering's key; 0: they are computed.
    pub trust_hash: u8,
    /// 1: packets are left as they are, and the host rewrites those whose verdict says `translated`, by the keys that
    /// pfplane_lane_state_at shows. 0: they are rewritten.
    pub leave: u8,
    /// Nanoseconds of any monotonic clock, the same clock in every call of one engine.
    pub now_ns: u64,
}

/// What is to be done with one packet: 16 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_verdict {
    /// sizeof(struct pfplane_verdict), written by the library.
    pub size: u16,
    /// PFPLANE_PASS, PFPLANE_NEW, ...
    pub action: u8,
    /// PFPLANE_REASON_*, when the action is PFPLANE_DROP.
    pub reason: u8,
    /// The lane that is to have the packet, when the action is PFPLANE_HANDOFF.
    pub lane: u16,
    /// 1 when the packet went against the way of the state's first packet.
    pub reverse: u8,
    /// 1 when the packet was rewritten; with `pfplane_burst.leave`, when the host is to rewrite it.
    pub translated: u8,
    /// The state's place in this lane; UINT32_MAX when there is none.
    pub slot: u32,
    /// Bytes by which the packet now begins later than before; less than 0 when it has grown to the front. An mbuf says so
    /// itself by then; for other packets the host adds this to `data` and takes it from the lengths.
    pub moved: i16,
    /// Zero.
    pub reserved: u16,
}

const _: () = assert!(size_of::<pfplane_verdict>() == 16);

impl pfplane_packet {
    /// The packet as the core sees it.
    ///
    /// # Safety
    /// `data` is NULL, or points to `length` bytes that nobody writes while the view lives.
    pub(crate) unsafe fn view<'a>(&self) -> PacketView<'a> {
        let data = if self.data.is_null() {
            &[]
        } else {
            // SAFETY: not NULL; the caller promises `length` readable bytes that nobody writes.
            unsafe { core::slice::from_raw_parts(self.data, self.length as usize) }
        };
        let packet_length = if self.packet_length == 0 { self.length } else { self.packet_length };
        PacketView { data, packet_length, hash: Some(self.hash) }
    }
}

impl pfplane_packet {
    /// Rewrites the packet, and gives back by how many bytes its beginning has moved.
    ///
    /// # Safety
    /// `data` is NULL, or `headroom` bytes before it and `length` from it on can be written and nobody else uses them.
    pub(crate) unsafe fn rewrite(
        &self,
        facts: &Facts,
        translation: &Translation<'_>,
    ) -> Result<i16, TranslateError> {
        if self.data.is_null() {
            return Err(TranslateError::NotContiguous);
        }
        let start = usize::from(self.headroom);
        let first = self.data.wrapping_sub(start);
        // SAFETY: not NULL; the caller promises `headroom` bytes before `data` and `length` bytes from it on, which nobody
        // else uses.
        let bytes = unsafe { core::slice::from_raw_parts_mut(first, start + self.length as usize) };
        let (partial, ip_left) =
            (self.flags & PFPLANE_PACKET_L4_PARTIAL != 0, self.flags & PFPLANE_PACKET_IP_LEFT != 0);
        let begins = translation
            .apply(facts, &mut WritablePacket { bytes, start, l4_offload: partial, ip_offload: ip_left })?;
        Ok((begins as isize - start as isize) as i16)
    }
}

impl pfplane_burst {
    pub(crate) fn burst(&self) -> Result<BurstInfo, Failure> {
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
        Ok(BurstInfo { direction, link, trust_hash: self.trust_hash == 1, now: self.now_ns })
    }
}

pub(super) fn unknown(name: &str, value: u8) -> Failure {
    Failure::new(PFPLANE_ERROR_ARGUMENT, format!("{name} is {value}, which is none of its values"))
}

impl From<Verdict> for pfplane_verdict {
    #[inline]
    fn from(verdict: Verdict) -> Self {
        Self {
            size: size_of::<Self>() as u16,
            action: verdict.action as u8,
            reason: verdict.reason as u8,
            lane: verdict.lane,
            reverse: u8::from(verdict.reverse),
            translated: u8::from(verdict.translated),
            slot: verdict.slot.0,
            moved: verdict.moved,
            reserved: 0,
        }
    }
}
