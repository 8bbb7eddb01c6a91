//! Translated states in a lane: their second key, their packets, and what other lanes must know of them.

use super::{Lane, Reason, Verdict};
use crate::packet::{Direction, Facts, Key, Refused, Translation};
use crate::state::{LocalFlags, Options};
use crate::table::{AliasChange, Slot};

impl Lane {
    /// What is to become of a packet that `slot` passed. A packet of a state that rewrites nothing becomes what it is.
    #[must_use]
    pub fn translation<'a>(&'a self, facts: &'a Facts, slot: Slot) -> Translation<'a> {
        let hot = self.table.hot(slot);
        let to = match facts.direction {
            _ if !hot.local.has(LocalFlags::TRANSLATED) => &facts.key,
            Direction::In => &self.table.cold(slot).stack_key,
            Direction::Out => &hot.key,
        };
        let mut modulation = [0; 2];
        if hot.local.has(LocalFlags::MODULATED) {
            let track = self.table.track(slot);
            let [src, dst] = [track.src.seqdiff, track.dst.seqdiff];
            let forward = facts.direction == hot.direction();
            modulation = if forward { [src, dst] } else { [dst, src] };
        }
        Translation { to, modulation }
    }

    /// The verdict on a packet that passes, once it is rewritten.
    #[inline]
    pub(super) fn rewritten(
        &mut self,
        verdict: Verdict,
        facts: &Facts,
        mut rewrite: impl FnMut(&Facts, &Translation<'_>) -> Result<i16, Refused>,
    ) -> Verdict {
        match rewrite(facts, &self.translation(facts, verdict.slot)) {
            Ok(moved) => {
                self.counters.translated += 1;
                Verdict { moved, translated: true, ..verdict }
            }
            Err(refused) => {
                Verdict { slot: verdict.slot, reverse: verdict.reverse, ..Verdict::of_refused(refused) }
            }
        }
    }

    /// The second key of a new state.
    pub(super) fn translated_key(&mut self, facts: &Facts, options: &Options) -> Result<Key, Reason> {
        let nat = &options.nat;
        let mut key = nat.key(facts).map_err(|_| Reason::Translation)?;
        let slot = facts.direction.source_slot();
        let reply = facts.direction.reverse();
        let Self { ports, steering, table, aliases, .. } = self;
        if let Some(range) = nat.range_for(facts) {
            let known =
                |key: &Key| aliases.as_ref().is_some_and(|aliases| aliases.find(key, reply).is_some());
            let taken = |key: &Key| table.find(key, reply).is_some() || known(key);
            key.port[slot] = ports.draw(&key, slot, range, steering, taken).ok_or(Reason::NoPort)?;
        }
        if key != facts.key && !self.can_tell(&key) {
            self.counters.ring_full += 1;
            return Err(Reason::TableFull);
        }
        Ok(key)
    }

    /// Whether the lane that a new key steers to can be told of it at once, before the packet leaves.
    fn can_tell(&self, key: &Key) -> bool {
        let lane = u16::from(self.steering.lane_of(key));
        let waiting = self.table.next_alias_change().is_some();
        lane == self.index || self.aliases.as_ref().is_some_and(|aliases| aliases.has_room(lane) && !waiting)
    }

    /// Tells the other lanes which keys of theirs this lane has, and has no more. What finds no room waits.
    #[inline]
    pub(super) fn publish_aliases(&mut self) {
        let Some(aliases) = &mut self.aliases else { return };
        while let Some(change) = self.table.next_alias_change() {
            if !aliases.tell(change) {
                return;
            }
            self.table.take_alias_change();
        }
    }

    /// The lane that has, or will have, the state of a packet that this lane has none for; none when that is this one.
    pub(super) fn owner_elsewhere(&mut self, facts: &Facts) -> Option<u16> {
        let lane = u16::from(self.steering.lane_of(&facts.key));
        let aliases = self.aliases.as_mut()?;
        if lane == self.index {
            return aliases.find(&facts.key, facts.direction);
        }
        if self.table.alias_changes_lost() > 0 {
            // That lane may have sent it here for a state that is no more.
            let change = AliasChange { key: facts.key, direction: facts.direction, lane, is_new: false };
            let _ = aliases.tell(&change);
        }
        Some(lane)
    }
}
