//! Fields that this node does not use, the host's own bytes, and states that only some nodes can have.

use super::frames::{frame, frame_of, records_in, request_for, sent_frames, sent_states, sent_states_of};
use super::nat_world::packet::{Carried, Packet};
use super::node::{MS, Node, SECOND, info, replicating, view};
use pfplane::internals::engine::Config;
use pfplane::internals::lane::{Action, Reason};
use pfplane::internals::packet::Direction;
use pfplane::internals::state::{Opaque, Options};
use pfplane::internals::sync::PeerSettings;
use pfplane::internals::table::Slot;
use pfsync::envelope::Address;
use pfsync::{
    Action as Message, CompressedUpdate, Family, FullState, Identity, Profile, StateKey, StatePeer, Version,
    route,
};

const NOW: u64 = 10 * SECOND;

fn name<const N: usize>(text: &str) -> [u8; N] {
    let mut name = [0; N];
    name[..text.len()].copy_from_slice(text.as_bytes());
    name
}

/// An established connection of a peer, number `n`.
fn state(n: u16, family: Family) -> FullState {
    let mut addr = [[0; 16]; 2];
    let bytes = if family == Family::V4 { 4 } else { 16 };
    addr[0][..bytes].copy_from_slice(&[198, 51, 100, 80, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12][..bytes]);
    addr[1][..bytes].copy_from_slice(&[192, 0, 2, 7, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12][..bytes]);
    let port = [443, 4000 + n].map(u16::to_be_bytes);
    let key = StateKey { addr, port, family, proto: 6, rdomain: 0 };
    let side = StatePeer { state: 4, seqlo: 1000, seqhi: 70_000, max_win: 65_535, ..StatePeer::default() };
    FullState {
        id: Identity { id: u64::from(n) + 1, creator: 0xbeef_0009 },
        ifname: name("vlan10"),
        key: [key; 2],
        src: side,
        dst: side,
        family,
        direction: 2,
        timeout: 2,
        expire: 86_400,
        ..FullState::EMPTY
    }
}

/// A state with every field that FreeBSD 15 has.
fn full_of_fields(n: u16, family: Family) -> FullState {
    FullState {
        tagname: name("customer-17"),
        rt: route::REPLY_TO,
        rt_addr: state(n, family).key[0].addr[0],
        rt_family: family,
        rt_ifname: name("vlan4"),
        orig_ifname: name("vlan11"),
        qid: 1,
        pqid: 2,
        dnpipe: 3,
        dnrpipe: 4,
        state_flags: 0x4023,
        rtableid: [5; 2],
        max_mss: 1400,
        min_ttl: 64,
        set_tos: 0x10,
        set_prio: [3, 4],
        log: 1,
        rule: 7,
        ..state(n, family)
    }
}

fn node(profiles: &[Profile], change: impl FnOnce(&mut Config)) -> Node {
    let mut config = replicating(2, profiles[0], Config { states_per_lane: 100, ..Config::default() });
    for &profile in &profiles[1..] {
        config.sync.peers.push(PeerSettings::group(profile, Address::V4([192, 0, 2, 2])));
    }
    change(&mut config);
    Node::new(config)
}

/// What a peer compares: times and counts begin anew on another node.
fn comparable(state: &FullState) -> FullState {
    FullState { expire: 0, creation: 0, ..*state }
}

#[test]
fn freebsd_gets_every_field_back_that_it_sent() {
    for (profile, lanes) in [(Profile::FreeBsd1400, 1), (Profile::FreeBsd1500, 1), (Profile::FreeBsd1500, 3)]
    {
        for family in [Family::V4, Family::V6] {
            let mut theirs = full_of_fields(0, family);
            if profile == Profile::FreeBsd1400 {
                (theirs.tagname, theirs.orig_ifname, theirs.rt_family) = ([0; 64], [0; 16], Family::NONE);
            }
            let mut node = node(&[profile], |config| config.lanes = lanes);
            assert!(node.lanes[0].receive(&frame_of(profile, Message::Insert, &[theirs]), NOW));
            node.poll(NOW + MS);
            assert!(node.lanes[0].receive(&request_for(profile, theirs.id), NOW + 2 * MS));
            let [ours] = sent_states(&mut node, NOW + 2 * MS)[..] else { panic!("one state") };
            assert_eq!(comparable(&ours), comparable(&theirs), "{profile} {lanes} lanes");
        }
    }
}

