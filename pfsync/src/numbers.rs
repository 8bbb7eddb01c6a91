//! Numbers that pf puts on the wire, and pf's names for them.

/// IP protocol numbers (IANA) that pf treats specially.
pub mod ip_protocol {
    /// ICMP for IPv4.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// ICMP for IPv6.
    pub const ICMPV6: u8 = 58;
    /// DCCP.
    pub const DCCP: u8 = 33;
    /// SCTP.
    pub const SCTP: u8 = 132;
    /// UDP-Lite.
    pub const UDP_LITE: u8 = 136;
    /// pfsync itself.
    pub const PFSYNC: u8 = 240;

    /// Returns the name in `/etc/protocols`, for the protocols that pf's tools print by name.
    #[must_use]
    pub const fn name(number: u8) -> Option<&'static str> {
        Some(match number {
            ICMP => "icmp",
            2 => "igmp",
            4 => "ipencap",
            TCP => "tcp",
            UDP => "udp",
            41 => "ipv6",
            47 => "gre",
            50 => "esp",
            51 => "ah",
            ICMPV6 => "ipv6-icmp",
            112 => "carp",
            SCTP => "sctp",
            PFSYNC => "pfsync",
            _ => return None,
        })
    }
}

/// Bits of [`FullState::state_flags`](crate::FullState::state_flags): `PFSTATE_*` in OpenBSD `pfvar.h` and FreeBSD
/// `pf.h`.
pub mod state_flags {
    /// The rule allows IP options.
    pub const ALLOW_OPTS: u16 = 0x0001;
    /// TCP is tracked without sequence checks.
    pub const SLOPPY: u16 = 0x0002;
    /// Exported by pflow. OpenBSD only.
    pub const PFLOW: u16 = 0x0004;
    /// Never replicated.
    pub const NO_SYNC: u16 = 0x0008;
    /// The sender holds a packet back until this insert is acknowledged.
    pub const ACK: u16 = 0x0010;
    /// Clear the don't-fragment bit.
    pub const NO_DF: u16 = 0x0020;
    /// Set the type of service.
    pub const SET_TOS: u16 = 0x0040;
    /// Replace the IPv4 identification by random numbers.
    pub const RANDOM_ID: u16 = 0x0080;
    /// Normalize TCP.
    pub const SCRUB_TCP: u16 = 0x0100;
    /// Set the priority.
    pub const SET_PRIO: u16 = 0x0200;
    /// The socket was unlinked. Local to OpenBSD.
    pub const INP_UNLINKED: u16 = 0x0400;
    /// `dnpipe` names a dummynet pipe. FreeBSD 14 and later.
    pub const DN_IS_PIPE: u16 = 0x4000;
    /// `dnpipe` names a dummynet queue. FreeBSD 14 and later.
    pub const DN_IS_QUEUE: u16 = 0x8000;

    /// Every flag with its name in pf's rules.
    pub const NAMES: [(u16, &str); 13] = [
        (ALLOW_OPTS, "allow-opts"),
        (SLOPPY, "sloppy"),
        (PFLOW, "pflow"),
        (NO_SYNC, "no-sync"),
        (ACK, "ack"),
        (NO_DF, "no-df"),
        (SET_TOS, "set-tos"),
        (RANDOM_ID, "random-id"),
        (SCRUB_TCP, "reassemble-tcp"),
        (SET_PRIO, "set-prio"),
        (INP_UNLINKED, "inp-unlinked"),
        (DN_IS_PIPE, "dnpipe"),
        (DN_IS_QUEUE, "dnqueue"),
    ];
}

/// Values of [`FullState::rt`](crate::FullState::rt). They are OpenBSD's in every profile; FreeBSD's are one higher.
pub mod route {
    /// No routing option.
    pub const NONE: u8 = 0;
    /// route-to.
    pub const ROUTE_TO: u8 = 1;
    /// dup-to.
    pub const DUP_TO: u8 = 2;
    /// reply-to.
    pub const REPLY_TO: u8 = 3;
    /// FreeBSD's historic "fastroute", its number 1. Never sent to OpenBSD.
    pub const FASTROUTE: u8 = 4;

