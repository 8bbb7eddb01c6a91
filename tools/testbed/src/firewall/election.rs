//! How the firewalls elect their master, and how long that takes at most.

use super::Node;
use crate::clock::{MILLISECOND, Nanos, SECOND};

/// The protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// VRRP version 3.
    Vrrp,
    /// CARP by OpenBSD's rules.
    Carp,
}

/// VRID and vhid. The shared MAC addresses follow from it.
pub const ELECTION_ID: u8 = 1;
/// The pass-phrase of CARP.
pub const PASSPHRASE: &str = "pfplane-testbed";
/// What a busy machine may add to a takeover.
const DELAYS: Nanos = 10 * MILLISECOND;
/// A is preferred while nobody is master.
const PRIORITIES: [u8; 2] = [250, 240];

/// The settings of the election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Election {
    /// The protocol.
    pub protocol: Protocol,
    /// Milliseconds between two adverts.
    pub interval_ms: u32,
}

/// The shortest and the longest time from a master's death to the other firewall's first advert, without delays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakeoverBound {
    /// The master died just before its next advert was due.
    pub min: Nanos,
    /// The master died just after an advert.
    pub max: Nanos,
}

impl Protocol {
    /// Returns the protocol of this name.
    pub fn from_name(name: &str) -> Option<Protocol> {
        [Protocol::Vrrp, Protocol::Carp].into_iter().find(|protocol| protocol.name() == name)
    }

    /// Returns its name, as `ha-firewall --election` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Vrrp => "vrrp",
            Protocol::Carp => "carp",
        }
    }

    /// Returns the usual interval.
    pub fn default_interval_ms(self) -> u32 {
        match self {
            Protocol::Vrrp => 10,
            Protocol::Carp => 1000,
        }
    }
}

impl Election {
    /// Returns a firewall's priority.
    pub fn priority(self, node: Node) -> u8 {
        PRIORITIES[node as usize]
    }

    /// Returns the time in which `survivor` notices the death of the other: three intervals and its skew after the last
    /// advert, which is up to one interval old.
    pub fn takeover_bound(self, survivor: Node) -> TakeoverBound {
        let interval = Nanos::from(self.interval_ms) * MILLISECOND;
        let (max, between_adverts) = match self.protocol {
            Protocol::Vrrp => (3 * interval + interval * self.skew(survivor) / 256, interval),
            Protocol::Carp => {
                let skew = |node| SECOND * self.skew(node) / 256;
                (3 * interval + skew(survivor), interval + skew(survivor.other()))
            }
        };
        TakeoverBound { min: max - between_adverts, max }
    }

    /// Returns how long a takeover may take at most on a machine with other programs: by the bound and 10 ms, but at most
    /// four intervals.
    pub fn takeover_limit(self) -> Nanos {
        let bounds = [Node::A, Node::B].map(|survivor| self.takeover_bound(survivor).max + DELAYS);
        bounds[0].max(bounds[1]).min(4 * Nanos::from(self.interval_ms) * MILLISECOND)
    }

    /// VRRP's skew in 256ths of the interval; CARP's `advskew` in 256ths of a second.
    fn skew(self, node: Node) -> u64 {
        let best = if self.protocol == Protocol::Vrrp { 256 } else { 254 };
        best - u64::from(self.priority(node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vrrps_bound_is_three_intervals_and_the_skew() {
        let election = Election { protocol: Protocol::Vrrp, interval_ms: 10 };
        let skew = 10 * MILLISECOND * 16 / 256;
        let bound = election.takeover_bound(Node::B);
        assert_eq!(bound, TakeoverBound { min: 20 * MILLISECOND + skew, max: 30 * MILLISECOND + skew });
    }

    #[test]
    fn a_takeover_at_10_ms_may_take_40_ms_and_at_longer_intervals_10_ms_beyond_the_formula() {
        let limit = |protocol, interval_ms| Election { protocol, interval_ms }.takeover_limit();
        assert_eq!(limit(Protocol::Vrrp, 10), 40 * MILLISECOND);
        assert_eq!(limit(Protocol::Vrrp, 100), 316 * MILLISECOND + MILLISECOND / 4);
        assert_eq!(limit(Protocol::Carp, 1000), 3010 * MILLISECOND + SECOND * 14 / 256);
    }

    #[test]
    fn carps_bound_counts_the_skew_of_both() {
        let election = Election { protocol: Protocol::Carp, interval_ms: 1000 };
        let TakeoverBound { min, max } = election.takeover_bound(Node::B);
        assert_eq!(max, 3 * SECOND + SECOND * 14 / 256);
        assert_eq!(max - min, SECOND + SECOND * 4 / 256);
    }

    #[test]
    fn a_protocol_is_found_by_its_name() {
        for protocol in [Protocol::Vrrp, Protocol::Carp] {
            assert_eq!(Protocol::from_name(protocol.name()), Some(protocol));
        }
        assert_eq!(Protocol::from_name("none"), None);
    }
}
