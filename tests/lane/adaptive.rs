//! Adaptive timeouts on two nodes: each scales what it owns, and none loses what the other keeps.

use crate::node::{MS, Node, SECOND, exchange, info, replicating, view};
use pfplane::internals::engine::Config;
use pfplane::internals::lane::Action;
use pfplane::internals::packet::Direction;
use pfplane::internals::state::{Options, timeout_class};
use pfplane::internals::sync::PeerSettings;
use pfplane_testkit::Packet;
use pfsync::envelope::Address;
use pfsync::{
    Action as Message, Family, FrameWriter, FullState, Identity, Profile, StateKey, StatePeer, WriterOptions,
};

const ESTABLISHED: u32 = 86_400;

fn node(n: u8, states: u32, profile: Profile) -> Node {
    Node::new(replicating(n, profile, Config { states_per_lane: states, ..Config::default() }))
}

fn pair(states: [u32; 2], profile: Profile) -> [Node; 2] {
    [node(1, states[0], profile), node(2, states[1], profile)]
}

/// A backup whose timeouts are zero with `end` states.
fn strict_backup(end: u32) -> Node {
    let mut config = Config { states_per_lane: 1000, adaptive_by_capacity: false, ..Config::default() };
    config.timeouts.set(timeout_class::ADAPTIVE_START, 100).unwrap();
    config.timeouts.set(timeout_class::ADAPTIVE_END, end).unwrap();
    Node::new(replicating(2, Profile::OpenBsd6, config))
}

fn syn(n: u32) -> Packet {
    Packet::syn(false, 1000 + n, 7, [4000, 443])
}

fn acknowledgement(n: u32) -> Vec<u8> {
    let (syn, answer) = (syn(n), syn(n).syn_ack());
    syn.data(syn.seq + 1, answer.seq + 1, 0).tcp()
}

impl Node {
    fn begin(&mut self, n: u32, now: u64) {
        let verdict =
            self.lanes[0].create(&info(Direction::In, now), &view(&syn(n).tcp()), &Options::default());
        assert_eq!(verdict.action, Action::Pass, "{n}: {verdict:?}");
    }

    fn establish(&mut self, n: u32, now: u64) {
        self.begin(n, now);
        let answer = self.lanes[0].lookup(&info(Direction::Out, now), &view(&syn(n).syn_ack().tcp()));
        assert_eq!(answer.action, Action::Pass);
        assert!(self.passes(n, now));
    }

    fn passes(&mut self, n: u32, now: u64) -> bool {
        let verdict = self.lanes[0].lookup(&info(Direction::In, now), &view(&acknowledgement(n)));
        verdict.action == Action::Pass
    }

    /// Returns the fewest and the most seconds left of the established connections, and how many there are.
    fn left(&self, now: u64) -> (u32, u32, usize) {
        let (mut from, mut left) = (0, Vec::new());
        while let Some(view) = self.lanes[0].state_from(from, now) {
            from = view.slot.0 + 1;
            if view.hot.peer_state == [4, 4] {
                left.push(view.expires_s);
            }
        }
        (left.iter().copied().min().unwrap_or(0), left.iter().copied().max().unwrap_or(0), left.len())
    }

    /// Lets time pass while the other node is cut off or dead, in steps of `step`.
    fn alone(&mut self, now: &mut u64, time: u64, step: u64) {
        let end = *now + time;
        let mut buffer = [0; 1500];
        while *now < end {
            *now += step;
            self.poll(*now);
            while self.lanes[0].flush(&mut buffer, *now).is_some() {}
        }
    }
}

/// Runs both nodes for a second, in larger steps.
fn exchange_for_a_second(nodes: &mut [Node; 2], now: &mut u64) {
    for _ in 0..20 {
        *now += 49 * MS;
        exchange(nodes, now, 1);
    }
}

#[test]
fn a_backup_of_a_nearly_full_node_holds_every_idle_connection() {
    let mut now = 100 * SECOND;
    let [mut first, second] = pair([1000, 1000], Profile::OpenBsd6);
    (0..950).for_each(|n| first.establish(n, now));
    first.alone(&mut now, 300 * SECOND, 50 * MS);
    assert_eq!(first.states(), 950);
    let mut nodes = [first, second];
    exchange(&mut nodes, &mut now, 5000);
    assert!(nodes[1].engine.ready());
    assert_eq!(nodes[1].states(), 950);
    let (min, max, _) = nodes[1].left(now);
    assert!((ESTABLISHED - 307..=ESTABLISHED - 304).contains(&min), "{min}");
    assert!(max - min <= 1, "{min} to {max}");
    let lost = (0..950).filter(|&n| !nodes[1].passes(n, now)).count();
    assert_eq!(lost, 0);
}

