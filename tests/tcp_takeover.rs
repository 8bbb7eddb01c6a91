//! A connection whose record came from a peer and is old: the slack, its bounds, and how it ends.

#[path = "support/connection.rs"]
mod connection;

use connection::packet;
use pfplane::internals::packet::{Family, TcpFacts};
use pfplane::internals::state::{
    DropReason, LocalFlags, Options, Outcome, Peer, RESYNC_SEGMENTS, Record, StateId, TAKEOVER_SLACK, answer,
    create, peer_state, track,
};
use pfplane::internals::time::Tick;
use proptest::prelude::*;

const RST: u8 = 4;
const ACK: u8 = 16;
const BOTH: u16 = LocalFlags::RESYNC_SRC | LocalFlags::RESYNC_DST;
const OUTSIDE: Outcome = Outcome::Drop(DropReason::Window);

/// Where the peer's last update left the two sides. The space wraps soon behind both.
const CLIENT: u32 = u32::MAX - 1_000_000;
const SERVER: u32 = u32::MAX - 2_000_000;
const WINDOW: u16 = 60_000;

/// An established connection, its sides marked.
fn imported(marks: u16) -> Record {
    let syn = TcpFacts { seq: CLIENT, flags: 2, ..TcpFacts::default() };
    let id = StateId { id: 1, creator: 1 };
    let mut record = create(&packet(Family::V6, true, syn), &Options::default(), id, Tick(0));
    let side = |seqlo: u32| Peer {
        seqlo,
        seqhi: seqlo.wrapping_add(WINDOW.into()),
        max_win: WINDOW,
        ..Peer::default()
    };
    record.track.src = side(CLIENT);
    record.track.dst = side(SERVER);
    record.hot.peer_state = [peer_state::ESTABLISHED; 2];
    record.hot.local.set(marks);
    record
}

/// A segment, its numbers counted from the last update.
fn send(record: &mut Record, forward: bool, flags: u8, seq: i64, payload: u32, ack: i64) -> Outcome {
    let [own, other] = if forward { [CLIENT, SERVER] } else { [SERVER, CLIENT] };
    let absolute = |base: u32, offset: i64| (i64::from(base) + offset).rem_euclid(1 << 32) as u32;
    let tcp = TcpFacts {
        seq: absolute(own, seq),
        ack: absolute(other, ack),
        window: WINDOW,
        flags,
        payload,
        ..TcpFacts::default()
    };
    track(&mut record.hot, &mut record.track, &packet(Family::V6, forward, tcp), Tick(1))
}

/// A connection that the peer told of while it opened, and that nobody here has seen: the states of its two sides.
fn opening(states: [u8; 2]) -> Record {
    let mut record = imported(BOTH | LocalFlags::IMPORTED);
    record.hot.local.clear(LocalFlags::LOCAL_TRAFFIC);
    record.hot.peer_state = states;
    if states[1] == 0 {
        record.track.dst = Peer::default();
    }
    record
}

const SYN: u8 = 2;
const ANOTHER: i64 = 700_000_000;

#[test]
fn a_connection_whose_record_was_begun_anew_goes_on_from_either_end() {
    let empty = Peer { seqhi: 1, max_win: 1, ..Peer::default() };
    for first_is_client in [true, false] {
        let mut record = opening([peer_state::SYN_SENT; 2]);
        (record.track.src, record.track.dst) = (empty, empty);
        for (forward, seq, ack) in
            [(first_is_client, 500, 700), (!first_is_client, 700, 600), (first_is_client, 600, 800)]
        {
            // Far from zero, which an empty record holds.
            let outcome = send(&mut record, forward, ACK, ANOTHER + seq, 100, ANOTHER + ack);
            assert!(outcome.passes(), "{first_is_client} {seq} {outcome:?}");
        }
        assert_eq!(record.hot.peer_state, [peer_state::ESTABLISHED; 2]);
        // From then on its windows are checked, with the slack of a takeover.
        let far = ANOTHER + i64::from(TAKEOVER_SLACK) * 4;
        assert_eq!(send(&mut record, first_is_client, ACK, far, 100, ANOTHER + 800), OUTSIDE);
    }
}

#[test]
fn a_connection_with_the_ports_of_one_whose_server_was_silent_takes_its_place() {
    let mut record = opening([peer_state::SYN_SENT, 0]);
    assert_eq!(send(&mut record.clone(), true, SYN, -1, 0, 0), Outcome::Pass, "its own SYN once more");
    assert_eq!(send(&mut record, true, SYN, ANOTHER, 0, 0), Outcome::Retire);
}

