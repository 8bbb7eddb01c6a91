//! Deferred packets: the first packets of a new state are held until a peer has the state, so that no reply reaches a
//! node that does not know the connection (protocol 6.6).
//!
//! The packets stay with the host; only the host's handles are kept here. Every handle is returned: on an
//! acknowledgement, on any update from a peer (FreeBSD drops the packet then, OpenBSD does not), when the state ends,
//! after the delay, when too many packets are held, and when the host releases all.

mod packets;
mod states;

use super::Exporter;
use crate::error::Error;
use crate::memory::Heap;
use crate::state::{LocalFlags, pf_flags};
use crate::sync::counters::SyncCounters;
use crate::sync::settings::Defer;
use crate::sync::store::Store;
use crate::table::Slot;
use crate::time::Nanos;
use packets::{Chain, Packets};
use states::States;

/// Held packets for which there is space, for each state. One state may have more.
const MAX_PACKETS_PER_STATE: usize = 4;

/// There is no space for a handle: the packet must be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotHeld;

/// Held packets of a lane. All memory is allocated at creation.
#[derive(Debug)]
pub(super) struct Deferred {
    delay: Nanos,
    states: States,
    packets: Packets,
    /// Released packets that the host has not fetched, oldest first.
    ready: Chain,
}

impl Deferred {
    pub(super) fn new(defer: Defer, heap: Heap) -> Result<Self, Error> {
        let max_states = Self::max_states(defer);
        Ok(Self {
            delay: defer.delay,
            states: States::new(max_states, heap)?,
            packets: Packets::new(max_states * MAX_PACKETS_PER_STATE, heap)?,
            ready: Chain::EMPTY,
        })
    }

    pub(super) const fn memory_needed(defer: Defer) -> usize {
        let max_states = Self::max_states(defer);
        States::memory_needed(max_states) + Packets::memory_needed(max_states * MAX_PACKETS_PER_STATE)
    }

    const fn max_states(defer: Defer) -> usize {
        if defer.delay == 0 { 0 } else { defer.max_states as usize }
    }

    /// Handles kept here.
    pub(super) const fn packets(&self) -> usize {
        self.packets.used()
    }

    const fn has_space(&self) -> bool {
        self.states.has_space() && self.packets.has_space()
    }

    /// Starts to hold the packets of a new state. Releases the oldest where too many are held: at most one state, or those
    /// whose packets the host does not fetch.
    pub(super) fn begin(
        &mut self,
        table: &mut impl Store,
        slot: Slot,
        now: Nanos,
        counters: &mut SyncCounters,
    ) {
        while !self.has_space()
            && let Some((oldest, _)) = self.states.oldest()
        {
            counters.states_released_early += 1;
            self.release(table, oldest);
        }
        if self.has_space() && self.states.add(slot, now.saturating_add(self.delay)) {
            counters.states_deferred += 1;
        } else {
            // The host has not fetched the released packets: this one is sent at once.
            table.local_mut(slot).clear(LocalFlags::DEFERRED);
        }
    }

    fn hold(&mut self, table: &impl Store, slot: Slot, handle: u64) -> Result<(), NotHeld> {
        let is_deferred = table.is_live(slot) && table.local(slot).has(LocalFlags::DEFERRED);
        let chain = if is_deferred { self.states.packets_mut(slot) } else { None };
        let is_held = self.packets.push(chain.unwrap_or(&mut self.ready), handle);
        is_held.then_some(()).ok_or(NotHeld)
    }

    /// Releases the packets of a state. Cost: constant, whatever is held.
    fn release(&mut self, table: &mut impl Store, slot: Slot) -> bool {
        let local = table.local_mut(slot);
        if !local.has(LocalFlags::DEFERRED) {
            return false;
        }
        local.clear(LocalFlags::DEFERRED);
        if let Some(chain) = self.states.remove(slot) {
            self.packets.append(&mut self.ready, chain);
        }
        true
    }
}

impl Exporter {
    /// Whether the first packet of a state is to be held: mark its record with [`LocalFlags::DEFERRED`] before it is
    /// inserted, and call [`Self::inserted`].
    #[must_use]
    pub fn defers(&self, flags: u16, proto: u8) -> bool {
        let is_replicated = self.is_active() && flags & pf_flags::NOSYNC == 0;
        self.deferred.delay > 0 && is_replicated && self.settings.filter.includes(proto)
    }

    /// Holds a packet of a deferred state. [`Self::take_released`] returns its handle once, in order; if the state was
    /// released in the meantime, at once.
    ///
    /// # Errors
    /// [`NotHeld`] when there is no space; the host sends the packet now.
    pub fn hold(&mut self, table: &impl Store, slot: Slot, handle: u64) -> Result<(), NotHeld> {
        self.deferred.hold(table, slot, handle)
    }

    /// Releases the packets of a state. Returns whether the state was deferred.
    pub(in crate::sync) fn release(&mut self, table: &mut impl Store, slot: Slot) -> bool {
        self.deferred.release(table, slot)
    }

    /// Releases the packets that were held for the whole delay.
    pub fn release_expired(&mut self, table: &mut impl Store, now: Nanos) {
        while let Some((oldest, _)) = self.deferred.states.oldest().filter(|&(_, until)| now >= until) {
            self.counters.states_released_timeout += 1;
            self.release(table, oldest);
        }
    }

    /// Releases all packets, for instance before shutdown.
    pub fn release_all(&mut self, table: &mut impl Store) {
        while let Some((oldest, _)) = self.deferred.states.oldest() {
            self.release(table, oldest);
        }
    }

