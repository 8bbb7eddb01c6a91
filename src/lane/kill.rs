//! States that an operator ends: one, those that a filter means, or all.

use super::Lane;
use crate::packet::{Direction, Family, Key};
use crate::state::{IfName, LocalFlags, StateId};
use crate::sync::Removal;
use crate::table::Slot;
use crate::time::{Nanos, Tick};

/// An address with the length of its prefix in bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// In network order; IPv4 in the first four bytes.
    pub address: [u8; 16],
    /// Bits that count.
    pub bits: u8,
}

impl Prefix {
    fn contains(&self, address: &[u8; 16]) -> bool {
        let differing = u128::from_be_bytes(self.address) ^ u128::from_be_bytes(*address);
        differing.leading_zeros() >= u32::from(self.bits)
    }
}

/// Which states are meant: those that all given parts fit. Addresses and ports fit when those of either key do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateFilter {
    /// The key's family.
    pub family: Option<Family>,
    /// The key's protocol.
    pub proto: Option<u8>,
    /// Of the side that sent the first packet.
    pub source: Option<Prefix>,
    /// Of the other side.
    pub destination: Option<Prefix>,
    /// The same sides' ports.
    pub source_port: Option<u16>,
    /// See [`Self::source_port`].
    pub destination_port: Option<u16>,
    /// The rule's number.
    pub rule: Option<u32>,
    /// The interface that the state is bound to.
    pub ifname: Option<IfName>,
    /// Who made the state.
    pub creator: Option<u32>,
}

impl StateFilter {
    fn fits_key(&self, key: &Key, direction: Direction) -> bool {
        let (source, destination) = (direction.source_slot(), 1 - direction.source_slot());
        let fits = |prefix: Option<Prefix>, slot: usize| {
            prefix.is_none_or(|prefix| prefix.contains(&key.addr[slot]))
        };
        let has = |port: Option<u16>, slot: usize| port.is_none_or(|port| port == key.port[slot].get());
        self.family.is_none_or(|family| family == key.family)
            && self.proto.is_none_or(|proto| proto == key.proto)
            && fits(self.source, source)
            && fits(self.destination, destination)
            && has(self.source_port, source)
            && has(self.destination_port, destination)
    }
}

/// A clear of all states under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClearProgress {
    at: u32,
    end: u32,
    since: Tick,
}

impl Lane {
    /// Ends a state and tells the peers. False when the slot has none.
    pub fn kill(&mut self, slot: Slot, now: Nanos) -> bool {
        let lives = self.table.is_live(slot);
        if lives {
            self.end(slot, now, Removal::Ended);
            self.counters.killed += 1;
        }
        lives
    }

    /// Ends the state of an identity. False when it is not in this lane.
    pub fn kill_id(&mut self, id: StateId, now: Nanos) -> bool {
        self.table.find_id(id).is_some_and(|slot| self.kill(slot, now))
    }

    /// Ends the state that packets of a key belong to which go in `direction`. False when this lane has none.
    pub fn kill_key(&mut self, key: &Key, direction: Direction, now: Nanos) -> bool {
        self.table.find(key, direction).is_some_and(|slot| self.kill(slot, now))
    }

    /// Ends the states that `filter` means, of `slots` places from place `from` on. Gives back how many, and the place to
    /// go on from; none when that were all.
    ///
    /// It stops early when no more deletes can be noted for the peers: they leave with the next frames.
    pub fn kill_some(
        &mut self,
        filter: &StateFilter,
        from: u32,
        slots: u32,
        now: Nanos,
    ) -> (u32, Option<u32>) {
        let stop = from.saturating_add(slots).min(self.table.end());
        let (mut at, mut killed) = (from, 0);
        while let Some(slot) = self.table.next_live_before(at, stop) {
            if self.is_meant(slot, filter) {
                if self.exporter.delete_capacity() == 0 && self.shared.link_up() {
                    return (killed, Some(slot.0));
                }
                killed += u32::from(self.kill(slot, now));
            }
            at = slot.0 + 1;
        }
        (killed, (stop < self.table.end()).then_some(stop))
    }

