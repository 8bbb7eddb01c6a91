//! Tracking of TCP connections after a takeover, when the peer's numbers are out of date.
//!
//! After a takeover both sides' numbers are as old as the last update that arrived. pf drops a fast connection's segments
//! until one happens to fit. Here a side whose numbers came from a peer has a resync flag ([`LocalFlags::RESYNC_SRC`],
//! [`LocalFlags::RESYNC_DST`]). While either is set, segments outside the window are accepted in two steps:
//!
//! * **Near**: up to [`TAKEOVER_SLACK`] outside. Such a segment moves the records to itself. [`RESYNC_SEGMENTS`] consecutive
//!   segments of a side that fit without the slack clear the side's flag. So the next genuine segment undoes a forged one,
//!   and late segments from before the takeover, which fit the old record, do not end the slack too early.
//! * **Far**: up to what the link can have carried since the last update ([`LineRate::reach`]). Such a segment passes but
//!   moves nothing; its numbers are kept as a claim. When a segment of the *other* side confirms the claim, the records
//!   move to it. An attacker who cannot see the connection may hit the wide range, but never sends the answer to it: the
//!   host answers with its true numbers, which then confirm or replace the claim. An RST is never accepted on a claim.
//!
//! Far segments are refused as soon as both sides were seen, by a confirmed claim or by segments in the window. Neither
//! step is wider than the reach, so both follow the age of the record and the rate of the link. After the last flag is
//! cleared, a side may still acknowledge what the other sent before the takeover ([`record_takeover_limits`]).
//!
//! Of a connection opened just before the takeover, or through several nodes at once, this node may know the first SYN only,
//! and so not the other side's window scale. pf then treats both sides' windows as unscaled, on every node that it updates.
//! Here the side gets the largest scale ([`assume_scale`]). The ports may also have been reused since
//! ([`begins_another_connection`]).

use super::window::{MAX_ACK_WINDOW, MAX_SHIFT, SCALE_SEEN, Segment, WindowFit, after, at_or_after};
use crate::packet::{TcpFacts, tcp_flags};
use crate::state::peer::peer_state::SYN_SENT;
use crate::state::{Hot, LocalFlags, Peer, Track};
use crate::time::{TICKS_PER_SECOND, Tick};

/// How far outside the window a segment may lie and move the records, in bytes.
///
/// A node sends an update at least every 128 packets of a connection (pf's `maxupd`): 1.1 MiB in 9000-byte frames, 188 KiB
/// in 1500-byte frames. Four MiB are a thousandth of the sequence space, so a blind attacker misses 999 times in 1000.
pub const TAKEOVER_SLACK: u32 = 4 << 20;

/// Consecutive segments that must fit without the slack to clear a side's resync flag: more than a network reorders.
pub const RESYNC_SEGMENTS: u8 = 16;

/// How far an acknowledgement may jump over data that only the other node saw: the largest window of usual hosts.
const MAX_DELAYED_ACK: u32 = 16 << 20;

/// Ticks that an update may be older than the time it arrived at: it waited and travelled, and ticks are coarse.
const MAX_UPDATE_DELAY: u32 = 5;

/// [`Peer::resync`]: number of consecutive segments that fit.
const FITS: u8 = 0x1f;
/// [`Peer::resync`]: this side's last segment made the claim in both sides' [`Peer::takeover_mark`].
const CLAIMS: u8 = 0x80;
/// [`Peer::resync`]: both sides were seen, so no far segment of this side is accepted.
const SEEN: u8 = 0x40;

/// Bits of a sequence number that a mark leaves out.
const MARK_SHIFT: u32 = 16;

/// The maximum rate of one connection, both directions together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineRate {
    bytes_per_tick: u32,
}

impl LineRate {
    /// Maximum rate in megabits per second.
    pub const MAX_MBIT: u32 = 1_000_000;

    /// A rate in megabits per second.
    #[must_use]
    pub const fn from_mbit(mbit: u32) -> Self {
        Self { bytes_per_tick: mbit.saturating_mul(1_000_000 / 8 / TICKS_PER_SECOND) }
    }

    /// Returns how many bytes a connection may have moved since a peer's record of it arrived.
    #[must_use]
    pub fn reach(self, recorded: Tick, now: Tick) -> u64 {
        let age = now.since(recorded).max(0).cast_unsigned().saturating_add(MAX_UPDATE_DELAY);
        u64::from(age) * u64::from(self.bytes_per_tick)
    }
}

