//! Items 26 to 44: how received frames are applied.

use super::*;

type Change = fn(&mut FullState);

const INVALID_FIELDS: [(&str, Change); 9] = [
    ("timeout", |state| state.timeout = 25),
    ("src state", |state| state.src.state = 13),
    ("dst state", |state| state.dst.state = 255),
    ("direction 0", |state| state.direction = 0),
    ("direction 3", |state| state.direction = 3),
    ("direction 255", |state| state.direction = 255),
    ("family", |state| state.key[0].family = Family::from_number(10, Version::V6)),
    ("creator", |state| state.id.creator = 0),
    ("name", |state| state.ifname = [b'x'; 16]),
];

#[test]
fn item_26_an_insert_out_of_range_is_counted_and_the_others_are_applied() {
    for profile in PROFILES {
        for (what, change) in INVALID_FIELDS {
            let mut node = node(profile);
            let mut bad = state(2);
            change(&mut bad);
            node.apply(&[insert(state(1)), insert(bad), insert(state(3))]);
            assert_eq!((node.table.len(), node.importer.counters.badval), (2, 1), "{what} {profile:?}");
        }
    }
}

#[test]
fn item_27_an_update_of_an_unknown_state_has_the_same_ranges() {
    for (what, change) in INVALID_FIELDS {
        let mut node = open();
        let mut bad = state(2);
        change(&mut bad);
        node.apply(&[Item::State(Action::Update, bad), Item::State(Action::Update, state(3))]);
        assert_eq!(node.table.len(), 1, "{what}");
        assert_eq!(node.importer.counters.badval + node.exporter.counters.badval_update, 1, "{what}");
    }
}

#[test]
fn item_28_the_limit_of_timeout_classes_is_that_of_the_peer() {
    for (profile, limit) in PROFILES.into_iter().zip([20, 20, 25, 25]) {
        let mut node = node(profile);
        let with_class = |n, timeout| insert(FullState { timeout, ..state(n) });
        node.apply(&[with_class(1, limit - 1), with_class(2, limit), with_class(3, 255)]);
        assert_eq!((node.table.len(), node.importer.counters.badval), (1, 2), "{profile:?}");
    }
    let mut fourteen = settings(1, Profile::FreeBsd1301);
    fourteen.peers[0].timeout_limit = 25;
    let mut node = Node::new(fourteen, 16, 0);
    node.apply(&[insert(FullState { timeout: 22, ..state(1) })]);
    assert_eq!(node.table.len(), 1);
}

#[test]
fn item_29_an_insert_that_requests_an_acknowledgement_gets_it_at_once() {
    for profile in PROFILES {
        let mut node = node(profile);
        let asking = FullState { state_flags: pf_flags::ACK, ..state(1) };
        node.apply(&[insert(asking)]);
        let id = asking.id;
        assert_eq!(node.sent(), [(Action::InsertAck, Record::Id(id))]);
        assert_eq!(node.table.hot(slot_of(&node, 1).unwrap()).pf_flags & pf_flags::ACK, 0);
        node.apply(&[insert(asking)]);
        assert!(node.wait(5 * S).sent().is_empty(), "a refused insert is not acknowledged");
    }
}

#[test]
fn item_30_a_key_belongs_to_one_state_and_a_closed_connection_is_replaced() {
    let reused = FullState { id: Identity { id: 99, creator: PEER }, ..state(1) };
    for (states, replaced) in [([4, 4], false), ([9, 7], false), ([9, 9], true), ([10, 10], true)] {
        let (mut node, slot) = with(1);
        node.table.hot_mut(slot).peer_state = states;
        let applied = node.apply(&[insert(reused)]);
        assert_eq!(matches!(applied[0], Applied::Inserted(_)), replaced, "{states:?}");
        assert_eq!(applied[0] == Applied::Refused(Refused::KeyCollision), !replaced, "{states:?}");
        assert!(node.wait(5 * S).sent().is_empty(), "nothing is sent");
    }
}

