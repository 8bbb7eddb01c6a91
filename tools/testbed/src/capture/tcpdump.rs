//! A running tcpdump.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::failure::{Context, Fallible, fail};
use crate::network::Namespace;

/// A tcpdump in a namespace that records every frame from its start to its end.
pub(super) struct Tcpdump {
    process: Child,
    errors: BufReader<ChildStderr>,
}

impl Tcpdump {
    /// Starts tcpdump and waits until it records. `file` is `-` for the standard output.
    pub(super) fn start(namespace: &Namespace, options: &[&str], file: &Path) -> Fallible<Tcpdump> {
        let mut command: Command = namespace.command("tcpdump");
        command.args(["-n", "-Z", "root", "-w"]).arg(file).args(options);
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context(|| "start tcpdump")?;
        let Some(errors) = process.stderr.take() else { return fail("tcpdump has no error output") };
        let mut tcpdump = Tcpdump { process, errors: BufReader::new(errors) };
        tcpdump.wait_until_recording()?;
        Ok(tcpdump)
    }

    /// Returns its standard output, once.
    pub(super) fn take_output(&mut self) -> Fallible<ChildStdout> {
        self.process.stdout.take().map_or_else(|| fail("tcpdump's output was taken before"), Ok)
    }

    fn wait_until_recording(&mut self) -> Fallible<()> {
        let mut output = String::new();
        while !output.contains("listening on") {
            if self.errors.read_line(&mut output).context(|| "read tcpdump's output")? == 0 {
                return fail(format!("tcpdump does not record: {}", output.trim()));
            }
        }
        Ok(())
    }

    /// Stops tcpdump. Returns how many frames it lost because it was too slow.
    pub(super) fn finish(mut self) -> Fallible<u64> {
        let pid = Pid::from_child(&self.process);
        kill_process(pid, Signal::TERM).context(|| "stop tcpdump")?;
        let mut lost = 0;
        for line in self.errors.lines() {
            let line = line.context(|| "read tcpdump's output")?;
            lost += frames_lost(&line).unwrap_or(0);
        }
        self.process.wait().context(|| "wait for tcpdump")?;
        Ok(lost)
    }
}

/// Parses the line `N packets dropped by kernel`.
fn frames_lost(line: &str) -> Option<u64> {
    let (number, rest) = line.split_once(' ')?;
    rest.contains("dropped by kernel").then(|| number.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::frames_lost;

    #[test]
    fn the_kernels_losses_are_read_from_the_last_lines() {
        assert_eq!(frames_lost("17 packets dropped by kernel"), Some(17));
        assert_eq!(frames_lost("1 packet dropped by kernel"), Some(1));
        assert_eq!(frames_lost("120 packets captured"), None);
    }
}
