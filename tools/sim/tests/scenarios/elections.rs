//! Elections of two nodes: rules of the protocols and of ours, one row or test each.

use pfplane::internals::election::{
    Class, Dialect, EventKind, FORBIDS, MAX_ELECTION_FRAME_BYTES, Role, Silence, Why,
};
use pfplane_sim::MS;
use pfplane_sim::election::lan::{Lan, SYNC, config};
use pfplane_testkit::Random;

const DIALECTS: [Dialect; 3] = [Dialect::OpenBsd, Dialect::FreeBsd, Dialect::Vrrp3];

fn lan(dialect: Dialect, interval_us: u32, priorities: &[u8], ports: u16, seed: u64) -> Lan {
    Lan::new(dialect, interval_us, priorities, ports, Random::new(seed))
}

/// A pair of which the first node is master.
fn pair(dialect: Dialect) -> Lan {
    let mut lan = lan(dialect, 1_000_000, &[200, 100], 1, 7);
    lan.wait(5000 * MS);
    assert_eq!((lan.nodes[0].role(), lan.nodes[1].role()), (Role::Master, Role::Backup), "{dialect:?}");
    lan
}

#[test]
fn the_better_of_two_nodes_becomes_master_and_only_it_forwards() {
    for dialect in DIALECTS {
        let mut lan = pair(dialect);
        lan.run(10_000 * MS, |lan| assert_eq!(lan.forwarding(), [0]));
        assert_eq!(lan.nodes[1].election.status().role_changes, 1, "backup since the start");
        assert_eq!(lan.forged_macs, 0);
        assert!(lan.nodes[0].announced > 0);
    }
}

#[test]
fn a_backup_takes_over_when_the_master_dies_after_its_down_time() {
    for (dialect, expected) in [(Dialect::OpenBsd, 3601), (Dialect::FreeBsd, 3601), (Dialect::Vrrp3, 3609)] {
        let mut lan = pair(dialect);
        let last = lan.nodes[0].advertised.expect("adverts");
        lan.kill(0);
        lan.run(6000 * MS, |_| {});
        let took_over = lan.nodes[1].advertised.expect("a master advertises") - last;
        assert_eq!(lan.nodes[1].role(), Role::Master);
        assert_eq!(lan.nodes[1].election.status().why, Why::Silence);
        let first = lan.nodes[1].election.status().since - last;
        assert!(first.abs_diff(expected * MS) < 50 * MS, "{dialect:?}: {first}");
        assert!(took_over >= first);
    }
}

#[test]
fn a_farewell_hands_over_at_once() {
    for dialect in DIALECTS {
        let mut lan = pair(dialect);
        let now = lan.now;
        lan.nodes[0].election.step_down(60_000, now);
        let mut nobody = 0;
        let mut both = 0;
        lan.run(2000 * MS, |lan| {
            nobody += u64::from(lan.forwarding().is_empty());
            both += u64::from(lan.forwarding().len() > 1);
        });
        assert_eq!((lan.nodes[0].role(), lan.nodes[1].role()), (Role::Backup, Role::Master), "{dialect:?}");
        // The first node forwards until it has received the second one.
        assert_eq!(nobody, 0, "{dialect:?}");
        assert!(both <= 8, "{dialect:?}: {both}");
    }
}

/// The leaver's hello comes after its last adverts: it starts no second takeover beside the next master.
#[test]
fn a_hello_after_a_farewell_makes_no_second_master() {
    for (dialect, tenth) in
        DIALECTS.into_iter().flat_map(|dialect| (0..10).map(move |tenth| (dialect, tenth)))
    {
        let mut lan = lan(dialect, 1_000_000, &[200, 150, 100], 2, 7);
        lan.wait((5000 + tenth * 100) * MS);
        assert_eq!(lan.forwarding(), [0]);
        let clock = lan.nodes[0].clock(lan.now);
        lan.nodes[0].election.step_down(60_000, clock);
        lan.wait(3000 * MS);
        assert_eq!(lan.forwarding(), [1], "{dialect:?}");
        assert_eq!(
            lan.nodes[2].election.status().role_changes,
            1,
            "{dialect:?} {tenth}: backup since the start"
        );
    }
}