    fn is_meant(&self, slot: Slot, filter: &StateFilter) -> bool {
        let (hot, cold) = (self.table.hot(slot), self.table.cold(slot));
        let fits_stack =
            hot.local.has(LocalFlags::TRANSLATED) && filter.fits_key(&cold.stack_key, hot.direction());
        (filter.fits_key(&hot.key, hot.direction()) || fits_stack)
            && filter.rule.is_none_or(|rule| rule == cold.rule)
            && filter.ifname.is_none_or(|name| name == cold.ifname)
            && filter.creator.is_none_or(|creator| creator == cold.id.creator)
    }

    /// Goes on with a clear that the control thread asked for. When the last lane is done lane 0 tells the peers, in one
    /// message for all states that this node made. Those that others made get a delete each.
    pub(super) fn step_clear(&mut self, now: Nanos) {
        let wanted = self.shared.clears_wanted();
        if wanted != self.clears_begun {
            self.clears_begun = wanted;
            self.emptying =
                Some(ClearProgress { at: 0, end: self.table.end(), since: Tick::from_nanos(now) });
        }
        if let Some(emptying) = self.emptying.take() {
            self.emptying = self.empty_some(emptying, now);
        }
        if self.emptying.is_none() && self.clears_done != self.clears_begun {
            self.shared.clears_done(self.clears_begun.wrapping_sub(self.clears_done));
            self.clears_done = self.clears_begun;
        }
        if self.index == 0
            && self.clears_told != self.clears_done
            && self.shared.all_cleared(self.clears_done, self.lanes)
        {
            self.clears_told = self.clears_done;
            self.exporter.clear(None);
        }
    }

    /// As many places as a sweep may look at. None when all are done.
    fn empty_some(&mut self, emptying: ClearProgress, now: Nanos) -> Option<ClearProgress> {
        let ClearProgress { at, end, since } = emptying;
        let stop = at.saturating_add(self.sweep_per_poll).min(end);
        let mut from = at;
        while let Some(slot) = self.table.next_live_before(from, stop) {
            let cold = self.table.cold(slot);
            let ours = cold.id.creator == self.host_id;
            if cold.creation.since(since) <= 0 {
                if !ours && self.exporter.delete_capacity() == 0 && self.shared.link_up() {
                    return Some(ClearProgress { at: slot.0, ..emptying });
                }
                self.end(slot, now, if ours { Removal::Flush } else { Removal::Ended });
                self.counters.killed += 1;
            }
            from = slot.0 + 1;
        }
        (stop < end).then_some(ClearProgress { at: stop, ..emptying })
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
    fn a_filter_without_parts_means_all_and_every_part_must_fit() {
        let none = StateFilter::default();
        assert!(none.fits_key(&key(), Direction::In));
        let rows = [
            (StateFilter { family: Some(Family::V4), ..none }, true),
            (StateFilter { family: Some(Family::V6), ..none }, false),
            (StateFilter { proto: Some(17), ..none }, false),
            (StateFilter { source: prefix([10, 1, 0, 1], 32), ..none }, true),
            (StateFilter { source: prefix([10, 1, 0, 130], 32), ..none }, false),
            (StateFilter { source: prefix([10, 1, 0, 64], 25), ..none }, true),
            (StateFilter { destination: prefix([10, 1, 0, 0], 25), ..none }, false),
            (StateFilter { destination: prefix([0, 0, 0, 0], 0), ..none }, true),
            (StateFilter { source_port: Some(4000), destination_port: Some(80), ..none }, true),
            (StateFilter { source_port: Some(80), ..none }, false),
        ];
        for (filter, fits) in rows {
            assert_eq!(filter.fits_key(&key(), Direction::In), fits, "{filter:?}");
            assert_eq!(filter.fits_key(&key().swapped(), Direction::Out), fits, "{filter:?}");
        }
    }
}
