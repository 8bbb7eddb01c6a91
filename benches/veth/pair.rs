//! Two network namespaces connected by a veth pair, and node processes inside that are controlled line by line.

use super::node::Task;
use pfplane_testbed::failure::Fallible;
use pfplane_testbed::network::Namespace;
use serde_json::Value;
use std::io::{BufRead, BufReader, Error, Result, Write};
use std::process::{Child, ChildStdout, Stdio};

/// The namespaces; dropping this deletes them.
pub(crate) struct Pair {
    namespaces: [Namespace; 2],
}

/// The interface at both ends.
pub(crate) const INTERFACE: &str = "sync";

impl Pair {
    /// Creates the namespaces; the interfaces have this MTU and the addresses 192.0.2.1 and 192.0.2.2.
    pub(crate) fn new(mtu: u32) -> Fallible<Self> {
        let namespaces = [1, 2].map(|n| Namespace::named(format!("pfp-link-{}-{n}", std::process::id())));
        let pair = Self { namespaces };
        for namespace in &pair.namespaces {
            namespace.create()?;
            namespace.set_sysctls(&["net.ipv6.conf.all.disable_ipv6=1"])?;
        }
        let second = pair.end(2).name();
        pair.end(1).ip(&format!(
            "link add {INTERFACE} mtu {mtu} type veth peer name {INTERFACE} mtu {mtu} netns {second}\n"
        ))?;
        for (n, namespace) in (1..).zip(&pair.namespaces) {
            namespace.ip(&format!(
                "addr add 192.0.2.{n}/24 dev {INTERFACE}\nlink set {INTERFACE} up\nlink set lo up\n"
            ))?;
        }
        Ok(pair)
    }

    /// Returns the namespace of end `n`, 1 or 2.
    pub(crate) fn end(&self, n: u8) -> &Namespace {
        &self.namespaces[usize::from(n - 1)]
    }

    /// Starts this program again as the node at end `n`.
    pub(crate) fn node(&self, n: u8, task: &Task) -> Result<Node> {
        let mut command = self.end(n).command(std::env::current_exe()?);
        command.args(task.arguments(n)).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let lines = child.stdout.take().ok_or_else(|| Error::other("no output"))?;
        Ok(Node { child, lines: BufReader::new(lines) })
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for namespace in &self.namespaces {
            // Nothing can be done about a failure here.
            let _ = namespace.delete();
        }
    }
}

/// A node process; dropping this kills it.
pub(crate) struct Node {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Node {
    /// Sends a line.
    pub(crate) fn send(&mut self, line: &str) -> Result<()> {
        let input = self.child.stdin.as_mut().ok_or_else(|| Error::other("the node's input is closed"))?;
        writeln!(input, "{line}")
    }

    /// Waits for a line that begins with `event`, and returns its values.
    pub(crate) fn wait_for(&mut self, event: &str) -> Result<Value> {
        let mut line = String::new();
        while self.lines.read_line(&mut line)? > 0 {
            if let Some(values) = line.trim_end().strip_prefix(event) {
                return Ok(serde_json::from_str(values.trim())?);
            }
            line.clear();
        }
        Err(Error::other(format!("a node exited before '{event}'")))
    }

    /// Closes its input, which ends it, and returns its figures.
    pub(crate) fn end(&mut self) -> Result<Value> {
        drop(self.child.stdin.take());
        self.wait_for("ended")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = (self.child.kill(), self.child.wait());
    }
}
