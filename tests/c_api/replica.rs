//! Replication of a host's own table: functions of the host that return nonsense, and wrong arguments.

use super::world::*;
use core::ffi::c_void;
use core::ptr::{null, null_mut};
use pfplane::internals::ffi::*;

/// A table of one slot, which answers an insert as it is set up.
struct Table {
    state: Option<pfplane_state>,
    answer: (i32, u32),
    updates: u32,
    removed: u32,
}

const NONE: Table = Table { state: None, answer: (PFPLANE_OK, 0), updates: 0, removed: 0 };

unsafe extern "C" fn get(context: *mut c_void, slot: u32, record_out: *mut pfplane_frame_record) -> i32 {
    let table = unsafe { &*context.cast::<Table>() };
    let Some(state) = table.state.filter(|_| slot == 0) else { return PFPLANE_END };
    unsafe { (*record_out).state = state };
    PFPLANE_OK
}

unsafe extern "C" fn insert(
    context: *mut c_void,
    record: *const pfplane_frame_record,
    slot_out: *mut u32,
) -> i32 {
    unsafe {
        let table = &mut *context.cast::<Table>();
        *slot_out = table.answer.1;
        if table.answer == (PFPLANE_OK, 0) {
            table.state = Some((*record).state);
        }
        table.answer.0
    }
}

unsafe extern "C" fn update(context: *mut c_void, _: u32, record: *const pfplane_frame_record) {
    unsafe {
        let table = &mut *context.cast::<Table>();
        table.state = Some((*record).state);
        table.updates += 1;
    }
}

unsafe extern "C" fn remove(context: *mut c_void, _: u32) {
    let table = unsafe { &mut *context.cast::<Table>() };
    table.state = None;
    table.removed += 1;
}

unsafe extern "C" fn walk(context: *mut c_void, from: u32, slot_out: *mut u32) -> i32 {
    unsafe {
        if from > 0 || (*context.cast::<Table>()).state.is_none() {
            return PFPLANE_END;
        }
        *slot_out = 0;
    }
    PFPLANE_OK
}

/// A table that lives until the end of the test, for the library to point to.
fn table(table: Table) -> *mut Table {
    Box::into_raw(Box::new(table))
}

fn store(table: *mut Table) -> pfplane_store {
    pfplane_store {
        size: size_of::<pfplane_store>() as u32,
        capacity: 8,
        get: Some(get),
        insert: Some(insert),
        update: Some(update),
        remove: Some(remove),
        walk: Some(walk),
        context: table.cast(),
    }
}

/// A replica that is freed at the end of the test.
struct Replica(*mut pfplane_replica);

impl Drop for Replica {
    fn drop(&mut self) {
        unsafe { pfplane_replica_free(self.0) };
    }
}

impl Replica {
    fn new(table: *mut Table, node: u8) -> Self {
        Self::try_new(&store(table), &config(), &peer(node)).expect("a replica")
    }

    fn try_new(
        store: &pfplane_store,
        config: &pfplane_config,
        peer: &pfplane_peer,
    ) -> Result<Self, (i32, String)> {
        let config = pfplane_config { peers: &raw const *peer, peer_count: 1, ..*config };
        let mut replica = null_mut();
        let status = unsafe { pfplane_replica_new(Some(&config), Some(store), out(&mut replica)) };
        if status == PFPLANE_OK { Ok(Self(replica)) } else { Err((status, last_error())) }
    }

    fn get<'a>(&self) -> Option<&'a mut pfplane_replica> {
        // SAFETY: tests have one thread each, and pass each reference to one call.
        unsafe { self.0.as_mut() }
    }

    fn read(&self) -> Option<&pfplane_replica> {
        unsafe { self.0.as_ref() }
    }

