//! Limits for sources and for half-open connections: what they refuse, and that every count equals the states counted.

mod eviction;

use crate::node::{self, MS, Node, SECOND, exchange, info, view};
use pfplane::internals::engine::Config;
use pfplane::internals::lane::{Action, Reason, StateFilter, Verdict};
use pfplane::internals::packet::tcp_flags::{ACK, FIN, RST};
use pfplane::internals::packet::{Direction, Family};
use pfplane::internals::state::{LocalFlags, Options, Rate, SourceLimits};
use pfplane_testkit::packet::address;
use pfplane_testkit::{Packet, Random};
use pfsync::Profile;
use std::collections::HashMap;

fn config(lanes: u32, limits: SourceLimits) -> Config {
    let mut config = Config { lanes, states_per_lane: 4096, ..Config::default() };
    config.sources.limits = limits;
    config
}

/// One of two nodes that replicate to each other.
fn replicating(n: u8, config: Config) -> Node {
    let mut config = node::replicating(n, Profile::OpenBsd6, config);
    // These tests jump in time, and a pause would keep imported states.
    config.sync.max_poll_gap = 0;
    Node::new(config)
}

impl Node {
    /// Passes a packet through the lane that owns it, and creates its state if it is new.
    pub(crate) fn pass(
        &mut self,
        now: u64,
        direction: Direction,
        bytes: &[u8],
        options: &Options,
    ) -> Verdict {
        let (info, view) = (info(direction, now), view(bytes));
        let mut at = 0;
        // A state that may be replaced on its lane sends the packet back to the owner of the new state.
        for _ in 0..4 {
            let mut verdict = self.lanes[at].lookup(&info, &view);
            if verdict.action == Action::New {
                verdict = self.lanes[at].create(&info, &view, options);
            }
            if verdict.action != Action::HandOff {
                return verdict;
            }
            at = verdict.lane.into();
        }
        panic!("the lanes hand the packet off in a loop");
    }

    /// Passes the first `packets` packets of a handshake. Returns the reason of the first that does not pass.
    pub(crate) fn open(
        &mut self,
        now: u64,
        syn: &Packet,
        packets: usize,
        options: &Options,
    ) -> Option<Reason> {
        let answer = syn.syn_ack();
        let steps = [
            (Direction::In, syn.tcp()),
            (Direction::Out, answer.tcp()),
            (Direction::In, syn.data(syn.seq + 1, answer.seq + 1, 0).tcp()),
        ];
        for (direction, bytes) in steps.into_iter().take(packets) {
            let verdict = self.pass(now, direction, &bytes, options);
            if verdict.action != Action::Pass {
                return Some(verdict.reason);
            }
        }
        None
    }

    /// Compares every count with the states in the tables.
    fn recount(&mut self, now: u64, engine_wide: bool, context: &str) {
        // Lane 0 publishes the sources, so it is polled after the others have expired their states.
        self.lanes.iter_mut().rev().for_each(|lane| lane.poll(now));
        let stat = |name| self.engine.stat_named(name);
        let (mut all, mut by_rule, mut half_open) = (HashMap::new(), HashMap::new(), 0);
        for lane in &self.lanes {
            let mut from = 0;
            while let Some(view) = lane.state_from(from, now) {
                from = view.slot.0 + 1;
                let direction = view.hot.direction();
                let key = if direction == Direction::In { &view.hot.key } else { &view.cold.stack_key };
                let is_translated = view.hot.local.has(LocalFlags::TRANSLATED);
                let key = if is_translated { key } else { &view.hot.key };
                let source = (key.addr[direction.source_slot()], key.family);
                let count = |map: &mut HashMap<_, (u32, u32)>, key| {
                    let entry = map.entry(key).or_default();
                    *entry = (entry.0 + 1, entry.1 + u32::from(view.cold.connected));
                };
                count(&mut all, (source, None));
                if view.cold.sync_flags & 4 != 0 {
                    count(&mut by_rule, (source, Some(view.cold.rule)));
                }
                let opening = view.hot.local.has(LocalFlags::OPENING);
                assert!(!opening || view.hot.is_opening(), "{context}: {:?}", view.hot);
                half_open += u64::from(opening);
            }
        }
        let counted = (if engine_wide { all.len() } else { 0 } + by_rule.len()) as u64;
        assert_eq!(stat("states_half_open"), Some(half_open), "{context}: half-open");
        assert_eq!(stat("sources"), Some(counted), "{context}: sources");
        let expected = if engine_wide { all.into_iter().chain(by_rule).collect() } else { by_rule };
        for ((source, rule), count) in expected {
            let found = self.engine.source(source.0, source.1, rule);
            assert_eq!(found, Some(count), "{context}: source {source:?} rule {rule:?}");
        }
    }
}

