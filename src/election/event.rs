//! Roles, and the events that the host reads: what happened, where, and who caused it.

use crate::error::Error;
use crate::memory::{Heap, List, Ring};
use crate::time::{NANOS_PER_SECOND, Nanos};
use core::net::IpAddr;

/// The role of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// No member is up, or the node may not be master: silent, owns nothing.
    Init = 0,
    /// Another node is master, or nobody yet.
    Backup = 1,
    /// This node forwards, while its lease lasts.
    Master = 2,
    /// It was master before a pause and listens whether another node has taken over.
    Listen = 3,
}

impl Role {
    pub(super) const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Init,
            1 => Self::Backup,
            2 => Self::Master,
            3 => Self::Listen,
            _ => return None,
        })
    }
}

/// Why a group has its role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Why {
    /// The election has just begun.
    Started = 0,
    /// A member's link came up.
    LinkUp = 1,
    /// No member's link is up.
    LinksDown = 2,
    /// The host forbids to be master.
    Fault = 3,
    /// The master was silent.
    Silence = 4,
    /// The master said farewell.
    Farewell = 5,
    /// The host says that the peer is down.
    PeerDown = 6,
    /// This node is the better one, and preemption is on.
    Preemption = 7,
    /// The master is demoted more than this node.
    MasterDemoted = 8,
    /// Another master is better.
    BetterMaster = 9,
    /// The host asked to step down.
    SteppedDown = 10,
    /// The host called too late.
    LatePoll = 11,
    /// After a late call, nobody had taken over.
    NobodyElse = 12,
    /// Neither a peer nor the witness is reachable.
    Isolated = 13,
    /// A peer or the witness is reachable again.
    Reachable = 14,
}

/// Why an advert was refused, where that has no event of its own. An advert of another group is no fault and has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Refusal {
    /// A damaged IP header, options or extension headers.
    Header = 0,
    /// It was forwarded.
    Ttl = 1,
    /// A wrong length.
    Length = 2,
    /// A wrong checksum.
    Checksum = 3,
    /// Another protocol version.
    Version = 4,
    /// An interval of zero or below the minimum.
    Interval = 5,
    /// From an address that is no peer's, or over IPv6 not link-local.
    Source = 6,
    /// One of our own, received back.
    Looped = 7,
    /// Too many within a second.
    Limited = 8,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Header,
        Self::Ttl,
        Self::Length,
        Self::Checksum,
        Self::Version,
        Self::Interval,
        Self::Source,
        Self::Looped,
        Self::Limited,
    ];

    /// Returns the name of the member's counter.
    #[must_use]
    pub const fn counter(self) -> &'static core::ffi::CStr {
        match self {
            Self::Header => c"hdrops",
            Self::Ttl => c"badttl",
            Self::Length => c"badlen",
            Self::Checksum => c"badsum",
            Self::Version => c"badver",
            Self::Interval => c"badinterval",
            Self::Source => c"badsource",
            Self::Looped => c"adverts_looped",
            Self::Limited => c"adverts_limited",
        }
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The role changed.
    Role {
        /// The role before.
        from: Role,
        /// The role now.
        to: Role,
        /// Why.
        why: Why,
    },
    /// Another node is master too, and worse.
    Conflict,
    /// Another node advertises exactly what this one does: give them different priorities.
    Equal,
    /// The master is received elsewhere, but not on this member.
    MemberDeaf,
    /// The peer is well, but does not hear this node on this member.
    MemberMute,
    /// An advert lists other addresses.
    AddressesDiffer,
    /// A node advertises at another interval.
    IntervalDiffers {
        /// This node's interval. CARP: its base, if that is not 0.
        ours: Nanos,
        /// The other node's.
        theirs: Nanos,
    },
    /// A digest is wrong: another pass-phrase, or other addresses.
    BadDigest,
    /// A checksum is right in the manner of the other RFC.
    ChecksumOtherManner,
    /// Multicast where peers are configured, or unicast where none are.
    WrongMode,
    /// The host called too late.
    LatePoll,
    /// A counter came twice with different values: a replay.
    Contradicted,
    /// An advert was refused for a reason that has no kind of its own.
    Refused(Refusal),
    /// This many events were lost, because the host did not read them.
    Lost(u32),
}

/// An event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Nanos,
    /// What.
    pub kind: EventKind,
    /// The member that it concerns.
    pub member: Option<u8>,
    /// Who sent what caused it.
    pub source: Option<IpAddr>,
}

