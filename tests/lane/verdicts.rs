//! Every verdict, and the one counter that it increases.

use crate::node::{Node, RewrittenPacket, SECOND, info, view};
use pfplane::internals::engine::Config;
use pfplane::internals::lane::{Action, PacketView, Reason, Verdict};
use pfplane::internals::packet::{Direction, Facts, Family, Kind, Link, TranslateError, parse};
use pfplane::internals::state::{Nat, Options};
use pfplane_testkit::packet::{Packet, address};

/// Counters that a verdict may increase.
const COUNTERS: [&str; 20] = [
    "packets_passed",
    "packets_new",
    "packets_handed_off",
    "packets_sync",
    "packets_not_ip",
    "packets_truncated",
    "packets_malformed",
    "packets_fragmented",
    "packets_not_contiguous",
    "packets_not_writable",
    "packets_dropped_window",
    "packets_dropped_challenge_ack",
    "packets_dropped_reset",
    "packets_dropped_no_state",
    "packets_dropped_translation",
    "packets_dropped_other",
    "states_created",
    "states_refused_table_full",
    "states_refused_key_collision",
    "packets_translated",
];

/// A node whose counters are compared before and after each packet.
struct Counted {
    node: Node,
    now: u64,
    /// Why packets cannot be rewritten.
    refuses: Option<TranslateError>,
}

impl Counted {
    fn new(lanes: u32, states: u32) -> Self {
        let config = Config { lanes, states_per_lane: states, ..Config::default() };
        Self { node: Node::new(config), now: SECOND, refuses: None }
    }

    fn stat(&self, name: &str) -> u64 {
        self.node.engine.stat_named(name).expect("a statistic")
    }

    fn counters(&mut self) -> [u64; COUNTERS.len()] {
        // Lanes publish their counters now and then only.
        self.now += SECOND / 5;
        self.node.poll(self.now);
        COUNTERS.map(|name| self.stat(name))
    }

    /// Runs `act`, which must increase the counters `names` by one each, and no other.
    fn counts(&mut self, names: &[&str], act: impl FnOnce(&mut Self) -> Verdict) -> (Action, Reason) {
        let before = self.counters();
        let verdict = act(self);
        let after = self.counters();
        for (index, name) in COUNTERS.iter().enumerate() {
            let expected = u64::from(names.contains(name));
            assert_eq!(after[index] - before[index], expected, "{name} after {verdict:?}");
        }
        (verdict.action, verdict.reason)
    }

    fn look(&mut self, direction: Direction, view: PacketView<'_>) -> Verdict {
        let mut packet = RewrittenPacket { refuses: self.refuses, ..RewrittenPacket::new(view) };
        packet.lookup(&mut self.node.lanes[0], &info(direction, self.now))
    }

    fn create(&mut self, bytes: &[u8], nat: &Nat) -> Verdict {
        let options = Options { nat: *nat, ..Options::default() };
        let mut packet = RewrittenPacket { refuses: self.refuses, ..RewrittenPacket::new(view(bytes)) };
        self.node.lanes[0].create_in_burst(&info(IN, self.now), &mut packet, 0, &options)
    }
}

const NO_NAT: Nat = Nat {
    family: None,
    source: None,
    destination: None,
    source_ports: None,
    destination_port: None,
    rdomain: None,
};
const IN: Direction = Direction::In;
const NONE: Reason = Reason::None;

/// Turns a packet into the first of two fragments.
fn fragment(v6: bool, mut bytes: Vec<u8>) -> Vec<u8> {
    if v6 {
        let length = u16::from_be_bytes([bytes[4], bytes[5]]) + 8;
        bytes[4..6].copy_from_slice(&length.to_be_bytes());
        let header = [bytes[6], 0, 0, 1, 0, 0, 0, 9];
        bytes[6] = 44;
        bytes.splice(40..40, header);
    } else {
        bytes[6] |= 0x20;
    }
    bytes
}

#[test]
fn a_packet_without_a_key_gets_a_verdict_that_says_why() {
    for v6 in [false, true] {
        let mut node = Counted::new(1, 16);
        let syn = Packet::syn(v6, 1, 2, [1000, 80]);
        let bytes = syn.tcp();
        let mut look = |name, bytes: &[u8], data: usize| {
            let packet = PacketView { data: &bytes[..data], ..view(bytes) };
            node.counts(&[name], |node| node.look(IN, packet))
        };
        let mut nothing = bytes.clone();
        nothing[0] = 0x10;
        assert_eq!(look("packets_not_ip", &nothing, nothing.len()), (Action::NotIp, NONE));
        let cut = &bytes[..bytes.len() - 1];
        assert_eq!(look("packets_truncated", cut, cut.len()), (Action::Drop, Reason::Truncated));
        let both = Packet { flags: 3, ..syn }.tcp();
        assert_eq!(look("packets_malformed", &both, both.len()), (Action::Drop, Reason::Malformed));
        let part = fragment(v6, bytes.clone());
        assert_eq!(look("packets_fragmented", &part, part.len()), (Action::Fragment, NONE));
        // The first segment ends in the middle of the header.
        assert_eq!(look("packets_not_contiguous", &bytes, bytes.len() - 10), (Action::NotContiguous, NONE));
        let sync = syn.ip(240, &[0; 8]);
        assert_eq!(look("packets_sync", &sync, sync.len()), (Action::Sync, NONE));
    }
}

