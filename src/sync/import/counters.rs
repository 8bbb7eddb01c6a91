//! Counters of received frames. Names that OpenBSD's or FreeBSD's `pfsyncstats` has are kept, and the help names them.

use crate::stats::counters;
use crate::sync::readiness::Readiness;

counters! {
    /// Counters of received frames, kept by the sync lane.
    pub struct ImportCounters {
        /// Frames received over IPv4 (pfsyncs_ipackets).
        ipackets: Counter,
        /// Frames received over IPv6 (pfsyncs_ipackets6).
        ipackets6: Counter,
        /// Bytes of received frames, with IP headers.
        ibytes: Counter,
        /// Frames received on another port than the sync port (pfsyncs_badif).
        badif: Counter,
        /// Frames of another VLAN than a peer's, or with stacked tags.
        badvlan: Counter,
        /// Frames to an Ethernet address that is neither ours nor that of the peers' multicast group nor broadcast.
        badmac: Counter,
        /// Packets with an invalid IP header.
        badip: Counter,
        /// Frames from an address that belongs to no peer.
        badsource: Counter,
        /// Our own frames, received back.
        frames_looped: Counter,
        /// Forwarded frames: TTL or hop limit is not 255 (pfsyncs_badttl).
        badttl: Counter,
        /// Frames of sealed peers with a wrong tag: forged, or changed on the link (pfsyncs_badauth).
        badauth: Counter,
        /// Frames of sealed peers that were accepted.
        frames_sealed: Counter,
        /// Those of them that were encrypted.
        frames_decrypted: Counter,
        /// Frames without a seal that were accepted from a peer in mode sign.
        frames_unsealed: Counter,
        /// Frames without a seal refused because the peer's must have one.
        seal_missing: Counter,
        /// Frames without a seal refused because the peer's had one within the last hour.
        seal_stripped: Counter,
        /// Frames sealed in an unknown way.
        seal_format: Counter,
        /// Frames that are not encrypted, refused because the peer's must be.
        seal_unencrypted: Counter,
        /// Frames sealed with a key that this node does not have.
        seal_key: Counter,
        /// Frames with a valid tag that were received before, or after later ones.
        seal_replayed: Counter,
        /// Frames that nothing proves to be recent: the first ones after a start, and old ones of an attacker.
        seal_unproven: Counter,
        /// Messages of frames without a seal that may not change states of sealed nodes.
        messages_unsealed: Counter,
        /// Frames too short for the header (pfsyncs_hdrops).
        hdrops: Counter,
        /// Frames of a version that no peer uses (pfsyncs_badver).
        badver: Counter,
        /// Frames or regions longer than the packet (pfsyncs_badlen).
        badlen: Counter,
        /// Regions with an unknown action; the rest of the frame is lost (pfsyncs_badact).
        badact: Counter,
        /// Regions skipped by their length.
        regions_skipped: Counter,
        /// Frames of pfplane nodes that are missing between those received: lost on the link, or refused by the sender's port.
        frames_lost: Counter,
        /// Frames of pfplane nodes that came late, which count as lost too, or twice, which were dropped.
        frames_late: Counter,
        /// Lost frames of pfplane nodes whose contents were not sent again yet.
        frames_unrepaired: Gauge,
        /// Gaps between the frames of pfplane nodes that were repaired.
        gaps_repaired: Counter,
        /// Gaps repaired without deletes that the sender no longer knew.
        gaps_incomplete: Counter,
        /// Gaps given up after 10 seconds of requests; all states are requested instead.
        gaps_abandoned: Counter,
        /// Gaps left when the sender was silent for a minute, or restarted.
        gaps_of_silent_peers: Counter,
        /// Comparisons with a pfplane node's stream: this node held what it had sent.
        comparisons_equal: Counter,
        /// Comparisons whose sums differed, mostly by messages in flight; a sketch names the states.
        comparisons_different: Counter,
        /// Sums that differed while lost frames or a bulk transfer were not complete, or that a lane was too late to compare.
        comparisons_skipped: Counter,
        /// Sketches requested.
        sketches_requested: Counter,
        /// Sketches that were not complete in time.
        sketches_failed: Counter,
        /// Sketches with more differences than the largest can hold; all states are requested then.
        sketches_overflowed: Counter,
        /// States of a pfplane node that were missing here, and requested.
        differences_missing: Counter,
        /// States here that the pfplane node which had sent them did not seem to have; it was asked.
        differences_ghosts: Counter,
        /// Reports about streams that this run of this node did not send: for another node of a group, or an earlier run.
        reports_foreign: Counter,
        /// Trailers that end within their fields.
        trailer_short: Counter,
        /// Trailers of an unknown format.
        trailer_format: Counter,
        /// Trailers that do not end with their packet.
        trailer_length: Counter,
        /// Hellos of election groups received.
        hellos_received: Counter,
        /// Options of a trailer that are unknown, or have a value of a wrong length.
        options_skipped: Counter,
        /// Trailers with an option that does not fit into them.
        options_malformed: Counter,
        /// Messages with a field out of range (pfsyncs_badval).
        badval: Counter,
        /// Messages about states that are never replicated.
        messages_nosync: Counter,
        /// IPsec association counters, which are ignored.
        messages_tdb: Counter,
        /// Messages that only another node with our host id can have sent.
        duplicate_host_id: Counter,
        /// Whole states of an unknown interface, where these are refused.
        states_unknown_interface: Counter,
        /// Clears and inserts for a host id of another address; the clears are ignored.
        messages_bad_creator: Counter,
        /// Inserts received.
        inserts_received: Counter,
        /// Full updates received.
        updates_received: Counter,
        /// Compressed updates received.
        compressed_received: Counter,
        /// Deletes received.
        deletes_received: Counter,
        /// Acknowledgements received.
        acks_received: Counter,
        /// Requests for a state received.
        requests_received: Counter,
        /// Clears received.
        clears_received: Counter,
        /// Clears that equal another one of their frame.
        clears_merged: Counter,
        /// Bulk requests received.
        bulk_requests_received: Counter,
        /// Bulk transfer starts received.
        bulk_starts_received: Counter,
        /// Bulk transfer ends received.
        bulk_ends_received: Counter,
        /// Invalid bulk transfer marks, and ends of an earlier request.
        bulk_ignored: Counter,
        /// Bulk requests that count as the previous one or wait for the next bulk transfer.
        bulk_requests_refused: Counter,
        /// Bulk requests that joined a running bulk transfer.
        bulk_requests_joined: Counter,
        /// Bulk transfers to a peer that were started.
        bulk_walks_begun: Counter,
        /// Bulk transfers to a peer that were completed.
        bulk_walks_finished: Counter,
        /// State of our bulk request: 0 idle, 1 waiting, 2 receiving, 3 done, 4 given up.
        bulk_phase: Gauge,
        /// Result of the last bulk transfer to us: 0 none yet, 1 complete, 2 no answer, 3 interrupted, 4 timed out.
        bulk_last_ending: Gauge,
        /// States received in the last bulk transfer to us.
        bulk_last_states: Gauge,
        /// Milliseconds that the last bulk transfer to us took.
        bulk_last_ms: Gauge,
        /// Foreign states for which the directory of owners had no space.
        states_without_directory: Counter,
        /// Requests for states that a full ring to their lane had refused.
        lost_states_requested: Counter,
        /// Such states that no peer sent in spite of repeated requests: they have ended.
        lost_states_unanswered: Counter,
        /// Readiness: 0 loading, 1 gave up, 2 synced.
        readiness_class: Gauge,
        /// Reasons that speak against a takeover, as bits (PFPLANE_REASON_*), without those about silence and link.
        readiness_reasons: Gauge,
        /// Peers' states refused for lack of space since the last bulk transfer to us began.
        states_missing: Gauge,
        /// Times that a lane was not polled for longer than max_poll_gap_ms.
        pauses: Counter,
        /// Frames that the host's port missed, as the host reported.
        frames_missed: Counter,
        /// Bulk transfers requested because states were missing or may be.
        repairs_requested: Counter,
    }
}

impl ImportCounters {
    /// Sets the values of the readiness. `repairs` is how many transfers were requested to repair something.
    pub(crate) fn note_readiness(&mut self, readiness: &Readiness, repairs: u64) {
        self.readiness_class = readiness.class as u64;
        self.readiness_reasons = readiness.reasons.0.into();
        self.states_missing = readiness.missing;
        self.repairs_requested = repairs;
    }
}
