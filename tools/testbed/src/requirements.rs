//! Checks what the machine must provide before anything is created.

use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::command;
use crate::failure::{Context, Fallible, fail};

/// A program and the Debian package that contains it.
const PROGRAMS: [(&str, &str); 3] = [("ip", "iproute2"), ("ethtool", "ethtool"), ("sysctl", "procps")];

/// File descriptors beyond those of the connections.
const OTHER_DESCRIPTORS: u64 = 200;

/// Fails, with instructions, when a requirement is missing. `command_line` is how the user starts this program.
pub fn check(command_line: &str, firewall: &Path, capture: bool) -> Fallible<()> {
    if !rustix::process::geteuid().is_root() {
        return fail(format!("creating network namespaces needs root; try: sudo {command_line}"));
    }
    let programs = PROGRAMS.into_iter().chain(capture.then_some(("tcpdump", "tcpdump")));
    let missing: Vec<&str> =
        programs.filter(|(program, _)| !command::exists(program)).map(|(_, package)| package).collect();
    if !missing.is_empty() {
        return fail(format!("missing programs; as root: apt-get install {}", missing.join(" ")));
    }
    if !firewall.is_file() {
        let path = firewall.display();
        return fail(format!(
            "no firewall at {path}; `{command_line}` builds it, --firewall PATH names another"
        ));
    }
    Ok(())
}

/// Raises this process's limit of open files to one descriptor per connection.
pub fn raise_descriptor_limit(connections: u32) -> Fallible<()> {
    let required = u64::from(connections) + OTHER_DESCRIPTORS;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= required) {
        return Ok(());
    }
    let maximum = maximum.map(|maximum| maximum.max(required));
    setrlimit(Resource::Nofile, Rlimit { current: Some(required), maximum })
        .context(|| format!("raise the limit of open files to {required}"))
}
