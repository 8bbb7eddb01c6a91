//! A state from one dialect to another, and what that costs (`protocol` section 13).

use core::ffi::CStr;

use super::key::Family;
use super::profile::{Profile, Version};
use super::state::{FullState, route};

/// A field that not every dialect carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Field {
    /// A family that is neither IPv4 nor IPv6, whose number means something in the other dialect.
    Family,
    /// The stack key's family differs from the wire key's (address family translation).
    StackFamily,
    /// The stack key's protocol.
    StackProto,
    /// Routing domains of the keys.
    Rdomain,
    /// Routing tables.
    Rtableid,
    /// ICMP identifier and type in the ports.
    IcmpPorts,
    /// Translation rule number.
    NatRule,
    /// Kind of route-to.
    Rt,
    /// Family of the next hop.
    RtFamily,
    /// Interface of the next hop.
    RtIfname,
    /// Real interface behind a floating state.
    OrigIfname,
    /// Tag.
    Tagname,
    /// Flag word.
    StateFlags,
    /// Source node flags.
    SyncFlags,
    /// The unused update counter.
    Updates,
    /// Timeout class.
    Timeout,
    /// Scrub settings: MSS, TTL, type of service, priorities.
    ScrubSettings,
    /// Queues and pipes.
    Queues,
}

impl Field {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Family,
        Self::StackFamily,
        Self::StackProto,
        Self::Rdomain,
        Self::Rtableid,
        Self::IcmpPorts,
        Self::NatRule,
        Self::Rt,
        Self::RtFamily,
        Self::RtIfname,
        Self::OrigIfname,
        Self::Tagname,
        Self::StateFlags,
        Self::SyncFlags,
        Self::Updates,
        Self::Timeout,
        Self::ScrubSettings,
        Self::Queues,
    ];

    /// The field's name on the wire, or that of its group, ended by a NUL for C.
    #[must_use]
    pub const fn c_name(self) -> &'static CStr {
        match self {
            Self::Family => c"af",
            Self::StackFamily => c"stack_af",
            Self::StackProto => c"stack_proto",
            Self::Rdomain => c"rdomain",
            Self::Rtableid => c"rtableid",
            Self::IcmpPorts => c"icmp_ports",
            Self::NatRule => c"nat_rule",
            Self::Rt => c"rt",
            Self::RtFamily => c"rt_af",
            Self::RtIfname => c"rt_ifname",
            Self::OrigIfname => c"orig_ifname",
            Self::Tagname => c"tagname",
            Self::StateFlags => c"state_flags",
            Self::SyncFlags => c"sync_flags",
            Self::Updates => c"updates",
            Self::Timeout => c"timeout",
            Self::ScrubSettings => c"scrub_settings",
            Self::Queues => c"queues",
        }
    }

    /// [`Self::c_name`] as text.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.c_name().to_str() {
            Ok(name) => name,
            Err(_) => "",
        }
    }
}

/// A set of fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldSet(u32);

impl FieldSet {
    /// No field.
    pub const NONE: Self = Self(0);

    /// Adds a field.
    pub const fn insert(&mut self, field: Field) {
        self.0 |= 1 << field as u8;
    }

    /// Whether the field is in the set.
    #[must_use]
    pub const fn contains(self, field: Field) -> bool {
        self.0 & 1 << field as u8 != 0
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The fields of either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The fields, in the order of [`Field`].
    pub fn iter(self) -> impl Iterator<Item = Field> {
        Field::ALL.into_iter().filter(move |&field| self.contains(field))
    }
}

/// A state in another dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// What the other dialect can say of the state: writing and reading it there changes nothing more.
    pub state: FullState,
    /// Fields that held something and do not any more.
    pub dropped: FieldSet,
    /// Fields that hold something else now, which means the same or the nearest there is.
    pub mapped: FieldSet,
}

/// Flags of OpenBSD alone: PFLOW, INP_UNLINKED.
const FLAGS_6: u16 = 0x0404;
/// Flags of FreeBSD alone: DN_IS_PIPE, DN_IS_QUEUE.
const FLAGS_5: u16 = 0xc000;
/// First SCTP class, and how many there are.
const SCTP: u8 = 20;
const SCTP_CLASSES: u8 = 5;
/// "Other": first, single and multiple packets.
const OTHER_FIRST: u8 = 11;
const OTHER_SINGLE: u8 = 12;
const OTHER_MULTIPLE: u8 = 13;

