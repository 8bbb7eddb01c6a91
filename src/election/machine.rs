//! The rules: who becomes master and who steps down. Everything here is decided from what was received and the time.

use super::Election;
use super::codec::frame::Frame;
use super::codec::hello::Hello;
use super::config::Silence;
use super::event::{Event, EventKind, Role, Why};
use super::member::{Announced, ReceivedAdvert};
use super::rank::{Class, Dialect, Rank};
use crate::time::Nanos;
use core::cmp::Ordering;
use core::net::IpAddr;

/// How long a master that steps down continues to forward at most, until it receives the next one, beyond the time that a backup
/// waits after a farewell.
const HANDOVER: Nanos = 50_000_000;
/// How long a CARP backup waits after a farewell at most: a quarter of the largest skew.
const MAX_CARP_WAIT: Nanos = 250_000_000;
/// How long a node continues to forward once it has received the next master. Switches learn of that from its adverts, one after
/// the other on each member, and packets that they sent here before are still in flight.
const CROSSING: Nanos = 1_000_000;
/// How long a node that hands over continues to forward once it has received the next master on the first member: the adverts of a
/// round are this far apart if their sender is interrupted.
const ROUND: Nanos = 10_000_000;

/// The master, as last received.
#[derive(Clone, Copy, Debug)]
pub(super) struct Master {
    pub(super) rank: Rank,
    pub(super) source: Option<IpAddr>,
    pub(super) interval: Nanos,
    pub(super) at: Nanos,
}

/// A takeover that has been decided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Takeover {
    pub(super) at: Nanos,
    pub(super) why: Why,
}

impl Election {
    // ---- What was received ----

    /// After a pause, what was queued meanwhile comes at once. This node decides nothing before it has received it: a master that
    /// lives advertises within an interval.
    pub(super) fn expect_backlog(&mut self, now: Nanos) {
        let pause = now.saturating_sub(self.last_call);
        if pause > 2 * self.interval && self.paused_at != Some(self.last_call) {
            self.paused_at = Some(self.last_call);
            self.settle_until = now + self.interval + self.interval / 4;
            let intervals = pause / self.interval;
            self.members.iter_mut().for_each(|member| member.expect_backlog(intervals, now));
        }
    }

    /// Reads an advert that came to member number `index`.
    pub(super) fn receive_advert(&mut self, index: usize, frame: &Frame<'_>, now: Nanos) {
        if !self.members[index].is_up() {
            return;
        }
        // Both families of a group have one digest, so a stranger can send the advert of one back in a packet of the other.
        let ours = self
            .members
            .iter()
            .any(|member| member.is_beside(&self.members[index]) && member.has_sent(frame.payload));
        match self.members[index].read(frame, &self.rules, ours, now) {
            Ok(received) => self.apply_advert(index, &received, now),
            Err(Some(kind)) => self.event(kind, Some(index), Some(frame.source), now),
            Err(None) => {}
        }
    }

    /// Handles a valid advert of another node.
    pub(super) fn apply_advert(&mut self, member: usize, received: &ReceivedAdvert, now: Nanos) {
        if received.farewell {
            return self.receive_farewell(member, received.source, now);
        }
        self.note_source(member, received.source, now);
        self.members[member].last_received = now;
        self.members[member].is_deaf = false;
        self.compare_intervals(received.rank, received.interval, Some((member, received.source)), now);
        if received.repeats_counter {
            self.event(EventKind::Contradicted, Some(member), Some(received.source), now);
        }
        match self.role {
            Role::Init => {}
            Role::Listen => self.enter(Role::Backup, Why::BetterMaster, now),
            Role::Backup => {
                self.note_next_master(member, now);
                self.warn_of_equal(received.rank, member, received.source, now);
                self.note_master(received.rank, Some(received.source), received.interval, now);
            }
            Role::Master => {
                self.dispute(received.rank, Some((member, received.source)), received.interval, now)
            }
        }
    }

    /// A master that advertises what this node would, both at their best: who takes over would be left to chance.
    fn warn_of_equal(&mut self, theirs: Rank, member: usize, source: IpAddr, now: Nanos) {
        let is_at_best = self.inputs.class == Class::Synced && self.inputs.demotion() == 0;
        if is_at_best && theirs == self.rank() {
            self.event(EventKind::Equal, Some(member), Some(source), now);
        }
    }

