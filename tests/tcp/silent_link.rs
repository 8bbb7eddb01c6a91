//! Takeovers after the sync link was silent: connections are far ahead of the last update, and strangers guess numbers.

use crate::connection::packet;
use pfplane::internals::packet::tcp_flags::{ACK, FIN, RST, SYN};
use pfplane::internals::packet::{Family, TcpFacts};
use pfplane::internals::state::{
    LineRate, LocalFlags, MaxDrift, Options, Outcome, Peer, Record, StateId, create, peer_state,
    timeout_class, track_replicated,
};
use pfplane::internals::time::Tick;
use pfplane_testkit::Random;

const BOTH: u16 = LocalFlags::RESYNC_SRC | LocalFlags::RESYNC_DST;
const MSS: u32 = 1_448;
/// Initial numbers of client and server; both wrap soon.
const BASE: [u32; 2] = [u32::MAX - 1_000_000, u32::MAX - 2_000_000];

/// A connection on the surviving node.
struct Survivor {
    family: Family,
    record: Record,
    rate: LineRate,
    /// Time since the last update.
    age: Tick,
    /// The window that both hosts advertise, and its shift.
    window: u16,
    shift: u8,
}

impl Survivor {
    /// Builds an established connection as the last update before the silence recorded it.
    fn new(family: Family, window: u16, shift: u8, silent_ms: u32, mbit: u32) -> Self {
        let syn = TcpFacts { seq: BASE[0], flags: SYN, ..TcpFacts::default() };
        let id = StateId { id: 1, creator: 1 };
        let mut record = create(&packet(family, true, syn), &Options::default(), id, Tick(0));
        let side = |seqlo: u32| Peer {
            seqlo,
            seqhi: seqlo.wrapping_add(u32::from(window) << shift),
            max_win: window,
            wscale: if shift == 0 { 0 } else { 0x80 | shift },
            ..Peer::default()
        };
        (record.track.src, record.track.dst) = (side(BASE[0]), side(BASE[1]));
        record.hot.peer_state = [peer_state::ESTABLISHED; 2];
        record.hot.timeout = timeout_class::TCP_ESTABLISHED;
        record.hot.local.set(BOTH | LocalFlags::IMPORTED);
        record.hot.local.clear(LocalFlags::LOCAL_TRAFFIC);
        let rate = LineRate::from_mbit(mbit);
        Self { family, record, rate, age: Tick(silent_ms / 10), window, shift }
    }

    /// Tracks a segment from `side` with absolute numbers.
    fn track(&mut self, side: usize, flags: u8, seq: u32, payload: u32, ack: u32) -> Outcome {
        let tcp = TcpFacts { seq, ack, window: self.window, flags, payload, ..TcpFacts::default() };
        let facts = packet(self.family, side == 0, tcp);
        let Record { hot, track, .. } = &mut self.record;
        track_replicated(hot, track, &facts, self.age, MaxDrift::OFF, || self.rate.reach(Tick(0), self.age))
    }

    /// Tracks a segment from `side`. The numbers count from the last update.
    fn send(&mut self, side: usize, seq: u64, payload: u32, ack: u64) -> Outcome {
        let at = |side: usize, number: u64| BASE[side].wrapping_add(number as u32);
        self.track(side, ACK, at(side, seq), payload, at(1 - side, ack))
    }

    /// The bytes in a window.
    fn window_bytes(&self) -> u64 {
        u64::from(self.window) << self.shift
    }

    fn is_resyncing(&self) -> bool {
        self.record.hot.local.any(BOTH)
    }
}

/// Which segment arrives first after the takeover.
#[derive(Clone, Copy, Debug)]
enum First {
    NewData,
    Retransmission,
    Acknowledgement,
}

