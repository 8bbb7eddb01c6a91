//! Fields as pfctl and tcpdump print them.

use std::net::{Ipv4Addr, Ipv6Addr};

use pfsync::ip_protocol::{ICMP, TCP};
use pfsync::{Family, ip_protocol, peer_state, route, state_flags, timeout};

fn name_or_number(name: Option<&'static str>, number: u8) -> String {
    name.map_or_else(|| number.to_string(), str::to_owned)
}

/// Returns a protocol's name, or its number.
#[must_use]
pub fn protocol(number: u8) -> String {
    name_or_number(ip_protocol::name(number), number)
}

/// Returns a timeout class's name, or its number.
#[must_use]
pub fn timeout_class(class: u8) -> String {
    name_or_number(timeout::name(class), class)
}

/// Returns a routing option's name, or its number.
#[must_use]
pub fn routing_option(rt: u8) -> String {
    name_or_number(route::name(rt), rt)
}

/// Returns the states of both sides, by name where the protocol has names.
#[must_use]
pub fn peer_states(proto: u8, first: u8, second: u8) -> String {
    let has = |state| first == state || second == state;
    let numbers = || format!("{first}:{second}");
    match (proto, peer_state::name(proto, first), peer_state::name(proto, second)) {
        (TCP, ..) if has(peer_state::PROXY_SRC) => "PROXY:SRC".to_owned(),
        (TCP, ..) if has(peer_state::PROXY_DST) => "PROXY:DST".to_owned(),
        (ICMP, ..) => numbers(),
        (_, Some(first), Some(second)) => format!("{first}:{second}"),
        (TCP, ..) => format!("<BAD STATE LEVELS {first}:{second}>"),
        _ => numbers(),
    }
}

/// Returns the names of the flags that are set.
#[must_use]
pub fn flags(word: u16) -> Vec<&'static str> {
    state_flags::NAMES.into_iter().filter(|(flag, _)| word & flag != 0).map(|(_, name)| name).collect()
}

/// Returns the text of a name field, with everything that is not printable escaped.
#[must_use]
pub fn text(field: &[u8]) -> String {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    field[..end].escape_ascii().to_string()
}

/// Returns bytes as hex digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns hours, minutes and seconds.
#[must_use]
pub fn clock(seconds: u32) -> String {
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Returns an address, as hex digits if the family is unknown.
#[must_use]
pub fn address(bytes: &[u8; 16], family: Family) -> String {
    match family {
        Family::V4 => Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).to_string(),
        Family::V6 => Ipv6Addr::from(*bytes).to_string(),
        _ => hex(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peer_states_have_the_names_of_their_protocol() {
        assert_eq!(peer_states(6, 4, 9), "ESTABLISHED:FIN_WAIT_2");
        assert_eq!(peer_states(6, 12, 2), "PROXY:DST");
        assert_eq!(peer_states(6, 13, 2), "<BAD STATE LEVELS 13:2>");
        assert_eq!(peer_states(17, 2, 1), "MULTIPLE:SINGLE");
        assert_eq!(peer_states(17, 3, 1), "3:1");
        assert_eq!(peer_states(1, 0, 0), "0:0");
    }

    #[test]
    fn control_bytes_in_names_are_escaped() {
        assert_eq!(text(b"em0\0\xa5\xa5"), "em0");
        assert_eq!(text(b"\x1b[2J\xff"), "\\x1b[2J\\xff");
    }

    #[test]
    fn numbers_without_a_name_are_shown_as_numbers() {
        assert_eq!(flags(0x8011), ["allow-opts", "ack", "dnqueue"]);
        assert_eq!([timeout_class(2), timeout_class(25)], ["tcp.established", "25"]);
        assert_eq!([routing_option(3), routing_option(9)], ["reply-to", "9"]);
        assert_eq!([protocol(6), protocol(99)], ["tcp", "99"]);
        assert_eq!(clock(88_172), "24:29:32");
    }
}
