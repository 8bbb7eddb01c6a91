//! The run's handle of the client or the server: started in its namespace, given orders, listened to.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::clock::{self, Nanos, SECOND};
use crate::failure::{Because, Outcome, fail};
use crate::namespaces::{Namespaces, Place};
use crate::traffic::plan::Plan;
use crate::traffic::report::{EndReport, Progress};

/// The hidden commands that this program is started with to become one end.
pub const CLIENT_COMMAND: &str = "traffic-client";
/// The other one.
pub const SERVER_COMMAND: &str = "traffic-server";

const PATIENCE_STOPPING: Nanos = 30 * SECOND;
const POLL: Duration = Duration::from_millis(20);

/// One end of the traffic.
pub struct TrafficEnd {
    name: &'static str,
    process: Child,
    orders: ChildStdin,
    latest: Arc<Mutex<Option<Progress>>>,
    report: PathBuf,
}

impl TrafficEnd {
    /// Starts the client.
    pub fn client(namespaces: &Namespaces, plan: &Plan, out: &std::path::Path) -> Outcome<TrafficEnd> {
        TrafficEnd::start("client", CLIENT_COMMAND, namespaces.inside(Place::Client), plan, out)
    }

    /// Starts the server.
    pub fn server(namespaces: &Namespaces, plan: &Plan, out: &std::path::Path) -> Outcome<TrafficEnd> {
        TrafficEnd::start("server", SERVER_COMMAND, namespaces.inside(Place::Server), plan, out)
    }

    fn start(
        name: &'static str,
        command: &str,
        inside: [String; 3],
        plan: &Plan,
        out: &std::path::Path,
    ) -> Outcome<TrafficEnd> {
        let report = out.join(format!("traffic-{name}.json"));
        let plan = serde_json::to_string(plan).because(|| "write the plan".into())?;
        let own = std::env::current_exe().because(|| "find this program".into())?;
        let mut process = Command::new("ip")
            .args(inside)
            .arg(own)
            .args([command, &plan])
            .arg(&report)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .because(|| format!("start the {name}"))?;
        let orders = process.stdin.take().expect("asked for a pipe");
        let latest = Arc::new(Mutex::new(None));
        listen(process.stdout.take().expect("asked for a pipe"), Arc::clone(&latest));
        Ok(TrafficEnd { name, process, orders, latest, report })
    }

    /// The latest progress line; nothing before the first.
    pub fn progress(&self) -> Option<Progress> {
        self.latest.lock().expect("the listening thread does not panic").clone()
    }

    /// Gives an order: `open`, `mark` or `stop`.
    pub fn order(&mut self, word: &str) -> Outcome<()> {
        self.orders
            .write_all(format!("{word}\n").as_bytes())
            .because(|| format!("tell the {} to {word}", self.name))
    }

    /// Fails when it ended by itself.
    pub fn must_run(&mut self) -> Outcome<()> {
        match self.process.try_wait().because(|| format!("watch the {}", self.name))? {
            None => Ok(()),
            Some(status) => {
                fail(format!("the {} ended by itself ({status}); its words are above", self.name))
            }
        }
    }

    /// Stops it and reads its report.
    pub fn stop(&mut self) -> Outcome<EndReport> {
        self.order("stop")?;
        let deadline = clock::now() + PATIENCE_STOPPING;
        while self.process.try_wait().because(|| format!("watch the {}", self.name))?.is_none() {
            if clock::now() > deadline {
                return fail(format!("the {} was told to stop and did not", self.name));
            }
            thread::sleep(POLL);
        }
        let file = File::open(&self.report).because(|| format!("open the {}'s report", self.name))?;
        serde_json::from_reader(BufReader::new(file)).because(|| format!("read the {}'s report", self.name))
    }
}

fn listen(stdout: ChildStdout, latest: Arc<Mutex<Option<Progress>>>) {
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Ok(progress) = serde_json::from_str(&line) {
                *latest.lock().expect("nobody panics while holding it") = Some(progress);
            }
        }
    });
}