#[test]
fn interface_names_of_the_next_hop_are_those_of_each_peer() {
    let profile = Profile::FreeBsd1500;
    let mut node = node(&[profile], |config| {
        let pair =
            |ours, theirs| pfplane::internals::sync::InterfacePair { ours: name(ours), theirs: name(theirs) };
        config.sync.peers[0].interfaces.extend([pair("eth4", "vlan4"), pair("eth11", "vlan11")]);
    });
    let theirs = full_of_fields(0, Family::V4);
    assert!(node.lanes[0].receive(&frame_of(profile, Message::Insert, &[theirs]), NOW));
    let kept = node.lanes[0].state_at(Slot(0), NOW).unwrap().extra.unwrap().fields;
    assert_eq!((kept.rt_ifname, kept.orig_ifname), (name("eth4"), name("eth11")));
    assert!(node.lanes[0].receive(&request_for(profile, theirs.id), NOW));
    let [ours] = sent_states(&mut node, NOW)[..] else { panic!("one state") };
    assert_eq!((ours.rt_ifname, ours.orig_ifname), (theirs.rt_ifname, theirs.orig_ifname));
}

#[test]
fn a_state_is_not_sent_to_a_peer_whose_dialect_cannot_express_it() {
    let with_route = FullState { rt: route::ROUTE_TO, rt_addr: [7; 16], ..state(0, Family::V4) };
    let mut in_rdomain = state(0, Family::V4);
    in_rdomain.key.iter_mut().for_each(|key| key.rdomain = 3);
    let cases = [
        (state(0, Family::V4), Profile::FreeBsd1400, true),
        (with_route, Profile::FreeBsd1400, false),
        (with_route, Profile::FreeBsd1500, false),
        (with_route, Profile::FreeBsd1301, true),
        (in_rdomain, Profile::FreeBsd1301, false),
        (in_rdomain, Profile::FreeBsd1500, false),
    ];
    for (theirs, profile, is_sent) in cases {
        let mut node = node(&[Profile::OpenBsd6, profile], |_| {});
        assert!(node.lanes[0].receive(&frame_of(Profile::OpenBsd6, Message::Insert, &[theirs]), NOW));
        assert!(node.lanes[0].receive(&request_for(Profile::OpenBsd6, theirs.id), NOW + MS));
        let frames = sent_frames(&mut node, NOW + MS, 50);
        let count = |version: Version| {
            let of_version = frames.iter().filter(|frame| frame[20] == version as u8);
            of_version
                .flat_map(|frame| records_in(frame))
                .filter(|(action, _)| *action == Message::Update)
                .count()
        };
        assert_eq!((count(Version::V6), count(Version::V5)), (1, usize::from(is_sent)), "{profile}");
        let inexpressible = node.stat(NOW + SECOND, "messages_inexpressible");
        assert_eq!(inexpressible, u64::from(!is_sent), "{profile}");
    }
}

#[test]
fn a_state_whose_fields_found_no_space_is_kept_counted_and_not_sent_to_freebsd() {
    let profile = Profile::FreeBsd1500;
    let mut node = node(&[profile, Profile::OpenBsd6], |config| config.extra_per_lane = Some(1));
    let theirs = [0, 1, 2].map(|n| full_of_fields(n, Family::V4));
    assert!(node.lanes[0].receive(&frame_of(profile, Message::Insert, &theirs[..2]), NOW));
    assert_eq!((node.states(), node.stat(NOW, "imports_incomplete")), (2, 1));
    for (state, is_sent) in theirs[..2].iter().zip([1, 0]) {
        assert!(node.lanes[0].receive(&request_for(profile, state.id), NOW + MS));
        let back = sent_states_of(&mut node, NOW + MS, Version::V5);
        assert_eq!(back.len(), is_sent, "{:?}", state.id);
    }
    // The end of the first state frees its entry.
    let end = frame(profile, |writer| writer.push_id(Message::DeleteCompressed, theirs[0].id).unwrap());
    assert!(node.lanes[0].receive(&end, NOW + SECOND));
    assert!(node.lanes[0].receive(&frame_of(profile, Message::Insert, &theirs[2..]), NOW + SECOND));
    assert_eq!(node.stat(NOW + SECOND, "imports_incomplete"), 1);
    assert!(node.lanes[0].receive(&request_for(profile, theirs[2].id), NOW + 2 * SECOND));
    let [back] = sent_states_of(&mut node, NOW + 2 * SECOND, Version::V5)[..] else { panic!("one state") };
    assert_eq!(back.tagname, theirs[2].tagname);
}

