//! Packets of the host that wait until a peer has their state.

use super::Lane;
use crate::packet::{Facts, Family};
use crate::state::{LocalFlags, Options};
use crate::sync::NotHeld;
use crate::table::Slot;
use crate::time::Nanos;

impl Lane {
    /// Whether the first packet of a new state is held: not those to groups, as in pf (protocol 6.6), and none while the
    /// link is down.
    pub(super) fn holds(&self, facts: &Facts, options: &Options) -> bool {
        self.exporter.defers(options.pf_flags, facts.key.proto) && !is_to_many(facts) && self.shared.link_up()
    }

    pub(super) fn is_held(&self, slot: Slot) -> bool {
        self.table.hot(slot).local.has(LocalFlags::DEFERRED)
    }

    /// Takes the handle of a packet whose verdict was to hold it.
    ///
    /// # Errors
    /// [`NotHeld`] when there is no room: the packet goes now.
    pub fn hold(&mut self, slot: Slot, handle: u64) -> Result<(), NotHeld> {
        if slot.0 >= self.table.capacity() {
            return Err(NotHeld);
        }
        self.exporter.hold(&self.table, slot, handle)
    }

    /// Gives back handles of packets that go now, in order, until there are no more or no more room. Returns how many.
    pub fn released(&mut self, now: Nanos, room: usize, mut put: impl FnMut(u64)) -> usize {
        self.exporter.release_expired(&mut self.table, now);
        let mut count = 0;
        while count < room {
            let Some(handle) = self.exporter.take_released() else { break };
            put(handle);
            count += 1;
        }
        count
    }

    /// Lets all held packets go: [`Self::released`] gives them.
    pub fn release_all(&mut self) {
        self.exporter.release_all(&mut self.table);
    }
}

/// To a multicast group or to everybody on the link.
fn is_to_many(facts: &Facts) -> bool {
    let destination = &facts.key.addr[1 - facts.key_direction().source_slot()];
    match facts.key.family {
        Family::V6 => destination[0] == 0xff,
        _ => destination[0] & 0xf0 == 0xe0 || destination[..4] == [0xff; 4],
    }
}
