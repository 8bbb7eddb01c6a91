//! What replication counts of each peer: which one is sick is the first question.

use crate::stats::counters;

counters! {
    /// Of one peer. Every lane fills in what it sent and did; the sync lane, what it received. Add them up.
    pub struct PeerCounters {
        /// Frames sent to this peer.
        frames_sent: Counter,
        /// Bytes of them, with IP headers.
        bytes_sent: Counter,
        /// Frames to this peer that the host could not send.
        oerrors: Counter,
        /// Inserts sent to this peer.
        inserts_sent: Counter,
        /// Full updates sent to this peer.
        updates_sent: Counter,
        /// Compressed updates sent to this peer.
        compressed_sent: Counter,
        /// Deletes sent to this peer.
        deletes_sent: Counter,
        /// Acknowledgements sent to this peer.
        acks_sent: Counter,
        /// Requests for a state sent to this peer.
        requests_sent: Counter,
        /// Frames received from this peer that passed the gates.
        frames_received: Counter,
        /// Bytes of them, with IP headers.
        bytes_received: Counter,
        /// Messages received from this peer and handed on.
        messages_received: Counter,
        /// Inserts received from this peer.
        inserts_received: Counter,
        /// Full updates received from this peer.
        updates_received: Counter,
        /// Compressed updates received from this peer.
        compressed_received: Counter,
        /// Deletes received from this peer.
        deletes_received: Counter,
        /// Acknowledgements received from this peer.
        acks_received: Counter,
        /// Requests for a state received from this peer.
        requests_received: Counter,
        /// Clears received from this peer.
        clears_received: Counter,
        /// Requests for all states received from this peer.
        bulk_requests_received: Counter,
        /// Regions of this peer whose action is not known.
        badact: Counter,
        /// Regions of this peer longer than their frame.
        badlen: Counter,
        /// Messages of this peer with a field out of its range.
        badval: Counter,
        /// Messages of this peer about a state that is not here.
        badstate: Counter,
        /// Updates of this peer with a side older than ours.
        stale: Counter,
        /// States of this peer taken in.
        imported: Counter,
        /// States of this peer not taken in.
        refused: Counter,
        /// States now that this peer told of first.
        states_now: Gauge,
        /// States with a creation that this peer was not sent yet.
        exposed_creations: Gauge,
        /// States with another change that this peer was not sent yet.
        exposed_changes: Gauge,
        /// Nanoseconds that the oldest change has waited which this peer was not sent yet, about.
        oldest_unsent_ns: Maximum,
        /// Milliseconds since this peer was last heard; 0 when it never was.
        silent_ms: Maximum,
    }
}