/// Extra slack at every edge of the window, in bytes; zero except after a takeover.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::state) struct TakeoverSlack(pub(super) u32);

impl TakeoverSlack {
    /// No slack: pf's check.
    pub(in crate::state) const NONE: Self = Self(0);
    /// The near slack at its widest.
    pub(in crate::state) const NEAR: Self = Self(TAKEOVER_SLACK);
}

/// What a segment may need beyond the window while resync flags are set.
#[derive(Clone, Copy)]
pub(super) struct Allowance {
    /// For segments that move the records.
    pub near: TakeoverSlack,
    /// Bytes that both sides together may be ahead of their records in a far segment; 0 to accept none.
    far: u64,
}

impl Allowance {
    /// Returns the allowance for the two resync flags, the sender's first. One flag is enough, because each edge depends on
    /// both records: what a side may send depends on the other's acknowledgements and windows, what it may acknowledge on
    /// what the other sent.
    #[inline(always)]
    pub(super) fn of(resyncs: [bool; 2], peers: [&Peer; 2], reach: impl FnOnce() -> u64) -> Self {
        if resyncs == [false; 2] {
            return Self { near: TakeoverSlack::NONE, far: 0 };
        }
        let reach = reach();
        let near = u32::try_from(reach).unwrap_or(u32::MAX).min(TAKEOVER_SLACK);
        let is_open = (0..2).any(|side| resyncs[side] && peers[side].resync & SEEN == 0);
        Self { near: TakeoverSlack(near), far: if is_open { reach } else { 0 } }
    }
}

/// The result of a segment that fits only far from the window.
pub(super) enum FarFit {
    /// Too far, or not allowed.
    Refused,
    /// The segment passes and moves nothing.
    Claimed,
    /// It confirms the other side's claim. The records were moved to it, unless it is an RST.
    Confirmed,
}

/// Records how far each side may have sent before the takeover, once the last resync flag is cleared.
///
/// The other node may have seen data beyond our records. A host that retransmits lost data begins far behind, and when the
/// last hole is filled the acknowledgement jumps past everything already received. The receiver's window limits that jump.
#[cold]
pub(super) fn record_takeover_limits(peers: [&mut Peer; 2]) {
    for peer in peers {
        let offered = peer.seqhi.wrapping_sub(peer.seqlo).cast_signed();
        let limit = peer.seqlo.wrapping_add_signed(offered.clamp(0, MAX_DELAYED_ACK.cast_signed()));
        // Rounded up; 0 would mean no limit.
        peer.takeover_mark = mark_of(limit.wrapping_add((1 << MARK_SHIFT) - 1)).max(1);
    }
}

/// Returns the upper bits of a sequence number.
const fn mark_of(seq: u32) -> u16 {
    (seq >> MARK_SHIFT) as u16
}

