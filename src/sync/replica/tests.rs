//! Two host tables that replicate each other.

use super::*;
use crate::memory::{Heap, Memory};
use crate::sync::ends::Ids;
use crate::sync::fixture::{HOST, MS, S, message, settings, timeouts};
use crate::sync::{Ends, HostInsertError, PeerSettings};
use pfsync::envelope::Address;
use pfsync::{FullState, Profile};
use std::collections::BTreeMap;

/// A minimal host table.
#[derive(Default)]
struct List {
    states: BTreeMap<u32, FullState>,
    capacity: u32,
    removed: u32,
    updated: u32,
}

impl HostTable for List {
    fn get(&self, index: u32) -> Option<FullState> {
        self.states.get(&index).copied()
    }

    fn insert(&mut self, state: &FullState) -> Result<u32, HostInsertError> {
        if let Some((&index, _)) = self.states.iter().find(|(_, other)| other.key == state.key) {
            return Err(HostInsertError::Key(index));
        }
        let index =
            (0..self.capacity).find(|index| !self.states.contains_key(index)).ok_or(HostInsertError::Full)?;
        self.states.insert(index, *state);
        Ok(index)
    }

    fn update(&mut self, index: u32, state: &FullState) {
        self.states.insert(index, *state);
        self.updated += 1;
    }

    fn remove(&mut self, index: u32) {
        self.states.remove(&index);
        self.removed += 1;
    }

    fn next_from(&self, from: u32) -> Option<(u32, FullState)> {
        self.states.range(from..).next().map(|(&index, &state)| (index, state))
    }
}

fn replica(n: u8, capacity: u32, states: BTreeMap<u32, FullState>) -> Replica<List> {
    replica_with(n, capacity, states, |settings| settings.max_poll_gap = 0)
}

fn replica_with(
    n: u8,
    capacity: u32,
    states: BTreeMap<u32, FullState>,
    change: impl FnOnce(&mut SyncSettings),
) -> Replica<List> {
    let mut settings = settings(&[]);
    settings.host_id = HOST + u32::from(n);
    settings.peers.push(PeerSettings::group(Profile::FreeBsd1500, Address::V4([192, 0, 2, n])));
    change(&mut settings);
    let ends = Ends::new(&settings, Ids::new(settings.host_id, 0, 1), 64, 0, (&Memory::SYSTEM, -1));
    let table = List { states, capacity, removed: 0, updated: 0 };
    let exporter = Exporter::for_lane((&settings, &None), (0, 64), ends.unwrap(), 0, Heap::SYSTEM);
    Replica::new(&settings, timeouts(), table, 64, exporter.unwrap(), &None, Heap::SYSTEM).unwrap()
}