/// Number of kinds that are limited to one a second and member. Each reason to refuse an advert counts as one.
const LIMITED: usize = 11 + Refusal::ALL.len();

impl EventKind {
    /// Returns the number of a limited kind. Changes of the role are never left out.
    const fn limited(&self) -> Option<usize> {
        Some(match self {
            Self::Role { .. } | Self::Lost(_) => return None,
            Self::Conflict => 0,
            Self::Equal => 1,
            Self::MemberDeaf => 2,
            Self::MemberMute => 3,
            Self::AddressesDiffer => 4,
            Self::IntervalDiffers { .. } => 5,
            Self::BadDigest => 6,
            Self::ChecksumOtherManner => 7,
            Self::WrongMode => 8,
            Self::LatePoll => 9,
            Self::Contradicted => 10,
            Self::Refused(refusal) => 11 + *refusal as usize,
        })
    }
}

/// Events that the host has not read yet.
#[derive(Debug)]
pub(super) struct Events {
    queue: Ring<Event>,
    lost: u32,
    /// When an event of a kind and member last came.
    last: List<[Option<Nanos>; LIMITED]>,
}

/// Capacity of the queue.
const CAPACITY: usize = 64;

impl Events {
    pub(super) fn new(members: usize, heap: Heap) -> Result<Self, Error> {
        const WHAT: &str = "events of an election";
        let last = heap.list_of(WHAT, members + 1, |_| [None; LIMITED])?;
        Ok(Self { queue: Ring::new(heap, WHAT, CAPACITY)?, lost: 0, last })
    }

    /// Adds an event. Each kind but a change of the role comes once a second and member at most.
    pub(super) fn push(&mut self, event: Event) {
        if let Some(kind) = event.kind.limited() {
            let member = event.member.map_or(0, |member| usize::from(member) + 1);
            let last = &mut self.last[member][kind];
            if last.is_some_and(|last| event.at.saturating_sub(last) < NANOS_PER_SECOND) {
                return;
            }
            *last = Some(event.at);
        }
        let is_queued = self.queue.push(event);
        self.lost = self.lost.saturating_add(u32::from(!is_queued));
    }

    /// Takes the oldest event; after the last one, the number of those lost.
    pub(super) fn pop(&mut self, now: Nanos) -> Option<Event> {
        self.queue.pop().or_else(|| {
            let lost = core::mem::take(&mut self.lost);
            (lost > 0).then_some(Event { at: now, kind: EventKind::Lost(lost), member: None, source: None })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at: Nanos, kind: EventKind) -> Event {
        Event { at, kind, member: Some(0), source: None }
    }

    #[test]
    fn a_kind_comes_once_a_second_but_every_change_of_the_role() {
        let mut events = Events::new(1, Heap::SYSTEM).unwrap();
        for at in 0..3 {
            events.push(event(at, EventKind::BadDigest));
            events
                .push(event(at, EventKind::Role { from: Role::Backup, to: Role::Master, why: Why::Silence }));
        }
        events.push(event(NANOS_PER_SECOND, EventKind::BadDigest));
        let kinds: Vec<_> = core::iter::from_fn(|| events.pop(0)).map(|event| event.kind).collect();
        let count = |wanted| kinds.iter().filter(|kind| **kind == wanted).count();
        assert_eq!((kinds.len(), count(EventKind::BadDigest)), (5, 2));
    }

    #[test]
    fn each_refusal_has_a_counter_and_a_limit_of_its_own() {
        let mut events = Events::new(1, Heap::SYSTEM).unwrap();
        for refusal in Refusal::ALL.into_iter().chain(Refusal::ALL) {
            events.push(event(5, EventKind::Refused(refusal)));
            let counted =
                crate::election::MemberCounters::LIST.iter().any(|counter| counter.name == refusal.counter());
            assert!(counted, "{refusal:?}");
        }
        assert_eq!(core::iter::from_fn(|| events.pop(9)).count(), Refusal::ALL.len());
    }

    #[test]
    fn events_that_nobody_reads_are_counted() {
        let mut events = Events::new(1, Heap::SYSTEM).unwrap();
        for at in 0..CAPACITY as u64 + 5 {
            events.push(event(at * NANOS_PER_SECOND, EventKind::Conflict));
        }
        let all: Vec<_> = core::iter::from_fn(|| events.pop(9)).collect();
        assert_eq!(all.len(), CAPACITY + 1);
        assert_eq!(all.last().unwrap().kind, EventKind::Lost(5));
    }
}