/// Whether a number is near a marked one.
const fn is_near_mark(seq: u32, mark: u16) -> bool {
    const NEAR: u16 = mark_of(TAKEOVER_SLACK);
    mark_of(seq).wrapping_sub(mark).wrapping_add(NEAR) <= 2 * NEAR
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

/// Notes what a side acknowledges of one that this node has not seen: the other direction takes another path, through a peer
/// that does not see this acknowledgement.
#[cold]
pub(super) fn note_unseen_side(facts: &TcpFacts, receiver: &mut Peer) {
    const SYN_ACK_RST: u8 = tcp_flags::SYN | tcp_flags::ACK | tcp_flags::RST;
    if facts.flags & SYN_ACK_RST == tcp_flags::ACK {
        receiver.sent_seqhi = facts.ack.wrapping_sub(receiver.seqdiff);
    }
}

/// Whether the other side's acknowledgement, noted by `note_unseen_side` in `unseen`, answers the SYN of a side with this
/// `seqlo`.
#[must_use]
pub fn has_acknowledged_unseen(unseen: &Peer, seqlo: u32) -> bool {
    let distance = seqlo.wrapping_sub(unseen.sent_seqhi).cast_signed();
    unseen.seqlo == 0 && unseen.sent_seqhi != 0 && seqlo != 0 && distance.unsigned_abs() <= MAX_ACK_WINDOW
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

    /// Handles a segment that lies far from the window. It passes if it may be genuine, and moves the records if it confirms
    /// what the other side's last segment claimed.
    #[cold]
    pub(super) fn fit_far(&mut self, sender: &mut Peer, receiver: &mut Peer, allowance: Allowance) -> FarFit {
        const SYN_ACK_RST: u8 = tcp_flags::SYN | tcp_flags::ACK | tcp_flags::RST;
        // A SYN, and a segment with neither ACK nor RST, proves nothing.
        let is_eligible = matches!(self.flags & SYN_ACK_RST, tcp_flags::ACK) || self.is_reset();
        if allowance.far == 0 || !is_eligible {
            return FarFit::Refused;
        }
        let end = self.header_seq.wrapping_add(self.end.wrapping_sub(self.seq));
        let near = allowance.near.0;
        let lower_edge = self.lower_edge(sender, receiver).wrapping_sub(near);
        let is_behind = at_or_after(self.header_seq, lower_edge) && at_or_after(sender.seqlo, end);
        let acknowledged = self.ack.wrapping_sub(receiver.seqlo);
        let is_old_ack = acknowledged.wrapping_neg() <= self.max_ack_age().saturating_add(near);
        let ahead = u64::from(if is_behind { 0 } else { end.wrapping_sub(sender.seqlo) })
            + u64::from(if is_old_ack { 0 } else { acknowledged });
        if ahead > allowance.far {
            return FarFit::Refused;
        }
        let has_ack = self.flags & tcp_flags::ACK != 0;
        let is_confirmed = receiver.resync & CLAIMS != 0
            && is_near_mark(end, sender.takeover_mark)
            && (!has_ack || is_near_mark(self.header_ack, receiver.takeover_mark));
        if self.is_reset() {
            return if is_confirmed { FarFit::Confirmed } else { FarFit::Refused };
        }
        if is_confirmed {
            self.move_records(sender, receiver, end);
            return FarFit::Confirmed;
        }
        (sender.takeover_mark, receiver.takeover_mark) = (mark_of(end), mark_of(self.header_ack));
        (sender.resync, receiver.resync) = (CLAIMS, 0);
        FarFit::Claimed
    }

    /// Moves both records to a segment that the other side's claim confirms.
    fn move_records(&mut self, sender: &mut Peer, receiver: &mut Peer, end: u32) {
        (self.seq, self.data_end, self.end) = (end, end, end);
        sender.seqlo = end;
        sender.seqhi = end.wrapping_add(self.reach(receiver).max(1));
        receiver.seqlo = self.ack;
        receiver.seqhi = self.ack.wrapping_add(self.offered().max(1));
        (sender.resync, receiver.resync) = (SEEN, SEEN);
    }

    /// Whether the segment fits with the takeover slack.
    #[cold]
    pub(super) fn within_takeover_slack(self, sender: &Peer, receiver: &Peer, slack: TakeoverSlack) -> bool {
        if slack == TakeoverSlack::NONE {
            return self.is_delayed_ack(sender, receiver);
        }
        self.is_inside(sender, receiver, slack)
    }

    /// Whether the segment acknowledges data that the receiver may have sent before the takeover, and fits if it did. Once the
    /// receiver has sent past that limit here, this is false (until the sequence space wraps).
    #[cold]
    fn is_delayed_ack(self, sender: &Peer, receiver: &Peer) -> bool {
        let jump = self.ack.wrapping_sub(receiver.seqlo);
        let max_jump = (u32::from(receiver.takeover_mark) << MARK_SHIFT).wrapping_sub(receiver.seqlo);
        let may_have_sent = receiver.takeover_mark != 0 && jump <= max_jump && max_jump <= MAX_DELAYED_ACK;
        may_have_sent
            && !self.is_reset()
            && self.is_inside(sender, &Peer { seqlo: self.ack, ..*receiver }, TakeoverSlack::NONE)
    }

    /// Counts consecutive fitting segments of a sender with a resync flag. Returns true if the flag can be cleared.
    #[cold]
    pub(super) fn completes_resync(self, fit: WindowFit, sender: &mut Peer, receiver: &mut Peer) -> bool {
        let fits = self.is_within_window(sender, receiver) && fit == WindowFit::Exact;
        let count = if fits { (sender.resync & FITS).saturating_add(1) } else { 0 };
        if count >= RESYNC_SEGMENTS {
            sender.resync = 0;
            return true;
        }
        sender.resync = sender.resync & SEEN | count;
        if fits && receiver.resync & FITS != 0 {
            sender.resync |= SEEN;
            receiver.resync |= SEEN;
        }
        false
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
