//! Every way out of a burst: the verdict, and the one counter that goes with it.

use pfplane::internals::engine::{Config, Engine};
use pfplane::internals::lane::{self, Action, Burst, BurstInfo, Lane, PacketView, Reason, Verdict};
use pfplane::internals::packet::{
    Direction, Facts, Family, Kind, Link, TranslateError, Translation, WritablePacket, parse,
};
use pfplane::internals::state::{Nat, Options};
use pfplane_testkit::packet::{Packet, address};

const SECOND: u64 = 1_000_000_000;
const ROOM: usize = 64;

/// Counters that a packet's verdict moves.
const COUNTERS: [&str; 20] = [
    "passed",
    "new",
    "handed_off",
    "sync_packets",
    "not_ip",
    "truncated",
    "malformed",
    "fragments",
    "not_contiguous",
    "not_writable",
    "dropped_window",
    "dropped_challenge_ack",
    "dropped_reset",
    "dropped_no_state",
    "dropped_translation",
    "dropped_other",
    "created",
    "not_created_table_full",
    "not_created_key_collision",
    "translated",
];

struct Node {
    engine: Engine,
    lanes: Vec<Lane>,
    now: u64,
    /// What a rewriter says when it may not write.
    refuses: Option<TranslateError>,
}

fn whole(bytes: &[u8]) -> PacketView<'_> {
    PacketView { data: bytes, packet_length: bytes.len() as u32, hash: None }
}

fn rewrite(bytes: &[u8], facts: &Facts, to: &Translation<'_>) -> Result<i16, TranslateError> {
    let mut buffer = vec![0; ROOM];
    buffer.extend_from_slice(bytes);
    let mut packet = WritablePacket { bytes: &mut buffer, start: ROOM, l4_offload: false, ip_offload: false };
    to.apply(facts, &mut packet).map(|start| start as i16 - ROOM as i16)
}

/// One packet, and whether it can be rewritten.
struct RewrittenPacket<'a> {
    view: PacketView<'a>,
    refuses: Option<TranslateError>,
    verdict: Option<Verdict>,
}

impl Burst for RewrittenPacket<'_> {
    fn count(&self) -> usize {
        1
    }

    fn packet(&self, _: usize) -> lane::Packet<'_> {
        lane::Packet::Bytes(self.view)
    }

    fn rewrite(&mut self, _: usize, facts: &Facts, to: &Translation<'_>) -> Result<i16, TranslateError> {
        self.refuses.map_or_else(|| rewrite(self.view.data, facts, to), Err)
    }

    fn verdict(&mut self, _: usize, verdict: Verdict) {
        self.verdict = Some(verdict);
    }
}

impl Node {
    fn new(lanes: u32, states: u32) -> Self {
        let config = Config { lanes, states_per_lane: states, ..Config::default() };
        let (engine, lanes) = Engine::new(config).expect("a plain configuration");
        Self { engine, lanes, now: SECOND, refuses: None }
    }

    fn counters(&mut self) -> [u64; COUNTERS.len()] {
        // They are shown now and then only.
        self.now += SECOND / 5;
        self.lanes.iter_mut().for_each(|lane| lane.poll(self.now));
        COUNTERS.map(|name| self.engine.stat_named(name).expect("a statistic"))
    }

    /// Does something to the first lane, of which `names` are counted once each, and nothing else is.
    fn counts(&mut self, names: &[&str], act: impl FnOnce(&mut Self) -> Verdict) -> (Action, Reason) {
        let before = self.counters();
        let verdict = act(self);
        let after = self.counters();
        for (place, name) in COUNTERS.iter().enumerate() {
            let expected = u64::from(names.contains(name));
            assert_eq!(after[place] - before[place], expected, "{name} after {verdict:?}");
        }
        (verdict.action, verdict.reason)
    }

    fn burst(&self, direction: Direction) -> BurstInfo {
        BurstInfo { direction, link: Link::Ip, trust_hash: false, now: self.now }
    }

