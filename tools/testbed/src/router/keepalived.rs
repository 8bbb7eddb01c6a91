//! keepalived: four instances of VRRP version 3, one for each network and family, which change master together.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::failure::{Context, Fallible};
use crate::firewall::{ELECTION_ID, Election, Node};
use crate::network::{INSIDE_ADDRESSES, Namespace, OUTSIDE_ADDRESSES, SHARED_LINK_LOCAL};

/// What a message about a change of the role contains, and what it contains besides when the role is master. All instances
/// change together, so one is looked at.
pub(super) const ROLE_CHANGE: (&str, &str) = ("(inside4) Entering ", "MASTER");

/// Writes the configuration and returns how to start it: in the foreground, VRRP only.
pub(super) fn command(namespace: &Namespace, election: Election, folder: &Path) -> Fallible<Command> {
    let folder = folder.canonicalize().context(|| format!("find {}", folder.display()))?;
    let path = folder.join("keepalived.conf");
    fs::write(&path, configuration(election)).context(|| format!("write {}", path.display()))?;
    let mut command = namespace.command("keepalived");
    command.args(["--dont-fork", "--log-console", "--log-detail", "--vrrp"]);
    command.arg("--use-file").arg(&path);
    command.arg("--pid").arg(folder.join("keepalived.pid"));
    command.arg("--vrrp_pid").arg(folder.join("keepalived-vrrp.pid"));
    Ok(command)
}

fn configuration(election: Election) -> String {
    let [inside4, inside6] = INSIDE_ADDRESSES;
    let [outside4, outside6] = OUTSIDE_ADDRESSES;
    let link_local = SHARED_LINK_LOCAL.map(|address| format!("{address}/64"));
    let instances = [
        ("inside4", "inside", vec![inside4]),
        ("outside4", "outside", vec![outside4]),
        ("inside6", "inside", vec![link_local[0].as_str(), inside6]),
        ("outside6", "outside", vec![link_local[1].as_str(), outside6]),
    ];
    let names: Vec<&str> = instances.iter().map(|(name, ..)| *name).collect();
    let head = format!(
        "global_defs {{\n    router_id pfplane\n    vrrp_version 3\n}}\n\
         vrrp_sync_group router {{\n    group {{\n        {}\n    }}\n}}\n",
        names.join("\n        ")
    );
    let instance = |(name, interface, addresses): &(&str, &str, Vec<&str>)| {
        format!(
            "vrrp_instance {name} {{\n    interface {interface}\n    state BACKUP\n    virtual_router_id {ELECTION_ID}\n    \
             priority {}\n    advert_int {}\n    virtual_ipaddress {{\n        {}\n    }}\n}}\n",
            election.priority(Node::B),
            f64::from(election.interval_ms) / 1000.0,
            addresses.join("\n        ")
        )
    };
    head + &instances.iter().map(instance).collect::<String>()
}
