//! Tracking of TCP connections after a takeover, when the peer's numbers are out of date.
//!
//! After a takeover both sides' numbers are as old as the last update that arrived. pf drops a fast connection's segments
//! until one happens to fit. Here a side whose numbers came from a peer has a resync flag ([`LocalFlags::RESYNC_SRC`],
//! [`LocalFlags::RESYNC_DST`]), and while either is set the window is wider by [`TAKEOVER_SLACK`]. A segment that needs the
//! slack moves the records to itself. [`RESYNC_SEGMENTS`] consecutive segments of a side that fit without it clear the
//! side's flag. So the next genuine segment undoes a forged one that hit the wider window, and late segments from before the
//! takeover, which fit the old record, do not end the slack too early. After the last flag is cleared, a side may still
//! acknowledge what the other sent before the takeover ([`record_takeover_limits`]).
//!
//! Of a connection opened just before the takeover, or through several nodes at once, this node may know the first SYN only,
//! and so not the other side's window scale. pf then treats both sides' windows as unscaled, on every node that it updates.
//! Here the side gets the largest scale ([`assume_scale`]). The ports may also have been reused since
//! ([`begins_another_connection`]).

use super::window::{MAX_ACK_WINDOW, MAX_SHIFT, SCALE_SEEN, Segment, WindowFit, after, at_or_after};
use crate::packet::{TcpFacts, tcp_flags};
use crate::state::peer::peer_state::SYN_SENT;
use crate::state::{Hot, LocalFlags, Peer, Track};

/// How far a connection may have advanced since the last update that arrived, in bytes.
///
/// A node sends an update at least every 128 packets of a connection (pf's `maxupd`): 1.1 MiB in 9000-byte frames, 188 KiB
/// in 1500-byte frames. Four MiB tolerate the loss of three consecutive updates of the former, twenty of the latter. They
/// are a thousandth of the sequence space, so a blind attacker still misses 999 times in 1000.
pub const TAKEOVER_SLACK: u32 = 4 << 20;

/// Consecutive segments that must fit without the slack to clear a side's resync flag: more than a network reorders.
pub const RESYNC_SEGMENTS: u8 = 16;

/// Extra slack at every edge of the window, in bytes; zero except after a takeover.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::state) struct TakeoverSlack(pub(super) u32);

impl TakeoverSlack {
    /// No slack: pf's check.
    pub(super) const NONE: Self = Self(0);

    /// Returns the slack for the two resync flags. One is enough, because each edge depends on both records: what a
    /// side may send depends on the other's acknowledgements and windows, what it may acknowledge on what the other sent.
    #[inline]
    pub(in crate::state) const fn of(resyncs: [bool; 2]) -> Self {
        Self(if resyncs[0] || resyncs[1] { TAKEOVER_SLACK } else { 0 })
    }
}

/// Records how far each side may have sent before the takeover, once the last resync flag is cleared.
///
/// The other node may have seen data beyond our records. A host that retransmits lost data begins far behind, and when the
/// last hole is filled the acknowledgement jumps past everything already received. The receiver's window limits that jump.
#[cold]
pub(super) fn record_takeover_limits(peers: [&mut Peer; 2]) {
    for peer in peers {
        let offered = peer.seqhi.wrapping_sub(peer.seqlo).cast_signed();
        peer.max_seq_before_takeover =
            peer.seqlo.wrapping_add_signed(offered.clamp(0, TAKEOVER_SLACK.cast_signed()));
    }
}

/// Whether a SYN with this number begins another connection than the one imported from a peer.
///
/// The takeover may have missed the end of an opening connection whose ports are now reused, with a number that the slack
/// admits. pf drops every SYN until the state expires. Here the SYN replaces the state if the server never answered and this
/// node saw no traffic; otherwise the client gets a challenge ACK and confirms with an RST.
pub(super) const fn begins_another_connection(hot: &Hot, track: &Track, seq: u32) -> bool {
    // `seqlo` is at the SYN after the first one, and one past it after a retransmission.
    let past_syn = track.src.seqlo.wrapping_sub(seq);
    hot.local.has(resync_flag(0)) && past_syn > 1
}

/// Returns the resync flag of a side (0 forward, 1 reverse).
pub(in crate::state) const fn resync_flag(side: usize) -> u16 {
    if side == 0 { LocalFlags::RESYNC_SRC } else { LocalFlags::RESYNC_DST }
}

