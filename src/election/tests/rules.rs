//! Rules of the protocols and of ours, one row or test each.

use super::network::{MS, Network, SYNC, config};
use crate::election::{Class, Dialect, EventKind, FORBIDS, MAX_ELECTION_FRAME_BYTES, Role, Silence, Why};

const DIALECTS: [Dialect; 3] = [Dialect::OpenBsd, Dialect::FreeBsd, Dialect::Vrrp3];

/// A pair of which the first node is master.
pub(super) fn pair(dialect: Dialect) -> Network {
    let mut network = Network::new(dialect, 1_000_000, &[200, 100], 1, 7);
    network.wait(5000 * MS);
    assert_eq!((network.role(0), network.role(1)), (Role::Master, Role::Backup), "{dialect:?}");
    network
}

#[test]
fn the_better_of_two_nodes_becomes_master_and_only_it_forwards() {
    for dialect in DIALECTS {
        let mut network = pair(dialect);
        network.run(10_000 * MS, MS, |network| assert_eq!(network.forwarding(), [0]));
        assert_eq!(network.nodes[1].election.status().role_changes, 1, "backup since the start");
        assert_eq!(network.forged_macs, 0);
        assert!(network.nodes[0].announced > 0);
    }
}

#[test]
fn a_backup_takes_over_when_the_master_dies_after_its_down_time() {
    for (dialect, expected) in [(Dialect::OpenBsd, 3601), (Dialect::FreeBsd, 3601), (Dialect::Vrrp3, 3609)] {
        let mut network = pair(dialect);
        let last = network.nodes[0].last_advert.expect("adverts");
        network.kill(0);
        network.run(6000 * MS, MS, |_| {});
        let took_over = network.nodes[1].last_advert.expect("a master advertises") - last;
        assert_eq!(network.role(1), Role::Master);
        assert_eq!(network.nodes[1].election.status().why, Why::Silence);
        let first = network.nodes[1].election.status().since - last;
        assert!(first.abs_diff(expected * MS) < 50 * MS, "{dialect:?}: {first}");
        assert!(took_over >= first);
    }
}

#[test]
fn a_farewell_hands_over_at_once() {
    for dialect in DIALECTS {
        let mut network = pair(dialect);
        let now = network.now;
        network.nodes[0].election.step_down(60_000, now);
        let mut nobody = 0;
        let mut both = 0;
        network.run(2000 * MS, MS / 4, |network| {
            nobody += u64::from(network.forwarding().is_empty());
            both += u64::from(network.forwarding().len() > 1);
        });
        assert_eq!((network.role(0), network.role(1)), (Role::Backup, Role::Master), "{dialect:?}");
        // The skew of a quarter counts up to 152 ms at this interval; forwarding continues for 50 ms of them.
        assert!(nobody < 110 * 4, "{dialect:?}: {nobody}");
        assert!(both <= 8, "{dialect:?}: {both}");
    }
}

#[test]
fn a_better_node_returns_only_if_preemption_is_on_and_it_has_all_states() {
    for dialect in DIALECTS {
        for (preempt, returns) in [(false, false), (true, true)] {
            let mut network = pair(dialect);
            network.kill(0);
            network.wait(6000 * MS);
            let mut again = config(dialect, 1_000_000, 0, 200, 1);
            again.preempt = preempt;
            network.restart(0, again);
            network.wait(6000 * MS);
            assert_eq!(network.role(0), Role::Backup, "{dialect:?}: it is loading");
            network.nodes[0].election.readiness(Class::Synced);
            network.wait(6000 * MS);
            assert_eq!(network.role(0) == Role::Master, returns, "{dialect:?} {preempt}");
            assert_eq!(network.role(1) == Role::Master, !returns);
        }
    }
}

#[test]
fn a_node_that_gave_up_never_preempts_but_takes_over_when_nobody_else_is_there() {
    for dialect in DIALECTS {
        let mut network = pair(dialect);
        network.kill(0);
        network.wait(6000 * MS);
        let mut again = config(dialect, 1_000_000, 0, 250, 1);
        again.preempt = true;
        network.restart(0, again);
        network.nodes[0].election.readiness(Class::GaveUp);
        network.wait(20_000 * MS);
        assert_eq!(network.role(0), Role::Backup);
        network.kill(1);
        network.wait(8000 * MS);
        assert_eq!(network.role(0), Role::Master, "{dialect:?}");
    }
}

