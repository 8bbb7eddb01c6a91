//! The conformance list of the protocol reference (section 9), items 26 to 57: a test each, by number.

#[expect(dead_code, reason = "other tests use more of it")]
mod sync_node;

use pfplane::packet::{Be16, Key};
use pfplane::state::{LocalFlags, StateId, pf_flags};
use pfplane::sync::{Applied, Defer, PF_DELAY, PeerSettings, Phase, Refused, Removal, SyncSettings};
use pfplane::table::Slot;
use pfplane::wire::envelope::GROUP_V4;
use pfplane::wire::{
    Action, Clear, CompressedUpdate, Family, FullState, Identity, Profile, Record, StatePeer, Version,
    bulk_status,
};
use sync_node::frames::{PEER, Say, side, state, update};
use sync_node::{MS, Node, S, address, settings};

const PROFILES: [Profile; 4] = Profile::ALL;

fn node(profile: Profile) -> Node {
    Node::new(settings(1, profile), 4096, 1000 * S)
}

fn open() -> Node {
    node(Profile::OpenBsd6)
}

fn insert(state: FullState) -> Say {
    Say::State(Action::Insert, state)
}

fn slot_of(node: &Node, n: u32) -> Option<Slot> {
    node.table.find_id(StateId { id: u64::from(n) + 1, creator: PEER })
}

/// A node that was told of state `n` and has seen traffic of it.
fn with(n: u32) -> (Node, Slot) {
    let mut node = open();
    node.hear(&[insert(state(n))]);
    let slot = slot_of(&node, n).unwrap();
    node.table.hot_mut(slot).local.set(LocalFlags::LOCAL_TRAFFIC);
    (node, slot)
}

fn sides(node: &Node, slot: Slot) -> [(u8, u32); 2] {
    let (hot, track) = (node.table.hot(slot), node.table.track(slot));
    [(hot.peer_state[0], track.src.seqlo), (hot.peer_state[1], track.dst.seqlo)]
}

type Spoil = fn(&mut FullState);

const SPOILS: [(&str, Spoil); 9] = [
    ("timeout", |state| state.timeout = 25),
    ("src state", |state| state.src.state = 13),
    ("dst state", |state| state.dst.state = 255),
    ("direction 0", |state| state.direction = 0),
    ("direction 3", |state| state.direction = 3),
    ("direction 255", |state| state.direction = 255),
    ("family", |state| state.key[0].family = Family::of(10, Version::V6)),
    ("creator", |state| state.id.creator = 0),
    ("name", |state| state.ifname = [b'x'; 16]),
];

#[test]
fn item_26_an_insert_out_of_range_is_skipped_and_counted_and_the_others_apply() {
    for profile in PROFILES {
        for (what, spoil) in SPOILS {
            let mut node = node(profile);
            let mut bad = state(2);
            spoil(&mut bad);
            node.hear(&[insert(state(1)), insert(bad), insert(state(3))]);
            assert_eq!((node.table.len(), node.inbound.counters.badval), (2, 1), "{what} {profile:?}");
        }
    }
}

#[test]
fn item_27_an_update_that_would_insert_is_held_to_the_same() {
    for (what, spoil) in SPOILS {
        let mut node = open();
        let mut bad = state(2);
        spoil(&mut bad);
        node.hear(&[Say::State(Action::Update, bad), Say::State(Action::Update, state(3))]);
        assert_eq!(node.table.len(), 1, "{what}");
        assert_eq!(node.inbound.counters.badval + node.outbound.counters.badval_update, 1, "{what}");
    }
}

#[test]
fn item_28_the_limit_of_timeout_classes_is_the_peer_s() {
    for (profile, limit) in PROFILES.into_iter().zip([20, 20, 25, 25]) {
        let mut node = node(profile);
        let with_class = |n, timeout| insert(FullState { timeout, ..state(n) });
        node.hear(&[with_class(1, limit - 1), with_class(2, limit), with_class(3, 255)]);
        assert_eq!((node.table.len(), node.inbound.counters.badval), (1, 2), "{profile:?}");
    }
    let mut fourteen = settings(1, Profile::FreeBsd1301);
    fourteen.peers[0].timeout_limit = 25;
    let mut node = Node::new(fourteen, 16, 0);
    node.hear(&[insert(FullState { timeout: 22, ..state(1) })]);
    assert_eq!(node.table.len(), 1);
}

