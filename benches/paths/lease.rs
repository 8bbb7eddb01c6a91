//! What a lane asks once a burst: whether the election's lease lasts.

use crate::harness::rounds::{self, Turn};
use pfplane::internals::election::{Class, Election, ElectionConfig, MemberConfig};
use std::hint::black_box;
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

/// Returns the question of a lane, a plain load with a comparison, and a loop that asks nothing, each in nanoseconds a question.
pub(crate) fn turns() -> Vec<(String, Turn<'static>)> {
    let now = 10_000 * MS;
    let election = master(now);
    let until = AtomicU64::new(election.forwarding().until());
    let questions = |mut ask: Box<dyn FnMut(u64) -> u64>| -> Turn<'static> {
        Box::new(move || {
            let (elapsed, yes) = rounds::time(|| ask(black_box(now)));
            assert_eq!(yes, QUESTIONS, "the lease lasts");
            elapsed / QUESTIONS as f64
        })
    };
    let lease = questions(Box::new(move |now| {
        let forwarding = election.forwarding();
        (0..QUESTIONS).map(|_| u64::from(black_box(forwarding).may_forward(black_box(now)))).sum()
    }));
    let plain = questions(Box::new(move |now| {
        (0..QUESTIONS).map(|_| u64::from(black_box(now) < black_box(&until).load(Ordering::Relaxed))).sum()
    }));
    let nothing = questions(Box::new(|now| {
        (0..QUESTIONS)
            .map(|_| {
                black_box(now);
                1
            })
            .sum()
    }));
    vec![
        ("pfplane: may_forward".to_owned(), lease),
        ("a load and a comparison".to_owned(), plain),
        ("a loop that asks nothing".to_owned(), nothing),
    ]
}