#[test]
fn a_demoted_master_is_replaced_and_its_demotion_ends_with_its_cause() {
    for dialect in DIALECTS {
        let mut network = pair(dialect);
        network.nodes[0].election.demote("uplink", 150).unwrap();
        network.wait(5000 * MS);
        assert_eq!((network.role(0), network.role(1)), (Role::Backup, Role::Master), "{dialect:?}");
        assert_eq!(network.nodes[1].election.status().why, Why::MasterDemoted);
        network.nodes[0].election.demote("uplink", 0).unwrap();
        assert_eq!(network.nodes[0].election.status().demotion, 0);
    }
}

#[test]
fn a_node_that_may_not_be_master_leaves_and_comes_back() {
    let mut network = pair(Dialect::Vrrp3);
    network.nodes[0].election.demote("witness", FORBIDS).unwrap();
    network.wait(1500 * MS);
    assert_eq!((network.role(0), network.role(1)), (Role::Init, Role::Master));
    network.nodes[0].election.demote("witness", 0).unwrap();
    network.wait(1500 * MS);
    assert_eq!((network.role(0), network.role(1)), (Role::Backup, Role::Master));
}

#[test]
fn a_node_without_links_is_no_master() {
    let mut network = pair(Dialect::OpenBsd);
    let now = network.now;
    network.nodes[0].election.link(0, false, now);
    network.partition(0, 1);
    network.wait(5000 * MS);
    assert_eq!((network.role(0), network.role(1)), (Role::Init, Role::Master));
    assert_eq!(network.nodes[0].election.status().why, Why::LinksDown);
}

#[test]
fn one_deaf_member_changes_no_role_if_the_peer_says_hello_and_is_reported() {
    let mut network = Network::new(Dialect::Vrrp3, 100_000, &[200, 100], 2, 3);
    network.wait(1000 * MS);
    network.cuts.push((0, 1, 1));
    network.wait(3000 * MS);
    assert_eq!((network.role(0), network.role(1)), (Role::Master, Role::Backup));
    assert!(network.count(1, |kind| *kind == EventKind::MemberDeaf) > 0);
    assert!(network.count(0, |kind| *kind == EventKind::MemberMute) > 0);
}

#[test]
fn without_hellos_silence_on_any_member_counts_as_bsd_has_it() {
    for (silence, takes_over) in [(Silence::Automatic, true), (Silence::All, false), (Silence::Any, true)] {
        let mut network = Network::new(Dialect::OpenBsd, 1_000_000, &[200], 2, 3);
        let mut second = config(Dialect::OpenBsd, 1_000_000, 1, 100, 2);
        second.silence = silence;
        network.add(second);
        network.nodes.iter_mut().for_each(|node| node.says_hello = false);
        network.wait(5000 * MS);
        network.cuts.push((0, 1, 1));
        let mut was_master = false;
        network.run(8000 * MS, MS, |network| was_master |= network.role(1) == Role::Master);
        assert_eq!(was_master, takes_over, "{silence:?}");
    }
}

#[test]
fn a_cut_sync_link_changes_no_role() {
    let mut network = Network::new(Dialect::Vrrp3, 100_000, &[200, 100], 1, 3);
    network.wait(1000 * MS);
    network.cuts.extend([(0, 1, SYNC), (1, 0, SYNC)]);
    network.wait(5000 * MS);
    assert_eq!((network.role(0), network.role(1)), (Role::Master, Role::Backup));
}

#[test]
fn equal_nodes_are_warned_of_and_one_stays() {
    for dialect in DIALECTS {
        for says_hello in [false, true] {
            let mut network = Network::new(dialect, 1_000_000, &[100, 100], 2, 5);
            network.nodes.iter_mut().for_each(|node| node.says_hello = says_hello);
            network.partition(0, 1);
            network.wait(5000 * MS);
            network.cuts.clear();
            network.wait(5000 * MS);
            let masters = network.forwarding();
            // Without hellos the higher address stays.
            assert!(masters == [1] || says_hello && masters == [0], "{dialect:?} {says_hello}: {masters:?}");
            assert!(network.count(masters[0], |kind| *kind == EventKind::Equal) > 0);
        }
    }
}