/// Carries a state of `from` over to `to`.
///
/// A state that was made here, not read, is one of the dialect whose conventions it follows: this library's own are
/// those of [`Profile::OpenBsd6`] (numbers of flags, ICMP type in the ports).
#[must_use]
pub fn convert(state: &FullState, from: Profile, to: Profile) -> Conversion {
    let mut work = Conversion { state: *state, dropped: FieldSet::NONE, mapped: FieldSet::NONE };
    work.families(to);
    work.flags(from, to);
    work.timeout(to);
    work.icmp_ports(from, to);
    work.routing(to);
    work.tables(to);
    work.rest(to);
    work
}

/// Whether the ports of an ICMP state hold identifier and request type, or the identifier twice
/// (`protocol` section 7.2).
const fn has_icmp_type(profile: Profile) -> bool {
    matches!(profile, Profile::OpenBsd6 | Profile::FreeBsd1500)
}

impl Conversion {
    /// Puts `value` where the dialect has no room for what was there.
    fn replace<T: PartialEq>(set: &mut FieldSet, field: Field, place: &mut T, value: T) {
        if *place != value {
            *place = value;
            set.insert(field);
        }
    }

    fn families(&mut self, to: Profile) {
        let state = &mut self.state;
        for key in &mut state.key {
            // 24 is nothing on FreeBSD and IPv6 on OpenBSD: what it meant cannot be said there.
            if Family::of(key.family.number(to.version()), to.version()) != key.family {
                Self::replace(&mut self.dropped, Field::Family, &mut key.family, Family::NONE);
            }
        }
        state.family = state.key[0].family;
        let (family, proto) = (state.key[0].family, state.key[0].proto);
        if matches!(to, Profile::FreeBsd1301 | Profile::FreeBsd1400) {
            Self::replace(&mut self.dropped, Field::StackFamily, &mut state.key[1].family, family);
            Self::replace(&mut self.dropped, Field::StackProto, &mut state.key[1].proto, proto);
        }
        if to == Profile::OpenBsd6 {
            let stack = super::openbsd::stack_proto(family, state.key[1].family, proto);
            Self::replace(&mut self.dropped, Field::StackProto, &mut state.key[1].proto, stack);
        }
        for key in &mut state.key {
            key.addr = key.masked();
        }
    }

    fn flags(&mut self, from: Profile, to: Profile) {
        let mut keep = match (from.version(), to.version()) {
            (Version::V6, Version::V5) => !(FLAGS_6 | FLAGS_5),
            (Version::V5, Version::V6) => !(FLAGS_5 | FLAGS_6),
            _ => u16::MAX,
        };
        if to == Profile::FreeBsd1301 {
            keep &= 0x00ff;
        }
        let flags = self.state.state_flags & keep;
        Self::replace(&mut self.dropped, Field::StateFlags, &mut self.state.state_flags, flags);
    }

    /// SCTP's classes have no equivalent below FreeBSD 14: the nearest are those of other protocols.
    fn timeout(&mut self, to: Profile) {
        let class = self.state.timeout;
        if class < to.timeout_limit() || !(SCTP..SCTP + SCTP_CLASSES).contains(&class) {
            return;
        }
        self.state.timeout = match class - SCTP {
            0 => OTHER_FIRST,
            2 => OTHER_MULTIPLE,
            _ => OTHER_SINGLE,
        };
        self.mapped.insert(Field::Timeout);
    }

    fn icmp_ports(&mut self, from: Profile, to: Profile) {
        if has_icmp_type(from) == has_icmp_type(to) {
            return;
        }
        // The initiator's slot holds the identifier either way.
        let initiator = match self.state.direction {
            1 => 0,
            2 => 1,
            _ => return,
        };
        for key in &mut self.state.key {
            let echo: [u8; 2] = match (key.family, key.proto) {
                (Family::V4, 1) => [0, 8],
                (Family::V6, 58) => [0, 128],
                _ => continue,
            };
            let other = if has_icmp_type(to) { echo } else { key.port[initiator] };
            Self::replace(&mut self.mapped, Field::IcmpPorts, &mut key.port[1 - initiator], other);
        }
    }