#[test]
fn the_syn_that_made_a_record_is_its_own_once_more() {
    let syn = TcpFacts { seq: CLIENT, window: WINDOW, flags: SYN, ..TcpFacts::default() };
    for answered in [false, true] {
        let id = StateId { id: 1, creator: 1 };
        let mut record = create(&packet(Family::V6, true, syn), &Options::default(), id, Tick(0));
        if answered {
            assert_eq!(send(&mut record, false, SYN | ACK, 0, 0, 1), Outcome::Pass);
        }
        // The peer is told now, and takes over before the client has heard the answer.
        record.hot.local.set(BOTH | LocalFlags::IMPORTED);
        record.hot.local.clear(LocalFlags::LOCAL_TRAFFIC);
        for _ in 0..2 {
            assert_eq!(send(&mut record, true, SYN, 0, 0, 0), Outcome::Pass, "{answered}");
        }
    }
}

#[test]
fn a_connection_with_the_ports_of_one_that_was_answered_asks_its_client() {
    for states in [[peer_state::SYN_SENT; 2], [peer_state::ESTABLISHED, peer_state::SYN_SENT]] {
        let mut record = opening(states);
        assert!(send(&mut record.clone(), true, SYN, -1, 0, 0).passes(), "its own SYN once more: {states:?}");
        assert_eq!(send(&mut record, true, SYN, ANOTHER, 0, 0), Outcome::Drop(DropReason::ChallengeAck));
        let syn = TcpFacts { seq: CLIENT.wrapping_add(700_000_000), flags: SYN, ..TcpFacts::default() };
        let facts = packet(Family::V6, true, syn);
        let challenge = answer(DropReason::ChallengeAck, &record.hot, &record.track, &facts).unwrap();
        assert_eq!((challenge.ack, challenge.flags), (CLIENT, ACK));
        // The client, which knows nothing of the old connection, resets it and says its SYN again.
        assert!(send(&mut record, true, RST, 0, 0, 0).passes());
        assert_eq!(send(&mut record, true, SYN, ANOTHER, 0, 0), Outcome::Retire);
    }
}

#[test]
fn once_a_packet_was_seen_here_the_client_is_asked_too_and_without_the_mark_it_is_as_for_pf() {
    let mut record = opening([peer_state::SYN_SENT, 0]);
    assert_eq!(send(&mut record, true, SYN, -1, 0, 0), Outcome::Pass);
    // Near enough for the slack, which is for segments of the same connection.
    for near in [1_300_000, ANOTHER] {
        assert_eq!(send(&mut record, true, SYN, near, 0, 0), Outcome::Drop(DropReason::ChallengeAck));
    }
    record.hot.local.clear(BOTH);
    assert_eq!(send(&mut record, true, SYN, ANOTHER, 0, 0), OUTSIDE);
}

#[test]
fn the_slack_holds_to_the_octet_on_every_edge() {
    let slack = i64::from(TAKEOVER_SLACK);
    let window = i64::from(WINDOW);
    let rows = [
        ("upper edge", window + slack - 10, 0),
        ("lower edge", -window - 67_035 - slack, 0),
        ("acknowledged ahead", 0, 67_035 + slack),
        ("acknowledged behind", 0, -2 * 67_035 - slack),
    ];
    for (name, seq, ack) in rows {
        assert_eq!(send(&mut imported(BOTH), true, ACK, seq, 10, ack), Outcome::PassLoose, "{name}");
        assert_eq!(send(&mut imported(BOTH), false, ACK, seq, 10, ack), Outcome::PassLoose, "{name}");
        assert_eq!(send(&mut imported(0), true, ACK, seq, 10, ack), OUTSIDE, "{name}");
        let (seq, ack) = (seq + seq.signum(), ack + ack.signum());
        assert_eq!(send(&mut imported(BOTH), true, ACK, seq, 10, ack), OUTSIDE, "{name}");
        assert_eq!(send(&mut imported(BOTH), false, ACK, seq, 10, ack), OUTSIDE, "{name}");
    }
}

#[test]
fn a_mark_of_either_side_widens_every_edge() {
    let slack = i64::from(TAKEOVER_SLACK);
    for marks in [LocalFlags::RESYNC_SRC, LocalFlags::RESYNC_DST, 0] {
        for (seq, ack) in [(-slack, 0), (slack, 0), (0, slack), (0, -slack)] {
            let passes = send(&mut imported(marks), true, ACK, seq, 10, ack).passes();
            assert_eq!(passes, marks != 0, "{marks:#x} {seq} {ack}");
        }
    }
}

