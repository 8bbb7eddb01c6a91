//! What the library says of one packet.

use crate::limits::SourceRefusal;
use crate::packet::{Rejection, TranslateError};
use crate::table::Slot;

/// What the host is to do with a packet. The numbers are those of the C door and never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Action {
    /// Forward it: a state allows it.
    Pass = 1,
    /// No state: the host's rules decide, and `Lane::create` makes the state.
    New = 2,
    /// Drop it, for [`Verdict::reason`].
    Drop = 3,
    /// Hand it to lane [`Verdict::lane`], which owns its key.
    HandOff = 4,
    /// Keep it until it is released.
    Held = 5,
    /// A pfsync packet: never tracked; one from the sync port goes to `Lane::receive`.
    Sync = 6,
    /// Neither IPv4 nor IPv6.
    NotIp = 7,
    /// A fragment: to be reassembled by the host, or judged by its rules.
    Fragment = 8,
    /// The headers are not in the first piece: the host makes it contiguous and asks again.
    NotContiguous = 9,
    /// It is to be translated and its memory belongs to others too: the host copies it and asks again.
    NotWritable = 10,
}

/// Why a packet is to be dropped. The numbers are those of the C door and never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    /// It is not to be dropped.
    None = 0,
    /// It ends before what its headers promise.
    Truncated = 1,
    /// Its headers contradict themselves.
    Malformed = 2,
    /// A TCP segment outside the window.
    Window = 3,
    /// A SYN on an established connection: pf answers with a challenge acknowledgement.
    ChallengeAck = 4,
    /// A TCP segment outside the window while both sides are opening: pf answers with a reset.
    Reset = 5,
    /// There is no room for another state.
    TableFull = 6,
    /// The state's key belongs to another state.
    KeyCollision = 7,
    /// The state refuses it for another cause, for instance an ICMP reply against the state's direction.
    State = 8,
    /// It is of a kind that cannot make a state, for instance an ICMP error.
    NoState = 9,
    /// There is no translation of such a packet.
    Translation = 10,
    /// No port of the range is free.
    NoPort = 11,
    /// So many sources have states already.
    Sources = 12,
    /// Its source has so many states already.
    SourceStates = 13,
    /// Its source has opened so many connections already.
    SourceConnections = 14,
    /// Its source opens connections too fast.
    SourceConnectionRate = 15,
    /// Its source makes states too fast.
    SourceNewRate = 16,
    /// There is no room to count its source.
    SourcesFull = 17,
    /// So many TCP connections are not open yet.
    HalfOpen = 18,
}

impl From<SourceRefusal> for Reason {
    fn from(refusal: SourceRefusal) -> Self {
        match refusal {
            SourceRefusal::Sources => Self::Sources,
            SourceRefusal::States => Self::SourceStates,
            SourceRefusal::Connections => Self::SourceConnections,
            SourceRefusal::ConnectionRate => Self::SourceConnectionRate,
            SourceRefusal::NewRate => Self::SourceNewRate,
            SourceRefusal::Full => Self::SourcesFull,
        }
    }
}

/// What is to be done with one packet, and which state said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What to do.
    pub action: Action,
    /// Why, when it is to be dropped.
    pub reason: Reason,
    /// The lane that is to have it, when it is to be handed off.
    pub lane: u16,
    /// Whether it went against the way of the state's first packet.
    pub reverse: bool,
    /// Whether the packet was rewritten; or, where packets are left as they are, whether it is to be.
    pub translated: bool,
    /// By how many bytes the packet's beginning has moved, towards its end.
    pub moved: i16,
    /// The state's place in this lane, or [`Slot::NONE`].
    pub slot: Slot,
}

impl Verdict {
    /// `action` without a state.
    #[inline]
    #[must_use]
    pub const fn plain(action: Action) -> Self {
        let (reason, slot) = (Reason::None, Slot::NONE);
        Self { action, reason, lane: 0, reverse: false, translated: false, moved: 0, slot }
    }

    /// Drop, for `reason`.
    #[inline]
    #[must_use]
    pub const fn drop(reason: Reason) -> Self {
        Self { reason, ..Self::plain(Action::Drop) }
    }

    /// Hand off to `lane`.
    #[inline]
    #[must_use]
    pub const fn hand_off(lane: u16) -> Self {
        Self { lane, ..Self::plain(Action::HandOff) }
    }

    /// What becomes of a packet that cannot be rewritten.
    #[inline]
    #[must_use]
    pub const fn of_refused(refused: TranslateError) -> Self {
        match refused {
            TranslateError::NotContiguous => Self::plain(Action::NotContiguous),
            TranslateError::NotWritable => Self::plain(Action::NotWritable),
            TranslateError::Untranslatable => Self::drop(Reason::Translation),
        }
    }

    /// What becomes of a packet whose headers cannot be read.
    #[inline]
    #[must_use]
    pub const fn of_rejection(rejection: Rejection) -> Self {
        match rejection {
            Rejection::NotIp => Self::plain(Action::NotIp),
            Rejection::Fragment => Self::plain(Action::Fragment),
            Rejection::NotContiguous => Self::plain(Action::NotContiguous),
            Rejection::Truncated => Self::drop(Reason::Truncated),
            Rejection::Malformed => Self::drop(Reason::Malformed),
        }
    }
}
