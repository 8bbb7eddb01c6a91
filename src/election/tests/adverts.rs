//! Adverts of strangers, and how adverts are sent.

use crate::election::codec::{carp, vrrp};
use crate::election::config::tests::member;
use crate::election::{
    Class, Dialect, Election, ElectionConfig, EventKind, MAX_ELECTION_FRAME_BYTES, MacMode, MemberConfig,
    Role,
};

pub(super) const MS: u64 = 1_000_000;

/// The configuration of a node on one port with both families.
pub(super) fn config(dialect: Dialect, interval_us: u32, node: u8, priority: u8) -> ElectionConfig {
    let members = [false, true].map(|v6| MemberConfig {
        passphrase: if dialect == Dialect::Vrrp3 { Vec::new() } else { b"secret".to_vec() }.into(),
        ..member(node + 1, 0, v6)
    });
    ElectionConfig {
        dialect,
        interval_us,
        min_interval_us: 1000,
        priority,
        members: members.into(),
        ..ElectionConfig::default()
    }
}

/// A node that is ready; it becomes master when it is polled after its down time.
pub(super) fn node(config: &ElectionConfig, random: u64) -> Election {
    let mut election = Election::new(config, random).expect("a right configuration");
    election.readiness(Class::Synced);
    election.link(0, true, 0);
    election.poll(MS);
    // A longer time without a call would be a pause.
    let interval = u64::from(config.interval_us) * 1000;
    (1..3).for_each(|turn| _ = election.poll(turn * interval));
    election
}

/// A master at time [`NOW`].
pub(super) fn master(dialect: Dialect) -> Election {
    let mut election = node(&config(dialect, 1_000_000, 0, 200), 5);
    election.poll(NOW);
    assert_eq!(election.status().role, Role::Master);
    election
}

pub(super) const NOW: u64 = 4000 * MS;

/// Adverts of strangers: what is refused has a counter, and no role changes.
#[test]
fn forged_adverts_are_counted_by_cause_and_change_no_role() {
    let mut election = master(Dialect::FreeBsd);
    let mut speaker = node(&config(Dialect::FreeBsd, 1_000_000, 9, 254), 99);
    speaker.poll(NOW);
    let mut out = [0; MAX_ELECTION_FRAME_BYTES];
    let length = loop {
        let frame = speaker.flush(&mut out).expect("an advert over IPv4");
        if out[12..14] == [8, 0] {
            break frame.length;
        }
    };
    let advert = out[..length].to_vec();
    let sum = |bytes: &mut [u8]| {
        bytes[24..26].fill(0);
        let header = crate::packet::checksum::checksum(&bytes[14..34]).0;
        bytes[24..26].copy_from_slice(&header);
        bytes[40..42].fill(0);
        let carp = crate::packet::checksum::checksum(&bytes[34..34 + carp::ADVERT_BYTES]).0;
        bytes[40..42].copy_from_slice(&carp);
    };
    let changed = |at: usize, value: u8| {
        let mut bytes = advert.clone();
        bytes[at] = value;
        sum(&mut bytes);
        bytes
    };
    let own_source = |last: u8| {
        let mut bytes = changed(29, last);
        bytes[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 77]);
        bytes
    };
    let now = NOW;
    let frames = [
        changed(22, 254),      // TTL
        changed(14, 0x46),     // options
        changed(34, 0x31),     // version
        changed(35, 8),        // id
        changed(50, 1),        // digest
        own_source(1),         // our own address
        advert[..60].to_vec(), // cut
    ];
    for frame in &frames {
        assert!(election.receive((0, 0), frame, now));
    }
    let mut wrong_sum = advert.clone();
    wrong_sum[36] ^= 1;
    election.receive((0, 0), &wrong_sum, now);
    let counters = election.counters(0).unwrap();
    let counts = [
        counters.badttl,
        counters.hdrops,
        counters.badver,
        counters.badvhid,
        counters.badauth,
        counters.adverts_looped,
        counters.badsum,
    ];
    assert_eq!(counts, [1, 2, 1, 1, 1, 1, 1]);
    assert_eq!(election.status().role, Role::Master);
    // The advert itself is valid and better.
    election.receive((0, 0), &advert, now);
    assert_eq!(election.status().role, Role::Backup);
}

#[test]
fn our_own_advert_sent_back_by_a_stranger_is_recognised() {
    let mut election = master(Dialect::OpenBsd);
    let now = NOW;
    let mut out = [0; MAX_ELECTION_FRAME_BYTES];
    let frame = election.flush(&mut out).expect("an advert");
    let mut reflected = out[..frame.length].to_vec();
    reflected[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 77]);
    reflected[29] = 77;
    reflected[36] = 1;
    for (start, end, field) in [(14, 34, 24), (34, 70, 40)] {
        reflected[field..field + 2].fill(0);
        let sum = crate::packet::checksum::checksum(&reflected[start..end]).0;
        reflected[field..field + 2].copy_from_slice(&sum);
    }
    election.receive((0, 0), &reflected, now);
    assert_eq!(election.counters(0).unwrap().adverts_looped, 1);
    assert_eq!(election.status().role, Role::Master);
}

