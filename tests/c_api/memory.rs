//! All memory comes from the host's allocator, is counted beforehand, and runs out with an error.

use super::election::{Plan, address, with_config};
use super::world::*;
use core::alloc::Layout;
use core::ffi::c_void;
use core::ptr::null_mut;
use pfplane::internals::ffi::*;
use std::cell::RefCell;
use std::collections::HashMap;

/// A host's allocator that can fail.
#[derive(Default)]
struct Host {
    blocks: RefCell<HashMap<usize, Layout>>,
    /// Allocations, and their bytes.
    count: RefCell<(usize, u64)>,
    /// The number of the allocation that fails.
    fails_at: Option<usize>,
}

unsafe extern "C" fn alloc(context: *mut c_void, bytes: usize, align: usize, _: i32) -> *mut c_void {
    let host = unsafe { &*context.cast::<Host>() };
    let (count, sum) = &mut *host.count.borrow_mut();
    *count += 1;
    if host.fails_at == Some(*count) {
        return null_mut();
    }
    *sum += bytes as u64;
    let layout = Layout::from_size_align(bytes, align).unwrap();
    let memory = unsafe { std::alloc::alloc(layout) };
    host.blocks.borrow_mut().insert(memory.addr(), layout);
    memory.cast()
}

unsafe extern "C" fn free(context: *mut c_void, memory: *mut c_void, bytes: usize) {
    let host = unsafe { &*context.cast::<Host>() };
    let layout = host.blocks.borrow_mut().remove(&memory.addr()).expect("a block of this host");
    assert_eq!(layout.size(), bytes);
    unsafe { std::alloc::dealloc(memory.cast(), layout) };
}

impl Host {
    fn allocator(&self) -> pfplane_allocator {
        let context = (&raw const *self).cast_mut().cast();
        pfplane_allocator { size: size::<pfplane_allocator>(), alloc: Some(alloc), free: Some(free), context }
    }

    fn is_empty(&self) -> bool {
        self.blocks.borrow().is_empty()
    }
}

fn create(config: &pfplane_config, host: &Host) -> Result<*mut pfplane_engine, i32> {
    let (allocator, mut engine) = (host.allocator(), null_mut());
    let config = pfplane_config { allocator: &raw const allocator, ..*config };
    match unsafe { pfplane_engine_new(Some(&config), out(&mut engine)) } {
        PFPLANE_OK => Ok(engine),
        status => Err(status),
    }
}

unsafe extern "C" fn no_state(_: *mut c_void, _: u32, _: *mut pfplane_frame_record) -> i32 {
    PFPLANE_END
}

unsafe extern "C" fn is_full(_: *mut c_void, _: *const pfplane_frame_record, _: *mut u32) -> i32 {
    PFPLANE_ERROR_FULL
}

unsafe extern "C" fn ignore(_: *mut c_void, _: u32, _: *const pfplane_frame_record) {}

unsafe extern "C" fn remove(_: *mut c_void, _: u32) {}

unsafe extern "C" fn walk(_: *mut c_void, _: u32, _: *mut u32) -> i32 {
    PFPLANE_END
}

/// Creates a replica of an empty table.
fn create_replica(host: &Host) -> Result<*mut pfplane_replica, i32> {
    let store = pfplane_store {
        size: size::<pfplane_store>(),
        capacity: 100,
        get: Some(no_state),
        insert: Some(is_full),
        update: Some(ignore),
        remove: Some(remove),
        walk: Some(walk),
        context: null_mut(),
    };
    let (allocator, peer, mut replica) = (host.allocator(), peer(1), null_mut());
    let config =
        pfplane_config { allocator: &raw const allocator, peers: &raw const peer, peer_count: 1, ..config() };
    match unsafe { pfplane_replica_new(Some(&config), Some(&store), out(&mut replica)) } {
        PFPLANE_OK => Ok(replica),
        status => Err(status),
    }
}

#[test]
fn every_allocation_of_a_replica_that_fails_is_an_error_and_frees_the_others() {
    for nth in 1.. {
        let host = Host { fails_at: Some(nth), ..Host::default() };
        match create_replica(&host) {
            Err(status) => assert_eq!(status, PFPLANE_ERROR_MEMORY, "allocation {nth}: {}", last_error()),
            Ok(replica) => {
                assert!(nth > 10, "only {nth} allocations");
                unsafe { pfplane_replica_free(replica) };
                assert!(host.is_empty());
                return;
            }
        }
        assert!(host.is_empty(), "allocation {nth}");
    }
}

