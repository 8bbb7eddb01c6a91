//! What an election reports of other nodes and groups: another interval, a shared id, a peer that a host's detector found dead.

use super::election::{Node, Plan, address, run, with_config};
use super::world::*;
use core::ptr::{null, null_mut};
use pfplane::internals::ffi::*;

const MS: u64 = 1_000_000;

/// The intervals of the first event about them: the other node's and one's own.
fn intervals(node: &Node, now: u64) -> Option<(u32, u32)> {
    unsafe {
        let mut event: pfplane_election_event = core::mem::zeroed();
        event.size = size_of::<pfplane_election_event>() as u32;
        while pfplane_election_event_next(node.0, now, Some(&mut event)) == PFPLANE_OK {
            if event.kind == PFPLANE_ELECTION_EVENT_INTERVAL_DIFFERS {
                return Some((event.interval_us, event.own_interval_us));
            }
            assert_eq!((event.interval_us, event.own_interval_us), (0, 0));
        }
    }
    None
}

#[test]
fn another_interval_is_an_event_with_both_values_and_stays_in_the_status() {
    for (dialect, ours, theirs, end) in [
        (PFPLANE_ELECTION_VRRP3, 10_000, 20_000, 200 * MS),
        (PFPLANE_ELECTION_VRRP3, 20_000, 10_000, 200 * MS),
        (PFPLANE_ELECTION_OPENBSD, 1_000_000, 2_000_000, 10_000 * MS),
        (PFPLANE_ELECTION_FREEBSD, 2_000_000, 1_000_000, 10_000 * MS),
    ] {
        // The master has the better priority and the shorter interval.
        let plan = |node, interval_us| Plan {
            dialect,
            node,
            priority: if interval_us == ours.min(theirs) { 200 } else { 100 },
            interval_us,
        };
        let nodes = [Node::new(&plan(1, ours)), Node::new(&plan(2, theirs))];
        run(&nodes, MS, end, false);
        let master = usize::from(theirs < ours);
        let backup = 1 - master;
        let values = [ours, theirs];
        assert_eq!(intervals(&nodes[backup], end), Some((values[master], values[backup])), "{dialect}");
        assert_eq!(nodes[backup].status().other_interval_us, values[master]);
        assert_eq!((intervals(&nodes[master], end), nodes[master].status().other_interval_us), (None, 0));
        // Only its hello tells the interval of a backup.
        let mut hello = [0; PFPLANE_ELECTION_HELLO_BYTES as usize];
        let mut taken = false;
        unsafe {
            assert_eq!(pfplane_election_hello(nodes[backup].0, end, hello.as_mut_ptr(), 48), PFPLANE_OK);
            pfplane_election_hello_receive(nodes[master].0, hello.as_ptr(), 48, end, out(&mut taken));
        }
        assert_eq!(intervals(&nodes[master], end), Some((values[backup], values[master])), "{dialect}");
        assert_eq!(nodes[master].status().other_interval_us, values[backup]);
    }
}

#[test]
fn equal_intervals_are_no_event_whatever_the_skew() {
    for (dialect, interval_us) in [
        (PFPLANE_ELECTION_VRRP3, 10_000),
        (PFPLANE_ELECTION_OPENBSD, 200_000),
        (PFPLANE_ELECTION_OPENBSD, 1_000_000),
        (PFPLANE_ELECTION_FREEBSD, 1_000_000),
    ] {
        let plan = |node, priority| Plan { dialect, node, priority, interval_us };
        let nodes = [Node::new(&plan(1, 250)), Node::new(&plan(2, 150))];
        run(&nodes, MS, 8000 * MS, false);
        let mut hello = [0; PFPLANE_ELECTION_HELLO_BYTES as usize];
        unsafe {
            assert_eq!(pfplane_election_hello(nodes[1].0, 8000 * MS, hello.as_mut_ptr(), 48), PFPLANE_OK);
            let mut taken = false;
            let last = 8000 * MS;
            pfplane_election_hello_receive(nodes[0].0, hello.as_ptr(), 48, last, out(&mut taken));
            assert!(taken);
        }
        for node in &nodes {
            assert_eq!((intervals(node, 8000 * MS), node.status().other_interval_us), (None, 0), "{dialect}");
        }
    }
}

