//! Replication of a host's own table through the C door: what the functions of the host may do wrong, and wrong arguments.
#![expect(clippy::multiple_unsafe_ops_per_block, reason = "every line calls the C door")]

use core::ffi::{CStr, c_void};
use core::mem::{MaybeUninit, size_of};
use core::ptr::{null, null_mut};
use pfplane::internals::ffi::*;

const MS: u64 = 1_000_000;

/// A table of one place, which answers a put as it is told.
struct Table {
    state: Option<pfplane_frame_state>,
    answer: (i32, u32),
    updates: u32,
    removed: u32,
}

const NONE: Table = Table { state: None, answer: (PFPLANE_OK, 0), updates: 0, removed: 0 };

unsafe extern "C" fn get(context: *mut c_void, place: u32, record_out: *mut pfplane_frame_record) -> i32 {
    // SAFETY: the context is a table that nobody else uses during the call.
    let table = unsafe { &*context.cast::<Table>() };
    let Some(state) = table.state.filter(|_| place == 0) else { return PFPLANE_END };
    // SAFETY: the library gives a record to write to.
    unsafe { (*record_out).state = state };
    PFPLANE_OK
}

unsafe extern "C" fn put(
    context: *mut c_void,
    record: *const pfplane_frame_record,
    place_out: *mut u32,
) -> i32 {
    // SAFETY: the context is a table that nobody else uses during the call; the library gives the rest.
    unsafe {
        let table = &mut *context.cast::<Table>();
        *place_out = table.answer.1;
        if table.answer == (PFPLANE_OK, 0) {
            table.state = Some((*record).state);
        }
        table.answer.0
    }
}

unsafe extern "C" fn update(context: *mut c_void, _: u32, record: *const pfplane_frame_record) {
    // SAFETY: as in `put`.
    unsafe {
        let table = &mut *context.cast::<Table>();
        table.state = Some((*record).state);
        table.updates += 1;
    }
}

unsafe extern "C" fn remove(context: *mut c_void, _: u32) {
    // SAFETY: as in `put`.
    let table = unsafe { &mut *context.cast::<Table>() };
    table.state = None;
    table.removed += 1;
}

unsafe extern "C" fn walk(context: *mut c_void, from: u32, place_out: *mut u32) -> i32 {
    // SAFETY: as in `put`.
    unsafe {
        if from > 0 || (*context.cast::<Table>()).state.is_none() {
            return PFPLANE_END;
        }
        *place_out = 0;
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
        put: Some(put),
        update: Some(update),
        remove: Some(remove),
        walk: Some(walk),
        context: table.cast(),
    }
}

fn made(
    store: &pfplane_store,
    n: u8,
    change: impl FnOnce(&mut pfplane_config, &mut pfplane_peer),
) -> (i32, *mut pfplane_replica) {
    let (mut config, mut peer) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    let mut replica = null_mut();
    // SAFETY: room for the structs, and their sizes; both are filled then.
    unsafe {
        assert_eq!(pfplane_config_init(config.as_mut_ptr(), size_of::<pfplane_config>() as u32), PFPLANE_OK);
        assert_eq!(pfplane_peer_init(peer.as_mut_ptr(), size_of::<pfplane_peer>() as u32), PFPLANE_OK);
        let (mut config, mut peer): (pfplane_config, pfplane_peer) =
            (config.assume_init(), peer.assume_init());
        peer.source.family = 4;
        peer.source.bytes[..4].copy_from_slice(&[192, 0, 2, n]);
        config.peer_count = 1;
        change(&mut config, &mut peer);
        config.peers = &raw const peer;
        let status = pfplane_replica_new(&raw const config, store, &raw mut replica);
        (status, replica)
    }
}

fn replica(table: *mut Table, n: u8) -> *mut pfplane_replica {
    let (status, replica) = made(&store(table), n, |_, _| {});
    assert_eq!(status, PFPLANE_OK);
    replica
}

