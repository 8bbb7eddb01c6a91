//! How long a node forwards while the role moves to another one.

use super::adverts::{MS, NOW, config, master, node};
use crate::election::{Class, Dialect, Election, MAX_ELECTION_FRAME_BYTES, Role, Why};

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
        let longest = if dialect == Dialect::Vrrp3 { 1051 } else { 301 };
        assert_eq!(forwards_until(&first, 1), longest, "{dialect:?}: without another node");
        assert!(
            !first.forwarding().may_use_virtual_mac(NOW + MS),
            "the next master's traffic would come here"
        );
        let takeover = (1..longest).find(|time| {
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
fn a_master_that_was_stopped_says_no_farewell() {
    for dialect in [Dialect::Vrrp3, Dialect::OpenBsd, Dialect::FreeBsd] {
        let mut first = master(dialect);
        let mut second = node(&config(dialect, 1_000_000, 1, 240), 6);
        pass(&mut first, &mut second, NOW);
        let now = NOW + 20_000 * MS;
        first.step_down(1000, now);
        first.poll(now);
        assert_eq!(
            (first.status().role, pass(&mut first, &mut second, now)),
            (Role::Backup, 0),
            "{dialect:?}"
        );
        assert!(!first.forwarding().may_forward(now));
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

/// A group on two networks: the switches of one may learn of the next master later than those of the other.
#[test]
fn a_node_hands_over_until_the_next_master_is_received_on_all_members() {
    let mut first = master(Dialect::Vrrp3);
    let mut second = node(&config(Dialect::Vrrp3, 1_000_000, 1, 240), 6);
    pass(&mut first, &mut second, NOW);
    second.poll(NOW);
    first.step_down(1000, NOW + MS);
    pass(&mut first, &mut second, NOW + MS);
    second.poll(NOW + 200 * MS);
    second.poll(NOW + 300 * MS);
    assert_eq!(second.status().role, Role::Master);
    let mut out = [0; MAX_ELECTION_FRAME_BYTES];
    let v4 = second.flush(&mut out).expect("an advert over IPv4");
    first.receive((0, 0), &out[..v4.length], NOW + 300 * MS);
    assert_eq!(forwards_until(&first, 300), 310, "not received over IPv6, which may have failed");
    pass(&mut second, &mut first, NOW + 305 * MS);
    assert_eq!(forwards_until(&first, 305), 306);
    // A better master that comes later makes it no longer.
    let now = NOW + 400 * MS;
    let mut third = node(&config(Dialect::Vrrp3, 1_000_000, 2, 254), 7);
    third.poll(NOW);
    third.poll(now);
    assert!(pass(&mut third, &mut first, now) > 0);
    assert!(!first.forwarding().may_forward(now));
}

/// Takes the next frame that a node wants to send.
fn next_frame(from: &mut Election) -> Vec<u8> {
    let mut out = [0; MAX_ELECTION_FRAME_BYTES];
    let frame = from.flush(&mut out).expect("a frame");
    out[..frame.length].to_vec()
}

/// The master says farewell on two networks; its copy on the second one is late, and the next master is there already.
#[test]
fn a_late_copy_of_a_farewell_starts_no_second_takeover() {
    for dialect in [Dialect::Vrrp3, Dialect::OpenBsd, Dialect::FreeBsd] {
        let mut first = master(dialect);
        let mut second = node(&config(dialect, 1_000_000, 1, 240), 6);
        let mut third = node(&config(dialect, 1_000_000, 2, 100), 7);
        let adverts = [next_frame(&mut first), next_frame(&mut first)];
        for backup in [&mut second, &mut third] {
            adverts.iter().for_each(|advert| assert!(backup.receive((0, 0), advert, NOW)));
            backup.poll(NOW);
        }
        while first.flush(&mut [0; MAX_ELECTION_FRAME_BYTES]).is_some() {}
        first.step_down(1000, NOW + MS);
        let (in_time, late) = (next_frame(&mut first), next_frame(&mut first));
        second.receive((0, 0), &in_time, NOW + MS);
        third.receive((0, 0), &in_time, NOW + MS);
        for time in 2..100 {
            second.poll(NOW + time * MS);
            third.poll(NOW + time * MS);
        }
        assert_eq!((second.status().role, third.status().role), (Role::Master, Role::Backup), "{dialect:?}");
        third.receive((0, 0), &next_frame(&mut second), NOW + 100 * MS);
        third.receive((0, 0), &late, NOW + 101 * MS);
        for time in 101..900 {
            third.poll(NOW + time * MS);
        }
        assert_eq!(third.status().role, Role::Backup, "{dialect:?}: {:?}", third.status());
    }
}

/// A node that was master beside a better one leaves.
#[test]
fn the_farewell_of_another_node_than_the_master_starts_no_takeover() {
    let mut better = master(Dialect::FreeBsd);
    let mut worse = node(&config(Dialect::FreeBsd, 1_000_000, 1, 150), 6);
    let mut backup = node(&config(Dialect::FreeBsd, 1_000_000, 2, 100), 7);
    worse.poll(NOW);
    assert_eq!(worse.status().role, Role::Master, "it does not receive the other one");
    pass(&mut worse, &mut backup, NOW);
    backup.poll(NOW);
    pass(&mut better, &mut backup, NOW + MS);
    worse.step_down(1000, NOW + 2 * MS);
    pass(&mut worse, &mut backup, NOW + 2 * MS);
    for time in 2..900 {
        backup.poll(NOW + time * MS);
    }
    assert_eq!(backup.status().role, Role::Backup);
    // The master's own farewell counts, after its first adverts on both members.
    better.step_down(1000, NOW + 900 * MS);
    assert!(pass(&mut better, &mut backup, NOW + 900 * MS) > 0);
    for time in 900..1100 {
        backup.poll(NOW + time * MS);
    }
    assert_eq!(backup.status().role, Role::Master);
}

/// A host may sleep until the time that a poll returns.
#[test]
fn a_backup_takes_over_at_the_end_of_the_silence() {
    for dialect in [Dialect::Vrrp3, Dialect::OpenBsd, Dialect::FreeBsd] {
        let mut first = master(dialect);
        let mut second = node(&config(dialect, 1_000_000, 1, 200), 6);
        pass(&mut first, &mut second, NOW + MS);
        let end = NOW + MS + second.timing().down;
        let mut now = NOW + MS;
        while second.status().role != Role::Master {
            now = second.poll(now);
            second.poll(now);
        }
        assert_eq!(now, end, "{dialect:?}");
    }
}

#[test]
fn a_master_that_says_it_has_not_all_states_is_replaced_without_preemption_or_hellos() {
    for dialect in [Dialect::Vrrp3, Dialect::OpenBsd, Dialect::FreeBsd] {
        let mut loading = master(dialect);
        loading.readiness(Class::Loading);
        let mut complete = node(&config(dialect, 1_000_000, 1, 100), 6);
        let role_after = |ms: u64, complete: &mut Election, loading: &mut Election| {
            for time in (0..ms).step_by(100) {
                let now = NOW + time * MS;
                loading.poll(now);
                pass(loading, complete, now);
                complete.poll(now);
            }
            complete.status().role
        };
        assert_eq!(role_after(4000, &mut complete, &mut loading), Role::Master, "{dialect:?}");
        assert_eq!(complete.status().why, Why::MasterDemoted);
    }
}

/// A backup without all states leaves the time to a complete one, also after a farewell or if the host reports the master dead.
#[test]
fn after_a_farewell_a_backup_without_all_states_waits_for_a_complete_one() {
    for dialect in [Dialect::Vrrp3, Dialect::OpenBsd, Dialect::FreeBsd] {
        for is_farewell in [true, false] {
            let takeover_of = |class: Class| {
                let mut first = master(dialect);
                let mut second = node(&config(dialect, 1_000_000, 1, 240), 6);
                second.readiness(class);
                pass(&mut first, &mut second, NOW);
                second.poll(NOW);
                if is_farewell {
                    first.step_down(1000, NOW + MS);
                    pass(&mut first, &mut second, NOW + MS);
                } else {
                    second.peer_down(NOW + MS);
                }
                (1..4000_u64).find(|time| {
                    second.poll(NOW + time * MS);
                    second.status().role == Role::Master
                })
            };
            let [synced, gave_up, loading] = [Class::Synced, Class::GaveUp, Class::Loading].map(takeover_of);
            assert!(synced < Some(300), "{dialect:?}: {synced:?}");
            assert!(gave_up >= Some(1000) && loading >= Some(2000), "{gave_up:?} {loading:?}");
            assert!(loading.is_some(), "nobody else is there");
        }
    }
}

/// A node that yielded to a better master says in its hellos that it leaves, as on SIGTERM or if all its links go down.
#[test]
fn a_former_master_that_leaves_starts_no_takeover() {
    let mut former = master(Dialect::Vrrp3);
    let mut third = node(&config(Dialect::Vrrp3, 1_000_000, 2, 100), 7);
    let mut better = node(&config(Dialect::Vrrp3, 1_000_000, 1, 240), 6);
    pass(&mut former, &mut third, NOW);
    assert!(third.receive_hello(&former.hello(NOW).expect("due"), NOW), "as master");
    better.poll(NOW);
    assert_eq!(better.status().role, Role::Master, "two masters");
    let adverts: Vec<_> = (0..2).map(|_| next_frame(&mut better)).collect();
    for backup in [&mut former, &mut third] {
        adverts.iter().for_each(|advert| assert!(backup.receive((0, 0), advert, NOW + MS)));
        backup.poll(NOW + MS);
        assert_eq!(backup.status().role, Role::Backup);
    }
    let next = NOW + 1000 * MS;
    third.receive_hello(&former.hello(next).expect("due"), next);
    former.step_down(5000, next + MS);
    let leaving = former.hello(next + 1000 * MS).expect("due");
    assert_eq!(leaving.role, Role::Init);
    assert!(third.receive_hello(&leaving, next + 1000 * MS));
    (0..400).for_each(|time| _ = third.poll(next + (1000 + time) * MS));
    assert_eq!(third.status().role, Role::Backup);
}
