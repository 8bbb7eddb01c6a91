//! Translated states: rewriting their packets, and publishing their second keys to other lanes.

use super::exchange::AliasStep;
use super::tracker::Tracker;
use super::{Burst, BurstInfo, Lane, Verdict};
use crate::packet::{
    Direction, Facts, Key, Kind, TranslateError, Translation, WritablePacket, parse_fragment,
};
use crate::state::LocalFlags;
use crate::sync::Removal;
use crate::table::{AliasChange, AliasEvent, Slot, Table};
use crate::time::Nanos;

/// Returns what to rewrite in a packet that the state in `slot` passes. For an untranslated state it changes nothing.
pub(super) fn translation<'a>(table: &'a Table, facts: &'a Facts, slot: Slot) -> Translation<'a> {
    let hot = table.hot(slot);
    let to = match facts.direction {
        _ if !hot.local.has(LocalFlags::TRANSLATED) => &facts.key,
        Direction::In => &table.cold(slot).stack_key,
        Direction::Out => &hot.key,
    };
    let mut modulation = [0; 2];
    if hot.local.has(LocalFlags::MODULATED) {
        let track = table.track(slot);
        let [src, dst] = [track.src.seqdiff, track.dst.seqdiff];
        let forward = facts.direction == hot.direction();
        modulation = if forward { [src, dst] } else { [dst, src] };
    }
    Translation { to, modulation }
}

impl Lane {
    /// Rewrites a fragment that the state in `slot` passes, in the memory of the host. `packet_length` is the length of all its
    /// segments. Returns the routing domain in which to forward it.
    ///
    /// # Errors
    /// See [`Translation::apply_to_fragment`]. A packet that is no fragment of the state's connection is untranslatable.
    pub fn rewrite_fragment(
        &self,
        info: &BurstInfo,
        slot: Slot,
        packet_length: u32,
        packet: &mut WritablePacket<'_>,
    ) -> Result<u16, TranslateError> {
        let table = &self.tracker.table;
        let bytes = packet.bytes.get(packet.start..).ok_or(TranslateError::NotContiguous)?;
        let fragment = parse_fragment(bytes, packet_length, info.link, info.direction);
        let fragment = fragment.filter(|_| slot.0 < table.end() && table.is_live(slot));
        let mut facts = fragment.ok_or(TranslateError::Untranslatable)?.facts(info.direction);
        let hot = table.hot(slot);
        let from = match info.direction {
            Direction::Out if hot.local.has(LocalFlags::TRANSLATED) => &table.cold(slot).stack_key,
            _ => &hot.key,
        };
        if facts.kind == Kind::LaterFragment {
            (facts.key.port, facts.key.proto) = (from.port, from.proto);
        }
        facts.key.put_in(info.rdomain);
        if facts.key != *from {
            return Err(TranslateError::Untranslatable);
        }
        let translation = translation(table, &facts, slot);
        translation.apply_to_fragment(&facts, packet)?;
        Ok(translation.to.rdomain)
    }
}

impl Tracker {
    /// Rewrites a packet that passes. Returns its verdict.
    #[inline]
    pub(super) fn rewrite<B: Burst>(
        &mut self,
        verdict: Verdict,
        facts: &Facts,
        index: usize,
        burst: &mut B,
    ) -> Verdict {
        let translation = translation(&self.table, facts, verdict.slot);
        match burst.rewrite(index, facts, &translation) {
            Ok(moved) => {
                self.counters.packets_translated += 1;
                Verdict { moved, rdomain: translation.to.rdomain, translated: true, ..verdict }
            }
            Err(refused) => {
                Verdict { slot: verdict.slot, reverse: verdict.reverse, ..Verdict::of_refused(refused) }
            }
        }
    }

    /// Returns whether the lane that a new key steers to can be sent the alias at once, before the packet leaves.
    pub(super) fn can_publish(&self, key: &Key) -> bool {
        let lane = u16::from(self.steering.lane_of(key));
        let others_wait = self.table.next_alias_change().is_some();
        lane == self.lane.index
            || self.aliases.as_ref().is_some_and(|aliases| aliases.has_space(lane) && !others_wait)
    }

    /// Sends other lanes the keys of theirs that this lane has gained or lost. Changes for which a ring has no space wait.
    #[inline]
    pub(super) fn publish_aliases(&mut self) {
        let Some(aliases) = &mut self.aliases else { return };
        while let Some(change) = self.table.next_alias_change() {
            if !aliases.send(change) {
                return;
            }
            self.table.take_alias_change();
        }
    }

    /// Receives the other lanes' aliases. Cost: one load when there is nothing new.
    #[inline]
    pub(super) fn receive_aliases(&mut self, now: Nanos) {
        if self.aliases.as_ref().is_some_and(|aliases| aliases.has_news()) {
            self.receive_new_aliases(now);
        }
    }

    /// Receives aliases. Of two states with one key, a peer's state without traffic here must go: it would get the replies of
    /// the other one.
    #[cold]
    fn receive_new_aliases(&mut self, now: Nanos) {
        let Self { aliases, table, exporter, .. } = self;
        let Some(aliases) = aliases else { return };
        aliases.receive(|step, change| {
            if step == AliasStep::Applied {
                let is_used = change.event != AliasEvent::Removed;
                if let (Some(ports), true) = (table.ports_mut(), change.event != AliasEvent::Refused) {
                    ports.mark(&change.key, change.direction, is_used);
                }
                return false;
            }
            let Some(slot) = table.find(&change.key, change.direction) else { return false };
            let local = table.hot(slot).local;
            let may_go = local.has(LocalFlags::IMPORTED) && !local.has(LocalFlags::LOCAL_TRAFFIC);
            if may_go && matches!(change.event, AliasEvent::Created | AliasEvent::Refused) {
                exporter.counters.imports_refused_translation_collision += 1;
                exporter.removed(table, slot, now, Removal::Replaced);
                table.remove(slot);
                return false;
            }
            change.event == AliasEvent::Imported
        });
        self.publish_aliases();
    }

    /// Returns whether another lane has a state with one of the keys of a peer's new state.
    pub(super) fn is_key_of_another_lane(&mut self, [wire, stack]: [&Key; 2], now: Nanos) -> bool {
        self.receive_aliases(now);
        self.aliases.as_ref().is_some_and(|aliases| {
            aliases.find(wire, Direction::In).is_some() || aliases.find(stack, Direction::Out).is_some()
        })
    }

    /// Returns the lane that has, or is to create, the state of a packet that has none here. None if that is this lane.
    pub(super) fn other_owner(&mut self, facts: &Facts) -> Option<u16> {
        let lane = u16::from(self.steering.lane_of(&facts.key));
        if lane == self.lane.index {
            return self.aliases.as_ref()?.find(&facts.key, facts.direction);
        }
        if let Some(aliases) = &mut self.aliases
            && self.table.alias_changes_lost() > 0
        {
            // That lane may have handed the packet here because of a state that does not exist any more.
            let change =
                AliasChange { key: facts.key, direction: facts.direction, lane, event: AliasEvent::Removed };
            let _ = aliases.send(&change);
        }
        Some(lane)
    }
}
