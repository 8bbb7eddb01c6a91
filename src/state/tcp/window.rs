//! The sequence windows of a TCP connection (OpenBSD `pf_tcp_track_full`; protocol 7.5).
//!
//! ```text
//!        seqlo - window           seqlo                    seqhi
//!  ---------|-----------------------|------------------------|--------> sequence space of one side
//!           | retransmissions       | what the side may send |
//! ```
//!
//! `seqlo` is the end of what the side has sent, `seqhi` the limit that the other side's acknowledgements and windows set.
//! A segment is inside if it ends at or before `seqhi`, begins at most the other side's largest window plus
//! [`MAX_STALENESS`] before `seqlo`, and acknowledges something near what the other side has sent. All comparisons are
//! modulo 2^32.
//!
//! **Unlike pf**, which drops some segments that real hosts send over a bad network (`tools/real-tcp` shows it):
//!
//! * A segment without an acknowledgement does not set the `seqhi` of a side that has sent nothing. pf computes it from zero
//!   when a SYN is repeated, which gives half of all initial sequence numbers a window of gigabytes and answers those just
//!   before 2^31 with an RST.
//! * If a side's record was cleared while the connection opened, the SYN-ACK sets it. pf compares the SYN-ACK with zero,
//!   drops it and resets the server.
//! * [`MAX_STALENESS`]: segments and acknowledgements that a whole window has overtaken still pass. The host discards them
//!   and answers with the acknowledgement that its peer may be waiting for.
//! * [`MAX_WINDOWS_BEHIND`]: so acknowledgements may be twice as old as in pf, whose one window leaves no margin.
//! * [`WindowFit::Unproven`]: an RST in the window but not at the next byte passes and changes nothing. Hosts reset with the
//!   number that their peer acknowledged or that they sent last. After packet loss the firewall knows neither, and pf's drop
//!   would leave the peer hanging. The peer decides whether it is valid (RFC 5961, 3.2).
//!
//! `takeover.rs` and `precheck` in `tcp/mod.rs` differ from pf too.

use super::drift::MaxDrift;
use super::takeover::TakeoverSlack;
use crate::packet::{TcpFacts, tcp_flags};
use crate::state::Peer;
use crate::state::peer::peer_state::{FIN_WAIT_2, SYN_SENT};

/// How far acknowledgements and loose segments may lie outside the window: 64 KiB and one Ethernet frame.
pub(super) const MAX_ACK_WINDOW: u32 = 65_535 + 1_500;

/// How far before the window a segment may lie: what pf allows for opening and closing connections.
pub(super) const MAX_STALENESS: u32 = MAX_ACK_WINDOW;

/// An acknowledgement may be two windows old: one window is in flight, another may have overtaken it. pf allows one.
const MAX_WINDOWS_BEHIND: i64 = 2;

/// How far behind the receiver's `seqlo` an acknowledgement may be, by the sender's window shift. With the largest shift
/// any number is accepted.
pub(super) const MAX_ACK_AGE: [i32; SHIFT_MASK as usize + 1] = {
    let mut behind = [0; SHIFT_MASK as usize + 1];
    let mut shift = 0;
    while shift < behind.len() {
        let bytes = MAX_WINDOWS_BEHIND * ((MAX_ACK_WINDOW as i64) << shift);
        behind[shift] = if bytes < i32::MAX as i64 { bytes as i32 } else { i32::MAX };
        shift += 1;
    }
    behind
};

/// Maximum shift in TCP (RFC 7323).
pub(super) const MAX_SHIFT: u8 = 14;
pub(super) const SCALE_SEEN: u8 = 0x80;
pub(super) const SHIFT_MASK: u8 = 0x0f;

/// Whether `a` is at or after `b` in sequence space.
#[inline]
pub(super) const fn at_or_after(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() >= 0
}

/// Whether `a` is after `b` in sequence space.
#[inline]
pub(super) const fn after(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() > 0
}

/// Returns the shift. A hostile record may say 15, with which no sum overflows.
const fn shift_of(peer: &Peer) -> u8 {
    peer.wscale & SHIFT_MASK
}

/// Converts a SYN's unscaled window to units of `shift`, rounding up.
#[expect(clippy::cast_possible_truncation, reason = "a right shift keeps sixteen bits")]
pub(in crate::state) const fn descaled(window: u16, shift: u8) -> u16 {
    ((window as u32 + (1 << shift) - 1) >> shift) as u16
}

