//! Whole states.

use super::{Family, Identity, Scrub, StateKey, StatePeer};
use crate::numbers::route;

/// A whole state, with every field that any profile carries (OpenBSD `struct pfsync_state`, FreeBSD `struct
/// pfsync_state_1301`, `_1400` and `_1500`).
///
/// Numbers are in native byte order; names, addresses and ports are as on the wire. A field that a profile does not carry
/// is read as in [`FullState::EMPTY`] and not written; [`convert`](crate::convert()) reports such losses.
///
/// The fields are in the order of OpenBSD's message, so that neighbours are copied together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct FullState {
    /// Identity across nodes.
    pub id: Identity,
    /// Interface that the state is bound to; "all" for a floating state.
    pub ifname: [u8; 16],
    /// Wire key (0) and stack key (1).
    pub key: [StateKey; 2],
    /// The side that sent the first packet.
    pub src: StatePeer,
    /// The other side.
    pub dst: StatePeer,
    /// Next hop of route-to and reply-to.
    pub rt_addr: [u8; 16],
    /// Rule number; `u32::MAX` for none.
    pub rule: u32,
    /// Anchor number; `u32::MAX` for none.
    pub anchor: u32,
    /// Translation rule number; `u32::MAX` for none. OpenBSD always sends none.
    pub nat_rule: u32,
    /// Age in seconds.
    pub creation: u32,
    /// Seconds until the state expires; 0 for expired or unknown.
    pub expire: u32,
    /// Packets in the state's direction (0) and in the reverse direction (1).
    pub packets: [u64; 2],
    /// Bytes in the state's direction (0) and in the reverse direction (1).
    pub bytes: [u64; 2],
    /// Routing tables of the wire side (0) and the stack side (1); -1 for none. FreeBSD has one table: it is read into
    /// both and written from the first.
    pub rtableid: [i32; 2],
    /// 1 in, 2 out.
    pub direction: u8,
    /// Log flags.
    pub log: u8,
    /// Routing option, see [`route`](crate::route).
    pub rt: u8,
    /// Timeout class, see [`timeout`](crate::timeout).
    pub timeout: u8,
    /// 0x04: has a source node; 0x08: has a translation source node. Informational.
    pub sync_flags: u8,
    /// Unused by all systems.
    pub updates: u8,
    /// Scrub: minimum TTL.
    pub min_ttl: u8,
    /// Scrub: type of service.
    pub set_tos: u8,
    /// pf's flags, see [`state_flags`](crate::state_flags).
    pub state_flags: u16,
    /// Scrub: priorities.
    pub set_prio: [u8; 2],
    /// Scrub: maximum MSS.
    pub max_mss: u16,
    /// The message's own family field, besides those of the keys. Written from the wire key, not from here.
    pub family: Family,
    /// FreeBSD: ALTQ queue.
    pub qid: u16,
    /// FreeBSD: ALTQ queue for acknowledgements.
    pub pqid: u16,
    /// FreeBSD: dummynet pipe.
    pub dnpipe: u16,
    /// FreeBSD: dummynet pipe of the reverse direction.
    pub dnrpipe: u16,
    /// FreeBSD 14: interface of route-to and reply-to.
    pub rt_ifname: [u8; 16],
    /// FreeBSD 15: interface that a floating state was created on.
    pub orig_ifname: [u8; 16],
    /// FreeBSD 15: tag; empty for none.
    pub tagname: [u8; 64],
    /// FreeBSD 15: family of [`Self::rt_addr`]; [`Family::NONE`] for none.
    pub rt_family: Family,
}

impl FullState {
    /// A state with every field zero or "none".
    pub const EMPTY: Self = Self {
        id: Identity { id: 0, creator: 0 },
        ifname: [0; 16],
        key: [StateKey::EMPTY; 2],
        src: EMPTY_PEER,
        dst: EMPTY_PEER,
        rt_addr: [0; 16],
        rule: u32::MAX,
        anchor: u32::MAX,
        nat_rule: u32::MAX,
        creation: 0,
        expire: 0,
        packets: [0; 2],
        bytes: [0; 2],
        rtableid: [-1; 2],
        max_mss: 0,
        family: Family::NONE,
        direction: 0,
        log: 0,
        rt: route::NONE,
        timeout: 0,
        sync_flags: 0,
        updates: 0,
        min_ttl: 0,
        set_tos: 0,
        set_prio: [0; 2],
        state_flags: 0,
        qid: 0,
        pqid: 0,
        dnpipe: 0,
        dnrpipe: 0,
        rt_ifname: [0; 16],
        orig_ifname: [0; 16],
        tagname: [0; 64],
        rt_family: Family::NONE,
    };
}

const EMPTY_PEER: StatePeer = StatePeer {
    scrub: Scrub { flags: 0, ttl: 0, valid: 0, ts_mod: 0 },
    seqlo: 0,
    seqhi: 0,
    seqdiff: 0,
    max_win: 0,
    mss: 0,
    state: 0,
    wscale: 0,
};

impl Default for FullState {
    fn default() -> Self {
        Self::EMPTY
    }
}
