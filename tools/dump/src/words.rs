//! Numbers in pf's words, as `pfctl -ss` and tcpdump say them.

use std::fmt::{self, Display, Formatter};
use std::net::{Ipv4Addr, Ipv6Addr};

use pfsync::envelope::Address;
use pfsync::{Family, FullState, StateKey};

/// IP protocol numbers with a name of their own here.
pub mod proto {
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// ICMPv6.
    pub const ICMPV6: u8 = 58;
}

const TCP_STATES: [&str; 11] = [
    "CLOSED",
    "LISTEN",
    "SYN_SENT",
    "SYN_RCVD",
    "ESTABLISHED",
    "CLOSE_WAIT",
    "FIN_WAIT_1",
    "CLOSING",
    "LAST_ACK",
    "FIN_WAIT_2",
    "TIME_WAIT",
];
const OTHER_STATES: [&str; 3] = ["NO_TRAFFIC", "SINGLE", "MULTIPLE"];
const TIMEOUTS: [&str; 25] = [
    "tcp.first",
    "tcp.opening",
    "tcp.established",
    "tcp.closing",
    "tcp.finwait",
    "tcp.closed",
    "udp.first",
    "udp.single",
    "udp.multiple",
    "icmp.first",
    "icmp.error",
    "other.first",
    "other.single",
    "other.multiple",
    "frag",
    "interval",
    "adaptive.start",
    "adaptive.end",
    "src.track",
    "tcp.tsdiff",
    "sctp.first",
    "sctp.opening",
    "sctp.established",
    "sctp.closing",
    "sctp.closed",
];
const FLAGS: [(u16, &str); 13] = [
    (0x0001, "allow-opts"),
    (0x0002, "sloppy"),
    (0x0004, "pflow"),
    (0x0008, "no-sync"),
    (0x0010, "ack"),
    (0x0020, "no-df"),
    (0x0040, "set-tos"),
    (0x0080, "random-id"),
    (0x0100, "reassemble-tcp"),
    (0x0200, "set-prio"),
    (0x0400, "inp-unlinked"),
    (0x4000, "dnpipe"),
    (0x8000, "dnqueue"),
];

/// A protocol's name, or its number.
#[must_use]
pub fn protocol(number: u8) -> String {
    let name = match number {
        1 => "icmp",
        2 => "igmp",
        4 => "ipencap",
        6 => "tcp",
        17 => "udp",
        41 => "ipv6",
        47 => "gre",
        50 => "esp",
        51 => "ah",
        58 => "ipv6-icmp",
        112 => "carp",
        132 => "sctp",
        240 => "pfsync",
        _ => return number.to_string(),
    };
    name.to_owned()
}

/// Both sides' states: of TCP, of protocols that have pf's three, or as numbers.
#[must_use]
pub fn states(proto: u8, first: u8, second: u8) -> String {
    let named = |names: &[&str]| {
        Some(format!("{}:{}", names.get(usize::from(first))?, names.get(usize::from(second))?))
    };
    let numbers = || format!("{first}:{second}");
    match proto {
        proto::TCP if first == 11 || second == 11 => "PROXY:SRC".to_owned(),
        proto::TCP if first == 12 || second == 12 => "PROXY:DST".to_owned(),
        proto::TCP => named(&TCP_STATES).unwrap_or_else(|| format!("<BAD STATE LEVELS {first}:{second}>")),
        proto::ICMP => numbers(),
        _ => named(&OTHER_STATES).unwrap_or_else(numbers),
    }
}

/// A timeout class's name, or its number.
#[must_use]
pub fn timeout(class: u8) -> String {
    TIMEOUTS.get(usize::from(class)).map_or_else(|| class.to_string(), |name| (*name).to_owned())
}

/// The names of the flags that are set.
#[must_use]
pub fn flags(word: u16) -> Vec<&'static str> {
    FLAGS.into_iter().filter(|(bit, _)| word & bit != 0).map(|(_, name)| name).collect()
}

