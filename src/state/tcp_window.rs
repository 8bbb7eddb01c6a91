//! The sequence windows of a TCP connection (OpenBSD `pf_tcp_track_full`; protocol 7.5).
//!
//! ```text
//!        seqlo - window           seqlo                    seqhi
//!  ---------|-----------------------|------------------------|--------> sequence space of one side
//!           | retransmissions       | what the side may send |
//! ```
//!
//! `seqlo` follows what the side sends, `seqhi` what the other side acknowledges and offers. A segment fits when it
//! ends at or before `seqhi`, begins at most the other side's largest window and [`MAX_STALENESS`] before `seqlo`, and
//! acknowledges nothing far from what the other side has sent. All comparisons are modulo 2^32.
//!
//! **Unlike pf**, where pf drops what real ends send each other over a bad network (`tools/real-tcp` does it):
//!
//! * A segment that acknowledges nothing does not set the `seqhi` of a side that is still silent. pf counts from zero
//!   there when a SYN is repeated, which gives half of the possible first sequence numbers a window of gigabytes, and
//!   answers those in a small range before 2^31 with an RST.
//! * Where the record of a side was begun anew while the connection opened, the SYN-ACK tells where that side stands. pf
//!   holds the SYN-ACK to zero there, refuses it and resets the server.
//! * [`MAX_STALENESS`]: segments and acknowledgements that a whole window has overtaken still pass. An end throws such a one
//!   away and answers with the acknowledgement that its peer may be waiting for.
//! * [`MAX_WINDOWS_BEHIND`]: for that an acknowledgement may be twice as old as for pf, whose one window leaves a
//!   fortieth of itself for the rest.
//! * [`WindowFit::Unproven`]: an RST in the window, but not at the next octet, passes and changes nothing. An end resets with
//!   what its peer acknowledged or with what it sent last; where segments were lost, the firewall's next octet is
//!   neither, and pf's drop leaves the peer hanging. Whether it is true the peer decides (RFC 5961, 3.2).
//!
//! What else is ours is in `takeover.rs`, and at the gate of `tcp.rs`.

use super::Peer;
use super::peer::peer_state::{FIN_WAIT_2, SYN_SENT};
use super::takeover::TakeoverSlack;
use crate::packet::{TcpFacts, tcp_flags};

/// How far acknowledgements and loose segments may lie beside the window: 64 KiB and one Ethernet frame.
pub(super) const MAX_ACK_WINDOW: u32 = 65_535 + 1_500;

/// How much older than a window a segment may be: as much as pf allows at a connection's ends.
pub(super) const MAX_STALENESS: u32 = MAX_ACK_WINDOW;

/// An acknowledgement may be two windows old: one is on its way, another may have overtaken it. pf's tolerance, scaled
/// as windows are, has room for one.
const MAX_WINDOWS_BEHIND: i64 = 2;

/// How far behind what its receiver has sent a segment may acknowledge, by the shift of its sender's windows. With the
/// greatest of them every number is near enough.
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

/// The greatest shift that TCP knows (RFC 7323).
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

/// At most 15, which a hostile record may say: no sum here overflows with it.
const fn shift_of(peer: &Peer) -> u8 {
    peer.wscale & SHIFT_MASK
}

/// A window as a SYN carries it, in units of `shift`, rounded up so that it never becomes smaller.
#[expect(clippy::cast_possible_truncation, reason = "a shifted sixteen-bit number is not longer than it was")]
pub const fn descaled(window: u16, shift: u8) -> u16 {
    ((window as u32 + (1 << shift) - 1) >> shift) as u16
}

/// The window-scale byte of a record from a SYN's option byte: zero without the option, the shift limited.
pub const fn scale_from_syn(wscale: u8) -> u8 {
    if wscale & SCALE_SEEN == 0 {
        return 0;
    }
    let shift = wscale & SHIFT_MASK;
    SCALE_SEEN | if shift < MAX_SHIFT { shift } else { MAX_SHIFT }
}

/// How a segment lies in the windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowFit {
    /// Inside.
    Exact,
    /// Inside only with what is borne after a takeover.
    Takeover,
    /// Outside, but near, and the connection is at its beginning or its end.
    Loose,
    /// An RST inside, but not at the next octet: passed, not believed.
    Unproven,
    /// Outside.
    Outside,
}

/// What the segment's window counts in.
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

