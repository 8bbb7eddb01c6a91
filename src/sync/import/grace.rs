//! States of a peer that went silent outlive their time for a while.
//!
//! A node that only hears of a connection must not end it because it hears nothing any more: the link may be down and the
//! peer forward on (protocol 4.3). So what a peer alone has traffic of is kept until the peer has been silent for a grace,
//! and while all states of the peers are being asked for. A peer that speaks and leaves a state out has no traffic of it,
//! and the state ends by its time.

use crate::state::{LocalFlags, Timeouts};
use crate::sync::message::PeerIndex;
use crate::sync::settings::MAX_PEERS;
use crate::sync::store::Store;
use crate::table::Slot;
use crate::time::{NANOS_PER_SECOND, Nanos};

/// For how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GracePolicy {
    /// A peer that has sent nothing for so long is silent. pf tells of a busy state every second.
    pub silence: Nanos,
    /// From its last word on, its states are kept for so long; 0: they end by their time.
    pub duration: Nanos,
}

impl Default for GracePolicy {
    /// A minute: an operator's restart of a switch.
    fn default() -> Self {
        Self { silence: 3 * NANOS_PER_SECOND, duration: 60 * NANOS_PER_SECOND }
    }
}

/// Whose states a lane keeps now.
#[derive(Clone, Copy, Debug, Default)]
pub struct SilentPeers {
    peers: [bool; MAX_PEERS],
}

impl SilentPeers {
    /// Judges anew. `last_seen` is when each peer last said something, `None` for one that never did; `loading` is whether
    /// all states are being asked for; `states` are those of all lanes: with more than adaptive timeouts begin at, the room
    /// is needed and nothing is kept.
    pub fn update(
        &mut self,
        grace: &GracePolicy,
        last_seen: impl Fn(PeerIndex) -> Option<Nanos>,
        loading: bool,
        timeouts: &Timeouts,
        states: u32,
        now: Nanos,
    ) {
        let is_scaled = timeouts.adaptive_end() > timeouts.adaptive_start();
        let is_tight = is_scaled && states > timeouts.adaptive_start();
        for (peer, keeps) in (0..).zip(&mut self.peers) {
            let silent_for = last_seen(peer).map(|last_seen| now.saturating_sub(last_seen));
            let in_grace = silent_for.is_some_and(|silent| (grace.silence..grace.duration).contains(&silent));
            *keeps = !is_tight && grace.duration > 0 && (in_grace || loading);
        }
    }

    /// Whether a state whose time is over is kept. One that was made here and that a peer carries now may be any peer's.
    #[must_use]
    pub fn in_grace(&self, store: &impl Store, slot: Slot) -> bool {
        if store.local(slot).has(LocalFlags::LOCAL_TRAFFIC) {
            return false;
        }
        match usize::from(store.origin_peer(slot)) {
            0 => self.peers.contains(&true),
            peer => self.peers.get(peer - 1).copied().unwrap_or(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::fixture;
    use crate::table::Table;

    const S: Nanos = NANOS_PER_SECOND;

    fn foreign() -> (Table, Slot) {
        let (mut table, mut record) = (fixture::table(4), fixture::state(0));
        record.hot.local = LocalFlags(LocalFlags::IMPORTED);
        let slot = table.insert(&record).unwrap();
        (table, slot)
    }

    fn keeps(silent: Option<Nanos>, loading: bool, states: u32) -> bool {
        let mut silent_peers = SilentPeers::default();
        let last_seen = |peer| silent.filter(|_| peer == 1).map(|silent| 1000 * S - silent);
        silent_peers.update(
            &GracePolicy::default(),
            last_seen,
            loading,
            &Timeouts::default(),
            states,
            1000 * S,
        );
        let (mut table, slot) = foreign();
        let keeps = |table: &Table| silent_peers.in_grace(table, slot);
        table.cold_mut(slot).origin_peer = 2;
        let kept = keeps(&table);
        table.hot_mut(slot).local.set(LocalFlags::LOCAL_TRAFFIC);
        assert!(!keeps(&table), "what passed here ends by its time");
        table.hot_mut(slot).local.clear(LocalFlags::LOCAL_TRAFFIC);
        table.cold_mut(slot).origin_peer = 1;
        assert!(loading || !keeps(&table), "another peer's");
        table.hot_mut(slot).local.clear(LocalFlags::IMPORTED);
        table.cold_mut(slot).origin_peer = 0;
        assert_eq!(keeps(&table), kept, "made here, then carried by a peer");
        kept
    }

    #[test]
    fn states_of_a_silent_peer_are_kept_for_the_grace_and_no_longer() {
        assert!(!keeps(Some(S), false, 10), "it speaks");
        assert!(keeps(Some(3 * S), false, 10));
        assert!(keeps(Some(60 * S - 1), false, 10));
        assert!(!keeps(Some(60 * S), false, 10));
        assert!(!keeps(None, false, 10), "it was never last_seen");
    }

    #[test]
    fn while_all_states_are_asked_for_nothing_is_ended() {
        assert!(keeps(Some(S), true, 10) && keeps(Some(300 * S), true, 10));
    }

    #[test]
    fn where_room_is_tight_nothing_is_kept() {
        let start = Timeouts::default().adaptive_start();
        assert!(keeps(Some(4 * S), false, start));
        assert!(!keeps(Some(4 * S), false, start + 1) && !keeps(Some(S), true, start + 1));
    }

    #[test]
    fn without_a_grace_every_state_ends_by_its_time() {
        let mut silent_peers = SilentPeers::default();
        let none = GracePolicy { duration: 0, ..GracePolicy::default() };
        silent_peers.update(&none, |_| Some(0), true, &Timeouts::default(), 0, 10 * S);
        let (mut table, slot) = foreign();
        for origin_peer in [0, 1, 8, 9, 255] {
            table.cold_mut(slot).origin_peer = origin_peer;
            assert!(!silent_peers.in_grace(&table, slot));
        }
    }
}