#[test]
fn a_flood_of_half_open_connections_ends_no_connection_on_the_backup() {
    let pairs = [
        pair([1000, 1000], Profile::FreeBsd1400),
        // The backup would scale more than the node that has the traffic.
        pair([4000, 980], Profile::FreeBsd1500),
        [node(1, 1000, Profile::OpenBsd6), strict_backup(900)],
    ];
    for mut nodes in pairs {
        let mut now = 100 * SECOND;
        exchange(&mut nodes, &mut now, 3000);
        (0..50).for_each(|n| nodes[0].establish(n, now));
        for second in 0..60 {
            let space = 930 - nodes[0].states() as u32;
            (0..space.min(30)).for_each(|n| nodes[0].begin(10_000 + second * 30 + n, now));
            exchange_for_a_second(&mut nodes, &mut now);
        }
        assert_eq!((nodes[0].left(now).2, nodes[1].left(now).2), (50, 50));
        assert_eq!(nodes[1].stat(now, "states_expired_early"), 0);
        assert_eq!((0..50).filter(|&n| !nodes[1].passes(n, now)).count(), 0);
    }
}

#[test]
fn a_backup_shows_the_true_idle_time_whatever_the_fill_of_either_node() {
    for states in [[1000, 1000], [1000, 100_000], [100_000, 1000]] {
        let mut now = 100 * SECOND;
        let [mut first, second] = pair(states, Profile::FreeBsd1400);
        (0..900).for_each(|n| first.establish(n, now));
        first.alone(&mut now, 1000 * SECOND, 100 * MS);
        let mut nodes = [first, second];
        exchange(&mut nodes, &mut now, 3000);
        let (min, max, count) = nodes[1].left(now);
        assert_eq!(count, 900, "{states:?}");
        assert!(
            (ESTABLISHED - 1006..=ESTABLISHED - 1002).contains(&min) && max <= min + 1,
            "{states:?} {min} {max}"
        );
    }
}

#[test]
fn a_survivor_scales_by_its_own_states_once_the_grace_is_over() {
    let mut now = 100 * SECOND;
    let mut nodes = pair([1000, 1000], Profile::OpenBsd6);
    exchange(&mut nodes, &mut now, 3000);
    (0..900).for_each(|n| nodes[0].establish(n, now));
    exchange(&mut nodes, &mut now, 2000);
    let [_, survivor] = &mut nodes;
    let begun = now;
    survivor.alone(&mut now, 59 * SECOND, 50 * MS);
    let idle = |now: u64| u32::try_from((now - begun) / SECOND).unwrap() + 2;
    assert!(survivor.left(now).0 >= ESTABLISHED - idle(now) - 1, "within the grace");
    survivor.alone(&mut now, 10 * SECOND, 50 * MS);
    assert!(
        survivor.left(now).0 >= ESTABLISHED - idle(now) - 1,
        "a peer that only has nothing to send is silent too"
    );
    survivor.begin(5000, now);
    // Half of the way from 600 to 1200 states.
    let (min, max, count) = survivor.left(now);
    assert_eq!(count, 900);
    assert!(max <= ESTABLISHED / 2 && min >= ESTABLISHED / 2 - idle(now) - 1, "{min} {max}");
    assert_eq!((0..900).filter(|&n| !survivor.passes(n, now)).count(), 0);
}

/// A frame with states as pf sends them: established for `age` seconds, `expire` seconds left under pf's own scaling.
fn frame_of_pf(count: u32, age: u32, expire: u32) -> Vec<u8> {
    let peer = PeerSettings::group(Profile::OpenBsd6, Address::V4([192, 0, 2, 1]));
    let header = peer.transport.encoded_len();
    let mut packet = vec![0; 9000];
    let options = WriterOptions::default();
    let mut writer = FrameWriter::new(&mut packet[header..], Profile::OpenBsd6, &options).unwrap();
    let side = StatePeer { state: 4, seqlo: 1, seqhi: 9000, max_win: 8000, ..StatePeer::default() };
    for n in 0..count {
        let mut addr = [[0; 16]; 2];
        addr[0][..4].copy_from_slice(&(0x0a09_0000 + n).to_be_bytes());
        addr[1][..4].copy_from_slice(&[198, 51, 100, 7]);
        let port = [4000u16.to_be_bytes(), 443u16.to_be_bytes()];
        let key = StateKey { addr, port, family: Family::V4, proto: 6, rdomain: 0 };
        let state = FullState {
            id: Identity { id: u64::from(n) + 1, creator: 0xbeef_0009 },
            ifname: *b"em0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            key: [key; 2],
            src: side,
            dst: side,
            family: Family::V4,
            direction: 1,
            timeout: 2,
            creation: age,
            expire,
            ..FullState::EMPTY
        };
        writer.push_state(Message::Update, &state).unwrap();
    }
    let payload = writer.finish();
    peer.transport.emit(&mut packet, payload, 0).unwrap();
    packet.truncate(header + payload);
    packet
}