/// Converts a SYN's window-scale option to [`Peer::wscale`]: zero without the option, the shift limited.
pub(in crate::state) const fn scale_from_syn(wscale: u8) -> u8 {
    if wscale & SCALE_SEEN == 0 {
        return 0;
    }
    let shift = wscale & SHIFT_MASK;
    SCALE_SEEN | if shift < MAX_SHIFT { shift } else { MAX_SHIFT }
}

/// How a segment lies relative to the windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WindowFit {
    /// Inside the window.
    Exact,
    /// Inside only with the takeover slack.
    Takeover,
    /// Outside but near, on a connection that is opening or closed.
    Loose,
    /// An RST inside the window, but not at the next byte.
    Unproven,
    /// Outside the window.
    Outside,
}

/// A segment's window and the shifts of both sides.
#[derive(Clone, Copy)]
struct Scales {
    window: u16,
    sender: u8,
    receiver: u8,
}

impl Scales {
    #[inline]
    fn of(tcp: &TcpFacts, sender: &Peer, receiver: &Peer) -> Self {
        let scaled = sender.wscale != 0 && receiver.wscale != 0 && tcp.flags & tcp_flags::SYN == 0;
        let shifts = if scaled { (shift_of(sender), shift_of(receiver)) } else { (0, 0) };
        Self { window: tcp.window, sender: shifts.0, receiver: shifts.1 }
    }
}

/// Initialises the record of a side from its first segment. A SYN also decides window scaling for both sides.
#[cold]
fn init_sender(tcp: &TcpFacts, end: u32, sender: &mut Peer, receiver: &mut Peer) -> Scales {
    let mut scales = Scales::of(tcp, sender, receiver);
    if tcp.flags & tcp_flags::SYN != 0 && receiver.wscale & SCALE_SEEN != 0 {
        sender.wscale = scale_from_syn(tcp.wscale);
        if sender.wscale == 0 {
            // The sender does not scale, so the receiver's window was unscaled too.
            receiver.max_win = saturating_shift(receiver.max_win, shift_of(receiver));
            receiver.wscale = 0;
        } else {
            let (own, other) = (shift_of(sender), shift_of(receiver));
            scales = Scales { window: descaled(tcp.window, own), sender: own, receiver: other };
        }
    }
    sender.seqlo = tcp.seq;
    let edge = end.wrapping_add((u32::from(receiver.max_win) << scales.receiver).max(1));
    // An acknowledgement or a mid-connection pickup may have set seqhi already.
    if sender.seqhi == 1 || at_or_after(edge, sender.seqhi) {
        sender.seqhi = edge;
    }
    sender.max_win = sender.max_win.max(scales.window);
    scales
}

/// A segment's numbers, comparable with the records. Slow paths take a copy, so that the fast path keeps the numbers in
/// registers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) header_seq: u32,
    pub(super) seq: u32,
    pub(super) data_end: u32,
    pub(super) end: u32,
    pub(super) ack: u32,
    /// The acknowledgement in the header, also where [`Self::ack`] does not use it.
    pub(super) header_ack: u32,
    window: u16,
    pub(super) flags: u8,
    sender_shift: u8,
    receiver_shift: u8,
}

impl Segment {
    /// Reads a segment. A side's first segment initialises its record, as in pf even if the segment is then dropped.
    #[inline(always)]
    pub(super) fn read(tcp: &TcpFacts, sender: &mut Peer, receiver: &mut Peer, receiver_state: u8) -> Self {
        let data_end =
            tcp.seq.wrapping_add(tcp.payload).wrapping_add(u32::from(tcp.flags & tcp_flags::SYN != 0));
        let end = data_end.wrapping_add(u32::from(tcp.flags & tcp_flags::FIN != 0));
        const SYN_ACK: u8 = tcp_flags::SYN | tcp_flags::ACK;
        if tcp.flags & SYN_ACK == SYN_ACK && receiver.seqlo == 0 && receiver_state == SYN_SENT {
            receiver.seqlo = tcp.ack.wrapping_sub(receiver.seqdiff);
            receiver.seqhi = receiver.seqlo;
        }
        let scales = if sender.seqlo == 0 {
            init_sender(tcp, end, sender, receiver)
        } else {
            Scales::of(tcp, sender, receiver)
        };
        let mut segment = Self {
            header_seq: tcp.seq,
            seq: tcp.seq,
            data_end,
            end,
            ack: tcp.ack.wrapping_sub(receiver.seqdiff),
            header_ack: tcp.ack.wrapping_sub(receiver.seqdiff),
            window: scales.window,
            flags: tcp.flags,
            sender_shift: scales.sender,
            receiver_shift: scales.receiver,
        };
        segment.normalize(sender, receiver, receiver_state);
        segment
    }

