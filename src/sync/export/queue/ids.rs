//! Bounded queues of ids, for messages about states that this lane does not hold.

use crate::error::Error;
use crate::memory::{Heap, Ring};
use crate::state::StateId;
use crate::sync::message::PeerIndex;
use crate::sync::settings::SyncSettings;

/// Ends of foreign states that may wait for the sync lane.
const MAX_ENDED: usize = 4096;

/// Deletes, requests and reports to the directory that wait.
#[derive(Debug)]
pub(in crate::sync::export) struct IdQueues {
    pub deletes: Ring<StateId>,
    /// Requests, with the peer to ask.
    pub requests: Ring<(PeerIndex, StateId)>,
    /// Foreign ids whose state was removed here.
    pub ended: Ring<StateId>,
}

impl IdQueues {
    pub(crate) fn new(settings: &SyncSettings, heap: Heap) -> Result<Self, Error> {
        let [deletes, requests, ended] = Self::capacities(settings);
        Ok(Self {
            deletes: Ring::new(heap, "deletes", deletes)?,
            requests: Ring::new(heap, "requests", requests)?,
            ended: Ring::new(heap, "ended states", ended)?,
        })
    }

    pub(crate) fn memory_needed(settings: &SyncSettings) -> usize {
        let [deletes, requests, ended] = Self::capacities(settings);
        Ring::<StateId>::bytes(deletes + ended) + Ring::<(PeerIndex, StateId)>::bytes(requests)
    }

    /// Deletes, requests, ended states.
    fn capacities(settings: &SyncSettings) -> [usize; 3] {
        let sized = |count: u32| if settings.is_active() { count as usize } else { 0 };
        let ended = if settings.report_ends { MAX_ENDED } else { 0 };
        [sized(settings.max_deletes), sized(settings.max_requests), ended]
    }
}
