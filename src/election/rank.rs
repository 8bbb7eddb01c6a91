//! How nodes are compared, and the times that follow from what they advertise.

use crate::time::{NANOS_PER_SECOND, Nanos};

/// The protocol of a group, and whose rules decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// CARP with OpenBSD's rules: a demotion counts before the timing.
    OpenBsd,
    /// CARP with FreeBSD's rules: a demotion is part of the skew.
    FreeBsd,
    /// VRRP version 3 (RFC 9568).
    Vrrp3,
}

/// What a node advertises, in a form that compares: the smaller one is the better master.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// OpenBSD's demotion, 0 in the other dialects.
    pub demotion: u8,
    /// CARP: `advbase` in the high byte, `advskew` in the low one. VRRP: 255 less the priority.
    pub timing: u16,
}

impl Rank {
    /// CARP's farewell: the largest base and skew.
    pub(super) const CARP_FAREWELL: u16 = 0xffff;

    /// Returns the rank in a CARP advert.
    pub(super) const fn of_carp(dialect: Dialect, base: u8, skew: u8, demotion: u8) -> Self {
        let demotion = if matches!(dialect, Dialect::OpenBsd) { demotion } else { 0 };
        Self { demotion, timing: (base as u16) << 8 | skew as u16 }
    }

    /// Returns the rank in a VRRP advert.
    pub(super) const fn of_vrrp(priority: u8) -> Self {
        Self { demotion: 0, timing: 255 - priority as u16 }
    }

    /// Whether it says that its node has not all states, by the values of [`advertised`]. FreeBSD's skew is as large while it
    /// receives all states; OpenBSD's demotion is compared by itself.
    pub(super) const fn lacks_states(self, dialect: Dialect) -> bool {
        match dialect {
            Dialect::OpenBsd => false,
            Dialect::FreeBsd => self.timing & 0xff >= FREEBSD_MAX_SKEW as u16,
            Dialect::Vrrp3 => self.timing >= 255 - VRRP_GAVE_UP as u16,
        }
    }
}

/// The times of a node, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timing {
    /// From one advert to the next.
    pub(super) interval: Nanos,
    /// How much longer than three intervals a backup of this rank waits.
    pub(super) skew: Nanos,
    /// How long a backup waits in silence.
    pub(super) down: Nanos,
}

impl Timing {
    /// Returns CARP's times. A base of 0 counts the skew alone (OpenBSD).
    pub(super) const fn of_carp(base: u8, skew: u8) -> Self {
        let second = NANOS_PER_SECOND;
        let at_least_one = if skew == 0 { 1 } else { skew };
        if base == 0 {
            let interval = at_least_one as u64 * second / 256;
            return Self { interval, skew: 0, down: 3 * interval };
        }
        let (base, skew) = (base as u64 * second, skew as u64 * second / 256);
        Self { interval: base + skew, skew, down: 3 * base + skew }
    }

    /// Returns VRRP's times for the interval of the current master. In nanoseconds, unlike routers that count in hundredths
    /// of a second and so lose the skew of short intervals.
    pub(super) const fn of_vrrp(interval: Nanos, priority: u8) -> Self {
        let skew = (256 - priority as u64) * interval / 256;
        Self { interval, skew, down: 3 * interval + skew }
    }
}

/// Returns CARP's skew of a node: for a base of 0 it carries the interval too.
pub(super) fn own_skew(subsecond: u8, skew: u8) -> u8 {
    skew.saturating_add(subsecond).min(MAX_SKEW)
}

/// What a node puts on the wire for its priority and demotion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Advertised {
    /// CARP: `advskew`. VRRP: the priority.
    pub(super) value: u8,
    /// OpenBSD's demotion byte.
    pub(super) demotion: u8,
}

/// Whether a node knows what its peers know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// It has all states of its peers.
    Synced = 0,
    /// It asked for all states and got none.
    GaveUp = 1,
    /// It is receiving all states.
    Loading = 2,
}

/// The largest skew of an advert that is no farewell.
pub(super) const MAX_SKEW: u8 = 254;

