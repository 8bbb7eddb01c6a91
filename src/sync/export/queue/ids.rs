//! Bounded queues of ids, for messages about states that this lane does not hold.

use crate::state::StateId;
use crate::sync::message::PeerIndex;
use crate::sync::ring::Ring;
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
    pub(crate) fn new(settings: &SyncSettings) -> Self {
        let sized = |count: u32| if settings.is_active() { count as usize } else { 0 };
        Self {
            deletes: Ring::new(sized(settings.max_deletes)),
            requests: Ring::new(sized(settings.max_requests)),
            ended: Ring::new(if settings.report_ends { MAX_ENDED } else { 0 }),
        }
    }
}
