//! The fast path for established connections: an ACK with or without data. Nearly all TCP packets take it.
//!
//! This is [`super::window`] and the state table specialised for packets that change no state, only sequence numbers. It may
//! accept fewer packets than they do, never more; the slow path handles the rest.

use super::drift::MaxDrift;
use super::takeover::resync_flag;
use super::window::{MAX_ACK_AGE, MAX_ACK_WINDOW, MAX_STALENESS, SHIFT_MASK};
use crate::packet::{TcpFacts, tcp_flags};
use crate::state::peer::peer_state::ESTABLISHED;
use crate::state::timeout::timeout_class::TCP_ESTABLISHED;
use crate::state::{Hot, Peer, Track, pf_flags};
use crate::time::Tick;

/// Bytes per window unit, by shift. A multiplication needs no fixed register, a variable shift does.
const UNIT: [u32; SHIFTS] = {
    let mut unit = [1; SHIFTS];
    let mut shift = 1;
    while shift < SHIFTS {
        unit[shift] = 2 * unit[shift - 1];
        shift += 1;
    }
    unit
};

/// The number of acceptable acknowledgement numbers, by the sender's shift.
const ACK_SPAN: [u32; SHIFTS] = {
    let mut span = [0; SHIFTS];
    let mut shift = 0;
    while shift < SHIFTS {
        span[shift] = MAX_ACK_AGE[shift].cast_unsigned() + MAX_ACK_WINDOW;
        shift += 1;
    }
    span
};

const SHIFTS: usize = SHIFT_MASK as usize + 1;

/// Whether the packet can take the fast path: both sides established, an ACK only, full tracking, no resync pending.
#[inline(always)]
fn is_eligible(hot: &Hot, flags: u8) -> bool {
    const STATE_CHANGING: u8 = tcp_flags::SYN | tcp_flags::FIN | tcp_flags::RST | tcp_flags::ACK;
    hot.peer_state == [ESTABLISHED; 2]
        && flags & STATE_CHANGING == tcp_flags::ACK
        && hot.pf_flags & pf_flags::SLOPPY == 0
        && hot.local.0 & (resync_flag(0) | resync_flag(1)) == 0
}

/// Returns the window shifts of both sides.
#[inline(always)]
const fn shifts(sender: &Peer, receiver: &Peer) -> (usize, usize) {
    if sender.wscale == 0 || receiver.wscale == 0 {
        return (0, 0);
    }
    ((sender.wscale & SHIFT_MASK) as usize, (receiver.wscale & SHIFT_MASK) as usize)
}

/// Tracks a packet of `side` on the fast path. Returns false, and changes nothing, if the packet needs the slow path.
#[inline(always)]
pub(in crate::state) fn track_established(
    hot: &mut Hot,
    track: &mut Track,
    facts: &TcpFacts,
    side: usize,
    now: Tick,
    max_drift: MaxDrift,
) -> bool {
    let Track { src, dst } = track;
    let (sender, receiver) = if side == 0 { (src, dst) } else { (dst, src) };
    if !is_eligible(hot, facts.flags) || sender.seqlo == 0 || receiver.seqlo == 0 {
        return false;
    }
    let (own, other) = shifts(sender, receiver);
    // Sequence numbers are relative to `seqlo`. A segment without data counts as being there.
    let has_data = facts.payload != 0;
    let begin = if has_data { facts.seq.wrapping_sub(sender.seqlo).cast_signed() } else { 0 };
    let end = begin.wrapping_add_unsigned(facts.payload);
    let reach = u32::from(receiver.max_win) * UNIT[other] + MAX_STALENESS;
    let ack = facts.ack.wrapping_sub(receiver.seqdiff);
    let skew = receiver.seqlo.wrapping_sub(ack);
    if sender.seqhi.wrapping_sub(sender.seqlo).wrapping_sub(end.cast_unsigned()).cast_signed() < 0
        || begin.wrapping_add_unsigned(reach) < 0
        || skew.wrapping_add(MAX_ACK_WINDOW) > ACK_SPAN[own]
    {
        return false;
    }
    if facts.window > sender.max_win {
        sender.max_win = facts.window;
    }
    sender.seqlo = sender.seqlo.wrapping_add_signed(end.max(0));
    let offered = u32::from(facts.window) * UNIT[own];
    if ack.wrapping_add(offered).wrapping_sub(receiver.seqhi).cast_signed() >= 0 {
        receiver.seqhi = ack.wrapping_add(offered.max(1));
    }
    hot.local.set(max_drift.flags(receiver, ack, facts.window, UNIT[own]));
    hot.last_activity = now;
    hot.timeout = TCP_ESTABLISHED;
    true
}