#[test]
fn states_of_unknown_routing_tables_are_refused_and_not_requested_again() {
    for profile in [Profile::OpenBsd6, Profile::FreeBsd1400, Profile::FreeBsd1500] {
        for lanes in [1, 3] {
            let mut node = node(&[profile], |config| {
                config.lanes = lanes;
                config.sync.routing_tables = Some(vec![4]);
            });
            let tables = [-1, 0, 3, 4];
            let theirs: Vec<FullState> = (0..4)
                .map(|n| FullState { rtableid: [tables[usize::from(n)]; 2], ..state(n, Family::V4) })
                .collect();
            assert!(node.lanes[0].receive(&frame_of(profile, Message::Insert, &theirs), NOW));
            node.poll(NOW + MS);
            node.poll(NOW + 2 * MS);
            assert_eq!(node.states(), 3, "{profile} {lanes}");
            assert_eq!(node.stat(NOW + 3 * MS, "imports_refused_routing_table"), 1);
            let requests = requests_after_updates(&mut node, profile, &theirs[2], NOW);
            assert_eq!(requests, 0, "{profile} {lanes}");
        }
    }
}

#[test]
fn states_in_unknown_routing_domains_are_refused_and_not_requested_again() {
    for family in [Family::V4, Family::V6] {
        let mut node = node(&[Profile::OpenBsd6], |config| config.sync.routing_tables = Some(vec![4, 9]));
        let theirs: Vec<FullState> = [[0, 0], [3, 3], [4, 4], [4, 3], [4, 9]]
            .into_iter()
            .zip(0..)
            .map(|(rdomains, n)| {
                let mut state = state(n, family);
                state.key[0].rdomain = rdomains[0];
                state.key[1].rdomain = rdomains[1];
                state
            })
            .collect();
        assert!(node.lanes[0].receive(&frame_of(Profile::OpenBsd6, Message::Insert, &theirs), NOW));
        assert_eq!(node.states(), 3);
        assert_eq!(node.stat(NOW + MS, "imports_refused_routing_table"), 2);
        assert_eq!(requests_after_updates(&mut node, Profile::OpenBsd6, &theirs[1], NOW), 0);
    }
}

/// Sends compressed updates of a state for five seconds, and returns how often the node requests it.
fn requests_after_updates(node: &mut Node, profile: Profile, state: &FullState, now: u64) -> usize {
    let update =
        CompressedUpdate { id: state.id, src: state.src, dst: state.dst, expire: 0, timeout: state.timeout };
    let update = frame(profile, |writer| writer.push_compressed_update(&update).unwrap());
    let mut requests = 0;
    for second in 1..6 {
        assert!(node.lanes[0].receive(&update, now + second * SECOND));
        let frames = sent_frames(node, now + second * SECOND, 50);
        let records = frames.iter().flat_map(|frame| records_in(frame));
        let is_request = |record: &pfsync::Record| *record == pfsync::Record::Id(state.id);
        requests += records
            .filter(|(action, record)| *action == Message::UpdateRequest && is_request(record))
            .count();
    }
    requests
}

#[test]
fn the_second_state_of_a_key_bound_to_another_interface_is_refused_once() {
    for (profile, lanes) in [(Profile::OpenBsd6, 1), (Profile::FreeBsd1400, 1), (Profile::FreeBsd1500, 3)] {
        for action in [Message::Insert, Message::Update] {
            let mut node = node(&[profile], |config| config.lanes = lanes);
            let first = state(0, Family::V4);
            let second = FullState { id: Identity { id: 77, ..first.id }, ifname: name("vlan20"), ..first };
            assert!(node.lanes[0].receive(&frame_of(profile, action, &[first, second]), NOW));
            node.poll(NOW + MS);
            node.poll(NOW + 2 * MS);
            assert_eq!(node.stat(NOW + 3 * MS, "imports_refused_binding"), 1, "{profile} {action}");
            let ids: Vec<u64> = (0..lanes as usize)
                .filter_map(|lane| node.lanes[lane].state_from(0, NOW).map(|view| view.cold.id.id))
                .collect();
            assert_eq!(ids, [first.id.id], "the first one stays");
            assert_eq!(sent_states(&mut node, NOW + 3 * MS), [], "no correction");
            assert_eq!(requests_after_updates(&mut node, profile, &second, NOW), 0);
            // When the first one ends, the second one is taken.
            let end = frame(profile, |writer| writer.push_id(Message::DeleteCompressed, first.id).unwrap());
            assert!(node.lanes[0].receive(&end, NOW + 6 * SECOND));
            node.poll(NOW + 6 * SECOND);
            let requests = requests_after_updates(&mut node, profile, &second, NOW + 6 * SECOND);
            assert!(requests > 0, "{profile}");
            assert!(node.lanes[0].receive(&frame_of(profile, Message::Update, &[second]), NOW + 20 * SECOND));
            node.poll(NOW + 20 * SECOND);
            assert_eq!(node.states(), 1);
        }
    }
}

