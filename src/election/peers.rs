//! What is known of the peers: who advertises, who left, the last hello of each, whether the host's own detector found the peer
//! dead, and whether its witness answers.

use super::Election;
use super::codec::hello::Hello;
use super::event::{EventKind, Role, Why};
use super::machine::Takeover;
use super::member::{Member, Rules};
use super::rank::{Dialect, Rank};
use crate::time::{NANOS_PER_SECOND, Nanos};
use arrayvec::ArrayVec;
use core::net::IpAddr;

/// Maximum number of peers. A further one replaces the one that was silent for longest.
const MAX_PEERS: usize = 8;
/// A peer that was silent for this long no longer counts.
const FORGOTTEN: Nanos = 60 * NANOS_PER_SECOND;

/// How often another node has taken over from the master, as far as adverts tell, and when it last did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Replaced {
    pub(super) count: u32,
    at: Nanos,
}

/// A peer's last hello and when it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Greeted {
    pub(super) hello: Hello,
    pub(super) at: Nanos,
    /// When it last said that it is master.
    pub(super) as_master_at: Option<Nanos>,
}

/// What all peers said last.
#[derive(Debug, Default)]
pub(super) struct Greetings(ArrayVec<Greeted, MAX_PEERS>);

impl Greetings {
    /// Notes a hello. Returns when its sender last said before that it is master, if it has not said backup since; `None` if the
    /// hello is not new.
    pub(super) fn note(&mut self, hello: &Hello, now: Nanos) -> Option<Option<Nanos>> {
        let known = self.0.iter().position(|greeted| greeted.hello.run == hello.run);
        let before = known.map(|index| self.0[index]);
        if before.is_some_and(|greeted| hello.sequence <= greeted.hello.sequence) {
            return None;
        }
        let was_master = before.and_then(|greeted| greeted.as_master_at);
        let as_master_at = match hello.role {
            Role::Master => Some(now),
            Role::Init => None,
            Role::Backup | Role::Listen => was_master,
        };
        if let Some(index) = known {
            self.0.remove(index);
        } else if self.0.is_full() {
            self.0.remove(0);
        }
        // The last one is the newest.
        self.0.push(Greeted { hello: *hello, at: now, as_master_at });
        // One that has become backup has left its role to another one: that it ends later is no farewell of the master.
        Some(was_master.filter(|_| before.is_some_and(|before| before.hello.role != Role::Backup)))
    }

    /// Returns the hello that came last.
    pub(super) fn last(&self) -> Option<&Greeted> {
        self.0.last()
    }

    /// Returns the peer that was master last, and when it said so.
    pub(super) fn master(&self) -> Option<(&Greeted, Nanos)> {
        let masters = self.0.iter().filter_map(|greeted| Some((greeted, greeted.as_master_at?)));
        masters.max_by_key(|(_, at)| *at)
    }

    /// Returns the shortest interval of a peer that lives.
    pub(super) fn shortest_interval(&self, now: Nanos) -> Option<Nanos> {
        let living = self.0.iter().filter(|greeted| now.saturating_sub(greeted.at) < FORGOTTEN);
        living.map(|greeted| greeted.hello.interval).min()
    }
}

impl Election {
    /// Returns a member of this group and one of another group of this host that have one id on one network, where no two groups
    /// may have the same: their frames could not be distinguished.
    #[must_use]
    pub fn shared_id(&self, other: &Self) -> Option<(usize, usize)> {
        let clash = |member: &Member| {
            other.members.iter().position(|theirs| shares_id((member, &self.rules), (theirs, &other.rules)))
        };
        self.members.iter().enumerate().find_map(|(index, member)| Some((index, clash(member)?)))
    }

    /// Returns port, VLAN and id of a member; zeros if there is no such member.
    #[must_use]
    pub fn network_of(&self, index: usize) -> (u16, u16, u8) {
        self.members.get(index).map_or((0, 0, 0), |member| (member.port, member.vlan, member.id))
    }