    /// Returns the name in pf's rules.
    #[must_use]
    pub const fn name(number: u8) -> Option<&'static str> {
        Some(match number {
            NONE => "none",
            ROUTE_TO => "route-to",
            DUP_TO => "dup-to",
            REPLY_TO => "reply-to",
            FASTROUTE => "fastroute",
            _ => return None,
        })
    }
}

/// Values of [`BulkStatus::status`](crate::BulkStatus::status): `PFSYNC_BUS_*`.
pub mod bulk_status {
    /// A bulk transfer starts.
    pub const START: u8 = 1;
    /// A bulk transfer has ended.
    pub const END: u8 = 2;
}

/// Timeout classes of a state: `PFTM_*`.
pub mod timeout {
    /// Protocols without a class of their own: one side sent one packet.
    pub(crate) const OTHER_FIRST: u8 = 11;
    /// The same: one side sent several packets.
    pub(crate) const OTHER_SINGLE: u8 = 12;
    /// The same: both sides sent packets.
    pub(crate) const OTHER_MULTIPLE: u8 = 13;
    /// The first of FreeBSD 14's five SCTP classes.
    pub(crate) const SCTP_FIRST: u8 = 20;

    const NAMES: [&str; 25] = [
        "tcp.first",
        "tcp.opening",
        "tcp.established",
        "tcp.closing",
        "tcp.finwait",
        "tcp.closed",
        "udp.first",
        "udp.single",
        "udp.multiple",
        "icmp.first",
        "icmp.error",
        "other.first",
        "other.single",
        "other.multiple",
        "frag",
        "interval",
        "adaptive.start",
        "adaptive.end",
        "src.track",
        "tcp.tsdiff",
        "sctp.first",
        "sctp.opening",
        "sctp.established",
        "sctp.closing",
        "sctp.closed",
    ];

    /// Returns the name in `pf.conf`.
    #[must_use]
    pub fn name(class: u8) -> Option<&'static str> {
        NAMES.get(usize::from(class)).copied()
    }
}

/// Values of [`StatePeer::state`](crate::StatePeer::state).
pub mod peer_state {
    /// The highest value that receivers accept, for every protocol: `PF_TCPS_PROXY_DST`.
    pub const MAX: u8 = 12;
    /// syn-proxy: the handshake with the client is running (`PF_TCPS_PROXY_SRC`).
    pub const PROXY_SRC: u8 = 11;
    /// syn-proxy: the handshake with the server is running.
    pub const PROXY_DST: u8 = MAX;

    const TCP: [&str; 13] = [
        "CLOSED",
        "LISTEN",
        "SYN_SENT",
        "SYN_RCVD",
        "ESTABLISHED",
        "CLOSE_WAIT",
        "FIN_WAIT_1",
        "CLOSING",
        "LAST_ACK",
        "FIN_WAIT_2",
        "TIME_WAIT",
        "PROXY_SRC",
        "PROXY_DST",
    ];
    const OTHER: [&str; 3] = ["NO_TRAFFIC", "SINGLE", "MULTIPLE"];

    /// Returns pf's name of a TCP state, or of the three states that pf gives all other protocols.
    #[must_use]
    pub fn name(protocol: u8, state: u8) -> Option<&'static str> {
        let names = if protocol == super::ip_protocol::TCP { &TCP[..] } else { &OTHER };
        names.get(usize::from(state)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_names_that_pf_prints() {
        assert_eq!([2, 24, 25].map(timeout::name), [Some("tcp.established"), Some("sctp.closed"), None]);
        assert_eq!([3, 9].map(route::name), [Some("reply-to"), None]);
        assert_eq!([58, 240, 99].map(ip_protocol::name), [Some("ipv6-icmp"), Some("pfsync"), None]);
        assert_eq!(
            [(6, 4), (6, 12), (6, 13)].map(|(proto, state)| peer_state::name(proto, state)),
            [Some("ESTABLISHED"), Some("PROXY_DST"), None]
        );
        assert_eq!(
            [(17, 2), (17, 3)].map(|(proto, state)| peer_state::name(proto, state)),
            [Some("MULTIPLE"), None]
        );
    }

    #[test]
    fn every_flag_has_one_bit_and_one_name() {
        let all = state_flags::NAMES.iter().fold(0, |all, (flag, _)| {
            assert!(flag.is_power_of_two() && all & flag == 0);
            all | flag
        });
        assert_eq!(all, 0xc7ff);
    }
}