    fn look(&mut self, direction: Direction, view: PacketView<'_>) -> Verdict {
        let (burst, refuses) = (self.burst(direction), self.refuses);
        let mut packet = RewrittenPacket { view, refuses, verdict: None };
        self.lanes[0].lookup_burst(&burst, &mut packet);
        packet.verdict.expect("a verdict for every packet")
    }

    fn create(&mut self, bytes: &[u8], nat: &Nat) -> Verdict {
        let (burst, refuses) = (self.burst(Direction::In), self.refuses);
        let options = Options { nat: *nat, ..Options::default() };
        let mut packet = RewrittenPacket { view: whole(bytes), refuses, verdict: None };
        self.lanes[0].create_in_burst(&burst, &mut packet, 0, &options)
    }
}

const NO_NAT: Nat =
    Nat { family: None, source: None, destination: None, source_ports: None, destination_port: None };
const IN: Direction = Direction::In;
const NONE: Reason = Reason::None;

/// The packet as the first of two fragments.
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
fn what_has_no_key_says_why() {
    for v6 in [false, true] {
        let mut node = Node::new(1, 16);
        let syn = Packet::syn(v6, 1, 2, [1000, 80]);
        let bytes = syn.tcp();
        let mut look = |name, bytes: &[u8], data: usize| {
            let view = PacketView { data: &bytes[..data], packet_length: bytes.len() as u32, hash: None };
            node.counts(&[name], |node| node.look(IN, view))
        };
        let mut nothing = bytes.clone();
        nothing[0] = 0x10;
        assert_eq!(look("not_ip", &nothing, nothing.len()), (Action::NotIp, NONE));
        let cut = &bytes[..bytes.len() - 1];
        assert_eq!(look("truncated", cut, cut.len()), (Action::Drop, Reason::Truncated));
        let both = Packet { flags: 3, ..syn }.tcp();
        assert_eq!(look("malformed", &both, both.len()), (Action::Drop, Reason::Malformed));
        let part = fragment(v6, bytes.clone());
        assert_eq!(look("fragments", &part, part.len()), (Action::Fragment, NONE));
        // The segment goes on in a second piece of memory, from the middle of its header.
        assert_eq!(look("not_contiguous", &bytes, bytes.len() - 10), (Action::NotContiguous, NONE));
        let sync = syn.ip(240, &[0; 8]);
        assert_eq!(look("sync_packets", &sync, sync.len()), (Action::Sync, NONE));
    }
}

#[test]
fn what_has_a_key_passes_is_new_is_handed_off_or_is_refused() {
    for v6 in [false, true] {
        let mut node = Node::new(1, 16);
        let syn = Packet::syn(v6, 1, 2, [1000, 80]);
        let answer = syn.syn_ack();
        let (first, data) = (syn.tcp(), syn.data(1001, 5001, 9).tcp());
        assert_eq!(node.counts(&["new"], |node| node.look(IN, whole(&first))), (Action::New, NONE));
        assert_eq!(node.counts(&["created"], |node| node.create(&first, &NO_NAT)), (Action::Pass, NONE));
        let late = syn.data(1001, 5001, 0).tcp();
        let mut passes = |direction, bytes: &[u8]| {
            let told = node.counts(&["passed"], |node| node.look(direction, whole(bytes)));
            assert_eq!(told, (Action::Pass, NONE));
        };
        passes(Direction::Out, &answer.tcp());
        passes(IN, &late);
        passes(IN, &data);
        let far = syn.data(900_000_000, 5001, 9).tcp();
        let told = node.counts(&["dropped_window"], |node| node.look(IN, whole(&far)));
        assert_eq!(told, (Action::Drop, Reason::Window));
        let told = node.counts(&["dropped_challenge_ack"], |node| node.look(IN, whole(&first)));
        assert_eq!(told, (Action::Drop, Reason::ChallengeAck));
        let error = answer.unreachable(&Packet { ports: [7, 7], ..syn }.udp());
        let told = node.counts(&["dropped_no_state"], |node| node.look(Direction::Out, whole(&error)));
        assert_eq!(told, (Action::Drop, Reason::NoState));
        // A reply where the queries come from: only a host that says so can have seen one.
        let query = syn.echo(false);
        assert_eq!(node.create(&query, &NO_NAT).action, Action::Pass);
        let facts = parse(&query, query.len() as u32, Link::Ip, IN).unwrap();
        let told = node.counts(&["dropped_other"], |node| {
            let (burst, reply) = (node.burst(IN), Facts { kind: Kind::IcmpReply, ..facts });
            node.lanes[0].lookup_facts(&burst, &reply, None)
        });
        assert_eq!(told, (Action::Drop, Reason::State));

        let mut two = Node::new(2, 16);
        let foreign = (0..).map(|port| Packet::syn(v6, 1, 2, [port, 80]).udp()).find(|bytes| {
            let facts = parse(bytes, bytes.len() as u32, Link::Ip, IN).unwrap();
            two.engine.steering().lane_of(&facts.key) == 1
        });
        let foreign = foreign.expect("half of them");
        assert_eq!(
            two.counts(&["handed_off"], |node| node.look(IN, whole(&foreign))),
            (Action::HandOff, NONE)
        );
    }
}

