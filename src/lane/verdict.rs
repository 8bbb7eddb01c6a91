//! Verdicts: what the host is to do with each packet.

use crate::limits::SourceRefusal;
use crate::packet::{Rejection, TranslateError};
use crate::table::Slot;

/// What the host is to do with a packet. The C API uses the same numbers; none is ever reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Action {
    /// Forward it: a state allows it.
    Pass = 1,
    /// No state: the host's rules decide, and [`Lane::create`](super::Lane::create) creates one.
    New = 2,
    /// Drop it; [`Verdict::reason`] says why.
    Drop = 3,
    /// Hand it off to lane [`Verdict::lane`], which owns its key.
    HandOff = 4,
    /// Hold it until [`Lane::take_released`](super::Lane::take_released) returns its handle.
    Held = 5,
    /// A pfsync packet, never tracked. One from the sync port belongs to [`Lane::receive`](super::Lane::receive).
    Sync = 6,
    /// Neither IPv4 nor IPv6.
    NotIp = 7,
    /// A fragment: the host reassembles it, or its rules decide.
    Fragment = 8,
    /// The headers are not all in the first segment: the host makes them contiguous and looks the packet up again.
    NotContiguous = 9,
    /// It needs translation, but its memory is shared: the host copies it and looks it up again.
    NotWritable = 10,
}

/// Why to drop a packet. The C API uses the same numbers; none is ever reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    /// The packet is not dropped.
    None = 0,
    /// The packet is shorter than its headers say.
    Truncated = 1,
    /// The headers contradict each other.
    Malformed = 2,
    /// A TCP segment outside the window.
    Window = 3,
    /// A SYN on an established connection: pf answers with a challenge acknowledgement.
    ChallengeAck = 4,
    /// A TCP segment outside the window while both sides are opening: pf answers with a reset.
    Reset = 5,
    /// The table is full.
    TableFull = 6,
    /// The state's key belongs to another state.
    KeyCollision = 7,
    /// The state refuses the packet for another reason, for instance an ICMP reply in the wrong direction.
    State = 8,
    /// A packet that cannot create a state, for instance an ICMP error.
    NoState = 9,
    /// The packet cannot be translated.
    Translation = 10,
    /// No port of the range is free.
    NoPort = 11,
    /// The maximum number of sources have states already.
    Sources = 12,
    /// Its source has its maximum of states already.
    SourceStates = 13,
    /// Its source has its maximum of open connections already.
    SourceConnections = 14,
    /// Its source opens connections too fast.
    SourceConnectionRate = 15,
    /// Its source creates states too fast.
    SourceNewRate = 16,
    /// The table of sources is full.
    SourcesFull = 17,
    /// The maximum number of TCP connections is half-open already.
    HalfOpen = 18,
    /// Other states have the ids that the state could get.
    IdCollision = 19,
    /// A checksum is wrong.
    Checksum = 20,
    /// IP options that the state does not allow, or a source route.
    IpOptions = 21,
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

/// What to do with one packet, and which state decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What to do.
    pub action: Action,
    /// Why to drop it.
    pub reason: Reason,
    /// The lane to hand it off to.
    pub lane: u16,
    /// Whether its direction is opposite to that of the state's first packet.
    pub reverse: bool,
    /// Whether the packet was rewritten; if the lane leaves packets as they are, whether the host is to rewrite it.
    pub translated: bool,
    /// By how many bytes the start of the packet moved towards its end.
    pub moved: i16,
    /// If `translated`: the routing domain in which the packet is forwarded.
    pub rdomain: u16,
    /// The state's slot in this lane, or [`Slot::NONE`].
    pub slot: Slot,
}

impl Verdict {
    /// Builds a verdict without a state.
    #[inline]
    #[must_use]
    pub const fn plain(action: Action) -> Self {
        let (reason, slot) = (Reason::None, Slot::NONE);
        Self { action, reason, lane: 0, reverse: false, translated: false, moved: 0, rdomain: 0, slot }
    }

    /// Builds the verdict to drop a packet for `reason`.
    #[inline]
    #[must_use]
    pub const fn drop(reason: Reason) -> Self {
        Self { reason, ..Self::plain(Action::Drop) }
    }

    /// Builds the verdict to hand a packet off to `lane`.
    #[inline]
    #[must_use]
    pub const fn hand_off(lane: u16) -> Self {
        Self { lane, ..Self::plain(Action::HandOff) }
    }

    /// Returns the verdict on a packet that cannot be rewritten.
    #[inline]
    #[must_use]
    pub const fn of_refused(refused: TranslateError) -> Self {
        match refused {
            TranslateError::NotContiguous => Self::plain(Action::NotContiguous),
            TranslateError::NotWritable => Self::plain(Action::NotWritable),
            TranslateError::Untranslatable => Self::drop(Reason::Translation),
        }
    }

    /// Returns the verdict on a packet whose headers cannot be parsed.
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
