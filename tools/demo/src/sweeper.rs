//! Cleaning up on every way out. A second process waits on a pipe whose other end only the run holds: when the run
//! ends, returns an error, panics, is interrupted or killed, the kernel closes the pipe, and the sweeper ends what
//! still runs in the namespaces and removes them. There is no other path, so there is none to forget.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::command;
use crate::failure::{Because, Outcome};
use crate::namespaces::Namespaces;

/// The hidden command that this program is started with to become the sweeper.
pub const COMMAND: &str = "sweep-when-the-run-ends";
const KEEP: &str = "keep";
const ATTEMPTS: u32 = 50;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(100);

/// The run's end of the pipe.
pub struct Sweeper {
    process: Child,
    pipe: Option<ChildStdin>,
}

/// The folder for a run's sockets and rules: short enough for a Unix socket's address.
pub fn run_folder(namespaces: &Namespaces) -> PathBuf {
    Path::new("/run").join(namespaces.prefix())
}

impl Sweeper {
    /// Starts it, before anything is made that needs sweeping.
    pub fn start(suffix: &str) -> Outcome<Sweeper> {
        let own = std::env::current_exe().because(|| "find this program".into())?;
        // Its own process group: Ctrl-C at the terminal ends the run and must not end the sweeper.
        let mut process = Command::new(own)
            .args([COMMAND, suffix])
            .process_group(0)
            .stdin(Stdio::piped())
            .spawn()
            .because(|| "start the process that cleans up".into())?;
        let pipe = process.stdin.take();
        Ok(Sweeper { process, pipe })
    }

    /// Lets the namespaces stand when the run is over.
    pub fn keep(&mut self) {
        if let Some(pipe) = &mut self.pipe {
            // A sweeper that is gone sweeps nothing, which is what was asked.
            let _ = pipe.write_all(KEEP.as_bytes());
        }
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.pipe = None;
        let _ = self.process.wait();
    }
}

/// The sweeper's own main: waits for the end of the pipe, then sweeps.
pub fn sweep_when_the_run_ends(suffix: &str) -> Outcome<()> {
    let mut word = String::new();
    // Whatever ends the reading, the run is over.
    let _ = io::stdin().read_to_string(&mut word);
    if word == KEEP {
        return Ok(());
    }
    let namespaces = Namespaces::named(suffix);
    let standing = command::run("ip", &["netns", "list"])?;
    let standing: Vec<&str> = standing.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let ours: Vec<String> =
        namespaces.names().into_iter().filter(|name| standing.contains(&name.as_str())).collect();
    for name in &ours {
        end_processes(name)?;
    }
    for name in &ours {
        command::run("ip", &["netns", "del", name])?;
    }
    remove_folders(&namespaces);
    Ok(())
}

/// Kills what runs in a namespace until nothing does. All of it was started by the run: the namespace is ours.
fn end_processes(name: &str) -> Outcome<()> {
    for _ in 0..ATTEMPTS {
        let listed = command::run("ip", &["netns", "pids", name])?;
        let pids: Vec<Pid> =
            listed.lines().filter_map(|line| Pid::from_raw(line.trim().parse().ok()?)).collect();
        if pids.is_empty() {
            break;
        }
        for pid in pids {
            // It may have ended meanwhile.
            let _ = kill_process(pid, Signal::KILL);
        }
        thread::sleep(BETWEEN_ATTEMPTS);
    }
    Ok(())
}

/// Our folder, and the ones that DPDK makes for each firewall's file prefix and leaves when it is killed.
fn remove_folders(namespaces: &Namespaces) {
    let dpdk =
        ["a", "b"].map(|letter| Path::new("/var/run/dpdk").join(format!("{}-{letter}", namespaces.prefix())));
    for folder in dpdk.iter().chain([&run_folder(namespaces)]) {
        // Most of the time one of them was never made.
        let _ = std::fs::remove_dir_all(folder);
    }
}