    fn routing(&mut self, to: Profile) {
        let state = &mut self.state;
        match to {
            Profile::OpenBsd6 if state.rt > route::REPLY_TO => {
                Self::replace(&mut self.dropped, Field::Rt, &mut state.rt, route::NONE);
            }
            Profile::FreeBsd1301 => Self::replace(&mut self.dropped, Field::Rt, &mut state.rt, route::NONE),
            _ => {}
        }
        if to == Profile::FreeBsd1500 {
            let rt_family = Family::of(state.rt_family.number(to.version()), to.version());
            Self::replace(&mut self.dropped, Field::RtFamily, &mut state.rt_family, rt_family);
            if state.rt != route::NONE && state.rt_family == Family::NONE {
                let family = state.key[0].family;
                Self::replace(&mut self.mapped, Field::RtFamily, &mut state.rt_family, family);
            }
        } else {
            Self::replace(&mut self.dropped, Field::RtFamily, &mut state.rt_family, Family::NONE);
            Self::replace(&mut self.dropped, Field::OrigIfname, &mut state.orig_ifname, [0; 16]);
            Self::replace(&mut self.dropped, Field::Tagname, &mut state.tagname, [0; 64]);
        }
        if matches!(to, Profile::OpenBsd6 | Profile::FreeBsd1301) {
            Self::replace(&mut self.dropped, Field::RtIfname, &mut state.rt_ifname, [0; 16]);
        }
    }

    fn tables(&mut self, to: Profile) {
        let state = &mut self.state;
        if to.version() == Version::V5 {
            Self::replace(&mut self.dropped, Field::Rdomain, &mut state.key[0].rdomain, 0);
            Self::replace(&mut self.dropped, Field::Rdomain, &mut state.key[1].rdomain, 0);
        }
        match to {
            Profile::OpenBsd6 => {}
            Profile::FreeBsd1301 => {
                Self::replace(&mut self.dropped, Field::Rtableid, &mut state.rtableid, [-1; 2]);
            }
            Profile::FreeBsd1400 | Profile::FreeBsd1500 => {
                let one = [state.rtableid[0]; 2];
                Self::replace(&mut self.dropped, Field::Rtableid, &mut state.rtableid, one);
            }
        }
    }

    fn rest(&mut self, to: Profile) {
        let state = &mut self.state;
        let dropped = &mut self.dropped;
        if to == Profile::OpenBsd6 {
            Self::replace(dropped, Field::NatRule, &mut state.nat_rule, u32::MAX);
        }
        if matches!(to, Profile::OpenBsd6 | Profile::FreeBsd1301) {
            for queue in [&mut state.qid, &mut state.pqid, &mut state.dnpipe, &mut state.dnrpipe] {
                Self::replace(dropped, Field::Queues, queue, 0);
            }
        }
        if to == Profile::FreeBsd1301 {
            Self::replace(dropped, Field::ScrubSettings, &mut state.max_mss, 0);
            Self::replace(dropped, Field::ScrubSettings, &mut state.min_ttl, 0);
            Self::replace(dropped, Field::ScrubSettings, &mut state.set_tos, 0);
            Self::replace(dropped, Field::ScrubSettings, &mut state.set_prio, [0; 2]);
        }
        if to == Profile::FreeBsd1500 {
            Self::replace(dropped, Field::SyncFlags, &mut state.sync_flags, 0);
            Self::replace(dropped, Field::Updates, &mut state.updates, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(set: FieldSet) -> Vec<&'static str> {
        set.iter().map(Field::name).collect()
    }

    #[test]
    fn nothing_is_lost_on_the_way_to_oneself() {
        for profile in Profile::ALL {
            let conversion = convert(&FullState::EMPTY, profile, profile);
            assert_eq!(conversion.state, FullState::EMPTY);
            assert!(conversion.dropped.is_empty() && conversion.mapped.is_empty(), "{profile:?}");
        }
    }

    #[test]
    fn what_only_freebsd_15_knows_is_named_when_it_is_dropped() {
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
        assert_eq!(conversion.state.timeout, OTHER_MULTIPLE);
        assert_eq!(conversion.state.state_flags, 1);
    }

    #[test]
    fn an_echo_key_changes_with_the_convention_and_back() {
        let mut state = FullState { direction: 2, ..FullState::EMPTY };
        for key in &mut state.key {
            key.family = Family::V6;
            key.proto = 58;
            key.port = [[0, 128], [0x12, 0x34]];
        }
        state.family = Family::V6;
        let there = convert(&state, Profile::OpenBsd6, Profile::FreeBsd1400);
        assert_eq!(there.state.key[0].port, [[0x12, 0x34]; 2]);
        assert_eq!(names(there.mapped), ["icmp_ports"]);
        let back = convert(&there.state, Profile::FreeBsd1400, Profile::OpenBsd6);
        assert_eq!(back.state, state);
    }

    #[test]
    fn a_translated_family_cannot_be_said_by_freebsd_14() {
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
