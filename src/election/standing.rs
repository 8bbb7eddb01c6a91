//! What a node says of itself: its class, its rank, and the times that follow.

use super::Election;
use super::event::{Role, Why};
use super::rank::{Advertised, Class, Dialect, MAX_SKEW, Rank, Timing, advertised, own_skew};
use crate::time::Nanos;
use core::net::IpAddr;

/// What a group is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectionStatus {
    /// Its role.
    pub role: Role,
    /// Why it has the role.
    pub why: Why,
    /// Since when.
    pub since: Nanos,
    /// What it advertises, or would.
    pub rank: Rank,
    /// Whether it knows what its peers know.
    pub class: Class,
    /// Its demotion.
    pub demotion: u32,
    /// The master that it received last, and when. `None` while it is master itself.
    pub master: Option<(IpAddr, Nanos)>,
    /// The interval of a node whose interval is another one.
    pub other_interval: Option<Nanos>,
    /// When the peer last said hello.
    pub greeted: Option<Nanos>,
    /// Changes of the role since the start.
    pub role_changes: u64,
    /// Calls that came too late while it was master.
    pub late_polls: u64,
}

impl Election {
    /// Returns what the group is doing.
    #[must_use]
    pub fn status(&self) -> ElectionStatus {
        ElectionStatus {
            role: self.role,
            why: self.why,
            since: self.since,
            rank: self.rank(),
            class: self.class(),
            demotion: self.inputs.demotion(),
            master: self.master.and_then(|master| Some((master.source?, master.at))),
            other_interval: (self.other_interval > 0).then_some(self.other_interval),
            greeted: self.greetings.last().map(|greeted| greeted.at),
            role_changes: self.role_changes,
            late_polls: self.late_polls,
        }
    }

    /// Returns the number of the group.
    #[must_use]
    pub const fn group(&self) -> u32 {
        self.group
    }

    /// The class that counts: a master that once had all states is right by definition, whatever it loads later.
    pub(super) fn class(&self) -> Class {
        let is_master = matches!(self.role, Role::Master | Role::Listen);
        if is_master && self.is_proven { Class::Synced } else { self.inputs.class }
    }

    /// What this node puts into its adverts.
    pub(super) fn advertised(&self) -> Advertised {
        let says = advertised(self.rules.dialect, self.priority, self.class(), self.inputs.demotion());
        match self.rules.dialect {
            Dialect::Vrrp3 => says,
            Dialect::OpenBsd | Dialect::FreeBsd => {
                Advertised { value: own_skew(self.subsecond_skew, says.value), ..says }
            }
        }
    }

    pub(super) fn rank(&self) -> Rank {
        let says = self.advertised();
        match self.rules.dialect {
            Dialect::Vrrp3 => Rank::of_vrrp(says.value),
            dialect => Rank::of_carp(dialect, self.rules.base as u8, says.value, says.demotion),
        }
    }

    /// The times of this node, as a backup counts them: without its demotion, and longer while it has not all states, so that
    /// of two backups the one that has them is first.
    pub(super) fn timing(&self) -> Timing {
        let timing = match self.rules.dialect {
            Dialect::Vrrp3 => {
                Timing::of_vrrp(self.master.map_or(self.interval, |master| master.interval), self.priority)
            }
            _ => Timing::of_carp(
                self.rules.base as u8,
                own_skew(self.subsecond_skew, MAX_SKEW - self.priority),
            ),
        };
        Timing { down: timing.down + self.intervals_later() * timing.interval, ..timing }
    }

    /// Returns how many intervals longer than a node with all states this one waits before it takes over.
    pub(super) const fn intervals_later(&self) -> u64 {
        match self.inputs.class {
            Class::Synced => 0,
            Class::GaveUp => 1,
            Class::Loading => 2,
        }
    }

    /// How long an advert makes us master: three intervals of the node whose is shortest, less a quarter of one for clocks that
    /// differ.
    pub(super) fn lease_length(&self, now: Nanos) -> Nanos {
        let interval =
            self.greetings.shortest_interval(now).map_or(self.interval, |peer| peer.min(self.interval));
        3 * interval - interval / 4
    }

    /// Time between our adverts. CARP adds the skew, with the demotion.
    pub(super) fn timing_of_adverts(&self) -> Nanos {
        match self.rules.dialect {
            Dialect::Vrrp3 => self.interval,
            _ => {
                let [base, skew] = self.rank().timing.to_be_bytes();
                Timing::of_carp(base, skew).interval
            }
        }
    }
}