    /// Returns the next handle whose packet the host sends now.
    pub fn take_released(&mut self) -> Option<u64> {
        self.deferred.packets.pop(&mut self.deferred.ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::fixture::{self, MS, Node, settings, state, timeouts};
    use crate::sync::{Body, Message, PF_DELAY, Removal, SyncSettings, apply};
    use pfsync::{Action, Profile};

    fn holding(max_states: u32) -> Node {
        let defer = Defer { delay: PF_DELAY, max_states };
        Node::new(SyncSettings { defer, ..settings(&[Profile::OpenBsd6]) })
    }

    fn deferred(node: &mut Node, n: u32) -> Slot {
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
        let message = Message { peer: 0, origin: crate::sync::Origin::NONE, body };
        apply(&mut node.table, &mut node.exporter, &timeouts(), &message, node.now);
    }

    #[test]
    fn the_insert_of_a_deferred_state_is_sent_at_once_and_its_acknowledgement_releases_the_packet() {
        let mut node = holding(4);
        let slot = deferred(&mut node, 0);
        hold(&mut node, slot, 7);
        assert_eq!(node.sent(), [[(Action::Insert, 1)]]);
        assert!(released(&mut node).is_empty());
        acknowledge(&mut node, slot);
        assert_eq!(released(&mut node), [7]);
        acknowledge(&mut node, slot);
        assert!(released(&mut node).is_empty());
        assert_eq!((node.exporter.counters.states_deferred, node.exporter.counters.states_released), (1, 1));
    }

    #[test]
    fn a_packet_is_released_after_the_delay() {
        let mut node = holding(4);
        let slot = deferred(&mut node, 0);
        hold(&mut node, slot, 7);
        node.now += PF_DELAY - 1;
        assert!(released(&mut node).is_empty());
        node.now += 1;
        assert_eq!(released(&mut node), [7]);
        assert_eq!(node.exporter.counters.states_released_timeout, 1);
        assert!(!node.table.hot(slot).local.has(LocalFlags::DEFERRED));
    }

    #[test]
    fn packets_of_a_state_are_released_in_their_order() {
        let mut node = holding(4);
        let slots: Vec<Slot> = (0..3).map(|n| deferred(&mut node, n)).collect();
        for (handle, &slot) in (0..9).zip(slots.iter().cycle()) {
            hold(&mut node, slot, handle);
        }
        acknowledge(&mut node, slots[1]);
        assert_eq!(released(&mut node), [1, 4, 7]);
        hold(&mut node, slots[1], 10);
        assert_eq!(released(&mut node), [10], "the state was released before");
        node.now += PF_DELAY;
        assert_eq!(released(&mut node), [0, 3, 6, 2, 5, 8]);
    }

    #[test]
    fn one_deferred_state_too_many_releases_the_oldest() {
        let mut node = holding(2);
        for n in 0..5 {
            let slot = deferred(&mut node, n);
            hold(&mut node, slot, n.into());
        }
        assert_eq!(released(&mut node), [0, 1, 2]);
        assert_eq!(node.exporter.counters.states_released_early, 3);
        assert_eq!(node.exporter.counters_now(0, 0).packets_held, 2);
    }

    #[test]
    fn a_host_that_fetches_no_released_packets_must_send_new_ones_at_once() {
        let mut node = holding(2);
        let mut refused = 0;
        for n in 0..50 {
            let slot = deferred(&mut node, n);
            refused += usize::from(node.exporter.hold(&node.table, slot, n.into()).is_err());
        }
        node.exporter.release_all(&mut node.table);
        let back = released(&mut node);
        assert_eq!(back.len() + refused, 50);
        assert_eq!(back.len(), 2 * MAX_PACKETS_PER_STATE);
        assert!(back.is_sorted());
    }

    #[test]
    fn the_end_of_a_state_releases_its_packet() {
        for why in [Removal::Expired, Removal::Ended, Removal::Network, Removal::Replaced] {
            let mut node = holding(4);
            let slot = deferred(&mut node, 0);
            hold(&mut node, slot, 7);
            node.remove(slot, why);
            assert_eq!(released(&mut node), [7], "{why:?}");
            let next = deferred(&mut node, 1);
            assert_eq!(next, slot, "the slot is reused");
            hold(&mut node, next, 8);
            assert!(released(&mut node).is_empty());
        }
    }

    #[test]
    fn release_all_returns_every_packet() {
        let mut node = holding(128);
        for n in 0..100 {
            let slot = deferred(&mut node, n);
            hold(&mut node, slot, n.into());
        }
        node.exporter.release_all(&mut node.table);
        assert_eq!(released(&mut node), (0..100).collect::<Vec<u64>>());
        assert_eq!(node.exporter.counters_now(0, 0).packets_held, 0);
    }

    #[test]
    fn packets_that_no_peer_would_acknowledge_are_not_held() {
        let defer = Defer { delay: PF_DELAY, max_states: 8 };
        let node = holding(8);
        assert!(node.exporter.defers(0, 17));
        assert!(!node.exporter.defers(pf_flags::NOSYNC, 17));
        assert!(!node.exporter.defers(0, pfsync::ip_protocol::PFSYNC));
        let alone = Node::new(SyncSettings { defer, ..settings(&[]) });
        assert!(!alone.exporter.defers(0, 17));
        assert!(!Node::open().exporter.defers(0, 17), "off by default");
    }

    #[test]
    fn delay_and_maximum_are_those_of_pf() {
        assert_eq!(PF_DELAY, 20 * MS);
        assert_eq!(fixture::settings(&[]).defer, Defer { delay: 0, max_states: 128 });
    }
}