/// Continues a connection whose sides sent `sent` bytes since the last update. Returns the name of what was dropped.
fn resume(
    survivor: &mut Survivor,
    sent: [u64; 2],
    sender: usize,
    first: First,
    mss: u32,
) -> Result<(), String> {
    let receiver = 1 - sender;
    let lost = survivor.window_bytes().min(sent[sender]) / 2;
    // The receiver has everything up to `acked`; the segments after it were lost with the node that died.
    let (mut acked, answered) = (sent[sender] - lost, sent[receiver]);
    let check = |outcome: Outcome, what: &str, at: u64| {
        if outcome.passes() { Ok(()) } else { Err(format!("{what} at {at} of {sent:?}: {outcome:?}")) }
    };
    match first {
        First::NewData => {
            check(survivor.send(sender, sent[sender], mss, answered), "new data", sent[sender])?;
            check(survivor.send(receiver, answered, 0, acked), "duplicate acknowledgement", acked)?;
        }
        First::Acknowledgement => {
            check(survivor.send(receiver, answered, 0, acked), "first acknowledgement", acked)?;
        }
        First::Retransmission => {}
    }
    for _ in 0..200 {
        check(survivor.send(sender, acked, mss, answered), "data", acked)?;
        acked += u64::from(mss);
        check(survivor.send(receiver, answered, 0, acked), "acknowledgement", acked)?;
    }
    if survivor.is_resyncing() {
        return Err(format!("still resyncing after {sent:?}"));
    }
    Ok(())
}

/// Rate of the connection and silence before the takeover.
const SILENCES: [(u64, u32); 12] = [
    (64, 1_500),
    (64, 8_000),
    (100, 500),
    (100, 5_000),
    (1_000, 100),
    (1_000, 3_000),
    (9_600, 10),
    (9_600, 100),
    (9_600, 1_000),
    (9_600, 2_000),
    // The numbers have wrapped.
    (9_600, 3_600),
    (9_600, 10_000),
];

