//! Defer: the first packets of a new state are held until a peer has the state, so that no answer can come to a node that
//! does not know the question (protocol 6.6).
//!
//! The packets are the host's: what is kept here is a number that the host gave for each, its handle. A handle goes back
//! in every case: on an acknowledgement, on any update of a peer (FreeBSD drops the packet then; OpenBSD does not), when
//! the state ends, after the delay, when too many are held, and when the host gives up.

use super::Exporter;
use crate::state::LocalFlags;
use crate::sync::store::Store;
use crate::table::Slot;
use crate::time::Nanos;
use std::collections::VecDeque;

/// Whether and how first packets are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defer {
    /// How long a packet is held at most; 0: none is held.
    pub delay: Nanos,
    /// States whose packets are held at once. With one more, the oldest one's go.
    pub max_states: u32,
}

impl Default for Defer {
    /// Off. When it is switched on: pf's bound.
    fn default() -> Self {
        Self { delay: 0, max_states: 128 }
    }
}

/// pf's delay.
pub const PF_DELAY: Nanos = 20_000_000;

/// Packets that one state may have held: the first one and those behind it.
const PACKETS_A_STATE: usize = 4;

/// A state whose packets are held, or one more packet of such a state.
#[derive(Clone, Copy, Debug)]
struct Entry {
    slot: Slot,
    until: Nanos,
    handle: Option<u64>,
}

/// There is no room for a handle: the packet goes now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotHeld;

/// The held packets of a lane. All memory is had at creation.
#[derive(Debug, Default)]
pub(super) struct Held {
    delay: Nanos,
    max_states: usize,
    max_packets: usize,
    states: usize,
    /// In the order in which they came.
    waiting: VecDeque<Entry>,
    /// To be sent by the host, in this order.
    ready: VecDeque<u64>,
}

impl Held {
    pub fn new(defer: Defer) -> Self {
        let max_states = if defer.delay == 0 { 0 } else { defer.max_states as usize };
        let max_packets = max_states * PACKETS_A_STATE;
        Self {
            delay: defer.delay,
            max_states,
            max_packets,
            states: 0,
            waiting: VecDeque::with_capacity(max_packets + max_states),
            ready: VecDeque::with_capacity(max_packets),
        }
    }

    pub const fn is_on(&self) -> bool {
        self.max_states > 0
    }

    /// Handles that are here.
    pub fn packets(&self) -> usize {
        self.ready.len() + self.waiting.iter().filter(|entry| entry.handle.is_some()).count()
    }

    fn has_room(&self) -> bool {
        self.ready.len() + self.waiting.len() < self.max_packets
    }

    fn give_back(&mut self, entry: Entry) {
        self.ready.extend(entry.handle);
    }
}

impl Exporter {
    /// Whether the first packet of a state is to be held: mark its record with [`LocalFlags::DEFERRED`] before it is
    /// inserted, and call [`Self::inserted`].
    #[must_use]
    pub fn defers(&self, pf_flags: u16, proto: u8) -> bool {
        let told = self.is_active() && pf_flags & crate::state::pf_flags::NOSYNC == 0;
        self.held.is_on() && told && self.settings.filter.includes(proto)
    }

    /// A state was made whose packets are held.
    pub(super) fn begin_hold(&mut self, table: &mut impl Store, slot: Slot, now: Nanos) {
        while self.held.states >= self.held.max_states || !self.held.has_room() {
            let Some(oldest) = self.held.waiting.front().copied() else { break };
            self.counters.defer_overflows += 1;
            self.release(table, oldest.slot);
        }
        if !self.held.has_room() {
            // The host has not taken what is ready: this one goes at once.
            table.local_mut(slot).clear(LocalFlags::DEFERRED);
            return;
        }
        self.held.states += 1;
        self.held.waiting.push_back(Entry { slot, until: now.saturating_add(self.held.delay), handle: None });
        self.counters.deferred += 1;
    }

