//! Merges a peer's view of a connection into ours: the newer view of each side wins.
//!
//! Each side is judged alone, and a stale side is not copied. FreeBSD (and OpenBSD before 7.4) copies the destination side
//! even when it is stale; connections then stall under asymmetric traffic (opnsense/src#327; protocol 5.4).

use crate::packet::protocol::{ICMP, ICMPV6, TCP, UDP};
use crate::state::{
    Hot, LocalFlags, Peer, Scrub, Track, class_of, has_acknowledged_unseen, peer_state, timeout_class,
};
use crate::time::{TICKS_PER_SECOND, Tick};
use pfsync::{CompressedUpdate, FullState, StatePeer};

/// What a message says of a connection that both nodes know.
#[derive(Clone, Copy, Debug)]
pub struct PeerView<'a> {
    /// The side that sent the first packet.
    pub src: &'a StatePeer,
    /// The other side.
    pub dst: &'a StatePeer,
    /// Timeout class.
    pub timeout: u8,
    /// When the connection had traffic.
    pub activity: Activity,
}

impl<'a> PeerView<'a> {
    pub(in crate::sync) const fn of_state(state: &'a FullState, activity: Activity) -> Self {
        Self { src: &state.src, dst: &state.dst, timeout: state.timeout, activity }
    }

    pub(in crate::sync) const fn of_update(update: &'a CompressedUpdate) -> Self {
        Self { src: &update.src, dst: &update.dst, timeout: update.timeout, activity: Activity::Now }
    }
}

/// What a message says about the time of a connection's last traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Now: a compressed update.
    Now,
    /// Some time ago: a whole state from a system whose remaining time may be scaled.
    Unknown,
    /// At this time: a whole state from a pfplane node, to the second.
    At(Tick),
}

impl Activity {
    /// Returns the last activity after a merge. pf counts whatever it receives as traffic.
    pub(in crate::sync) const fn merged(self, ours: Tick, now: Tick) -> Tick {
        match self {
            Self::At(theirs) if theirs.since(ours) > 0 => theirs,
            Self::At(_) => ours,
            Self::Now | Self::Unknown => now,
        }
    }
}

/// Whether a whole state that a peer sends shows no traffic that this node does not know of.
///
/// After a link failure, two nodes send each other all states. If each took the other's copy for newer traffic, both would
/// leave the connection to the other, and none would scale its timeout.
pub(in crate::sync) fn is_echo(hot: &Hot, track: &Track, view: &PeerView<'_>) -> bool {
    let is_tcp = hot.key.proto == TCP;
    let has_same_numbers =
        |ours: &Peer, theirs: &StatePeer| [ours.seqlo, ours.seqhi] == [theirs.seqlo, theirs.seqhi];
    let is_known = hot.peer_state == [view.src.state, view.dst.state]
        && hot.timeout == view.timeout
        && (!is_tcp || has_same_numbers(&track.src, view.src) && has_same_numbers(&track.dst, view.dst));
    is_known
        && match view.activity {
            Activity::Now => false,
            Activity::Unknown => is_tcp,
            Activity::At(theirs) => theirs.since(hot.last_activity) <= TICKS_PER_SECOND.cast_signed(),
        }
}

/// The result of a merge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Sides that stayed as they were.
    pub stale: StaleSides,
    /// See [`is_echo`]: nothing was changed.
    pub is_echo: bool,
}

/// Which sides of an update are older than ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StaleSides {
    /// The side that sent the first packet.
    pub src: bool,
    /// The other side.
    pub dst: bool,
}

impl StaleSides {
    /// Returns the number of stale sides.
    #[must_use]
    pub const fn count(self) -> u8 {
        self.src as u8 + self.dst as u8
    }
}

/// Whether `a` comes after `b` in sequence space.
const fn after(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() > 0
}

/// Whether a TCP side is stale: its state must not be lower, nor, at an equal state, its sequence number (OpenBSD
/// `pfsync_upd_tcp`; protocol 5.4).
const fn is_stale_tcp(state: u8, seqlo: u32, received: &StatePeer) -> bool {
    let is_unknown = state == peer_state::SYN_SENT && seqlo == 0;
    state > received.state || (state == received.state && !is_unknown && after(seqlo, received.seqlo))
}

/// Whether a peer's side has no sequence number: the peer created it while the connection opened, and zero is not a
/// number to compare. pf compares it nevertheless, so a node may take its peer's zero for newer than its own number. Such
/// a side is not answered: a pf peer would only send its zero again.
const fn has_no_number(state: u8, seqlo: u32, received: &StatePeer) -> bool {
    state == peer_state::SYN_SENT && state == received.state && seqlo != 0 && received.seqlo == 0
}

