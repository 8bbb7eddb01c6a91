//! What a lane asks once a burst: whether the election's lease lasts.

use crate::harness::rounds::{self, Turn};
use pfplane::internals::election::{Class, Election, ElectionConfig, MemberConfig};
use pfplane::internals::ffi::{
    PFPLANE_ELECTION_SYNCED, PFPLANE_OK, pfplane_address, pfplane_election, pfplane_election_config,
    pfplane_election_config_init, pfplane_election_lease, pfplane_election_link,
    pfplane_election_may_forward, pfplane_election_member, pfplane_election_new, pfplane_election_poll,
    pfplane_election_readiness,
};
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, Ordering};

/// Questions between two readings of the clock.
const QUESTIONS: u64 = 1 << 20;
const MS: u64 = 1_000_000;

/// Returns a master at `now`, alone on its network.
fn master(now: u64) -> Election {
    let member = MemberConfig {
        port: 0,
        vlan: 0,
        id: 7,
        own_mac: [2, 0, 0, 0, 0, 1],
        own_address: [10, 0, 0, 1].into(),
        addresses: vec![[10, 0, 0, 100].into()],
        peers: Vec::new(),
        passphrase: Vec::new().into(),
    };
    let config = ElectionConfig { members: vec![member], ..ElectionConfig::default() };
    let mut election = Election::new(&config, 1).expect("a right configuration");
    election.readiness(Class::Synced);
    election.link(0, true, now - 5000 * MS);
    // A longer time between calls would be a pause.
    (0..=5).rev().for_each(|seconds| _ = election.poll(now - seconds * 1000 * MS));
    assert!(election.forwarding().may_forward(now), "a node alone is master");
    election
}

/// The contender whose time is the loop's own: it asks nothing.
pub(crate) const LOOP: &str = "a loop that asks nothing";

/// Returns the question of a lane by the C API's call, through the address that the C API gives, by the library, and the loop alone,
/// each in nanoseconds a question. All loops hide the time from the compiler, so that no question can be answered once for all.
pub(crate) fn turns() -> Vec<(String, Turn<'static>)> {
    let now = 10_000 * MS;
    let election = master(now);
    let c_election = c_master(now);
    // SAFETY: created above and never freed.
    let end = pfplane_election_lease(unsafe { c_election.as_ref() });
    // SAFETY: an atomic in that election, which this only loads.
    let lease = unsafe { AtomicU64::from_ptr(end.cast_mut()) };
    vec![
        contender("pfplane_election_may_forward, a call", now, move |now| {
            // SAFETY: created above and never freed.
            pfplane_election_may_forward(unsafe { c_election.as_ref() }, now)
        }),
        contender("may_forward, inlined", now, move |now| election.forwarding().may_forward(now)),
        contender("a comparison through pfplane_election_lease", now, move |now| {
            now < lease.load(Ordering::Relaxed)
        }),
        contender(LOOP, now, |_| true),
    ]
}

fn contender(name: &str, now: u64, mut ask: impl FnMut(u64) -> bool + 'static) -> (String, Turn<'static>) {
    let turn: Turn<'static> = Box::new(move || {
        let (elapsed, yes) = rounds::time(|| {
            let mut yes = 0;
            for _ in 0..QUESTIONS {
                yes += u64::from(ask(black_box(now)));
            }
            black_box(yes)
        });
        assert_eq!(yes, QUESTIONS, "the lease lasts");
        elapsed / QUESTIONS as f64
    });
    (name.to_owned(), turn)
}

/// The same as [`master`] through the C API. It lives as long as the process.
fn c_master(now: u64) -> *mut pfplane_election {
    let address = |bytes: [u8; 4]| pfplane_address {
        family: 4,
        reserved: [0; 3],
        bytes: core::array::from_fn(|at| bytes.get(at).copied().unwrap_or(0)),
    };
    let shared = address([10, 0, 0, 100]);
    let member = pfplane_election_member {
        size: size_of::<pfplane_election_member>() as u32,
        port: 0,
        vlan: 0,
        id: 7,
        reserved: 0,
        own_mac: [2, 0, 0, 0, 0, 1],
        own_address: address([10, 0, 0, 1]),
        address_count: 1,
        peer_count: 0,
        addresses: &raw const shared,
        peers: core::ptr::null(),
        passphrase: core::ptr::null(),
    };
    let mut config = MaybeUninit::uninit();
    let size = size_of::<pfplane_election_config>() as u32;
    assert_eq!(pfplane_election_config_init(Some(&mut config), size), PFPLANE_OK);
    // SAFETY: it was filled.
    let mut config = unsafe { config.assume_init() };
    (config.members, config.member_count) = (&raw const member, 1);
    let mut election = MaybeUninit::uninit();
    // SAFETY: the configuration and what it points to are valid.
    let status = unsafe { pfplane_election_new(Some(&config), Some(&mut election)) };
    assert_eq!(status, PFPLANE_OK);
    // SAFETY: it was created.
    let election = unsafe { election.assume_init() };
    // SAFETY: the election is valid.
    assert_eq!(unsafe { pfplane_election_readiness(election, PFPLANE_ELECTION_SYNCED) }, PFPLANE_OK);
    // SAFETY: the election is valid.
    assert_eq!(unsafe { pfplane_election_link(election, 0, true, now - 5000 * MS) }, PFPLANE_OK);
    for seconds in (0..=5).rev() {
        // SAFETY: the election is valid.
        assert_eq!(unsafe { pfplane_election_poll(election, now - seconds * 1000 * MS, None) }, PFPLANE_OK);
    }
    // SAFETY: the election is valid.
    let shared = unsafe { election.as_ref() };
    assert!(pfplane_election_may_forward(shared, now), "a node alone is master");
    election
}