#[test]
fn item_31_an_update_of_an_unknown_state_inserts_it_and_a_compressed_one_requests_it_once() {
    let mut node = open();
    node.apply(&[Item::State(Action::Update, state(1))]);
    assert!(slot_of(&node, 1).is_some());
    let unknown = |n| Item::Compressed(update(state(n).id, side(4, 1), side(4, 1)));
    node.apply(&[unknown(2), unknown(3), unknown(2)]);
    let request = |n| (Action::UpdateRequest, Record::Id(state(n).id));
    assert_eq!(node.sent(), [request(2), request(3)]);
    node.wait(S - 10 * MS).apply(&[unknown(2)]);
    assert!(node.sent().is_empty(), "once a second");
    node.wait(10 * MS).apply(&[unknown(2)]);
    assert_eq!(node.sent(), [request(2)]);
}

#[test]
fn item_32_a_stale_side_is_kept_and_the_other_copied() {
    for src_stale in [false, true] {
        for dst_stale in [false, true] {
            let (mut node, slot) = with(1);
            let theirs = |stale: bool, ours: u32| side(4, if stale { ours - 5 } else { ours + 5 });
            node.apply(&[Item::Compressed(update(
                state(1).id,
                theirs(src_stale, 1000),
                theirs(dst_stale, 5000),
            ))]);
            let kept = |stale: bool, ours: u32| (4, if stale { ours } else { ours + 5 });
            assert_eq!(sides(&node, slot), [kept(src_stale, 1000), kept(dst_stale, 5000)]);
        }
    }
    // A higher state with a lower sequence number: FreeBSD finds it stale and copies it nevertheless.
    let (mut node, slot) = with(1);
    node.apply(&[Item::Compressed(update(state(1).id, side(4, 1000), side(7, 4000)))]);
    assert_eq!((sides(&node, slot)[1], node.exporter.counters.stale), ((7, 4000), 0));
}

#[test]
fn item_33_syn_proxy_may_lower_the_first_side_to_established() {
    for (from, to, taken) in [(12, 4, true), (11, 4, true), (4, 12, true), (12, 11, false)] {
        let (mut node, slot) = with(1);
        node.table.hot_mut(slot).peer_state[0] = from;
        node.apply(&[Item::Compressed(update(state(1).id, side(to, 1000), side(4, 5000)))]);
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
        node.apply(&[Item::Compressed(update(state(1).id, side(4, theirs), side(4, 5000)))]);
        assert_eq!(sides(&node, slot)[0].1, if taken { theirs } else { ours }, "{ours} {theirs}");
    }
}

#[test]
fn item_35_other_protocols_compare_states_only() {
    for (ours, theirs, taken) in [(1, 2, true), (2, 1, false), (1, 1, true)] {
        let mut node = open();
        let mut udp = FullState { src: side(ours, 900), timeout: 7, ..state(1) };
        udp.key.iter_mut().for_each(|key| key.proto = 17);
        node.apply(&[insert(udp)]);
        let slot = slot_of(&node, 1).unwrap();
        node.apply(&[Item::Compressed(update(udp.id, side(theirs, 100), udp.dst))]);
        assert_eq!(sides(&node, slot)[0].1 == 100, taken, "{ours} {theirs}");
    }
}

#[test]
fn item_36_class_and_clock_are_copied_unless_both_sides_are_stale_and_a_stale_update_is_answered() {
    let (fresh, old) = (2000, 10);
    for (src, dst, stale) in [(fresh, 9000, 0), (fresh, old, 1), (old, 9000, 1), (old, old, 2)] {
        let (mut node, slot) = with(1);
        node.wait(100 * S);
        let sent = CompressedUpdate { timeout: 4, ..update(state(1).id, side(4, src), side(4, dst)) };
        node.apply(&[Item::Compressed(sent)]);
        let hot = *node.table.hot(slot);
        let follows = stale < 2;
        assert_eq!((hot.timeout == 4, hot.last_activity == node.tick()), (follows, follows));
        let expected = update(state(1).id, side(4, src.max(1000)), side(4, dst.max(5000)));
        let expected = CompressedUpdate { timeout: hot.timeout, ..expected };
        let answers =
            if stale == 0 { vec![] } else { vec![(Action::UpdateCompressed, Record::Compressed(expected))] };
        assert_eq!(node.sent(), answers);
        assert!(hot.local.has(LocalFlags::NETWORK_RECENT));
    }
}