#[test]
fn a_packet_with_a_key_passes_or_is_new_handed_off_or_dropped() {
    for v6 in [false, true] {
        let mut node = Counted::new(1, 16);
        let syn = Packet::syn(v6, 1, 2, [1000, 80]);
        let answer = syn.syn_ack();
        let (first, data) = (syn.tcp(), syn.data(1001, 5001, 9).tcp());
        assert_eq!(node.counts(&["packets_new"], |node| node.look(IN, view(&first))), (Action::New, NONE));
        assert_eq!(
            node.counts(&["states_created"], |node| node.create(&first, &NO_NAT)),
            (Action::Pass, NONE)
        );
        let late = syn.data(1001, 5001, 0).tcp();
        let mut passes = |direction, bytes: &[u8]| {
            let verdict = node.counts(&["packets_passed"], |node| node.look(direction, view(bytes)));
            assert_eq!(verdict, (Action::Pass, NONE));
        };
        passes(Direction::Out, &answer.tcp());
        passes(IN, &late);
        passes(IN, &data);
        let far = syn.data(900_000_000, 5001, 9).tcp();
        let verdict = node.counts(&["packets_dropped_window"], |node| node.look(IN, view(&far)));
        assert_eq!(verdict, (Action::Drop, Reason::Window));
        let verdict = node.counts(&["packets_dropped_challenge_ack"], |node| node.look(IN, view(&first)));
        assert_eq!(verdict, (Action::Drop, Reason::ChallengeAck));
        let error = answer.unreachable(&Packet { ports: [7, 7], ..syn }.udp());
        let verdict =
            node.counts(&["packets_dropped_no_state"], |node| node.look(Direction::Out, view(&error)));
        assert_eq!(verdict, (Action::Drop, Reason::NoState));
        // A reply in the direction of the queries: only a host's own facts can say so.
        let query = syn.echo(false);
        assert_eq!(node.create(&query, &NO_NAT).action, Action::Pass);
        let facts = parse(&query, query.len() as u32, Link::Ip, IN).unwrap();
        let verdict = node.counts(&["packets_dropped_other"], |node| {
            let reply = Facts { kind: Kind::IcmpReply, ..facts };
            node.node.lanes[0].lookup_facts(&info(IN, node.now), &reply, None)
        });
        assert_eq!(verdict, (Action::Drop, Reason::State));

        let mut two = Counted::new(2, 16);
        let foreign = (0..).map(|port| Packet::syn(v6, 1, 2, [port, 80]).udp()).find(|bytes| {
            let facts = parse(bytes, bytes.len() as u32, Link::Ip, IN).unwrap();
            two.node.engine.steering().lane_of(&facts.key) == 1
        });
        let foreign = foreign.expect("half of them");
        assert_eq!(
            two.counts(&["packets_handed_off"], |node| node.look(IN, view(&foreign))),
            (Action::HandOff, NONE)
        );
    }
}

#[test]
fn a_state_that_cannot_be_created_is_refused_with_a_reason() {
    for v6 in [false, true] {
        let mut node = Counted::new(1, 2);
        let nat = Nat { source: Some(address(v6, 9, 9)), ..Nat::default() };
        let packet = |client| Packet::syn(v6, client, 2, [1000, 80]).udp();
        let verdict =
            node.counts(&["states_created", "packets_translated"], |node| node.create(&packet(1), &nat));
        assert_eq!(verdict, (Action::Pass, NONE));
        // Its translated key is the same as that of the first.
        let verdict = node.counts(&["states_refused_key_collision"], |node| node.create(&packet(2), &nat));
        assert_eq!(verdict, (Action::Drop, Reason::KeyCollision));
        assert_eq!(node.create(&packet(3), &NO_NAT).action, Action::Pass);
        let verdict = node.counts(&["states_refused_table_full"], |node| node.create(&packet(4), &NO_NAT));
        assert_eq!(verdict, (Action::Drop, Reason::TableFull));
        assert_eq!(node.stat("capacity"), 2);
    }
}

#[test]
fn a_packet_that_cannot_be_rewritten_creates_no_state() {
    for v6 in [false, true] {
        let mut node = Counted::new(1, 16);
        let other = if v6 { Family::V4 } else { Family::V6 };
        let ends = [Some(address(!v6, 8, 1)), Some(address(!v6, 9, 1))];
        let nat = Nat { family: Some(other), source: ends[0], destination: ends[1], ..Nat::default() };
        // OSPF's checksum is not known here, and an extension header cannot become IPv4.
        let mut untranslatable = Packet::syn(v6, 1, 2, [1000, 80]).udp();
        if v6 {
            untranslatable = fragment(v6, untranslatable);
            untranslatable[43] = 0;
        } else {
            untranslatable[9] = 89;
        }
        let verdict =
            node.counts(&["packets_dropped_translation"], |node| node.create(&untranslatable, &nat));
        assert_eq!(verdict, (Action::Drop, Reason::Translation), "v6 {v6}");

        let same = Nat { source: Some(address(v6, 9, 9)), ..Nat::default() };
        let bytes = Packet::syn(v6, 3, 2, [1000, 80]).udp();
        node.refuses = Some(TranslateError::NotWritable);
        let verdict = node.counts(&["packets_not_writable"], |node| node.create(&bytes, &same));
        assert_eq!(verdict, (Action::NotWritable, NONE));
        assert_eq!(node.stat("states"), 0);
        node.refuses = None;
        let verdict =
            node.counts(&["states_created", "packets_translated"], |node| node.create(&bytes, &same));
        assert_eq!(verdict, (Action::Pass, NONE));
        let verdict =
            node.counts(&["packets_passed", "packets_translated"], |node| node.look(IN, view(&bytes)));
        assert_eq!(verdict, (Action::Pass, NONE));
        node.refuses = Some(TranslateError::NotContiguous);
        let verdict = node.counts(&["packets_not_contiguous"], |node| node.look(IN, view(&bytes)));
        assert_eq!(verdict, (Action::NotContiguous, NONE));
    }
}