#[test]
fn item_29_an_insert_that_asks_for_it_is_acknowledged_at_once() {
    for profile in PROFILES {
        let mut node = node(profile);
        let asking = FullState { state_flags: pf_flags::ACK, ..state(1) };
        node.hear(&[insert(asking)]);
        let id = asking.id;
        assert_eq!(node.says(), [(Action::InsertAck, Record::Id(id))]);
        assert_eq!(node.table.hot(slot_of(&node, 1).unwrap()).pf_flags & pf_flags::ACK, 0);
        node.hear(&[insert(asking)]);
        assert!(node.wait(5 * S).says().is_empty(), "an insert that fails is not acknowledged");
    }
}

#[test]
fn item_30_a_key_belongs_to_one_live_state_and_a_closed_connection_makes_room() {
    let reused = FullState { id: Identity { id: 99, creator: PEER }, ..state(1) };
    for (states, replaced) in [([4, 4], false), ([9, 7], false), ([9, 9], true), ([10, 10], true)] {
        let (mut node, slot) = with(1);
        node.table.hot_mut(slot).peer_state = states;
        let applied = node.hear(&[insert(reused)]);
        assert_eq!(matches!(applied[0], Applied::Inserted(_)), replaced, "{states:?}");
        assert_eq!(applied[0] == Applied::Refused(Refused::KeyCollision), !replaced, "{states:?}");
        assert!(node.wait(5 * S).says().is_empty(), "nobody is told");
    }
}

#[test]
fn item_31_an_update_of_an_unknown_state_inserts_and_a_compressed_one_asks_once() {
    let mut node = open();
    node.hear(&[Say::State(Action::Update, state(1))]);
    assert!(slot_of(&node, 1).is_some());
    let unknown = |n| Say::Compressed(update(state(n).id, side(4, 1), side(4, 1)));
    node.hear(&[unknown(2), unknown(3), unknown(2)]);
    let request = |n| (Action::UpdateRequest, Record::Id(state(n).id));
    assert_eq!(node.says(), [request(2), request(3)]);
    node.wait(S - 10 * MS).hear(&[unknown(2)]);
    assert!(node.says().is_empty(), "once a second");
    node.wait(10 * MS).hear(&[unknown(2)]);
    assert_eq!(node.says(), [request(2)]);
}

#[test]
fn item_32_a_stale_side_is_left_alone_and_the_other_taken_over() {
    for src_stale in [false, true] {
        for dst_stale in [false, true] {
            let (mut node, slot) = with(1);
            let theirs = |stale: bool, ours: u32| side(4, if stale { ours - 5 } else { ours + 5 });
            node.hear(&[Say::Compressed(update(
                state(1).id,
                theirs(src_stale, 1000),
                theirs(dst_stale, 5000),
            ))]);
            let kept = |stale: bool, ours: u32| (4, if stale { ours } else { ours + 5 });
            assert_eq!(sides(&node, slot), [kept(src_stale, 1000), kept(dst_stale, 5000)]);
        }
    }
    // Higher state under a lower sequence number: FreeBSD calls that stale and takes it over all the same.
    let (mut node, slot) = with(1);
    node.hear(&[Say::Compressed(update(state(1).id, side(4, 1000), side(7, 4000)))]);
    assert_eq!((sides(&node, slot)[1], node.outbound.counters.stale), ((7, 4000), 0));
}

#[test]
fn item_33_syn_proxy_goes_down_to_established_on_the_first_side() {
    for (from, to, taken) in [(12, 4, true), (11, 4, true), (4, 12, true), (12, 11, false)] {
        let (mut node, slot) = with(1);
        node.table.hot_mut(slot).peer_state[0] = from;
        node.hear(&[Say::Compressed(update(state(1).id, side(to, 1000), side(4, 5000)))]);
        assert_eq!(sides(&node, slot)[0].0, if taken { to } else { from });
    }
}