    /// Notes a master. A worse one that appears beside it does not count: those two settle it.
    pub(super) fn note_master(&mut self, rank: Rank, source: Option<IpAddr>, interval: Nanos, now: Nanos) {
        let down = self.timing().down;
        let is_worse = |known: &Master| known.source != source && known.rank < rank;
        if !self.master.as_ref().is_some_and(|known| now.saturating_sub(known.at) < down && is_worse(known)) {
            self.master = Some(Master { rank, source, interval, at: now });
        }
        if self.takeover.is_some_and(|takeover| matches!(takeover.why, Why::Farewell | Why::PeerDown)) {
            self.takeover = None;
        }
    }

    /// Two masters: the better one stays.
    pub(super) fn dispute(
        &mut self,
        theirs: Rank,
        from: Option<(usize, IpAddr)>,
        interval: Nanos,
        now: Nanos,
    ) {
        let ours = self.rank();
        let mut order = ours.cmp(&theirs);
        if order == Ordering::Equal {
            let (member, source) = from.unzip();
            self.event(EventKind::Equal, member, source, now);
            // Both nodes decide alike: by the run if they say hello, since addresses may be ordered differently on two members;
            // otherwise the higher address stays, as VRRP has it.
            order =
                match (self.greetings.master().map(|(greeted, _)| greeted).or(self.greetings.last()), from) {
                    (Some(greeted), _) => greeted.hello.run.cmp(&self.run),
                    (None, Some((member, source))) => source.cmp(&self.members[member].own_address()),
                    (None, None) => Ordering::Equal,
                };
        }
        if order == Ordering::Greater {
            // One more advert, so that the other one knows of the conflict and announces itself again.
            self.last_word(Announced::Rank(self.advertised()));
            let until = self.forwarding.until();
            self.enter(Role::Backup, Why::BetterMaster, now);
            self.forwarding.set_until(until);
            self.end_forwarding(now, CROSSING);
            self.note_master(theirs, from.map(|(_, source)| source), interval, now);
            return;
        }
        let (member, source) = from.unzip();
        self.event(EventKind::Conflict, member, source, now);
        self.assert_role(now);
        // After the last frame of the other one: each one that is received moves it.
        self.announcer.after_conflict(now + self.interval / 4);
    }

    /// Sends an advert at once, at most four an interval, whatever a stranger sends.
    pub(super) fn assert_role(&mut self, now: Nanos) {
        if now.saturating_sub(self.asserted) >= self.interval / 4 {
            self.asserted = now;
            self.advert_due = now;
        }
    }

    // ---- What time brings ----

    /// Whether a master was not called for so long that another node may have taken over.
    fn is_late(&self, now: Nanos) -> bool {
        let since = now.saturating_sub(self.last_call);
        self.role == Role::Master && (since > 2 * self.interval || now >= self.forwarding.until())
    }

    pub(super) fn listen_if_late(&mut self, now: Nanos) {
        if self.is_late(now) {
            self.listen(now);
        }
    }

    fn listen(&mut self, now: Nanos) {
        self.event(EventKind::LatePoll, None, None, now);
        self.late_polls += 1;
        self.enter(Role::Listen, Why::LatePoll, now);
        self.listen_until = now + self.interval + self.interval / 4;
    }

    /// Judges links, silence and takeovers that are due.
    pub(super) fn judge(&mut self, now: Nanos) {
        self.is_proven |= self.role == Role::Master && self.inputs.class == Class::Synced;
        if self.inputs.class != Class::Synced {
            self.synced_since = None;
        } else if self.synced_since.is_none() {
            self.synced_since = Some(now);
        }
        let is_linked = self.members.iter().any(super::member::Member::is_up);
        let may_run = is_linked && !self.inputs.forbidden() && !self.is_isolated(now);
        match self.role {
            Role::Init if may_run => self.begin(now),
            Role::Init => {}
            _ if !may_run => self.stop(now),
            Role::Listen if now >= self.listen_until.max(self.settle_until) => {
                self.enter(Role::Master, Why::NobodyElse, now)
            }
            Role::Backup => self.judge_as_backup(now),
            _ => {}
        }
    }

