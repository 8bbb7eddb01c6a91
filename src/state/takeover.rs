//! A connection whose record came from a peer and is old: how the window check bears it.
//!
//! After a takeover the numbers of both sides are as old as the last update that arrived, which pf has no answer
//! to: it drops a fast connection's segments until one happens to fit. Here a side whose numbers came from a peer is
//! marked ([`super::LocalFlags::RESYNC_SRC`]) and the check is widened by [`TAKEOVER_SLACK`] until the mark goes. A
//! segment that fits only because of that pulls the record to itself; [`RESYNC_SEGMENTS`] segments of the side in a row
//! that fit without it remove the mark. So a forged segment that hits the widened window is undone by the next true
//! one, and stragglers from before the takeover, which fit the old record, do not end the slack too early. When no mark
//! is left, a side may still acknowledge what the other sent before the takeover ([`record_takeover_limits`]).
//!
//! A connection that was opened just before the takeover, or through several nodes at once, may be known by its first SYN alone:
//! then the scale of the other side's windows is not, and pf takes the windows of both sides unscaled from then on, on all
//! nodes once it has told them. Here that side has the largest scale ([`assume_scale`]). And its ports may be another
//! connection's by then ([`begins_another_connection`]).

use super::peer::peer_state::SYN_SENT;
use super::tcp_window::{MAX_ACK_WINDOW, MAX_SHIFT, SCALE_SEEN, Segment, WindowFit, after, at_or_after};
use super::{Hot, LocalFlags, Peer, Track};
use crate::packet::{TcpFacts, tcp_flags};

/// How far a connection may have run on since the update that this node knows it by.
///
/// A sender of updates writes one at the latest after 128 packets of a connection (pf's `maxupd`), which is 1.1 MiB in
/// 9000-byte frames and 188 KiB in 1500-byte frames. Four MiB bear the loss of three updates in a row of the former,
/// and of twenty of the latter. It is a thousandth of the sequence space: a blind forger still misses 999 times in
/// 1000 during the moment that it holds.
pub const TAKEOVER_SLACK: u32 = 4 << 20;

/// How many segments of a marked side in a row must fit without the slack: more than a network reorders.
pub const RESYNC_SEGMENTS: u8 = 16;

/// How much wider than pf's the check is on every edge, in bytes; zero but after a takeover.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TakeoverSlack(pub(super) u32);

impl TakeoverSlack {
    /// None: pf's own check.
    pub(super) const NONE: Self = Self(0);

    /// The slack that the marks of the two sides give. Either is enough, because every edge is made of both records: what
    /// a side may send of the other's acknowledgements, what it may send again of the other's largest window, and what it
    /// may acknowledge of what the other has sent, which may be more than it has repeated here.
    #[inline]
    pub const fn of(marked: [bool; 2]) -> Self {
        Self(if marked[0] || marked[1] { TAKEOVER_SLACK } else { 0 })
    }
}

/// The last mark went. What the sides send from now on is seen here, but what the other firewall saw may lie beyond the
/// records still: an end that repeats what was lost begins far behind, and when the last hole is filled the
/// acknowledgement leaps over all that had come before. So far the other end had offered to take it, and no
/// farther.
#[cold]
pub fn record_takeover_limits(peers: [&mut Peer; 2]) {
    for peer in peers {
        let offered = peer.seqhi.wrapping_sub(peer.seqlo).cast_signed();
        peer.max_seq_before_takeover =
            peer.seqlo.wrapping_add_signed(offered.clamp(0, TAKEOVER_SLACK.cast_signed()));
    }
}

/// Whether a first SYN with this number begins another connection than the one that is known from a peer.
///
/// The end of a connection that was opening may have been missed with the takeover, and its ports be used again, with a
/// number that the slack would let in. pf drops every SYN then until the state's time is over. Here a state whose server
/// was silent, and of which nothing was seen here, gives way; else the client is asked, and confirms with an RST.
pub(super) const fn begins_another_connection(hot: &Hot, track: &Track, seq: u32) -> bool {
    // A record stands at the SYN when that has made it, and behind it once it was repeated.
    let past_syn = track.src.seqlo.wrapping_sub(seq);
    hot.local.has(resync_flag(0)) && past_syn > 1
}

/// The mark of a side: 0 the forward one, 1 the reverse one.
pub const fn resync_flag(side: usize) -> u16 {
    if side == 0 { LocalFlags::RESYNC_SRC } else { LocalFlags::RESYNC_DST }
}