    /// Polls, and hands all packets that are due to another replica.
    fn run(&self, to: &Self, now: u64) {
        assert_eq!(pfplane_replica_poll(self.get(), now), PFPLANE_OK);
        let (mut frame, mut length) = ([0; 1500], 1);
        while length > 0 {
            let start = frame.as_mut_ptr();
            let status = unsafe { pfplane_replica_flush(self.get(), now, start, 1500, out(&mut length)) };
            assert_eq!(status, PFPLANE_OK);
            if length > 0 {
                let status = unsafe { pfplane_replica_receive(to.get(), frame.as_ptr(), length, now) };
                assert_eq!(status, PFPLANE_OK);
            }
        }
    }

    fn stat(&self, name: &str) -> u64 {
        let all = statistics(|index, out| pfplane_replica_stat(self.read(), 0, index, Some(out)));
        all.iter().find(|row| row.0 == name).expect(name).2
    }
}

fn state() -> pfplane_state {
    let (mut record, size) = (zeroed::<pfplane_frame_record>(), size::<pfplane_frame_record>());
    assert_eq!(pfplane_frame_record_init(out(&mut record), size, PFPLANE_ACTION_UPDATE), PFPLANE_OK);
    let mut state = record.state;
    (state.key[0].family, state.key[0].proto, state.key[0].port) = (4, 6, [4000, 443]);
    state.key[1] = state.key[0];
    (state.direction, state.timeout, state.expire_s) = (PFPLANE_IN, 2, 1000);
    state
}

#[test]
fn wrong_arguments_are_refused_by_name() {
    let table = table(NONE);
    let whole = store(table);
    let refused = |store: &pfplane_store, config: &pfplane_config, peer: &pfplane_peer| {
        Replica::try_new(store, config, peer).err().expect("must be refused")
    };
    let (config, peer) = (config(), peer(1));
    for (broken, why) in [
        (pfplane_store { get: None, ..whole }, "store needs get, insert and update"),
        (pfplane_store { walk: None, ..whole }, "store needs remove and walk"),
        (pfplane_store { capacity: 0, ..whole }, "store.capacity is 0"),
        (pfplane_store { capacity: 1 << 25, ..whole }, "store.capacity is 33554432"),
    ] {
        let (status, text) = refused(&broken, &config, &peer);
        assert!(status == PFPLANE_ERROR_SETTING && text.contains(why), "{text}");
    }
    assert_eq!(refused(&pfplane_store { size: 7, ..whole }, &config, &peer).0, PFPLANE_ERROR_SIZE);
    let two_lanes = pfplane_config { lanes: 2, ..config };
    assert!(refused(&whole, &two_lanes, &peer).1.contains("lanes is 2"));
    let ethernet = pfplane_peer { ethernet: 1, ..peer };
    assert!(refused(&whole, &config, &ethernet).1.contains("peer.ethernet"));

    unsafe { pfplane_replica_free(null_mut()) };
    assert_eq!(unsafe { pfplane_replica_new(None, Some(&whole), None) }, PFPLANE_ERROR_NULL);
    assert_eq!(pfplane_replica_poll(None, 1), PFPLANE_ERROR_NULL);
    assert_eq!(pfplane_replica_inserted(None, 0, 1), PFPLANE_ERROR_NULL);
    assert_eq!(pfplane_replica_bulk_push(None, 1), PFPLANE_ERROR_NULL);
    assert!(!pfplane_replica_ready(None) && !pfplane_replica_keeps(None, 0));
    let replica = Replica::new(table, 1);
    let flush =
        |buffer, capacity| unsafe { pfplane_replica_flush(replica.get(), 1, buffer, capacity, out(&mut 0)) };
    unsafe {
        assert_eq!(pfplane_replica_receive(replica.get(), null(), 20, 1), PFPLANE_ERROR_NULL);
        assert_eq!(pfplane_replica_requeue(replica.get(), null(), 20, 1), PFPLANE_ERROR_NULL);
    }
    assert_eq!(flush(null_mut(), 1500), PFPLANE_ERROR_NULL);
    assert_eq!(flush([0; 9].as_mut_ptr(), 9), PFPLANE_ERROR_BUFFER);
    assert_eq!(pfplane_replica_stat(replica.read(), 0, 0, None), PFPLANE_ERROR_NULL);
    for call in [pfplane_replica_inserted, pfplane_replica_updated] {
        assert_eq!(call(replica.get(), 0, 1), PFPLANE_ERROR_ARGUMENT, "there is no state");
    }
    assert_eq!(pfplane_replica_removed(replica.get(), 0, false, 1), PFPLANE_ERROR_ARGUMENT);
    drop(replica);
    drop(unsafe { Box::from_raw(table) });
}

