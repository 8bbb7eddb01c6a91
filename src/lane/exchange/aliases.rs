//! Aliases: keys that steer to one lane but belong to a translated state of another.
//!
//! ```text
//!  lane A creates a translated state        lane B, which the state's other key steers to
//!    send (key, A) through the ring A -> B    bell has rung: receive from all rings -> alias table
//!    then the packet leaves                   the reply arrives: no state, but an alias -> hand off to A
//! ```
//!
//! The change is in the ring before the packet's verdict is given, and B empties its rings before it looks packets up. So
//! a reply never overtakes its alias. The bell is one number for each lane, so that checking for news costs one load.

use crate::error::Error;
use crate::memory::{Consumer, Counted, Heap, List, Memory, Owned, Producer, channel, channel_bytes};
use crate::packet::{Direction, Key};
use crate::table::{AliasChange, AliasEvent, AliasTable};
use std::sync::atomic::{AtomicU32, Ordering};

/// A key that a lane has gained or lost.
#[derive(Clone, Copy, Debug)]
struct AliasMessage {
    key: Key,
    direction: Direction,
    event: AliasEvent,
}

/// Messages that all rings to one lane hold together.
const TOTAL_CAPACITY: usize = 8192;
const MIN_CAPACITY: usize = 64;

/// Counts the messages sent to a lane. Each has a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Bell(AtomicU32);

/// Returns what a ring between two of `lanes` lanes holds.
const fn ring_capacity(lanes: usize) -> usize {
    let share = TOTAL_CAPACITY / lanes;
    if share > MIN_CAPACITY { share } else { MIN_CAPACITY }
}

/// The aliases that one lane knows, and its ends of the rings.
pub struct Aliases {
    index: u16,
    table: AliasTable,
    /// By lane; none to the lane itself.
    to: List<Option<Producer<AliasMessage>>>,
    from: List<Option<Consumer<AliasMessage>>>,
    bells: Counted<List<Bell>>,
    /// The bell's value at the last [`Self::receive`].
    bell_seen: u32,
    /// Aliases that did not fit into the table, or whose key another lane's state has.
    pub refused: u64,
}

/// What [`Aliases::connect`] builds.
pub struct AliasPlan<'a> {
    /// Number of lanes.
    pub lanes: u16,
    /// Aliases that each lane can know.
    pub capacity: u32,
    /// See [`AliasTable::new`].
    pub secret: [u64; 4],
    /// Where the tables live.
    pub memory: &'a Memory,
}

/// When [`Aliases::receive`] passes on a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AliasStep {
    /// Before it is applied: the answer says whether the key is refused.
    Check,
    /// After it was applied.
    Applied,
}

impl Aliases {
    /// Connects the lanes. Returns the aliases of each, in order; `socket` gives its NUMA node.
    ///
    /// # Errors
    /// As [`AliasTable::new`].
    pub fn connect(plan: &AliasPlan<'_>, socket: impl Fn(u16) -> i32) -> Result<List<Owned<Self>>, Error> {
        const WHAT: &str = "aliases";
        let (lanes, heap) = (usize::from(plan.lanes), Heap::new(*plan.memory, -1));
        let bells = heap.list_of(WHAT, lanes, |_| Bell::default())?;
        let bells = Counted::new(heap, WHAT, bells)?;
        let mut all: List<Owned<Self>> = heap.list(WHAT, lanes)?;
        for index in 0..plan.lanes {
            let table = AliasTable::new(plan.capacity, plan.secret, plan.memory, socket(index))?;
            let (to, from) = (heap.list_of(WHAT, lanes, |_| None)?, heap.list_of(WHAT, lanes, |_| None)?);
            let bells = bells.clone();
            all.push(heap.owned(WHAT, Self { index, table, to, from, bells, bell_seen: 0, refused: 0 })?);
        }
        let capacity = ring_capacity(lanes);
        for one in 0..lanes {
            for other in (0..lanes).filter(|other| *other != one) {
                let (producer, consumer) = channel(heap, WHAT, capacity)?;
                all[one].to[other] = Some(producer);
                all[other].from[one] = Some(consumer);
            }
        }
        Ok(all)
    }

    /// Returns the bytes that [`Self::connect`] allocates.
    #[must_use]
    pub const fn memory_needed(lanes: u16, capacity: u32) -> usize {
        let lanes = lanes as usize;
        let ends = size_of::<Option<Producer<AliasMessage>>>() + size_of::<Option<Consumer<AliasMessage>>>();
        let of_lane = AliasTable::memory_needed(capacity)
            + size_of::<Self>()
            + size_of::<Owned<Self>>()
            + size_of::<Bell>()
            + lanes * ends
            + (lanes - 1) * channel_bytes::<AliasMessage>(ring_capacity(lanes));
        lanes * of_lane + Counted::<List<Bell>>::bytes()
    }

    /// Returns the lane that owns a key, if it is another one. Cost: nothing while there are no aliases.
    #[inline]
    #[must_use]
    pub fn find(&self, key: &Key, direction: Direction) -> Option<u16> {
        self.table.find(key, direction).filter(|lane| *lane != self.index)
    }

    /// Returns whether a change can be sent to `lane` now.
    #[must_use]
    pub fn has_space(&self, lane: u16) -> bool {
        let ring = self.to.get(usize::from(lane)).and_then(Option::as_ref);
        ring.is_some_and(|ring| ring.free() > 0)
    }

