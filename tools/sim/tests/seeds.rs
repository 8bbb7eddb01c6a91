//! A handful of seeds, and that a seed is a seed. `./x sim` runs them by the thousand, optimised.

use pfplane_sim::{Fault, Faults, Options, simulate};

fn expect_to_hold(options: &Options, seeds: core::ops::Range<u64>) {
    for seed in seeds {
        if let Some(failure) = simulate(options, seed, false).failure {
            panic!("{failure}\nagain with: {}", options.replay(seed));
        }
    }
}

#[test]
fn whatever_happens_the_invariants_hold_once_it_is_over() {
    expect_to_hold(&Options::default(), 0..8);
}

#[test]
fn a_cluster_without_faults_holds() {
    let options = Options { faults: Faults::NONE, nodes: Some(3), ..Options::default() };
    expect_to_hold(&options, 0..2);
}

#[test]
fn five_nodes_that_hear_each_other_badly_hold() {
    let faults = Faults::NONE.with(Fault::Loss).with(Fault::Partition).with(Fault::Restart);
    expect_to_hold(&Options { faults, nodes: Some(5), lanes: Some(2), flows: Some(60) }, 0..2);
}

#[test]
fn the_same_seed_gives_the_same_run_byte_for_byte() {
    let runs = [false, true].map(|log| simulate(&Options::default(), 5, log));
    assert_eq!(runs[0].fingerprint, runs[1].fingerprint);
    assert_eq!(runs[0].figures, runs[1].figures);
    assert!(runs[0].log.is_empty() && runs[1].log.len() > 1000);
    let other = simulate(&Options::default(), 6, false);
    assert_ne!(runs[0].fingerprint, other.fingerprint);
}

/// Statistics are a millisecond late; a node that died within that had announced less than it took with it.
#[test]
fn a_death_is_judged_by_what_the_lanes_say_at_that_moment() {
    expect_to_hold(&Options::default(), 1055..1056);
}

/// The server's SYN passed one node, its next segment another one that had not heard of it and whose view was the newer one: the
/// window scale was lost to all, and after a cut the small windows refused what came.
#[test]
fn a_handshake_that_took_two_ways_keeps_its_window_scale() {
    expect_to_hold(&Options::default(), 1937..1938);
}