#[test]
fn item_34_sequence_numbers_are_compared_across_the_wrap() {
    for (ours, theirs, taken) in [
        (u32::MAX - 5, 5, true),
        (5, u32::MAX - 5, false),
        (0, 0x7fff_ffff, true),
        (0, 0x8000_0001, false),
        (77, 77, true),
    ] {
        let (mut node, slot) = with(1);
        node.table.track_mut(slot).src.seqlo = ours;
        node.hear(&[Say::Compressed(update(state(1).id, side(4, theirs), side(4, 5000)))]);
        assert_eq!(sides(&node, slot)[0].1, if taken { theirs } else { ours }, "{ours} {theirs}");
    }
}

#[test]
fn item_35_other_protocols_compare_states_only() {
    for (ours, theirs, taken) in [(1, 2, true), (2, 1, false), (1, 1, true)] {
        let mut node = open();
        let mut udp = FullState { src: side(ours, 900), timeout: 7, ..state(1) };
        udp.key.iter_mut().for_each(|key| key.proto = 17);
        node.hear(&[insert(udp)]);
        let slot = slot_of(&node, 1).unwrap();
        node.hear(&[Say::Compressed(update(udp.id, side(theirs, 100), udp.dst))]);
        assert_eq!(sides(&node, slot)[0].1 == 100, taken, "{ours} {theirs}");
    }
}

#[test]
fn item_36_class_and_clock_follow_unless_both_sides_are_stale_and_a_stale_one_is_answered() {
    let (fresh, old) = (2000, 10);
    for (src, dst, stale) in [(fresh, 9000, 0), (fresh, old, 1), (old, 9000, 1), (old, old, 2)] {
        let (mut node, slot) = with(1);
        node.wait(100 * S);
        let said = CompressedUpdate { timeout: 4, ..update(state(1).id, side(4, src), side(4, dst)) };
        node.hear(&[Say::Compressed(said)]);
        let hot = *node.table.hot(slot);
        let follows = stale < 2;
        assert_eq!((hot.timeout == 4, hot.last_activity == node.tick()), (follows, follows));
        let expected = update(state(1).id, side(4, src.max(1000)), side(4, dst.max(5000)));
        let expected = CompressedUpdate { timeout: hot.timeout, ..expected };
        let answers =
            if stale == 0 { vec![] } else { vec![(Action::UpdateCompressed, Record::Compressed(expected))] };
        assert_eq!(node.says(), answers);
        assert!(hot.local.has(LocalFlags::NETWORK_RECENT));
    }
}

#[test]
fn item_37_two_nodes_that_disagree_settle_after_one_exchange() {
    let (mut one, slot) = with(1);
    let mut other = Node::new(settings(2, Profile::OpenBsd6), 16, one.now);
    other.hear(&[insert(state(1))]);
    let other_slot = slot_of(&other, 1).unwrap();
    one.table.track_mut(slot).src.seqlo = 3000;
    other.table.track_mut(other_slot).dst.seqlo = 9000;
    one.outbound.updated(&mut one.table, slot, one.now);
    one.wait(S);
    other.wait(S);
    let mut frames = 0;
    for _ in 0..100 {
        for (_, packet) in one.flush() {
            frames += 1;
            other.receive(&packet, pfplane::sync::Arrival::SyncPort);
        }
        for (_, packet) in other.flush() {
            frames += 1;
            one.receive(&packet, pfplane::sync::Arrival::SyncPort);
        }
        one.wait(100 * MS);
        other.wait(100 * MS);
    }
    assert_eq!(sides(&one, slot), sides(&other, other_slot));
    assert_eq!(sides(&one, slot), [(4, 3000), (4, 9000)]);
    assert!(frames <= 2, "{frames}");
    // A peer that repeats itself is answered once a second.
    let mut answers = 0;
    for _ in 0..100 {
        one.hear(&[Say::Compressed(update(state(1).id, side(4, 1), side(4, 1)))]);
        answers += one.says().len();
        one.wait(20 * MS);
    }
    assert!((1..=3).contains(&answers), "{answers} in two seconds");
}

