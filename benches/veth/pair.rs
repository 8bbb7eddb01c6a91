//! Two network namespaces with a veth pair between them, and processes inside that talk to us line by line.

use super::node::Task;
use pfplane_demo::command;
use pfplane_demo::failure::Outcome;
use serde_json::Value;
use std::io::{BufRead, BufReader, Error, Result, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

/// The namespaces. They go when this does.
pub struct Pair {
    names: [String; 2],
}

/// The interface at both ends.
pub const INTERFACE: &str = "sync";

impl Pair {
    /// Makes them; the interface's MTU is `mtu`, its addresses are 192.0.2.1 and 192.0.2.2.
    pub fn new(mtu: u32) -> Outcome<Self> {
        let names = [1, 2].map(|n| format!("pfp-link-{}-{n}", std::process::id()));
        let pair = Self { names };
        let [first, second] = &pair.names;
        for name in &pair.names {
            ip(&format!("netns add {name}"))?;
            ip(&format!("netns exec {name} sysctl -q -w net.ipv6.conf.all.disable_ipv6=1"))?;
        }
        ip(&format!(
            "-n {first} link add {INTERFACE} mtu {mtu} type veth peer name {INTERFACE} mtu {mtu} netns {second}"
        ))?;
        for (n, name) in (1..).zip(&pair.names) {
            ip(&format!("-n {name} addr add 192.0.2.{n}/24 dev {INTERFACE}"))?;
            ip(&format!("-n {name} link set {INTERFACE} up"))?;
            ip(&format!("-n {name} link set lo up"))?;
        }
        Ok(pair)
    }

    /// The namespace at end `n`, 1 or 2.
    pub fn name(&self, n: u8) -> &str {
        &self.names[usize::from(n - 1)]
    }

    /// A command that runs `program` at end `n`, 1 or 2.
    pub fn command(&self, n: u8, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", self.name(n), program]);
        command
    }

    /// Starts this program again as the node at end `n`.
    pub fn node(&self, n: u8, task: &Task) -> Result<Node> {
        let own = std::env::current_exe()?;
        let own = own.to_str().ok_or_else(|| Error::other("the bench's path is no UTF-8"))?;
        let mut command = self.command(n, own);
        command.args(task.arguments(n)).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let lines = child.stdout.take().ok_or_else(|| Error::other("no output"))?;
        Ok(Node { child, lines: BufReader::new(lines) })
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for name in &self.names {
            // Nothing can be done about a name that is left, and nobody waits for it.
            let _ = ip(&format!("netns del {name}"));
        }
    }
}

/// Runs `ip`; words are parted by spaces.
pub fn ip(arguments: &str) -> Outcome<()> {
    let arguments: Vec<&str> = arguments.split(' ').collect();
    command::run("ip", &arguments).map(drop)
}

/// A process at one end. It ends with this.
pub struct Node {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Node {
    /// Sends it a line.
    pub fn tell(&mut self, word: &str) -> Result<()> {
        let input = self.child.stdin.as_mut().ok_or_else(|| Error::other("the node's input is closed"))?;
        writeln!(input, "{word}")
    }

    /// The values beside the next line `word`.
    pub fn wait_for(&mut self, word: &str) -> Result<Value> {
        let mut line = String::new();
        while self.lines.read_line(&mut line)? > 0 {
            if let Some(values) = line.trim_end().strip_prefix(word) {
                return Ok(serde_json::from_str(values.trim())?);
            }
            line.clear();
        }
        Err(Error::other(format!("a node ended before it said '{word}'")))
    }

    /// Closes its input, upon which it says what it did.
    pub fn end(&mut self) -> Result<Value> {
        drop(self.child.stdin.take());
        self.wait_for("ended")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It has ended already, mostly.
        let _ = (self.child.kill(), self.child.wait());
    }
}