/// The first segment of a side: its numbers begin here, and its SYN settles window scaling for both.
#[cold]
fn init_sender(tcp: &TcpFacts, end: u32, sender: &mut Peer, receiver: &mut Peer) -> Scales {
    let mut scales = Scales::of(tcp, sender, receiver);
    if tcp.flags & tcp_flags::SYN != 0 && receiver.wscale & SCALE_SEEN != 0 {
        sender.wscale = scale_from_syn(tcp.wscale);
        if sender.wscale == 0 {
            // The sender refuses scaling, so the other side's window was meant as it stood.
            receiver.max_win = saturating_shift(receiver.max_win, shift_of(receiver));
            receiver.wscale = 0;
        } else {
            let (own, other) = (shift_of(sender), shift_of(receiver));
            scales = Scales { window: descaled(tcp.window, own), sender: own, receiver: other };
        }
    }
    sender.seqlo = tcp.seq;
    let edge = end.wrapping_add((u32::from(receiver.max_win) << scales.receiver).max(1));
    // seqhi may be there already: from the other side's acknowledgement, or because the connection was picked up.
    if sender.seqhi == 1 || at_or_after(edge, sender.seqhi) {
        sender.seqhi = edge;
    }
    sender.max_win = sender.max_win.max(scales.window);
    scales
}

/// One segment's numbers, made comparable with the records. Small and copied on purpose: what is called seldom takes a
/// copy, so that the numbers stay in registers for what is called always.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    pub(super) header_seq: u32,
    pub(super) seq: u32,
    pub(super) data_end: u32,
    pub(super) end: u32,
    pub(super) ack: u32,
    window: u16,
    flags: u8,
    sender_shift: u8,
    receiver_shift: u8,
}

impl Segment {
    /// Reads a segment against the records of its sender and receiver. Does the bookkeeping of a side's first segment,
    /// which like pf it keeps even when the segment is then dropped.
    #[inline(always)]
    pub fn read(tcp: &TcpFacts, sender: &mut Peer, receiver: &mut Peer, receiver_state: u8) -> Self {
        let data_end =
            tcp.seq.wrapping_add(tcp.payload).wrapping_add(u32::from(tcp.flags & tcp_flags::SYN != 0));
        let end = data_end.wrapping_add(u32::from(tcp.flags & tcp_flags::FIN != 0));
        const ANSWER: u8 = tcp_flags::SYN | tcp_flags::ACK;
        if tcp.flags & ANSWER == ANSWER && receiver.seqlo == 0 && receiver_state == SYN_SENT {
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
            window: scales.window,
            flags: tcp.flags,
            sender_shift: scales.sender,
            receiver_shift: scales.receiver,
        };
        segment.normalize(sender, receiver, receiver_state);
        segment
    }

    /// Takes out of the check what says nothing: absent acknowledgements, and the place of a segment without data.
    #[inline(always)]
    fn normalize(&mut self, sender: &Peer, receiver: &Peer, receiver_state: u8) {
        const REFUSAL: u8 = tcp_flags::ACK | tcp_flags::RST;
        let refuses_unread = self.ack == 0 && self.flags & REFUSAL == REFUSAL;
        if self.flags & tcp_flags::ACK == 0 || refuses_unread || receiver_state < SYN_SENT {
            self.ack = receiver.seqlo;
        }
        if self.seq == self.end {
            self.seq = sender.seqlo;
            // A FIN may lie behind the last octet of the window; what comes after it must not be held to that octet.
            let beyond = sender.seqlo == sender.seqhi.wrapping_add(1);
            self.data_end = if beyond { sender.seqhi } else { sender.seqlo };
            self.end = sender.seqlo;
        }
    }

    /// How the segment lies in the windows. `states` are the sender's and the receiver's.
    #[inline(always)]
    pub fn fit(&self, sender: &Peer, receiver: &Peer, states: [u8; 2], slack: TakeoverSlack) -> WindowFit {
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
        let behind = MAX_ACK_AGE[(self.sender_shift & SHIFT_MASK) as usize].saturating_add_unsigned(slack.0);
        // Both bounds in one comparison: what is too far ahead becomes a number beyond all others.
        self.ack_skew(receiver).cast_unsigned().wrapping_add(ahead) <= behind.cast_unsigned() + ahead
    }

    pub(super) const fn is_reset(&self) -> bool {
        self.flags & tcp_flags::RST != 0
    }

