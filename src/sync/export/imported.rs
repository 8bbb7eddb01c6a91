//! Numbers of states that came from peers.

use crate::sync::message::PeerIndex;
use crate::sync::settings::MAX_PEERS;
use arrayvec::ArrayVec;

/// Creators counted one by one. A link has a handful of nodes.
const MAX_CREATORS: usize = 16;

/// States that this lane holds now and that a peer sent first.
#[derive(Debug, Default)]
pub(in crate::sync) struct ImportedStates {
    total: u32,
    by_peer: [u32; MAX_PEERS],
    /// Creators and their states; none has 0.
    by_creator: ArrayVec<(u32, u32), MAX_CREATORS>,
    /// States that are not in `by_creator`.
    of_others: u32,
}

impl ImportedStates {
    pub(crate) const fn total(&self) -> u32 {
        self.total
    }

    pub(crate) const fn of_peer(&self, peer: PeerIndex) -> u32 {
        self.by_peer[peer as usize]
    }

    /// Whether there may be states of a creator. Where none is counted, only the table can tell.
    pub(crate) fn may_have(&self, creator: u32) -> bool {
        self.total == 0 || self.of_others > 0 || self.by_creator.iter().any(|&(other, _)| other == creator)
    }

    /// Counts a state that was inserted or removed (`change` is 1 or -1). `origin_peer` is as in the record: the peer's
    /// index plus one, or 0.
    pub(crate) fn count(&mut self, origin_peer: u8, creator: u32, change: i32) {
        self.total = self.total.saturating_add_signed(change);
        self.count_creator(creator, change);
        if let Some(of_peer) = self.by_peer.get_mut(usize::from(origin_peer).wrapping_sub(1)) {
            *of_peer = of_peer.saturating_add_signed(change);
        }
    }

    /// A creator counts as one of the others while the list is full. So an entry never counts more states than there are,
    /// and a creator without an entry has states only while others have.
    fn count_creator(&mut self, creator: u32, change: i32) {
        match self.by_creator.iter().position(|&(other, _)| other == creator) {
            Some(at) => {
                let states = self.by_creator[at].1.saturating_add_signed(change);
                self.by_creator[at].1 = states;
                if states == 0 {
                    self.by_creator.swap_remove(at);
                }
            }
            None if change > 0 && self.by_creator.try_push((creator, 1)).is_ok() => {}
            None => self.of_others = self.of_others.saturating_add_signed(change),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_creator_with_states_is_forgotten_even_if_there_are_too_many() {
        let mut states = ImportedStates::default();
        let mut held = std::collections::BTreeMap::<u32, u32>::new();
        let mut random = 1u32;
        for _ in 0..20_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (creator, is_insert) = (random >> 16 & 31, random >> 30 != 0 && held.len() < 30);
            let count = held.entry(creator).or_default();
            if is_insert {
                *count += 1;
                states.count(1, creator, 1);
            } else if *count > 0 {
                *count -= 1;
                states.count(1, creator, -1);
            }
            held.retain(|_, count| *count > 0);
            assert!(held.keys().all(|&creator| states.may_have(creator)));
        }
        for (creator, count) in held {
            (0..count).for_each(|_| states.count(1, creator, -1));
        }
        assert_eq!((states.total(), states.of_others, states.by_creator.len()), (0, 0, 0));
    }
}

/// Imports that were refused for lack of space, since the lane started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RefusedImports {
    /// Whole states: inserts, and full updates of unknown states.
    pub states: u64,
    /// Compressed updates of unknown states. A busy state has many.
    pub updates: u64,
}

impl RefusedImports {
    /// Returns how many states were refused since `earlier`. Updates only show that there is one.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> u64 {
        let states = self.states.saturating_sub(earlier.states);
        states.max(u64::from(self.updates != earlier.updates))
    }
}
