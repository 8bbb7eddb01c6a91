//! Conversion of a state from one profile to another.

mod icmp;

pub use icmp::IcmpPorts;

use crate::field::{Field, FieldSet};
use crate::layout::stack_protocol;
use crate::numbers::{route, state_flags, timeout};
use crate::profile::{Profile, Version};
use crate::record::{Family, FullState};

/// A state in another profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// The part of the state that the other profile can carry. Writing and reading it there changes nothing more.
    pub state: FullState,
    /// Fields whose value is lost.
    pub dropped: FieldSet,
    /// Fields with another value that means the same, or the nearest that exists.
    pub mapped: FieldSet,
}

/// Flags that exist on OpenBSD only.
const OPENBSD_FLAGS: u16 = state_flags::PFLOW | state_flags::INP_UNLINKED;
/// Flags that exist on FreeBSD only.
const FREEBSD_FLAGS: u16 = state_flags::DN_IS_PIPE | state_flags::DN_IS_QUEUE;
/// The flags that fit into the one byte of FreeBSD 13's states.
const FLAGS_1301: u16 = 0x00ff;

/// Converts a state of profile `from` to profile `to` and reports what is lost.
///
/// `from` says whose flag bits the state has; a state that was not read from a frame should have those of
/// [`Profile::OpenBsd6`]. ICMP states with the identifier in both ports, which old FreeBSD systems send, get the type of
/// their request ([`IcmpPorts::normalize`]).
#[must_use]
pub fn convert(state: &FullState, from: Profile, to: Profile) -> Conversion {
    let mut conversion = Conversion { state: *state, dropped: FieldSet::EMPTY, mapped: FieldSet::EMPTY };
    conversion.convert_keys(to);
    conversion.convert_flags(from, to);
    conversion.convert_timeout(to);
    // Whoever reads two equal ports in a state of these takes them for an identifier.
    if [from, to].iter().any(|profile| matches!(profile, Profile::FreeBsd1301 | Profile::FreeBsd1400)) {
        conversion.normalize_icmp_ports();
    }
    conversion.convert_route(to);
    conversion.convert_routing_tables(to);
    conversion.convert_other_fields(to);
    conversion
}

/// Sets a field to the value that the profile carries, and adds it to `set` if that is another one.
fn replace<T: PartialEq>(set: &mut FieldSet, field: Field, value: &mut T, new: T) {
    if *value != new {
        *value = new;
        set.insert(field);
    }
}

impl Conversion {
    fn convert_keys(&mut self, to: Profile) {
        let state = &mut self.state;
        for key in &mut state.key {
            // A number such as 24 is an unknown family on FreeBSD and IPv6 on OpenBSD, so it cannot be carried over.
            if Family::from_number(key.family.number(to.version()), to.version()) != key.family {
                replace(&mut self.dropped, Field::Family, &mut key.family, Family::NONE);
            }
        }
        state.family = state.key[0].family;
        let (family, proto) = (state.key[0].family, state.key[0].proto);
        if matches!(to, Profile::FreeBsd1301 | Profile::FreeBsd1400) {
            replace(&mut self.dropped, Field::StackFamily, &mut state.key[1].family, family);
            replace(&mut self.dropped, Field::StackProto, &mut state.key[1].proto, proto);
        }
        if to == Profile::OpenBsd6 {
            let stack = stack_protocol(family, state.key[1].family, proto);
            replace(&mut self.dropped, Field::StackProto, &mut state.key[1].proto, stack);
        }
        for key in &mut state.key {
            key.addr = key.masked();
        }
    }

    fn convert_flags(&mut self, from: Profile, to: Profile) {
        let mut keep =
            if from.version() == to.version() { u16::MAX } else { !(OPENBSD_FLAGS | FREEBSD_FLAGS) };
        if to == Profile::FreeBsd1301 {
            keep &= FLAGS_1301;
        }
        let flags = self.state.state_flags & keep;
        replace(&mut self.dropped, Field::StateFlags, &mut self.state.state_flags, flags);
    }

    /// Replaces SCTP's classes, which only FreeBSD 14 and later have, by the nearest of "other".
    fn convert_timeout(&mut self, to: Profile) {
        let class = self.state.timeout;
        let last_sctp = Profile::FreeBsd1400.timeout_limit() - 1;
        if class < to.timeout_limit() || !(timeout::SCTP_FIRST..=last_sctp).contains(&class) {
            return;
        }
        self.state.timeout = match class - timeout::SCTP_FIRST {
            0 => timeout::OTHER_FIRST,
            2 => timeout::OTHER_MULTIPLE,
            _ => timeout::OTHER_SINGLE,
        };
        self.mapped.insert(Field::Timeout);
    }

    fn normalize_icmp_ports(&mut self) {
        let mut state = self.state;
        IcmpPorts::default().normalize(&mut state);
        replace(&mut self.mapped, Field::IcmpPorts, &mut self.state.key, state.key);
    }

