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
        /// Compressed updates that repeated what was sent of a young state; they also count as sent.
        repeats_sent: Counter,
        /// Deletes sent, counted per peer.
        deletes_sent: Counter,
        /// Acknowledgements sent, counted per peer.
        acks_sent: Counter,
        /// Requests for a state sent.
        requests_sent: Counter,
        /// Bulk requests and bulk transfer starts and ends sent.
        bulk_marks_sent: Counter,
        /// Hellos of election groups sent.
        hellos_sent: Counter,
        /// Hellos of election groups lost because hellos of many others waited to be sent, or to be read by their election.
        hellos_dropped: Counter,
        /// Empty frames sent, which show a pfplane node what it has not received.
        heartbeats_sent: Counter,
        /// Frames sent with reports about the streams of pfplane nodes: lost frames, progress.
        reports_sent: Counter,
        /// Requests of pfplane nodes for the contents of lost frames.
        repairs_asked: Counter,
        /// Ranges of lost frames whose contents were sent again.
        repairs_served: Counter,
        /// Such requests refused: too many wait, or no such frames were sent.
        repairs_refused: Counter,
        /// Ranges of lost frames that were too old for the memory of sent frames: all states were examined.
        repairs_scanned: Counter,
        /// Ranges of lost frames of which some deletes are no longer known; the peer's copies expire.
        repairs_incomplete: Counter,
        /// States sent again because a frame was lost; they also count as updates.
        states_repeated: Counter,
        /// Deletes, acknowledgements and requests sent again because a frame was lost; they also count as sent.
        ids_repeated: Counter,
        /// Sums of all that was sent, for pfplane nodes to compare.
        roots_sent: Counter,
        /// Frames sent with a sketch of it, because the sums differed.
        sketch_frames_sent: Counter,
        /// Requests for a sketch of an unknown size.
        comparisons_refused: Counter,
        /// States sent again because a pfplane node does not have them, or asks whether this one still has them.
        states_told_again: Counter,
        /// States that a pfplane node cannot hold, as it reports.
        states_refused_by_peer: Counter,
        /// States of pfplane nodes ended because no node has them any more.
        ghosts_ended: Counter,
        /// Frames of the seal's handshake sent: hellos, and answers to challenges.
        handshakes_sent: Counter,
        /// States sent in bulk transfers.
        bulk_states_sent: Counter,
        /// Messages dropped because their state ended or expired before the frame was written.
        messages_outdated: Counter,
        /// Messages not sent because the peer's dialect cannot express the state, or needs a field that was lost here.
        messages_inexpressible: Counter,
        /// Times that a buffer had no space for a single message.
        buffers_too_small: Counter,
        /// Deletes lost because their queue was full; the peer's copy expires.
        deletes_lost: Counter,
        /// Requests lost because their queue was full; the state's next update repeats them.
        requests_lost: Counter,
        /// Bulk requests and bulk transfer marks lost because their queue was full.
        marks_lost: Counter,
        /// Requests and answers not repeated within a second.
        requests_limited: Counter,
        /// States created here and not replicated: by rule, by protocol, or ended below the minimum age.
        states_left_out: Counter,
        /// States that expired without a delete, because a peer sees their traffic.
        ends_silent: Counter,
        /// Ends of foreign states not reported to the sync lane; its directory is corrected later.
        ends_lost: Counter,
        /// States of peers inserted.
        states_imported: Counter,
        /// States inserted without fields that only FreeBSD uses, because no entry was free (max_extra_per_lane).
        imports_incomplete: Counter,
        /// Options about states that were not stored, because no entry was free (max_extra_per_lane).
        options_lost: Counter,
        /// States replaced by a peer's state with the same key.
        states_replaced: Counter,
        /// Updates merged.
        updates_merged: Counter,
        /// Updates with a side older than ours (pfsyncs_stale).
        stale: Counter,
        /// Deletes and requests for an unknown state, and updates that could not be inserted (pfsyncs_badstate).
        badstate: Counter,
        /// Full updates of unknown states with a field out of range.
        badval_update: Counter,
        /// Inserts of known states.
        inserts_duplicate: Counter,
        /// States refused because another state has the key.
        imports_refused_key_collision: Counter,
        /// States refused because another host's live connection has one of their keys; counted by the key collisions too.
        imports_refused_translation_collision: Counter,
        /// States refused because the table is full.
        imports_refused_table_full: Counter,
        /// Half-open TCP connections of peers that another state of a peer replaced, for lack of space.
        imports_evicted_half_open: Counter,
        /// States refused because the maximum number of peers' states is reached.
        imports_refused_quota: Counter,
        /// States refused because their creator has the key in a state bound to another interface.
        imports_refused_binding: Counter,
        /// States refused because this node does not have their routing table or routing domain (routing_tables).
        imports_refused_routing_table: Counter,
        /// Peers' states refused because they have ended; a delete answers them.
        imports_refused_ended: Counter,
        /// Peers' states ended because ours of the same connection wins and the peer refused it.
        twins_ended: Counter,
        /// Ids of ended states forgotten early because the memory for them was full.
        ends_forgotten: Counter,
        /// States refused because id and keys belong to different lanes.
        imports_refused_wrong_lane: Counter,
        /// Clears refused because too many were in progress.
        clears_lost: Counter,
        /// States removed by a peer's delete.
        states_removed_by_peer: Counter,
        /// States removed by a peer's clear.
        states_cleared_by_peer: Counter,
        /// States whose first packets were held until a peer has the state.
        states_deferred: Counter,
        /// Deferred states released by a peer's message.
        states_released: Counter,
        /// Deferred states released because no peer answered in time.
        states_released_timeout: Counter,
        /// Deferred states released early because too many were held.
        states_released_early: Counter,
        /// Times that the host's clock stepped back by more than 100 ms or ahead by more than 30 days; time stood still then.
        clock_steps: Counter,
        /// States created here that no peer has yet (see pfplane_lane_exposure).
        exposed_creations: Gauge,
        /// Other changes of states that no peer has yet.
        exposed_changes: Gauge,
        /// Nanoseconds that the oldest change that no peer has yet has waited, approximately.
        oldest_unsent_ns: Maximum,
        /// States now that this node created.
        states_made_here: Gauge,
        /// States now that came from a peer.
        states_from_peers: Gauge,
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
        /// Repeats of a young state's last message queued.
        repeats_queued: Gauge,
        /// States with a held first packet whose insert no peer has acknowledged; they count as exposed.
        unacknowledged_now: Gauge,
        /// Requests for a state queued.
        requests_queued: Gauge,
        /// Packets of the host that are held.
        packets_held: Gauge,
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
        /// Frames of this peer with a valid seal.
        frames_sealed: Counter,
        /// Frames with this peer's address refused because of their seal, or because they have none.
        frames_refused: Counter,
        /// Valid frames received from this peer.
        frames_received: Counter,
        /// Bytes of valid frames received from this peer, with IP headers.
        bytes_received: Counter,
        /// Frames missing between those received, if the peer is a pfplane node.
        frames_lost: Counter,
        /// States that were found to differ from this peer's and still did later, if it is a pfplane node.
        states_differing: Gauge,
        /// Frames received late or twice, if the peer is a pfplane node; late ones count as lost too.
        frames_late: Counter,
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
        states_imported: Counter,
        /// States of this peer refused.
        states_refused: Counter,
        /// States now that this peer sent first.
        states_now: Gauge,
        /// States created here that this peer does not have yet.
        exposed_creations: Gauge,
        /// Other changes of states that this peer does not have yet.
        exposed_changes: Gauge,
        /// Nanoseconds that the oldest change that this peer does not have yet has waited, approximately.
        oldest_unsent_ns: Maximum,
        /// Milliseconds since the last frame from this peer; 0 before the first one.
        silent_ms: Maximum,
    }
}