/// Whether syn-proxy finishes: the state then becomes lower.
const fn leaves_syn_proxy(state: u8, received: u8) -> bool {
    state >= peer_state::PROXY_SRC && received < peer_state::PROXY_SRC
}

/// Returns the stale sides of an update, without changing anything.
#[must_use]
pub(crate) fn stale_sides(hot: &Hot, track: &Track, src: &StatePeer, dst: &StatePeer) -> StaleSides {
    let [src_state, dst_state] = hot.peer_state;
    if hot.key.proto != TCP {
        return StaleSides { src: src_state > src.state, dst: dst_state > dst.state };
    }
    StaleSides {
        src: is_stale_tcp(src_state, track.src.seqlo, src) && !leaves_syn_proxy(src_state, src.state),
        dst: is_stale_tcp(dst_state, track.dst.seqlo, dst),
    }
}

/// Copies the sides that are not stale. Their windows are outdated when traffic arrives here, so the next packet of such
/// a side sets its window.
///
/// Under asymmetric paths one node sees the client's packets and another the server's SYN-ACK. The node that saw the client
/// acknowledge the SYN-ACK opens the connection.
pub(crate) fn merge(hot: &mut Hot, track: &mut Track, src: &StatePeer, dst: &StatePeer) -> StaleSides {
    let stale = stale_sides(hot, track, src, dst);
    let is_tcp = hot.key.proto == TCP;
    if !(stale.src || is_tcp && has_no_number(hot.peer_state[0], track.src.seqlo, src)) {
        replace(&mut track.src, src);
        hot.peer_state[0] = src.state;
        hot.local.set(LocalFlags::RESYNC_SRC);
    }
    if !(stale.dst || is_tcp && has_no_number(hot.peer_state[1], track.dst.seqlo, dst)) {
        let is_open =
            is_tcp && dst.state == peer_state::SYN_SENT && has_acknowledged_unseen(&track.dst, dst.seqlo);
        replace(&mut track.dst, dst);
        hot.peer_state[1] = if is_open { peer_state::ESTABLISHED } else { dst.state };
        // The peer needs to know.
        hot.local.set(if is_open { LocalFlags::UPDATE_DUE } else { 0 });
        hot.local.set(LocalFlags::RESYNC_DST);
    }
    if is_tcp {
        track.mark_modulation(&mut hot.local);
    }
    stale
}

/// Returns the timeout class after a merge that copied one or both sides of a view.
///
/// The peer's class fits its own two sides. pf copies it although one side of the merged state may be ours: a connection
/// whose two FINs took two paths then stays for 15 minutes or a day, one whose handshake took two paths expires after 30
/// seconds, and so does a UDP flow of which each node saw one direction.
pub(in crate::sync) fn merged_class(
    stale: StaleSides,
    hot: &Hot,
    [src, dst]: [&StatePeer; 2],
    theirs: u8,
) -> u8 {
    let is_open = hot.key.proto == TCP && hot.peer_state == [peer_state::ESTABLISHED; 2];
    if is_open && hot.peer_state != [src.state, dst.state] && theirs < timeout_class::TCP_ESTABLISHED {
        return timeout_class::TCP_ESTABLISHED;
    }
    if stale.count() == 1 { class_of_both_views(hot, theirs) } else { theirs }
}

fn class_of_both_views(hot: &Hot, theirs: u8) -> u8 {
    let is_ending = |state: &u8| (peer_state::CLOSING..peer_state::PROXY_SRC).contains(state);
    let is_answered = hot.peer_state == [peer_state::MULTIPLE; 2];
    match hot.key.proto {
        TCP if hot.peer_state.iter().all(is_ending) => class_of(hot.peer_state),
        UDP if is_answered => timeout_class::UDP_MULTIPLE,
        TCP | UDP | ICMP | ICMPV6 => theirs,
        _ if is_answered => timeout_class::OTHER_MULTIPLE,
        _ => theirs,
    }
}