/// The name of a routing option.
#[must_use]
pub fn route(rt: u8) -> String {
    match rt {
        0 => "none".to_owned(),
        1 => "route-to".to_owned(),
        2 => "dup-to".to_owned(),
        3 => "reply-to".to_owned(),
        4 => "fastroute".to_owned(),
        other => other.to_string(),
    }
}

/// Text of a name field. What is not printable is escaped: a name may come from anybody.
#[must_use]
pub fn text(field: &[u8]) -> String {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    field[..end].escape_ascii().to_string()
}

/// Hours, minutes and seconds.
#[must_use]
pub fn clock(seconds: u32) -> String {
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// An address of a family; of an unknown one the bytes.
#[must_use]
pub fn address(bytes: &[u8; 16], family: Family) -> String {
    match family {
        Family::V4 => Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).to_string(),
        Family::V6 => Ipv6Addr::from(*bytes).to_string(),
        _ => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

/// An address of an IP header.
#[must_use]
pub fn ip(address: Address) -> String {
    match address {
        Address::V4(bytes) => Ipv4Addr::from(bytes).to_string(),
        Address::V6(bytes) => Ipv6Addr::from(bytes).to_string(),
    }
}

/// One end of a key: `(rdomain) address:port`.
struct End<'a> {
    key: &'a StateKey,
    slot: usize,
    port: [u8; 2],
}

impl Display for End<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.key.rdomain != 0 {
            write!(f, "({}) ", self.key.rdomain)?;
        }
        f.write_str(&address(&self.key.addr[self.slot], self.key.family))?;
        match (u16::from_be_bytes(self.port), self.key.family) {
            (0, _) => Ok(()),
            (port, Family::V6) => write!(f, "[{port}]"),
            (port, _) => write!(f, ":{port}"),
        }
    }
}

/// Both ends of a state in pf's manner: our side, an arrow, the other side, each with what it is translated to.
#[must_use]
pub fn ends(state: &FullState) -> String {
    let [wire, stack] = &state.key;
    let out = state.direction == 2;
    let (near, far) = if out { (wire, stack) } else { (stack, wire) };
    let translated_family = near.family != far.family;
    let mut far_ports = far.port;
    if matches!(near.proto, proto::ICMP | proto::ICMPV6) {
        let same = if out { 0 } else { 1 };
        far_ports[same] = near.port[same];
    }
    let end = |slot: usize| {
        let shown = End { key: near, slot, port: near.port[slot] };
        let differs =
            translated_family || near.addr[slot] != far.addr[slot] || near.port[slot] != far_ports[slot];
        let behind = if translated_family { 1 - slot } else { slot };
        match differs {
            true => format!("{shown} ({})", End { key: far, slot: behind, port: far_ports[behind] }),
            false => shown.to_string(),
        }
    };
    let arrow = if out { "->" } else { "<-" };
    // With a translated family the stack key's slots are laid out the other way round.
    let (first, second) = if translated_family { (0, 1) } else { (1, 0) };
    format!("{} {arrow} {}", end(first), end(second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_those_of_their_protocol() {
        assert_eq!(states(6, 4, 9), "ESTABLISHED:FIN_WAIT_2");
        assert_eq!(states(6, 12, 2), "PROXY:DST");
        assert_eq!(states(6, 13, 2), "<BAD STATE LEVELS 13:2>");
        assert_eq!(states(17, 2, 1), "MULTIPLE:SINGLE");
        assert_eq!(states(17, 3, 1), "3:1");
        assert_eq!(states(1, 0, 0), "0:0");
    }

    #[test]
    fn names_cannot_move_the_cursor() {
        assert_eq!(text(b"em0\0\xa5\xa5"), "em0");
        assert_eq!(text(b"\x1b[2J\xff"), "\\x1b[2J\\xff");
    }

    #[test]
    fn flags_classes_and_options_have_names() {
        assert_eq!(flags(0x8011), ["allow-opts", "ack", "dnqueue"]);
        assert_eq!(
            (timeout(2), timeout(24), timeout(25)),
            ("tcp.established".into(), "sctp.closed".into(), "25".into())
        );
        assert_eq!((route(3), route(9)), ("reply-to".into(), "9".into()));
        assert_eq!(clock(88_172), "24:29:32");
    }
}
