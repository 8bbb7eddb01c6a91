//! Scenarios: what two lanes do with their ends of the rings. Each function runs one in every order, and returns in how many.
//!
//! The main thread is the sync lane, the spawned one the owner. Each turn does what a poll does. `shift` messages have passed
//! before, so that a ring's indexes wrap at every point. Plain atomics of the standard library are visible to both threads at
//! once and add no order: they are the oracle.

use super::aliases::{AliasPlan, Aliases};
use super::channel::channel;
use super::rings::{LaneMessage, RING_CAPACITY, Rings, SyncLaneMessage};
use crate::{Seen, explore};
use loom::sync::atomic::AtomicBool;
use loom::thread;
use pfplane::internals::memory::{Heap, Memory, Owned};
use pfplane::internals::packet::{Be16, Direction, Key};
use pfplane::internals::state::StateId;
use pfplane::internals::sync::{Directory, WalkOrder};
use pfplane::internals::table::{AliasChange, AliasEvent};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// One more than the ring holds, and one after the refused message.
const TURNS: u32 = RING_CAPACITY as u32 + 2;
/// Maximum of preemptions of a thread. The smallest ring runs in every order; with larger ones the longer scenarios have too
/// many.
const PREEMPTIONS: Option<usize> = if RING_CAPACITY == 1 { None } else { Some(2) };
/// Polls of the other lane meanwhile.
const POLLS: u32 = 2;
/// The state that the messages are about.
const STATE: StateId = StateId { id: 7, creator: 1 };

const fn order(generation: u32) -> WalkOrder {
    WalkOrder { peer: 0, generation }
}

/// Connects two lanes, and passes `shift` messages through their rings.
fn lanes(shift: u32) -> (Rings, Rings) {
    let mut rings = Rings::connect(2, Heap::SYSTEM).expect("memory for rings");
    let (mut owner, mut sync) = (rings.pop().expect("lane 1"), rings.pop().expect("lane 0"));
    for n in 0..shift {
        assert!(sync.send_to_lane(1, LaneMessage::Walk(order(n))) && owner.from_sync_lane().is_some());
        assert!(
            owner.send_to_sync_lane(SyncLaneMessage::WalkFinished(order(n))) && sync.from_owner(1).is_some()
        );
    }
    (sync, owner)
}

/// Receives what an owner's poll does: counts what waits, then receives until the ring is empty.
fn poll_owner(owner: &mut Rings, mut each: impl FnMut(u32)) {
    if owner.waiting_from_sync_lane() == 0 {
        return;
    }
    while let Some(LaneMessage::Walk(order)) = owner.from_sync_lane() {
        each(order.generation);
    }
}

/// Receives what the sync lane's poll does.
fn poll_sync_lane(sync: &mut Rings, mut each: impl FnMut(SyncLaneMessage)) {
    for _ in 0..sync.waiting_from_owner(1) {
        each(sync.from_owner(1).expect("a counted message is there"));
    }
}

/// The sync lane sends to an owner and repeats what was refused. A mark passes when everything before it is received.
#[must_use]
pub fn to_owner(shift: u32) -> usize {
    let (full, passed) = (Seen::default(), Seen::default());
    let (full_too, passed_too) = (full.clone(), passed.clone());
    let runs = explore(PREEMPTIONS, move || {
        let (mut sync, mut owner) = lanes(shift);
        let received = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&received);
        let reader = thread::spawn(move || {
            let mut all = Vec::new();
            (0..POLLS).for_each(|_| {
                poll_owner(&mut owner, |n| {
                    counted.fetch_add(1, Ordering::Relaxed);
                    all.push(n);
                });
            });
            (owner, all)
        });
        let (mut next, mut marked) = (0, None);
        for turn in 0..TURNS {
            match sync.send_to_lane(1, LaneMessage::Walk(order(next))) {
                true => next += 1,
                false => full.note(),
            }
            if turn == 0 {
                sync.mark();
                marked = Some(next);
            }
            if sync.mark_passed() {
                passed.note();
                assert!(Some(received.load(Ordering::Relaxed)) >= marked, "the mark passed too early");
            }
        }
        let (mut owner, mut all) = reader.join().expect("the owner");
        poll_owner(&mut owner, |n| all.push(n));
        assert_eq!(all, (0..next).collect::<Vec<_>>(), "in order, none lost, none twice");
        assert_eq!(sync.sent_to(1), shift + next);
        assert!(sync.mark_passed(), "all is received");
    });
    full_too.must("the ring was full");
    passed_too.must("the mark passed while the owner was at work");
    runs
}