#[test]
fn a_state_that_cannot_be_made_says_why() {
    for v6 in [false, true] {
        let mut node = Node::new(1, 2);
        let nat = Nat { source: Some(address(v6, 9, 9)), ..Nat::default() };
        let packet = |client| Packet::syn(v6, client, 2, [1000, 80]).udp();
        let told = node.counts(&["created", "translated"], |node| node.create(&packet(1), &nat));
        assert_eq!(told, (Action::Pass, NONE));
        // Its source becomes the same address, with the same port.
        let told = node.counts(&["not_created_key_collision"], |node| node.create(&packet(2), &nat));
        assert_eq!(told, (Action::Drop, Reason::KeyCollision));
        assert_eq!(node.create(&packet(3), &NO_NAT).action, Action::Pass);
        let told = node.counts(&["not_created_table_full"], |node| node.create(&packet(4), &NO_NAT));
        assert_eq!(told, (Action::Drop, Reason::TableFull));
        assert_eq!(node.engine.stat_named("capacity"), Some(2));
    }
}

#[test]
fn a_packet_that_cannot_be_rewritten_says_why_and_makes_no_state() {
    for v6 in [false, true] {
        let mut node = Node::new(1, 16);
        let other = if v6 { Family::V4 } else { Family::V6 };
        let ends = [Some(address(!v6, 8, 1)), Some(address(!v6, 9, 1))];
        let nat = Nat { family: Some(other), source: ends[0], destination: ends[1], ..Nat::default() };
        // UDP without a checksum has no like in IPv6, nor has an extension header in IPv4.
        let mut lacking = Packet::syn(v6, 1, 2, [1000, 80]).udp();
        if v6 {
            lacking = fragment(v6, lacking);
            lacking[43] = 0;
        }
        let told = node.counts(&["dropped_translation"], |node| node.create(&lacking, &nat));
        assert_eq!(told, (Action::Drop, Reason::Translation), "v6 {v6}");

        let same = Nat { source: Some(address(v6, 9, 9)), ..Nat::default() };
        let bytes = Packet::syn(v6, 3, 2, [1000, 80]).udp();
        node.refuses = Some(TranslateError::NotWritable);
        let told = node.counts(&["not_writable"], |node| node.create(&bytes, &same));
        assert_eq!(told, (Action::NotWritable, NONE));
        assert_eq!(node.engine.stat_named("states"), Some(0));
        node.refuses = None;
        let told = node.counts(&["created", "translated"], |node| node.create(&bytes, &same));
        assert_eq!(told, (Action::Pass, NONE));
        let told = node.counts(&["passed", "translated"], |node| node.look(IN, whole(&bytes)));
        assert_eq!(told, (Action::Pass, NONE));
        node.refuses = Some(TranslateError::NotContiguous);
        let told = node.counts(&["not_contiguous"], |node| node.look(IN, whole(&bytes)));
        assert_eq!(told, (Action::NotContiguous, NONE));
    }
}