/// Creates group `group` of this host with one member.
fn group(group: u32, dialect: u32, port: u16, vlan: u16, id: u8, v6: bool) -> Node {
    let plan = Plan { dialect, node: 1, priority: 100, interval_us: 1_000_000 };
    let shared = address(if v6 { "2001:db8::77" } else { "10.0.0.77" });
    let mut election = null_mut();
    let status = with_config(&plan, |config, members| {
        let member = &mut members[usize::from(v6)];
        (member.port, member.vlan, member.id, member.addresses) = (port, vlan, id, &raw const shared);
        (config.members, config.member_count, config.group) = (member, 1, group);
        unsafe { pfplane_election_new(Some(config), out(&mut election)) }
    });
    assert_eq!(status, PFPLANE_OK, "{}", last_error());
    Node(election)
}

#[test]
fn two_groups_with_one_id_on_one_network_are_refused_by_name() {
    const VRRP: u32 = PFPLANE_ELECTION_VRRP3;
    const CARP: u32 = PFPLANE_ELECTION_OPENBSD;
    let first = group(1, VRRP, 3, 5, 7, false);
    let check = |other: &Node| unsafe { pfplane_election_check_beside(first.0, other.0) };
    for other in
        [group(2, VRRP, 3, 5, 7, false), group(2, CARP, 3, 5, 7, false), group(2, CARP, 3, 5, 7, true)]
    {
        assert_eq!(check(&other), PFPLANE_ERROR_SETTING);
        assert_eq!(last_error(), "members[0]: id 7 on port 3, VLAN 5 is also that of members[0] of group 2");
    }
    // VRRP over IPv6 has a MAC address of its own.
    for other in [
        group(2, VRRP, 3, 5, 7, true),
        group(2, VRRP, 3, 5, 8, false),
        group(2, VRRP, 3, 6, 7, false),
        group(2, VRRP, 4, 5, 7, false),
    ] {
        assert_eq!(check(&other), PFPLANE_OK, "{}", last_error());
    }
    unsafe {
        assert_eq!(pfplane_election_check_beside(first.0, first.0), PFPLANE_ERROR_ARGUMENT);
        assert_eq!(pfplane_election_check_beside(first.0, null()), PFPLANE_ERROR_NULL);
        assert_eq!(pfplane_election_check_beside(null(), first.0), PFPLANE_ERROR_NULL);
    }
}

#[test]
fn a_backup_takes_over_at_once_when_the_hosts_detector_finds_the_master_dead() {
    let dialect = PFPLANE_ELECTION_OPENBSD;
    let plan = |node, priority| Plan { dialect, node, priority, interval_us: 1_000_000 };
    let nodes = [Node::new(&plan(1, 200)), Node::new(&plan(2, 100))];
    let now = 8000 * MS;
    run(&nodes, MS, now, false);
    assert_eq!(nodes[1].status().role, PFPLANE_ELECTION_BACKUP);
    unsafe {
        assert_eq!(pfplane_election_peer_down(nodes[1].0, now), PFPLANE_OK);
        assert_eq!(pfplane_election_peer_down(null_mut(), now), PFPLANE_ERROR_NULL);
    }
    assert!(!nodes[1].turn(now).is_empty(), "adverts");
    let status = nodes[1].status();
    assert_eq!((status.role, status.why), (PFPLANE_ELECTION_MASTER, PFPLANE_ELECTION_WHY_PEER_DOWN));
    // The detector changes nothing for a master.
    unsafe { pfplane_election_peer_down(nodes[1].0, now + MS) };
    drop(nodes[1].turn(now + MS));
    assert_eq!(nodes[1].status().role, PFPLANE_ELECTION_MASTER);
}
