//! What the machine must have, checked before anything is made, each with what to do about it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::arguments::Arguments;
use crate::command;
use crate::failure::{Because, Outcome, fail};

/// A program and the Debian package that brings it.
const PROGRAMS: [(&str, &str); 3] = [("ip", "iproute2"), ("ethtool", "ethtool"), ("sysctl", "procps")];

/// Descriptors beside the connections' own.
const OTHER_DESCRIPTORS: u64 = 200;

/// Fails with everything that is missing in one sentence.
pub fn check(arguments: &Arguments) -> Outcome<()> {
    if !rustix::process::geteuid().is_root() {
        return fail("the demonstration makes network namespaces and needs root; try: sudo ./x demo");
    }
    let capture = arguments.capture.then_some(("tcpdump", "tcpdump"));
    let wanted = PROGRAMS.into_iter().chain(capture);
    let missing: Vec<&str> =
        wanted.filter(|(program, _)| !command::exists(program)).map(|(_, package)| package).collect();
    if !missing.is_empty() {
        return fail(format!("missing programs; as root: apt-get install {}", missing.join(" ")));
    }
    if !arguments.firewall.is_file() {
        return fail(format!(
            "there is no firewall at {}; `./x demo` builds it, --firewall PATH names another",
            arguments.firewall.display()
        ));
    }
    Ok(())
}

/// Makes room for a descriptor per connection; both traffic ends call it for themselves.
pub fn raise_descriptor_limit(connections: u32) -> Outcome<()> {
    let wanted = u64::from(connections) + OTHER_DESCRIPTORS;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let maximum = maximum.map(|maximum| maximum.max(wanted));
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })
        .because(|| format!("raise the limit of open files to {wanted}"))
}
