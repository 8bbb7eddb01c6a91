//! The run's handle of the traffic client or server: a process in its namespace.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::clock::{self, Nanos, SECOND};
use crate::failure::{Context, Fallible, fail};
use crate::network::{Host, Network};
use crate::traffic::plan::Plan;
use crate::traffic::report::{Progress, TrafficReport};

/// The hidden command that makes a program run the client.
pub const CLIENT_COMMAND: &str = "traffic-client";
/// The hidden command that makes a program run the server.
pub const SERVER_COMMAND: &str = "traffic-server";

const STOP_TIMEOUT: Nanos = 30 * SECOND;
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The client or the server.
pub struct TrafficProcess {
    name: &'static str,
    process: Child,
    commands: ChildStdin,
    progress: Arc<Mutex<Option<Progress>>>,
    report: PathBuf,
}

impl TrafficProcess {
    /// Starts this program again as the client.
    pub fn client(network: &Network, plan: &Plan, out: &Path) -> Fallible<TrafficProcess> {
        let program = std::env::current_exe().context(|| "find this program")?;
        TrafficProcess::start(CLIENT_COMMAND, network.namespace(Host::Client).command(program), plan, out)
    }

    /// Starts this program again as the server.
    pub fn server(network: &Network, plan: &Plan, out: &Path) -> Fallible<TrafficProcess> {
        let program = std::env::current_exe().context(|| "find this program")?;
        TrafficProcess::start(SERVER_COMMAND, network.namespace(Host::Server).command(program), plan, out)
    }

    /// Starts `program`, which must execute the hidden command `name`. The report is written to the folder `out`.
    pub fn start(
        name: &'static str,
        mut program: Command,
        plan: &Plan,
        out: &Path,
    ) -> Fallible<TrafficProcess> {
        let report = out.join(format!("{name}.json"));
        let plan = serde_json::to_string(plan).context(|| "write the traffic plan")?;
        let mut process = program
            .args([name, &plan])
            .arg(&report)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context(|| format!("start the {name}"))?;
        let commands = process.stdin.take().expect("stdin is a pipe");
        let progress = Arc::new(Mutex::new(None));
        read_progress(process.stdout.take().expect("stdout is a pipe"), Arc::clone(&progress));
        Ok(TrafficProcess { name, process, commands, progress, report })
    }

    /// Returns the latest progress; `None` before the first.
    pub fn progress(&self) -> Option<Progress> {
        self.progress.lock().expect("the reading thread does not panic").clone()
    }

    /// Sends a command: `open`, `mark` or `stop`.
    pub fn send(&mut self, command: &str) -> Fallible<()> {
        let line = format!("{command}\n");
        self.commands.write_all(line.as_bytes()).context(|| format!("send '{command}' to the {}", self.name))
    }

    /// Fails when the process has exited.
    pub fn check_running(&mut self) -> Fallible<()> {
        match self.process.try_wait().context(|| format!("watch the {}", self.name))? {
            None => Ok(()),
            Some(status) => {
                fail(format!("the {} exited unexpectedly ({status}); its messages are above", self.name))
            }
        }
    }

    /// Stops the traffic and reads the report.
    pub fn stop(&mut self) -> Fallible<TrafficReport> {
        self.send("stop")?;
        let deadline = clock::now() + STOP_TIMEOUT;
        while self.process.try_wait().context(|| format!("watch the {}", self.name))?.is_none() {
            if clock::now() > deadline {
                return fail(format!("the {} does not exit after 'stop'", self.name));
            }
            thread::sleep(POLL_INTERVAL);
        }
        let file = File::open(&self.report).context(|| format!("open the {}'s report", self.name))?;
        serde_json::from_reader(BufReader::new(file)).context(|| format!("read the {}'s report", self.name))
    }
}

fn read_progress(stdout: ChildStdout, latest: Arc<Mutex<Option<Progress>>>) {
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Ok(progress) = serde_json::from_str(&line) {
                *latest.lock().expect("no thread panics with this lock") = Some(progress);
            }
        }
    });
}
