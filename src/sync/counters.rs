//! What replication counts. Where the kernels count the same thing, the name is theirs.

use crate::stats::counters;

counters! {
    /// Of the frames that come in; kept by the sync lane.
    pub struct ImportCounters {
        /// Frames received over IPv4.
        ipackets: Counter,
        /// Frames received over IPv6.
        ipackets6: Counter,
        /// Bytes of frames received, with IP headers.
        ibytes: Counter,
        /// Frames that came in on another port than the sync port.
        badif: Counter,
        /// Packets whose IP header is not one of a frame.
        badip: Counter,
        /// Frames from an address that no peer has.
        badsource: Counter,
        /// Our own frames, come back.
        looped: Counter,
        /// Frames that a router passed on: TTL or hop limit is not 255.
        badttl: Counter,
        /// Frames that failed their authentication. Frames have none, here as in the kernels: always 0.
        badauth: Counter,
        /// Frames too short for the header.
        hdrops: Counter,
        /// Frames of a version that no peer speaks.
        badver: Counter,
        /// Frames or regions longer than what is there.
        badlen: Counter,
        /// Regions whose action is not known; the rest of the frame is lost.
        badact: Counter,
        /// Regions stepped over by their own length.
        skipped: Counter,
        /// Messages with a field out of its range.
        badval: Counter,
        /// Messages of states that are never synchronised.
        nosync: Counter,
        /// Counters of IPsec associations, of which nothing is done.
        tdb: Counter,
        /// Messages that only another node with our host id can have sent.
        duplicate_host_id: Counter,
        /// Whole states of an interface that is not known here, where such are refused.
        unknown_interface: Counter,
        /// Clears and inserts in the name of a host id that belongs to another address; the clears are not carried out.
        bad_creator: Counter,
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
        /// Requests for all states received.
        bulk_requests_received: Counter,
        /// Starts of a bulk transfer received.
        bulk_starts_received: Counter,
        /// Ends of a bulk transfer received.
        bulk_ends_received: Counter,
        /// Marks of a bulk transfer that mean nothing, or an end that belongs to an earlier request.
        bulk_ignored: Counter,
        /// Requests for all states not answered because they came too soon after the one before.
        bulk_requests_refused: Counter,
        /// Transfers of all states to a peer that were begun.
        bulk_walks_begun: Counter,
        /// Transfers of all states to a peer that were finished.
        bulk_walks_finished: Counter,
        /// How far our request for all states is: 0 not asked, 1 asked, 2 receiving, 3 done, 4 given up.
        bulk_phase: Gauge,
        /// How the last transfer to us ended: 0 none did, 1 complete, 2 no answer, 3 broken off, 4 too long.
        bulk_last_ending: Gauge,
        /// States received in the last transfer to us.
        bulk_last_states: Gauge,
        /// Milliseconds that the last transfer to us took.
        bulk_last_ms: Gauge,
        /// Foreign states that the directory of owners had no room for.
        directory_refused: Counter,
    }
}

counters! {
    /// Of what one lane sends, and of what it does with the messages that it is given.
    pub struct SyncCounters {
        /// Frames sent over IPv4.
        opackets: Counter,
        /// Frames sent over IPv6.
        opackets6: Counter,
        /// Bytes of frames sent, with IP headers.
        obytes: Counter,
        /// Times that nothing was written because the host had no buffer for a frame.
        onomem: Counter,
        /// Frames that the host could not send; what they said was said again.
        oerrors: Counter,
        /// Inserts sent, once for each peer.
        inserts_sent: Counter,
        /// Full updates sent, once for each peer, bulk transfers included.
        updates_sent: Counter,
        /// Compressed updates sent, once for each peer.
        compressed_sent: Counter,
        /// Deletes sent, once for each peer.
        deletes_sent: Counter,
        /// Acknowledgements sent, once for each peer.
        acks_sent: Counter,
        /// Requests sent.
        requests_sent: Counter,
        /// Clears sent, once for each peer.
        clears_sent: Counter,
        /// Requests for all states, starts and ends of a bulk transfer sent.
        bulk_marks_sent: Counter,
        /// States sent in bulk transfers.
        bulk_states_sent: Counter,
        /// Messages whose state ended or expired before the frame was written.
        outdated: Counter,
        /// Times that nothing was written because a buffer had no room for a single message.
        no_room: Counter,
        /// Deletes lost because too many waited; the peer's copy ends by its own timeout.
        deletes_lost: Counter,
        /// Requests lost because too many waited; the state's next update asks again.
        requests_lost: Counter,
        /// Clears and bulk marks lost because too many waited.
        marks_lost: Counter,
        /// Requests, stale replies and answers not repeated within a second.
        limited: Counter,
        /// States made here and left out: by rule, by protocol, or because they ended too young.
        left_out: Counter,
        /// States that ended without a word, because a peer sees their traffic.
        silent_ends: Counter,
        /// Ends of foreign states not told to the sync lane; its directory finds out later.
        ends_lost: Counter,
        /// States taken in.
        imported: Counter,
        /// States taken in place of an ended or abandoned one with the same key.
        replaced: Counter,
        /// Updates merged.
        merged: Counter,
        /// Updates with a side older than ours.
        stale: Counter,
        /// Deletes and requests for a state that is not here, updates of one that cannot be taken in.
        badstate: Counter,
        /// Full updates of unknown states with a field out of its range.
        badval_update: Counter,
        /// Inserts of states that are here already.
        duplicates: Counter,
        /// States not taken in because a live one has the key.
        key_collision: Counter,
        /// States not taken in because the table is full.
        table_full: Counter,
        /// States not taken in because too many came from peers.
        over_quota: Counter,
        /// States not taken in because their identity is another lane's than their keys'.
        wrong_lane: Counter,
        /// Clears not carried out because too many were under way.
        clears_lost: Counter,
        /// States removed because a peer said so.
        removed: Counter,
        /// States removed by a clear.
        cleared: Counter,
        /// States whose first packets were held until a peer has the state.
        deferred: Counter,
        /// Held states that a peer's word let go.
        released: Counter,
        /// Held states that were let go because no peer said a word in time.
        defer_timeouts: Counter,
        /// Held states that were let go early because too many were.
        defer_overflows: Counter,
        /// States with a creation that no peer was sent yet.
        exposed_creations: Gauge,
        /// States with another change that no peer was sent yet.
        exposed_changes: Gauge,
        /// Nanoseconds that the oldest change has waited which no peer was sent yet, about.
        oldest_unsent_ns: Maximum,
        /// States now that this node made.
        made_here_now: Gauge,
        /// States now that came from a peer.
        imported_now: Gauge,
        /// Inserts that wait.
        inserts_queued: Gauge,
        /// States that wait until they are old enough to be told of.
        young_queued: Gauge,
        /// Full updates that wait.
        updates_queued: Gauge,
        /// Compressed updates that wait.
        compressed_queued: Gauge,
        /// Acknowledgements that wait.
        acks_queued: Gauge,
        /// Requests for a state that wait.
        requests_queued: Gauge,
        /// Packets of the host that are held.
        held_now: Gauge,
        /// Deletes that wait.
        deletes_queued: Gauge,
    }
}
