//! The two firewalls: their settings, their processes and what they report.

mod control;
mod election;
mod exposure;
mod process;
mod roles;
mod scheduling;
mod translation;

use std::path::PathBuf;

pub use control::{Control, ElectionStatus, Status};
pub use election::{ELECTION_ID, Election, PASSPHRASE, Protocol, TakeoverBound};
pub use exposure::Exposure;
pub use process::Firewall;
pub use roles::{NO_ANSWER, RoleChange, RolePoller};
pub use translation::Translation;

use crate::network::Host;
use crate::router::Peer;

/// One of the two firewalls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// The first master.
    A,
    /// The first backup.
    B,
}

impl Node {
    /// Returns the other one.
    pub fn other(self) -> Node {
        if self == Node::A { Node::B } else { Node::A }
    }

    /// Returns its name for messages.
    pub fn name(self) -> &'static str {
        if self == Node::A { "firewall A" } else { "firewall B" }
    }

    fn letter(self) -> &'static str {
        if self == Node::A { "a" } else { "b" }
    }

    fn host(self) -> Host {
        if self == Node::A { Host::FirewallA } else { Host::FirewallB }
    }

    /// Returns its own IPv4 addresses inside and outside, from which its adverts come.
    pub(crate) fn own_addresses(self) -> [&'static str; 2] {
        if self == Node::A { ["10.1.0.2", "10.2.0.2"] } else { ["10.1.0.3", "10.2.0.3"] }
    }

    fn sync_address(self) -> &'static str {
        if self == Node::A { "10.3.0.1" } else { "10.3.0.2" }
    }
}

/// How the firewalls are started.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The program.
    pub program: PathBuf,
    /// The program of another build, which runs until a firewall is restarted, without a seal; `None`: the same program.
    pub program_before: Option<PathBuf>,
    /// Lanes of A and B.
    pub lanes: [u32; 2],
    /// What the rules translate.
    pub translation: Translation,
    /// How long a first packet is held at most; 0 disables this.
    pub defer_ms: u32,
    /// How they elect the master; `None`: the run decides who it is.
    pub election: Option<Election>,
    /// The router that takes B's place; `None`: B is a firewall.
    pub peer: Option<Peer>,
    /// Whether the firewalls replicate their states.
    pub replicates: bool,
    /// Whether they seal the frames of their sync link.
    pub seal: bool,
    /// Whether they write event logs.
    pub event_log: bool,
    /// The folder for logs.
    pub log_folder: PathBuf,
}

impl Settings {
    /// Returns the path of a firewall's event log.
    pub fn event_log_of(&self, node: Node) -> PathBuf {
        self.log_folder.join(format!("firewall-{}.events", node.letter()))
    }
}