#[test]
fn a_state_of_the_host_is_inserted_updated_and_removed_on_both_nodes() {
    let (here, there) = (table(Table { state: Some(state()), ..NONE }), table(NONE));
    let (a, b) = (Replica::new(here, 1), Replica::new(there, 2));
    // SAFETY: the tables are used by this test, and during calls.
    let (ours, theirs) = (|| unsafe { &mut *here }, || unsafe { &*there });
    for now in 1..50 {
        a.run(&b, now * MS);
        b.run(&a, now * MS);
    }
    assert!(theirs().state.is_some(), "it was in the table before the replica was created");
    ours().state = Some(pfplane_state { src: pfplane_side { seqlo: 77, ..state().src }, ..state() });
    assert_eq!(pfplane_replica_updated(a.get(), 0, 60 * MS), PFPLANE_OK);
    a.run(&b, 1100 * MS);
    assert_eq!((theirs().updates > 0, theirs().state.unwrap().src.seqlo), (true, 77));
    let readiness = |replica: &Replica, now| {
        let mut readiness = pfplane_readiness { size: size::<pfplane_readiness>(), ..zeroed() };
        assert_eq!(pfplane_replica_readiness(replica.read(), now, Some(&mut readiness)), PFPLANE_OK);
        assert!(readiness.peer_age_ms < SECOND);
        (readiness.ready_class, readiness.reasons)
    };
    b.run(&a, 1100 * MS);
    assert_eq!(readiness(&b, 1120 * MS).1, PFPLANE_READY_REASON_BULK_RUNNING | PFPLANE_READY_REASON_PAUSED);
    assert_eq!(readiness(&b, 1120 * MS).0, PFPLANE_READY_CLASS_LOADING);
    let run = |times: core::ops::Range<u64>| {
        times.map(|ms| ms * MS).for_each(|now| {
            b.run(&a, now);
            a.run(&b, now);
        });
    };
    // Transfers to one node are at least a second apart.
    run(1101..2200);
    assert_eq!(readiness(&b, 2200 * MS), (PFPLANE_READY_CLASS_SYNCED, 0));
    assert_eq!(pfplane_replica_bulk_request(b.get(), 2200 * MS), PFPLANE_OK);
    assert!(!pfplane_replica_ready(b.read()));
    run(2200..4300);
    assert!(pfplane_replica_ready(b.read()));
    assert_eq!(pfplane_replica_frames_missed(b.get(), 1), PFPLANE_OK);
    run(4300..4301);
    assert_eq!(readiness(&b, 4300 * MS).0, PFPLANE_READY_CLASS_LOADING);
    run(4301..4310);
    assert!(pfplane_replica_ready(b.read()));
    ours().state = None;
    assert_eq!(pfplane_replica_removed(a.get(), 0, false, 4400 * MS), PFPLANE_OK);
    a.run(&b, 4500 * MS);
    assert_eq!((theirs().state.is_none(), theirs().removed), (true, 1));
    drop((a, b));
    drop(unsafe { [Box::from_raw(here), Box::from_raw(there)] });
}

#[test]
fn a_host_that_returns_nonsense_does_no_harm() {
    for answer in [
        (PFPLANE_OK, 8),
        (PFPLANE_OK, u32::MAX),
        (PFPLANE_ERROR_EXISTS, 3),
        (PFPLANE_ERROR_EXISTS, u32::MAX),
        (PFPLANE_ERROR_FULL, 0),
        (12345, 0),
    ] {
        let (here, there) = (table(Table { state: Some(state()), ..NONE }), table(Table { answer, ..NONE }));
        let (a, b) = (Replica::new(here, 1), Replica::new(there, 2));
        for now in 1..50 {
            a.run(&b, now * MS);
            b.run(&a, now * MS);
        }
        assert_eq!((b.stat("states_imported"), b.stat("states_from_peers")), (0, 0), "{answer:?}");
        assert!(b.stat("imports_refused_table_full") > 0, "{answer:?}");
        drop((a, b));
        drop(unsafe { [Box::from_raw(here), Box::from_raw(there)] });
    }
}