/// A frame with an advert of CARP that has a right digest, for a node of [`config`].
fn carp_frame(v6: bool, skew: u8, counter: u64) -> Vec<u8> {
    let shared: Vec<_> = [false, true].into_iter().flat_map(|v6| member(1, 0, v6).addresses).collect();
    let authenticator = carp::Authenticator::new(b"secret", 7, &mut shared.clone(), true);
    let advert = carp::Advert { id: 7, skew, demotion: 0, base: 1, counter };
    let (source, group): (core::net::IpAddr, core::net::IpAddr) = if v6 {
        ("fe80::77".parse().unwrap(), "ff02::12".parse().unwrap())
    } else {
        ([10, 0, 0, 77].into(), [224, 0, 0, 18].into())
    };
    let path = crate::election::codec::frame::Path {
        vlan: 0,
        source_mac: [2, 0, 0, 0, 0, 77],
        destination_mac: [1, 0, 0x5e, 0, 0, 0x12],
        source,
        destination: group,
        protocol: 112,
        tos: 0x10,
    };
    let mut out = [0; MAX_ELECTION_FRAME_BYTES];
    let payload = carp::write(&advert, &authenticator);
    let length = crate::election::codec::frame::write(&path, &payload, &mut out).unwrap();
    out[..length].to_vec()
}

/// The counter of the next advert over IPv4.
fn sent_counter(election: &mut Election) -> u64 {
    let mut out = [0; MAX_ELECTION_FRAME_BYTES];
    while election.flush(&mut out).is_some() {
        if out[12..14] == [8, 0] {
            return u64::from_be_bytes(*out[42..].first_chunk().unwrap());
        }
    }
    panic!("no advert over IPv4")
}

#[test]
fn our_own_advert_is_recognised_in_a_packet_of_the_other_family_too() {
    for dialect in [Dialect::OpenBsd, Dialect::FreeBsd] {
        let mut election = master(dialect);
        let counter = sent_counter(&mut election);
        election.receive((0, 0), &carp_frame(true, 0, counter), NOW);
        assert_eq!(election.counters(1).unwrap().adverts_looped, 1, "{dialect:?}");
        assert_eq!(election.status().role, Role::Master);
    }
}

/// FreeBSD and ucarp count on from what they received last.
#[test]
fn a_better_peer_that_counts_on_from_our_counter_is_not_taken_for_us() {
    let mut election = master(Dialect::FreeBsd);
    let counter = sent_counter(&mut election);
    election.receive((0, 0), &carp_frame(false, 0, counter + 1), NOW);
    assert_eq!(election.counters(0).unwrap().adverts_looped, 0);
    assert_eq!(election.status().role, Role::Backup);
}

#[test]
fn a_flood_of_adverts_is_refused_unread() {
    let mut election = node(&config(Dialect::Vrrp3, 1_000_000, 1, 100), 5);
    let now = NOW;
    election.poll(now / 2);
    election.poll(now);
    let other_group = vrrp_frame(8, 1);
    (0..2000).for_each(|_| _ = election.receive((0, 0), &other_group, now));
    let counters = election.counters(0).unwrap();
    assert_eq!((counters.badvhid, counters.adverts_limited), (2000, 0), "other groups take no part of ours");
    let advert = vrrp_frame(7, 1);
    (0..2000).for_each(|_| _ = election.receive((0, 0), &advert, now));
    let counters = election.counters(0).unwrap();
    assert!(counters.adverts_limited >= 900 && counters.adverts_received < 1100);
}

#[test]
fn a_flood_of_farewells_draws_four_adverts_an_interval_from_a_master() {
    let mut election = master(Dialect::Vrrp3);
    let farewell = vrrp_frame(7, 0);
    let mut out = [0; MAX_ELECTION_FRAME_BYTES];
    while election.flush(&mut out).is_some() {}
    let mut frames = 0;
    for time in 1..1000 {
        election.receive((0, 0), &farewell, NOW + time * MS);
        election.poll(NOW + time * MS);
        frames += core::iter::from_fn(|| election.flush(&mut out).map(|_| ())).count();
    }
    assert!((6..=20).contains(&frames), "{frames} frames, two adverts a round");
}