fn limited(rule: u32, source: SourceLimits) -> Options {
    Options { rule, source, ..Options::default() }
}

#[test]
fn a_rule_limits_the_states_of_a_source_exactly_over_all_lanes() {
    for lanes in [1, 2, 7] {
        for v6 in [false, true] {
            let mut node = Node::new(config(lanes, SourceLimits::default()));
            let options = limited(5, SourceLimits { states: 20, ..SourceLimits::default() });
            let now = SECOND;
            for n in 0..50 {
                let syn = Packet::syn(v6, 1, n % 9, [2000 + n as u16, 80]);
                let refused = node.open(now, &syn, 1, &options);
                assert_eq!(refused, (n >= 20).then_some(Reason::SourceStates), "lanes {lanes} state {n}");
            }
            let other = Packet::syn(v6, 2, 1, [2000, 80]);
            assert_eq!(node.open(now, &other, 1, &options), None);
            let free = Packet::syn(v6, 1, 1, [3000, 80]);
            assert_eq!(node.open(now, &free, 1, &Options::default()), None, "a rule without limits");
            assert_eq!(node.stat(now + 2 * MS, "states_refused_source_states"), 30);
            // All states expire, so the source may create states again.
            node.poll(now + 500 * SECOND);
            (0..200).for_each(|n| node.poll(now + (500 + n) * SECOND));
            assert_eq!(node.open(now + 800 * SECOND, &free, 1, &options), None);
            node.recount(now + 800 * SECOND, false, "after expiry");
        }
    }
}

#[test]
fn engine_limits_apply_together_with_those_of_a_rule() {
    let everywhere = SourceLimits { states: 10, sources: 3, ..SourceLimits::default() };
    let mut node = Node::new(config(2, everywhere));
    let one = limited(1, SourceLimits { states: 4, ..SourceLimits::default() });
    let refusals: Vec<_> = (0..20)
        .map(|n| {
            let options = if n % 2 == 0 { one } else { limited(2, SourceLimits::default()) };
            node.open(SECOND, &Packet::syn(true, 1, 1, [2000 + n, 80]), 1, &options)
        })
        .collect();
    let with = |reason| refusals.iter().filter(|refused| **refused == Some(reason)).count();
    assert_eq!(refusals.iter().filter(|refused| refused.is_none()).count(), 10);
    assert_eq!(with(Reason::SourceStates), 10);
    for host in 2..6 {
        let refused = node.open(SECOND, &Packet::syn(false, host, 1, [2000, 80]), 1, &Options::default());
        assert_eq!(refused, (host > 3).then_some(Reason::Sources), "host {host}");
    }
    node.recount(SECOND, true, "at the limits");
}

#[test]
fn a_connection_beyond_the_limit_is_ended_when_it_opens() {
    for v6 in [false, true] {
        let mut node = Node::new(config(3, SourceLimits::default()));
        let options = limited(9, SourceLimits { connections: 5, ..SourceLimits::default() });
        for n in 0..8 {
            let syn = Packet::syn(v6, 1, 1, [2000 + n, 80]);
            let refused = node.open(SECOND, &syn, 3, &options);
            assert_eq!(refused, (n >= 5).then_some(Reason::SourceConnections), "connection {n}");
        }
        // Half-open ones do not count.
        (0..30).for_each(|n| {
            assert_eq!(node.open(SECOND, &Packet::syn(v6, 1, 2, [3000 + n, 80]), 2, &options), None);
        });
        assert_eq!(node.stat(2 * SECOND, "states_removed_source_connections"), 3);
        assert_eq!(node.stat(2 * SECOND + MS, "states"), 35);
        node.recount(3 * SECOND, false, "at the limit");
    }
}

#[test]
fn connections_opened_too_fast_are_ended_until_the_rate_has_decayed() {
    let rate = Rate { max: 10, seconds: 5 };
    let mut node = Node::new(config(2, SourceLimits { connection_rate: rate, ..SourceLimits::default() }));
    let open = |node: &mut Node, n: u16, now| {
        node.open(now, &Packet::syn(false, 1, 1, [2000 + n, 80]), 3, &Options::default())
    };
    for n in 0..15 {
        let refused = open(&mut node, n, SECOND);
        assert_eq!(refused, (n >= 10).then_some(Reason::SourceConnectionRate), "connection {n}");
    }
    assert_eq!(open(&mut node, 50, 8 * SECOND), None);
    let made = Rate { max: 3, seconds: 1 };
    let options = limited(1, SourceLimits { new_rate: made, ..SourceLimits::default() });
    for n in 0..6 {
        let refused = node.open(9 * SECOND, &Packet::syn(true, 1, 1, [n + 1, 80]), 1, &options);
        assert_eq!(refused, (n >= 3).then_some(Reason::SourceNewRate), "state {n}");
    }
    node.recount(9 * SECOND, true, "after the rates");
}

