//! The firewall's control socket: one word out, one line of JSON back.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failure::{Because, Outcome};

const PATIENCE: Duration = Duration::from_secs(5);

/// Where a firewall listens.
#[derive(Clone, Debug)]
pub struct Control {
    path: PathBuf,
}

/// The firewall's answer to `status`; fields that this program does not know are let go.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// `master` or `backup`.
    pub role: String,
    /// Whether the peer's states are in, or given up on.
    pub ready: bool,
    /// States in all lanes.
    pub states: u64,
    /// Lanes.
    pub lanes: u32,
    /// Changes that wait to be sent: new states.
    pub unsent_inserts: u64,
    /// Changes that wait to be sent: updates.
    pub unsent_updates: u64,
    /// How long the oldest of both has waited.
    pub oldest_unsent_ms: u64,
    /// The effective MTU of the sync link.
    pub mtu: u32,
    /// Buffers that are not in the pool now.
    pub mbufs_in_use: u64,
}

impl Control {
    /// The socket at `path`; it need not be there yet.
    pub fn at(path: &Path) -> Control {
        Control { path: path.to_owned() }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sends one word and gives back the answer.
    pub fn ask(&self, word: &str) -> Outcome<Value> {
        let doing = || format!("ask the firewall at {} for '{word}'", self.path.display());
        let mut stream = UnixStream::connect(&self.path).because(doing)?;
        stream.set_read_timeout(Some(PATIENCE)).because(doing)?;
        stream.write_all(format!("{word}\n").as_bytes()).because(doing)?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).because(doing)?;
        serde_json::from_str(&line).because(|| format!("read its answer '{}' to '{word}'", line.trim()))
    }

    /// The status.
    pub fn status(&self) -> Outcome<Status> {
        serde_json::from_value(self.ask("status")?).because(|| "read the firewall's status".into())
    }
}