#[test]
fn a_master_that_was_stopped_listens_before_it_speaks() {
    let mut network = Network::new(Dialect::Vrrp3, 100_000, &[200, 100], 1, 9);
    network.wait(1000 * MS);
    network.nodes[0].paused_until = network.now + 2000 * MS;
    network.wait(1500 * MS);
    assert_eq!(network.role(1), Role::Master);
    network.run(1000 * MS, MS / 4, |network| assert_ne!(network.forwarding(), [0]));
    assert_eq!((network.role(0), network.role(1)), (Role::Backup, Role::Master));
    assert_eq!(network.nodes[0].election.status().late_polls, 1);
}

#[test]
fn a_lone_master_that_was_stopped_pays_a_quarter_more_than_an_interval() {
    let mut network = Network::new(Dialect::Vrrp3, 100_000, &[200], 1, 9);
    network.wait(1000 * MS);
    network.nodes[0].paused_until = network.now + 500 * MS;
    network.wait(500 * MS);
    let mut nobody = 0;
    network.run(1000 * MS, MS, |network| nobody += u64::from(network.forwarding().is_empty()));
    assert_eq!(network.nodes[0].election.status().why, Why::NobodyElse);
    assert!((124..=128).contains(&nobody), "{nobody}");
}

#[test]
fn the_addresses_are_announced_again_after_every_conflict() {
    let mut network = Network::new(Dialect::Vrrp3, 100_000, &[200, 100], 1, 11);
    network.wait(1000 * MS);
    network.partition(0, 1);
    network.wait(2000 * MS);
    assert_eq!(network.forwarding(), [0, 1]);
    network.cuts.clear();
    network.wait(1000 * MS);
    assert_eq!(network.forwarding(), [0]);
    let last = network.nodes[1].last_advert.unwrap().max(network.nodes[1].announced);
    assert!(network.nodes[0].announced > last);
}

/// A master whose frames to the ports below `failing` cannot be sent for `rounds` rounds of adverts.
fn with_failing_ports(failing: u16, rounds: u32) -> (Network, Vec<bool>) {
    let mut network = Network::new(Dialect::OpenBsd, 1_000_000, &[200], 2, 13);
    network.wait(5000 * MS);
    let Network { nodes, now, .. } = &mut network;
    let election = &mut nodes[0].election;
    let mut out = [0; MAX_ELECTION_FRAME_BYTES];
    let mut renewed = Vec::new();
    for _ in 0..rounds {
        *now += 1300 * MS;
        let until = election.forwarding().until();
        election.poll(*now);
        while let Some(frame) = election.flush(&mut out) {
            if frame.port < failing {
                election.send_failed(frame.port, 1, *now);
            }
        }
        renewed.push(election.forwarding().until() > until);
    }
    (network, renewed)
}

#[test]
fn adverts_of_which_none_could_be_sent_do_not_renew_the_lease() {
    assert_eq!(with_failing_ports(2, 2).1, [false; 2]);
    assert_eq!(with_failing_ports(1, 2).1, [true; 2], "one port suffices");
}

#[test]
fn a_port_that_cannot_send_demotes_until_it_can() {
    let (mut network, _) = with_failing_ports(1, 3);
    let Network { nodes, now, .. } = &mut network;
    let election = &mut nodes[0].election;
    *now += 1300 * MS;
    election.poll(*now);
    assert_eq!(election.status().demotion, 2, "both families on the port");
    for _ in 0..2 {
        *now += 1300 * MS;
        election.poll(*now);
    }
    assert_eq!(election.status().demotion, 0, "it ends by itself");
}

#[test]
fn a_host_that_knows_that_the_peer_is_down_need_not_wait() {
    let mut network = pair(Dialect::Vrrp3);
    network.kill(0);
    let now = network.now;
    network.nodes[1].election.peer_down(now);
    network.wait(2 * MS);
    assert_eq!((network.role(1), network.nodes[1].election.status().why), (Role::Master, Why::PeerDown));
}
