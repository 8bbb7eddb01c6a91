//! What takes the place of ports in the keys of ICMP states.

use crate::numbers::ip_protocol::{ICMP, ICMPV6};
use crate::record::{Family, FullState};

/// What takes the place of ports in the keys of ICMP states.
///
/// The port of the initiator is the identifier of its request. A peer's convention decides about the other port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum IcmpPorts {
    /// The request's type: OpenBSD, and FreeBSD since 13.3-p5 and 14.1-p3 (FreeBSD-SA-24:05).
    #[default]
    IdentifierAndType,
    /// The identifier again: older FreeBSD. Their states do not tell the types apart.
    IdentifierTwice,
}

/// Types of requests that may have an identifier, IPv4.
const REQUESTS_V4: [u16; 4] = [8, 13, 15, 17];
/// Types of requests that may have an identifier, IPv6; 130 and 135 have one made from an address.
const REQUESTS_V6: [u16; 3] = [128, 130, 135];

/// Returns the types of requests of an ICMP state, echo first; `None` for another state, and for one whose keys differ in
/// family, which no system with the old convention has.
fn requests(state: &FullState) -> Option<&'static [u16]> {
    let [wire, stack] = &state.key;
    match (wire.family, wire.proto) {
        _ if (stack.family, stack.proto) != (wire.family, wire.proto) => None,
        (Family::V4, ICMP) => Some(&REQUESTS_V4),
        (Family::V6, ICMPV6) => Some(&REQUESTS_V6),
        _ => None,
    }
}

/// Returns the index of the initiator's port.
const fn initiator(state: &FullState) -> Option<usize> {
    match state.direction {
        1 => Some(0),
        2 => Some(1),
        _ => None,
    }
}

impl IcmpPorts {
    /// Gives a received state the identifier and the type as ports.
    ///
    /// A state with the identifier twice becomes one of echo requests. Two equal ports that are the type of a request are
    /// ambiguous: the peer's convention decides.
    pub fn normalize(self, state: &mut FullState) {
        let (Some(requests), Some(initiator)) = (requests(state), initiator(state)) else { return };
        for key in &mut state.key {
            let [first, second] = key.port.map(u16::from_be_bytes);
            let has_type = self == Self::IdentifierAndType && requests.contains(&first);
            if first == second && !has_type {
                key.port[1 - initiator] = requests[0].to_be_bytes();
            }
        }
    }

    /// Gives a state the ports that the peer expects.
    pub fn apply(self, state: &mut FullState) {
        let (Some(_), Some(initiator)) = (requests(state), initiator(state)) else { return };
        if self == Self::IdentifierTwice {
            state.key.iter_mut().for_each(|key| key.port = [key.port[initiator]; 2]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::StateKey;

    /// The ports of an initiator's and a responder's slot in both keys of a state.
    fn state(direction: u8, family: Family, proto: u8, identifier: u16, other: u16) -> FullState {
        let mut port = [identifier, other].map(u16::to_be_bytes);
        if direction == 2 {
            port.reverse();
        }
        let key = StateKey { port, family, proto, ..FullState::EMPTY.key[0] };
        FullState { key: [key; 2], family, direction, ..FullState::EMPTY }
    }

    #[test]
    fn an_identifier_twice_becomes_an_echo_request_and_a_type_stays() {
        use IcmpPorts::{IdentifierAndType, IdentifierTwice};
        let cases = [
            (IdentifierAndType, Family::V4, 1, 0x1234, 0x1234, 8),
            (IdentifierAndType, Family::V6, 58, 0x1234, 0x1234, 128),
            (IdentifierAndType, Family::V4, 1, 0, 0, 8),
            (IdentifierAndType, Family::V4, 1, 0x1234, 13, 13),
            (IdentifierAndType, Family::V4, 1, 17, 17, 17),
            (IdentifierTwice, Family::V4, 1, 17, 17, 8),
            (IdentifierTwice, Family::V4, 1, 17, 13, 13),
            (IdentifierTwice, Family::V6, 58, 135, 135, 128),
            // Not ICMP of the family.
            (IdentifierTwice, Family::V4, 17, 53, 53, 53),
            (IdentifierTwice, Family::V4, 58, 5, 5, 5),
        ];
        for (ports, family, proto, identifier, received, other) in cases {
            for direction in [1, 2] {
                let mut state_in = state(direction, family, proto, identifier, received);
                ports.normalize(&mut state_in);
                assert_eq!(state_in, state(direction, family, proto, identifier, other), "{ports:?} {proto}");
            }
        }
    }

    #[test]
    fn only_the_old_convention_changes_what_is_sent() {
        for direction in [0, 1, 2] {
            let ours = state(direction, Family::V4, 1, 0x1234, 13);
            let mut sent = ours;
            IcmpPorts::IdentifierAndType.apply(&mut sent);
            assert_eq!(sent, ours);
            IcmpPorts::IdentifierTwice.apply(&mut sent);
            let expected =
                if direction == 0 { ours } else { state(direction, Family::V4, 1, 0x1234, 0x1234) };
            assert_eq!(sent, expected);
        }
    }

    #[test]
    fn a_state_that_translates_between_families_keeps_its_ports() {
        let mut ours = state(1, Family::V6, 58, 7, 7);
        ours.key[1].family = Family::V4;
        let mut received = ours;
        IcmpPorts::IdentifierTwice.normalize(&mut received);
        IcmpPorts::IdentifierTwice.apply(&mut received);
        assert_eq!(received, ours);
    }
}