    fn convert_route(&mut self, to: Profile) {
        let state = &mut self.state;
        let has_option = match to {
            Profile::OpenBsd6 => state.rt <= route::REPLY_TO,
            Profile::FreeBsd1301 => false,
            Profile::FreeBsd1400 | Profile::FreeBsd1500 => true,
        };
        if !has_option {
            replace(&mut self.dropped, Field::Rt, &mut state.rt, route::NONE);
        }
        if to == Profile::FreeBsd1500 {
            let rt_family = Family::from_number(state.rt_family.number(to.version()), to.version());
            replace(&mut self.dropped, Field::RtFamily, &mut state.rt_family, rt_family);
            if state.rt != route::NONE && state.rt_family == Family::NONE {
                let family = state.key[0].family;
                replace(&mut self.mapped, Field::RtFamily, &mut state.rt_family, family);
            }
        } else {
            replace(&mut self.dropped, Field::RtFamily, &mut state.rt_family, Family::NONE);
            replace(&mut self.dropped, Field::OrigIfname, &mut state.orig_ifname, [0; 16]);
            replace(&mut self.dropped, Field::Tagname, &mut state.tagname, [0; 64]);
        }
        if matches!(to, Profile::OpenBsd6 | Profile::FreeBsd1301) {
            replace(&mut self.dropped, Field::RtIfname, &mut state.rt_ifname, [0; 16]);
        }
    }

    fn convert_routing_tables(&mut self, to: Profile) {
        let state = &mut self.state;
        if to.version() == Version::V5 {
            for key in &mut state.key {
                replace(&mut self.dropped, Field::Rdomain, &mut key.rdomain, 0);
            }
        }
        let tables = match to {
            Profile::OpenBsd6 => state.rtableid,
            Profile::FreeBsd1301 => [-1; 2],
            Profile::FreeBsd1400 | Profile::FreeBsd1500 => [state.rtableid[0]; 2],
        };
        replace(&mut self.dropped, Field::Rtableid, &mut state.rtableid, tables);
    }

    fn convert_other_fields(&mut self, to: Profile) {
        let (state, dropped) = (&mut self.state, &mut self.dropped);
        if to == Profile::OpenBsd6 {
            replace(dropped, Field::NatRule, &mut state.nat_rule, u32::MAX);
        }
        if matches!(to, Profile::OpenBsd6 | Profile::FreeBsd1301) {
            for queue in [&mut state.qid, &mut state.pqid, &mut state.dnpipe, &mut state.dnrpipe] {
                replace(dropped, Field::Queues, queue, 0);
            }
        }
        if to == Profile::FreeBsd1301 {
            replace(dropped, Field::ScrubSettings, &mut state.max_mss, 0);
            replace(dropped, Field::ScrubSettings, &mut state.min_ttl, 0);
            replace(dropped, Field::ScrubSettings, &mut state.set_tos, 0);
            replace(dropped, Field::ScrubSettings, &mut state.set_prio, [0; 2]);
        }
        if to == Profile::FreeBsd1500 {
            replace(dropped, Field::SyncFlags, &mut state.sync_flags, 0);
            replace(dropped, Field::Updates, &mut state.updates, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::StateKey;

    fn names(set: FieldSet) -> Vec<&'static str> {
        set.iter().map(Field::name).collect()
    }

    #[test]
    fn a_conversion_to_the_same_profile_loses_nothing() {
        for profile in Profile::ALL {
            let conversion = convert(&FullState::EMPTY, profile, profile);
            assert_eq!(conversion.state, FullState::EMPTY);
            assert!(conversion.dropped.is_empty() && conversion.mapped.is_empty(), "{profile}");
        }
    }

    #[test]
    fn fields_of_freebsd_15_are_reported_when_they_are_dropped() {
        let mut state =
            FullState { nat_rule: 3, qid: 1, timeout: 22, rt: route::FASTROUTE, ..FullState::EMPTY };
        state.tagname[0] = b't';
        state.orig_ifname[0] = b'e';
        state.rt_ifname[0] = b'e';
        state.state_flags = 0x8001;
        let conversion = convert(&state, Profile::FreeBsd1500, Profile::OpenBsd6);
        assert_eq!(
            names(conversion.dropped),
            ["nat_rule", "rt", "rt_ifname", "orig_ifname", "tagname", "state_flags", "queues"]
        );
        assert_eq!(names(conversion.mapped), ["timeout"]);
        assert_eq!(conversion.state.timeout, timeout::OTHER_MULTIPLE);
        assert_eq!(conversion.state.state_flags, 1);
    }

    #[test]
    fn the_ports_of_icmp_states_are_the_same_in_every_profile() {
        let mut state = FullState { direction: 2, family: Family::V4, ..FullState::EMPTY };
        for key in &mut state.key {
            *key = StateKey { port: [[0, 13], [0x23, 0x45]], family: Family::V4, proto: 1, ..*key };
        }
        for (from, to) in Profile::ALL.into_iter().flat_map(|from| Profile::ALL.map(|to| (from, to))) {
            let there = convert(&state, from, to);
            assert_eq!((there.state.key, there.mapped), (state.key, FieldSet::EMPTY), "{from} to {to}");
        }
        state.key.iter_mut().for_each(|key| key.port = [[0x23, 0x45]; 2]);
        let there = convert(&state, Profile::FreeBsd1301, Profile::OpenBsd6);
        assert_eq!(there.state.key[1].port, [[0, 8], [0x23, 0x45]]);
        assert_eq!(names(there.mapped), ["icmp_ports"]);
    }

    #[test]
    fn freebsd_14_cannot_carry_a_translated_family() {
        let mut state = FullState { rtableid: [1, 2], ..FullState::EMPTY };
        state.key[0].family = Family::V6;
        state.key[1].family = Family::V4;
        state.key[1].rdomain = 9;
        let conversion = convert(&state, Profile::OpenBsd6, Profile::FreeBsd1400);
        assert_eq!(names(conversion.dropped), ["stack_af", "rdomain", "rtableid"]);
        let conversion = convert(&state, Profile::OpenBsd6, Profile::FreeBsd1500);
        assert_eq!(names(conversion.dropped), ["rdomain", "rtableid"]);
    }
}