#[test]
fn item_37_two_nodes_that_disagree_settle_after_one_exchange() {
    let (mut one, slot) = with(1);
    let mut other = Node::new(settings(2, Profile::OpenBsd6), 16, one.now);
    other.apply(&[insert(state(1))]);
    let other_slot = slot_of(&other, 1).unwrap();
    one.table.track_mut(slot).src.seqlo = 3000;
    other.table.track_mut(other_slot).dst.seqlo = 9000;
    one.exporter.updated(&mut one.table, slot, one.now);
    one.wait(S);
    other.wait(S);
    let mut frames = 0;
    for _ in 0..100 {
        for (_, packet) in one.flush() {
            frames += 1;
            other.receive(&packet, pfplane::internals::sync::Arrival::SyncPort);
        }
        for (_, packet) in other.flush() {
            frames += 1;
            one.receive(&packet, pfplane::internals::sync::Arrival::SyncPort);
        }
        one.wait(100 * MS);
        other.wait(100 * MS);
    }
    assert_eq!(sides(&one, slot), sides(&other, other_slot));
    assert_eq!(sides(&one, slot), [(4, 3000), (4, 9000)]);
    assert!(frames <= 2, "{frames}");
    // Repeated stale updates are answered once a second.
    let mut answers = 0;
    for _ in 0..100 {
        one.apply(&[Item::Compressed(update(state(1).id, side(4, 1), side(4, 1)))]);
        answers += one.sent().len();
        one.wait(20 * MS);
    }
    assert!((1..=3).contains(&answers), "{answers} in two seconds");
}

