//! What client and server say: a progress line while they run, a report when they stop.

use serde::{Deserialize, Serialize};

use super::activity::Activity;
use super::plan::Family;
use crate::clock::Nanos;

/// How a connection stands when its end is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Never got an answer to its SYN, and nobody refused it either.
    Connecting,
    /// The connection attempt was answered with an error.
    ConnectFailed,
    /// Established, and not closed when the traffic ended: for a stopped run that means it hangs.
    Open,
    /// Both ends said that they are done, in order.
    Closed,
    /// The other end (or a firewall in its name) reset it.
    Reset,
    /// The kernel gave it up: nothing was acknowledged for too long.
    TimedOut,
    /// Another error; see `error`.
    Failed,
}

/// One end of one connection.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConnectionReport {
    /// The number that both ends know it by.
    pub number: u32,
    /// Its family at the client.
    pub family: Family,
    /// Client only: when its SYN was sent.
    pub started: Option<Nanos>,
    /// Client: when its kernel called it established. Server: when it was accepted.
    pub established: Option<Nanos>,
    /// Bytes handed to the kernel.
    pub sent: u64,
    /// Bytes received.
    pub received: u64,
    /// Bytes received that were not what the other end sent.
    pub wrong: u64,
    /// How it ended.
    pub end: End,
    /// The error's text, when there was one.
    pub error: Option<String>,
    /// When data arrived.
    pub activity: Activity,
}

/// One UDP flow or one ping.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProbeReport {
    /// `UDP 3` or `ping`.
    pub name: String,
    /// Its family.
    pub family: Family,
    /// Requests sent.
    pub sent: u64,
    /// Requests answered, each counted once.
    pub answered: u64,
    /// Answers that came again.
    pub duplicated: u64,
    /// Answers whose bytes were not those of the request.
    pub wrong: u64,
    /// Requests that the kernel refused to send.
    pub refused: u64,
    /// When answers arrived.
    pub activity: Activity,
}

/// What one end writes into its file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EndReport {
    /// When it was told to stop.
    pub stopped: Nanos,
    /// Every connection it knew.
    pub connections: Vec<ConnectionReport>,
    /// Client only.
    pub probes: Vec<ProbeReport>,
}

/// One line of standard output.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// When it was written.
    pub at: Nanos,
    /// Connections begun (server: accepted).
    pub started: u32,
    /// Connections that were established at some time.
    pub established: u32,
    /// Connections that ended with an error.
    pub failed: u32,
    /// Connections that received at least one byte.
    pub heard: u32,
    /// Connections that received something of late (three intervals, at least a second).
    pub lively: u32,
    /// Bytes received over all connections.
    pub received: u64,
    /// Wrong bytes over all connections and probes.
    pub wrong: u64,
    /// UDP flows that were answered of late.
    pub lively_flows: u32,
    /// Pings that were answered of late.
    pub lively_pings: u32,
}
