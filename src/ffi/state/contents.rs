//! States: contents
//!
//! One layout serves states of the engine (pfplane_state_view), of pfsync frames (pfplane_frame_record) and of replicated
//! tables (pfplane_store). Names follow pf. A state has two keys: the wire key, as packets look beyond the interface, and the
//! stack key, as they look inside. They differ for translated states. It has two sides: `src` sent the first packet, `dst`
//! is the other.

/// One key of a state.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_key {
    /// Addresses, network order; IPv4 in the first 4 bytes, the others zero. Index 0 is the host beyond the interface.
    pub addr: [[u8; 16]; 2],
    /// Ports, host order. For ICMP queries, identifier and type.
    pub port: [u16; 2],
    /// Routing domain (VRF), 0 for the default one. FreeBSD has none.
    pub rdomain: u16,
    /// 4, 6, or 0 for any other family.
    pub family: u8,
    /// IP protocol number.
    pub proto: u8,
}

/// One side of a connection. Numbers are in host order.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_side {
    /// TCP: highest sequence number that this side has sent.
    pub seqlo: u32,
    /// TCP: highest sequence number that this side may send.
    pub seqhi: u32,
    /// TCP: modulator that is added to this side's sequence numbers, 0 for none.
    pub seqdiff: u32,
    /// Scrub: timestamp modulator. FreeBSD 14 and later: SCTP verification tag. Valid if `scrub_valid` is 1.
    pub scrub_ts_mod: u32,
    /// Scrub: flags, of which only 0x0001 is sent to peers. Valid if `scrub_valid` is 1.
    pub scrub_flags: u16,
    /// TCP: maximum window advertised, not scaled.
    pub max_win: u16,
    /// TCP: maximum segment size, where pf's synproxy keeps it; 0 for none.
    pub mss: u16,
    /// Scrub: maximum TTL or hop limit seen. Valid if `scrub_valid` is 1.
    pub scrub_ttl: u8,
    /// 1: this side is scrubbed.
    pub scrub_valid: u8,
    /// pf's state number of this side.
    pub state: u8,
    /// TCP: window scale, 0x80 + shift, 0 without.
    pub wscale: u8,
    /// Zero.
    pub reserved: [u8; 6],
}

/// The contents of a state: every field that any dialect of pfsync carries. Numbers are in host order; names end with a NUL.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_state {
    /// Wire key and stack key. If their families differ, pf has the stack key in the opposite order, and so have frames; a
    /// view has both in the same order.
    pub key: [pfplane_key; 2],
    /// The side that sent the first packet.
    pub src: pfplane_side,
    /// The other side.
    pub dst: pfplane_side,
    /// Packets in the first packet's direction, and in the other.
    pub packets: [u64; 2],
    /// Bytes in the first packet's direction, and in the other.
    pub bytes: [u64; 2],
    /// The interface that the state is bound to; "all" for a floating state.
    pub ifname: [u8; 16],
    /// Next hop of route-to and reply-to.
    pub rt_addr: [u8; 16],
    /// FreeBSD 14 and later: interface of the next hop; empty for none.
    pub rt_ifname: [u8; 16],
    /// FreeBSD 15: interface on which a floating state was created; empty if it is unknown.
    pub orig_ifname: [u8; 16],
    /// FreeBSD 15: tag; empty for none.
    pub tagname: [u8; 64],
    /// Rule, UINT32_MAX for none.
    pub rule: u32,
    /// Anchor, UINT32_MAX for none.
    pub anchor: u32,
    /// Translation rule, UINT32_MAX for none.
    pub nat_rule: u32,
    /// Seconds since the state was created.
    pub age_s: u32,
    /// Seconds until the state expires without traffic; 0 for expired or unknown. In frames, this library sends the time
    /// without adaptive scaling, pf with it.
    pub expire_s: u32,
    /// Routing tables of the wire and the stack side, -1 for none.
    pub rtableid: [i32; 2],
    /// pf's state flags, see enum pfplane_state_flag for some.
    pub state_flags: u16,
    /// Scrub: maximum MSS, 0 for none.
    pub max_mss: u16,
    /// FreeBSD: ALTQ queue, 0 for none.
    pub qid: u16,
    /// FreeBSD: ALTQ priority queue, 0 for none.
    pub pqid: u16,
    /// FreeBSD: dummynet pipe or queue, 0 for none.
    pub dnpipe: u16,
    /// FreeBSD: the same for the reverse direction.
    pub dnrpipe: u16,
    /// PFPLANE_IN or PFPLANE_OUT: the first packet's direction.
    pub direction: u8,
    /// pf's log flags.
    pub log: u8,
    /// 0 none, 1 route-to, 2 dup-to, 3 reply-to, 4 fastroute (FreeBSD), in every dialect.
    pub rt: u8,
    /// FreeBSD 15: family of `rt_addr`: 4, 6, or 0.
    pub rt_family: u8,
    /// PFPLANE_TIMEOUT_*: the timeout class.
    pub timeout: u8,
    /// 0x04: counted to its source (pfctl: source-track). 0x08: so is its translation (sticky-address).
    pub sync_flags: u8,
    /// Unused by all systems. Frames only.
    pub updates: u8,
    /// Scrub: minimum TTL, 0 for none.
    pub min_ttl: u8,
    /// Scrub: TOS, 0 for none.
    pub set_tos: u8,
    /// Scrub: priorities.
    pub set_prio: [u8; 2],
    /// The family that a message states besides the keys': 4, 6 or 0. Read from frames only, never written.
    pub family: u8,
}