    fn begin(&mut self, now: Nanos) {
        let why = match self.why {
            Why::Started => Why::Started,
            Why::Isolated => Why::Reachable,
            _ => Why::LinkUp,
        };
        self.enter(Role::Backup, why, now);
        self.listen_until = now + self.timing().down.max(self.start_hold);
    }

    fn stop(&mut self, now: Nanos) {
        let why = if self.inputs.forbidden() {
            Why::Fault
        } else if self.members_up() == 0 {
            Why::LinksDown
        } else {
            Why::Isolated
        };
        if self.role == Role::Master {
            self.last_word(Announced::Farewell);
        }
        self.enter(Role::Init, why, now);
    }

    fn judge_as_backup(&mut self, now: Nanos) {
        if now < self.hold_until.max(self.settle_until) {
            return;
        }
        match (self.wish(now), self.takeover) {
            (Some((why, wait)), None) => self.takeover = Some(Takeover { at: now + wait, why }),
            (None, Some(Takeover { why: Why::Preemption | Why::MasterDemoted, .. })) => self.takeover = None,
            _ => {}
        }
        if let Some(takeover) = self.takeover.filter(|takeover| now >= takeover.at) {
            return self.enter(Role::Master, takeover.why, now);
        }
        if now >= self.listen_until && self.is_silent(now) {
            self.enter(Role::Master, Why::Silence, now);
        }
    }

    /// Whether this node wants to replace a master that is alive: why, and after which time.
    fn wish(&self, now: Nanos) -> Option<(Why, Nanos)> {
        let timing = self.timing();
        let master = self.master.filter(|master| now.saturating_sub(master.at) < timing.down)?;
        let synced_since = self.synced_since?;
        if self.rank() >= master.rank {
            return None;
        }
        let demotion = self.inputs.demotion();
        let greeted = self.greetings.master().filter(|(_, at)| now.saturating_sub(*at) < timing.down);
        let is_worse =
            |hello: Hello| hello.class > Class::Synced || u32::from(hello.demotion) > demotion.min(0xffff);
        let demoted = self.rules.dialect == Dialect::OpenBsd && master.rank.demotion > self.rank().demotion;
        let lacks_states = |rank: Rank| rank.lacks_states(self.rules.dialect);
        let demoted = demoted || lacks_states(master.rank) && !lacks_states(self.rank());
        if demoted || greeted.is_some_and(|(greeted, _)| is_worse(greeted.hello)) {
            // Not at once: adverts cross.
            return Some((Why::MasterDemoted, timing.interval));
        }
        (self.preempt && now.saturating_sub(synced_since) >= self.preempt_delay)
            .then_some((Why::Preemption, 0))
    }

    /// Whether the master is silent, by the rule that is set.
    fn is_silent(&mut self, now: Nanos) -> bool {
        let down = self.timing().down;
        let since = |at: Nanos, entered: Nanos| now.saturating_sub(at.max(entered)) >= down;
        let hello_is_silent = self.greetings.master().is_none_or(|(_, at)| since(at, self.since));
        let mut silent = 0_u32;
        let mut up = 0_u32;
        for (index, member) in self.members.iter().enumerate() {
            let Some(up_since) = member.up_since else { continue };
            up |= 1 << index;
            if since(member.last_received, self.since.max(up_since)) {
                silent |= 1 << index;
            }
        }
        let is_silent = if self.needs_all(down) { silent == up && hello_is_silent } else { silent != 0 };
        if silent != 0 && !is_silent {
            self.note_deaf(silent, now);
        }
        is_silent
    }

    /// Returns when a path becomes silent next, or a time ends in which this node only listens: a backup may act then.
    pub(super) fn next_silence(&self, now: Nanos) -> Nanos {
        let down = self.timing().down;
        let members =
            self.members.iter().filter_map(|member| Some(member.last_received.max(member.up_since?)));
        let hello = self.greetings.master().map(|(_, at)| at);
        let ends = members.chain(hello).map(|at| at.max(self.since) + down);
        let listened = [self.listen_until, self.hold_until, self.settle_until];
        ends.chain(listened).filter(|&end| end > now).min().unwrap_or(Nanos::MAX)
    }