    /// Takes the handle of a packet of a held state, which comes out of [`Self::take_released`] once and in order. If the
    /// state was let go meanwhile it comes out at once.
    ///
    /// # Errors
    /// [`NotHeld`] when there is no room; the host sends the packet now.
    pub fn hold(&mut self, table: &impl Store, slot: Slot, handle: u64) -> Result<(), NotHeld> {
        let is_held = table.is_live(slot) && table.local(slot).has(LocalFlags::DEFERRED);
        let has_room = self.held.has_room();
        let first = self.held.waiting.iter_mut().find(|entry| entry.slot == slot);
        match first.filter(|_| is_held) {
            Some(entry) if entry.handle.is_none() => entry.handle = Some(handle),
            _ if !has_room => return Err(NotHeld),
            Some(entry) => {
                let more = Entry { handle: Some(handle), ..*entry };
                self.held.waiting.push_back(more);
            }
            None => self.held.ready.push_back(handle),
        }
        Ok(())
    }

    /// Lets the packets of a state go. Returns whether it was held.
    pub(in crate::sync) fn release(&mut self, table: &mut impl Store, slot: Slot) -> bool {
        let local = table.local_mut(slot);
        if !local.has(LocalFlags::DEFERRED) {
            return false;
        }
        local.clear(LocalFlags::DEFERRED);
        let mut from = 0;
        let mut is_first = true;
        // Acknowledgements come in the order of the inserts: it is the first one as a rule.
        while let Some(place) = self.held.waiting.iter().skip(from).position(|entry| entry.slot == slot) {
            from += place;
            let Some(entry) = self.held.waiting.remove(from) else { break };
            self.held.give_back(entry);
            self.held.states -= usize::from(is_first);
            is_first = false;
        }
        true
    }

    /// Lets those go whose time is over.
    pub fn release_expired(&mut self, table: &mut impl Store, now: Nanos) {
        while let Some(oldest) = self.held.waiting.front().copied().filter(|entry| now >= entry.until) {
            self.counters.defer_timeouts += 1;
            self.release(table, oldest.slot);
        }
    }

    /// Lets all go, for instance before the end.
    pub fn release_all(&mut self, table: &mut impl Store) {
        while let Some(oldest) = self.held.waiting.front().copied() {
            self.release(table, oldest.slot);
        }
    }

