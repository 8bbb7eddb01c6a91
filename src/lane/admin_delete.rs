//! States that an administrator deletes: one, those that a filter selects, or all.

use super::Lane;
use super::tracker::Tracker;
use crate::packet::{Direction, Family, Key};
use crate::state::{IfName, LocalFlags, StateId};
use crate::sync::Removal;
use crate::table::{Slot, Table};
use crate::time::{Nanos, Tick};

/// An address with the length of its prefix in bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// In network byte order; IPv4 in the first four bytes.
    pub address: [u8; 16],
    /// Number of leading bits that must match.
    pub bits: u8,
}

impl Prefix {
    fn contains(&self, address: &[u8; 16]) -> bool {
        let differing = u128::from_be_bytes(self.address) ^ u128::from_be_bytes(*address);
        differing.leading_zeros() >= u32::from(self.bits)
    }
}

/// Selects the states that match every field that is set. Addresses and ports may match either key of a translated state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateFilter {
    /// Address family of the key.
    pub family: Option<Family>,
    /// IP protocol of the key.
    pub proto: Option<u8>,
    /// Address of the side that sent the first packet.
    pub source: Option<Prefix>,
    /// Address of the other side.
    pub destination: Option<Prefix>,
    /// Port of the side that sent the first packet.
    pub source_port: Option<u16>,
    /// Port of the other side.
    pub destination_port: Option<u16>,
    /// Rule number.
    pub rule: Option<u32>,
    /// Interface that the state is bound to.
    pub ifname: Option<IfName>,
    /// Host id of the node that created the state.
    pub creator: Option<u32>,
    /// Routing domain of the key.
    pub rdomain: Option<u16>,
}

impl StateFilter {
    fn selects(&self, table: &Table, slot: Slot) -> bool {
        let (hot, cold) = (table.hot(slot), table.cold(slot));
        let matches_stack_key =
            hot.local.has(LocalFlags::TRANSLATED) && self.matches_key(&cold.stack_key, hot.direction());
        (self.matches_key(&hot.key, hot.direction()) || matches_stack_key)
            && self.rule.is_none_or(|rule| rule == cold.rule)
            && self.ifname.is_none_or(|name| name == cold.ifname)
            && self.creator.is_none_or(|creator| creator == cold.id.creator)
    }

    fn matches_key(&self, key: &Key, direction: Direction) -> bool {
        let (source, destination) = (direction.source_slot(), 1 - direction.source_slot());
        let has_address = |prefix: Option<Prefix>, slot: usize| {
            prefix.is_none_or(|prefix| prefix.contains(&key.addr[slot]))
        };
        let has_port = |port: Option<u16>, slot: usize| port.is_none_or(|port| port == key.port[slot].get());
        self.family.is_none_or(|family| family == key.family)
            && self.proto.is_none_or(|proto| proto == key.proto)
            && self.rdomain.is_none_or(|rdomain| rdomain == key.rdomain)
            && has_address(self.source, source)
            && has_address(self.destination, destination)
            && has_port(self.source_port, source)
            && has_port(self.destination_port, destination)
    }
}

/// The clears of all states that the control thread requested.
#[derive(Default)]
pub(super) struct ClearProgress {
    /// Clears begun so far.
    begun: u32,
    /// How far the lane had counted ids in the last call, so at most when the next clear is requested.
    ids_counted: u64,
    walk: Option<ClearWalk>,
}

/// A clear in progress.
#[derive(Clone, Copy)]
struct ClearWalk {
    at: u32,
    end: u32,
    since: Tick,
    /// States of this lane with ids counted from here on stay.
    ids_kept: u64,
}

impl Lane {
    /// Deletes the state in `slot` and notes a delete for the peers. Returns false if the slot has none.
    pub fn delete(&mut self, slot: Slot, now: Nanos) -> bool {
        let now = self.clock.advance(now);
        self.tracker.delete(slot, now)
    }

    /// Deletes the state with an id. Returns false if this lane has none.
    pub fn delete_id(&mut self, id: StateId, now: Nanos) -> bool {
        self.tracker.table.find_id(id).is_some_and(|slot| self.delete(slot, now))
    }

    /// Deletes the state of the packets that have `key` and go in `direction`. Returns false if this lane has none.
    pub fn delete_key(&mut self, key: &Key, direction: Direction, now: Nanos) -> bool {
        self.tracker.table.find(key, direction).is_some_and(|slot| self.delete(slot, now))
    }

