//! What a member counts: adverts sent, received, and refused by cause.

use crate::stats::counters;

counters! {
    /// Counters of a member. Names that the systems' CARP has are kept.
    pub struct MemberCounters {
        /// Valid adverts received.
        adverts_received: Counter,
        /// Adverts sent.
        adverts_sent: Counter,
        /// Adverts that the host could not send.
        adverts_not_sent: Counter,
        /// Announcements of addresses sent.
        announcements_sent: Counter,
        /// Adverts with a damaged IP header, options or extension headers.
        hdrops: Counter,
        /// Forwarded adverts: TTL or hop limit is not 255 (carps_badttl).
        badttl: Counter,
        /// Adverts of a wrong length (carps_badlen).
        badlen: Counter,
        /// Adverts with a wrong checksum (carps_badsum).
        badsum: Counter,
        /// Adverts whose checksum is right in the manner of the other RFC.
        badsum_other_manner: Counter,
        /// Adverts of another protocol version (carps_badver).
        badver: Counter,
        /// Adverts of another group (carps_badvhid).
        badvhid: Counter,
        /// Adverts with a wrong digest (carps_badauth).
        badauth: Counter,
        /// Adverts that list other addresses (carps_badaddrs).
        badaddrs: Counter,
        /// Adverts with an interval of zero or below the minimum.
        badinterval: Counter,
        /// Adverts from an address that is no peer's, or over IPv6 not link-local.
        badsource: Counter,
        /// Multicast adverts where peers are configured, and unicast ones where none are.
        badmode: Counter,
        /// Our own adverts, received back.
        adverts_looped: Counter,
        /// Adverts refused unread, because too many came within a second.
        adverts_limited: Counter,
        /// Adverts that repeat the counter of the one before with other values (FreeBSD's rules).
        adverts_contradicting: Counter,
    }
}
