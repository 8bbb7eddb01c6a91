//! What two lanes do with their ends of the rings. Each function runs one scenario in every order and says in how many.
//!
//! The main thread is the sync lane, the spawned one the owner. An owner's or the sync lane's turn is what its poll does.
//! `shift` messages have passed before, so that a ring's places wrap at every point. Plain atomics of the standard library
//! are seen by both threads at once and add no order: they are the oracle.

use super::aliases::{AliasPlan, Aliases};
use super::rings::{LaneMessage, RING_CAPACITY, Rings, SyncLaneMessage};
use super::rtrb::RingBuffer;
use crate::{Seen, explore};
use loom::sync::atomic::AtomicBool;
use loom::thread;

use pfplane::internals::memory::Memory;
use pfplane::internals::packet::{Be16, Direction, Key};
use pfplane::internals::state::StateId;
use pfplane::internals::sync::{Directory, WalkOrder};
use pfplane::internals::table::AliasChange;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// One more than the ring holds, and one that follows a refused one.
const TURNS: u32 = RING_CAPACITY as u32 + 2;
/// The smallest ring is tried in every order. In the larger ones the longer scenarios have more than can be tried: there a
/// thread is interrupted so many times at most.
const PREEMPTIONS: Option<usize> = if RING_CAPACITY == 1 { None } else { Some(2) };
/// The owner's polls beside them.
const POLLS: u32 = 2;
/// The state that both lanes have to do with.
const STATE: StateId = StateId { id: 7, creator: 1 };

const fn order(generation: u32) -> WalkOrder {
    WalkOrder { peer: 0, generation }
}

/// Two lanes whose rings `shift` messages have passed through.
fn lanes(shift: u32) -> (Rings, Rings) {
    let mut rings = Rings::connect(2);
    let (mut owner, mut sync) = (rings.pop().expect("lane 1"), rings.pop().expect("lane 0"));
    for n in 0..shift {
        assert!(sync.send_to_lane(1, LaneMessage::Walk(order(n))) && owner.from_sync_lane().is_some());
        assert!(
            owner.send_to_sync_lane(SyncLaneMessage::WalkFinished(order(n))) && sync.from_owner(1).is_some()
        );
    }
    (sync, owner)
}

/// An owner's look into its ring, as in a poll: what waits is counted, then taken until there is none.
fn poll_owner(owner: &mut Rings, mut each: impl FnMut(u32)) {
    if owner.waiting_from_sync_lane() == 0 {
        return;
    }
    while let Some(LaneMessage::Walk(order)) = owner.from_sync_lane() {
        each(order.generation);
    }
}

/// The sync lane's look into a ring.
fn poll_sync_lane(sync: &mut Rings, mut each: impl FnMut(SyncLaneMessage)) {
    for _ in 0..sync.waiting_from_owner(1) {
        each(sync.from_owner(1).expect("what was counted is there"));
    }
}

/// The sync lane tells an owner, keeps what was refused and says it again; a mark passes when all before it is taken.
#[must_use]
pub fn to_owner(shift: u32) -> usize {
    let (full, passed) = (Seen::default(), Seen::default());
    let (full_too, passed_too) = (full.clone(), passed.clone());
    let runs = explore(PREEMPTIONS, move || {
        let (mut sync, mut owner) = lanes(shift);
        let taken = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&taken);
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
                assert!(Some(taken.load(Ordering::Relaxed)) >= marked, "the mark passed too early");
            }
        }
        let (mut owner, mut all) = reader.join().expect("the owner");
        poll_owner(&mut owner, |n| all.push(n));
        assert_eq!(all, (0..next).collect::<Vec<_>>(), "in order, none lost, none twice");
        assert_eq!(sync.sent_to(1), shift + next);
        assert!(sync.mark_passed(), "all is taken");
    });
    full_too.must("the ring was full");
    passed_too.must("the mark passed while the owner was at work");
    runs
}

/// An owner tells the sync lane of ends while there is room, and of a finished walk until it is told.
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
                    let told = owner.send_to_sync_lane(SyncLaneMessage::WalkFinished(order(next)));
                    next += u32::from(told);
                    if !told {
                        refused.note();
                    }
                } else if owner.has_space_to_sync_lane() {
                    let end = SyncLaneMessage::Ended { id: STATE, applied: next };
                    assert!(owner.send_to_sync_lane(end), "there was room");
                    next += 1;
                } else {
                    full.note();
                }
            }
            (owner, next)
        });
        let mut all = Vec::new();
        let mut each = |mail: SyncLaneMessage| match mail {
            SyncLaneMessage::WalkFinished(order) => all.push(order.generation),
            SyncLaneMessage::Ended { applied, .. } => all.push(applied),
        };
        (0..POLLS).for_each(|_| poll_sync_lane(&mut sync, &mut each));
        let (owner, next) = writer.join().expect("the owner");
        poll_sync_lane(&mut sync, &mut each);
        assert_eq!(all, (0..next).collect::<Vec<_>>(), "in order, none lost, none twice");
        assert!(owner.has_space_to_sync_lane(), "all is taken");
    });
    full_too.must("an end found no room");
    refused_too.must("a finished walk was refused");
    runs
}