#[test]
fn keys_of_a_replica_are_changed_while_it_runs_and_its_run_is_renewed() {
    let secrets = [[0x11_u8; 32], [0x22; 32]];
    let key = |id: u32| pfplane_seal_key { key: secrets[id as usize - 1].as_ptr(), key_bytes: 32, id };
    let keys = [key(1)];
    let address = |node| pfplane_address { family: 4, bytes: peer(node).source.bytes, ..zeroed() };
    let sealed = |node: u8| pfplane_peer {
        destination: address(3 - node),
        extensions: 1,
        seal: PFPLANE_SEAL_ENCRYPT as u8,
        seal_keys: keys.as_ptr(),
        seal_key_count: 1,
        ..peer(node)
    };
    let (ours, theirs) = (table(Table { state: Some(state()), ..NONE }), table(NONE));
    let make = |table, node| Replica::try_new(&store(table), &config(), &sealed(node)).expect("a replica");
    let (a, b) = (make(ours, 1), make(theirs, 2));
    let run = |from: u64, until: u64| {
        (from..until).for_each(|ms| [(&a, &b), (&b, &a)].iter().for_each(|(from, to)| from.run(to, ms * MS)))
    };
    let status = |replica: &Replica| {
        let mut status = pfplane_seal_status { size: size::<pfplane_seal_status>(), ..zeroed() };
        assert_eq!(pfplane_replica_seal_status(replica.get(), 0, Some(&mut status)), PFPLANE_OK);
        assert_eq!(pfplane_replica_seal_status(replica.get(), 1, Some(&mut status)), PFPLANE_ERROR_ARGUMENT);
        status
    };
    let add =
        |replica: &Replica, id| unsafe { pfplane_replica_seal_key_add(replica.get(), 0, Some(&key(id))) };
    run(1, 200);
    let refused =
        |replica: &Replica| (replica.stat("badauth"), replica.stat("seal_key"), replica.stat("frames_lost"));
    let before = (refused(&a), refused(&b));
    assert!(unsafe { (*theirs).state.is_some() });
    assert_eq!((status(&a).proven, status(&a).accepted, status(&a).key_sent), (1, 1, 1));
    assert_eq!((add(&a, 2), add(&a, 2)), (PFPLANE_OK, PFPLANE_ERROR_SETTING));
    assert!(last_error().contains("same id"), "{}", last_error());
    assert_eq!(pfplane_replica_seal_key_remove(a.get(), 0, 1), PFPLANE_ERROR_SETTING);
    assert_eq!(add(&b, 2), PFPLANE_OK);
    run(200, 2500);
    for replica in [&a, &b] {
        assert_eq!((status(replica).key_sent, status(replica).key_received), (2, 2));
        assert_eq!(pfplane_replica_seal_key_remove(replica.get(), 0, 1), PFPLANE_OK, "{}", last_error());
        assert_eq!(status(replica).keys, [2, 0, 0, 0]);
    }
    assert_eq!((refused(&a), refused(&b)), before);
    assert_eq!(pfplane_replica_seal_renew(a.get()), PFPLANE_OK);
    assert_eq!(pfplane_replica_poll(a.get(), 2500 * MS), PFPLANE_OK);
    assert_eq!(status(&a).proven, 0);
    run(2501, 3000);
    assert_eq!((status(&a).proven, status(&a).accepted, status(&b).proven), (1, 1, 1));
    let plain = Replica::new(table(NONE), 1);
    assert_eq!(pfplane_replica_seal_renew(plain.get()), PFPLANE_ERROR_SETTING);
    assert_eq!(add(&plain, 2), PFPLANE_ERROR_SETTING);
}
