//! Which lane owns a key that steers here, told by one lane to another without waiting.
//!
//! ```text
//!  lane A makes a translated state          lane B, which the state's other key steers to
//!    push (key, A) to the ring A -> B  ...    bell rings: take all rings  ->  alias table
//!    then the packet leaves                   the answer comes: no state, alias -> hand off to A
//! ```
//!
//! The change is in the ring before the packet's verdict is given, and B empties its rings before it looks packets up. So
//! an answer never overtakes it. The bell is one number for each lane, so that an idle look costs one load.

use crate::error::Error;
use crate::memory::Memory;
use crate::packet::{Direction, Key};
use crate::table::{AliasChange, AliasTable};
use rtrb::{Consumer, Producer, RingBuffer};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// One key that a lane has, or has no more.
#[derive(Clone, Copy, Debug)]
struct Mail {
    key: Key,
    direction: Direction,
    is_new: bool,
}

/// Messages that all rings to one lane hold together.
const ROOM: usize = 8192;
const MIN_ROOM: usize = 64;

/// Rung by everybody who has written to a lane. Each has a line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Bell(AtomicU32);

/// A lane's aliases, and its ends of the rings.
pub struct Aliases {
    index: u16,
    table: AliasTable,
    /// By lane; none to itself.
    to: Vec<Option<Producer<Mail>>>,
    from: Vec<Option<Consumer<Mail>>>,
    bells: Arc<[Bell]>,
    heard: u32,
    /// Aliases that found no room.
    pub refused: u64,
}

/// What the lanes' aliases are made of.
pub struct AliasPlan<'a> {
    /// Lanes.
    pub lanes: u16,
    /// Aliases that fit into each.
    pub capacity: u32,
    /// See [`AliasTable::new`].
    pub secret: [u64; 4],
    /// Where they live.
    pub memory: &'a Memory,
}

impl Aliases {
    /// Those of all lanes, in order. `socket` gives the NUMA node of each.
    ///
    /// # Errors
    /// As [`AliasTable::new`].
    pub fn mesh(plan: &AliasPlan<'_>, socket: impl Fn(u16) -> i32) -> Result<Vec<Box<Self>>, Error> {
        let lanes = usize::from(plan.lanes);
        let bells: Arc<[Bell]> = (0..lanes).map(|_| Bell::default()).collect();
        let mut all = Vec::with_capacity(lanes);
        for index in 0..plan.lanes {
            let table = AliasTable::new(plan.capacity, plan.secret, plan.memory, socket(index))?;
            let (to, from) = ((0..lanes).map(|_| None).collect(), (0..lanes).map(|_| None).collect());
            let bells = Arc::clone(&bells);
            all.push(Box::new(Self { index, table, to, from, bells, heard: 0, refused: 0 }));
        }
        let room = (ROOM / lanes.max(1)).max(MIN_ROOM);
        for one in 0..lanes {
            for other in (0..lanes).filter(|other| *other != one) {
                let (producer, consumer) = RingBuffer::new(room);
                all[one].to[other] = Some(producer);
                all[other].from[one] = Some(consumer);
            }
        }
        Ok(all)
    }

    /// The lane that owns a key, where it is another one. Cost: nothing while there are no aliases.
    #[inline]
    #[must_use]
    pub fn find(&self, key: &Key, direction: Direction) -> Option<u16> {
        self.table.find(key, direction).filter(|lane| *lane != self.index)
    }

    /// Whether `lane` can be told something now.
    #[must_use]
    pub fn has_room(&self, lane: u16) -> bool {
        let ring = self.to.get(usize::from(lane)).and_then(Option::as_ref);
        ring.is_some_and(|ring| ring.slots() > 0)
    }

    /// Tells a lane. False when its ring is full.
    #[must_use]
    pub fn tell(&mut self, change: &AliasChange) -> bool {
        let AliasChange { key, direction, lane, is_new } = *change;
        let place = usize::from(lane);
        let Some(Some(ring)) = self.to.get_mut(place) else { return false };
        let told = ring.push(Mail { key, direction, is_new }).is_ok();
        if told && let Some(Bell(bell)) = self.bells.get(place) {
            bell.fetch_add(1, Ordering::Release);
        }
        told
    }

    /// Takes what the other lanes have told. Cost: one load when there is nothing.
    #[inline]
    pub fn listen(&mut self) {
        let rung =
            self.bells.get(usize::from(self.index)).map_or(0, |Bell(bell)| bell.load(Ordering::Acquire));
        if rung != self.heard {
            self.heard = rung;
            self.take_all();
        }
    }

    #[cold]
    fn take_all(&mut self) {
        for (lane, ring) in self.from.iter_mut().enumerate() {
            let Some(ring) = ring else { continue };
            // What is written from now on rings again.
            for _ in 0..ring.slots() {
                let Ok(mail) = ring.pop() else { break };
                let lane = lane as u16;
                if mail.is_new {
                    self.refused += u64::from(!self.table.insert(&mail.key, mail.direction, lane));
                } else if self.table.find(&mail.key, mail.direction) == Some(lane) {
                    self.table.remove(&mail.key, mail.direction);
                }
            }
        }
    }

    /// Aliases now.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.table.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> [Box<Aliases>; 2] {
        let plan = AliasPlan { lanes: 2, capacity: 16, secret: [1, 2, 3, 4], memory: &Memory::SYSTEM };
        Aliases::mesh(&plan, |_| -1).unwrap().try_into().ok().expect("two lanes")
    }

    fn change(port: u16, is_new: bool) -> AliasChange {
        let key = Key { port: [crate::packet::Be16::new(port); 2], ..Key::EMPTY };
        AliasChange { key, direction: Direction::Out, lane: 1, is_new }
    }

    #[test]
    fn what_one_lane_tells_the_other_knows_when_it_listens() {
        let [mut a, mut b] = pair();
        assert!(a.tell(&change(7, true)));
        assert_eq!(b.find(&change(7, true).key, Direction::Out), None);
        b.listen();
        assert_eq!(b.find(&change(7, true).key, Direction::Out), Some(0));
        assert_eq!(b.find(&change(7, true).key, Direction::In), None);
        assert!(a.tell(&change(7, false)));
        b.listen();
        assert_eq!((b.find(&change(7, true).key, Direction::Out), b.count()), (None, 0));
    }

    #[test]
    fn a_full_ring_and_a_full_table_lose_nothing_silently() {
        let [mut a, mut b] = pair();
        let told = (0..10_000).filter(|&port| a.tell(&change(port, true))).count();
        assert_eq!(told, ROOM / 2);
        assert!(!a.has_room(1));
        b.listen();
        assert_eq!(u64::from(b.count()) + b.refused, told as u64);
        assert!(a.has_room(1));
    }

    #[test]
    fn a_lane_cannot_take_back_what_another_one_has_now() {
        let plan = AliasPlan { lanes: 3, capacity: 16, secret: [1, 2, 3, 4], memory: &Memory::SYSTEM };
        let mut all = Aliases::mesh(&plan, |_| -1).unwrap();
        for (lane, is_new) in [(0, true), (2, true), (0, false)] {
            assert!(all[lane].tell(&change(7, is_new)));
            all[1].listen();
        }
        assert_eq!(all[1].find(&change(7, true).key, Direction::Out), Some(2));
    }
}