    /// Neutralises fields that carry no information: an absent acknowledgement, and the number of a segment without data.
    #[inline(always)]
    fn normalize(&mut self, sender: &Peer, receiver: &Peer, receiver_state: u8) {
        const RST_ACK: u8 = tcp_flags::ACK | tcp_flags::RST;
        let has_zero_ack = self.ack == 0 && self.flags & RST_ACK == RST_ACK;
        if self.flags & tcp_flags::ACK == 0 || has_zero_ack || receiver_state < SYN_SENT {
            self.ack = receiver.seqlo;
        }
        if self.seq == self.end {
            self.seq = sender.seqlo;
            // A FIN may lie one beyond the window; later segments without data must still pass.
            let beyond = sender.seqlo == sender.seqhi.wrapping_add(1);
            self.data_end = if beyond { sender.seqhi } else { sender.seqlo };
            self.end = sender.seqlo;
        }
    }

    /// Compares the segment with the windows. `states` are the sender's and the receiver's.
    #[inline(always)]
    pub(super) fn fit(
        &self,
        sender: &Peer,
        receiver: &Peer,
        states: [u8; 2],
        slack: TakeoverSlack,
    ) -> WindowFit {
        if self.is_inside(sender, receiver, TakeoverSlack::NONE) {
            WindowFit::Exact
        } else if self.within_takeover_slack(sender, receiver, slack) {
            WindowFit::Takeover
        } else if is_opening_or_closed(states) && self.is_near(sender) {
            WindowFit::Loose
        } else if self.is_reset() && self.is_reset_in_window(sender, receiver, slack) {
            WindowFit::Unproven
        } else {
            WindowFit::Outside
        }
    }

    #[inline(always)]
    pub(super) fn is_inside(&self, sender: &Peer, receiver: &Peer, slack: TakeoverSlack) -> bool {
        at_or_after(sender.seqhi.wrapping_add(slack.0), self.data_end)
            && at_or_after(self.seq, self.lower_edge(sender, receiver).wrapping_sub(slack.0))
            && self.acknowledges_within(receiver, slack)
            && (!self.is_reset() || self.is_exact_reset(sender, receiver))
    }

    #[inline(always)]
    pub(super) const fn acknowledges_within(&self, receiver: &Peer, slack: TakeoverSlack) -> bool {
        let ahead = MAX_ACK_WINDOW + slack.0;
        let behind = self.max_ack_age().cast_signed().saturating_add_unsigned(slack.0);
        // One comparison for both limits: too far ahead wraps to a large number.
        self.ack_skew(receiver).cast_unsigned().wrapping_add(ahead) <= behind.cast_unsigned() + ahead
    }

    /// Returns how far behind the receiver's `seqlo` the acknowledgement may be.
    #[inline]
    pub(super) const fn max_ack_age(&self) -> u32 {
        MAX_ACK_AGE[(self.sender_shift & SHIFT_MASK) as usize].cast_unsigned()
    }

    /// Returns the advertised window in bytes.
    #[inline]
    pub(super) const fn offered(&self) -> u32 {
        (self.window as u32) << self.sender_shift
    }

    pub(super) const fn is_reset(&self) -> bool {
        self.flags & tcp_flags::RST != 0
    }

    /// Whether an RST has the next sequence number, give or take one. One that acknowledges everything may lie further back.
    #[cold]
    fn is_exact_reset(self, sender: &Peer, receiver: &Peer) -> bool {
        const RST_ACK: u8 = tcp_flags::ACK | tcp_flags::RST;
        let distance = self.header_seq.wrapping_sub(sender.seqlo).cast_signed();
        let acknowledges_all = self.ack_skew(receiver) == 0 && self.flags & RST_ACK == RST_ACK;
        (-1..=1).contains(&distance)
            || (acknowledges_all
                && distance <= 1
                && at_or_after(self.header_seq, self.lower_edge(sender, receiver)))
    }

