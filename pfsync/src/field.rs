//! Fields that a conversion can lose.

use core::ffi::CStr;
use core::fmt;

/// A field of a state that not every profile carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Field {
    /// A family that is neither IPv4 nor IPv6 and whose number means IPv6 in the other version.
    Family,
    /// The stack key's family, where it differs from the wire key's (address family translation).
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
    /// Routing option.
    Rt,
    /// Family of the next hop.
    RtFamily,
    /// Interface of the next hop.
    RtIfname,
    /// Interface that a floating state was created on.
    OrigIfname,
    /// Tag.
    Tagname,
    /// State flags.
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
    /// All fields.
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

    /// Returns the field's name in the systems' headers, or the name of its group, NUL-terminated for C.
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

    /// Returns [`Self::c_name`] as text.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.c_name().to_str() {
            Ok(name) => name,
            Err(_) => "",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A set of fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldSet(u32);

impl FieldSet {
    /// The set without a field.
    pub const EMPTY: Self = Self(0);

    /// Adds a field.
    pub const fn insert(&mut self, field: Field) {
        self.0 |= 1 << field as u8;
    }

    /// Returns whether the field is in the set.
    #[must_use]
    pub const fn contains(self, field: Field) -> bool {
        self.0 & 1 << field as u8 != 0
    }

    /// Returns whether the set has no field.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the fields that are in either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Iterates over the fields in the order of [`Field`].
    pub fn iter(self) -> impl Iterator<Item = Field> {
        Field::ALL.into_iter().filter(move |&field| self.contains(field))
    }
}
