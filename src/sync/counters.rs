//! Counters of lanes and of peers. Names that OpenBSD's or FreeBSD's `pfsyncstats` has are kept, and the help names them.

use crate::stats::counters;

counters! {
    /// Counters of one lane: messages sent, and results of messages received.
    pub struct SyncCounters {
        /// Frames sent over IPv4 (pfsyncs_opackets).
        opackets: Counter,
        /// Frames sent over IPv6 (pfsyncs_opackets6).
        opackets6: Counter,
        /// Bytes of sent frames, with IP headers.
        obytes: Counter,
        /// Times that the host had no buffer for a frame (pfsyncs_onomem).
        onomem: Counter,
        /// Frames that the host could not send; their contents were requeued (pfsyncs_oerrors).
        oerrors: Counter,
        /// Inserts sent, counted per peer.
        inserts_sent: Counter,
        /// Full updates sent, counted per peer, bulk transfers included.
        updates_sent: Counter,
        /// Compressed updates sent, counted per peer.
        compressed_sent: Counter,
        /// Deletes sent, counted per peer.
        deletes_sent: Counter,
        /// Acknowledgements sent, counted per peer.
        acks_sent: Counter,
        /// Requests for a state sent.
        requests_sent: Counter,
        /// Clears sent, counted per peer.
        clears_sent: Counter,
        /// Bulk requests and bulk transfer starts and ends sent.
        bulk_marks_sent: Counter,
        /// States sent in bulk transfers.
        bulk_states_sent: Counter,
        /// Messages dropped because their state ended or expired before the frame was written.
        outdated: Counter,
        /// Times that a buffer had no space for a single message.
        no_room: Counter,
        /// Deletes lost because their queue was full; the peer's copy expires.
        deletes_lost: Counter,
        /// Requests lost because their queue was full; the state's next update repeats them.
        requests_lost: Counter,
        /// Clears and bulk transfer marks lost because their queue was full.
        marks_lost: Counter,
        /// Requests and answers not repeated within a second.
        limited: Counter,
        /// States created here and not replicated: by rule, by protocol, or ended below the minimum age.
        left_out: Counter,
        /// States that expired without a delete, because a peer sees their traffic.
        silent_ends: Counter,
        /// Ends of foreign states not reported to the sync lane; its directory is corrected later.
        ends_lost: Counter,
        /// States of peers inserted.
        imported: Counter,
        /// States replaced by a peer's state with the same key.
        replaced: Counter,
        /// Updates merged.
        merged: Counter,
        /// Updates with a side older than ours (pfsyncs_stale).
        stale: Counter,
        /// Deletes and requests for an unknown state, and updates that could not be inserted (pfsyncs_badstate).
        badstate: Counter,
        /// Full updates of unknown states with a field out of range.
        badval_update: Counter,
        /// Inserts of known states.
        duplicates: Counter,
        /// States refused because another state has the key.
        key_collision: Counter,
        /// States refused because the table is full.
        table_full: Counter,
        /// States refused because the maximum number of peers' states is reached.
        over_quota: Counter,
        /// States refused because id and keys belong to different lanes.
        wrong_lane: Counter,
        /// Clears refused because too many were in progress.
        clears_lost: Counter,
        /// States removed by a peer's delete.
        removed: Counter,
        /// States removed by a peer's clear.
        cleared: Counter,
        /// States whose first packets were held until a peer has the state.
        deferred: Counter,
        /// Deferred states released by a peer's message.
        released: Counter,
        /// Deferred states released because no peer answered in time.
        defer_timeouts: Counter,
        /// Deferred states released early because too many were held.
        defer_overflows: Counter,
        /// States with a creation not yet sent to any peer.
        exposed_creations: Gauge,
        /// States with another change not yet sent to any peer.
        exposed_changes: Gauge,
        /// Nanoseconds that the oldest change not yet sent to any peer has waited, approximately.
        oldest_unsent_ns: Maximum,
        /// States now that this node created.
        made_here_now: Gauge,
        /// States now that came from a peer.
        imported_now: Gauge,
        /// Inserts queued.
        inserts_queued: Gauge,
        /// States waiting for the minimum age.
        young_queued: Gauge,
        /// Full updates queued.
        updates_queued: Gauge,
        /// Compressed updates queued.
        compressed_queued: Gauge,
        /// Acknowledgements queued.
        acks_queued: Gauge,
        /// Requests for a state queued.
        requests_queued: Gauge,
        /// Packets of the host that are held.
        held_now: Gauge,
        /// Deletes queued.
        deletes_queued: Gauge,
    }
}

counters! {
    /// Counters of one peer. A lane fills in what it sent and applied, the sync lane what it received; the sum is the peer's.
    pub struct PeerCounters {
        /// Frames sent to this peer.
        frames_sent: Counter,
        /// Bytes of frames sent to this peer, with IP headers.
        bytes_sent: Counter,
        /// Frames to this peer that the host could not send (pfsyncs_oerrors).
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
        /// Valid frames received from this peer.
        frames_received: Counter,
        /// Bytes of valid frames received from this peer, with IP headers.
        bytes_received: Counter,
        /// Valid messages received from this peer.
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
        /// Bulk requests received from this peer.
        bulk_requests_received: Counter,
        /// Regions from this peer with an unknown action (pfsyncs_badact).
        badact: Counter,
        /// Regions from this peer longer than their frame (pfsyncs_badlen).
        badlen: Counter,
        /// Messages from this peer with a field out of range (pfsyncs_badval).
        badval: Counter,
        /// Messages from this peer about an unknown state (pfsyncs_badstate).
        badstate: Counter,
        /// Updates from this peer with a side older than ours (pfsyncs_stale).
        stale: Counter,
        /// States of this peer inserted.
        imported: Counter,
        /// States of this peer refused.
        refused: Counter,
        /// States now that this peer sent first.
        states_now: Gauge,
        /// States with a creation not yet sent to this peer.
        exposed_creations: Gauge,
        /// States with another change not yet sent to this peer.
        exposed_changes: Gauge,
        /// Nanoseconds that the oldest change not yet sent to this peer has waited, approximately.
        oldest_unsent_ns: Maximum,
        /// Milliseconds since the last frame from this peer; 0 before the first one.
        silent_ms: Maximum,
    }
}
