//! ICMP states of FreeBSD 14.3: its frames become states that pass its packets, and our states are the ones that it has.

use super::captures::{hex, json};
use super::frames::{frame, request_for, sent_states, states_in};
use super::node::{MS, Node, SECOND, info, replicating, view};
use pfplane::internals::engine::Config;
use pfplane::internals::lane::{Action, Reason};
use pfplane::internals::packet::Direction;
use pfplane::internals::state::Options;
use pfsync::{Action as Message, IcmpPorts, Profile};
use serde_json::Value;

/// A query as the system tracked it.
struct Query {
    name: String,
    profile: Profile,
    request: Vec<u8>,
    reply: Vec<u8>,
    frame: Vec<u8>,
}

fn queries() -> Vec<Query> {
    let document = json("freebsd143/icmp.json");
    let bytes = |value: &Value| hex(value.as_str().unwrap());
    let query = |case: &Value| {
        let version = case["message_version"].as_u64().unwrap();
        Query {
            name: format!("{} {version}", case["name"]),
            profile: if version == 1301 { Profile::FreeBsd1301 } else { Profile::FreeBsd1400 },
            request: bytes(&case["request"]),
            reply: bytes(&case["reply"]),
            frame: bytes(&case["frames"][0]),
        }
    };
    document["cases"].as_array().unwrap().iter().map(query).collect()
}

fn node(profile: Profile, icmp_ports: IcmpPorts) -> Node {
    let mut config = replicating(2, profile, Config { states_per_lane: 100, ..Config::default() });
    config.sync.peers[0].icmp_ports = icmp_ports;
    Node::new(config)
}

/// Whether a state of the node passes the query's packets, further ones included.
#[track_caller]
fn assert_passes(node: &mut Node, query: &Query, now: u64) {
    for (direction, packet) in [(Direction::Out, &query.request), (Direction::In, &query.reply)] {
        let verdict = node.lanes[0].lookup(&info(direction, now), &view(packet));
        assert_eq!((verdict.action, verdict.reason), (Action::Pass, Reason::None), "{}", query.name);
    }
}

#[test]
fn states_of_freebsd_14_3_pass_its_packets_and_are_sent_back_with_the_same_keys() {
    let queries = queries();
    assert_eq!(queries.len(), 8);
    for query in &queries {
        let now = 10 * SECOND;
        let mut node = node(query.profile, IcmpPorts::default());
        assert!(node.lanes[0].receive(&query.frame, now));
        assert_passes(&mut node, query, now + MS);
        let [theirs] = states_in(&query.frame)[..] else { panic!("one state") };
        assert!(node.lanes[0].receive(&request_for(query.profile, theirs.id), now + 2 * MS));
        let [ours] = sent_states(&mut node, now + 2 * MS)[..] else { panic!("one state of {}", query.name) };
        assert_eq!((ours.id, ours.key, ours.direction), (theirs.id, theirs.key, theirs.direction));
    }
}

#[test]
fn states_that_we_create_have_the_keys_that_freebsd_14_3_gives_them() {
    for query in queries() {
        let now = 10 * SECOND;
        let mut node = node(query.profile, IcmpPorts::default());
        let out = info(Direction::Out, now);
        let created = node.lanes[0].create(&out, &view(&query.request), &Options::default());
        assert_eq!(created.action, Action::Pass, "{}", query.name);
        let [theirs] = states_in(&query.frame)[..] else { panic!("one state") };
        let [ours] = sent_states(&mut node, now)[..] else { panic!("one state of {}", query.name) };
        assert_eq!((ours.key, ours.direction), (theirs.key, theirs.direction), "{}", query.name);
    }
}

#[test]
fn an_unpatched_freebsd_sends_and_receives_the_identifier_twice() {
    for query in queries().iter().filter(|query| query.name.contains("echo")) {
        let [mut theirs] = states_in(&query.frame)[..] else { panic!("one state") };
        IcmpPorts::IdentifierTwice.apply(&mut theirs);
        let key = theirs.key[0];
        assert_eq!(key.port[0], key.port[1]);
        let insert = frame(query.profile, |writer| {
            writer.push_state(Message::Insert, &theirs).unwrap();
        });
        for (icmp_ports, is_same) in
            [(IcmpPorts::IdentifierTwice, true), (IcmpPorts::IdentifierAndType, false)]
        {
            let now = 10 * SECOND;
            let mut node = node(query.profile, icmp_ports);
            assert!(node.lanes[0].receive(&insert, now));
            assert_passes(&mut node, query, now + MS);
            assert!(node.lanes[0].receive(&request_for(query.profile, theirs.id), now + 2 * MS));
            let [ours] = sent_states(&mut node, now + 2 * MS)[..] else {
                panic!("one state of {}", query.name)
            };
            assert_eq!(ours.key == theirs.key, is_same, "{} {icmp_ports:?}", query.name);
        }
    }
}

#[test]
fn only_profiles_of_systems_with_the_old_convention_accept_it() {
    for profile in Profile::ALL {
        let mut config = replicating(2, profile, Config::default());
        config.sync.peers[0].icmp_ports = IcmpPorts::IdentifierTwice;
        let is_old = matches!(profile, Profile::FreeBsd1301 | Profile::FreeBsd1400);
        assert_eq!(config.sync.check().is_ok(), is_old, "{profile}");
    }
}