#[test]
fn item_38_updates_change_nothing_but_sides_class_and_clock() {
    let (mut node, slot) = with(1);
    node.table.hot_mut(slot).packets = [3, 4];
    let before = (*node.table.hot(slot), *node.table.cold(slot));
    let mut other = FullState { id: state(1).id, ..state(5) };
    other.ifname = *b"ix7\0\0\0\0\0\0\0\0\0\0\0\0\0";
    other.rule = 77;
    other.creation = 500;
    other.expire = 5;
    other.packets = [900, 900];
    other.direction = 2;
    other.state_flags = 0x27;
    other.src.seqlo = 7777;
    node.hear(&[Say::State(Action::Update, other)]);
    let (hot, cold) = (node.table.hot(slot), node.table.cold(slot));
    assert_eq!(sides(&node, slot)[0], (4, 7777));
    assert_eq!((hot.key, hot.pf_flags, hot.packets), (before.0.key, before.0.pf_flags, before.0.packets));
    assert_eq!(hot.direction(), before.0.direction());
    assert_eq!(
        (cold.ifname, cold.rule, cold.creation, cold.packets),
        (before.1.ifname, before.1.rule, before.1.creation, before.1.packets)
    );
}

#[test]
fn item_39_a_delete_removes_without_an_echo() {
    for action in [Action::DeleteCompressed, Action::Delete] {
        let (mut node, _) = with(1);
        let delete = |n| match action {
            Action::Delete => Say::State(action, state(n)),
            _ => Say::Id(action, state(n).id),
        };
        assert_eq!(node.hear(&[delete(1)]), [Applied::Removed]);
        assert!(matches!(node.hear(&[delete(1), delete(2)])[..], [Applied::Unknown(_), Applied::Unknown(_)]));
        assert_eq!(node.outbound.counters.badstate, 2);
        assert!(node.wait(5 * S).says().is_empty());
    }
}

#[test]
fn item_40_a_clear_ends_the_creator_s_states_on_the_interface_it_names() {
    let name = |text: &[u8]| {
        let mut name = [0; 16];
        name[..text.len()].copy_from_slice(text);
        name
    };
    for (ifname, left) in [(&b""[..], 1), (b"em0", 2), (b"ix3", 2), (b"em", 3), (b"vlan9", 3)] {
        let mut node = open();
        let elsewhere = FullState { ifname: name(b"ix3"), ..state(2) };
        let foreign = FullState { id: Identity { id: 5, creator: 4711 }, ..state(3) };
        node.hear(&[insert(state(1)), insert(elsewhere), insert(foreign)]);
        node.hear(&[Say::Clear(Clear { ifname: name(ifname), creator: PEER })]);
        assert_eq!(node.table.len(), left, "{ifname:?}");
        assert!(node.wait(5 * S).says().is_empty());
    }
}

#[test]
fn item_41_a_clear_with_our_own_host_id_is_ignored_and_our_own_states_come_back_in() {
    let mut node = open();
    let own = node.outbound.settings().host_id;
    let before_restart = FullState { id: Identity { id: 12_345, creator: own }, ..state(1) };
    node.hear(&[Say::State(Action::Update, before_restart)]);
    node.hear(&[Say::Clear(Clear { ifname: [0; 16], creator: own })]);
    assert_eq!((node.table.len(), node.inbound.counters.duplicate_host_id), (1, 1));
}

#[test]
fn item_42_a_request_is_answered_whole_and_at_once_unless_the_state_is_never_synchronised() {
    let (mut node, slot) = with(1);
    node.hear(&[Say::Id(Action::UpdateRequest, state(1).id)]);
    let said = node.says();
    assert!(matches!(said[..], [(Action::Update, Record::State(full))] if full.id == state(1).id));
    node.table.hot_mut(slot).pf_flags |= pf_flags::NOSYNC;
    node.wait(10 * S).hear(&[
        Say::Id(Action::UpdateRequest, state(1).id),
        Say::Id(Action::UpdateRequest, state(2).id),
        Say::Id(Action::UpdateRequest, Identity { id: 0, creator: 5 }),
    ]);
    assert!(node.says().is_empty());
    assert_eq!(node.outbound.counters.badstate, 3);
}

#[test]
fn item_43_what_is_left_of_a_life_is_clamped_to_ours_and_zero_is_a_whole_one() {
    for (expire, left) in [(0, 86_400), (1, 1), (86_400, 86_400), (86_401, 86_400), (u32::MAX, 86_400)] {
        let mut node = open();
        node.hear(&[insert(FullState { expire, ..state(1) })]);
        let hot = node.table.hot(slot_of(&node, 1).unwrap());
        assert_eq!(node.timeouts.remaining_s(hot, None, node.tick(), 1), left, "{expire}");
    }
}