    /// Notes who advertises on a member.
    pub(super) fn note_source(&mut self, member: usize, source: IpAddr, now: Nanos) {
        let member = &mut self.members[member];
        let is_another = member.last_source.replace(source).is_some_and(|before| before != source);
        if is_another && member.replacements == self.replaced.count {
            self.replaced = Replaced { count: self.replaced.count.wrapping_add(1), at: now };
        }
        // After an interval the member has the new master's adverts too, or the former master is back.
        if is_another || now.saturating_sub(self.replaced.at) >= self.interval {
            member.replacements = self.replaced.count;
        }
    }

    /// Handles the farewell of a node. Only the master's counts: not one of a node that was replaced, whose farewell arrives late
    /// on this member, or that was master beside a better one.
    pub(super) fn receive_farewell(&mut self, member: usize, source: IpAddr, now: Nanos) {
        let from = &self.members[member];
        let is_masters =
            from.last_source.is_none_or(|last| last == source && from.replacements == self.replaced.count);
        if is_masters || self.role != Role::Backup {
            self.apply_farewell(now);
        }
    }

    fn apply_farewell(&mut self, now: Nanos) {
        match self.role {
            Role::Backup if now >= self.hold_until => {
                // The better a backup is, the sooner it acts.
                let timing = self.timing();
                let wait = timing.skew / 4 + self.intervals_later() * timing.interval;
                self.master = None;
                self.farewell_at = Some(now);
                // A later copy, on another member, moves the time no further.
                let waits = self.takeover.filter(|takeover| takeover.why == Why::Farewell);
                self.takeover = waits.or(Some(Takeover { at: now + wait, why: Why::Farewell }));
            }
            // Somebody else leaves: this node says at once that it is master, before a backup takes over.
            Role::Master => self.assert_role(now),
            _ => {}
        }
    }

    /// Reports a node whose interval is another one: the nodes then count their down times differently.
    pub(super) fn compare_intervals(
        &mut self,
        rank: Rank,
        interval: Nanos,
        from: Option<(usize, IpAddr)>,
        now: Nanos,
    ) {
        // CARP's interval grows with the skew, so only its base is compared, in seconds.
        let base = |base: u8, below_one: Nanos| match base {
            0 => below_one,
            seconds => u64::from(seconds) * NANOS_PER_SECOND,
        };
        let their_base = (rank.timing >> 8) as u8;
        let (ours, theirs, differs) = match self.rules.dialect {
            Dialect::Vrrp3 => (self.interval, interval, interval != self.interval),
            Dialect::OpenBsd | Dialect::FreeBsd => (
                base(self.rules.base as u8, self.interval),
                base(their_base, interval),
                u16::from(their_base) != self.rules.base,
            ),
        };
        self.other_interval = if differs { theirs } else { 0 };
        if differs {
            let (member, source) = from.unzip();
            self.event(EventKind::IntervalDiffers { ours, theirs }, member, source, now);
        }
    }

    /// Handles a hello of a peer node. Returns whether it was new.
    pub(super) fn apply_hello(&mut self, hello: &Hello, now: Nanos) -> bool {
        if hello.group != self.group || hello.run == self.run || hello.interval < self.rules.min_interval {
            return false;
        }
        let Some(was_master) = self.greetings.note(hello, now) else { return false };
        // Before the peer is master, only its hello tells.
        self.compare_intervals(hello.rank, hello.interval, None, now);
        let is_master = hello.role == Role::Master;
        let receives_adverts =
            self.members.iter().any(|member| now.saturating_sub(member.last_received) < 2 * self.interval);
        match self.role {
            Role::Listen if is_master => self.enter(Role::Backup, Why::BetterMaster, now),
            Role::Backup if is_master && !receives_adverts => {
                self.note_master(hello.rank, None, hello.interval, now);
            }
            // It left in order, and no advert said so.
            Role::Backup if hello.role == Role::Init && was_master > self.farewell_at => {
                self.apply_farewell(now);
            }
            Role::Master if is_master && !receives_adverts => {
                self.dispute(hello.rank, None, hello.interval, now)
            }
            Role::Master => self.note_mute(hello, now),
            _ => {}
        }
        true
    }

