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
    /// Flows and connections with an even number are IPv4, the others IPv6: half each.
    pub fn of_number(number: u32) -> Family {
        if number.is_multiple_of(2) { Family::V4 } else { Family::V6 }
    }

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
    /// TCP connections, half IPv4 and half IPv6.
    pub connections: u32,
    /// UDP flows, half and half.
    pub udp_flows: u32,
    /// Whether to ping the server in both families (needs `net.ipv4.ping_group_range`).
    pub ping: bool,
    /// Time between two records of one connection in one direction, milliseconds.
    pub interval_ms: u64,
    /// Connections opened a second.
    pub open_per_second: u64,
    /// Where the server is.
    pub server_v4: Ipv4Addr,
    /// Where the server is, IPv6.
    pub server_v6: Ipv6Addr,
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

    /// The server's address in a family.
    pub fn server(&self, family: Family, port: u16) -> SocketAddr {
        let address = match family {
            Family::V4 => IpAddr::V4(self.server_v4),
            Family::V6 => IpAddr::V6(self.server_v6),
        };
        SocketAddr::new(address, port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_hundred_connections_send_ten_records_a_second_and_two_thousand_stay_in_the_budget() {
        assert_eq!(Plan::interval_for(200), 100);
        let interval_ms = Plan::interval_for(2000);
        assert!(2 * 2000 * 1000 / interval_ms <= RECORDS_A_SECOND);
    }
}
