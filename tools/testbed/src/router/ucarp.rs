//! ucarp: one daemon for each network, with scripts that add and delete the shared address.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Context, Fallible};
use crate::firewall::{ELECTION_ID, Election, Node, PASSPHRASE};
use crate::network::{INSIDE_ADDRESSES, Namespace, OUTSIDE_ADDRESSES};

/// What a message about a change of the role contains, and what it contains besides when the role is master.
pub(super) const ROLE_CHANGE: (&str, &str) = ("Switching to state: ", "MASTER");
/// CARP's `advskew` is 254 less the priority.
const BEST: u8 = 254;

pub(super) fn skew(election: Election) -> u8 {
    BEST - election.priority(Node::B)
}

/// Writes the scripts and returns how to start the daemons.
pub(super) fn commands(namespace: &Namespace, election: Election, folder: &Path) -> Fallible<Vec<Command>> {
    let folder = folder.canonicalize().context(|| format!("find {}", folder.display()))?;
    let up = script(&folder, "up", "add")?;
    let down = script(&folder, "down", "del")?;
    let [inside, outside] = Node::B.own_addresses();
    let networks = [("inside", inside, INSIDE_ADDRESSES[0]), ("outside", outside, OUTSIDE_ADDRESSES[0])];
    let command = |(interface, own, shared): (&str, &str, &str)| {
        let shared = shared.split('/').next().unwrap_or(shared);
        let seconds = election.interval_ms / 1000;
        let mut command = namespace.command("ucarp");
        command.args(["-i", interface, "-s", own, "-a", shared, "-p", PASSPHRASE]);
        command.args(["-v", &ELECTION_ID.to_string(), "-b", &seconds.to_string()]);
        command.args(["-k", &skew(election).to_string()]);
        command.arg("-u").arg(&up).arg("-d").arg(&down);
        command
    };
    Ok(networks.into_iter().map(command).collect())
}

/// ucarp calls its scripts with the interface and the address.
fn script(folder: &Path, name: &str, change: &str) -> Fallible<PathBuf> {
    let path = folder.join(format!("ucarp-{name}.sh"));
    let text = format!("#!/bin/sh\nexec ip address {change} \"$2/24\" dev \"$1\"\n");
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o755).open(&path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.context(|| format!("write {}", path.display()))?;
    Ok(path)
}