/// Calls `test` with configurations of one and of several lanes, with and without peers, translation and held packets.
fn for_all(test: impl Fn(&pfplane_config)) {
    let secret = [7; 32];
    let key = pfplane_seal_key { key: secret.as_ptr(), key_bytes: 32, id: 1 };
    let sealed = pfplane_peer {
        destination: peer(2).source,
        seal: PFPLANE_SEAL_REQUIRE as u8,
        seal_key_count: 1,
        seal_keys: &raw const key,
        ..peer(1)
    };
    let plain = [peer(1), pfplane_peer { profile: PFPLANE_PROFILE_FREEBSD1400, ..peer(1) }];
    let with_seal = [sealed, peer(1)];
    for (peers, lanes, peer_count, max_translated_per_lane, max_sources, max_defer_ms) in [
        (&plain, 1, 0, 0, 0, 0),
        (&plain, 1, 2, u32::MAX, 100, 20),
        (&plain, 2, 1, 0, 100, 0),
        (&plain, 3, 1, 50, 10, 0),
        (&with_seal, 2, 2, 0, 0, 0),
    ] {
        let config = pfplane_config {
            lanes,
            states_per_lane: 200,
            peers: peers.as_ptr(),
            peer_count,
            max_translated_per_lane,
            max_sources,
            max_defer_ms,
            ..config()
        };
        test(&config);
    }
}

#[test]
fn what_is_allocated_is_what_the_memory_call_said() {
    for_all(|config| {
        let mut expected = 0;
        assert_eq!(unsafe { pfplane_config_memory(Some(config), out(&mut expected)) }, PFPLANE_OK);
        let host = Host::default();
        let engine = create(config, &host).unwrap();
        assert_eq!(host.count.borrow().1, expected, "{} lanes", config.lanes);
        unsafe { pfplane_engine_free(engine) };
        assert!(host.is_empty());
    });
}

#[test]
fn nothing_is_allocated_after_creation() {
    for_all(|config| {
        let host = Host::default();
        let engine = Engine(create(config, &host).unwrap());
        let before = *host.count.borrow();
        for (index, now) in (0..config.lanes).cycle().zip((0..600).map(|step| SECOND + step * 5 * MS)) {
            let lane = engine.lane(index);
            let syn = pfplane_testkit::Packet::syn(false, now as u32, 6, [4000, 443]).tcp();
            if lane.look_up(&burst(PFPLANE_IN, now), &syn).action == PFPLANE_NEW {
                lane.create(&burst(PFPLANE_IN, now), &syn);
            }
            lane.poll(now);
            lane.flush(now);
        }
        assert_eq!(*host.count.borrow(), before);
        drop(engine);
        assert!(host.is_empty());
    });
}

#[test]
fn every_allocation_of_an_engine_that_fails_is_an_error_and_frees_the_others() {
    for_all(|config| {
        for nth in 1.. {
            let host = Host { fails_at: Some(nth), ..Host::default() };
            match create(config, &host) {
                Err(status) => {
                    assert_eq!(status, PFPLANE_ERROR_MEMORY, "allocation {nth}: {}", last_error());
                    assert!(last_error().starts_with("cannot allocate"), "{}", last_error());
                    assert!(host.is_empty(), "allocation {nth} of {} lanes", config.lanes);
                }
                Ok(engine) => {
                    assert!(nth > 20, "only {nth} allocations");
                    unsafe { pfplane_engine_free(engine) };
                    assert!(host.is_empty());
                    break;
                }
            }
        }
    });
}

/// Creates an election with `members` members of `count` addresses each.
fn create_election(host: &Host, members: u16, count: u32) -> Result<*mut pfplane_election, i32> {
    let plan = Plan { dialect: PFPLANE_ELECTION_OPENBSD, node: 1, priority: 100, interval_us: 1_000_000 };
    let addresses: Vec<_> = (0..members)
        .flat_map(|member| (1..=count).map(move |n| address(&format!("2001:db8:{member}::{n:x}"))))
        .collect();
    let peers: Vec<_> = (1..=16).map(|n| address(&format!("fe80::ff:{n:x}"))).collect();
    let (allocator, mut election) = (host.allocator(), null_mut());
    let status = with_config(&plan, |config, examples| {
        let members: Vec<_> = (0..members)
            .map(|port| pfplane_election_member {
                port,
                address_count: count,
                addresses: &raw const addresses[count as usize * usize::from(port)],
                peer_count: 16,
                peers: peers.as_ptr(),
                ..examples[1]
            })
            .collect();
        (config.member_count, config.members) = (members.len() as u32, members.as_ptr());
        config.allocator = &raw const allocator;
        unsafe { pfplane_election_new(Some(config), out(&mut election)) }
    });
    if status == PFPLANE_OK { Ok(election) } else { Err(status) }
}

#[test]
fn every_allocation_of_an_election_that_fails_is_an_error_and_frees_the_others() {
    for nth in 1.. {
        let host = Host { fails_at: Some(nth), ..Host::default() };
        match create_election(&host, 3, 4) {
            Err(status) => assert_eq!(status, PFPLANE_ERROR_MEMORY, "allocation {nth}: {}", last_error()),
            Ok(election) => {
                assert!(nth > 15, "only {nth} allocations");
                unsafe { pfplane_election_free(election) };
                assert!(host.is_empty());
                return;
            }
        }
        assert!(host.is_empty(), "allocation {nth}");
    }
}

#[test]
fn the_largest_election_has_the_memory_that_the_header_says() {
    let host = Host::default();
    let election = create_election(&host, 32, 255).unwrap();
    let bytes = host.blocks.borrow().values().map(Layout::size).sum::<usize>();
    assert!((200_000..400_000).contains(&bytes), "{bytes} bytes");
    unsafe { pfplane_election_free(election) };
    assert!(host.is_empty());
}
