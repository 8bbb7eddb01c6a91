//! Not on the list: a state that has ended is not brought back, and a delete answers whoever sends it.

use super::*;

const HOST: u32 = 0xfeed_0001;

fn delete_of(id: Identity) -> (Action, Record) {
    (Action::DeleteCompressed, Record::Id(id))
}

/// State `n` with an id of ours.
fn ours(node: &Node, n: u32, id: StateId) -> FullState {
    assert_eq!(node.exporter.settings().host_id, HOST);
    FullState { id: id.into(), ..state(n) }
}

#[test]
fn a_state_that_was_killed_here_is_refused_and_answered_with_a_delete() {
    for profile in PROFILES {
        for (why, answered) in [(Removal::Ended, true), (Removal::Replaced, false), (Removal::Expired, false)]
        {
            let mut node = node(profile);
            let id = node.next_state_id();
            node.apply(&[Item::State(Action::Update, ours(&node, 1, id))]);
            let slot = node.table.find_id(id).unwrap();
            node.table.hot_mut(slot).local.set(LocalFlags::LOCAL_TRAFFIC);
            node.remove(slot, why);
            node.wait(S).sent();
            for _ in 0..2 {
                node.apply(&[Item::State(Action::Update, ours(&node, 1, id))]);
                assert_eq!(node.table.find_id(id).is_none(), answered, "{why:?}");
                let sent = node.wait(20 * MS).sent();
                assert_eq!(sent.contains(&delete_of(id.into())), answered, "{why:?} {sent:?}");
            }
            assert_eq!(node.exporter.counters.imports_refused_ended, if answered { 2 } else { 0 });
        }
    }
}

#[test]
fn a_compressed_update_of_a_state_killed_here_is_answered_with_a_delete_and_requests_nothing() {
    let mut node = open();
    let id = node.next_state_id();
    node.apply(&[Item::State(Action::Update, ours(&node, 1, id))]);
    let slot = node.table.find_id(id).unwrap();
    node.remove(slot, Removal::Ended);
    node.wait(S).sent();
    node.apply(&[Item::Compressed(update(id.into(), side(4, 1), side(4, 1)))]);
    assert_eq!(node.wait(20 * MS).sent(), [delete_of(id.into())]);
}

#[test]
fn only_this_node_inserts_states_with_its_host_id_so_one_of_this_run_has_ended() {
    let mut node = open();
    let issued = node.next_state_id();
    let earlier = StateId { id: 1 << 50, creator: HOST };
    let applied = node.apply(&[insert(ours(&node, 1, issued)), insert(ours(&node, 2, earlier))]);
    assert_eq!(applied[0], Applied::Ended);
    assert!(matches!(applied[1], Applied::Inserted(_)), "it returns from an earlier run");
    assert_eq!(node.wait(20 * MS).sent(), [delete_of(issued.into())]);
}

#[test]
fn an_update_of_a_peers_state_that_was_deleted_or_cleared_does_not_insert_it_again() {
    let named = |name| Clear { ifname: name, creator: PEER };
    let deletes = Item::Id(Action::DeleteCompressed, state(1).id);
    for (what, is_known) in [(deletes, true), (deletes, false), (Item::Clear(named([0; 16])), true)] {
        let mut node = open();
        if is_known {
            node.apply(&[insert(state(1))]);
        }
        node.apply(&[what]);
        assert_eq!(node.table.len(), 0);
        node.wait(500 * MS).apply(&[Item::State(Action::Update, FullState { creation: 2, ..state(1) })]);
        assert_eq!(node.table.len(), 0);
        assert_eq!(node.wait(20 * MS).sent(), [delete_of(state(1).id)]);
        assert!(node.wait(5 * S).sent().is_empty());
    }
}

#[test]
fn a_peer_without_a_clock_may_use_an_ended_id_again_for_a_later_state() {
    let mut node = open();
    node.apply(&[insert(state(1)), Item::Id(Action::DeleteCompressed, state(1).id)]);
    node.wait(10 * S);
    let later = |creation| Item::State(Action::Update, FullState { creation, ..state(1) });
    assert_eq!(node.apply(&[later(10)]), [Applied::Ended]);
    assert!(matches!(node.apply(&[later(8)])[..], [Applied::Inserted(_)]));
    let mut node = open();
    node.apply(&[insert(state(1)), Item::Id(Action::DeleteCompressed, state(1).id)]);
    assert!(matches!(node.wait(2 * S).apply(&[insert(state(1))])[..], [Applied::Inserted(_)]));
}

#[test]
fn an_insert_that_arrives_after_the_delete_of_its_state_brings_nothing_back() {
    let delete = || Item::Id(Action::DeleteCompressed, state(1).id);
    for before in [&[][..], &[insert(state(1))]] {
        let mut node = open();
        node.apply(before);
        node.apply(&[delete()]);
        assert_eq!(node.wait(20 * MS).apply(&[insert(state(1))]), [Applied::Ended]);
        assert_eq!(node.table.len(), 0);
    }
}

#[test]
fn ends_are_remembered_for_the_time_and_the_number_of_the_settings() {
    let with = |max_ended, ended_s| {
        let settings = SyncSettings { max_ended, ended_s, ..settings(1, Profile::OpenBsd6) };
        Node::new(settings, 4096, 1000 * S)
    };
    let old = |n| Item::State(Action::Update, FullState { creation: 900, ..state(n) });
    let delete = |n| Item::Id(Action::DeleteCompressed, state(n).id);
    let mut node = with(4096, 60);
    node.apply(&[delete(1)]);
    assert_eq!(node.wait(59 * S).apply(&[old(1)]), [Applied::Ended]);
    assert!(matches!(node.wait(S).apply(&[old(1)])[..], [Applied::Inserted(_)]));
    let mut node = with(16, 60);
    (0..200).for_each(|n| _ = node.wait(20 * MS).apply(&[delete(n)]));
    let ended = (0..200).filter(|&n| node.apply(&[old(n)]) == [Applied::Ended]).count();
    assert!((16..=32).contains(&ended), "{ended}");
    let forgotten = node.exporter.counters_now(0, node.now).ends_forgotten;
    assert_eq!(forgotten, 200 - ended as u64);
}

#[test]
fn a_pf_that_keeps_its_own_state_of_a_connection_and_refuses_ours_is_sent_a_delete_of_its_own() {
    for profile in PROFILES {
        for same_translation in [true, false] {
            let mut node = node(profile);
            let id = node.next_state_id();
            node.apply(&[Item::State(Action::Update, ours(&node, 2, id))]);
            let slot = node.table.find_id(id).unwrap();
            node.table.hot_mut(slot).local.set(LocalFlags::LOCAL_TRAFFIC);
            node.wait(S).sent();
            let mut theirs = FullState { src: side(2, 1), dst: side(0, 0), timeout: 0, ..state(2) };
            theirs.expire = 20;
            if !same_translation {
                theirs.key[1].addr[0][3] ^= 1;
            }
            let mut deletes = Vec::new();
            for _ in 0..3 {
                node.wait(1010 * MS).apply(&[Item::State(Action::Update, theirs)]);
                let sent = node.wait(20 * MS).sent();
                // Both nodes refuse each other's connection with another translation, so sending ours would not end.
                let is_sent = sent.iter().any(|(action, _)| *action == Action::Update);
                assert_eq!(is_sent, same_translation, "ours is sent");
                deletes.push(sent.contains(&delete_of(theirs.id)));
            }
            assert_eq!(deletes, [false, same_translation, same_translation], "{profile:?}");
        }
    }
}