/// An advert over IPv4 of a stranger.
fn vrrp_frame(id: u8, priority: u8) -> Vec<u8> {
    let mut payload = [0; 12];
    let (source, group) = ([10, 0, 0, 50].into(), [224, 0, 0, 18].into());
    let advert = vrrp::Advert { id, priority, interval: 100 };
    let addresses = ["10.0.0.100".parse().unwrap()];
    vrrp::write(&advert, &addresses, (source, group), vrrp::ChecksumManner::WithPseudoHeader, &mut payload)
        .unwrap();
    let path = crate::election::codec::frame::Path {
        vlan: 0,
        source_mac: [2, 9, 9, 9, 9, 9],
        destination_mac: [1, 0, 0x5e, 0, 0, 0x12],
        source,
        destination: group,
        protocol: 112,
        tos: 0xc0,
    };
    let mut out = [0; MAX_ELECTION_FRAME_BYTES];
    let length = crate::election::codec::frame::write(&path, &payload, &mut out).unwrap();
    out[..length].to_vec()
}

#[test]
fn own_mac_mode_and_adverts_from_the_own_address_use_no_virtual_one_for_adverts() {
    for (mac, announces_virtual) in [(MacMode::Own, false), (MacMode::VirtualAdvertsFromOwn, true)] {
        let mut configured = config(Dialect::Vrrp3, 100_000, 0, 100);
        configured.mac = mac;
        let mut election = Election::new(&configured, 5).unwrap();
        election.readiness(Class::Synced);
        election.link(0, true, 0);
        let mut out = [0; MAX_ELECTION_FRAME_BYTES];
        let mut seen = [false; 2];
        for ms in 1..600 {
            election.poll(ms * MS);
            while let Some(frame) = election.flush(&mut out) {
                let is_advert = out[12..14] != [8, 6] && out[if out[14] >> 4 == 4 { 23 } else { 20 }] == 112;
                assert_eq!(out[6..12] != [2, 0, 0, 0, 0, 1], frame.from_virtual_mac);
                seen[usize::from(is_advert)] = true;
                assert_eq!(frame.from_virtual_mac, !is_advert && announces_virtual);
            }
        }
        assert_eq!(seen, [true; 2]);
    }
}

#[test]
fn unicast_members_advertise_to_each_peer_and_accept_only_theirs() {
    let mut configured = config(Dialect::Vrrp3, 100_000, 0, 100);
    configured.members.truncate(1);
    configured.members[0].peers = vec![[10, 0, 0, 2].into(), [10, 0, 0, 3].into()];
    let mut election = Election::new(&configured, 5).unwrap();
    election.readiness(Class::Synced);
    election.link(0, true, 0);
    let mut out = [0; MAX_ELECTION_FRAME_BYTES];
    let mut receivers = Vec::new();
    for ms in 1..430 {
        election.poll(ms * MS);
        while let Some(frame) = election.flush(&mut out) {
            receivers.extend(frame.receiver);
        }
    }
    assert_eq!(receivers[..2], configured.members[0].peers[..]);
    let mut other = node(&config(Dialect::Vrrp3, 100_000, 1, 254), 6);
    (3..6).for_each(|turn| _ = other.poll(turn * 100 * MS));
    let frame = other.flush(&mut out).expect("a multicast advert");
    election.receive((0, 0), &out[..frame.length], 500 * MS);
    assert_eq!(election.counters(0).unwrap().badmode, 1);
    let mut events = core::iter::from_fn(|| election.event_next(0));
    assert!(events.any(|event| event.kind == EventKind::WrongMode));
}

/// A host that sleeps until the time that each call returns.
#[test]
fn a_master_that_is_called_only_when_it_is_due_forwards_without_a_gap() {
    let cases = [
        (Dialect::Vrrp3, 10_000, 100),
        (Dialect::Vrrp3, 1_000_000, 100),
        (Dialect::FreeBsd, 1_000_000, 1),
        (Dialect::OpenBsd, 1_000_000, 254),
        (Dialect::OpenBsd, 100_000, 100),
        (Dialect::OpenBsd, 10_000, 250),
    ];
    for (dialect, interval_us, priority) in cases {
        let mut election = node(&config(dialect, interval_us, 0, priority), 5);
        let (mut now, mut calls) = (MS, 0);
        while now < 60_000 * MS {
            let may_forward = election.forwarding().may_forward(now - 1);
            assert!(
                may_forward || election.status().role == Role::Backup || now < 10_000 * MS,
                "{dialect:?}"
            );
            let due = election.poll(now);
            assert!(due > now);
            (now, calls) = (due, calls + 1);
            // It need not be called much more often than it has something to do.
            assert!(calls < 60_000_000 / interval_us * 2 + 200, "{dialect:?} {interval_us}: {calls}");
        }
        assert_eq!((election.status().role, election.status().late_polls), (Role::Master, 0), "{dialect:?}");
    }
}
