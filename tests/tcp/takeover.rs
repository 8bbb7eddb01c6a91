//! Connections after a takeover, with an outdated record from a peer: the slack, its limits, and how it ends.

use crate::connection::packet;
use pfplane::internals::packet::tcp_flags::{ACK, RST, SYN};
use pfplane::internals::packet::{Family, TcpFacts};
use pfplane::internals::state::{
    DropReason, LocalFlags, Options, Outcome, Peer, RESYNC_SEGMENTS, Record, StateId, TAKEOVER_SLACK, answer,
    create, peer_state, track,
};
use pfplane::internals::time::Tick;
use proptest::prelude::*;

const BOTH: u16 = LocalFlags::RESYNC_SRC | LocalFlags::RESYNC_DST;
const OUTSIDE: Outcome = Outcome::Drop(DropReason::Window);

/// The numbers in the peer's last update. Both wrap soon.
const CLIENT: u32 = u32::MAX - 1_000_000;
const SERVER: u32 = u32::MAX - 2_000_000;
const WINDOW: u16 = 60_000;

/// Builds an established connection with these resync flags.
fn imported(resync: u16) -> Record {
    let syn = TcpFacts { seq: CLIENT, flags: SYN, ..TcpFacts::default() };
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
    record.hot.local.set(resync);
    record
}

/// Tracks a segment whose numbers are relative to the last update.
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

/// Builds a connection that a peer sent while it was opening and that this node has not seen.
fn opening(states: [u8; 2]) -> Record {
    let mut record = imported(BOTH | LocalFlags::IMPORTED);
    record.hot.local.clear(LocalFlags::LOCAL_TRAFFIC);
    record.hot.peer_state = states;
    if states[1] == 0 {
        record.track.dst = Peer::default();
    }
    record
}

const ANOTHER: i64 = 700_000_000;

#[test]
fn a_connection_with_a_cleared_record_continues_from_either_side() {
    let empty = Peer { seqhi: 1, max_win: 1, ..Peer::default() };
    for first_is_client in [true, false] {
        let mut record = opening([peer_state::SYN_SENT; 2]);
        (record.track.src, record.track.dst) = (empty, empty);
        for (forward, seq, ack) in
            [(first_is_client, 500, 700), (!first_is_client, 700, 600), (first_is_client, 600, 800)]
        {
            // Far from the zeros of an empty record.
            let outcome = send(&mut record, forward, ACK, ANOTHER + seq, 100, ANOTHER + ack);
            assert!(outcome.passes(), "{first_is_client} {seq} {outcome:?}");
        }
        assert_eq!(record.hot.peer_state, [peer_state::ESTABLISHED; 2]);
        // From now on the windows apply, with the slack.
        let far = ANOTHER + i64::from(TAKEOVER_SLACK) * 4;
        assert_eq!(send(&mut record, first_is_client, ACK, far, 100, ANOTHER + 800), OUTSIDE);
    }
}

#[test]
fn a_syn_replaces_a_connection_whose_server_never_answered() {
    let mut record = opening([peer_state::SYN_SENT, 0]);
    assert_eq!(send(&mut record.clone(), true, SYN, -1, 0, 0), Outcome::Pass, "its own SYN again");
    assert_eq!(send(&mut record, true, SYN, ANOTHER, 0, 0), Outcome::Retire);
}

#[test]
fn a_repeated_syn_belongs_to_its_connection() {
    let syn = TcpFacts { seq: CLIENT, window: WINDOW, flags: SYN, ..TcpFacts::default() };
    for answered in [false, true] {
        let id = StateId { id: 1, creator: 1 };
        let mut record = create(&packet(Family::V6, true, syn), &Options::default(), id, Tick(0));
        if answered {
            assert_eq!(send(&mut record, false, SYN | ACK, 0, 0, 1), Outcome::Pass);
        }
        // The peer gets the update and takes over before the client receives the answer.
        record.hot.local.set(BOTH | LocalFlags::IMPORTED);
        record.hot.local.clear(LocalFlags::LOCAL_TRAFFIC);
        for _ in 0..2 {
            assert_eq!(send(&mut record, true, SYN, 0, 0, 0), Outcome::Pass, "{answered}");
        }
    }
}

#[test]
fn a_syn_on_an_answered_connection_is_challenged() {
    for states in [[peer_state::SYN_SENT; 2], [peer_state::ESTABLISHED, peer_state::SYN_SENT]] {
        let mut record = opening(states);
        assert!(send(&mut record.clone(), true, SYN, -1, 0, 0).passes(), "its own SYN again: {states:?}");
        assert_eq!(send(&mut record, true, SYN, ANOTHER, 0, 0), Outcome::Drop(DropReason::ChallengeAck));
        let syn = TcpFacts { seq: CLIENT.wrapping_add(700_000_000), flags: SYN, ..TcpFacts::default() };
        let facts = packet(Family::V6, true, syn);
        let challenge = answer(DropReason::ChallengeAck, &record.hot, &record.track, &facts).unwrap();
        assert_eq!((challenge.ack, challenge.flags), (CLIENT, ACK));
        // The client does not know the old connection: it sends an RST and repeats its SYN.
        assert!(send(&mut record, true, RST, 0, 0, 0).passes());
        assert_eq!(send(&mut record, true, SYN, ANOTHER, 0, 0), Outcome::Retire);
    }
}

#[test]
fn a_syn_on_a_connection_seen_here_is_challenged_while_resync_is_set() {
    let mut record = opening([peer_state::SYN_SENT, 0]);
    assert_eq!(send(&mut record, true, SYN, -1, 0, 0), Outcome::Pass);
    // The first is near enough for the slack, which is for segments of the same connection only.
    for near in [1_300_000, ANOTHER] {
        assert_eq!(send(&mut record, true, SYN, near, 0, 0), Outcome::Drop(DropReason::ChallengeAck));
    }
    record.hot.local.clear(BOTH);
    assert_eq!(send(&mut record, true, SYN, ANOTHER, 0, 0), Outcome::Retire, "nobody has answered");
}