    /// The peer is well but does not hear us on a member: an event, but no demotion, since nobody can know whose fault it is.
    fn note_mute(&mut self, hello: &Hello, now: Nanos) {
        if hello.role != Role::Backup || now.saturating_sub(self.since) < 2 * self.timing().down {
            return;
        }
        for index in 0..self.members.len() {
            let bit = 1 << index;
            if self.members[index].is_up() && hello.members_up & !hello.members_received & bit != 0 {
                self.event(EventKind::MemberMute, Some(index), None, now);
            }
        }
    }

    /// Tells whether a witness answers: a third party that a node reaches unless it is cut off itself. A node that reaches
    /// neither the witness nor a peer is no master. A host that never tells has no witness.
    pub const fn witness(&mut self, answers: bool) {
        self.witness_answers = Some(answers);
    }

    /// Tells that the peer is down, as a host knows that runs BFD. A backup takes over at once.
    pub fn peer_down(&mut self, now: Nanos) {
        if self.role == Role::Backup && now >= self.listen_until.max(self.hold_until) {
            let at = now + self.intervals_later() * self.timing().interval;
            self.takeover = Some(Takeover { at, why: Why::PeerDown });
        }
    }

    /// Whether this node reaches neither the witness nor a peer: it may be the one that is cut off, so it must not be master.
    pub(super) fn is_isolated(&self, now: Nanos) -> bool {
        let down = self.timing().down;
        let is_recent = |at: Nanos| at > 0 && now.saturating_sub(at) < down;
        let receives_peer = self.greetings.last().is_some_and(|greeted| is_recent(greeted.at))
            || self.members.iter().any(|member| is_recent(member.last_received));
        self.witness_answers == Some(false) && !receives_peer
    }
}

/// Whether members of two groups have one virtual MAC address, or adverts that look alike. VRRP has a MAC address for each family.
fn shares_id((one, rules): (&Member, &Rules), (other, others): (&Member, &Rules)) -> bool {
    let has_second = |member: &Member, rules: &Rules| rules.dialect == Dialect::Vrrp3 && !member.is_v4();
    one.is_beside(other)
        && (one.is_v4() == other.is_v4() || has_second(one, rules) == has_second(other, others))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::election::{Class, Rank};

    fn hello(run: u64, sequence: u64, role: Role) -> Hello {
        let rank = Rank { demotion: 0, timing: 55 };
        let interval = run * 1_000_000;
        Hello {
            group: 0,
            role,
            class: Class::Synced,
            rank,
            demotion: 0,
            interval,
            members_up: 1,
            members_received: 1,
            run,
            sequence,
        }
    }

    #[test]
    fn a_backup_among_the_peers_does_not_hide_their_master() {
        let mut greetings = Greetings::default();
        assert_eq!(greetings.note(&hello(1, 1, Role::Master), 10), Some(None));
        assert_eq!(greetings.note(&hello(2, 1, Role::Backup), 11), Some(None));
        assert_eq!(greetings.master().map(|(greeted, at)| (greeted.hello.run, at)), Some((1, 10)));
        assert_eq!(greetings.note(&hello(1, 1, Role::Backup), 12), None, "not newer");
        assert_eq!(greetings.note(&hello(1, 2, Role::Backup), 13), Some(Some(10)));
        assert_eq!(greetings.master().map(|(_, at)| at), Some(10), "it may still be one");
        assert_eq!(greetings.note(&hello(1, 3, Role::Init), 14), Some(None), "it left the role before");
        assert!(greetings.master().is_none() && greetings.last().is_some_and(|last| last.at == 14));
    }

    #[test]
    fn peers_are_bounded_and_dead_ones_set_no_interval() {
        let mut greetings = Greetings::default();
        for run in 1..=20 {
            greetings.note(&hello(run, 1, Role::Backup), run * NANOS_PER_SECOND);
        }
        let now = 20 * NANOS_PER_SECOND;
        assert_eq!(greetings.shortest_interval(now), Some(13_000_000), "of the eight last ones");
        assert_eq!(greetings.shortest_interval(now + FORGOTTEN - 1), Some(20_000_000));
        assert_eq!(greetings.shortest_interval(now + FORGOTTEN), None);
    }
}