    /// Whether an RST is in the window.
    #[cold]
    fn is_reset_in_window(self, sender: &Peer, receiver: &Peer, slack: TakeoverSlack) -> bool {
        let (first, last) = self.extent();
        at_or_after(sender.seqhi.wrapping_add(slack.0), last)
            && at_or_after(first, self.lower_edge(sender, receiver).wrapping_sub(slack.0))
            && self.acknowledges_within(receiver, slack)
    }

    /// Returns the first and last number of the segment. Unlike other segments without data, an RST keeps its number.
    fn extent(self) -> (u32, u32) {
        let is_placed = self.is_reset() && self.seq == self.end;
        if is_placed { (self.header_seq, self.header_seq) } else { (self.seq, self.data_end) }
    }

    /// Whether the segment is near the window. Needed for simultaneous SYNs, mid-connection pickup and what some stacks send
    /// after the end. Unlike in pf, an RST must be near too.
    #[cold]
    fn is_near(self, sender: &Peer) -> bool {
        let (first, last) = self.extent();
        at_or_after(sender.seqhi.wrapping_add(MAX_ACK_WINDOW), last)
            && at_or_after(first, sender.seqlo.wrapping_sub(MAX_ACK_WINDOW))
    }

    /// Advances the windows for an accepted segment.
    #[inline(always)]
    pub(super) fn advance(&self, sender: &mut Peer, receiver: &mut Peer) {
        sender.max_win = sender.max_win.max(self.window);
        if after(self.end, sender.seqlo) {
            sender.seqlo = self.end;
        }
        let offered = self.offered();
        let nothing_known = receiver.seqlo == 0 && self.ack == 0;
        if !nothing_known && at_or_after(self.ack.wrapping_add(offered), receiver.seqhi) {
            receiver.seqhi = self.ack.wrapping_add(offered.max(1));
        }
    }

    /// Returns the flags to set for what the peers' copy of the receiver still accepts; none without an acknowledgement.
    #[inline]
    pub(super) const fn drift_flags(&self, max_drift: MaxDrift, receiver: &Peer) -> u16 {
        if receiver.seqlo == 0 {
            return 0;
        }
        max_drift.flags(receiver, self.ack, self.window, 1 << self.sender_shift)
    }

    /// Returns the distance from the acknowledgement to the receiver's `seqlo`.
    #[inline]
    const fn ack_skew(&self, receiver: &Peer) -> i32 {
        receiver.seqlo.wrapping_sub(self.ack).cast_signed()
    }

    /// Returns the largest window that the receiver advertised, in bytes.
    #[inline]
    pub(super) const fn reach(&self, receiver: &Peer) -> u32 {
        (receiver.max_win as u32) << self.receiver_shift
    }

    /// Returns the lowest acceptable sequence number.
    #[inline]
    pub(super) const fn lower_edge(&self, sender: &Peer, receiver: &Peer) -> u32 {
        sender.seqlo.wrapping_sub(self.reach(receiver)).wrapping_sub(MAX_STALENESS)
    }
}

/// Whether the receiver has sent nothing yet, or either side has closed.
#[inline(always)]
fn is_opening_or_closed([sender, receiver]: [u8; 2]) -> bool {
    !(SYN_SENT..FIN_WAIT_2).contains(&receiver) || sender >= FIN_WAIT_2
}

/// Whether a segment quoted in an ICMP error has a sequence number in the window. Only eight bytes are sure to be
/// quoted, so nothing else is checked (OpenBSD `pf_test_state_icmp`).
#[inline]
pub(in crate::state) fn is_quoted_in_window(
    seq: u32,
    sender: &Peer,
    receiver: &Peer,
    slack: TakeoverSlack,
) -> bool {
    let shift = if sender.wscale != 0 && receiver.wscale != 0 { shift_of(receiver) } else { 0 };
    let seq = seq.wrapping_sub(sender.seqdiff);
    let lower_edge =
        sender.seqlo.wrapping_sub(u32::from(receiver.max_win) << shift).wrapping_sub(MAX_STALENESS);
    at_or_after(sender.seqhi.wrapping_add(slack.0), seq) && at_or_after(seq, lower_edge.wrapping_sub(slack.0))
}

fn saturating_shift(window: u16, shift: u8) -> u16 {
    u16::try_from(u32::from(window) << shift).unwrap_or(u16::MAX)
}