fn state() -> pfplane_frame_state {
    let mut record = MaybeUninit::<pfplane_frame_record>::uninit();
    let size = size_of::<pfplane_frame_record>() as u32;
    // SAFETY: room for the struct, which is filled then.
    let mut state = unsafe {
        assert_eq!(pfplane_frame_record_init(record.as_mut_ptr(), size, PFPLANE_ACTION_UPDATE), PFPLANE_OK);
        record.assume_init().state
    };
    (state.key[0].family, state.key[0].proto, state.key[0].port) = (4, 6, [4000, 443]);
    state.key[1] = state.key[0];
    (state.direction, state.timeout, state.expire_s) = (PFPLANE_IN, 2, 1000);
    state
}

/// Time goes by; what is due goes over, if `to` is there.
fn run(from: *mut pfplane_replica, to: *mut pfplane_replica, now: u64) -> u32 {
    let mut frames = 0;
    let mut frame = [0; 1500];
    let mut length = 0;
    // SAFETY: replicas of this thread, a buffer of that size.
    unsafe {
        assert_eq!(pfplane_replica_poll(from, now), PFPLANE_OK);
        loop {
            assert_eq!(pfplane_replica_flush(from, now, frame.as_mut_ptr(), 1500, &mut length), PFPLANE_OK);
            if length == 0 {
                return frames;
            }
            frames += 1;
            assert_eq!(pfplane_replica_receive(to, frame.as_ptr(), length, now), PFPLANE_OK);
        }
    }
}

fn stat(replica: *mut pfplane_replica, name: &CStr) -> u64 {
    let size = size_of::<pfplane_stat>() as u32;
    let mut stat = pfplane_stat { size, kind: 0, name: null(), help: null(), value: 0 };
    for index in 0.. {
        // SAFETY: a replica of this thread and a struct; the name is a text then.
        unsafe {
            assert_eq!(pfplane_replica_stat(replica, 0, index, &mut stat), PFPLANE_OK, "no {name:?}");
            if CStr::from_ptr(stat.name) == name {
                break;
            }
        }
    }
    stat.value
}

#[test]
fn wrong_arguments_are_refused_by_name() {
    let table = table(NONE);
    let whole = store(table);
    let refused = |store: &pfplane_store, change: fn(&mut pfplane_config, &mut pfplane_peer)| {
        let (status, replica) = made(store, 1, change);
        assert!(replica.is_null());
        // SAFETY: the function returns a NUL-terminated text.
        (status, unsafe { CStr::from_ptr(pfplane_last_error()) }.to_str().unwrap().to_owned())
    };
    let none: fn(&mut pfplane_config, &mut pfplane_peer) = |_, _| {};
    for (broken, why) in [
        (pfplane_store { get: None, ..whole }, "store needs get, put and update"),
        (pfplane_store { walk: None, ..whole }, "store needs remove and walk"),
        (pfplane_store { capacity: 0, ..whole }, "store.capacity is 0"),
        (pfplane_store { capacity: 1 << 25, ..whole }, "store.capacity is 33554432"),
    ] {
        let (status, text) = refused(&broken, none);
        assert!(status == PFPLANE_ERROR_SETTING && text.contains(why), "{text}");
    }
    assert_eq!(refused(&pfplane_store { size: 7, ..whole }, none).0, PFPLANE_ERROR_SIZE);
    assert!(refused(&whole, |config, _| config.lanes = 2).1.contains("lanes is 2"));
    assert!(refused(&whole, |_, peer| peer.ethernet = 1).1.contains("peer.ethernet"));
    // SAFETY: NULL is allowed everywhere.
    unsafe {
        pfplane_replica_free(null_mut());
        assert_eq!(pfplane_replica_new(null(), &raw const whole, null_mut()), PFPLANE_ERROR_NULL);
        assert_eq!(pfplane_replica_poll(null_mut(), 1), PFPLANE_ERROR_NULL);
        assert_eq!(pfplane_replica_inserted(null_mut(), 0, 1), PFPLANE_ERROR_NULL);
        assert!(!pfplane_replica_ready(null_mut()) && !pfplane_replica_keeps(null_mut(), 0));
        let replica = replica(table, 1);
        assert_eq!(pfplane_replica_receive(replica, null(), 20, 1), PFPLANE_ERROR_NULL);
        assert_eq!(pfplane_replica_unsent(replica, null(), 20, 1), PFPLANE_ERROR_NULL);
        assert_eq!(pfplane_replica_flush(replica, 1, null_mut(), 1500, &mut 0), PFPLANE_ERROR_NULL);
        assert_eq!(pfplane_replica_flush(replica, 1, [0; 9].as_mut_ptr(), 9, &mut 0), PFPLANE_ERROR_BUFFER);
        assert_eq!(pfplane_replica_stat(replica, 0, 0, null_mut()), PFPLANE_ERROR_NULL);
        for call in [pfplane_replica_inserted, pfplane_replica_updated] {
            assert_eq!(call(replica, 0, 1), PFPLANE_ERROR_ARGUMENT, "there is no state");
        }
        assert_eq!(pfplane_replica_removed(replica, 0, false, 1), PFPLANE_ERROR_ARGUMENT);
        pfplane_replica_free(replica);
        drop(Box::from_raw(table));
    }
}