#[test]
fn item_44_states_that_are_never_synchronised_are_not_taken_in() {
    for action in [Action::Insert, Action::Update] {
        let mut node = open();
        node.hear(&[Say::State(action, FullState { state_flags: pf_flags::NOSYNC, ..state(1) })]);
        assert_eq!((node.table.len(), node.inbound.counters.nosync), (0, 1));
    }
}

fn asking() -> Node {
    let mut node = open();
    node.inbound.bulk.start(node.now, false);
    assert_eq!(node.says(), [(Action::UpdateRequest, Record::Id(Identity::BULK))]);
    node
}

#[test]
fn item_45_a_bulk_request_ends_in_bounded_time_whatever_the_peer_does() {
    let mut node = asking();
    node.wait(S).hear(&[Say::Bulk(bulk_status::START, 0)]);
    assert!(node.wait(4 * S).says().is_empty(), "START stops the short retry");
    node.hear(&[Say::Bulk(bulk_status::END, 0)]);
    assert_eq!(node.inbound.bulk.phase(), Phase::Done);
    for start in [false, true] {
        let mut node = asking();
        for _ in 0..3000 {
            if start {
                node.hear(&[Say::Bulk(bulk_status::START, 0)]);
            }
            node.wait(100 * MS).says();
        }
        assert_eq!(node.inbound.bulk.phase(), Phase::GivenUp);
    }
}

#[test]
fn item_46_states_are_taken_in_before_start_after_end_and_unasked() {
    let mut node = asking();
    let whole = |n| Say::State(Action::Update, state(n));
    node.hear(&[whole(1)]);
    node.hear(&[Say::Bulk(bulk_status::START, 0), whole(2), Say::Bulk(bulk_status::END, 0), whole(3)]);
    assert_eq!(node.table.len(), 3);
    let mut unasked = open();
    unasked.hear(&[Say::Bulk(bulk_status::START, 0), whole(4), Say::Bulk(bulk_status::END, 0)]);
    assert_eq!((unasked.table.len(), unasked.inbound.bulk.phase()), (1, Phase::Idle));
}

#[test]
fn item_47_an_end_counts_if_its_walk_began_after_our_request_also_without_start() {
    for (endtime, done) in [(0, true), (10, true), (30, false), (u32::MAX, false)] {
        let mut node = asking();
        node.wait(10 * S).hear(&[Say::Bulk(bulk_status::END, endtime)]);
        assert_eq!(node.inbound.bulk.phase() == Phase::Done, done, "{endtime}");
    }
}

#[test]
fn item_48_a_bulk_answer_begins_with_start_and_ends_with_end() {
    for profile in PROFILES {
        for states in [0, 1, 40] {
            let mut node = node(profile);
            for n in 0..states {
                node.hear(&[insert(state(n))]);
            }
            node.hear(&[insert(state(1000))]);
            let hidden = slot_of(&node, 1000).unwrap();
            node.table.hot_mut(hidden).pf_flags |= pf_flags::NOSYNC;
            node.hear(&[Say::Id(Action::UpdateRequest, Identity::BULK)]);
            let mut said = Vec::new();
            for _ in 0..3000 {
                said.extend(node.says());
                node.wait(MS);
            }
            let status = |record: &Record| match record {
                Record::BulkStatus(bulk) => (bulk.status, bulk.creator, bulk.endtime),
                other => panic!("{other:?}"),
            };
            let host_id = node.outbound.settings().host_id;
            assert_eq!(status(&said.first().unwrap().1), (bulk_status::START, host_id, 0));
            assert_eq!(status(&said.last().unwrap().1), (bulk_status::END, host_id, 0));
            assert_eq!(said.len() as u32, states + 2, "{profile:?}");
        }
    }
}

