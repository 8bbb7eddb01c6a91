//! One side's TCP record: pf's `state_peer` without the state number, which is in [`super::Hot`].

/// State numbers of a peer. TCP uses pf's numbers, other protocols 0 to 2 (`protocol` section 4.1).
pub mod peer_state {
    /// TCP: nothing seen from this side.
    pub const CLOSED: u8 = 0;
    /// TCP: this side's SYN is not acknowledged yet.
    pub const SYN_SENT: u8 = 2;
    /// TCP: this side's SYN was acknowledged.
    pub const ESTABLISHED: u8 = 4;
    /// TCP: this side sent FIN.
    pub const CLOSING: u8 = 7;
    /// TCP: this side's FIN was acknowledged.
    pub const FIN_WAIT_2: u8 = 9;
    /// TCP: RST seen.
    pub const TIME_WAIT: u8 = 10;
    /// TCP: the SYN proxy is in the handshake with the client.
    pub const PROXY_SRC: u8 = 11;
    /// TCP: the SYN proxy is in the handshake with the server.
    pub const PROXY_DST: u8 = 12;
    /// Maximum number on the wire.
    pub const MAX: u8 = PROXY_DST;
    /// Other protocols: no traffic from this side.
    pub const NO_TRAFFIC: u8 = 0;
    /// Other protocols: traffic from this side.
    pub const SINGLE: u8 = 1;
    /// Other protocols: traffic from this side, answered.
    pub const MULTIPLE: u8 = 2;
}

/// The scrub record of one side (`protocol` section 3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Scrub {
    /// Timestamp modulator; FreeBSD 14 and later keep the SCTP verification tag here.
    pub ts_mod: u32,
    /// Only bit 0x0001 (timestamp modulation) is sent.
    pub flags: u16,
    /// Highest TTL or hop limit seen from this side.
    pub ttl: u8,
    /// 1 if the side is scrubbed, else 0.
    pub valid: u8,
}

/// The sequence space of one side. All numbers are unmodulated and in host byte order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Peer {
    /// Highest sequence number that this side has sent (end of the last segment).
    pub seqlo: u32,
    /// Highest sequence number that this side may send (the other side's acknowledgement plus its window).
    pub seqhi: u32,
    /// Modulator added to this side's numbers, 0 for none.
    pub seqdiff: u32,
    /// The scrub record.
    pub scrub: Scrub,
    /// Largest window advertised, unscaled.
    pub max_win: u16,
    /// Maximum segment size, used by the SYN proxy.
    pub mss: u16,
    /// Window shift in the low four bits; 0x80 if the option was seen.
    pub wscale: u8,
    /// Progress of resynchronising this side with its traffic (`tcp/takeover.rs`). Zero after a peer's numbers are copied
    /// here.
    pub resync: u8,
    /// The upper half of a sequence number of this side. While a resync flag is set: the one that a segment far from the
    /// window claims. Afterwards: the highest one that this side may have sent before the takeover, zero without one. The
    /// other side may acknowledge up to there, although this node did not see the data.
    pub takeover_mark: u16,
    /// `seqhi` as the peers know it: as it was last sent or received. Of a side that this node has not seen: what the other
    /// side acknowledged, zero for nothing. The other direction takes another path then.
    pub sent_seqhi: u32,
}

const _: () = assert!(size_of::<Peer>() == 32);