#[cfg(test)]
mod tests {
    use super::super::track as track_slow;
    use super::*;
    use crate::state::{LocalFlags, Outcome, Scrub};
    use proptest::prelude::*;
    use std::cell::Cell;

    /// Mostly numbers near `base`, sometimes any.
    fn near(base: u32) -> impl Strategy<Value = u32> {
        prop_oneof![
            8 => (-200_000i32..200_000).prop_map(move |by| base.wrapping_add_signed(by)),
            1 => (-3i32..3).prop_map(move |by| base.wrapping_add_signed(by)),
            1 => any::<u32>(),
            1 => Just(0),
        ]
    }

    fn peer(base: u32) -> impl Strategy<Value = Peer> {
        let windows = prop_oneof![Just(0u16), Just(1), Just(u16::MAX), any::<u16>()];
        let scales = prop_oneof![Just(0u8), 0x80u8..0x90, any::<u8>()];
        let numbers = (near(base), near(base), near(base));
        (numbers, prop_oneof![3 => Just(0), 1 => any::<u32>()], windows, scales).prop_map(
            |((seqlo, seqhi, sent_seqhi), seqdiff, max_win, wscale)| Peer {
                seqlo,
                seqhi,
                sent_seqhi,
                seqdiff,
                max_win,
                wscale,
                scrub: Scrub::default(),
                ..Peer::default()
            },
        )
    }

    #[test]
    fn the_fast_path_equals_the_slow_path() {
        let fast_count = Cell::new(0);
        let (base, other) = (4_000_000_000u32, 77_000u32);
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let packet = (near(base), near(other), any::<u16>(), 0u8..64, prop_oneof![Just(0), 0u32..70_000]);
        let hot = (0u8..12, 0u8..12, 0u8..8, prop_oneof![3 => Just(0u16), 1 => any::<u16>()]);
        let case = (peer(base), peer(other), packet, hot, 0usize..2);
        runner
            .run(&case, |(one, two, (seq, ack, window, flags, payload), (a, b, variant, local), side)| {
                let flags = if variant == 0 { flags } else { tcp_flags::ACK | flags & tcp_flags::PSH };
                let facts = TcpFacts { seq, ack, window, flags, payload, ..TcpFacts::NONE };
                let peer_state = if variant == 1 { [a, b] } else { [ESTABLISHED; 2] };
                let pf_flags = if variant == 2 { pf_flags::SLOPPY } else { 0 };
                let hot = Hot { peer_state, pf_flags, local: LocalFlags(local), ..Hot::EMPTY };
                let track =
                    if side == 0 { Track { src: one, dst: two } } else { Track { src: two, dst: one } };
                let all = |hot: &Hot, track: &Track| {
                    (hot.peer_state, hot.timeout, hot.last_activity, hot.local, track.src, track.dst)
                };
                let (mut fast_hot, mut fast_track) = (hot, track);
                let drift = MaxDrift::from_percent(25);
                if !track_established(&mut fast_hot, &mut fast_track, &facts, side, Tick(9), drift) {
                    prop_assert_eq!(all(&fast_hot, &fast_track), all(&hot, &track));
                    return Ok(());
                }
                fast_count.set(fast_count.get() + 1);
                let (mut slow_hot, mut slow_track) = (hot, track);
                prop_assert_eq!(
                    track_slow(&mut slow_hot, &mut slow_track, &facts, side, Tick(9), drift, || 0),
                    Outcome::Pass
                );
                prop_assert_eq!(all(&fast_hot, &fast_track), all(&slow_hot, &slow_track));
                Ok(())
            })
            .unwrap();
        let cases = runner.config().cases;
        assert!(fast_count.get() * 20 > cases, "{} of {cases} cases took the fast path", fast_count.get());
    }
}