/// Assumes the largest window scale for a side whose SYN this node did not see, if the other side offered scaling.
///
/// The SYN was seen by another node, which failed or has not sent its update yet. For a state of this node, the
/// acknowledgement must be near without a scale; otherwise a server's segment of an earlier connection would be accepted.
#[cold]
pub(super) fn assume_scale(facts: &TcpFacts, sender: &mut Peer, receiver: &Peer, is_imported: bool) {
    let skew = receiver.seqlo.wrapping_sub(facts.ack.wrapping_sub(receiver.seqdiff)).cast_signed();
    let is_near = is_imported || skew.unsigned_abs() <= MAX_ACK_WINDOW;
    let offers = receiver.wscale & SCALE_SEEN != 0 && sender.wscale == 0;
    if facts.flags & tcp_flags::SYN == 0 && offers && is_near {
        sender.wscale = SCALE_SEEN | MAX_SHIFT;
    }
}

/// Takes the receiver's numbers from the sender's first acknowledgement if the imported record is empty, because the peer
/// cleared it. pf resets both sides then.
pub(super) fn adopt_ack(facts: &TcpFacts, receiver: &mut Peer, receiver_state: u8) {
    const ACK_RST: u8 = tcp_flags::ACK | tcp_flags::RST;
    if facts.flags & ACK_RST == tcp_flags::ACK && receiver.seqlo == 0 && receiver_state >= SYN_SENT {
        receiver.seqlo = facts.ack.wrapping_sub(receiver.seqdiff);
        receiver.seqhi = receiver.seqlo;
    }
}

impl Segment {
    /// Moves both records to a segment that fits only with the slack. Call [`Self::advance`] afterwards.
    #[cold]
    pub(super) fn resync(self, sender: &mut Peer, receiver: &mut Peer) {
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

    /// Whether the segment fits with the takeover slack.
    #[cold]
    pub(super) fn within_takeover_slack(self, sender: &Peer, receiver: &Peer, slack: TakeoverSlack) -> bool {
        slack != TakeoverSlack::NONE && self.is_inside(sender, receiver, slack)
            || self.is_delayed_ack(sender, receiver)
    }

    /// Whether the segment acknowledges data that the receiver may have sent before the takeover, and fits if it did. Once the
    /// receiver has sent past that limit here, this is false (until the sequence space wraps).
    #[cold]
    fn is_delayed_ack(self, sender: &Peer, receiver: &Peer) -> bool {
        let jump = self.ack.wrapping_sub(receiver.seqlo);
        let max_jump = receiver.max_seq_before_takeover.wrapping_sub(receiver.seqlo);
        let may_have_sent =
            receiver.max_seq_before_takeover != 0 && jump <= max_jump && max_jump <= TAKEOVER_SLACK;
        may_have_sent
            && !self.is_reset()
            && self.is_inside(sender, &Peer { seqlo: self.ack, ..*receiver }, TakeoverSlack::NONE)
    }

    /// Counts consecutive fitting segments of a sender with a resync flag. Returns true if the flag can be cleared.
    #[cold]
    pub(super) fn completes_resync(self, fit: WindowFit, sender: &mut Peer, receiver: &Peer) -> bool {
        let fits = self.is_within_window(sender, receiver) && fit == WindowFit::Exact;
        sender.resync_fits = if fits { sender.resync_fits.saturating_add(1) } else { 0 };
        let is_complete = sender.resync_fits >= RESYNC_SEGMENTS;
        if is_complete {
            sender.resync_fits = 0;
        }
        is_complete
    }

    /// Whether the segment's number is in the window. The normal check ignores the number of a segment without data; here
    /// it counts and moves the record, because a side may send nothing else.
    fn is_within_window(self, sender: &mut Peer, receiver: &Peer) -> bool {
        let seq = self.header_seq;
        if self.seq != self.end {
            return true;
        }
        if !at_or_after(seq, self.lower_edge(sender, receiver))
            || !at_or_after(sender.seqhi.wrapping_add(TAKEOVER_SLACK), seq)
        {
            return false;
        }
        if after(seq, sender.seqlo) {
            sender.seqlo = seq;
        }
        let within = at_or_after(sender.seqhi, seq);
        if !within {
            sender.seqhi = seq.wrapping_add(self.reach(receiver).max(1));
        }
        within
    }
}
