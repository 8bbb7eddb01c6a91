//! What the two firewalls tell each other, recorded at firewall B's end of the sync link, both ways.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::failure::{Because, Outcome, fail};
use crate::namespaces::{Namespaces, Place};

const CHECKER: &str = "tools/check-capture.py";
/// The checker's exit status for a file without a pfsync frame.
const NOTHING_FOUND: i32 = 2;

/// A running tcpdump.
pub struct Capture {
    process: Child,
    file: PathBuf,
}

impl Capture {
    /// Starts it and comes back when it listens.
    pub fn start(namespaces: &Namespaces, out: &Path) -> Outcome<Capture> {
        let file = out.join("sync.pcap");
        let mut process = Command::new("ip")
            .args(namespaces.inside(Place::FirewallB))
            .args(["tcpdump", "-i", "sync", "-n", "-s", "0", "-U", "-B", "16384", "-Z", "root", "-w"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .because(|| "start tcpdump".into())?;
        let mut words = String::new();
        if let Some(errors) = process.stderr.take() {
            let mut lines = BufReader::new(errors);
            while !words.contains("listening on") {
                if lines.read_line(&mut words).because(|| "hear from tcpdump".into())? == 0 {
                    return fail(format!("tcpdump does not record: {}", words.trim()));
                }
            }
        }
        Ok(Capture { process, file })
    }

    /// Ends it so that the file is complete.
    pub fn finish(mut self) -> Outcome<PathBuf> {
        let pid = Pid::from_child(&self.process);
        kill_process(pid, Signal::TERM).because(|| "end tcpdump".into())?;
        self.process.wait().because(|| "wait for tcpdump".into())?;
        Ok(self.file)
    }
}

/// What the independent checker says of a capture.
pub struct Judgement {
    /// Whether every frame was well formed.
    pub well_formed: bool,
    /// Whether there was no pfsync frame at all.
    pub empty: bool,
    /// Its words.
    pub words: String,
}

/// Runs the checker, which shares no code with the library. Nothing when it or Python is not here.
pub fn check(file: &Path) -> Option<Judgement> {
    if !Path::new(CHECKER).is_file() {
        return None;
    }
    let output = Command::new("python3").arg(CHECKER).arg(file).output().ok()?;
    let words = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let empty = output.status.code() == Some(NOTHING_FOUND);
    Some(Judgement { well_formed: output.status.success() || empty, empty, words })
}