/// Copies a whole side, not the maximum of each field. Scrub data stays if the sender has none.
pub(in crate::sync) fn replace(local: &mut Peer, received: &StatePeer) {
    local.seqlo = received.seqlo;
    local.seqhi = received.seqhi;
    local.seqdiff = received.seqdiff;
    local.max_win = received.max_win;
    local.mss = received.mss;
    local.wscale = received.wscale;
    local.resync = 0;
    local.sent_seqhi = received.seqhi;
    if received.scrub.valid == 1 {
        let scrub = received.scrub;
        local.scrub = Scrub { ts_mod: scrub.ts_mod, flags: scrub.flags & 1, ttl: scrub.ttl, valid: 1 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Key;

    fn tcp(state: [u8; 2], seqlo: [u32; 2]) -> (Hot, Track) {
        let key = Key { proto: TCP, ..Key::EMPTY };
        let side = |n: usize| Peer { seqlo: seqlo[n], max_win: 7, ..Peer::default() };
        (Hot { key, peer_state: state, ..Hot::EMPTY }, Track { src: side(0), dst: side(1) })
    }

    fn received(state: u8, seqlo: u32) -> StatePeer {
        StatePeer { state, seqlo, max_win: 9, ..StatePeer::default() }
    }

    #[test]
    fn a_stale_side_is_kept_and_the_other_copied() {
        for (older, newer) in [(100, 200), (u32::MAX - 5, 5), (0, 0x7fff_ffff)] {
            for src_stale in [false, true] {
                for dst_stale in [false, true] {
                    let ours = |stale| if stale { newer } else { older };
                    let (mut hot, mut track) = tcp([4, 4], [ours(src_stale), ours(dst_stale)]);
                    let theirs = |stale| received(4, if stale { older } else { newer });
                    let stale = merge(&mut hot, &mut track, &theirs(src_stale), &theirs(dst_stale));
                    assert_eq!(stale, StaleSides { src: src_stale, dst: dst_stale });
                    assert_eq!([track.src.seqlo, track.dst.seqlo], [newer; 2]);
                    assert_eq!(track.src.max_win, if src_stale { 7 } else { 9 });
                    assert_eq!(track.dst.max_win, if dst_stale { 7 } else { 9 });
                    assert_eq!(hot.local.has(LocalFlags::RESYNC_SRC), !src_stale);
                    assert_eq!(hot.local.has(LocalFlags::RESYNC_DST), !dst_stale);
                }
            }
        }
    }

    #[test]
    fn a_higher_state_is_newer_whatever_its_sequence_numbers() {
        let (mut hot, mut track) = tcp([2, 4], [500, 500]);
        let stale = merge(&mut hot, &mut track, &received(4, 1), &received(7, 1));
        assert_eq!((stale.count(), hot.peer_state), (0, [4, 7]));
        let stale = merge(&mut hot, &mut track, &received(2, 900), &received(4, 900));
        assert_eq!((stale.count(), hot.peer_state), (2, [4, 7]));
        assert_eq!([track.src.seqlo, track.dst.seqlo], [1, 1]);
    }

    #[test]
    fn a_side_without_a_sequence_number_is_older_than_any_and_is_not_answered() {
        for number in [1, 0x7fff_ffff, 0x8000_0001, u32::MAX] {
            let (mut hot, mut track) = tcp([2, 2], [number, 0]);
            merge(&mut hot, &mut track, &received(2, 0), &received(2, number));
            assert_eq!([track.src.seqlo, track.dst.seqlo], [number; 2]);
            // Where pf's comparison has the same result it is kept.
            let again = merge(&mut hot, &mut track, &received(2, 0), &received(2, 0));
            let by_pf = u8::from(number < 1 << 31) * 2;
            assert_eq!(([track.src.seqlo, track.dst.seqlo], again.count()), ([number; 2], by_pf));
        }
    }

    #[test]
    fn syn_proxy_may_lower_the_state_of_the_first_side_only() {
        for (from, to, stale) in
            [(11, 4, false), (12, 4, false), (12, 11, true), (4, 12, false), (11, 12, false)]
        {
            let (hot, track) = tcp([from, 0], [0, 0]);
            assert_eq!(
                stale_sides(&hot, &track, &received(to, 0), &received(0, 0)).src,
                stale,
                "{from} to {to}"
            );
        }
        let (hot, track) = tcp([0, 12], [0, 0]);
        assert!(stale_sides(&hot, &track, &received(0, 0), &received(4, 0)).dst);
    }

    #[test]
    fn other_protocols_compare_states_only() {
        let (mut hot, track) = tcp([1, 2], [500, 500]);
        hot.key.proto = 17;
        assert_eq!(stale_sides(&hot, &track, &received(1, 1), &received(2, 1)).count(), 0);
        assert_eq!(stale_sides(&hot, &track, &received(0, 900), &received(1, 900)).count(), 2);
    }

    #[test]
    fn scrub_data_is_copied_on_both_sides_and_kept_if_the_sender_has_none() {
        let (mut hot, mut track) = tcp([4, 4], [1, 1]);
        let scrub = pfsync::Scrub { flags: 1, ttl: 64, valid: 1, ts_mod: 77 };
        let scrubbed = StatePeer { scrub, ..received(4, 2) };
        merge(&mut hot, &mut track, &scrubbed, &scrubbed);
        let bare = received(4, 3);
        merge(&mut hot, &mut track, &bare, &bare);
        for side in [track.src, track.dst] {
            assert_eq!(side.scrub, Scrub { ts_mod: 77, flags: 1, ttl: 64, valid: 1 });
            assert_eq!(side.seqlo, 3);
        }
    }
}