    /// Deletes the states that `filter` selects in `slots` slots from `from` on. Returns how many, and the slot to continue
    /// from; `None` when the walk is complete.
    ///
    /// Stops early when no more deletes can be noted for the peers: those noted are sent with the next frames.
    pub fn delete_matching(
        &mut self,
        filter: &StateFilter,
        from: u32,
        slots: u32,
        now: Nanos,
    ) -> (u32, Option<u32>) {
        let now = self.clock.advance(now);
        let tracker = &mut self.tracker;
        let stop = from.saturating_add(slots).min(tracker.table.end());
        let (mut at, mut deleted) = (from, 0);
        while let Some(slot) = tracker.table.next_live_before(at, stop) {
            if filter.selects(&tracker.table, slot) {
                if tracker.must_wait_for_deletes() {
                    return (deleted, Some(slot.0));
                }
                deleted += u32::from(tracker.delete(slot, now));
            }
            at = slot.0 + 1;
        }
        (deleted, (stop < tracker.table.end()).then_some(stop))
    }
}

impl Tracker {
    fn delete(&mut self, slot: Slot, now: Nanos) -> bool {
        let is_live = self.table.is_live(slot);
        if is_live {
            self.remove(slot, now, Removal::Ended);
            self.counters.states_deleted += 1;
        }
        is_live
    }
}

impl ClearProgress {
    /// Continues a clear that the control thread requested. Each state gets a delete: pf's clear message would also remove
    /// what this node creates meanwhile, since no order between the frames of its lanes is certain.
    pub(super) fn step(&mut self, tracker: &mut Tracker, max_slots: u32, now: Nanos) {
        let wanted = tracker.shared.clears_wanted();
        let ids_kept = core::mem::replace(&mut self.ids_counted, tracker.exporter.ends.ids.counted());
        if wanted != self.begun {
            self.begun = wanted;
            let since = Tick::from_nanos(now);
            self.walk = Some(ClearWalk { at: 0, end: tracker.table.end(), since, ids_kept });
        }
        self.walk = self.walk.and_then(|walk| walk.step(tracker, max_slots, now));
    }
}

impl ClearWalk {
    /// Clears up to `max_slots` slots. Returns where to continue; `None` when the walk is complete.
    fn step(self, tracker: &mut Tracker, max_slots: u32, now: Nanos) -> Option<Self> {
        let Self { at, end, since, ids_kept } = self;
        let stop = at.saturating_add(max_slots).min(end);
        let mut from = at;
        while let Some(slot) = tracker.table.next_live_before(from, stop) {
            // States created since the request stay.
            let cold = tracker.table.cold(slot);
            let is_newer = tracker.exporter.ends.ids.has_issued_since(cold.id, ids_kept);
            if !is_newer && cold.creation.since(since) <= 0 {
                if tracker.must_wait_for_deletes() {
                    return Some(Self { at: slot.0, ..self });
                }
                tracker.delete(slot, now);
            }
            from = slot.0 + 1;
        }
        (stop < end).then_some(Self { at: stop, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Be16;

    fn key() -> Key {
        let v4 = |last| {
            let mut address = [0; 16];
            address[..4].copy_from_slice(&[10, 1, 0, last]);
            address
        };
        let port = [Be16::new(4000), Be16::new(80)];
        Key { addr: [v4(1), v4(130)], port, family: Family::V4, proto: 6, ..Key::EMPTY }
    }

    fn prefix(bytes: [u8; 4], bits: u8) -> Option<Prefix> {
        let mut address = [0; 16];
        address[..4].copy_from_slice(&bytes);
        Some(Prefix { address, bits })
    }

    #[test]
    fn an_empty_filter_selects_all_and_every_set_field_must_match() {
        let any = StateFilter::default();
        assert!(any.matches_key(&key(), Direction::In));
        let rows = [
            (StateFilter { family: Some(Family::V4), ..any }, true),
            (StateFilter { family: Some(Family::V6), ..any }, false),
            (StateFilter { proto: Some(17), ..any }, false),
            (StateFilter { source: prefix([10, 1, 0, 1], 32), ..any }, true),
            (StateFilter { source: prefix([10, 1, 0, 130], 32), ..any }, false),
            (StateFilter { source: prefix([10, 1, 0, 64], 25), ..any }, true),
            (StateFilter { destination: prefix([10, 1, 0, 0], 25), ..any }, false),
            (StateFilter { destination: prefix([0, 0, 0, 0], 0), ..any }, true),
            (StateFilter { source_port: Some(4000), destination_port: Some(80), ..any }, true),
            (StateFilter { source_port: Some(80), ..any }, false),
        ];
        for (filter, matches) in rows {
            assert_eq!(filter.matches_key(&key(), Direction::In), matches, "{filter:?}");
            assert_eq!(filter.matches_key(&key().swapped(), Direction::Out), matches, "{filter:?}");
        }
    }
}