#[test]
fn item_48_the_end_tells_version_5_how_long_it_took() {
    for (profile, seconds) in [(Profile::OpenBsd6, 0), (Profile::FreeBsd1400, 2)] {
        let slow = SyncSettings { bulk_frames: 1, bulk_interval: S, ..settings(1, profile) };
        let mut node = Node::new(slow, 64, 1000 * S);
        (0..12).for_each(|n| _ = node.hear(&[insert(state(n))]));
        node.hear(&[Say::Id(Action::UpdateRequest, Identity::BULK)]);
        let mut said = node.says();
        while node.outbound.is_walking() {
            said.extend(node.wait(S).says());
        }
        let Some((_, Record::BulkStatus(end))) = said.last() else { panic!("{said:?}") };
        assert_eq!((end.status, end.endtime), (bulk_status::END, seconds));
    }
}

#[test]
fn item_49_a_bulk_answer_keeps_its_pace_and_begins_anew_on_a_new_request() {
    let paced = SyncSettings { bulk_frames: 1, bulk_interval: 20 * MS, ..settings(1, Profile::OpenBsd6) };
    let mut node = Node::new(paced, 64, 1000 * S);
    (0..60).for_each(|n| _ = node.hear(&[insert(state(n))]));
    let request = [Say::Id(Action::UpdateRequest, Identity::BULK)];
    node.hear(&request);
    assert_eq!(node.says().len(), 1 + 5, "START and one frame");
    assert!(node.wait(19 * MS).says().is_empty());
    assert_eq!(node.wait(MS).says().len(), 5);
    node.wait(10 * MS).hear(&request);
    assert_eq!(node.says().len(), 0, "within the least interval it is the same request");
    node.wait(S).hear(&request);
    let said = node.actions();
    assert_eq!(said[..2], [Action::BulkStatus, Action::Update]);
    let mut states = said.len() - 1;
    loop {
        let said = node.wait(20 * MS).actions();
        states += said.iter().filter(|action| **action == Action::Update).count();
        if said.contains(&Action::BulkStatus) {
            break;
        }
    }
    assert_eq!(states, 60, "all of them again");
}

#[test]
fn item_50_an_unanswered_request_is_sent_twelve_times() {
    let mut node = asking();
    let mut requests = 1;
    for _ in 0..600 {
        requests += node.wait(100 * MS).says().len();
    }
    assert_eq!((requests, node.inbound.bulk.phase()), (12, Phase::GivenUp));
}

/// A state of this node's own.
fn made(node: &mut Node, n: u32) -> Slot {
    let id = node.fresh_id();
    let full = FullState { id: Identity { id: id.id, creator: id.creator }, ..state(n) };
    let mut record = pfplane::sync::record_of(&full, &node.timeouts, node.tick(), 0);
    record.hot.local = LocalFlags(LocalFlags::LOCAL_TRAFFIC);
    node.insert(&record)
}

#[test]
fn item_51_a_state_is_inserted_updated_once_a_second_and_deleted_once() {
    let mut node = open();
    let slot = made(&mut node, 1);
    assert_eq!(node.wait(S).actions(), [Action::Insert]);
    let mut updates = 0;
    for _ in 0..500 {
        node.table.hot_mut(slot).updates = 0;
        node.outbound.updated(&mut node.table, slot, node.now);
        updates += node.wait(10 * MS).says().len();
    }
    assert!((4..=5).contains(&updates), "{updates} in five seconds");
    node.remove(slot, Removal::Expired);
    let said: Vec<_> = (0..200).flat_map(|_| node.wait(10 * MS).actions()).collect();
    assert_eq!(said, [Action::DeleteCompressed]);
    let unsent = made(&mut node, 2);
    node.remove(unsent, Removal::Ended);
    assert!(node.wait(5 * S).says().is_empty());
}

#[test]
fn item_52_maxupd_makes_a_busy_tcp_state_leave_early() {
    for maxupd in [1, 2, 128, 255] {
        let mut node = Node::new(SyncSettings { maxupd, ..settings(1, Profile::OpenBsd6) }, 16, 1000 * S);
        let slot = made(&mut node, 1);
        node.wait(S).says();
        let mut packets = 0;
        while node.says().is_empty() {
            node.outbound.updated(&mut node.table, slot, node.now);
            packets += 1;
        }
        assert_eq!(packets, u32::from(maxupd) + 1);
    }
}