#[test]
fn the_farewell_of_a_node_that_is_not_the_master_changes_no_role() {
    let mut lan = lan(Dialect::Vrrp3, 1_000_000, &[200, 150, 100], 2, 7);
    lan.wait(5000 * MS);
    // The second one took over while it could not receive the first, and leaves when it does again.
    lan.partition(0, 1);
    lan.partition(1, 2);
    lan.wait(5000 * MS);
    assert_eq!(lan.forwarding(), [0, 1]);
    let clock = lan.nodes[1].clock(lan.now);
    lan.nodes[1].election.step_down(60_000, clock);
    lan.cuts.clear();
    lan.run(3000 * MS, |lan| assert!(lan.forwarding().contains(&0)));
    assert_eq!(lan.nodes[2].election.status().role_changes, 1, "backup since the start");
}

#[test]
fn a_better_node_returns_only_if_preemption_is_on_and_it_has_all_states() {
    for dialect in DIALECTS {
        for (preempt, returns) in [(false, false), (true, true)] {
            let mut lan = pair(dialect);
            lan.kill(0);
            lan.wait(6000 * MS);
            lan.restart(0, |config| config.preempt = preempt);
            lan.wait(6000 * MS);
            assert_eq!(lan.nodes[0].role(), Role::Backup, "{dialect:?}: it is loading");
            lan.nodes[0].election.readiness(Class::Synced);
            lan.wait(6000 * MS);
            assert_eq!(lan.nodes[0].role() == Role::Master, returns, "{dialect:?} {preempt}");
            assert_eq!(lan.nodes[1].role() == Role::Master, !returns);
        }
    }
}

#[test]
fn a_node_that_gave_up_never_preempts_but_takes_over_when_nobody_else_is_there() {
    for dialect in DIALECTS {
        let mut lan = pair(dialect);
        lan.kill(0);
        lan.wait(6000 * MS);
        lan.restart(0, |config| (config.preempt, config.priority) = (true, 250));
        lan.nodes[0].election.readiness(Class::GaveUp);
        lan.wait(20_000 * MS);
        assert_eq!(lan.nodes[0].role(), Role::Backup);
        lan.kill(1);
        lan.wait(8000 * MS);
        assert_eq!(lan.nodes[0].role(), Role::Master, "{dialect:?}");
    }
}

#[test]
fn a_demoted_master_is_replaced_and_its_demotion_ends_with_its_cause() {
    for dialect in DIALECTS {
        let mut lan = pair(dialect);
        lan.nodes[0].election.demote("uplink", 150).unwrap();
        lan.wait(5000 * MS);
        assert_eq!((lan.nodes[0].role(), lan.nodes[1].role()), (Role::Backup, Role::Master), "{dialect:?}");
        assert_eq!(lan.nodes[1].election.status().why, Why::MasterDemoted);
        lan.nodes[0].election.demote("uplink", 0).unwrap();
        assert_eq!(lan.nodes[0].election.status().demotion, 0);
    }
}

#[test]
fn a_node_that_may_not_be_master_leaves_and_comes_back() {
    let mut lan = pair(Dialect::Vrrp3);
    lan.nodes[0].election.demote("witness", FORBIDS).unwrap();
    lan.wait(1500 * MS);
    assert_eq!((lan.nodes[0].role(), lan.nodes[1].role()), (Role::Init, Role::Master));
    lan.nodes[0].election.demote("witness", 0).unwrap();
    lan.wait(1500 * MS);
    assert_eq!((lan.nodes[0].role(), lan.nodes[1].role()), (Role::Backup, Role::Master));
}

#[test]
fn a_node_without_links_is_no_master() {
    let mut lan = pair(Dialect::OpenBsd);
    let now = lan.now;
    lan.nodes[0].election.link(0, false, now);
    lan.partition(0, 1);
    lan.wait(5000 * MS);
    assert_eq!((lan.nodes[0].role(), lan.nodes[1].role()), (Role::Init, Role::Master));
    assert_eq!(lan.nodes[0].election.status().why, Why::LinksDown);
}