#[test]
fn a_syn_flood_from_spoofed_sources_leaves_established_connections_alone() {
    for lanes in [1, 4] {
        let limits = SourceLimits { states: 100, ..SourceLimits::default() };
        let mut config = config(lanes, limits);
        (config.max_half_open, config.sources.capacity) = (500, 2000);
        let mut node = Node::new(config);
        let mut now = SECOND;
        let alive: Vec<_> = (0..60).map(|n| Packet::syn(n % 2 == 0, n, 1, [4000, 80])).collect();
        for syn in &alive {
            assert_eq!(node.open(now, syn, 3, &Options::default()), None);
        }
        let mut refused = 0;
        for n in 0..6000 {
            let syn = Packet::syn(n % 2 == 0, 1000 + n, 2, [n as u16, 80]);
            refused += usize::from(node.open(now, &syn, 1, &Options::default()) == Some(Reason::HalfOpen));
            if n % 10 == 0 {
                now += MS;
                node.poll(now);
            }
        }
        assert!((5300..=5500).contains(&refused), "lanes {lanes}: {refused} refused");
        assert!(node.stat(now + MS, "states_refused_half_open") == refused as u64);
        for syn in &alive {
            let data = syn.data(syn.seq + 1, 5001, 10).tcp();
            assert_eq!(node.pass(now, Direction::In, &data, &Options::default()).action, Action::Pass);
        }
        assert!(node.stat(now + 2 * MS, "states_half_open") <= 510);
        node.recount(now + 4 * MS, true, "in the flood");
    }
}

#[test]
fn a_source_without_a_counter_is_refused_or_passed_as_configured() {
    for pass_when_full in [false, true] {
        let mut config = config(2, SourceLimits { states: 3, ..SourceLimits::default() });
        (config.sources.capacity, config.sources.pass_when_full) = (16, pass_when_full);
        let mut node = Node::new(config);
        let reasons = (0..300).filter_map(|host| {
            node.open(SECOND, &Packet::syn(true, host, 1, [2000, 80]), 1, &Options::default())
        });
        let refused = reasons.inspect(|reason| assert_eq!(*reason, Reason::SourcesFull)).count() as u64;
        assert_eq!(refused > 0, !pass_when_full);
        assert_eq!(node.stat(2 * SECOND, "states_refused_sources_full"), refused);
        assert_eq!(node.stat(3 * SECOND, "states_without_source") > 0, pass_when_full);
    }
    let mut none = config(1, SourceLimits::default());
    none.sources.capacity = 0;
    let mut none = Node::new(none);
    let options = limited(1, SourceLimits { states: 3, ..SourceLimits::default() });
    let syn = Packet::syn(false, 1, 1, [2000, 80]);
    assert_eq!(none.open(SECOND, &syn, 1, &options), Some(Reason::SourcesFull), "there are no counters");
    assert_eq!(none.open(SECOND, &syn, 3, &Options::default()), None);
}

#[test]
fn imported_states_count_to_their_source_and_are_never_refused() {
    for lanes in [1, 3] {
        let everywhere = SourceLimits { states: 30, ..SourceLimits::default() };
        let mut nodes = [replicating(1, config(lanes, everywhere)), replicating(2, config(1, everywhere))];
        let mut now = SECOND;
        exchange(&mut nodes, &mut now, 50);
        let options = limited(7, SourceLimits { connections: 20, ..SourceLimits::default() });
        for n in 0..20 {
            assert_eq!(nodes[0].open(now, &Packet::syn(false, 1, 1, [2000 + n, 80]), 3, &options), None);
            assert_eq!(nodes[1].open(now, &Packet::syn(false, 1, 2, [2000 + n, 80]), 3, &options), None);
        }
        exchange(&mut nodes, &mut now, 1500);
        for node in &mut nodes {
            assert_eq!(node.stat(now + MS, "states"), 40, "all were imported");
            node.recount(now + 2 * MS, true, "after the exchange");
            let one_more = node.open(now, &Packet::syn(false, 1, 1, [999, 80]), 1, &options);
            assert_eq!(one_more, Some(Reason::SourceStates));
        }
        // The limits of the second node also apply to the states that it has imported.
        nodes[1].lanes[0].delete_matching(
            &StateFilter { rule: Some(7), ..StateFilter::default() },
            0,
            4096,
            now,
        );
        exchange(&mut nodes, &mut now, 50);
        nodes.iter_mut().for_each(|node| node.recount(now + MS, true, "after the deletion"));
        assert_eq!(nodes[1].open(now, &Packet::syn(false, 1, 1, [999, 80]), 3, &options), None);
    }
}

