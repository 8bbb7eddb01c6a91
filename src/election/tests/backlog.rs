//! A node that was paused receives the adverts of the whole pause at once.

use super::adverts::{MS, config, node};
use crate::election::{Dialect, Election, MAX_ELECTION_FRAME_BYTES, Role};

/// Lets `from` send what is due and `to`, if given, receive it.
fn exchange(from: &mut Election, to: Option<&mut Election>, now: u64) -> Vec<Vec<u8>> {
    let mut sent = Vec::new();
    from.poll(now);
    let mut out = [0; MAX_ELECTION_FRAME_BYTES];
    while let Some(frame) = from.flush(&mut out) {
        sent.push(out[..frame.length].to_vec());
    }
    if let Some(to) = to {
        for frame in &sent {
            to.receive((0, 0), frame, now);
        }
    }
    sent
}

#[test]
fn a_backup_that_was_paused_reads_its_backlog_and_stays_backup() {
    let mut master = node(&config(Dialect::Vrrp3, 10_000, 0, 200), 5);
    let mut backup = node(&config(Dialect::Vrrp3, 10_000, 1, 100), 6);
    let mut now = 100 * MS;
    let mut queue = Vec::new();
    // The backup is paused for five seconds after the first one.
    for _ in 0..600 {
        now += 10 * MS;
        let is_paused = now > 1000 * MS;
        let sent = exchange(&mut master, (!is_paused).then_some(&mut backup), now);
        queue.extend(sent.into_iter().filter(|_| is_paused));
        if !is_paused {
            backup.poll(now);
        }
    }
    assert_eq!((master.status().role, backup.status().role), (Role::Master, Role::Backup));
    for frame in &queue {
        backup.receive((0, 0), frame, now);
    }
    backup.poll(now);
    for _ in 0..200 {
        now += 5 * MS;
        exchange(&mut master, Some(&mut backup), now);
        backup.poll(now);
        assert_eq!(backup.status().role, Role::Backup, "beside a live master");
    }
    let counters = backup.counters(0).expect("a member");
    assert_eq!(counters.adverts_limited, 0);
}

/// The host was stopped after it had read all frames and before it polled: the next ones wait unread.
#[test]
fn a_backup_that_was_paused_between_receive_and_poll_reads_before_it_takes_over() {
    let mut master = node(&config(Dialect::Vrrp3, 10_000, 0, 100), 5);
    let mut backup = node(&config(Dialect::Vrrp3, 10_000, 1, 200), 6);
    let mut now = 100 * MS;
    for _ in 0..50 {
        now += 10 * MS;
        exchange(&mut master, Some(&mut backup), now);
        backup.poll(now);
    }
    assert_eq!((master.status().role, backup.status().role), (Role::Master, Role::Backup));
    let queue: Vec<_> = (0..50)
        .flat_map(|_| {
            now += 10 * MS;
            exchange(&mut master, None, now)
        })
        .collect();
    assert!(exchange(&mut backup, None, now).is_empty(), "it speaks before it has read");
    for frame in &queue {
        backup.receive((0, 0), frame, now);
    }
    for _ in 0..100 {
        now += 5 * MS;
        exchange(&mut master, Some(&mut backup), now);
        backup.poll(now);
    }
    assert_eq!((backup.status().role, backup.status().role_changes), (Role::Backup, 1));
    // The master dies: the pause before does not count any more.
    let died = now;
    while backup.status().role == Role::Backup {
        now += MS;
        backup.poll(now);
    }
    assert!(now - died <= 33 * MS, "{}", now - died);
}

/// A host exchanges hellos before it polls.
#[test]
fn a_master_that_was_paused_says_in_its_hello_that_it_listens() {
    let mut master = node(&config(Dialect::Vrrp3, 10_000, 0, 200), 5);
    let mut now = 100 * MS;
    while master.status().role != Role::Master {
        now += 5 * MS;
        exchange(&mut master, None, now);
    }
    assert_eq!(master.hello(now).map(|hello| hello.role), Some(Role::Master));
    now += 3000 * MS;
    assert_eq!(master.hello(now).map(|hello| hello.role), Some(Role::Listen), "another node may be master");
}