#[test]
fn one_deaf_member_changes_no_role_if_the_peer_says_hello_and_is_reported() {
    let mut lan = lan(Dialect::Vrrp3, 100_000, &[200, 100], 2, 3);
    lan.wait(1000 * MS);
    lan.cuts.push((0, 1, 1));
    lan.wait(3000 * MS);
    assert_eq!((lan.nodes[0].role(), lan.nodes[1].role()), (Role::Master, Role::Backup));
    assert!(lan.count(1, EventKind::MemberDeaf) > 0);
    assert!(lan.count(0, EventKind::MemberMute) > 0);
}

#[test]
fn without_hellos_silence_on_any_member_counts_as_bsd_has_it() {
    for (silence, takes_over) in [(Silence::Automatic, true), (Silence::All, false), (Silence::Any, true)] {
        let mut lan = lan(Dialect::OpenBsd, 1_000_000, &[200], 2, 3);
        let mut second = config(Dialect::OpenBsd, 1_000_000, 1, 100, 2);
        second.silence = silence;
        lan.add(second, 1000);
        lan.nodes.iter_mut().for_each(|node| node.says_hello = false);
        lan.wait(5000 * MS);
        lan.cuts.push((0, 1, 1));
        let mut was_master = false;
        lan.run(8000 * MS, |lan| was_master |= lan.nodes[1].role() == Role::Master);
        assert_eq!(was_master, takes_over, "{silence:?}");
    }
}

#[test]
fn a_cut_sync_link_changes_no_role() {
    let mut lan = lan(Dialect::Vrrp3, 100_000, &[200, 100], 1, 3);
    lan.wait(1000 * MS);
    lan.cuts.extend([(0, 1, SYNC), (1, 0, SYNC)]);
    lan.wait(5000 * MS);
    assert_eq!((lan.nodes[0].role(), lan.nodes[1].role()), (Role::Master, Role::Backup));
}

#[test]
fn equal_nodes_are_warned_of_and_one_stays() {
    for dialect in DIALECTS {
        for says_hello in [false, true] {
            let mut lan = lan(dialect, 1_000_000, &[100, 100], 2, 5);
            lan.nodes.iter_mut().for_each(|node| node.says_hello = says_hello);
            lan.partition(0, 1);
            lan.wait(5000 * MS);
            lan.cuts.clear();
            lan.wait(5000 * MS);
            let masters = lan.forwarding();
            // Without hellos the higher address stays.
            assert!(masters == [1] || says_hello && masters == [0], "{dialect:?} {says_hello}: {masters:?}");
            assert!(lan.count(masters[0], EventKind::Equal) > 0);
        }
    }
}

#[test]
fn a_backup_warns_of_a_master_that_advertises_what_it_would() {
    for dialect in DIALECTS {
        let mut lan = lan(dialect, 1_000_000, &[100, 100], 1, 5);
        lan.wait(10_000 * MS);
        let [master] = lan.forwarding()[..] else { panic!("one is master") };
        assert!(lan.count(1 - master, EventKind::Equal) > 0, "{dialect:?}");
    }
}

#[test]
fn of_a_pair_that_is_cut_apart_only_the_node_with_the_witness_is_master() {
    for dialect in DIALECTS {
        for with_witness in [0, 1] {
            let mut lan = pair(dialect);
            lan.nodes.iter_mut().for_each(|node| node.election.witness(true));
            lan.partition(0, 1);
            lan.nodes[1 - with_witness].election.witness(false);
            // A down time until the cut shows, and one more with hellos in it.
            lan.wait(4500 * MS);
            lan.run(10_000 * MS, |lan| assert_eq!(lan.forwarding(), [with_witness], "{dialect:?}"));
            assert_eq!(lan.nodes[1 - with_witness].election.status().why, Why::Isolated);
            lan.cuts.clear();
            lan.wait(5000 * MS);
            assert_eq!(lan.forwarding(), [with_witness]);
            assert_eq!(lan.nodes[1 - with_witness].role(), Role::Backup);
        }
    }
}