/// The first segment of a side is not its SYN, which went through another node: one that died, or one that has not told of it
/// yet. Where the other side offered to scale windows, this one may have agreed to any scale.
///
/// Where the record is this node's own, what is acknowledged must be near without a scale: else it may come from a server of an
/// earlier connection, and the largest scale would bear it.
#[cold]
pub fn assume_scale(facts: &TcpFacts, sender: &mut Peer, receiver: &Peer, is_imported: bool) {
    let skew = receiver.seqlo.wrapping_sub(facts.ack.wrapping_sub(receiver.seqdiff)).cast_signed();
    let is_near = is_imported || skew.unsigned_abs() <= MAX_ACK_WINDOW;
    let offers = receiver.wscale & SCALE_SEEN != 0 && sender.wscale == 0;
    if facts.flags & tcp_flags::SYN == 0 && offers && is_near {
        sender.wscale = SCALE_SEEN | MAX_SHIFT;
    }
}

/// What the first segment of a side acknowledges tells where the other side stands, when the peer's record of that one was
/// begun anew and is empty: there is nothing to hold it to, and pf resets both ends.
pub fn adopt_ack(facts: &TcpFacts, receiver: &mut Peer, receiver_state: u8) {
    const ANSWER: u8 = tcp_flags::ACK | tcp_flags::RST;
    if facts.flags & ANSWER == tcp_flags::ACK && receiver.seqlo == 0 && receiver_state >= SYN_SENT {
        receiver.seqlo = facts.ack.wrapping_sub(receiver.seqdiff);
        receiver.seqhi = receiver.seqlo;
    }
}

impl Segment {
    /// Takes both records to a segment that fits only with the slack of a takeover. [`Self::advance`] comes after.
    #[cold]
    pub fn resync(self, sender: &mut Peer, receiver: &mut Peer) {
        if !self.acknowledges_within(receiver, TakeoverSlack::NONE) {
            receiver.seqlo = self.ack;
        }
        if after(self.data_end, sender.seqhi) {
            sender.seqhi = self.end.wrapping_add(self.reach(receiver).max(1));
        }
        if !at_or_after(self.seq, self.lower_edge(sender, receiver)) {
            sender.seqlo = self.end;
        }
    }

    /// Whether the segment fits with what is borne after a takeover.
    #[cold]
    pub fn within_takeover_slack(self, sender: &Peer, receiver: &Peer, slack: TakeoverSlack) -> bool {
        slack != TakeoverSlack::NONE && self.is_inside(sender, receiver, slack)
            || self.is_delayed_ack(sender, receiver)
    }

    /// Whether the segment would fit had the receiver sent all that it acknowledges, and the receiver may have, before the
    /// takeover. Once that many octets went by, nothing is before them any more, until sequence space comes round.
    #[cold]
    fn is_delayed_ack(self, sender: &Peer, receiver: &Peer) -> bool {
        let leap = self.ack.wrapping_sub(receiver.seqlo);
        let room = receiver.max_seq_before_takeover.wrapping_sub(receiver.seqlo);
        let may_have_sent = receiver.max_seq_before_takeover != 0 && leap <= room && room <= TAKEOVER_SLACK;
        may_have_sent
            && !self.is_reset()
            && self.is_inside(sender, &Peer { seqlo: self.ack, ..*receiver }, TakeoverSlack::NONE)
    }

    /// Whether the record of the marked sender can be trusted again after this accepted segment.
    #[cold]
    pub fn completes_resync(self, fit: WindowFit, sender: &mut Peer, receiver: &Peer) -> bool {
        let fits = self.is_within_window(sender, receiver) && fit == WindowFit::Exact;
        sender.resync_fits = if fits { sender.resync_fits.saturating_add(1) } else { 0 };
        let settled = sender.resync_fits >= RESYNC_SEGMENTS;
        if settled {
            sender.resync_fits = 0;
        }
        settled
    }

    /// The check passes a segment without data wherever it lies. Here its place is looked at, and the record follows
    /// it, because it may be all that a side sends.
    fn is_within_window(self, sender: &mut Peer, receiver: &Peer) -> bool {
        let place = self.header_seq;
        if self.seq != self.end {
            return true;
        }
        if !at_or_after(place, self.lower_edge(sender, receiver))
            || !at_or_after(sender.seqhi.wrapping_add(TAKEOVER_SLACK), place)
        {
            return false;
        }
        if after(place, sender.seqlo) {
            sender.seqlo = place;
        }
        let within = at_or_after(sender.seqhi, place);
        if !within {
            sender.seqhi = place.wrapping_add(self.reach(receiver).max(1));
        }
        within
    }
}