#[test]
fn item_53_what_is_urgent_leaves_at_once() {
    type Event = fn(&mut Node, Slot);
    let events: [(Event, Action); 6] = [
        (|node, slot| node.outbound.acknowledge(&mut node.table, slot, node.now), Action::InsertAck),
        (|node, _| node.outbound.request(0, StateId { id: 9, creator: 9 }, node.now), Action::UpdateRequest),
        (|node, slot| node.outbound.requested(&mut node.table, slot, node.now), Action::Update),
        (|node, slot| node.outbound.stale_reply(&mut node.table, slot, node.now), Action::UpdateCompressed),
        (
            |node, _| {
                let id = node.fresh_id();
                let full = FullState { id: Identity { id: id.id, creator: id.creator }, ..state(7) };
                let mut record = pfplane::sync::record_of(&full, &node.timeouts, node.tick(), 0);
                record.hot.local = LocalFlags(LocalFlags::LOCAL_TRAFFIC | LocalFlags::DEFERRED);
                node.insert(&record);
            },
            Action::Insert,
        ),
        (
            |node, slot| {
                let (src, dst) = (side(4, 1500), side(4, 5500));
                node.hear(&[Say::Compressed(update(state(1).id, src, dst))]);
                node.wait(S);
                node.outbound.updated(&mut node.table, slot, node.now);
            },
            Action::UpdateCompressed,
        ),
    ];
    for (event, action) in events {
        let (mut node, slot) = with(1);
        event(&mut node, slot);
        assert_eq!(node.actions(), [action]);
    }
}

#[test]
fn item_54_what_comes_from_a_peer_is_not_told_again() {
    let mut node = open();
    node.hear(&[insert(state(1)), insert(state(2)), Say::Id(Action::DeleteCompressed, state(1).id)]);
    assert!(node.wait(5 * S).says().is_empty());
    let slot = slot_of(&node, 2).unwrap();
    node.table.hot_mut(slot).local.set(LocalFlags::LOCAL_TRAFFIC);
    node.outbound.updated(&mut node.table, slot, node.now);
    let said = node.wait(S).says();
    assert!(
        matches!(said[..], [(Action::UpdateCompressed, Record::Compressed(update))] if update.id == state(2).id)
    );
}

#[test]
fn item_55_pfsync_itself_and_states_of_no_sync_rules_never_appear() {
    for (proto, flags) in [(240, 0), (6, pf_flags::NOSYNC)] {
        let mut node = open();
        let id = node.fresh_id();
        let full = FullState { id: Identity { id: id.id, creator: id.creator }, ..state(1) };
        let mut record = pfplane::sync::record_of(&full, &node.timeouts, node.tick(), 0);
        record.hot.key.proto = proto;
        record.hot.pf_flags = flags;
        record.hot.local = LocalFlags(LocalFlags::LOCAL_TRAFFIC);
        let slot = node.insert(&record);
        node.outbound.updated(&mut node.table, slot, node.now);
        node.hear(&[Say::Id(Action::UpdateRequest, full.id), Say::Id(Action::UpdateRequest, Identity::BULK)]);
        assert_eq!(node.actions(), [Action::BulkStatus; 2]);
        node.remove(slot, Removal::Ended);
        assert!(node.wait(5 * S).says().is_empty());
    }
}

#[test]
fn item_56_a_held_packet_is_let_go_by_an_acknowledgement_or_any_update() {
    let id = state(1).id;
    let compressed = update(id, side(4, 1000), side(4, 5000));
    for what in
        [Say::Id(Action::InsertAck, id), Say::State(Action::Update, state(1)), Say::Compressed(compressed)]
    {
        let (mut node, slot) = with(1);
        node.table.hot_mut(slot).local.set(LocalFlags::DEFERRED);
        let applied = node.hear(&[what, what])[0];
        assert!(
            applied == Applied::Released(slot) || applied == Applied::Merged { slot, release: true },
            "{applied:?}"
        );
        assert_eq!(node.outbound.counters.released, 1);
    }
}