fn state(n: u8) -> FullState {
    let mut state = message(0, *b"em0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    state.key[0].addr[0][3] = n;
    state.key[1] = state.key[0];
    state
}

fn make(replica: &mut Replica<List>, index: u32, n: u8, now: Nanos) {
    replica.host().states.insert(index, state(n));
    replica.inserted(index, now).unwrap();
}

/// Runs both nodes for `time` and exchanges their frames.
fn run(pair: &mut [Replica<List>; 2], now: &mut Nanos, time: Nanos) {
    let end = *now + time;
    let mut buffer = [0; 1500];
    while *now < end {
        *now += MS;
        for n in 0..2 {
            pair[n].poll(*now);
            while let Some(flushed) = pair[n].flush(*now, &mut buffer) {
                pair[1 - n].receive(&buffer[..flushed.length], *now);
            }
        }
    }
}

fn keys(replica: &mut Replica<List>) -> Vec<u8> {
    let mut keys: Vec<u8> = replica.host().states.values().map(|state| state.key[0].addr[0][3]).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn two_host_tables_become_equal_and_stay_equal() {
    let before = BTreeMap::from([(3, state(1)), (7, state(2))]);
    let mut pair = [replica(1, 64, before), replica(2, 64, BTreeMap::new())];
    let mut now = S;
    run(&mut pair, &mut now, 100 * MS);
    assert_eq!(keys(&mut pair[1]), [1, 2], "states from before");
    assert!(pair[1].bulk().is_ready() && pair[0].bulk().is_ready());
    make(&mut pair[0], 20, 9, now);
    run(&mut pair, &mut now, 20 * MS);
    assert_eq!(keys(&mut pair[1]), [1, 2, 9]);
    assert_eq!(pair[1].states(), 3);

    let changed = pair[0].host().states.get_mut(&20).unwrap();
    changed.src.seqlo += 500;
    let seqlo = changed.src.seqlo;
    pair[0].updated(20, now).unwrap();
    run(&mut pair, &mut now, 2 * S);
    assert!(pair[1].host().states.values().any(|state| state.src.seqlo == seqlo));

    pair[0].host().states.remove(&20);
    pair[0].removed(20, Removal::Ended, now).unwrap();
    run(&mut pair, &mut now, S);
    assert_eq!(keys(&mut pair[1]), [1, 2]);
    assert_eq!((pair[1].states(), pair[1].host().removed), (2, 1));
    let (sent, received) = pair[1].counters(now);
    assert_eq!((sent.states_imported, sent.states_removed_by_peer), (3, 1));
    assert!(received.updates_received >= 2);
}

#[test]
fn a_full_table_and_a_key_collision_refuse_states_and_are_counted() {
    let mut pair = [replica(1, 64, BTreeMap::new()), replica(2, 2, BTreeMap::new())];
    let mut now = S;
    run(&mut pair, &mut now, 100 * MS);
    make(&mut pair[1], 0, 5, now);
    (0..8).for_each(|n| make(&mut pair[0], u32::from(n), n, now));
    run(&mut pair, &mut now, 50 * MS);
    assert_eq!(keys(&mut pair[1]), [0, 5]);
    let (counters, _) = pair[1].counters(now);
    assert_eq!((counters.imports_refused_key_collision, counters.imports_refused_table_full), (1, 6));
    assert_eq!(pair[1].states(), 2);
}

#[test]
fn a_state_that_the_host_removed_without_a_report_is_not_sent() {
    let mut pair = [replica(1, 64, BTreeMap::new()), replica(2, 64, BTreeMap::new())];
    let mut now = S;
    run(&mut pair, &mut now, 10 * MS);
    (0..4).for_each(|n| make(&mut pair[0], u32::from(n), n, now));
    pair[0].host().states.remove(&2);
    run(&mut pair, &mut now, 50 * MS);
    assert_eq!(keys(&mut pair[1]), [0, 1, 3]);
    assert_eq!(pair[0].counters(now).0.messages_outdated, 1);
}

#[test]
fn indexes_are_checked() {
    let mut alone = replica(1, 64, BTreeMap::new());
    assert_eq!(alone.inserted(3, 0), Err(WrongIndex), "the host has no state there");
    make(&mut alone, 3, 1, 0);
    assert_eq!(alone.inserted(3, 0), Err(WrongIndex), "the index is in use");
    alone.host().states.insert(64, state(9));
    assert_eq!(alone.inserted(64, 0), Err(WrongIndex), "beyond the capacity");
    for index in [4, 64, u32::MAX] {
        assert_eq!(alone.updated(index, 0), Err(WrongIndex));
        assert_eq!(alone.removed(index, Removal::Ended, 0), Err(WrongIndex));
        assert!(!alone.in_grace(index));
    }
    assert_eq!(alone.updated(3, 0), Ok(()));
    assert_eq!(alone.removed(3, Removal::Expired, 0), Ok(()));
    assert_eq!(alone.states(), 0);
}

#[test]
fn states_of_a_silent_peer_are_kept_and_others_are_not() {
    let mut pair = [replica(1, 64, BTreeMap::new()), replica(2, 64, BTreeMap::new())];
    let mut now = S;
    make(&mut pair[0], 0, 1, now);
    make(&mut pair[1], 40, 2, now);
    run(&mut pair, &mut now, 100 * MS);
    let [_, there] = &mut pair;
    let theirs = (0..64).find(|&index| index != 40 && there.host().states.contains_key(&index)).unwrap();
    assert!(!there.in_grace(theirs), "the peer is not silent");
    there.poll(now + 10 * S);
    assert!(there.in_grace(theirs) && !there.in_grace(40));
    there.updated(theirs, now + 10 * S).unwrap();
    assert!(!there.in_grace(theirs), "the state has local traffic");
    there.poll(now + 100 * S);
    assert!(!there.in_grace(theirs));
}

#[test]
fn a_replica_whose_host_refuses_states_is_not_ready() {
    let mut pair = [replica(1, 64, BTreeMap::new()), replica(2, 5, BTreeMap::new())];
    let mut now = S;
    (0..8).for_each(|n| make(&mut pair[0], u32::from(n), n, now));
    for _ in 0..30 {
        run(&mut pair, &mut now, 100 * MS);
        assert!(!pair[1].is_ready(), "{:?}", pair[1].readiness(now));
    }
    assert!(pair[1].counters(now).0.imports_refused_table_full >= 3);
    // The connections that had no space end.
    for index in 0..4 {
        pair[0].host().states.remove(&index);
        pair[0].removed(index, Removal::Ended, now).unwrap();
    }
    run(&mut pair, &mut now, 30 * S);
    assert!(pair[1].is_ready(), "{:?}", pair[1].readiness(now));
    assert_eq!(keys(&mut pair[1]), [4, 5, 6, 7]);
}

#[test]
fn a_paused_replica_is_not_ready_until_it_has_what_it_missed() {
    let mut pair = [1, 2].map(|n| replica_with(n, 64, BTreeMap::new(), |_| {}));
    let mut now = S;
    make(&mut pair[0], 0, 0, now);
    run(&mut pair, &mut now, 2 * S);
    assert!(pair[1].is_ready());
    // The other node continues, and everything that it sends is lost.
    let mut buffer = [0; 1500];
    for n in 1..9 {
        make(&mut pair[0], u32::from(n), n, now);
        for _ in 0..500 {
            now += MS;
            pair[0].poll(now);
            while pair[0].flush(now, &mut buffer).is_some() {}
        }
    }
    pair[1].poll(now);
    assert!(!pair[1].is_ready(), "{:?}", pair[1].readiness(now));
    run(&mut pair, &mut now, 2 * S);
    assert!(pair[1].is_ready(), "{:?}", pair[1].readiness(now));
    assert_eq!((keys(&mut pair[1]).len(), pair[1].counters(now).1.pauses), (9, 1));
}

#[test]
fn a_state_that_the_host_ended_does_not_return_from_a_node_that_missed_it() {
    let mut pair = [replica(1, 64, BTreeMap::new()), replica(2, 64, BTreeMap::new())];
    let mut now = S;
    (0..4).for_each(|n| make(&mut pair[0], u32::from(n), n, now));
    run(&mut pair, &mut now, 3 * S);
    for index in 0..4 {
        pair[0].host().states.remove(&index);
        pair[0].removed(index, Removal::Ended, now).unwrap();
    }
    let mut buffer = [0; 1500];
    now += 20 * MS;
    while pair[0].flush(now, &mut buffer).is_some() {}
    assert_eq!(keys(&mut pair[1]).len(), 4, "the deletes are lost");
    pair[1].push(now);
    run(&mut pair, &mut now, 2 * S);
    assert_eq!((pair[0].states(), pair[1].states()), (0, 0));
}

#[test]
fn a_full_exchange_between_pfplane_nodes_updates_no_state_and_leaves_it_to_its_node() {
    let pfplane = |settings: &mut SyncSettings| settings.peers[0].extensions = true;
    let mut pair = [1, 2].map(|n| replica_with(n, 64, BTreeMap::new(), pfplane));
    let mut now = S;
    (0..4).for_each(|n| make(&mut pair[0], u32::from(n), n, now));
    run(&mut pair, &mut now, 2 * S);
    assert_eq!(keys(&mut pair[1]).len(), 4);
    let updated = pair.each_mut().map(|replica| replica.host().updated);
    for replica in &mut pair {
        replica.push(now);
    }
    run(&mut pair, &mut now, 2 * S);
    assert_eq!(pair.each_mut().map(|replica| replica.host().updated), updated);
    assert!(pair[0].counters(now).0.updates_merged >= 4, "the other node sent all states");
    for index in 0..4 {
        assert!(pair[0].store.local(Slot(index)).has(LocalFlags::LOCAL_TRAFFIC));
    }
}