#[test]
fn item_38_updates_change_only_sides_class_and_clock() {
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
    node.apply(&[Item::State(Action::Update, other)]);
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
fn item_39_a_delete_is_applied_and_not_sent_back() {
    for action in [Action::DeleteCompressed, Action::Delete] {
        let (mut node, _) = with(1);
        let delete = |n| match action {
            Action::Delete => Item::State(action, state(n)),
            _ => Item::Id(action, state(n).id),
        };
        assert_eq!(node.apply(&[delete(1)]), [Applied::Removed]);
        assert!(matches!(
            node.apply(&[delete(1), delete(2)])[..],
            [Applied::Unknown(_), Applied::Unknown(_)]
        ));
        assert_eq!(node.exporter.counters.badstate, 2);
        assert!(node.wait(5 * S).sent().is_empty());
    }
}

#[test]
fn item_40_a_clear_removes_the_creators_states_on_its_interface() {
    let name = |text: &[u8]| {
        let mut name = [0; 16];
        name[..text.len()].copy_from_slice(text);
        name
    };
    for (ifname, left) in [(&b""[..], 1), (b"em0", 2), (b"ix3", 2), (b"em", 3), (b"vlan9", 3)] {
        let mut node = open();
        let elsewhere = FullState { ifname: name(b"ix3"), ..state(2) };
        let foreign = FullState { id: Identity { id: 5, creator: 4711 }, ..state(3) };
        node.apply(&[insert(state(1)), insert(elsewhere), insert(foreign)]);
        node.apply(&[Item::Clear(Clear { ifname: name(ifname), creator: PEER })]);
        assert_eq!(node.table.len(), left, "{ifname:?}");
        assert!(node.wait(5 * S).sent().is_empty());
    }
}

#[test]
fn item_41_a_clear_with_our_own_host_id_is_ignored_and_our_own_states_are_accepted() {
    let mut node = open();
    let own = node.exporter.settings().host_id;
    let before_restart = FullState { id: Identity { id: 12_345, creator: own }, ..state(1) };
    node.apply(&[Item::State(Action::Update, before_restart)]);
    node.apply(&[Item::Clear(Clear { ifname: [0; 16], creator: own })]);
    assert_eq!((node.table.len(), node.importer.counters.duplicate_host_id), (1, 1));
}

#[test]
fn item_42_a_request_is_answered_with_the_whole_state_at_once_unless_it_is_not_replicated() {
    let (mut node, slot) = with(1);
    node.apply(&[Item::Id(Action::UpdateRequest, state(1).id)]);
    let sent = node.sent();
    assert!(matches!(sent[..], [(Action::Update, Record::State(full))] if full.id == state(1).id));
    node.table.hot_mut(slot).pf_flags |= pf_flags::NOSYNC;
    node.wait(10 * S).apply(&[
        Item::Id(Action::UpdateRequest, state(1).id),
        Item::Id(Action::UpdateRequest, state(2).id),
        Item::Id(Action::UpdateRequest, Identity { id: 0, creator: 5 }),
    ]);
    assert!(node.sent().is_empty());
    assert_eq!(node.exporter.counters.badstate, 3);
}

#[test]
fn item_43_the_remaining_time_is_limited_to_our_timeout_and_zero_is_the_whole_timeout() {
    for (expire, left) in [(0, 86_400), (1, 1), (86_400, 86_400), (86_401, 86_400), (u32::MAX, 86_400)] {
        let mut node = open();
        node.apply(&[insert(FullState { expire, ..state(1) })]);
        let hot = node.table.hot(slot_of(&node, 1).unwrap());
        assert_eq!(node.timeouts.remaining_s(hot, None, node.tick(), 1), left, "{expire}");
    }
}

#[test]
fn item_44_states_marked_no_sync_are_not_inserted() {
    for action in [Action::Insert, Action::Update] {
        let mut node = open();
        node.apply(&[Item::State(action, FullState { state_flags: pf_flags::NOSYNC, ..state(1) })]);
        assert_eq!((node.table.len(), node.importer.counters.messages_nosync), (0, 1));
    }
}

#[test]
fn corrupted_frames_never_panic_or_overfill_the_table() {
    let mut random = pfplane_testkit::Random::new(7);
    let (mut node, _) = with(1);
    let profile = Profile::OpenBsd6;
    let sound = crate::node::frames::frame(
        profile,
        &[
            insert(state(2)),
            Item::Compressed(update(state(1).id, StatePeer::default(), StatePeer::default())),
        ],
    );
    for round in 0..20_000 {
        let mut packet = sound.clone();
        for _ in 0..=random.below(4) {
            let at = 20 + random.below(packet.len() as u64 - 20) as usize;
            packet[at] = random.below(256) as u8;
        }
        node.receive(&packet, pfplane::internals::sync::Arrival::SyncPort);
        node.wait(random.below(20) * MS).flush();
        assert!(node.table.len() <= 4096, "round {round}");
    }
}

#[test]
fn a_peer_cannot_fill_the_table_beyond_its_maximum() {
    let quota = SyncSettings { max_imported: Some(10), ..settings(1, Profile::OpenBsd6) };
    let mut node = Node::new(quota, 64, 1000 * S);
    for n in 0..30 {
        node.apply(&[insert(state(n))]);
    }
    assert_eq!((node.table.len(), node.exporter.counters.imports_refused_quota), (10, 20));
    node.apply(&[Item::Id(Action::DeleteCompressed, state(3).id), insert(state(50))]);
    assert!(slot_of(&node, 50).is_some(), "a removed state frees its slot");
}

#[test]
fn a_unicast_peer_is_recognised_by_its_address() {
    let mut pair = settings(1, Profile::OpenBsd6);
    pair.peers[0] = PeerSettings::new(Profile::OpenBsd6, address(1), address(9));
    pair.peers.push(PeerSettings::new(Profile::OpenBsd6, address(1), GROUP_V4));
    let mut node = Node::new(pair, 64, 1000 * S);
    node.apply(&[Item::Compressed(update(state(1).id, side(4, 1), side(4, 1)))]);
    let asked: Vec<_> = node.flush().into_iter().map(|(peer, _)| peer).collect();
    assert_eq!(asked, [0], "the peer that sent the update");
}

#[test]
fn a_peers_translated_state_keeps_both_keys() {
    let mut node = open();
    let mut translated = state(1);
    translated.key[1].port = [40_000u16.to_be_bytes(), 443u16.to_be_bytes()];
    node.apply(&[insert(translated)]);
    let slot = slot_of(&node, 1).unwrap();
    let key: Key = node.table.cold(slot).stack_key;
    assert_eq!(key.port[0], Be16::new(40_000));
    assert!(node.table.hot(slot).local.has(LocalFlags::TRANSLATED));
}
