//! Nearly all TCP packets, tracked in one stroke: an acknowledgement, with data or without, on a connection that is open.
//!
//! What is written here is [`super::tcp_window`] and the table with these facts put in: no side turns, so the numbers are
//! all that moves. It may be narrower than they are, never wider: what is not let in here they judge.

use super::peer::peer_state::ESTABLISHED;
use super::takeover::resync_flag;
use super::tcp_window::{MAX_ACK_AGE, MAX_ACK_WINDOW, MAX_STALENESS, SHIFT_MASK};
use super::timeout::timeout_class::TCP_ESTABLISHED;
use super::{Hot, Peer, Track, pf_flags};
use crate::packet::{TcpFacts, tcp_flags};
use crate::time::Tick;

/// What a window is counted in, by its shift: a multiplication ties up no register as a shift does.
const UNIT: [u32; SHIFTS] = {
    let mut unit = [1; SHIFTS];
    let mut shift = 1;
    while shift < SHIFTS {
        unit[shift] = 2 * unit[shift - 1];
        shift += 1;
    }
    unit
};

/// How many numbers there are between the nearest and the farthest that a segment may acknowledge.
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

/// Whether neither side turns with this packet, no mark is left, and full tracking is on.
#[inline(always)]
fn is_eligible(hot: &Hot, flags: u8) -> bool {
    const TURNS: u8 = tcp_flags::SYN | tcp_flags::FIN | tcp_flags::RST | tcp_flags::ACK;
    hot.peer_state == [ESTABLISHED; 2]
        && flags & TURNS == tcp_flags::ACK
        && hot.pf_flags & pf_flags::SLOPPY == 0
        && hot.local.0 & (resync_flag(0) | resync_flag(1)) == 0
}

/// The shifts of both sides' windows.
#[inline(always)]
const fn shifts(sender: &Peer, receiver: &Peer) -> (usize, usize) {
    if sender.wscale == 0 || receiver.wscale == 0 {
        return (0, 0);
    }
    ((sender.wscale & SHIFT_MASK) as usize, (receiver.wscale & SHIFT_MASK) as usize)
}

/// Tracks a packet of `side` if it is one of these. False: nothing was changed.
#[inline(always)]
pub(super) fn track_established(
    hot: &mut Hot,
    track: &mut Track,
    facts: &TcpFacts,
    side: usize,
    now: Tick,
) -> bool {
    let Track { src, dst } = track;
    let (sender, receiver) = if side == 0 { (src, dst) } else { (dst, src) };
    if !is_eligible(hot, facts.flags) || sender.seqlo == 0 || receiver.seqlo == 0 {
        return false;
    }
    let (own, other) = shifts(sender, receiver);
    // All places are told from the highest that the sender has sent. One without data is there, wherever it says.
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
    hot.last_activity = now;
    hot.timeout = TCP_ESTABLISHED;
    true
}

#[cfg(test)]
mod tests {
    use super::super::tcp::track as track_slow;
    use super::super::{LocalFlags, Outcome, Scrub};
    use super::*;
    use proptest::prelude::*;
    use std::cell::Cell;

    /// Numbers near each other, and now and then any.
    fn near(place: u32) -> impl Strategy<Value = u32> {
        prop_oneof![
            8 => (-200_000i32..200_000).prop_map(move |by| place.wrapping_add_signed(by)),
            1 => (-3i32..3).prop_map(move |by| place.wrapping_add_signed(by)),
            1 => any::<u32>(),
            1 => Just(0),
        ]
    }

    fn peer(place: u32) -> impl Strategy<Value = Peer> {
        let windows = prop_oneof![Just(0u16), Just(1), Just(u16::MAX), any::<u16>()];
        let scales = prop_oneof![Just(0u8), 0x80u8..0x90, any::<u8>()];
        (near(place), near(place), prop_oneof![3 => Just(0), 1 => any::<u32>()], windows, scales).prop_map(
            |(seqlo, seqhi, seqdiff, max_win, wscale)| Peer {
                seqlo,
                seqhi,
                seqdiff,
                max_win,
                wscale,
                scrub: Scrub::default(),
                ..Peer::default()
            },
        )
    }

    #[test]
    fn what_is_tracked_in_one_stroke_the_tables_and_windows_track_alike() {
        let steadily = Cell::new(0);
        let (place, other) = (4_000_000_000u32, 77_000u32);
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let packet = (near(place), near(other), any::<u16>(), 0u8..64, prop_oneof![Just(0), 0u32..70_000]);
        let hot = (0u8..12, 0u8..12, 0u8..8, prop_oneof![3 => Just(0u16), 1 => any::<u16>()]);
        let history = (peer(place), peer(other), packet, hot, 0usize..2);
        runner
            .run(&history, |(one, two, (seq, ack, window, flags, payload), (a, b, often, local), side)| {
                let flags = if often == 0 { flags } else { tcp_flags::ACK | flags & tcp_flags::PSH };
                let facts = TcpFacts { seq, ack, window, flags, payload, ..TcpFacts::NONE };
                let peer_state = if often == 1 { [a, b] } else { [ESTABLISHED; 2] };
                let pf_flags = if often == 2 { pf_flags::SLOPPY } else { 0 };
                let hot = Hot { peer_state, pf_flags, local: LocalFlags(local), ..Hot::EMPTY };
                let track =
                    if side == 0 { Track { src: one, dst: two } } else { Track { src: two, dst: one } };
                let all = |hot: &Hot, track: &Track| {
                    (hot.peer_state, hot.timeout, hot.last_activity, hot.local, track.src, track.dst)
                };
                let (mut hot_now, mut track_now) = (hot, track);
                if !track_established(&mut hot_now, &mut track_now, &facts, side, Tick(9)) {
                    prop_assert_eq!(all(&hot_now, &track_now), all(&hot, &track));
                    return Ok(());
                }
                steadily.set(steadily.get() + 1);
                let (mut hot_then, mut track_then) = (hot, track);
                prop_assert_eq!(
                    track_slow(&mut hot_then, &mut track_then, &facts, side, Tick(9)),
                    Outcome::Pass
                );
                prop_assert_eq!(all(&hot_now, &track_now), all(&hot_then, &track_then));
                Ok(())
            })
            .unwrap();
        let cases = runner.config().cases;
        assert!(steadily.get() * 20 > cases, "{} of {cases} cases were steady", steadily.get());
    }
}
