//! What the traffic is to be: made by the run, given to both ends as one JSON argument.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::clock::{MILLISECOND, Nanos};

/// Records a second that both ends together may send. Two shared cores carry this through two firewalls' worth of
/// copying with room to spare; beyond it the machine, not the firewall, would make the gaps.
const RECORDS_A_SECOND: u64 = 5_000;
const SHORTEST_INTERVAL_MS: u64 = 100;
/// Connections are opened over about this long, so that opening and carrying data overlap.
const OPENING_SECONDS: u64 = 4;

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Family; 2] = [Family::V4, Family::V6];

    /// For tables.
    pub fn name(self) -> &'static str {
        match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        }
    }
}

/// The same for client and server, so that each knows what the other sends.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Every byte of every connection follows from this.
    pub seed: u64,
    /// TCP connections.
    pub connections: u32,
    /// UDP flows.
    pub udp_flows: u32,
    /// Whether to ping the server in each family (needs `net.ipv4.ping_group_range`).
    pub ping: bool,
    /// Time between two records of one connection in one direction, milliseconds.
    pub interval_ms: u64,
    /// Connections opened a second.
    pub open_per_second: u64,
    /// Where the server is.
    pub server_v4: Ipv4Addr,
    /// Where the server is, IPv6.
    pub server_v6: Ipv6Addr,
    /// Where a client without IPv4 finds the server, which then has no IPv6.
    pub nat64: Option<Ipv6Addr>,
    /// The server's TCP port.
    pub tcp_port: u16,
    /// The server's UDP port.
    pub udp_port: u16,
    /// How long a connection may stay unacknowledged before its kernel gives it up, milliseconds.
    pub user_timeout_ms: u32,
    /// Width of one count in the activity records, milliseconds.
    pub bucket_ms: u64,
    /// The moment that activity buckets are counted from, monotonic nanoseconds.
    pub base: Nanos,
}

impl Plan {
    /// The interval at which `connections` connections fit the record budget.
    pub fn interval_for(connections: u32) -> u64 {
        (2 * u64::from(connections) * 1000 / RECORDS_A_SECOND).max(SHORTEST_INTERVAL_MS)
    }

    /// The opening rate for `connections` connections.
    pub fn rate_for(connections: u32) -> u64 {
        (u64::from(connections) / OPENING_SECONDS).clamp(50, 500)
    }

    /// The interval in nanoseconds.
    pub fn interval(&self) -> Nanos {
        self.interval_ms * MILLISECOND
    }

    /// A connection or flow that was silent for longer than this is called silent on the screen.
    pub fn patience(&self) -> Nanos {
        (3 * self.interval()).max(1000 * MILLISECOND)
    }

    /// The client's families.
    pub fn families(&self) -> &'static [Family] {
        if self.nat64.is_some() { &[Family::V6] } else { &Family::ALL }
    }

    /// The server's families.
    pub fn server_families(&self) -> &'static [Family] {
        if self.nat64.is_some() { &[Family::V4] } else { &Family::ALL }
    }

    /// The family of a flow or connection at the client: each in turn.
    pub fn family_of(&self, number: u32) -> Family {
        let families = self.families();
        families[number as usize % families.len()]
    }

    /// The server's address in a family.
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
    fn connections_are_half_of_each_family_or_of_one_at_each_end() {
        let words = r#"{"seed":1,"connections":1,"udp_flows":0,"ping":true,"interval_ms":100,"open_per_second":1,
            "server_v4":"10.0.0.1","server_v6":"fd00::1","tcp_port":1,"udp_port":2,"user_timeout_ms":1,
            "bucket_ms":50,"base":0}"#;
        let mut plan: Plan = serde_json::from_str(words).expect("a plan");
        assert_eq!([0, 1, 2].map(|number| plan.family_of(number)), [Family::V4, Family::V6, Family::V4]);
        assert_eq!((plan.families(), plan.server_families()), (&Family::ALL[..], &Family::ALL[..]));
        plan.nat64 = Some("64:ff9b::a00:1".parse().expect("an address"));
        assert_eq!([0, 1, 2].map(|number| plan.family_of(number)), [Family::V6; 3]);
        assert_eq!((plan.families(), plan.server_families()), (&[Family::V6][..], &[Family::V4][..]));
        assert_eq!(plan.server(Family::V6, 7).to_string(), "[64:ff9b::a00:1]:7");
        assert_eq!(plan.server(Family::V4, 7).to_string(), "10.0.0.1:7");
    }

    #[test]
    fn two_hundred_connections_send_ten_records_a_second_and_two_thousand_stay_in_the_budget() {
        assert_eq!(Plan::interval_for(200), 100);
        let interval_ms = Plan::interval_for(2000);
        assert!(2 * 2000 * 1000 / interval_ms <= RECORDS_A_SECOND);
    }
}