#[test]
fn counts_match_the_states_after_any_history() {
    for seed in 0..24 {
        let mut random = Random::new(seed);
        let lanes = [1, 1 + random.next_u32() % 4];
        let engine_wide = seed % 2 == 0;
        let limits = SourceLimits {
            states: if engine_wide { 12 } else { 0 },
            connections: if engine_wide { 6 } else { 0 },
            ..SourceLimits::default()
        };
        let mut nodes = [1, 2].map(|n| replicating(n, config(lanes[usize::from(n) - 1], limits)));
        let mut now = SECOND;
        for step in 0..1500 {
            let at = (random.next_u32() % 2) as usize;
            let n = random.next_u32();
            let syn = Packet::syn(n & 1 == 0, n >> 8 & 7, n >> 16 & 3, [2000 + (n >> 24 & 7) as u16, 80]);
            let rule = n >> 20 & 3;
            let source = match rule {
                0 => SourceLimits::default(),
                1 => SourceLimits { states: 5, sources: 9, ..SourceLimits::default() },
                2 => SourceLimits { connections: 2, ..SourceLimits::default() },
                _ => SourceLimits {
                    connection_rate: Rate { max: 3, seconds: 10 },
                    new_rate: Rate { max: 9, seconds: 10 },
                    ..SourceLimits::default()
                },
            };
            let mut options = limited(rule, source);
            if random.next_u32().is_multiple_of(4) {
                options.nat.source = Some(address(syn.v6, 9, 1));
            }
            let (way, back) =
                if n & 2 == 0 { (Direction::In, Direction::Out) } else { (Direction::Out, Direction::In) };
            let answer = syn.syn_ack();
            let node = &mut nodes[at];
            let mut pass = |direction, bytes: Vec<u8>| node.pass(now, direction, &bytes, &options);
            match random.next_u32() % 16 {
                0..5 => {
                    pass(way, syn.tcp());
                    pass(back, answer.tcp());
                    pass(way, syn.data(1001, 5001, 0).tcp());
                }
                5..8 => {
                    pass(way, syn.tcp());
                }
                8 => {
                    pass(way, Packet { payload: 5, ..syn }.udp());
                }
                9 => {
                    pass(back, Packet { flags: RST | ACK, wscale: None, ..answer }.tcp());
                }
                10 => {
                    pass(way, Packet { flags: FIN | ACK, wscale: None, ..syn.data(1001, 5001, 0) }.tcp());
                }
                11 => {
                    let lane = random.next_u32() as usize % node.lanes.len();
                    let slot = node.lanes[lane].state_from(random.next_u32() % 40, now).map(|view| view.slot);
                    slot.map(|slot| node.lanes[lane].delete(slot, now));
                }
                12 if random.next_u32().is_multiple_of(20) => node.engine.clear(),
                13 if random.next_u32().is_multiple_of(10) => now += 40 * SECOND,
                14 => exchange(&mut nodes, &mut now, 3),
                _ => exchange(&mut nodes, &mut now, 20),
            }
            if step % 50 == 0 {
                let context = format!("seed {seed} step {step}");
                nodes.iter_mut().for_each(|node| node.recount(now + 2 * MS, engine_wide, &context));
                now += 3 * MS;
            }
        }
        // In the end all states expire, and all counts are zero.
        for _ in 0..400 {
            now += 300 * SECOND;
            nodes.iter_mut().for_each(|node| node.poll(now));
        }
        for node in &mut nodes {
            for (n, name) in (1..).zip(["states", "sources", "states_half_open"]) {
                assert_eq!(node.stat(now + n * MS, name), 0, "seed {seed} {name}");
            }
        }
    }
}

#[test]
fn the_counts_of_a_source_are_reported_by_address_and_rule() {
    let mut node = Node::new(config(1, SourceLimits { states: 9, ..SourceLimits::default() }));
    let options = limited(3, SourceLimits { states: 9, ..SourceLimits::default() });
    node.open(SECOND, &Packet::syn(false, 1, 1, [2000, 80]), 3, &options);
    node.open(SECOND, &Packet::syn(false, 1, 1, [2001, 80]), 1, &limited(4, SourceLimits::default()));
    let counts = |host, rule| node.engine.source(address(false, 1, host), Family::V4, rule);
    assert_eq!(counts(1, None), Some((2, 1)));
    assert_eq!(counts(1, Some(3)), Some((1, 1)));
    assert_eq!((counts(1, Some(4)), counts(2, None)), (Some((0, 0)), Some((0, 0))));
}