/// An owner reports ended states while the ring has space, and repeats a finished walk until it is sent.
#[must_use]
pub fn to_sync_lane(shift: u32) -> usize {
    let (full, refused) = (Seen::default(), Seen::default());
    let (full_too, refused_too) = (full.clone(), refused.clone());
    let runs = explore(PREEMPTIONS, move || {
        let (mut sync, mut owner) = lanes(shift);
        let (full, refused) = (full.clone(), refused.clone());
        let writer = thread::spawn(move || {
            let mut next = 0;
            for turn in 0..TURNS {
                if turn % 2 == 0 {
                    let sent = owner.send_to_sync_lane(SyncLaneMessage::WalkFinished(order(next)));
                    next += u32::from(sent);
                    if !sent {
                        refused.note();
                    }
                } else if owner.has_space_to_sync_lane() {
                    let end = SyncLaneMessage::Ended { id: STATE, applied: next };
                    assert!(owner.send_to_sync_lane(end), "the ring had space");
                    next += 1;
                } else {
                    full.note();
                }
            }
            (owner, next)
        });
        let mut all = Vec::new();
        let mut each = |message: SyncLaneMessage| match message {
            SyncLaneMessage::WalkFinished(order) => all.push(order.generation),
            SyncLaneMessage::Ended { applied, .. } => all.push(applied),
            SyncLaneMessage::Refused(_) | SyncLaneMessage::Answer(_) => {}
        };
        (0..POLLS).for_each(|_| poll_sync_lane(&mut sync, &mut each));
        let (owner, next) = writer.join().expect("the owner");
        poll_sync_lane(&mut sync, &mut each);
        assert_eq!(all, (0..next).collect::<Vec<_>>(), "in order, none lost, none twice");
        assert!(owner.has_space_to_sync_lane(), "all is received");
    });
    full_too.must("the ring was full for an ended state");
    refused_too.must("a finished walk was refused");
    runs
}

/// A state ends at its owner while a peer sends it again: the directory names the owner if and only if it has the state.
#[must_use]
pub fn an_end_crosses_the_state(shift: u32) -> usize {
    let (crossed, ended) = (Seen::default(), Seen::default());
    let (crossed_too, ended_too) = (crossed.clone(), ended.clone());
    let runs = explore(None, move || {
        let (mut sync, mut owner) = lanes(shift);
        let mut directory = Directory::new(4, Heap::SYSTEM).expect("memory for a directory");
        assert!(directory.insert(STATE, 1, sync.sent_to(1)));
        let owner_lane = thread::spawn(move || {
            let (mut applied, mut has) = (shift, true);
            for _ in 0..POLLS {
                poll_owner(&mut owner, |_| (applied, has) = (applied + 1, true));
                if has && owner.has_space_to_sync_lane() {
                    has = false;
                    assert!(owner.send_to_sync_lane(SyncLaneMessage::Ended { id: STATE, applied }));
                }
            }
            (owner, applied, has)
        });
        let mut last_applied = None;
        if sync.send_to_lane(1, LaneMessage::Walk(order(0))) {
            assert!(directory.insert(STATE, 1, sync.sent_to(1)));
        }
        let mut each = |message: SyncLaneMessage| {
            if let SyncLaneMessage::Ended { id, applied } = message {
                directory.remove(id, 1, applied);
                last_applied = Some(applied);
            }
        };
        poll_sync_lane(&mut sync, &mut each);
        let (mut owner, _, mut has) = owner_lane.join().expect("the owner");
        poll_owner(&mut owner, |_| has = true);
        poll_sync_lane(&mut sync, &mut each);
        assert_eq!(directory.owner(STATE), has.then_some(1), "the directory and the owner");
        match has {
            true => crossed.note(),
            false => ended.note(),
        }
    });
    crossed_too.must("the end was reported before the state arrived");
    ended_too.must("the state ended after it arrived");
    runs
}

