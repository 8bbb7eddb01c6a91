//! Creates a state from its first packet (OpenBSD `pf_create_state`; protocol 7.1 to 7.4).

use super::peer::peer_state::{CLOSED, NO_TRAFFIC, SINGLE, SYN_SENT};
use super::tcp::{descaled, scale_from_syn};
use super::timeout::timeout_class::{ICMP_FIRST, OTHER_FIRST, TCP_FIRST, UDP_FIRST};
use super::{
    Cold, Hot, IfName, LocalFlags, Nat, Opaque, Peer, Record, SourceLimits, StateId, Track, pf_flags,
    sync_flags,
};
use crate::packet::{Direction, Facts, IpOptions, Key, Kind, TcpFacts, tcp_flags};
use crate::time::Tick;

/// The properties of a new state, from the host's rule.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// See [`super::pf_flags`].
    pub pf_flags: u16,
    /// The interface that the state is bound to; "all" for a floating state.
    pub ifname: IfName,
    /// Rule number, `u32::MAX` for none.
    pub rule: u32,
    /// Anchor number, `u32::MAX` for none.
    pub anchor: u32,
    /// Translation rule number, `u32::MAX` for none.
    pub nat_rule: u32,
    /// Routing tables of the wire and the stack side, -1 for none.
    pub rtableid: [i32; 2],
    /// Idle timeout in seconds that replaces the one of the state's class.
    pub timeout_override_s: Option<u32>,
    /// The translation. [`Record::translate_to`] builds the keys.
    pub nat: Nat,
    /// Whether a TCP state may begin with a packet other than a SYN, see [`admits`].
    pub pickup: bool,
    /// Limits per source of this rule.
    pub source: SourceLimits,
    /// Log flags.
    pub log: u8,
    /// Route option in OpenBSD's numbers, 0 for none.
    pub rt: u8,
    /// Next hop of route-to and reply-to.
    pub rt_addr: [u8; 16],
    /// Scrub settings, 0 for none.
    pub max_mss: u16,
    /// See [`Self::max_mss`].
    pub min_ttl: u8,
    /// See [`Self::max_mss`].
    pub set_tos: u8,
    /// See [`Self::max_mss`].
    pub set_prio: [u8; 2],
    /// The host's own bytes.
    pub opaque: Opaque,
}

/// The interface name of a floating state.
pub const FLOATING: IfName = *b"all\0\0\0\0\0\0\0\0\0\0\0\0\0";

impl Default for Options {
    /// Returns a floating state without a rule or translation.
    fn default() -> Self {
        Self {
            pf_flags: 0,
            ifname: FLOATING,
            rule: u32::MAX,
            anchor: u32::MAX,
            nat_rule: u32::MAX,
            rtableid: [-1; 2],
            timeout_override_s: None,
            nat: Nat::default(),
            pickup: false,
            source: SourceLimits::default(),
            log: 0,
            rt: 0,
            rt_addr: [0; 16],
            max_mss: 0,
            min_ttl: 0,
            set_tos: 0,
            set_prio: [0; 2],
            opaque: Opaque::EMPTY,
        }
    }
}

/// Why a packet cannot create a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// An ICMP error, which belongs to the quoted packet's state.
    IcmpError,
    /// A packet with IP options without [`pf_flags::ALLOW_OPTIONS`](super::pf_flags::ALLOW_OPTIONS).
    IpOptions,
    /// A TCP packet other than a SYN, without [`Options::pickup`].
    NotSyn,
    /// [`Options::nat`] cannot translate the packet.
    Untranslatable,
}

