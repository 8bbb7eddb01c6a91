//! The firewall's control socket: one command per connection, one line of JSON as the answer.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Node;
use crate::failure::{Context, Fallible, fail};
use crate::network::Network;

const TIMEOUT: Duration = Duration::from_secs(5);

/// A firewall's control socket.
#[derive(Clone, Debug)]
pub struct Control {
    path: PathBuf,
}

/// The answer to `status`; unknown fields are ignored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// `master` or `backup`.
    pub role: String,
    /// Whether the peer's states are loaded, or no peer answered.
    pub ready: bool,
    /// `loading`, `gave-up` or `synced`.
    pub class: String,
    /// What speaks against a takeover.
    pub reasons: Vec<String>,
    /// States of the peer that it lacks.
    pub missing: u64,
    /// States in all lanes.
    pub states: u64,
    /// Lanes.
    pub lanes: u32,
    /// New states that are not sent yet.
    pub unsent_inserts: u64,
    /// Updated states that are not sent yet.
    pub unsent_updates: u64,
    /// The age of the oldest change that is not sent yet.
    pub oldest_unsent_ms: u64,
    /// The effective MTU of the sync link.
    pub mtu: u32,
    /// Buffers taken from the pool.
    pub mbufs_in_use: u64,
    /// What the election says; `None` without one.
    pub election: Option<ElectionStatus>,
}

/// The election in the answer to `status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ElectionStatus {
    /// Why it has its role.
    pub why: String,
}

impl Status {
    /// Returns why it has its role; empty without an election.
    pub fn why(&self) -> &str {
        self.election.as_ref().map_or("", |election| &election.why)
    }
}

impl Control {
    /// Uses the socket at `path`, which need not exist yet.
    pub fn at(path: PathBuf) -> Control {
        Control { path }
    }

    /// Uses a firewall's socket in the run's folder.
    pub(super) fn of(node: Node, network: &Network) -> Control {
        Control::at(network.run_folder().join(format!("{}.sock", node.letter())))
    }

    /// Returns the socket's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sends a command and returns the answer.
    pub fn request(&self, command: &str) -> Fallible<Value> {
        self.request_within(command, TIMEOUT)
    }

    fn request_within(&self, command: &str, timeout: Duration) -> Fallible<Value> {
        let action = || format!("send '{command}' to the firewall at {}", self.path.display());
        let mut stream = UnixStream::connect(&self.path).context(action)?;
        stream.set_read_timeout(Some(timeout)).context(action)?;
        stream.write_all(format!("{command}\n").as_bytes()).context(action)?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).context(action)?;
        serde_json::from_str(&line).context(|| format!("parse the answer '{}' to '{command}'", line.trim()))
    }

    /// Requests the status.
    pub fn status(&self) -> Fallible<Status> {
        serde_json::from_value(self.request("status")?).context(|| "parse the firewall's status")
    }

    /// Requests the status of a firewall that may not answer.
    pub fn status_within(&self, timeout: Duration) -> Fallible<Status> {
        serde_json::from_value(self.request_within("status", timeout)?)
            .context(|| "parse the firewall's status")
    }

    /// Makes the firewall the master and checks its role; for firewalls without an election.
    pub fn take_over(&self) -> Fallible<()> {
        self.request("takeover")?;
        match self.status()?.role.as_str() {
            "master" => Ok(()),
            role => fail(format!("after 'takeover' the firewall's role is {role}")),
        }
    }
}