/// Demotions of OpenBSD for a class, as in its rc scripts and pfsync(4): 32 while loading.
const OPENBSD_LOADING: u32 = 32;
const OPENBSD_GAVE_UP: u32 = 16;
const FREEBSD_MAX_SKEW: u32 = 240;
const FREEBSD_GAVE_UP: u32 = 120;
const VRRP_LOADING: u32 = 1;
const VRRP_GAVE_UP: u32 = 2;

/// Returns what to advertise. The classes never overlap: a node that is loading is worse than one that gave up, and both are
/// worse than any that has all states.
pub(super) fn advertised(dialect: Dialect, priority: u8, class: Class, demotion: u32) -> Advertised {
    let skew = u32::from(MAX_SKEW - priority);
    let (value, demotion) = match (dialect, class) {
        (Dialect::OpenBsd, Class::Synced) => (skew, demotion),
        (Dialect::OpenBsd, Class::GaveUp) => (skew, demotion.saturating_add(OPENBSD_GAVE_UP)),
        (Dialect::OpenBsd, Class::Loading) => (skew, demotion.saturating_add(OPENBSD_LOADING)),
        (Dialect::FreeBsd, Class::Loading) => (FREEBSD_MAX_SKEW, 0),
        (Dialect::FreeBsd, Class::GaveUp) => {
            (skew.saturating_add(demotion).saturating_add(FREEBSD_GAVE_UP).min(FREEBSD_MAX_SKEW - 1), 0)
        }
        (Dialect::FreeBsd, Class::Synced) => (skew.saturating_add(demotion).min(FREEBSD_MAX_SKEW), 0),
        (Dialect::Vrrp3, Class::Loading) => (VRRP_LOADING, 0),
        (Dialect::Vrrp3, Class::GaveUp) => (VRRP_GAVE_UP, 0),
        (Dialect::Vrrp3, Class::Synced) => {
            (u32::from(priority).saturating_sub(demotion).max(VRRP_GAVE_UP + 1), 0)
        }
    };
    let byte = |value: u32| value.min(255) as u8;
    Advertised { value: byte(value), demotion: byte(demotion) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Nanos = 1_000_000;

    #[test]
    fn times_are_those_of_the_protocols() {
        let carp = Timing::of_carp(1, 100);
        assert_eq!((carp.interval / MS, carp.down / MS), (1390, 3390));
        assert_eq!(Timing::of_carp(0, 0).interval, NANOS_PER_SECOND / 256, "never an endless stream");
        assert_eq!(Timing::of_vrrp(1000 * MS, 100).down / MS, 3609, "as keepalived waits");
        assert!(Timing::of_vrrp(10 * MS, 200).skew > 2 * MS, "short intervals keep their skew");
    }

    #[test]
    fn classes_never_overlap_on_the_wire_where_one_byte_carries_all() {
        for priority in 4..=254 {
            let of = |class, demotion| {
                let value = advertised(Dialect::Vrrp3, priority, class, demotion).value;
                Rank::of_vrrp(value)
            };
            assert!(of(Class::Synced, 500) < of(Class::GaveUp, 0));
            assert!(of(Class::GaveUp, 500) < of(Class::Loading, 0));
        }
        let freebsd = |class| advertised(Dialect::FreeBsd, 200, class, 0).value;
        assert_eq!([Class::Synced, Class::GaveUp, Class::Loading].map(freebsd), [54, 174, 240]);
        let openbsd = |class| advertised(Dialect::OpenBsd, 200, class, 1);
        assert_eq!(
            [Class::Synced, Class::GaveUp, Class::Loading].map(|class| openbsd(class).demotion),
            [1, 17, 33]
        );
        assert_eq!(openbsd(Class::Synced).value, 54);
    }

    #[test]
    fn openbsd_compares_the_demotion_first() {
        let demoted = Rank::of_carp(Dialect::OpenBsd, 1, 0, 1);
        let slower = Rank::of_carp(Dialect::OpenBsd, 1, 200, 0);
        assert!(slower < demoted);
        assert!(Rank::of_carp(Dialect::FreeBsd, 1, 0, 1) < Rank::of_carp(Dialect::FreeBsd, 1, 200, 0));
    }
}