    /// An RST must name the next octet, or one beside it; one that acknowledges everything may lie further back.
    #[cold]
    fn is_exact_reset(self, sender: &Peer, receiver: &Peer) -> bool {
        const REFUSAL: u8 = tcp_flags::ACK | tcp_flags::RST;
        let distance = self.header_seq.wrapping_sub(sender.seqlo).cast_signed();
        let acknowledges_all = self.ack_skew(receiver) == 0 && self.flags & REFUSAL == REFUSAL;
        (-1..=1).contains(&distance)
            || (acknowledges_all
                && distance <= 1
                && at_or_after(self.header_seq, self.lower_edge(sender, receiver)))
    }

    /// Whether an RST lies in the window.
    #[cold]
    fn is_reset_in_window(self, sender: &Peer, receiver: &Peer, slack: TakeoverSlack) -> bool {
        let (first, last) = self.extent();
        at_or_after(sender.seqhi.wrapping_add(slack.0), last)
            && at_or_after(first, self.lower_edge(sender, receiver).wrapping_sub(slack.0))
            && self.acknowledges_within(receiver, slack)
    }

    /// Where the segment lies; an RST where its header says, although the check takes segments without data as in place.
    fn extent(self) -> (u32, u32) {
        let is_placed = self.is_reset() && self.seq == self.end;
        if is_placed { (self.header_seq, self.header_seq) } else { (self.seq, self.data_end) }
    }

    /// Near the window. Enough while one side is silent still or the connection is over: for shotgun SYNs, connections
    /// picked up in the middle, and what some stacks send after the end. Unlike pf's, an RST must be near, too.
    #[cold]
    fn is_near(self, sender: &Peer) -> bool {
        let (first, last) = self.extent();
        at_or_after(sender.seqhi.wrapping_add(MAX_ACK_WINDOW), last)
            && at_or_after(first, sender.seqlo.wrapping_sub(MAX_ACK_WINDOW))
    }

    /// Moves the windows on behind an accepted segment.
    #[inline(always)]
    pub fn advance(&self, sender: &mut Peer, receiver: &mut Peer) {
        sender.max_win = sender.max_win.max(self.window);
        if after(self.end, sender.seqlo) {
            sender.seqlo = self.end;
        }
        let offered = u32::from(self.window) << self.sender_shift;
        let nothing_known = receiver.seqlo == 0 && self.ack == 0;
        if !nothing_known && at_or_after(self.ack.wrapping_add(offered), receiver.seqhi) {
            receiver.seqhi = self.ack.wrapping_add(offered.max(1));
        }
    }

    /// Signed distance from what is acknowledged to what the receiver is known to have sent.
    #[inline]
    const fn ack_skew(&self, receiver: &Peer) -> i32 {
        receiver.seqlo.wrapping_sub(self.ack).cast_signed()
    }

    /// The largest window that the receiver offered, in bytes.
    #[inline]
    pub(super) const fn reach(&self, receiver: &Peer) -> u32 {
        (receiver.max_win as u32) << self.receiver_shift
    }

    #[inline]
    pub(super) const fn lower_edge(&self, sender: &Peer, receiver: &Peer) -> u32 {
        sender.seqlo.wrapping_sub(self.reach(receiver)).wrapping_sub(MAX_STALENESS)
    }
}

/// Whether the receiver is silent still, or either side is over.
#[inline(always)]
fn is_opening_or_closed([sender, receiver]: [u8; 2]) -> bool {
    !(SYN_SENT..FIN_WAIT_2).contains(&receiver) || sender >= FIN_WAIT_2
}

/// Whether the sequence number of a segment quoted in an ICMP error lies where its sender may have sent. Only eight
/// octets of it are sure to be there, so there is nothing else to check (OpenBSD `pf_test_state_icmp`).
#[inline]
pub fn quoted_fits(seq: u32, sender: &Peer, receiver: &Peer, slack: TakeoverSlack) -> bool {
    let shift = if sender.wscale != 0 && receiver.wscale != 0 { shift_of(receiver) } else { 0 };
    let seq = seq.wrapping_sub(sender.seqdiff);
    let lower_edge =
        sender.seqlo.wrapping_sub(u32::from(receiver.max_win) << shift).wrapping_sub(MAX_STALENESS);
    at_or_after(sender.seqhi.wrapping_add(slack.0), seq) && at_or_after(seq, lower_edge.wrapping_sub(slack.0))
}

fn saturating_shift(window: u16, shift: u8) -> u16 {
    u16::try_from(u32::from(window) << shift).unwrap_or(u16::MAX)
}
