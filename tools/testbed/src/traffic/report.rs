//! What client and server return: progress while they run, a report when they stop.

use serde::Serialize;

use super::activity::Activity;
use super::plan::Family;
use crate::clock::Nanos;

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// No answer to its SYN.
    Connecting,
    /// The connection attempt failed.
    ConnectFailed,
    /// Established and not closed when the traffic ended: it hangs.
    Open,
    /// Both ends closed it in order.
    Closed,
    /// Reset by the other end, or by a firewall.
    Reset,
    /// Aborted by the kernel after the user timeout.
    TimedOut,
    /// Another error; see `error`.
    Failed,
}

/// One end of one connection.
#[derive(Clone, Debug)]
pub struct ConnectionReport {
    /// Its number, the same at both ends.
    pub number: u32,
    /// Its family at the client.
    pub family: Family,
    /// When its SYN was sent; client only.
    pub started: Option<Nanos>,
    /// When it was established (client) or accepted (server).
    pub established: Option<Nanos>,
    /// Bytes passed to the kernel.
    pub sent: u64,
    /// Bytes received.
    pub received: u64,
    /// Received bytes that differ from those sent.
    pub wrong: u64,
    /// How it ended.
    pub end: End,
    /// The error, if there was one.
    pub error: Option<String>,
    /// When data arrived.
    pub activity: Activity,
}

/// One UDP flow or one ping.
#[derive(Clone, Debug)]
pub struct ProbeReport {
    /// `UDP 3` or `ping`.
    pub name: String,
    /// Its family.
    pub family: Family,
    /// Requests sent.
    pub sent: u64,
    /// Requests answered, each counted once.
    pub answered: u64,
    /// When the requests without an answer were sent.
    pub lost: Vec<Nanos>,
    /// Duplicate answers.
    pub duplicated: u64,
    /// Answers that differ from the request.
    pub wrong: u64,
    /// Requests that could not be sent.
    pub refused: u64,
    /// When answers arrived.
    pub activity: Activity,
}

/// The report of the client or the server.
#[derive(Clone, Debug)]
pub struct TrafficReport {
    /// When it received `stop`.
    pub stopped: Nanos,
    /// Every connection.
    pub connections: Vec<ConnectionReport>,
    /// The UDP flows and pings; client only.
    pub probes: Vec<ProbeReport>,
}

/// The progress so far.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// When it was published.
    pub at: Nanos,
    /// Connections started (client) or accepted (server).
    pub started: u32,
    /// Connections that were ever established.
    pub established: u32,
    /// Connections that ended with an error.
    pub failed: u32,
    /// Connections that received data.
    pub with_data: u32,
    /// Connections that received data recently (three intervals, at least a second).
    pub active: u32,
    /// Bytes received on all connections.
    pub received: u64,
    /// Wrong bytes of all connections and probes.
    pub wrong: u64,
    /// UDP flows with recent answers.
    pub active_flows: u32,
    /// Pings with recent answers.
    pub active_pings: u32,
}