/// Both marks gone, by segments that repeat what the record had: of what the client sent beyond it nothing came by.
fn settled_behind() -> Record {
    let mut record = imported(BOTH);
    record.track.dst.wscale = 0x84;
    record.track.src.wscale = 0x80;
    for turn in 0..i64::from(RESYNC_SEGMENTS) {
        let sent = turn * 1_400;
        assert_eq!(send(&mut record, true, ACK, sent, 1_400, 0), Outcome::Pass, "{turn}");
        assert_eq!(send(&mut record, false, ACK, 0, 0, sent + 1_400), Outcome::Pass, "{turn}");
    }
    assert_eq!(record.hot.local.0 & BOTH, 0);
    record
}

#[test]
fn when_the_last_hole_is_filled_the_acknowledgement_leaps_over_what_the_other_firewall_saw() {
    let sent = i64::from(RESYNC_SEGMENTS) * 1_400;
    let offered = sent + (i64::from(WINDOW) << 4);
    for (leap, outcome) in
        [(400_000, Outcome::PassLoose), (offered, Outcome::PassLoose), (offered + 1, OUTSIDE)]
    {
        let mut record = settled_behind();
        assert_eq!(send(&mut record, false, ACK, 0, 100, leap), outcome, "{leap}");
        let next = if outcome == OUTSIDE { sent } else { leap };
        assert_eq!(send(&mut record, true, ACK, next, 1_400, 100), Outcome::Pass, "{leap}");
    }
    // A segment must fit else, and an RST is not believed for it.
    let mut record = settled_behind();
    assert_eq!(send(&mut record, false, ACK, 4_000_000, 100, 400_000), OUTSIDE);
    assert_eq!(send(&mut record, false, RST | ACK, 0, 0, 400_000), OUTSIDE);
    record.track.src.max_seq_before_takeover = 0;
    assert_eq!(send(&mut record, false, ACK, 0, 100, 400_000), OUTSIDE);
}

#[test]
fn forged_acknowledgements_do_not_walk_the_window_away() {
    let mut record = settled_behind();
    let sent = i64::from(RESYNC_SEGMENTS) * 1_400;
    let offered = sent + (i64::from(WINDOW) << 4);
    for _ in 0..100 {
        let ahead = i64::from(record.track.src.seqhi.wrapping_sub(CLIENT));
        send(&mut record, false, ACK, 0, 0, ahead);
        send(&mut record, false, ACK, 0, 0, offered);
    }
    // The true ones, which are where they were.
    for turn in 0..100 {
        let at = sent + turn * 1_400;
        assert!(send(&mut record, true, ACK, at, 1_400, 0).passes(), "{turn}");
        assert!(send(&mut record, false, ACK, 0, 0, at + 1_400).passes(), "{turn}");
    }
}

#[test]
fn a_fast_transfer_goes_on_and_the_marks_go() {
    let mut record = imported(BOTH);
    let mut at = 3_000_000;
    assert_eq!(send(&mut record, true, ACK, at, 1_400, 500_000), Outcome::PassLoose);
    for turn in 0..40 {
        at += 1_400;
        let marked = record.hot.local.has(LocalFlags::RESYNC_SRC);
        assert_eq!(marked, turn < i64::from(RESYNC_SEGMENTS), "{turn}");
        assert_eq!(send(&mut record, true, ACK, at, 1_400, 500_000), Outcome::Pass, "{turn}");
        assert_eq!(send(&mut record, false, ACK, 500_000, 0, at + 1_400), Outcome::Pass, "{turn}");
    }
    assert_eq!(record.hot.local.0 & BOTH, 0);
    assert_eq!((record.track.src.resync_fits, record.track.dst.resync_fits), (0, 0));
    // Now the window holds again.
    assert_eq!(send(&mut record, true, ACK, at + 1_400 + 60_001, 1, 500_000), OUTSIDE);
}