#[test]
fn a_dead_witness_changes_nothing_while_the_nodes_receive_each_other() {
    for dialect in DIALECTS {
        let mut lan = pair(dialect);
        lan.nodes.iter_mut().for_each(|node| node.election.witness(false));
        lan.run(10_000 * MS, |lan| assert_eq!(lan.forwarding(), [0], "{dialect:?}"));
    }
}

#[test]
fn a_master_that_was_stopped_listens_before_it_speaks() {
    let mut lan = lan(Dialect::Vrrp3, 100_000, &[200, 100], 1, 9);
    lan.wait(1000 * MS);
    lan.nodes[0].stopped_until = lan.now + 2000 * MS;
    lan.wait(1500 * MS);
    assert_eq!(lan.nodes[1].role(), Role::Master);
    lan.run(1000 * MS, |lan| assert_ne!(lan.forwarding(), [0]));
    assert_eq!((lan.nodes[0].role(), lan.nodes[1].role()), (Role::Backup, Role::Master));
    assert_eq!(lan.nodes[0].election.status().late_polls, 1);
}

#[test]
fn a_lone_master_that_was_stopped_pays_a_quarter_more_than_an_interval() {
    let mut lan = lan(Dialect::Vrrp3, 100_000, &[200], 1, 9);
    lan.wait(1000 * MS);
    lan.nodes[0].stopped_until = lan.now + 500 * MS;
    lan.wait(500 * MS);
    let mut nobody = 0;
    lan.run(1000 * MS, |lan| nobody += u64::from(lan.forwarding().is_empty()));
    assert_eq!(lan.nodes[0].election.status().why, Why::NobodyElse);
    assert!((248..=256).contains(&nobody), "{nobody}");
}

#[test]
fn the_addresses_are_announced_again_after_every_conflict() {
    let mut lan = lan(Dialect::Vrrp3, 100_000, &[200, 100], 1, 11);
    lan.wait(1000 * MS);
    lan.partition(0, 1);
    lan.wait(2000 * MS);
    assert_eq!(lan.forwarding(), [0, 1]);
    lan.cuts.clear();
    lan.wait(1000 * MS);
    assert_eq!(lan.forwarding(), [0]);
    let last = lan.nodes[1].advertised.unwrap().max(lan.nodes[1].announced);
    assert!(lan.nodes[0].announced > last);
}

/// Runs a master for `rounds` adverts. Frames to ports below `failing` are never sent. Returns which adverts renewed the lease.
fn with_failing_ports(failing: u16, rounds: u32) -> (Lan, Vec<bool>) {
    let mut lan = lan(Dialect::OpenBsd, 1_000_000, &[200], 2, 13);
    lan.wait(5000 * MS);
    let Lan { nodes, now, .. } = &mut lan;
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
    (lan, renewed)
}

#[test]
fn adverts_of_which_none_could_be_sent_do_not_renew_the_lease() {
    assert_eq!(with_failing_ports(2, 2).1, [false; 2]);
    assert_eq!(with_failing_ports(1, 2).1, [true; 2], "one port suffices");
}

#[test]
fn a_port_that_cannot_send_demotes_until_it_can() {
    let (mut lan, _) = with_failing_ports(1, 3);
    let Lan { nodes, now, .. } = &mut lan;
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
    let mut lan = pair(Dialect::Vrrp3);
    lan.kill(0);
    let now = lan.now;
    lan.nodes[1].election.peer_down(now);
    lan.wait(2 * MS);
    assert_eq!((lan.nodes[1].role(), lan.nodes[1].election.status().why), (Role::Master, Why::PeerDown));
}

#[test]
fn a_master_announces_its_addresses_at_once_twice_more_and_then_every_so_often() {
    let mut lan = lan(Dialect::OpenBsd, 1_000_000, &[200], 2, 13);
    let mut turns = Vec::new();
    let mut last = 0;
    lan.run(20_000 * MS, |lan| {
        let announced = core::mem::replace(&mut last, lan.nodes[0].announced);
        turns.extend((announced != last).then_some(last));
    });
    let gaps: Vec<_> = turns.windows(2).map(|pair| (pair[1] - pair[0]).div_ceil(MS)).collect();
    assert_eq!(gaps, [100, 900, 5000, 5000, 5000]);
}
