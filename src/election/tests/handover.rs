//! How long a node forwards while the role moves to another one.

use super::adverts::{MS, NOW, config, master, node};
use crate::election::{Dialect, Election, MAX_ELECTION_FRAME_BYTES, Role};

/// Passes the frames of one node to another one.
fn pass(from: &mut Election, to: &mut Election, now: u64) -> usize {
    let mut out = [0; MAX_ELECTION_FRAME_BYTES];
    let mut frames = 0;
    while let Some(frame) = from.flush(&mut out) {
        frames += usize::from(to.receive((frame.port, frame.vlan), &out[..frame.length], now));
    }
    frames
}

/// The times, in milliseconds after [`NOW`], at which a node may forward.
fn forwards_until(election: &Election, from: u64) -> u64 {
    (from..from + 5000)
        .find(|time| !election.forwarding().may_forward(NOW + time * MS))
        .expect("a lease ends")
}

#[test]
fn a_master_that_steps_down_forwards_until_it_has_received_the_next_one() {
    for dialect in [Dialect::Vrrp3, Dialect::OpenBsd, Dialect::FreeBsd] {
        let mut first = master(dialect);
        let mut second = node(&config(dialect, 1_000_000, 1, 240), 6);
        pass(&mut first, &mut second, NOW);
        second.poll(NOW);
        assert_eq!(second.status().role, Role::Backup);

        first.step_down(1000, NOW + MS);
        assert!(pass(&mut first, &mut second, NOW + MS) > 0, "a farewell");
        assert_eq!(forwards_until(&first, 1), 51, "without another node");
        let takeover = (1..=50).find(|time| {
            second.poll(NOW + time * MS);
            second.status().role == Role::Master
        });
        let takeover = takeover.expect("the backup takes over while the first one still forwards");
        pass(&mut second, &mut first, NOW + takeover * MS);
        assert_eq!(forwards_until(&first, takeover), takeover + 1, "{dialect:?}");
        assert_eq!(first.status().role, Role::Backup);
    }
}

#[test]
fn a_master_that_a_better_one_replaces_forwards_what_is_in_flight() {
    let mut worse = node(&config(Dialect::Vrrp3, 1_000_000, 1, 100), 6);
    worse.poll(NOW);
    assert_eq!(worse.status().role, Role::Master);
    let mut better = master(Dialect::Vrrp3);
    pass(&mut better, &mut worse, NOW + 5 * MS);
    assert_eq!(worse.status().role, Role::Backup);
    assert_eq!(forwards_until(&worse, 5), 6);
    // An advert that follows does not make it longer.
    better.poll(NOW + 1000 * MS);
    pass(&mut better, &mut worse, NOW + 1000 * MS);
    assert!(!worse.forwarding().may_forward(NOW + 6 * MS));
}
