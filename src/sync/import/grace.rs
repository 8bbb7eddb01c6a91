//! Keeps the states of a silent peer beyond their timeouts for a while.
//!
//! A node that does not forward a connection itself must not expire it only because updates stop: the link may be down
//! while the peer still forwards (protocol 4.3). So states without local traffic are kept while their peer is silent, up to
//! a maximum, and while a bulk transfer is running. A peer that sends frames but no update of a state has no traffic of it,
//! and the state expires.
//!
//! For the same reason adaptive scaling does not apply to such states before the maximum is over: this node may count more
//! states than the peer, or have space for fewer, and would lose connections that the peer keeps. The peer sends a delete
//! for what it expires.

use crate::state::{LocalFlags, Timeouts};
use crate::sync::message::PeerIndex;
use crate::sync::settings::{GracePolicy, MAX_PEERS};
use crate::sync::store::Store;
use crate::table::Slot;
use crate::time::Nanos;

/// The peers whose states a lane keeps beyond their timeouts, and those whose states it does not scale.
#[derive(Clone, Copy, Debug, Default)]
pub struct SilentPeers {
    in_grace: [bool; MAX_PEERS],
    /// Not silent for longer than the grace: the peer expires its states itself.
    present: [bool; MAX_PEERS],
}

impl SilentPeers {
    /// Updates which peers are silent. `last_seen` is the time of each peer's last frame, `loading` whether a bulk transfer
    /// is running, `states` the number of states of all lanes: above the start of adaptive timeouts nothing is kept, because
    /// the space is needed.
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
        for (peer, (keeps, present)) in (0..).zip(self.in_grace.iter_mut().zip(&mut self.present)) {
            let silent_for = last_seen(peer).map(|last_seen| now.saturating_sub(last_seen));
            let in_grace = silent_for.is_some_and(|silent| (grace.silence..grace.duration).contains(&silent));
            *keeps = !is_tight && grace.duration > 0 && (in_grace || loading);
            let end = grace.duration.max(grace.silence);
            *present = loading || silent_for.is_some_and(|silent| silent < end);
        }
    }

    /// Whether an expired state is kept.
    #[must_use]
    pub fn in_grace(&self, store: &impl Store, slot: Slot) -> bool {
        is_of(&self.in_grace, store, slot)
    }

    /// Whether adaptive scaling does not apply to a state, because its peer expires it.
    #[must_use]
    pub fn is_unscaled(&self, store: &impl Store, slot: Slot) -> bool {
        is_of(&self.present, store, slot)
    }
}

/// Whether a state is of one of these peers. One created here, whose traffic a peer forwards now, may be any peer's.
fn is_of(peers: &[bool; MAX_PEERS], store: &impl Store, slot: Slot) -> bool {
    if store.local(slot).has(LocalFlags::LOCAL_TRAFFIC) {
        return false;
    }
    match usize::from(store.origin_peer(slot)) {
        0 => peers.contains(&true),
        peer => peers.get(peer - 1).copied().unwrap_or(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::fixture;
    use crate::table::Table;
    use crate::time::NANOS_PER_SECOND;

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
        assert!(!keeps(&table), "a state with local traffic expires");
        table.hot_mut(slot).local.clear(LocalFlags::LOCAL_TRAFFIC);
        table.cold_mut(slot).origin_peer = 1;
        assert!(loading || !keeps(&table), "another peer's state");
        table.hot_mut(slot).local.clear(LocalFlags::IMPORTED);
        table.cold_mut(slot).origin_peer = 0;
        assert_eq!(keeps(&table), kept, "created here, then forwarded by a peer");
        kept
    }

    #[test]
    fn states_of_a_silent_peer_are_kept_for_the_grace_duration() {
        assert!(!keeps(Some(S), false, 10), "not silent");
        assert!(keeps(Some(3 * S), false, 10));
        assert!(keeps(Some(60 * S - 1), false, 10));
        assert!(!keeps(Some(60 * S), false, 10));
        assert!(!keeps(None, false, 10), "never seen");
    }

    #[test]
    fn while_a_bulk_transfer_is_running_no_foreign_state_expires() {
        assert!(keeps(Some(S), true, 10) && keeps(Some(300 * S), true, 10));
    }

    #[test]
    fn above_the_start_of_adaptive_timeouts_nothing_is_kept() {
        let start = Timeouts::default().adaptive_start();
        assert!(keeps(Some(4 * S), false, start));
        assert!(!keeps(Some(4 * S), false, start + 1) && !keeps(Some(S), true, start + 1));
    }

    #[test]
    fn states_of_a_peer_are_not_scaled_until_its_grace_is_over() {
        let is_unscaled = |grace: &GracePolicy, silent, loading| {
            let mut silent_peers = SilentPeers::default();
            let seen = |peer| (peer == 0).then_some(1000 * S - silent);
            silent_peers.update(grace, seen, loading, &Timeouts::default(), u32::MAX, 1000 * S);
            let (mut table, slot) = foreign();
            table.cold_mut(slot).origin_peer = 1;
            let unscaled = silent_peers.is_unscaled(&table, slot);
            table.hot_mut(slot).local.set(LocalFlags::LOCAL_TRAFFIC);
            assert!(!silent_peers.is_unscaled(&table, slot), "a state with local traffic is scaled");
            unscaled
        };
        let (default, none) = (GracePolicy::default(), GracePolicy { duration: 0, ..GracePolicy::default() });
        assert!(is_unscaled(&default, 0, false) && is_unscaled(&default, 60 * S - 1, false));
        assert!(!is_unscaled(&default, 60 * S, false) && is_unscaled(&default, 60 * S, true));
        assert!(is_unscaled(&none, 3 * S - 1, false) && !is_unscaled(&none, 3 * S, false));
    }

    #[test]
    fn with_a_grace_duration_of_zero_nothing_is_kept() {
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