    /// Whether silence counts on all paths only: if it is set so, or if the peer said hello when an advert last came.
    fn needs_all(&self, down: Nanos) -> bool {
        let last_advert = self.members.iter().map(|member| member.last_received).max().unwrap_or(0);
        match self.silence {
            Silence::All => true,
            Silence::Any => false,
            Silence::Automatic => {
                self.greetings.last().is_some_and(|greeted| last_advert.saturating_sub(greeted.at) <= down)
            }
        }
    }

    fn note_deaf(&mut self, silent: u32, now: Nanos) {
        for index in 0..self.members.len() {
            if silent & 1 << index != 0 && !self.members[index].is_deaf {
                self.members[index].is_deaf = true;
                self.event(EventKind::MemberDeaf, Some(index), None, now);
            }
        }
    }

    // ---- Changes of the role ----

    pub(super) fn enter(&mut self, role: Role, why: Why, now: Nanos) {
        let from = core::mem::replace(&mut self.role, role);
        (self.why, self.since, self.takeover) = (why, now, None);
        self.role_changes += u64::from(from != role);
        let event = Event {
            at: now,
            kind: EventKind::Role { from, to: role, why },
            member: None,
            source: self.master.and_then(|master| master.source),
        };
        self.events.push(event);
        self.hands_over_on = 0;
        self.forwarding.set_master(role == Role::Master);
        if role == Role::Master {
            self.master = None;
            self.advert_due = now;
            self.last_call = now;
            self.announcer.begin(now);
        } else {
            self.is_proven &= role == Role::Listen;
            self.round.cancel();
            self.announcer.stop();
            self.forwarding.set_until(0);
        }
    }

    /// Steps down in order: says farewell, and continues to forward until the next master is received on all members, each of
    /// which may be a network whose switches have to learn of it.
    pub(super) fn hand_over(&mut self, hold: Nanos, now: Nanos) {
        // Stock VRRP routers wait for all of their skew, which is below an interval.
        let wait = if self.rules.dialect == Dialect::Vrrp3 { self.interval } else { MAX_CARP_WAIT };
        let until = self.forwarding.until().min(now.saturating_add(wait + HANDOVER));
        match self.role {
            Role::Master => {
                self.last_word(Announced::Farewell);
                self.enter(Role::Backup, Why::SteppedDown, now);
                self.forwarding.set_until(until);
                self.hands_over_on = self.members_up();
            }
            // It was stopped and another one may be master: it does not speak.
            Role::Listen => self.enter(Role::Backup, Why::SteppedDown, now),
            _ => {}
        }
        self.hold_until = now.saturating_add(hold);
    }

    /// Another master was received on a member: a node that hands over ends soon after it was on all that are up.
    fn note_next_master(&mut self, member: usize, now: Nanos) {
        if self.hands_over_on == 0 {
            return;
        }
        self.hands_over_on &= self.members_up() & !(1 << member);
        self.end_forwarding(now, if self.hands_over_on == 0 { CROSSING } else { ROUND });
    }

    /// A node that still forwards ends soon.
    fn end_forwarding(&mut self, now: Nanos, after: Nanos) {
        self.forwarding.set_until(self.forwarding.until().min(now.saturating_add(after)));
    }

    /// Queues adverts on all members that are up, and renews the lease.
    pub(super) fn advertise(&mut self, now: Nanos) {
        self.advert_due = now + self.timing_of_adverts();
        self.last_round_at = now;
        self.round.begin(Announced::Rank(self.advertised()), self.members_up(), false);
        self.lease_before = self.forwarding.until();
        self.forwarding.set_until(now + self.lease_length(now));
    }

    fn last_word(&mut self, announced: Announced) {
        self.last_round.begin(announced, self.members_up(), true);
    }

    pub(super) fn members_up(&self) -> u32 {
        self.members.iter().enumerate().fold(0, |up, (index, member)| up | u32::from(member.is_up()) << index)
    }

    pub(super) fn event(
        &mut self,
        kind: EventKind,
        member: Option<usize>,
        source: Option<IpAddr>,
        now: Nanos,
    ) {
        self.events.push(Event { at: now, kind, member: member.map(|index| index as u8), source });
    }
}