/// A reader that pops without counting first, while the writer sends more than fits.
#[must_use]
pub fn popped_uncounted(shift: u32) -> usize {
    explore(PREEMPTIONS, move || {
        let (mut to, mut from) = channel(Heap::SYSTEM, "a ring", RING_CAPACITY).expect("memory for a ring");
        for _ in 0..shift {
            assert!(to.push(u32::MAX) && from.pop().is_some());
        }
        let writer = thread::spawn(move || (0..TURNS).filter(|n| to.push(*n)).collect::<Vec<_>>());
        let mut received: Vec<u32> = (0..POLLS).filter_map(|_| from.pop()).collect();
        let sent = writer.join().expect("the writer");
        received.extend(std::iter::from_fn(|| from.pop()));
        assert_eq!(received, sent, "each message once and in order");
    })
}

/// Connects the aliases of two lanes, and passes `shift` changes from lane 0 to lane 1.
fn alias_lanes(shift: u32) -> (Owned<Aliases>, Owned<Aliases>) {
    let plan = AliasPlan { lanes: 2, capacity: 8, secret: [1, 2, 3, 4], memory: &Memory::SYSTEM };
    let mut all = Aliases::connect(&plan, |_| -1).expect("memory for two lanes");
    let (mut receiver, mut sender) = (all.pop().expect("lane 1"), all.pop().expect("lane 0"));
    for _ in 0..shift {
        assert!(sender.send(&alias(0, true)));
        receive(&mut receiver);
    }
    (sender, receiver)
}

/// Receives changes as a lane does.
fn receive(aliases: &mut Aliases) {
    if aliases.has_news() {
        aliases.receive(|_, _| false);
    }
}

fn alias(port: u16, is_new: bool) -> AliasChange {
    let key = Key { port: [Be16::new(port); 2], ..Key::EMPTY };
    let event = if is_new { AliasEvent::Created } else { AliasEvent::Removed };
    AliasChange { key, direction: Direction::Out, lane: 1, event }
}

/// A lane sends the key of a translated state, then the packet leaves: the reply never overtakes the key.
#[must_use]
pub fn reply_after_its_alias(shift: u32) -> usize {
    let (replied, early) = (Seen::default(), Seen::default());
    let (replied_too, early_too) = (replied.clone(), early.clone());
    let runs = explore(None, move || {
        let (mut sender, mut receiver) = alias_lanes(shift);
        let packet = Arc::new(AtomicBool::new(false));
        let reply = Arc::clone(&packet);
        let other = thread::spawn(move || {
            assert!(sender.send(&alias(9, true)));
            packet.store(true, Ordering::Release);
        });
        for _ in 0..POLLS {
            let has_reply = reply.load(Ordering::Acquire);
            receive(&mut receiver);
            match (has_reply, receiver.find(&alias(9, true).key, Direction::Out)) {
                (true, owner) => {
                    assert_eq!(owner, Some(0), "the reply overtook its alias");
                    replied.note();
                }
                (false, None) => early.note(),
                (false, Some(_)) => {}
            }
        }
        other.join().expect("the sender");
    });
    replied_too.must("the reply arrived after the alias");
    early_too.must("the receiver polled before the key was sent");
    runs
}

/// Changes are sent while the other lane polls: it knows all that were sent after its next poll, without another ring of the
/// bell, and the sender knows which ones did not fit.
#[must_use]
pub fn sent_is_received(shift: u32) -> usize {
    let full = Seen::default();
    let full_too = full.clone();
    let runs = explore(PREEMPTIONS, move || {
        let (mut sender, mut receiver) = alias_lanes(shift);
        let full = full.clone();
        let other = thread::spawn(move || {
            let mut sent = Vec::new();
            for port in 1..=TURNS as u16 {
                let has_space = sender.has_space(1);
                let is_sent = sender.send(&alias(port, true));
                assert!(is_sent || !has_space, "the ring had space");
                sent.push((port, is_sent));
                if !is_sent {
                    full.note();
                }
            }
            sent
        });
        (0..POLLS).for_each(|_| receive(&mut receiver));
        let sent = other.join().expect("the sender");
        receive(&mut receiver);
        for (port, is_sent) in sent {
            let owner = receiver.find(&alias(port, true).key, Direction::Out);
            assert_eq!(owner, is_sent.then_some(0), "sent, but not received");
        }
    });
    full_too.must("a ring was full");
    runs
}