#[test]
fn a_transfer_survives_the_death_of_the_sync_link_before_the_node() {
    let windows = [(60_000, 0), (65_535, 0), (1_000, 7), (40_000, 7), (u16::MAX, 9)];
    for (mbit, silent_ms) in SILENCES {
        let sent = mbit * 125 * u64::from(silent_ms);
        for (window, shift) in windows {
            for family in [Family::V4, Family::V6] {
                for sender in [0, 1] {
                    for first in [First::NewData, First::Retransmission, First::Acknowledgement] {
                        for mss in [MSS, 8_948, 60_000] {
                            let mut survivor = Survivor::new(family, window, shift, silent_ms, 10_000);
                            let mut moved = [300; 2];
                            moved[sender] = sent;
                            let result = resume(&mut survivor, moved, sender, first, mss.min(window.into()));
                            let case = (mbit, silent_ms, window, shift, sender, first, mss);
                            assert_eq!(result, Ok(()), "{case:?}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_transfer_in_both_directions_survives_too() {
    for (mbit, silent_ms) in SILENCES {
        let sent = mbit * 125 / 2 * u64::from(silent_ms);
        for first in [First::NewData, First::Retransmission, First::Acknowledgement] {
            let mut survivor = Survivor::new(Family::V4, 40_000, 7, silent_ms, 10_000);
            let result = resume(&mut survivor, [sent; 2], 0, first, MSS);
            assert_eq!(result, Ok(()), "{mbit} {silent_ms} {first:?}");
        }
    }
}

#[test]
fn coalesced_segments_put_the_survivor_megabytes_behind_without_any_loss() {
    // 128 updates of 56 KiB each are merged into one, and the node dies just before it is sent.
    for ahead in [7_200_000, 8_300_000] {
        let mut survivor = Survivor::new(Family::V4, 40_000, 7, 10, 10_000);
        assert_eq!(resume(&mut survivor, [300, ahead], 1, First::NewData, 57_344), Ok(()));
    }
}

#[test]
fn the_reach_follows_the_age_and_the_rate() {
    // At 100 Mbit/s a connection cannot have moved 64 MB in a second.
    let cases =
        [(100, 1_000, 14_000_000, false), (100, 6_000, 14_000_000, true), (1_000, 1_000, 14_000_000, true)];
    for (mbit, silent_ms, ahead, passes) in cases {
        let mut survivor = Survivor::new(Family::V4, 40_000, 7, silent_ms, mbit);
        assert_eq!(survivor.send(1, ahead, MSS, 0).passes(), passes, "{mbit} {silent_ms}");
    }
    // A slow link also narrows what moves the records.
    let mut survivor = Survivor::new(Family::V4, 1_000, 0, 100, 1);
    assert!(survivor.send(1, 19_000, 100, 0).passes());
    let mut survivor = Survivor::new(Family::V4, 1_000, 0, 100, 1);
    assert!(!survivor.send(1, 21_000, 100, 0).passes());
}

#[test]
fn far_segments_are_refused_as_soon_as_both_directions_were_seen() {
    let mut survivor = Survivor::new(Family::V4, 40_000, 7, 1_000, 10_000);
    assert!(survivor.send(1, 50_000_000, MSS, 0).passes());
    assert!(survivor.send(1, 400_000_000, MSS, 0).passes(), "one direction proves nothing");
    assert!(survivor.send(1, 50_000_000, MSS, 0).passes());
    assert!(survivor.send(0, 0, 0, 50_001_448).passes(), "confirmed");
    assert!(!survivor.send(1, 400_000_000, MSS, 0).passes());
    assert!(!survivor.send(0, 0, 0, 400_000_000).passes());
    // The same where the record was up to date.
    let mut survivor = Survivor::new(Family::V4, 40_000, 7, 1_000, 10_000);
    assert_eq!(survivor.send(1, 0, MSS, 0), Outcome::Pass);
    assert_eq!(survivor.send(0, 0, 0, 1_448), Outcome::Pass);
    assert!(!survivor.send(1, 400_000_000, MSS, 0).passes());
}

#[test]
fn a_far_segment_changes_nothing_until_the_other_direction_confirms_it() {
    let mut survivor = Survivor::new(Family::V6, 40_000, 7, 1_000, 10_000);
    for flags in [ACK, ACK | FIN] {
        let seq = BASE[1].wrapping_add(500_000_000);
        assert_eq!(survivor.track(1, flags, seq, 100, BASE[0]), Outcome::PassLoose);
        assert_eq!(survivor.record.hot.peer_state, [peer_state::ESTABLISHED; 2]);
        assert_eq!(survivor.record.track.dst.seqlo, BASE[1]);
    }
    for flags in [RST, RST | ACK, SYN, SYN | ACK] {
        let seq = BASE[1].wrapping_add(300_000_000);
        assert!(!survivor.track(1, flags, seq, 0, BASE[0]).passes(), "{flags:#x}");
    }
    // The client, which has everything up to 90,000,000, answers the stray segment.
    assert!(survivor.send(0, 0, 0, 90_000_000).passes());
    assert_eq!(survivor.record.track.dst.seqlo, BASE[1], "it does not confirm the claim");
    assert!(survivor.send(1, 90_000_000, MSS, 0).passes());
    assert_eq!(survivor.record.track.dst.seqlo, BASE[1].wrapping_add(90_001_448));
}

#[test]
fn an_rst_that_answers_a_far_segment_passes_and_shortens_the_timeout() {
    let mut survivor = Survivor::new(Family::V4, 40_000, 7, 1_000, 10_000);
    // The client acknowledges 90,000,000 to a server that has restarted.
    assert!(survivor.send(0, 0, 100, 90_000_000).passes());
    let rst = BASE[1].wrapping_add(90_000_000);
    assert_eq!(survivor.track(1, RST, rst, 0, 0), Outcome::PassLoose);
    assert_eq!(survivor.record.hot.timeout, timeout_class::TCP_CLOSING);
    assert_eq!(survivor.record.hot.peer_state, [peer_state::ESTABLISHED; 2]);
    assert_eq!(survivor.record.track.dst.seqlo, BASE[1]);
}

/// What an attacker achieved who cannot see the connection.
#[derive(Debug, Default)]
struct Harm {
    passed: u32,
    moved: u32,
    ended: u32,
    shortened: u32,
}

/// Sends `count` segments with random numbers from one side.
fn attack(silent_ms: u32, mbit: u32, flags: u8, is_confirmed: bool, count: u32) -> Harm {
    let mut random = Random::new(u64::from(silent_ms));
    let mut harm = Harm::default();
    let mut survivor = Survivor::new(Family::V4, 60_000, 0, silent_ms, mbit);
    if is_confirmed {
        assert!(survivor.send(1, 0, 100, 0).passes() && survivor.send(0, 0, 0, 100).passes());
    }
    let before = survivor.record;
    for _ in 0..count {
        let [seq, ack] = [0; 2].map(|_| random.below_u32(u32::MAX));
        harm.passed +=
            u32::from(survivor.track(1, flags, seq, if flags & RST == 0 { 100 } else { 0 }, ack).passes());
        let (hot, track) = (&survivor.record.hot, &survivor.record.track);
        harm.ended += u32::from(hot.peer_state != before.hot.peer_state);
        harm.shortened += u32::from(hot.timeout != before.hot.timeout);
        harm.moved +=
            u32::from(track.dst.seqlo != before.track.dst.seqlo || track.src.seqlo != before.track.src.seqlo);
        survivor.record = before;
    }
    harm
}

#[test]
fn a_blind_attacker_needs_many_segments_even_after_a_long_silence() {
    const SHOTS: u32 = 200_000;
    // Silence and rate; the most segments in 200,000 that may pass to the host, and that may move the records. None may
    // end the connection. `is_confirmed`: both directions were seen since the takeover.
    let rows = [
        // (silence, Mbit/s, confirmed, data passed, data moved, RSTs passed)
        (10, 100, false, 5, 5, 1_000),
        (1_000, 100, false, 60, 20, 3_000),
        (1_000, 1_000, false, 2_000, 20, 3_000),
        (100, 10_000, false, 3_500, 20, 3_000),
        (1_000, 10_000, false, 60_000, 20, 3_000),
        (1_000, 10_000, true, 20, 20, 3_000),
        (60_000, 10_000, true, 20, 20, 3_000),
    ];
    for (silent_ms, mbit, is_confirmed, passed, moved, resets) in rows {
        let data = attack(silent_ms, mbit, ACK, is_confirmed, SHOTS);
        let reset = attack(silent_ms, mbit, RST, is_confirmed, SHOTS);
        let with_ack = attack(silent_ms, mbit, RST | ACK, is_confirmed, SHOTS);
        println!(
            "{silent_ms} ms, {mbit} Mbit/s, {is_confirmed}: data {data:?}, RST {reset:?}, RST+ACK {with_ack:?}"
        );
        assert!(data.passed <= passed && data.moved <= moved, "{silent_ms} {mbit}: {data:?}");
        assert!(reset.passed <= resets && reset.moved == 0, "{silent_ms} {mbit}: {reset:?}");
        assert!(with_ack.passed <= 20, "{silent_ms} {mbit}: {with_ack:?}");
        assert_eq!([data.ended, reset.ended, with_ack.ended], [0; 3]);
    }
}

#[test]
fn genuine_traffic_continues_under_a_flood_of_forged_segments() {
    let mut random = Random::new(7);
    for silent_ms in [10, 1_500, 10_000] {
        let mut survivor = Survivor::new(Family::V6, 60_000, 0, silent_ms, 10_000);
        let start = 12_500 * u64::from(silent_ms);
        let mut flood = |survivor: &mut Survivor| {
            for _ in 0..random.below_u32(40) {
                let [seq, ack] = [0; 2].map(|_| random.below_u32(u32::MAX));
                survivor.track(
                    1,
                    [ACK, ACK | FIN, RST, RST | ACK][random.below_u32(4) as usize],
                    seq,
                    100,
                    ack,
                );
            }
        };
        for turn in 0..2_000 {
            let at = start + turn * u64::from(MSS);
            flood(&mut survivor);
            assert!(survivor.send(1, at, MSS, 300).passes(), "{silent_ms} {turn}");
            flood(&mut survivor);
            assert!(survivor.send(0, 300, 0, at + u64::from(MSS)).passes(), "{silent_ms} {turn}");
        }
        assert_eq!(survivor.record.hot.peer_state, [peer_state::ESTABLISHED; 2]);
        assert!(!survivor.is_resyncing(), "{silent_ms}");
    }
}