#[test]
fn a_state_that_pf_sent_with_a_scaled_timeout_lives_at_least_as_long_as_pf_said() {
    let mut now = 1000 * SECOND;
    let mut backup = node(2, 100, Profile::OpenBsd6);
    // pf is at 41 % of its timeouts: 10 s idle, 36,000 - 10 s left.
    assert!(backup.lanes[0].receive(&frame_of_pf(20, 50, 35_990), now));
    backup.alone(&mut now, SECOND, MS);
    (0..70).for_each(|n| backup.begin(n, now));
    // The table is at 90 %, pf is dead, and the grace over: 43,200 s would be left of a timeout, and -7,000 s of these.
    for _ in 0..40 {
        backup.alone(&mut now, 3 * SECOND, 100 * MS);
        (0..70).for_each(|n| _ = backup.lanes[0].lookup(&info(Direction::In, now), &view(&syn(n).tcp())));
    }
    let (min, max, count) = backup.left(now);
    assert_eq!(count, 20, "{:?}", backup.stat(now, "states_expired_early"));
    assert!(min >= 35_990 - 123 && max <= 35_990 - 119, "{min} {max}");
}

/// A node with a timeout of ten minutes for open connections, whose peers are pfplane nodes if `extensions` is set.
fn ten_minutes(n: u8, extensions: bool) -> Node {
    let mut config = replicating(n, Profile::OpenBsd6, Config { states_per_lane: 1000, ..Config::default() });
    config.timeouts.set(timeout_class::TCP_ESTABLISHED, 600).unwrap();
    config.sync.peers[0].extensions = extensions;
    Node::new(config)
}

/// Cuts the sync link for ten seconds. Afterwards both nodes send each other all states.
fn link_failure(nodes: &mut [Node; 2], now: &mut u64) {
    nodes.iter().for_each(|node| node.engine.set_link(false));
    let begun = *now;
    for node in nodes.iter_mut() {
        *now = begun;
        node.alone(now, 10 * SECOND, 50 * MS);
    }
    nodes.iter().for_each(|node| node.engine.set_link(true));
    exchange(nodes, now, 3000);
}

#[test]
fn idle_connections_are_scaled_by_their_node_also_after_a_link_failure() {
    for extensions in [false, true] {
        let mut now = 100 * SECOND;
        let mut nodes = [1, 2].map(|n| ten_minutes(n, extensions));
        exchange(&mut nodes, &mut now, 3000);
        (0..900).for_each(|n| nodes[0].establish(n, now));
        exchange(&mut nodes, &mut now, 2000);
        let begun = now;
        link_failure(&mut nodes, &mut now);
        let walks = [0, 1].map(|n| nodes[n].stat(now, "bulk_walks_finished"));
        assert!(walks[0] > 0 && walks[1] > 0, "each node has sent all states: {walks:?}");
        assert_eq!(nodes[0].left(now).2, 900);
        // At 90 % the timeout is half as long, and grows with each state that ends.
        let idle = |now: u64| u32::try_from((now - begun) / SECOND).unwrap() + 2;
        let (min, max, _) = nodes[0].left(now);
        assert!(max <= 302 - idle(now) && min + 2 >= 300 - idle(now), "{extensions}: {min} to {max}");
        while now < begun + 330 * SECOND {
            exchange_for_a_second(&mut nodes, &mut now);
        }
        let left = [0, 1].map(|n| nodes[n].left(now).2 as u32);
        let expected = 1200 - idle(now);
        assert!(
            left[0].abs_diff(expected) <= 10 && left[1].abs_diff(left[0]) <= 10,
            "{extensions}: {left:?}"
        );
    }
}