/// A state ends at its owner just as a peer tells of it again: the directory names the owner if and only if it has the state.
#[must_use]
pub fn an_end_crosses_the_state(shift: u32) -> usize {
    let (crossed, ended) = (Seen::default(), Seen::default());
    let (crossed_too, ended_too) = (crossed.clone(), ended.clone());
    let runs = explore(None, move || {
        let (mut sync, mut owner) = lanes(shift);
        let mut directory = Directory::new(4);
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
        let mut each = |mail: SyncLaneMessage| {
            if let SyncLaneMessage::Ended { id, applied } = mail {
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
    crossed_too.must("the end was told before the state was heard of");
    ended_too.must("the state ended after it was heard of");
    runs
}

/// Counts its drops.
#[derive(Debug)]
struct Token(Arc<AtomicU32>);

impl Drop for Token {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Both ends of a ring close while messages are in it: each message is dropped once, whoever closes last.
#[must_use]
pub fn closing(shift: u32) -> usize {
    explore(None, move || {
        let drops = Arc::new(AtomicU32::new(0));
        let (mut to, mut from) = RingBuffer::new(RING_CAPACITY);
        for _ in 0..shift {
            assert!(to.push(Token(Arc::default())).is_ok() && from.pop().is_ok());
        }
        let counted = Arc::clone(&drops);
        let writer = thread::spawn(move || (0..TURNS).for_each(|_| _ = to.push(Token(Arc::clone(&counted)))));
        drop(from.pop());
        drop(from);
        writer.join().expect("the writer");
        assert_eq!(drops.load(Ordering::Relaxed), TURNS, "each message once");
    })
}

/// The aliases of two lanes, lane 0 first, with `shift` changes told and heard.
fn alias_lanes(shift: u32) -> (Box<Aliases>, Box<Aliases>) {
    let plan = AliasPlan { lanes: 2, capacity: 8, secret: [1, 2, 3, 4], memory: &Memory::SYSTEM };
    let mut all = Aliases::connect(&plan, |_| -1).expect("memory for two lanes");
    let (mut listener, mut teller) = (all.pop().expect("lane 1"), all.pop().expect("lane 0"));
    for _ in 0..shift {
        assert!(teller.send(&alias(0, true)));
        listener.receive();
    }
    (teller, listener)
}

fn alias(port: u16, is_new: bool) -> AliasChange {
    let key = Key { port: [Be16::new(port); 2], ..Key::EMPTY };
    AliasChange { key, direction: Direction::Out, lane: 1, is_new }
}

/// A translated state's lane tells the other one its key, then its packet leaves: the answer never overtakes the key.
#[must_use]
pub fn an_answer_after_its_alias(shift: u32) -> usize {
    let (answered, early) = (Seen::default(), Seen::default());
    let (answered_too, early_too) = (answered.clone(), early.clone());
    let runs = explore(None, move || {
        let (mut teller, mut listener) = alias_lanes(shift);
        let packet = Arc::new(AtomicBool::new(false));
        let answer = Arc::clone(&packet);
        let other = thread::spawn(move || {
            assert!(teller.send(&alias(9, true)));
            packet.store(true, Ordering::Release);
        });
        for _ in 0..POLLS {
            let is_answered = answer.load(Ordering::Acquire);
            listener.receive();
            match (is_answered, listener.find(&alias(9, true).key, Direction::Out)) {
                (true, owner) => {
                    assert_eq!(owner, Some(0), "the answer overtook its alias");
                    answered.note();
                }
                (false, None) => early.note(),
                (false, Some(_)) => {}
            }
        }
        other.join().expect("the teller");
    });
    answered_too.must("the answer came in time");
    early_too.must("the listener looked before the key was told");
    runs
}

/// Changes that are told while the other lane listens: those that were told are known after its next look, without another
/// ring of the bell, and those that found no room are known to the teller.
#[must_use]
pub fn told_is_heard(shift: u32) -> usize {
    let full = Seen::default();
    let full_too = full.clone();
    let runs = explore(PREEMPTIONS, move || {
        let (mut teller, mut listener) = alias_lanes(shift);
        let full = full.clone();
        let other = thread::spawn(move || {
            let mut told = Vec::new();
            for port in 1..=TURNS as u16 {
                let has_room = teller.has_space(1);
                let is_told = teller.send(&alias(port, true));
                assert!(is_told || !has_room, "there was room");
                told.push((port, is_told));
                if !is_told {
                    full.note();
                }
            }
            told
        });
        (0..POLLS).for_each(|_| listener.receive());
        let told = other.join().expect("the teller");
        listener.receive();
        for (port, is_told) in told {
            let owner = listener.find(&alias(port, true).key, Direction::Out);
            assert_eq!(owner, is_told.then_some(0), "told, but not heard");
        }
    });
    full_too.must("a ring was full");
    runs
}