#[test]
fn a_side_that_only_acknowledges_is_settled_by_where_it_stands() {
    let mut record = imported(BOTH);
    // The client's own data ran on by 100 kB; now it only acknowledges.
    assert_eq!(send(&mut record, true, ACK, 100_000, 0, 2_000_000), Outcome::PassLoose);
    assert_eq!(record.track.src.seqlo, CLIENT.wrapping_add(100_000));
    assert_eq!(send(&mut record, false, ACK, 2_000_000, 1_400, 100_000), Outcome::Pass);
    // A place far off is let through, as pf does with a segment without data, but the record does not follow it.
    assert_eq!(send(&mut record, true, ACK, 900_000_000, 0, 2_000_000), Outcome::Pass);
    assert_eq!(send(&mut record, true, ACK, -900_000_000, 0, 2_000_000), Outcome::Pass);
    assert_eq!(record.track.src.seqlo, CLIENT.wrapping_add(100_000));
    for _ in 0..RESYNC_SEGMENTS {
        assert!(record.hot.local.has(LocalFlags::RESYNC_SRC));
        assert_eq!(send(&mut record, true, ACK, 100_000, 0, 2_001_400), Outcome::Pass);
    }
    assert!(!record.hot.local.has(LocalFlags::RESYNC_SRC));
}

#[test]
fn a_forged_segment_in_the_slack_does_not_harm_the_true_ones() {
    for forged in [4_000_000, 2_000_000, -4_000_000] {
        let mut record = imported(BOTH);
        assert_eq!(send(&mut record, true, ACK, forged, 1_400, forged), Outcome::PassLoose);
        for turn in 0..100 {
            let (sent, answered) = (50_000 + turn * 1_400, 90_000 + turn * 1_400);
            assert!(send(&mut record, true, ACK, sent, 1_400, answered).passes(), "{forged} {turn}");
            assert!(send(&mut record, false, ACK, answered, 1_400, sent + 1_400).passes(), "{forged} {turn}");
        }
        assert_eq!(record.hot.local.0 & BOTH, 0);
        assert_eq!(record.track.src.seqlo, CLIENT.wrapping_add(50_000 + 100 * 1_400));
        assert_eq!(record.track.dst.seqlo, SERVER.wrapping_add(90_000 + 100 * 1_400));
    }
}

#[test]
fn far_forged_segments_are_dropped_and_change_nothing() {
    let mut record = imported(BOTH);
    let before = format!("{record:?}");
    for step in 1..400 {
        let far = step * 10_000_000;
        for (seq, ack) in [(far, 0), (far, far)] {
            assert_eq!(send(&mut record, true, ACK, seq, 1, ack), OUTSIDE, "{seq} {ack}");
            assert_eq!(send(&mut record, false, ACK, seq, 1, ack), OUTSIDE, "{seq} {ack}");
        }
    }
    assert_eq!(format!("{record:?}"), before);
}

#[test]
fn within_the_slack_an_rst_passes_and_is_not_believed() {
    let mut record = imported(BOTH);
    for seq in [-2, 2, 1_000, 1_000_000, -1_000_000] {
        assert_eq!(send(&mut record, true, RST, seq, 0, 0), Outcome::PassLoose, "{seq}");
    }
    for seq in [10_000_000, -10_000_000] {
        assert_eq!(send(&mut record, true, RST, seq, 0, 0), OUTSIDE, "{seq}");
    }
    assert_eq!(record.hot.peer_state, [peer_state::ESTABLISHED; 2]);
    assert_eq!(send(&mut record, true, RST, 0, 0, 0), Outcome::Pass);
    assert_eq!(record.hot.peer_state, [peer_state::TIME_WAIT; 2]);
}

fn any_peer() -> impl Strategy<Value = Peer> {
    any::<(u32, u32, u32, u16, u8, u8)>().prop_map(|(seqlo, seqhi, seqdiff, max_win, wscale, resync_fits)| {
        Peer { seqlo, seqhi, seqdiff, max_win, wscale, resync_fits, ..Peer::default() }
    })
}

proptest! {
    /// Overflow is checked in this build, so an unbounded sum or shift would show.
    #[test]
    fn no_record_of_a_hostile_peer_brings_the_tracker_down(
        src in any_peer(), dst in any_peer(), states in any::<[u8; 2]>(), marks: u16, sloppy: bool,
        segments in prop::collection::vec(any::<(bool, u8, i64, u32, i64)>(), 1..20),
    ) {
        let mut record = imported(marks & BOTH);
        record.track.src = src;
        record.track.dst = dst;
        record.hot.peer_state = states;
        record.hot.pf_flags = if sloppy { 2 } else { 0 };
        for (forward, flags, seq, payload, ack) in segments {
            let (seq, ack) = (seq % (1 << 33), ack % (1 << 33));
            let before = record.hot.packets;
            let outcome = send(&mut record, forward, flags, seq, payload, ack);
            prop_assert_eq!(outcome.passes(), record.hot.packets != before);
        }
    }
}
