//! What a node says of itself: its class, its rank, and the times that follow.

use super::Election;
use super::event::Role;
use super::rank::{Advertised, Class, Dialect, MAX_SKEW, Rank, Timing, advertised, own_skew};
use crate::time::Nanos;

impl Election {
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
        let later = match self.inputs.class {
            Class::Synced => 0,
            Class::GaveUp => 1,
            Class::Loading => 2,
        };
        Timing { down: timing.down + later * timing.interval, ..timing }
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