#[test]
fn a_state_of_the_host_lives_and_ends_on_both_sides() {
    let (here, there) = (table(Table { state: Some(state()), ..NONE }), table(NONE));
    let [a, b] = [replica(here, 1), replica(there, 2)];
    for now in 1..50 {
        run(a, b, now * MS);
        run(b, a, now * MS);
    }
    // SAFETY: tables and replicas of this thread; no call is under way.
    unsafe {
        assert!((*there).state.is_some(), "it was there before the replica");
        let changed = pfplane_frame_state { src: pfplane_frame_peer { seqlo: 77, ..state().src }, ..state() };
        (*here).state = Some(changed);
        assert_eq!(pfplane_replica_updated(a, 0, 60 * MS), PFPLANE_OK);
        run(a, b, 1100 * MS);
        assert_eq!(((*there).updates > 0, (*there).state.unwrap().src.seqlo), (true, 77));
        assert_eq!(pfplane_replica_bulk(b, false, 1200 * MS), PFPLANE_OK);
        assert!(!pfplane_replica_ready(b));
        run(b, a, 1200 * MS);
        run(a, b, 1200 * MS);
        run(a, b, 1201 * MS);
        assert!(pfplane_replica_ready(b));
        (*here).state = None;
        assert_eq!(pfplane_replica_removed(a, 0, false, 1300 * MS), PFPLANE_OK);
        run(a, b, 1400 * MS);
        assert_eq!(((*there).state.is_none(), (*there).removed), (true, 1));
        pfplane_replica_free(a);
        pfplane_replica_free(b);
        drop([Box::from_raw(here), Box::from_raw(there)]);
    }
}

#[test]
fn a_host_that_answers_nonsense_harms_nobody() {
    for answer in [
        (PFPLANE_OK, 8),
        (PFPLANE_OK, u32::MAX),
        (PFPLANE_ERROR_EXISTS, 3),
        (PFPLANE_ERROR_EXISTS, u32::MAX),
        (PFPLANE_ERROR_FULL, 0),
        (12345, 0),
    ] {
        let (here, there) = (table(Table { state: Some(state()), ..NONE }), table(Table { answer, ..NONE }));
        let [a, b] = [replica(here, 1), replica(there, 2)];
        for now in 1..50 {
            run(a, b, now * MS);
            run(b, a, now * MS);
        }
        assert_eq!((stat(b, c"imported"), stat(b, c"imported_now")), (0, 0), "{answer:?}");
        assert!(stat(b, c"table_full") > 0, "{answer:?}");
        // SAFETY: replicas of this thread, not used again.
        unsafe {
            pfplane_replica_free(a);
            pfplane_replica_free(b);
            drop([Box::from_raw(here), Box::from_raw(there)]);
        }
    }
}
