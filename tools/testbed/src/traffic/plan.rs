//! The traffic plan, the same for client and server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::Serialize;

use super::probe::PROBE_INTERVAL;
use crate::clock::{MILLISECOND, Nanos};

/// Records per second of both ends together. Two shared cores carry this easily; beyond it the gaps would be the
/// machine's, not the firewall's.
const MAX_RECORDS_PER_SECOND: u64 = 5_000;
const MIN_INTERVAL_MS: u64 = 100;
/// The approximate time in which all connections are opened, so that opening and data transfer overlap.
const OPENING_SECONDS: u64 = 4;

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Family; 2] = [Family::V4, Family::V6];

    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        }
    }
}

/// The plan; client and server have the same, so each knows what the other sends.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Determines every byte of every connection.
    pub seed: u64,
    /// TCP connections.
    pub connections: u32,
    /// UDP flows.
    pub udp_flows: u32,
    /// Whether the client pings the server in each family (needs `net.ipv4.ping_group_range`).
    pub ping: bool,
    /// Milliseconds between two requests of a ping.
    pub ping_interval_ms: u64,
    /// Milliseconds between two records of one connection in one direction.
    pub interval_ms: u64,
    /// Connections opened per second.
    pub open_per_second: u64,
    /// The server's IPv4 address.
    pub server_v4: Ipv4Addr,
    /// Where the server is, IPv6.
    pub server_v6: Ipv6Addr,
    /// The server's address for a client without IPv4; the server then has no IPv6.
    pub nat64: Option<Ipv6Addr>,
    /// Whether all traffic is IPv4.
    pub ipv4_only: bool,
    /// The server's TCP port.
    pub tcp_port: u16,
    /// The server's UDP port.
    pub udp_port: u16,
    /// Milliseconds without an acknowledgement after which the kernel aborts a connection: longer than any gap that a
    /// takeover may cause.
    pub user_timeout_ms: u32,
    /// Milliseconds per activity bucket.
    pub bucket_ms: u64,
    /// The start of the first activity bucket, monotonic nanoseconds.
    pub base: Nanos,
}

impl Default for Plan {
    /// One connection over loopback.
    fn default() -> Plan {
        Plan {
            seed: 1,
            connections: 1,
            udp_flows: 0,
            ping: false,
            ping_interval_ms: PROBE_INTERVAL / MILLISECOND,
            interval_ms: MIN_INTERVAL_MS,
            open_per_second: 1,
            server_v4: Ipv4Addr::LOCALHOST,
            server_v6: Ipv6Addr::LOCALHOST,
            nat64: None,
            ipv4_only: false,
            tcp_port: 5000,
            udp_port: 5001,
            user_timeout_ms: 20_000,
            bucket_ms: 50,
            base: 0,
        }
    }
}

impl Plan {
    /// Returns the interval in milliseconds at which `connections` connections stay within the record budget.
    pub fn interval_for(connections: u32) -> u64 {
        (2 * u64::from(connections) * 1000 / MAX_RECORDS_PER_SECOND).max(MIN_INTERVAL_MS)
    }

    /// Returns the opening rate for `connections` connections.
    pub fn rate_for(connections: u32) -> u64 {
        (u64::from(connections) / OPENING_SECONDS).clamp(50, 500)
    }

    /// Returns the interval in nanoseconds.
    pub fn interval(&self) -> Nanos {
        self.interval_ms * MILLISECOND
    }

    /// Returns the time without data after which a connection is no longer shown as active.
    pub fn activity_timeout(&self) -> Nanos {
        (3 * self.interval()).max(1000 * MILLISECOND)
    }

    /// Returns the client's families.
    pub fn families(&self) -> &'static [Family] {
        match self.nat64 {
            Some(_) => &[Family::V6],
            None => self.server_families(),
        }
    }

    /// Returns the server's families.
    pub fn server_families(&self) -> &'static [Family] {
        if self.nat64.is_some() || self.ipv4_only { &[Family::V4] } else { &Family::ALL }
    }

    /// Returns the family of a flow or connection at the client: they alternate.
    pub fn family_of(&self, number: u32) -> Family {
        let families = self.families();
        families[number as usize % families.len()]
    }

    /// Returns the server's address in a family.
    pub fn server(&self, family: Family, port: u16) -> SocketAddr {
        let address = match family {
            Family::V4 => IpAddr::V4(self.server_v4),
            Family::V6 => IpAddr::V6(self.nat64.unwrap_or(self.server_v6)),
        };
        SocketAddr::new(address, port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_alternate_between_families_or_use_one_with_nat64() {
        let mut plan = Plan { server_v4: [10, 0, 0, 1].into(), ..Plan::default() };
        assert_eq!([0, 1, 2].map(|number| plan.family_of(number)), [Family::V4, Family::V6, Family::V4]);
        assert_eq!((plan.families(), plan.server_families()), (&Family::ALL[..], &Family::ALL[..]));
        plan.ipv4_only = true;
        assert_eq!((plan.families(), plan.server_families()), (&[Family::V4][..], &[Family::V4][..]));
        plan.nat64 = Some("64:ff9b::a00:1".parse().expect("an address"));
        assert_eq!([0, 1, 2].map(|number| plan.family_of(number)), [Family::V6; 3]);
        assert_eq!((plan.families(), plan.server_families()), (&[Family::V6][..], &[Family::V4][..]));
        assert_eq!(plan.server(Family::V6, 7).to_string(), "[64:ff9b::a00:1]:7");
        assert_eq!(plan.server(Family::V4, 7).to_string(), "10.0.0.1:7");
    }

    #[test]
    fn the_interval_keeps_many_connections_within_the_record_budget() {
        assert_eq!(Plan::interval_for(200), 100);
        let interval_ms = Plan::interval_for(2000);
        assert!(2 * 2000 * 1000 / interval_ms <= MAX_RECORDS_PER_SECOND);
    }
}
