//! The dialects of the peers: what each can carry of a state, and conventions that differ.

use crate::state::FLOATING;
use pfsync::{FullState, IcmpPorts, Profile, Version, convert, route, state_flags};

/// The dialect whose conventions we use. In memory a state may also have flags and fields of the other dialects.
pub(in crate::sync) const NATIVE: Profile = Profile::OpenBsd6;

/// Returns the flags that systems of a version may send and receive.
const fn flags_of(version: Version) -> u16 {
    !match version {
        Version::V6 => state_flags::DN_IS_PIPE | state_flags::DN_IS_QUEUE,
        Version::V5 => state_flags::PFLOW | state_flags::INP_UNLINKED,
    }
}

/// Converts a state to a peer's dialect.
pub(in crate::sync) fn for_profile(mut state: FullState, profile: Profile) -> FullState {
    state.state_flags &= flags_of(profile.version());
    if profile == NATIVE && state.timeout < NATIVE.timeout_limit() && state.rt <= route::REPLY_TO {
        return state;
    }
    if profile == Profile::FreeBsd1500 && state.orig_ifname[0] == 0 && state.ifname != FLOATING {
        // FreeBSD 15 refuses a bound state without it.
        state.orig_ifname = state.ifname;
    }
    let conventions = match profile.version() {
        Version::V5 => Profile::FreeBsd1500,
        Version::V6 => NATIVE,
    };
    convert(&state, conventions, profile).state
}

/// Clears the flags that systems with this dialect do not have.
#[inline]
pub(in crate::sync) const fn drop_foreign_flags(state: &mut FullState, from: Profile) {
    state.state_flags &= flags_of(from.version());
}

/// Converts a received state from the dialect `from` to our conventions. `icmp_ports` is the peer's.
#[must_use]
pub fn to_native(state: &FullState, from: Profile, icmp_ports: IcmpPorts) -> FullState {
    let mut native = *state;
    drop_foreign_flags(&mut native, from);
    native.nat_rule = u32::MAX;
    if from == NATIVE {
        return native;
    }
    let [wire, stack] = &mut native.key;
    stack.proto = pfsync::stack_protocol(wire.family, stack.family, wire.proto);
    if matches!(from, Profile::FreeBsd1301 | Profile::FreeBsd1400) {
        icmp_ports.normalize(&mut native);
    }
    native
}

/// Returns the timeout class in `profile`. Only SCTP's classes differ.
pub(in crate::sync) fn class_in(class: u8, profile: Profile) -> u8 {
    if class < profile.timeout_limit() {
        return class;
    }
    convert(&FullState { timeout: class, ..FullState::EMPTY }, NATIVE, profile).state.timeout
}

/// What a dialect must be able to express to carry a state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::sync) struct Needs {
    /// Its keys differ in family. FreeBSD before 15 has one family for both (protocol 7.1).
    pub families_differ: bool,
    /// A key is in a routing domain, which only OpenBSD has: elsewhere the state would belong to other packets.
    pub rdomain: bool,
    /// It has a routing option without the interface of the next hop, which FreeBSD 14 and later require (protocol 5.3).
    pub route_interface: bool,
    /// Fields that FreeBSD 14 and later have were lost on this node.
    pub lost_fields: bool,
}

impl Needs {
    /// Returns what a state in our conventions needs.
    pub(in crate::sync) fn of(state: &FullState) -> Self {
        Self {
            families_differ: state.key[0].family != state.key[1].family,
            rdomain: state.key.iter().any(|key| key.rdomain != 0),
            route_interface: state.rt != route::NONE && state.rt_ifname[0] == 0,
            lost_fields: false,
        }
    }

    /// Whether a dialect can express the state.
    pub(in crate::sync) const fn are_met_by(self, profile: Profile) -> bool {
        let has_fields = matches!(profile, Profile::FreeBsd1400 | Profile::FreeBsd1500);
        match profile {
            Profile::OpenBsd6 => true,
            _ if self.rdomain => false,
            _ if has_fields && (self.route_interface || self.lost_fields) => false,
            Profile::FreeBsd1500 => true,
            Profile::FreeBsd1301 | Profile::FreeBsd1400 => !self.families_differ,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pfsync::Family;

    #[test]
    fn a_state_is_sent_only_in_dialects_that_can_express_it() {
        use Profile::{FreeBsd1301, FreeBsd1500, OpenBsd6};
        let none = Needs::default();
        let cases: [(Needs, &[Profile]); 5] = [
            (none, &Profile::ALL),
            (Needs { families_differ: true, ..none }, &[OpenBsd6, FreeBsd1500]),
            (Needs { rdomain: true, ..none }, &[OpenBsd6]),
            (Needs { route_interface: true, ..none }, &[OpenBsd6, FreeBsd1301]),
            (Needs { lost_fields: true, ..none }, &[OpenBsd6, FreeBsd1301]),
        ];
        for (needs, expected) in cases {
            let able = Profile::ALL.into_iter().filter(|&profile| needs.are_met_by(profile));
            assert_eq!(able.collect::<Vec<_>>(), expected, "{needs:?}");
        }
    }

    #[test]
    fn flags_and_routes_of_the_other_systems_are_kept_and_not_sent() {
        let mut state = FullState { state_flags: u16::MAX, rt: route::FASTROUTE, ..FullState::EMPTY };
        state.key.iter_mut().for_each(|key| key.family = Family::V4);
        state.family = Family::V4;
        let ours = to_native(&state, Profile::FreeBsd1400, IcmpPorts::default());
        assert_eq!((ours.state_flags, ours.rt), (!0x0404, route::FASTROUTE));
        let back = for_profile(ours, Profile::FreeBsd1400);
        assert_eq!((back.state_flags, back.rt), (ours.state_flags, route::FASTROUTE));
        let openbsd = for_profile(ours, Profile::OpenBsd6);
        assert_eq!((openbsd.state_flags, openbsd.rt), (!0xc404, route::NONE));
    }

    #[test]
    fn a_bound_state_names_its_interface_for_freebsd_15() {
        let bound = FullState { ifname: *b"em0\0\0\0\0\0\0\0\0\0\0\0\0\0", ..FullState::EMPTY };
        assert_eq!(for_profile(bound, Profile::FreeBsd1500).orig_ifname, bound.ifname);
        let floating = FullState { ifname: FLOATING, ..FullState::EMPTY };
        assert_eq!(for_profile(floating, Profile::FreeBsd1500).orig_ifname, [0; 16]);
    }
}