#[test]
fn a_floating_state_with_the_same_key_is_decided_as_before() {
    let mut node = node(&[Profile::OpenBsd6], |_| {});
    let first = state(0, Family::V4);
    let second = FullState { id: Identity { id: 77, ..first.id }, ifname: name("all"), ..first };
    let inserts = frame_of(Profile::OpenBsd6, Message::Insert, &[first, second]);
    assert!(node.lanes[0].receive(&inserts, NOW));
    assert_eq!(node.lanes[0].state_from(0, NOW).unwrap().cold.id.id, 77);
    assert_eq!(node.stat(NOW, "states_replaced"), 1);
}

#[test]
fn fields_pass_through_two_nodes_whose_dialect_lacks_them() {
    for between in [Profile::OpenBsd6, Profile::FreeBsd1301, Profile::FreeBsd1400] {
        // FreeBSD 15 has a peer here, and another one behind the second node.
        let edge = |source: u8| {
            let mut near = PeerSettings::group(Profile::FreeBsd1500, Address::V4([192, 0, 2, source]));
            near.sources.push(super::frames::PEER);
            let mut far = PeerSettings::group(between, Address::V4([192, 0, 2, source]));
            far.extensions = true;
            (near, far)
        };
        let mut nodes = [2, 3].map(|n| {
            let (near, far) = edge(n);
            node(&[Profile::FreeBsd1500], |config| {
                config.sync.host_id = n.into();
                config.sync.peers.clear();
                config.sync.peers.extend([near, far]);
            })
        });
        let mut theirs = full_of_fields(0, Family::V4);
        // The record of FreeBSD 13 has none of these.
        (theirs.rt, theirs.rtableid, theirs.state_flags) = (route::NONE, [-1; 2], 0x0023);
        (theirs.rt_addr, theirs.rt_family) = ([0; 16], Family::NONE);
        (theirs.max_mss, theirs.min_ttl, theirs.set_tos, theirs.set_prio) = (0, 0, 0, [0; 2]);
        let insert = frame_of(Profile::FreeBsd1500, Message::Insert, &[theirs]);
        assert!(nodes[0].lanes[0].receive(&insert, NOW));
        let [here, there] = &mut nodes;
        assert!(here.lanes[0].receive(&request_for(Profile::FreeBsd1500, theirs.id), NOW + MS));
        for frame in sent_frames(here, NOW + MS, 50) {
            assert!(there.lanes[0].receive(&frame, NOW + 60 * MS));
        }
        assert!(there.lanes[0].receive(&request_for(Profile::FreeBsd1500, theirs.id), NOW + 70 * MS));
        let states = sent_states(there, NOW + 70 * MS);
        let ours = states.iter().find(|state| state.tagname[0] != 0).expect("sent to FreeBSD 15");
        assert_eq!(comparable(ours), comparable(&theirs), "{between}");
    }
}

fn datagram(n: u16) -> Vec<u8> {
    let addresses = [[10, 0, 0, 1], [198, 51, 100, 7]].map(|address| {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&address);
        bytes
    });
    Packet { v6: false, addresses, ports: [4000 + n, 53], carried: Carried::Udp, payload: Vec::new() }.build()
}

#[test]
fn the_hosts_own_bytes_stay_with_their_state_and_need_an_entry() {
    let mut node = node(&[Profile::OpenBsd6], |config| config.extra_per_lane = Some(1));
    let options = Options { opaque: Opaque::new(b"tenant 17").unwrap(), ..Options::default() };
    let inside = info(Direction::In, NOW);
    let created = node.lanes[0].create(&inside, &view(&datagram(0)), &options);
    assert_eq!(created.action, Action::Pass);
    let kept = node.lanes[0].state_at(created.slot, NOW).unwrap().extra.unwrap().opaque;
    assert_eq!(kept.as_bytes(), b"tenant 17");
    let refused = node.lanes[0].create(&inside, &view(&datagram(1)), &options);
    assert_eq!((refused.action, refused.reason), (Action::Drop, Reason::TableFull));
    let plain = node.lanes[0].create(&inside, &view(&datagram(1)), &Options::default());
    assert_eq!(plain.action, Action::Pass);
    assert_eq!(node.lanes[0].state_at(plain.slot, NOW).unwrap().extra, None);
}