    /// The next handle whose packet the host is to send now.
    pub fn take_released(&mut self) -> Option<u64> {
        self.held.ready.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::fixture::{self, MS, Node, settings, state, timeouts};
    use crate::sync::{Body, Message, Removal, SyncSettings, apply};
    use pfsync::{Action, Profile};

    fn holding(max_states: u32) -> Node {
        let defer = Defer { delay: PF_DELAY, max_states };
        Node::new(SyncSettings { defer, ..settings(&[Profile::OpenBsd6]) })
    }

    fn made(node: &mut Node, n: u32) -> Slot {
        let mut record = state(n);
        assert!(node.exporter.defers(0, record.hot.key.proto));
        record.hot.local.set(LocalFlags::DEFERRED);
        let slot = node.put(&record);
        node.exporter.inserted(&mut node.table, slot, node.now);
        slot
    }

    fn hold(node: &mut Node, slot: Slot, handle: u64) {
        node.exporter.hold(&node.table, slot, handle).unwrap();
    }

    fn released(node: &mut Node) -> Vec<u64> {
        node.exporter.release_expired(&mut node.table, node.now);
        core::iter::from_fn(|| node.exporter.take_released()).collect()
    }

    fn acknowledge(node: &mut Node, slot: Slot) {
        let body = Body::InsertAck(node.table.cold(slot).id);
        let message = Message { peer: 0, body };
        apply(&mut node.table, &mut node.exporter, &timeouts(), &message, node.now);
    }

    #[test]
    fn the_insert_of_a_held_state_leaves_at_once_and_asks_for_an_acknowledgement() {
        let mut node = holding(4);
        let slot = made(&mut node, 0);
        hold(&mut node, slot, 7);
        assert_eq!(node.said(), [[(Action::Insert, 1)]]);
        assert!(released(&mut node).is_empty());
        acknowledge(&mut node, slot);
        assert_eq!(released(&mut node), [7]);
        acknowledge(&mut node, slot);
        assert!(released(&mut node).is_empty());
        assert_eq!((node.exporter.counters.deferred, node.exporter.counters.released), (1, 1));
    }

    #[test]
    fn max_a_packet_is_held_for_its_time_at() {
        let mut node = holding(4);
        let slot = made(&mut node, 0);
        hold(&mut node, slot, 7);
        node.now += PF_DELAY - 1;
        assert!(released(&mut node).is_empty());
        node.now += 1;
        assert_eq!(released(&mut node), [7]);
        assert_eq!(node.exporter.counters.defer_timeouts, 1);
        assert!(!node.table.hot(slot).local.has(LocalFlags::DEFERRED));
    }

    #[test]
    fn packets_of_a_state_come_out_in_the_order_in_which_they_came() {
        let mut node = holding(4);
        let slots: Vec<Slot> = (0..3).map(|n| made(&mut node, n)).collect();
        for (handle, &slot) in (0..9).zip(slots.iter().cycle()) {
            hold(&mut node, slot, handle);
        }
        acknowledge(&mut node, slots[1]);
        assert_eq!(released(&mut node), [1, 4, 7]);
        hold(&mut node, slots[1], 10);
        assert_eq!(released(&mut node), [10], "it was let go before");
        node.now += PF_DELAY;
        assert_eq!(released(&mut node), [0, 3, 6, 2, 5, 8]);
    }

    #[test]
    fn the_oldest_gives_way_where_too_many_are_held() {
        let mut node = holding(2);
        for n in 0..5 {
            let slot = made(&mut node, n);
            hold(&mut node, slot, n.into());
        }
        assert_eq!(released(&mut node), [0, 1, 2]);
        assert_eq!(node.exporter.counters.defer_overflows, 3);
        assert_eq!(node.exporter.counters_now(0, 0).held_now, 2);
    }

    #[test]
    fn a_host_that_takes_nothing_back_is_told_to_send_at_once() {
        let mut node = holding(2);
        let mut refused = 0;
        for n in 0..50 {
            let slot = made(&mut node, n);
            refused += usize::from(node.exporter.hold(&node.table, slot, n.into()).is_err());
        }
        node.exporter.release_all(&mut node.table);
        let back = released(&mut node);
        assert_eq!(back.len() + refused, 50);
        assert_eq!(back.len(), 2 * PACKETS_A_STATE);
        assert!(back.is_sorted());
    }

    #[test]
    fn a_state_that_ends_gives_its_packet_back() {
        for why in [Removal::Expired, Removal::Ended, Removal::Network, Removal::Flush] {
            let mut node = holding(4);
            let slot = made(&mut node, 0);
            hold(&mut node, slot, 7);
            node.remove(slot, why);
            assert_eq!(released(&mut node), [7], "{why:?}");
            let again = made(&mut node, 1);
            assert_eq!(again, slot, "the slot's next state has nothing to do with it");
            hold(&mut node, again, 8);
            assert!(released(&mut node).is_empty());
        }
    }

    #[test]
    fn everything_comes_back_at_the_end() {
        let mut node = holding(128);
        for n in 0..100 {
            let slot = made(&mut node, n);
            hold(&mut node, slot, n.into());
        }
        node.exporter.release_all(&mut node.table);
        assert_eq!(released(&mut node), (0..100).collect::<Vec<u64>>());
        assert_eq!(node.exporter.counters_now(0, 0).held_now, 0);
    }

    #[test]
    fn nothing_is_held_where_no_peer_would_answer() {
        let defer = Defer { delay: PF_DELAY, max_states: 8 };
        let node = holding(8);
        assert!(node.exporter.defers(0, 17));
        assert!(!node.exporter.defers(crate::state::pf_flags::NOSYNC, 17));
        assert!(!node.exporter.defers(0, pfsync::ip_protocol::PFSYNC));
        let alone = Node::new(SyncSettings { defer, ..settings(&[]) });
        assert!(!alone.exporter.defers(0, 17));
        assert!(!Node::open().exporter.defers(0, 17), "off by default");
    }

    #[test]
    fn the_delay_is_pf_s() {
        assert_eq!(PF_DELAY, 20 * MS);
        assert_eq!(fixture::settings(&[]).defer, Defer { delay: 0, max_states: 128 });
    }
}
