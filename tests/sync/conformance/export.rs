//! Items 51 to 57: what is sent, when, and what never is.

use super::*;

/// A state that this node created.
fn created(node: &mut Node, n: u32) -> Slot {
    let id = node.next_state_id();
    let full = FullState { id: Identity { id: id.id, creator: id.creator }, ..state(n) };
    let mut record = pfplane::internals::sync::record_of(&full, &node.timeouts, node.tick(), 0);
    record.hot.local = LocalFlags(LocalFlags::LOCAL_TRAFFIC);
    node.insert(&record)
}

#[test]
fn item_51_a_state_is_inserted_updated_once_a_second_and_deleted_once() {
    let mut node = open();
    let slot = created(&mut node, 1);
    assert_eq!(node.wait(S).sent_actions(), [Action::Insert]);
    let mut updates = 0;
    for _ in 0..500 {
        node.table.hot_mut(slot).updates = 0;
        node.exporter.updated(&mut node.table, slot, node.now);
        updates += node.wait(10 * MS).sent().len();
    }
    assert!((4..=5).contains(&updates), "{updates} in five seconds");
    node.remove(slot, Removal::Expired);
    let sent: Vec<_> = (0..200).flat_map(|_| node.wait(10 * MS).sent_actions()).collect();
    assert_eq!(sent, [Action::DeleteCompressed]);
    let never_sent = created(&mut node, 2);
    node.remove(never_sent, Removal::Ended);
    assert!(node.wait(5 * S).sent().is_empty());
}

#[test]
fn item_52_maxupd_sends_a_busy_tcp_state_early() {
    for maxupd in [1, 2, 128, 255] {
        let mut node = Node::new(SyncSettings { maxupd, ..settings(1, Profile::OpenBsd6) }, 16, 1000 * S);
        let slot = created(&mut node, 1);
        node.wait(S).sent();
        let mut packets = 0;
        while node.sent().is_empty() {
            node.exporter.updated(&mut node.table, slot, node.now);
            packets += 1;
        }
        assert_eq!(packets, u32::from(maxupd) + 1);
    }
}

#[test]
fn item_53_urgent_messages_are_sent_at_once() {
    type Event = fn(&mut Node, Slot);
    let events: [(Event, Action); 6] = [
        (|node, slot| node.exporter.acknowledge(&mut node.table, slot, node.now), Action::InsertAck),
        (
            |node, _| node.exporter.request_state(0, StateId { id: 9, creator: 9 }, node.now),
            Action::UpdateRequest,
        ),
        (|node, slot| _ = node.exporter.answer_request(&mut node.table, slot, node.now), Action::Update),
        (
            |node, slot| node.exporter.answer_stale_update(&mut node.table, slot, node.now),
            Action::UpdateCompressed,
        ),
        (
            |node, _| {
                let id = node.next_state_id();
                let full = FullState { id: Identity { id: id.id, creator: id.creator }, ..state(7) };
                let mut record = pfplane::internals::sync::record_of(&full, &node.timeouts, node.tick(), 0);
                record.hot.local = LocalFlags(LocalFlags::LOCAL_TRAFFIC | LocalFlags::DEFERRED);
                node.insert(&record);
            },
            Action::Insert,
        ),
        (
            |node, slot| {
                let (src, dst) = (side(4, 1500), side(4, 5500));
                node.apply(&[Item::Compressed(update(state(1).id, src, dst))]);
                node.wait(S);
                node.exporter.updated(&mut node.table, slot, node.now);
            },
            Action::UpdateCompressed,
        ),
    ];
    for (event, action) in events {
        let (mut node, slot) = with(1);
        event(&mut node, slot);
        assert_eq!(node.sent_actions(), [action]);
    }
}

#[test]
fn item_54_a_peers_change_is_not_sent_on() {
    let mut node = open();
    node.apply(&[insert(state(1)), insert(state(2)), Item::Id(Action::DeleteCompressed, state(1).id)]);
    assert!(node.wait(5 * S).sent().is_empty());
    let slot = slot_of(&node, 2).unwrap();
    node.table.hot_mut(slot).local.set(LocalFlags::LOCAL_TRAFFIC);
    node.exporter.updated(&mut node.table, slot, node.now);
    let sent = node.wait(S).sent();
    assert!(
        matches!(sent[..], [(Action::UpdateCompressed, Record::Compressed(update))] if update.id == state(2).id)
    );
}

#[test]
fn item_55_states_of_pfsync_itself_and_of_no_sync_rules_are_never_sent() {
    for (proto, flags) in [(240, 0), (6, pf_flags::NOSYNC)] {
        let mut node = open();
        let id = node.next_state_id();
        let full = FullState { id: Identity { id: id.id, creator: id.creator }, ..state(1) };
        let mut record = pfplane::internals::sync::record_of(&full, &node.timeouts, node.tick(), 0);
        record.hot.key.proto = proto;
        record.hot.pf_flags = flags;
        record.hot.local = LocalFlags(LocalFlags::LOCAL_TRAFFIC);
        let slot = node.insert(&record);
        node.exporter.updated(&mut node.table, slot, node.now);
        node.apply(&[
            Item::Id(Action::UpdateRequest, full.id),
            Item::Id(Action::UpdateRequest, Identity::BULK),
        ]);
        assert_eq!(node.sent_actions(), [Action::BulkStatus; 2]);
        node.remove(slot, Removal::Ended);
        assert!(node.wait(5 * S).sent().is_empty());
    }
}

#[test]
fn item_56_a_held_packet_is_released_by_an_acknowledgement_or_any_update() {
    let id = state(1).id;
    let compressed = update(id, side(4, 1000), side(4, 5000));
    for what in
        [Item::Id(Action::InsertAck, id), Item::State(Action::Update, state(1)), Item::Compressed(compressed)]
    {
        let (mut node, slot) = with(1);
        node.table.hot_mut(slot).local.set(LocalFlags::DEFERRED);
        let applied = node.apply(&[what, what])[0];
        assert!(
            applied == Applied::Released(slot) || applied == Applied::Merged { slot, release: true },
            "{applied:?}"
        );
        assert_eq!(node.exporter.counters.states_released, 1);
    }
}

#[test]
fn item_56_held_packets_are_released_after_20_ms_in_order_and_at_most_128_states_hold_some() {
    let defer = Defer { delay: PF_DELAY, ..Defer::default() };
    let mut node = Node::new(SyncSettings { defer, ..settings(1, Profile::OpenBsd6) }, 512, 1000 * S);
    let released = |node: &mut Node| -> Vec<u64> {
        node.exporter.release_expired(&mut node.table, node.now);
        core::iter::from_fn(|| node.exporter.take_released()).collect()
    };
    for n in 0..130 {
        let id = node.next_state_id();
        let full = FullState { id: Identity { id: id.id, creator: id.creator }, ..state(n) };
        let mut record = pfplane::internals::sync::record_of(&full, &node.timeouts, node.tick(), 0);
        record.hot.local = LocalFlags(LocalFlags::LOCAL_TRAFFIC | LocalFlags::DEFERRED);
        let slot = node.insert(&record);
        node.exporter.hold(&node.table, slot, n.into()).unwrap();
    }
    assert_eq!(released(&mut node), [0, 1]);
    node.wait(20 * MS - 1);
    assert!(released(&mut node).is_empty());
    node.wait(1);
    assert_eq!(released(&mut node), (2..130).collect::<Vec<u64>>());
}
