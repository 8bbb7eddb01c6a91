//! Cleans up after a run, however it ends. A second process waits on a pipe that only the run holds open. When the run
//! returns, panics, is interrupted or killed, the kernel closes the pipe; the second process then kills what still runs
//! in the namespaces and deletes them.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::{Namespace, Network};
use crate::command;
use crate::failure::{Context, Fallible};

/// The hidden command that makes a program run [`wait_and_clean_up`].
pub const COMMAND: &str = "clean-up-after-run";
const KEEP: &str = "keep";
const ATTEMPTS: u32 = 50;
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(100);

/// The run's end of the pipe. Dropping it cleans up and waits for that.
pub struct Cleanup {
    process: Child,
    pipe: Option<ChildStdin>,
}

impl Cleanup {
    /// Starts the second process; call this before creating anything.
    pub fn start(suffix: &str) -> Fallible<Cleanup> {
        let program = std::env::current_exe().context(|| "find this program")?;
        // A process group of its own: Ctrl-C must end the run only.
        let mut process = Command::new(program)
            .args([COMMAND, suffix])
            .process_group(0)
            .stdin(Stdio::piped())
            .spawn()
            .context(|| "start the clean-up process")?;
        let pipe = process.stdin.take();
        Ok(Cleanup { process, pipe })
    }

    /// Keeps the namespaces when the run is over.
    pub fn keep(&mut self) {
        if let Some(pipe) = &mut self.pipe {
            // Fails only when the process has ended, and then nothing is deleted either.
            let _ = pipe.write_all(KEEP.as_bytes());
        }
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        self.pipe = None;
        let _ = self.process.wait();
    }
}

/// Waits until the run `suffix` closes its pipe, then removes what it left. The main function of the second process.
pub fn wait_and_clean_up(suffix: &str) -> Fallible<()> {
    let mut text = String::new();
    // A read error also means that the run is over.
    let _ = io::stdin().read_to_string(&mut text);
    if text == KEEP {
        return Ok(());
    }
    let network = Network::named(suffix);
    let list = command::run("ip", &["netns", "list"])?;
    let existing: Vec<&str> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let ours: Vec<Namespace> =
        network.namespaces().into_iter().filter(|namespace| existing.contains(&namespace.name())).collect();
    ours.iter().try_for_each(kill_processes)?;
    ours.iter().try_for_each(Namespace::delete)?;
    remove_folders(&network);
    Ok(())
}

/// Kills what runs in a namespace until nothing does. The run started all of it.
fn kill_processes(namespace: &Namespace) -> Fallible<()> {
    for _ in 0..ATTEMPTS {
        let process_ids = namespace.process_ids()?;
        if process_ids.is_empty() {
            break;
        }
        for pid in process_ids.into_iter().filter_map(Pid::from_raw) {
            // It may have ended meanwhile.
            let _ = kill_process(pid, Signal::KILL);
        }
        thread::sleep(ATTEMPT_INTERVAL);
    }
    Ok(())
}

/// Removes the run's folder and those that DPDK creates for each file prefix and leaves when killed.
fn remove_folders(network: &Network) {
    let dpdk =
        ["a", "b"].map(|letter| Path::new("/var/run/dpdk").join(format!("{}-{letter}", network.prefix())));
    for folder in dpdk.iter().chain([&network.run_folder()]) {
        // Not every run creates all of them.
        let _ = std::fs::remove_dir_all(folder);
    }
}