#[test]
fn the_slack_is_exact_to_the_byte_at_every_edge() {
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
fn one_sides_resync_flag_widens_every_edge() {
    let slack = i64::from(TAKEOVER_SLACK);
    for resync in [LocalFlags::RESYNC_SRC, LocalFlags::RESYNC_DST, 0] {
        for (seq, ack) in [(-slack, 0), (slack, 0), (0, slack), (0, -slack)] {
            let passes = send(&mut imported(resync), true, ACK, seq, 10, ack).passes();
            assert_eq!(passes, resync != 0, "{resync:#x} {seq} {ack}");
        }
    }
}

/// Builds a connection whose resync flags were cleared by retransmissions, while the client has sent more than was seen.
fn resynced_behind() -> Record {
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
fn an_acknowledgement_may_jump_over_data_that_only_the_other_node_saw() {
    let sent = i64::from(RESYNC_SEGMENTS) * 1_400;
    let offered = sent + (i64::from(WINDOW) << 4);
    for (jump, outcome) in
        [(400_000, Outcome::PassLoose), (offered, Outcome::PassLoose), (offered + 131_072, OUTSIDE)]
    {
        let mut record = resynced_behind();
        assert_eq!(send(&mut record, false, ACK, 0, 100, jump), outcome, "{jump}");
        let next = if outcome == OUTSIDE { sent } else { jump };
        assert_eq!(send(&mut record, true, ACK, next, 1_400, 100), Outcome::Pass, "{jump}");
    }
    // The segment must fit otherwise, and an RST does not qualify.
    let mut record = resynced_behind();
    assert_eq!(send(&mut record, false, ACK, 4_000_000, 100, 400_000), OUTSIDE);
    assert_eq!(send(&mut record, false, RST | ACK, 0, 0, 400_000), OUTSIDE);
    record.track.src.takeover_mark = 0;
    assert_eq!(send(&mut record, false, ACK, 0, 100, 400_000), OUTSIDE);
}

#[test]
fn forged_acknowledgements_do_not_move_the_window_away() {
    let mut record = resynced_behind();
    let sent = i64::from(RESYNC_SEGMENTS) * 1_400;
    let offered = sent + (i64::from(WINDOW) << 4);
    for _ in 0..100 {
        let ahead = i64::from(record.track.src.seqhi.wrapping_sub(CLIENT));
        send(&mut record, false, ACK, 0, 0, ahead);
        send(&mut record, false, ACK, 0, 0, offered);
    }
    // Genuine segments still pass.
    for turn in 0..100 {
        let at = sent + turn * 1_400;
        assert!(send(&mut record, true, ACK, at, 1_400, 0).passes(), "{turn}");
        assert!(send(&mut record, false, ACK, 0, 0, at + 1_400).passes(), "{turn}");
    }
}

#[test]
fn a_fast_transfer_continues_and_the_resync_flags_are_cleared() {
    let mut record = imported(BOTH);
    let mut at = 3_000_000;
    assert_eq!(send(&mut record, true, ACK, at, 1_400, 500_000), Outcome::PassLoose);
    for turn in 0..40 {
        at += 1_400;
        let is_resyncing = record.hot.local.has(LocalFlags::RESYNC_SRC);
        assert_eq!(is_resyncing, turn < i64::from(RESYNC_SEGMENTS), "{turn}");
        assert_eq!(send(&mut record, true, ACK, at, 1_400, 500_000), Outcome::Pass, "{turn}");
        assert_eq!(send(&mut record, false, ACK, 500_000, 0, at + 1_400), Outcome::Pass, "{turn}");
    }
    assert_eq!(record.hot.local.0 & BOTH, 0);
    assert_eq!((record.track.src.resync, record.track.dst.resync), (0, 0));
    // Now the normal window applies again.
    assert_eq!(send(&mut record, true, ACK, at + 1_400 + 60_001, 1, 500_000), OUTSIDE);
}

#[test]
fn a_side_that_only_acknowledges_resyncs_by_its_sequence_number() {
    let mut record = imported(BOTH);
    // The client has sent 100 kB more; now it only acknowledges.
    assert_eq!(send(&mut record, true, ACK, 100_000, 0, 2_000_000), Outcome::PassLoose);
    assert_eq!(record.track.src.seqlo, CLIENT.wrapping_add(100_000));
    assert_eq!(send(&mut record, false, ACK, 2_000_000, 1_400, 100_000), Outcome::Pass);
    // Like in pf, a segment without data passes with any number; the record does not move to a far one.
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
fn a_forged_segment_within_the_slack_does_not_harm_genuine_ones() {
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
fn an_rst_within_the_slack_passes_without_effect() {
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
    any::<(u32, u32, u32, u16, u8, u8)>().prop_map(|(seqlo, seqhi, seqdiff, max_win, wscale, resync)| Peer {
        seqlo,
        seqhi,
        seqdiff,
        max_win,
        wscale,
        resync,
        ..Peer::default()
    })
}

proptest! {
    /// Overflow checks are on in this build.
    #[test]
    fn no_record_from_a_hostile_peer_makes_the_tracker_panic(
        src in any_peer(), dst in any_peer(), states in any::<[u8; 2]>(), resync: u16, sloppy: bool,
        segments in prop::collection::vec(any::<(bool, u8, i64, u32, i64)>(), 1..20),
    ) {
        let mut record = imported(resync & BOTH);
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
