//! What a node announces as exposed is what its peer has not taken.

use super::tests::{HERE, Pair, Peer, THERE};
use crate::sync::fixture::MS;
use crate::sync::{Exposure, Removal, WalkOrder};
use crate::table::Slot;
use pfsync::envelope::Address;

const HERE_V6: Address = Address::V6([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
const THERE_V6: Address = Address::V6([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);

fn exposure(peer: &Peer) -> Exposure {
    peer.node.exporter.exposure(peer.node.now)
}

/// States here that the other node lacks.
fn missing(pair: &Pair) -> usize {
    let there = pair.peers[1].states();
    pair.peers[0].states().keys().filter(|id| !there.contains_key(id)).count()
}

/// Lets the nodes exchange a report, so that each knows that the other one reports.
fn acquaint(pair: &mut Pair) -> Slot {
    let slot = pair.peers[0].node.insert(5000);
    pair.run(30);
    assert_eq!(exposure(&pair.peers[0]), Exposure::default());
    slot
}

#[test]
fn a_state_is_exposed_until_the_peer_reports_the_frame_that_carried_it() {
    for addresses in [None, Some([HERE_V6, THERE_V6])] {
        let mut pair = match addresses {
            None => Pair::new(1),
            Some([here, there]) => Pair::between([here, there]),
        };
        let known = acquaint(&mut pair);
        pair.loss = 1000;
        pair.peers[0].node.insert(1);
        pair.peers[0].node.update(known);
        pair.run(2000);
        let lost = exposure(&pair.peers[0]);
        assert_eq!((lost.creations, lost.changes), (1, 1), "both were sent, and lost");
        assert!((1900 * MS..2001 * MS).contains(&lost.oldest), "{lost:?}");
        pair.loss = 0;
        pair.run(1200);
        assert_eq!(exposure(&pair.peers[0]), Exposure::default());
        assert_eq!(missing(&pair), 0);
    }
}

#[test]
fn a_lost_report_leaves_the_state_exposed_until_the_next_one() {
    let mut pair = Pair::new(1);
    acquaint(&mut pair);
    pair.is_mute = true;
    pair.peers[0].node.insert(1);
    pair.run(30);
    assert_eq!((exposure(&pair.peers[0]).creations, missing(&pair)), (1, 0));
    pair.is_mute = false;
    pair.run(1100);
    assert_eq!(exposure(&pair.peers[0]), Exposure::default());
}

#[test]
fn a_peer_never_lacks_more_states_than_are_exposed() {
    for seed in (1..=40).step_by(4) {
        let mut pair = Pair::new(seed * 7919);
        acquaint(&mut pair);
        pair.loss = 10 + 10 * (seed % 40);
        let (mut live, mut next) = (Vec::new(), 0);
        for _ in 0..400 {
            pair.churn(1, &mut live, &mut next);
            let (missing, exposed) = (missing(&pair), exposure(&pair.peers[0]).creations as usize);
            assert!(missing <= exposed, "seed {seed}: the peer lacks {missing}, {exposed} are exposed");
        }
        pair.loss = 0;
        pair.run(2000);
        assert_eq!(exposure(&pair.peers[0]), Exposure::default(), "seed {seed}");
    }
}

#[test]
fn a_state_that_ends_is_no_longer_exposed() {
    let mut pair = Pair::new(1);
    acquaint(&mut pair);
    pair.loss = 1000;
    let slots: Vec<Slot> = (0..10).map(|n| pair.peers[0].node.insert(n)).collect();
    pair.run(20);
    slots.iter().for_each(|&slot| pair.peers[0].node.remove(slot, Removal::Ended));
    assert_eq!(exposure(&pair.peers[0]).creations, 0);
}

#[test]
fn all_states_are_exposed_after_a_restart_of_the_peer_until_it_has_loaded_them() {
    let mut pair = Pair::new(1);
    (0..3000).for_each(|n| _ = pair.peers[0].node.insert(n));
    pair.run(50);
    assert_eq!((exposure(&pair.peers[0]).creations, missing(&pair)), (0, 0));
    let now = pair.peers[0].node.now;
    pair.peers[1] = Peer::new(7, THERE, HERE, |_| {});
    pair.peers[1].node.now = now;
    pair.peers[0].node.insert(3500);
    // Its first report.
    pair.run(15);
    assert!(exposure(&pair.peers[0]).creations as usize >= missing(&pair) && missing(&pair) > 0);
    pair.peers[1].importer.bulk.start(now, true);
    assert!(pair.peers[1].importer.bulk.poll(now));
    let here = &mut pair.peers[0].node;
    here.exporter.begin_walk(&here.table, WalkOrder { peer: 0, generation: 1 });
    let mut steps = 0;
    while missing(&pair) > 0 {
        let exposed = exposure(&pair.peers[0]).creations as usize;
        assert!(missing(&pair) <= exposed, "{} of {exposed}", missing(&pair));
        pair.step();
        steps += 1;
        assert!(steps < 500);
    }
    pair.run(50);
    assert_eq!(exposure(&pair.peers[0]), Exposure::default());
}

#[test]
fn a_peer_that_reports_nothing_counts_as_having_what_it_was_sent() {
    let mut pair = Pair::new(1);
    pair.is_mute = true;
    pair.peers[0].node.insert(1);
    assert_eq!(exposure(&pair.peers[0]).creations, 1);
    pair.run(30);
    assert_eq!(exposure(&pair.peers[0]), Exposure::default(), "as a stock system does");
}