    /// Sends a change to the lane that it concerns. Returns false if the ring is full.
    #[must_use]
    pub fn send(&mut self, change: &AliasChange) -> bool {
        let AliasChange { key, direction, lane, event } = *change;
        let index = usize::from(lane);
        let Some(Some(ring)) = self.to.get_mut(index) else { return false };
        let sent = ring.push(AliasMessage { key, direction, event });
        if sent && let Some(Bell(bell)) = self.bells.get(index) {
            bell.fetch_add(1, Ordering::Release);
        }
        sent
    }

    /// Returns whether other lanes sent changes since the last [`Self::receive`]. Cost: one load.
    #[inline]
    #[must_use]
    pub(crate) fn has_news(&self) -> bool {
        self.rung() != self.bell_seen
    }

    #[inline]
    fn rung(&self) -> u32 {
        self.bells.get(usize::from(self.index)).map_or(0, |Bell(bell)| bell.load(Ordering::Acquire))
    }

    /// Receives the other lanes' changes, and passes each to `changed` twice: first to ask whether the key is refused because
    /// a state of this lane has it, and then, when the change was applied.
    #[cold]
    pub(crate) fn receive(&mut self, mut changed: impl FnMut(AliasStep, &AliasChange) -> bool) {
        self.bell_seen = self.rung();
        for lane in 0..self.from.len() {
            let waiting = self.from[lane].as_ref().map_or(0, Consumer::waiting);
            // Whatever is sent from now on rings the bell again.
            for _ in 0..waiting {
                let Some(AliasMessage { key, direction, event }) =
                    self.from[lane].as_mut().and_then(Consumer::pop)
                else {
                    break;
                };
                let change = AliasChange { key, direction, lane: lane as u16, event };
                let is_refused = changed(AliasStep::Check, &change) || !self.apply(&change);
                if !is_refused {
                    changed(AliasStep::Applied, &change);
                }
                // Another lane's state may have the key that a state has lost.
                self.refused += u64::from(is_refused && event != AliasEvent::Removed);
                if is_refused && event == AliasEvent::Imported {
                    let _ = self.send(&AliasChange { event: AliasEvent::Refused, ..change });
                }
            }
        }
    }

    /// Applies a change of another lane. Returns false if the key is refused.
    fn apply(&mut self, change: &AliasChange) -> bool {
        let AliasChange { ref key, direction, lane, event } = *change;
        let owner = self.table.find(key, direction);
        match event {
            AliasEvent::Created => self.table.insert(key, direction, lane),
            // A peer's state does not take the replies of another one.
            AliasEvent::Imported => {
                owner.is_none_or(|owner| owner == lane) && self.table.insert(key, direction, lane)
            }
            AliasEvent::Removed => owner == Some(lane) && self.table.remove(key, direction),
            AliasEvent::Refused => true,
        }
    }

    /// Returns the number of aliases.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.table.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> [Owned<Aliases>; 2] {
        let plan = AliasPlan { lanes: 2, capacity: 16, secret: [1, 2, 3, 4], memory: &Memory::SYSTEM };
        let mut all = Aliases::connect(&plan, |_| -1).unwrap().into_iter();
        core::array::from_fn(|_| all.next().expect("two lanes"))
    }

    fn change(port: u16, is_new: bool) -> AliasChange {
        let event = if is_new { AliasEvent::Created } else { AliasEvent::Removed };
        let key = Key { port: [crate::packet::Be16::new(port); 2], ..Key::EMPTY };
        AliasChange { key, direction: Direction::Out, lane: 1, event }
    }

    #[test]
    fn a_sent_alias_is_known_after_receive() {
        let [mut a, mut b] = pair();
        assert!(a.send(&change(7, true)));
        assert_eq!(b.find(&change(7, true).key, Direction::Out), None);
        b.receive(|_, _| false);
        assert_eq!(b.find(&change(7, true).key, Direction::Out), Some(0));
        assert_eq!(b.find(&change(7, true).key, Direction::In), None);
        assert!(a.send(&change(7, false)));
        b.receive(|_, _| false);
        assert_eq!((b.find(&change(7, true).key, Direction::Out), b.count()), (None, 0));
    }

    #[test]
    fn a_full_ring_refuses_and_a_full_table_counts() {
        let [mut a, mut b] = pair();
        let sent = (0..10_000).filter(|&port| a.send(&change(port, true))).count();
        assert_eq!(sent, TOTAL_CAPACITY / 2);
        assert!(!a.has_space(1));
        b.receive(|_, _| false);
        assert_eq!(u64::from(b.count()) + b.refused, sent as u64);
        assert!(a.has_space(1));
    }

    #[test]
    fn a_lane_cannot_remove_the_alias_of_another_lane() {
        let plan = AliasPlan { lanes: 3, capacity: 16, secret: [1, 2, 3, 4], memory: &Memory::SYSTEM };
        let mut all = Aliases::connect(&plan, |_| -1).unwrap();
        for (lane, is_new) in [(0, true), (2, true), (0, false)] {
            assert!(all[lane].send(&change(7, is_new)));
            all[1].receive(|_, _| false);
        }
        assert_eq!(all[1].find(&change(7, true).key, Direction::Out), Some(2));
    }
}