#[test]
fn item_56_a_held_packet_goes_after_20_ms_at_most_128_are_held_and_in_order() {
    let defer = Defer { delay: PF_DELAY, ..Defer::default() };
    let mut node = Node::new(SyncSettings { defer, ..settings(1, Profile::OpenBsd6) }, 512, 1000 * S);
    let released = |node: &mut Node| -> Vec<u64> {
        node.outbound.release_late(&mut node.table, node.now);
        core::iter::from_fn(|| node.outbound.take_released()).collect()
    };
    for n in 0..130 {
        let id = node.fresh_id();
        let full = FullState { id: Identity { id: id.id, creator: id.creator }, ..state(n) };
        let mut record = pfplane::sync::record_of(&full, &node.timeouts, node.tick(), 0);
        record.hot.local = LocalFlags(LocalFlags::LOCAL_TRAFFIC | LocalFlags::DEFERRED);
        let slot = node.insert(&record);
        node.outbound.hold(&node.table, slot, n.into()).unwrap();
    }
    assert_eq!(released(&mut node), [0, 1]);
    node.wait(20 * MS - 1);
    assert!(released(&mut node).is_empty());
    node.wait(1);
    assert_eq!(released(&mut node), (2..130).collect::<Vec<u64>>());
}

#[test]
fn item_57_a_flush_of_everything_is_one_clear_and_no_delete() {
    let mut node = open();
    let slots: Vec<Slot> = (0..20).map(|n| made(&mut node, n)).collect();
    node.wait(S).says();
    slots.into_iter().for_each(|slot| node.remove(slot, Removal::Flush));
    node.outbound.clear(None);
    let host_id = node.outbound.settings().host_id;
    let clear = Clear { ifname: [0; 16], creator: host_id };
    assert_eq!(node.says(), [(Action::Clear, Record::Clear(clear))]);
    assert!(node.wait(5 * S).says().is_empty());
}

#[test]
fn hostile_frames_are_counted_and_change_nothing() {
    let mut random = sync_node::traffic::Random::new(7);
    let (mut node, _) = with(1);
    let profile = Profile::OpenBsd6;
    let sound = sync_node::frames::frame(
        profile,
        &[insert(state(2)), Say::Compressed(update(state(1).id, StatePeer::default(), StatePeer::default()))],
    );
    for round in 0..20_000 {
        let mut packet = sound.clone();
        for _ in 0..=random.below(4) {
            let at = 20 + random.below(packet.len() as u64 - 20) as usize;
            packet[at] = random.below(256) as u8;
        }
        node.receive(&packet, pfplane::sync::Arrival::SyncPort);
        node.wait(random.below(20) * MS).flush();
        assert!(node.table.len() <= 4096, "round {round}");
    }
}

#[test]
fn a_peer_cannot_take_all_room() {
    let quota = SyncSettings { imported_most: 10, ..settings(1, Profile::OpenBsd6) };
    let mut node = Node::new(quota, 64, 1000 * S);
    for n in 0..30 {
        node.hear(&[insert(state(n))]);
    }
    assert_eq!((node.table.len(), node.outbound.counters.over_quota), (10, 20));
    node.hear(&[Say::Id(Action::DeleteCompressed, state(3).id), insert(state(50))]);
    assert!(slot_of(&node, 50).is_some(), "what ends makes room");
}

#[test]
fn a_unicast_peer_is_known_by_its_address() {
    let mut pair = settings(1, Profile::OpenBsd6);
    pair.peers[0] = PeerSettings::new(Profile::OpenBsd6, address(1), address(9));
    pair.peers.push(PeerSettings::new(Profile::OpenBsd6, address(1), GROUP_V4));
    let mut node = Node::new(pair, 64, 1000 * S);
    node.hear(&[Say::Compressed(update(state(1).id, side(4, 1), side(4, 1)))]);
    let asked: Vec<_> = node.flush().into_iter().map(|(peer, _)| peer).collect();
    assert_eq!(asked, [0], "the one that told of it");
}

#[test]
fn a_translated_state_keeps_both_keys_through_a_peer() {
    let mut node = open();
    let mut translated = state(1);
    translated.key[1].port = [40_000u16.to_be_bytes(), 443u16.to_be_bytes()];
    node.hear(&[insert(translated)]);
    let slot = slot_of(&node, 1).unwrap();
    let key: Key = node.table.cold(slot).stack_key;
    assert_eq!(key.port[0], Be16::new(40_000));
    assert!(node.table.hot(slot).local.has(LocalFlags::TRANSLATED));
}