/// Checks whether a packet may create a state.
///
/// Like pf's default `flags S/SA`, TCP needs a SYN without ACK. [`Options::pickup`] is pf's `flags any`, which picks up
/// connections in the middle.
///
/// # Errors
///
/// The reason why not.
pub const fn admits(facts: &Facts, options: &Options) -> Result<(), Refusal> {
    let syn_only = facts.tcp.flags & (tcp_flags::SYN | tcp_flags::ACK) == tcp_flags::SYN;
    let allows_options = options.pf_flags & pf_flags::ALLOW_OPTIONS != 0;
    match facts.kind {
        _ if facts.ip_options.any(IpOptions::OPTIONS) && !allows_options => Err(Refusal::IpOptions),
        Kind::IcmpError => Err(Refusal::IcmpError),
        Kind::LaterFragment => Err(Refusal::NotSyn),
        Kind::Tcp if !syn_only && !options.pickup => Err(Refusal::NotSyn),
        _ => Ok(()),
    }
}

/// Creates the state of a first packet and counts the packet. Call [`admits`] first.
///
/// The state has the packet's key and direction. Sequence numbers are never modulated.
#[must_use]
pub fn create(facts: &Facts, options: &Options, id: StateId, now: Tick) -> Record {
    Record { hot: hot(facts, options, now), track: track(facts), cold: cold(facts.key, options, id, now) }
}

fn hot(facts: &Facts, options: &Options, now: Tick) -> Hot {
    let (peer_state, timeout) = initial_states(facts.kind);
    let mut local = LocalFlags(LocalFlags::LIVE | LocalFlags::LOCAL_TRAFFIC);
    if facts.direction == Direction::Out {
        local.set(LocalFlags::OUT);
    }
    if options.timeout_override_s.is_some() {
        local.set(LocalFlags::OVERRIDE);
    }
    let mut hot = Hot {
        key: facts.key,
        last_activity: now,
        pf_flags: options.pf_flags,
        local,
        timeout,
        peer_state,
        ..Hot::EMPTY
    };
    hot.count(0, facts.ip_length);
    hot
}

/// Returns both sides' states and the timeout class after one packet.
const fn initial_states(kind: Kind) -> ([u8; 2], u8) {
    match kind {
        Kind::Tcp => ([SYN_SENT, CLOSED], TCP_FIRST),
        Kind::Udp => ([SINGLE, NO_TRAFFIC], UDP_FIRST),
        Kind::IcmpQuery | Kind::IcmpReply | Kind::IcmpError => ([NO_TRAFFIC; 2], ICMP_FIRST),
        Kind::Pfsync | Kind::Other | Kind::LaterFragment => ([SINGLE, NO_TRAFFIC], OTHER_FIRST),
    }
}

fn track(facts: &Facts) -> Track {
    if facts.kind != Kind::Tcp {
        return Track::default();
    }
    Track { src: initial_peer(&facts.tcp), dst: Peer { seqhi: 1, max_win: 1, ..Peer::default() } }
}

fn initial_peer(tcp: &TcpFacts) -> Peer {
    let has = |flag| tcp.flags & flag != 0;
    let wscale = if has(tcp_flags::SYN) { scale_from_syn(tcp.wscale) } else { 0 };
    // One byte more than was sent: the answer may be lost and the next segment in flight.
    let extra = 1 + u32::from(has(tcp_flags::SYN)) + u32::from(has(tcp_flags::FIN));
    Peer {
        seqlo: tcp.seq,
        seqhi: tcp.seq.wrapping_add(tcp.payload).wrapping_add(extra),
        max_win: descaled(tcp.window.max(1), wscale & 0x0f),
        wscale,
        ..Peer::default()
    }
}

fn cold(key: Key, options: &Options, id: StateId, now: Tick) -> Cold {
    Cold {
        id,
        creation: now,
        timeout_override_s: options.timeout_override_s.unwrap_or(0),
        stack_key: key,
        ifname: options.ifname,
        rt_addr: options.rt_addr,
        rule: options.rule,
        anchor: options.anchor,
        nat_rule: options.nat_rule,
        rtableid: options.rtableid,
        log: options.log,
        sync_flags: if options.source.is_none() { 0 } else { sync_flags::SOURCE },
        rt: options.rt,
        max_mss: options.max_mss,
        min_ttl: options.min_ttl,
        set_tos: options.set_tos,
        set_prio: options.set_prio,
        ..Cold::EMPTY
    }
}
